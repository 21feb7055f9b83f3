//! Pushing: from an image in the store to a registry.
//!
//! ```text
//! known     what is known of an image's layers as registries have them
//! layer     one layer: there already, taken over, or packed and uploaded
//! produce   a layer's bytes, packed as they are asked for
//! document  manifests and indexes
//! artifact  layers with a config that is no image's
//! ```
//!
//! A layer's archive is written anew from the store, byte for byte, and packed
//! with gzip on its way: the store keeps no packed layers, so where the
//! registry does not have the very blob that was pulled, the manifest is a new
//! one, as with Docker. Where all blobs are those of a manifest that the image
//! came with, that manifest is pushed as it is, and the digest stays.

mod artifact;
mod document;
mod known;
mod layer;
mod produce;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::config::ConfigFile;
use super::digest::Digest;
use super::error::ImageError;
use super::fetch::beside;
use super::progress::{Progress, Told};
use super::reference::Reference;
use super::registry::manifest::{CONFIG_TYPE, Descriptor};
use super::registry::{Access, Endpoint, Repository};
use super::store::{Image, Store};
use crate::event::EventSink;
pub(crate) use artifact::{ArtifactPush, push_artifact};
use document::Document;
pub(crate) use document::layer_type;
use known::Known;
pub use produce::Packing;
pub(crate) use produce::pack;

/// Layers that are uploaded at a time.
const LAYERS_AT_ONCE: usize = 3;

/// What to push, and where to.
#[derive(Debug, Clone)]
pub struct PushRequest {
    /// Under which name, with its tag.
    pub reference: Reference,
    /// The image; several for several platforms, which become an index.
    pub images: Vec<Image>,
    /// How registries are reached.
    pub access: Access,
    /// What progress calls it: the service that it is of.
    pub label: String,
}

/// What a name means at a registry now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the manifest or index.
    pub digest: Digest,
    /// Its bytes.
    pub size: usize,
}

/// Pushes an image, or one image for several platforms, under a name.
///
/// # Errors
/// See [`ImageError`]: the name has a digest, a layer cannot be written again,
/// the registry refuses or cannot be reached. What was uploaded stays there,
/// without a name.
pub async fn push(
    store: &Store,
    request: &PushRequest,
    events: &dyn EventSink,
) -> Result<Pushed, ImageError> {
    let told = Told::begin(events, request.label.clone(), "Pushing");
    let result = push_all(store, request, events).await;
    told.end(&result, "Pushed");
    result
}

async fn push_all(
    store: &Store,
    request: &PushRequest,
    events: &dyn EventSink,
) -> Result<Pushed, ImageError> {
    let reference = &request.reference;
    let target = Target::of(store, &request.access, reference).await?;
    let repository = target.repository(events);
    let push = Push {
        store,
        reference,
        repository: &repository,
        known: &target.known,
        events,
    };
    let mut documents = Vec::new();
    for image in &request.images {
        let document = push.parts(image).await?;
        // Members of an index have no name of their own.
        if request.images.len() > 1 {
            let by_digest = document.digest();
            push.put(by_digest.as_str(), &document).await?;
        }
        documents.push((image, document));
    }
    let top = match documents.as_slice() {
        [(_, only)] => only.clone(),
        several => document::index(several),
    };
    let digest = push.put(target.tag, &top).await?;
    let name = Reference::parse(&format!("{}@{digest}", reference.name()))?;
    for (image, document) in documents {
        let (id, name) = (image.id.clone(), name.clone());
        let texts = vec![document.text, top.text.clone()];
        blocking(store, move |store| {
            store.add_repo_digest(&id, &name, &texts)
        })
        .await?;
    }
    Ok(Pushed {
        digest,
        size: top.text.len(),
    })
}

/// Where something is pushed to, and what is known of what is there.
struct Target<'a> {
    access: &'a Access,
    reference: &'a Reference,
    tag: &'a str,
    endpoint: Endpoint,
    known: Known,
}

