//! Values that the Compose file keeps as text: signals, log sizes, addresses.

use std::net::IpAddr;

use nix::sys::signal::Signal;

/// First and last real-time signal, as glibc and Docker count them.
const REAL_TIME: (i32, i32) = (34, 64);

/// True for a `network_mode` that names whose network is shared.
pub(in super::super) fn joins_another(mode: &str) -> bool {
    mode.starts_with("service:") || mode.starts_with("container:")
}

/// Reads a signal: a number, or a name with or without `SIG`.
pub(crate) fn parse_signal(text: &str) -> Option<i32> {
    let valid = |number: i32| (1..=REAL_TIME.1).contains(&number).then_some(number);
    if let Ok(number) = text.parse::<i32>() {
        return valid(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return offset(rest, '+').and_then(|by| real_time(REAL_TIME.0 + by));
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return offset(rest, '-').and_then(|by| real_time(REAL_TIME.1 - by));
    }
    match name {
        "CLD" => Some(Signal::SIGCHLD as i32),
        "POLL" => Some(Signal::SIGIO as i32),
        _ => format!("SIG{name}")
            .parse::<Signal>()
            .ok()
            .map(|signal| signal as i32),
    }
}

fn offset(text: &str, sign: char) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    text.strip_prefix(sign)?.parse().ok()
}

fn real_time(number: i32) -> Option<i32> {
    (REAL_TIME.0..=REAL_TIME.1)
        .contains(&number)
        .then_some(number)
}

/// Reads the size of a log option: decimal units, as Docker's log drivers
/// count (`10m` is ten million), unlike sizes elsewhere in a Compose file.
pub(super) fn parse_log_size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let end = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let factor: u64 = match unit.trim().trim_end_matches('b') {
        "" => 1,
        "k" => 1000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let (whole, fraction) = number.split_once('.')?;
    let fraction = fraction.get(..fraction.len().min(9))?;
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let part = fraction.parse::<u64>().ok()?.checked_mul(factor)? / scale;
    let whole = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().ok()?
    };
    whole.checked_mul(factor)?.checked_add(part)
}

/// Reads an address, IPv6 with or without brackets.
pub(crate) fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, expected) in [
            ("SIGTERM", Some(15)),
            ("TERM", Some(15)),
            ("sigquit", Some(3)),
            ("9", Some(9)),
            ("RTMIN", Some(34)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("SIGCLD", Some(17)),
            ("RTMIN+99", None),
            ("0", None),
            ("65", None),
            ("SIGNONE", None),
            ("", None),
        ] {
            assert_eq!(parse_signal(text), expected, "{text}");
        }
    }

    #[test]
    fn log_sizes_are_decimal() {
        for (text, expected) in [
            ("10m", Some(10_000_000)),
            ("1.5k", Some(1500)),
            ("200KB", Some(200_000)),
            ("7", Some(7)),
            ("1g", Some(1_000_000_000)),
            ("m", None),
            ("1x", None),
            ("99999999999999999999g", None),
        ] {
            assert_eq!(parse_log_size(text), expected, "{text}");
        }
    }
}
