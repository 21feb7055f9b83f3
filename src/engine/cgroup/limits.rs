//! Which value goes to which file: the OCI spec's `linux.resources` as a list
//! of settings, for each version (pure functions).
//!
//! Conversions follow runc, so that a Compose file has the effect it has with
//! Docker.

use std::collections::BTreeMap;
use std::fmt::Display;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice};

use super::error::CgroupError;
use super::limit::{BLOCK_IO, CPU, CPUSET, HUGE_PAGES, MEMORY, PROCESSES, SWAP, SWAPPINESS};
use super::mounts::Controller;

/// Bandwidth is counted over this many microseconds unless another period is
/// given (the kernel's default).
const DEFAULT_PERIOD: u64 = 100_000;

/// One value for one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// Whose file it is.
    pub(super) controller: Controller,
    /// What is limited, as it fits after "cannot limit".
    pub(super) limit: &'static str,
    /// Files and values; the first file that exists is written.
    pub(super) choices: Vec<(String, String)>,
    /// Some kernels have the controller but not the file.
    pub(super) may_be_absent: bool,
    /// Where the file is absent, that is no error.
    pub(super) optional: bool,
}

impl Setting {
    fn new(controller: Controller, limit: &'static str, file: &str, value: impl Display) -> Self {
        Self {
            controller,
            limit,
            choices: vec![(file.to_owned(), value.to_string())],
            may_be_absent: false,
            optional: false,
        }
    }

    fn or(mut self, file: &str, value: impl Display) -> Self {
        self.choices.push((file.to_owned(), value.to_string()));
        self
    }

    fn may_be_absent(mut self) -> Self {
        self.may_be_absent = true;
        self
    }

    pub(super) fn no_controller(&self) -> CgroupError {
        CgroupError::NoController {
            controller: self.controller,
            limit: self.limit,
        }
    }

    pub(super) fn not_supported(&self) -> CgroupError {
        CgroupError::NotSupported {
            controller: self.controller,
            limit: self.limit,
            file: self
                .choices
                .first()
                .map(|(file, _)| file.clone())
                .unwrap_or_default(),
        }
    }
}

/// The settings of version 1, in the order in which they must be written.
pub(super) fn plan_v1(resources: &LinuxResources) -> Result<Vec<Setting>, CgroupError> {
    refuse_foreign(resources)?;
    if resources
        .unified()
        .as_ref()
        .is_some_and(|map| !map.is_empty())
    {
        return Err(invalid(
            "resources by version 2 file names",
            "this host has control groups version 1",
        ));
    }
    let mut settings = Vec::new();
    if let Some(memory) = resources.memory() {
        memory_v1(memory, &mut settings)?;
    }
    if let Some(cpu) = resources.cpu() {
        cpu_v1(cpu, &mut settings);
        cpuset(cpu, &mut settings);
    }
    pids(resources, &mut settings);
    if let Some(io) = resources.block_io() {
        io_v1(io, &mut settings)?;
    }
    for page in resources.hugepage_limits().iter().flatten() {
        let file = format!("hugetlb.{}.limit_in_bytes", page.page_size());
        settings.push(
            Setting::new(Controller::Hugetlb, HUGE_PAGES, &file, page.limit()).may_be_absent(),
        );
    }
    Ok(settings)
}

/// The settings of version 2, in the order in which they must be written.
pub(super) fn plan_v2(resources: &LinuxResources) -> Result<Vec<Setting>, CgroupError> {
    refuse_foreign(resources)?;
    let mut settings = Vec::new();
    if let Some(memory) = resources.memory() {
        memory_v2(memory, &mut settings)?;
    }
    if let Some(cpu) = resources.cpu() {
        cpu_v2(cpu, &mut settings)?;
        cpuset(cpu, &mut settings);
    }
    pids(resources, &mut settings);
    if let Some(io) = resources.block_io() {
        io_v2(io, &mut settings)?;
    }
    for page in resources.hugepage_limits().iter().flatten() {
        let file = format!("hugetlb.{}.max", page.page_size());
        settings.push(
            Setting::new(Controller::Hugetlb, HUGE_PAGES, &file, page.limit()).may_be_absent(),
        );
    }
    let unified = resources.unified().iter().flatten();
    for (file, value) in unified.collect::<BTreeMap<_, _>>() {
        let controller = file
            .split_once('.')
            .filter(|(_, rest)| !rest.contains('/'))
            .and_then(|(name, _)| Controller::from_v2(name))
            .ok_or_else(|| invalid("resources", &format!("`{file}` is no controller's file")))?;
        settings
            .push(Setting::new(controller, "resources by file name", file, value).may_be_absent());
    }
    Ok(settings)
}

