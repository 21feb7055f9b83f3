//! Walks a plan over a backend, as parallel as its edges and a limit allow.
//!
//! It decides nothing: what is done, in which order and what a failure means is
//! in the plan. One task polls all operations, so nothing outlives the call, and
//! dropping it stops everything that is not already in the engine's hands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use crate::event::{Event, EventSink, Resource};
use crate::state::ContainerId;
use crate::state::lock::Lock;
use crate::supervise::record::ContainerRecord;

use super::backend::{Backend, BackendError};
use super::cancel::Cancel;
use super::plan::{Op, Otherwise, PartOf, Plan, StepId, Target};
use super::words::{self, Words};

/// Operations that change something, at the same time. Waits and stops, which
/// cost nothing while they wait, do not count.
const PARALLEL: usize = 32;

/// How long an interrupted walk waits for what is under way. Each such
/// operation takes milliseconds, unless the engine does not answer.
const MOMENT: Duration = Duration::from_secs(1);

/// What happens to the rest when an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing new begins; what runs is finished. For `up`.
    Finish,
    /// All that does not depend on it goes on. For `down`, `stop`, `kill`.
    Continue,
}

/// One operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct OpFailure {
    /// On what.
    pub resource: Resource,
    /// The service, where it is a container of one.
    pub service: Option<String>,
    /// What is told, in Docker's words where it has some.
    pub text: String,
    /// What the engine said; `None` where a deadline passed.
    #[source]
    pub source: Option<BackendError>,
}

impl OpFailure {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        self.source.as_ref().and_then(BackendError::hint)
    }
}

/// Why a plan was not walked to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// Operations failed; the first is the cause of most others.
    #[error("{}", texts(failures).join("\n"))]
    Failed {
        /// At least one, in the order of their ends.
        failures: Vec<OpFailure>,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Cancelled {
        /// What failed before.
        failures: Vec<OpFailure>,
    },
}

/// The failures' texts, each once: what keeps the engine from being reached
/// is the same for all.
fn texts(failures: &[OpFailure]) -> Vec<&str> {
    let mut texts = Vec::new();
    for failure in failures {
        if !texts.contains(&failure.text.as_str()) {
            texts.push(failure.text.as_str());
        }
    }
    texts
}

/// Who wants to know of containers while a plan is walked: an attached `up`
/// follows each from its start.
pub trait Observer: Send + Sync {
    /// The container runs now.
    fn started(&self, id: &ContainerId, target: &Target);
}

/// How a plan is walked.
#[expect(missing_debug_implementations, reason = "holds trait objects")]
pub struct Executor<'a, B> {
    /// What does the work.
    pub backend: &'a B,
    /// Where progress goes.
    pub sink: &'a dyn EventSink,
    /// Asked when the user presses Ctrl-C.
    pub cancel: &'a Cancel,
    /// Records of the containers to be created, by name.
    pub records: &'a BTreeMap<String, ContainerRecord>,
    /// How many operations may be under way, where somebody said so; then stops
    /// count, too.
    pub parallel: Option<usize>,
    /// What a failure means.
    pub on_failure: OnFailure,
    /// How long `--wait` may take in all.
    pub wait_timeout: Option<Duration>,
    /// Told of starts.
    pub observer: Option<&'a dyn Observer>,
}

/// State of one walk.
struct Walk<'p> {
    plan: &'p Plan,
    parallel: Option<usize>,
    blocked: BTreeMap<StepId, usize>,
    ready: BTreeSet<StepId>,
    working: BTreeSet<StepId>,
    waiting: BTreeSet<StepId>,
    failures: Vec<OpFailure>,
    stopped: bool,
}

type Running<'a> = FuturesUnordered<BoxFuture<'a, (StepId, Result<(), OpFailure>)>>;

