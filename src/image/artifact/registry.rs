//! Artifacts at registries.

use futures_util::future::try_join_all;

use super::{Artifact, is_buildkit, malformed};
use crate::event::EventSink;
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::fetch::{Into, Places};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::registry::manifest::{
    self, CONFIG_LIMIT, Descriptor, Document, INDEX_DEPTH, IndexEntry,
};
use crate::image::registry::{Access, Blob, Repository};

/// Reads the manifest and the config of a name; of an index those for this
/// machine.
pub(super) async fn read(
    access: &Access,
    reference: &Reference,
    events: &dyn EventSink,
) -> Result<Artifact, ImageError> {
    let mut places = Places::of(access, reference)?;
    loop {
        let repository = Repository::new(access, places.here(), reference, events);
        let found = read_at(&repository, reference).await;
        if let Some(result) = places.came_to(found, events) {
            return result;
        }
    }
}

async fn read_at(
    repository: &Repository<'_>,
    reference: &Reference,
) -> Result<Artifact, ImageError> {
    let wrong = |reason: &str| malformed(&reference.familiar(), reason);
    let mut selector = reference.manifest_selector().to_owned();
    for _ in 0..INDEX_DEPTH {
        let (_, text) = repository.manifest(&selector).await?;
        match Document::parse_any(&text).map_err(|reason| wrong(&reason))? {
            Document::Manifest(manifest) => {
                let config = Blob::new(repository, &manifest.config);
                return Ok(Artifact {
                    config: config.read(CONFIG_LIMIT).await?,
                    kind: manifest.config.media_type,
                    layers: manifest.layers,
                });
            }
            Document::Index(entries) => {
                selector = member(&entries, reference)?.digest.to_string();
            }
        }
    }
    Err(wrong("indexes lead to indexes without end"))
}

/// Which member of an index is meant. `BuildKit` enters the layers and the config
/// of a cache as if they were images.
fn member<'e>(
    entries: &'e [IndexEntry],
    reference: &Reference,
) -> Result<&'e Descriptor, ImageError> {
    if entries
        .iter()
        .any(|entry| is_buildkit(&entry.descriptor.media_type))
    {
        return Err(malformed(&reference.familiar(), super::OF_BUILDKIT));
    }
    let host = Platform::host();
    manifest::choose(entries, &host).map_err(|available| ImageError::NoPlatform {
        reference: reference.familiar(),
        wanted: host.to_string(),
        available,
    })
}

/// Sees to it that layers are in the store.
pub(super) async fn fetch(
    into: &Into<'_>,
    access: &Access,
    reference: &Reference,
    layers: &[(Digest, Descriptor)],
) -> Result<(), ImageError> {
    let mut places = Places::of(access, reference)?;
    loop {
        let repository = Repository::new(access, places.here(), reference, into.events);
        let work = layers
            .iter()
            .map(|(diff_id, layer)| into.layer(&repository, diff_id, layer));
        let fetched = try_join_all(work).await.map(|_| ());
        if let Some(result) = places.came_to(fetched, into.events) {
            return result;
        }
    }
}
