//! Reading and writing the small files of a group.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use fs_err as fs;
use rustix::fs::{Mode, OFlags};

use super::error::CgroupError;

/// Writes a value in one write(2), as the kernel wants it.
pub(super) fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    write_raw(path, value).map_err(|source| CgroupError::Write {
        path: path.to_owned(),
        value: value.to_owned(),
        source,
    })
}

/// As [`write()`], with the bare errno.
pub(super) fn write_raw(path: &Path, value: &str) -> io::Result<()> {
    let fd = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    loop {
        match rustix::io::write(&fd, value.as_bytes()) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A group's folder, for `CLONE_INTO_CGROUP` (Linux 5.7) and for programs.
pub(super) fn open_folder(path: &Path) -> Result<OwnedFd, CgroupError> {
    open(path, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// A file of a group, for writing.
pub(super) fn open_to_write(path: &Path) -> Result<OwnedFd, CgroupError> {
    open(path, OFlags::WRONLY)
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, CgroupError> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
        CgroupError::Read {
            path: path.to_owned(),
            source: errno.into(),
        }
    })
}

/// Reads a whole file.
pub(super) fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Reads a whole file; `None` where it, or its group, does not exist.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, CgroupError> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        std::fs::File::open(path)?.read_to_string(&mut text)?;
        Ok(text)
    };
    // fs_err hides the errno, and ENODEV (the group went while the file was
    // open) has no kind of its own.
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => Ok(None),
        Err(source) => Err(CgroupError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The number after `key` in a file of `key value` lines.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
        .and_then(|value| value.trim().parse().ok())
}
