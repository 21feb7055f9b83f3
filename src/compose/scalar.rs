//! The type of a YAML scalar, as the reference resolves it: YAML 1.2 with the
//! older octal and underscore numbers, booleans only as `true` and `false`.

use saphyr_parser::Tag;

use super::tree::Value;

/// The value of a scalar: by its tag, else by its text where it is plain, else
/// a string.
pub(crate) fn resolve(text: &str, plain: bool, tag: Option<&Tag>) -> Result<Value, String> {
    let string = || Value::Str(text.to_owned());
    // The tag `!` says nothing, to the reference.
    let tag = tag.filter(|tag| !(tag.handle.is_empty() && tag.suffix == "!"));
    let Some(tag) = tag else {
        return Ok(if plain { resolve_plain(text) } else { string() });
    };
    if !tag.is_yaml_core_schema() {
        // A value with a tag of its own (`!override 5`) stays text, be it empty.
        return Ok(string());
    }
    let wanted = tag.suffix.as_str();
    let value = match wanted {
        "str" => return Ok(string()),
        "binary" => return binary(text).map(Value::Str),
        _ => resolve_plain(text),
    };
    match (wanted, value) {
        ("int", value @ Value::Int(_))
        | ("float", value @ Value::Float(_))
        | ("bool", value @ Value::Bool(_))
        | ("null", value @ Value::Null)
        | ("timestamp", value @ Value::Time(_)) => Ok(value),
        #[expect(clippy::cast_precision_loss, reason = "`!!float` asks for it")]
        ("float", Value::Int(value)) => Ok(Value::Float(value as f64)),
        ("int" | "float" | "bool" | "null" | "timestamp", _) => {
            Err(format!("`{text}` is not of the type `!!{wanted}`"))
        }
        _ => Ok(string()),
    }
}

/// The text that Base64 stands for.
fn binary(text: &str) -> Result<String, String> {
    use base64::Engine as _;
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    match base64::engine::general_purpose::STANDARD.decode(compact) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => Err(format!("`{text}` is not Base64: {error}")),
    }
}

/// A time in full, as the reference prints it: `2024-1-2` is
/// `2024-01-02T00:00:00Z`.
pub(crate) fn full_time(text: &str) -> String {
    let at = text.find(['T', 't', ' ']).unwrap_or(text.len());
    let (date, time) = text.split_at(at);
    let padded = |text: &str, separator: char| {
        text.split(separator)
            .map(|part| format!("{part:0>2}"))
            .collect::<Vec<_>>()
            .join(&separator.to_string())
    };
    let date = padded(date, '-');
    let time = time.get(1..).unwrap_or_default();
    if time.is_empty() {
        return format!("{date}T00:00:00Z");
    }
    let end = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    let zone = if zone.is_empty() { "Z" } else { zone };
    format!("{date}T{}{dot}{fraction}{zone}", padded(clock, ':'))
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn resolve_plain(text: &str) -> Value {
    if is_null(text) {
        return Value::Null;
    }
    match text {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let first = text.as_bytes().first().copied().unwrap_or_default();
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return Value::Str(text.to_owned());
    }
    if is_time(text) {
        return Value::Time(text.to_owned());
    }
    // Where nothing is before the dot, they stand between digits only.
    let is_between = |pair: &[u8]| !matches!(pair, [_, b'_', ..]) || is_digits(pair);
    if first == b'.' && !format!("{text}.").as_bytes().windows(3).all(is_between) {
        return Value::Str(text.to_owned());
    }
    let digits = text.replace('_', "");
    integer(&digits)
        .map(Value::Int)
        .or_else(|| float(&digits).map(Value::Float))
        .unwrap_or_else(|| Value::Str(text.to_owned()))
}

/// A digit, an underscore, a digit.
fn is_digits(three: &[u8]) -> bool {
    matches!(three, [left, _, right] if left.is_ascii_digit() && right.is_ascii_digit())
}

/// Decimal, `0x`, `0o`, `0b`, and octal with a leading zero.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, digits.get(2..)?),
        Some("0o" | "0O") => (8, digits.get(2..)?),
        Some("0b" | "0B") => (2, digits.get(2..)?),
        Some(two) if two.starts_with('0') => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None; // a second sign
    }
    let value = sign * i128::from_str_radix(digits, radix).ok()?;
    // What no 64 bits hold is a float.
    (i128::from(i64::MIN)..=i128::from(u64::MAX))
        .contains(&value)
        .then_some(value)
}

