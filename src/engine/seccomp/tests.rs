//! Filters are run by a small interpreter of classic BPF, and one by the
//! running kernel.

use std::io::{Read, Seek};

use super::arch::{Arch, X32_BIT};
use super::compile::{
    AND, Instruction, JUMP, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_EQUAL, JUMP_SET, LOAD, RETURN,
    compile as compile_rules,
};
use super::numbers::number;
use super::profile::parse_kernel;
use super::*;

const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const fn errno(number: u32) -> u32 {
    0x0005_0000 | number
}

/// `struct seccomp_data`.
struct Call {
    arch: u32,
    number: u32,
    arguments: [u64; 6],
}

impl Call {
    fn new(arch: Arch, name: &str, arguments: &[u64]) -> Self {
        let mark = if arch == Arch::X32 { X32_BIT } else { 0 };
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        Self {
            arch: arch.audit(),
            number: number(arch, name).unwrap_or_else(|| panic!("{arch:?} has no {name}")) | mark,
            arguments: all,
        }
    }

    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.arch,
            16..64 => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                if offset.is_multiple_of(8) {
                    (argument & 0xffff_ffff) as u32
                } else {
                    (argument >> 32) as u32
                }
            }
            other => panic!("load from {other}"),
        }
    }
}

/// Runs a program; gives the answer and how many instructions it took.
fn run(program: &[Instruction], call: &Call) -> (u32, usize) {
    let (mut accumulator, mut at) = (0, 0);
    for steps in 1.. {
        let Instruction {
            code,
            jump_true,
            jump_false,
            k,
        } = program[at];
        at += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { jump_true } else { jump_false });
        match code {
            LOAD => accumulator = call.word(k),
            AND => accumulator &= k,
            JUMP => at += k as usize,
            JUMP_EQUAL => jump(accumulator == k),
            JUMP_GREATER => jump(accumulator > k),
            JUMP_GREATER_EQUAL => jump(accumulator >= k),
            JUMP_SET => jump(accumulator & k != 0),
            RETURN => return (k, steps),
            other => panic!("unknown code {other:#x}"),
        }
    }
    unreachable!()
}

fn build(profile: &Profile, capabilities: CapSet, kernel: &str) -> Vec<Instruction> {
    let rules: Vec<_> = profile
        .shape(capabilities, parse_kernel(kernel).unwrap())
        .collect();
    compile_rules(profile, &rules).unwrap()
}

/// Docker's default profile with Docker's default capabilities and these.
fn docker(more: &[&str]) -> Vec<Instruction> {
    let more: CapSet = more
        .iter()
        .map(|name| CapSet::parse_name(name).unwrap())
        .collect();
    let capabilities = CapSet::docker_default().with(more);
    build(&Profile::docker_default(), capabilities, "6.1.0-18-amd64")
}

fn answer(program: &[Instruction], arch: Arch, name: &str, arguments: &[u64]) -> u32 {
    run(program, &Call::new(arch, name, arguments)).0
}

fn all_native() -> Vec<Arch> {
    let mut all = vec![Arch::NATIVE];
    all.extend(Arch::NATIVE.relatives());
    all
}

#[test]
fn default_profile_allows_everyday_calls_on_every_architecture() {
    let program = docker(&[]);
    for arch in all_native() {
        for name in [
            "read",
            "openat",
            "execve",
            "futex",
            "exit_group",
            "io_setup",
            "ptrace",
        ] {
            assert_eq!(answer(&program, arch, name, &[]), ALLOW, "{arch:?} {name}");
        }
    }
}

#[test]
fn default_profile_refuses_what_reaches_the_host() {
    let program = docker(&[]);
    for arch in all_native() {
        for name in [
            "mount",
            "umount2",
            "setns",
            "unshare",
            "bpf",
            "keyctl",
            "add_key",
            "kexec_load",
            "init_module",
            "reboot",
            "settimeofday",
            "swapon",
            "userfaultfd",
            "io_uring_setup",
            "pivot_root",
            "perf_event_open",
            "open_by_handle_at",
            "acct",
            "nfsservctl",
        ] {
            if number(arch, name).is_some() {
                assert_eq!(
                    answer(&program, arch, name, &[]),
                    errno(1),
                    "{arch:?} {name}"
                );
            }
        }
    }
}

