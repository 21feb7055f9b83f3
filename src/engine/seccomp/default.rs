//! Docker's default profile, as a table of our own.
//!
//! What is not named is refused with EPERM. The facts are those of the profile
//! that Docker Engine ships (moby/profiles, June 2026), for the architectures
//! skiff is built for.

use super::arch::Arch;
use super::profile::{Action, Arches, Condition, Needs, Profile, Rule, Test};
use super::{ENOSYS, EPERM};
use crate::engine::caps::CapSet;

/// Signals.
const SIGNALS: &str = "
    kill pause pidfd_send_signal restart_syscall rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
    rt_tgsigqueueinfo sigaltstack signalfd signalfd4 sigprocmask sigreturn tgkill tkill";

/// Clocks and timers.
const TIME: &str = "
    adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64
    clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 futex_time64
    futimesat getitimer gettimeofday io_pgetevents_time64 mq_timedreceive
    mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 nanosleep ppoll_time64
    pselect6_time64 recvmmsg_time64 sched_rr_get_interval_time64 semtimedop
    semtimedop_time64 setitimer time timer_create timer_delete timer_getoverrun
    timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
    timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times utime
    utimensat utimensat_time64 utimes";

/// Sockets.
const NETWORK: &str = "
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom
    recvmmsg recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair";

/// System V and POSIX message passing.
const IPC: &str = "
    ipc mq_getsetattr mq_notify mq_open mq_unlink msgctl msgget msgrcv msgsnd semctl semget
    semop shmat shmctl shmdt shmget";

/// Users, groups, sessions, capabilities.
const IDENTITY: &str = "
    capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32
    getpgid getpgrp getpid getppid getresgid getresgid32 getresuid getresuid32 getsid gettid
    getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
    setgroups32 setpgid setregid setregid32 setresgid setresgid32 setresuid setresuid32
    setreuid setreuid32 setsid setuid setuid32";

/// Scheduling, priorities, limits.
const SCHEDULING: &str = "
    getcpu getpriority getrlimit getrusage ioprio_get ioprio_set membarrier prlimit64 rseq
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
    sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield setpriority setrlimit ugetrlimit";

/// Memory.
const MEMORY: &str = "
    brk madvise map_shadow_stack memfd_create memfd_secret mincore mlock mlock2 mlockall
    mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free
    pkey_mprotect process_mrelease remap_file_pages";

/// Readiness, events, asynchronous I/O, futexes.
const WAITING: &str = "
    _newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
    epoll_wait epoll_wait_old eventfd eventfd2 fanotify_mark futex futex_requeue futex_wait
    futex_waitv futex_wake get_robust_list inotify_add_watch inotify_init inotify_init1
    inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit poll
    ppoll pselect6 select set_robust_list";

/// Processes and threads.
const PROCESS: &str = "
    execve execveat exit exit_group fork get_thread_area getrandom landlock_add_rule
    landlock_create_ruleset landlock_restrict_self pidfd_open prctl riscv_hwprobe seccomp
    set_thread_area set_tid_address sysinfo umask uname uretprobe vfork wait4 waitid waitpid";

/// Files: attributes and names.
const ATTRIBUTES: &str = "
    access cachestat chmod chown chown32 faccessat faccessat2 fchmod fchmodat fchmodat2
    fchown fchown32 fchownat fgetxattr flistxattr fremovexattr fsetxattr fstat fstat64
    fstatat64 fstatfs fstatfs64 getxattr getxattrat lchown lchown32 lgetxattr link linkat
    listmount listxattr listxattrat llistxattr lremovexattr lsetxattr lstat lstat64 mkdir
    mkdirat mknod mknodat name_to_handle_at newfstatat readlink readlinkat removexattr
    removexattrat rename renameat renameat2 rmdir setxattr setxattrat stat stat64 statfs
    statfs64 statmount statx symlink symlinkat unlink unlinkat";

/// Files: opening, reading, writing.
const FILES: &str = "
    _llseek chdir close close_range copy_file_range creat dup dup2 dup3 fadvise64
    fadvise64_64 fallocate fchdir fcntl fcntl64 fdatasync flock fsync ftruncate ftruncate64
    getcwd getdents getdents64 ioctl lseek open openat openat2 pipe pipe2 pread64 preadv
    preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile sendfile64 splice sync
    sync_file_range syncfs tee truncate truncate64 vmsplice write writev";

