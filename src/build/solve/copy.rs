//! COPY and ADD of files: into a root, below its own symlinks, with the owners
//! and modes that the instruction asks for.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Timestamps, Uid, fchmod, fchown, fstat, futimens,
    linkat, mkdirat, mknodat, openat, readlinkat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::mode::ModeChange;
use super::scan::{Item, Selected};
use crate::engine::inroot::Root;
use crate::engine::sys::helpers;
use crate::engine::tree::{Attributes, copy_bytes, dress, dress_by_name, open_folder};

/// How copies differ from what they are made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Looks {
    /// Owner and group; absent: those of the original.
    pub(crate) owner: Option<(u32, u32)>,
    /// `--chmod`
    pub(crate) mode: Option<ModeChange>,
}

impl Looks {
    /// Mode of folders on the way that were missing, where it is not the usual one: as
    /// with `BuildKit`, a number counts for them, too.
    fn mode_of_new(&self) -> Option<u32> {
        match &self.mode {
            Some(ModeChange::Octal(bits)) => Some(*bits),
            Some(ModeChange::Symbolic(_)) | None => None,
        }
    }
}

/// Why something was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A folder is where a file was to be, or the other way round.
    #[error("cannot copy {what} over {there}: `{path}` is in the way", path = path.display())]
    InTheWay {
        /// `a folder`
        what: &'static str,
        /// `a file`
        there: &'static str,
        /// In the image.
        path: PathBuf,
    },
    /// What the kernel said.
    #[error("cannot copy to `{path}`", path = path.display())]
    Kernel {
        /// In the image.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// As the kernel's own limit of symlinks in one resolution.
const LINK_LIMIT: usize = 40;

/// Copies into `root`. `to` is absolute; where it ends with a slash, is a folder,
/// or `many` says that several things come, files go into it. A folder's content
/// is merged with what is there. Symlinks on the way to `to` are followed inside
/// the root, the last one too; what has the name of something that goes into it is
/// replaced, a symlink as well.
///
/// # Errors
/// [`CopyError`].
pub(crate) fn put(
    root: &Root,
    to: &Path,
    many: bool,
    selected: &[Selected],
    looks: &Looks,
) -> Result<(), CopyError> {
    let into = many || to.as_os_str().as_bytes().ends_with(b"/") || is_folder(root, to);
    for one in selected {
        if one.is_folder() {
            folder(root, to, one, looks)?;
        } else if into {
            let to = to.join(&one.name);
            let place = in_folder(root, &to, looks)?;
            file(place, &to, one, looks)?;
        } else {
            let place = named(root, to, looks)?;
            file(place, to, one, looks)?;
        }
    }
    Ok(())
}

/// Makes a folder and those above it; those that were missing get this owner and this
/// mode, or 0755. Whether the folder itself was missing.
///
/// # Errors
/// [`CopyError`].
pub(crate) fn make_folders(
    root: &Root,
    path: &Path,
    owner: Option<(u32, u32)>,
    mode: Option<u32>,
) -> Result<bool, CopyError> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|folder| root.open(folder).is_err())
        .collect();
    let (uid, gid) = owner.unwrap_or_default();
    for folder in missing.iter().rev() {
        let made = root.make_folder(folder).and_then(|_| {
            if (uid, gid) == (0, 0) && mode.is_none() {
                return Ok(());
            }
            let folder = open_readable(root, folder)?;
            fchown(&folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
            match mode {
                Some(bits) => fchmod(&folder, Mode::from_raw_mode(bits)),
                None => Ok(()),
            }
        });
        made.map_err(|errno| cannot_make(folder, errno))?;
    }
    root.make_folder(path)
        .map_err(|errno| cannot_make(path, errno))?;
    Ok(!missing.is_empty())
}

fn cannot_make(path: &Path, errno: Errno) -> CopyError {
    if errno == Errno::NOTDIR {
        return CopyError::InTheWay {
            what: "a folder",
            there: "a file",
            path: path.to_owned(),
        };
    }
    kernel(path, errno)
}

fn kernel(path: &Path, errno: Errno) -> CopyError {
    CopyError::Kernel {
        path: path.to_owned(),
        source: errno.into(),
    }
}

fn is_folder(root: &Root, path: &Path) -> bool {
    let found = root.open(path).and_then(fstat);
    found.is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Directory)
}

