//! What others see of a container's actor, and what can be waited for in it.

use super::exec::Target;
use super::machine::State;
use crate::supervise::record::Health;
use crate::supervise::wire::{Condition, Failure};

/// A container's present state.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) name: String,
    pub(super) state: State,
    /// Where it has a probe and runs.
    pub(super) health: Option<Health>,
    /// The container has a probe.
    pub(super) has_probe: bool,
    /// Output of the probe that changed the verdict last.
    pub(super) probe_output: String,
    /// Exit code of the last run that ended.
    pub(super) code: Option<i32>,
    /// Its program was executed at least once.
    pub(super) was_started: bool,
    /// Why it could not be started the last time.
    pub(super) failure: Option<Failure>,
    /// What an exec joins.
    pub(super) target: Option<Target>,
}

/// Whether a condition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    /// It may come to hold.
    Open,
    /// It cannot come to hold any more.
    Never(Failure),
}

impl Status {
    /// A program was executed.
    pub(super) fn started(&mut self, target: Option<Target>, health: Option<Health>) {
        self.state = State::Running;
        self.was_started = true;
        self.health = health;
        self.failure = None;
        self.target = target;
        self.probe_output.clear();
    }

    /// The process ended.
    pub(super) fn ended(&mut self, code: Option<i32>) {
        self.code = code;
        self.health = None;
        self.target = None;
    }

    /// No process was made.
    pub(super) fn failed(&mut self, failure: Failure, code: Option<i32>) {
        self.code = code;
        self.health = None;
        self.failure = Some(failure);
    }

    /// What can be said of a condition now.
    pub(super) fn verdict(&self, condition: Condition) -> Verdict {
        if let (Some(failure), State::Exited) = (&self.failure, self.state) {
            return if condition == Condition::Exited {
                Verdict::Holds
            } else {
                Verdict::Never(failure.clone())
            };
        }
        match condition {
            Condition::Started => match self.state {
                State::Running | State::Paused | State::Stopping | State::Waiting => Verdict::Holds,
                State::Exited if self.was_started => Verdict::Holds,
                State::Removed => self.never("was removed"),
                State::Created | State::Starting | State::Aborting | State::Exited => Verdict::Open,
            },
            Condition::Healthy if !self.has_probe => self.never("has no healthcheck configured"),
            Condition::RunningOrHealthy if !self.has_probe && self.state == State::Running => {
                Verdict::Holds
            }
            Condition::Healthy | Condition::RunningOrHealthy => self.running_verdict(),
            Condition::CompletedSuccessfully => match self.state {
                State::Exited if !self.was_started => Verdict::Open,
                State::Exited if self.code == Some(0) => Verdict::Holds,
                State::Exited | State::Removed => self.ended_verdict(),
                State::Created
                | State::Starting
                | State::Aborting
                | State::Running
                | State::Paused
                | State::Stopping
                | State::Waiting => Verdict::Open,
            },
            Condition::Exited => match self.state {
                State::Exited | State::Removed => Verdict::Holds,
                State::Created
                | State::Starting
                | State::Aborting
                | State::Running
                | State::Paused
                | State::Stopping
                | State::Waiting => Verdict::Open,
            },
        }
    }

    fn running_verdict(&self) -> Verdict {
        match self.state {
            State::Running | State::Paused if self.health == Some(Health::Healthy) => {
                Verdict::Holds
            }
            State::Running | State::Paused if self.health == Some(Health::Unhealthy) => {
                let last = self.probe_output.lines().last().unwrap_or_default();
                if last.is_empty() {
                    self.never("is unhealthy")
                } else {
                    self.never(&format!("is unhealthy: {last}"))
                }
            }
            State::Exited if !self.was_started => Verdict::Open,
            State::Exited | State::Removed | State::Stopping => self.ended_verdict(),
            State::Created
            | State::Starting
            | State::Aborting
            | State::Running
            | State::Paused
            | State::Waiting => Verdict::Open,
        }
    }

    fn ended_verdict(&self) -> Verdict {
        match (self.state, self.code) {
            (State::Stopping, _) => self.never("is being stopped"),
            (_, Some(code)) => self.never(&format!("exited ({code})")),
            (_, None) => self.never("exited, and its exit code is unknown"),
        }
    }

    fn never(&self, what: &str) -> Verdict {
        let ended = matches!(self.state, State::Exited | State::Removed);
        Verdict::Never(Failure::Condition {
            name: self.name.clone(),
            what: what.to_owned(),
            code: self.code.filter(|_| ended),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: State) -> Status {
        Status {
            name: "shop-db-1".to_owned(),
            state,
            health: None,
            has_probe: true,
            probe_output: String::new(),
            code: None,
            was_started: false,
            failure: None,
            target: None,
        }
    }

    fn word(verdict: Verdict) -> String {
        match verdict {
            Verdict::Holds => "holds".to_owned(),
            Verdict::Open => "open".to_owned(),
            Verdict::Never(failure) => failure.to_string(),
        }
    }

    #[test]
    fn a_gate_on_running_and_healthy_follows_the_probe() {
        use Condition::{Healthy, RunningOrHealthy, Started};
        let unhealthy = Status {
            probe_output: "first\nno answer".to_owned(),
            ..running(Health::Unhealthy)
        };
        let bare = Status {
            has_probe: false,
            health: None,
            ..running(Health::Starting)
        };
        check([
            (status(State::Created), Started, "open"),
            (running(Health::Starting), Started, "holds"),
            (exited(Some(1)), Started, "holds"),
            (running(Health::Starting), Healthy, "open"),
            (running(Health::Healthy), Healthy, "holds"),
            (
                unhealthy,
                Healthy,
                "container `shop-db-1` is unhealthy: no answer",
            ),
            (exited(Some(3)), Healthy, "container `shop-db-1` exited (3)"),
            (
                bare.clone(),
                Healthy,
                "container `shop-db-1` has no healthcheck configured",
            ),
            (bare, RunningOrHealthy, "holds"),
            (running(Health::Starting), RunningOrHealthy, "open"),
            (
                exited(Some(0)),
                RunningOrHealthy,
                "container `shop-db-1` exited (0)",
            ),
        ]);
    }

    #[test]
    fn a_gate_on_the_end_waits_for_the_last_run() {
        use Condition::{CompletedSuccessfully, Exited};
        let waiting = Status {
            state: State::Waiting,
            ..exited(Some(2))
        };
        check([
            (running(Health::Starting), CompletedSuccessfully, "open"),
            (exited(Some(0)), CompletedSuccessfully, "holds"),
            (
                exited(Some(2)),
                CompletedSuccessfully,
                "container `shop-db-1` exited (2)",
            ),
            (
                exited(None),
                CompletedSuccessfully,
                "container `shop-db-1` exited, and its exit code is unknown",
            ),
            (waiting.clone(), CompletedSuccessfully, "open"),
            (waiting, Exited, "open"),
            (exited(Some(2)), Exited, "holds"),
        ]);
    }

    fn running(health: Health) -> Status {
        Status {
            health: Some(health),
            was_started: true,
            ..status(State::Running)
        }
    }

    fn exited(code: Option<i32>) -> Status {
        Status {
            code,
            was_started: true,
            ..status(State::Exited)
        }
    }

    fn check<const N: usize>(table: [(Status, Condition, &str); N]) {
        for (status, condition, expected) in table {
            let shown = format!("{:?} {condition:?}", status.state);
            assert_eq!(word(status.verdict(condition)), expected, "{shown}");
        }
    }
}