/// Everything that is always allowed.
const ALWAYS: [&str; 11] = [
    SIGNALS, TIME, NETWORK, IPC, IDENTITY, SCHEDULING, MEMORY, WAITING, PROCESS, ATTRIBUTES, FILES,
];

/// Calls that a capability opens up.
const WITH_CAPABILITY: [(&str, &str); 14] = [
    ("BPF", "bpf"),
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    ("PERFMON", "perf_event_open"),
    ("SYSLOG", "syslog"),
    (
        "SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie \
         lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount \
         open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog \
         umount umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module finit_module init_module"),
    (
        "SYS_NICE",
        "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    ),
    ("SYS_PACCT", "acct"),
    (
        "SYS_PTRACE",
        "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    ),
    ("SYS_RAWIO", "ioperm iopl"),
    (
        "SYS_TIME",
        "clock_settime clock_settime64 settimeofday stime",
    ),
    ("SYS_TTY_CONFIG", "vhangup"),
];

/// Calls that exist on, or are harmless on, one family only.
const ON_ARCH: [(&[&str], &str); 3] = [
    (&["amd64", "x32"], "arch_prctl"),
    (&["amd64", "x32", "x86"], "modify_ldt"),
    (
        &["arm", "arm64"],
        "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
    ),
];

/// Tracing is safe since ptrace(2) runs before the filter.
const SAFE_PTRACE: (&str, (u32, u32)) = ("process_vm_readv process_vm_writev ptrace", (4, 8));

/// Values of personality(2): Linux, 32-bit address space, both with the uname
/// of old kernels, and the question what it is.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Address families at and above which sockets are looked at: 38 is the
/// kernel's cryptography, 40 reaches the hypervisor.
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;

/// `CLONE_NEW*` for mount, cgroup, uts, ipc, user, pid and network namespaces.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

/// The profile.
pub(super) fn profile() -> Profile {
    let mut rules: Vec<_> = ALWAYS.iter().map(|names| Rule::allow(names)).collect();
    rules.push(Rule {
        needs: Needs {
            min_kernel: Some(SAFE_PTRACE.1),
            ..Needs::default()
        },
        ..Rule::allow(SAFE_PTRACE.0)
    });
    let families = [
        Test::Less(AF_ALG),
        Test::Equal(AF_ALG + 1),
        Test::Greater(AF_VSOCK),
    ];
    rules.extend(families.map(|test| Rule::allow_if("socket", Condition { argument: 0, test })));
    rules.extend(PERSONALITIES.map(|value| {
        let test = Test::Equal(value);
        Rule::allow_if("personality", Condition { argument: 0, test })
    }));
    rules.extend(ON_ARCH.map(|(arches, names)| Rule {
        needs: Needs {
            arches: Arches::of(arches),
            ..Needs::default()
        },
        ..Rule::allow(names)
    }));
    rules.extend(WITH_CAPABILITY.map(|(name, names)| Rule {
        needs: Needs {
            capabilities: capability(name),
            ..Needs::default()
        },
        ..Rule::allow(names)
    }));
    rules.extend(without_sys_admin());
    Profile {
        default: Action::Errno(EPERM),
        arches: std::iter::once(Arch::NATIVE)
            .chain(Arch::NATIVE.relatives().iter().copied())
            .collect(),
        rules,
    }
}

/// Threads and forks, but no namespaces; clone3(2) hides its flags behind a
/// pointer, so it is said not to exist and libraries use clone(2).
fn without_sys_admin() -> [Rule; 2] {
    let unless = Needs {
        capabilities: capability("SYS_ADMIN"),
        ..Needs::default()
    };
    let test = Test::Masked {
        mask: NEW_NAMESPACES,
        value: 0,
    };
    let clone = Rule {
        unless: unless.clone(),
        ..Rule::allow_if("clone", Condition { argument: 0, test })
    };
    let clone3 = Rule {
        action: Action::Errno(ENOSYS),
        unless,
        ..Rule::allow("clone3")
    };
    [clone, clone3]
}

fn capability(name: &str) -> Vec<Option<u32>> {
    vec![CapSet::parse_name(name).ok()]
}
