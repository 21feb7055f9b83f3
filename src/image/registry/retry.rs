//! When a request is tried again, and how long after.
//!
//! Tried again is what may be otherwise the next time: a server's own failure
//! (5xx), a busy one (429), a connection that broke or stood still. What a
//! server refuses (any other 4xx) and where nothing listens stays so.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Attempts at one request.
pub(super) const ATTEMPTS: u32 = 5;
/// Wait before the second attempt; doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait that a registry may ask for; above it, it is an error.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Wait after an attempt: 0.2 s, 0.4 s, 0.8 s…
pub(super) fn back_off(attempt: u32) -> Duration {
    FIRST_WAIT * 2_u32.saturating_pow(attempt.saturating_sub(1))
}

/// How long to wait before asking again, after an answer; `None` where it
/// would be of no use, or takes longer than anybody wants to wait.
pub(super) fn wait_after(
    status: StatusCode,
    headers: &HeaderMap,
    attempt: u32,
) -> Option<Duration> {
    let is_busy = status == StatusCode::TOO_MANY_REQUESTS
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED);
    if !is_busy || attempt >= ATTEMPTS {
        return None;
    }
    let stated = headers
        .get(RETRY_AFTER)
        .and_then(|value| retry_after(value.to_str().ok()?, Timestamp::now()));
    let wait = stated.unwrap_or_else(|| back_off(attempt));
    (wait <= LONGEST_WAIT).then_some(wait)
}

/// `Retry-After`: seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTimeParser::new().parse_timestamp(value).ok()?;
    // What is over needs no waiting.
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let now: Timestamp = "2026-11-28T10:00:00Z".parse().unwrap();
        for (value, expected) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sat, 28 Nov 2026 10:00:07 GMT", Some(7)),
            ("Sat, 28 Nov 2026 09:59:00 GMT", Some(0)),
            ("Sat, 28 Nov 2026 12:00:00 +0100", Some(3600)),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(value, now), expected, "{value}");
        }
    }

    #[test]
    fn only_what_may_change_is_tried_again() {
        let stated = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            headers
        };
        let none = HeaderMap::new();
        for (status, headers, attempt, expected) in [
            (429, &none, 1, Some(200)),
            (503, &none, 3, Some(800)),
            (500, &stated("2"), 1, Some(2000)),
            (429, &stated("31"), 1, None),
            (429, &none, ATTEMPTS, None),
            (501, &none, 1, None),
            (400, &none, 1, None),
            (404, &stated("1"), 1, None),
            (416, &none, 1, None),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let expected = expected.map(Duration::from_millis);
            assert_eq!(wait_after(status, headers, attempt), expected, "{status}");
        }
    }
}
