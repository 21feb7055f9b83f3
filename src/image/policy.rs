//! When an image is pulled (Compose specification, `pull_policy`).

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use super::store::Image;

/// A service's `pull_policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Pull each time.
    Always,
    /// Pull where there is none (`missing`, `if_not_present`, `refresh`).
    #[default]
    Missing,
    /// Never pull; a missing image is an error.
    Never,
    /// Build it, also where there is one.
    Build,
    /// Pull where the last pull is longer ago (`daily`, `weekly`, `every_12h`).
    Every(Duration),
}

/// What a policy says of an image as it is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullDecision {
    /// Ask the registry.
    Pull,
    /// Use what is here.
    UseLocal,
    /// There is none and none may be pulled.
    Missing,
    /// Build it.
    Build,
}

impl PullPolicy {
    /// Decides for the local image, if there is one, at this time.
    pub fn decide(self, local: Option<&Image>, now: Timestamp) -> PullDecision {
        let pulled = local.map(|image| image.pulled);
        match (self, pulled) {
            (Self::Build, _) => PullDecision::Build,
            (Self::Always, _) | (Self::Missing | Self::Every(_), None) => PullDecision::Pull,
            (Self::Never, None) => PullDecision::Missing,
            (Self::Missing | Self::Never, Some(_)) => PullDecision::UseLocal,
            (Self::Every(period), Some(pulled)) => {
                let age = now.duration_since(pulled).unsigned_abs();
                if now >= pulled && age < period {
                    PullDecision::UseLocal
                } else {
                    PullDecision::Pull
                }
            }
        }
    }
}

impl FromStr for PullPolicy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        const DAY: u64 = 24 * 60 * 60;
        Ok(match text {
            "always" => Self::Always,
            // `refresh` says nothing of how often: with Docker it counts as `missing`.
            "missing" | "if_not_present" | "refresh" => Self::Missing,
            "never" => Self::Never,
            "build" => Self::Build,
            "daily" => Self::Every(Duration::from_secs(DAY)),
            "weekly" => Self::Every(Duration::from_secs(7 * DAY)),
            other => other
                .strip_prefix("every_")
                .and_then(parse_period)
                .map(Self::Every)
                .ok_or_else(|| PolicyError(text.to_owned()))?,
        })
    }
}

/// `1w2d3h4m5s`: numbers with units, each unit at most once and in this order.
fn parse_period(text: &str) -> Option<Duration> {
    const UNITS: [(char, u64); 5] = [
        ('w', 7 * 24 * 3600),
        ('d', 24 * 3600),
        ('h', 3600),
        ('m', 60),
        ('s', 1),
    ];
    let mut units = UNITS.iter();
    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, tail) = rest.split_at(end);
        let unit = tail.chars().next()?;
        let (_, length) = units.find(|(name, _)| *name == unit)?;
        seconds = seconds.checked_add(digits.parse::<u64>().ok()?.checked_mul(*length)?)?;
        rest = tail.get(1..)?;
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

/// A text that is no pull policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a pull policy; those are always, missing, if_not_present, never, build, refresh, daily, weekly and every_<duration> as in every_12h"
)]
pub struct PolicyError(pub String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::store::tests::image_pulled_at;

    #[test]
    fn policies_are_parsed() {
        let hours = |h: u64| PullPolicy::Every(Duration::from_secs(h * 3600));
        for (text, expected) in [
            ("always", PullPolicy::Always),
            ("missing", PullPolicy::Missing),
            ("if_not_present", PullPolicy::Missing),
            ("refresh", PullPolicy::Missing),
            ("never", PullPolicy::Never),
            ("build", PullPolicy::Build),
            ("daily", hours(24)),
            ("weekly", hours(24 * 7)),
            ("every_12h", hours(12)),
            ("every_1w2d3h", hours(24 * 9 + 3)),
            ("every_90s", PullPolicy::Every(Duration::from_secs(90))),
        ] {
            assert_eq!(text.parse::<PullPolicy>().unwrap(), expected, "{text}");
        }
        for bad in [
            "",
            "sometimes",
            "every_",
            "every_h",
            "every_1",
            "every_1h2d",
            "every_1x",
            "every_99999999999999999999w",
        ] {
            assert!(bad.parse::<PullPolicy>().is_err(), "{bad}");
        }
    }

    #[test]
    fn each_policy_decides_by_what_is_here() {
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let fresh = image_pulled_at("2026-03-02T11:00:00Z");
        let old = image_pulled_at("2026-02-01T00:00:00Z");
        let future = image_pulled_at("2027-01-01T00:00:00Z");
        let daily = PullPolicy::Every(Duration::from_secs(86400));
        for (policy, local, expected) in [
            (PullPolicy::Always, Some(&fresh), PullDecision::Pull),
            (PullPolicy::Missing, Some(&old), PullDecision::UseLocal),
            (PullPolicy::Missing, None, PullDecision::Pull),
            (PullPolicy::Never, None, PullDecision::Missing),
            (PullPolicy::Never, Some(&old), PullDecision::UseLocal),
            (PullPolicy::Build, Some(&fresh), PullDecision::Build),
            (daily, Some(&fresh), PullDecision::UseLocal),
            (daily, Some(&old), PullDecision::Pull),
            (daily, Some(&future), PullDecision::Pull),
            (daily, None, PullDecision::Pull),
        ] {
            assert_eq!(policy.decide(local, now), expected, "{policy:?}");
        }
    }
}
