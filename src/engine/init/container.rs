//! Process 1 of a container, step by step.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, symlinkat};
use rustix::io::Errno;

use super::credentials::Credentials;
use super::error::{Step, StepResult, plain};
use super::identity::Accounts;
use super::program::Program;
use super::{inherited, namespaces, read_spec, terminal};
use crate::engine::inroot::Root;
use crate::engine::launch::{LaunchFds, READY_MESSAGE};
use crate::engine::mounts::{self, Prepared};
use crate::engine::spec::InitSpec;
use crate::engine::sys::helpers;
use crate::engine::{rootfs, tiny_init};

/// Sets the container up and executes its program.
pub(super) fn start(fds: &LaunchFds) -> StepResult<Infallible> {
    let spec: InitSpec = read_spec(fds.spec.as_fd())?;
    let process = spec
        .oci
        .process()
        .as_ref()
        .ok_or_else(|| plain("read the spec", "process", "the spec has none"))?;

    mounts::sysctl::check(&spec.oci, fds.netns.as_ref())?;

    // While /proc and all paths are the host's.
    inherited::reset_rlimits()?;
    namespaces::enter_cgroups(&fds.cgroup)?;
    inherited::reset(process)?;
    let credentials = Credentials::of(process, fds.filter.as_ref())?;
    let init = spec
        .init
        .then(tiny_init::memfd)
        .transpose()
        .doing("make the init program")?;
    namespaces::enter(&spec.oci, fds)?;
    rustix::process::setsid().doing("begin a session")?;
    namespaces::set_names(&spec.oci)?;

    let root = file_systems(&spec)?;
    let streams = match &fds.stdio {
        Some(stdio) => terminal::take_streams(stdio).map(|()| None)?,
        None => Some(terminal::open(&root, process, fds)?),
    };
    if let Some(terminal) = &streams {
        terminal::bind_console(&root, terminal)?;
    }
    rootfs::enter(&root)?;
    lock_down(&spec, &root)?;

    let accounts = Accounts::read(&root)?;
    let identity = match &spec.user {
        Some(user) => accounts.identity(user, &spec.groups)?,
        None => accounts.of_process(process.user(), &spec.groups)?,
    };
    // Before the filter, which may forbid to say anything.
    helpers::send_with_fds(fds.sync.as_fd(), READY_MESSAGE, &[])
        .doing("tell that all is set up")?;
    super::finish(process, &identity, &credentials, streams.is_some(), |env| {
        Program::find(process.args().as_deref().unwrap_or_default(), env, init)
    })
}

/// Builds the whole file system tree over the host's, which is still `/`.
fn file_systems(spec: &InitSpec) -> StepResult<Root> {
    rustix::process::umask(Mode::empty());
    // Copies of the host's mounts are taken while they may still be peers of
    // the host's: what is mounted `rslave` or `rshared` needs that.
    let prepared = Prepared::collect(spec)?;
    rootfs::make_all_private()?;
    // Below the root, and so gone with the host's.
    let prepared = prepared.with_files(&spec.files)?.with_trees(&spec.trees)?;
    let root = rootfs::attach(&spec.root)?;
    prepared.apply(&root, spec)?;
    link_mount_table(&root)?;
    if let Some(process) = spec.oci.process() {
        make_working_folder(&root, process.cwd())?;
    }
    Ok(root)
}

/// `/etc/mtab`, which Docker adds to images that have none.
fn link_mount_table(root: &Root) -> StepResult<()> {
    let Ok(etc) = root.open(Path::new("/etc")) else {
        return Ok(());
    };
    match symlinkat("/proc/mounts", &etc, "mtab") {
        Ok(()) | Err(Errno::EXIST | Errno::ROFS | Errno::NOTDIR) => Ok(()),
        Err(errno) => Err(errno).on("make the link", "/etc/mtab"),
    }
}

fn make_working_folder(root: &Root, folder: &Path) -> StepResult<()> {
    if folder == Path::new("/") || folder.as_os_str().is_empty() {
        return Ok(());
    }
    root.make_folder(folder)
        .map(drop)
        .on("make the working directory", folder.display())
}

/// What makes parts of the tree read-only or invisible comes last.
fn lock_down(spec: &InitSpec, root: &Root) -> StepResult<()> {
    if let Some(linux) = spec.oci.linux() {
        mounts::masks::apply(
            root,
            linux.masked_paths().as_deref().unwrap_or_default(),
            linux.readonly_paths().as_deref().unwrap_or_default(),
        )?;
        if let Some(propagation) = linux.rootfs_propagation() {
            mounts::set_root_propagation(root, propagation)?;
        }
    }
    let read_only = spec
        .oci
        .root()
        .as_ref()
        .and_then(oci_spec::runtime::Root::readonly)
        .unwrap_or(false);
    if read_only {
        rootfs::make_read_only(root)?;
    }
    Ok(())
}
