//! What copies of files are made with: content, owners, modes, times and
//! extended attributes, by descriptors.

use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, RawDir, Stat, Timespec, Timestamps, Uid, XattrFlags, chownat,
    copy_file_range, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, futimens, openat, utimensat,
};
use rustix::io::Errno;

/// The longest value of an extended attribute (`XATTR_SIZE_MAX`).
const XATTR_LIMIT: usize = 64 * 1024;
const BUFFER: usize = 64 * 1024;

/// What a copy is to have beside its content.
#[derive(Debug, Clone)]
pub(crate) struct Attributes {
    /// Owner.
    pub(crate) uid: Uid,
    /// Group.
    pub(crate) gid: Gid,
    /// Permission bits, set-user-id and such included.
    pub(crate) mode: Mode,
    /// Of the last access and of the last change.
    pub(crate) times: Timestamps,
}

impl Attributes {
    /// Those of the original.
    pub(crate) fn of(status: &Stat) -> Self {
        Self {
            uid: Uid::from_raw(status.st_uid),
            gid: Gid::from_raw(status.st_gid),
            mode: Mode::from_raw_mode(status.st_mode & 0o7777),
            times: times_of(status),
        }
    }
}

/// Copies the content of a file: in the kernel where it can, else through a buffer.
///
/// # Errors
/// What the kernel says.
pub(crate) fn copy_bytes(source: &OwnedFd, target: &OwnedFd) -> rustix::io::Result<()> {
    const CHUNK: usize = 1 << 30;
    let mut copied = 0;
    loop {
        match copy_file_range(source, None, target, None, CHUNK) {
            Ok(0) => break,
            Ok(length) => copied += length,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if copied == 0 => {
                break;
            }
            Err(errno) => return Err(errno),
        }
    }
    // Also after a copy of nothing: some file systems claim success there.
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = rustix::io::retry_on_intr(|| rustix::io::read(source, &mut *buffer))?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        while !rest.is_empty() {
            let written = rustix::io::retry_on_intr(|| rustix::io::write(target, rest))?;
            rest = rest.get(written..).unwrap_or_default();
        }
    }
}

/// Gives a copy its attributes, the extended ones being those of `source`. Owner
/// before attributes and mode: a change of owner clears both capabilities of files
/// and set-user-id bits.
///
/// # Errors
/// What the kernel says.
pub(crate) fn dress(
    source: &OwnedFd,
    target: &OwnedFd,
    wanted: &Attributes,
) -> rustix::io::Result<()> {
    fchown(target, Some(wanted.uid), Some(wanted.gid))?;
    copy_attributes(source, target)?;
    fchmod(target, wanted.mode)?;
    futimens(target, &wanted.times)
}

/// Owner and times of what has no descriptor to write to: a symlink, a device.
///
/// # Errors
/// What the kernel says.
pub(crate) fn dress_by_name(
    folder: &OwnedFd,
    name: &CStr,
    wanted: &Attributes,
) -> rustix::io::Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    chownat(folder, name, Some(wanted.uid), Some(wanted.gid), flags)?;
    utimensat(folder, name, &wanted.times, flags)
}

fn copy_attributes(source: &OwnedFd, target: &OwnedFd) -> rustix::io::Result<()> {
    each_attribute(source, |name, value| {
        match fsetxattr(target, name, value, XattrFlags::empty()) {
            // Labels of a security module, or a file system without them.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => Ok(()),
            Err(errno) => Err(errno),
        }
    })
}

/// The extended attributes of a file, as bytes that are the same where they are.
///
/// # Errors
/// What the kernel says.
pub(crate) fn attributes(file: &OwnedFd) -> rustix::io::Result<Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    each_attribute(file, |name, value| {
        all.insert(name.to_owned(), value.to_owned());
        Ok(())
    })?;
    let mut bytes = Vec::new();
    for (name, value) in all {
        bytes.extend(name.to_bytes_with_nul());
        bytes.extend(u64::try_from(value.len()).unwrap_or(u64::MAX).to_le_bytes());
        bytes.extend(value);
    }
    Ok(bytes)
}

fn each_attribute(
    file: &OwnedFd,
    mut take: impl FnMut(&CStr, &[u8]) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    let mut list = vec![0_u8; XATTR_LIMIT];
    let length = match flistxattr(file, &mut *list) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(()),
        other => other?,
    };
    let mut value = vec![0_u8; XATTR_LIMIT];
    for name in list
        .get(..length)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        let size = match fgetxattr(file, &*name, &mut *value) {
            Err(Errno::NODATA) => continue,
            other => other?,
        };
        take(&name, value.get(..size).unwrap_or_default())?;
    }
    Ok(())
}

/// The names in a folder, in no order.
///
/// # Errors
/// What the kernel says.
pub(crate) fn names(folder: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    rustix::fs::seek(folder, rustix::fs::SeekFrom::Start(0))?;
    let mut names = Vec::new();
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The folder of this name, no symlink followed.
///
/// # Errors
/// `ENOTDIR` where it is none, a symlink to one included.
pub(crate) fn open_folder(at: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    openat(
        at,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn times_of(status: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    Timestamps {
        last_access: time(status.st_atime, status.st_atime_nsec),
        last_modification: time(status.st_mtime, status.st_mtime_nsec),
    }
}
