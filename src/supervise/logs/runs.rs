//! A container's runs, told apart by its run record, for whoever follows its
//! log: what ended and what began between two looks.

use std::path::Path;

use crate::state::atomic;
use crate::supervise::record::{RunRecord, RunState};

/// Where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It runs.
    Live,
    /// It ended, and will be started again.
    Waiting,
    /// It ended, was removed, or has never run.
    Over,
}

impl Phase {
    pub(super) fn is_live(self) -> bool {
        matches!(self, Self::Live | Self::Waiting)
    }
}

/// The present or last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) phase: Phase,
    /// When it began, RFC 3339; empty where that is not known.
    pub(super) started: String,
}

impl Run {
    /// One of which is known only that it has begun.
    pub(super) fn unknown() -> Self {
        Self {
            phase: Phase::Live,
            started: String::new(),
        }
    }

    /// What the record says now; without one, a run without end.
    pub(super) fn look(record: Option<&Path>) -> Self {
        let Some(path) = record else {
            return Self::unknown();
        };
        let Ok(Some(record)) = atomic::read_json::<RunRecord>(path) else {
            return Self {
                phase: Phase::Over,
                started: String::new(),
            };
        };
        let phase = match record.state {
            RunState::Running | RunState::Paused => Phase::Live,
            RunState::Restarting => Phase::Waiting,
            RunState::Exited | RunState::Created => Phase::Over,
        };
        Self {
            phase,
            started: record.started,
        }
    }

    /// Whether `later` is of another run than this.
    pub(super) fn is_before(&self, later: &Self) -> bool {
        !self.started.is_empty() && !later.started.is_empty() && self.started != later.started
    }

    /// Whether a run ended between this look and `later`, whose end has not
    /// been told.
    pub(super) fn has_ended_by(&self, later: &Self) -> bool {
        match (self.phase, later.phase) {
            (Phase::Live, Phase::Live) => self.is_before(later),
            (Phase::Live, _) => true,
            // One that began and ended unseen.
            (_, Phase::Waiting | Phase::Over) => {
                later.started != self.started && !later.started.is_empty()
            }
            (_, Phase::Live) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Phase::{Live, Over, Waiting};
    use super::*;

    #[test]
    fn ends_are_told_once_and_none_is_missed() {
        let run = |phase, started: &str| Run {
            phase,
            started: started.to_owned(),
        };
        for (before, later, ended) in [
            (run(Live, "1"), run(Live, "1"), false),
            (run(Live, "1"), run(Live, "2"), true),
            (run(Live, ""), run(Live, "1"), false),
            (run(Live, ""), run(Over, "1"), true),
            (run(Live, "1"), run(Waiting, "1"), true),
            (run(Live, "1"), run(Over, "1"), true),
            (run(Live, "1"), run(Over, ""), true),
            (run(Waiting, "1"), run(Over, "1"), false),
            (run(Waiting, "1"), run(Live, "2"), false),
            (run(Waiting, "1"), run(Waiting, "2"), true),
            (run(Over, ""), run(Over, "1"), true),
            (run(Over, "1"), run(Over, "1"), false),
            (run(Over, "1"), run(Over, ""), false),
        ] {
            assert_eq!(before.has_ended_by(&later), ended, "{before:?} {later:?}");
        }
    }
}
