//! Patterns of text. The reference looks for them anywhere in the text, and so
//! does this.

use super::shape::Pattern;

/// `container_name`.
pub(super) static CONTAINER_NAME: Pattern = Pattern {
    matches: has_container_name,
    expected: "a name of two characters or more: letters, digits, `_`, `.`, `-`",
    words: &[],
};

/// `pull_policy`.
pub(super) static PULL_POLICY: Pattern = Pattern {
    matches: has_pull_policy,
    expected: "always, never, missing, if_not_present, build, refresh, daily, weekly or every_<duration>",
    words: &POLICIES,
};

fn has_container_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.windows(2).any(|pair| {
        let follows = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        pair.first().is_some_and(u8::is_ascii_alphanumeric) && pair.get(1).is_some_and(follows)
    })
}

const POLICIES: [&str; 8] = [
    "always",
    "never",
    "build",
    "if_not_present",
    "missing",
    "refresh",
    "daily",
    "weekly",
];

fn has_pull_policy(text: &str) -> bool {
    let interval = |after: &str| {
        let unit = after.trim_start_matches(|c: char| c.is_ascii_digit());
        unit.len() < after.len() && unit.starts_with(['w', 'd', 'h', 'm', 's'])
    };
    POLICIES.iter().any(|word| text.contains(word)) || text.split("every_").skip(1).any(interval)
}
