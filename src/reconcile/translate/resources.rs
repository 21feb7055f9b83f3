//! Limits, sysctls, devices.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory,
    LinuxPids, LinuxResources, LinuxThrottleDevice, LinuxThrottleDeviceBuilder, LinuxWeightDevice,
    LinuxWeightDeviceBuilder, Spec,
};

use crate::compose::{Bytes, Device, Resource, ThrottleDevice};
use crate::engine::mounts::sysctl;
use crate::engine::oci_default;

use super::Work;
use super::host::FileKind;
use super::values::joins_another;

/// Length of a CPU quota's period where none is given, microseconds.
const CPU_PERIOD: u64 = 100_000;
/// Docker's least memory limit.
const LEAST_MEMORY: i64 = 6 * 1024 * 1024;
/// Below this, a number of bytes was most likely meant to be one of megabytes.
const MOST_MEGABYTES: i64 = 1 << 16;
/// How deep a folder of devices is followed.
const DEVICE_FOLDER_DEPTH: u32 = 8;

impl Work<'_> {
    /// Fills `linux.resources` and `linux.sysctl`.
    pub(super) fn resources(&mut self, spec: &mut Spec) {
        let mut linux = spec.linux().clone().unwrap_or_default();
        let mut resources = linux.resources().clone().unwrap_or_default();
        if let Some(cpu) = self.cpu() {
            resources.set_cpu(Some(cpu));
        }
        if let Some(memory) = self.memory() {
            resources.set_memory(Some(memory));
        }
        let deploy_pids = self.deploy_limits().map_or(0, |limits| limits.pids);
        let pids = if self.service.pids_limit == 0 {
            deploy_pids
        } else {
            self.service.pids_limit
        };
        if pids != 0 {
            let mut limit = LinuxPids::default();
            limit.set_limit(pids.max(-1));
            resources.set_pids(Some(limit));
        }
        if let Some(io) = self.block_io() {
            resources.set_block_io(Some(io));
        }
        linux.set_resources(Some(resources));
        let sysctls = self.sysctls();
        linux.set_sysctl((!sysctls.is_empty()).then_some(sysctls));
        spec.set_linux(Some(linux));
    }

    fn deploy_limits(&self) -> Option<&Resource> {
        self.service
            .deploy
            .as_ref()
            .and_then(|deploy| deploy.resources.limits.as_ref())
    }

    fn cpu(&mut self) -> Option<LinuxCpu> {
        let service = self.service;
        let deploy = self.deploy_limits().map_or(0.0, |limits| limits.cpus);
        let cpus = if deploy > 0.0 { deploy } else { service.cpus };
        let mut cpu = LinuxCpu::default();
        let nothing = cpu.clone();
        let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
        cpu.set_shares(positive(service.cpu_shares));
        cpu.set_period(positive(service.cpu_period));
        cpu.set_quota((service.cpu_quota != 0).then_some(service.cpu_quota));
        cpu.set_realtime_period(positive(service.cpu_rt_period));
        cpu.set_realtime_runtime((service.cpu_rt_runtime != 0).then_some(service.cpu_rt_runtime));
        cpu.set_cpus(service.cpuset.clone().filter(|text| !text.is_empty()));
        if cpus != 0.0 {
            let processors = self.context.host.processors();
            let most = u32::try_from(processors).map_or(f64::MAX, f64::from);
            let attribute = if deploy > 0.0 {
                "deploy.resources.limits.cpus"
            } else {
                "cpus"
            };
            if !(0.01..=most).contains(&cpus) {
                self.issues.error(
                    attribute,
                    format!(
                        "is {cpus}, and must be from 0.01 to {processors}, \
                         as there are {processors} processors"
                    ),
                );
            }
            #[expect(
                clippy::cast_possible_truncation,
                reason = "checked to be a small number"
            )]
            let quota = (cpus * 100_000.0).round() as i64;
            cpu.set_period(Some(CPU_PERIOD));
            cpu.set_quota(Some(quota));
        }
        (cpu != nothing).then_some(cpu)
    }

    fn memory(&mut self) -> Option<LinuxMemory> {
        let service = self.service;
        let bytes = |value: Option<Bytes>| value.map(|bytes| bytes.0).filter(|bytes| *bytes != 0);
        let deploy = service.deploy.as_ref().map(|deploy| &deploy.resources);
        let of = |resource: Option<&Resource>| bytes(resource.and_then(|one| one.memory));
        let limits = of(deploy.and_then(|one| one.limits.as_ref()));
        let limit = limits.or_else(|| bytes(service.mem_limit));
        let limit_is = limits.map_or("mem_limit", |_| "deploy.resources.limits.memory");
        let reserved = of(deploy.and_then(|one| one.reservations.as_ref()));
        let reservation = reserved.or_else(|| bytes(service.mem_reservation));
        let reservation_is = reserved.map_or(
            "mem_reservation",
            |_| "deploy.resources.reservations.memory",
        );
        let swap = bytes(service.memswap_limit);
        let mut memory = LinuxMemory::default();
        let nothing = memory;
        if let Some(limit) = limit {
            if limit < LEAST_MEMORY {
                let help = if limit < MOST_MEGABYTES {
                    format!("a number without a unit is bytes: write `{limit}m` for megabytes")
                } else {
                    "write `6m` or more".to_owned()
                };
                let message = format!(
                    "{limit} bytes are too little, it must be at least 6m; expected a size from 6m on; {help}"
                );
                self.issues.error(limit_is, message);
            }
            if swap.is_some_and(|swap| swap > 0 && swap < limit) {
                let message = format!("must not be below `{limit_is}`");
                self.issues.error("memswap_limit", message);
            }
            if reservation.is_some_and(|reservation| reservation > limit) {
                let message = format!("must not be above `{limit_is}`");
                self.issues.error(reservation_is, message);
            }
            memory.set_limit(Some(limit));
            // Memory and swap together; Docker allows as much again.
            memory.set_swap(Some(swap.unwrap_or_else(|| limit.saturating_mul(2))));
        } else if swap.is_some_and(|swap| swap > 0) {
            self.issues
                .error("memswap_limit", "needs `mem_limit` beside it");
        }
        memory.set_reservation(reservation);
        if let Some(swappiness) = service.mem_swappiness {
            match u64::try_from(swappiness.0) {
                Ok(value) if value <= 100 => {
                    memory.set_swappiness(Some(value));
                }
                Ok(_) | Err(_) => self.issues.error("mem_swappiness", "must be from 0 to 100"),
            }
        }
        if service.oom_kill_disable {
            memory.set_disable_oom_killer(Some(true));
        }
        (memory != nothing).then_some(memory)
    }

    fn block_io(&mut self) -> Option<LinuxBlockIo> {
        let config = self.service.blkio_config.as_ref()?;
        let host = self.context.host;
        let issues = &mut self.issues;
        let mut number = |list: &str, path: &str| {
            if let Some(FileKind::Device { major, minor, .. }) = host.kind(Path::new(path)) {
                return Some((major, minor));
            }
            issues.error(
                &format!("blkio_config.{list}"),
                format!("`{path}` is not a device"),
            );
            None
        };
        let mut throttle = |list: &str, devices: &[ThrottleDevice]| {
            let found: Vec<LinuxThrottleDevice> = devices
                .iter()
                .filter_map(|device| {
                    let (major, minor) = number(list, &device.path)?;
                    let rate = u64::try_from(device.rate.0).unwrap_or(0);
                    let entry = LinuxThrottleDeviceBuilder::default();
                    entry.major(major).minor(minor).rate(rate).build().ok()
                })
                .collect();
            (!found.is_empty()).then_some(found)
        };
        let mut io = LinuxBlockIo::default();
        io.set_throttle_read_bps_device(throttle("device_read_bps", &config.device_read_bps));
        io.set_throttle_write_bps_device(throttle("device_write_bps", &config.device_write_bps));
        io.set_throttle_read_iops_device(throttle("device_read_iops", &config.device_read_iops));
        io.set_throttle_write_iops_device(throttle("device_write_iops", &config.device_write_iops));
        let weights: Vec<LinuxWeightDevice> = config
            .weight_device
            .iter()
            .filter_map(|device| {
                let (major, minor) = number("weight_device", &device.path)?;
                let entry = LinuxWeightDeviceBuilder::default();
                entry
                    .major(major)
                    .minor(minor)
                    .weight(device.weight)
                    .build()
                    .ok()
            })
            .collect();
        io.set_weight_device((!weights.is_empty()).then_some(weights));
        io.set_weight((config.weight > 0).then_some(config.weight));
        Some(io)
    }

    /// Those of a network namespace of its own, and the service's over them.
    fn sysctls(&mut self) -> HashMap<String, String> {
        let mode = self.service.network_mode.as_deref().unwrap_or_default();
        let own_network = mode != "host" && !joins_another(mode);
        let mut sysctls = if own_network {
            oci_default::network_sysctls()
        } else {
            HashMap::new()
        };
        for (key, value) in self.service.sysctls.iter() {
            if let Some(message) = self.sysctl_refusal(key, own_network) {
                self.issues.error(&format!("sysctls.{key}"), message);
            }
            sysctls.insert(key.clone(), value.clone());
        }
        sysctls
    }

    /// Why a container cannot set this parameter.
    fn sysctl_refusal(&self, key: &str, own_network: bool) -> Option<String> {
        let is_net = key.starts_with("net.");
        if !is_net && !is_ipc_sysctl(key) && !is_uts_sysctl(key) {
            let message = "belongs to the whole host; a container may set net.*, fs.mqueue.*, \
                           kernel.msg*, kernel.sem and kernel.shm*";
            return Some(message.to_owned());
        }
        if is_net && !own_network {
            let mode = self.service.network_mode.as_deref().unwrap_or_default();
            return Some(format!(
                "cannot be set with `network_mode: {mode}`: the network is not its own"
            ));
        }
        for (namespace, is_of_it) in [("ipc", is_ipc_sysctl(key)), ("uts", is_uts_sysctl(key))] {
            if is_of_it && self.on_host(namespace) {
                return Some(format!("cannot be set with `{namespace}: host`"));
            }
        }
        self.is_unknown_sysctl(key)
            .then(|| "this kernel has no such parameter".to_owned())
    }

    /// True where the kernel surely lacks a parameter. One whose folder is
    /// missing, too, may come with a module or with the container's own links.
    fn is_unknown_sysctl(&self, key: &str) -> bool {
        // Connection tracking is loaded with the first network's rules.
        if key.starts_with("net.netfilter.") {
            return false;
        }
        let path = Path::new("/proc").join(sysctl::path_of(key));
        let folder = path.parent().and_then(|path| self.context.host.kind(path));
        folder == Some(FileKind::Folder) && self.context.host.kind(&path).is_none()
    }

    /// Fills `linux.devices` and the rules for them.
    pub(super) fn devices(&mut self, spec: &mut Spec) {
        let mut linux = spec.linux().clone().unwrap_or_default();
        let mut resources = linux.resources().clone().unwrap_or_default();
        let mut nodes = linux.devices().clone().unwrap_or_default();
        let mut rules = resources.devices().clone().unwrap_or_default();
        if self.service.privileged {
            nodes.extend(self.context.host.devices());
        }
        for (index, device) in self.service.devices.iter().enumerate() {
            let attribute = format!("devices[{index}]");
            self.device(&attribute, device, &mut nodes, &mut rules);
        }
        for (index, text) in self.service.device_cgroup_rules.iter().enumerate() {
            match parse_rule(text) {
                Some(rule) => rules.push(rule),
                None => self.issues.error(
                    &format!("device_cgroup_rules[{index}]"),
                    format!("`{text}` is not a device rule, as `c 1:3 mr` or `a *:* rwm` are"),
                ),
            }
        }
        linux.set_devices((!nodes.is_empty()).then_some(nodes));
        set_rules(&mut resources, rules);
        linux.set_resources(Some(resources));
        spec.set_linux(Some(linux));
    }

    fn device(
        &mut self,
        attribute: &str,
        device: &Device,
        nodes: &mut Vec<LinuxDevice>,
        rules: &mut Vec<LinuxDeviceCgroup>,
    ) {
        let source = device.source.as_deref().unwrap_or_default();
        let target = device.target.as_deref().unwrap_or(source);
        let access = device.permissions.as_deref().unwrap_or("rwm");
        if access.chars().any(|c| !"rwm".contains(c)) {
            self.issues
                .error(attribute, format!("`{access}` is not made of r, w and m"));
            return;
        }
        if !source.starts_with('/') {
            self.issues.error(
                attribute,
                format!("`{source}` is not a path of the host (CDI names are not supported yet)"),
            );
            return;
        }
        let before = nodes.len();
        self.nodes(
            Path::new(source),
            Path::new(target),
            DEVICE_FOLDER_DEPTH,
            nodes,
        );
        if nodes.len() == before {
            self.issues.error(
                attribute,
                format!("there is no device `{source}` on this host"),
            );
        }
        for node in nodes.iter().skip(before) {
            let rule = oci_default::rule(
                true,
                node.typ(),
                Some(node.major()),
                Some(node.minor()),
                access,
            );
            rules.push(rule);
        }
    }

    /// A node, or all nodes below a folder.
    fn nodes(&self, source: &Path, target: &Path, depth: u32, nodes: &mut Vec<LinuxDevice>) {
        match self.context.host.kind(source) {
            Some(FileKind::Device {
                kind,
                major,
                minor,
                mode,
                uid,
                gid,
            }) => {
                let mut node = LinuxDevice::default();
                node.set_path(PathBuf::from(target))
                    .set_typ(kind)
                    .set_major(major)
                    .set_minor(minor)
                    .set_file_mode(Some(mode))
                    .set_uid(Some(uid))
                    .set_gid(Some(gid));
                nodes.retain(|other| other.path() != node.path());
                nodes.push(node);
            }
            Some(FileKind::Folder) if depth > 0 => {
                for entry in self.context.host.entries(source) {
                    if let Some(name) = entry.file_name() {
                        self.nodes(&entry, &target.join(name), depth - 1, nodes);
                    }
                }
            }
            Some(FileKind::Folder | FileKind::File | FileKind::Other) | None => {}
        }
    }
}

