//! Programs for the kernel: bpf(2), as far as device rules need it (load a
//! program, attach it to a control group of version 2), and seccomp(2).
#![expect(
    unsafe_code,
    reason = "bpf(2) and seccomp(2) have no safe wrapper in rustix or nix"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `enum bpf_cmd`.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
/// `enum bpf_prog_type`.
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
/// `enum bpf_attach_type`.
const BPF_CGROUP_DEVICE: u32 = 6;
/// Programs of groups above stay in force beside this one.
const BPF_F_ALLOW_MULTI: u32 = 2;

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Class, operation and source.
    pub(super) code: u8,
    /// Destination register in the low four bits, source in the high four (on
    /// the little-endian machines that skiff runs on).
    pub(super) registers: u8,
    /// Jump distance or memory offset.
    pub(super) offset: i16,
    /// Constant.
    pub(super) immediate: i32,
}

/// The part of `union bpf_attr` that `BPF_PROG_LOAD` reads; kernels take a
/// shorter one as zeros.
#[repr(C)]
struct LoadAttributes {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
}

/// The part that `BPF_PROG_ATTACH` reads.
#[repr(C)]
struct AttachAttributes {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Loads a program that answers for access to devices (Linux 4.15).
pub(super) fn load_device_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = LoadAttributes {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
    };
    // EAGAIN: a signal came while the program was checked (before 5.17 or so).
    loop {
        // SAFETY: the attributes are a whole prefix of bpf_attr, and point at
        // the borrowed program and at a static string, which outlive the call.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_PROG_LOAD,
                &raw const attributes,
                size_of::<LoadAttributes>(),
            )
        };
        if let Some(fd) = i32::try_from(fd).ok().filter(|fd| *fd >= 0) {
            // SAFETY: the kernel has just given this descriptor to us alone.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::WouldBlock {
            return Err(error);
        }
    }
}

/// Attaches a device program to a control group (Linux 4.15). It stays until
/// the group is removed.
pub(super) fn attach_device_program(
    group: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
) -> io::Result<()> {
    let number =
        |fd: BorrowedFd<'_>| u32::try_from(fd.as_raw_fd()).map_err(|_| io::ErrorKind::InvalidInput);
    let attributes = AttachAttributes {
        target_fd: number(group)?,
        attach_bpf_fd: number(program)?,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the attributes are a whole prefix of bpf_attr without addresses.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_ATTACH,
            &raw const attributes,
            size_of::<AttachAttributes>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Installs a system call filter for the calling thread (Linux 3.17). The
/// bytes are `struct sock_filter`s.
pub(super) fn install_filter(program: &[u8]) -> io::Result<()> {
    let length = u16::try_from(program.len() / 8).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut().cast(),
    };
    let set = |flags: libc::c_ulong| {
        // SAFETY: the program points at as many instructions as it says, which
        // are borrowed over the call; the kernel only reads them, unaligned.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    match set(libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW) {
        // Before 4.17 there is no such flag.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => set(0),
        other => other,
    }
}

/// Makes a system call with arguments that can do no harm (no descriptor, no
/// address), to see what a filter answers.
#[cfg(test)]
pub(super) fn try_call(number: libc::c_long) -> Result<(), i32> {
    let bad = -1_i64;
    // SAFETY: -1 is neither a descriptor nor an address the kernel reads.
    let result = unsafe { libc::syscall(number, bad, bad, bad, bad, bad) };
    if result < 0 {
        Err(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    } else {
        Ok(())
    }
}
