//! What the keeper holds: descriptors by name, and children.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::journal::{ExitEntry, Journal};
use super::message::{ChildKind, Ended, FromKeeper};
use crate::engine::process::has_ended;
use crate::supervise::packet::FD_LIMIT;

/// A process that this keeper cloned, or an unacknowledged exit.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) kind: ChildKind,
    pub(super) pid: i32,
    pub(super) life: Life,
}

/// Where a child stands.
#[derive(Debug)]
pub(super) enum Life {
    /// It runs, or is a zombie that the loop has not seen yet.
    Running {
        /// Its pidfd.
        pidfd: Rc<OwnedFd>,
    },
    /// It ended and is in the journal (in a slot, unless that write failed).
    Ended { ended: Ended, slot: Option<usize> },
}

/// A message to the supervisor with its descriptors.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) message: FromKeeper,
    pub(super) fds: Vec<Rc<OwnedFd>>,
}

impl From<FromKeeper> for Outgoing {
    fn from(message: FromKeeper) -> Self {
        Self {
            message,
            fds: Vec::new(),
        }
    }
}

/// All that must survive a supervisor.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) held: BTreeMap<String, Rc<OwnedFd>>,
    pub(super) children: BTreeMap<String, Child>,
    journal: Journal,
}

impl Store {
    /// Opens the journal and takes over the exits that are in it.
    pub(super) fn open(journal: &std::path::Path) -> io::Result<Self> {
        let (journal, left) = Journal::open(journal)?;
        let children = left
            .into_iter()
            .map(|(slot, entry)| {
                let life = Life::Ended {
                    ended: entry.ended,
                    slot: Some(slot),
                };
                (
                    entry.key,
                    Child {
                        kind: entry.kind,
                        pid: entry.pid,
                        life,
                    },
                )
            })
            .collect();
        Ok(Self {
            held: BTreeMap::new(),
            children,
            journal,
        })
    }

    /// Enters a new child and makes the message that tells of it.
    pub(super) fn add_child(
        &mut self,
        key: String,
        kind: ChildKind,
        pid: i32,
        pidfd: OwnedFd,
    ) -> Outgoing {
        let pidfd = Rc::new(pidfd);
        let fds = vec![Rc::clone(&pidfd)];
        self.forget(&key);
        let child = Child {
            kind,
            pid,
            life: Life::Running { pidfd },
        };
        self.children.insert(key.clone(), child);
        Outgoing {
            message: FromKeeper::Launched { key, pid },
            fds,
        }
    }

    /// Closes a descriptor and those below it.
    pub(super) fn release(&mut self, prefix: &str) {
        self.held.retain(|key, _| {
            !key.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
    }

    /// Drops a child whose exit was dealt with; a running one stays.
    pub(super) fn forget(&mut self, key: &str) {
        if let Some(Child {
            life: Life::Ended { slot, .. },
            ..
        }) = self.children.get(key)
        {
            if let Some(slot) = *slot {
                // A slot that cannot be freed costs its space and nothing
                // else: the supervisor ignores exits of unknown runs.
                self.journal.free(slot).ok();
            }
            self.children.remove(key);
        }
    }

    /// Reaps a child whose pidfd is readable: journal first, then the message.
    pub(super) fn reap(&mut self, key: &str) -> Option<Outgoing> {
        let child = self.children.get_mut(key)?;
        let Life::Running { pidfd } = &child.life else {
            return None;
        };
        let code = match waitid(
            WaitId::PidFd(pidfd.as_fd()),
            WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
        ) {
            Ok(Some(status)) => status
                .exit_status()
                .or_else(|| status.terminating_signal().map(|signal| 128 + signal)),
            Ok(None) | Err(rustix::io::Errno::INTR) => return None,
            // Reaped by someone else, which nothing does: the code is lost.
            Err(_) => None,
        };
        let ended = Ended { code, at: now() };
        let entry = ExitEntry {
            key: key.to_owned(),
            kind: child.kind,
            pid: child.pid,
            ended,
        };
        // Without room for the journal the exit is still told and kept here.
        let slot = self.journal.append(&entry).ok();
        child.life = Life::Ended { ended, slot };
        Some(
            FromKeeper::Exited {
                key: entry.key,
                pid: entry.pid,
                ended,
            }
            .into(),
        )
    }

    /// Everything, as the answer to [`super::message::ToKeeper::Adopt`].
    pub(super) fn list(&self) -> Vec<Outgoing> {
        let held: Vec<_> = self.held.iter().collect();
        let mut list: Vec<Outgoing> = held
            .chunks(FD_LIMIT)
            .map(|part| Outgoing {
                message: FromKeeper::Held {
                    keys: part.iter().map(|(key, _)| (*key).clone()).collect(),
                },
                fds: part.iter().map(|(_, fd)| Rc::clone(fd)).collect(),
            })
            .collect();
        list.extend(self.children.iter().map(|(key, child)| {
            let (ended, fds) = match &child.life {
                Life::Running { pidfd } => (None, vec![Rc::clone(pidfd)]),
                Life::Ended { ended, .. } => (Some(*ended), Vec::new()),
            };
            let message = FromKeeper::Child {
                key: key.clone(),
                kind: child.kind,
                pid: child.pid,
                ended,
            };
            Outgoing { message, fds }
        }));
        list
    }

    /// Enters what an earlier image of this process had.
    pub(super) fn restore(&mut self, message: FromKeeper, fds: Vec<OwnedFd>) {
        match message {
            FromKeeper::Held { keys } => {
                self.held
                    .extend(keys.into_iter().zip(fds.into_iter().map(Rc::new)));
            }
            FromKeeper::Child {
                key,
                kind,
                pid,
                ended: None,
            } => {
                if let Some(pidfd) = fds.into_iter().next() {
                    let life = Life::Running {
                        pidfd: Rc::new(pidfd),
                    };
                    self.children.insert(key, Child { kind, pid, life });
                }
            }
            // Ended children come from the journal; the rest is no state.
            FromKeeper::Child { .. }
            | FromKeeper::Adopted { .. }
            | FromKeeper::Pong
            | FromKeeper::Launched { .. }
            | FromKeeper::LaunchFailed { .. }
            | FromKeeper::Exited { .. } => {}
        }
    }
}

/// Nanoseconds since the epoch.
pub(super) fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// How a supervisor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SupervisorEnd {
    /// It runs.
    NotYet,
    /// Somebody killed it.
    Killed,
    /// It gave up, or nobody can know.
    ByItself,
}

/// Whether the process behind a pidfd has ended; reaps it.
pub(super) fn supervisor_end(pidfd: impl AsFd) -> SupervisorEnd {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    match waitid(WaitId::PidFd(pidfd.as_fd()), options) {
        Ok(Some(status)) if status.terminating_signal() == Some(libc::SIGKILL) => {
            SupervisorEnd::Killed
        }
        Ok(Some(_)) => SupervisorEnd::ByItself,
        // No child of ours, but the one that started this keeper.
        Err(rustix::io::Errno::CHILD) if has_ended(pidfd.as_fd()).unwrap_or(false) => {
            SupervisorEnd::ByItself
        }
        Ok(None) | Err(_) => SupervisorEnd::NotYet,
    }
}

/// A raw process id as rustix takes it.
pub(super) fn pid(raw: i32) -> io::Result<Pid> {
    Pid::from_raw(raw).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}
