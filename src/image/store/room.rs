//! How much room the store takes, and which of its images were used when.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::Store;
use super::garbage::{digest_of, entries};
use crate::image::digest::Digest;
use crate::image::error::{ImageError, StoreContext as _};
use crate::state::atomic::{self, Durability};

/// The sum of all layers, as long as none came or went.
#[derive(Debug, Serialize, Deserialize)]
struct Sum {
    /// Of the folder of layers, in nanoseconds since 1970.
    changed: u128,
    bytes: u64,
}

impl Store {
    /// Bytes of all layers, each counted once, whoever has it. Costs a look at the
    /// folder's time where nothing came or went since the last time.
    ///
    /// # Errors
    /// The store is unreadable.
    pub fn bytes(&self) -> Result<u64, ImageError> {
        let layers = self.root.join("layers");
        let found = match fs::metadata(&layers).and_then(|found| found.modified()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            found => found.store("read", &layers)?,
        };
        let changed = found
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        let path = self.sum_path();
        // One that is damaged is made again.
        let known: Option<Sum> = atomic::read_json(&path).unwrap_or_default();
        if let Some(known) = known.filter(|known| known.changed == changed) {
            return Ok(known.bytes);
        }
        let bytes = self.layer_sizes()?.values().sum();
        // Taken before the sizes were: a change meanwhile makes it out of date.
        atomic::write_json(&path, &Sum { changed, bytes }, Durability::ThisBoot)
            .store("write", &path)?;
        Ok(bytes)
    }

    fn sum_path(&self) -> PathBuf {
        self.root.join("size.json")
    }

    /// Bytes of each layer.
    ///
    /// # Errors
    /// The store is unreadable.
    pub fn layer_sizes(&self) -> Result<BTreeMap<Digest, u64>, ImageError> {
        let homes = entries(&self.root.join("layers"))?;
        let layers = homes.iter().filter_map(|home| digest_of(home));
        Ok(layers
            .map(|layer| {
                let size = self.layer_record(&layer).map_or(0, |record| record.size);
                (layer, size)
            })
            .collect())
    }

    /// Counts as a use of an image: a container of it is started, it is built upon
    /// or pulled. Kept as the time of its config's file; where that cannot be set, the
    /// image counts as less used than it is.
    pub fn touch(&self, id: &Digest) {
        fs::File::open(self.blob_path(id))
            .and_then(|file| file.set_modified(SystemTime::now()))
            .ok();
    }

    /// When an image was last used; long ago where that cannot be told.
    pub fn used(&self, id: &Digest) -> SystemTime {
        fs::metadata(self.blob_path(id))
            .and_then(|found| found.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::image::store::InUse;
    use crate::image::store::tests::Scene;
    use crate::image::unpack::testing::Tar;

    #[test]
    fn each_layer_counts_once_and_the_sum_follows_what_comes_and_goes() {
        let scene = Scene::new();
        assert_eq!(scene.store.bytes().unwrap(), 0);
        let layer = |name: &str| Tar::new().file(name, 0o644, b"12345");
        scene.add("a", vec![layer("x"), layer("y")], "a");
        scene.add("b", vec![layer("x"), layer("z")], "b");
        assert_eq!(scene.store.bytes().unwrap(), 15);
        assert_eq!(scene.store.bytes().unwrap(), 15);
        scene.store.remove("b").unwrap();
        scene.collect(InUse::default());
        assert_eq!(scene.store.bytes().unwrap(), 10);
    }

    #[test]
    fn an_image_s_use_is_remembered() {
        let scene = Scene::new();
        let image = scene.add("a", Vec::new(), "a");
        let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        let file = std::fs::File::open(scene.store.blob_path(&image.id)).unwrap();
        file.set_modified(long_ago).unwrap();
        assert_eq!(scene.store.used(&image.id), long_ago);
        scene.store.touch(&image.id);
        assert!(scene.store.used(&image.id) > long_ago + Duration::from_secs(60));
    }
}
