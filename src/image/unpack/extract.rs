//! Making a layer's entries below a folder, and nowhere else.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::UnpackError;
use super::names::{Meaning, clean, meaning, printable, split};
use super::place::{
    Place, Removed, create, file_type, is_whiteout, make_node, mode, open_folder, remove,
    set_attributes, set_attributes_at, set_file_times, set_opaque, set_times,
};
use super::recipe::Recipe;
use super::tar::{Archive, Entry, Kind};

/// Makes entries below its root.
pub(super) struct Extractor {
    root: OwnedFd,
    /// The folder that was used last, by its cleaned path.
    parent: Option<(Vec<u8>, OwnedFd)>,
    implied: BTreeSet<Vec<u8>>,
    /// Times of folders: set at the end, as making entries changes them.
    times: Vec<(Vec<u8>, (i64, u32))>,
    size: u64,
    exact: bool,
}

/// What came of it.
pub(super) struct Done {
    pub(super) size: u64,
    pub(super) implied: Vec<Vec<u8>>,
    pub(super) exact: bool,
}

impl Extractor {
    pub(super) fn new(root: &Path) -> Result<Self, UnpackError> {
        let root = fs_err::File::open(root).map_err(UnpackError::Stream)?;
        Ok(Self {
            root: root.into_parts().0.into(),
            parent: None,
            implied: BTreeSet::new(),
            times: Vec::new(),
            size: 0,
            exact: true,
        })
    }

    /// Makes one entry, with its content from the archive.
    pub(super) fn apply<R: BufRead, W: Write>(
        &mut self,
        entry: &Entry,
        archive: &mut Archive<R, Recipe<W>>,
    ) -> Result<(), UnpackError> {
        let path = clean(&entry.path)?;
        let fail = |step| {
            let path = printable(&entry.path);
            move |source: io::Error| UnpackError::Entry { step, path, source }
        };
        if path.is_empty() {
            // The root itself; anything but a folder there is of no meaning.
            if entry.kind == Kind::Directory {
                let root = self.root.try_clone().map_err(fail("make"))?;
                set_attributes(&root, entry).map_err(fail("set attributes of"))?;
                self.times.push((path, entry.mtime));
            }
            return Ok(());
        }
        let (folder, name) = split(&path);
        match meaning(name) {
            Meaning::Ignored => Ok(()),
            Meaning::Opaque => self
                .parent(folder)
                .and_then(|parent| set_opaque(&parent, b"."))
                .map_err(fail("apply")),
            Meaning::Removed(b"" | b"." | b"..") => {
                Err(UnpackError::Whiteout(printable(&entry.path)))
            }
            Meaning::Removed(name) => self.remove_below(folder, name).map_err(fail("apply")),
            Meaning::Entry => self.make(&path, entry, archive, fail),
        }
    }

    /// Sets what can be set only at the end.
    pub(super) fn finish(self) -> Result<Done, UnpackError> {
        for (path, mtime) in self.times.iter().rev() {
            let path_or_root: &[u8] = if path.is_empty() { b"." } else { path };
            let folder = rustix::fs::openat2(
                &self.root,
                path_or_root,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            );
            match folder {
                Ok(folder) => set_times(folder.as_fd(), b".", *mtime),
                // Replaced by a later entry.
                Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
                Err(errno) => Err(errno.into()),
            }
            .map_err(|source| UnpackError::Entry {
                step: "set the time of",
                path: printable(path),
                source,
            })?;
        }
        Ok(Done {
            size: self.size,
            implied: self.implied.into_iter().collect(),
            exact: self.exact,
        })
    }

    fn make<R: BufRead, W: Write, E: FnOnce(io::Error) -> UnpackError>(
        &mut self,
        path: &[u8],
        entry: &Entry,
        archive: &mut Archive<R, Recipe<W>>,
        fail: impl Fn(&'static str) -> E,
    ) -> Result<(), UnpackError> {
        let (folder, name) = split(path);
        let parent = self.parent(folder).map_err(fail("make a folder for"))?;
        let place = Place {
            parent: parent.as_fd(),
            name,
        };
        match entry.kind {
            Kind::Regular => {
                let file = self
                    .replacing(&place, || create(&place))
                    .map_err(fail("make"))?;
                self.write_content(path, &file, entry, archive)
                    .map_err(fail("write"))?;
                set_attributes(&file, entry).map_err(fail("set attributes of"))?;
                set_file_times(&file, entry.mtime).map_err(fail("set the time of"))
            }
            Kind::Directory => {
                self.make_folder(&place, entry).map_err(fail("make"))?;
                self.implied.remove(path);
                self.times.push((path.to_vec(), entry.mtime));
                Ok(())
            }
            Kind::HardLink => self.make_link(path, &place, &entry.link, fail),
            Kind::Symlink => {
                self.replacing(&place, || {
                    rustix::fs::symlinkat(&*entry.link, place.parent, place.name)
                })
                .map_err(fail("make"))?;
                set_attributes_at(&place, entry).map_err(fail("set attributes of"))
            }
            Kind::Character | Kind::Block | Kind::Fifo => {
                self.replacing(&place, || make_node(&place, entry))
                    .map_err(fail("make"))?;
                // The new node cannot be a symbolic link, so this follows none.
                rustix::fs::chmodat(place.parent, name, mode(entry), AtFlags::empty())
                    .map_err(|e| fail("set the mode of")(e.into()))?;
                set_attributes_at(&place, entry).map_err(fail("set attributes of"))
            }
        }
    }

    /// Opens the folder that an entry goes into; makes it where it is missing.
    fn parent(&mut self, folder: &[u8]) -> io::Result<OwnedFd> {
        if let Some((path, fd)) = &self.parent
            && path == folder
        {
            return fd.try_clone();
        }
        let fd = match self.open_folder(folder) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => {
                self.make_implied(folder)?;
                self.open_folder(folder)?
            }
            Err(errno) => return Err(errno.into()),
        };
        let copy = fd.try_clone()?;
        self.parent = Some((folder.to_vec(), fd));
        Ok(copy)
    }