/// What no version has, or nothing in Compose asks for.
fn refuse_foreign(resources: &LinuxResources) -> Result<(), CgroupError> {
    let network = resources.network().as_ref();
    if network.is_some_and(|n| n.class_id().is_some() || n.priorities().is_some()) {
        return Err(invalid(
            "network classes",
            "net_cls and net_prio are not supported",
        ));
    }
    if resources.rdma().as_ref().is_some_and(|map| !map.is_empty()) {
        return Err(invalid("RDMA resources", "they are not supported"));
    }
    let memory = resources.memory().as_ref();
    let kernel = memory.and_then(|memory| memory.kernel().or_else(|| memory.kernel_tcp()));
    if kernel.is_some_and(|limit| limit > 0) {
        return Err(invalid(
            "kernel memory",
            "kernels have dropped this limit; the memory limit counts kernel memory too",
        ));
    }
    Ok(())
}

fn invalid(limit: &'static str, reason: &str) -> CgroupError {
    CgroupError::Invalid {
        limit,
        reason: reason.to_owned(),
    }
}

/// The sum of memory and swap, where it is limited. Docker's default, twice the
/// memory, is passed over where the kernel does not count swap.
fn swap(memory: &LinuxMemory) -> Result<Option<(i64, bool)>, CgroupError> {
    let Some(sum) = memory.swap().filter(|sum| *sum != 0) else {
        return Ok(None);
    };
    let limit = memory.limit().filter(|limit| *limit != 0);
    match limit {
        _ if sum < 0 => Ok(Some((-1, true))),
        Some(limit) if limit > 0 && sum < limit => Err(invalid(
            SWAP,
            "the sum of memory and swap is below the memory limit",
        )),
        Some(limit) if limit > 0 => Ok(Some((sum, Some(sum) == limit.checked_mul(2)))),
        _ => Err(invalid(SWAP, "it needs a memory limit as well")),
    }
}

fn memory_v1(memory: &LinuxMemory, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    let c = Controller::Memory;
    if let Some(limit) = memory.limit().filter(|limit| *limit != 0) {
        settings.push(Setting::new(
            c,
            MEMORY,
            "memory.limit_in_bytes",
            limit.max(-1),
        ));
    }
    if let Some((sum, optional)) = swap(memory)? {
        let mut setting = Setting::new(c, SWAP, "memory.memsw.limit_in_bytes", sum).may_be_absent();
        setting.optional = optional;
        setting.may_be_absent = !optional;
        settings.push(setting);
    }
    if let Some(reservation) = memory.reservation().filter(|bytes| *bytes != 0) {
        settings.push(Setting::new(
            c,
            MEMORY,
            "memory.soft_limit_in_bytes",
            reservation,
        ));
    }
    if let Some(swappiness) = memory.swappiness() {
        if swappiness > 100 {
            return Err(invalid(SWAPPINESS, "it is a number from 0 to 100"));
        }
        settings.push(Setting::new(c, SWAPPINESS, "memory.swappiness", swappiness));
    }
    if memory.disable_oom_killer() == Some(true) {
        settings.push(Setting::new(c, "the OOM killer", "memory.oom_control", 1));
    }
    Ok(())
}

