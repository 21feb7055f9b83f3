//! What leaves the machine's networks: containers that have ended, and networks
//! of a project that goes.
//!
//! The kernel waits for its readers whenever a link is removed, ten
//! milliseconds and more, and hardly longer for many than for one. So nobody
//! waits for a link who does not have to, and what comes in while one removal
//! is under way is removed together.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::busy::Busy;
use super::failure;
use crate::net::{Net, NetError, Withdrawn};
use crate::supervise::wire::Failure;

/// Tells when a container's links and addresses are gone; at once where the
/// queue has ended.
pub(super) type Gone = oneshot::Receiver<()>;

/// What waits to be removed.
#[derive(Debug)]
enum Leaving {
    /// The token keeps the supervisor until it is done.
    Container(Withdrawn, Busy, oneshot::Sender<()>),
    Network(String, oneshot::Sender<Result<(), Failure>>),
}

/// The way into the queue.
#[derive(Debug)]
pub(super) struct Leavers {
    queue: UnboundedSender<Leaving>,
}

impl Leavers {
    /// Begins to remove, in a runtime.
    pub(super) fn new(net: Arc<Net>) -> Self {
        let (queue, waiting) = unbounded_channel();
        tokio::spawn(remove_together(net, waiting));
        Self { queue }
    }

    /// Has the rest of a withdrawn container removed.
    pub(super) fn container(&self, withdrawn: Withdrawn, busy: Busy) -> Gone {
        let (done, gone) = oneshot::channel();
        self.queue
            .send(Leaving::Container(withdrawn, busy, done))
            .ok();
        gone
    }

    /// Has a network removed, after the containers that were withdrawn before.
    pub(super) async fn network(&self, name: String) -> Result<(), Failure> {
        let (answer, wait) = oneshot::channel();
        self.queue.send(Leaving::Network(name, answer)).ok();
        wait.await.map_err(|error| failure::other(&error))?
    }

    /// Waits until all that was withdrawn before has its addresses free.
    pub(super) async fn settle(&self, busy: Busy) {
        self.container(Withdrawn::default(), busy).await.ok();
    }
}

async fn remove_together(net: Arc<Net>, mut queue: UnboundedReceiver<Leaving>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, 256).await > 0 {
        let mut withdrawn = Withdrawn::default();
        let (mut names, mut done, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for leaving in batch.drain(..) {
            match leaving {
                Leaving::Container(container, busy, gone) => {
                    withdrawn.join(container);
                    done.push((gone, busy));
                }
                Leaving::Network(name, answer) => {
                    names.push(name);
                    answers.push(answer);
                }
            }
        }
        let net = Arc::clone(&net);
        let cleared = tokio::task::spawn_blocking(move || clear(&net, &withdrawn, &names));
        let cleared = cleared.await.map_err(|error| failure::other(&error));
        // Whoever asked may have given up, here and below.
        match cleared.and_then(|cleared| cleared) {
            Ok(networks) => {
                for (answer, gone) in answers.into_iter().zip(networks) {
                    answer.send(gone).ok();
                }
            }
            Err(failure) => {
                tracing::warn!(error = %failure, "cannot take containers off their networks");
                for answer in answers {
                    answer.send(Err(failure.clone())).ok();
                }
            }
        }
        for (gone, _busy) in done {
            gone.send(()).ok();
        }
    }
}

fn clear(
    net: &Net,
    withdrawn: &Withdrawn,
    networks: &[String],
) -> Result<Vec<Result<(), Failure>>, Failure> {
    let cleared = net.clear(withdrawn, networks).map_err(failure::net)?;
    let again = |(gone, name): (Result<(), NetError>, &String)| {
        match gone {
            // By a container over which a supervisor was killed, perhaps.
            Err(NetError::InUse { .. }) => net.sweep().and_then(|_swept| net.remove_network(name)),
            gone => gone,
        }
        .map_err(failure::net)
    };
    Ok(cleared.into_iter().zip(networks).map(again).collect())
}
