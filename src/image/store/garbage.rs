//! Garbage: layers and documents that no image names, and what crashes left.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::layer::dispose;
use super::{Store, Usage};
use crate::image::digest::Digest;
use crate::image::error::{ImageError, StoreContext as _};
use crate::image::reference::Reference;

/// What containers need, running or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InUse {
    /// Their images, by id.
    pub images: BTreeSet<Digest>,
    /// The layers of their roots, by diff-id.
    pub layers: BTreeSet<Digest>,
}

/// What [`Store::collect_garbage`] removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Images whose names others have now, by id.
    pub images: Vec<Digest>,
    /// Layers, by diff-id.
    pub layers: Vec<Digest>,
    /// Bytes of their files.
    pub bytes: u64,
}

/// The store while nobody else uses it.
#[derive(Debug)]
pub struct Alone<'a> {
    store: &'a Store,
    usage: &'a Usage,
}

impl Alone<'_> {
    /// Takes images away, whatever names they have.
    ///
    /// # Errors
    /// The index cannot be read or written.
    pub fn remove(&self, ids: &BTreeSet<Digest>) -> Result<(), ImageError> {
        self.store.change_index_as(self.usage, |index| {
            ids.iter()
                .try_for_each(|id| index.remove(id.as_str()).map(|_| ()))
        })
    }
}

impl Store {
    /// Whether an image has lost its last name to another, so that a
    /// collection may find something. Costs the reading of one small file.
    ///
    /// # Errors
    /// The store is unreadable.
    pub fn has_superseded(&self) -> Result<bool, ImageError> {
        Ok(self.read_index()?.images.iter().any(|one| one.superseded))
    }

    /// Removes unfinished work of processes that were killed, where there is any and
    /// nobody uses the store. Costs the reading of one folder that is empty as a rule.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub fn remove_unfinished(&self) -> Result<(), ImageError> {
        if entries(&self.scratch())?.is_empty() {
            return Ok(());
        }
        let Some(usage) = self.try_use_exclusive()? else {
            return Ok(());
        };
        let mut graves = Vec::new();
        let buried = self.bury_unfinished(&mut graves);
        drop(usage);
        for grave in &graves {
            dispose(grave)?;
        }
        buried
    }

    fn bury_unfinished(&self, graves: &mut Vec<PathBuf>) -> Result<(), ImageError> {
        for unfinished in entries(&self.scratch())? {
            graves.extend(self.bury(&unfinished)?);
        }
        Ok(())
    }

    /// Removes images whose last name went to another one, layers that no
    /// image names, neither of them while `in_use` holds it, documents of no
    /// image, and unfinished work of crashed processes. `None` where another
    /// process is adding to the store or about to make a container: then
    /// nothing is removed.
    ///
    /// `in_use` is asked when nobody can make a container any more, and an
    /// image goes before its layers do, so a crash leaves garbage at worst.
    ///
    /// # Errors
    /// `in_use` fails, or the store cannot be read or written.
    pub fn collect_garbage(
        &self,
        in_use: impl FnOnce() -> io::Result<InUse>,
    ) -> Result<Option<Collected>, ImageError> {
        self.collect_garbage_after(|_| in_use())
    }

    /// The same; `prepare` may take images away before it tells what is in use.
    ///
    /// # Errors
    /// As [`Store::collect_garbage`].
    pub fn collect_garbage_after(
        &self,
        prepare: impl FnOnce(&Alone<'_>) -> io::Result<InUse>,
    ) -> Result<Option<Collected>, ImageError> {
        let Some(usage) = self.try_use_exclusive()? else {
            return Ok(None);
        };
        let alone = Alone {
            store: self,
            usage: &usage,
        };
        let in_use = prepare(&alone).store("tell which containers use", &self.root)?;
        let mut graves = Vec::new();
        let collected = self.bury_garbage(&usage, &in_use, &mut graves);
        // Whoever waits may go on while the files go.
        drop(usage);
        for grave in &graves {
            dispose(grave)?;
        }
        collected.map(Some)
    }

    fn bury_garbage(
        &self,
        usage: &Usage,
        in_use: &InUse,
        graves: &mut Vec<PathBuf>,
    ) -> Result<Collected, ImageError> {
        let mut collected = Collected::default();
        let index = self.change_index_as(usage, |index| {
            let kept = |id: &Digest, superseded: bool| !superseded || in_use.images.contains(id);
            let (stay, go) = std::mem::take(&mut index.images)
                .into_iter()
                .partition(|entry| kept(&entry.id, entry.superseded));
            index.images = stay;
            collected.images = Vec::into_iter(go).map(|entry| entry.id).collect();
            Ok(index.clone())
        })?;
        let mut layers = in_use.layers.clone();
        let mut blobs = BTreeSet::new();
        for entry in &index.images {
            layers.extend(entry.layers.iter().cloned());
            blobs.insert(entry.id.clone());
            blobs.extend(entry.manifest.clone());
            let digests = entry.repo_digests.iter().filter_map(|name| {
                let reference = Reference::parse(name).ok()?;
                reference.digest().cloned()
            });
            blobs.extend(digests);
        }
        self.bury_unfinished(graves)?;
        for home in entries(&self.root.join("layers"))? {
            match digest_of(&home) {
                Some(layer) if layers.contains(&layer) => {}
                Some(layer) => {
                    collected.bytes += self.layer_record(&layer).map_or(0, |record| record.size);
                    graves.extend(self.bury(&home)?);
                    collected.layers.push(layer);
                }
                None => graves.extend(self.bury(&home)?),
            }
        }
        for link in entries(&self.links())? {
            if fs::metadata(&link).is_err() {
                fs::remove_file(&link).store("remove", &link)?;
            }
        }
        for lock in entries(&self.root.join("locks"))? {
            if digest_of(&lock).is_none_or(|layer| !layers.contains(&layer)) {
                fs::remove_file(&lock).store("remove", &lock)?;
            }
        }
        for blob in entries(&self.root.join("blobs/sha256"))? {
            if digest_of(&blob).is_none_or(|digest| !blobs.contains(&digest)) {
                fs::remove_file(&blob).store("remove", &blob)?;
            }
        }
        Ok(collected)
    }
}

/// The digest that a file of the store is named by.
pub(super) fn digest_of(path: &Path) -> Option<Digest> {
    let name = path.file_name().and_then(OsStr::to_str)?;
    Digest::parse(&format!("sha256:{name}")).ok()
}

pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, ImageError> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .store("read", folder),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).store("read", folder),
    }
}
