//! `--since` and `--until`: a time, or how long ago.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::error::CliError;

/// Understands what Docker does: `2013-01-02T13:23:37Z`, `2013-01-02T13:23:37`
/// and `2013-01-02` in local time, Unix seconds with a fraction, and spans such
/// as `42m` or `1h30m`, counted back from `now`.
///
/// # Errors
/// None of these.
pub fn parse(text: &str, now: Timestamp) -> Result<Timestamp, CliError> {
    if let Some(span) = parse_span(text) {
        let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::ZERO);
        return Ok(now.checked_sub(span).unwrap_or(Timestamp::MIN));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let local = text.parse::<DateTime>().or_else(|_| {
        text.parse::<Date>()
            .map(|date| date.to_datetime(jiff::civil::Time::midnight()))
    });
    if let Ok(time) = local
        && let Ok(zoned) = TimeZone::system().to_zoned(time)
    {
        return Ok(zoned.timestamp());
    }
    parse_unix(text).ok_or_else(|| {
        CliError::new(format!("`{text}` is neither a time nor a span"))
            .hint("a time is `2013-01-02T13:23:37Z`, a span `42m` or `1h30m`")
    })
}

/// Seconds since 1970, with an optional fraction of up to nine digits.
fn parse_unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds.parse().ok()?, nanos).ok()
}

/// Go's form of a duration, without sign: `1h30m`, `1.5s`, `100ms`.
fn parse_span(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(behind.len());
        let (unit, after) = behind.split_at(letters);
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total += number.parse::<f64>().ok()? * seconds;
        rest = after;
    }
    if text.is_empty() {
        return None;
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> i64 {
        let now = Timestamp::from_second(1_000_000).unwrap();
        parse(text, now).unwrap().as_second()
    }

    #[test]
    fn times_and_spans_are_understood() {
        assert_eq!(seconds("42m"), 1_000_000 - 42 * 60);
        assert_eq!(seconds("1h30m"), 1_000_000 - 90 * 60);
        assert_eq!(seconds("1970-01-02T00:00:00Z"), 86_400);
        assert_eq!(seconds("1970-01-02T00:00:00+01:00"), 82_800);
        assert_eq!(seconds("1136073600.000000001"), 1_136_073_600);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "soon", "5 minutes", "1x", "m", "1.2.3"] {
            assert!(parse(bad, Timestamp::UNIX_EPOCH).is_err(), "{bad}");
        }
    }
}
