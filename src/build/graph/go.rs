//! Texts as Go's `fmt` prints them: a history is compared with that of `BuildKit`.

use std::fmt::Write as _;
use std::time::Duration;

/// `%q` of a string.
pub(super) fn quoted(text: &str) -> String {
    let mut result = String::from("\"");
    for c in text.chars() {
        push_escaped(&mut result, c, '"');
    }
    result.push('"');
    result
}

/// `%q` of a list of strings.
pub(super) fn quoted_list(list: &[String]) -> String {
    let items: Vec<String> = list.iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(" "))
}

/// `%q` of a number: the letter with that code.
pub(super) fn quoted_number(number: u32) -> String {
    let mut result = String::from("'");
    let c = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
    push_escaped(&mut result, c, '\'');
    result.push('\'');
    result
}

fn push_escaped(result: &mut String, c: char, quote: char) {
    match c {
        '\u{7}' => result.push_str("\\a"),
        '\u{8}' => result.push_str("\\b"),
        '\u{c}' => result.push_str("\\f"),
        '\n' => result.push_str("\\n"),
        '\r' => result.push_str("\\r"),
        '\t' => result.push_str("\\t"),
        '\u{b}' => result.push_str("\\v"),
        '\\' => result.push_str("\\\\"),
        c if c == quote => {
            result.push('\\');
            result.push(c);
        }
        c if c.is_ascii() && c.is_control() => {
            write!(result, "\\x{:02x}", u32::from(c)).ok();
        }
        // Letters that are not shown: control characters and odd spaces.
        c if c.is_control() || (c.is_whitespace() && c != ' ') => {
            write!(result, "\\u{:04x}", u32::from(c)).ok();
        }
        c => result.push(c),
    }
}

/// `time.Duration`: `1m30s`, `1.5s`, `0s`.
pub(super) fn duration(period: Duration) -> String {
    if period.is_zero() {
        return "0s".to_owned();
    }
    let nanos = period.as_nanos();
    let fraction = |value: u128, unit: u128| {
        let rest = value % unit;
        let digits = unit.to_string().len() - 1;
        let text = format!("{rest:0digits$}");
        let text = text.trim_end_matches('0');
        if rest == 0 {
            (value / unit).to_string()
        } else {
            format!("{}.{text}", value / unit)
        }
    };
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return format!("{}µs", fraction(nanos, 1_000));
    }
    if nanos < 1_000_000_000 {
        return format!("{}ms", fraction(nanos, 1_000_000));
    }
    let minutes = nanos / 60_000_000_000;
    let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_go() {
        assert_eq!(
            quoted("a\"b\\c\n\u{1}é\u{a0}"),
            "\"a\\\"b\\\\c\\n\\x01é\\u00a0\""
        );
        assert_eq!(quoted_list(&["a".into(), "b c".into()]), "[\"a\" \"b c\"]");
        assert_eq!(quoted_number(3), "'\\x03'");
        assert_eq!(quoted_number(200), "'È'");
        for (period, text) in [
            (Duration::ZERO, "0s"),
            (Duration::from_secs(90), "1m30s"),
            (Duration::from_secs(3600), "1h0m0s"),
            (Duration::from_millis(1500), "1.5s"),
            (Duration::from_micros(1500), "1.5ms"),
            (Duration::from_nanos(2), "2ns"),
        ] {
            assert_eq!(duration(period), text);
        }
    }
}
