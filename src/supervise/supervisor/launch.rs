//! One start of a container, from its record to an executed program. What a
//! failure leaves is taken down by the caller with [`super::run::take_down`].

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use oci_spec::runtime;
use rustix::net::RecvFlags;
use tokio::io::Interest;

use super::files::Generated;
use super::host::Host;
use super::link::{Process, Unmade};
use super::run::{Run, RunTasks, mounts_of, take_down};
use super::streams::{self, Streams};
use super::{Shared, create, failure, files, orphan, regain};
use crate::engine::cgroup::Group;
use crate::engine::launch::{LaunchFds, PidNamespace, SyncMessage, receive};
use crate::engine::prepare::{memfd_spec, sync_pair};
use crate::engine::process::ProcessIdentity;
use crate::engine::spec::{InitError, InitSpec, RootSpec, TreeMount, VolumeMount};
use crate::net::AttachRequest;
use crate::net::dns::{DnsSockets, sockets_in};
use crate::net::ports::{self, Bound};
use crate::net::spec::{Endpoint, PublishedPort};
use crate::state::volume;
use crate::supervise::inspect::log_folder;
use crate::supervise::keeper::ChildKind;
use crate::supervise::launch::{NetworkMode, TreeUse, VolumeUse};
use crate::supervise::logs::pump::{Pump, Sources};
use crate::supervise::ready::watched;
use crate::supervise::record::ContainerRecord;
use crate::supervise::roots;
use crate::supervise::wire::Failure;

/// Everything that is made before the process.
struct Prepared {
    fds: LaunchFds,
    sync: OwnedFd,
    sources: Option<Sources>,
    input: Option<OwnedFd>,
    group: Group,
    network: Network,
}

/// A container's network as made.
#[derive(Default)]
struct Network {
    netns: Option<OwnedFd>,
    endpoints: Vec<Endpoint>,
    bound: Vec<Bound>,
    targets: Vec<Option<std::net::SocketAddr>>,
    dns: Option<DnsSockets>,
    notes: Vec<String>,
}

