//! From a registry into the store: the places where a reference may be had, one
//! after the other, and one layer of one of them.
//!
//! A layer comes in one pass: the network fills a bounded channel, one thread
//! decompresses, one unpacks. It counts only once its diff-id is right.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::digest::Digest;
use super::error::ImageError;
use super::progress::{self, Progress};
use super::reference::Reference;
use super::registry::manifest::Descriptor;
use super::registry::{Access, Blob, Chunk, Endpoint, Repository};
use super::store::{LayerClaim, PendingLayer, Store, Turn, Usage};
use super::unpack::{ChunkReader, ChunkSource};
use crate::event::{Event, EventSink};

/// Pieces of a layer between the network and the decompressing thread.
const PIECES_AHEAD: usize = 8;

/// The mirrors of a reference, and at last its registry.
pub(super) struct Places {
    first: Endpoint,
    others: std::vec::IntoIter<Endpoint>,
}

impl Places {
    /// # Errors
    /// The mirrors' settings cannot be read.
    pub(super) fn of(access: &Access, reference: &Reference) -> Result<Self, ImageError> {
        let mut all = access.places(reference)?.into_iter();
        let first = all
            .next()
            .ok_or_else(|| interrupted(&format!("`{}`", reference.familiar())))?;
        Ok(Self { first, others: all })
    }

    /// The one whose turn it is.
    pub(super) fn here(&self) -> &Endpoint {
        &self.first
    }

    /// What came of it there; `None` where the next one is to be asked.
    pub(super) fn came_to<T>(
        &mut self,
        result: Result<T, ImageError>,
        events: &dyn EventSink,
    ) -> Option<Result<T, ImageError>> {
        let error = match result {
            Err(error) if is_of_the_place(&error) => error,
            result => return Some(result),
        };
        let Some(next) = self.others.next() else {
            return Some(Err(error));
        };
        tell_of_mirror(&error, events);
        self.first = next;
        None
    }
}

/// Says why a mirror is passed over; that it lacks an image is nothing to tell.
fn tell_of_mirror(error: &ImageError, events: &dyn EventSink) {
    if !matches!(error, ImageError::NotFound { .. }) {
        events.emit(Event::Warning {
            message: format!("{error}; going on without this mirror"),
        });
    }
}

/// Whether an error is about what one place has, so that another may do better.
fn is_of_the_place(error: &ImageError) -> bool {
    matches!(
        error,
        ImageError::Unreachable { .. }
            | ImageError::NotFound { .. }
            | ImageError::Denied { .. }
            | ImageError::Registry { .. }
            | ImageError::Malformed { .. }
            | ImageError::WrongDigest { .. }
            | ImageError::WrongSize { .. }
            | ImageError::NoPlatform { .. }
    )
}

/// Runs what may block beside the async threads; `what` is what is interrupted
/// where the thread is lost.
pub(super) async fn beside<T: Send + 'static>(
    store: &Store,
    what: &str,
    work: impl FnOnce(&Store) -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    let store = store.clone();
    spawn_blocking(move || work(&store))
        .await
        .map_err(|_| interrupted(what))?
}

fn interrupted(what: &str) -> ImageError {
    ImageError::Interrupted {
        what: what.to_owned(),
    }
}

/// Where layers go.
#[derive(Clone, Copy)]
pub(super) struct Into<'a> {
    pub(super) store: &'a Store,
    pub(super) usage: &'a Arc<Usage>,
    pub(super) events: &'a dyn EventSink,
    /// What they are of, as an interruption names it.
    pub(super) what: &'a str,
}

impl Into<'_> {
    /// Sees to it that one layer is in the store.
    pub(super) async fn layer(
        &self,
        repository: &Repository<'_>,
        diff_id: &Digest,
        descriptor: &Descriptor,
    ) -> Result<(), ImageError> {
        let turn = self.store.turn().await;
        let turn = turn.ok_or_else(|| interrupted(self.what))?;
        let progress = Progress::new(
            self.events,
            "Downloading",
            &descriptor.digest,
            descriptor.size,
        );
        let claim = {
            let (usage, diff_id) = (Arc::clone(self.usage), diff_id.clone());
            beside(self.store, self.what, move |store| {
                store.claim_layer(&usage, &diff_id)
            })
            .await?
        };
        match claim {
            LayerClaim::Present => progress.done("Already exists"),
            LayerClaim::Missing(pending) => {
                let result = self
                    .receive(repository, descriptor, (pending, turn), &progress)
                    .await;
                match &result {
                    Ok(()) => progress.done("Pull complete"),
                    Err(error) => progress.failed(error),
                }
                return result;
            }
        }
        Ok(())
    }

    /// Downloads and unpacks a layer at once, and keeps it if all is right.
    async fn receive(
        &self,
        repository: &Repository<'_>,
        descriptor: &Descriptor,
        (pending, turn): (PendingLayer, Turn),
        progress: &Progress<'_>,
    ) -> Result<(), ImageError> {
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        let unpacking = spawn_blocking(move || {
            let result = pending.unpack(ChunkReader::new(Pieces(receiver)));
            // Where nobody waits for it any more, they are dropped in this order.
            (pending, turn, result)
        });
        let downloaded = download(repository, descriptor, sender, progress).await;
        let (pending, _turn, unpacked) = unpacking.await.map_err(|_| interrupted(self.what))?;
        // A broken download makes unpacking fail too, so it is told first.
        let result = match (downloaded, unpacked) {
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            (Ok(Transfer::Refused), Ok(_)) => Err(interrupted(self.what)),
            (Ok(Transfer::Complete), Ok(unpacked)) => Ok(unpacked),
        };
        beside(self.store, self.what, move |_| pending.commit(&result?)).await
    }
}

enum Transfer {
    /// All bytes came, with the right digest.
    Complete,
    /// The unpacking side has given up.
    Refused,
}

async fn download(
    repository: &Repository<'_>,
    descriptor: &Descriptor,
    sender: mpsc::Sender<Chunk>,
    progress: &Progress<'_>,
) -> Result<Transfer, ImageError> {
    let mut blob = Blob::new(repository, descriptor);
    while let Some(chunk) = next(&mut blob, progress).await? {
        if sender.send(chunk).await.is_err() {
            return Ok(Transfer::Refused);
        }
        progress.at(blob.received());
    }
    progress.turn_to("Extracting", blob.received());
    Ok(Transfer::Complete)
}

/// The next piece. Where it is long in coming, what has come is told meanwhile.
async fn next(blob: &mut Blob<'_>, shown: &Progress<'_>) -> Result<Option<Chunk>, ImageError> {
    let received = blob.received();
    let mut next = std::pin::pin!(blob.next());
    if let Ok(chunk) = tokio::time::timeout(progress::PERIOD, &mut next).await {
        return chunk;
    }
    shown.catch_up(received);
    next.await
}

struct Pieces(mpsc::Receiver<Chunk>);

impl ChunkSource for Pieces {
    type Chunk = Chunk;

    fn next_chunk(&mut self) -> std::io::Result<Option<Chunk>> {
        Ok(self.0.blocking_recv())
    }
}
