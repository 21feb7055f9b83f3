//! The keeper's sign of life: which process it is, under the run root. While
//! it lives, a supervisor that cannot be talked to is being started anew.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use fs_err as fs;

use super::Identity;
use crate::engine::process::ProcessIdentity;
use crate::state::Layout;
use crate::state::atomic::{Durability, read_json, write_json};

fn path(layout: &Layout, project: &str) -> PathBuf {
    layout.run_project(project).join("keeper.json")
}

/// Puts the calling process's sign up.
pub(super) fn put_up(identity: &Identity) -> io::Result<()> {
    let own = ProcessIdentity::own()?;
    write_json(
        &path(&identity.layout, &identity.project),
        &own,
        Durability::ThisBoot,
    )
}

/// Takes it down.
pub(super) fn take_down(identity: &Identity) {
    // What is left says nothing about a process that has ended.
    fs::remove_file(path(&identity.layout, &identity.project)).ok();
}

/// The project's keeper, living or not.
pub(crate) fn present(layout: &Layout, project: &str) -> Option<ProcessIdentity> {
    read_json(&path(layout, project)).ok().flatten()
}

/// Whether there was a keeper that had no time to take it down. The process
/// that a keeper goes on as at its end counts for nothing: it has the start lock.
pub(crate) fn is_dead(identity: &Identity) -> bool {
    let (layout, project) = (&identity.layout, &identity.project);
    present(layout, project).is_some() && living(layout, project).is_none()
}

/// A pidfd of the project's keeper, where it lives.
pub(crate) fn living(layout: &Layout, project: &str) -> Option<OwnedFd> {
    let keeper = present(layout, project)?;
    let pidfd = keeper.open().ok().flatten()?;
    keeper.still_running().then_some(pidfd)
}
