//! One function per system call; see the module above.

use std::ffi::{CStr, c_long};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::mount::{MountAttrFlags, MountPropagationFlags};
use rustix::process::Pid;

// libc has these two in a type that is too narrow for them.
const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// The kernel's `struct clone_args`, first version with `cgroup` (88 bytes).
#[repr(C)]
#[derive(Debug, Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The kernel's `struct mount_attr`.
#[repr(C)]
#[derive(Debug, Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// What [`clone_process`] gives the child beside a copy of everything.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CloneFlags<'fd> {
    /// A pid namespace of its own.
    pub(crate) new_pid: bool,
    /// A cgroup v2 directory to be born in.
    pub(crate) cgroup: Option<BorrowedFd<'fd>>,
}

/// Where [`clone_process`] returned.
#[derive(Debug)]
pub(crate) enum Cloned {
    /// In the new process.
    Child,
    /// In the caller.
    Parent {
        /// The child as the caller sees it.
        pid: Pid,
        /// Its pidfd, close-on-exec.
        pidfd: OwnedFd,
    },
}

/// clone3(2) as a fork with a pidfd (Linux 5.3; the cgroup 5.7).
///
/// The child starts with every handled signal at its default.
///
/// The caller must be single-threaded, or must know that no other thread
/// holds a lock: the child has a copy of all memory and this thread only.
pub(crate) fn clone_process(flags: CloneFlags<'_>) -> io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    let mut bits = libc::CLONE_PIDFD as u64 | CLONE_CLEAR_SIGHAND;
    if flags.new_pid {
        bits |= libc::CLONE_NEWPID as u64;
    }
    let mut args = CloneArgs {
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(directory) = flags.cgroup {
        bits |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(directory.as_raw_fd()).unwrap_or(u64::MAX);
    }
    args.flags = bits;
    // SAFETY: `args` and the pidfd it points to live over the call; without
    // CLONE_VM and with no stack given, the child goes on with a copy of this
    // stack, as after fork(2).
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    if result == 0 {
        return Ok(Cloned::Child);
    }
    let pid = i32::try_from(result).ok().and_then(Pid::from_raw);
    match pid {
        Some(pid) if result > 0 => {
            // SAFETY: the kernel wrote a new descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid, pidfd })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// _exit(2): ends the process with nothing flushed and no destructor run, as
/// a forked child must.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}

/// `close_range(2)` (Linux 5.9): closes the descriptors `first..=last`.
///
/// Every owner of one of them must have been forgotten or never dropped.
///
/// # Errors
/// `EINVAL` where `first` is above `last`.
pub fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: the call takes plain numbers. It is used in a child between
    // clone and exec, where the owners of these descriptors belong to the
    // parent's frames and are never dropped.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_u32) };
    check(result)
}

/// `close_range(CLOSE_RANGE_CLOEXEC)` (Linux 5.11): an exec will close the
/// descriptors from `first` on.
///
/// # Errors
/// What the kernel says.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: the call takes plain numbers and closes nothing now.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    check(result)
}

/// What [`mount_setattr`] changes.
#[derive(Debug, Clone, Copy)]
pub struct MountChange {
    /// Attributes to set.
    pub set: MountAttrFlags,
    /// Attributes to clear first.
    pub clear: MountAttrFlags,
    /// New propagation type; empty leaves it.
    pub propagation: MountPropagationFlags,
    /// The mounts below it too.
    pub recursive: bool,
}

impl Default for MountChange {
    fn default() -> Self {
        Self {
            set: MountAttrFlags::empty(),
            clear: MountAttrFlags::empty(),
            propagation: MountPropagationFlags::empty(),
            recursive: false,
        }
    }
}

/// `mount_setattr(2)` (Linux 5.12). An empty `path` means `directory` itself.
///
/// # Errors
/// What the kernel says; `EINVAL` for a descriptor that is no mount's root.
pub fn mount_setattr(
    directory: BorrowedFd<'_>,
    path: &CStr,
    change: MountChange,
) -> io::Result<()> {
    let mut attr = MountAttr {
        attr_set: change.set.bits().into(),
        attr_clr: change.clear.bits().into(),
        propagation: change.propagation.bits().into(),
        userns_fd: 0,
    };
    let mut flags = libc::AT_EMPTY_PATH;
    if change.recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: `path` is a C string and `attr` a `struct mount_attr` of the
    // given size; both live over the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            directory.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw mut attr,
            size_of::<MountAttr>(),
        )
    };
    check(result)
}

