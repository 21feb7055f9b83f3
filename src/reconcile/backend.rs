//! Where the executor meets the engine.
//!
//! The embedded engine ([`crate::reconcile::embedded::Embedded`]) is the first
//! implementation, the tests' fake is another. A method is added when a caller
//! needs it, not before.

use std::collections::{BTreeMap, BTreeSet};

use crate::net::spec::{NetworkRecord, NetworkSpec};
use crate::state::ContainerId;
use crate::state::lock::Lock;
use crate::supervise::record::ContainerRecord;
use crate::supervise::wire::{Condition, Failure};

use super::desired::VolumeSpec;

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// It answered with a reason.
    #[error("{0}")]
    Refused(Failure),
    /// It could not be asked, or its answer not be read.
    #[error("{message}")]
    Unreachable {
        /// What was tried and why it failed, the whole chain in one text.
        message: String,
    },
    /// A volume could not be made or removed.
    #[error("cannot {action} volume `{name}`: {source}")]
    Volume {
        /// `create`, `remove`.
        action: &'static str,
        /// The volume's full name.
        name: String,
        /// What the file system said.
        source: std::io::Error,
    },
}

impl BackendError {
    /// The supervisor's reason, where it gave one.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Refused(failure) => Some(failure),
            Self::Unreachable { .. } | Self::Volume { .. } => None,
        }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<String> {
        self.failure().and_then(Failure::hint)
    }
}

/// What a plan is made true with. Every operation is idempotent: what is
/// already so is success, and removing what is gone, too.
pub trait Backend: Sync {
    /// Takes the project's lock, to hold it until it is let go and whatever is
    /// asked for until then has been done, even where this process dies first.
    fn hold(&self, lock: Lock);

    /// Lets the lock go, when all that was asked for has been done.
    fn let_go(&self);

    /// Lets the lock go while containers are still being ended: whoever was
    /// interrupted in waiting for that wants to do something about it.
    fn give_up(&self);

    /// Sees to it that what runs is served, where all who did were killed.
    /// Returns what is worth telling.
    fn attend(&self) -> impl Future<Output = Result<Vec<String>, BackendError>> + Send;

    /// Which of these networks, by name, are lost and have to be ensured.
    fn lost_networks(
        &self,
        known: &BTreeMap<String, NetworkRecord>,
    ) -> impl Future<Output = Result<BTreeSet<String>, BackendError>> + Send;

    /// Makes a network, or finds it as it is. Returns what is worth telling, here
    /// and below: what was changed on the host beside, and what has no effect.
    fn ensure_network(
        &self,
        spec: &NetworkSpec,
    ) -> impl Future<Output = Result<Vec<String>, BackendError>> + Send;

    /// Removes a network that no container uses.
    fn remove_network(&self, name: &str) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Makes a volume, or finds it as it is.
    fn ensure_volume(
        &self,
        spec: &VolumeSpec,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Removes a volume and its content.
    fn remove_volume(&self, name: &str) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Writes a container's record and reserves its name.
    fn create(
        &self,
        record: &ContainerRecord,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Starts a container; a running one stays as it is.
    fn start(
        &self,
        id: &ContainerId,
    ) -> impl Future<Output = Result<Vec<String>, BackendError>> + Send;

    /// Ends a container within its grace time or `timeout` seconds.
    fn stop(
        &self,
        id: &ContainerId,
        timeout: Option<i64>,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Stops, if running, then starts.
    fn restart(
        &self,
        id: &ContainerId,
        timeout: Option<i64>,
    ) -> impl Future<Output = Result<Vec<String>, BackendError>> + Send;

    /// Sends a signal to process 1.
    fn kill(
        &self,
        id: &ContainerId,
        signal: i32,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Removes a container, with its anonymous volumes where `volumes` says so.
    fn remove(
        &self,
        id: &ContainerId,
        volumes: bool,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Removes a container for one that is created next and takes over its
    /// volumes, none of which is without an owner at any moment.
    fn replace(
        &self,
        id: &ContainerId,
        volumes: bool,
        successor: &ContainerRecord,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Resolves when the container is in this condition, fails when it can no
    /// longer come true.
    fn wait(
        &self,
        id: &ContainerId,
        condition: Condition,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;
}
