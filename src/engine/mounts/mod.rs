//! Everything that is mounted inside a container's root.
//!
//! Sources on the host are opened before the mount namespace is cut off
//! (`Prepared::collect`); targets are resolved inside the root and handed to
//! the kernel as descriptors, never as text (`Prepared::apply`). The OCI
//! runtime spec's `mounts` chapter and mount(8) say what the options mean.

mod cgroup;
mod copy_up;
mod devices;
mod files;
pub(crate) mod masks;
mod options;
pub(crate) mod sysctl;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Mount;
use rustix::fs::{FileType, Mode, OFlags, PROC_SUPER_MAGIC, fstat, fstatfs};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags};

pub use self::devices::{host_device, host_devices};
use self::options::Options;
use super::init::error::{Step, StepResult, from_fs, plain};
use super::init::identity::Accounts;
use super::inroot::Root;
use super::rootfs;
use super::spec::{
    InitError, InitSpec, InlineFile, MAKE_TARGET, MOUNT as STEP, OPEN_SOURCE, OPEN_VOLUME,
    TreeMount, VolumeMount,
};
use super::sys::helpers::{self, Depth};
use super::sys::{self, MountChange};

/// Whether a mount of an OCI spec is read-only.
pub(crate) fn is_read_only(mount: &oci_spec::runtime::Mount) -> bool {
    let options = mount.options().as_deref().unwrap_or_default();
    Options::parse(options).are_read_only()
}

/// Mode of files that are made to be mounted over.
const TARGET_MODE: Mode = Mode::from_raw_mode(0o644);
/// The only paths in `/proc` that may be mounted over: what emulators of
/// per-container figures (lxcfs) provide.
const PROC_TARGETS: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

/// Mounts with their sources at hand.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    entries: Vec<Entry<'a>>,
    volumes: Vec<OwnedFd>,
}

#[derive(Debug)]
struct Entry<'a> {
    target: &'a Path,
    what: What<'a>,
}

#[derive(Debug)]
enum What<'a> {
    /// A new file system.
    FileSystem(&'a str, &'a str, Options),
    /// The control group hierarchies.
    Cgroups(Options),
    /// Part of the host's tree.
    Bind(OwnedFd, Options),
    /// Number N of the volumes.
    Volume(&'a VolumeMount, usize),
    /// Number N of the inline files.
    File(OwnedFd),
    /// Part of another image, and whether it is read-only.
    Tree(OwnedFd, bool),
}

impl<'a> Prepared<'a> {
    /// Parses options and opens what comes from the host.
    pub(crate) fn collect(spec: &'a InitSpec) -> StepResult<Self> {
        let mut entries = Vec::new();
        for mount in spec.oci.mounts().as_deref().unwrap_or_default() {
            entries.push(Entry {
                target: mount.destination(),
                what: prepare(mount)?,
            });
        }
        let mut volumes = Vec::new();
        for (number, volume) in spec.volumes.iter().enumerate() {
            volumes.push(open_volume(volume)?);
            entries.push(Entry {
                target: Path::new(&volume.destination),
                what: What::Volume(volume, number),
            });
        }
        Ok(Self { entries, volumes })
    }

    /// Adds the inline files. Their tmpfs is attached over the host's `/`.
    pub(crate) fn with_files(mut self, files: &'a [InlineFile]) -> StepResult<Self> {
        let mounts = files::stage(files)?;
        self.entries
            .extend(files.iter().zip(mounts).map(|(file, mount)| Entry {
                target: Path::new(&file.destination),
                what: What::File(mount),
            }));
        Ok(self)
    }

    /// Adds parts of other images, each with its own upper folder.
    pub(crate) fn with_trees(mut self, trees: &'a [TreeMount]) -> StepResult<Self> {
        for tree in trees {
            let part = rootfs::part(&tree.root, &tree.source)?;
            self.entries.push(Entry {
                target: Path::new(&tree.destination),
                what: What::Tree(part, tree.read_only),
            });
        }
        Ok(self)
    }

