//! What this machine can do of what containers need. Nothing is left behind:
//! the overlay that is tried is a detached mount, which ends with its
//! descriptor.

use std::io;
use std::path::Path;

use fs_err as fs;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

/// One thing that containers need, and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// What: `overlayfs`.
    pub feature: &'static str,
    /// Why it is missing; `None` where it works.
    pub missing: Option<String>,
    /// What to do where it is missing.
    pub remedy: &'static str,
}

/// Tries everything; `data_root` is where containers' roots will be, because
/// not every file system can hold an overlay's writable layer.
pub fn probe(data_root: &Path) -> Vec<Capability> {
    let capability = |feature, result: io::Result<()>, remedy| Capability {
        feature,
        missing: result.err().map(|error| error.to_string()),
        remedy,
    };
    vec![
        capability(
            "namespaces",
            namespaces(),
            "use a kernel with mount, uts, ipc, pid, net and cgroup namespaces",
        ),
        capability(
            "seccomp filters",
            fs::metadata("/proc/sys/kernel/seccomp/actions_avail").map(drop),
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
        capability(
            "overlayfs",
            overlay(data_root),
            "load the module with `modprobe overlay`, and keep the data root (SKIFF_DATA_ROOT) on ext4, \
             xfs or btrfs: not on NFS, and not on another overlay",
        ),
    ]
}

fn namespaces() -> io::Result<()> {
    for kind in ["mnt", "uts", "ipc", "pid", "net", "cgroup"] {
        fs::symlink_metadata(format!("/proc/self/ns/{kind}"))?;
    }
    Ok(())
}

/// Mounts an overlay with a writable layer below `data_root`, attached nowhere
/// (fsopen(2), Linux 5.2).
fn overlay(data_root: &Path) -> io::Result<()> {
    let existing = data_root
        .ancestors()
        .find(|path| path.is_dir())
        .unwrap_or_else(|| Path::new("/"));
    let scratch = tempfile::Builder::new()
        .prefix(".skiff-probe-")
        .tempdir_in(existing)?;
    for folder in ["lower", "upper", "work"] {
        fs::create_dir(scratch.path().join(folder))?;
    }
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (option, folder) in [
        ("lowerdir", "lower"),
        ("upperdir", "upper"),
        ("workdir", "work"),
    ] {
        fsconfig_set_string(&context, option, scratch.path().join(folder))?;
    }
    fsconfig_create(&context)?;
    fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let found = probe(&root.path().join("not/yet/there"));
        assert_eq!(found.len(), 3);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
