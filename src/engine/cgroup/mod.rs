//! Control groups (cgroups(7)): limits, device rules, freezing, killing and
//! counting the processes of a container.
//!
//! Two implementations behind one type: [`Host`] knows how this machine mounts
//! its hierarchies, [`Group`] is one group in all of them. Version 2 is used
//! where its mount has controllers; else version 1, whose groups also exist in
//! a version 2 mount without controllers (a *hybrid* host) where there is one,
//! because killing, freezing and the news of emptiness are better there.
//!
//! Paths are relative to each hierarchy's root. A path through a systemd scope
//! (`skiff.slice/….scope/…`) is ours only below the scope, see [`delegation`];
//! elsewhere all of it is, `skiff/<root id>/<project>/…`.

mod delegation;
mod devices;
mod error;
mod files;
pub mod limit;
mod limits;
mod mounts;
mod tasks;
mod v1;
mod v2;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use oci_spec::runtime::LinuxResources;

pub use delegation::{own_group, scope_of};
pub use error::CgroupError;
pub use mounts::Controller;

use crate::engine::launch::CgroupFds;
use crate::engine::sys::{self, CloneFlags, Cloned};
use crate::state::id::random_hex;

/// The mounts of the calling process.
const MOUNTINFO: &str = "/proc/self/mountinfo";

/// How long [`Group::remove`] waits for the last process to be gone.
const REMOVE_LIMIT: Duration = Duration::from_secs(10);

/// Which of the two interfaces limits are set through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy per controller.
    V1,
    /// The unified hierarchy.
    V2,
}

/// The control group hierarchies of this machine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Host {
    backend: Arc<Backend>,
}

#[derive(Debug)]
enum Backend {
    V1(v1::Hierarchies),
    V2(v2::Hierarchy),
}

impl Host {
    /// Looks at the mounts of the calling process.
    ///
    /// # Errors
    /// No hierarchy with a controller of use is mounted. A single missing
    /// controller is no error here, see [`Host::check`].
    pub fn detect() -> Result<Self, CgroupError> {
        let text = fs::read_to_string(MOUNTINFO).map_err(|source| CgroupError::Read {
            path: MOUNTINFO.into(),
            source,
        })?;
        Self::from_mountinfo(&text)
    }

    fn from_mountinfo(text: &str) -> Result<Self, CgroupError> {
        let mounts = mounts::parse(text);
        let backend = if mounts.has_v1_controller() {
            Backend::V1(v1::Hierarchies::new(mounts))
        } else if let Some(root) = mounts.v2 {
            Backend::V2(v2::Hierarchy::new(root)?)
        } else {
            return Err(CgroupError::NoHierarchy);
        };
        Ok(Self {
            backend: Arc::new(backend),
        })
    }

    /// Which interface limits are set through.
    pub fn version(&self) -> Version {
        match *self.backend {
            Backend::V1(_) => Version::V1,
            Backend::V2(_) => Version::V2,
        }
    }

    /// The controllers that can be used, for `doctor`.
    pub fn controllers(&self) -> Vec<Controller> {
        match &*self.backend {
            Backend::V1(v1) => v1.controllers(),
            Backend::V2(v2) => v2.controllers().to_vec(),
        }
    }

    /// Whether these limits can be honoured, before anything is started.
    ///
    /// # Errors
    /// Names the limit and the controller, or the file, that is missing.
    pub fn check(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let settings = self.plan(resources)?;
        let available = self.controllers();
        for setting in &settings {
            if !available.contains(&setting.controller) {
                return Err(setting.no_controller());
            }
        }
        if has_device_rules(resources) {
            devices::parse(resources.devices().as_deref().unwrap_or_default())?;
            if !available.contains(&Controller::Devices) {
                return Err(NO_DEVICES);
            }
        }
        if !settings.iter().any(|setting| setting.may_be_absent) {
            return Ok(());
        }
        let probe = self.open(&format!("skiff-probe-{}", random_hex(4)));
        probe.make()?;
        let found = settings
            .iter()
            .filter(|setting| setting.may_be_absent)
            .find(|setting| probe.choose(setting).is_none());
        let result = found.map_or(Ok(()), |setting| Err(setting.not_supported()));
        probe.remove()?;
        result
    }

    /// Makes a group with these limits, its parents as needed.
    ///
    /// # Errors
    /// As [`Host::check`], or the kernel refused a limit. Nothing is left.
    pub fn create(&self, path: &str, resources: &LinuxResources) -> Result<Group, CgroupError> {
        let settings = self.plan(resources)?;
        let group = self.open(path);
        let result = group
            .make()
            .and_then(|()| group.apply(&settings))
            .and_then(|()| group.apply_devices(resources));
        if let Err(error) = result {
            // The first error is the one to tell; an empty group is harmless.
            group.remove().ok();
            return Err(error);
        }
        Ok(group)
    }

    /// A handle on a group that may or may not exist.
    pub fn open(&self, path: &str) -> Group {
        Group {
            host: self.clone(),
            path: path.trim_matches('/').to_owned(),
        }
    }

