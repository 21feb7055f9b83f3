//! From a layer's bytes to a folder that overlayfs can mount, in one pass.
//!
//! ```text
//! input -> decompress (a thread) -> hash -> tar -> files
//!                                              \-> recipe
//! ```
//!
//! Follows the OCI image specification's "Image Layer Filesystem Changeset":
//! whiteouts (`.wh.NAME`, `.wh..wh..opq`) become what overlayfs understands
//! (a 0/0 character device, `trusted.overlay.opaque`). `pack` goes the other
//! way, from a folder that a build filled to the layer that it is.
//!
//! **Folders that a layer only implies** (`a/b` is there, `a` is not) would
//! hide the attributes that a layer below gives them, because overlayfs takes
//! a merged folder's attributes from the uppermost one. Layers are kept by
//! diff-id and shared between images, so this cannot be settled here: such
//! folders are made as 0755 root and listed, and `store::parents` mends it per
//! image.
//!
//! **Hostile layers.** Every path is cleaned by its text and then resolved by
//! the kernel with openat2(2) and `RESOLVE_IN_ROOT` (Linux 5.6), as chroot
//! would; only its last component is ever created or removed, and never
//! followed.

mod compare;
mod extract;
pub(crate) mod header;
mod holes;
mod input;
mod names;
mod number;
mod pack;
mod pax;
mod place;
mod recipe;
mod tar;
mod xattrs;

use std::io::{BufRead, Write};
use std::path::Path;

use super::digest::Digest;
use crate::image::digest::Hasher;

pub(crate) use compare::compare;
pub(crate) use input::{ChunkReader, ChunkSource, Compression, Hashing, with_decompressed};
pub(crate) use names::{clean, split};
pub(crate) use pack::pack;
pub(crate) use recipe::{archive_size, write_archive};
pub(crate) use tar::{Archive, Kind};
pub(crate) use xattrs::xattrs;

/// A layer, unpacked.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// Digest of the uncompressed archive.
    pub(crate) diff_id: Digest,
    /// Bytes of its files.
    pub(crate) size: u64,
    /// Folders that it only implies, relative to the root.
    pub(crate) implied: Vec<Vec<u8>>,
    /// Whether the recipe and the folder give the archive byte for byte.
    pub(crate) exact: bool,
}

/// Why a layer cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// An entry leads out of the layer.
    #[error("its entry `{0}` leads out of the layer")]
    Escape(String),
    /// An entry names nothing that can exist.
    #[error("its entry `{0}` is no valid path")]
    Name(String),
    /// A whiteout without a name.
    #[error("its entry `{0}` marks nothing as removed")]
    Whiteout(String),
    /// The system refuses an entry.
    #[error("cannot {step} its entry `{path}`: {source}")]
    Entry {
        /// What was tried.
        step: &'static str,
        /// The entry.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not a readable archive.
    #[error("{0}")]
    Stream(std::io::Error),
}

/// Unpacks a layer into an existing empty folder and writes its recipe. Blocks.
pub(crate) fn unpack<R: BufRead + Send>(
    input: R,
    root: &Path,
    recipe: impl Write,
) -> Result<Unpacked, UnpackError> {
    with_decompressed(input, |tar| unpack_tar(tar, root, recipe))
}

/// Unpacks an archive that is no layer into an existing empty folder. Blocks.
///
/// # Errors
/// It is damaged, or an entry leads out of it.
pub(crate) fn unpack_archive(input: impl BufRead + Send, root: &Path) -> std::io::Result<()> {
    match unpack(input, root, std::io::sink()) {
        Ok(_) => Ok(()),
        Err(UnpackError::Stream(error)) => Err(error),
        Err(error) => Err(std::io::Error::other(error)),
    }
}

fn unpack_tar(tar: impl BufRead, root: &Path, recipe: impl Write) -> Result<Unpacked, UnpackError> {
    let mut hasher = Hasher::new();
    let hashing = input::Hashing::new(tar, &mut hasher);
    let recipe = recipe::Recipe::new(recipe).map_err(UnpackError::Stream)?;
    let mut archive = Archive::new(hashing, recipe);
    let mut extractor = extract::Extractor::new(root)?;
    while let Some(entry) = archive.next_entry().map_err(UnpackError::Stream)? {
        extractor.apply(&entry, &mut archive)?;
    }
    let recipe = archive.finish().map_err(UnpackError::Stream)?;
    recipe.finish().map_err(UnpackError::Stream)?;
    let done = extractor.finish()?;
    Ok(Unpacked {
        diff_id: hasher.finish(),
        size: done.size,
        implied: done.implied,
        exact: done.exact,
    })
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
