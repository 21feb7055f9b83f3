//! The project's control groups, known as soon as their place is.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use oci_spec::runtime::LinuxResources;

use super::failure;
use super::link::Link;
use crate::engine::cgroup::{self, Group};
use crate::engine::systemd;
use crate::state::ContainerId;
use crate::supervise::group;
use crate::supervise::keeper::Identity;
use crate::supervise::wire::Failure;

/// The control groups of one project.
#[derive(Debug)]
pub(super) struct Groups {
    host: cgroup::Host,
    /// The path that all of them are below.
    place: OnceLock<Result<String, Failure>>,
}

impl Groups {
    /// Begins to settle where they are, on a thread of its own where systemd
    /// has to be asked. In a runtime.
    pub(super) fn open(identity: &Identity, link: &Link) -> Result<Arc<Self>, Failure> {
        let groups = Arc::new(Self {
            host: cgroup::Host::detect().map_err(failure::cgroup)?,
            place: OnceLock::new(),
        });
        let run = Path::new(systemd::RUN);
        let settled = if group::wants_scope(run, &groups.host) {
            group::known(identity)
        } else {
            // The keeper went there at its start.
            Some(group::plain(identity).map_err(|error| failure::other(&error))?)
        };
        if let Some(place) = settled {
            groups.place.set(Ok(place)).ok();
        } else {
            let (groups, identity, link) = (Arc::clone(&groups), identity.clone(), link.clone());
            tokio::task::spawn_blocking(move || {
                let settled = group::settle(&identity, &groups.host, || link.keeper(), run);
                let settled = settled.map_err(|error| failure::other(&error));
                // Nobody else sets it.
                groups.place.set(settled).ok();
            });
        }
        Ok(groups)
    }

    /// A handle on a container's group; `None` before it is known where groups
    /// are, when there is none.
    pub(super) fn container(&self, id: &ContainerId) -> Option<Group> {
        match self.place.get()? {
            Ok(place) => Some(self.host.open(&format!("{place}/{id}"))),
            Err(_) => None,
        }
    }

    /// A handle on the group that a record names.
    pub(super) fn at(&self, path: &str) -> Group {
        self.host.open(path)
    }

    /// Makes a container's group. Blocks until it is known where.
    pub(super) fn create(
        &self,
        id: &ContainerId,
        resources: &LinuxResources,
    ) -> Result<Group, Failure> {
        match self.place.wait() {
            Ok(place) => self
                .host
                .create(&format!("{place}/{id}"), resources)
                .map_err(failure::cgroup),
            Err(failure) => Err(failure.clone()),
        }
    }
}