    /// Makes a group without limits in every hierarchy, named ones included:
    /// for keeper and supervisor, which leave the session of whoever typed `up`
    /// with it.
    ///
    /// # Errors
    /// The group cannot be made.
    pub fn create_leaf(&self, path: &str) -> Result<CgroupFds, CgroupError> {
        let leaf = self.open(path);
        match &*self.backend {
            Backend::V1(v1) => v1.make_everywhere(&leaf.path),
            Backend::V2(v2) => {
                v2.make(&leaf.path)?;
                leaf.enter_fds()
            }
        }
    }

    /// Makes such a group of the version 2 hierarchy, and moves these processes
    /// there (0 is the caller). It takes a lock of the whole machine: what can
    /// be born in its group is, as everything on version 1.
    ///
    /// # Errors
    /// The group cannot be made or entered.
    pub fn move_to_leaf(&self, path: &str, processes: &[i32]) -> Result<(), CgroupError> {
        let Backend::V2(v2) = &*self.backend else {
            return Ok(());
        };
        let leaf = self.open(path);
        v2.make_leaf(&leaf.path)?;
        let file = v2.folder(&leaf.path).join("cgroup.procs");
        for process in processes {
            files::write(&file, &process.to_string())?;
        }
        Ok(())
    }

    /// Goes on in the root of every hierarchy, so that the group that the caller
    /// was in can be removed; the caller has one thread.
    ///
    /// In the version 2 hierarchy that takes a new process, which is born there
    /// and returns from here, while the caller ends: to move into it holds up
    /// every fork and exit on the machine for a grace period.
    ///
    /// # Errors
    /// A root cannot be entered.
    pub fn leave(&self) -> Result<(), CgroupError> {
        let unified = match &*self.backend {
            Backend::V1(v1) => {
                for root in v1.version_1_roots() {
                    files::write(&root.join("tasks"), "0")?;
                }
                v1.unified_root()
            }
            Backend::V2(v2) => Some(v2.root()),
        };
        let Some(root) = unified else {
            return Ok(());
        };
        let folder = files::open_folder(root)?;
        let flags = CloneFlags {
            cgroup: Some(folder.as_fd()),
            ..CloneFlags::default()
        };
        match sys::clone_process(flags) {
            Ok(Cloned::Child) => Ok(()),
            Ok(Cloned::Parent { .. }) => sys::exit_now(0),
            Err(source) => Err(CgroupError::Write {
                path: root.to_owned(),
                value: "a new process".to_owned(),
                source,
            }),
        }
    }

    /// Gives the groups below this one the controllers that it has. It is done
    /// before several are made there at once: one that is there already says
    /// that it has a controller before that controller's files are there.
    ///
    /// # Errors
    /// Somebody is in the group itself, or the kernel refuses.
    pub fn hand_down(&self, path: &str) -> Result<(), CgroupError> {
        match &*self.backend {
            Backend::V1(_) => Ok(()),
            Backend::V2(v2) => v2.hand_down(path),
        }
    }

    /// Removes the group at this path with everything below it, in every
    /// hierarchy, and parents that are empty then. Processes in it are waited
    /// for, not killed.
    ///
    /// # Errors
    /// A group stays populated.
    pub fn remove_tree(&self, path: &str) -> Result<(), CgroupError> {
        let group = self.open(path);
        group.remove()?;
        for root in self.all_roots() {
            tasks::remove_empty_parents(root, &group.path);
        }
        Ok(())
    }

    /// Names of the groups right below this path, in any hierarchy, sorted.
    pub fn children(&self, path: &str) -> Vec<String> {
        let mut names = std::collections::BTreeSet::new();
        for root in self.all_roots() {
            // No such group in this hierarchy: then it has no children there.
            let Ok(entries) = fs::read_dir(root.join(path.trim_matches('/'))) else {
                continue;
            };
            names.extend(
                entries
                    .flatten()
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                    .filter_map(|entry| entry.file_name().into_string().ok()),
            );
        }
        names.into_iter().collect()
    }

    /// The mount points of all hierarchies, the one that tells of processes
    /// first: the order in which a group is made.
    fn all_roots(&self) -> Vec<&Path> {
        match &*self.backend {
            Backend::V1(v1) => v1.all_roots(),
            Backend::V2(v2) => vec![v2.root()],
        }
    }

    fn plan(&self, resources: &LinuxResources) -> Result<Vec<limits::Setting>, CgroupError> {
        match self.version() {
            Version::V1 => limits::plan_v1(resources),
            Version::V2 => limits::plan_v2(resources),
        }
    }
}

/// One control group, in all hierarchies.
#[derive(Debug, Clone)]
pub struct Group {
    host: Host,
    path: String,
}

impl Group {
    /// The path below each hierarchy's root, without a leading slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it exists in any hierarchy: it is made first, and removed last, in
    /// the one that tells of its processes, so that this holds too where a
    /// making or a removal was cut short.
    pub fn exists(&self) -> bool {
        self.tasks().folder().is_dir()
    }

