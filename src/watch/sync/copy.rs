//! One file into a container. A reader there sees the old one or the new one, never a
//! part: it is written without a name (`O_TMPFILE`, open(2)) and takes the place of
//! the old one in one step.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, fstat, ftruncate, linkat, mkdirat, openat, readlinkat,
    renameat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::super::rules::TEMPORARY;
use super::super::tree::Kind;
use super::place::Place;
use super::remove;
use crate::engine::inroot::Root;
use crate::engine::tree::{Attributes, copy_bytes, dress, dress_by_name};

/// Folders that are made where nothing says how.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// What is put to a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct What {
    pub(super) kind: Kind,
    /// It takes the place of a folder that was copied before.
    pub(super) may_replace_folder: bool,
}

/// Writes into a container, one file after the other.
#[derive(Debug)]
pub(super) struct Copier<'p> {
    place: &'p Place,
    /// The folder that was written to last: files come in order.
    folder: Option<(PathBuf, OwnedFd)>,
    /// Whether files can be written without a name there.
    pub(super) nameless: bool,
}

impl<'p> Copier<'p> {
    pub(super) const fn new(place: &'p Place) -> Self {
        Self {
            place,
            folder: None,
            nameless: true,
        }
    }

    /// Puts what is at `from` below `source` to `to` in the container; false where it
    /// has gone meanwhile, or where nobody would see it.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn put(
        &mut self,
        source: &Root,
        from: &Path,
        to: &Path,
        what: What,
    ) -> rustix::io::Result<bool> {
        match self.put_there(source, from, to, what) {
            // It went, or became something else: the next change says so.
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) if !exists(source, from, what.kind) => {
                Ok(false)
            }
            // The folder that was known is not the one that is there now.
            Err(Errno::NOENT) if self.folder.take().is_some() => {
                self.put_there(source, from, to, what)
            }
            other => other,
        }
    }

    fn put_there(
        &mut self,
        source: &Root,
        from: &Path,
        to: &Path,
        what: What,
    ) -> rustix::io::Result<bool> {
        let place = self.place;
        let What {
            kind,
            may_replace_folder,
        } = what;
        let Some((root, to)) = place.find(to)? else {
            return Ok(false);
        };
        if kind == Kind::Folder {
            let folder = self.folder(root, to, source, Some(from))?;
            let looks = self.looks(source, from)?;
            rustix::fs::chmodat(&folder, ".", looks.mode, AtFlags::empty())?;
            return Ok(true);
        }
        let Some(name) = to.file_name() else {
            return Err(Errno::ISDIR);
        };
        let above = to.parent().unwrap_or_else(|| Path::new("/"));
        if self.folder.as_ref().is_none_or(|(known, _)| known != above) {
            let folder = self.folder(root, above, source, from.parent())?;
            self.folder = Some((above.to_owned(), folder));
        }
        let Some((_, folder)) = &self.folder else {
            return Err(Errno::NOENT);
        };
        if kind == Kind::Link {
            let link = source.open_link(from)?;
            let status = fstat(&link)?;
            if FileType::from_raw_mode(status.st_mode) != FileType::Symlink {
                return Ok(false);
            }
            let target = readlinkat(&link, "", Vec::new())?;
            let looks = self.owned(Attributes::of(&status));
            let temporary = temporary();
            symlinkat(&target, folder, &temporary)?;
            let named = as_c(&temporary);
            dress_by_name(folder, &named, &looks)
                .and_then(|()| settle(folder.as_fd(), &temporary, name, may_replace_folder))
                .inspect_err(|_| discard(folder.as_fd(), &temporary))?;
            return Ok(true);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = source.open_no_links(from, flags)?;
        let status = fstat(&file)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Ok(false);
        }
        let looks = self.owned(Attributes::of(&status));
        if self.nameless {
            match nameless(folder.as_fd(), name, (&file, &looks), may_replace_folder) {
                Err(Errno::OPNOTSUPP | Errno::INVAL) => self.nameless = false,
                other => return other.map(|()| true),
            }
        }
        named(folder.as_fd(), name, (&file, &looks), may_replace_folder).map(|()| true)
    }

    /// The attributes of a copy.
    fn owned(&self, mut looks: Attributes) -> Attributes {
        if let Some((uid, gid)) = self.place.owner() {
            looks.uid = uid;
            looks.gid = gid;
        }
        looks
    }

    fn looks(&self, source: &Root, from: &Path) -> rustix::io::Result<Attributes> {
        Ok(self.owned(Attributes::of(&fstat(source.open_link(from)?)?)))
    }

    /// The folder at `to`, made where it is missing, as `from` is; what is no folder
    /// makes room for it.
    fn folder(
        &self,
        root: &Root,
        to: &Path,
        source: &Root,
        from: Option<&Path>,
    ) -> rustix::io::Result<OwnedFd> {
        // What is below a target is what is here: a link in the way is none of ours.
        let mirrored = from.filter(|from| !from.as_os_str().is_empty());
        if mirrored.is_none() {
            match root.open(to) {
                Ok(found) if is_folder(&found)? => return Ok(found),
                Ok(_) => return Err(Errno::NOTDIR),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        let (Some(above), Some(name)) = (to.parent(), to.file_name()) else {
            return root.open(Path::new("/"));
        };
        let parent = self.folder(root, above, source, from.and_then(Path::parent))?;
        if mirrored.is_some() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(&parent, name, flags, Mode::empty()) {
                Err(Errno::NOENT) => {}
                Err(Errno::NOTDIR | Errno::LOOP) => remove::tree(parent.as_fd(), name)?,
                other => return other,
            }
        }
        match mkdirat(&parent, name, FOLDER_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let made = openat(
            &parent,
            name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        match from.map(|from| self.looks(source, from)) {
            Some(Ok(looks)) => {
                rustix::fs::fchown(&made, Some(looks.uid), Some(looks.gid))?;
                rustix::fs::fchmod(&made, looks.mode)?;
            }
            _ => {
                if let Some((uid, gid)) = self.place.owner() {
                    rustix::fs::fchown(&made, Some(uid), Some(gid))?;
                }
            }
        }
        Ok(made)
    }
}

/// Whether there is still something of that kind.
fn exists(source: &Root, from: &Path, kind: Kind) -> bool {
    let found = source.open_link(from).and_then(|found| fstat(&found));
    found.is_ok_and(|status| {
        let found = FileType::from_raw_mode(status.st_mode);
        match kind {
            Kind::File => found == FileType::RegularFile,
            Kind::Folder => found == FileType::Directory,
            Kind::Link => found == FileType::Symlink,
            Kind::Gone => false,
        }
    })
}

/// Writes a file that has no name until it is whole.
fn nameless(
    folder: BorrowedFd<'_>,
    name: &OsStr,
    (from, looks): (&OwnedFd, &Attributes),
    may_replace_folder: bool,
) -> rustix::io::Result<()> {
    let opened = openat(
        folder,
        ".",
        OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::RUSR | Mode::WUSR,
    );
    // A kernel that does not know the flag opens the folder instead.
    let file = opened.map_err(|errno| match errno {
        Errno::ISDIR => Errno::OPNOTSUPP,
        other => other,
    })?;
    copy_bytes(from, &file)?;
    dress(from, &file, looks)?;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link = |name: &OsStr| linkat(CWD, &own, folder, name, AtFlags::SYMLINK_FOLLOW);
    match link(name) {
        Err(Errno::EXIST) => {}
        other => return other,
    }
    let temporary = temporary();
    link(&temporary)?;
    replace(folder, &temporary, name, (from, may_replace_folder))
        .inspect_err(|_| discard(folder, &temporary))
}

/// Writes a file under another name first: where the file system knows no other way
/// (overlayfs before Linux 6.1).
fn named(
    folder: BorrowedFd<'_>,
    name: &OsStr,
    (from, looks): (&OwnedFd, &Attributes),
    may_replace_folder: bool,
) -> rustix::io::Result<()> {
    let temporary = temporary();
    let file = openat(
        folder,
        &temporary,
        OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::RUSR | Mode::WUSR,
    )?;
    copy_bytes(from, &file)
        .and_then(|()| dress(from, &file, looks))
        .and_then(|()| replace(folder, &temporary, name, (from, may_replace_folder)))
        .inspect_err(|_| discard(folder, &temporary))
}

/// Puts a file to its place; where a file is mounted there, which nothing can take the
/// place of, it gets the content.
fn replace(
    folder: BorrowedFd<'_>,
    temporary: &OsStr,
    name: &OsStr,
    (from, may_replace_folder): (&OwnedFd, bool),
) -> rustix::io::Result<()> {
    match settle(folder, temporary, name, may_replace_folder) {
        Err(Errno::BUSY) => {}
        other => return other,
    }
    // Refused where a folder is mounted.
    let mounted = openat(
        folder,
        name,
        OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    rustix::fs::seek(from, rustix::fs::SeekFrom::Start(0))?;
    ftruncate(&mounted, 0)?;
    copy_bytes(from, &mounted)?;
    discard(folder, temporary);
    Ok(())
}

/// Takes the place of whatever is there. A folder goes, with all that it has, only where it
/// was one of ours: what the container has of its own stays.
///
/// # Errors
/// `EBUSY` where something is mounted there, `EISDIR` where a folder stays.
fn settle(
    folder: BorrowedFd<'_>,
    temporary: &OsStr,
    name: &OsStr,
    may_replace_folder: bool,
) -> rustix::io::Result<()> {
    match remove::is_mount(folder, name) {
        Ok(true) => return Err(Errno::BUSY),
        Ok(false) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    match renameat(folder, temporary, folder, name) {
        Err(Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST) if may_replace_folder => {
            remove::tree(folder, name)?;
            renameat(folder, temporary, folder, name)
        }
        other => other,
    }
}

fn discard(folder: BorrowedFd<'_>, temporary: &OsStr) {
    // What was to be said is said already.
    unlinkat(folder, temporary, AtFlags::empty()).ok();
}

/// A name that nothing has, which no rule is about.
fn temporary() -> OsString {
    let mut bytes = [0_u8; 8];
    // Another name is no worse than a random one: it is made with O_EXCL.
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok();
    let mut name = TEMPORARY.to_owned();
    for byte in bytes {
        write!(name, "{byte:02x}").ok();
    }
    name.into()
}

fn as_c(name: &OsStr) -> std::ffi::CString {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::CString::new(name.as_bytes()).unwrap_or_default()
}

fn is_folder(fd: &OwnedFd) -> rustix::io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::Directory)
}
