//! Images that nobody needs any longer go; what a container uses, or a command
//! is about to use, stays.

use std::io;
use std::time::{Duration, SystemTime};

use crate::build::solve as build;
use crate::env;
use crate::event::{Event, EventSink};
use crate::image::toolbox::is_toolbox;
use crate::image::{Collected, Digest, ImageError, InUse, Store, Usage};
use crate::state::Layout;
use crate::state::space::Space;
use crate::supervise::inspect;

use super::budget::{self, Budget, Chosen, MayGo, Stock};
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
/// the next one does it. Where the store takes more than it may, what was longest
/// unused goes, too. Where neither is so, only what killed commands left unfinished
/// is looked for. A failure is a warning.
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

fn tell(sink: &dyn EventSink, collected: io::Result<Option<Event>>) {
    match collected {
        Ok(None) => {}
        Ok(Some(event)) => sink.emit(event),
        Err(error) => sink.emit(Event::Warning {
            message: format!("cannot remove images that are not used any longer: {error}"),
        }),
    }
}

/// What was removed for want of room comes back, to be told.
fn try_collect(layout: &Layout) -> io::Result<Option<Event>> {
    let store = Store::open(layout);
    let excess = excess(layout, &store)?;
    if excess.is_none() && !store.has_superseded().map_err(io::Error::other)? {
        store.remove_unfinished().map_err(io::Error::other)?;
        return Ok(None);
    }
    let mut gone = Chosen::default();
    let mut of_folders = 0;
    let collected = store.collect_garbage_after(|alone| {
        if let Some((budget, bytes)) = excess {
            let stock = stock(layout, &store)?;
            let named = budget.takes_named();
            let may_go = MayGo::ForRoom { named };
            gone = budget::choose(&stock, bytes, may_go, SystemTime::now());
            of_folders = forget(layout, &stock, &gone)?;
            alone.remove(&gone.images).map_err(io::Error::other)?;
        }
        in_use(layout)
    });
    let collected = collected.map_err(io::Error::other)?;
    let (Some((_, budget)), Some(collected)) = (excess, collected) else {
        return Ok(None);
    };
    Ok((!gone.is_empty()).then_some(Event::MadeRoom {
        steps: gone.steps.len(),
        folders: gone.folders.len(),
        images: gone.images.len(),
        bytes: collected.bytes + of_folders,
        budget,
    }))
}

/// Forgets what was chosen of builds; how many bytes the folders among it had.
fn forget(layout: &Layout, stock: &Stock, gone: &Chosen) -> io::Result<u64> {
    build::forget(layout, &gone.steps)?;
    build::remove_folders(&gone.folders)?;
    let folders = stock.folders.iter();
    let folders = folders.filter(|folder| gone.folders.contains(&folder.path));
    Ok(folders.map(|folder| folder.bytes).sum())
}

/// What is to go of what builds keep.
#[derive(Debug, Clone, Default)]
pub struct Prune {
    /// All of it, the steps of images that are there and the folders of
    /// `RUN --mount=type=cache` included.
    pub all: bool,
    /// Only what was not used for so long.
    pub unused_for: Option<Duration>,
    /// So many bytes of what no image has may stay.
    pub keep: Option<u64>,
}

/// What went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names of steps, and their bytes.
    pub steps: Vec<(String, u64)>,
    /// Bytes of folders.
    pub folders: u64,
}

/// Forgets what builds keep; layers that nobody has then are garbage. Nobody may be
/// building: the caller holds that off.
///
/// # Errors
/// The records or the cache cannot be read or written.
pub fn prune_builds(layout: &Layout, wanted: &Prune) -> io::Result<Pruned> {
    let stock = stock(layout, &Store::open(layout))?;
    let may_go = MayGo::OfBuilds {
        unused_for: wanted.unused_for.unwrap_or_default(),
        all: wanted.all,
    };
    let budget = wanted.keep.unwrap_or_default();
    let gone = budget::choose(&stock, budget, may_go, SystemTime::now());
    let mut folders = forget(layout, &stock, &gone)?;
    if wanted.all && wanted.unused_for.is_none() && wanted.keep.is_none() {
        folders += build::forget_rest(layout)?;
    }
    let steps = stock.steps.into_iter();
    let steps = steps.filter(|step| gone.steps.contains(&step.key));
    Ok(Pruned {
        steps: steps.map(|step| (step.name, step.bytes)).collect(),
        folders,
    })
}

/// The budget and its bytes, where the store takes more. A file system that has less
/// than that in use is not looked at any closer.
fn excess(layout: &Layout, store: &Store) -> io::Result<Option<(Budget, u64)>> {
    let budget = Budget::from_env().map_err(|text| {
        io::Error::other(format!(
            "{} takes `40GB`, `30%` or `off`, not `{text}`",
            env::SKIFF_DISK_BUDGET
        ))
    })?;
    let Some(space) = Space::of(&layout.images())? else {
        return Ok(None);
    };
    let Some(bytes) = budget.bytes(space.size).filter(|bytes| space.used > *bytes) else {
        return Ok(None);
    };
    let layers = store.bytes().map_err(io::Error::other)?;
    let folders = build::kept_folders(layout)?.into_iter();
    let taken = layers + folders.map(|folder| folder.bytes).sum::<u64>();
    Ok((taken > bytes).then_some((budget, bytes)))
}

/// All that takes room, and who uses it.
fn stock(layout: &Layout, store: &Store) -> io::Result<Stock> {
    let mut in_use = of_containers(layout)?;
    let mut images = Vec::new();
    for image in store.list_own().map_err(io::Error::other)? {
        let is_built_in = image.names.iter().any(is_toolbox);
        let (id, is_named) = (image.id.clone(), !image.names.is_empty());
        // Those for other platforms go with it.
        let all = store.with_variants(image).map_err(io::Error::other)?;
        let is_needed = all.iter().any(|one| in_use.images.contains(&one.id));
        if is_built_in || is_needed {
            in_use.images.insert(id.clone());
        }
        let layers = all.into_iter().flat_map(|one| one.layers);
        images.push(budget::Image {
            used: store.used(&id),
            layers: layers.collect(),
            is_named,
            id,
        });
    }
    Ok(Stock {
        sizes: store.layer_sizes().map_err(io::Error::other)?,
        steps: build::kept(layout)?,
        folders: build::kept_folders(layout)?,
        images,
        in_use,
    })
}

/// What the containers of all projects need, and what builds keep.
pub(super) fn in_use(layout: &Layout) -> io::Result<InUse> {
    let mut found = of_containers(layout)?;
    found.layers.extend(build::layers_in_use(layout)?);
    Ok(found)
}

/// Counts as a use of the images that a project's containers are of: they were in
/// use up to now.
pub(super) fn touch_images(layout: &Layout, project: &str) {
    let store = Store::open(layout);
    for id in inspect::container_ids(layout, project).unwrap_or_default() {
        if let Ok(Some(record)) = inspect::record(layout, project, &id)
            && let Ok(image) = Digest::parse(&record.image_id)
        {
            store.touch(&image);
        }
    }
}

fn of_containers(layout: &Layout) -> io::Result<InUse> {
    let digest = |text: &str| Digest::parse(text).map_err(io::Error::other);
    let mut found = InUse::default();
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
