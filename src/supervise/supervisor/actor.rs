//! One container's actor: it alone changes the container. Requests, the end of
//! the process, timers and probes arrive here as events of [`machine`]; what
//! the machine says is to be done is done here.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use super::exec::Target;
use super::machine::{Effect, Event, Refusal, State};
use super::records::{self, Notes};
use super::run::{Run, take_down};
use super::status::Status;
use super::{Busy, Shared, failure, health, launch, remove, restart, streams};
use crate::engine::cgroup::{CgroupError, Group};
use crate::engine::process::has_ended;
use crate::supervise::keeper::Ended;
use crate::supervise::record::{ContainerRecord, ExitRecord, Health, RunRecord};
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

    async fn take(&mut self, message: Message) {
        match message {
            Message::Start { stdio, answer } => self.start(stdio, answer).await,
            Message::Stop { timeout, answer } => {
                self.timeout = timeout;
                self.stop(Event::Stop, AtRest::Answer(answer)).await;
            }
            Message::Restart { timeout, answer } => {
                self.timeout = timeout;
                let then = AtRest::Start {
                    stdio: None,
                    answer,
                };
                self.stop(Event::Stop, then).await;
            }
            Message::Kill { signal, answer } => self.kill(signal, answer).await,
            Message::Pause { answer } => self.simple(Event::Pause, answer).await,
            Message::Unpause { answer } => self.simple(Event::Unpause, answer).await,
            Message::Remove {
                force,
                volumes,
                answer,
            } => {
                self.remove(force, volumes, answer).await;
            }
            Message::Resize { size, answer } => {
                // The asker may have gone, here and below.
                answer.send(self.resize(size)).ok();
            }
            Message::Health {
                run,
                health,
                output,
            } => self.judge(run, health, output),
        }
    }

    async fn start(&mut self, stdio: Option<[OwnedFd; 3]>, answer: Answer) {
        if self.is_over() {
            self.note(|notes| notes.stop_requested = true);
            self.at_rest.push(AtRest::Start { stdio, answer });
            return;
        }
        if matches!(self.state, State::Created | State::Exited | State::Waiting) {
            self.stdio = stdio;
            self.restarts = 0;
            self.notes = Notes::default();
        }
        match self.event(Event::Start).await {
            Err(failure) => drop(answer.send(Err(failure))),
            Ok(()) if self.state == State::Running => {
                answer.send(Ok(self.reply())).ok();
            }
            Ok(()) => self.started.push(answer),
        }
    }

    /// Asks for the end; `then` is done when it has come.
    async fn stop(&mut self, event: Event, then: AtRest) {
        if let Err(failure) = self.event(event).await {
            let (AtRest::Answer(answer)
            | AtRest::Start { answer, .. }
            | AtRest::Remove { answer, .. }) = then;
            answer.send(Err(failure)).ok();
            return;
        }
        self.at_rest.push(then);
        if self.state.is_alive() {
            self.note(|notes| notes.stop_requested = true);
        } else {
            self.rest().await;
        }
    }

    async fn kill(&mut self, signal: i32, answer: Answer) {
        self.signal = signal;
        // As Docker, SIGKILL goes to all processes and is answered when they
        // are gone.
        let alive = self.state.has_process();
        if self.state == State::Waiting || (alive && signal == libc::SIGKILL) {
            self.stop(Event::Destroy, AtRest::Answer(answer)).await;
            return;
        }
        // As Docker, a signal that is meant to end it ends the policy too.
        if alive && signal == self.record.launch.stop_signal {
            self.note(|notes| notes.stop_requested = true);
        }
        self.simple(Event::Signal, answer).await;
    }

    async fn remove(&mut self, force: bool, volumes: bool, answer: Answer) {
        let then = AtRest::Remove { volumes, answer };
        if self.is_over() {
            self.note(|notes| notes.stop_requested = true);
            self.at_rest.push(then);
            return;
        }
        if force || !self.state.is_alive() {
            self.stop(Event::Destroy, then).await;
        } else if let AtRest::Remove { answer, .. } = then {
            answer.send(Err(self.wrong_state())).ok();
        }
    }

    /// Whether the process has ended and its exit is on its way to here: who
    /// asks has seen that on disk and in `/proc` already.
    fn is_over(&self) -> bool {
        let pidfd = self.run.as_ref().and_then(|run| run.pidfd.as_ref());
        self.state.has_process()
            && pidfd.is_some_and(|pidfd| has_ended(pidfd.as_fd()).unwrap_or(false))
    }

    async fn simple(&mut self, event: Event, answer: Answer) {
        let result = self.event(event).await.map(|()| Reply::Ok);
        answer.send(result).ok();
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
                let launch =
                    launch::launch(Arc::clone(&self.shared), Arc::clone(&self.record), stdio);
                self.launching = Some(tokio::spawn(launch));
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

    async fn launched(&mut self, result: Result<Run, Failure>) {
        match result {
            Ok(run) => {
                self.run = Some(run);
                if let Err(error) = self.event(Event::Launched).await {
                    tracing::warn!(%error, "a container was started out of turn");
                }
                let reply = self.reply();
                for answer in self.started.drain(..) {
                    answer.send(Ok(reply.clone())).ok();
                }
            }
            Err(failure) => self.launch_failed(failure).await,
        }
    }

    async fn launch_failed(&mut self, failure: Failure) {
        self.shared.logs.finish(self.record.id.as_str()).await;
        take_down(&self.shared, &self.record).await;
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
        self.note(|_| ());
        self.write_run();
        self.tell(ChangeKind::Started);
        self.probe();
    }

    /// The process ended.
    async fn ended(&mut self, ended: Ended) {
        let Some(run) = self.run.take() else { return };
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
            will_restart: again,
        });
        self.answer_stops();
        // Told first: nobody waits for the teardown but the next start.
        drop(run);
        take_down(&self.shared, &self.record).await;
        if again {
            self.arm_backoff();
            self.note(|_| ());
        } else {
            self.rest().await;
        }
    }

    /// Answers those who waited for nothing but the end.
    fn answer_stops(&mut self) {
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
    async fn rest(&mut self) {
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

    async fn discard(&mut self, volumes: bool) -> Result<(), Failure> {
        if self.state == State::Removed {
            return Ok(());
        }
        self.event(Event::Remove).await?;
        let (shared, record) = (Arc::clone(&self.shared), Arc::clone(&self.record));
        tokio::task::spawn_blocking(move || {
            remove::discard(shared.host.layout(), &record, volumes)
        })
        .await
        .map_err(|error| failure::other(&error))??;
        self.shared.forget(&self.record.id);
        self.tell(ChangeKind::Removed);
        Ok(())
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

    fn resize(&self, size: (u16, u16)) -> Result<Reply, Failure> {
        let key = streams::master_key(self.record.id.as_str());
        let master = self.shared.link.held(&key).ok_or_else(|| {
            failure::text(format!("container `{}` has no terminal", self.record.name))
        })?;
        let size = rustix::termios::Winsize {
            ws_col: size.0,
            ws_row: size.1,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&master, size)
            .map_err(|errno| failure::other(&io::Error::from(errno)))?;
        Ok(Reply::Ok)
    }

    async fn group(
        &self,
        act: impl FnOnce(&Group) -> Result<(), CgroupError> + Send + 'static,
    ) -> Result<(), Failure> {
        let group = self.shared.host.group(&self.record.id)?;
        tokio::task::spawn_blocking(move || act(&group))
            .await
            .map_err(|error| failure::other(&error))?
            .map_err(|error| failure::other(&error))
    }

    fn wrong_state(&self) -> Failure {
        Failure::State {
            name: self.record.name.clone(),
            state: self.word().to_owned(),
        }
    }

    fn word(&self) -> &'static str {
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

    fn reply(&self) -> Reply {
        match &self.last {
            Some(record) => Reply::Container(Box::new(record.clone())),
            None => Reply::Ok,
        }
    }

    fn show(&self) {
        self.status.send_if_modified(|status| {
            let changed = status.state != self.state;
            status.state = self.state;
            changed
        });
    }

    fn tell(&self, kind: ChangeKind) {
        self.shared.tell(&self.record, kind);
    }

    fn note(&mut self, change: impl FnOnce(&mut Notes)) {
        change(&mut self.notes);
        self.warn(
            self.shared
                .records
                .write_notes(&self.record.id, &self.notes),
        );
    }

    fn write_exit(&self, exit: &ExitRecord) {
        self.warn(self.shared.records.write_exit(&self.record.id, exit));
    }

    fn write_run(&mut self) {
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
        record.state = self.state.public();
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

    /// A record that cannot be written (a full disk) must not end a container.
    fn warn(&self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(%error, name = self.record.name, "cannot write a record");
        }
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