/// `rt_sigaction(2)` and `rt_sigprocmask(2)`: the default for every signal, none
/// blocked. libc's own functions leave out the two signals it keeps for
/// itself, which a caller may have ignored all the same.
pub fn reset_signals() {
    for signal in 1..=64 {
        reset_signal(signal);
    }
    let mask = 0_u64;
    // SAFETY: `mask` is a signal set of the given size and lives over the call.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            std::ptr::null_mut::<u64>(),
            size_of::<u64>(),
        )
    };
}

/// `rt_sigaction(2)`: the default for one signal.
pub fn reset_signal(signal: i32) {
    // All zero is SIG_DFL, no flags, no restorer and an empty mask.
    let action = [0_u64; 4];
    // SAFETY: `action` is as large as the kernel's `struct sigaction` and lives
    // over the call. SIGKILL and SIGSTOP fail, which is no harm.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            action.as_ptr(),
            std::ptr::null_mut::<u64>(),
            size_of::<u64>(),
        )
    };
}

/// Gives the calling process the ordinary scheduling policy and I/O priority
/// and the plain Linux personality, whatever its ancestors had.
///
/// `sched_setscheduler(2)`, `ioprio_set(2)`, personality(2).
pub fn reset_scheduling() {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    let parameters = [0_i32; 1];
    // SAFETY: `parameters` is a `struct sched_param` and lives over the call.
    // Refusal leaves the policy as it was.
    unsafe {
        libc::syscall(
            libc::SYS_sched_setscheduler,
            0_i32,
            libc::SCHED_OTHER,
            parameters.as_ptr(),
        )
    };
    // SAFETY: the call takes plain numbers; 0 is "none, follow the nice value".
    unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0_i32, 0_i32) };
    // SAFETY: the call takes a plain number; 0 is PER_LINUX.
    unsafe { libc::syscall(libc::SYS_personality, 0_u64) };
}

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING)`: a new anonymous session keyring.
///
/// # Errors
/// `ENOSYS` in a kernel without keys, `EDQUOT` where the user's quota is full.
pub fn join_new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is touched.
    let result = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_JOIN_SESSION_KEYRING,
            std::ptr::null::<u8>(),
        )
    };
    check(result.min(0))
}

/// `seccomp(SECCOMP_SET_MODE_FILTER)` (Linux 3.17) with a compiled program: an
/// array of `struct sock_filter` as bytes.
///
/// Speculation stays allowed (`SECCOMP_FILTER_FLAG_SPEC_ALLOW`, Linux 4.17), as
/// container runtimes have it.
///
/// # Errors
/// `EINVAL` for a program that is none, `EACCES` without `CAP_SYS_ADMIN` where
/// `no_new_privs` is off.
pub fn set_seccomp_filter(program: &[u8]) -> io::Result<()> {
    let (instructions, rest) = program.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut filter: Vec<libc::sock_filter> = instructions
        .iter()
        .map(|&[c0, c1, jt, jf, k0, k1, k2, k3]| libc::sock_filter {
            code: u16::from_ne_bytes([c0, c1]),
            jt,
            jf,
            k: u32::from_ne_bytes([k0, k1, k2, k3]),
        })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: `program` points to `len` instructions that live over the call;
    // the kernel copies and checks them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            &raw const program,
        )
    };
    check(result)
}

fn check(result: c_long) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
