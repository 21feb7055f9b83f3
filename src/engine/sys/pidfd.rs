//! What a pidfd remembers of a process that was reaped (`ioctl_pidfd(2)`).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// `struct pidfd_info`, first version (64 bytes).
#[repr(C)]
#[derive(Debug, Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// `_IOWR(0xff, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::Ioctl = 0xc040_ff0b_u32 as libc::Ioctl;
/// The exit code, once the process was reaped (Linux 6.15).
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// The wait status of a process that was reaped by someone else
/// (`PIDFD_GET_INFO` with `PIDFD_INFO_EXIT`, Linux 6.15); `None` where the kernel
/// has none to tell.
///
/// # Errors
/// `ENOTTY` in an older kernel, `ESRCH` where the process is gone and forgotten.
pub fn pidfd_exit_status(pidfd: impl AsFd) -> io::Result<Option<i32>> {
    let mut info = PidfdInfo {
        mask: PIDFD_INFO_EXIT,
        ..PidfdInfo::default()
    };
    // SAFETY: `info` is a `struct pidfd_info` of the size in the request's
    // number, and lives over the call.
    let result = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code))
}
