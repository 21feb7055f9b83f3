//! Units of Compose files: bytes, durations, booleans, file modes, numbers as
//! the reference prints them. Parsed here and nowhere else.
//!
//! Specification: "Specifying durations", "Specifying byte values".

use std::time::Duration;

use super::model::{Cx, Emit, Form, Parse};
use super::printed::Printed;
use super::tree::{Node, Value};

/// An amount of memory or disk, in bytes. Negative only where -1 means
/// "without limit".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub i64);

impl Parse for Bytes {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let parsed = match &node.value {
            Value::Int(value) => i64::try_from(*value).ok().map(Self),
            Value::Str(text) => parse_bytes(text).map(Self),
            // The reference takes a bare fraction for nothing at all.
            Value::Float(_) => {
                let text = node.scalar_text().unwrap_or_default();
                let warning = cx
                    .diagnostic(node.mark, "a fraction without a unit counts as unset")
                    .expected("a number of bytes, or one with a unit, such as `1.5g`")
                    .suggest(format!("give it a unit: {text}g, {text}m"));
                cx.report.push_warning(warning);
                Some(Self(0))
            }
            _ => None,
        };
        if parsed.is_none() {
            let message = super::model::shown(node, "is not a size");
            let mut diagnostic = cx.diagnostic(node.mark, message).expected(
                    "a number of bytes, perhaps with a unit (b, k, m, g, t, p), such as `512m` or `1.5gb`",
                );
            diagnostic.suggestion = node.as_str().and_then(likely_size);
            cx.report.push(diagnostic);
        }
        parsed
    }

    fn is_unset(&self) -> bool {
        self.0 == 0
    }
}

impl Emit for Bytes {
    fn value(&self, form: Form) -> Printed {
        match form {
            // A string of a negative number could not be read back.
            Form::Yaml if self.0 < 0 => Printed::from(self.0),
            _ => Printed::String(self.0.to_string()),
        }
    }
}

/// The size that was perhaps meant: with the first letter of its unit, and a
/// point for a comma.
fn likely_size(text: &str) -> Option<String> {
    let (number, unit) = number_and_word(text)?;
    let unit = match unit.to_ascii_lowercase().as_str() {
        "byte" | "bytes" => "b",
        "ki" | "kilo" | "kilobyte" | "kilobytes" => "k",
        "mi" | "meg" | "megs" | "mega" | "megabyte" | "megabytes" => "m",
        "gi" | "gig" | "gigs" | "giga" | "gigabyte" | "gigabytes" => "g",
        "ti" | "tera" | "terabyte" | "terabytes" => "t",
        _ => unit,
    };
    let likely = format!("{number}{unit}");
    parse_bytes(&likely)
        .is_some()
        .then(|| format!("write `{likely}`"))
}

/// The duration that was perhaps meant: with the short name of its unit, in
/// seconds without one.
fn likely_duration(text: &str) -> Option<String> {
    let (number, unit) = number_and_word(text)?;
    let unit = unit.to_ascii_lowercase();
    let unit = match unit.as_str() {
        "" | "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hour" | "hours" | "hr" | "hrs" => "h",
        "day" | "days" => "d",
        "week" | "weeks" => "w",
        "msec" | "millisecond" | "milliseconds" => "ms",
        short => short, // something else is wrong, such as a space before it
    };
    let likely = format!("{number}{unit}");
    parse_duration(&likely)
        .is_some()
        .then(|| format!("write `{likely}`"))
}

/// `1,5 GB` as `1.5` and `GB`.
fn number_and_word(text: &str) -> Option<(String, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ','));
    let (number, word) = text.split_at(end.unwrap_or(text.len()));
    (!number.is_empty()).then(|| (number.replace(',', "."), word.trim()))
}

// Numbers that 64 bits do not hold wrap around in the reference, mostly to
// -9223372036854775808. Here they are refused: nobody can have meant that.

/// Reads a size: a number, an optional space, an optional binary unit.
/// Everything is a power of 1024, whatever the unit is called.
pub(crate) fn parse_bytes(text: &str) -> Option<i64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')?;
    let (number, suffix) = text.split_at(end + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let size = parse_float(number)?;
    if size.is_nan() || size < 0.0 {
        return None;
    }
    let suffix = suffix.to_ascii_lowercase();
    let exponent = match suffix.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    whole_part(size * 1024_f64.powi(exponent))
}

/// A length of time to the nanosecond. The reference lets negative ones pass
/// when it loads a file, so they can be told; they last as long as zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(i64);

impl Period {
    /// From nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// As the standard library's type; negative is zero.
    pub fn get(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// In nanoseconds, signed.
    pub const fn nanos(self) -> i64 {
        self.0
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        period.get()
    }
}

impl Parse for Period {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = node.scalar_text().unwrap_or_default();
        let parsed = parse_duration(&text).map(Self);
        if parsed.is_none() {
            let message = super::model::shown(node, "is not a duration");
            let mut diagnostic = cx
                .diagnostic(node.mark, message)
                .expected("numbers with units (us, ms, s, m, h, d, w), such as `30s` or `1m30s`");
            diagnostic.suggestion = likely_duration(&text);
            cx.report.push(diagnostic);
        }
        parsed
    }
}

impl Emit for Period {
    fn value(&self, _form: Form) -> Printed {
        Printed::String(duration_text(self.0))
    }
}

/// A period where zero means the same as absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeriodOrZero(pub Period);

impl Parse for PeriodOrZero {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        Period::parse(node, cx).map(Self)
    }
}

impl Emit for PeriodOrZero {
    fn value(&self, form: Form) -> Printed {
        self.0.value(form)
    }

