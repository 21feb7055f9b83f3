//! Docker's default OCI runtime spec, from which a container's own is made.
//!
//! Taken from what Docker Engine 28.5 hands to its runtime for `docker run`
//! without options, and with `--privileged`.

use std::collections::HashMap;
use std::path::PathBuf;

use oci_spec::runtime::{
    Capabilities, Capability, Linux, LinuxCapabilities, LinuxDeviceCgroup, LinuxDeviceType,
    LinuxNamespace, LinuxNamespaceType, LinuxResources, Mount, Process, Root, Spec,
};
use rustix::process::Resource;

/// Size of `/dev/shm` in bytes.
pub const SHM_SIZE: u64 = 64 * 1024 * 1024;

/// Soft and hard limit of open files, as in Docker's packages.
pub const NOFILE: u64 = 1024 * 1024;

/// Soft limit of the stack in bytes, the kernel's own default.
const STACK: u64 = 8 * 1024 * 1024;
/// Limit of locked memory in bytes, systemd's and so Docker's.
const MEMLOCK: u64 = 8 * 1024 * 1024;
/// Limit of POSIX message queues in bytes, the kernel's own default.
const MSGQUEUE: u64 = 819_200;

/// `PATH` where neither image nor user sets it.
pub const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The capabilities of a container without `cap_add` or `cap_drop`.
pub const DEFAULT_CAPABILITIES: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Character devices that every container may use, by major and minor number:
/// null, zero, full, random, urandom, tty, console, ptmx, net/tun, and
/// pseudo-terminals. The console and net/tun have no node in `/dev`, but a
/// container may make one, as in Docker.
const ALLOWED_DEVICES: [(i64, Option<i64>); 10] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (10, Some(200)),
    (136, None),
];

/// The default of one resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RlimitValue {
    /// These numbers; `None` is unlimited.
    Fixed {
        /// Soft limit.
        soft: Option<u64>,
        /// Hard limit.
        hard: Option<u64>,
    },
    /// Half of the kernel's thread limit, as the kernel itself starts with.
    KernelTasks,
}

/// Every resource limit that the spec's `process.rlimits` does not name.
pub const fn default_rlimits() -> [(Resource, RlimitValue); 16] {
    const UNLIMITED: RlimitValue = RlimitValue::Fixed {
        soft: None,
        hard: None,
    };
    const fn both(value: u64) -> RlimitValue {
        RlimitValue::Fixed {
            soft: Some(value),
            hard: Some(value),
        }
    }
    [
        (Resource::Cpu, UNLIMITED),
        (Resource::Fsize, UNLIMITED),
        (Resource::Data, UNLIMITED),
        (
            Resource::Stack,
            RlimitValue::Fixed {
                soft: Some(STACK),
                hard: None,
            },
        ),
        (Resource::Core, UNLIMITED),
        (Resource::Rss, UNLIMITED),
        (Resource::Nproc, UNLIMITED),
        (Resource::Nofile, both(NOFILE)),
        (Resource::Memlock, both(MEMLOCK)),
        (Resource::As, UNLIMITED),
        (Resource::Locks, UNLIMITED),
        (Resource::Sigpending, RlimitValue::KernelTasks),
        (Resource::Msgqueue, both(MSGQUEUE)),
        (Resource::Nice, both(0)),
        (Resource::Rtprio, both(0)),
        (Resource::Rttime, UNLIMITED),
    ]
}

/// A container without any option: no program, no hostname, no network path.
pub fn default_spec() -> Spec {
    let mut spec = base(capabilities(DEFAULT_CAPABILITIES.into_iter().collect()));
    spec.set_mounts(Some(default_mounts(SHM_SIZE, true)));
    if let Some(linux) = spec.linux_mut() {
        linux.set_masked_paths(Some(MASKED_PATHS.map(String::from).to_vec()));
        linux.set_readonly_paths(Some(READONLY_PATHS.map(String::from).to_vec()));
        let mut resources = LinuxResources::default();
        resources.set_devices(Some(default_device_rules()));
        linux.set_resources(Some(resources));
    }
    spec
}

/// The same with `privileged`: these capabilities (all that the kernel has),
/// every device, writable `/sys` and cgroups, nothing masked. The caller adds
/// the host's device nodes, see [`host_devices`](super::mounts::host_devices).
pub fn privileged_spec(all: &Capabilities) -> Spec {
    let mut spec = base(capabilities(all.clone()));
    spec.set_mounts(Some(default_mounts(SHM_SIZE, false)));
    if let Some(linux) = spec.linux_mut() {
        linux.set_masked_paths(None);
        linux.set_readonly_paths(None);
        let mut resources = LinuxResources::default();
        resources.set_devices(Some(vec![rule(
            true,
            LinuxDeviceType::A,
            None,
            None,
            "rwm",
        )]));
        linux.set_resources(Some(resources));
    }
    spec
}

