//! A service.

use indexmap::IndexMap;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::record::{Emit as _, Form, record};
use super::{
    Argv, Blkio, Build, CredentialSpec, Dependency, Deploy, Develop, Device, DeviceRequest,
    EnvFile, ExtraHosts, FileReference, Healthcheck, HiddenText, Hook, Labels, Logging, Mount,
    Port, PreStartHook, Provider, Restart, ServiceModel, ServiceNetwork, Ulimit, Variables,
};
use crate::compose::printed::Printed;
use crate::compose::units::{Bytes, Period};

record! {
    /// A service: what its containers are made of and how they run.
    Service {
        /// Active with these profiles only; always where empty.
        profiles: Vec<String>,
        /// Annotations of the container.
        annotations: Labels,
        /// Whether `up` shows its output.
        attach: Option<bool>,
        /// How its image is made.
        build: Option<Build>,
        /// What happens while it is developed.
        develop: Option<Develop>,
        /// Weights and limits of block devices.
        blkio_config: Option<Blkio>,
        /// Additional capabilities.
        cap_add: Vec<String>,
        /// Capabilities to go without.
        cap_drop: Vec<String>,
        /// cgroup the container's cgroup is made in.
        cgroup_parent: Option<String>,
        /// `host` or `private` cgroup namespace.
        cgroup: Option<String>,
        /// Number of processors (Windows).
        cpu_count: i64,
        /// Share of processors (Windows).
        cpu_percent: f64,
        /// Period of the CPU quota, in microseconds.
        cpu_period: i64,
        /// CPU quota, in microseconds.
        cpu_quota: i64,
        /// Period of the real-time quota, in microseconds.
        cpu_rt_period: i64,
        /// Real-time quota, in microseconds.
        cpu_rt_runtime: i64,
        /// Processors that may be used, in parts.
        cpus: f64,
        /// Which processors.
        cpuset: Option<String>,
        /// Relative weight.
        cpu_shares: i64,
        /// Overrides the image's command; empty clears it.
        command: Option<Argv>,
        /// Configs.
        configs: Vec<FileReference>,
        /// Its container's name.
        container_name: Option<String>,
        /// Windows credentials.
        credential_spec: Option<CredentialSpec>,
        /// What must be there first, by service.
        depends_on: IndexMap<String, Dependency>,
        /// How it is deployed.
        deploy: Option<Deploy>,
        /// Rules of device cgroups.
        device_cgroup_rules: Vec<String>,
        /// Devices of the host.
        devices: Vec<Device>,
        /// DNS servers.
        dns: Vec<String>,
        /// Options of the resolver.
        dns_opt: Vec<String>,
        /// Search domains.
        dns_search: Vec<String>,
        /// Domain name.
        domainname: Option<String>,
        /// Overrides the image's entrypoint; empty clears it.
        entrypoint: Option<Argv>,
        /// A program outside that takes the place of containers.
        provider: Option<Provider>,
        /// What it extends, where that has no value and nothing was taken from it.
        extends: Option<Extends>,
        /// Variables, those of `env_file` included; without a value where the
        /// environment has none.
        environment: Variables,
        /// Files of variables; empty once they are resolved.
        env_file: Vec<EnvFile>,
        /// Ports that it listens on.
        expose: Vec<PortText>,
        /// Containers outside to link.
        external_links: Vec<String>,
        /// Additional hosts.
        extra_hosts: ExtraHosts,
        /// Additional groups.
        group_add: Vec<String>,
        /// GPUs.
        gpus: Vec<DeviceRequest>,
        /// Host name.
        hostname: Option<String>,
        /// How its health is found out.
        healthcheck: Option<Healthcheck>,
        /// Image.
        image: Option<String>,
        /// Run an init as process 1.
        init: Option<bool>,
        /// IPC namespace.
        ipc: Option<String>,
        /// Isolation technology.
        isolation: Option<String>,
        /// Labels of the container.
        labels: Labels,
        /// Files of labels; empty once they are resolved.
        label_file: Vec<String>,
        /// Services to link, `SERVICE[:ALIAS]`.
        links: Vec<String>,
        /// Where output goes.
        logging: Option<Logging>,
        /// Most memory.
        mem_limit: Option<Bytes>,
        /// Memory it is assured of.
        mem_reservation: Option<Bytes>,
        /// Most memory and swap together; -1 for no limit.
        memswap_limit: Option<Bytes>,
        /// How readily it is swapped.
        mem_swappiness: Option<Bytes>,
        /// MAC address.
        mac_address: Option<String>,
        /// AI models.
        models: IndexMap<String, Option<ServiceModel>>,
        /// `none`, `host`, `bridge`, `service:…`, `container:…`.
        network_mode: Option<String>,
        /// Its place on each network.
        networks: IndexMap<String, Option<ServiceNetwork>>,
        /// No OOM killer.
        oom_kill_disable: bool,
        /// Preference of the OOM killer.
        oom_score_adj: i64,
        /// PID namespace.
        pid: Option<String>,
        /// Most processes; 0 when absent, -1 for no limit.
        pids_limit: i64,
        /// `OS/ARCH[/VARIANT]`.
        platform: Option<String>,
        /// Published ports.
        ports: Vec<Port>,
        /// All capabilities and devices.
        privileged: bool,
        /// When the image is pulled.
        pull_policy: Option<String>,
        /// How long an image stays fresh; the reference never prints it.
        pull_refresh_after: Option<HiddenText>,
        /// Root file system not to be written.
        read_only: bool,
        /// When containers are started again; see [`Service::restart_policy`].
        restart: Option<String>,
        /// Runtime.
        runtime: Option<String>,
        /// How many containers.
        scale: Option<i64>,
        /// Secrets.
        secrets: Vec<FileReference>,
        /// Labels and profiles of security modules.
        security_opt: Vec<String>,
        /// Size of /dev/shm.
        shm_size: Option<Bytes>,
        /// Keep stdin open.
        stdin_open: bool,
        /// Time between the stop signal and SIGKILL.
        stop_grace_period: Option<Period>,
        /// Signal that stops it.
        stop_signal: Option<String>,
        /// Options of the storage driver.
        storage_opt: IndexMap<String, String>,
        /// Kernel parameters.
        sysctls: Labels,
        /// tmpfs mounts, `PATH[:OPTIONS]`.
        tmpfs: Vec<String>,
        /// A terminal.
        tty: bool,
        /// Limits by name.
        ulimits: IndexMap<String, Ulimit>,
        /// Give it the engine's API.
        use_api_socket: bool,
        /// `USER[:GROUP]`.
        user: Option<String>,
        /// User namespace.
        userns_mode: Option<String>,
        /// UTS namespace.
        uts: Option<String>,
        /// Mounts.
        volumes: Vec<Mount>,
        /// Services or containers to take mounts from.
        volumes_from: Vec<String>,
        /// Working directory.
        working_dir: Option<String>,
        /// Commands before it starts.
        pre_start: Vec<PreStartHook>,
        /// Commands after it has started.
        post_start: Vec<Hook>,
        /// Commands before it is stopped.
        pre_stop: Vec<Hook>,
    }
}

