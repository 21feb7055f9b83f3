//! The paths of everything skiff keeps, in one place.
//!
//! ```text
//! DATA  /var/lib/skiff                      ($SKIFF_DATA_ROOT)
//!   id                                      random root id, 8 hex digits
//!   images/…                                owned by `image`
//!   projects/<project>/project.json         the model as last applied
//!   projects/<project>/containers/<id>/     config.json, exit.json, started, log/, upper/
//!   builds/{steps,hashes,mounts}/           owned by `build`
//!   networks/<name>.json                    owned by `net`
//!   volumes/<name>/{volume.json,_data}
//!   trash/                                  renamed here before removal
//! RUN   /run/skiff                          ($SKIFF_RUN_ROOT)
//!   projects/<project>/lock                 held by a command that changes the project
//!   projects/<project>/start.lock           held while keeper and supervisor start or end
//!   projects/<project>/control.sock         the supervisor's
//!   projects/<project>/exits                the keeper's journal
//!   projects/<project>/groups.json          where its control groups are, where systemd was asked
//!   projects/<project>/spool/<id>/          output not yet in the log
//!   projects/<project>/containers/<id>.json status, pid, addresses
//!   projects/<project>/containers/<id>/     hosts, resolv.conf, hostname
//!   netns/<id>                              pinned network namespaces
//!   names/<container name>                  host-wide index, holds project and id
//!   networks/<id>/endpoints/<id>.json       owned by `net`
//! ```

use std::path::{Path, PathBuf};

use crate::env;
use crate::state::ContainerId;

/// The two roots, and every path below them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    data: PathBuf,
    run: PathBuf,
}

impl Layout {
    /// The roots of this machine, or those that the environment names.
    pub fn from_env() -> Self {
        Self::new(
            env::read_path(env::SKIFF_DATA_ROOT).unwrap_or_else(|| "/var/lib/skiff".into()),
            env::read_path(env::SKIFF_RUN_ROOT).unwrap_or_else(|| "/run/skiff".into()),
        )
    }

    /// Explicit roots.
    pub fn new(data: PathBuf, run: PathBuf) -> Self {
        Self { data, run }
    }

    /// The durable root.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The root of what is true for this boot only.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// The file that holds the root id.
    pub fn root_id(&self) -> PathBuf {
        self.data.join("id")
    }

    /// The image store.
    pub fn images(&self) -> PathBuf {
        self.data.join("images")
    }

    /// What builds keep beside the layers of their steps.
    pub fn builds(&self) -> PathBuf {
        self.data.join("builds")
    }

    /// Durable records of networks.
    pub fn networks(&self) -> PathBuf {
        self.data.join("networks")
    }

    /// The folder of all volumes.
    pub fn volumes(&self) -> PathBuf {
        self.data.join("volumes")
    }

    /// One volume's folder.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.volumes().join(name)
    }

    /// Where things are renamed to before they are removed.
    pub fn trash(&self) -> PathBuf {
        self.data.join("trash")
    }

    /// The folder of all projects' durable state.
    pub fn projects(&self) -> PathBuf {
        self.data.join("projects")
    }

    /// One project's durable state.
    pub fn project(&self, project: &str) -> PathBuf {
        self.projects().join(project)
    }

    /// One container's durable folder.
    pub fn container(&self, project: &str, id: &ContainerId) -> PathBuf {
        self.project(project).join("containers").join(id.as_str())
    }

    /// The folder of all projects' run-time state.
    pub fn run_projects(&self) -> PathBuf {
        self.run.join("projects")
    }

    /// One project's run-time state.
    pub fn run_project(&self, project: &str) -> PathBuf {
        self.run_projects().join(project)
    }

    /// The lock of a command that changes the project.
    pub fn project_lock(&self, project: &str) -> PathBuf {
        self.run_project(project).join("lock")
    }

    /// The lock of whoever starts or ends the project's two processes.
    pub fn start_lock(&self, project: &str) -> PathBuf {
        self.run_project(project).join("start.lock")
    }

    /// The supervisor's control socket.
    pub fn control_socket(&self, project: &str) -> PathBuf {
        self.run_project(project).join("control.sock")
    }

    /// The keeper's journal of exits.
    pub fn exit_journal(&self, project: &str) -> PathBuf {
        self.run_project(project).join("exits")
    }

    /// Where the project's control groups are.
    pub fn groups(&self, project: &str) -> PathBuf {
        self.run_project(project).join("groups.json")
    }

    /// Output of a container that is not in its log yet.
    pub fn spool(&self, project: &str, id: &ContainerId) -> PathBuf {
        self.run_project(project).join("spool").join(id.as_str())
    }

    /// A container's run-time record.
    pub fn run_record(&self, project: &str, id: &ContainerId) -> PathBuf {
        self.run_project(project)
            .join("containers")
            .join(format!("{id}.json"))
    }

    /// A container's generated files (`hosts`, `resolv.conf`, `hostname`).
    pub fn run_container(&self, project: &str, id: &ContainerId) -> PathBuf {
        self.run_project(project)
            .join("containers")
            .join(id.as_str())
    }

    /// A container's pinned network namespace.
    pub fn netns(&self, id: &ContainerId) -> PathBuf {
        self.run.join("netns").join(id.as_str())
    }

    /// The host-wide index of container names.
    pub fn names(&self) -> PathBuf {
        self.run.join("names")
    }

    /// Run-time state of networks, by network id.
    pub fn run_networks(&self) -> PathBuf {
        self.run.join("networks")
    }
}
