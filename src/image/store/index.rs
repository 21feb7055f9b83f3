//! `index.json`: every image of the store, and how a text finds one.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Image, Removed, Store};
use crate::image::config::ConfigFile;
use crate::image::digest::{Digest, is_lower_hex};
use crate::image::error::{ImageError, StoreContext as _};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::state::atomic::{self, Durability};
use crate::state::lock::Lock;

/// Raised when the meaning of a field changes; a higher one is refused.
const INDEX_VERSION: u32 = 1;

/// The content of `index.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    version: u32,
    pub(super) images: Vec<Entry>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Digest of the config.
    pub(super) id: Digest,
    /// Full names with tags, `docker.io/library/nginx:1.27`.
    pub(super) names: Vec<String>,
    /// Full names with digests, `docker.io/library/nginx@sha256:…`.
    #[serde(default)]
    pub(super) repo_digests: Vec<String>,
    /// Digest of the manifest, where there is one.
    #[serde(default)]
    pub(super) manifest: Option<Digest>,
    pub(super) platform: Platform,
    /// Bytes of its layers, unpacked.
    pub(super) size: u64,
    /// diff-ids to mount, the lowest first.
    pub(super) layers: Vec<Digest>,
    pub(super) created: Option<String>,
    pub(super) pulled: Timestamp,
    /// Its last name went to another image: it is garbage once no container
    /// uses it.
    #[serde(default)]
    pub(super) superseded: bool,
    /// Ids of the images for other platforms that were built with it: its names are
    /// theirs, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) variants: Vec<Digest>,
}

impl Entry {
    /// Takes these names away, for they go to another image.
    fn lose(&mut self, names: &[String]) {
        if self.names.is_empty() {
            return;
        }
        self.names.retain(|name| !names.contains(name));
        self.superseded = self.names.is_empty();
    }

    /// Whether a reference means it: a name with a tag, or one with a digest, where
    /// the tag says nothing, as for Docker.
    fn has_name(&self, reference: &Reference) -> bool {
        match reference.digest() {
            Some(digest) => {
                let wanted = format!("{}@{digest}", reference.name());
                self.repo_digests.contains(&wanted)
            }
            None => self.names.contains(&reference.to_string()),
        }
    }
}

/// An image whose layers are all in the store, about to be named.
#[derive(Debug)]
pub(crate) struct NewImage {
    /// Its config, byte for byte.
    pub(crate) config: Vec<u8>,
    /// Its manifest, byte for byte, and the index it was chosen from.
    pub(crate) manifests: Vec<Vec<u8>>,
    /// Digest of its manifest.
    pub(crate) manifest: Option<Digest>,
    /// Names with a tag.
    pub(crate) names: Vec<Reference>,
    /// Names with a digest.
    pub(crate) repo_digests: Vec<Reference>,
    /// Ids of the images for other platforms that its names mean, too.
    pub(crate) variants: Vec<Digest>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            version: INDEX_VERSION,
            images: Vec::new(),
        }
    }
}

impl Index {
    /// Finds the image that a text means: a full id, then a name, then the
    /// first digits of an id.
    pub(super) fn lookup(&self, text: &str) -> Result<Option<&Entry>, ImageError> {
        if let Ok(digest) = Digest::parse(text) {
            return Ok(self.by_digest(&digest));
        }
        if let Ok(digest) = Digest::parse(&format!("sha256:{text}")) {
            return Ok(self.by_digest(&digest));
        }
        let reference = Reference::parse(text);
        if let Ok(reference) = &reference
            && let Some(found) = self.by_reference(reference)
        {
            return Ok(Some(found));
        }
        if let Some(prefix) = id_prefix(text) {
            let mut found = self
                .images
                .iter()
                .filter(|e| e.id.hex().starts_with(prefix));
            let first = found.next();
            let more = found.count();
            if more > 0 {
                return Err(ImageError::Ambiguous {
                    text: text.to_owned(),
                    count: more + 1,
                });
            }
            if first.is_some() {
                return Ok(first);
            }
        }
        reference.map(|_| None).map_err(Into::into)
    }

    fn by_digest(&self, digest: &Digest) -> Option<&Entry> {
        self.images.iter().find(|e| e.id == *digest).or_else(|| {
            self.images
                .iter()
                .find(|e| e.manifest.as_ref() == Some(digest))
        })
    }

    /// Of images for several platforms with one digest the host's.
    fn by_reference(&self, reference: &Reference) -> Option<&Entry> {
        self.for_platform(reference, &Platform::host())
            .or_else(|| self.images.iter().find(|e| e.has_name(reference)))
    }

