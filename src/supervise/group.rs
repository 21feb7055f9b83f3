//! Names of a project's control groups: `skiff/<root id>/<project>/…`.

use std::io;

use super::keeper::Identity;
use crate::state::{ContainerId, root_id};

fn project(identity: &Identity) -> io::Result<String> {
    let id = root_id(&identity.layout)?;
    Ok(format!("skiff/{id}/{}", identity.project))
}

/// The leaf of keeper and supervisor.
pub(crate) fn keeper(identity: &Identity) -> io::Result<String> {
    Ok(format!("{}/keeper", project(identity)?))
}

/// A container's leaf.
pub(crate) fn container(identity: &Identity, id: &ContainerId) -> io::Result<String> {
    Ok(format!("{}/{id}", project(identity)?))
}
