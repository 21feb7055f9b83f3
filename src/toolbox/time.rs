//! `sleep` and `date`, and durations as they are typed.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Outcome, print, signals};

/// `sleep TIME…`: `1.5`, `10s`, `2m`, `infinity`. SIGTERM and SIGINT end it,
/// as process 1 too.
pub(super) fn sleep(arguments: &[String]) -> Outcome {
    if arguments.is_empty() {
        return Err("usage: sleep TIME".to_owned());
    }
    let mut total = Duration::ZERO;
    for argument in arguments {
        total = total.saturating_add(parse_duration(argument)?);
    }
    let end = Instant::now().checked_add(total);
    let terminated = signals::Terminated::watch()?;
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(0);
        }
        let time = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = [PollFd::new(&terminated, PollFlags::IN)];
        match poll(&mut fds, time.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(128 + terminated.take()?),
            Err(errno) => return Err(errno.to_string()),
        }
    }
}

/// Waits without looking at signals.
pub(super) fn pause(time: Duration) {
    if let Ok(time) = Timespec::try_from(time) {
        poll(&mut [], Some(&time)).ok();
    }
}

/// `500ms`, `1.5`, `10s`, `2m`, `1h`, `infinity`; a bare number is seconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "infinity" {
        return Ok(Duration::MAX);
    }
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => {
            return Err(format!(
                "`{text}` is no time, such as `1.5`, `500ms` or `2m`"
            ));
        }
    };
    number
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * factor).ok())
        .ok_or_else(|| format!("`{text}` is no time, such as `1.5`, `500ms` or `2m`"))
}

/// `date [+FORMAT]`, in UTC.
pub(super) fn date(arguments: &[String]) -> Outcome {
    let now = jiff::Timestamp::now();
    let format = match arguments {
        [] => "%a %b %e %H:%M:%S UTC %Y",
        [format] if format.starts_with('+') => format.get(1..).unwrap_or_default(),
        _ => return Err("usage: date [+FORMAT]".to_owned()),
    };
    let text = jiff::fmt::strtime::format(format, &now.to_zoned(jiff::tz::TimeZone::UTC))
        .map_err(|error| format!("cannot use the format `{format}`: {error}"))?;
    print(&(text + "\n"))?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_typed() {
        for (text, milliseconds) in [
            ("1", 1000),
            ("1.5", 1500),
            (".25s", 250),
            ("20ms", 20),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            let parsed = parse_duration(text).unwrap();
            assert_eq!(parsed, Duration::from_millis(milliseconds), "{text}");
        }
        assert_eq!(parse_duration("infinity"), Ok(Duration::MAX));
        for bad in ["", "x", "1x", "-1", "1.2.3", "s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
