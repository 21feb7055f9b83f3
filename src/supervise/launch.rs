//! What a container is to be: everything the supervisor needs to start it, at
//! any time, without the Compose file.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use oci_spec::runtime;
use serde::{Deserialize, Serialize};

use crate::engine::spec::{InlineFile, Seccomp};
use crate::net::spec::{EndpointSpec, PortSpec, Protocol};
use crate::state::ContainerId;

/// A container as declared, ready to be started again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// diff-ids of the image's layers (`sha256:…`), the lowest first.
    pub layers: Vec<String>,
    /// The OCI spec without what is known at start only: no generated files
    /// among its mounts, no network namespace, no seccomp.
    pub oci: runtime::Spec,
    /// `user[:group]` by name or number.
    pub user: Option<String>,
    /// Additional groups.
    pub groups: Vec<String>,
    /// System call filter.
    pub seccomp: Seccomp,
    /// Named and anonymous volumes.
    pub volumes: Vec<VolumeUse>,
    /// Parts of other images.
    #[serde(default)]
    pub trees: Vec<TreeUse>,
    /// Configs and secrets with inline content.
    pub files: Vec<InlineFile>,
    /// Network mode.
    pub network: NetworkMode,
    /// Published ports.
    pub ports: Vec<PortSpec>,
    /// Ports that the image or `expose:` names, for display only.
    pub exposed: Vec<(u16, Protocol)>,
    /// Further lines of `/etc/hosts`, in order.
    pub extra_hosts: Vec<(String, HostAddress)>,
    /// Resolver settings.
    pub dns: DnsOptions,
    /// NIS domain name, where set.
    pub domainname: Option<String>,
    /// A terminal instead of two pipes.
    pub tty: bool,
    /// Keep a pipe (or the terminal) open as standard input.
    pub open_stdin: bool,
    /// A tiny init as process 1.
    pub init: bool,
    /// Signal number that asks the program to end.
    pub stop_signal: i32,
    /// Time between it and SIGKILL; `None` waits for ever.
    pub stop_grace: Option<Duration>,
    /// When to start it again.
    pub restart: RestartPolicy,
    /// Health probe.
    pub health: Option<HealthCheck>,
    /// Log file limits.
    pub log: LogOptions,
    /// Remove the container, and its anonymous volumes, when it ends.
    pub auto_remove: bool,
    /// Lives no longer than the command that runs it (a step of a build): a
    /// supervisor that takes over ends and removes it.
    #[serde(default)]
    pub bound: bool,
}

/// A part of another image, mounted in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeUse {
    /// diff-ids of the image's layers, the lowest first.
    pub layers: Vec<String>,
    /// Folder or file in it.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub destination: String,
    /// Mounted read-only; what is written to another one is thrown away.
    pub read_only: bool,
}

/// A volume used by a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeUse {
    /// Full volume name; for an anonymous volume 64 hexadecimal digits.
    pub name: String,
    /// True where the name was made up for this container.
    pub anonymous: bool,
    /// Absolute path in the container.
    pub destination: String,
    /// Mounted read-only.
    pub read_only: bool,
    /// Do not copy the image's content into an empty volume.
    pub no_copy: bool,
    /// Folder below the volume's root.
    pub subpath: Option<String>,
}

/// What network a container has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// The host's namespace.
    Host,
    /// A namespace with loopback only.
    None,
    /// The namespace of another container.
    Container(ContainerId),
    /// A namespace of its own on these networks.
    Networks(Vec<EndpointSpec>),
}

/// Right side of an `extra_hosts` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostAddress {
    /// A literal address.
    Ip(IpAddr),
    /// `host-gateway`: the bridge's address.
    Gateway,
}

/// resolv.conf as declared; empty lists mean Docker's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsOptions {
    /// Upstream servers.
    pub servers: Vec<IpAddr>,
    /// Search list; `.` alone clears the host's.
    pub search: Vec<String>,
    /// `options` words.
    pub options: Vec<String>,
}

/// Docker's restart policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    No,
    /// Always, but not after an explicit stop.
    Always,
    /// As `Always`, and not after a reboot if it was stopped.
    UnlessStopped,
    /// After an exit code other than 0, at most this often.
    OnFailure {
        /// 0 means no limit.
        max_retries: u32,
    },
}

/// A health probe with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Program and arguments (`CMD-SHELL` already turned into `/bin/sh -c …`).
    pub command: Vec<String>,
    /// Time between probes.
    pub interval: Duration,
    /// A probe that takes longer has failed.
    pub timeout: Duration,
    /// Failures in a row that make the container unhealthy.
    pub retries: u32,
    /// Failures in this time after the start do not count.
    pub start_period: Duration,
    /// Time between probes in the start period.
    pub start_interval: Duration,
}

/// Limits of a container's log files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOptions {
    /// False for driver `none`.
    pub enabled: bool,
    /// Bytes after which a new file is begun; `None`: never.
    pub max_size: Option<u64>,
    /// Files kept, the current one included.
    pub max_files: u32,
}

/// Labels, in a type of their own for readability.
pub type Labels = BTreeMap<String, String>;