/// Sysctls that a container with a network namespace of its own gets.
pub fn network_sysctls() -> HashMap<String, String> {
    HashMap::from([
        (
            "net.ipv4.ip_unprivileged_port_start".to_owned(),
            "0".to_owned(),
        ),
        (
            "net.ipv4.ping_group_range".to_owned(),
            "0 2147483647".to_owned(),
        ),
    ])
}

/// The five capability sets from one list: bounding, effective, permitted;
/// nothing inheritable or ambient.
pub fn capabilities(list: Capabilities) -> LinuxCapabilities {
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(list.clone()));
    sets.set_effective(Some(list.clone()));
    sets.set_permitted(Some(list));
    sets.set_inheritable(None);
    sets.set_ambient(None);
    sets
}

/// Docker's default mounts; `shm_size` in bytes. The generated files (hosts,
/// hostname, resolv.conf) and the user's own mounts follow them.
pub fn default_mounts(shm_size: u64, read_only_system: bool) -> Vec<Mount> {
    let system = |options: &[&str]| {
        let mut options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        if read_only_system {
            options.push("ro".to_owned());
        }
        options
    };
    let plain = |options: &[&str]| options.iter().map(|&option| option.to_owned()).collect();
    let shm = format!("size={shm_size}");
    vec![
        mount(
            "/proc",
            "proc",
            "proc",
            plain(&["nosuid", "noexec", "nodev"]),
        ),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            plain(&["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            plain(&[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ]),
        ),
        mount(
            "/sys",
            "sysfs",
            "sysfs",
            system(&["nosuid", "noexec", "nodev"]),
        ),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            system(&["nosuid", "noexec", "nodev"]),
        ),
        mount(
            "/dev/mqueue",
            "mqueue",
            "mqueue",
            plain(&["nosuid", "noexec", "nodev"]),
        ),
        mount(
            "/dev/shm",
            "tmpfs",
            "shm",
            plain(&["nosuid", "noexec", "nodev", "mode=1777", &shm]),
        ),
    ]
}

/// One mount of an OCI spec.
pub fn mount(destination: &str, kind: &str, source: &str, options: Vec<String>) -> Mount {
    let mut mount = Mount::default();
    mount.set_destination(PathBuf::from(destination));
    mount.set_typ(Some(kind.to_owned()));
    mount.set_source(Some(PathBuf::from(source)));
    mount.set_options(Some(options));
    mount
}

/// Docker's device rules: everything may be made, only the default nodes (and
/// terminals) may be used. Rules for further devices are appended.
pub fn default_device_rules() -> Vec<LinuxDeviceCgroup> {
    let mut rules = vec![
        rule(false, LinuxDeviceType::A, None, None, "rwm"),
        rule(true, LinuxDeviceType::C, None, None, "m"),
        rule(true, LinuxDeviceType::B, None, None, "m"),
    ];
    rules.extend(
        ALLOWED_DEVICES
            .into_iter()
            .map(|(major, minor)| rule(true, LinuxDeviceType::C, Some(major), minor, "rwm")),
    );
    rules
}

/// One rule of the device controller; `None` stands for every number.
pub fn rule(
    allow: bool,
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow);
    rule.set_typ(Some(kind));
    rule.set_major(major);
    rule.set_minor(minor);
    rule.set_access(Some(access.to_owned()));
    rule
}

/// Takes the network namespace out of a container's own ones, so that it has the
/// machine's.
pub fn join_host_network(spec: &mut Spec) {
    if let Some(linux) = spec.linux_mut()
        && let Some(namespaces) = linux.namespaces_mut()
    {
        namespaces.retain(|one| one.typ() != LinuxNamespaceType::Network);
    }
}

fn base(capabilities: LinuxCapabilities) -> Spec {
    let mut process = Process::default();
    process.set_terminal(Some(false));
    process.set_args(None);
    process.set_env(Some(vec![DEFAULT_PATH.to_owned()]));
    process.set_cwd(PathBuf::from("/"));
    process.set_capabilities(Some(capabilities));
    process.set_rlimits(None);
    process.set_no_new_privileges(Some(false));
    process.set_oom_score_adj(Some(0));

    let mut linux = Linux::default();
    linux.set_namespaces(Some(
        [
            LinuxNamespaceType::Mount,
            LinuxNamespaceType::Network,
            LinuxNamespaceType::Uts,
            LinuxNamespaceType::Pid,
            LinuxNamespaceType::Ipc,
            LinuxNamespaceType::Cgroup,
        ]
        .map(namespace)
        .to_vec(),
    ));
    linux.set_devices(None);

    let mut root = Root::default();
    root.set_readonly(Some(false));
    let mut spec = Spec::default();
    spec.set_version("1.2.1".to_owned());
    spec.set_root(Some(root));
    spec.set_hostname(None);
    spec.set_process(Some(process));
    spec.set_linux(Some(linux));
    spec
}

fn namespace(kind: LinuxNamespaceType) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(kind);
    namespace
}
