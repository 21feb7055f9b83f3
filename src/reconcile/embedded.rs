//! The embedded engine as a [`Backend`]: requests to the project's supervisor,
//! which is started when something is first asked of it. Volumes are folders
//! and are made here.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::net::Net;
use crate::net::spec::{NetworkRecord, NetworkSpec};
use crate::state::lock::Lock;
use crate::state::volume::{self, VolumeRecord};
use crate::state::{ContainerId, Layout};
use crate::supervise::client::{Client, ClientError};
use crate::supervise::record::ContainerRecord;
use crate::supervise::wire::{Condition, Failure, Reply, Request};

use super::backend::{Backend, BackendError};
use super::desired::VolumeSpec;
use crate::causes::with_causes;

/// One project's engine.
#[derive(Debug)]
pub struct Embedded {
    layout: Layout,
    project: String,
    client: OnceCell<Client>,
    lock: Mutex<Option<Arc<Lock>>>,
}

impl Embedded {
    /// For one project. Nothing is started or connected before it is needed.
    pub fn new(layout: &Layout, project: &str) -> Self {
        Self {
            layout: layout.clone(),
            project: project.to_owned(),
            client: OnceCell::new(),
            lock: Mutex::new(None),
        }
    }

    async fn ask(&self, request: Request) -> Result<(), BackendError> {
        self.ask_noting(request).await.map(drop)
    }

    /// As above, with what the supervisor has to tell.
    async fn ask_noting(&self, request: Request) -> Result<Vec<String>, BackendError> {
        let lock = self.held().clone();
        let fds: Vec<_> = lock.iter().map(|lock| lock.as_fd()).collect();
        self.call(request, &fds).await
    }

    fn held(&self) -> MutexGuard<'_, Option<Arc<Lock>>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call(
        &self,
        request: Request,
        fds: &[BorrowedFd<'_>],
    ) -> Result<Vec<String>, BackendError> {
        let client = self
            .client
            .get_or_try_init(|| Client::ensure(&self.layout, &self.project))
            .await?;
        match client.call(request, fds).await?.reply {
            Reply::Done { notes } => Ok(notes),
            _ => Ok(Vec::new()),
        }
    }

    /// Volumes are made and removed on a thread of their own: syncing a record
    /// takes milliseconds in which other operations go on.
    async fn on_volume(
        &self,
        action: &'static str,
        name: &str,
        work: impl FnOnce(&Layout) -> io::Result<()> + Send + 'static,
    ) -> Result<(), BackendError> {
        let layout = self.layout.clone();
        let done = tokio::task::spawn_blocking(move || work(&layout)).await;
        done.map_err(io::Error::other)
            .and_then(|done| done)
            .map_err(|source| BackendError::Volume {
                action,
                name: name.to_owned(),
                source,
            })
    }
}

impl From<ClientError> for BackendError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(failure) => Self::Refused(failure),
            other @ (ClientError::Start { .. }
            | ClientError::Lost { .. }
            | ClientError::Unfitting { .. }) => Self::Unreachable {
                message: with_causes(&other),
            },
        }
    }
}

/// What is gone already needs no removal, no stop and no signal.
fn gone_is_fine(result: Result<(), BackendError>) -> Result<(), BackendError> {
    match result {
        Err(BackendError::Refused(Failure::NoContainer { .. })) => Ok(()),
        other => other,
    }
}

impl Backend for Embedded {
    fn hold(&self, lock: Lock) {
        *self.held() = Some(Arc::new(lock));
    }

    fn let_go(&self) {
        *self.held() = None;
    }

    fn give_up(&self) {
        // The supervisor has copies of it until the last container has ended.
        if let Some(lock) = self.held().take() {
            lock.release().ok();
        }
    }

    async fn attend(&self) -> Result<Vec<String>, BackendError> {
        let connect = async || match Client::connect(&self.layout, &self.project).await {
            Ok(Some(client)) => Ok(client),
            Ok(None) => Err(None),
            Err(error) => Err(Some(error)),
        };
        match self.client.get_or_try_init(connect).await {
            Ok(client) => Ok(client.notes().to_vec()),
            Err(None) => Ok(Vec::new()),
            Err(Some(error)) => Err(error.into()),
        }
    }

    async fn lost_networks(
        &self,
        known: &BTreeMap<String, NetworkRecord>,
    ) -> Result<BTreeSet<String>, BackendError> {
        if known.is_empty() {
            return Ok(BTreeSet::new());
        }
        Net::open(&self.layout, None)
            .and_then(|net| net.without_bridge(known.values()))
            .map_err(|error| BackendError::Unreachable {
                message: with_causes(&error),
            })
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<Vec<String>, BackendError> {
        self.ask_noting(Request::EnsureNetwork(Box::new(spec.clone())))
            .await
    }

    async fn remove_network(&self, name: &str) -> Result<(), BackendError> {
        self.ask(Request::RemoveNetwork {
            name: name.to_owned(),
        })
        .await
    }

    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<(), BackendError> {
        let record = VolumeRecord {
            name: spec.name.clone(),
            driver: spec.driver.clone(),
            driver_opts: spec.driver_opts.clone(),
            labels: spec.labels.clone(),
            anonymous: false,
            created: jiff::Timestamp::now().to_string(),
        };
        self.on_volume("create", &spec.name, move |layout| {
            volume::ensure(layout, &record).map(|_| ())
        })
        .await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), BackendError> {
        let owned = name.to_owned();
        self.on_volume("remove", name, move |layout| {
            volume::remove(layout, &owned).map(|_| ())
        })
        .await
    }

    async fn create(&self, record: &ContainerRecord) -> Result<(), BackendError> {
        self.ask(Request::Create(Box::new(record.clone()))).await
    }

    async fn start(&self, id: &ContainerId) -> Result<Vec<String>, BackendError> {
        self.ask_noting(Request::Start {
            id: id.clone(),
            stdio: false,
        })
        .await
    }

    async fn stop(&self, id: &ContainerId, timeout: Option<i64>) -> Result<(), BackendError> {
        gone_is_fine(
            self.ask(Request::Stop {
                id: id.clone(),
                timeout,
            })
            .await,
        )
    }

    async fn restart(
        &self,
        id: &ContainerId,
        timeout: Option<i64>,
    ) -> Result<Vec<String>, BackendError> {
        self.ask_noting(Request::Restart {
            id: id.clone(),
            timeout,
        })
        .await
    }

    async fn kill(&self, id: &ContainerId, signal: i32) -> Result<(), BackendError> {
        gone_is_fine(
            self.ask(Request::Kill {
                id: id.clone(),
                signal,
            })
            .await,
        )
    }

    async fn remove(&self, id: &ContainerId, volumes: bool) -> Result<(), BackendError> {
        gone_is_fine(
            self.ask(Request::Remove {
                id: id.clone(),
                force: false,
                volumes,
            })
            .await,
        )
    }

    async fn replace(
        &self,
        id: &ContainerId,
        volumes: bool,
        successor: &ContainerRecord,
    ) -> Result<(), BackendError> {
        self.ask(Request::Replace {
            id: id.clone(),
            volumes,
            successor: Box::new(successor.clone()),
        })
        .await
    }

    async fn wait(&self, id: &ContainerId, condition: Condition) -> Result<(), BackendError> {
        let id = id.clone();
        // Changes nothing, and may take for ever: without the lock.
        self.call(Request::Wait { id, condition }, &[])
            .await
            .map(drop)
    }
}