    /// Mounts everything, the shallow before the deep, as Docker does; makes
    /// device nodes and sets sysctls.
    pub(crate) fn apply(mut self, root: &Root, spec: &InitSpec) -> StepResult<()> {
        if !spec.files.is_empty() {
            self.own_files(root, &spec.files)?;
        }
        // From the image alone, before anything covers parts of it.
        for (volume, source) in spec.volumes.iter().zip(&self.volumes) {
            if volume.copy_up {
                copy_up::copy_up(root, Path::new(&volume.destination), source.as_fd())?;
            }
        }
        self.entries
            .sort_by_key(|entry| entry.target.components().count());
        let mut proc = None;
        for entry in &self.entries {
            let mounted = entry.mount(root, &self.volumes)?;
            let What::FileSystem(kind, ..) = entry.what else {
                continue;
            };
            if kind == "proc" {
                proc = mounted;
            } else if kind == "tmpfs" && entry.target == Path::new("/dev") {
                devices::populate(root)?;
            }
        }
        let Some(linux) = spec.oci.linux() else {
            return Ok(());
        };
        if let Some(list) = linux.devices() {
            devices::make_all(root, list)?;
        }
        if let Some(list) = linux.sysctl() {
            sysctl::apply(proc.as_ref(), list)?;
        }
        Ok(())
    }

    /// Owners by name are known only now that the root is there.
    fn own_files(&self, root: &Root, files: &[InlineFile]) -> StepResult<()> {
        let accounts = Accounts::read(root)?;
        let mounts = self.entries.iter().filter_map(|entry| match &entry.what {
            What::File(mount) => Some(mount),
            What::FileSystem(..)
            | What::Cgroups(_)
            | What::Bind(..)
            | What::Volume(..)
            | What::Tree(..) => None,
        });
        for (file, mount) in files.iter().zip(mounts) {
            files::give(mount, file, &accounts)?;
        }
        Ok(())
    }
}

impl Entry<'_> {
    /// Mounts it; a new file system's mount is given back.
    fn mount(&self, root: &Root, volumes: &[OwnedFd]) -> StepResult<Option<OwnedFd>> {
        match &self.what {
            What::FileSystem(kind, source, options) => {
                let mode = (*kind == "tmpfs").then(|| self.mode(root)).flatten();
                let mount = options
                    .file_system(kind, source, mode.as_deref())
                    .map_err(|error| from_fs(STEP, self.target.display(), &error))?;
                self.attach(root, &mount)?;
                options.spread(&mount).on(STEP, self.target.display())?;
                Ok(Some(mount))
            }
            What::Cgroups(options) => {
                cgroup::mount(root, self.target, options)?;
                Ok(None)
            }
            What::Bind(mount, options) => {
                options.change(mount).on(STEP, self.target.display())?;
                self.attach(root, mount)?;
                Ok(None)
            }
            What::Volume(volume, number) => {
                if let Some(mount) = volumes.get(*number) {
                    make_private(mount, volume.read_only).on(STEP, self.target.display())?;
                    self.attach(root, mount)?;
                }
                Ok(None)
            }
            What::Tree(mount, read_only) => {
                make_private(mount, *read_only).on(STEP, self.target.display())?;
                self.attach(root, mount)?;
                Ok(None)
            }
            What::File(mount) => {
                make_private(mount, true).on(STEP, self.target.display())?;
                self.attach(root, mount)?;
                Ok(None)
            }
        }
    }

    /// The mode of the folder that is there already, in octal digits: a tmpfs
    /// over it has the same, as runc has it.
    fn mode(&self, root: &Root) -> Option<String> {
        let status = fstat(root.open(self.target).ok()?).ok()?;
        Some(format!("{:o}", status.st_mode & 0o7777))
    }

    fn attach(&self, root: &Root, mount: &OwnedFd) -> StepResult<()> {
        let in_proc = check_target(self.target)?;
        let status = fstat(mount).on(STEP, self.target.display())?;
        let folder = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
        let target = if folder {
            root.make_folder(self.target)
        } else {
            root.make_file(self.target, TARGET_MODE)
        };
        let target = match target {
            Err(Errno::NOTDIR) if folder => {
                return Err(plain(
                    STEP,
                    self.target.display(),
                    "the source is a folder and the target is a file",
                ));
            }
            Err(Errno::ISDIR) => {
                return Err(plain(
                    STEP,
                    self.target.display(),
                    "the source is a file and the target is a folder",
                ));
            }
            other => other.on(MAKE_TARGET, self.target.display())?,
        };
        // A link of the image may lead there as well.
        let kind = fstatfs(&target).on(STEP, self.target.display())?.f_type;
        if kind == PROC_SUPER_MAGIC && !in_proc {
            return Err(inside_proc(self.target));
        }
        helpers::attach_mount(mount.as_fd(), target.as_fd()).on(STEP, self.target.display())
    }
}

