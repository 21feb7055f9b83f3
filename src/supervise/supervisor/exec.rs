//! Further processes in a running container: `exec` and health probes.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use fs_err as fs;

use super::launch::child_verdict;
use super::link::Process;
use super::{Shared, failure, files};
use crate::engine::cgroup::Group;
use crate::engine::launch::{LaunchFds, PidNamespace};
use crate::engine::prepare::{memfd_spec, sync_pair};
use crate::engine::spec::ExecSpec;
use crate::state::Layout;
use crate::state::id::random_hex;
use crate::supervise::keeper::ChildKind;
use crate::supervise::record::ContainerRecord;
use crate::supervise::wire::Failure;

/// A running container, as something to be joined.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) pidfd: Arc<OwnedFd>,
    pub(super) group: Group,
}

/// A further process.
#[derive(Debug)]
pub(super) struct Exec {
    pub(super) key: String,
    pub(super) process: Process,
    /// The master of its terminal, where it has one.
    pub(super) master: Option<OwnedFd>,
}

/// Standard streams that lead nowhere (null(4)), for a process in the
/// background. They are opened here, so that none of the caller's is handed on.
pub(super) fn nothing() -> io::Result<[OwnedFd; 3]> {
    let null = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    let null = OwnedFd::from(null.into_parts().0);
    Ok([null.try_clone()?, null.try_clone()?, null])
}

/// Starts a process in a container; without `stdio` it makes a terminal.
pub(super) async fn start(
    shared: &Arc<Shared>,
    record: &Arc<ContainerRecord>,
    target: &Target,
    spec: ExecSpec,
    stdio: Option<[OwnedFd; 3]>,
) -> Result<Exec, Failure> {
    let key = format!("{}/e/{}", record.id, random_hex(8));
    let (fds, sync) = {
        let (shared, record, target) = (Arc::clone(shared), Arc::clone(record), target.clone());
        tokio::task::spawn_blocking(move || prepare(&shared, &record, &target, spec, stdio))
            .await
            .map_err(|error| failure::other(&error))??
    };
    let (shape, list) = fds.into_list();
    let process = shared
        .link
        .launch(&key, ChildKind::Exec, shape, list)
        .await
        .map_err(|unmade| {
            failure::text(format!(
                "cannot exec in container `{}`: {unmade}",
                record.name
            ))
        })?;
    match child_verdict(sync).await {
        Ok(Ok(said)) => Ok(Exec {
            key,
            process,
            master: said.master,
        }),
        Ok(Err(error)) => {
            // Its exit will be acknowledged when nobody waits for it.
            Err(Failure::Init {
                name: record.name.clone(),
                error,
            })
        }
        Err(error) => Err(failure::other(&error)),
    }
}

fn prepare(
    shared: &Shared,
    record: &ContainerRecord,
    target: &Target,
    spec: ExecSpec,
    stdio: Option<[OwnedFd; 3]>,
) -> Result<(LaunchFds, OwnedFd), Failure> {
    let io = |error: std::io::Error| failure::other(&error);
    let mut spec = spec;
    complete(shared.host.layout(), &mut spec, record);
    spec.process.set_terminal(Some(stdio.is_none()));
    let filter = shared.host.filter(&spec.seccomp, Some(&spec.process))?;
    let (sync, theirs) = sync_pair().map_err(io)?;
    let fds = LaunchFds {
        spec: memfd_spec(&spec).map_err(io)?,
        sync: theirs,
        stdio,
        netns: None,
        cgroup: target
            .group
            .enter_fds()
            .map_err(|error| failure::other(&error))?,
        filter,
        target: Some(target.pidfd.try_clone().map_err(io)?),
        pid: PidNamespace::default(),
    };
    Ok((fds, sync))
}

/// An exec that names no environment has the container's.
fn complete(layout: &Layout, spec: &mut ExecSpec, record: &ContainerRecord) {
    let own = record
        .launch
        .oci
        .process()
        .as_ref()
        .and_then(|process| process.env().clone());
    let asked = spec.process.env().clone().filter(|env| !env.is_empty());
    let mut env = asked.or(own).unwrap_or_default();
    files::name_environment(layout, record, &mut env);
    spec.process.set_env(Some(env));
}

/// What a health probe runs: as the container's own program, as its user.
pub(super) fn probe_spec(record: &ContainerRecord, command: &[String]) -> ExecSpec {
    let mut process = record.launch.oci.process().clone().unwrap_or_default();
    process.set_args(Some(command.to_vec()));
    process.set_terminal(Some(false));
    ExecSpec {
        process,
        user: record.launch.user.clone(),
        groups: record.launch.groups.clone(),
        seccomp: record.launch.seccomp.clone(),
    }
}
