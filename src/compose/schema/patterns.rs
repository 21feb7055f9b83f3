//! Patterns of text. The reference looks for them anywhere in the text, and so
//! does this.

use super::shape::Pattern;

/// `container_name`.
pub(super) static CONTAINER_NAME: Pattern = Pattern {
    matches: has_container_name,
    expected: "a name of two characters or more: letters, digits, `_`, `.`, `-`",
    quirk: true,
};

/// `pull_policy`.
pub(super) static PULL_POLICY: Pattern = Pattern {
    matches: has_pull_policy,
    expected: "always, never, missing, if_not_present, build, refresh, daily, weekly or every_<duration>",
    quirk: false,
};

fn has_container_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.windows(2).any(|pair| {
        let follows = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        pair.first().is_some_and(u8::is_ascii_alphanumeric) && pair.get(1).is_some_and(follows)
    })
}

fn has_pull_policy(text: &str) -> bool {
    const WORDS: [&str; 8] = [
        "always",
        "never",
        "build",
        "if_not_present",
        "missing",
        "refresh",
        "daily",
        "weekly",
    ];
    let interval = |after: &str| {
        let unit = after.trim_start_matches(|c: char| c.is_ascii_digit());
        unit.len() < after.len() && unit.starts_with(['w', 'd', 'h', 'm', 's'])
    };
    WORDS.iter().any(|word| text.contains(word)) || text.split("every_").skip(1).any(interval)
}