/// Why there is no run.
enum Stopped {
    Failed(Failure),
    /// The keeper was killed, and the program was not reached.
    Orphaned,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Stopped {
    fn failure(self, record: &ContainerRecord) -> Failure {
        match self {
            Self::Failed(failure) => failure,
            Self::Orphaned => Failure::Other {
                message: cannot_start(record, &Unmade::Orphaned),
                hint: Some("run the command again: another keeper has taken over".to_owned()),
            },
        }
    }
}

fn cannot_start(record: &ContainerRecord, why: &dyn std::fmt::Display) -> String {
    format!("cannot start container `{}`: {why}", record.name)
}

/// Starts a container. Where the keeper is killed before the program is
/// reached, the next keeper is asked, once. Streams that were given went with
/// the first.
pub(super) async fn launch(
    shared: Arc<Shared>,
    record: Arc<ContainerRecord>,
    given: Option<[OwnedFd; 3]>,
) -> Result<Run, Failure> {
    let is_repeatable = given.is_none();
    match begin(&shared, &record, given).await {
        Err(Stopped::Orphaned) if is_repeatable => {}
        ended => return ended.map_err(|stopped| stopped.failure(&record)),
    }
    shared.logs.finish(record.id.as_str()).await;
    take_down(&shared, &record, None).await.await.ok();
    // Or the sockets of its ports, which the next keeper is given before it reads
    // that they are let go, would be in the way of new ones.
    shared.link.ping().await;
    begin(&shared, &record, None)
        .await
        .map_err(|stopped| stopped.failure(&record))
}

async fn begin(
    shared: &Arc<Shared>,
    record: &Arc<ContainerRecord>,
    given: Option<[OwnedFd; 3]>,
) -> Result<Run, Stopped> {
    if has_static_address(&record.launch.network) {
        // Whoever had it before may have gone just now.
        shared.host.leavers.settle().await;
    }
    let prepared = {
        let (shared, record) = (Arc::clone(shared), Arc::clone(record));
        tokio::task::spawn_blocking(move || prepare(&shared.host, &record, given))
            .await
            .map_err(|error| failure::other(&error))??
    };
    let key = record.id.as_str();
    let Prepared {
        fds,
        sync,
        sources,
        input,
        group,
        network,
    } = prepared;
    let io = |error: std::io::Error| Stopped::Failed(failure::other(&error));

    // Held before the process exists, so that nothing is lost whenever this
    // process is killed.
    if let Some(sources) = &sources {
        streams::hold(&shared.link, key, sources).map_err(io)?;
    }
    if let Some(input) = input {
        streams::hold_input(&shared.link, key, input).map_err(io)?;
    }
    let tasks = serve(shared, record, network.dns, network.bound, &network.targets)?;
    if let Some(sources) = sources {
        shared.logs.add(key, begin_pump(shared, record, sources)?);
    }
    let (shape, list) = fds.into_list();
    let made = shared
        .link
        .launch(key, ChildKind::Container, shape, list)
        .await;
    if let Err(failed @ Unmade::Failed(_)) = &made {
        return Err(Stopped::Failed(failure::text(cannot_start(record, failed))));
    }
    // What a killed keeper has cloned goes on, to its program or to its end.
    let said = verdict(&record.name, sync).await?;
    let process = match made {
        Ok(process) => process,
        Err(_) if !said.ready => return Err(Stopped::Orphaned),
        Err(_) => orphan::first(&group)
            .map(|(pid, pidfd)| shared.link.take_orphan(key, pid, pidfd))
            // It has run, and must not run twice.
            .ok_or_else(|| Stopped::Orphaned.failure(record))?,
    };
    if let Some(master) = said.master {
        let spool = shared.host.layout().spool(&record.project, &record.id);
        let sources = streams::terminal(&spool, master).map_err(io)?;
        streams::hold(&shared.link, key, &sources).map_err(io)?;
        shared.logs.add(key, begin_pump(shared, record, sources)?);
    }
    Ok(run(
        process,
        group,
        (network.endpoints, network.notes),
        tasks,
    ))
}

fn has_static_address(network: &NetworkMode) -> bool {
    let NetworkMode::Networks(endpoints) = network else {
        return false;
    };
    endpoints
        .iter()
        .any(|endpoint| endpoint.ipv4.is_some() || endpoint.ipv6.is_some())
}

fn run(
    process: Process,
    group: Group,
    (endpoints, notes): (Vec<Endpoint>, Vec<String>),
    tasks: RunTasks,
) -> Run {
    // Where it has ended already, its exit is on its way.
    let start_time = ProcessIdentity::of(process.pid).map_or(0, |identity| identity.start_time);
    Run {
        mounts: mounts_of(process.pid, process.pidfd.as_ref()),
        pid: process.pid,
        pidfd: process.pidfd,
        start_time,
        exit: process.exit,
        started: Timestamp::now(),
        group,
        endpoints,
        ports: tasks.ports.clone(),
        notes,
        tasks,
    }
}

fn begin_pump(
    shared: &Shared,
    record: &ContainerRecord,
    sources: Sources,
) -> Result<Pump, Failure> {
    let layout = shared.host.layout();
    Pump::begin(
        &layout.spool(&record.project, &record.id),
        &log_folder(layout, &record.project, &record.id),
        record.launch.log,
        sources,
    )
    .map_err(|error| failure::other(&error))
}

/// Waits for what the child says: a terminal's master, a failure, or nothing
/// more, which means that its program runs.
async fn verdict(name: &str, sync: OwnedFd) -> Result<Said, Failure> {
    match child_verdict(sync).await {
        Ok(Ok(said)) => Ok(said),
        Ok(Err(error)) => Err(Failure::Init {
            name: name.to_owned(),
            error,
        }),
        Err(error) => Err(failure::other(&error)),
    }
}

/// What a child said that has not failed.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The master of its terminal.
    pub(super) master: Option<OwnedFd>,
    /// A container's first process was set up.
    ready: bool,
}

