//! What an actor writes down and tells.

use std::io;

use super::{Actor, AtRest};
use crate::supervise::record::{ExitRecord, RunRecord, RunState};
use crate::supervise::supervisor::machine::State;
use crate::supervise::supervisor::records::{self, Notes};
use crate::supervise::wire::{ChangeKind, Failure};

impl Actor {
    pub(super) fn wrong_state(&self) -> Failure {
        Failure::State {
            name: self.record.name.clone(),
            state: self.word().to_owned(),
        }
    }

    pub(super) fn word(&self) -> &'static str {
        match self.state {
            State::Created => "created and not running",
            State::Starting => "starting",
            State::Aborting | State::Stopping => "stopping",
            State::Running => "running",
            State::Paused => "paused",
            State::Waiting => "restarting",
            State::Exited => "not running",
            State::Removed => "removed",
        }
    }

    pub(super) fn show(&self) {
        self.status.send_if_modified(|status| {
            let changed = status.state != self.state;
            status.state = self.state;
            changed
        });
    }

    pub(super) fn tell(&self, kind: ChangeKind) {
        self.shared.tell(&self.record, kind);
    }

    pub(super) fn note(&mut self, change: impl FnOnce(&mut Notes)) {
        change(&mut self.notes);
        self.warn(
            self.shared
                .records
                .write_notes(&self.record.id, &self.notes),
        );
    }

    pub(super) fn write_exit(&self, exit: &ExitRecord) {
        self.warn(self.shared.records.write_exit(&self.record.id, exit));
    }

    pub(super) fn write_run(&mut self) {
        let mut record = self.last.take().unwrap_or_else(|| RunRecord {
            boot_id: self.shared.boot_id.clone(),
            state: self.state.public(),
            pid: 0,
            start_time: 0,
            started: String::new(),
            health: None,
            restarts: 0,
            endpoints: Vec::new(),
            ports: Vec::new(),
            cgroup: String::new(),
        });
        record.boot_id.clone_from(&self.shared.boot_id);
        record.state = self.public();
        record.restarts = self.restarts;
        record.health = self
            .status
            .borrow()
            .health
            .filter(|_| self.state.has_process());
        if let Some(run) = &self.run {
            record.pid = run.pid;
            record.start_time = run.start_time;
            record.started = records::text(run.started);
            record.endpoints.clone_from(&run.endpoints);
            record.ports.clone_from(&run.ports);
            run.group.path().clone_into(&mut record.cgroup);
        } else {
            record.pid = 0;
            record.start_time = 0;
            record.endpoints.clear();
            record.ports.clear();
        }
        self.warn(self.shared.records.write_run(&self.record.id, &record));
        self.last = Some(record);
    }

    /// Docker's word for the present state: what ended to be started again at
    /// once is `restarting`, whether a policy or somebody asks for it.
    fn public(&self) -> RunState {
        match self.state.public() {
            RunState::Exited if self.is_wanted_again() => RunState::Restarting,
            state => state,
        }
    }

    /// Whether a start was put off until the container is at rest.
    pub(super) fn is_wanted_again(&self) -> bool {
        let is_start = |then: &AtRest| matches!(then, AtRest::Start { .. });
        self.at_rest.iter().any(is_start)
    }

    /// A record that cannot be written (a full disk) must not end a container.
    pub(super) fn warn(&self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(%error, name = self.record.name, "cannot write a record");
        }
    }
}
