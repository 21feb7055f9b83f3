//! What mounts leave in the layer below them: empty files and folders that were
//! made only to be mounted over, and `/etc/mtab`. They are no part of what a step
//! did.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use rustix::io::Errno;

/// What the engine mounts, or links, in every container.
const ALWAYS: [&str; 12] = [
    "/proc",
    "/dev/pts",
    "/dev/shm",
    "/dev/mqueue",
    "/dev",
    "/sys/fs/cgroup",
    "/sys",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/mtab",
    "/dev/console",
];
/// The engine's link.
const MOUNT_TABLE: &str = "/proc/mounts";
/// On what overlayfs has copied up, and on nothing that was made anew.
const ORIGIN: &std::ffi::CStr = c"trusted.overlay.origin";

/// Takes stubs out of an upper directory, and folders that are only there because
/// stubs were made in them. `targets` are the step's own mounts, absolute paths in
/// the container; `lower` the layers below, the uppermost first.
///
/// # Errors
/// The directory cannot be changed.
pub(crate) fn remove(upper: &Path, targets: &[PathBuf], lower: &[PathBuf]) -> io::Result<()> {
    let mut all: Vec<PathBuf> = ALWAYS.iter().map(PathBuf::from).collect();
    all.extend(targets.iter().cloned());
    // Those in others first.
    all.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    for target in all {
        let mut here = inside(upper, &target);
        // Folders above it may have been made, or copied up, for it alone.
        while here != upper {
            let inner = here
                .strip_prefix(upper)
                .unwrap_or_else(|_| Path::new(""))
                .to_owned();
            if !remove_stub(&here)? && !remove_copy(&here, &inner, lower)? {
                break;
            }
            here.pop();
        }
    }
    Ok(())
}

fn inside(upper: &Path, target: &Path) -> PathBuf {
    let mut path = upper.to_owned();
    for component in target.components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir if path != upper => {
                path.pop();
            }
            Component::ParentDir
            | Component::RootDir
            | Component::CurDir
            | Component::Prefix(_) => {}
        }
    }
    path
}

/// Removes it where it is empty and was not in the layers below; whether it did.
fn remove_stub(path: &Path) -> io::Result<bool> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(false);
    };
    // A symlink on the way leads elsewhere: nothing was made at this path.
    if !is_new(path)? {
        return Ok(false);
    }
    if found.is_dir() {
        return match fs::remove_dir(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
            Err(error) => Err(error),
        };
    }
    let is_stub = if found.is_symlink() {
        path.ends_with("etc/mtab") && fs::read_link(path)? == Path::new(MOUNT_TABLE)
    } else {
        found.is_file() && found.len() == 0
    };
    if is_stub {
        fs::remove_file(path)?;
    }
    Ok(is_stub)
}

/// Removes a folder that was copied up, has nothing in it any more, and is as it is
/// below; whether it did.
fn remove_copy(path: &Path, inner: &Path, lower: &[PathBuf]) -> io::Result<bool> {
    let Ok(found) = fs::symlink_metadata(path) else {
        // Nothing was made here: what is above may still be empty.
        return Ok(true);
    };
    let below = lower
        .iter()
        .find_map(|layer| fs::symlink_metadata(layer.join(inner)).ok());
    let looks = |found: &std::fs::Metadata| (found.mode(), found.uid(), found.gid());
    if !found.is_dir() || below.is_none_or(|below| looks(&below) != looks(&found)) {
        return Ok(false);
    }
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_new(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    match rustix::fs::lgetxattr(&*path, ORIGIN, &mut [0_u8; 0]) {
        Ok(_) => Ok(false),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}