impl<B: Backend> Executor<'_, B> {
    /// Walks the plan. `lock` is held while something is changed and let go
    /// as soon as nothing but waits is left to look at, so that a command in
    /// another terminal can stop what this one waits for.
    ///
    /// Interrupted, it finishes what is under way and begins nothing. Ends of
    /// programs are not waited for then: the engine sees to them by itself.
    pub async fn run(&self, plan: &Plan, lock: Option<Lock>) -> Result<(), ExecuteError> {
        for kept in &plan.kept {
            let resource = words::container(&kept.target.name);
            if let Some(action) = words::kept_action(kept.state) {
                self.sink.emit(Event::Started {
                    resource: resource.clone(),
                    action,
                });
            }
            self.sink.emit(Event::Done {
                resource,
                outcome: kept.state,
            });
        }
        let locked = lock.is_some();
        if let Some(lock) = lock {
            self.backend.hold(lock);
        }
        let mut walk = Walk::new(plan, self.parallel);
        let mut running: Running<'_> = FuturesUnordered::new();
        let mut patience: Option<Instant> = None;
        loop {
            let cancelled = self.cancel.is_cancelled();
            if cancelled && walk.only_ends() {
                self.backend.give_up();
                break;
            }
            if !cancelled && !walk.stopped {
                walk.begin(|id, op| running.push(self.operation(id, op).boxed()));
            }
            if walk.working.is_empty() {
                if walk.waiting.is_empty() || cancelled || walk.stopped {
                    break;
                }
                if locked {
                    self.backend.let_go();
                }
            }
            tokio::select! {
                biased;
                () = self.cancel.cancelled(), if !cancelled => {
                    patience = Some(Instant::now() + MOMENT);
                }
                () = until(patience), if cancelled => break,
                ended = running.next() => {
                    let Some((id, result)) = ended else { break };
                    walk.end(id, result, self.on_failure);
                }
            }
        }
        drop(running);
        if locked {
            self.backend.let_go();
        }
        let failures = walk.failures;
        if self.cancel.is_cancelled() {
            return Err(ExecuteError::Cancelled { failures });
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(ExecuteError::Failed { failures })
        }
    }

    async fn operation(&self, id: StepId, op: &Op) -> (StepId, Result<(), OpFailure>) {
        let words = Words::of(op);
        let resource = op.resource();
        if let Some(action) = words.started {
            self.sink.emit(Event::Started {
                resource: resource.clone(),
                action,
            });
        }
        let result = self.perform(op).await;
        let failure = match result {
            Ok(()) => {
                if let Some(outcome) = words.done {
                    self.sink.emit(Event::Done { resource, outcome });
                }
                return (id, Ok(()));
            }
            Err(source) => source,
        };
        let text = words::failure_text(op, failure.as_ref(), self.wait_timeout);
        if matches!(
            op,
            Op::WaitCondition {
                otherwise: Otherwise::Warn,
                ..
            }
        ) {
            self.sink.emit(Event::Warning {
                message: format!("optional {text}"),
            });
            self.sink.emit(Event::Done {
                resource,
                outcome: "Skipped",
            });
            return (id, Ok(()));
        }
        self.sink.emit(Event::Failed {
            resource: resource.clone(),
            message: text.lines().next().unwrap_or_default().to_owned(),
        });
        let failure = OpFailure {
            resource,
            service: op.target().map(|target| target.service.clone()),
            text,
            source: failure,
        };
        (id, Err(failure))
    }

    /// Does one operation; an error of `None` is a deadline that passed.
    async fn perform(&self, op: &Op) -> Result<(), Option<BackendError>> {
        if let Op::WaitCondition {
            target,
            condition,
            otherwise,
        } = op
        {
            let wait = self.backend.wait(self.id_of(target)?, *condition);
            return match self.wait_timeout.filter(|_| *otherwise == Otherwise::NotUp) {
                None => Ok(wait.await?),
                Some(limit) => Ok(tokio::time::timeout(limit, wait)
                    .await
                    .map_err(|_elapsed| None)??),
            };
        }
        Ok(self.change(op).await?)
    }

    async fn change(&self, op: &Op) -> Result<(), BackendError> {
        match op {
            Op::EnsureNetwork(spec) => self.note(self.backend.ensure_network(spec).await?),
            Op::RemoveNetwork { name } => self.backend.remove_network(name).await?,
            Op::EnsureVolume(spec) => self.backend.ensure_volume(spec).await?,
            Op::RemoveVolume { name } => self.backend.remove_volume(name).await?,
            Op::CreateContainer { target, .. } => {
                self.backend.create(self.record(target)?).await?;
            }
            Op::StartContainer { target } => {
                let id = self.id_of(target)?;
                self.note(self.backend.start(id).await?);
                self.tell_started(id, target);
            }
            Op::StopContainer {
                target, timeout, ..
            } => self.backend.stop(self.id_of(target)?, *timeout).await?,
            Op::RestartContainer { target, timeout } => {
                let id = self.id_of(target)?;
                self.note(self.backend.restart(id, *timeout).await?);
                self.tell_started(id, target);
            }
            Op::KillContainer { target, signal } => {
                self.backend.kill(self.id_of(target)?, *signal).await?;
            }
            Op::RemoveContainer {
                target,
                volumes,
                part_of,
            } => {
                let id = self.id_of(target)?;
                match self
                    .successor(target)
                    .filter(|_| *part_of == PartOf::Recreation)
                {
                    Some(successor) => self.backend.replace(id, *volumes, successor).await?,
                    None => self.backend.remove(id, *volumes).await?,
                }
            }
            Op::WaitCondition {
                target, condition, ..
            } => {
                self.backend.wait(self.id_of(target)?, *condition).await?;
            }
        }
        Ok(())
    }

    fn note(&self, notes: Vec<String>) {
        for message in notes {
            self.sink.emit(Event::Note { message });
        }
    }

    fn tell_started(&self, id: &ContainerId, target: &Target) {
        if let Some(observer) = self.observer {
            observer.started(id, target);
        }
    }

    /// The record of the container that takes the place of one that goes.
    fn successor(&self, target: &Target) -> Option<&ContainerRecord> {
        let same = |record: &&ContainerRecord| {
            record.service == target.service && record.number == target.number && !record.oneoff
        };
        self.records.values().find(same)
    }

    fn record(&self, target: &Target) -> Result<&ContainerRecord, BackendError> {
        self.records
            .get(&target.name)
            .ok_or_else(|| BackendError::Unreachable {
                message: format!("container `{}` was planned but not prepared", target.name),
            })
    }

    fn id_of<'t>(&'t self, target: &'t Target) -> Result<&'t ContainerId, BackendError> {
        match &target.id {
            Some(id) => Ok(id),
            None => self.record(target).map(|record| &record.id),
        }
    }
}