#[test]
fn capabilities_open_calls() {
    for (capability, names) in [
        (
            "SYS_ADMIN",
            &["mount", "setns", "bpf", "clone3", "fsopen", "unshare"][..],
        ),
        ("SYS_MODULE", &["init_module", "finit_module"]),
        ("SYS_BOOT", &["reboot"]),
        ("SYS_TIME", &["clock_settime", "settimeofday"]),
        ("DAC_READ_SEARCH", &["open_by_handle_at"]),
        ("BPF", &["bpf"]),
        ("PERFMON", &["perf_event_open"]),
        ("SYSLOG", &["syslog"]),
        ("SYS_NICE", &["mbind"]),
        ("SYS_PTRACE", &["kcmp", "pidfd_getfd"]),
    ] {
        let (without, with) = (docker(&[]), docker(&[capability]));
        for name in names {
            assert_ne!(answer(&without, Arch::NATIVE, name, &[]), ALLOW, "{name}");
            assert_eq!(answer(&with, Arch::NATIVE, name, &[]), ALLOW, "{name}");
        }
    }
    // chroot is among the default capabilities.
    assert_eq!(answer(&docker(&[]), Arch::NATIVE, "chroot", &[]), ALLOW);
    let none = build(&Profile::docker_default(), CapSet::EMPTY, "6.1");
    assert_eq!(answer(&none, Arch::NATIVE, "chroot", &[]), errno(1));
}

#[test]
fn clone_may_not_make_namespaces_and_clone3_does_not_exist() {
    let program = docker(&[]);
    let new_namespaces = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ];
    for arch in all_native() {
        let clone =
            |flags: i32| answer(&program, arch, "clone", &[u64::from(flags.cast_unsigned())]);
        assert_eq!(clone(libc::SIGCHLD), ALLOW);
        assert_eq!(
            clone(libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND),
            ALLOW
        );
        for flag in new_namespaces {
            assert_eq!(clone(flag | libc::SIGCHLD), errno(1), "{arch:?} {flag:#x}");
        }
        assert_eq!(answer(&program, arch, "clone3", &[]), errno(38));
        assert_eq!(
            answer(&docker(&["SYS_ADMIN"]), arch, "clone", &[0x7e02_0000]),
            ALLOW
        );
    }
}

#[test]
fn arguments_are_compared_over_64_bits() {
    let program = docker(&[]);
    let personality = |value| answer(&program, Arch::NATIVE, "personality", &[value]);
    for value in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
        assert_eq!(personality(value), ALLOW, "{value:#x}");
    }
    // ADDR_NO_RANDOMIZE, and a good value with something above it.
    for value in [0x4_0000, 1, 0x1_0000_0000, 0x1_0000_0008, u64::MAX] {
        assert_eq!(personality(value), errno(1), "{value:#x}");
    }
    let socket = |family| answer(&program, Arch::NATIVE, "socket", &[family]);
    for family in [0, 1, 2, 10, 16, 37, 39, 41, 44, 1 << 40] {
        assert_eq!(socket(family), ALLOW, "{family}");
    }
    assert_eq!((socket(38), socket(40)), (errno(1), errno(1)));
}

#[test]
fn unknown_architecture_ends_the_process() {
    let call = Call {
        arch: 0x8000_0016,
        number: 1,
        arguments: [0; 6],
    };
    assert_eq!(run(&docker(&[]), &call).0, KILL_PROCESS);
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    let program = docker(&[]);
    for number in [467, 600, 5000] {
        let call = Call {
            arch: Arch::NATIVE.audit(),
            number,
            arguments: [0; 6],
        };
        assert_eq!(run(&program, &call).0, errno(38), "{number}");
    }
}

