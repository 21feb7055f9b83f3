//! The embedded engine as a [`Backend`].
use crate::net::spec::NetworkSpec;
use crate::state::volume::{self, VolumeRecord};
use crate::state::{ContainerId, Layout};
use crate::supervise::record::ContainerRecord;
use crate::supervise::wire::Condition;
use super::backend::{Backend, BackendError};
use super::desired::VolumeSpec;

/// Asks the project's supervisor; volumes are made here.
#[derive(Debug)]
pub struct Embedded {
    layout: Layout,
    project: String,
}

impl Embedded {
    /// For one project. Nothing is started or connected before it is needed.
    pub fn new(layout: &Layout, project: &str) -> Self {
        Self { layout: layout.clone(), project: project.to_owned() }
    }
    fn not_yet<T>(&self) -> Result<T, BackendError> {
        Err(BackendError::Unreachable { message: format!("the supervisor of project `{}` cannot be reached", self.project) })
    }
}

impl Backend for Embedded {
    async fn ensure_network(&self, _spec: &NetworkSpec) -> Result<(), BackendError> { self.not_yet() }
    async fn remove_network(&self, _name: &str) -> Result<(), BackendError> { self.not_yet() }
    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<(), BackendError> {
        let record = VolumeRecord { name: spec.name.clone(), driver: spec.driver.clone(), driver_opts: spec.driver_opts.clone(), labels: spec.labels.clone(), anonymous: false, created: jiff::Timestamp::now().to_string() };
        volume::ensure(&self.layout, &record).map(|_| ()).map_err(|source| BackendError::Volume { action: "create", name: spec.name.clone(), source })
    }
    async fn remove_volume(&self, name: &str) -> Result<(), BackendError> {
        volume::remove(&self.layout, name).map(|_| ()).map_err(|source| BackendError::Volume { action: "remove", name: name.to_owned(), source })
    }
    async fn create(&self, _record: &ContainerRecord) -> Result<(), BackendError> { self.not_yet() }
    async fn start(&self, _id: &ContainerId) -> Result<(), BackendError> { self.not_yet() }
    async fn stop(&self, _id: &ContainerId, _timeout: Option<i64>) -> Result<(), BackendError> { self.not_yet() }
    async fn restart(&self, _id: &ContainerId, _timeout: Option<i64>) -> Result<(), BackendError> { self.not_yet() }
    async fn kill(&self, _id: &ContainerId, _signal: i32) -> Result<(), BackendError> { self.not_yet() }
    async fn remove(&self, _id: &ContainerId, _volumes: bool) -> Result<(), BackendError> { self.not_yet() }
    async fn wait(&self, _id: &ContainerId, _condition: Condition) -> Result<(), BackendError> { self.not_yet() }
}
