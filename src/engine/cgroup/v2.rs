//! Version 2: the unified hierarchy (the kernel's `cgroup-v2.rst`).
//!
//! Controllers reach a group only where every group above it has them in
//! `cgroup.subtree_control`, and a group that has them there may hold no
//! process itself (but the root may). In what systemd manages, systemd alone
//! writes: below a scope only the scope's own controllers are handed down.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::delegation::split;
use super::error::CgroupError;
use super::files;
use super::mounts::Controller;

/// Controllers handed down to containers where the host has them.
const HANDED_DOWN: [Controller; 6] = [
    Controller::Cpu,
    Controller::Cpuset,
    Controller::Io,
    Controller::Memory,
    Controller::Pids,
    Controller::Hugetlb,
];

/// A parent made and removed by others in between: this many tries.
const MAKE_TRIES: u32 = 20;

/// The unified hierarchy.
#[derive(Debug)]
pub(super) struct Hierarchy {
    root: PathBuf,
    /// Handed down, and those that are always there.
    controllers: Vec<Controller>,
}

impl Hierarchy {
    /// Reads which controllers the mount has.
    pub(super) fn new(root: PathBuf) -> Result<Self, CgroupError> {
        let text = files::read(&root.join("cgroup.controllers"))?;
        let mut controllers: Vec<_> = text
            .split_whitespace()
            .filter_map(Controller::from_v2)
            .filter(|controller| HANDED_DOWN.contains(controller))
            .collect();
        if controllers.is_empty() {
            return Err(CgroupError::NoHierarchy);
        }
        controllers.extend([Controller::Devices, Controller::Freezer]);
        Ok(Self { root, controllers })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn controllers(&self) -> &[Controller] {
        &self.controllers
    }

    pub(super) fn folder(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Makes a group that has all controllers of the host.
    pub(super) fn make(&self, path: &str) -> Result<(), CgroupError> {
        for _ in 0..MAKE_TRIES {
            match self.try_make(path) {
                Err(CgroupError::Make { source, .. } | CgroupError::Write { source, .. })
                    if source.kind() == io::ErrorKind::NotFound => {}
                other => return other,
            }
        }
        Err(CgroupError::Make {
            path: self.folder(path),
            source: io::ErrorKind::NotFound.into(),
        })
    }

    /// Makes a group that needs no controllers.
    pub(super) fn make_leaf(&self, path: &str) -> Result<(), CgroupError> {
        let (given, _) = split(path);
        if given.is_empty() {
            return self.make(path);
        }
        // Those who are to move may be in the scope itself still, which can
        // hand nothing down as long as anybody is.
        let folder = self.folder(path);
        make_one(&folder).map_err(|source| CgroupError::Make {
            path: folder,
            source,
        })
    }

    /// Gives the groups below this one all controllers that were given to it.
    pub(super) fn hand_down(&self, path: &str) -> Result<(), CgroupError> {
        hand_down(&self.folder(path), &self.offered(split(path).0)?)
    }

    fn try_make(&self, path: &str) -> Result<(), CgroupError> {
        let (given, own) = split(path);
        let mut folder = self.root.join(given);
        let offered = self.offered(given)?;
        let leaf = self.folder(path);
        if make_one(&leaf).is_ok() && has_all(&leaf, &offered) {
            return Ok(());
        }
        for component in own.split('/') {
            hand_down(&folder, &offered)?;
            folder.push(component);
            make_one(&folder).map_err(|source| CgroupError::Make {
                path: folder.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// What can be handed down below a group that was given to us, the root
    /// where that is empty.
    fn offered(&self, given: &str) -> Result<Vec<Controller>, CgroupError> {
        let all = self.controllers.iter().copied();
        let mut offered: Vec<_> = all.filter(|one| HANDED_DOWN.contains(one)).collect();
        if !given.is_empty() {
            let text = files::read(&self.root.join(given).join("cgroup.controllers"))?;
            offered.retain(|one| text.split_whitespace().any(|name| name == one.v2_name()));
        }
        Ok(offered)
    }
}

fn has_all(folder: &Path, offered: &[Controller]) -> bool {
    let text = files::read(&folder.join("cgroup.controllers")).unwrap_or_default();
    let has = |one: &Controller| text.split_whitespace().any(|name| name == one.v2_name());
    offered.iter().all(has)
}

/// Gives a group's children these controllers. One that cannot be given is
/// passed over: a limit that needs it fails later, and names it.
fn hand_down(folder: &Path, offered: &[Controller]) -> Result<(), CgroupError> {
    let file = folder.join("cgroup.subtree_control");
    let words: Vec<_> = offered
        .iter()
        .map(|controller| format!("+{}", controller.v2_name()))
        .collect();
    let Err(error) = files::write_raw(&file, &words.join(" ")) else {
        return Ok(());
    };
    match error.raw_os_error() {
        Some(libc::EBUSY) => Err(CgroupError::Busy {
            path: folder.to_owned(),
        }),
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOENT) if file.exists() => {
            for word in words {
                files::write_raw(&file, &word).ok();
            }
            Ok(())
        }
        _ => Err(CgroupError::Write {
            path: file,
            value: words.join(" "),
            source: error,
        }),
    }
}

fn make_one(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