#[test]
fn old_kernel_may_not_trace() {
    let capabilities = CapSet::docker_default();
    let old = build(&Profile::docker_default(), capabilities, "4.4.0");
    assert_eq!(answer(&old, Arch::NATIVE, "ptrace", &[]), errno(1));
}

#[test]
fn search_is_short_for_every_number() {
    let program = docker(&[]);
    assert!(program.len() < 1500, "{} instructions", program.len());
    for arch in all_native() {
        let mark = if arch == Arch::X32 { X32_BIT } else { 0 };
        for number in 0..600 {
            let call = Call {
                arch: arch.audit(),
                number: number | mark,
                arguments: [u64::MAX; 6],
            };
            let (_, steps) = run(&program, &call);
            assert!(steps < 40, "{arch:?} {number}: {steps} steps");
        }
    }
}

const OPERATORS: &str = r#"{
  "defaultAction": "SCMP_ACT_ALLOW",
  "syscalls": [
    {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 10,
     "args": [{"index": 1, "value": 4294967298, "op": "SCMP_CMP_LT"}]},
    {"names": ["write"], "action": "SCMP_ACT_ERRNO", "errnoRet": 11,
     "args": [{"index": 2, "value": 4294967298, "op": "SCMP_CMP_LE"}]},
    {"names": ["close"], "action": "SCMP_ACT_TRAP",
     "args": [{"index": 0, "value": 4294967298, "op": "SCMP_CMP_GT"}]},
    {"names": ["dup"], "action": "SCMP_ACT_LOG",
     "args": [{"index": 0, "value": 4294967298, "op": "SCMP_CMP_GE"}]},
    {"names": ["ioctl"], "action": "SCMP_ACT_KILL_PROCESS",
     "args": [{"index": 0, "value": 4294967298, "op": "SCMP_CMP_NE"}]},
    {"names": ["fcntl"], "action": "SCMP_ACT_KILL",
     "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
              {"index": 5, "value": 281474976710671, "valueTwo": 281474976710657,
               "op": "SCMP_CMP_MASKED_EQ"}]},
    {"name": "lseek", "action": "SCMP_ACT_TRACE", "errnoRet": 7,
     "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
              {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}
  ]
}"#;

#[test]
fn every_operator_and_action_compiles_to_what_it_says() {
    let profile = Profile::parse(OPERATORS).unwrap();
    let program = build(&profile, CapSet::EMPTY, "6.1");
    let is = |name, arguments: &[u64]| answer(&program, Arch::NATIVE, name, arguments);
    let edge = 0x1_0000_0002;
    let around = [0, 3, edge - 1, edge, edge + 1, 0x2_0000_0000, u64::MAX];
    for value in around {
        let want = |holds: bool, refused: u32| if holds { refused } else { ALLOW };
        assert_eq!(
            is("read", &[0, value]),
            want(value < edge, errno(10)),
            "LT {value:#x}"
        );
        assert_eq!(
            is("write", &[0, 0, value]),
            want(value <= edge, errno(11)),
            "LE {value:#x}"
        );
        assert_eq!(
            is("close", &[value]),
            want(value > edge, 0x0003_0000),
            "GT {value:#x}"
        );
        assert_eq!(
            is("dup", &[value]),
            want(value >= edge, 0x7ffc_0000),
            "GE {value:#x}"
        );
        assert_eq!(
            is("ioctl", &[value]),
            want(value != edge, KILL_PROCESS),
            "NE {value:#x}"
        );
    }
    let masked = |first, last| is("fcntl", &[first, 0, 0, 0, 0, last]);
    assert_eq!(
        masked(
            1,
            0x7_0001_0000_00f1 & !0x4_0000_0000_0000 | 0x1_0000_0000_0000
        ),
        0
    );
    assert_eq!(masked(2, 0x1_0000_0000_0001), ALLOW);
    assert_eq!(masked(1, 1), ALLOW);
    assert_eq!(masked(1, 0x1_0000_0000_0003), ALLOW);
    // Two conditions on one argument are alternatives.
    assert_eq!(
        (is("lseek", &[1]), is("lseek", &[2])),
        (0x7ff0_0007, 0x7ff0_0007)
    );
    assert_eq!(is("lseek", &[3]), ALLOW);
    // A permissive default stays permissive for calls not yet invented.
    let call = Call {
        arch: Arch::NATIVE.audit(),
        number: 999,
        arguments: [0; 6],
    };
    assert_eq!(run(&program, &call).0, ALLOW);
}

