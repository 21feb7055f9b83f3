//! The typed Compose model, every attribute in its long form and parsed unit.
//!
//! Field names are the attributes' names in the specification; what an
//! attribute means is said there and not repeated here. Numbers that may not be
//! zero (`cpus`, `pids_limit`, …) are 0 when absent.

mod build;
mod collections;
mod deploy;
mod limits;
mod mounts;
mod network;
mod process;
mod project;
pub(crate) mod record;
mod service;
mod target;

pub use build::{Build, SshKey, SshKeys};
pub use collections::{Argv, ExtraHosts, Labels, OptionsMap, Variables};
pub use deploy::{
    Deploy, DeviceCount, DeviceRequest, DiscreteResource, GenericResource, Placement,
    PlacementPreference, Resource, Resources, RestartCondition, UpdateConfig,
};
pub use limits::{Blkio, Device, ThrottleDevice, Ulimit, WeightDevice};
pub use mounts::{
    BindOptions, ConfigSource, Content, FileReference, HiddenText, ImageOptions, Mount, MountKind,
    SecretSource, TmpfsOptions, Volume, VolumeOptions,
};
pub use network::{Ipam, IpamPool, Network, Port, ServiceNetwork};
pub use process::{
    Condition, CredentialSpec, Dependency, Develop, EnvFile, Healthcheck, Hook, Logging, Model,
    PreStartHook, Probe, Provider, ProviderOptions, Restart, ServiceModel, Watch, WatchAction,
};
pub(crate) use project::Origin;
pub use project::Project;
pub(crate) use record::{Cx, Emit, Parse, field, raw_json, shown};
pub use record::{Extensions, Form, Shown};
pub use service::{PortText, Service, canonical_hash};
pub(crate) use target::{clean_target, misplaced_mount, misplaced_tmpfs};
