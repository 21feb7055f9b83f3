//! What runs, read from disk and `/proc` alone: needs neither keeper nor
//! supervisor, and tells the truth when both are dead.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::Timestamp;
use serde::Deserialize;

use super::launch::NetworkMode;
use super::logs::line::format_time;
use super::record::{ContainerRecord, ExitRecord, RECORD_VERSION, RunRecord, RunState};
use crate::engine::process::ProcessIdentity;
pub use crate::engine::process::boot_id;
use crate::state::atomic::read_json;
use crate::state::{ContainerId, Layout};

/// Name of a container's durable record in its folder.
pub const CONFIG_FILE: &str = "config.json";
/// Name of the record of its last end.
pub const EXIT_FILE: &str = "exit.json";
/// Name of the time (RFC 3339) at which its last run began.
pub const START_FILE: &str = "started";
/// Name of the folder of its logs.
pub const LOG_FOLDER: &str = "log";

/// A container as its records and `/proc` show it.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerView {
    /// How it was created.
    pub record: ContainerRecord,
    /// What is known of this boot; absent where it has not run in it.
    pub run: Option<RunRecord>,
    /// How its last run ended, where one has.
    pub exit: Option<ExitRecord>,
    /// Its state; `Running` only while its process lives.
    pub state: RunState,
}

impl ContainerView {
    /// Whether its program runs, frozen or not.
    pub fn is_live(&self) -> bool {
        matches!(self.state, RunState::Running | RunState::Paused)
    }

    /// Names of its networks as Docker lists them.
    pub fn networks(&self) -> Vec<String> {
        match &self.record.launch.network {
            NetworkMode::Host => vec!["host".to_owned()],
            NetworkMode::None => vec!["none".to_owned()],
            NetworkMode::Container(_) => Vec::new(),
            NetworkMode::Networks(endpoints) => endpoints
                .iter()
                .map(|endpoint| endpoint.network.clone())
                .collect(),
        }
    }

    /// Volumes by name and bind mounts by source, as Docker lists them.
    pub fn mounts(&self) -> Vec<String> {
        let launch = &self.record.launch;
        let binds = launch
            .oci
            .mounts()
            .iter()
            .flatten()
            .filter(|mount| mount.typ().as_deref() == Some("bind"))
            .filter_map(|mount| mount.source().as_ref())
            .map(|source| source.to_string_lossy().into_owned());
        let volumes = launch.volumes.iter().map(|volume| volume.name.clone());
        volumes.chain(binds).collect()
    }
}

/// The project's containers, in no order. A project that never was has none.
///
/// # Errors
/// The records cannot be read, or are of a newer skiff.
pub fn containers(layout: &Layout, project: &str) -> io::Result<Vec<ContainerView>> {
    let boot_id = boot_id()?;
    let mut views = Vec::new();
    for name in folder(&layout.project(project).join("containers"))? {
        let Some(id) = ContainerId::parse(&name) else {
            continue;
        };
        if let Some(view) = container(layout, project, &id, &boot_id)? {
            views.push(view);
        }
    }
    Ok(views)
}

/// One container; `None` where there is none.
///
/// # Errors
/// As [`containers`].
pub fn container(
    layout: &Layout,
    project: &str,
    id: &ContainerId,
    boot_id: &str,
) -> io::Result<Option<ContainerView>> {
    // A folder without a record is a creation or removal that was cut short.
    let Some(record) = record(layout, project, id)? else {
        return Ok(None);
    };
    let run: Option<RunRecord> = read_json(&layout.run_record(project, id))?
        .filter(|run: &RunRecord| run.boot_id == boot_id);
    let exit = last_end(layout, project, id, run.as_ref())?;
    let state = state(run.as_ref(), exit.as_ref());
    Ok(Some(ContainerView {
        record,
        run,
        exit,
        state,
    }))
}

