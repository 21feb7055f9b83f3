//! Process 1 of a container with `init: true`: starts the program given after
//! `--`, passes signals on to it, reaps what is left to it, and ends as the
//! program did (its code, or 128 + the signal that ended it).
//!
//! A freestanding program without any library, compiled by `build.rs` and kept
//! inside skiff; `engine::tiny_init` hands it out. Its behaviour is that of
//! `docker-init`: the program is in a process group of its own, which is the
//! terminal's foreground group where there is a terminal. It waits in
//! rt_sigtimedwait(2) without a time, so an idle one never wakes.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_char, c_int};

// The kernel enters with the argument count at the stack pointer.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    start = sym start,
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "and sp, x0, #-16",
    "bl {start}",
    "brk #1",
    start = sym start,
);

/// System call numbers.
#[cfg(target_arch = "x86_64")]
mod nr {
    pub const WRITE: usize = 1;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const SETPGID: usize = 109;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const EXIT_GROUP: usize = 231;
}
#[cfg(target_arch = "aarch64")]
mod nr {
    pub const IOCTL: usize = 29;
    pub const WRITE: usize = 64;
    pub const EXIT_GROUP: usize = 94;
    pub const KILL: usize = 129;
    pub const RT_SIGACTION: usize = 134;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const SETPGID: usize = 154;
    pub const CLONE: usize = 220;
    pub const EXECVE: usize = 221;
    pub const WAIT4: usize = 260;
}

const ENOENT: isize = 2;
const EINTR: isize = 4;
const ECHILD: isize = 10;
const EACCES: isize = 13;
const ENOTDIR: isize = 20;

const SIGILL: c_int = 4;
const SIGTRAP: c_int = 5;
const SIGABRT: c_int = 6;
const SIGBUS: c_int = 7;
const SIGFPE: c_int = 8;
const SIGSEGV: c_int = 11;
const SIGCHLD: c_int = 17;
const SIGTTIN: c_int = 21;
const SIGTTOU: c_int = 22;
const SIGSYS: c_int = 31;

/// Signals that tell of a fault in this very program, and the two that a write
/// to a terminal from the background raises: never waited for.
const NOT_FORWARDED: [c_int; 9] = [
    SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGTTIN, SIGTTOU,
];

const SIG_SETMASK: usize = 2;
const SIG_IGN: usize = 1;
const WNOHANG: usize = 1;
const TIOCSPGRP: usize = 0x5410;
const PATH_MAX: usize = 4096;

/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The kernel's `struct sigaction`, the same on both architectures.
#[repr(C)]
#[derive(Clone, Copy)]
struct SigAction {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

impl SigAction {
    const fn with(handler: usize) -> Self {
        Self {
            handler,
            flags: 0,
            restorer: 0,
            mask: 0,
        }
    }
}

/// Makes a system call; errors are negative errno values.
///
/// # Safety
/// Arguments that the kernel takes for addresses must be valid for what the
/// call does with them.
unsafe fn syscall(number: usize, args: [usize; 5]) -> isize {
    let result: isize;
    let [a, b, c, d, e] = args;
    // SAFETY: the kernel changes nothing but the result register (and rcx and
    // r11 on x86_64); the caller answers for the addresses.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b,
             in("rdx") c, in("r10") d, in("r8") e, lateout("rcx") _, lateout("r11") _,
             options(nostack));
    }
    // SAFETY: as above; svc changes nothing but x0.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b,
             in("x2") c, in("x3") d, in("x4") e, options(nostack));
    }
    result
}

fn exit(code: c_int) -> ! {
    loop {
        // SAFETY: exit_group takes no address.
        unsafe { syscall(nr::EXIT_GROUP, [code as usize, 0, 0, 0, 0]) };
    }
}

fn write_error(parts: &[&[u8]]) {
    for part in parts {
        // SAFETY: the slice is readable for its length.
        unsafe { syscall(nr::WRITE, [2, part.as_ptr() as usize, part.len(), 0, 0]) };
    }
}

/// Sets the signal mask, gives the one before.
fn set_mask(mask: u64) -> u64 {
    let mut old = 0_u64;
    let (new_at, old_at) = (&raw const mask as usize, &raw mut old as usize);
    // SAFETY: both point at eight bytes of this function, which outlive the call.
    unsafe { syscall(nr::RT_SIGPROCMASK, [SIG_SETMASK, new_at, old_at, 8, 0]) };
    old
}