fn set_rules(resources: &mut LinuxResources, rules: Vec<LinuxDeviceCgroup>) {
    resources.set_devices((!rules.is_empty()).then_some(rules));
}

/// `c 1:3 mr`: kind, numbers (`*` for all), access.
fn parse_rule(text: &str) -> Option<LinuxDeviceCgroup> {
    let mut words = text.split_whitespace();
    let kind = match words.next()? {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |text: &str| match text {
        "*" => Some(None),
        digits => digits.parse::<i64>().ok().map(Some),
    };
    let (major, minor) = (number(major)?, number(minor)?);
    let access = words.next()?;
    let valid = words.next().is_none() && access.chars().all(|c| "rwm".contains(c));
    valid.then(|| oci_default::rule(true, kind, major, minor, access))
}

fn is_ipc_sysctl(key: &str) -> bool {
    key.starts_with("fs.mqueue.")
        || matches!(
            key,
            "kernel.msgmax"
                | "kernel.msgmnb"
                | "kernel.msgmni"
                | "kernel.sem"
                | "kernel.shmall"
                | "kernel.shmmax"
                | "kernel.shmmni"
                | "kernel.shm_rmid_forced"
        )
}

fn is_uts_sysctl(key: &str) -> bool {
    key == "kernel.domainname"
}
