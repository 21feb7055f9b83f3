//! The supervisor's end of the conversation with the keeper.
//!
//! Requests go out in order over one task; answers and exits are matched by
//! key. Duplicates of everything that the keeper holds are kept here, so that
//! a new keeper can be given all of it when the old one dies (`revive`).

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::channel::Channel;
use super::{orphan, revive};
use crate::engine::launch::Shape;
use crate::supervise::keeper::{
    ChildKind, Ended, FromKeeper, Identity, KEEPER_VERSION, ToKeeper, read_journal,
};
use crate::supervise::packet::Packet;

/// Below a container's name, the pidfd of a process 1 that is no child of the
/// present keeper.
const PIDFD: &str = "pidfd";

/// A child that runs, or has ended and not been acknowledged.
#[derive(Debug)]
pub(super) struct Process {
    /// As the host sees it.
    pub(super) pid: i32,
    /// Its pidfd; `None` where it had ended before this supervisor began.
    pub(super) pidfd: Option<Arc<OwnedFd>>,
    /// How it ends, once.
    pub(super) exit: oneshot::Receiver<Ended>,
}

/// Everything that the keeper had when this supervisor began.
#[derive(Debug, Default)]
pub(super) struct Inheritance {
    /// Descriptors by name.
    pub(super) held: BTreeMap<String, OwnedFd>,
    /// Processes by name.
    pub(super) processes: BTreeMap<String, (ChildKind, Process)>,
}

/// Why there is no child.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unmade {
    /// The keeper could not make one.
    #[error("{0}")]
    Failed(String),
    /// The keeper was killed over it; there may be a child that nobody knows.
    #[error("the keeper was killed while it made the process")]
    Orphaned,
}

/// Who asked for a child.
type Asker = oneshot::Sender<Result<Process, Unmade>>;

/// Handle on the conversation.
#[derive(Debug, Clone)]
pub(super) struct Link {
    shared: Arc<Shared>,
}

