//! The lock of a project's beginning and end: held by a command that starts
//! keeper and supervisor until they can be talked to, and by these when they
//! end until they are gone. It travels between them as a descriptor.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

use super::keeper::Identity;

/// The lock's file.
pub(crate) fn path(identity: &Identity) -> PathBuf {
    identity
        .layout
        .run_project(&identity.project)
        .join("start.lock")
}

/// Waits for the lock.
pub(crate) fn acquire(path: &Path) -> io::Result<OwnedFd> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?;
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(OwnedFd::from(file.into_file())),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
