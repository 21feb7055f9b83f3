//! The supervisor: everything about a running project that needs a decision.
//!
//! A tokio runtime of one thread with a few blocking ones, and one thread for
//! output. `link` is the conversation with the keeper, `control` that with
//! commands; each container has an `actor` around the pure `machine`, `launch`
//! is its start, `run` what serves it. A supervisor that dies loses nothing:
//! the next one adopts what the keeper holds and the records say (`adopt`).

mod actor;
mod adopt;
mod bound;
mod busy;
mod channel;
mod control;
mod create;
mod exec;
mod failure;
mod files;
mod groups;
mod health;
mod host;
mod launch;
mod leaving;
mod life;
mod link;
mod machine;
mod orphan;
mod records;
mod regain;
mod restart;
mod revive;
mod run;
mod status;
mod streams;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{broadcast, watch};

use self::actor::{Actor, Beginning, Message};
use self::busy::{Busy, Counter};
use self::exec::Target;
use self::host::Host;
use self::link::Link;
use self::machine::State;
use self::records::Records;
use self::status::Status;
use super::keeper::Identity;
use super::logs::thread::LogThread;
use super::record::ContainerRecord;
use super::wire::{Change, ChangeKind, Failure};
use crate::state::ContainerId;

/// The hidden command that runs a supervisor.
pub const COMMAND: &str = "__supervisor";

/// Changes that a subscriber may be behind before it is sent the whole state.
const CHANGES_BEHIND: usize = 1024;

/// Runs a supervisor: `skiff __supervisor PROJECT DATA_ROOT RUN_ROOT`, the
/// arguments after the command's name.
///
/// Standard input is the socket to the keeper. Standard output is a pipe that
/// is closed when there is somebody to talk to, or told why not, and standard
/// error a lock that is held until then (both `/dev/null` where nobody waits).
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    match Identity::parse(args) {
        Some(identity) => life::run(&identity),
        None => ExitCode::from(2),
    }
}

/// What all parts of a supervisor use.
#[derive(Debug)]
struct Shared {
    boot_id: String,
    host: Host,
    link: Link,
    logs: LogThread,
    records: Records,
    busy: Counter,
    changes: broadcast::Sender<Change>,
    upgrade: watch::Sender<Option<Arc<OwnedFd>>>,
    containers: Mutex<BTreeMap<ContainerId, Handle>>,
    turns: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    flaws: Mutex<BTreeMap<ContainerId, Vec<String>>>,
}

/// One container's actor, from outside.
#[derive(Debug)]
struct Handle {
    record: Arc<ContainerRecord>,
    inbox: UnboundedSender<Message>,
    status: watch::Receiver<Status>,
}

