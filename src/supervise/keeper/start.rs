//! Starting clean, whatever shell typed the command.
//!
//! A keeper must not differ by who started it: session, folder, descriptors,
//! limits, priorities and signals become the same everywhere, and its children
//! inherit from here what their spec does not set.

use std::io;

use fs_err as fs;
use nix::sys::signal::SigSet;

use crate::engine::{rlimits, sys};

/// The OOM killer takes everything else first.
const OOM_SCORE: &str = "-999";
/// The kernel's own for a new process, in nanoseconds.
const TIMER_SLACK: u64 = 50_000;
/// The kernel's own, see core(5).
const CORE_DUMP_PARTS: &str = "0x33";

/// Leaves the caller's session: what follows must run in a new process, which
/// then leads no session and can never get a controlling terminal.
pub(super) fn leave_session() -> io::Result<()> {
    // A session leader already: then there is nothing to leave.
    match rustix::process::setsid() {
        Ok(_) | Err(rustix::io::Errno::PERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Closes every descriptor but the standard streams.
///
/// What the CLI opened is close-on-exec; what is left came from its shell.
pub(super) fn close_inherited() -> io::Result<()> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // The listing's own descriptor is among them and closed by now.
        nix::unistd::close(number).ok();
    }
    Ok(())
}

/// Sets what every child inherits. Each step is tried; where the machine
/// forbids one (no `CAP_SYS_NICE`, `CAP_SYS_RESOURCE`) the caller's value stays,
/// of a limit what it allows.
pub(super) fn settle() -> io::Result<()> {
    rustix::process::chdir("/")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    // An ignored SIGCHLD would have the kernel reap the children.
    sys::reset_signals();
    // All signals wait for ever: nobody has a reason to end a keeper but the
    // kernel. Children start with an empty mask; the supervisor lets through
    // what it listens to.
    SigSet::all().thread_set_mask()?;
    sys::reset_scheduling();
    // Without keys in the kernel, or without quota, there is none to share.
    sys::join_new_session_keyring().ok();
    rustix::process::setpriority_process(None, 0).ok();
    let mut cpus = rustix::thread::CpuSet::new();
    for cpu in 0..rustix::thread::CpuSet::MAX_CPU {
        cpus.set(cpu);
    }
    rustix::thread::sched_setaffinity(None, &cpus).ok();
    for (resource, limit) in rlimits::defaults() {
        rlimits::set_within_reach(resource, limit).ok();
    }
    nix::unistd::setgroups(&[]).ok();
    nix::sys::prctl::set_thp_disable(false).ok();
    nix::sys::prctl::set_timerslack(TIMER_SLACK).ok();
    fs::write("/proc/self/coredump_filter", CORE_DUMP_PARTS).ok();
    fs::write("/proc/self/oom_score_adj", OOM_SCORE).ok();
    Ok(())
}

/// Nobody but root reads this process's memory or descriptors, and a process
/// that was cloned from it is as closed until it executes its program.
pub(super) fn close_to_others() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
