//! One container's actor: it alone changes the container. Requests, the end of
//! the process, timers and probes arrive here as events of [`machine`]; what
//! the machine says is to be done is done here: `requests` come in, `endings`
//! end runs, `traces` are what is written down and told.

mod endings;
mod requests;
mod traces;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use super::exec::Target;
use super::leaving::Gone;
use super::machine::{Effect, Event, Refusal, State};
use super::records::Notes;
use super::run::Run;
use super::status::Status;
use super::{Busy, Shared, failure, health, launch};
use crate::engine::cgroup::{CgroupError, Group};
use crate::supervise::keeper::Ended;
use crate::supervise::record::{ContainerRecord, Health, RunRecord};
use crate::supervise::wire::{ChangeKind, Failure, Reply};

/// The answer to a request.
pub(super) type Answer = oneshot::Sender<Result<Reply, Failure>>;

/// What an actor can be asked.
#[derive(Debug)]
pub(super) enum Message {
    Start {
        stdio: Option<[OwnedFd; 3]>,
        answer: Answer,
    },
    Stop {
        timeout: Option<i64>,
        answer: Answer,
    },
    Restart {
        timeout: Option<i64>,
        answer: Answer,
    },
    Kill {
        signal: i32,
        answer: Answer,
    },
    Pause {
        answer: Answer,
    },
    Unpause {
        answer: Answer,
    },
    Remove {
        force: bool,
        volumes: bool,
        answer: Answer,
    },
    Resize {
        size: (u16, u16),
        answer: Answer,
    },
    /// A probe changed the verdict about this run.
    Health {
        run: i32,
        health: Health,
        output: String,
    },
}

/// What is to be done when the container is at rest.
#[derive(Debug)]
enum AtRest {
    Answer(Answer),
    Start {
        stdio: Option<[OwnedFd; 3]>,
        answer: Answer,
    },
    Remove {
        volumes: bool,
        answer: Answer,
    },
}

/// How an actor begins.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    /// A run that an earlier supervisor began.
    pub(super) run: Option<Run>,
    /// What was known of it.
    pub(super) record: Option<RunRecord>,
    /// What that supervisor noted.
    pub(super) notes: Notes,
}

/// One container.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) shared: Arc<Shared>,
    pub(super) record: Arc<ContainerRecord>,
    state: State,
    status: watch::Sender<Status>,
    run: Option<Run>,
    launching: Option<JoinHandle<Result<Run, Failure>>>,
    probing: Option<AbortHandle>,
    grace_over: Option<Instant>,
    backoff_over: Option<Instant>,
    timeout: Option<i64>,
    signal: i32,
    stdio: Option<[OwnedFd; 3]>,
    notes: Notes,
    restarts: u32,
    started: Vec<Answer>,
    at_rest: Vec<AtRest>,
    last: Option<RunRecord>,
    /// The last run's links, which may be on their way out.
    gone: Option<Gone>,
    busy: Option<Busy>,
}

impl Actor {
    /// An actor that has not begun.
    pub(super) fn new(
        shared: Arc<Shared>,
        record: Arc<ContainerRecord>,
        state: State,
        beginning: Beginning,
        status: watch::Sender<Status>,
    ) -> Self {
        let busy = state.is_alive().then(|| shared.busy.take());
        Self {
            shared,
            record,
            state,
            status,
            run: beginning.run,
            launching: None,
            probing: None,
            grace_over: None,
            backoff_over: None,
            timeout: None,
            signal: 0,
            stdio: None,
            notes: beginning.notes,
            restarts: beginning
                .record
                .as_ref()
                .map_or(0, |record| record.restarts),
            started: Vec::new(),
            at_rest: Vec::new(),
            last: beginning.record,
            gone: None,
            busy,
        }
    }