/// Sets a signal's disposition, gives the one before.
fn set_action(signal: c_int, action: SigAction) -> SigAction {
    let mut old = SigAction::with(0);
    let (new_at, old_at) = (&raw const action as usize, &raw mut old as usize);
    // SAFETY: both point at a whole `SigAction` that outlives the call.
    unsafe { syscall(nr::RT_SIGACTION, [signal as usize, new_at, old_at, 8, 0]) };
    old
}

fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

/// What the kernel leaves on a new program's stack.
struct Start {
    argv: *const *const c_char,
    count: usize,
    envp: *const *const c_char,
}

impl Start {
    /// The pointer after the first `--`, or after the program's own name.
    fn command(&self) -> *const *const c_char {
        let mut first = 1;
        for index in 1..self.count {
            if self.argument(index) == b"--" {
                first = index + 1;
                break;
            }
        }
        self.argv.wrapping_add(first.min(self.count))
    }

    fn argument(&self, index: usize) -> &[u8] {
        // SAFETY: index is below the count, so this is one of the kernel's
        // pointers to a string that lives as long as the process.
        unsafe { CStr::from_ptr(*self.argv.add(index)) }.to_bytes()
    }

    /// The value of `PATH`.
    fn path(&self) -> &[u8] {
        let mut entry = self.envp;
        loop {
            // SAFETY: the environment ends with a null pointer, and the loop
            // with it.
            let text = unsafe { *entry };
            if text.is_null() {
                return DEFAULT_PATH;
            }
            // SAFETY: not null, so one of the kernel's pointers to a string.
            let text = unsafe { CStr::from_ptr(text) }.to_bytes();
            if let Some(value) = text.strip_prefix(b"PATH=") {
                return value;
            }
            entry = entry.wrapping_add(1);
        }
    }
}

/// execve(2); comes back only with an error.
fn execve(program: *const u8, argv: *const *const c_char, envp: *const *const c_char) -> isize {
    // SAFETY: callers pass a NUL-terminated path and the kernel's own vectors.
    -unsafe {
        syscall(
            nr::EXECVE,
            [program as usize, argv as usize, envp as usize, 0, 0],
        )
    }
}

/// Executes the command as execvp(3) would; gives the errno.
fn execute(command: *const *const c_char, start: &Start) -> isize {
    // SAFETY: the caller has checked that the command has a first word.
    let name = unsafe { CStr::from_ptr(*command) };
    let bytes = name.to_bytes();
    if bytes.contains(&b'/') {
        return execve(name.as_ptr().cast(), command, start.envp);
    }
    let mut refused = ENOENT;
    let mut buffer = [0_u8; PATH_MAX + 1];
    for folder in start.path().split(|byte| *byte == b':') {
        let folder = if folder.is_empty() { b"." } else { folder };
        let joined = folder.iter().chain(b"/").chain(bytes).chain(&[0]);
        if folder.len() + bytes.len() + 2 > buffer.len() {
            continue;
        }
        for (to, from) in buffer.iter_mut().zip(joined) {
            *to = *from;
        }
        match execve(buffer.as_ptr(), command, start.envp) {
            ENOENT | ENOTDIR => {}
            EACCES => refused = EACCES,
            errno => return errno,
        }
    }
    refused
}

/// The new process: own group, the terminal, signals as they were, exec.
fn run(command: *const *const c_char, start: &Start, mask: u64, actions: [SigAction; 2]) -> ! {
    // SAFETY: setpgid takes no address.
    unsafe { syscall(nr::SETPGID, [0, 0, 0, 0, 0]) };
    let group: c_int = group();
    // Without a terminal this is ENOTTY, which is no one's concern.
    // SAFETY: the ioctl reads one int.
    unsafe { syscall(nr::IOCTL, [0, TIOCSPGRP, &raw const group as usize, 0, 0]) };
    set_action(SIGTTIN, actions[0]);
    set_action(SIGTTOU, actions[1]);
    set_mask(mask);
    let errno = execute(command, start);
    // SAFETY: the command has a first word.
    let name = unsafe { CStr::from_ptr(*command) }.to_bytes();
    let reason: &[u8] = match errno {
        ENOENT => b"no such file or directory",
        EACCES => b"permission denied",
        _ => b"it cannot be executed",
    };
    write_error(&[b"skiff-init: cannot execute `", name, b"`: ", reason, b"\n"]);
    exit(match errno {
        ENOENT => 127,
        EACCES => 126,
        _ => 1,
    })
}

/// The calling process's id, which after setpgid is its group's too.
fn group() -> c_int {
    #[cfg(target_arch = "x86_64")]
    const GETPID: usize = 39;
    #[cfg(target_arch = "aarch64")]
    const GETPID: usize = 172;
    // SAFETY: getpid takes nothing.
    unsafe { syscall(GETPID, [0; 5]) as c_int }
}