impl<'a> Target<'a> {
    /// Reads what the store knows.
    ///
    /// # Errors
    /// The name has a digest; a file of settings is damaged.
    async fn of(
        store: &Store,
        access: &'a Access,
        reference: &'a Reference,
    ) -> Result<Self, ImageError> {
        let Some(tag) = reference.tag().filter(|_| reference.digest().is_none()) else {
            return Err(ImageError::PushByDigest(reference.familiar()));
        };
        Ok(Self {
            known: blocking(store, known::of_store).await?,
            endpoint: access.own_place(reference)?,
            access,
            reference,
            tag,
        })
    }

    /// The registry's part of this name, layers of others to be taken over from.
    fn repository<'r>(&'r self, events: &'r dyn EventSink) -> Repository<'r> {
        let (domain, path) = (self.reference.domain(), self.reference.path());
        let others = self.known.repositories_at(domain, path);
        Repository::for_push(self.access, &self.endpoint, self.reference, &others, events)
    }
}

/// Sees to it that a registry has a config.
async fn put_config(
    repository: &Repository<'_>,
    kind: &str,
    text: &[u8],
) -> Result<Descriptor, ImageError> {
    let digest = Digest::of(text);
    let text = Bytes::copy_from_slice(text);
    if !repository.has_blob(&digest).await? {
        repository.put_blob(&digest, &text, &|_| {}).await?;
    }
    Ok(Descriptor::new(kind, digest, text.len() as u64))
}

/// The bytes of a manifest.
pub(crate) fn manifest_text(config: &Descriptor, layers: &[Descriptor]) -> Vec<u8> {
    document::manifest(config, layers).text
}

/// Runs what may block beside the async threads.
async fn blocking<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    beside(store, "a push", work).await
}

/// One push under way.
struct Push<'a> {
    store: &'a Store,
    reference: &'a Reference,
    repository: &'a Repository<'a>,
    known: &'a Known,
    events: &'a dyn EventSink,
}

impl Push<'_> {
    /// Sees to it that the registry has an image's layers and its config;
    /// gives its manifest.
    async fn parts(&self, image: &Image) -> Result<Document, ImageError> {
        let malformed = |reason: String| ImageError::Malformed {
            what: format!("the config of `{}`", self.reference.familiar()),
            reason,
        };
        let file = ConfigFile::parse(image.raw_config.as_bytes())
            .map_err(|error| malformed(error.to_string()))?;
        let diff_ids = file.rootfs.diff_ids;
        // A layer may be there twice.
        let mut once: Vec<&Digest> = Vec::new();
        for diff_id in &diff_ids {
            if !once.contains(&diff_id) {
                once.push(diff_id);
            }
        }
        let pushed: Vec<(&Digest, Descriptor)> = stream::iter(once)
            .map(
                |diff_id| async move { Ok::<_, ImageError>((diff_id, self.layer(diff_id).await?)) },
            )
            .buffered(LAYERS_AT_ONCE)
            .try_collect()
            .await?;
        let layers: Vec<Descriptor> = diff_ids
            .iter()
            .filter_map(|wanted| pushed.iter().find(|(diff_id, _)| *diff_id == wanted))
            .map(|(_, descriptor)| descriptor.clone())
            .collect();
        let config = image.raw_config.as_bytes();
        let config = put_config(self.repository, CONFIG_TYPE, config).await?;
        if let Some(own) = self.known.manifest(&image.id, &layers) {
            return Ok(own);
        }
        Ok(document::manifest(&config, &layers))
    }

    async fn put(&self, selector: &str, document: &Document) -> Result<Digest, ImageError> {
        self.repository
            .put_manifest(selector, &document.media_type, &document.text)
            .await
    }

    async fn layer(&self, diff_id: &Digest) -> Result<Descriptor, ImageError> {
        let record = {
            let diff_id = diff_id.clone();
            blocking(self.store, move |store| store.layer_record(&diff_id)).await?
        };
        let layer = layer::Layer {
            store: self.store,
            repository: self.repository,
            domain: self.reference.domain(),
            path: self.reference.path(),
            diff_id,
            known: self.known.layer(diff_id),
            progress: Progress::new(self.events, "Pushing", diff_id, record.size),
            size: record.size,
            packing: Packing::default(),
        };
        layer.push().await
    }
}
