//! Starting processes of containers, from the keeper.
//!
//! The caller must be single-threaded: the child runs ordinary Rust code
//! between clone and exec. Nothing here blocks, reads a spec or waits for the
//! child; what becomes of it is told over [`LaunchFds::sync`], see [`receive`].

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::net::RecvFlags;
use rustix::process::{Pid, PidfdFlags};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
use serde::{Deserialize, Serialize};

use super::init;
use super::spec::InitError;
use super::sys::{self, CloneFlags, Cloned, helpers};

/// What the message says that brings a terminal's master.
pub(super) const CONSOLE_MESSAGE: &[u8] = b"console";

/// What a child says once all is set up, right before its program may run.
pub(super) const READY_MESSAGE: &[u8] = b"ready";

/// The longest message on `sync`, bytes.
const MESSAGE_LIMIT: usize = 64 * 1024;

/// The descriptors of one process to be started.
///
/// They cross from supervisor to keeper as a plain list; [`Shape`] says which
/// of them is which.
#[derive(Debug)]
pub struct LaunchFds {
    /// Sealed memfd with the JSON of an `InitSpec` or an `ExecSpec`.
    pub spec: OwnedFd,
    /// One end of a `SOCK_SEQPACKET` pair, close-on-exec in the child. The child
    /// sends one JSON `InitError` on failure; with a terminal, one message with
    /// the pty's master first. End of file without an error means that exec
    /// succeeded.
    pub sync: OwnedFd,
    /// Standard input, output, error; all absent for a terminal.
    pub stdio: Option<[OwnedFd; 3]>,
    /// Network namespace to join; absent: the keeper's (or, for an exec, the target's).
    pub netns: Option<OwnedFd>,
    /// Its control groups.
    pub cgroup: CgroupFds,
    /// Compiled seccomp filter (an array of `struct sock_filter`) as a memfd.
    pub filter: Option<OwnedFd>,
    /// pidfd of a container's process 1: whose namespaces an exec joins, or
    /// whose pid namespace a container shares ([`PidNamespace::Target`]).
    pub target: Option<OwnedFd>,
    /// The pid namespace of a new container; an exec is always in its target's.
    pub pid: PidNamespace,
}

/// How a child enters its control groups: the way that stops nobody.
///
/// A write to `cgroup.procs` takes a lock that every fork, exec and exit on the
/// machine shares, and waits until all processors have noticed: 10 ms and more,
/// each time. Being born in a group takes no such lock, nor does a thread that
/// moves only itself.
#[derive(Debug, Default)]
pub struct CgroupFds {
    /// A directory of the unified hierarchy, for `CLONE_INTO_CGROUP`.
    pub unified: Option<OwnedFd>,
    /// `tasks` files of version 1 hierarchies, which the child, a single
    /// thread, writes `0` to.
    pub tasks: Vec<OwnedFd>,
}

/// The pid namespace of a new container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PidNamespace {
    /// One of its own.
    #[default]
    New,
    /// The keeper's.
    Host,
    /// That of the process that [`LaunchFds::target`] refers to.
    Target,
}

impl PidNamespace {
    /// What a spec asks for: one of its own where it lists `pid` without a
    /// path. (The keeper never reads a spec, so it is told.)
    pub fn of(spec: &Spec) -> Self {
        let listed = spec
            .linux()
            .as_ref()
            .and_then(|linux| linux.namespaces().as_ref())
            .and_then(|list| list.iter().find(|one| one.typ() == LinuxNamespaceType::Pid));
        match listed {
            None => Self::Host,
            Some(one) if one.path().is_some() => Self::Target,
            Some(_) => Self::New,
        }
    }
}

/// Which descriptors of a list are which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says whether one optional descriptor is in the list"
)]
pub struct Shape {
    /// Three descriptors of standard streams follow spec and sync.
    pub stdio: bool,
    /// Then a network namespace.
    pub netns: bool,
    /// Then a directory of the unified hierarchy.
    pub cgroup_unified: bool,
    /// Then so many `tasks` files.
    pub cgroup_tasks: u8,
    /// Then a filter.
    pub filter: bool,
    /// Then the target.
    pub target: bool,
    /// No descriptor: the pid namespace.
    pub pid: PidNamespace,
}

impl Shape {
    /// How many descriptors such a list has.
    pub fn count(&self) -> usize {
        2 + 3 * usize::from(self.stdio)
            + usize::from(self.netns)
            + usize::from(self.cgroup_unified)
            + usize::from(self.cgroup_tasks)
            + usize::from(self.filter)
            + usize::from(self.target)
    }
}

impl LaunchFds {
    /// The plain list, in the order of [`Shape`]'s fields.
    pub fn into_list(self) -> (Shape, Vec<OwnedFd>) {
        let shape = Shape {
            stdio: self.stdio.is_some(),
            netns: self.netns.is_some(),
            cgroup_unified: self.cgroup.unified.is_some(),
            cgroup_tasks: u8::try_from(self.cgroup.tasks.len()).unwrap_or(u8::MAX),
            filter: self.filter.is_some(),
            target: self.target.is_some(),
            pid: self.pid,
        };
        let list = [self.spec, self.sync]
            .into_iter()
            .chain(self.stdio.into_iter().flatten())
            .chain(self.netns)
            .chain(self.cgroup.unified)
            .chain(self.cgroup.tasks)
            .chain(self.filter)
            .chain(self.target)
            .collect();
        (shape, list)
    }