fn open_readable(root: &Root, path: &Path) -> rustix::io::Result<OwnedFd> {
    root.open(path)
        .and_then(|found| open_folder(found.as_fd(), c"."))
}

/// One file, or whatever is no folder.
fn file(
    (folder, name): (OwnedFd, CString),
    to: &Path,
    one: &Selected,
    looks: &Looks,
) -> Result<(), CopyError> {
    let Some(item) = one.items.first() else {
        return Ok(());
    };
    let copy = Copy {
        looks,
        linked: HashMap::new(),
    };
    let source = Source::Itself(&one.found);
    copy.entry(&source, &folder, &name, item)
        .map_err(|errno| in_the_way(to, item, errno))
}

/// The folder that a file is to be in, which is made, and its name there.
fn in_folder(root: &Root, to: &Path, looks: &Looks) -> Result<(OwnedFd, CString), CopyError> {
    let above = to.parent().unwrap_or_else(|| Path::new("/"));
    let name = to.file_name().unwrap_or_default().as_bytes();
    let name = CString::new(name).map_err(|_| kernel(to, Errno::INVAL))?;
    make_folders(root, above, looks.owner, looks.mode_of_new())?;
    let folder = open_readable(root, above).map_err(|errno| kernel(above, errno))?;
    Ok((folder, name))
}

/// The same of a file that was named itself: a symlink that is there already, dangling
/// or not, says where.
fn named(root: &Root, to: &Path, looks: &Looks) -> Result<(OwnedFd, CString), CopyError> {
    let mut path = to.to_owned();
    for _ in 0..LINK_LIMIT {
        let (folder, name) = in_folder(root, &path, looks)?;
        match readlinkat(&folder, &*name, Vec::new()) {
            Ok(target) => path.set_file_name(OsStr::from_bytes(target.to_bytes())),
            Err(_) => return Ok((folder, name)),
        }
    }
    Err(kernel(to, Errno::LOOP))
}

/// The content of a folder.
fn folder(root: &Root, to: &Path, one: &Selected, looks: &Looks) -> Result<(), CopyError> {
    let Some(top) = one.items.first() else {
        return Ok(());
    };
    let is_new = make_folders(root, to, looks.owner, looks.mode_of_new())?;
    let at_top = |errno| kernel(to, errno);
    let target = open_readable(root, to).map_err(at_top)?;
    let source = open_folder(one.found.as_fd(), c".").map_err(at_top)?;
    if is_new && let Some(change) = &looks.mode {
        fchmod(&target, Mode::from_raw_mode(change.apply(0o755, true))).map_err(at_top)?;
    }
    let mut copy = Copy {
        looks,
        linked: HashMap::new(),
    };
    let mut open = vec![Level {
        path: PathBuf::new(),
        times: Attributes::of(&top.status).times,
        source,
        target,
    }];
    for item in one.items.iter().skip(1) {
        let above = item.path.parent().unwrap_or_else(|| Path::new(""));
        while let Some(level) = open.pop_if(|level| level.path != above) {
            level
                .close()
                .map_err(|errno| kernel(&to.join(&level.path), errno))?;
        }
        let Some(level) = open.last() else {
            return Err(kernel(&to.join(&item.path), Errno::NOENT));
        };
        let failed = |errno| in_the_way(&to.join(&item.path), item, errno);
        let name = item.path.file_name().unwrap_or_default().as_bytes();
        let name = CString::new(name).map_err(|_| failed(Errno::INVAL))?;
        if item.kind() == FileType::Directory {
            let level = copy.enter(level, &name, item).map_err(failed)?;
            open.push(level);
        } else {
            copy.linked_entry(level, &name, item).map_err(failed)?;
        }
    }
    while let Some(level) = open.pop() {
        level
            .close()
            .map_err(|errno| kernel(&to.join(&level.path), errno))?;
    }
    Ok(())
}

fn in_the_way(path: &Path, item: &Item, errno: Errno) -> CopyError {
    let is_folder = item.kind() == FileType::Directory;
    if matches!(
        errno,
        Errno::ISDIR | Errno::NOTDIR | Errno::EXIST | Errno::LOOP
    ) {
        let (what, there) = if is_folder {
            ("a folder", "a file")
        } else {
            ("a file", "a folder")
        };
        return CopyError::InTheWay {
            what,
            there,
            path: path.to_owned(),
        };
    }
    kernel(path, errno)
}

