//! Images that nobody needs any longer go; what a container uses, or a command
//! is about to use, stays.

use std::io;

use crate::build::solve as build;
use crate::event::{Event, EventSink};
use crate::image::{Collected, Digest, ImageError, InUse, Store, Usage};
use crate::state::Layout;
use crate::supervise::inspect;

use super::session::{ReconcileError, Session};

/// Keeps images and layers that are in the store there, until it is dropped:
/// by then the containers' records name them.
pub(super) async fn hold(session: &Session<'_>, store: &Store) -> Result<Usage, ReconcileError> {
    let path = session.layout.images();
    let fail = |source| ReconcileError::State {
        action: format!("use the images in `{}`", path.display()),
        source,
    };
    let store = store.clone();
    tokio::task::spawn_blocking(move || store.use_shared())
        .await
        .map_err(|error| fail(io::Error::other(error)))?
        .map_err(|error| fail(io::Error::other(error)))
}

/// The same as [`collect`], beside the event loop.
pub(super) async fn collect_beside(session: &Session<'_>) {
    let layout = session.layout.clone();
    let collected = tokio::task::spawn_blocking(move || try_collect(&layout));
    let collected = collected.await.map_err(io::Error::other);
    tell(session.sink, collected.and_then(|collected| collected));
}

/// Removes images whose names others have now, and their layers, unless a
/// container of any project uses them or another command uses the store: then
/// the next one does it. Where no image lost its name, nothing is looked for.
/// A failure is a warning.
pub fn collect(layout: &Layout, sink: &dyn EventSink) {
    tell(sink, try_collect(layout));
}

/// Removes all that no image and no container needs, whoever left it. `None`
/// where another command uses the store.
///
/// # Errors
/// The records or the store cannot be read or written.
pub fn collect_all(layout: &Layout) -> Result<Option<Collected>, ImageError> {
    Store::open(layout).collect_garbage(|| in_use(layout))
}

fn tell(sink: &dyn EventSink, collected: io::Result<()>) {
    if let Err(error) = collected {
        sink.emit(Event::Warning {
            message: format!("cannot remove images that are not used any longer: {error}"),
        });
    }
}

fn try_collect(layout: &Layout) -> io::Result<()> {
    let store = Store::open(layout);
    if store.has_superseded().map_err(io::Error::other)? {
        store
            .collect_garbage(|| in_use(layout))
            .map_err(io::Error::other)?;
    }
    Ok(())
}

/// What the containers of all projects need, and what builds keep.
pub(super) fn in_use(layout: &Layout) -> io::Result<InUse> {
    let digest = |text: &str| Digest::parse(text).map_err(io::Error::other);
    let mut found = InUse {
        layers: build::layers_in_use(layout)?,
        ..InUse::default()
    };
    for project in inspect::projects(layout)? {
        for id in inspect::container_ids(layout, &project)? {
            let Some(record) = inspect::record(layout, &project, &id)? else {
                continue;
            };
            found.images.insert(digest(&record.image_id)?);
            for layer in &record.launch.layers {
                found.layers.insert(digest(layer)?);
            }
        }
    }
    Ok(found)
}
