//! `down --rmi`: the images that a project's services ran.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::compose::Project;
use crate::event::{Event, Resource, ResourceKind};
use crate::image::toolbox::is_toolbox;
use crate::image::{ImageError, Reference, Store};
use crate::supervise::inspect::ContainerView;

use super::super::garbage;
use super::super::session::{ReconcileError, Session};
use super::super::translate::project::image_name;

/// Which images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageChoice {
    /// Every service's.
    All,
    /// Those of services that name none, whose image bears the project's name.
    Local,
}

/// Names of the images of a project's services and of the containers that it
/// still has: to be asked for before a `down`.
pub fn images_of(
    declared: Option<&Project>,
    views: &[ContainerView],
    choice: ImageChoice,
) -> BTreeSet<String> {
    let mut local: BTreeMap<String, bool> = BTreeMap::new();
    for view in views {
        let named = view.record.canonical.get("image").is_some();
        local.insert(view.record.image.clone(), !named);
    }
    if let Some(project) = declared {
        for (name, service) in &project.services {
            let image = image_name(project, name, service);
            local.insert(image, service.image.is_none());
        }
    }
    local
        .into_iter()
        .filter(|(_, is_local)| choice == ImageChoice::All || *is_local)
        .map(|(name, _)| name)
        .collect()
}

/// Removes images by name, and what of their layers nothing else needs. One that
/// a container of any project was made of stays, and so does the built-in one.
///
/// # Errors
/// The store or the containers' records cannot be read or written.
pub fn remove_images(
    session: &Session<'_>,
    names: &BTreeSet<String>,
) -> Result<(), ReconcileError> {
    let store = Store::open(session.layout);
    let state = |source| ReconcileError::State {
        action: "remove images".to_owned(),
        source,
    };
    let broken = |error: ImageError| state(io::Error::other(error));
    let used = garbage::in_use(session.layout).map_err(state)?.images;
    for name in names {
        if Reference::parse(name).is_ok_and(|reference| is_toolbox(&reference)) {
            continue;
        }
        let Some(image) = store.find(name).map_err(broken)? else {
            continue;
        };
        let resource = Resource {
            kind: ResourceKind::Image,
            name: name.clone(),
        };
        let outcome = if used.contains(&image.id) {
            "Resource is still in use"
        } else {
            store.remove(name).map_err(broken)?;
            "Removed"
        };
        session.sink.emit(Event::Done { resource, outcome });
    }
    store
        .collect_garbage(|| garbage::in_use(session.layout))
        .map_err(broken)?;
    Ok(())
}
