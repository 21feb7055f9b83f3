//! A fresh volume receives what the image has at its place: content, owners,
//! modes, times and extended attributes.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Gid, Mode, OFlags, RawDir, Stat, Timespec, Timestamps, Uid,
    XattrFlags, chownat, copy_file_range, fchmod, fchown, fgetxattr, flistxattr, flock,
    fremovexattr, fsetxattr, futimens, linkat, mkdirat, mknodat, openat, readlinkat, statat,
    symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::engine::init::error::{Step, StepResult};
use crate::engine::inroot::Root;
use crate::engine::spec::COPY_UP as STEP;

/// On the volume's folder while a copy is under way: one that was cut off is
/// begun anew. File systems without such attributes go without.
const UNFINISHED: &CStr = c"trusted.skiff.copy";
/// The longest value of an extended attribute (`XATTR_SIZE_MAX`).
const XATTR_LIMIT: usize = 64 * 1024;
const BUFFER: usize = 64 * 1024;

/// Copies what `root` has at `path` into `volume`, where that is empty. What
/// is no folder in the image is not copied.
pub(super) fn copy_up(root: &Root, path: &Path, volume: BorrowedFd<'_>) -> StepResult<()> {
    let Ok(source) = root
        .open(path)
        .and_then(|found| open_folder(found.as_fd(), c"."))
    else {
        return Ok(());
    };
    let Ok(target) = open_folder(volume, c".") else {
        return Ok(());
    };
    // Two containers may start with one fresh volume; the lock ends with
    // `target`.
    lock(&target).on(STEP, path.display())?;
    fill(&source, &target).on(STEP, path.display())
}

fn lock(folder: &OwnedFd) -> rustix::io::Result<()> {
    rustix::io::retry_on_intr(|| flock(folder, FlockOperation::LockExclusive))
}

fn fill(source: &OwnedFd, target: &OwnedFd) -> rustix::io::Result<()> {
    if !names(target)?.is_empty() {
        let mut value = [0_u8; 1];
        if fgetxattr(target, UNFINISHED, &mut value).is_err() {
            return Ok(());
        }
        clear(target)?;
    }
    fsetxattr(target, UNFINISHED, b"1", XattrFlags::empty()).ok();
    let mut copy = Copy {
        top: target,
        linked: HashMap::new(),
    };
    copy.folder(source, target, Path::new(""))?;
    let status = rustix::fs::fstat(source)?;
    dress(source, target, &status)?;
    fremovexattr(target, UNFINISHED).ok();
    Ok(())
}

struct Copy<'a> {
    top: &'a OwnedFd,
    /// Where the first name of a file with several is, below `top`.
    linked: HashMap<(u64, u64), PathBuf>,
}

impl Copy<'_> {
    fn folder(&mut self, from: &OwnedFd, to: &OwnedFd, path: &Path) -> rustix::io::Result<()> {
        for name in names(from)? {
            let status = statat(from, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
            let inner = path.join(std::ffi::OsStr::new(
                std::str::from_utf8(name.to_bytes()).unwrap_or_default(),
            ));
            self.entry(from, to, &name, &status, &inner)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        status: &Stat,
        path: &Path,
    ) -> rustix::io::Result<()> {
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => {
                mkdirat(to, name, Mode::RWXU)?;
                let source = open_folder(from.as_fd(), name)?;
                let target = open_folder(to.as_fd(), name)?;
                self.folder(&source, &target, path)?;
                dress(&source, &target, status)
            }
            FileType::RegularFile => self.file(from, to, name, status, path),
            FileType::Symlink => {
                let target = readlinkat(from, name, Vec::new())?;
                symlinkat(&*target, to, name)?;
                own_by_name(to, name, status)
            }
            // A socket without its server is of no use.
            FileType::Socket | FileType::Unknown => Ok(()),
            kind @ (FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice) => {
                mknodat(to, name, kind, mode_of(status), status.st_rdev)?;
                own_by_name(to, name, status)
            }
        }
    }

    fn file(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        status: &Stat,
        path: &Path,
    ) -> rustix::io::Result<()> {
        if status.st_nlink > 1 {
            let id = (status.st_dev, status.st_ino);
            if let Some(first) = self.linked.get(&id) {
                return linkat(self.top, first.as_path(), to, name, AtFlags::empty());
            }
            self.linked.insert(id, path.to_owned());
        }
        let source = openat(
            from,
            name,
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let target = openat(
            to,
            name,
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )?;
        copy_bytes(&source, &target)?;
        dress(&source, &target, status)
    }
}

/// In the kernel where it can, else through a buffer.
fn copy_bytes(source: &OwnedFd, target: &OwnedFd) -> rustix::io::Result<()> {
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

/// Owner before attributes and mode: a change of owner clears both
/// capabilities of files and set-user-id bits.
fn dress(source: &OwnedFd, target: &OwnedFd, status: &Stat) -> rustix::io::Result<()> {
    fchown(
        target,
        Some(Uid::from_raw(status.st_uid)),
        Some(Gid::from_raw(status.st_gid)),
    )?;
    copy_attributes(source, target)?;
    fchmod(target, mode_of(status))?;
    futimens(target, &times_of(status))
}

fn own_by_name(folder: &OwnedFd, name: &CStr, status: &Stat) -> rustix::io::Result<()> {
    chownat(
        folder,
        name,
        Some(Uid::from_raw(status.st_uid)),
        Some(Gid::from_raw(status.st_gid)),
        AtFlags::SYMLINK_NOFOLLOW,
    )?;
    utimensat(folder, name, &times_of(status), AtFlags::SYMLINK_NOFOLLOW)
}

fn copy_attributes(source: &OwnedFd, target: &OwnedFd) -> rustix::io::Result<()> {
    let mut list = vec![0_u8; XATTR_LIMIT];
    let length = match flistxattr(source, &mut *list) {
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
        let size = match fgetxattr(source, &*name, &mut *value) {
            Err(Errno::NODATA) => continue,
            other => other?,
        };
        let value = value.get(..size).unwrap_or_default();
        match fsetxattr(target, &*name, value, XattrFlags::empty()) {
            // Labels of a security module, or a file system without them.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn clear(folder: &OwnedFd) -> rustix::io::Result<()> {
    for name in names(folder)? {
        let status = statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
            clear(&open_folder(folder.as_fd(), &name)?)?;
            unlinkat(folder, &*name, AtFlags::REMOVEDIR)?;
        } else {
            unlinkat(folder, &*name, AtFlags::empty())?;
        }
    }
    Ok(())
}

fn names(folder: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
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

fn open_folder(at: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    openat(
        at,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn mode_of(status: &Stat) -> Mode {
    Mode::from_raw_mode(status.st_mode & 0o7777)
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