    /// Lives until the container is removed.
    pub(super) async fn live(mut self, mut inbox: UnboundedReceiver<Message>) {
        self.resume();
        while self.state != State::Removed {
            tokio::select! {
                biased;
                result = finished(&mut self.launching) => {
                    self.launching = None;
                    self.launched(result).await;
                }
                ended = ended(&mut self.run, self.state) => self.ended(ended).await,
                message = inbox.recv() => match message {
                    Some(message) => self.take(message).await,
                    None => return,
                },
                () = until(self.grace_over) => {
                    self.grace_over = None;
                    self.event(Event::GraceOver).await.ok();
                }
                () = until(self.backoff_over) => {
                    self.backoff_over = None;
                    self.event(Event::BackoffOver).await.ok();
                }
            }
        }
    }

    /// Takes up what an earlier supervisor was at.
    fn resume(&mut self) {
        match self.state {
            State::Running => self.probe(),
            State::Stopping => self.arm_grace(),
            State::Waiting => self.arm_backoff(),
            State::Created
            | State::Starting
            | State::Aborting
            | State::Paused
            | State::Exited
            | State::Removed => {}
        }
    }

    /// Feeds the machine, and does what it says.
    async fn event(&mut self, event: Event) -> Result<(), Failure> {
        let (next, effects) = self.state.next(event).map_err(|refusal| match refusal {
            Refusal::WrongState => self.wrong_state(),
            Refusal::Impossible => failure::text(format!(
                "container `{}`: {event:?} in {:?}",
                self.record.name, self.state
            )),
        })?;
        self.state = next;
        if self.busy.is_none() && next.is_alive() {
            self.busy = Some(self.shared.busy.take());
        }
        for effect in effects {
            self.carry_out(*effect).await?;
        }
        self.show();
        Ok(())
    }

    async fn carry_out(&mut self, effect: Effect) -> Result<(), Failure> {
        match effect {
            Effect::Launch => {
                self.backoff_over = None;
                let stdio = self.stdio.take();
                let gone = self.gone.take();
                let launch =
                    launch::launch(Arc::clone(&self.shared), Arc::clone(&self.record), stdio);
                self.launching = Some(tokio::spawn(async move {
                    if let Some(gone) = gone {
                        gone.await.ok();
                    }
                    launch.await
                }));
            }
            Effect::Announce => self.announce(),
            Effect::Freeze => {
                self.stop_probing();
                self.group(Group::freeze).await?;
                self.write_run();
            }
            Effect::Thaw => {
                self.group(Group::thaw).await?;
                self.write_run();
                if self.state == State::Running {
                    self.probe();
                }
            }
            Effect::AskToEnd => self.send_signal(self.record.launch.stop_signal),
            Effect::ArmGrace => self.arm_grace(),
            Effect::Kill => {
                self.grace_over = None;
                // A group that is not there yet holds nobody.
                let killed = self.group(Group::kill_all).await;
                if self.state.has_process() {
                    self.send_signal(libc::SIGKILL);
                    killed?;
                }
            }
            Effect::Signal => self.send_signal(self.signal),
            Effect::ArmBackoff => self.arm_backoff(),
            Effect::GiveUpRestart => {
                self.backoff_over = None;
                self.restarts = 0;
                self.notes.stop_requested = true;
                self.write_run();
                let code = self.status.borrow().code;
                self.tell(ChangeKind::Exited {
                    code,
                    will_restart: false,
                });
            }
            // By `ended` and `discard`, which know what to do it with.
            Effect::Finish | Effect::Discard => {}
        }
        Ok(())
    }

    /// The program runs.
    fn announce(&mut self) {
        let Some(run) = &self.run else { return };
        self.notes.started = i64::try_from(run.started.as_nanosecond()).unwrap_or(i64::MAX);
        let target = run.pidfd.clone().map(|pidfd| Target {
            pidfd,
            group: run.group.clone(),
        });
        let health = self
            .record
            .launch
            .health
            .is_some()
            .then_some(Health::Starting);
        self.status
            .send_modify(|status| status.started(target, health));
        self.warn(
            self.shared
                .records
                .write_start(&self.record.id, run.started),
        );
        self.note(|_| ());
        self.write_run();
        self.tell(ChangeKind::Started);
        self.probe();
    }

