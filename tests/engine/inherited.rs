//! Nothing of whoever typed the command is seen inside.

use std::os::fd::IntoRawFd;

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use oci_spec::runtime::{PosixRlimitBuilder, PosixRlimitType};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::harness::{Machine, isolated};

/// Everything of a process that a child inherits and /proc shows.
const SHOW: &str = "
    grep -E '^(Umask|Sig(Pnd|Blk|Ign|Cgt)|ShdPnd|Cpus_allowed_list)' /proc/self/status
    cat /proc/self/limits /proc/self/oom_score_adj /proc/self/personality
    cut -d' ' -f18,19,40,41 /proc/self/stat
    ls /proc/self/fd";

#[test]
fn poisoned_caller_is_not_visible_inside() {
    isolated(|| {
        let mut machine = Machine::new();
        let clean = Machine::new().sh(SHOW).ok();
        poison();
        let poisoned = machine.sh(SHOW).ok();
        assert_eq!(poisoned, clean);
        assert!(clean.contains("Umask:\t0022"), "{clean}");
        assert!(clean.contains("SigIgn:\t0000000000000000"), "{clean}");
        assert!(clean.contains("SigBlk:\t0000000000000000"), "{clean}");
        // 3 is ls's own.
        assert!(clean.ends_with("0\n1\n2\n3\n"), "{clean}");
    });
}

fn poison() {
    rustix::process::umask(Mode::from_raw_mode(0o077));
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None).unwrap();
    rustix::process::setpriority_process(None, 5).unwrap();
    for (resource, current) in [
        (Resource::Nofile, 200),
        (Resource::Core, 0),
        (Resource::Stack, 1 << 20),
        (Resource::Fsize, 1 << 20),
    ] {
        let maximum = rustix::process::getrlimit(resource).maximum;
        let limit = Rlimit {
            current: Some(current),
            maximum,
        };
        rustix::process::setrlimit(resource, limit).unwrap();
    }
    let all = sched_getaffinity(None).unwrap();
    let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).unwrap();
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).unwrap();
    fs_err::write("/proc/self/oom_score_adj", "500").unwrap();
    // A descriptor that an exec would keep.
    let leak = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 50).unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let _ = leak.into_raw_fd();
}

#[test]
fn limits_of_the_spec_are_set_and_the_rest_is_dockers() {
    isolated(|| {
        let mut machine = Machine::new();
        let limit = PosixRlimitBuilder::default()
            .typ(PosixRlimitType::RlimitNofile)
            .soft(111_u64)
            .hard(222_u64)
            .build()
            .unwrap();
        machine.process().set_rlimits(Some(vec![limit]));
        machine.process().set_oom_score_adj(Some(300));
        let output = machine
            .sh("cat /proc/self/limits /proc/self/oom_score_adj")
            .ok();
        let line = |name: &str| -> Vec<String> {
            let line = output.lines().find(|line| line.starts_with(name)).unwrap();
            line[26..].split_whitespace().map(str::to_owned).collect()
        };
        assert_eq!(line("Max open files"), ["111", "222", "files"]);
        assert_eq!(line("Max stack size")[..2], ["8388608", "unlimited"]);
        assert_eq!(line("Max msgqueue size")[..2], ["819200", "819200"]);
        assert_eq!(line("Max file size")[..2], ["unlimited", "unlimited"]);
        assert!(output.ends_with("300\n"));
    });
}

#[test]
fn session_is_new_and_its_keyring_too() {
    isolated(|| {
        // Fields 5 to 7: process group, session, terminal.
        let output = Machine::new().sh("cut -d' ' -f5-7 /proc/1/stat").ok();
        assert_eq!(output, "1 1 0\n");
    });
}
