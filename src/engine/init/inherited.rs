//! Undoing what a process inherits from whoever typed the command: signals,
//! limits, scheduling, session. See credentials(7), signal(7), getrlimit(2).

use std::io;

use oci_spec::runtime::{PosixRlimit, PosixRlimitType, Process};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::error::{Step, StepResult};
use crate::engine::oci_default::{RlimitValue, default_rlimits};
use crate::engine::spec::SET_LIMIT;
use crate::engine::sys;

const NR_OPEN: &str = "/proc/sys/fs/nr_open";
const THREADS_MAX: &str = "/proc/sys/kernel/threads-max";

/// Signal dispositions and mask, nice value, policy, CPUs, personality, OOM
/// score. Needs the host's `/proc`, and comes after the cgroup is entered, so
/// that "all CPUs" means all that the cgroup has.
pub(super) fn reset(process: &Process) -> StepResult<()> {
    sys::reset_signals();
    sys::reset_scheduling();
    setpriority_process(None, 0).doing("reset the nice value")?;
    let mut all = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
    sched_setaffinity(None, &all).doing("reset the CPU affinity")?;
    let score = process.oom_score_adj().unwrap_or(0);
    write_text("/proc/self/oom_score_adj", &score.to_string()).on("set oom_score_adj", score)?;
    match sys::join_new_session_keyring() {
        Err(error)
            if !matches!(
                error.raw_os_error(),
                Some(libc::ENOSYS | libc::EPERM | libc::EDQUOT)
            ) =>
        {
            Err(error).doing("make a session keyring")
        }
        // Without keys, or without quota for one, the container shares the
        // keeper's, which is itself a fresh one.
        _ => Ok(()),
    }
}

/// Docker's defaults for every limit, so that none of the caller's is left
/// and the set-up code itself has room. Reads the host's `/proc/sys`.
pub(super) fn reset_rlimits() -> StepResult<()> {
    for (resource, default) in default_rlimits() {
        let (current, maximum) = match default {
            RlimitValue::Fixed { soft, hard } => (soft, hard),
            RlimitValue::KernelTasks => {
                let tasks = read_number(THREADS_MAX).map(|threads| threads / 2);
                (tasks, tasks)
            }
        };
        let result = match setrlimit(resource, Rlimit { current, maximum }) {
            // Above the kernel's ceiling for open files, or a skiff that is
            // itself confined and without CAP_SYS_RESOURCE.
            Err(Errno::PERM) => {
                let mut ceiling = getrlimit(resource).maximum;
                if resource == Resource::Nofile {
                    ceiling = lower(ceiling, read_number(NR_OPEN));
                }
                let limit = Rlimit {
                    current: lower(current, ceiling),
                    maximum: lower(maximum, ceiling),
                };
                setrlimit(resource, limit)
            }
            other => other,
        };
        result.on(SET_LIMIT, format!("{resource:?}"))?;
    }
    Ok(())
}

/// The spec's own limits. They bind the set-up code from here on.
pub(super) fn apply_rlimits(listed: &[PosixRlimit]) -> StepResult<()> {
    for one in listed {
        let limit = Rlimit {
            current: finite(one.soft()),
            maximum: finite(one.hard()),
        };
        setrlimit(resource_of(one.typ()), limit).on(SET_LIMIT, one.typ())?;
    }
    Ok(())
}

/// The lower of two limits, `None` being unlimited.
fn lower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn finite(value: u64) -> Option<u64> {
    (value != u64::MAX).then_some(value)
}

fn read_number(path: &str) -> Option<u64> {
    fs_err::read_to_string(path).ok()?.trim().parse().ok()
}

fn write_text(path: &str, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    fs_err::OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(text.as_bytes())
}

fn resource_of(kind: PosixRlimitType) -> Resource {
    match kind {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    }
}
