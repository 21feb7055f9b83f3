//! What builds keep, and forgetting it.

use std::collections::BTreeSet;
use std::io;
use std::time::SystemTime;

use super::cache::Cache;
use super::kept_folders;
use crate::image::Digest;
use crate::state::Layout;

/// A step that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is known by.
    pub key: String,
    /// As the build shows it.
    pub name: String,
    /// Its layer; absent where it changed nothing.
    pub layer: Option<Digest>,
    /// Bytes of that layer's files.
    pub bytes: u64,
    /// The layers that it is of use upon.
    pub below: Vec<Digest>,
    /// When it was last used.
    pub used: SystemTime,
}

/// What is kept of all steps, in no order.
///
/// # Errors
/// The cache cannot be read.
pub fn kept(layout: &Layout) -> io::Result<Vec<Kept>> {
    let all = Cache::open(layout).all()?.into_iter();
    Ok(all
        .map(|found| Kept {
            key: found.key,
            name: found.entry.name,
            layer: found.entry.layer,
            bytes: found.entry.size,
            below: found.entry.below,
            used: found.used,
        })
        .collect())
}

/// Forgets these steps; layers that nobody has then are the store's garbage.
///
/// # Errors
/// One cannot be removed.
pub fn forget(layout: &Layout, keys: &BTreeSet<String>) -> io::Result<()> {
    let cache = Cache::open(layout);
    keys.iter().try_for_each(|key| cache.forget(key))
}

/// Forgets what is known of contexts' files, web servers and repositories, and removes
/// the folders of `RUN --mount=type=cache`; how many bytes that were. Nobody may be
/// building.
///
/// # Errors
/// It cannot be removed.
pub fn forget_rest(layout: &Layout) -> io::Result<u64> {
    let cache = Cache::open(layout);
    let mut bytes = 0;
    for folder in [cache.mounts(), cache.hashes(), cache.sources()] {
        bytes += kept_folders::size(&folder)?;
        kept_folders::remove(&folder)?;
    }
    Ok(bytes)
}
