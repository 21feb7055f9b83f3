//! The root file system: overlayfs over image layers, or a folder; and making
//! it the root: Documentation/filesystems/overlayfs.rst, `pivot_root(2)`.

use std::fmt::Write as _;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{CWD, Mode, OFlags, stat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, mount_change,
    unmount,
};
use rustix::process::{fchdir, pivot_root};

use super::init::error::{Step, StepResult, from_fs, plain};
use super::inroot::Root;
use super::spec::{OPEN_TREE, RootSpec};
use super::sys::helpers::{self, Depth, FsError};
use super::sys::{self, MountChange};

/// overlayfs' own limit of lower layers.
const LAYER_LIMIT: usize = 500;
/// fsconfig(2) takes strings of at most 255 bytes.
const FSCONFIG_LIMIT: usize = 255;
/// mount(2) takes one page of options.
const OPTIONS_LIMIT: usize = 4095;

/// Makes the root file system and attaches it over `/` of the calling
/// process's mount namespace, which must be its own and private. What the
/// process sees as `/` does not change yet.
pub(crate) fn attach(spec: &RootSpec) -> StepResult<Root> {
    let mount = mount_detached(spec)?;
    attach_over_root(&mount)?;
    Ok(Root::new(mount))
}

/// The root file system as a mount that is attached nowhere, for a process that
/// reads and writes it without running anything in it. It is unmounted when the
/// last descriptor is closed, whatever ends the process.
///
/// Blocks, and takes a thread that has a mount namespace of its own for as long
/// as that takes: kernels before 6.7 can only mount it somewhere first.
pub(crate) fn open(spec: &RootSpec) -> StepResult<Root> {
    let open = || {
        unshare(CloneFlags::CLONE_NEWNS).doing("make a mount namespace")?;
        make_all_private()?;
        mount_detached(spec).map(Root::new)
    };
    std::thread::scope(|scope| scope.spawn(open).join())
        .unwrap_or_else(|_| Err(plain("mount the root", "overlay", "the thread panicked")))
}

/// A part of a root file system as a detached mount, made over `/` of the calling
/// process's mount namespace, which must be its own and private.
pub(crate) fn part(spec: &RootSpec, source: &Path) -> StepResult<OwnedFd> {
    let root = attach(spec)?;
    let part = root
        .open(source)
        .and_then(|found| helpers::clone_mount(found.as_fd(), "".as_ref(), Depth::Single))
        .on(OPEN_TREE, source.display());
    unmount("/..", UnmountFlags::DETACH).doing("take the image's root away")?;
    part
}

fn mount_detached(spec: &RootSpec) -> StepResult<OwnedFd> {
    match spec {
        RootSpec::Folder { path } => bind(path),
        // Nothing below: the writable folder is all there is.
        RootSpec::Overlay { layers, upper, .. } if layers.is_empty() => {
            make_folder(upper, None)?;
            bind(upper)
        }
        RootSpec::Overlay {
            layers,
            upper,
            work,
            volatile,
        } => overlay(layers, upper, work, *volatile),
    }
}

