//! Reading what is known of projects and containers from disk and `/proc`,
//! without asking any process.

use std::io;
use std::path::PathBuf;

use fs_err as fs;

use super::record::{ContainerRecord, ExitRecord, Health, RECORD_VERSION, RunRecord, RunState};
use crate::engine::process::{ProcessIdentity, boot_id};
use crate::state::atomic::read_json;
use crate::state::{ContainerId, Layout};

/// Name of a container's durable record in its folder.
pub const CONFIG_FILE: &str = "config.json";
/// Name of the record of its last end.
pub const EXIT_FILE: &str = "exit.json";
/// Name of the folder of its logs.
pub const LOG_FOLDER: &str = "log";

/// A container as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerView {
    /// As created.
    pub record: ContainerRecord,
    /// Its state; `Running` only where the recorded process lives.
    pub state: RunState,
    /// Process 1, where it runs.
    pub pid: Option<i32>,
    /// Health, where it runs and has a probe.
    pub health: Option<Health>,
    /// RFC 3339 time of the last start, where there was one.
    pub started: Option<String>,
    /// What was written about its last run in this boot.
    pub run: Option<RunRecord>,
    /// How its last finished run ended.
    pub exit: Option<ExitRecord>,
}

impl ContainerView {
    /// Exit code of the last run where it has ended: `None` where it runs, was
    /// never started, or where nobody could learn the code.
    pub fn exit_code(&self) -> Option<i32> {
        match self.state {
            RunState::Exited | RunState::Restarting => self.exit.as_ref()?.code,
            RunState::Created | RunState::Running | RunState::Paused => None,
        }
    }

    /// Whether it runs, paused or not.
    pub fn is_running(&self) -> bool {
        matches!(self.state, RunState::Running | RunState::Paused)
    }
}

/// All containers of a project, by service, number and name.
///
/// # Errors
/// A record cannot be read, or was written by a newer skiff.
pub fn containers(layout: &Layout, project: &str) -> io::Result<Vec<ContainerView>> {
    let boot = boot_id()?;
    let mut views = Vec::new();
    for id in container_ids(layout, project)? {
        views.extend(view(layout, project, &id, &boot)?);
    }
    views.sort_by(|a, b| {
        let key = |view: &ContainerView| {
            let record = &view.record;
            (
                record.service.clone(),
                record.oneoff,
                record.number,
                record.name.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    Ok(views)
}

/// One container; `None` where there is none of this id.
///
/// # Errors
/// As [`containers`].
pub fn container(
    layout: &Layout,
    project: &str,
    id: &ContainerId,
) -> io::Result<Option<ContainerView>> {
    view(layout, project, id, &boot_id()?)
}

/// Ids of all containers that have a folder in a project.
///
/// # Errors
/// The folder cannot be read.
pub fn container_ids(layout: &Layout, project: &str) -> io::Result<Vec<ContainerId>> {
    let names = names_in(&layout.project(project).join("containers"))?;
    Ok(names
        .iter()
        .filter_map(|name| ContainerId::parse(name))
        .collect())
}

/// Names of all projects that have anything on disk, sorted.
///
/// # Errors
/// A folder cannot be read.
pub fn projects(layout: &Layout) -> io::Result<Vec<String>> {
    let mut names = names_in(&layout.projects())?;
    names.sort_unstable();
    Ok(names)
}

/// Where a container's logs are.
pub fn log_folder(layout: &Layout, project: &str, id: &ContainerId) -> PathBuf {
    layout.container(project, id).join(LOG_FOLDER)
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
    let version = serde_json::from_slice::<serde_json::Value>(&text)
        .ok()
        .and_then(|value| value.get("version")?.as_u64());
    match version {
        Some(version) if version > u64::from(RECORD_VERSION) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "`{}` was written by a newer skiff (record version {version}, this one knows \
                 {RECORD_VERSION})",
                path.display()
            ),
        )),
        Some(_) => Ok(serde_json::from_slice(&text).ok()),
        None => Ok(None),
    }
}

fn view(
    layout: &Layout,
    project: &str,
    id: &ContainerId,
    boot: &str,
) -> io::Result<Option<ContainerView>> {
    let Some(record) = record(layout, project, id)? else {
        return Ok(None);
    };
    let exit_path = layout.container(project, id).join(EXIT_FILE);
    // Half-written by a power cut: then nobody knows.
    let exit: Option<ExitRecord> = read_json(&exit_path).unwrap_or_default();
    let run: Option<RunRecord> = read_json(&layout.run_record(project, id)).unwrap_or_default();
    let state = match &run {
        Some(run) if run.boot_id == boot => match run.state {
            RunState::Running | RunState::Paused if !is_alive(run) => RunState::Exited,
            state => state,
        },
        _ if exit.is_some() => RunState::Exited,
        Some(_) => RunState::Exited,
        None => RunState::Created,
    };
    let running = matches!(state, RunState::Running | RunState::Paused);
    let current = run.as_ref().filter(|_| running);
    Ok(Some(ContainerView {
        pid: current.map(|run| run.pid),
        health: current.and_then(|run| run.health),
        started: run
            .as_ref()
            .map(|run| run.started.clone())
            .filter(|started| !started.is_empty())
            .or_else(|| exit.as_ref().map(|exit| exit.started.clone())),
        record,
        state,
        run,
        exit,
    }))
}

/// Whether the process of a record of this boot lives.
pub fn is_alive(run: &RunRecord) -> bool {
    let identity = ProcessIdentity {
        pid: run.pid,
        start_time: run.start_time,
    };
    run.pid > 0 && identity.still_running()
}

fn names_in(folder: &std::path::Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}
