//! The keeper's loop: one poll(2), no waiting anywhere else.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::message::{ChildKind, FromKeeper, KEEPER_VERSION, ToKeeper};
use super::store::{Life, Outgoing, Store, SupervisorEnd, pid, supervisor_end};
use crate::engine::launch::Shape;
use crate::supervise::packet::{self, Packet};
use crate::supervise::pauses::Pauses;

/// What the loop cannot do by itself: making processes.
pub(super) trait Host {
    /// Clones a child from its descriptors; must not wait for it.
    fn launch(
        &mut self,
        kind: ChildKind,
        shape: Shape,
        fds: Vec<OwnedFd>,
    ) -> Result<(i32, OwnedFd), String>;
    /// Starts a supervisor that has this socket as its standard input.
    fn supervisor(&mut self, socket: OwnedFd) -> io::Result<(i32, OwnedFd)>;
    /// Goes on as another binary; returns only where that failed.
    fn reexec(&mut self, binary: OwnedFd, state: Resume<'_>) -> io::Error;
}

/// What a newer image of this process needs.
#[derive(Debug)]
pub(super) struct Resume<'a> {
    /// Descriptors and children.
    pub(super) list: Vec<Outgoing>,
    /// The present supervisor.
    pub(super) supervisor: Option<&'a Supervisor>,
}

/// The present supervisor.
#[derive(Debug)]
pub(super) struct Supervisor {
    /// Its process id.
    pub(super) pid: i32,
    /// Its pidfd.
    pub(super) pidfd: OwnedFd,
    /// Our end of the conversation; `None` once it is over.
    pub(super) socket: Option<OwnedFd>,
    since: Instant,
    ready: bool,
}

impl Supervisor {
    /// Enters a supervisor that runs.
    pub(super) fn new(process: i32, pidfd: OwnedFd, socket: OwnedFd) -> Self {
        Self {
            pid: process,
            pidfd,
            socket: Some(socket),
            since: Instant::now(),
            ready: false,
        }
    }

    /// Finds the supervisor at the other end of a socket that it made.
    pub(super) fn of_socket(socket: OwnedFd) -> io::Result<Self> {
        let peer = rustix::net::sockopt::socket_peercred(&socket)?;
        let process = peer.pid.as_raw_nonzero().get();
        let pidfd =
            rustix::process::pidfd_open(pid(process)?, rustix::process::PidfdFlags::empty())?;
        Ok(Self::new(process, pidfd, socket))
    }
}

/// The keeper.
pub(super) struct Keeper<H> {
    pub(super) host: H,
    pub(super) store: Store,
    supervisor: Option<Supervisor>,
    outgoing: VecDeque<Outgoing>,
    pauses: Pauses,
    restart_at: Option<Instant>,
    finish: Option<Vec<OwnedFd>>,
    binary: Option<OwnedFd>,
}

/// What woke the loop.
enum Wake {
    Socket,
    Supervisor,
    Child(String),
}

impl<H: Host> Keeper<H> {
    /// A keeper; without a supervisor it starts one at once.
    pub(super) fn new(host: H, store: Store, supervisor: Option<Supervisor>) -> Self {
        let restart_at = supervisor.is_none().then(Instant::now);
        Self {
            host,
            store,
            supervisor,
            outgoing: VecDeque::new(),
            pauses: Pauses::new(),
            restart_at,
            finish: None,
            binary: None,
        }
    }

    /// Runs until nothing is left. The lock that came with the request to end
    /// is returned, to be held as long as anything is to be cleaned up.
    pub(super) fn run(mut self) -> io::Result<Vec<OwnedFd>> {
        loop {
            if let (Some(lock), None) = (&mut self.finish, &self.supervisor) {
                return Ok(std::mem::take(lock));
            }
            if self.restart_at.is_some_and(|at| at <= Instant::now()) {
                self.start_supervisor();
            }
            for wake in self.wait()? {
                match wake {
                    Wake::Child(key) => {
                        let message = self.store.reap(&key);
                        self.outgoing.extend(message);
                    }
                    Wake::Socket => self.receive(),
                    Wake::Supervisor => self.supervisor_ended(),
                }
            }
            self.flush();
            self.reexec();
        }
    }

    /// Goes on as the newer binary as soon as nothing is left to be sent.
    fn reexec(&mut self) {
        let Some(binary) = self.binary.take_if(|_| self.outgoing.is_empty()) else {
            return;
        };
        let state = Resume {
            list: self.store.list(),
            supervisor: self.supervisor.as_ref(),
        };
        // Where it fails, this image simply goes on.
        drop(self.host.reexec(binary, state));
    }