record! {
    /// What a service extends.
    Extends {
        /// The file of it.
        file: Option<String>,
        /// The service.
        service: Option<String>,
    }
}

/// A port or range of `expose`, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortText(pub String);

impl std::ops::Deref for PortText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl super::Parse for PortText {
    fn parse(node: &crate::compose::tree::Node, cx: &mut super::Cx<'_>) -> Option<Self> {
        match node.scalar_text() {
            Some(text) => Some(Self(text)),
            None => cx.fail(node, format!("is {}", node.kind()), "a port"),
        }
    }
}

impl super::Emit for PortText {
    fn value(&self, _form: Form) -> Printed {
        Printed::String(self.0.clone())
    }
}

/// Attributes that a running container does not depend on.
const NOT_HASHED: [&str; 7] = [
    "build",
    "depends_on",
    "develop",
    "extends",
    "profiles",
    "pull_policy",
    "scale",
];

/// SHA-256 over a canonical form, in hexadecimal; the order of keys is none of
/// its concern.
pub fn canonical_hash(mut json: Json) -> String {
    use std::fmt::Write as _;
    json.sort_all_objects();
    let digest = Sha256::digest(json.to_string().as_bytes());
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok(); // writing to a String cannot fail
        text
    })
}

impl Service {
    /// The service as `config --format json` prints it.
    pub fn canonical_json(&self) -> Json {
        self.value(Form::Json).into_json()
    }

    /// The canonical JSON without what needs no recreation of a container:
    /// what [`Service::config_hash`] is over, and what two versions of a
    /// service are compared by.
    pub fn recreation_json(&self) -> Json {
        let mut json = self.canonical_json();
        if let Some(object) = json.as_object_mut() {
            object.retain(|key, value| !NOT_HASHED.contains(&key.as_str()) && !value.is_null());
            if let Some(deploy) = object.get_mut("deploy").and_then(Json::as_object_mut) {
                deploy.shift_remove("replicas");
                deploy.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
                if deploy.is_empty() {
                    object.shift_remove("deploy");
                }
            }
        }
        json
    }

    /// [`canonical_hash`] over [`Service::recreation_json`].
    pub fn config_hash(&self) -> String {
        canonical_hash(self.recreation_json())
    }

    /// How many containers: `scale`, else `deploy.replicas`, else one.
    pub fn replicas(&self) -> u32 {
        let wanted = self
            .scale
            .or_else(|| self.deploy.as_ref().and_then(|deploy| deploy.replicas))
            .unwrap_or(1);
        u32::try_from(wanted.max(0)).unwrap_or(u32::MAX)
    }

    /// `restart`, read; `Restart::No` where absent.
    pub fn restart_policy(&self) -> Result<Restart, String> {
        self.restart.as_deref().unwrap_or_default().parse()
    }

    /// True where the service belongs to one of the profiles, or to none.
    pub fn is_in_profiles(&self, profiles: &[String]) -> bool {
        self.profiles.is_empty()
            // Where nobody names a profile, the one without a name is active.
            || (profiles.is_empty() && self.profiles.iter().any(String::is_empty))
            || profiles
                .iter()
                .any(|profile| profile == "*" || self.profiles.contains(profile))
    }
}