/// Reaps everything that has ended; the exit code if the child was among it.
fn reap(child: isize) -> Option<c_int> {
    let mut code = None;
    loop {
        let mut status: c_int = 0;
        let any = usize::MAX;
        // SAFETY: the kernel writes one int to `status`.
        let pid = unsafe { syscall(nr::WAIT4, [any, &raw mut status as usize, WNOHANG, 0, 0]) };
        match pid {
            0 => return code,
            pid if pid == -EINTR => {}
            pid if pid < 0 => {
                return if pid == -ECHILD {
                    code.or(Some(1))
                } else {
                    code
                };
            }
            pid if pid == child => {
                let signal = status & 0x7f;
                code = Some(if signal == 0 {
                    (status >> 8) & 0xff
                } else {
                    128 + signal
                });
            }
            _ => {}
        }
    }
}

/// The next signal of the set.
fn next_signal(set: u64) -> c_int {
    loop {
        // SAFETY: the set is eight readable bytes; no siginfo and no time are
        // asked for.
        let signal = unsafe { syscall(nr::RT_SIGTIMEDWAIT, [&raw const set as usize, 0, 0, 8, 0]) };
        if signal > 0 {
            return signal as c_int;
        }
    }
}

/// Entered from `_start` with the initial stack pointer.
extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the kernel puts the argument count there.
    let count = unsafe { *stack };
    let argv: *const *const c_char = stack.wrapping_add(1).cast();
    let start = Start {
        argv,
        count,
        envp: argv.wrapping_add(count + 1),
    };
    let command = start.command();
    // SAFETY: at most the null pointer that ends the arguments.
    if unsafe { *command }.is_null() {
        write_error(&[b"skiff-init: no program given after `--`\n"]);
        exit(1);
    }
    let mut waited = u64::MAX;
    for signal in NOT_FORWARDED {
        waited &= !bit(signal);
    }
    let mask = set_mask(waited);
    let actions = [
        set_action(SIGTTIN, SigAction::with(SIG_IGN)),
        set_action(SIGTTOU, SigAction::with(SIG_IGN)),
    ];
    // SAFETY: a clone without flags is a fork: the child has its own copy of
    // this stack.
    let child = unsafe { syscall(nr::CLONE, [SIGCHLD as usize, 0, 0, 0, 0]) };
    match child {
        0 => run(command, &start, mask, actions),
        failed if failed < 0 => {
            write_error(&[b"skiff-init: cannot start a process\n"]);
            exit(1)
        }
        _ => {}
    }
    loop {
        let signal = next_signal(waited);
        if signal != SIGCHLD {
            // SAFETY: kill takes no address. A child that has just ended is
            // reaped below.
            unsafe { syscall(nr::KILL, [child as usize, signal as usize, 0, 0, 0]) };
        }
        if let Some(code) = reap(child) {
            exit(code);
        }
    }
}

/// What compiled code takes for granted and no library is there to give. The
/// accesses are volatile, or the loops would be compiled into calls of themselves.
mod memory {
    /// memset(3).
    ///
    /// # Safety
    /// `to` is writable for `count` bytes.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
        for index in 0..count {
            // SAFETY: the caller's promise.
            unsafe { to.add(index).write_volatile(byte as u8) };
        }
        to
    }

    /// memcpy(3).
    ///
    /// # Safety
    /// Both are valid for `count` bytes and do not overlap.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
        for index in 0..count {
            // SAFETY: the caller's promise.
            unsafe { to.add(index).write_volatile(from.add(index).read()) };
        }
        to
    }

    /// memcmp(3).
    ///
    /// # Safety
    /// Both are readable for `count` bytes.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
        for index in 0..count {
            // SAFETY: the caller's promise.
            let (a, b) = unsafe { (left.add(index).read_volatile(), right.add(index).read()) };
            if a != b {
                return i32::from(a) - i32::from(b);
            }
        }
        0
    }

    /// bcmp(3).
    ///
    /// # Safety
    /// As [`memcmp`].
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
        // SAFETY: the caller's promise.
        unsafe { memcmp(left, right, count) }
    }

    /// strlen(3).
    ///
    /// # Safety
    /// A zero byte ends the text.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(text: *const u8) -> usize {
        let mut length = 0;
        // SAFETY: the loop ends with the zero byte.
        while unsafe { text.add(length).read_volatile() } != 0 {
            length += 1;
        }
        length
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(70)
}