    /// What a new process needs to enter it.
    ///
    /// # Errors
    /// A file of it cannot be opened.
    pub fn enter_fds(&self) -> Result<CgroupFds, CgroupError> {
        match &*self.host.backend {
            Backend::V1(v1) => v1.enter_fds(&self.path),
            Backend::V2(v2) => Ok(CgroupFds {
                unified: Some(files::open_folder(&v2.folder(&self.path))?),
                tasks: Vec::new(),
            }),
        }
    }

    /// Stops all processes in it, and returns when they stand still.
    ///
    /// # Errors
    /// The kernel refuses, or they do not stop in time.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.tasks().freeze()
    }

    /// Lets them run again.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.tasks().thaw()
    }

    /// Whether it is frozen, or about to be: a clone into it would hang.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        self.tasks().is_frozen()
    }

    /// Sends SIGKILL to every process in it and below it; a fork cannot escape.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        self.tasks().kill_all()
    }

    /// Waits until no process is in it or below it.
    ///
    /// # Errors
    /// [`CgroupError::StillPopulated`] after this time.
    pub fn wait_empty(&self, limit: Duration) -> Result<(), CgroupError> {
        self.tasks().wait_empty(limit)
    }

    /// Processes in it and below it, as ids of the caller's pid namespace.
    ///
    /// # Errors
    /// A file of it cannot be read.
    pub fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        self.tasks().processes()
    }

    /// How many processes the kernel has killed in it for want of memory; 0
    /// where there is no memory controller. Read it before [`Group::remove`].
    ///
    /// # Errors
    /// The counter cannot be read.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let file = match self.host.version() {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let Some(path) = self.file(Controller::Memory, file) else {
            return Ok(0);
        };
        let text = files::read_if_there(&path)?;
        Ok(text
            .and_then(|text| files::keyed(&text, "oom_kill"))
            .unwrap_or(0))
    }

    /// Removes it, in every hierarchy, with all groups below it. A group that
    /// does not exist is fine. Processes on their way out are waited for; those
    /// that stay are an error ([`Group::kill_all`] first), and then it
    /// [exists](Group::exists) still.
    ///
    /// # Errors
    /// [`CgroupError::StillPopulated`], or the kernel refuses.
    pub fn remove(&self) -> Result<(), CgroupError> {
        // See `exists`.
        for root in self.host.all_roots().into_iter().rev() {
            tasks::remove(&root.join(&self.path), &|| self.wait_empty(REMOVE_LIMIT))?;
        }
        Ok(())
    }

    fn make(&self) -> Result<(), CgroupError> {
        match &*self.host.backend {
            Backend::V1(v1) => v1.make(&self.path),
            Backend::V2(v2) => v2.make(&self.path),
        }
    }

    fn apply(&self, settings: &[limits::Setting]) -> Result<(), CgroupError> {
        for setting in settings {
            match self.choose(setting) {
                Some((path, value)) => files::write(&path, value)?,
                None if setting.optional => {}
                None if self.file(setting.controller, "").is_none() => {
                    return Err(setting.no_controller());
                }
                None => return Err(setting.not_supported()),
            }
        }
        Ok(())
    }

    /// The first of a setting's files that this kernel has, and its value.
    fn choose<'a>(&self, setting: &'a limits::Setting) -> Option<(PathBuf, &'a str)> {
        setting.choices.iter().find_map(|(name, value)| {
            let path = self.file(setting.controller, name)?;
            path.exists().then_some((path, value.as_str()))
        })
    }

    fn apply_devices(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        if !has_device_rules(resources) {
            return Ok(());
        }
        let rules = devices::parse(resources.devices().as_deref().unwrap_or_default())?;
        match &*self.host.backend {
            Backend::V1(v1) => {
                let folder = v1.folder(Controller::Devices, &self.path);
                devices::write_v1(&folder.ok_or(NO_DEVICES)?, &rules)
            }
            Backend::V2(v2) => {
                devices::attach_v2(&files::open_folder(&v2.folder(&self.path))?, &rules)
            }
        }
    }

    /// The path of a controller's file; `None` without that controller.
    fn file(&self, controller: Controller, name: &str) -> Option<PathBuf> {
        match &*self.host.backend {
            Backend::V1(v1) => Some(v1.folder(controller, &self.path)?.join(name)),
            Backend::V2(v2) => v2
                .controllers()
                .contains(&controller)
                .then(|| v2.folder(&self.path).join(name)),
        }
    }

    fn tasks(&self) -> tasks::Tasks {
        match &*self.host.backend {
            Backend::V1(v1) => v1.tasks(&self.path),
            Backend::V2(v2) => tasks::Tasks::Unified(v2.folder(&self.path)),
        }
    }
}

fn has_device_rules(resources: &LinuxResources) -> bool {
    resources
        .devices()
        .as_ref()
        .is_some_and(|rules| !rules.is_empty())
}

/// Device rules are wanted where version 1 has no such controller.
const NO_DEVICES: CgroupError = CgroupError::NoController {
    controller: Controller::Devices,
    limit: "access to devices",
};

#[cfg(test)]
mod tests;
