//! Layers: claimed under a lock, filled in `tmp/`, moved into place whole.

use std::fs::Permissions;
use std::io::{BufRead, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::Store;
use crate::image::digest::{Digest, Hasher};
use crate::image::error::{ImageError, StoreContext as _};
use crate::image::unpack::{self, Unpacked};
use crate::state::atomic::{self, Durability};
use crate::state::lock::Lock;

/// Length of a short link's name.
const LINK_LENGTH: usize = 7;
/// Characters of a short link's name.
const LINK_ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What is known of a layer: `layer.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    /// Digest of its uncompressed archive.
    pub(crate) diff_id: Digest,
    /// Bytes of its files.
    pub(crate) size: u64,
    /// Whether folder and recipe give the archive byte for byte; not so where
    /// the archive holds several files of one name.
    pub(crate) exact: bool,
    /// The boot in which it was unpacked: until it is known to have reached
    /// the disk, it is good in that boot only.
    pub(crate) boot_id: String,
}

/// The answer to wanting a layer.
#[derive(Debug)]
pub(crate) enum LayerClaim {
    /// It is there.
    Present,
    /// It is not, and nobody else is unpacking it: the caller does.
    Missing(PendingLayer),
}

/// A layer being unpacked; holds the layer's lock. Dropped without
/// [`PendingLayer::commit`], it takes away what was unpacked. Where that fails, or
/// the process is killed, it leaves garbage that the next claim removes.
#[derive(Debug)]
pub(crate) struct PendingLayer {
    store: Store,
    diff_id: Digest,
    staging: PathBuf,
    _lock: Lock,
}

impl PendingLayer {
    /// The empty folder to unpack into.
    pub(crate) fn root(&self) -> PathBuf {
        self.staging.join("diff")
    }

    /// Unpacks the layer from its archive, compressed or not. Blocks.
    pub(crate) fn unpack(&self, input: impl BufRead + Send) -> Result<Unpacked, ImageError> {
        let path = self.staging.join("recipe");
        let recipe = fs::File::create(&path).store("make", &path)?;
        unpack::unpack(input, &self.root(), recipe).map_err(|error| ImageError::Unpack {
            what: format!("layer {}", self.diff_id.short()),
            reason: error.to_string(),
        })
    }

    /// Takes a folder that is the layer already, with its recipe, instead of
    /// unpacking into the empty one.
    pub(super) fn adopt(
        &self,
        folder: &Path,
        recipe: tempfile::NamedTempFile,
    ) -> Result<(), ImageError> {
        let path = self.staging.join("recipe");
        recipe
            .persist(&path)
            .map_err(|error| error.error)
            .store("make", &path)?;
        // rename(2) takes the place of an empty folder.
        fs::rename(folder, self.root()).store("move into the store", folder)
    }

    /// Moves the layer into place, with its link, if it is the one that was
    /// wanted.
    pub(crate) fn commit(self, unpacked: &Unpacked) -> Result<(), ImageError> {
        if unpacked.diff_id != self.diff_id {
            return Err(ImageError::WrongDigest {
                what: "an unpacked layer".to_owned(),
                expected: self.diff_id.clone(),
                found: unpacked.diff_id.clone(),
            });
        }
        let record = LayerRecord {
            diff_id: self.diff_id.clone(),
            size: unpacked.size,
            exact: unpacked.exact,
            boot_id: boot_id()?,
        };
        let path = self.staging.join("layer.json");
        atomic::write_json(&path, &record, Durability::ThisBoot).store("write", &path)?;
        if !unpacked.implied.is_empty() {
            let path = self.staging.join("implied");
            fs::write(&path, unpacked.implied.join(&0)).store("write", &path)?;
        }
        let home = self.store.layer_home(&self.diff_id);
        if let Some(folder) = home.parent() {
            fs::create_dir_all(folder).store("make", folder)?;
        }
        fs::rename(&self.staging, &home).store("put in place", &home)?;
        self.store.make_link(&self.diff_id)
    }
}

impl Drop for PendingLayer {
    fn drop(&mut self) {
        // After a commit it is not there any more.
        if fs::symlink_metadata(&self.staging).is_ok() {
            self.store.discard(&self.staging).ok();
        }
    }
}

impl Store {
    /// Waits until nobody else is unpacking the layer, then says whether it is
    /// there. Blocks: call it where that is allowed.
    pub(crate) fn claim_layer(
        &self,
        _usage: &super::Usage,
        diff_id: &Digest,
    ) -> Result<LayerClaim, ImageError> {
        let lock_path = self.root.join("locks").join(diff_id.hex());
        let lock = Lock::acquire(&lock_path).store("lock", &lock_path)?;
        if self.has_layer(diff_id)? {
            self.make_link(diff_id)?;
            return Ok(LayerClaim::Present);
        }
        let home = self.layer_home(diff_id);
        let staging = self.root.join("tmp").join(diff_id.hex());
        self.discard(&home)?;
        self.discard(&staging)?;
        let diff = staging.join("diff");
        fs::create_dir_all(&diff).store("make", &diff)?;
        // Whatever the umask, for layers that say nothing of their root.
        fs::set_permissions(&diff, Permissions::from_mode(0o755))
            .store("set the mode of", &diff)?;
        Ok(LayerClaim::Missing(PendingLayer {
            store: self.clone(),
            diff_id: diff_id.clone(),
            staging,
            _lock: lock,
        }))
    }

    /// Whether a layer is there, whole: unpacked in this boot, or known to
    /// have reached the disk before the last one ended.
    pub(crate) fn has_layer(&self, diff_id: &Digest) -> Result<bool, ImageError> {
        let home = self.layer_home(diff_id);
        if fs::symlink_metadata(home.join("synced")).is_ok() {
            return Ok(true);
        }
        let path = home.join("layer.json");
        // A file damaged by a power cut means what an absent one does.
        let record: Option<LayerRecord> = atomic::read_json(&path).unwrap_or_default();
        Ok(match record {
            Some(record) => record.boot_id == boot_id()?,
            None => false,
        })
    }

    pub(crate) fn layer_record(&self, diff_id: &Digest) -> Result<LayerRecord, ImageError> {
        let path = self.layer_home(diff_id).join("layer.json");
        atomic::read_json(&path)
            .store("read", &path)?
            .ok_or_else(|| ImageError::Interrupted {
                what: format!("layer {}", diff_id.short()),
            })
    }

    /// Bytes of a layer's files.
    ///
    /// # Errors
    /// The layer is not in the store.
    pub fn layer_size(&self, diff_id: &Digest) -> Result<u64, ImageError> {
        Ok(self.layer_record(diff_id)?.size)
    }

    /// The length of a layer's uncompressed archive.
    pub(crate) fn archive_size(&self, diff_id: &Digest) -> Result<u64, ImageError> {
        if !self.layer_record(diff_id)?.exact {
            return Err(ImageError::Inexact(diff_id.clone()));
        }
        let path = self.layer_home(diff_id).join("recipe");
        let recipe = fs::File::open(&path).store("open", &path)?;
        unpack::archive_size(recipe).store("read", &path)
    }

    /// Writes a layer's uncompressed archive, from its folder and its recipe;
    /// the result has the layer's diff-id.
    ///
    /// # Errors
    /// No such layer, or one that cannot be written again (its archive held
    /// several files of one name, or its folder was changed); the output is
    /// then of no use.
    pub fn write_layer(&self, diff_id: &Digest, output: &mut impl Write) -> Result<(), ImageError> {
        let path = self.layer_home(diff_id).join("recipe");
        let recipe = fs::File::open(&path).store("open", &path)?;
        let mut output = HashingWriter {
            inner: output,
            hasher: Hasher::new(),
        };
        let root = self.layer_dir(diff_id);
        unpack::write_archive(&root, recipe, &mut output).store("write the archive of", &root)?;
        let found = output.hasher.finish();
        if found == *diff_id {
            return Ok(());
        }
        Err(ImageError::WrongDigest {
            what: format!("the archive of layer {}", diff_id.short()),
            expected: diff_id.clone(),
            found,
        })
    }

    /// Brings layers to the disk, those that are not known to be there.
    pub(super) fn sync_layers(&self, layers: &[Digest]) -> Result<(), ImageError> {
        let unsynced: Vec<PathBuf> = layers
            .iter()
            .map(|layer| self.layer_home(layer))
            .filter(|home| fs::symlink_metadata(home.join("synced")).is_err())
            .collect();
        if unsynced.is_empty() {
            return Ok(());
        }
        let root = fs::File::open(&**self.root).store("open", &self.root)?;
        // syncfs(2), Linux 2.6.39: one call for tens of thousands of files.
        rustix::fs::syncfs(root.as_fd()).store("sync", &self.root)?;
        for home in unsynced {
            let marker = home.join("synced");
            fs::File::create(&marker).store("make", &marker)?;
        }
        Ok(())
    }

    /// Removes a folder if it is there: first out of the way, then for good.
    pub(super) fn discard(&self, folder: &Path) -> Result<(), ImageError> {
        self.bury(folder)?.map_or(Ok(()), |grave| dispose(&grave))
    }

    /// Moves a folder into the trash, if it is there, and says where to.
    pub(super) fn bury(&self, folder: &Path) -> Result<Option<PathBuf>, ImageError> {
        fs::create_dir_all(&**self.trash).store("make", &self.trash)?;
        let grave = self.trash.join(crate::state::id::random_hex(8));
        match fs::rename(folder, &grave) {
            Ok(()) => Ok(Some(grave)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).store("remove", folder),
        }
    }

    /// Makes the short link of a layer, where it is missing.
    fn make_link(&self, diff_id: &Digest) -> Result<(), ImageError> {
        let links = self.links();
        fs::create_dir_all(&links).store("make", &links)?;
        let target = link_target(diff_id);
        for name in link_names(diff_id) {
            let path = links.join(&name);
            match fs_err::os::unix::fs::symlink(&target, &path) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    if fs::read_link(&path).store("read", &path)? == target {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error).store("make", &path),
            }
        }
        Err(no_link(diff_id))
    }

    pub(super) fn find_link(&self, diff_id: &Digest) -> Result<String, ImageError> {
        let links = self.links();
        let target = link_target(diff_id);
        link_names(diff_id)
            .find(|name| fs::read_link(links.join(name)).is_ok_and(|found| found == target))
            .ok_or_else(|| no_link(diff_id))
    }
}

/// Removes what is in the trash, unless a sweep has done so meanwhile.
pub(super) fn dispose(grave: &Path) -> Result<(), ImageError> {
    let removed = match fs::symlink_metadata(grave) {
        Ok(metadata) if !metadata.is_dir() => fs::remove_file(grave),
        _ => fs::remove_dir_all(grave),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).store("remove", grave)
        }
        _ => Ok(()),
    }
}

/// Hashes what it passes on.
struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

fn no_link(diff_id: &Digest) -> ImageError {
    ImageError::Interrupted {
        what: format!("the link of layer {}", diff_id.short()),
    }
}

fn link_target(diff_id: &Digest) -> PathBuf {
    Path::new("../layers").join(diff_id.hex()).join("diff")
}

/// The names that a layer's link may have, in order of preference. Short names
/// may collide, so a link counts only if it leads to the layer.
fn link_names(diff_id: &Digest) -> impl Iterator<Item = String> {
    let hex = diff_id.hex().as_bytes().to_vec();
    // Two digits are one byte, of which five bits choose a character.
    (0..=(hex.len() / 2 - LINK_LENGTH)).map(move |start| {
        hex.chunks(2)
            .skip(start)
            .take(LINK_LENGTH)
            .map(|pair| {
                let value = pair.iter().fold(0_usize, |sum, digit| {
                    sum * 16 + char::from(*digit).to_digit(16).unwrap_or_default() as usize
                });
                char::from(LINK_ALPHABET.get(value % 32).copied().unwrap_or(b'a'))
            })
            .collect()
    })
}

/// The id that the kernel gave this boot.
fn boot_id() -> Result<String, ImageError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    Ok(fs::read_to_string(path)
        .store("read", path)?
        .trim()
        .to_owned())
}