    /// The reverse of [`LaunchFds::into_list`].
    ///
    /// # Errors
    /// [`LaunchError::Shape`] where list and shape do not agree; the
    /// descriptors are closed then.
    pub fn from_list(shape: Shape, list: Vec<OwnedFd>) -> Result<Self, LaunchError> {
        let wrong = LaunchError::Shape {
            expected: shape.count(),
            received: list.len(),
        };
        if shape.count() != list.len() {
            return Err(wrong);
        }
        let mut rest = list.into_iter();
        let mut take = |wanted: bool| if wanted { rest.next() } else { None };
        let (Some(spec), Some(sync)) = (take(true), take(true)) else {
            return Err(wrong);
        };
        let stdio = match (take(shape.stdio), take(shape.stdio), take(shape.stdio)) {
            (Some(input), Some(output), Some(error)) => Some([input, output, error]),
            _ => None,
        };
        let netns = take(shape.netns);
        let cgroup = CgroupFds {
            unified: take(shape.cgroup_unified),
            tasks: (0..shape.cgroup_tasks).filter_map(|_| take(true)).collect(),
        };
        Ok(Self {
            spec,
            sync,
            stdio,
            netns,
            cgroup,
            filter: take(shape.filter),
            target: take(shape.target),
            pid: shape.pid,
        })
    }

    fn all(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.spec, &self.sync]
            .into_iter()
            .chain(self.stdio.iter().flatten())
            .chain(&self.netns)
            .chain(&self.cgroup.unified)
            .chain(&self.cgroup.tasks)
            .chain(&self.filter)
            .chain(&self.target)
            .map(AsFd::as_fd)
    }

    /// Closes, in the child, everything of the keeper's that is not in here.
    pub(super) fn close_others(&self) {
        let mut kept: Vec<u32> = self
            .all()
            .filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok())
            .collect();
        kept.sort_unstable();
        let mut first = 3;
        for fd in kept {
            if fd > first {
                // A kernel before 5.9 closes them at exec: all are close-on-exec.
                sys::close_range(first, fd - 1).ok();
            }
            first = first.max(fd + 1);
        }
        sys::close_range(first, u32::MAX).ok();
    }
}

/// A child that was made.
#[derive(Debug)]
pub struct Spawned {
    /// As the keeper sees it.
    pub pid: Pid,
    /// Held from birth, close-on-exec.
    pub pidfd: OwnedFd,
}