/// As above, for any child.
pub(super) async fn child_verdict(sync: OwnedFd) -> std::io::Result<Result<Said, InitError>> {
    let sync = watched(sync, Interest::READABLE)?;
    let mut said = Said::default();
    loop {
        let message = sync
            .async_io(Interest::READABLE, |sync| {
                receive(sync.as_fd(), RecvFlags::DONTWAIT)
            })
            .await?;
        match message {
            SyncMessage::Console(fd) => said.master = Some(fd),
            SyncMessage::Ready => said.ready = true,
            SyncMessage::Failed(error) => return Ok(Err(error)),
            SyncMessage::Closed => return Ok(Ok(said)),
        }
    }
}

/// Has the sockets held and begins to serve them.
fn serve(
    shared: &Shared,
    record: &ContainerRecord,
    dns: Option<DnsSockets>,
    bound: Vec<Bound>,
    targets: &[Option<std::net::SocketAddr>],
) -> Result<RunTasks, Failure> {
    let key = record.id.as_str();
    let io = |error: std::io::Error| failure::other(&error);
    let mut tasks = RunTasks::default();
    if let Some(sockets) = dns {
        regain::hold_resolver(&shared.link, key, &sockets)?;
        tasks.serve_names(shared, record, sockets);
    }
    for (number, bound) in bound.into_iter().enumerate() {
        let socket = bound.socket.try_clone().map_err(io)?;
        shared
            .link
            .hold(&format!("{key}/port/{number}"), bound.socket)
            .map_err(io)?;
        let target = targets.get(number).copied().flatten();
        tasks.serve_port(bound.port, socket, target);
    }
    Ok(tasks)
}

fn prepare(
    host: &Host,
    record: &ContainerRecord,
    given: Option<[OwnedFd; 3]>,
) -> Result<Prepared, Failure> {
    let layout = host.layout();
    // After a reboot the index of names is new.
    create::claim(layout, record)?;
    // Bound first: where a port is taken, nothing else has been done.
    let bound = ports::bind(layout, &record.launch.ports).map_err(failure::port)?;
    let network = connect(host, record, bound)?;
    let generated =
        files::write(layout, record, &network.endpoints).map_err(|error| failure::other(&error))?;
    let spec = init_spec(host, record, generated)?;
    let resources = spec
        .oci
        .linux()
        .as_ref()
        .and_then(|linux| linux.resources().clone())
        .unwrap_or_default();
    let group = host.groups.create(&record.id, &resources)?;
    let filter = host.filter(&record.launch.seccomp, spec.oci.process().as_ref())?;
    let io = |error: std::io::Error| failure::other(&error);
    let spool = layout.spool(&record.project, &record.id);
    let Streams {
        stdio,
        sources,
        input,
    } = streams::make(&record.launch, &spool, given).map_err(io)?;
    let (sync, theirs) = sync_pair().map_err(io)?;
    let netns = network
        .netns
        .as_ref()
        .map(OwnedFd::try_clone)
        .transpose()
        .map_err(io)?;
    let fds = LaunchFds {
        spec: memfd_spec(&spec).map_err(io)?,
        sync: theirs,
        stdio,
        netns,
        cgroup: group.enter_fds().map_err(|error| failure::other(&error))?,
        filter,
        target: None,
        pid: pid_namespace(record)?,
    };
    Ok(Prepared {
        fds,
        sync,
        sources,
        input,
        group,
        network,
    })
}

fn pid_namespace(record: &ContainerRecord) -> Result<PidNamespace, Failure> {
    match PidNamespace::of(&record.launch.oci) {
        PidNamespace::Target => Err(failure::text(format!(
            "cannot start container `{}`: sharing another container's pid namespace is not \
             supported",
            record.name
        ))),
        own @ (PidNamespace::New | PidNamespace::Host) => Ok(own),
    }
}

