//! A layer's folder against its archive: content by the digest, and what the
//! digest cannot tell, because the recipe has it, entry by entry: owners,
//! modes, times, links, devices, attributes, whiteouts, and files too many.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::input::{ChunkReader, Chunks, Hashing};
use super::names::{Meaning, clean, meaning, printable, split};
use super::place::{OPAQUE_XATTR, permitted};
use super::recipe::write_archive;
use super::tar::{Archive, Entry, Kind};
use super::xattrs::xattrs_of;
use crate::image::digest::{Digest, Hasher};

/// Bytes that go from one thread to the other at once.
const CHUNK: usize = 256 * 1024;
/// Such pieces on the way.
const CHUNKS_AHEAD: usize = 4;

/// What came of a comparison.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Digest of the archive that folder and recipe give.
    pub(crate) diff_id: Digest,
    /// The first thing that is not as the archive says.
    pub(crate) difference: Option<String>,
}

/// Compares a folder with the archive that its recipe gives. `implied` are the
/// folders that the archive has no entries for. Blocks.
pub(crate) fn compare(
    root: &Path,
    recipe: impl Read + Send,
    implied: &BTreeSet<Vec<u8>>,
) -> io::Result<Compared> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(CHUNKS_AHEAD);
        scope.spawn(move || {
            let mut output = BufWriter::with_capacity(CHUNK, Pieces(&sender));
            let written = write_archive(root, recipe, &mut output).and_then(|()| output.flush());
            if let Err(error) = written {
                // What is left of the buffer is of no use.
                drop(output.into_parts());
                sender.send(Err(error)).ok();
            }
        });
        let mut hasher = Hasher::new();
        let hashing = Hashing::new(ChunkReader::new(Chunks(receiver)), &mut hasher);
        let mut archive = Archive::new(hashing, ());
        let mut wanted = Wanted::default();
        while let Some(entry) = archive.next_entry()? {
            wanted.add(entry, implied).map_err(io::Error::other)?;
        }
        archive.finish()?;
        Ok(Compared {
            diff_id: hasher.finish(),
            difference: wanted.difference(root, implied)?,
        })
    })
}

struct Pieces<'a>(&'a SyncSender<io::Result<Vec<u8>>>);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.send(Ok(bytes.to_vec()));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the archive leaves behind when it is unpacked.
#[derive(Default)]
struct Wanted {
    entries: BTreeMap<Vec<u8>, Entry>,
    whiteouts: BTreeSet<Vec<u8>>,
    opaque: BTreeSet<Vec<u8>>,
}

impl Wanted {
    /// Takes an entry in, as [`super::extract`] would make it.
    fn add(&mut self, entry: Entry, implied: &BTreeSet<Vec<u8>>) -> Result<(), super::UnpackError> {
        let path = clean(&entry.path)?;
        let (folder, name) = split(&path);
        match meaning(name) {
            _ if path.is_empty() => {
                if entry.kind == Kind::Directory {
                    self.entries.insert(path, entry);
                }
            }
            Meaning::Ignored => {}
            Meaning::Opaque => {
                self.opaque.insert(folder.to_vec());
            }
            Meaning::Removed(name) => {
                let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
                let removed = [folder, slash, name].concat();
                let known = self.entries.get(&removed).map(|entry| entry.kind);
                if known == Some(Kind::Directory) || implied.contains(&removed) {
                    self.opaque.insert(removed);
                } else if known.is_none() {
                    self.whiteouts.insert(removed);
                }
            }
            Meaning::Entry => {
                if self.whiteouts.remove(&path) && entry.kind == Kind::Directory {
                    self.opaque.insert(path.clone());
                }
                self.entries.insert(path, entry);
            }
        }
        Ok(())
    }

    fn difference(&self, root: &Path, implied: &BTreeSet<Vec<u8>>) -> io::Result<Option<String>> {
        let root: OwnedFd = fs_err::File::open(root)?.into_parts().0.into();
        for (path, entry) in &self.entries {
            if let Some(difference) = self.of_entry(&root, path, entry)? {
                return Ok(Some(format!("`{}` {difference}", printable(path))));
            }
        }
        for path in &self.whiteouts {
            let stat = open(&root, path)?.map(rustix::fs::fstat).transpose()?;
            if !stat.is_some_and(|stat| is_whiteout(&stat)) {
                let path = printable(path);
                return Ok(Some(format!("`{path}` is not marked as removed")));
            }
        }
        self.surplus(&root, implied)
    }

