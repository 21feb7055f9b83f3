//! What steps made, kept by what went into them: a file per step with the layer
//! that came of it. The file's time is that of the last use.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::hashes::{Hash, hex, unhex};
use crate::image::Digest;
use crate::state::Layout;
use crate::state::atomic::{self, Durability};

/// Raised where a step makes something else of the same key.
const VERSION: u32 = 1;

/// What a step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    version: u32,
    /// The key that steps above it count with, in hexadecimal digits: the same content
    /// has the same, however it was found.
    pub(crate) key: String,
    /// As the build shows it: `[web 2/5] RUN npm ci`.
    pub(crate) name: String,
    /// The layer; absent where the step changed no file.
    pub(crate) layer: Option<Digest>,
    /// Bytes of its files.
    pub(crate) size: u64,
    /// RFC 3339 time at which it was made.
    pub(crate) created: String,
    /// Layers that have to be there for it to be of use, the lowest first.
    pub(crate) below: Vec<Digest>,
}

/// An entry and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The key in hexadecimal digits.
    pub(crate) key: String,
    /// What it says.
    pub(crate) entry: Entry,
    /// When it was last used.
    pub(crate) used: SystemTime,
}

/// The cache of all builds of a data root.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Entry {
    pub(crate) fn new(
        key: &Hash,
        name: String,
        layer: Option<Digest>,
        size: u64,
        below: Vec<Digest>,
    ) -> Self {
        Self {
            version: VERSION,
            key: hex(key),
            name,
            layer,
            size,
            created: jiff::Timestamp::now().to_string(),
            below,
        }
    }
}

impl Cache {
    pub(crate) fn open(layout: &Layout) -> Self {
        Self {
            folder: layout.builds(),
        }
    }

    /// Folder of the hashes of contexts.
    pub(crate) fn hashes(&self) -> PathBuf {
        self.folder.join("hashes")
    }

    /// Folder of what is known of web servers and repositories.
    pub(crate) fn sources(&self) -> PathBuf {
        self.folder.join("sources")
    }

    /// Folder of what was fetched of repositories.
    pub(crate) fn repositories(&self) -> PathBuf {
        self.sources().join("git")
    }

    /// Folder of `RUN --mount=type=cache`.
    pub(crate) fn mounts(&self) -> PathBuf {
        self.folder.join("mounts")
    }

    /// What is known of how much folders take.
    pub(super) fn sizes(&self) -> PathBuf {
        self.folder.join("sizes.json")
    }

    /// Folders of `RUN --mount=type=cache`, and what was fetched of repositories.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) fn kept_folders(&self) -> io::Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for above in [self.mounts(), self.repositories()] {
            let entries = match fs::read_dir(&above) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(entry.path());
                }
            }
        }
        Ok(folders)
    }

    /// What a step with this key made, which counts as a use. One that cannot be
    /// read is as good as none: the step is made again, and written over it.
    pub(crate) fn find(&self, key: &Hash) -> Option<Entry> {
        let path = self.path(key);
        let entry = read(&path)?;
        let now = SystemTime::now();
        // It may go while it is looked at, and is made again then.
        fs::File::open(&path)
            .and_then(|file| file.set_modified(now))
            .ok();
        Some(entry)
    }

    /// Keeps what a step made. Not synced: a step that was lost is made again.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep(&self, key: &Hash, entry: &Entry) -> io::Result<()> {
        let text = serde_json::to_vec(entry)?;
        atomic::write(&self.path(key), &text, Durability::ThisBoot)
    }

    /// All entries, in no order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(crate) fn all(&self) -> io::Result<Vec<Found>> {
        let mut all = Vec::new();
        let folder = self.steps();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(all),
            Err(error) => return Err(error),
        };
        for file in entries {
            let file = file?;
            let Ok(key) = file.file_name().into_string() else {
                continue;
            };
            // Others may take some away meanwhile.
            let Some(entry) = read(&file.path()) else {
                continue;
            };
            let Ok(used) = file.metadata().and_then(|found| found.modified()) else {
                continue;
            };
            all.push(Found { key, entry, used });
        }
        Ok(all)
    }

    /// Forgets an entry; the layer is garbage where nothing else has it.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(crate) fn forget(&self, key: &str) -> io::Result<()> {
        match fs::remove_file(self.steps().join(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn steps(&self) -> PathBuf {
        self.folder.join("steps")
    }

    /// Where the entry of a key is.
    pub(crate) fn path(&self, key: &Hash) -> PathBuf {
        self.steps().join(hex(key))
    }
}

/// The layers that the cache needs.
///
/// # Errors
/// It cannot be read.
pub fn layers_in_use(layout: &Layout) -> io::Result<BTreeSet<Digest>> {
    let all = Cache::open(layout).all()?;
    Ok(all
        .into_iter()
        .flat_map(|found| found.entry.layer.into_iter().chain(found.entry.below))
        .collect())
}

/// `None` where there is none, or it is of another version, torn, or no file.
fn read(path: &Path) -> Option<Entry> {
    let entry: Entry = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    Some(entry).filter(|entry| entry.version == VERSION && unhex(&entry.key).is_some())
}
