//! Files whose content comes with the spec (configs, secrets): on a tmpfs of
//! the container's own, so that they are on no disk and gone with it.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, chmodat, chownat, openat};
use rustix::mount::{MountAttrFlags, UnmountFlags, unmount};

use crate::engine::init::error::{Step, StepResult, from_fs};
use crate::engine::init::identity::Accounts;
use crate::engine::spec::InlineFile;
use crate::engine::sys::helpers::{self, Depth};

const STEP: &str = "make the file";

/// Makes the files, and one detached mount of each.
pub(super) fn stage(files: &[InlineFile]) -> StepResult<Vec<OwnedFd>> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let tmpfs = helpers::detached_mount(
        "tmpfs",
        &[("source", Some("files")), ("mode", Some("0700"))],
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )
    .map_err(|error| from_fs("mount", "files", &error))?;
    // Parts of a tmpfs that is attached nowhere cannot be cloned before Linux 6.15.
    let top = openat(
        CWD,
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .doing("open the root")?;
    helpers::attach_mount(tmpfs.as_fd(), top.as_fd()).on("mount", "files")?;
    let mounts = files
        .iter()
        .enumerate()
        .map(|(number, file)| make(&tmpfs, number, file))
        .collect::<StepResult<Vec<OwnedFd>>>()?;
    // Left over the host's root it would be what leaving that root takes away,
    // and the root itself would stay reachable as `/..`.
    unmount("/..", UnmountFlags::DETACH).on("unmount", "files")?;
    Ok(mounts)
}

fn make(tmpfs: &OwnedFd, number: usize, file: &InlineFile) -> StepResult<OwnedFd> {
    let name = number.to_string();
    let made = openat(
        tmpfs,
        name.as_str(),
        OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o600),
    )
    .on(STEP, &file.destination)?;
    std::fs::File::from(made)
        .write_all(&file.content)
        .on(STEP, &file.destination)?;
    helpers::clone_mount(tmpfs.as_fd(), Path::new(&name), Depth::Single).on(STEP, &file.destination)
}

/// Sets owner and mode, names being looked up in the container's files.
pub(super) fn give(mount: &OwnedFd, file: &InlineFile, accounts: &Accounts) -> StepResult<()> {
    let uid = Uid::from_raw(accounts.user(&file.uid)?);
    let gid = Gid::from_raw(accounts.group(&file.gid)?);
    chownat(mount, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH).on(STEP, &file.destination)?;
    // chmod(2) takes no empty path before Linux 6.6.
    let path = helpers::descriptor_path(mount.as_fd());
    chmodat(
        CWD,
        path.as_str(),
        Mode::from_raw_mode(file.mode & 0o7777),
        AtFlags::empty(),
    )
    .on(STEP, &file.destination)
}
