//! Folders that builds keep beside layers: those of `RUN --mount=type=cache`, and what
//! was fetched of repositories. Each has its last use as the time of a file beside it;
//! what it takes is remembered as long as nobody used it since.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use fs_err as fs;

use super::cache::Cache;
use crate::state::Layout;
use crate::state::atomic::{self, Durability};

/// A folder that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
    /// When it was last used.
    pub used: SystemTime,
}

/// A folder in use, until this is dropped.
#[derive(Debug)]
pub(crate) struct Use(PathBuf);

impl Use {
    /// Begins.
    pub(super) fn of(folder: &Path) -> Self {
        let mark = mark(folder);
        touch(&mark);
        Self(mark)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        touch(&self.0);
    }
}

/// Where that cannot be written, the folder counts as less used than it is.
fn touch(mark: &Path) {
    std::fs::File::create(mark)
        .and_then(|file| file.set_modified(SystemTime::now()))
        .ok();
}

fn mark(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".used");
    name.into()
}

/// Bytes by folder, with the time of its last use in nanoseconds since 1970.
type Sizes = BTreeMap<PathBuf, (u128, u64)>;

/// All of them, in no order. Reads the folders that were used since the last time.
///
/// # Errors
/// They cannot be read.
pub fn kept_folders(layout: &Layout) -> io::Result<Vec<KeptFolder>> {
    let cache = Cache::open(layout);
    let memo = cache.sizes();
    // One that is damaged is made again.
    let known: Sizes = atomic::read_json(&memo)
        .unwrap_or_default()
        .unwrap_or_default();
    let mut sizes = Sizes::new();
    let mut all = Vec::new();
    for path in cache.kept_folders()? {
        let found = fs::metadata(mark(&path)).or_else(|_| fs::metadata(&path));
        // It may go while it is looked at.
        let Ok(used) = found.and_then(|found| found.modified()) else {
            continue;
        };
        let since = used.duration_since(SystemTime::UNIX_EPOCH);
        let stamp = since.unwrap_or_default().as_nanos();
        let bytes = match known.get(&path) {
            Some((at, bytes)) if *at == stamp => *bytes,
            _ => size(&path)?,
        };
        sizes.insert(path.clone(), (stamp, bytes));
        all.push(KeptFolder { path, bytes, used });
    }
    if sizes != known {
        atomic::write_json(&memo, &sizes, Durability::ThisBoot)?;
    }
    Ok(all)
}

/// Removes some of them. Nobody may be building.
///
/// # Errors
/// One cannot be removed.
pub fn remove_folders(folders: &BTreeSet<PathBuf>) -> io::Result<()> {
    for folder in folders {
        remove(folder)?;
        fs::remove_file(mark(folder)).ok();
    }
    Ok(())
}

/// Removes a folder that may not be there.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Bytes of a folder's files; what goes meanwhile has none.
pub(super) fn size(folder: &Path) -> io::Result<u64> {
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if missing(&error) => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut total = 0;
    for entry in entries {
        let entry = entry?;
        total += match entry.metadata() {
            Ok(found) if found.is_dir() => size(&entry.path())?,
            Ok(found) => found.len(),
            Err(error) if missing(&error) => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_folder_is_read_again_once_it_was_used() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        let folder = Cache::open(&layout).mounts().join("aa");
        fs::create_dir_all(folder.join("deep")).unwrap();
        fs::write(folder.join("deep/file"), "12345").unwrap();
        let sizes = || -> Vec<u64> {
            let all = kept_folders(&layout).unwrap();
            all.iter().map(|one| one.bytes).collect()
        };
        let at = |seconds| {
            let file = fs::File::create(mark(&folder)).unwrap().into_file();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            file.set_modified(time).unwrap();
        };
        at(1);
        assert_eq!(sizes(), [5]);
        fs::write(folder.join("more"), "123").unwrap();
        assert_eq!(sizes(), [5]);
        at(2);
        assert_eq!(sizes(), [8]);
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(2);
        assert_eq!(kept_folders(&layout).unwrap()[0].used, used);
        drop(Use::of(&folder));
        assert!(kept_folders(&layout).unwrap()[0].used > used);
        remove_folders(&BTreeSet::from([folder.clone()])).unwrap();
        assert!(sizes().is_empty() && !mark(&folder).exists());
    }
}
