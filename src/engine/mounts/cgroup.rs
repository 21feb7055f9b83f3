//! `/sys/fs/cgroup` as the container sees it: its own group is the root.
//! See `cgroup_namespaces(7)`.

use std::os::fd::AsFd;
use std::path::Path;

use fs_err as fs;
use rustix::fs::symlinkat;
use rustix::mount::MountAttrFlags;

use super::options::Options;
use crate::engine::init::error::{Step, StepResult, from_fs};
use crate::engine::inroot::Root;
use crate::engine::spec::{MAKE_TARGET, MOUNT as STEP};
use crate::engine::sys::helpers;

const OWN_GROUPS: &str = "/proc/self/cgroup";

/// Mounts cgroup v2, or on v1 and hybrid hosts a tmpfs with the hierarchies
/// of the v1 controllers. Reads the host's `/proc`.
pub(super) fn mount(root: &Root, target: &Path, options: &Options) -> StepResult<()> {
    let text = fs::read_to_string(OWN_GROUPS).on("read", OWN_GROUPS)?;
    let hierarchies = hierarchies(&text);
    let folder = root.make_folder(target).on(MAKE_TARGET, target.display())?;
    let shown = target.display();
    if hierarchies.is_empty() {
        let mount = options
            .file_system("cgroup2", "cgroup", None)
            .map_err(|error| from_fs(STEP, &shown, &error))?;
        return helpers::attach_mount(mount.as_fd(), folder.as_fd()).on(STEP, shown);
    }
    let tmpfs = helpers::detached_mount(
        "tmpfs",
        &[("source", Some("tmpfs")), ("mode", Some("755"))],
        MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )
    .map_err(|error| from_fs(STEP, &shown, &error))?;
    helpers::attach_mount(tmpfs.as_fd(), folder.as_fd()).on(STEP, &shown)?;
    let inside = Root::new(tmpfs);
    for controllers in hierarchies {
        let name = controllers.strip_prefix("name=").unwrap_or(controllers);
        let mount = hierarchy(controllers, options)
            .map_err(|error| from_fs(STEP, format!("{shown}/{name}"), &error))?;
        let target = inside.make_folder(Path::new(name)).on(STEP, name)?;
        helpers::attach_mount(mount.as_fd(), target.as_fd()).on(STEP, name)?;
        if name.contains(',') {
            for alias in name.split(',') {
                symlinkat(name, inside.folder(), alias).on("make the link", alias)?;
            }
        }
    }
    Ok(())
}

/// Controllers of each v1 hierarchy, as `/proc/self/cgroup` lists them.
fn hierarchies(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.split(':').nth(1))
        .filter(|controllers| !controllers.is_empty())
        .collect()
}

fn hierarchy(
    controllers: &str,
    options: &Options,
) -> Result<std::os::fd::OwnedFd, helpers::FsError> {
    let mut options = options.clone();
    for controller in controllers.split(',') {
        options.add_parameter(controller);
    }
    if controllers.starts_with("name=") {
        options.add_parameter("none");
    }
    options.file_system("cgroup", "cgroup", None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_a_hybrid_host_are_those_of_v1() {
        let text = "9:name=systemd:/a\n4:cpu,cpuacct:/a\n3:memory:/a\n0::/a\n";
        assert_eq!(hierarchies(text), ["name=systemd", "cpu,cpuacct", "memory"]);
        assert_eq!(hierarchies("0::/x\n"), Vec::<&str>::new());
    }
}
