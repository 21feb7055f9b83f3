//! Garbage: layers and documents that no image names, and what crashes left.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::Store;
use crate::image::digest::Digest;
use crate::image::error::{ImageError, StoreContext as _};
use crate::image::reference::Reference;

/// What [`Store::collect_garbage`] removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Layers, by diff-id.
    pub layers: Vec<Digest>,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Store {
    /// Removes layers that neither an image names nor `in_use` holds (the
    /// layers of existing containers, whose image may be gone), documents of
    /// no image, and unfinished work of crashed processes. `None` where
    /// another process is adding to the store: then nothing is removed.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub fn collect_garbage(
        &self,
        in_use: &BTreeSet<Digest>,
    ) -> Result<Option<Collected>, ImageError> {
        let Some(_usage) = self.try_use_exclusive()? else {
            return Ok(None);
        };
        let index = self.read_index()?;
        let mut layers = in_use.clone();
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
        for unfinished in entries(&self.scratch())? {
            self.discard(&unfinished)?;
        }
        let mut collected = Collected::default();
        for home in entries(&self.root.join("layers"))? {
            match digest_of(&home) {
                Some(layer) if layers.contains(&layer) => {}
                Some(layer) => {
                    collected.bytes += self.layer_record(&layer).map_or(0, |record| record.size);
                    self.discard(&home)?;
                    collected.layers.push(layer);
                }
                None => self.discard(&home)?,
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
        Ok(Some(collected))
    }
}

/// The digest that a file of the store is named by.
fn digest_of(path: &Path) -> Option<Digest> {
    let name = path.file_name().and_then(OsStr::to_str)?;
    Digest::parse(&format!("sha256:{name}")).ok()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ImageError> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .store("read", folder),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).store("read", folder),
    }
}
