//! Taking over from a supervisor that died: what the keeper holds, what the
//! records say, and what `/proc` shows are put together again.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use jiff::Timestamp;

use super::actor::Beginning;
use super::exec::Target;
use super::link::{Inheritance, Link, Process};
use super::machine::State;
use super::run::{Run, RunTasks, mounts_of, take_down};
use super::status::Status;
use super::{Shared, bound, failure, records, regain, streams};
use crate::engine::process::ProcessIdentity;
use crate::net::dns::DnsSockets;
use crate::net::spec::PublishedPort;
use crate::state::ContainerId;
use crate::supervise::inspect::{self, log_folder};
use crate::supervise::keeper::ChildKind;
use crate::supervise::logs::pump::Pump;
use crate::supervise::record::{ContainerRecord, ExitRecord, RunRecord, RunState};
use crate::supervise::wire::Failure;

/// Enters all containers of the project.
pub(super) async fn all(shared: &Arc<Shared>, inheritance: Inheritance) -> io::Result<()> {
    let identity = &shared.host.identity;
    let mut inheritance = inheritance;
    for id in inspect::container_ids(&identity.layout, &identity.project)? {
        if let Some(record) = inspect::record(&identity.layout, &identity.project, &id)? {
            one(shared, Arc::new(record), &mut inheritance).await;
        }
    }
    forget_rest(shared, inheritance);
    bound::end_orphans(shared);
    Ok(())
}

async fn one(shared: &Arc<Shared>, record: Arc<ContainerRecord>, inheritance: &mut Inheritance) {
    let id = &record.id;
    let run_record = shared
        .records
        .run(id)
        .filter(|run| run.boot_id == shared.boot_id);
    let layout = shared.host.layout();
    let exit = inspect::last_end(layout, &record.project, id, run_record.as_ref());
    // Where even that cannot be told, it was never started.
    let exit = exit.unwrap_or_default();
    let notes = shared.records.notes(id);
    let state = run_record.as_ref().map(|run| run.state);
    let process = match (&run_record, state) {
        (Some(run), Some(RunState::Running | RunState::Paused)) => {
            find_process(shared, id, run, inheritance)
        }
        _ => None,
    };
    let Some((process, mut run_record)) = process.zip(run_record.clone()) else {
        rest(shared, record, run_record, exit, notes).await;
        return;
    };
    let state = match run_record.state {
        _ if notes.stop_requested => State::Stopping,
        RunState::Paused => State::Paused,
        _ => State::Running,
    };
    let run = match resume(shared, &record, &run_record, &notes, process, inheritance) {
        Ok(run) => run,
        Err(error) => {
            tracing::warn!(%error, name = record.name, "cannot take over a container");
            return;
        }
    };
    if run.ports != run_record.ports {
        run_record.ports.clone_from(&run.ports);
        if let Err(error) = shared.records.write_run(id, &run_record) {
            tracing::warn!(%error, name = record.name, "cannot write a record");
        }
    }
    let target = run.pidfd.clone().map(|pidfd| Target {
        pidfd,
        group: run.group.clone(),
    });
    let health = run_record.health;
    let beginning = Beginning {
        run: Some(run),
        record: Some(run_record),
        notes,
    };
    shared.add(record, state, beginning, |status| {
        status.started(target, health);
        status.state = state;
        status.code = exit.as_ref().and_then(|exit| exit.code);
    });
}

/// The process of a run record: the keeper's child, or an orphan whose pidfd
/// is held, or one that is found by its number and start time.
fn find_process(
    shared: &Arc<Shared>,
    id: &ContainerId,
    run: &RunRecord,
    inheritance: &mut Inheritance,
) -> Option<Process> {
    let key = id.as_str();
    let of_keeper = inheritance
        .processes
        .get(key)
        .is_some_and(|(kind, process)| *kind == ChildKind::Container && process.pid == run.pid);
    if of_keeper {
        return inheritance
            .processes
            .remove(key)
            .map(|(_, process)| process);
    }
    let orphan_key = Link::orphan_key(key);
    if let Some(pidfd) = inheritance.held.remove(&orphan_key) {
        return Some(shared.link.watch_orphan(key, run.pid, pidfd));
    }
    let identity = ProcessIdentity {
        pid: run.pid,
        start_time: run.start_time,
    };
    let pidfd = identity.open().ok().flatten()?;
    Some(shared.link.take_orphan(key, run.pid, pidfd))
}

