//! The system calls on one name in one open folder; none follows that name.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::tar::{Entry, Kind};

/// Hides what lies below a folder (overlayfs documentation).
pub(super) const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// What was in the place of a new entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removed {
    Whiteout,
    Other,
}

/// The name of what is being made, and where.
pub(super) struct Place<'a> {
    pub(super) parent: BorrowedFd<'a>,
    pub(super) name: &'a [u8],
}

pub(super) fn create(place: &Place<'_>) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(
        place.parent,
        place.name,
        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::from(0o600),
    )
}

pub(super) fn make_node(place: &Place<'_>, entry: &Entry) -> Result<(), Errno> {
    let kind = match entry.kind {
        Kind::Character => FileType::CharacterDevice,
        Kind::Block => FileType::BlockDevice,
        // Nothing else comes here.
        Kind::Fifo | Kind::Regular | Kind::HardLink | Kind::Symlink | Kind::Directory => {
            FileType::Fifo
        }
    };
    let (major, minor) = entry.device;
    let device = rustix::fs::makedev(major, minor);
    rustix::fs::mknodat(place.parent, place.name, kind, mode(entry), device)
}

pub(super) fn mode(entry: &Entry) -> Mode {
    Mode::from(entry.mode & 0o7777)
}

/// Owner, then mode (a change of owner clears setuid), then attributes (it
/// clears capabilities too).
pub(super) fn set_attributes(file: &OwnedFd, entry: &Entry) -> io::Result<()> {
    let (uid, gid) = owner(entry);
    rustix::fs::fchown(file, Some(uid), Some(gid))?;
    rustix::fs::fchmod(file, mode(entry))?;
    for (name, value) in permitted(&entry.xattrs) {
        tolerate(rustix::fs::fsetxattr(
            file,
            name,
            value,
            XattrFlags::empty(),
        ))?;
    }
    Ok(())
}

/// The same for what cannot be opened; the mode is not touched.
pub(super) fn set_attributes_at(place: &Place<'_>, entry: &Entry) -> io::Result<()> {
    let (uid, gid) = owner(entry);
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(place.parent, place.name, Some(uid), Some(gid), flags)?;
    if entry.kind != Kind::Symlink {
        // Changing the owner has cleared setuid and setgid.
        rustix::fs::chmodat(place.parent, place.name, mode(entry), AtFlags::empty())?;
    }
    for (name, value) in permitted(&entry.xattrs) {
        let path = proc_path(place.parent, place.name);
        tolerate(rustix::fs::lsetxattr(
            &*path,
            name,
            value,
            XattrFlags::empty(),
        ))?;
    }
    set_times(place.parent, place.name, entry.mtime)
}

fn owner(entry: &Entry) -> (rustix::fs::Uid, rustix::fs::Gid) {
    (
        rustix::fs::Uid::from_raw(entry.uid),
        rustix::fs::Gid::from_raw(entry.gid),
    )
}

/// Attributes that a layer may set: not those with which overlayfs is told
/// where to find a file (`redirect`, `metacopy`), as they would let a layer
/// reach into others.
pub(super) fn permitted(xattrs: &[(Vec<u8>, Vec<u8>)]) -> impl Iterator<Item = (&[u8], &[u8])> {
    xattrs.iter().filter_map(|(name, value)| {
        let overlay = name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.");
        (!overlay).then_some((name.as_slice(), value.as_slice()))
    })
}

/// An attribute that the file system or the kind of file cannot have is left
/// out, as Docker does.
fn tolerate(result: Result<(), Errno>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn set_opaque(parent: impl AsFd, name: &[u8]) -> io::Result<()> {
    let folder = rustix::fs::openat(
        parent,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    Ok(rustix::fs::fsetxattr(
        folder,
        OPAQUE_XATTR,
        b"y",
        XattrFlags::empty(),
    )?)
}

fn timestamps((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: i64::from(nanoseconds),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

pub(super) fn set_file_times(file: &OwnedFd, time: (i64, u32)) -> io::Result<()> {
    Ok(rustix::fs::futimens(file, &timestamps(time))?)
}

pub(super) fn set_times(parent: BorrowedFd<'_>, name: &[u8], time: (i64, u32)) -> io::Result<()> {
    Ok(rustix::fs::utimensat(
        parent,
        name,
        &timestamps(time),
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

/// A path to a name in an open folder, for calls that take no descriptor.
fn proc_path(parent: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

pub(super) fn file_type(place: &Place<'_>) -> io::Result<Option<FileType>> {
    match rustix::fs::statat(place.parent, place.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn is_whiteout(place: &Place<'_>) -> io::Result<bool> {
    match rustix::fs::statat(place.parent, place.name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(
            FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0,
        ),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes a name and everything below it, following nothing.
pub(super) fn remove(place: &Place<'_>) -> io::Result<Removed> {
    if is_whiteout(place)? {
        rustix::fs::unlinkat(place.parent, place.name, AtFlags::empty())?;
        return Ok(Removed::Whiteout);
    }
    remove_tree(place)?;
    Ok(Removed::Other)
}

/// Opens the folder that is there.
pub(super) fn open_folder(place: &Place<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(
        place.parent,
        place.name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

fn remove_tree(place: &Place<'_>) -> io::Result<()> {
    if file_type(place)? != Some(FileType::Directory) {
        return Ok(rustix::fs::unlinkat(
            place.parent,
            place.name,
            AtFlags::empty(),
        )?);
    }
    let folder = open_folder(place)?;
    for entry in rustix::fs::Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            remove_tree(&Place {
                parent: folder.as_fd(),
                name,
            })?;
        }
    }
    Ok(rustix::fs::unlinkat(
        place.parent,
        place.name,
        AtFlags::REMOVEDIR,
    )?)
}
