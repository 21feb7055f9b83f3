//! RUN: a container on the layers so far, whose upper directory becomes the next.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use oci_spec::runtime::{LinuxMemory, Spec};

use super::agent::Relay;
use super::error::BuildError;
use super::full;
use super::kept_folders::Use;
use super::layer::Made;
use super::stubs;
use super::worker::Worker;
use crate::build::graph::{Network, Sandbox};
use crate::engine::caps::CapSet;
use crate::engine::spec::{InlineFile, Seccomp};
use crate::engine::{mounts, oci_default};
use crate::image::{Digest, Store, Usage};
use crate::net::spec::EndpointSpec;
use crate::state::lock::Lock;
use crate::state::{ContainerId, Layout};
use crate::supervise::launch::{
    DnsOptions, HostAddress, LaunchSpec, LogOptions, NetworkMode, RestartPolicy, TreeUse,
};
use crate::supervise::record::{ContainerRecord, RECORD_VERSION};

/// The name that a step sees itself by, as in Docker's builds.
const HOSTNAME: &str = "buildkitsandbox";

/// A command to be run.
#[derive(Debug)]
pub(crate) struct Job {
    /// Layers below, the lowest first.
    pub(crate) layers: Vec<Digest>,
    /// Program and arguments.
    pub(crate) args: Vec<String>,
    /// The whole environment, `NAME=value`.
    pub(crate) env: Vec<String>,
    /// Working directory, absolute.
    pub(crate) folder: PathBuf,
    /// `user[:group]`; absent for root.
    pub(crate) user: Option<String>,
    /// Where it may connect to.
    pub(crate) network: Network,
    /// `--security=insecure`
    pub(crate) insecure: bool,
    /// What is the same for all commands.
    pub(crate) sandbox: Arc<Sandbox>,
    /// What is mounted beside the root.
    pub(crate) mounts: Mounts,
}

/// What is mounted in a step.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    /// Folders of the host, new file systems.
    pub(crate) oci: Vec<oci_spec::runtime::Mount>,
    /// Parts of other stages.
    pub(crate) trees: Vec<TreeUse>,
    /// Secrets, scripts.
    pub(crate) files: Vec<InlineFile>,
    /// Caches; one with a lock is used by nobody else meanwhile.
    pub(crate) held: Vec<(Use, Option<Lock>)>,
    /// Agents' sockets.
    pub(super) relays: Vec<Relay>,
    /// Copies of files, removed at the end.
    pub(crate) folders: Vec<tempfile::TempDir>,
}

impl Mounts {
    fn targets(&self) -> Vec<PathBuf> {
        let mounts = self.oci.iter().map(|mount| mount.destination().clone());
        let trees = self
            .trees
            .iter()
            .map(|tree| PathBuf::from(&tree.destination));
        let files = self
            .files
            .iter()
            .map(|file| PathBuf::from(&file.destination));
        mounts.chain(trees).chain(files).collect()
    }
}

/// Runs it and gives back what it changed.
///
/// # Errors
/// It ended with another code than 0, or could not be started.
pub(crate) async fn run(
    worker: &Worker,
    (layout, store, usage): (&Layout, &Store, &Arc<Usage>),
    job: Job,
    output: io::PipeWriter,
    latest: Option<i64>,
) -> Result<Made, BuildError> {
    let network = match &job.network {
        Network::Default => worker.network().await?,
        Network::None => NetworkMode::None,
        Network::Host => NetworkMode::Host,
        Network::Named(name) => NetworkMode::Networks(vec![EndpointSpec {
            network: name.clone(),
            ..EndpointSpec::default()
        }]),
    };
    let targets = job.mounts.targets();
    let lower = store.lower_folders(&job.layers)?;
    let command = job.args.join(" ");
    let (record, _held) = record(worker.project(), job, network);
    let folder = layout.container(&record.project, &record.id);
    let ended = worker.run(record, output).await?;
    match ended.code {
        Some(0) => {}
        // Its files are there still: later there is room again.
        Some(code) => return Err(full::told(layout, BuildError::Exit { command, code })),
        None => return Err(BuildError::Lost { command }),
    }
    let (store, usage) = (store.clone(), Arc::clone(usage));
    let upper = folder.join("upper");
    let made = tokio::task::spawn_blocking(move || {
        stubs::remove(&upper, &targets, &lower).map_err(BuildError::files("tidy up", &upper))?;
        Made::commit(&store, &usage, &upper, latest)
    });
    let made = made.await.map_err(|error| BuildError::Files {
        action: "keep",
        path: folder,
        source: io::Error::other(error),
    })?;
    drop(ended);
    made
}

