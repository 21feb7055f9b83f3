//! Paths that are hidden or read-only inside a container.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use crate::engine::init::error::{Step, StepResult, from_fs};
use crate::engine::inroot::Root;
use crate::engine::sys::helpers::{self, Depth};
use crate::engine::sys::{self, MountChange};

/// Hides `masked` and makes `read_only` so. Paths that do not exist are left.
pub(crate) fn apply(root: &Root, masked: &[String], read_only: &[String]) -> StepResult<()> {
    for path in read_only {
        if let Some(found) = find(root, path)? {
            make_read_only(&found).on("make the path read-only", path)?;
        }
    }
    // One empty folder, and one device, serve all.
    let mut empty = None;
    let mut null = None;
    for path in masked {
        let step = "mask the path";
        let Some(found) = find(root, path)? else {
            continue;
        };
        let status = fstat(&found).on(step, path)?;
        if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
            cover_folder(&found, &mut empty, path)?;
        } else {
            let null = match &mut null {
                Some(null) => null,
                none @ None => none.insert(root.open(Path::new("/dev/null")).on(step, path)?),
            };
            helpers::clone_mount(null.as_fd(), Path::new(""), Depth::Single)
                .and_then(|mount| helpers::attach_mount(mount.as_fd(), found.as_fd()))
                .on(step, path)?;
        }
    }
    Ok(())
}

fn cover_folder(folder: &OwnedFd, empty: &mut Option<OwnedFd>, path: &str) -> StepResult<()> {
    let step = "mask the path";
    if let Some(first) = empty {
        return helpers::clone_mount(first.as_fd(), Path::new(""), Depth::Single)
            .and_then(|mount| helpers::attach_mount(mount.as_fd(), folder.as_fd()))
            .on(step, path);
    }
    let mount = helpers::detached_mount(
        "tmpfs",
        &[
            ("source", Some("tmpfs")),
            ("nr_inodes", Some("1")),
            ("size", Some("4k")),
        ],
        MountAttrFlags::MOUNT_ATTR_RDONLY,
    )
    .map_err(|error| from_fs(step, path, &error))?;
    helpers::attach_mount(mount.as_fd(), folder.as_fd()).on(step, path)?;
    *empty = Some(mount);
    Ok(())
}

fn make_read_only(found: &OwnedFd) -> std::io::Result<()> {
    let mount = helpers::clone_mount(found.as_fd(), Path::new(""), Depth::Recursive)?;
    let change = MountChange {
        set: MountAttrFlags::MOUNT_ATTR_RDONLY,
        recursive: true,
        ..MountChange::default()
    };
    sys::mount_setattr(mount.as_fd(), c"", change)?;
    Ok(helpers::attach_mount(mount.as_fd(), found.as_fd())?)
}

fn find(root: &Root, path: &str) -> StepResult<Option<OwnedFd>> {
    match root.open(Path::new(path)) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(None),
        Err(errno) => Err(errno).on("find the path", path),
    }
}