fn resume(
    shared: &Arc<Shared>,
    record: &Arc<ContainerRecord>,
    run_record: &RunRecord,
    notes: &records::Notes,
    process: Process,
    inheritance: &mut Inheritance,
) -> io::Result<Run> {
    let key = record.id.as_str();
    let layout = shared.host.layout();
    let mut held = |name: &str| -> Option<OwnedFd> {
        let key = format!("{key}/{name}");
        let fd = inheritance.held.remove(&key)?;
        // Known from now on, so that a new keeper would be given it.
        shared.link.remember(&key, Arc::new(fd.try_clone().ok()?));
        Some(fd)
    };
    let spool = layout.spool(&record.project, &record.id);
    if let Some(sources) = streams::inherited(&record.launch, &spool, &mut held)? {
        let log = log_folder(layout, &record.project, &record.id);
        shared
            .logs
            .add(key, Pump::resume(&spool, &log, record.launch.log, sources)?);
    }
    held("in");
    let mut tasks = RunTasks::default();
    let mut flaws = Vec::new();
    let sockets = match (held("dns-udp"), held("dns-tcp")) {
        (Some(udp), Some(tcp)) => Ok(Some(DnsSockets { udp, tcp })),
        _ => regain::resolver(shared, record),
    };
    match sockets {
        Ok(Some(sockets)) => tasks.serve_names(shared, record, sockets),
        Ok(None) => {}
        Err(failure) => flaws.push(format!(
            "container `{}` gets no answers about names: {failure}",
            record.name
        )),
    }
    let published = regain::published(shared, record, &run_record.ports, held);
    let served = published.map(|ports| {
        flaws.extend(ports.lost);
        ports.served
    });
    if let Err(failure) = served.and_then(|served| publish(shared, record, served, &mut tasks)) {
        flaws.push(format!(
            "the ports of container `{}` are not published any longer: {failure}",
            record.name
        ));
    }
    shared.set_flaws(&record.id, flaws);
    let group = shared.host.groups.at(&run_record.cgroup);
    Ok(Run {
        mounts: mounts_of(process.pid, process.pidfd.as_ref()),
        pid: process.pid,
        pidfd: process.pidfd,
        start_time: run_record.start_time,
        exit: process.exit,
        started: started(run_record, notes),
        group,
        endpoints: run_record.endpoints.clone(),
        ports: tasks.ports.clone(),
        notes: Vec::new(),
        tasks,
    })
}

/// Serves ports, and puts back what is missing of them in the firewall.
fn publish(
    shared: &Shared,
    record: &ContainerRecord,
    served: Vec<(PublishedPort, OwnedFd)>,
    tasks: &mut RunTasks,
) -> Result<(), Failure> {
    if served.is_empty() {
        return Ok(());
    }
    let ports: Vec<_> = served.iter().map(|(port, _)| port.clone()).collect();
    // Says where proxies lead, too.
    let publication = shared.host.net.publish(&record.id, &ports);
    let targets = publication.map_err(failure::net)?.targets;
    for ((port, socket), target) in served.into_iter().zip(targets) {
        tasks.serve_port(port, socket, target);
    }
    Ok(())
}

fn started(run: &RunRecord, notes: &records::Notes) -> Timestamp {
    match run.started.parse() {
        Ok(started) => started,
        Err(_) => records::time(notes.started),
    }
}

/// Enters a container that has no process. Where its record says otherwise it
/// died with everything that could have told how.
async fn rest(
    shared: &Arc<Shared>,
    record: Arc<ContainerRecord>,
    run: Option<RunRecord>,
    exit: Option<ExitRecord>,
    notes: records::Notes,
) {
    let said = run.as_ref().map(|run| run.state);
    let mut exit = exit;
    if let (Some(RunState::Running | RunState::Paused), Some(run)) = (said, &run) {
        let ended = ExitRecord {
            code: None,
            started: run.started.clone(),
            finished: records::text(Timestamp::now()),
            oom_killed: false,
            error: None,
            stopped_by_user: notes.stop_requested,
        };
        if let Err(error) = shared.records.write_exit(&record.id, &ended) {
            tracing::warn!(%error, name = record.name, "cannot write a record");
        }
        exit = Some(ended);
    }
    if is_littered(shared, &record) {
        // The next start of it finds it gone.
        take_down(shared, &record, None).await.await.ok();
    }
    let again = match said {
        Some(RunState::Restarting) => true,
        Some(RunState::Running | RunState::Paused) => {
            let restarts = run.as_ref().map_or(0, |run| run.restarts);
            !notes.stop_requested
                && super::restart::wants_restart(record.launch.restart, None, restarts)
        }
        Some(RunState::Created | RunState::Exited) | None => false,
    };
    let state = match (again, &exit) {
        (true, _) => State::Waiting,
        (false, Some(_)) => State::Exited,
        (false, None) => State::Created,
    };
    let known = |status: &mut Status| {
        status.code = exit.as_ref().and_then(|exit| exit.code);
        status.was_started = exit.as_ref().is_some_and(|exit| exit.error.is_none());
    };
    let mut beginning = Beginning {
        run: None,
        record: run,
        notes,
    };
    if let Some(run) = &mut beginning.record {
        run.state = state.public();
        run.pid = 0;
        if let Err(error) = shared.records.write_run(&record.id, run) {
            tracing::warn!(%error, name = record.name, "cannot write a record");
        }
    }
    shared.add(record, state, beginning, known);
}

/// Whether an earlier run, or start, was not taken down.
fn is_littered(shared: &Shared, record: &ContainerRecord) -> bool {
    let layout = shared.host.layout();
    layout.netns(&record.id).exists()
        || layout.spool(&record.project, &record.id).exists()
        || shared
            .host
            .groups
            .container(&record.id)
            .is_some_and(|group| group.exists())
}

/// What belongs to no run: execs whose callers are gone, and processes that
/// were made for a start that nobody has written down.
fn forget_rest(shared: &Arc<Shared>, inheritance: Inheritance) {
    for (key, (kind, process)) in inheritance.processes {
        match process.pidfd {
            Some(pidfd) if kind == ChildKind::Container => {
                // It may have ended just now; its exit is acknowledged when
                // it comes, as nobody waits for it.
                rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).ok();
            }
            Some(_) => {}
            None => shared.link.acknowledge(&key),
        }
    }
    for key in inheritance.held.keys() {
        shared.link.release(key);
    }
}
