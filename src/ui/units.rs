//! Times and sizes as Docker words them.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A duration in words: `3 seconds`, `About a minute`, `2 weeks`.
pub fn human_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    // Docker rounds hours, and everything above is made of those hours.
    let hours = (seconds + HOUR / 2) / HOUR;
    if seconds < 1 {
        "Less than a second".to_owned()
    } else if seconds == 1 {
        "1 second".to_owned()
    } else if seconds < MINUTE {
        format!("{seconds} seconds")
    } else if seconds < 2 * MINUTE {
        "About a minute".to_owned()
    } else if seconds < HOUR {
        format!("{} minutes", seconds / MINUTE)
    } else if hours == 1 {
        "About an hour".to_owned()
    } else if hours < 48 {
        format!("{hours} hours")
    } else if hours < 24 * 7 * 2 {
        format!("{} days", hours / 24)
    } else if hours < 24 * 30 * 2 {
        format!("{} weeks", hours / 24 / 7)
    } else if hours < 24 * 365 * 2 {
        format!("{} months", hours / 24 / 30)
    } else {
        format!("{} years", seconds / DAY / 365)
    }
}

/// How long ago: `3 seconds ago`.
pub fn human_ago(duration: Duration) -> String {
    format!("{} ago", human_duration(duration))
}

/// A size with three significant digits and decimal units: `1.98MB`.
#[expect(
    clippy::cast_precision_loss,
    reason = "three digits are shown, far fewer than a double holds"
)]
pub fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut size = bytes as f64;
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while size >= 1000.0 {
        let Some(next) = units.next() else { break };
        size /= 1000.0;
        unit = next;
    }
    format!("{}{unit}", three_digits(size))
}

/// `%.3g` for numbers from 0 to 1000.
fn three_digits(value: f64) -> String {
    let decimals = if value < 9.995 {
        2
    } else {
        usize::from(value < 99.95)
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_dockers() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5399, "About an hour"),
            (5400, "2 hours"),
            (47 * 3600, "47 hours"),
            (48 * 3600, "2 days"),
            (14 * 86400, "2 weeks"),
            (60 * 86400, "2 months"),
            (730 * 86400, "2 years"),
        ] {
            assert_eq!(
                human_duration(Duration::from_secs(seconds)),
                words,
                "{seconds}"
            );
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, words) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1_984_227, "1.98MB"),
            (459_000_000, "459MB"),
            (1_020_000_000, "1.02GB"),
            (12_300, "12.3kB"),
        ] {
            assert_eq!(human_size(bytes), words, "{bytes}");
        }
    }
}
