//! How long keeper and supervisor wait before one starts the other anew.

use std::time::Duration;

/// First of the growing pauses after processes that fail.
const FIRST: Duration = Duration::from_millis(20);
/// Longest pause.
const LAST: Duration = Duration::from_secs(10);
/// Pause after one that was killed young: whoever kills it as fast as it comes
/// shall not have all of the machine's time for it.
const SHORT: Duration = Duration::from_millis(10);
/// One that lived as long as this is followed at once.
const GOOD_LIFE: Duration = Duration::from_secs(1);

/// The pauses between supervisors, or between keepers.
///
/// One that was killed says nothing about the next, however often that happens.
/// One that ended by itself before it was of use will likely do it again, ready
/// or not: what it met is still there.
#[derive(Debug)]
pub(super) struct Pauses {
    next: Duration,
}

impl Pauses {
    /// As after one that lived long.
    pub(super) const fn new() -> Self {
        Self { next: FIRST }
    }

    /// The pause after one that ended at this age, killed or by itself; `ready`
    /// where its start had come to an end.
    pub(super) fn after(&mut self, killed: bool, ready: bool, age: Duration) -> Duration {
        if age > GOOD_LIFE && (ready || killed) {
            self.next = FIRST;
            Duration::ZERO
        } else if killed {
            SHORT
        } else {
            self.after_failure()
        }
    }

    /// The pause after one that could not be started, or failed.
    pub(super) fn after_failure(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LAST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Duration = Duration::from_millis(30);
    const OLD: Duration = Duration::from_secs(60);

    fn killed(pauses: &mut Pauses, age: Duration) -> Duration {
        pauses.after(true, true, age)
    }

    fn failed(pauses: &mut Pauses, age: Duration) -> Duration {
        pauses.after(false, true, age)
    }

    #[test]
    fn killed_ones_are_followed_soon_however_many_they_are() {
        let mut pauses = Pauses::new();
        for _ in 0..50 {
            assert_eq!(killed(&mut pauses, YOUNG), SHORT);
        }
        assert_eq!(killed(&mut pauses, OLD), Duration::ZERO);
    }

    #[test]
    fn failing_ones_are_followed_ever_later() {
        let mut pauses = Pauses::new();
        let all: Vec<u128> = (0..12)
            .map(|_| failed(&mut pauses, YOUNG).as_millis())
            .collect();
        let expected = [
            20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_000, 10_000, 10_000,
        ];
        assert_eq!(all, expected);
        assert_eq!(failed(&mut pauses, OLD), Duration::ZERO);
        assert_eq!(failed(&mut pauses, YOUNG), FIRST);
    }

    #[test]
    fn a_slow_start_that_fails_is_no_life() {
        let mut pauses = Pauses::new();
        for pause in [FIRST, FIRST * 2] {
            let after = pauses.after(false, false, OLD);
            assert_eq!(after, pause);
        }
    }

    #[test]
    fn a_kill_in_between_is_no_success() {
        let mut pauses = Pauses::new();
        failed(&mut pauses, YOUNG);
        killed(&mut pauses, YOUNG);
        assert_eq!(failed(&mut pauses, YOUNG), FIRST * 2);
    }
}