    fn omit(&self, _form: Form) -> bool {
        self.0.nanos() == 0
    }
}

/// Nanoseconds of a unit of time.
fn unit_nanos(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        "d" => 86_400e9,
        "w" => 604_800e9,
        _ => return None,
    })
}

/// Reads `1h5m30s20ms`; a bare `0` is zero, other numbers need a unit.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|at| *at > 0)?;
        let (number, tail) = rest.split_at(digits);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        total = total.checked_add(amount(number, unit_nanos(unit)?)?)?;
        rest = tail;
    }
    Some(if negative { -total } else { total })
}

/// `number` times `unit`, the whole part exact.
fn amount(number: &str, unit: f64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: i64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let exact = whole.checked_mul(whole_part(unit)?)?;
    if fraction.is_empty() {
        return Some(exact);
    }
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    exact.checked_add(whole_part(fraction * unit)?)
}

/// Prints nanoseconds as the reference does: `1h30m0s`, `1.5s`, `10ms`, `0s`.
pub(crate) fn duration_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let value = nanos.unsigned_abs();
    let text = match value {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{value}ns"),
        1_000..1_000_000 => format!("{}\u{b5}s", decimal(value, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(value, 1_000_000)),
        _ => {
            let minutes = value / 60_000_000_000;
            let seconds = decimal(value % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

/// `value / unit` in decimal, without trailing zeros.
fn decimal(value: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let text = format!("{}.{:0width$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Reads a decimal number as the reference does: underscores may stand between
/// two digits.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    // What has digits and is too large for a number is none.
    let fits = |value: &f64| value.is_finite() || !text.contains(|c: char| c.is_ascii_digit());
    if !text.contains('_') {
        return text.parse().ok().filter(fits);
    }
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let between =
        |(at, byte): (usize, &u8)| *byte != b'_' || (at > 0 && digit(at - 1) && digit(at + 1));
    let sound = bytes.iter().enumerate().all(between);
    let value = text.replace('_', "").parse().ok();
    value.filter(|value| sound && fits(value))
}

/// Reads a boolean as YAML 1.1 had it.
pub(crate) fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Some(true),
        "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Permission bits, written in octal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileMode(pub i64);

impl FileMode {
    /// The lowest twelve bits.
    pub fn bits(self) -> u32 {
        u32::try_from(self.0 & 0o7777).unwrap_or(0)
    }
}

impl Parse for FileMode {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let mode = match &node.value {
            Value::Int(value) => i64::try_from(*value).ok(),
            Value::Str(text) => i64::from_str_radix(text, 8).ok(),
            _ => None,
        };
        match mode {
            Some(mode) => Some(Self(mode)),
            None => cx.fail(
                node,
                super::model::shown(node, "is not a file mode"),
                "permission bits in octal, such as `0440`",
            ),
        }
    }
}

impl Emit for FileMode {
    fn value(&self, _form: Form) -> Printed {
        let sign = if self.0 < 0 { "-" } else { "" };
        Printed::String(format!("0{sign}{:o}", self.0.unsigned_abs()))
    }
}

/// A number without its fraction; `None` where it does not fit.
pub(crate) fn whole_part(value: f64) -> Option<i64> {
    if !value.is_finite() || value.abs() >= 9.3e18 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the fraction is meant to go"
    )]
    Some(value as i64)
}

/// A float as the reference turns it into a string: shortest digits, an
/// exponent below 1e-4 and from 1e6 on.
pub(crate) fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_units() {
        for (text, bytes) in [
            ("2b", Some(2)),
            ("1024kb", Some(1 << 20)),
            ("512 MB", Some(512 << 20)),
            ("1.5g", Some(3 << 29)),
            ("4Gib", Some(4 << 30)),
            ("1P", Some(1 << 50)),
            ("42", Some(42)),
            ("7 k", Some(7168)),
            ("lots", None),
            ("-1", None),
            ("1kk", None),
            ("1 0m", None),
            ("", None),
            ("b", None),
        ] {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
    }

    #[test]
    fn what_was_meant_is_guessed() {
        for (text, size, duration) in [
            ("10 seconds", None, Some("10s")),
            ("5", Some("5"), Some("5s")),
            ("2 Min", None, Some("2m")),
            ("512Mi", Some("512m"), None),
            ("1,5 GB", Some("1.5GB"), None),
            ("3 megabytes", Some("3m"), None),
            ("much", None, None),
            ("5x", None, None),
        ] {
            let written = |text: &str| format!("write `{text}`");
            assert_eq!(likely_size(text), size.map(written), "{text}");
            assert_eq!(likely_duration(text), duration.map(written), "{text}");
        }
    }

    #[test]
    fn durations_are_read_and_printed() {
        for (text, printed) in [
            ("10ms", Some("10ms")),
            ("1m30s", Some("1m30s")),
            ("1h5m30s20ms", Some("1h5m30.02s")),
            ("2500ms", Some("2.5s")),
            ("90m", Some("1h30m0s")),
            ("100us", Some("100\u{b5}s")),
            ("500ns", Some("500ns")),
            ("0.5h", Some("30m0s")),
            ("1w2d", Some("216h0m0s")),
            ("0", Some("0s")),
            ("-5s", Some("-5s")),
            (".5s", Some("500ms")),
            ("30", None),
            ("s", None),
            ("", None),
            ("1x", None),
            (".s", None),
            ("99999999999h", None),
        ] {
            let nanos = parse_duration(text);
            assert_eq!(nanos.map(duration_text).as_deref(), printed, "{text}");
        }
    }

    #[test]
    fn floats_are_printed_as_the_reference_does() {
        for (value, text) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (12000.0, "12000"),
            (1e6, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (1e21, "1e+21"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }
}