    fn wait(&self) -> io::Result<Vec<Wake>> {
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        let mut wakes = Vec::new();
        for (key, child) in &self.store.children {
            if let Life::Running { pidfd } = &child.life {
                fds.push(PollFd::new(pidfd, PollFlags::IN));
                wakes.push(Wake::Child(key.clone()));
            }
        }
        if let Some(supervisor) = &self.supervisor {
            if let Some(socket) = &supervisor.socket {
                let mut flags = PollFlags::IN;
                flags.set(PollFlags::OUT, !self.outgoing.is_empty());
                fds.push(PollFd::new(socket, flags));
                wakes.push(Wake::Socket);
            }
            fds.push(PollFd::new(&supervisor.pidfd, PollFlags::IN));
            wakes.push(Wake::Supervisor);
        }
        let timeout = self
            .restart_at
            .and_then(|at| Timespec::try_from(at.saturating_duration_since(Instant::now())).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        Ok(wakes
            .into_iter()
            .zip(ready)
            .filter(|(_, ready)| *ready)
            .map(|(wake, _)| wake)
            .collect())
    }

    fn start_supervisor(&mut self) {
        self.restart_at = None;
        let started = packet::pair().and_then(|(ours, theirs)| {
            let (process, pidfd) = self.host.supervisor(theirs)?;
            Ok(Supervisor::new(process, pidfd, ours))
        });
        if let Ok(supervisor) = started {
            self.supervisor = Some(supervisor);
        } else {
            let pause = self.pauses.after_failure();
            self.restart_after(pause);
        }
    }

    fn supervisor_ended(&mut self) {
        let end = self
            .supervisor
            .as_ref()
            .map_or(SupervisorEnd::NotYet, |one| supervisor_end(&one.pidfd));
        if end == SupervisorEnd::NotYet {
            return;
        }
        let Some(supervisor) = self.supervisor.take() else {
            return;
        };
        self.outgoing.clear();
        if self.finish.is_some() {
            return;
        }
        let age = supervisor.since.elapsed();
        let pause = self
            .pauses
            .after(end == SupervisorEnd::Killed, supervisor.ready, age);
        self.restart_after(pause);
    }

    fn restart_after(&mut self, pause: Duration) {
        self.restart_at = Some(Instant::now() + pause);
    }

    fn receive(&mut self) {
        while let Some(socket) = self.supervisor.as_ref().and_then(|one| one.socket.as_ref()) {
            match packet::receive(socket) {
                Ok(Some(packet)) => self.take(packet),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                // Over: the pidfd tells when the process has gone.
                Ok(None) | Err(_) => self.hang_up(),
            }
        }
    }

    fn hang_up(&mut self) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.socket = None;
        }
    }

    fn take(&mut self, packet: Packet) {
        let Ok(message) = packet.parse::<ToKeeper>() else {
            return;
        };
        let mut fds = packet.fds;
        match message {
            ToKeeper::Ready => {
                if let Some(supervisor) = &mut self.supervisor {
                    supervisor.ready = true;
                }
            }
            ToKeeper::Adopt => {
                let list = self.store.list();
                self.outgoing.extend(list);
                let pid = rustix::process::getpid().as_raw_nonzero().get();
                self.outgoing.push_back(
                    FromKeeper::Adopted {
                        version: KEEPER_VERSION,
                        pid,
                    }
                    .into(),
                );
            }
            ToKeeper::Launch { key, kind, shape } => {
                let message = match self.host.launch(kind, shape, fds) {
                    Ok((process, pidfd)) => self.store.add_child(key, kind, process, pidfd),
                    Err(message) => FromKeeper::LaunchFailed { key, message }.into(),
                };
                self.outgoing.push_back(message);
            }
            ToKeeper::Hold { key } => {
                if let Some(fd) = fds.pop() {
                    self.store.held.insert(key, Rc::new(fd));
                }
            }
            ToKeeper::Release { prefix } => self.store.release(&prefix),
            ToKeeper::Ack { key } => self.store.forget(&key),
            ToKeeper::Ping => self.outgoing.push_back(FromKeeper::Pong.into()),
            ToKeeper::Reexec => self.binary = fds.pop(),
            ToKeeper::Finish => self.finish = Some(fds),
        }
    }

    fn flush(&mut self) {
        while let Some(next) = self.outgoing.front() {
            let Some(socket) = self.supervisor.as_ref().and_then(|one| one.socket.as_ref()) else {
                return;
            };
            let fds: Vec<BorrowedFd<'_>> = next.fds.iter().map(|fd| fd.as_fd()).collect();
            match packet::send(socket, &next.message, &fds) {
                Ok(()) => drop(self.outgoing.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // A dead peer: what matters is in the store.
                Err(_) => return self.hang_up(),
            }
        }
    }
}