    /// A new verdict about the present run.
    fn judge(&mut self, run: i32, health: Health, output: String) {
        if self.run.as_ref().is_some_and(|present| present.pid == run) {
            self.status.send_modify(|status| {
                status.health = Some(health);
                status.probe_output = output;
            });
            self.write_run();
            self.tell(ChangeKind::Health(health));
        }
    }

    fn probe(&mut self) {
        self.stop_probing();
        let (Some(run), Some(check)) = (&self.run, &self.record.launch.health) else {
            return;
        };
        let Some(pidfd) = &run.pidfd else { return };
        let target = Target {
            pidfd: Arc::clone(pidfd),
            group: run.group.clone(),
        };
        let age = Timestamp::now().duration_since(run.started);
        let age = Duration::try_from(age).unwrap_or_default();
        let now = Instant::now();
        let started = now.checked_sub(age).unwrap_or(now);
        let health = self.status.borrow().health.unwrap_or(Health::Starting);
        let (shared, id, pid) = (Arc::clone(&self.shared), self.record.id.clone(), run.pid);
        let tell = move |health, result: health::ProbeResult| {
            shared.send(
                &id,
                Message::Health {
                    run: pid,
                    health,
                    output: result.output,
                },
            );
        };
        let watch = health::watch(
            Arc::clone(&self.shared),
            Arc::clone(&self.record),
            check.clone(),
            target,
            (started, health),
            tell,
        );
        self.probing = Some(tokio::spawn(watch).abort_handle());
    }

    fn stop_probing(&mut self) {
        if let Some(probing) = self.probing.take() {
            probing.abort();
        }
    }

    fn arm_grace(&mut self) {
        let grace = match self.timeout.take() {
            Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
            None => self.record.launch.stop_grace,
        };
        self.grace_over = grace.and_then(|grace| Instant::now().checked_add(grace));
    }

    fn arm_backoff(&mut self) {
        let pause = self.notes.pause.unwrap_or_default();
        self.backoff_over = Instant::now().checked_add(pause);
    }

    fn send_signal(&self, number: i32) {
        let Some(pidfd) = self.run.as_ref().and_then(|run| run.pidfd.as_ref()) else {
            return;
        };
        if let Some(signal) = rustix::process::Signal::from_named_raw(number) {
            // It may have ended just now.
            rustix::process::pidfd_send_signal(pidfd, signal).ok();
        }
    }

    async fn group(
        &self,
        act: impl FnOnce(&Group) -> Result<(), CgroupError> + Send + 'static,
    ) -> Result<(), Failure> {
        let own = self.run.as_ref().map(|run| run.group.clone());
        let Some(group) = own.or_else(|| self.shared.host.groups.container(&self.record.id)) else {
            // Nobody knows yet where it will be.
            return Ok(());
        };
        tokio::task::spawn_blocking(move || act(&group))
            .await
            .map_err(|error| failure::other(&error))?
            .map_err(|error| failure::other(&error))
    }
}

async fn finished(
    launching: &mut Option<JoinHandle<Result<Run, Failure>>>,
) -> Result<Run, Failure> {
    match launching {
        Some(launching) => match launching.await {
            Ok(result) => result,
            Err(error) => Err(failure::other(&error)),
        },
        None => std::future::pending().await,
    }
}

/// The end of the present run. One that comes while the start is not complete
/// waits in its channel.
async fn ended(run: &mut Option<Run>, state: State) -> Ended {
    match run {
        Some(run) if state.has_process() => match (&mut run.exit).await {
            Ok(ended) => ended,
            // The conversation with the keeper is over, and so are we.
            Err(_) => std::future::pending().await,
        },
        _ => std::future::pending().await,
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
