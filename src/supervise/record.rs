//! What is known of a container on disk.
//!
//! `config.json` ([`ContainerRecord`]) is written once, at creation, and is
//! durable. `exit.json` ([`ExitRecord`]) is durable too, the run record
//! ([`RunRecord`]) is true for this boot only.

use serde::{Deserialize, Serialize};

use super::launch::{Labels, LaunchSpec};
use crate::net::spec::{Endpoint, PublishedPort};
use crate::state::ContainerId;

/// The version written into every record; a reader refuses a higher one.
pub const RECORD_VERSION: u32 = 1;

/// A container as created: `projects/<project>/containers/<id>/config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// Its id.
    pub id: ContainerId,
    /// Its full name, unique on this host (`shop-web-1`).
    pub name: String,
    /// The project.
    pub project: String,
    /// The service.
    pub service: String,
    /// Replica number, from 1.
    pub number: u32,
    /// Made by `run`.
    pub oneoff: bool,
    /// RFC 3339 time of creation.
    pub created: String,
    /// The image as the service names it (`nginx:1.27`).
    pub image: String,
    /// Digest of the image's config (`sha256:…`), Docker's image id.
    pub image_id: String,
    /// All labels, the `com.docker.compose.*` ones included.
    pub labels: Labels,
    /// The service's config hash.
    pub config_hash: String,
    /// The service's canonical JSON that the hash was made of: gives the
    /// reason of a recreation.
    pub canonical: serde_json::Value,
    /// How to start it.
    pub launch: LaunchSpec,
}

/// How a container's last run ended: `exit.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Exit code, 128 + N for signal N; `None` where nobody could learn it.
    pub code: Option<i32>,
    /// RFC 3339.
    pub started: String,
    /// RFC 3339.
    pub finished: String,
    /// The kernel killed a process of it for want of memory.
    pub oom_killed: bool,
    /// Why it could not be started, where that is how it ended.
    pub error: Option<String>,
    /// It was stopped on request, so a restart policy must not revive it.
    pub stopped_by_user: bool,
}

/// A container's state in this boot: `/run/…/containers/<id>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Boot id (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// State; `running` counts only while pid and start time match.
    pub state: RunState,
    /// Process 1 of the container, as the host sees it; 0 where none.
    pub pid: i32,
    /// Its start time in clock ticks since boot (`/proc/PID/stat` field 22).
    pub start_time: u64,
    /// RFC 3339.
    pub started: String,
    /// Health, where there is a probe.
    pub health: Option<Health>,
    /// Times the restart policy started it again since the last `start`.
    pub restarts: u32,
    /// Presence on networks.
    pub endpoints: Vec<Endpoint>,
    /// Published ports.
    pub ports: Vec<PublishedPort>,
    /// Full path of the container's control group below each hierarchy's root.
    pub cgroup: String,
}

/// A container's state, in Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Never started.
    Created,
    /// Running.
    Running,
    /// Frozen.
    Paused,
    /// Waiting to be started again by its restart policy.
    Restarting,
    /// Ended.
    Exited,
}

/// Health, in Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No verdict yet.
    Starting,
    /// The last probe succeeded.
    Healthy,
    /// Too many probes in a row failed.
    Unhealthy,
}
