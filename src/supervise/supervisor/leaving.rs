//! What leaves the machine's networks: containers that have ended, and networks
//! of a project that goes.
//!
//! The kernel waits for its readers whenever a link is removed, ten
//! milliseconds and more, and hardly longer for many than for one. So nobody
//! waits for a link who does not have to, and what comes in while one removal
//! is under way is removed together.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};

use super::busy::Busy;
use super::failure;
use crate::net::spec::NetworkRecord;
use crate::net::{Net, NetError, Withdrawn};
use crate::state::ContainerId;
use crate::supervise::wire::Failure;

/// Tells when a container's links and addresses are gone; at once where the
/// queue has ended.
pub(super) type Gone = oneshot::Receiver<()>;

/// What waits to be removed. The token keeps the supervisor until it is done.
#[derive(Debug)]
enum Leaving {
    Container(Withdrawn, Busy, oneshot::Sender<()>),
    Network(NetworkRecord, Busy),
}

/// The way into the queue.
#[derive(Debug)]
pub(super) struct Leavers {
    net: Arc<Net>,
    queue: UnboundedSender<Leaving>,
    present: Arc<watch::Sender<Present>>,
}

/// What is in the queue, or being removed.
#[derive(Debug, Default)]
struct Present {
    containers: Vec<ContainerId>,
    networks: usize,
}

impl Leavers {
    /// Begins to remove, in a runtime.
    pub(super) fn new(net: Arc<Net>) -> Self {
        let (queue, waiting) = unbounded_channel();
        let present = Arc::new(watch::Sender::default());
        tokio::spawn(remove_together(
            Arc::clone(&net),
            waiting,
            Arc::clone(&present),
        ));
        Self {
            net,
            queue,
            present,
        }
    }

    /// Has the rest of a withdrawn container removed, once its connections have
    /// drained.
    pub(super) fn container(
        &self,
        withdrawn: Withdrawn,
        busy: Busy,
        drained: Option<impl Future<Output = ()> + Send + 'static>,
    ) -> Gone {
        let (done, gone) = oneshot::channel();
        self.present
            .send_modify(|present| present.containers.extend(withdrawn.containers.clone()));
        let leaving = Leaving::Container(withdrawn, busy, done);
        match drained {
            None => drop(self.queue.send(leaving)),
            Some(drained) => {
                let queue = self.queue.clone();
                tokio::spawn(async move {
                    drained.await;
                    queue.send(leaving).ok();
                });
            }
        }
        gone
    }

    /// Takes a network away; its bridge goes after this has returned. One that
    /// there is not was taken away by a supervisor that was killed over it,
    /// perhaps, and of whose bridge nobody knows.
    pub(super) async fn network(&self, name: String, busy: Busy) -> Result<(), Failure> {
        let leaving = self.present.borrow().containers.clone();
        let net = Arc::clone(&self.net);
        let retired = tokio::task::spawn_blocking(move || match net.retire(&name, &leaving) {
            Err(NetError::NoNetwork { .. }) => net.sweep().map(|_swept| None),
            // By a container over which a supervisor was killed, perhaps.
            Err(NetError::InUse { .. }) => {
                let swept = net.sweep();
                swept.and_then(|_swept| net.retire(&name, &leaving).map(Some))
            }
            other => other.map(Some),
        });
        let retired = retired
            .await
            .map_err(|error| failure::other(&error))?
            .map_err(failure::net)?;
        let Some(record) = retired else {
            return Ok(());
        };
        self.present.send_modify(|present| present.networks += 1);
        self.queue.send(Leaving::Network(record, busy)).ok();
        Ok(())
    }

    /// Waits until all that was withdrawn before has its addresses free.
    pub(super) async fn settle(&self) {
        let leaving = self.present.borrow().containers.clone();
        self.wait(|present| !present.containers.iter().any(|id| leaving.contains(id)))
            .await;
    }

    /// Waits until bridges that are on their way out are gone, whose names and
    /// subnets a new network may want.
    pub(super) async fn settle_networks(&self) {
        self.wait(|present| present.networks == 0).await;
    }

    async fn wait(&self, mut until: impl FnMut(&Present) -> bool) {
        let mut present = self.present.subscribe();
        // The sender lives in `self`.
        present
            .wait_for(|present| until(present))
            .await
            .map(drop)
            .ok();
    }
}

async fn remove_together(
    net: Arc<Net>,
    mut queue: UnboundedReceiver<Leaving>,
    present: Arc<watch::Sender<Present>>,
) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, 256).await > 0 {
        let (mut withdrawn, mut retired) = (Withdrawn::default(), Vec::new());
        let (mut tokens, mut done) = (Vec::new(), Vec::new());
        for leaving in batch.drain(..) {
            match leaving {
                Leaving::Container(container, busy, gone) => {
                    withdrawn.join(container);
                    tokens.push(busy);
                    done.push(gone);
                }
                Leaving::Network(record, busy) => {
                    retired.push(record);
                    tokens.push(busy);
                }
            }
        }
        let (containers, networks) = (withdrawn.containers.clone(), retired.len());
        let net = Arc::clone(&net);
        let cleared = tokio::task::spawn_blocking(move || net.clear(&withdrawn, &retired)).await;
        // What is left is found by a sweep.
        match cleared {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot remove links"),
            Err(error) => tracing::warn!(%error, "cannot remove links"),
        }
        present.send_modify(|present| {
            present.containers.retain(|id| !containers.contains(id));
            present.networks -= networks;
        });
        for gone in done {
            // Whoever asked may have given up.
            gone.send(()).ok();
        }
    }
}
