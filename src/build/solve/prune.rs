//! Making room: what builds keep, the least recently used first.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, SystemTime};

use super::cache::{Cache, Found};
use super::kept_folders;
use crate::image::{Digest, Store};
use crate::state::Layout;

/// What is to go.
#[derive(Debug, Clone, Default)]
pub struct Prune {
    /// All of it, the steps of images that are there and the folders of
    /// `RUN --mount=type=cache` included.
    pub all: bool,
    /// Only what was not used for so long.
    pub unused_for: Option<Duration>,
    /// So many bytes may stay.
    pub keep: Option<u64>,
}

/// A step that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is known by.
    pub key: String,
    /// Its layer; absent where it changed nothing.
    pub layer: Option<Digest>,
    /// The layers that it is of use upon.
    pub below: Vec<Digest>,
    /// When it was last used.
    pub used: SystemTime,
}

/// What went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names of steps, and their bytes.
    pub steps: Vec<(String, u64)>,
    /// Bytes of cache folders.
    pub folders: u64,
}

/// Forgets steps and removes cache folders; layers that nobody has then are the
/// store's garbage. Nobody may be building: the caller holds that off.
///
/// # Errors
/// The cache or the store cannot be read or written.
pub fn prune(layout: &Layout, wanted: &Prune) -> io::Result<Pruned> {
    let cache = Cache::open(layout);
    let images = Store::open(layout).list().map_err(io::Error::other)?;
    let of_images: BTreeSet<Digest> = images.into_iter().flat_map(|image| image.layers).collect();
    let mut pruned = Pruned::default();
    for step in choose(cache.all()?, &of_images, wanted, SystemTime::now()) {
        cache.forget(&step.key)?;
        pruned.steps.push((step.entry.name, step.entry.size));
    }
    if wanted.all && wanted.unused_for.is_none() && wanted.keep.is_none() {
        for folder in [cache.mounts(), cache.hashes(), cache.sources()] {
            pruned.folders += kept_folders::size(&folder)?;
            kept_folders::remove(&folder)?;
        }
    }
    Ok(pruned)
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
            layer: found.entry.layer,
            below: found.entry.below,
            used: found.used,
        })
        .collect())
}

/// Forgets these steps.
///
/// # Errors
/// One cannot be removed.
pub fn forget(layout: &Layout, keys: &BTreeSet<String>) -> io::Result<()> {
    let cache = Cache::open(layout);
    keys.iter().try_for_each(|key| cache.forget(key))
}

/// Which steps go.
fn choose(
    mut steps: Vec<Found>,
    of_images: &BTreeSet<Digest>,
    wanted: &Prune,
    now: SystemTime,
) -> Vec<Found> {
    steps.sort_by_key(|step| step.used);
    let mut total: u64 = steps.iter().map(|step| step.entry.size).sum();
    let mut chosen = Vec::new();
    for step in steps {
        // Its layer stays with the image: forgetting it frees nothing.
        let is_kept = step
            .entry
            .layer
            .as_ref()
            .is_some_and(|layer| of_images.contains(layer));
        let age = now.duration_since(step.used).unwrap_or_default();
        let is_old = wanted.unused_for.is_none_or(|least| age >= least);
        let is_too_much = wanted.keep.is_none_or(|keep| total > keep);
        if is_old && is_too_much && (wanted.all || !is_kept) {
            total -= step.entry.size;
            chosen.push(step);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::cache::Entry;
    use super::*;

    #[test]
    fn the_least_recently_used_go_and_what_images_have_stays() {
        let start = SystemTime::UNIX_EPOCH;
        let layer = |name: &str| Digest::of(name.as_bytes());
        let step = |name: &str, used: u64, size: u64| Found {
            key: name.to_owned(),
            entry: Entry::new(
                &[0; 32],
                name.to_owned(),
                Some(layer(name)),
                size,
                Vec::new(),
            ),
            used: start + Duration::from_secs(used),
        };
        let now = start + Duration::from_secs(100);
        let chosen = |wanted: &Prune| {
            let steps = vec![
                step("new", 90, 10),
                step("old", 10, 10),
                step("image", 20, 10),
            ];
            let kept = BTreeSet::from([layer("image")]);
            let chosen = choose(steps, &kept, wanted, now);
            chosen.into_iter().map(|step| step.key).collect::<Vec<_>>()
        };
        let with = |all, unused_for, keep| Prune {
            all,
            unused_for: Option::map(unused_for, Duration::from_secs),
            keep,
        };
        assert_eq!(chosen(&with(false, None, None)), ["old", "new"]);
        assert_eq!(chosen(&with(true, None, None)), ["old", "image", "new"]);
        assert_eq!(chosen(&with(true, Some(50), None)), ["old", "image"]);
        assert_eq!(chosen(&with(true, None, Some(20))), ["old"]);
        assert_eq!(chosen(&with(false, None, Some(5))), ["old", "new"]);
        assert_eq!(chosen(&with(false, None, Some(30))), Vec::<String>::new());
    }
}