/// Why no child was made.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The descriptors that came are not those that were announced.
    #[error("the launch list has {received} descriptors, its shape says {expected}")]
    Shape {
        /// By the shape.
        expected: usize,
        /// In the list.
        received: usize,
    },
    /// clone3(2) failed: `EAGAIN` at a pids limit, `EBUSY` in a cgroup that
    /// has controllers for its children.
    #[error("cannot clone a process")]
    Clone(#[source] io::Error),
    /// The pid namespace of the target cannot be joined: it has ended.
    #[error("cannot join the container's pid namespace")]
    Namespace(#[source] io::Error),
    /// The keeper could not go back to its own pid namespace. It must not
    /// clone any more.
    #[error("cannot return to the keeper's pid namespace")]
    Return(#[source] io::Error),
    /// A target is needed and none was given.
    #[error("the launch list has no target process")]
    NoTarget,
    /// The cgroup is frozen, so that the child could not run.
    #[error("the container is paused; unpause it first")]
    Frozen,
}

/// Clones the first process of a container.
///
/// # Errors
/// [`LaunchError`]; what goes wrong in the child comes over `sync`.
pub fn spawn_container(fds: &LaunchFds) -> Result<Spawned, LaunchError> {
    match fds.pid {
        PidNamespace::New => spawn(fds, true, init::run_container),
        PidNamespace::Host => spawn(fds, false, init::run_container),
        PidNamespace::Target => {
            in_target_pid_namespace(fds, || spawn(fds, false, init::run_container))
        }
    }
}

/// Clones a further process into the container that `target` is process 1 of.
///
/// # Errors
/// [`LaunchError`]; what goes wrong in the child comes over `sync`.
pub fn spawn_exec(fds: &LaunchFds) -> Result<Spawned, LaunchError> {
    in_target_pid_namespace(fds, || spawn(fds, false, init::run_exec))
}

fn spawn(
    fds: &LaunchFds,
    new_pid: bool,
    run: fn(&LaunchFds) -> i32,
) -> Result<Spawned, LaunchError> {
    let cgroup = fds.cgroup.unified.as_ref().map(AsFd::as_fd);
    if cgroup.is_some_and(is_frozen) {
        return Err(LaunchError::Frozen);
    }
    match sys::clone_process(CloneFlags { new_pid, cgroup }).map_err(LaunchError::Clone)? {
        Cloned::Parent { pid, pidfd } => Ok(Spawned { pid, pidfd }),
        Cloned::Child => sys::exit_now(run(fds)),
    }
}

/// A child born in a frozen cgroup would stay there without running. The
/// group's own setting counts at once, that of one above once it is in force.
fn is_frozen(directory: BorrowedFd<'_>) -> bool {
    has_line(directory, "cgroup.freeze", b"1") || has_line(directory, "cgroup.events", b"frozen 1")
}

fn has_line(directory: BorrowedFd<'_>, name: &str, wanted: &[u8]) -> bool {
    let mut text = [0_u8; 128];
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
        .and_then(|file| rustix::io::read(&file, &mut text))
        .is_ok_and(|length| {
            let text = text.get(..length).unwrap_or_default();
            text.split(|byte| *byte == b'\n').any(|line| line == wanted)
        })
}

/// Lets children be born in the target's pid namespace while `make` runs
/// (setns with a pidfd, Linux 5.8). The keeper itself stays where it is.
fn in_target_pid_namespace(
    fds: &LaunchFds,
    make: impl FnOnce() -> Result<Spawned, LaunchError>,
) -> Result<Spawned, LaunchError> {
    let target = fds.target.as_ref().ok_or(LaunchError::NoTarget)?;
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
        .map_err(|errno| LaunchError::Return(errno.into()))?;
    move_into_thread_name_spaces(target.as_fd(), ThreadNameSpaceType::PROCESS_ID)
        .map_err(|errno| LaunchError::Namespace(errno.into()))?;
    let made = make();
    move_into_thread_name_spaces(own.as_fd(), ThreadNameSpaceType::PROCESS_ID)
        .map_err(|errno| LaunchError::Return(errno.into()))?;
    made
}

/// What a child tells over `sync`, in this order.
#[derive(Debug)]
pub enum SyncMessage {
    /// The master of its terminal.
    Console(OwnedFd),
    /// A container's first process is set up: from here on its program may run.
    /// Where this never comes, it never did.
    Ready,
    /// It failed and ends; nothing follows.
    Failed(InitError),
    /// End of file: its program runs, or it failed before and said so, or it
    /// was killed (then its exit says so).
    Closed,
}

/// Reads one message of a child from the other end of `sync`.
///
/// With `RecvFlags::DONTWAIT` it never blocks.
///
/// # Errors
/// `EAGAIN` where nothing has come yet; `EBADMSG` for what no child sends.
pub fn receive(sync: BorrowedFd<'_>, flags: RecvFlags) -> io::Result<SyncMessage> {
    let mut buffer = vec![0_u8; MESSAGE_LIMIT];
    let (length, fds) = match helpers::recv_with_fds(sync, &mut buffer, flags) {
        // A child that was killed with something unread at its end.
        Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => (0, Vec::new()),
        other => other?,
    };
    let message = buffer.get(..length).unwrap_or_default();
    if message.is_empty() {
        return Ok(SyncMessage::Closed);
    }
    let bad = || io::Error::from_raw_os_error(libc::EBADMSG);
    if message == CONSOLE_MESSAGE {
        return fds
            .into_iter()
            .next()
            .map(SyncMessage::Console)
            .ok_or_else(bad);
    }
    if message == READY_MESSAGE {
        return Ok(SyncMessage::Ready);
    }
    serde_json::from_slice(message)
        .map(SyncMessage::Failed)
        .map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn numbered(count: usize) -> Vec<OwnedFd> {
        let memfd = |_| crate::engine::prepare::sealed_memfd("x", b"").unwrap();
        (0..count).map(memfd).collect()
    }

    fn inode(fd: &OwnedFd) -> u64 {
        File::from(fd.try_clone().unwrap())
            .metadata()
            .unwrap()
            .ino()
    }

    #[test]
    fn list_of_every_shape_comes_back_in_order() {
        for bits in 0..64_u8 {
            let has = |bit: u8| bits & (1 << bit) != 0;
            let shape = Shape {
                stdio: has(0),
                netns: has(1),
                cgroup_unified: has(2),
                cgroup_tasks: 3 * u8::from(has(3)),
                filter: has(4),
                target: has(5),
                pid: PidNamespace::Host,
            };
            let list = numbered(shape.count());
            let before: Vec<u64> = list.iter().map(inode).collect();
            let fds = LaunchFds::from_list(shape, list).unwrap();
            let (after, list) = fds.into_list();
            assert_eq!(after, shape);
            assert_eq!(list.iter().map(inode).collect::<Vec<_>>(), before);
        }
    }

    #[test]
    fn list_of_another_length_is_refused() {
        let shape = Shape {
            stdio: true,
            netns: false,
            cgroup_unified: false,
            cgroup_tasks: 0,
            filter: false,
            target: false,
            pid: PidNamespace::New,
        };
        let error = LaunchFds::from_list(shape, numbered(4)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the launch list has 4 descriptors, its shape says 5"
        );
    }
}