impl<'p> Walk<'p> {
    fn new(plan: &'p Plan, parallel: Option<usize>) -> Self {
        let blocked: BTreeMap<StepId, usize> = plan
            .steps()
            .map(|(id, _)| (id, plan.before(id).count()))
            .collect();
        let ready = blocked
            .iter()
            .filter(|(_, count)| **count == 0)
            .map(|(id, _)| *id)
            .collect();
        Self {
            plan,
            parallel,
            blocked,
            ready,
            working: BTreeSet::new(),
            waiting: BTreeSet::new(),
            failures: Vec::new(),
            stopped: false,
        }
    }

    /// Begins what is ready, within the limit.
    fn begin(&mut self, mut start: impl FnMut(StepId, &'p Op)) {
        for id in std::mem::take(&mut self.ready) {
            let Some(step) = self.plan.step(id) else {
                continue;
            };
            if is_wait(&step.op) {
                self.waiting.insert(id);
            } else if self.has_room_for(&step.op) {
                self.working.insert(id);
            } else {
                self.ready.insert(id);
                continue;
            }
            start(id, &step.op);
        }
    }

    fn has_room_for(&self, op: &Op) -> bool {
        match self.parallel {
            Some(limit) => self.working.len() < limit,
            None => is_end(op) || self.working.len() < PARALLEL,
        }
    }

    /// Whether nothing is under way but what waits for a program to end.
    fn only_ends(&self) -> bool {
        let is_end = |id: &StepId| self.plan.step(*id).is_none_or(|step| is_end(&step.op));
        self.working.iter().all(is_end)
    }

    fn end(&mut self, id: StepId, result: Result<(), OpFailure>, on_failure: OnFailure) {
        self.working.remove(&id);
        self.waiting.remove(&id);
        if let Err(failure) = result {
            self.failures.push(failure);
            self.stopped |= on_failure == OnFailure::Finish;
            return;
        }
        for next in self.plan.after(id) {
            if let Some(count) = self.blocked.get_mut(&next) {
                *count -= 1;
                if *count == 0 {
                    self.ready.insert(next);
                }
            }
        }
    }
}

fn is_wait(op: &Op) -> bool {
    matches!(op, Op::WaitCondition { .. })
}

/// Ends wait for the program most of the time: ten of them together must not
/// take ten grace times.
fn is_end(op: &Op) -> bool {
    matches!(
        op,
        Op::StopContainer { .. } | Op::RestartContainer { .. } | Op::KillContainer { .. }
    )
}

/// Until a time; for ever where there is none.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