fn attach_over_root(mount: &OwnedFd) -> StepResult<()> {
    let root = rustix::fs::openat(
        CWD,
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .doing("open the root")?;
    helpers::attach_mount(mount.as_fd(), root.as_fd()).doing("attach the root file system")
}

/// Makes `root` the root of the process and takes everything else away.
pub(crate) fn enter(root: &Root) -> StepResult<()> {
    let step = "enter the root file system";
    fchdir(root.folder()).doing(step)?;
    // The old root ends up over the new one, and from there is taken away.
    pivot_root(".", ".").doing(step)?;
    unmount(".", UnmountFlags::DETACH).doing("leave the host's root")?;
    rustix::process::chdir("/").doing(step)?;
    // Whatever lies over `/` is hidden from `/` and open to `/..`.
    let (own, above) = (stat("/").doing(step)?, stat("/..").doing(step)?);
    if (own.st_dev, own.st_ino) == (above.st_dev, above.st_ino) {
        Ok(())
    } else {
        let error = std::io::Error::other("another root is still over the container's");
        Err(error).doing("leave the host's root")
    }
}

/// Makes the root's own mount read-only; what is mounted below stays.
pub(crate) fn make_read_only(root: &Root) -> StepResult<()> {
    let change = MountChange {
        set: MountAttrFlags::MOUNT_ATTR_RDONLY,
        ..MountChange::default()
    };
    sys::mount_setattr(root.folder(), c"", change).doing("make the root read-only")
}

/// Cuts the calling process's mount namespace off from the host's.
pub(crate) fn make_all_private() -> StepResult<()> {
    // By mount(2), which also takes a root that is the kernel's first one.
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .doing("make the mounts private")
}

fn bind(path: &Path) -> StepResult<OwnedFd> {
    let mount =
        helpers::clone_host_mount(path, Depth::Recursive).on("mount the root", path.display())?;
    let change = MountChange {
        propagation: MountPropagationFlags::PRIVATE,
        recursive: true,
        ..MountChange::default()
    };
    sys::mount_setattr(mount.as_fd(), c"", change).on("mount the root", path.display())?;
    Ok(mount)
}

fn overlay(layers: &[PathBuf], upper: &Path, work: &Path, volatile: bool) -> StepResult<OwnedFd> {
    if layers.len() > LAYER_LIMIT {
        return Err(plain(
            "mount the root",
            upper.display(),
            format!(
                "the image has {} layers and overlayfs takes {LAYER_LIMIT}; squash some",
                layers.len()
            ),
        ));
    }
    let top = layers.first().map(PathBuf::as_path);
    make_folder(upper, top)?;
    make_folder(work, None)?;
    let short = layers
        .iter()
        .map(PathBuf::as_path)
        .chain([upper, work])
        .all(|path| path.as_os_str().len() <= FSCONFIG_LIMIT);
    let result = if short {
        overlay_by_parameters(layers, upper, work, volatile)
    } else {
        Err(FsError {
            errno: Errno::INVAL,
            message: None,
        })
    };
    let error = match result {
        Ok(mount) => return Ok(mount),
        Err(error) => error,
    };
    let first = from_fs("mount the root", upper.display(), &error);
    if error.errno != Errno::INVAL {
        return Err(first);
    }
    // A kernel before 6.7 does not know `lowerdir+`. Where it is something
    // else that is wrong, the newer call has said more about it.
    overlay_by_options(layers, upper, work, volatile).map_err(|second| {
        let telling = error
            .message
            .is_some_and(|message| !message.contains("lowerdir+"));
        if telling { first } else { second }
    })
}

/// Linux 6.7: one `lowerdir+` a layer.
fn overlay_by_parameters(
    layers: &[PathBuf],
    upper: &Path,
    work: &Path,
    volatile: bool,
) -> Result<OwnedFd, FsError> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| FsError {
        errno,
        message: None,
    })?;
    let configured = || -> rustix::io::Result<OwnedFd> {
        fsconfig_set_string(&context, "source", "overlay")?;
        for layer in layers {
            fsconfig_set_string(&context, "lowerdir+", layer.as_path())?;
        }
        fsconfig_set_string(&context, "upperdir", upper)?;
        fsconfig_set_string(&context, "workdir", work)?;
        // An index would refuse a root whose last mount is not gone yet.
        fsconfig_set_string(&context, "index", "off")?;
        if volatile {
            fsconfig_set_flag(&context, "volatile")?;
        }
        fsconfig_create(&context)?;
        fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::empty(),
        )
    };
    configured().map_err(|errno| FsError {
        errno,
        message: helpers::context_message(context.as_fd()),
    })
}

/// mount(2) with descriptor numbers as names, relative to `/proc/self/fd`:
/// they are short enough for 500 layers, and need no escapes.
fn overlay_by_options(
    layers: &[PathBuf],
    upper: &Path,
    work: &Path,
    volatile: bool,
) -> StepResult<OwnedFd> {
    let step = "mount the root";
    let open = |path: &Path| {
        rustix::fs::open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .on("open the layer", path.display())
    };
    let lower = layers
        .iter()
        .map(|layer| open(layer))
        .collect::<StepResult<Vec<OwnedFd>>>()?;
    let upper_fd = open(upper)?;
    let work_fd = open(work)?;
    let mut options = String::from("lowerdir=");
    for (index, layer) in lower.iter().enumerate() {
        let separator = if index == 0 { "" } else { ":" };
        write!(options, "{separator}{}", layer.as_raw_fd()).ok();
    }
    write!(
        options,
        ",upperdir={},workdir={},index=off",
        upper_fd.as_raw_fd(),
        work_fd.as_raw_fd()
    )
    .ok();
    if volatile {
        options.push_str(",volatile");
    }
    if options.len() > OPTIONS_LIMIT {
        return Err(plain(
            step,
            upper.display(),
            format!("the image has too many layers ({})", layers.len()),
        ));
    }
    let options = std::ffi::CString::new(options)
        .map_err(|_| std::io::Error::from_raw_os_error(libc::EINVAL))
        .doing(step)?;
    rustix::process::chdir("/proc/self/fd").doing(step)?;
    // Over the private namespace's `/`, found again as what lies there.
    let mounted = mount("overlay", "/", "overlay", MountFlags::empty(), &*options)
        .on(step, upper.display())
        .and_then(|()| detach_topmost());
    rustix::process::chdir("/").doing(step)?;
    mounted
}

/// The mount that lies over `/`, as a detached one. `/` itself means the
/// process's root below it; `/..` climbs onto what covers it.
fn detach_topmost() -> StepResult<OwnedFd> {
    let step = "mount the root";
    let mount = helpers::clone_host_mount("/..".as_ref(), Depth::Single).doing(step)?;
    unmount("/..", UnmountFlags::DETACH).doing(step)?;
    Ok(mount)
}

/// The upper folder's own attributes are those of the container's `/`.
fn make_folder(path: &Path, like: Option<&Path>) -> StepResult<()> {
    let step = "make the folder";
    match std::fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        other => other.on(step, path.display())?,
    }
    let Some(like) = like else { return Ok(()) };
    let wanted = fs::metadata(like).on("look at the layer", like.display())?;
    let mode = wanted.permissions().mode() & 0o7777;
    if wanted.uid() != 0 || wanted.gid() != 0 {
        std::os::unix::fs::chown(path, Some(wanted.uid()), Some(wanted.gid()))
            .on(step, path.display())?;
    }
    if mode != 0o755 {
        fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
            .on(step, path.display())?;
    }
    Ok(())
}