    /// The image of a name that serves a platform best.
    pub(super) fn for_platform(&self, reference: &Reference, wanted: &Platform) -> Option<&Entry> {
        let named = self.images.iter().filter(|e| e.has_name(reference));
        let variants = named.clone().flat_map(|entry| &entry.variants);
        let variants = variants.filter_map(|id| self.images.iter().find(|e| e.id == *id));
        let serving = named.chain(variants);
        let serving = serving.filter_map(|entry| Some((wanted.fitness(&entry.platform)?, entry)));
        serving
            .min_by_key(|(fitness, _)| *fitness)
            .map(|(_, entry)| entry)
    }

    /// The images that others have their names for.
    fn variants(&self) -> BTreeSet<Digest> {
        let alive = self.images.iter().filter(|entry| !entry.superseded);
        alive.flat_map(|entry| entry.variants.clone()).collect()
    }

    /// Makes garbage of those that were variants before and are none any more.
    fn forsake(&mut self, before: &BTreeSet<Digest>) {
        let now = self.variants();
        for entry in &mut self.images {
            let is_lost = before.contains(&entry.id) && !now.contains(&entry.id);
            entry.superseded |= is_lost && entry.names.is_empty();
        }
    }

    /// Moves a name to an image.
    pub(super) fn name(&mut self, id: &Digest, name: &Reference) {
        let name = name.to_string();
        let variants = self.variants();
        for entry in &mut self.images {
            entry.lose(std::slice::from_ref(&name));
            if entry.id == *id {
                entry.names.push(name.clone());
                entry.names.sort();
                entry.superseded = false;
            }
        }
        self.forsake(&variants);
    }

    /// Enters an image, or adds to the names it has.
    pub(super) fn add(&mut self, mut new: Entry) {
        let variants = self.variants();
        if let Some(position) = self.images.iter().position(|e| e.id == new.id) {
            let old = self.images.swap_remove(position);
            new.names.extend(old.names);
            new.repo_digests.extend(old.repo_digests);
            new.manifest = new.manifest.or(old.manifest);
        }
        for entry in &mut self.images {
            entry.lose(&new.names);
        }
        new.names.sort();
        new.names.dedup();
        new.repo_digests.sort();
        new.repo_digests.dedup();
        self.images.push(new);
        self.forsake(&variants);
    }

    /// Takes away what a text means; see [`Store::remove`].
    pub(super) fn remove(&mut self, text: &str) -> Result<Removed, ImageError> {
        let found = self.lookup(text)?;
        let entry = found.ok_or_else(|| ImageError::NoSuchImage(text.to_owned()))?;
        let id = entry.id.clone();
        let by_name = Reference::parse(text)
            .ok()
            .map(|reference| reference.to_string())
            .filter(|name| entry.names.contains(name));
        let position = self.images.iter().position(|e| e.id == id);
        let mut untagged = Vec::new();
        let mut deleted = None;
        if let Some(entry) = position.and_then(|p| self.images.get_mut(p)) {
            match by_name {
                Some(name) => {
                    entry.names.retain(|n| *n != name);
                    untagged.push(name);
                }
                None => untagged.append(&mut entry.names),
            }
            if entry.names.is_empty() {
                deleted = Some(id.clone());
            }
        }
        if deleted.is_some() {
            let variants = self.variants();
            self.images.retain(|e| e.id != id);
            self.forsake(&variants);
        }
        Ok(Removed {
            untagged: references(&untagged),
            deleted,
        })
    }
}

/// The digits of a text that can be the beginning of an id.
fn id_prefix(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    (!digits.is_empty() && digits.len() < 64 && is_lower_hex(digits)).then_some(digits)
}

/// Names as stored are valid; one that is not would be of a damaged index and
/// is left out.
pub(super) fn references(names: &[String]) -> Vec<Reference> {
    names
        .iter()
        .filter_map(|n| Reference::parse(n).ok())
        .collect()
}