/// Propagation of the container's root, from the OCI spec.
pub(crate) fn set_root_propagation(root: &Root, name: &str) -> StepResult<()> {
    let Some((propagation, recursive)) = options::propagation(name) else {
        return Err(plain("set the root's propagation", name, "unknown type"));
    };
    let change = MountChange {
        propagation,
        recursive,
        ..MountChange::default()
    };
    sys::mount_setattr(root.folder(), c"", change).on("set the root's propagation", name)
}

fn prepare(mount: &Mount) -> StepResult<What<'_>> {
    let target = mount.destination();
    let kind = mount.typ().as_deref().unwrap_or_default();
    let source = mount.source().as_deref();
    let options = Options::parse(mount.options().as_deref().unwrap_or_default());
    if kind == "bind" || options.bind {
        let source = source.ok_or_else(|| plain(STEP, target.display(), "it has no source"))?;
        let depth = if options.recursive {
            Depth::Recursive
        } else {
            Depth::Single
        };
        return helpers::clone_host_mount(source, depth)
            .on(OPEN_SOURCE, source.display())
            .map(|mount| What::Bind(mount, options));
    }
    if kind == "cgroup" || kind == "cgroup2" {
        return Ok(What::Cgroups(options));
    }
    let source = source.and_then(Path::to_str).unwrap_or(kind);
    Ok(What::FileSystem(kind, source, options))
}

fn open_volume(volume: &VolumeMount) -> StepResult<OwnedFd> {
    let step = OPEN_VOLUME;
    let Some(subpath) = &volume.subpath else {
        return helpers::clone_host_mount(&volume.source, Depth::Recursive)
            .on(step, volume.source.display());
    };
    let shown = volume.source.join(subpath.trim_start_matches('/'));
    // The volume's content is its containers' to write, symlinks included.
    let source = rustix::fs::open(
        &volume.source,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map(Root::new)
    .on(step, volume.source.display())?;
    let inside = source.open(Path::new(subpath)).on(step, shown.display())?;
    helpers::clone_mount(inside.as_fd(), Path::new(""), Depth::Recursive).on(step, shown.display())
}

/// A volume or file: no propagation, read-only with all below where asked.
fn make_private(mount: &OwnedFd, read_only: bool) -> std::io::Result<()> {
    let set = if read_only {
        MountAttrFlags::MOUNT_ATTR_RDONLY
    } else {
        MountAttrFlags::empty()
    };
    let change = MountChange {
        set,
        propagation: MountPropagationFlags::PRIVATE,
        recursive: true,
        ..MountChange::default()
    };
    sys::mount_setattr(mount.as_fd(), c"", change)
}

/// What must not be mounted over: the root itself and most of `/proc`. True
/// for a target in `/proc` that may be.
fn check_target(target: &Path) -> StepResult<bool> {
    let mut components = target.components();
    if !target.is_absolute() || target == Path::new("/") {
        return Err(plain(
            STEP,
            target.display(),
            "the target must be an absolute path below `/`",
        ));
    }
    components.next();
    let Ok(inside) = components.as_path().strip_prefix("proc") else {
        return Ok(false);
    };
    let allowed =
        inside.as_os_str().is_empty() || PROC_TARGETS.iter().any(|path| inside == Path::new(path));
    allowed.then_some(true).ok_or_else(|| inside_proc(target))
}

fn inside_proc(target: &Path) -> InitError {
    plain(
        STEP,
        target.display(),
        "it is inside /proc, where nothing may be mounted",
    )
}
