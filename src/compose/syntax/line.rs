//! Lines of a file that cannot be read, as somebody who wrote them sees them.

/// A text in quotes that YAML knows.
pub(super) fn in_quotes(text: &str) -> String {
    let bare = text.trim_matches(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']);
    let bare = bare
        .trim_matches('"')
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    format!("\"{bare}\"")
}

pub(super) fn is_word(text: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    !text.is_empty() && text.chars().all(inside)
}

pub(super) fn indent_text(line: &str) -> &str {
    let end = line.len() - line.trim_start().len();
    line.get(..end).unwrap_or_default()
}

pub(super) fn indent(line: &str) -> usize {
    indent_text(line).chars().count()
}

/// What a line says, without its indentation and a comment.
pub(super) fn content(line: &str) -> &str {
    let text = line.trim();
    if text.starts_with('#') {
        return "";
    }
    without_comment(text)
}

pub(super) fn without_comment(text: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => {
                return text.get(..at).unwrap_or_default().trim_end();
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        before = c;
    }
    text
}

/// A value as it is written, up to the line's end or a comment.
pub(super) fn value_text(rest: &str) -> &str {
    without_comment(rest.trim_end())
}

/// The key of a line `key: value` or `- key: value`.
pub(super) fn key_of(line: &str) -> Option<&str> {
    let text = content(line);
    let text = text.strip_prefix("- ").unwrap_or(text).trim_start();
    let (key, _) = text
        .split_once(": ")
        .or_else(|| Some((text.strip_suffix(':')?, "")))?;
    let key = key.trim_matches(['"', '\'']);
    (!key.is_empty() && !key.contains(['"', '\'', '[', '{', ' '])).then_some(key)
}

/// What was meant to be the key of a line.
pub(super) fn likely_key(line: &str) -> Option<&str> {
    let text = content(line);
    let text = text.strip_prefix("- ").unwrap_or(text);
    let text = text.trim_start_matches(['"', '\'']);
    let end = text.find([':', ' ', '"', '\'']).unwrap_or(text.len());
    text.get(..end).filter(|key| is_word(key))
}

/// Where the value of a line begins.
pub(super) fn value_start(line: &str) -> usize {
    let start = indent_text(line).len();
    let text = line.get(start..).unwrap_or_default();
    let entry = if text.starts_with("- ") { 2 } else { 0 };
    let rest = text.get(entry..).unwrap_or_default();
    let value = match rest.find(": ") {
        Some(at) if key_of(line).is_some() => {
            let after = rest.get(at + 2..).unwrap_or_default();
            at + 2 + after.len() - after.trim_start().len()
        }
        _ => 0,
    };
    start + entry + value
}

pub(super) fn is_block_start(line: &str) -> bool {
    let text =
        content(line).trim_end_matches(|c: char| matches!(c, '+' | '-') || c.is_ascii_digit());
    text.ends_with(": |") || text.ends_with(": >")
}

/// `- NAME=value` as a key; of a name alone, how it would be one.
pub(super) fn as_key(entry: &str) -> String {
    let text = entry.trim_start_matches('-').trim();
    let bare = text.trim_matches(['"', '\'']);
    match bare.split_once('=') {
        Some((key, value)) if bare != text => format!("{key}: {}", in_quotes(value)),
        Some((key, value)) => format!("{key}: {value}"),
        None if key_of(text).is_some() => text.to_owned(),
        None if is_word(bare) => format!("{bare}: VALUE"),
        None => "NAME: VALUE".to_owned(),
    }
}

/// The names of the anchors in a line.
pub(super) fn anchors(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices('&').filter_map(|(at, _)| {
        let before = line.get(..at)?;
        let is_start = before.is_empty() || before.ends_with([' ', '[', '{', ',']);
        let name = is_start.then(|| word(line.get(at + 1..).unwrap_or_default()));
        name.filter(|name| !name.is_empty())
    })
}

/// A text up to the first space or bracket.
pub(super) fn word(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}'));
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

pub(super) fn spaces(count: usize) -> String {
    match count {
        0 => "no space".to_owned(),
        1 => "1 space".to_owned(),
        _ => format!("{count} spaces"),
    }
}

pub(super) fn with_spaces(count: usize) -> String {
    match count {
        0 => "begin it in the first column".to_owned(),
        _ => format!("indent it with {}", spaces(count)),
    }
}