impl Store {
    fn index_path(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(super) fn read_index(&self) -> Result<Index, ImageError> {
        let path = self.index_path();
        let index: Index = atomic::read_json(&path)
            .store("read", &path)?
            .unwrap_or_default();
        if index.version > INDEX_VERSION {
            return Err(ImageError::Malformed {
                what: format!("`{}`", path.display()),
                reason: format!(
                    "it was written by a newer skiff (format {}, this one knows {INDEX_VERSION})",
                    index.version
                ),
            });
        }
        Ok(index)
    }

    /// Reads, changes and replaces the index under its lock.
    pub(super) fn change_index<T>(
        &self,
        change: impl FnOnce(&mut Index) -> Result<T, ImageError>,
    ) -> Result<T, ImageError> {
        // Also makes the store's folder.
        let usage = self.use_shared()?;
        self.change_index_as(&usage, change)
    }

    /// The same, for whoever has the right to use the store already.
    pub(super) fn change_index_as<T>(
        &self,
        _usage: &super::Usage,
        change: impl FnOnce(&mut Index) -> Result<T, ImageError>,
    ) -> Result<T, ImageError> {
        let lock_path = self.root.join("index.lock");
        let _lock = Lock::acquire(&lock_path).store("lock", &lock_path)?;
        let mut index = self.read_index()?;
        let before = index.clone();
        let result = change(&mut index)?;
        if index != before {
            let path = self.index_path();
            atomic::write_json(&path, &index, Durability::Durable).store("write", &path)?;
        }
        Ok(result)
    }

    /// Reads what the index does not hold of an image.
    pub(super) fn image(&self, entry: &Entry) -> Result<Image, ImageError> {
        let text = self.read_blob(&entry.id)?;
        let malformed = |reason: String| ImageError::Malformed {
            what: format!("config of image {}", entry.id.short()),
            reason,
        };
        let config = ConfigFile::parse(&text).map_err(|e| malformed(e.to_string()))?;
        let text = String::from_utf8(text).map_err(|e| malformed(e.to_string()))?;
        Ok(Image {
            id: entry.id.clone(),
            names: references(&entry.names),
            repo_digests: references(&entry.repo_digests),
            digest: entry.manifest.clone(),
            config: config.config,
            layers: entry.layers.clone(),
            size: entry.size,
            created: entry.created.clone(),
            pulled: entry.pulled,
            platform: entry.platform.clone(),
            variants: entry.variants.clone(),
            raw_config: text.into(),
        })
    }

    /// Enters a further name by digest for an image, and the documents that it
    /// has under that name at a registry.
    pub(crate) fn add_repo_digest(
        &self,
        id: &Digest,
        name: &Reference,
        documents: &[Vec<u8>],
    ) -> Result<(), ImageError> {
        for document in documents {
            self.write_blob(document)?;
        }
        self.change_index(|index| {
            let found = index.images.iter_mut().find(|entry| entry.id == *id);
            // Removed meanwhile, it needs no name.
            let Some(entry) = found else { return Ok(()) };
            let name = name.to_string();
            if !entry.repo_digests.contains(&name) {
                entry.repo_digests.push(name);
                entry.repo_digests.sort();
            }
            if entry.manifest.is_none() {
                entry.manifest = documents.first().map(|text| Digest::of(text));
            }
            Ok(())
        })
    }

    /// Lets the next collection have an image, where it has no name.
    pub(crate) fn let_go(&self, id: &Digest) -> Result<(), ImageError> {
        self.change_index(|index| {
            for entry in index.images.iter_mut().filter(|entry| entry.id == *id) {
                entry.superseded = entry.names.is_empty();
            }
            Ok(())
        })
    }

    /// Makes an image visible: its layers reach the disk, then its documents
    /// and its entry are written. All its layers must be in the store.
    pub(crate) fn add_image(
        &self,
        usage: &super::Usage,
        new: NewImage,
    ) -> Result<Image, ImageError> {
        let id = Digest::of(&new.config);
        let file = ConfigFile::parse(&new.config).map_err(|error| ImageError::Malformed {
            what: format!("config {}", id.short()),
            reason: error.to_string(),
        })?;
        let mut layers = file.rootfs.diff_ids.clone();
        let mut size = 0;
        for layer in &layers {
            size += self.layer_record(layer)?.size;
        }
        layers.extend(self.mend_implied(usage, &layers)?);
        self.sync_layers(&layers)?;
        for document in new.manifests.iter().chain([&new.config]) {
            self.write_blob(document)?;
        }
        let text = |names: &[Reference]| names.iter().map(Reference::to_string).collect();
        let entry = Entry {
            id,
            names: text(&new.names),
            repo_digests: text(&new.repo_digests),
            manifest: new.manifest,
            platform: file.platform(),
            size,
            layers,
            created: file.created,
            pulled: Timestamp::now(),
            superseded: false,
            variants: new.variants,
        };
        self.touch(&entry.id);
        let entry = self.change_index(|index| {
            let id = entry.id.clone();
            index.add(entry);
            index
                .by_digest(&id)
                .cloned()
                .ok_or_else(|| ImageError::NoSuchImage(id.to_string()))
        })?;
        self.image(&entry)
    }
}
