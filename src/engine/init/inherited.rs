//! Undoing what a process inherits from whoever typed the command: signals,
//! limits, scheduling, session. See credentials(7), signal(7), getrlimit(2).

use std::io;

use oci_spec::runtime::{PosixRlimit, PosixRlimitType, Process};
use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::error::{Step, StepResult};
use crate::engine::rlimits;
use crate::engine::spec::SET_LIMIT;
use crate::engine::sys;

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
    for (resource, limit) in rlimits::defaults() {
        // A skiff that is itself confined gives its containers what it has.
        let result = rlimits::set_within_reach(resource, limit);
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

fn finite(value: u64) -> Option<u64> {
    (value != u64::MAX).then_some(value)
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
