//! Why a control group could not be made or changed, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::mounts::Controller;

/// Why a control group could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No hierarchy is mounted, or none that has a controller.
    #[error("no control group hierarchy with a usable controller is mounted")]
    NoHierarchy,
    /// A limit needs a controller that this host does not have.
    #[error("cannot limit {limit}: this host has no `{controller}` control group controller")]
    NoController {
        /// The controller.
        controller: Controller,
        /// What was to be limited: `memory`, `the number of processes`.
        limit: &'static str,
    },
    /// The controller is there, but without this ability.
    #[error("cannot limit {limit}: this kernel's `{controller}` controller has no `{file}`")]
    NotSupported {
        /// The controller.
        controller: Controller,
        /// What was to be limited.
        limit: &'static str,
        /// The missing file.
        file: String,
    },
    /// A value that cannot be meant.
    #[error("cannot limit {limit}: {reason}")]
    Invalid {
        /// What was to be limited.
        limit: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A group cannot be made.
    #[error("cannot make control group `{}`", path.display())]
    Make {
        /// Its folder.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Processes of others are where controllers would have to be delegated.
    #[error("cannot delegate controllers below `{}`: processes are in that control group itself", path.display())]
    Busy {
        /// The group's folder.
        path: PathBuf,
    },
    /// A file of a group cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel refuses a value.
    #[error("cannot write `{value}` to `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The value.
        value: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A group cannot be removed.
    #[error("cannot remove control group `{}`", path.display())]
    Remove {
        /// Its folder.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Processes are still in it.
    #[error("control group `{}` still has processes after {seconds} s: {}", path.display(), list(processes))]
    StillPopulated {
        /// Its folder.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
        /// The first of them.
        processes: Vec<i32>,
    },
    /// Its processes cannot be stopped.
    #[error("the processes of control group `{}` do not stop", path.display())]
    NotFrozen {
        /// Its folder.
        path: PathBuf,
    },
    /// The kernel refuses a device program.
    #[error("cannot {step} the program that holds the device rules")]
    DeviceProgram {
        /// `load` or `attach`.
        step: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

impl CgroupError {
    /// The limit that cannot be kept, one of [`super::limit`].
    pub fn limit(&self) -> Option<&'static str> {
        match self {
            Self::NoController { limit, .. }
            | Self::NotSupported { limit, .. }
            | Self::Invalid { limit, .. } => Some(limit),
            Self::NoHierarchy
            | Self::Busy { .. }
            | Self::Make { .. }
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Remove { .. }
            | Self::StillPopulated { .. }
            | Self::NotFrozen { .. }
            | Self::DeviceProgram { .. } => None,
        }
    }

    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoHierarchy => Some(
                "mount it: mount -t cgroup2 none /sys/fs/cgroup (inside a container: start \
                 that with --privileged and its own cgroup namespace)"
                    .to_owned(),
            ),
            Self::NoController { controller, .. } => Some(format!(
                "remove the limit, or enable the controller: on version 1 mount it (mount -t \
                 cgroup -o {controller} {controller} /sys/fs/cgroup/{controller}), for memory on \
                 some boards boot with cgroup_enable=memory"
            )),
            Self::NotSupported { .. } => {
                Some("remove the limit, or use a kernel that was built with it".to_owned())
            }
            Self::Busy { .. } => Some(
                "move these processes into a control group of their own, as the start script of \
                 a container that runs containers does"
                    .to_owned(),
            ),
            Self::Make { source, .. } | Self::Write { source, .. }
                if source.kind() == std::io::ErrorKind::ReadOnlyFilesystem =>
            {
                Some("the control group file system is mounted read-only".to_owned())
            }
            Self::Invalid { .. }
            | Self::Make { .. }
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Remove { .. }
            | Self::StillPopulated { .. }
            | Self::NotFrozen { .. }
            | Self::DeviceProgram { .. } => None,
        }
    }
}

fn list(processes: &[i32]) -> String {
    processes
        .iter()
        .map(|pid| format!("pid {pid}"))
        .collect::<Vec<_>>()
        .join(", ")
}
