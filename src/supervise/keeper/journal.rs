//! The keeper's journal of exits: a preallocated file under the run root.
//!
//! A file of slots of fixed size, so that an exit can be written down when the
//! file system is full, and in one step that a kill cannot divide. A slot that
//! begins with a zero byte is free; a used one is a line of JSON padded with
//! blanks. The journal outlives the keeper: the next one reads it.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::fs::{FallocateFlags, FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::message::{ChildKind, Ended};

/// Bytes of a slot: the longest record has a key of 64 + 1 + 32 digits.
const SLOT: usize = 256;
/// Slots made ahead; more are added while the file system has room.
const SLOTS: usize = 256;

/// How long a new keeper waits for the old one's last traces to go.
const LOCK_LIMIT: Duration = Duration::from_millis(100);

/// A child's exit that nobody has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExitEntry {
    /// The child's name.
    pub(crate) key: String,
    /// What it was.
    pub(crate) kind: ChildKind,
    /// As the host saw it.
    pub(crate) pid: i32,
    /// How it ended.
    pub(crate) ended: Ended,
}

/// The journal, open for writing.
#[derive(Debug)]
pub(crate) struct Journal {
    file: fs::File,
    used: Vec<bool>,
}

impl Journal {
    /// Opens the journal, making it where it is missing, and reads what an
    /// earlier keeper left: each with its slot.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, Vec<(usize, ExitEntry)>)> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        lock(&file)?;
        let size = u64::try_from(SLOT * SLOTS).unwrap_or(u64::MAX);
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size)?;
        let (used, entries) = read_slots(&fs::read(path)?);
        Ok((Self { file, used }, entries))
    }

    /// Writes an exit down and says in which slot.
    pub(crate) fn append(&mut self, entry: &ExitEntry) -> io::Result<usize> {
        let mut line = serde_json::to_vec(entry)?;
        line.resize(SLOT - 1, b' ');
        line.push(b'\n');
        let slot = self
            .used
            .iter()
            .position(|used| !used)
            .unwrap_or(self.used.len());
        self.file.file().write_all_at(&line, offset(slot))?;
        match self.used.get_mut(slot) {
            Some(used) => *used = true,
            None => self.used.push(true),
        }
        Ok(slot)
    }

    /// Frees a slot.
    pub(crate) fn free(&mut self, slot: usize) -> io::Result<()> {
        self.file.file().write_all_at(&[0], offset(slot))?;
        if let Some(used) = self.used.get_mut(slot) {
            *used = false;
        }
        Ok(())
    }
}

/// One keeper a project: it holds its journal locked.
fn lock(file: &fs::File) -> io::Result<()> {
    // A child of a keeper that died, not quite executed yet, holds it for a
    // moment longer.
    let end = Instant::now() + LOCK_LIMIT;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => {
                std::thread::yield_now();
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let text = "another keeper of the project runs";
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
            }
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Reads a journal that no keeper holds any more.
pub(crate) fn read(path: &Path) -> io::Result<Vec<ExitEntry>> {
    match fs::read(path) {
        Ok(bytes) => Ok(read_slots(&bytes)
            .1
            .into_iter()
            .map(|(_, entry)| entry)
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn read_slots(bytes: &[u8]) -> (Vec<bool>, Vec<(usize, ExitEntry)>) {
    let mut used = Vec::new();
    let mut entries = Vec::new();
    for (slot, bytes) in bytes.chunks(SLOT).enumerate() {
        // A slot that is neither free nor readable is taken as free: it can
        // only come from another version of this file.
        let entry = serde_json::from_slice::<ExitEntry>(bytes).ok();
        used.push(entry.is_some());
        entries.extend(entry.map(|entry| (slot, entry)));
    }
    (used, entries)
}

fn offset(slot: usize) -> u64 {
    u64::try_from(slot * SLOT).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, code: i32) -> ExitEntry {
        let ended = Ended {
            code: Some(code),
            at: i64::MAX,
        };
        ExitEntry {
            key: key.to_owned(),
            kind: ChildKind::Container,
            pid: i32::MAX,
            ended,
        }
    }

    #[test]
    fn exits_outlive_the_keeper_until_they_are_freed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("project/exits");
        let (mut journal, left) = Journal::open(&path).unwrap();
        assert_eq!(left, []);
        let first = journal.append(&entry("a", 1)).unwrap();
        let second = journal.append(&entry("b", 2)).unwrap();
        journal.free(first).unwrap();
        drop(journal);

        let (mut journal, left) = Journal::open(&path).unwrap();
        assert_eq!(left, [(second, entry("b", 2))]);
        assert_eq!(journal.append(&entry("c", 3)).unwrap(), first);
        assert_eq!(read(&path).unwrap(), [entry("c", 3), entry("b", 2)]);
    }

    #[test]
    fn the_longest_key_fits_and_the_file_grows_when_all_slots_are_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("exits");
        let (mut journal, _) = Journal::open(&path).unwrap();
        let key = format!("{}/{}", "f".repeat(64), "e".repeat(32));
        for _ in 0..=SLOTS {
            journal.append(&entry(&key, -1)).unwrap();
        }
        assert_eq!(read(&path).unwrap().len(), SLOTS + 1);
    }
}
