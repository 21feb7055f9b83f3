//! A fresh volume receives what the image has at its place: content, owners,
//! modes, times and extended attributes.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, XattrFlags, fgetxattr, flock,
    fremovexattr, fsetxattr, linkat, mkdirat, mknodat, openat, readlinkat, statat, symlinkat,
    unlinkat,
};

use crate::engine::init::error::{Step, StepResult};
use crate::engine::inroot::Root;
use crate::engine::spec::COPY_UP as STEP;
use crate::engine::tree::{Attributes, copy_bytes, dress, dress_by_name, names, open_folder};

/// On the volume's folder while a copy is under way: one that was cut off is
/// begun anew. File systems without such attributes go without.
const UNFINISHED: &CStr = c"trusted.skiff.copy";

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
    dress(source, target, &Attributes::of(&status))?;
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
            let inner = path.join(OsStr::from_bytes(name.to_bytes()));
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
                dress(&source, &target, &Attributes::of(status))
            }
            FileType::RegularFile => self.file(from, to, name, status, path),
            FileType::Symlink => {
                let target = readlinkat(from, name, Vec::new())?;
                symlinkat(&*target, to, name)?;
                dress_by_name(to, name, &Attributes::of(status))
            }
            // A socket without its server is of no use.
            FileType::Socket | FileType::Unknown => Ok(()),
            kind @ (FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice) => {
                mknodat(to, name, kind, Attributes::of(status).mode, status.st_rdev)?;
                dress_by_name(to, name, &Attributes::of(status))
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
        dress(&source, &target, &Attributes::of(status))
    }
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
