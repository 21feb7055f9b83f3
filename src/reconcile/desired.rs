//! What a project is to be, in the words the planner needs.
//!
//! A projection of the Compose model: full names, counts, hashes and edges,
//! without any of the attributes that only `translate` reads. The planner thus
//! stays independent of the model's size, and its tests are short.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::net::spec::NetworkSpec;

use super::translate::names::Separator;

/// A project as declared.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// The project's name.
    pub project: String,
    /// What its containers' names are put together with.
    pub separator: Separator,
    /// Its active services, in the file's order.
    pub services: IndexMap<String, DesiredService>,
    /// Services that are declared but switched off by their profile: their
    /// containers are no orphans.
    pub disabled: BTreeSet<String>,
    /// Networks by full name.
    pub networks: IndexMap<String, DesiredNetwork>,
    /// Volumes by full name.
    pub volumes: IndexMap<String, DesiredVolume>,
}

/// A service as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredService {
    /// Its name.
    pub name: String,
    /// How many containers of it are to run.
    pub replicas: u32,
    /// `container_name`, which allows one container only.
    pub container_name: Option<String>,
    /// Its config hash.
    pub config_hash: String,
    /// The canonical JSON that the hash was made of.
    pub canonical: serde_json::Value,
    /// The image as named.
    pub image: String,
    /// Digest of the image's config; `None` where it is not in the store yet.
    pub image_id: Option<String>,
    /// Who must come first, explicit and implied.
    pub depends_on: Vec<Dependency>,
    /// Services whose namespaces or volumes it joins (`network_mode: service:x`,
    /// `pid`, `ipc`, `volumes_from`): recreated with them.
    pub joins: Vec<String>,
    /// Full names of its networks.
    pub networks: Vec<String>,
    /// Full names of its named volumes.
    pub volumes: Vec<String>,
}

/// An edge to another service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// The other service.
    pub service: String,
    /// What is waited for.
    pub gate: Gate,
    /// Restart the dependent when the other is restarted or recreated.
    pub restart: bool,
    /// False: a failure of the other is a warning.
    pub required: bool,
}

/// The three conditions of `depends_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// `service_started`
    Started,
    /// `service_healthy`
    Healthy,
    /// `service_completed_successfully`
    Completed,
}

impl Gate {
    /// As the Compose specification spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::Completed => "service_completed_successfully",
        }
    }

    /// From the specification's spelling.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Started, Self::Healthy, Self::Completed]
            .into_iter()
            .find(|gate| gate.as_str() == text)
    }
}

/// A network as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredNetwork {
    /// How to make it.
    pub spec: NetworkSpec,
    /// It must exist already and is never made or removed.
    pub external: bool,
}

/// A volume as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredVolume {
    /// How to make it.
    pub spec: VolumeSpec,
    /// It must exist already and is never made or removed.
    pub external: bool,
}

/// A volume's definition, compared to find a change of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Full name, `PROJECT_data`.
    pub name: String,
    /// Driver; `local` is what exists.
    pub driver: String,
    /// `driver_opts` as given.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}
