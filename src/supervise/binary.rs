//! The binary that keeper and supervisor are started from.
//!
//! A process in a container could write to the file behind `/proc/PID/exe` of
//! a process of ours that is joining it (CVE-2019-5736). So both run from a
//! detached, read-only mount of the file; nothing can be opened for writing
//! through it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use crate::engine::sys::helpers::{Depth, clone_host_mount};
use crate::engine::sys::{MountChange, mount_setattr};

const OWN: &str = "/proc/self/exe";

/// The running binary, on a mount of its own that is read-only (open_tree
/// Linux 5.2, mount_setattr Linux 5.12). Without the privilege to make one,
/// the file itself.
pub(crate) fn own() -> io::Result<OwnedFd> {
    match sealed() {
        Ok(binary) => Ok(binary),
        Err(_) => Ok(rustix::fs::open(OWN, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?),
    }
}

fn sealed() -> io::Result<OwnedFd> {
    // The link itself is no mount's file; what it leads to is.
    let path = fs_err::read_link(OWN)?;
    let running = rustix::fs::stat(OWN)?;
    let mount = clone_host_mount(&path, Depth::Single)?;
    let found = rustix::fs::fstat(&mount)?;
    if (running.st_dev, running.st_ino) != (found.st_dev, found.st_ino) {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    let change = MountChange {
        set: MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID,
        ..MountChange::default()
    };
    mount_setattr(mount.as_fd(), c"", change)?;
    Ok(mount)
}

/// A command line that runs a hidden command of this binary, with an empty
/// environment, in `/`.
pub(crate) fn command(binary: &OwnedFd, name: &str) -> Command {
    let mut command = Command::new(format!("/proc/self/fd/{}", binary.as_raw_fd()));
    command.arg0("skiff").arg(name).env_clear().current_dir("/");
    command
}
