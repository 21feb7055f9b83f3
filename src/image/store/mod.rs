//! The image store: what is under `images/` in the data root.
//!
//! ```text
//! index.json            every image: names, digests, layers, size, times
//! index.lock            held while index.json is rewritten
//! blobs/sha256/<hex>    manifests and configs, byte for byte
//! layers/<hex>/         one unpacked layer, by the hex digits of its diff-id
//!   diff/               what overlayfs mounts
//!   layer.json          its size and how it came to be
//!   recipe              its archive without the files' content
//!   implied             folders that it only implies (see `parents`)
//!   synced              its content has reached the disk
//! l/<short>             link to ../layers/<hex>/diff, for mount options
//! locks/<hex>           held while that layer is being unpacked
//! tmp/<hex>/            a layer being unpacked
//! size.json             bytes of all layers, as long as none came or went
//! usage.lock            shared by who adds, exclusive to who collects garbage
//! ```
//!
//! **Compressed layers are not kept.** What runs needs the unpacked tree only,
//! and keeping both would take one and a half times the space. The small
//! documents (manifest, config) are kept exactly, because they cannot be made
//! again; a layer's uncompressed archive can be written again from its folder
//! and its recipe, byte for byte, when it is to be saved or pushed. Only the
//! compressed digest is lost, as in Docker's classic store.
//!
//! Readers take no lock: `index.json` is replaced whole. A crash at any point
//! leaves an unfinished folder under `tmp/`, which the next owner of that
//! layer's lock, or the next command that adds something, removes; or layers that no image
//! names, which the next pull takes up and the next collection removes.

mod blob;
mod commit;
mod garbage;
mod index;
mod layer;
mod parents;
mod room;
mod usage;
mod verify;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::config::ImageConfig;
use super::digest::Digest;
use super::error::ImageError;
use super::platform::Platform;
use super::pull::Pulls;
use super::reference::Reference;
use crate::state::Layout;

pub use commit::LayerCommit;
pub use garbage::{Alone, Collected, InUse};
pub(crate) use index::NewImage;
pub(crate) use layer::{LayerClaim, PendingLayer};
pub use usage::Usage;
pub use verify::{Aside, Part, Problem, Verified};

/// An image as it is in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// Digest of its config, Docker's image id.
    pub id: Digest,
    /// Its names, each with a tag; empty once all were taken away.
    pub names: Vec<Reference>,
    /// Its names by digest (`name@sha256:…`), as pulled.
    pub repo_digests: Vec<Reference>,
    /// Digest of its manifest; absent for a Docker archive, which has none.
    pub digest: Option<Digest>,
    /// What its containers run and how.
    pub config: ImageConfig,
    /// The layers to mount, as diff-ids, the lowest first. At their end there
    /// may be one that is not in the image's config (see `parents`).
    pub layers: Vec<Digest>,
    /// Bytes of all its layers, unpacked.
    pub size: u64,
    /// When it was built, as its config says (RFC 3339).
    pub created: Option<String>,
    /// When it was pulled or loaded.
    pub pulled: Timestamp,
    /// What it is for.
    pub platform: Platform,
    /// Ids of the images for other platforms that were built with it, and that its
    /// names mean, too.
    pub variants: Vec<Digest>,
    /// Its config, byte for byte.
    pub raw_config: Arc<str>,
}

/// The store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    root: Arc<PathBuf>,
    trash: Arc<PathBuf>,
    /// Layers that one process downloads and unpacks at a time.
    slots: Arc<Semaphore>,
    pulls: Arc<Pulls>,
}

/// The right to download and unpack a layer, until dropped.
pub(crate) type Turn = OwnedSemaphorePermit;

/// Docker's default too; more would only make them wait for each other.
const LAYERS_AT_ONCE: usize = 3;

impl Store {
    /// The store of these roots. Touches nothing: folders are made on the
    /// first write, and a store that was never written is empty.
    pub fn open(layout: &Layout) -> Self {
        Self {
            root: Arc::new(layout.images()),
            trash: Arc::new(layout.trash()),
            slots: Arc::new(Semaphore::new(LAYERS_AT_ONCE)),
            pulls: Arc::default(),
        }
    }

    /// Finds an image by name (`nginx`, `nginx:1.27`), by name and digest, by
    /// id or by the first digits of its id.
    ///
    /// # Errors
    /// The text can be no image, means several, or the store is unreadable.
    pub fn find(&self, text: &str) -> Result<Option<Image>, ImageError> {
        let index = self.read_index()?;
        index
            .lookup(text)?
            .map(|entry| self.image(entry))
            .transpose()
    }

