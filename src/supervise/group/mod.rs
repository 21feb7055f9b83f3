//! Where a project's control groups are: keeper and supervisor in a leaf of
//! their own, containers in leaves beside it.
//!
//! Where systemd is the service manager, and of the version 2 hierarchy, they
//! are in a scope of the project, which the supervisor asks for while other
//! things go on (`settle`); until then both processes stay where the command
//! was, with nothing of the project running. Elsewhere they are made below
//! `/skiff` in the file system, and the keeper begins by going there.
//!
//! Not on version 1 and hybrid hosts: systemd keeps its units in a hierarchy
//! of its own there and in those controllers that a unit needs, delegates the
//! others to nobody, and has given up all of it with version 258. The groups
//! of every container engine are beside systemd's there.

mod record;
mod settle;

use std::io;
use std::path::Path;

pub(crate) use record::{Grouping, forget};
pub use record::{fallbacks, untold_warning};
pub(crate) use settle::{known, settle};

use super::keeper::Identity;
use crate::causes::with_causes;
use crate::engine::cgroup::{self, CgroupError, Host, Version};
use crate::engine::launch::CgroupFds;
use crate::engine::systemd;
use crate::state::root_id;

/// The name of keeper's and supervisor's leaf.
pub(crate) const LEAF: &str = "keeper";

/// The project's groups in the file system.
pub(crate) fn plain(identity: &Identity) -> io::Result<String> {
    let id = root_id(&identity.layout)?;
    Ok(format!("skiff/{id}/{}", identity.project))
}

/// The leaf of keeper and supervisor there.
pub(crate) fn leaf(identity: &Identity) -> io::Result<String> {
    plain(identity).map(|path| leaf_below(&path))
}

/// The leaf of keeper and supervisor, where the project's groups are at `path`.
pub(crate) fn leaf_below(path: &str) -> String {
    format!("{path}/{LEAF}")
}

/// Whether the project's groups belong into a scope. Without systemd this costs
/// one stat(2).
pub(crate) fn wants_scope(run: &Path, host: &Host) -> bool {
    systemd::is_booted(run) && host.version() == Version::V2
}

/// Makes the groups that a new keeper is born into, which so leaves the
/// caller's; none where the supervisor will have both moved to a scope.
pub(crate) fn make(identity: &Identity) -> io::Result<CgroupFds> {
    let host = Host::detect().map_err(|error| explained(&error))?;
    if wants_scope(Path::new(systemd::RUN), &host) {
        return Ok(CgroupFds::default());
    }
    host.create_leaf(&leaf(identity)?)
        .map_err(|error| explained(&error))
}

/// A keeper at its end goes on in the root group ([`Host::leave`]), and removes
/// the project's.
/// A scope it stays in: systemd removes that as soon as its last process is
/// gone.
pub(crate) fn leave(leaf: &str) {
    let leave = || {
        let host = Host::detect().ok()?;
        let own = cgroup::own_group().unwrap_or_default();
        if host.version() == Version::V1 || cgroup::scope_of(&own).is_none() {
            host.leave().ok()?;
        }
        // Also there where systemd's answer came after the deadline.
        host.remove_tree(leaf).ok()
    };
    // What is left is empty, and a sweep removes it.
    leave();
}

/// Removes a leaf in which nobody is, neither keeper nor supervisor; false where
/// somebody is. The caller holds the project's start lock, as whoever makes it
/// does until somebody is in it.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn remove_idle(host: &Host, leaf: &str) -> Result<bool, CgroupError> {
    let is_idle = host.open(leaf).processes()?.is_empty();
    if is_idle {
        host.remove_tree(leaf)?;
    }
    Ok(is_idle)
}

/// An error of a control group with its causes and what to do.
fn explained(error: &CgroupError) -> io::Error {
    let hint = error
        .hint()
        .map_or_else(String::new, |hint| format!("; {hint}"));
    io::Error::other(format!("{}{hint}", with_causes(error)))
}