impl Shared {
    fn containers(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Handle>> {
        // A panic elsewhere leaves a map that is still a map.
        self.containers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a container that was created now.
    fn add_new(self: &Arc<Self>, record: Arc<ContainerRecord>) {
        let change = Self::change(&record, ChangeKind::Created);
        self.add(record, State::Created, Beginning::default(), |_| ());
        self.changes.send(change).ok();
    }

    /// Enters a container and starts its actor.
    fn add(
        self: &Arc<Self>,
        record: Arc<ContainerRecord>,
        state: State,
        beginning: Beginning,
        known: impl FnOnce(&mut Status),
    ) {
        let mut status = Status {
            name: record.name.clone(),
            state,
            health: None,
            has_probe: record.launch.health.is_some(),
            probe_output: String::new(),
            code: None,
            was_started: false,
            failure: None,
            target: None,
        };
        known(&mut status);
        let (status, seen) = watch::channel(status);
        let (sender, inbox) = unbounded_channel();
        let handle = Handle {
            record: Arc::clone(&record),
            inbox: sender,
            status: seen,
        };
        self.containers().insert(record.id.clone(), handle);
        let actor = Actor::new(Arc::clone(self), record, state, beginning, status);
        tokio::spawn(actor.live(inbox));
    }

    /// What is not as it should be, as long as the run lasts that it is about.
    fn flaws(&self) -> Vec<String> {
        let flaws = self.flaws.lock().unwrap_or_else(PoisonError::into_inner);
        flaws.values().flatten().cloned().collect()
    }

    /// Notes what is not as it should be in a container's present run; nothing
    /// where that has ended.
    fn set_flaws(&self, id: &ContainerId, found: Vec<String>) {
        let mut flaws = self.flaws.lock().unwrap_or_else(PoisonError::into_inner);
        if found.is_empty() {
            flaws.remove(id);
        } else {
            flaws.insert(id.clone(), found);
        }
    }

    /// What those who create a container of this name take turns with.
    fn turn(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody else has those that are held here only.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(name.to_owned()).or_default())
    }

    /// Drops a container that was removed.
    fn forget(&self, id: &ContainerId) {
        self.containers().remove(id);
    }

    /// Sends a message to an actor; false where there is none.
    fn send(&self, id: &ContainerId, message: Message) -> bool {
        self.containers()
            .get(id)
            .is_some_and(|handle| handle.inbox.send(message).is_ok())
    }

    /// Asks every container to end, each in its own way: systemd stops the
    /// scope, because the machine goes down or by hand.
    fn stop_all(&self) {
        for handle in self.containers().values() {
            let message = Message::Stop {
                timeout: None,
                // Nobody asks how it went.
                answer: tokio::sync::oneshot::channel().0,
            };
            // One that is being removed needs no stop.
            handle.inbox.send(message).ok();
        }
    }

    fn status(&self, id: &ContainerId) -> Result<watch::Receiver<Status>, Failure> {
        self.with(id, |handle| handle.status.clone())
    }

    fn record(&self, id: &ContainerId) -> Result<Arc<ContainerRecord>, Failure> {
        self.with(id, |handle| Arc::clone(&handle.record))
    }

    /// A running container, to be joined by an exec.
    fn target(&self, id: &ContainerId) -> Result<(Arc<ContainerRecord>, Target), Failure> {
        let (record, status) = self.with(id, |handle| {
            (Arc::clone(&handle.record), handle.status.borrow().clone())
        })?;
        let state = match (status.state, status.target) {
            (State::Running | State::Stopping, Some(target)) => return Ok((record, target)),
            (State::Paused, _) => "paused",
            (State::Waiting, _) => "restarting",
            _ => "not running",
        };
        Err(Failure::State {
            name: record.name.clone(),
            state: state.to_owned(),
        })
    }

    fn with<T>(&self, id: &ContainerId, read: impl FnOnce(&Handle) -> T) -> Result<T, Failure> {
        self.containers()
            .get(id)
            .map(read)
            .ok_or_else(|| Failure::NoContainer { id: id.to_string() })
    }

    fn change(record: &ContainerRecord, kind: ChangeKind) -> Change {
        Change {
            id: record.id.clone(),
            name: record.name.clone(),
            service: record.service.clone(),
            kind,
        }
    }

    /// Tells subscribers; there may be none.
    fn tell(&self, record: &ContainerRecord, kind: ChangeKind) {
        self.changes.send(Self::change(record, kind)).ok();
    }

    /// The present state of all containers, as changes.
    fn snapshot(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for handle in self.containers().values() {
            let status = handle.status.borrow().clone();
            let mut push = |kind| changes.push(Self::change(&handle.record, kind));
            match status.state {
                State::Created | State::Starting | State::Aborting => push(ChangeKind::Created),
                State::Running | State::Paused | State::Stopping => {
                    push(ChangeKind::Started);
                    if let Some(health) = status.health {
                        push(ChangeKind::Health(health));
                    }
                }
                State::Waiting => {
                    push(ChangeKind::Exited {
                        code: status.code,
                        will_restart: true,
                    });
                }
                State::Exited => {
                    push(ChangeKind::Exited {
                        code: status.code,
                        will_restart: false,
                    });
                }
                State::Removed => {}
            }
        }
        changes
    }

    /// Has keeper and supervisor go on as this binary.
    fn upgrade(&self, binary: OwnedFd) {
        self.upgrade.send_replace(Some(Arc::new(binary)));
    }
}
