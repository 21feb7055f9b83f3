//! What exists, in the words the planner needs.
//!
//! Plain data; [`super::observe`] fills it from the records on disk.

use std::collections::{BTreeMap, BTreeSet};

use crate::net::spec::NetworkRecord;
use crate::state::ContainerId;
use crate::supervise::launch::{NetworkMode, VolumeUse};
use crate::supervise::record::{ContainerRecord, Health, RunState};

use super::desired::{Dependency, VolumeSpec};
use super::translate::names;

/// A project as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Its containers, one-offs included, by name.
    pub containers: Vec<ObservedContainer>,
    /// Networks by full name, as far as they were looked at.
    pub networks: BTreeMap<String, NetworkRecord>,
    /// Those of them that the kernel has lost, as in a reboot; asked of the engine.
    pub lost_networks: BTreeSet<String>,
    /// Named volumes by full name, as far as they were looked at.
    pub volumes: BTreeMap<String, VolumeSpec>,
    /// Containers of other projects on networks and volumes of this one, by the
    /// resource's full name.
    pub foreign_users: BTreeMap<String, Vec<String>>,
    /// Names taken by containers of other projects: name to project.
    pub foreign_names: BTreeMap<String, String>,
}

/// A container as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedContainer {
    /// Its id.
    pub id: ContainerId,
    /// Its full name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// Replica number.
    pub number: u32,
    /// Made by `run`.
    pub oneoff: bool,
    /// Hash of the service it was made from.
    pub config_hash: String,
    /// Canonical JSON of that service.
    pub canonical: serde_json::Value,
    /// The image as the service named it.
    pub image: String,
    /// Digest of its image's config.
    pub image_id: String,
    /// Dependencies as its labels keep them.
    pub depends_on: Vec<Dependency>,
    /// Full names of its networks.
    pub networks: BTreeSet<String>,
    /// The container whose network it shares.
    pub shares_network_of: Option<ContainerId>,
    /// Volumes, named and anonymous.
    pub volumes: Vec<VolumeUse>,
    /// It is to be removed when it ends.
    pub auto_remove: bool,
    /// State.
    pub state: RunState,
    /// Health, where it has a probe and runs.
    pub health: Option<Health>,
    /// Exit code of the last run, where it ended and is known.
    pub exit_code: Option<i32>,
}

impl ObservedContainer {
    /// From its record and what is known of its state.
    pub fn new(
        record: &ContainerRecord,
        state: RunState,
        health: Option<Health>,
        exit_code: Option<i32>,
    ) -> Self {
        let (networks, shares_network_of) = match &record.launch.network {
            NetworkMode::Networks(list) => {
                (list.iter().map(|end| end.network.clone()).collect(), None)
            }
            NetworkMode::Container(id) => (BTreeSet::new(), Some(id.clone())),
            NetworkMode::Host | NetworkMode::None => (BTreeSet::new(), None),
        };
        let depends_on = record
            .labels
            .get(names::LABEL_DEPENDS_ON)
            .map(|text| names::parse_depends_on(text))
            .unwrap_or_default();
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            service: record.service.clone(),
            number: record.number,
            oneoff: record.oneoff,
            config_hash: record.config_hash.clone(),
            canonical: record.canonical.clone(),
            image: record.image.clone(),
            image_id: record.image_id.clone(),
            depends_on,
            networks,
            shares_network_of,
            volumes: record.launch.volumes.clone(),
            auto_remove: record.launch.auto_remove,
            state,
            health,
            exit_code,
        }
    }

    /// Whether a program of it runs, frozen or not.
    pub fn is_running(&self) -> bool {
        matches!(self.state, RunState::Running | RunState::Paused)
    }

    /// Whether it is a one-off that somebody is using.
    pub fn is_live_oneoff(&self) -> bool {
        self.oneoff && self.is_live()
    }

    /// Whether stopping it has something to end or to call off.
    pub fn is_live(&self) -> bool {
        self.is_running() || self.state == RunState::Restarting
    }
}

impl Observed {
    /// The service's containers that are no one-offs, by number.
    pub fn of_service<'a>(&'a self, service: &str) -> Vec<&'a ObservedContainer> {
        let mut found: Vec<_> = self
            .containers
            .iter()
            .filter(|container| container.service == service && !container.oneoff)
            .collect();
        found.sort_by_key(|container| container.number);
        found
    }

    /// The container with this id.
    pub fn by_id(&self, id: &ContainerId) -> Option<&ObservedContainer> {
        self.containers.iter().find(|container| container.id == *id)
    }
}
