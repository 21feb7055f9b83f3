//! Starting processes of containers, from the keeper.
//!
//! The caller must be single-threaded: the child runs ordinary Rust code
//! between clone and exec.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

/// The descriptors of one process to be started.
///
/// They cross from supervisor to keeper as a plain list; [`Shape`] says which
/// of them is which.
#[derive(Debug)]
pub struct LaunchFds {
    /// Sealed memfd with the JSON of an `InitSpec` or an `ExecSpec`.
    pub spec: OwnedFd,
    /// One end of a SOCK_SEQPACKET pair, close-on-exec in the child. The child
    /// sends one JSON `InitError` on failure; with a terminal, one message with
    /// the pty's master first. End of file without an error means that exec
    /// succeeded.
    pub sync: OwnedFd,
    /// Standard input, output, error; all absent for a terminal.
    pub stdio: Option<[OwnedFd; 3]>,
    /// Network namespace to join; absent: the keeper's (or, for an exec, the target's).
    pub netns: Option<OwnedFd>,
    /// cgroup v2: one directory, for `CLONE_INTO_CGROUP`. v1 and hybrid: any
    /// number of `cgroup.procs` files that the child writes `0` to.
    pub cgroup: CgroupFds,
    /// Compiled seccomp filter (an array of `struct sock_filter`) as a memfd.
    pub filter: Option<OwnedFd>,
    /// Exec only: pidfd of the container's process 1.
    pub target: Option<OwnedFd>,
}

/// How a child enters its control group.
#[derive(Debug)]
pub enum CgroupFds {
    /// A cgroup v2 directory.
    V2(OwnedFd),
    /// `cgroup.procs` files.
    Procs(Vec<OwnedFd>),
}

/// Which descriptors of a list are which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Three descriptors of standard streams follow spec and sync.
    pub stdio: bool,
    /// Then a network namespace.
    pub netns: bool,
    /// Then a cgroup v2 directory.
    pub cgroup_v2: bool,
    /// Or so many `cgroup.procs` files.
    pub cgroup_procs: u8,
    /// Then a filter.
    pub filter: bool,
    /// Then the target.
    pub target: bool,
}
