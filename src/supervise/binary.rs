//! The binary that keeper and supervisor are started from.
//!
//! A process in a container could write to the file behind `/proc/PID/exe` of
//! a process of ours that is joining it (CVE-2019-5736), so both run from a
//! descriptor through which nothing can be written.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::{Mode, OFlags, StatVfsMountFlags};

const OWN: &str = "/proc/self/exe";

/// The running binary, sealed.
pub(crate) fn own() -> io::Result<OwnedFd> {
    let running = rustix::fs::open(OWN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mount = rustix::fs::fstatvfs(&running)?.f_flag;
    // Started from such a descriptor: the file is seen through it.
    if mount.contains(StatVfsMountFlags::RDONLY) {
        return Ok(running);
    }
    crate::engine::prepare::sealed_exe()
}

/// A command line that runs a hidden command of this binary, with an empty
/// environment. (Its own first step is to go to `/`: a folder set here would
/// cost a fork of the whole caller.)
pub(crate) fn command(binary: &OwnedFd, name: &str) -> Command {
    let mut command = Command::new(format!("/proc/self/fd/{}", binary.as_raw_fd()));
    command.arg0("skiff").arg(name).env_clear();
    command
}