/// How a container's last run ended; `run` is what is known of this boot. A run
/// that the machine's own end cut short was seen by nobody: its code is
/// unknown, and it is over since the machine began anew.
///
/// # Errors
/// The time of the boot cannot be read.
pub(crate) fn last_end(
    layout: &Layout,
    project: &str,
    id: &ContainerId,
    run: Option<&RunRecord>,
) -> io::Result<Option<ExitRecord>> {
    let folder = layout.container(project, id);
    // One that a power cut left half-written says nothing.
    let exit: Option<ExitRecord> = read_json(&folder.join(EXIT_FILE)).unwrap_or_default();
    if run.is_some() {
        return Ok(exit);
    }
    let Ok(started) = fs::read_to_string(folder.join(START_FILE)) else {
        return Ok(exit);
    };
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let seen = exit.as_ref().and_then(|exit| time(&exit.finished));
    if time(&started).is_none() || seen >= time(&started) {
        return Ok(exit);
    }
    Ok(Some(ExitRecord {
        code: None,
        started,
        finished: format_time(boot_time()?),
        oom_killed: false,
        error: None,
        stopped_by_user: false,
    }))
}

/// When the machine was started: `btime` in `proc_stat(5)`, whole seconds.
fn boot_time() -> io::Result<Timestamp> {
    let text = fs::read_to_string("/proc/stat")?;
    text.lines()
        .find_map(|line| line.strip_prefix("btime "))
        .and_then(|seconds| seconds.trim().parse().ok())
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no `btime` in `/proc/stat`"))
}

/// A container's durable record; `None` where it has none, or only the
/// beginning of one that a power cut left.
///
/// # Errors
/// It cannot be read, or was written by a newer skiff.
pub fn record(
    layout: &Layout,
    project: &str,
    id: &ContainerId,
) -> io::Result<Option<ContainerRecord>> {
    let path = layout.container(project, id).join(CONFIG_FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice::<Versioned>(&text).map(|record| record.version) {
        Ok(version) if version > RECORD_VERSION => Err(io::Error::other(format!(
            "`{}` was made by a newer skiff (record version {version}, this one knows \
             {RECORD_VERSION})",
            path.display()
        ))),
        Ok(_) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(_) => Ok(None),
    }
}

/// The part of a record that every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Ids of all containers that have a folder in a project.
///
/// # Errors
/// The folder cannot be read.
pub fn container_ids(layout: &Layout, project: &str) -> io::Result<Vec<ContainerId>> {
    let names = folder(&layout.project(project).join("containers"))?;
    Ok(names
        .iter()
        .filter_map(|name| ContainerId::parse(name))
        .collect())
}

/// Where a container's logs are.
pub fn log_folder(layout: &Layout, project: &str, id: &ContainerId) -> PathBuf {
    layout.container(project, id).join(LOG_FOLDER)
}

/// The names of all projects that have a container, sorted.
///
/// # Errors
/// The data root cannot be read.
pub fn projects(layout: &Layout) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for name in folder(&layout.projects())? {
        if !folder(&layout.project(&name).join("containers"))?.is_empty() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn state(run: Option<&RunRecord>, exit: Option<&ExitRecord>) -> RunState {
    match run {
        Some(run) => match run.state {
            RunState::Running | RunState::Paused if !is_alive(run) => RunState::Exited,
            other => other,
        },
        // The machine was started again since: what ran then has ended.
        None if exit.is_some() => RunState::Exited,
        None => RunState::Created,
    }
}

/// Whether the recorded process lives: a process of that number that began at
/// that time, and is no zombie.
fn is_alive(run: &RunRecord) -> bool {
    let identity = ProcessIdentity {
        pid: run.pid,
        start_time: run.start_time,
    };
    run.pid > 0 && identity.still_running()
}

/// The names in a folder; none where there is no folder.
fn folder(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_is_alive_only_with_its_start_time() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let start_time = ProcessIdentity::own().unwrap().start_time;
        let mut run = RunRecord {
            boot_id: boot_id().unwrap(),
            state: RunState::Running,
            pid,
            start_time,
            started: String::new(),
            health: None,
            restarts: 0,
            endpoints: Vec::new(),
            ports: Vec::new(),
            cgroup: String::new(),
        };
        assert_eq!(state(Some(&run), None), RunState::Running);
        run.start_time += 1;
        assert_eq!(state(Some(&run), None), RunState::Exited);
        assert_eq!(state(None, None), RunState::Created);
    }

    #[test]
    fn projects_without_containers_are_not_listed() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        assert!(projects(&layout).unwrap().is_empty());
        fs::create_dir_all(layout.project("empty").join("containers")).unwrap();
        fs::create_dir_all(layout.container("full", &ContainerId::random())).unwrap();
        assert_eq!(projects(&layout).unwrap(), ["full"]);
        assert!(containers(&layout, "full").unwrap().is_empty());
    }
}
