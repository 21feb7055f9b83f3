//! Pushing layers of the store with a config that is no image's.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::document;
use super::known::Packed;
use super::layer::Layer;
use super::{LAYERS_AT_ONCE, Target, blocking, put_config};
use crate::event::EventSink;
use crate::image::artifact::NewArtifact;
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::progress::Progress;
use crate::image::reference::Reference;
use crate::image::registry::manifest::Descriptor;
use crate::image::registry::{Access, Repository};
use crate::image::store::Store;

/// What to push, and where to.
pub(crate) struct ArtifactPush<'a> {
    pub(crate) access: &'a Access,
    pub(crate) reference: &'a Reference,
    pub(crate) new: &'a NewArtifact,
    pub(crate) events: &'a dyn EventSink,
}

/// Pushes it under its name; the manifest comes last, so that whoever reads the
/// name meanwhile has what was there before.
///
/// # Errors
/// As [`super::push`].
pub(crate) async fn push_artifact(
    store: &Store,
    push: &ArtifactPush<'_>,
) -> Result<(), ImageError> {
    let target = Target::of(store, push.access, push.reference).await?;
    let repository = target.repository(push.events);
    let kind = document::layer_type(push.new.packing);
    let fits = |packed: &Packed| !push.new.repacks || packed.descriptor.media_type == kind;
    let forms = |diff_id: &Digest, given: &[Descriptor]| -> Vec<Packed> {
        let given = given.iter().map(|descriptor| Packed {
            descriptor: descriptor.clone(),
            repositories: Vec::new(),
        });
        let all = given.chain(target.known.layer(diff_id).iter().cloned());
        all.filter(fits).collect()
    };
    let work: Vec<(Digest, Vec<Packed>)> = push
        .new
        .layers
        .iter()
        .map(|(diff_id, given)| (diff_id.clone(), forms(diff_id, given)))
        .collect();
    let repository = &repository;
    let layers: Vec<Descriptor> =
        stream::iter(work)
            .map(|(diff_id, known)| async move {
                layer(store, push, repository, &diff_id, &known).await
            })
            .buffered(LAYERS_AT_ONCE)
            .try_collect()
            .await?;
    let config = put_config(repository, push.new.kind, &push.new.config).await?;
    let manifest = document::manifest(&config, &layers);
    repository
        .put_manifest(target.tag, &manifest.media_type, &manifest.text)
        .await?;
    Ok(())
}

async fn layer(
    store: &Store,
    push: &ArtifactPush<'_>,
    repository: &Repository<'_>,
    diff_id: &Digest,
    known: &[Packed],
) -> Result<Descriptor, ImageError> {
    let size = {
        let diff_id = diff_id.clone();
        blocking(store, move |store| {
            // One that only the registry has is not packed.
            Ok(store.layer_size(&diff_id).unwrap_or_default())
        })
        .await?
    };
    let layer = Layer {
        store,
        repository,
        domain: push.reference.domain(),
        path: push.reference.path(),
        diff_id,
        known,
        progress: Progress::new(push.events, "Pushing", diff_id, size),
        size,
        packing: push.new.packing,
    };
    layer.push().await
}