fn connect(host: &Host, record: &ContainerRecord, bound: Vec<Bound>) -> Result<Network, Failure> {
    let endpoints = match &record.launch.network {
        NetworkMode::Host => {
            return Ok(Network {
                bound,
                ..Network::default()
            });
        }
        NetworkMode::Container(id) => {
            let attached = host.net.attached(id).map_err(failure::net)?.ok_or_else(|| {
                failure::text(format!(
                    "cannot start container `{}`: container `{}`, whose network it shares, does \
                     not run",
                    record.name,
                    id.short()
                ))
            })?;
            return Ok(Network {
                netns: Some(attached.netns),
                bound,
                ..Network::default()
            });
        }
        NetworkMode::None => &[][..],
        NetworkMode::Networks(endpoints) => endpoints.as_slice(),
    };
    let request = AttachRequest {
        container: &record.id,
        name: &record.name,
        hostname: &files::hostname(record),
        endpoints,
    };
    let attached = host.net.attach(&request).map_err(failure::net)?;
    let dns = if endpoints.is_empty() {
        None
    } else {
        Some(sockets_in(attached.netns.as_fd()).map_err(failure::net)?)
    };
    let ports: Vec<PublishedPort> = bound.iter().map(|bound| bound.port.clone()).collect();
    let mut notes = attached.notes;
    let targets = if ports.is_empty() {
        Vec::new()
    } else {
        let publication = host.net.publish(&record.id, &ports);
        let publication = publication.map_err(failure::net)?;
        notes.extend(publication.notes);
        publication.targets
    };
    Ok(Network {
        netns: Some(attached.netns),
        endpoints: attached.endpoints,
        bound,
        targets,
        dns,
        notes,
    })
}

fn init_spec(
    host: &Host,
    record: &ContainerRecord,
    generated: Generated,
) -> Result<InitSpec, Failure> {
    let launch = &record.launch;
    let folder = host.layout().container(&record.project, &record.id);
    let mut oci = launch.oci.clone();
    let mut mounts = oci.mounts().clone().unwrap_or_default();
    let declared = |mount: &runtime::Mount| {
        let destination = mount.destination();
        mounts.iter().any(|own| own.destination() == destination)
            || launch
                .volumes
                .iter()
                .any(|own| *destination == *own.destination)
            || launch
                .files
                .iter()
                .any(|own| *destination == *own.destination)
    };
    let generated_mounts: Vec<_> = generated
        .mounts
        .into_iter()
        .filter(|mount| !declared(mount))
        .collect();
    mounts.extend(generated_mounts);
    oci.set_mounts(Some(mounts));
    oci.set_hostname(Some(generated.hostname));
    if launch.domainname.is_some() {
        oci.set_domainname(launch.domainname.clone());
    }
    if let Some(process) = oci.process_mut() {
        process.set_terminal(Some(launch.tty));
        let mut env = process.env().clone().unwrap_or_default();
        files::name_environment(host.layout(), record, &mut env);
        process.set_env(Some(env));
    }
    Ok(InitSpec {
        id: record.id.to_string(),
        // A step's is synced where it becomes a layer.
        root: roots::root(host.layout(), record, launch.auto_remove || launch.bound)
            .map_err(|error| failure::other(&error))?,
        user: launch.user.clone(),
        groups: launch.groups.clone(),
        volumes: volumes(host, record)?,
        trees: trees(host, &folder, &launch.trees)?,
        files: launch.files.clone(),
        seccomp: launch.seccomp.clone(),
        init: launch.init,
        oci,
    })
}

/// Parts of other images; each writes to a folder of the container's own.
fn trees(host: &Host, folder: &Path, trees: &[TreeUse]) -> Result<Vec<TreeMount>, Failure> {
    let mount = |(number, one): (usize, &TreeUse)| {
        Ok(TreeMount {
            root: RootSpec::Overlay {
                layers: host.layers(&one.layers)?,
                upper: folder.join(format!("tree-{number}")),
                work: folder.join(format!("tree-{number}-work")),
                volatile: true,
            },
            source: one.source.clone(),
            destination: one.destination.clone(),
            read_only: one.read_only,
        })
    };
    trees.iter().enumerate().map(mount).collect()
}

fn volumes(host: &Host, record: &ContainerRecord) -> Result<Vec<VolumeMount>, Failure> {
    let mount = |one: &VolumeUse| {
        let source = volume::folder(host.layout(), &one.name);
        Ok(VolumeMount {
            source: source.map_err(|error| failure::other(&error))?,
            destination: one.destination.clone(),
            read_only: one.read_only,
            copy_up: !one.no_copy,
            subpath: one.subpath.clone(),
        })
    };
    record.launch.volumes.iter().map(mount).collect()
}