fn memory_v2(memory: &LinuxMemory, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    let c = Controller::Memory;
    if let Some(limit) = memory.limit().filter(|limit| *limit != 0) {
        settings.push(Setting::new(c, MEMORY, "memory.max", max_or(limit)));
    }
    if let Some((sum, optional)) = swap(memory)? {
        // Version 2 counts swap alone.
        let alone = if sum < 0 {
            -1
        } else {
            sum - memory.limit().unwrap_or(0)
        };
        let mut setting = Setting::new(c, SWAP, "memory.swap.max", max_or(alone));
        setting.optional = optional;
        setting.may_be_absent = !optional;
        settings.push(setting);
    }
    if let Some(reservation) = memory.reservation().filter(|bytes| *bytes != 0) {
        settings.push(Setting::new(c, MEMORY, "memory.low", max_or(reservation)));
    }
    if memory.swappiness().is_some() {
        return Err(invalid(
            SWAPPINESS,
            "control groups version 2 do not have it",
        ));
    }
    if memory.disable_oom_killer() == Some(true) {
        return Err(invalid(
            "the OOM killer",
            "control groups version 2 cannot switch it off",
        ));
    }
    Ok(())
}

/// A negative number is no limit.
fn max_or(value: i64) -> String {
    if value < 0 {
        "max".to_owned()
    } else {
        value.to_string()
    }
}

fn cpu_v1(cpu: &LinuxCpu, settings: &mut Vec<Setting>) {
    let c = Controller::Cpu;
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        settings.push(Setting::new(c, CPU, "cpu.shares", shares));
    }
    if let Some(period) = cpu.period().filter(|period| *period != 0) {
        settings.push(Setting::new(c, CPU, "cpu.cfs_period_us", period).may_be_absent());
    }
    if let Some(quota) = cpu.quota().filter(|quota| *quota != 0) {
        settings.push(Setting::new(c, CPU, "cpu.cfs_quota_us", quota.max(-1)).may_be_absent());
    }
    if let Some(burst) = cpu.burst() {
        settings.push(Setting::new(c, CPU, "cpu.cfs_burst_us", burst).may_be_absent());
    }
    if let Some(idle) = cpu.idle() {
        settings.push(Setting::new(c, CPU, "cpu.idle", idle).may_be_absent());
    }
    if let Some(period) = cpu.realtime_period().filter(|period| *period != 0) {
        settings.push(Setting::new(c, CPU, "cpu.rt_period_us", period).may_be_absent());
    }
    if let Some(runtime) = cpu.realtime_runtime().filter(|runtime| *runtime != 0) {
        settings.push(Setting::new(c, CPU, "cpu.rt_runtime_us", runtime).may_be_absent());
    }
}

fn cpu_v2(cpu: &LinuxCpu, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    let c = Controller::Cpu;
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        settings.push(Setting::new(c, CPU, "cpu.weight", weight_of_shares(shares)));
    }
    let quota = cpu.quota().filter(|quota| *quota != 0);
    let period = cpu.period().filter(|period| *period != 0);
    if quota.is_some() || period.is_some() {
        let value = format!(
            "{} {}",
            max_or(quota.unwrap_or(-1)),
            period.unwrap_or(DEFAULT_PERIOD)
        );
        settings.push(Setting::new(c, CPU, "cpu.max", value).may_be_absent());
    }
    if let Some(burst) = cpu.burst() {
        settings.push(Setting::new(c, CPU, "cpu.max.burst", burst).may_be_absent());
    }
    if let Some(idle) = cpu.idle() {
        settings.push(Setting::new(c, CPU, "cpu.idle", idle).may_be_absent());
    }
    let realtime = cpu.realtime_runtime().is_some_and(|runtime| runtime != 0)
        || cpu.realtime_period().is_some_and(|period| period != 0);
    if realtime {
        return Err(invalid(
            "real-time processor time",
            "control groups version 2 do not have it",
        ));
    }
    Ok(())
}

fn cpuset(cpu: &LinuxCpu, settings: &mut Vec<Setting>) {
    let files = [("cpuset.cpus", cpu.cpus()), ("cpuset.mems", cpu.mems())];
    for (file, value) in files {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            settings.push(Setting::new(Controller::Cpuset, CPUSET, file, value));
        }
    }
}

fn pids(resources: &LinuxResources, settings: &mut Vec<Setting>) {
    let limit = resources
        .pids()
        .as_ref()
        .map(oci_spec::runtime::LinuxPids::limit);
    if let Some(limit) = limit.filter(|limit| *limit > 0) {
        settings.push(Setting::new(Controller::Pids, PROCESSES, "pids.max", limit));
    }
}

