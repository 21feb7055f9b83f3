//! Names of a project's control groups: `skiff/<root id>/<project>/…`.

use std::io;

use super::keeper::Identity;
use crate::state::ContainerId;

fn project(identity: &Identity) -> io::Result<String> {
    let id = fs_err::read_to_string(identity.layout.root_id())?;
    Ok(format!("skiff/{}/{}", id.trim(), identity.project))
}

/// The leaf of keeper and supervisor.
pub(crate) fn keeper(identity: &Identity) -> io::Result<String> {
    Ok(format!("{}/keeper", project(identity)?))
}

/// A container's leaf.
pub(crate) fn container(identity: &Identity, id: &ContainerId) -> io::Result<String> {
    Ok(format!("{}/{id}", project(identity)?))
}