    fn of_entry(&self, root: &OwnedFd, path: &[u8], entry: &Entry) -> io::Result<Option<String>> {
        let Some(file) = open(root, path)? else {
            return Ok(Some("is missing".to_owned()));
        };
        let stat = rustix::fs::fstat(&file)?;
        if entry.kind == Kind::HardLink {
            return of_link(root, &stat, &entry.link);
        }
        let kind = kind(&stat);
        if kind != Some(entry.kind) {
            return Ok(Some("is another kind of file".to_owned()));
        }
        let mode = stat.st_mode & 0o7777;
        if entry.kind != Kind::Symlink && mode != entry.mode {
            return Ok(Some(format!(
                "has mode {mode:04o} instead of {:04o}",
                entry.mode
            )));
        }
        if (stat.st_uid, stat.st_gid) != (entry.uid, entry.gid) {
            return Ok(Some(format!(
                "belongs to {}:{} instead of {}:{}",
                stat.st_uid, stat.st_gid, entry.uid, entry.gid
            )));
        }
        let device = (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        );
        if matches!(entry.kind, Kind::Character | Kind::Block) && device != entry.device {
            return Ok(Some("is another device".to_owned()));
        }
        if entry.kind == Kind::Regular && u64::try_from(stat.st_size) != Ok(entry.size) {
            return Ok(Some("has another length".to_owned()));
        }
        if entry.kind == Kind::Symlink
            && rustix::fs::readlinkat(&file, "", Vec::new())?.as_bytes() != entry.link
        {
            return Ok(Some("leads elsewhere".to_owned()));
        }
        if (stat.st_mtime, u32::try_from(stat.st_mtime_nsec)) != (entry.mtime.0, Ok(entry.mtime.1))
        {
            return Ok(Some("has another time".to_owned()));
        }
        self.of_attributes(&file, path, entry)
    }

    fn of_attributes(
        &self,
        file: &OwnedFd,
        path: &[u8],
        entry: &Entry,
    ) -> io::Result<Option<String>> {
        let there = xattrs_of(file)?;
        let find = |name: &[u8]| there.iter().find(|(known, _)| known == name);
        for (name, value) in permitted(&entry.xattrs) {
            // One that is absent is one that the file system did not take.
            if find(name).is_some_and(|(_, found)| found != value) {
                return Ok(Some(format!("has another attribute `{}`", printable(name))));
            }
        }
        let capability = b"security.capability".as_slice();
        let stated = entry.xattrs.iter().any(|(name, _)| name == capability);
        if find(capability).is_some() != stated {
            return Ok(Some("has other capabilities".to_owned()));
        }
        let opaque = find(OPAQUE_XATTR.as_bytes()).is_some_and(|(_, value)| value == b"y");
        if entry.kind == Kind::Directory && opaque != self.opaque.contains(path) {
            return Ok(Some("shows other files of the layers below".to_owned()));
        }
        Ok(None)
    }

    /// A file that the archive does not have. Not looked for where the archive
    /// writes through a link of its own, as the entries' paths are not the
    /// files' then.
    fn surplus(&self, root: &OwnedFd, implied: &BTreeSet<Vec<u8>>) -> io::Result<Option<String>> {
        let is_link = |folder: &[u8]| {
            let entry = self.entries.get(folder);
            entry.is_some_and(|entry| entry.kind == Kind::Symlink)
        };
        let through_link = |path: &Vec<u8>| above(path).any(is_link);
        if self.entries.keys().chain(&self.whiteouts).any(through_link) {
            return Ok(None);
        }
        let known = |path: &Vec<u8>| {
            self.entries.contains_key(path)
                || self.whiteouts.contains(path)
                || implied.contains(path)
        };
        let mut folders = vec![Vec::new()];
        while let Some(folder) = folders.pop() {
            let at: &[u8] = if folder.is_empty() { b"." } else { &folder };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(root, at, flags, Mode::empty())?;
            for entry in rustix::fs::Dir::read_from(&opened)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
                let path = [&folder, slash, name].concat();
                if !known(&path) {
                    return Ok(Some(format!("`{}` is not of this layer", printable(&path))));
                }
                let stat = rustix::fs::statat(opened.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)?;
                if kind(&stat) == Some(Kind::Directory) {
                    folders.push(path);
                }
            }
        }
        Ok(None)
    }
}

fn of_link(root: &OwnedFd, stat: &Stat, target: &[u8]) -> io::Result<Option<String>> {
    let target = clean(target).map_err(io::Error::other)?;
    let first = open(root, &target)?.map(rustix::fs::fstat).transpose()?;
    let same = first.is_some_and(|first| first.st_ino == stat.st_ino);
    Ok((!same).then(|| format!("is no longer the same file as `{}`", printable(&target))))
}

/// The folders that a path leads through.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.filter_map(|(at, _)| path.get(..at))
}

/// Opens a name, as a process sees it whose root is the layer, for looking at.
fn open(root: &OwnedFd, path: &[u8]) -> io::Result<Option<OwnedFd>> {
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == Some(Kind::Character) && stat.st_rdev == 0
}

fn kind(stat: &Stat) -> Option<Kind> {
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::Regular,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::CharacterDevice => Kind::Character,
        FileType::BlockDevice => Kind::Block,
        FileType::Fifo => Kind::Fifo,
        _ => return None,
    })
}