#[test]
fn rule_without_conditions_settles_a_call() {
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5,
         "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["read"], "action": "SCMP_ACT_LOG"}]}"#;
    let program = build(&Profile::parse(text).unwrap(), CapSet::EMPTY, "6.1");
    assert_eq!(answer(&program, Arch::NATIVE, "read", &[1]), ALLOW);
}

#[test]
fn bad_profiles_say_what_is_wrong() {
    let message = |text: &str| Profile::parse(text).unwrap_err().to_string();
    let rule = |rule: &str| {
        message(&format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{rule}]}}"#
        ))
    };
    assert!(message("{").contains("line 1 column 1"));
    assert!(rule(r#"{"names":["read"],"action":"SCMP_ACT_NOTIFY"}"#).contains("does not serve"));
    assert!(rule(r#"{"names":["read"],"action":"ALLOW"}"#).contains("unknown action `ALLOW`"));
    assert!(
        rule(r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}"#)
            .contains("argument 6")
    );
    assert!(
        rule(r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":0,"op":"EQ"}]}"#)
            .contains("operator `EQ`")
    );
}

/// Which family runs beside the native one is the profile's to say.
#[test]
fn sub_architectures_come_from_the_map() {
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_S390X", "subArchitectures": ["SCMP_ARCH_S390"]}],
        "syscalls": [{"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"}]}"#;
    let program = build(&Profile::parse(text).unwrap(), CapSet::EMPTY, "6.1");
    let first_relative = Arch::NATIVE.relatives()[0];
    assert_eq!(answer(&program, first_relative, "read", &[]), ALLOW);
    if Arch::NATIVE == Arch::X86_64 {
        assert_eq!(answer(&program, Arch::X32, "read", &[]), KILL_PROCESS);
    }
}

/// A filter is for good, so it goes to a thread of its own.
#[test]
fn kernel_does_what_the_interpreter_says() {
    let folder = tempfile::tempdir().unwrap();
    let capabilities = CapSet::docker_default();
    let wanted = Seccomp::Default;
    let first = filter(&wanted, capabilities, folder.path())
        .unwrap()
        .unwrap();
    let again = filter(&wanted, capabilities, folder.path())
        .unwrap()
        .unwrap();
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        1,
        "the second came from the cache"
    );
    drop(first);
    let mut program = Vec::new();
    let mut again = std::fs::File::from(again);
    again.rewind().unwrap();
    again.read_to_end(&mut program).unwrap();
    std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        install(&program).unwrap();
        assert_eq!(sys_bpf::try_call(libc::SYS_getpid), Ok(()));
        assert_eq!(sys_bpf::try_call(libc::SYS_keyctl), Err(libc::EPERM));
        assert_eq!(sys_bpf::try_call(libc::SYS_clone3), Err(libc::ENOSYS));
        assert_eq!(sys_bpf::try_call(libc::SYS_mount), Err(libc::EPERM));
        // The kernel, not the filter, answers to a bad number of an allowed call.
        assert_eq!(sys_bpf::try_call(libc::SYS_close), Err(libc::EBADF));
    })
    .join()
    .unwrap();
}

#[test]
fn unconfined_has_no_filter() {
    let folder = tempfile::tempdir().unwrap();
    let none = filter(&Seccomp::Unconfined, CapSet::EMPTY, folder.path()).unwrap();
    assert!(none.is_none());
}
