//! A folder that a build step filled becomes a layer, where it lies.

use std::path::Path;

use fs_err as fs;

use super::{LayerClaim, Store, Usage};
use crate::image::digest::Digest;
use crate::image::error::{ImageError, StoreContext as _};
use crate::image::unpack::{Unpacked, pack};

/// A layer that a folder became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerCommit {
    /// Digest of its uncompressed archive.
    pub diff_id: Digest,
    /// Bytes of its files.
    pub size: u64,
}

impl Store {
    /// Makes a layer of the upper directory of an overlay that is unmounted:
    /// whiteouts are character devices 0/0, opaque folders have
    /// `trusted.overlay.opaque`. The folder is moved into the store, or removed
    /// where the layer is there already; it must be on the store's file system.
    /// `None`, with the folder left, where there is nothing in it: such a step
    /// has no layer, and its entry in the image's history is an `empty_layer`.
    ///
    /// No time of a file is after `latest` (seconds since 1970, as
    /// `SOURCE_DATE_EPOCH` gives them). The layer is good in this boot at once,
    /// and beyond it when an image that has it was added. Blocks.
    ///
    /// # Errors
    /// A file has the name of a whiteout; the folder cannot be read or moved.
    /// Where it failed half-way the folder may be in the store's scratch space,
    /// which the next collection empties.
    pub fn commit_folder(
        &self,
        usage: &Usage,
        upper: &Path,
        latest: Option<i64>,
    ) -> Result<Option<LayerCommit>, ImageError> {
        let scratch = self.scratch();
        fs::create_dir_all(&scratch).store("make", &scratch)?;
        let recipe = tempfile::Builder::new()
            .prefix("recipe-")
            .tempfile_in(&scratch)
            .store("make a file in", &scratch)?;
        let packed = pack(upper, recipe.as_file(), latest).map_err(|error| ImageError::Commit {
            folder: upper.to_owned(),
            reason: error.to_string(),
        })?;
        let Some(packed) = packed else {
            return Ok(None);
        };
        match self.claim_layer(usage, &packed.diff_id)? {
            LayerClaim::Present => self.discard(upper)?,
            LayerClaim::Missing(pending) => {
                pending.adopt(upper, recipe)?;
                pending.commit(&Unpacked {
                    diff_id: packed.diff_id.clone(),
                    size: packed.size,
                    implied: Vec::new(),
                    exact: true,
                })?;
            }
        }
        Ok(Some(LayerCommit {
            diff_id: packed.diff_id,
            size: packed.size,
        }))
    }
}

#[cfg(test)]
#[path = "commit_tests.rs"]
mod tests;