fn float(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = body.bytes().any(|b| b.is_ascii_digit());
    let shape = body
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !digits || !shape {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(value)
}

/// `YYYY-M-D`, alone or with a time.
fn is_time(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (
            text.get(..at).unwrap_or_default(),
            Some((
                text.as_bytes().get(at).copied(),
                text.get(at + 1..).unwrap_or_default(),
            )),
        ),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    let number = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        let fits = lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| part.parse::<u32>().ok()).flatten()
    };
    let (Some(year), Some(month), Some(day)) = (
        number(year, 4..=4),
        number(month, 1..=2),
        number(day, 1..=2),
    ) else {
        return false;
    };
    (1..=days_of(year, month)).contains(&day)
        && time.is_none_or(|(separator, time)| is_time_of_day(time, separator != Some(b' ')))
}

/// Days of a month; 0 for what is no month.
fn days_of(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// `H:M:S[.fraction]`, with a zone exactly where `zoned`.
fn is_time_of_day(text: &str, zoned: bool) -> bool {
    let clock = if zoned {
        let zone = |text: &str| {
            text.strip_suffix('Z').map(str::len).or_else(|| {
                let at = text.len().checked_sub(6)?;
                let zone = text.get(at..)?.as_bytes();
                (matches!(zone.first(), Some(b'+' | b'-')) && zone.get(3) == Some(&b':'))
                    .then_some(at)
            })
        };
        match zone(text).and_then(|end| text.get(..end)) {
            Some(clock) => clock,
            None => return false,
        }
    } else {
        text
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let [hour, minute, second] = parts.as_slice() else {
        return false;
    };
    let second = second.split_once('.').map_or(*second, |(whole, _)| whole);
    let below = |part: &str, limit: u32| {
        (1..=2).contains(&part.len()) && part.parse::<u32>().is_ok_and(|value| value < limit)
    };
    below(hour, 24) && below(minute, 60) && below(second, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_have_the_references_types() {
        use Value::{Bool, Float, Int, Null, Str, Time};
        let text = |text: &str| Str(text.to_owned());
        for (plain, value) in [
            ("~", Null),
            ("yes", text("yes")),
            ("True", Bool(true)),
            ("0x10", Int(16)),
            ("1_000", Int(1000)),
            ("0755", Int(493)),
            ("0o17", Int(15)),
            ("0b11", Int(3)),
            ("+5", Int(5)),
            ("-0x1", Int(-1)),
            ("--5", text("--5")),
            ("08", Float(8.0)),
            ("1.50", Float(1.5)),
            (".5", Float(0.5)),
            ("._5", Str("._5".to_owned())),
            (".5_0", Float(0.5)),
            (".5__0", Str(".5__0".to_owned())),
            (".5_", Str(".5_".to_owned())),
            ("-._5", Float(-0.5)),
            ("+.5_0", Float(0.5)),
            ("5.", Float(5.0)),
            ("12e03", Float(12000.0)),
            ("1:30", text("1:30")),
            ("1.2.3", text("1.2.3")),
            ("-", text("-")),
            (".", text(".")),
            (
                "123456789012345678901234567890",
                Float(1.234_567_890_123_456_8e29),
            ),
            ("2024-01-01", Time("2024-01-01".to_owned())),
            ("2024-1-1 10:20:30", Time("2024-1-1 10:20:30".to_owned())),
            (
                "2024-01-01T10:20:30Z",
                Time("2024-01-01T10:20:30Z".to_owned()),
            ),
            ("2024-13-01", text("2024-13-01")),
            ("2024-02-30", text("2024-02-30")),
            ("2024-01-01x", text("2024-01-01x")),
        ] {
            assert_eq!(resolve(plain, true, None), Ok(value), "{plain}");
        }
        assert_eq!(resolve("5", false, None), Ok(text("5")));
    }
}
