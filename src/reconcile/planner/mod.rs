//! From declared and observed to a plan. Pure: no file, no clock, no chance.
//!
//! [`up`] makes what is declared, [`down`] and the files beside it change only
//! what exists. The rules are those of `docker compose` unless a comment says
//! otherwise.

pub mod down;
pub mod lifecycle;
pub mod run;
pub mod select;
pub mod up;

mod emit;
mod fate;
#[cfg(test)]
mod tests;

use super::observed::ObservedContainer;
use super::plan::Target;

pub use down::{DownChoices, plan_down};
pub use lifecycle::{plan_kill, plan_restart, plan_start, plan_stop};
pub use run::plan_run;
pub use up::{Recreate, UpChoices, plan_up};

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A service that the file does not have.
    #[error("no such service: {name}{}", similar.as_ref().map(|s| format!(" (did you mean `{s}`?)")).unwrap_or_default())]
    NoSuchService {
        /// As asked for.
        name: String,
        /// The nearest name there is.
        similar: Option<String>,
    },
    /// Services that wait for each other.
    #[error("dependency cycle detected: {}", path.join(" -> "))]
    Cycle {
        /// The first name again at the end.
        path: Vec<String>,
    },
    /// An external network that is not there.
    #[error(
        "network {name} declared as external, but could not be found; make it with `skiff up` of the project that owns it, or remove `external: true`"
    )]
    ExternalNetwork {
        /// Full name.
        name: String,
    },
    /// An external volume that is not there.
    #[error(
        "external volume {name:?} not found; make it with the project that owns it, or remove `external: true`"
    )]
    ExternalVolume {
        /// Full name.
        name: String,
    },
    /// More than one container of a service whose container has a fixed name.
    #[error(
        "service {service:?} cannot run {replicas} containers: `container_name: {container_name}` allows one; remove it to scale"
    )]
    NamedScale {
        /// The service.
        service: String,
        /// Its fixed name.
        container_name: String,
        /// As asked for.
        replicas: u32,
    },
    /// The name belongs to a container of another project or service.
    #[error(
        "the container name `{name}` is taken by a container of {holder}; remove that, or choose another name"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// ``project `x` `` or ``service `x` ``.
        holder: String,
    },
    /// A network has to be made anew, but something uses it that the plan may
    /// not touch.
    #[error("network {network} has changed and must be made anew, but {} uses it; stop that first, or bring the whole project up", users.join(", "))]
    NetworkInUse {
        /// Full name.
        network: String,
        /// Full names of containers.
        users: Vec<String>,
    },
    /// `start` on a service that was never created.
    #[error("service {service:?} has no container to start; `skiff up` makes one")]
    NothingToStart {
        /// The service.
        service: String,
    },
    /// `start` in a project that has no container.
    #[error("the project has no container to start; `skiff up` makes them")]
    NothingAtAll,
}

/// The target that an observed container is.
pub(crate) fn target_of(container: &ObservedContainer) -> Target {
    Target {
        name: container.name.clone(),
        service: container.service.clone(),
        number: container.number,
        id: Some(container.id.clone()),
    }
}