/// A folder that is being filled.
struct Level {
    path: PathBuf,
    times: Timestamps,
    source: OwnedFd,
    target: OwnedFd,
}

impl Level {
    /// Its time is that of the original, whatever came into it.
    fn close(&self) -> rustix::io::Result<()> {
        futimens(&self.target, &self.times)
    }
}

/// Where an entry is read from.
enum Source<'a> {
    /// A name in a folder.
    In(&'a OwnedFd, &'a CStr),
    /// A descriptor of itself (`O_PATH`).
    Itself(&'a OwnedFd),
}

impl Source<'_> {
    fn open(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        match self {
            Self::In(folder, name) => {
                openat(folder, *name, flags | OFlags::NOFOLLOW, Mode::empty())
            }
            Self::Itself(found) => {
                let path = helpers::descriptor_path(found.as_fd());
                openat(CWD, path, flags, Mode::empty())
            }
        }
    }

    fn link_target(&self) -> rustix::io::Result<CString> {
        match self {
            Self::In(folder, name) => readlinkat(folder, *name, Vec::new()),
            Self::Itself(found) => readlinkat(found, c"", Vec::new()),
        }
    }
}

struct Copy<'a> {
    looks: &'a Looks,
    /// Where the first name of a file with several is.
    linked: HashMap<(u64, u64), (OwnedFd, CString)>,
}

impl Copy<'_> {
    fn attributes(&self, item: &Item) -> Attributes {
        let mut wanted = Attributes::of(&item.status);
        if let Some((uid, gid)) = self.looks.owner {
            wanted.uid = Uid::from_raw(uid);
            wanted.gid = Gid::from_raw(gid);
        }
        let is_folder = item.kind() == FileType::Directory;
        let mut mode = wanted.mode.as_raw_mode();
        if let Some(change) = &self.looks.mode {
            mode = change.apply(mode, is_folder);
        }
        wanted.mode = Mode::from_raw_mode(mode);
        wanted
    }

    /// Makes a folder, or finds it; either way it gets the original's attributes.
    fn enter(&self, level: &Level, name: &CStr, item: &Item) -> rustix::io::Result<Level> {
        match mkdirat(&level.target, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let source = open_folder(level.source.as_fd(), name)?;
        let target = open_folder(level.target.as_fd(), name)?;
        let wanted = self.attributes(item);
        dress(&source, &target, &wanted)?;
        Ok(Level {
            path: item.path.clone(),
            times: wanted.times,
            source,
            target,
        })
    }

    fn linked_entry(&mut self, level: &Level, name: &CStr, item: &Item) -> rustix::io::Result<()> {
        let is_linked = item.kind() == FileType::RegularFile && item.status.st_nlink > 1;
        let id = (item.status.st_dev, item.status.st_ino);
        if is_linked && let Some((folder, first)) = self.linked.get(&id) {
            make_way(&level.target, name)?;
            return linkat(folder, &**first, &level.target, name, AtFlags::empty());
        }
        self.entry(&Source::In(&level.source, name), &level.target, name, item)?;
        if is_linked {
            let folder = level.target.try_clone().map_err(|_| Errno::MFILE)?;
            self.linked.insert(id, (folder, name.to_owned()));
        }
        Ok(())
    }

    /// Copies what is no folder, in the place of whatever else is there.
    fn entry(
        &self,
        from: &Source<'_>,
        to: &OwnedFd,
        name: &CStr,
        item: &Item,
    ) -> rustix::io::Result<()> {
        let wanted = self.attributes(item);
        match item.kind() {
            FileType::RegularFile => {
                let source = from.open()?;
                make_way(to, name)?;
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let target = openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
                copy_bytes(&source, &target)?;
                dress(&source, &target, &wanted)
            }
            FileType::Symlink => {
                make_way(to, name)?;
                symlinkat(&*from.link_target()?, to, name)?;
                dress_by_name(to, name, &wanted)
            }
            kind @ (FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice) => {
                make_way(to, name)?;
                mknodat(to, name, kind, wanted.mode, item.status.st_rdev)?;
                dress_by_name(to, name, &wanted)
            }
            // A socket without its server is of no use.
            FileType::Directory | FileType::Socket | FileType::Unknown => Ok(()),
        }
    }
}

/// Takes away what is no folder.
fn make_way(folder: &OwnedFd, name: &CStr) -> rustix::io::Result<()> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
