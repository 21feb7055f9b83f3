//! What a group uses: counters of memory, processor time, processes and I/O.

use super::error::CgroupError;
use super::mounts::Controller;
use super::{Group, Version, files};

/// What a group uses now. A counter whose controller is missing is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of memory in use, page cache included.
    pub memory: Option<u64>,
    /// Part of it that is page cache not used lately; Docker shows the rest.
    pub inactive_file: Option<u64>,
    /// Bytes allowed; `None` without a limit.
    pub memory_limit: Option<u64>,
    /// Microseconds of processor time.
    pub cpu_usec: Option<u64>,
    /// Number of processes and threads.
    pub pids: Option<u64>,
    /// Number allowed; `None` without a limit.
    pub pids_limit: Option<u64>,
    /// Bytes read from block devices.
    pub read_bytes: Option<u64>,
    /// Bytes written to them.
    pub written_bytes: Option<u64>,
}

/// Version 1 writes no limit as a number near 2^63, rounded down to a page.
const V1_UNLIMITED: u64 = 1 << 62;

pub(super) fn oom_kills(group: &Group) -> Result<u64, CgroupError> {
    let file = match group.host.version() {
        Version::V1 => "memory.oom_control",
        Version::V2 => "memory.events",
    };
    let text = text(group, Controller::Memory, file)?;
    Ok(text
        .and_then(|text| files::keyed(&text, "oom_kill"))
        .unwrap_or(0))
}

pub(super) fn read(group: &Group) -> Result<Stats, CgroupError> {
    let number = |controller, file: &str| -> Result<Option<u64>, CgroupError> {
        Ok(text(group, controller, file)?.and_then(|text| text.trim().parse().ok()))
    };
    let key = |controller, file: &str, key: &str| -> Result<Option<u64>, CgroupError> {
        Ok(text(group, controller, file)?.and_then(|text| files::keyed(&text, key)))
    };
    let (memory, cpu, pids) = (Controller::Memory, Controller::Cpu, Controller::Pids);
    let mut stats = Stats {
        pids: number(pids, "pids.current")?,
        pids_limit: number(pids, "pids.max")?,
        ..Stats::default()
    };
    match group.host.version() {
        Version::V1 => {
            stats.memory = number(memory, "memory.usage_in_bytes")?;
            stats.inactive_file = key(memory, "memory.stat", "total_inactive_file")?;
            stats.memory_limit =
                number(memory, "memory.limit_in_bytes")?.filter(|limit| *limit < V1_UNLIMITED);
            stats.cpu_usec =
                number(Controller::Cpuacct, "cpuacct.usage")?.map(|nanoseconds| nanoseconds / 1000);
            let io = text(
                group,
                Controller::Io,
                "blkio.throttle.io_service_bytes_recursive",
            )?;
            stats.read_bytes = io.as_deref().map(|text| sum_v1(text, "Read"));
            stats.written_bytes = io.as_deref().map(|text| sum_v1(text, "Write"));
        }
        Version::V2 => {
            stats.memory = number(memory, "memory.current")?;
            stats.inactive_file = key(memory, "memory.stat", "inactive_file")?;
            stats.memory_limit = number(memory, "memory.max")?;
            stats.cpu_usec = key(cpu, "cpu.stat", "usage_usec")?;
            let io = text(group, Controller::Io, "io.stat")?;
            stats.read_bytes = io.as_deref().map(|text| sum_v2(text, "rbytes="));
            stats.written_bytes = io.as_deref().map(|text| sum_v2(text, "wbytes="));
        }
    }
    Ok(stats)
}

fn text(group: &Group, controller: Controller, file: &str) -> Result<Option<String>, CgroupError> {
    group
        .file(controller, file)
        .map_or(Ok(None), |path| files::read_if_there(&path))
}

/// Lines `8:0 Read 4096`.
fn sum_v1(text: &str, operation: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(' ')?.1.strip_prefix(operation))
        .filter_map(|number| number.trim().parse::<u64>().ok())
        .sum()
}

/// Lines `8:0 rbytes=4096 wbytes=0 rios=1 …`.
fn sum_v2(text: &str, key: &str) -> u64 {
    text.split_whitespace()
        .filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_counters_are_summed_over_devices() {
        let v1 = "8:0 Read 4096\n8:0 Write 100\n8:16 Read 1\nTotal 4197\n";
        assert_eq!((sum_v1(v1, "Read"), sum_v1(v1, "Write")), (4097, 100));
        let v2 = "8:0 rbytes=10 wbytes=2 rios=1 wios=1\n8:16 rbytes=5 wbytes=0\n";
        assert_eq!((sum_v2(v2, "rbytes="), sum_v2(v2, "wbytes=")), (15, 2));
    }
}