/// Shares (2 to 262144, default 1024) as a weight (1 to 10000, default 100): a
/// curve through the three fixed points, as runc 1.4 and crun have it.
fn weight_of_shares(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    #[expect(clippy::cast_precision_loss, reason = "below 2^18")]
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 10000"
    )]
    let weight = 10_f64.powf(exponent).ceil() as u64;
    weight.clamp(1, 10_000)
}

/// A weight of version 1 (10 to 1000) on the scale of `io.weight` (1 to 10000).
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990
}

fn refuse_leaf_weight(io: &LinuxBlockIo) -> Result<(), CgroupError> {
    let devices = io.weight_device().iter().flatten();
    let leaf = io.leaf_weight().is_some_and(|weight| weight != 0)
        || devices
            .into_iter()
            .any(|device| device.leaf_weight().is_some_and(|w| w != 0));
    if leaf {
        return Err(invalid(BLOCK_IO, "kernels have dropped leaf weights"));
    }
    Ok(())
}

fn io_v1(io: &LinuxBlockIo, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    let c = Controller::Io;
    refuse_leaf_weight(io)?;
    if let Some(weight) = io.weight().filter(|weight| *weight != 0) {
        settings.push(
            Setting::new(c, BLOCK_IO, "blkio.weight", weight)
                .or("blkio.bfq.weight", weight)
                .may_be_absent(),
        );
    }
    for device in io.weight_device().iter().flatten() {
        let Some(weight) = device.weight() else {
            continue;
        };
        let value = format!("{}:{} {weight}", device.major(), device.minor());
        settings.push(
            Setting::new(c, BLOCK_IO, "blkio.weight_device", &value)
                .or("blkio.bfq.weight_device", &value)
                .may_be_absent(),
        );
    }
    for (devices, name) in throttles(io) {
        let file = format!("blkio.throttle.{}_device", name.v1);
        for device in devices {
            let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            settings.push(Setting::new(c, BLOCK_IO, &file, value).may_be_absent());
        }
    }
    Ok(())
}

fn io_v2(io: &LinuxBlockIo, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    let c = Controller::Io;
    refuse_leaf_weight(io)?;
    if let Some(weight) = io.weight().filter(|weight| *weight != 0) {
        settings.push(
            Setting::new(c, BLOCK_IO, "io.bfq.weight", weight)
                .or("io.weight", io_weight(weight))
                .may_be_absent(),
        );
    }
    for device in io.weight_device().iter().flatten() {
        let Some(weight) = device.weight() else {
            continue;
        };
        let id = format!("{}:{}", device.major(), device.minor());
        settings.push(
            Setting::new(c, BLOCK_IO, "io.bfq.weight", format!("{id} {weight}"))
                .or("io.weight", format!("{id} {}", io_weight(weight)))
                .may_be_absent(),
        );
    }
    for (devices, name) in throttles(io) {
        for device in devices {
            let (major, minor) = (device.major(), device.minor());
            let value = format!("{major}:{minor} {}={}", name.v2, device.rate());
            settings.push(Setting::new(c, BLOCK_IO, "io.max", value).may_be_absent());
        }
    }
    Ok(())
}

/// What a throttle is called in either version.
struct ThrottleName {
    v1: &'static str,
    v2: &'static str,
}

fn throttles(io: &LinuxBlockIo) -> [(&[LinuxThrottleDevice], ThrottleName); 4] {
    fn list(list: Option<&Vec<LinuxThrottleDevice>>) -> &[LinuxThrottleDevice] {
        list.map_or(&[], Vec::as_slice)
    }
    let name = |v1, v2| ThrottleName { v1, v2 };
    [
        (
            list(io.throttle_read_bps_device().as_ref()),
            name("read_bps", "rbps"),
        ),
        (
            list(io.throttle_write_bps_device().as_ref()),
            name("write_bps", "wbps"),
        ),
        (
            list(io.throttle_read_iops_device().as_ref()),
            name("read_iops", "riops"),
        ),
        (
            list(io.throttle_write_iops_device().as_ref()),
            name("write_iops", "wiops"),
        ),
    ]
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
