//! Names of a project's control groups: `skiff/<root id>/<project>/…`.

use std::io;

use super::keeper::Identity;
use crate::net::Net;
use crate::state::ContainerId;

fn project(identity: &Identity) -> io::Result<String> {
    let net = Net::open(&identity.layout, None).map_err(io::Error::other)?;
    Ok(format!("skiff/{}/{}", net.root_id(), identity.project))
}

/// The leaf of keeper and supervisor.
pub(crate) fn keeper(identity: &Identity) -> io::Result<String> {
    Ok(format!("{}/keeper", project(identity)?))
}

/// A container's leaf.
pub(crate) fn container(identity: &Identity, id: &ContainerId) -> io::Result<String> {
    Ok(format!("{}/{id}", project(identity)?))
}