/// The container, and what has to be kept for as long as it runs.
fn record(project: &str, job: Job, network: NetworkMode) -> (ContainerRecord, impl Sized + use<>) {
    let id = ContainerId::random();
    let oci = spec(&job);
    let extra_hosts = job.sandbox.extra_hosts.iter().map(host).collect();
    let held = (job.mounts.held, job.mounts.relays, job.mounts.folders);
    let launch = LaunchSpec {
        layers: job.layers.iter().map(ToString::to_string).collect(),
        oci,
        user: job.user,
        groups: Vec::new(),
        seccomp: if job.insecure {
            Seccomp::Unconfined
        } else {
            Seccomp::Default
        },
        volumes: Vec::new(),
        trees: job.mounts.trees,
        files: job.mounts.files,
        network,
        ports: Vec::new(),
        exposed: Vec::new(),
        extra_hosts,
        dns: DnsOptions::default(),
        domainname: None,
        tty: false,
        open_stdin: false,
        init: false,
        stop_signal: libc::SIGKILL,
        stop_grace: None,
        restart: RestartPolicy::No,
        health: None,
        log: LogOptions {
            enabled: false,
            max_size: None,
            max_files: 1,
        },
        auto_remove: false,
        bound: true,
    };
    let record = ContainerRecord {
        version: RECORD_VERSION,
        name: format!("{project}-{}", id.short()),
        id,
        project: project.to_owned(),
        service: "build".to_owned(),
        number: 1,
        oneoff: true,
        created: jiff::Timestamp::now().to_string(),
        image: String::new(),
        image_id: String::new(),
        labels: std::collections::BTreeMap::new(),
        config_hash: String::new(),
        canonical: serde_json::Value::Null,
        launch,
    };
    (record, held)
}

/// `host-gateway` is the build network's own address on this machine.
fn host((name, address): &(String, String)) -> (String, HostAddress) {
    let address = match address.parse() {
        Ok(ip) => HostAddress::Ip(ip),
        Err(_) => HostAddress::Gateway,
    };
    (name.clone(), address)
}

fn spec(job: &Job) -> Spec {
    let mut spec = if job.insecure {
        oci_default::privileged_spec(&CapSet::all().to_oci())
    } else {
        oci_default::default_spec()
    };
    if let Some(process) = spec.process_mut() {
        process.set_args(Some(job.args.clone()));
        process.set_env(Some(job.env.clone()));
        process.set_cwd(job.folder.clone());
        let limits = job.sandbox.ulimits.clone();
        process.set_rlimits((!limits.is_empty()).then_some(limits));
    }
    if job.network == Network::Host {
        oci_default::join_host_network(&mut spec);
    } else {
        let own = Some(&job.sandbox.hostname).filter(|name| !name.is_empty());
        spec.set_hostname(Some(own.map_or(HOSTNAME, String::as_str).to_owned()));
        if let Some(linux) = spec.linux_mut() {
            linux.set_sysctl(Some(oci_default::network_sysctls()));
        }
    }
    if job.insecure
        && let Some(linux) = spec.linux_mut()
        && let Ok(devices) = mounts::host_devices()
    {
        linux.set_devices(Some(devices));
    }
    if let Some(limit) = job.sandbox.memory
        && let Some(linux) = spec.linux_mut()
    {
        let mut memory = LinuxMemory::default();
        // As of a container: so much again may be swapped out.
        memory
            .set_limit(Some(limit))
            .set_swap(Some(limit.saturating_mul(2)));
        let mut resources = linux.resources().clone().unwrap_or_default();
        resources.set_memory(Some(memory));
        linux.set_resources(Some(resources));
    }
    let shm_size = job.sandbox.shm_size.unwrap_or(oci_default::SHM_SIZE);
    let mut all = oci_default::default_mounts(shm_size, !job.insecure);
    all.extend(job.mounts.oci.iter().cloned());
    spec.set_mounts(Some(all));
    spec
}
