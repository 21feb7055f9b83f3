//! Taking away what has gone: no symlink is followed, and what is mounted stays.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, openat2, statx, unlinkat,
};
use rustix::io::Errno;

use super::place::Place;
use crate::engine::inroot::Root;

/// Removes a path of a container with all that it has; false where it is not there. `below`
/// is the part of the path that is the same here: no symlink on it is followed.
///
/// # Errors
/// `EBUSY` where something is mounted below it.
pub(super) fn at(place: &Place, path: &Path, below: &Path) -> rustix::io::Result<bool> {
    let Some((root, path)) = place.find(path)? else {
        return Ok(false);
    };
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(false);
    };
    let mirrored = below.components().count().saturating_sub(1);
    let parts: Vec<_> = above.components().collect();
    let (target, rest) = parts.split_at(parts.len().saturating_sub(mirrored));
    let rest: PathBuf = rest.iter().collect();
    let found = root
        .open(&target.iter().collect::<PathBuf>())
        .and_then(|target| Root::new(target).open_link(&rest));
    let above = match found {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
        other => other?,
    };
    match tree(above.as_fd(), name) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether something is mounted at a name. The kernel keeps what is mounted from going
/// in our own mount namespace only; a container's mount would go with the name.
///
/// # Errors
/// `ENOENT` where there is nothing. `STATX_ATTR_MOUNT_ROOT` came with Linux 5.8.
pub(super) fn is_mount(folder: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<bool> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let status = statx(folder, name, flags, StatxFlags::empty())?;
    Ok(status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Removes a name and everything below it.
///
/// # Errors
/// `EBUSY`, `EXDEV` at a mount; otherwise what the kernel says.
pub(super) fn tree(folder: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    if is_mount(folder, name)? {
        return Err(Errno::BUSY);
    }
    match unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        other => return other,
    }
    let inner = openat2(
        folder,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH,
    )?;
    for entry in Dir::read_from(&inner)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            use std::os::unix::ffi::OsStrExt as _;
            match tree(inner.as_fd(), OsStr::from_bytes(name)) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
    unlinkat(folder, name, AtFlags::REMOVEDIR)
}
