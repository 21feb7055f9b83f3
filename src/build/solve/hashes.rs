//! What files contain, by hash. A file that has not been written to since it was
//! last looked at is not read again: size, times of content and of inode are as
//! they were, as git tells it (`Documentation/technical/racy-git.txt`).

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use rustix::fs::Stat;
use sha2::{Digest as _, Sha256};

use crate::state::atomic::{self, Durability};

/// The beginning of the file, with the version of its format.
const MAGIC: &[u8; 8] = b"skiffh01";
/// Bytes of an entry: six numbers and a hash.
const ENTRY: usize = 6 * 8 + 32;
/// What was changed less long ago than this may be changed again within the same
/// tick of the file system's clock, and is read again next time.
const SETTLED: i64 = 100_000_000;

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// Hashes of files that were read before, kept for one tree of files.
#[derive(Debug)]
pub(crate) struct Hashes {
    file: PathBuf,
    known: HashMap<(u64, u64), (Stamp, Hash)>,
    seen: Mutex<HashMap<(u64, u64), (Stamp, Hash)>>,
}

/// What changes when a file is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: i64,
    mtime: i64,
    ctime: i64,
    mode: i64,
}

impl Stamp {
    fn of(status: &Stat) -> Self {
        let time = |seconds: i64, nanoseconds: u64| {
            let fraction = i64::try_from(nanoseconds).unwrap_or(0);
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(fraction)
        };
        Self {
            size: status.st_size,
            mtime: time(status.st_mtime, status.st_mtime_nsec),
            ctime: time(status.st_ctime, status.st_ctime_nsec),
            mode: i64::from(status.st_mode),
        }
    }
}

impl Hashes {
    /// Those that an earlier build left in `file`; none where there is no such
    /// file, or it is not as it was written.
    pub(crate) fn open(file: PathBuf) -> Self {
        let known = fs::read(&file).ok().and_then(|bytes| parse(&bytes));
        Self {
            file,
            known: known.unwrap_or_default(),
            seen: Mutex::default(),
        }
    }

    /// For files that are never the same again: nothing is known, nothing is kept.
    pub(crate) fn none() -> Self {
        Self {
            file: PathBuf::new(),
            known: HashMap::new(),
            seen: Mutex::default(),
        }
    }

    /// The hash of a file's content. `open` is called where it has to be read.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn of<R: Read>(
        &self,
        status: &Stat,
        open: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<Hash> {
        let id = (status.st_dev, status.st_ino);
        let stamp = Stamp::of(status);
        let remembered = |(found, hash): &(Stamp, Hash)| (*found == stamp).then_some(*hash);
        let before = self.known.get(&id).and_then(remembered);
        if let Some(hash) = before.or_else(|| self.seen().get(&id).and_then(remembered)) {
            self.seen().insert(id, (stamp, hash));
            return Ok(hash);
        }
        let hash = read(open()?)?;
        self.seen().insert(id, (stamp, hash));
        Ok(hash)
    }

    /// Keeps for the next time what was asked for this time.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn save(&self) -> io::Result<()> {
        let now = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
        let mut bytes = MAGIC.to_vec();
        for ((device, inode), (stamp, hash)) in self.seen().iter() {
            if stamp.ctime.max(stamp.mtime).saturating_add(SETTLED) > now {
                continue;
            }
            for number in [*device, *inode] {
                bytes.extend(number.to_le_bytes());
            }
            for number in [stamp.size, stamp.mtime, stamp.ctime, stamp.mode] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(hash);
        }
        atomic::write(&self.file, &bytes, Durability::ThisBoot)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<(u64, u64), (Stamp, Hash)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the hashes of a tree are kept, by the tree's place.
pub(crate) fn place(folder: &Path, tree: &Path) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let hash = Sha256::digest(tree.as_os_str().as_bytes());
    folder.join(hex(&hash.into()))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(hash: &Hash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// The reverse of [`hex`].
pub(crate) fn unhex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 2 * hash.len() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(hash)
}

fn read(mut content: impl Read) -> io::Result<Hash> {
    let mut hasher = Sha256::new();
    io::copy(&mut content, &mut hasher)?;
    Ok(hasher.finalize().into())
}

fn parse(bytes: &[u8]) -> Option<HashMap<(u64, u64), (Stamp, Hash)>> {
    let entries = bytes.strip_prefix(MAGIC)?.chunks_exact(ENTRY);
    if !entries.remainder().is_empty() {
        return None;
    }
    entries
        .map(|entry| {
            let (numbers, hash) = entry.split_at(ENTRY - 32);
            let mut words = numbers
                .chunks_exact(8)
                .filter_map(|word| word.try_into().ok());
            let mut next = || words.next();
            let id = (u64::from_le_bytes(next()?), u64::from_le_bytes(next()?));
            let stamp = Stamp {
                size: i64::from_le_bytes(next()?),
                mtime: i64::from_le_bytes(next()?),
                ctime: i64::from_le_bytes(next()?),
                mode: i64::from_le_bytes(next()?),
            };
            Some((id, (stamp, hash.try_into().ok()?)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    /// The hash, and whether the file was read for it.
    fn ask(hashes: &Hashes, path: &Path) -> (Hash, bool) {
        let mut was_read = false;
        let status = rustix::fs::stat(path).unwrap();
        let open = || {
            was_read = true;
            std::fs::File::open(path)
        };
        let hash = hashes.of(&status, open).unwrap();
        (hash, was_read)
    }

    /// Puts the time of its content back, as `cp -p` and tar do.
    fn age(path: &Path) {
        let file = std::fs::File::open(path).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        file.set_modified(long_ago).unwrap();
    }

    #[test]
    fn a_file_is_read_again_only_where_it_was_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "one").unwrap();
        age(&path);
        let store = folder.path().join("hashes/x");
        let first = Hashes::open(store.clone());
        let (hash, was_read) = ask(&first, &path);
        assert!(was_read);
        assert_eq!(hash, <Hash>::from(Sha256::digest("one")));
        assert!(!ask(&first, &path).1, "asked twice in one build");
        // As if some time had passed.
        let mut bytes = MAGIC.to_vec();
        first.save().unwrap();
        let saved = fs::read(&store).unwrap();
        assert_eq!(saved, bytes, "too fresh to be trusted");
        let status = rustix::fs::stat(&path).unwrap();
        for number in [status.st_dev, status.st_ino] {
            bytes.extend(number.to_le_bytes());
        }
        let stamp = Stamp::of(&status);
        for number in [stamp.size, stamp.mtime, stamp.ctime, stamp.mode] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(hash);
        fs::write(&store, &bytes).unwrap();
        assert_eq!(ask(&Hashes::open(store.clone()), &path), (hash, false));
        // The same size, and a time of change that was put back.
        std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .write_all_at(b"two", 0)
            .unwrap();
        age(&path);
        assert!(ask(&Hashes::open(store.clone()), &path).1);
        fs::write(&store, &bytes[..bytes.len() - 1]).unwrap();
        assert!(ask(&Hashes::open(store), &path).1, "a torn file is none");
    }
}
