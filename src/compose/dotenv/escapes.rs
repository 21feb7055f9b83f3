//! What a backslash means between double quotes.

/// The escapes of double quotes: those of a shell's `$'…'`, octal as `\0…`;
/// an escaped dollar is none.
pub(super) fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        result.push_str(rest.get(..at).unwrap_or_default());
        let after = rest.get(at + 1..).unwrap_or_default();
        let (piece, length) = escape(after);
        if let Some(piece) = piece {
            result.push_str(&piece);
        } else {
            result.push('\\');
            result.push_str(after.get(..length).unwrap_or_default());
        }
        rest = after.get(length..).unwrap_or_default();
    }
    result.push_str(rest);
    result
}

/// What the text behind a backslash means, and how long it is.
fn escape(after: &str) -> (Option<String>, usize) {
    let single = |c: char| (Some(c.to_string()), 1);
    match after.as_bytes().first() {
        Some(b'a') => single('\u{7}'),
        Some(b'b') => single('\u{8}'),
        Some(b'f') => single('\u{c}'),
        Some(b'n') => single('\n'),
        Some(b'r') => single('\r'),
        Some(b't') => single('\t'),
        Some(b'v') => single('\u{b}'),
        Some(b'"') => single('"'),
        Some(b'\\') => single('\\'),
        // Kept from interpolation by doubling it.
        Some(b'$') => (Some("$$".to_owned()), 1),
        Some(b'0') => octal(after),
        _ => (None, 0),
    }
}

/// `\0` and three octal digits; of anything else the zero goes.
fn octal(after: &str) -> (Option<String>, usize) {
    let length = after
        .bytes()
        .skip(1)
        .take(3)
        .take_while(u8::is_ascii_digit)
        .count();
    let digits = after.get(1..=length).unwrap_or_default();
    let value = Some(digits)
        .filter(|digits| digits.len() == 3)
        .and_then(|digits| u8::from_str_radix(digits, 8).ok());
    let text = match value {
        Some(value) => char::from(value).to_string(),
        None => format!("\\{digits}"),
    };
    (Some(text), 1 + length)
}