    /// Finds the image of a name that serves a platform.
    ///
    /// # Errors
    /// The store is unreadable.
    pub fn find_for(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Option<Image>, ImageError> {
        let index = self.read_index()?;
        let found = index.for_platform(reference, platform);
        found.map(|entry| self.image(entry)).transpose()
    }

    /// An image and those for other platforms that its names mean.
    ///
    /// # Errors
    /// The store is unreadable.
    pub fn with_variants(&self, image: Image) -> Result<Vec<Image>, ImageError> {
        let mut all = Vec::with_capacity(1 + image.variants.len());
        for id in &image.variants {
            all.extend(self.find(&id.to_string())?);
        }
        all.insert(0, image);
        Ok(all)
    }

    /// All images, the latest pulled first.
    ///
    /// # Errors
    /// The store is unreadable.
    pub fn list(&self) -> Result<Vec<Image>, ImageError> {
        let mut entries = self.read_index()?.images;
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.pulled));
        entries.iter().map(|entry| self.image(entry)).collect()
    }

    /// The same without images for other platforms that others have their names for.
    ///
    /// # Errors
    /// The store is unreadable.
    pub fn list_own(&self) -> Result<Vec<Image>, ImageError> {
        let mut images = self.list()?;
        let variants: BTreeSet<Digest> = images
            .iter()
            .flat_map(|image| image.variants.iter().cloned())
            .collect();
        images.retain(|image| !image.names.is_empty() || !variants.contains(&image.id));
        Ok(images)
    }

    /// Gives an image a further name, and takes that name from whichever image
    /// had it.
    ///
    /// # Errors
    /// `text` means no image or several; the store cannot be written.
    pub fn tag(&self, text: &str, name: &Reference) -> Result<(), ImageError> {
        self.change_index(|index| {
            let id = index.lookup(text)?.map(|entry| entry.id.clone());
            let id = id.ok_or_else(|| ImageError::NoSuchImage(text.to_owned()))?;
            index.name(&id, name);
            Ok(())
        })
    }

    /// Takes a name away, and the image with its last name; given an id, takes
    /// all names away. Layers go with the next [`Store::collect_garbage`].
    ///
    /// # Errors
    /// No such image; the store cannot be written.
    pub fn remove(&self, text: &str) -> Result<Removed, ImageError> {
        self.change_index(|index| index.remove(text))
    }

    /// Takes names and images away as [`Store::remove`] does, each that `choose` names.
    /// It is asked when nobody else changes the index and, unless another command
    /// uses the store, nobody can make a container; so what it sees of them is so
    /// still when an image goes.
    ///
    /// # Errors
    /// As [`Store::remove`], and inside those of `choose`.
    pub fn remove_chosen<E>(
        &self,
        choose: impl FnOnce() -> Result<Vec<String>, E>,
    ) -> Result<Result<Vec<Removed>, E>, ImageError> {
        let usage = match self.try_use_exclusive()? {
            Some(usage) => usage,
            None => self.use_shared()?,
        };
        self.change_index_as(&usage, |index| match choose() {
            Ok(chosen) => {
                let removed = chosen.iter().map(|text| index.remove(text));
                removed.collect::<Result<_, _>>().map(Ok)
            }
            Err(error) => Ok(Err(error)),
        })
    }

    /// The folder that overlayfs mounts for a layer. It need not exist.
    pub fn layer_dir(&self, diff_id: &Digest) -> PathBuf {
        self.layer_home(diff_id).join("diff")
    }

    /// Folder of the short links, see [`Store::layer_link`].
    pub fn links(&self) -> PathBuf {
        self.root.join("l")
    }

    /// The name of a layer's link in [`Store::links`]: 7 characters, so that
    /// the options of one mount(2) have room for hundreds of layers.
    ///
    /// # Errors
    /// The layer has no link, because it is not in the store.
    pub fn layer_link(&self, diff_id: &Digest) -> Result<String, ImageError> {
        self.find_link(diff_id)
    }

    /// Waits for one's turn to download and unpack a layer. Whatever has the turn
    /// is waited for by [`Store::settled`].
    pub(crate) async fn turn(&self) -> Option<Turn> {
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    /// Waits until no thread of this store, or a clone of it, unpacks a layer: what
    /// was given up in the middle is gone by then.
    pub async fn settled(&self) {
        let all = u32::try_from(LAYERS_AT_ONCE).unwrap_or(u32::MAX);
        drop(self.slots.acquire_many(all).await);
    }

    /// Folders of layers for overlayfs, the uppermost first, from diff-ids with the
    /// lowest first. A layer that is there twice is named once: overlayfs takes no
    /// folder twice (`ELOOP`), and all that it has is seen where it is uppermost.
    ///
    /// # Errors
    /// A layer is not in the store.
    pub fn lower_folders(&self, layers: &[Digest]) -> Result<Vec<PathBuf>, ImageError> {
        let links = self.links();
        let mut folders: Vec<PathBuf> = Vec::with_capacity(layers.len());
        for layer in layers.iter().rev() {
            let folder = links.join(self.layer_link(layer)?);
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        Ok(folders)
    }

    /// Pulls under way in this process.
    pub(crate) fn pulls(&self) -> &Pulls {
        &self.pulls
    }

    /// What the built-in image was made from.
    pub(crate) fn toolbox_record(&self) -> PathBuf {
        self.root.join("toolbox.json")
    }

    /// A folder for files that last as long as one operation.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn layer_home(&self, diff_id: &Digest) -> PathBuf {
        self.root.join("layers").join(diff_id.hex())
    }
}

/// What [`Store::remove`] took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Names that mean nothing any more.
    pub untagged: Vec<Reference>,
    /// The image that lost its last name.
    pub deleted: Option<Digest>,
}

#[cfg(test)]
pub(crate) mod tests;
