//! Restart policies and their pauses, as Docker has them.

use std::time::Duration;

use crate::supervise::launch::RestartPolicy;

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(60);
/// A run that lasted this long begins the pauses anew.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// Whether a run that nobody asked to end is followed by another. A code that
/// nobody could learn counts as a failure. `restarts` is how often this policy
/// has started it since the last request.
pub(super) fn wants_restart(policy: RestartPolicy, code: Option<i32>, restarts: u32) -> bool {
    match policy {
        RestartPolicy::No => false,
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        RestartPolicy::OnFailure { max_retries } => {
            code != Some(0) && (max_retries == 0 || restarts < max_retries)
        }
    }
}

/// The pause before the next start, given the one before the run that ended
/// now and how long that run lasted.
pub(super) fn next_pause(previous: Option<Duration>, lasted: Duration) -> Duration {
    match previous {
        Some(previous) if lasted < GOOD_RUN => (previous * 2).min(LAST_PAUSE),
        Some(_) | None => FIRST_PAUSE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_decide_as_docker_does() {
        let limited = RestartPolicy::OnFailure { max_retries: 2 };
        let unlimited = RestartPolicy::OnFailure { max_retries: 0 };
        let table = [
            (RestartPolicy::No, Some(1), 0, false),
            (RestartPolicy::Always, Some(0), 99, true),
            (RestartPolicy::Always, None, 0, true),
            (RestartPolicy::UnlessStopped, Some(0), 0, true),
            (limited, Some(0), 0, false),
            (limited, Some(3), 0, true),
            (limited, Some(3), 1, true),
            (limited, Some(3), 2, false),
            (limited, None, 0, true),
            (unlimited, Some(137), 1000, true),
            (unlimited, Some(0), 0, false),
        ];
        for (policy, code, restarts, expected) in table {
            let decided = wants_restart(policy, code, restarts);
            assert_eq!(decided, expected, "{policy:?} {code:?} {restarts}");
        }
    }

    #[test]
    fn pauses_double_to_a_minute_and_begin_anew_after_a_good_run() {
        let short = Duration::from_secs(1);
        let mut pause = None;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let next = next_pause(pause, short);
            pauses.push(next.as_millis());
            pause = Some(next);
        }
        assert_eq!(
            pauses,
            [
                100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000
            ]
        );
        assert_eq!(next_pause(pause, GOOD_RUN), FIRST_PAUSE);
    }
}