    /// Opens a folder as it is seen by a process whose root is the layer.
    fn open_folder(&self, folder: &[u8]) -> Result<OwnedFd, Errno> {
        let folder: &[u8] = if folder.is_empty() { b"." } else { folder };
        rustix::fs::openat2(
            &self.root,
            folder,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    }

    /// Makes the missing folders of a path and takes note of them.
    fn make_implied(&mut self, folder: &[u8]) -> io::Result<()> {
        let ends = folder
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at)
            .chain([folder.len()]);
        for end in ends {
            let path = folder.get(..end).unwrap_or_default();
            match self.open_folder(path) {
                Ok(_) => continue,
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let (above, name) = split(path);
            let above = self.open_folder(above)?;
            let place = Place {
                parent: above.as_fd(),
                name,
            };
            let was_removed = is_whiteout(&place)?;
            if was_removed {
                remove(&place)?;
            }
            rustix::fs::mkdirat(&above, name, Mode::from(0o755))?;
            // mkdirat(2) leaves out what the umask has.
            rustix::fs::chmodat(&above, name, Mode::from(0o755), AtFlags::empty())?;
            if was_removed {
                set_opaque(&above, name)?;
            }
            self.implied.insert(path.to_vec());
        }
        Ok(())
    }

    /// Tries to make an entry; removes what is in its place, if anything is,
    /// and tries again.
    fn replacing<T>(
        &mut self,
        place: &Place<'_>,
        make: impl Fn() -> Result<T, Errno>,
    ) -> io::Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                self.remove_for_replacement(place)?;
                Ok(make()?)
            }
            other => Ok(other?),
        }
    }

    fn remove_for_replacement(&mut self, place: &Place<'_>) -> io::Result<Removed> {
        // What was opened may be gone, or lead elsewhere from now on.
        self.parent = None;
        let removed = remove(place)?;
        if removed == Removed::Other {
            self.exact = false;
        }
        Ok(removed)
    }

    fn make_folder(&mut self, place: &Place<'_>, entry: &Entry) -> io::Result<()> {
        let make = || rustix::fs::mkdirat(place.parent, place.name, Mode::from(0o700));
        let mut opaque = false;
        match make() {
            Err(Errno::EXIST) => {
                if file_type(place)? != Some(FileType::Directory) {
                    opaque = self.remove_for_replacement(place)? == Removed::Whiteout;
                    make()?;
                }
            }
            other => other?,
        }
        set_attributes(&open_folder(place)?, entry)?;
        if opaque {
            // The layer removes the old folder and makes a new one.
            set_opaque(place.parent, place.name)?;
        }
        Ok(())
    }

    fn make_link<E: FnOnce(io::Error) -> UnpackError>(
        &mut self,
        path: &[u8],
        place: &Place<'_>,
        target: &[u8],
        fail: impl Fn(&'static str) -> E,
    ) -> Result<(), UnpackError> {
        let target = clean(target)?;
        if target == path {
            return Ok(());
        }
        let (folder, name) = split(&target);
        let from = self
            .open_folder(folder)
            .map_err(|e| fail("find the target of")(e.into()))?;
        self.replacing(place, || {
            rustix::fs::linkat(&from, name, place.parent, place.name, AtFlags::empty())
        })
        .map_err(fail("link"))
    }

    /// Marks a name of the layers below as gone. What this layer itself has
    /// under that name stays (OCI: whiteouts apply to lower layers only).
    fn remove_below(&mut self, folder: &[u8], name: &[u8]) -> io::Result<()> {
        let parent = self.parent(folder)?;
        let place = Place {
            parent: parent.as_fd(),
            name,
        };
        let whiteout = rustix::fs::mknodat(
            &parent,
            name,
            FileType::CharacterDevice,
            Mode::empty(),
            rustix::fs::makedev(0, 0),
        );
        match whiteout {
            Err(Errno::EXIST) if file_type(&place)? == Some(FileType::Directory) => {
                set_opaque(&parent, name)
            }
            Err(Errno::EXIST) => Ok(()),
            other => Ok(other?),
        }
    }

    fn write_content<R: BufRead, W: Write>(
        &mut self,
        path: &[u8],
        file: &OwnedFd,
        entry: &Entry,
        archive: &mut Archive<R, Recipe<W>>,
    ) -> io::Result<()> {
        let Some(segments) = &entry.sparse else {
            archive.frame_mut().piece(path, 0, entry.size)?;
            self.size += copy(archive, file, 0, entry.size)?;
            return Ok(());
        };
        for segment in segments {
            archive
                .frame_mut()
                .piece(path, segment.offset, segment.length)?;
            self.size += copy(archive, file, segment.offset, segment.length)?;
        }
        Ok(rustix::fs::ftruncate(file, entry.size)?)
    }
}

/// Writes so many bytes of the archive's content at an offset.
fn copy<R: BufRead, W: Write>(
    archive: &mut Archive<R, Recipe<W>>,
    file: &OwnedFd,
    offset: u64,
    length: u64,
) -> io::Result<u64> {
    let mut done = 0;
    while done < length {
        let content = archive.fill_content()?;
        let left = usize::try_from(length - done).unwrap_or(usize::MAX);
        let content = content.get(..content.len().min(left)).unwrap_or(content);
        if content.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = match rustix::io::pwrite(file, content, offset + done) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        archive.consume_content(count);
        done += count as u64;
    }
    Ok(done)
}