/// What goes into the queue to the keeper.
#[derive(Debug)]
enum Out {
    Message(ToKeeper, Vec<OwnedFd>),
    /// A child is wanted.
    Launch {
        key: String,
        kind: ChildKind,
        shape: Shape,
        fds: Vec<OwnedFd>,
        asker: Asker,
    },
    /// Answered when everything before it was sent.
    Barrier(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Shared {
    identity: Identity,
    outgoing: UnboundedSender<Out>,
    /// The present keeper's process id.
    keeper: AtomicI32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What the present keeper has been asked for.
    launches: HashMap<String, Asker>,
    /// Who waits for a sign of life.
    pings: Vec<oneshot::Sender<()>>,
    children: HashMap<String, Child>,
    held: BTreeMap<String, Arc<OwnedFd>>,
}

#[derive(Debug)]
struct Child {
    kind: ChildKind,
    pid: i32,
    pidfd: Option<Arc<OwnedFd>>,
    exit: Option<oneshot::Sender<Ended>>,
}

impl Link {
    /// Begins the conversation and takes over what the keeper has.
    pub(super) async fn connect(
        identity: Identity,
        socket: OwnedFd,
    ) -> io::Result<(Self, Inheritance)> {
        let channel = Channel::new(socket)?;
        channel.send(&ToKeeper::Adopt, Vec::new()).await?;
        let (outgoing, queue) = unbounded_channel();
        let shared = Arc::new(Shared {
            identity,
            outgoing,
            keeper: AtomicI32::new(0),
            state: Mutex::default(),
        });
        let mut inheritance = Inheritance::default();
        while let Some(packet) = channel.receive().await? {
            if shared.inherit(packet, &mut inheritance)? {
                tokio::spawn(carry(Arc::clone(&shared), channel, queue));
                return Ok((Self { shared }, inheritance));
            }
        }
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    /// The process id of the present keeper.
    pub(super) fn keeper(&self) -> i32 {
        self.shared.keeper.load(Ordering::Relaxed)
    }

    /// Asks for a child and waits until it is made.
    pub(super) async fn launch(
        &self,
        key: &str,
        kind: ChildKind,
        shape: Shape,
        fds: Vec<OwnedFd>,
    ) -> Result<Process, Unmade> {
        let (asker, wait) = oneshot::channel();
        let launch = Out::Launch {
            key: key.to_owned(),
            kind,
            shape,
            fds,
            asker,
        };
        // The queue's reader lives as long as the runtime.
        self.shared.outgoing.send(launch).ok();
        wait.await.map_err(|_| Unmade::Orphaned)?
    }

    /// Watches a process 1 that is no child of the keeper.
    pub(super) fn watch_orphan(&self, key: &str, pid: i32, pidfd: OwnedFd) -> Process {
        let pidfd = Arc::new(pidfd);
        let (exit, wait) = oneshot::channel();
        let child = Child {
            kind: ChildKind::Container,
            pid,
            pidfd: Some(Arc::clone(&pidfd)),
            exit: Some(exit),
        };
        self.shared.state().children.insert(key.to_owned(), child);
        self.shared.watch(key.to_owned(), pid, Arc::clone(&pidfd));
        Process {
            pid,
            pidfd: Some(pidfd),
            exit: wait,
        }
    }

    /// Watches such a process, and has its pidfd held for the supervisor after
    /// this one, which finds the process by its number where that fails.
    pub(super) fn take_orphan(&self, key: &str, pid: i32, pidfd: OwnedFd) -> Process {
        if let Ok(copy) = pidfd.try_clone() {
            self.hold(&Self::orphan_key(key), copy).ok();
        }
        self.watch_orphan(key, pid, pidfd)
    }

    /// The name under which the pidfd of such a process is held.
    pub(super) fn orphan_key(key: &str) -> String {
        format!("{key}/{PIDFD}")
    }

    /// Has a descriptor held under a name.
    pub(super) fn hold(&self, key: &str, fd: OwnedFd) -> io::Result<Arc<OwnedFd>> {
        let copy = fd.try_clone()?;
        let fd = Arc::new(fd);
        self.remember(key, Arc::clone(&fd));
        self.send(
            ToKeeper::Hold {
                key: key.to_owned(),
            },
            vec![copy],
        );
        Ok(fd)
    }

    /// Notes a descriptor that the keeper holds already.
    pub(super) fn remember(&self, key: &str, fd: Arc<OwnedFd>) {
        self.shared.state().held.insert(key.to_owned(), fd);
    }

    /// A descriptor that is held under this name.
    pub(super) fn held(&self, key: &str) -> Option<Arc<OwnedFd>> {
        self.shared.state().held.get(key).cloned()
    }

    /// Lets go of a name and those below it.
    pub(super) fn release(&self, prefix: &str) {
        let below = format!("{prefix}/");
        self.shared
            .state()
            .held
            .retain(|key, _| key != prefix && !key.starts_with(&below));
        self.send(
            ToKeeper::Release {
                prefix: prefix.to_owned(),
            },
            Vec::new(),
        );
    }

    /// The exit of this child is dealt with.
    pub(super) fn acknowledge(&self, key: &str) {
        self.shared.state().children.remove(key);
        self.send(
            ToKeeper::Ack {
                key: key.to_owned(),
            },
            Vec::new(),
        );
    }

    /// Returns when the keeper has answered, or has died: then the next one is
    /// on its way.
    pub(super) async fn ping(&self) {
        let (answer, wait) = oneshot::channel();
        self.shared.state().pings.push(answer);
        self.send(ToKeeper::Ping, Vec::new());
        wait.await.ok();
    }

    /// This supervisor can be talked to.
    pub(super) fn ready(&self) {
        self.send(ToKeeper::Ready, Vec::new());
    }

    /// Has the keeper go on as another binary; returns when it was told.
    pub(super) async fn reexec(&self, binary: OwnedFd) {
        self.send(ToKeeper::Reexec, vec![binary]);
        self.flushed().await;
    }

    /// Has the keeper end when this process has ended, and hold the lock until
    /// then; returns when it was told.
    pub(super) async fn finish(&self, locks: Vec<OwnedFd>) {
        self.send(ToKeeper::Finish, locks);
        self.flushed().await;
    }

    async fn flushed(&self) {
        let (done, wait) = oneshot::channel();
        if self.shared.outgoing.send(Out::Barrier(done)).is_ok() {
            wait.await.ok();
        }
    }

    fn send(&self, message: ToKeeper, fds: Vec<OwnedFd>) {
        // The queue's reader lives as long as the runtime.
        self.shared.outgoing.send(Out::Message(message, fds)).ok();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves maps that are still maps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one packet of the answer to `Adopt`; true at its end.
    fn inherit(&self, packet: Packet, inheritance: &mut Inheritance) -> io::Result<bool> {
        let message = packet.parse()?;
        match message {
            FromKeeper::Held { keys } => inheritance.held.extend(keys.into_iter().zip(packet.fds)),
            FromKeeper::Child {
                key,
                kind,
                pid,
                ended,
            } => {
                let pidfd = packet.fds.into_iter().next().map(Arc::new);
                let (sender, exit) = oneshot::channel();
                let mut child = Child {
                    kind,
                    pid,
                    pidfd: pidfd.clone(),
                    exit: None,
                };
                match ended {
                    Some(ended) => drop(sender.send(ended)),
                    None => child.exit = Some(sender),
                }
                self.state().children.insert(key.clone(), child);
                inheritance
                    .processes
                    .insert(key, (kind, Process { pid, pidfd, exit }));
            }
            FromKeeper::Adopted { version, pid } => {
                self.keeper.store(pid, Ordering::Relaxed);
                if version > KEEPER_VERSION {
                    return Err(io::Error::new(
                        io::ErrorKind::Unsupported,
                        format!("the keeper speaks version {version}, this skiff {KEEPER_VERSION}"),
                    ));
                }
                return Ok(true);
            }
            FromKeeper::Pong
            | FromKeeper::Launched { .. }
            | FromKeeper::LaunchFailed { .. }
            | FromKeeper::Exited { .. } => {}
        }
        Ok(false)
    }

    fn take(&self, packet: Packet) {
        let Ok(message) = packet.parse() else {
            return;
        };
        match message {
            FromKeeper::Launched { key, pid } => {
                if let Some(pidfd) = packet.fds.into_iter().next() {
                    self.launched(key, pid, Arc::new(pidfd));
                }
            }
            FromKeeper::LaunchFailed { key, message } => {
                if let Some(answer) = self.state().launches.remove(&key) {
                    answer.send(Err(Unmade::Failed(message))).ok();
                }
            }
            // Told now, or found by a new keeper in the old one's journal.
            FromKeeper::Exited { key, pid, ended }
            | FromKeeper::Child {
                key,
                pid,
                ended: Some(ended),
                ..
            } => self.ended(&key, pid, ended),
            FromKeeper::Pong => {
                for answer in self.state().pings.drain(..) {
                    // Whoever asked may have given up.
                    answer.send(()).ok();
                }
            }
            FromKeeper::Adopted { pid, .. } => self.keeper.store(pid, Ordering::Relaxed),
            FromKeeper::Child { .. } | FromKeeper::Held { .. } => {}
        }
    }

    fn launched(&self, key: String, pid: i32, pidfd: Arc<OwnedFd>) {
        let (sender, exit) = oneshot::channel();
        let mut state = self.state();
        let answer = state.launches.remove(&key);
        let kind = if key.contains('/') {
            ChildKind::Exec
        } else {
            ChildKind::Container
        };
        let child = Child {
            kind,
            pid,
            pidfd: Some(Arc::clone(&pidfd)),
            exit: Some(sender),
        };
        state.children.insert(key, child);
        drop(state);
        if let Some(answer) = answer {
            // Whoever asked may have given up; the exit is acknowledged all
            // the same when it comes.
            answer
                .send(Ok(Process {
                    pid,
                    pidfd: Some(pidfd),
                    exit,
                }))
                .ok();
        }
    }

    /// Tells of an exit once; later tellings of the same are ignored.
    fn ended(&self, key: &str, pid: i32, ended: Ended) {
        let exit = self
            .state()
            .children
            .get_mut(key)
            .filter(|child| child.pid == pid)
            .and_then(|child| child.exit.take());
        if exit.is_none_or(|exit| exit.send(ended).is_err()) {
            // Nobody waits for it (a probe that was given up).
            let ack = ToKeeper::Ack {
                key: key.to_owned(),
            };
            self.outgoing.send(Out::Message(ack, Vec::new())).ok();
        }
    }

    /// Watches a process that no keeper can wait for.
    fn watch(self: &Arc<Self>, key: String, pid: i32, pidfd: Arc<OwnedFd>) {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let ended = orphan::wait(pid, &pidfd).await;
            shared.ended(&key, pid, ended);
        });
    }

    /// The keeper died: its children go on as orphans. What is to be told to
    /// its successor first.
    fn orphaned(self: &Arc<Self>) -> Vec<(ToKeeper, Vec<OwnedFd>)> {
        // What it had written down before it could tell.
        let journal = self.identity.layout.exit_journal(&self.identity.project);
        for entry in read_journal(&journal).unwrap_or_default() {
            self.ended(&entry.key, entry.pid, entry.ended);
        }
        let mut state = self.state();
        // Dropping the senders tells the askers.
        state.launches.clear();
        state.pings.clear();
        let mut again = vec![(ToKeeper::Ready, Vec::new()), (ToKeeper::Adopt, Vec::new())];
        let mut orphans = Vec::new();
        for (key, child) in &state.children {
            if let (Some(pidfd), true) = (&child.pidfd, child.exit.is_some()) {
                orphans.push((key.clone(), child.kind, child.pid, Arc::clone(pidfd)));
            }
        }
        for (key, kind, pid, pidfd) in orphans {
            if kind == ChildKind::Container {
                state
                    .held
                    .insert(Link::orphan_key(&key), Arc::clone(&pidfd));
            }
            self.watch(key, pid, pidfd);
        }
        for (key, fd) in &state.held {
            // Without descriptors left it cannot be held a second time; it is
            // held here as long as this process lives.
            if let Ok(copy) = fd.try_clone() {
                again.push((ToKeeper::Hold { key: key.clone() }, vec![copy]));
            }
        }
        again
    }
}

/// Carries both directions for as long as the runtime lives, over one keeper
/// after the other.
async fn carry(shared: Arc<Shared>, channel: Channel, queue: UnboundedReceiver<Out>) {
    let mut channel = channel;
    let mut queue = queue;
    let mut keepers = revive::Keepers::new();
    loop {
        let unsent = converse(&shared, &channel, &mut queue).await;
        drop(channel);
        let mut again = shared.orphaned();
        again.extend(unsent);
        channel = keepers.next(&shared.identity).await;
        for (message, fds) in again {
            if channel.send(&message, fds).await.is_err() {
                break;
            }
        }
    }
}

/// Talks with one keeper until it dies; answers the message that it did not
/// take.
async fn converse(
    shared: &Shared,
    channel: &Channel,
    queue: &mut UnboundedReceiver<Out>,
) -> Option<(ToKeeper, Vec<OwnedFd>)> {
    loop {
        tokio::select! {
            packet = channel.receive() => match packet {
                Ok(Some(packet)) => shared.take(packet),
                Ok(None) | Err(_) => return None,
            },
            out = queue.recv() => match out {
                Some(Out::Message(message, fds)) => {
                    if channel.send(&message, fds).await.is_err() {
                        return is_wanted_again(&message).then_some((message, Vec::new()));
                    }
                }
                Some(Out::Launch { key, kind, shape, fds, asker }) => {
                    // Known before the answer can come.
                    shared.state().launches.insert(key.clone(), asker);
                    let message = ToKeeper::Launch { key, kind, shape };
                    if channel.send(&message, fds).await.is_err() {
                        return None;
                    }
                }
                Some(Out::Barrier(done)) => drop(done.send(())),
                None => std::future::pending().await,
            },
        }
    }
}

/// Whether a message makes sense to a new keeper too: a launch has been given
/// up by then, and what is held is told to it anyway.
fn is_wanted_again(message: &ToKeeper) -> bool {
    match message {
        ToKeeper::Ack { .. } => true,
        ToKeeper::Ready
        | ToKeeper::Adopt
        | ToKeeper::Ping
        | ToKeeper::Launch { .. }
        | ToKeeper::Hold { .. }
        | ToKeeper::Release { .. }
        | ToKeeper::Reexec
        | ToKeeper::Finish => false,
    }
}
