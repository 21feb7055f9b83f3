//! Version 1: one hierarchy per controller (cgroups(7), "Cgroups version 1").
//!
//! On a hybrid host the version 2 mount takes the place of the freezer, and
//! tells when a group is empty.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::error::CgroupError;
use super::files;
use super::mounts::{Controller, Mounts, V1Mount};
use super::tasks::Tasks;
use crate::engine::launch::CgroupFds;

/// A parent made and removed by others in between: this many tries.
const MAKE_TRIES: u32 = 20;

/// The hierarchies of a host with version 1 controllers.
#[derive(Debug)]
pub(super) struct Hierarchies {
    /// Those in which every container has a group, the freezer's first where it
    /// is the one that tells of processes.
    used: Vec<V1Mount>,
    /// A version 2 mount without controllers.
    unified: Option<PathBuf>,
    /// Hierarchies whose controllers are of no use to a container (named ones,
    /// `net_cls`, and the freezer beside a version 2 mount): only keeper and
    /// supervisor leave the caller's group there.
    others: Vec<PathBuf>,
}

impl Hierarchies {
    pub(super) fn new(mounts: Mounts) -> Self {
        let unified = mounts.v2;
        let is_used = |mount: &V1Mount| match mount.controllers.as_slice() {
            [] => false,
            [Controller::Freezer] => unified.is_none(),
            _ => true,
        };
        let (mut used, others): (Vec<_>, Vec<_>) = mounts.v1.into_iter().partition(is_used);
        used.sort_by_key(|mount| !mount.controllers.contains(&Controller::Freezer));
        Self {
            used,
            unified,
            others: others.into_iter().map(|mount| mount.root).collect(),
        }
    }

    pub(super) fn controllers(&self) -> Vec<Controller> {
        let mut all: Vec<_> = self
            .used
            .iter()
            .flat_map(|mount| mount.controllers.iter().copied())
            .collect();
        if self.unified.is_some() {
            all.push(Controller::Freezer);
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Roots of all hierarchies, the one that tells of processes first.
    pub(super) fn all_roots(&self) -> Vec<&Path> {
        let unified = self.unified_root().into_iter();
        unified.chain(self.version_1_roots()).collect()
    }

    /// Roots of the version 1 hierarchies.
    pub(super) fn version_1_roots(&self) -> impl Iterator<Item = &Path> {
        let used = self.used.iter().map(|mount| mount.root.as_path());
        used.chain(self.others.iter().map(PathBuf::as_path))
    }

    /// Root of the version 2 mount beside them.
    pub(super) fn unified_root(&self) -> Option<&Path> {
        self.unified.as_deref()
    }

    /// The group's folder in a controller's hierarchy.
    pub(super) fn folder(&self, controller: Controller, path: &str) -> Option<PathBuf> {
        self.used
            .iter()
            .find(|mount| mount.controllers.contains(&controller))
            .map(|mount| mount.root.join(path))
    }

    /// Whoever knows of the group's processes.
    pub(super) fn tasks(&self, path: &str) -> Tasks {
        if let Some(root) = &self.unified {
            return Tasks::Unified(root.join(path));
        }
        if let Some(folder) = self.folder(Controller::Freezer, path) {
            return Tasks::Freezer(folder);
        }
        let any = self.used.first().map(|mount| mount.root.join(path));
        Tasks::Plain(any.unwrap_or_else(|| path.into()))
    }

    /// Makes the group in every hierarchy that a container needs.
    pub(super) fn make(&self, path: &str) -> Result<(), CgroupError> {
        if let Some(root) = &self.unified {
            make_below(root, path, false)?;
        }
        for mount in &self.used {
            let cpuset = mount.controllers.contains(&Controller::Cpuset);
            make_below(&mount.root, path, cpuset)?;
        }
        Ok(())
    }

    /// What a container's process needs to enter the group.
    pub(super) fn enter_fds(&self, path: &str) -> Result<CgroupFds, CgroupError> {
        let used = self.used.iter().map(|mount| mount.root.as_path());
        self.open_all(used, path)
    }

    /// Makes the group in every hierarchy, and opens what a process needs to
    /// enter all of them.
    pub(super) fn make_everywhere(&self, path: &str) -> Result<CgroupFds, CgroupError> {
        self.make(path)?;
        for root in &self.others {
            make_below(root, path, false)?;
        }
        self.open_all(self.version_1_roots(), path)
    }

    fn open_all<'a>(
        &self,
        v1_roots: impl Iterator<Item = &'a Path>,
        path: &str,
    ) -> Result<CgroupFds, CgroupError> {
        let unified = self.unified.as_ref();
        Ok(CgroupFds {
            unified: unified
                .map(|root| files::open_folder(&root.join(path)))
                .transpose()?,
            tasks: v1_roots
                .map(|root| files::open_to_write(&root.join(path).join("tasks")))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Makes a folder and those above it; a new cpuset starts as its parent is.
fn make_below(root: &Path, path: &str, cpuset: bool) -> Result<(), CgroupError> {
    let folder = root.join(path);
    for _ in 0..MAKE_TRIES {
        match fs::create_dir_all(&folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => {
                return Err(CgroupError::Make {
                    path: folder,
                    source,
                });
            }
        }
        if !cpuset {
            return Ok(());
        }
        match inherit_cpuset(root, &folder) {
            Err(CgroupError::Read { source, .. } | CgroupError::Write { source, .. })
                if source.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    Err(CgroupError::Make {
        path: folder,
        source: io::ErrorKind::NotFound.into(),
    })
}

/// Fills an empty cpuset from its parent, which must be filled first. Nothing
/// can enter an empty one.
fn inherit_cpuset(root: &Path, folder: &Path) -> Result<(), CgroupError> {
    let Some(parent) = folder.parent().filter(|_| folder != root) else {
        return Ok(());
    };
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let own = folder.join(name);
        if !files::read(&own)?.trim().is_empty() {
            continue;
        }
        let mut inherited = files::read(&parent.join(name))?;
        if inherited.trim().is_empty() {
            inherit_cpuset(root, parent)?;
            inherited = files::read(&parent.join(name))?;
        }
        files::write(&own, inherited.trim())?;
    }
    Ok(())
}
