//! What runs, read from disk and `/proc` alone: needs neither keeper nor
//! supervisor, and tells the truth when both are dead.

use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use jiff::Timestamp;
use serde::Deserialize;

use super::keeper::{Ended, read_journal};
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

/// How the names of builds' own projects begin: with a dot in it, so that no Compose
/// project has such a name.
const BUILD_PREFIX: &str = "build.";
/// And how the name of its network goes on.
const BUILD_NETWORK: &str = "_default";

/// The name of a new build's project.
pub fn build_project() -> String {
    format!("{BUILD_PREFIX}{}", ContainerId::random().short())
}

/// The network of a build's steps.
pub fn build_network(project: &str) -> String {
    format!("{project}{BUILD_NETWORK}")
}

/// Whether a project is a build's own.
pub fn is_build(project: &str) -> bool {
    project.starts_with(BUILD_PREFIX)
}

/// The projects of builds that are at work, or were killed: those that have a
/// container, a network or a folder of this boot.
///
/// # Errors
/// The roots cannot be read.
pub fn build_projects(layout: &Layout) -> io::Result<Vec<String>> {
    let mut found = std::collections::BTreeSet::new();
    for (folder, end) in [
        (layout.projects(), ""),
        (layout.run_projects(), ""),
        (layout.networks(), &format!("{BUILD_NETWORK}.json")),
    ] {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(end));
            found.extend(name.filter(|name| is_build(name)).map(str::to_owned));
        }
    }
    Ok(found.into_iter().collect())
}

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
    let (state, exit) = present(layout, project, id, run.as_ref())?;
    Ok(Some(ContainerView {
        record,
        run,
        exit,
        state,
    }))
}

/// What a container is, and how its last run ended. Between the end of a process
/// and its record the keeper's journal knows, and before that nobody has been
/// told: a zombie still counts as running.
fn present(
    layout: &Layout,
    project: &str,
    id: &ContainerId,
    run: Option<&RunRecord>,
) -> io::Result<(RunState, Option<ExitRecord>)> {
    let exit = last_end(layout, project, id, run)?;
    let said_alive = |run: &&RunRecord| matches!(run.state, RunState::Running | RunState::Paused);
    let Some(run) = run.filter(said_alive).filter(|run| !is_alive(run)) else {
        return Ok((state(run, exit.as_ref()), exit));
    };
    let of_run = |exit: &ExitRecord| exit.started == run.started;
    if exit.as_ref().is_some_and(of_run) {
        return Ok((RunState::Exited, exit));
    }
    let journal = read_journal(&layout.exit_journal(project))?;
    let entry = journal
        .into_iter()
        .find(|entry| entry.key == id.as_str() && entry.pid == run.pid);
    if let Some(Ended { code, at }) = entry.map(|entry| entry.ended) {
        let finished = Timestamp::from_nanosecond(at.into()).unwrap_or_default();
        let exit = end(code, &run.started, format_time(finished));
        return Ok((RunState::Exited, Some(exit)));
    }
    // Read again: it may have gone from the journal into the record meanwhile.
    let exit = last_end(layout, project, id, Some(run))?;
    if exit.as_ref().is_some_and(of_run) {
        return Ok((RunState::Exited, exit));
    }
    let is_zombie =
        ProcessIdentity::of(run.pid).is_ok_and(|process| process.start_time == run.start_time);
    if is_zombie {
        return Ok((run.state, exit));
    }
    // Nobody saw it: keeper and supervisor are gone.
    let unknown = end(None, &run.started, run.started.clone());
    Ok((RunState::Exited, Some(unknown)))
}

/// The record of an end of which no more than this is known.
fn end(code: Option<i32>, started: &str, finished: String) -> ExitRecord {
    ExitRecord {
        code,
        started: started.to_owned(),
        finished,
        oom_killed: false,
        error: None,
        stopped_by_user: false,
    }
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
    Ok(Some(end(None, &started, format_time(boot_time()?))))
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

/// Names of all projects that ran in this boot, and have not been swept.
///
/// # Errors
/// The run root cannot be read.
pub(super) fn run_projects(layout: &Layout) -> io::Result<Vec<String>> {
    folder(&layout.run_projects())
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
    fn an_end_is_told_with_its_own_code_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        let id = ContainerId::random();
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "read wait; exit 3"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let run = RunRecord {
            boot_id: boot_id().unwrap(),
            state: RunState::Running,
            pid,
            start_time: ProcessIdentity::of(pid).unwrap().start_time,
            started: "2026-01-02T03:04:05.000000000Z".to_owned(),
            health: None,
            restarts: 0,
            endpoints: Vec::new(),
            ports: Vec::new(),
            cgroup: String::new(),
        };
        let look = || {
            let (state, exit) = present(&layout, "p", &id, Some(&run)).unwrap();
            (state, exit.map(|exit| exit.code))
        };
        assert_eq!(look(), (RunState::Running, None));
        drop(child.stdin.take());
        // A zombie from here on: its end is with its parent.
        rustix::process::waitid(
            rustix::process::WaitId::Pid(rustix::process::Pid::from_raw(pid).unwrap()),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        )
        .unwrap();
        assert_eq!(look(), (RunState::Running, None));
        child.wait().unwrap();
        // A record of an earlier run says nothing about this one.
        let write = |started: &str, code| {
            let exit = ExitRecord {
                code: Some(code),
                started: started.to_owned(),
                finished: run.started.clone(),
                oom_killed: false,
                error: None,
                stopped_by_user: false,
            };
            let folder = layout.container("p", &id);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(EXIT_FILE), serde_json::to_vec(&exit).unwrap()).unwrap();
        };
        write("2026-01-01T00:00:00.000000000Z", 7);
        assert_eq!(look(), (RunState::Exited, Some(None)));
        write(&run.started, 3);
        assert_eq!(look(), (RunState::Exited, Some(Some(3))));
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
