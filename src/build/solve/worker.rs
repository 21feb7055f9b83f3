//! What runs the RUN steps of one build: a project of the engine that no Compose
//! file has, with its own keeper, supervisor and network. It goes with the build,
//! killed or not (`supervisor/bound`); where the supervisor was killed, too, the
//! next build takes away what is left.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use super::error::BuildError;
use crate::net::spec::{EndpointSpec, NetworkSpec};
use crate::state::Layout;
use crate::state::lock::{Lock, Tried};
use crate::state::sweep::sweep_locks;
use crate::supervise::client::{Client, ClientError, Conversation};
use crate::supervise::inspect;
use crate::supervise::launch::NetworkMode;
use crate::supervise::record::ContainerRecord;
use crate::supervise::wire::{ChangeKind, Request};

/// One build's engine.
#[derive(Debug)]
pub(crate) struct Worker {
    layout: Layout,
    project: String,
    client: OnceCell<Client>,
    /// The engine was asked for, and may be starting.
    begun: AtomicBool,
    network: OnceCell<()>,
    /// Says that somebody is at it.
    lock: Lock,
}

/// A step that has ended. What it wrote is there until this value is dropped.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit code; `None` where nobody could learn it.
    pub(crate) code: Option<i32>,
    /// Kept open: the container lives no longer.
    _held: Conversation,
}

impl Worker {
    /// Nothing is started before the first step asks for it.
    ///
    /// # Errors
    /// The run root cannot be written.
    pub(crate) fn new(layout: &Layout) -> io::Result<Self> {
        let project = inspect::build_project();
        let lock = Lock::acquire(&layout.project_lock(&project))?;
        Ok(Self {
            layout: layout.clone(),
            project,
            client: OnceCell::new(),
            begun: AtomicBool::new(false),
            network: OnceCell::new(),
            lock,
        })
    }

    /// What a build left behind whose supervisor was killed: its project, where
    /// nobody is at it any more. Closing it takes the rest away.
    ///
    /// # Errors
    /// The roots cannot be read.
    pub(crate) fn dead(layout: &Layout) -> io::Result<Vec<Self>> {
        let mut dead = Vec::new();
        for project in inspect::build_projects(layout)? {
            let path = layout.project_lock(&project);
            let lock = match Lock::try_acquire_existing(&path)? {
                Tried::Taken(lock) => lock,
                Tried::Held => continue,
                // Of another boot.
                Tried::Missing => Lock::acquire(&path)?,
            };
            dead.push(Self {
                layout: layout.clone(),
                client: OnceCell::new(),
                network: OnceCell::new(),
                // Another supervisor sees what there is, and takes it away.
                begun: AtomicBool::new(true),
                project,
                lock,
            });
        }
        Ok(dead)
    }

    /// The project's name.
    pub(crate) fn project(&self) -> &str {
        &self.project
    }

    /// The network of steps that may reach others, made at its first use.
    ///
    /// # Errors
    /// The engine cannot be started, or has no subnet left.
    pub(crate) async fn network(&self) -> Result<NetworkMode, BuildError> {
        let name = inspect::build_network(&self.project);
        let made = self.network.get_or_try_init(|| async {
            let spec = NetworkSpec {
                name: name.clone(),
                driver: "bridge".to_owned(),
                driver_opts: std::collections::BTreeMap::new(),
                pools: Vec::new(),
                internal: false,
                ipv6: false,
                ipv4: true,
                labels: std::collections::BTreeMap::new(),
            };
            let request = Request::EnsureNetwork(Box::new(spec));
            self.client().await?.call(request, &[]).await?;
            Ok::<_, BuildError>(())
        });
        made.await?;
        Ok(NetworkMode::Networks(vec![EndpointSpec {
            network: name,
            ..EndpointSpec::default()
        }]))
    }

    /// Runs a step to its end; what it writes goes to `output`.
    ///
    /// # Errors
    /// It could not be started, or the supervisor was lost.
    pub(crate) async fn run(
        &self,
        record: ContainerRecord,
        output: io::PipeWriter,
    ) -> Result<Ended, BuildError> {
        let client = self.client().await?;
        // Nothing to read: end of file at once.
        let (input, _) = io::pipe().map_err(BuildError::Pipe)?;
        let request = Request::Run(Box::new(record));
        let fds = [input.as_fd(), output.as_fd(), output.as_fd()];
        let mut held = client.start(request, &fds).await?;
        drop((input, output));
        loop {
            if let ChangeKind::Exited { code, .. } = held.next_change().await?.kind {
                return Ok(Ended { code, _held: held });
            }
        }
    }

    /// Waits until nothing of the steps is left, and no rule or record of their
    /// network, whatever becomes of the roots now. The rest, a bridge most of all, is
    /// the supervisor's, which goes when nobody is there any more.
    ///
    /// # Errors
    /// The engine cannot be talked to any more; the next build finds the rest.
    pub(crate) async fn close(self) -> Result<(), BuildError> {
        if self.begun.load(Ordering::Relaxed) {
            let client = self.client().await?;
            client.call(Request::Settle, &[]).await?;
            let name = inspect::build_network(&self.project);
            match client.call(Request::RemoveNetwork { name }, &[]).await {
                // It may not have come to that, or was given up in the middle.
                Ok(_) | Err(ClientError::Refused(_)) => {}
                Err(error) => return Err(error.into()),
            }
            // The lock first: the supervisor takes it.
            drop(self.lock);
        } else {
            drop(self.lock);
            sweep_locks(&self.layout, &self.project).ok();
        }
        Ok(())
    }

    async fn client(&self) -> Result<&Client, BuildError> {
        let client = self.client.get_or_try_init(|| async {
            self.begun.store(true, Ordering::Relaxed);
            let client = Client::ensure(&self.layout, &self.project).await;
            // Not so where this was given up in the middle.
            self.begun.store(client.is_ok(), Ordering::Relaxed);
            client
        });
        Ok(client.await?)
    }
}
