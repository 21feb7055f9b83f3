//! How starts and runs end, and what was put off until then.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Actor, AtRest};
use crate::supervise::keeper::Ended;
use crate::supervise::record::ExitRecord;
use crate::supervise::removal;
use crate::supervise::supervisor::machine::{Event, State};
use crate::supervise::supervisor::run::{Run, take_down};
use crate::supervise::supervisor::{failure, records, restart};
use crate::supervise::wire::{ChangeKind, Failure, Reply};

impl Actor {
    pub(super) async fn launched(&mut self, result: Result<Run, Failure>) {
        match result {
            Ok(mut run) => {
                let notes = std::mem::take(&mut run.notes);
                self.run = Some(run);
                if let Err(error) = self.event(Event::Launched).await {
                    tracing::warn!(%error, "a container was started out of turn");
                }
                for answer in self.started.drain(..) {
                    let notes = notes.clone();
                    answer.send(Ok(Reply::Done { notes })).ok();
                }
            }
            Err(failure) => self.launch_failed(failure).await,
        }
    }

    pub(super) async fn launch_failed(&mut self, failure: Failure) {
        self.shared.logs.finish(self.record.id.as_str()).await;
        self.gone = Some(take_down(&self.shared, &self.record, None).await);
        let code = match &failure {
            Failure::Init { error, .. } => Some(error.exit_code),
            _ => None,
        };
        let now = records::text(Timestamp::now());
        self.write_exit(&ExitRecord {
            code,
            started: now.clone(),
            finished: now,
            oom_killed: false,
            error: Some(failure.to_string()),
            stopped_by_user: false,
        });
        self.status
            .send_modify(|status| status.failed(failure.clone(), code));
        self.event(Event::LaunchFailed).await.ok();
        self.write_run();
        self.tell(ChangeKind::Exited {
            code,
            will_restart: false,
        });
        for answer in self.started.drain(..) {
            answer.send(Err(failure.clone())).ok();
        }
        self.rest().await;
    }

    /// The process ended.
    pub(super) async fn ended(&mut self, ended: Ended) {
        let Some(run) = self.run.take() else {
            return;
        };
        self.grace_over = None;
        self.stop_probing();
        let key = self.record.id.as_str();
        self.shared.logs.finish(key).await;
        let finished = records::time(ended.at).max(run.started);
        let lasted = Duration::try_from(finished.duration_since(run.started)).unwrap_or_default();
        let stopped = self.notes.stop_requested || self.state == State::Stopping;
        let restart = !stopped
            && restart::wants_restart(self.record.launch.restart, ended.code, self.restarts);
        let Ok((next, _)) = self.state.next(Event::Ended { restart }) else {
            return;
        };
        let again = next == State::Waiting;
        self.write_exit(&ExitRecord {
            code: ended.code,
            started: records::text(run.started),
            finished: records::text(finished),
            oom_killed: run.group.oom_kills().is_ok_and(|count| count > 0),
            error: None,
            stopped_by_user: stopped,
        });
        let pause = restart::next_pause(self.notes.pause, lasted);
        self.shared.link.acknowledge(key);
        if again {
            self.restarts += 1;
            self.notes.pause = Some(pause);
        }
        self.state = next;
        self.write_run();
        self.status.send_modify(|status| status.ended(ended.code));
        self.show();
        self.tell(ChangeKind::Exited {
            code: ended.code,
            will_restart: again || self.is_wanted_again(),
        });
        self.answer_stops();
        // Told first: nobody waits for the teardown but the next start.
        self.shared.set_flaws(&self.record.id, Vec::new());
        self.gone = Some(take_down(&self.shared, &self.record, Some(run)).await);
        if again {
            self.arm_backoff();
            self.note(|_| ());
        } else {
            self.rest().await;
        }
    }

    /// Answers those who waited for nothing but the end.
    pub(super) fn answer_stops(&mut self) {
        if self.state.is_alive() {
            return;
        }
        for then in std::mem::take(&mut self.at_rest) {
            match then {
                AtRest::Answer(answer) => drop(answer.send(Ok(Reply::Ok))),
                other => self.at_rest.push(other),
            }
        }
    }

    /// The container is at rest: does what was put off until now.
    pub(super) async fn rest(&mut self) {
        self.answer_stops();
        for then in std::mem::take(&mut self.at_rest) {
            match then {
                AtRest::Answer(answer) => drop(answer.send(Ok(Reply::Ok))),
                AtRest::Start { stdio, answer } => self.start(stdio, answer).await,
                AtRest::Remove { volumes, answer } => {
                    let result = self.discard(volumes).await;
                    answer.send(result.map(|()| Reply::Ok)).ok();
                }
            }
        }
        if self.state == State::Exited
            && self.record.launch.auto_remove
            && let Err(error) = self.discard(true).await
        {
            tracing::warn!(%error, name = self.record.name, "cannot remove a container");
        }
        if !self.state.is_alive() {
            self.busy = None;
        }
    }

    pub(super) async fn discard(&mut self, volumes: bool) -> Result<(), Failure> {
        if self.state == State::Removed {
            return Ok(());
        }
        self.event(Event::Remove).await?;
        let (shared, record) = (Arc::clone(&self.shared), Arc::clone(&self.record));
        tokio::task::spawn_blocking(move || {
            removal::remove(shared.host.layout(), &record, volumes)
        })
        .await
        .map_err(std::io::Error::other)
        .and_then(|removed| removed)
        .map_err(|error| failure::other(&error))?;
        self.shared.forget(&self.record.id);
        self.tell(ChangeKind::Removed);
        Ok(())
    }
}
