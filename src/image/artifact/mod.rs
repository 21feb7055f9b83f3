//! What is at a registry or in an OCI image layout and need not be an image: a
//! config of any kind and layers, under a name (OCI image specification,
//! "Guidelines for Artifact Usage").

mod folder;
mod registry;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::try_join_all;

use super::digest::Digest;
use super::error::ImageError;
use super::fetch::{Into, beside};
use super::push::{ArtifactPush, Packing, push_artifact};
use super::reference::Reference;
pub(crate) use super::registry::manifest::Descriptor;
use super::registry::{Access, plain};
use super::store::{Store, Usage};
use crate::event::EventSink;

/// How configs of caches begin that `BuildKit` writes.
const BUILDKIT: &str = "application/vnd.buildkit.cacheconfig.";

/// What is told of such a cache.
const OF_BUILDKIT: &str = "it is a cache of BuildKit's, whose keys are not skiff's";

/// Where an artifact is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At a registry, under this name.
    Registry(Reference),
    /// In an OCI image layout.
    Folder {
        /// The layout's folder.
        folder: PathBuf,
        /// Which of its manifests: by digest, else by name.
        name: FolderName,
    },
}

/// How an OCI image layout names a manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FolderName {
    /// Its annotation `org.opencontainers.image.ref.name`.
    Tag(String),
    /// Its digest.
    Digest(Digest),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Registry(reference) => f.write_str(&reference.familiar()),
            Self::Folder { folder, .. } => write!(f, "{}", folder.display()),
        }
    }
}

/// One that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// Media type of its config.
    pub(crate) kind: String,
    /// At most [`super::registry::manifest::CONFIG_LIMIT`] bytes, of the right digest.
    pub(crate) config: Vec<u8>,
    /// Its layers as they are packed there.
    pub(crate) layers: Vec<Descriptor>,
}

/// One that is to be written.
#[derive(Debug)]
pub(crate) struct NewArtifact {
    /// Media type of its config.
    pub(crate) kind: &'static str,
    pub(crate) config: Vec<u8>,
    /// Layers of the store, by diff-id, each with the packed forms of it that the
    /// place may have. One that is not in the store has to be there in such a form.
    pub(crate) layers: Vec<(Digest, Vec<Descriptor>)>,
    pub(crate) packing: Packing,
    /// Layers that are there in another packing are packed anew.
    pub(crate) repacks: bool,
}

/// How artifacts are reached.
#[derive(Clone, Copy)]
pub(crate) struct Reach<'a> {
    pub(crate) store: &'a Store,
    pub(crate) usage: &'a Arc<Usage>,
    pub(crate) access: &'a Access,
    pub(crate) events: &'a dyn EventSink,
    /// Who owns files that are written into folders; absent: this process's user.
    pub(crate) owner: Option<(u32, u32)>,
}

impl Reach<'_> {
    /// Reads what is at a place, without the layers' content.
    ///
    /// # Errors
    /// See [`ImageError`]: it cannot be had, is too long, damaged or no manifest.
    pub(crate) async fn read(&self, place: &Place) -> Result<Artifact, ImageError> {
        match place {
            Place::Registry(reference) => registry::read(self.access, reference, self.events).await,
            Place::Folder { folder, name } => {
                let (folder, name) = (folder.clone(), name.clone());
                let work = move |_: &Store| folder::read(&folder, &name);
                beside(self.store, &place.to_string(), work).await
            }
        }
    }

    /// Sees to it that layers of a place are in the store, each by its diff-id.
    ///
    /// # Errors
    /// As [`Reach::read`]; a layer is not what its diff-id says, and is not kept then.
    pub(crate) async fn fetch(
        &self,
        place: &Place,
        layers: &[(Digest, Descriptor)],
    ) -> Result<(), ImageError> {
        let what = format!("`{place}`");
        match place {
            Place::Registry(reference) => {
                let into = Into {
                    store: self.store,
                    usage: self.usage,
                    events: self.events,
                    what: &what,
                };
                registry::fetch(&into, self.access, reference, layers).await
            }
            Place::Folder { folder, .. } => {
                let work = layers.iter().map(|(diff_id, descriptor)| {
                    let (folder, usage) = (folder.clone(), Arc::clone(self.usage));
                    let (diff_id, descriptor) = (diff_id.clone(), descriptor.clone());
                    beside(self.store, &what, move |store| {
                        folder::layer(store, &usage, &folder, &diff_id, &descriptor)
                    })
                });
                try_join_all(work).await.map(|_| ())
            }
        }
    }

    /// Writes one, under the place's name.
    ///
    /// # Errors
    /// A layer cannot be had, or the place not be written.
    pub(crate) async fn write(&self, place: &Place, new: NewArtifact) -> Result<(), ImageError> {
        match place {
            Place::Registry(reference) => {
                let push = ArtifactPush {
                    access: self.access,
                    reference,
                    new: &new,
                    events: self.events,
                };
                push_artifact(self.store, &push).await
            }
            Place::Folder { folder, name } => {
                let (folder, name, owner) = (folder.clone(), name.clone(), self.owner);
                beside(self.store, &place.to_string(), move |store| {
                    folder::write(store, &folder, &name, &new, owner)
                })
                .await
            }
        }
    }
}

fn malformed(place: &str, reason: &str) -> ImageError {
    ImageError::Malformed {
        what: format!("`{place}`"),
        reason: plain(reason),
    }
}

/// Whether a media type is that of a cache's config as `BuildKit` writes it.
pub(crate) fn is_buildkit(media_type: &str) -> bool {
    media_type.starts_with(BUILDKIT)
}
