//! `/dev`: the nodes and links that every container has, and those that the
//! spec adds.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{
    AtFlags, Dev, FileType, Gid, Mode, Uid, chownat, makedev, mknodat, statat, symlinkat,
};
use rustix::io::Errno;

use crate::engine::init::error::{Step, StepResult, plain};
use crate::engine::inroot::Root;

const STEP: &str = "make the device";
const NODE_MODE: Mode = Mode::from_raw_mode(0o666);

/// Docker's default nodes.
const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// Fills a fresh `/dev`.
pub(super) fn populate(root: &Root) -> StepResult<()> {
    let dev = root.open(Path::new("/dev")).on("open", "/dev")?;
    for (name, major, minor) in NODES {
        mknodat(
            &dev,
            name,
            FileType::CharacterDevice,
            NODE_MODE,
            makedev(major, minor),
        )
        .on(STEP, name)?;
    }
    for (target, name) in LINKS {
        symlinkat(target, &dev, name).on("make the link", name)?;
    }
    if root.open(Path::new("/proc/kcore")).is_ok() {
        symlinkat("/proc/kcore", &dev, "core").on("make the link", "core")?;
    }
    Ok(())
}

/// Makes what the spec lists, with the folders above.
pub(super) fn make_all(root: &Root, devices: &[LinuxDevice]) -> StepResult<()> {
    devices.iter().try_for_each(|device| make(root, device))
}

fn make(root: &Root, device: &LinuxDevice) -> StepResult<()> {
    let path = device.path();
    let shown = path.display();
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(plain(STEP, shown, "it has no name"));
    };
    let kind = match device.typ() {
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => return Err(plain(STEP, shown, "type `a` is for rules only")),
    };
    let mode = Mode::from_raw_mode(device.file_mode().unwrap_or(0o666) & 0o7777);
    let number = makedev(
        u32::try_from(device.major()).unwrap_or(0),
        u32::try_from(device.minor()).unwrap_or(0),
    );
    let folder = root.make_folder(folder).on("make the folder of", &shown)?;
    match mknodat(&folder, name, kind, mode, number) {
        Err(Errno::EXIST) if is_same(folder.as_fd(), Path::new(name), kind, number) => {}
        other => other.on(STEP, &shown)?,
    }
    chownat(
        &folder,
        name,
        Some(Uid::from_raw(device.uid().unwrap_or(0))),
        Some(Gid::from_raw(device.gid().unwrap_or(0))),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .on(STEP, &shown)
}

fn is_same(folder: BorrowedFd<'_>, name: &Path, kind: FileType, number: Dev) -> bool {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|status| {
        FileType::from_raw_mode(status.st_mode) == kind && status.st_rdev == number
    })
}

/// The host's device nodes, for `privileged`: all of `/dev` but terminals,
/// shared memory, and what a container has of its own.
///
/// # Errors
/// `/dev` cannot be read.
pub fn host_devices() -> std::io::Result<Vec<LinuxDevice>> {
    let mut found = Vec::new();
    collect(Path::new("/dev"), &mut found)?;
    found.sort_by(|one, other| one.path().cmp(other.path()));
    Ok(found)
}

/// The node at a path of the host as the spec has devices, at another path in
/// the container; a folder gives all nodes below it.
///
/// # Errors
/// The path does not exist, or is neither a node nor a folder with nodes.
pub fn host_device(host: &Path, container: &Path) -> std::io::Result<Vec<LinuxDevice>> {
    let host = fs::canonicalize(host)?;
    let mut found = Vec::new();
    if fs::metadata(&host)?.is_dir() {
        collect(&host, &mut found)?;
        for device in &mut found {
            if let Ok(rest) = device.path().strip_prefix(&host) {
                let moved = container.join(rest);
                device.set_path(moved);
            }
        }
    } else {
        found.extend(describe(&host, container.to_owned())?);
    }
    if found.is_empty() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            format!("`{}` is not a device node", host.display()),
        ));
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<LinuxDevice>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        let name = entry.file_name();
        if kind.is_dir() {
            let own = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];
            if !own.iter().any(|own| name == *own) {
                collect(&path, found)?;
            }
        } else if name != "console" && name != "ptmx" {
            // A node that goes while we look is no loss.
            found.extend(describe(&path, path.clone()).ok().flatten());
        }
    }
    Ok(())
}

fn describe(host: &Path, container: PathBuf) -> std::io::Result<Option<LinuxDevice>> {
    let status = fs::symlink_metadata(host)?;
    let kind = status.file_type();
    let kind = if kind.is_char_device() {
        LinuxDeviceType::C
    } else if kind.is_block_device() {
        LinuxDeviceType::B
    } else {
        return Ok(None);
    };
    let mut device = LinuxDevice::default();
    device
        .set_path(container)
        .set_typ(kind)
        .set_major(rustix::fs::major(status.rdev()).into())
        .set_minor(rustix::fs::minor(status.rdev()).into())
        .set_file_mode(Some(status.mode() & 0o777))
        .set_uid(Some(status.uid()))
        .set_gid(Some(status.gid()));
    Ok(Some(device))
}
