//! Processes that nobody of ours can wait for, as the keeper that cloned them
//! is dead: which it is, and how it ended.

use std::os::fd::OwnedFd;

use jiff::Timestamp;
use tokio::io::Interest;

use crate::engine::cgroup::Group;
use crate::engine::process::ProcessIdentity;
use crate::engine::sys;
use crate::supervise::keeper::Ended;
use crate::supervise::ready::watched;

/// The process of a group that was there first, with its pidfd; `None` where
/// none is left.
pub(super) fn first(group: &Group) -> Option<(i32, OwnedFd)> {
    let members = group.processes().ok()?;
    let first = members
        .into_iter()
        .filter_map(|pid| ProcessIdentity::of(pid).ok())
        .min_by_key(|one| (one.start_time, one.pid))?;
    Some((first.pid, first.open().ok().flatten()?))
}

/// Waits for its end. The code comes from its zombie where that is still there,
/// else from the kernel's memory of it (`PIDFD_GET_INFO`, Linux 6.15), else it
/// is unknown.
pub(super) async fn wait(pid: i32, pidfd: &OwnedFd) -> Ended {
    if let Ok(copy) = pidfd.try_clone()
        && let Ok(watched) = watched(copy, Interest::READABLE)
    {
        // An error can only mean that it cannot be watched any longer.
        watched.readable().await.map(|_| ()).ok();
    }
    // The pidfd says that it has ended: a living process of this number is
    // another one, and has no status.
    let zombie = ProcessIdentity::of(pid)
        .ok()
        .and_then(|identity| identity.zombie_status());
    let status = zombie.or_else(|| sys::pidfd_exit_status(pidfd).ok().flatten());
    let at = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    Ended {
        code: status.map(exit_code),
        at,
    }
}

/// Exit code, 128 + N for signal N.
fn exit_code(status: i32) -> i32 {
    match status & 0x7f {
        0 => (status >> 8) & 0xff,
        signal => 128 + signal,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn open(pid: u32) -> (i32, OwnedFd) {
        let pid = i32::try_from(pid).unwrap();
        let handle = rustix::process::Pid::from_raw(pid).unwrap();
        let flags = rustix::process::PidfdFlags::empty();
        (pid, rustix::process::pidfd_open(handle, flags).unwrap())
    }

    #[tokio::test]
    async fn the_code_of_a_zombie_is_read() {
        for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)] {
            let mut child = Command::new("/bin/sh")
                .args(["-c", script])
                .spawn()
                .unwrap();
            let (pid, pidfd) = open(child.id());
            assert_eq!(wait(pid, &pidfd).await.code, Some(code), "{script}");
            child.wait().unwrap();
        }
    }

    #[tokio::test]
    async fn the_code_of_a_reaped_process_is_known_or_unknown_but_never_wrong() {
        let mut child = Command::new("/bin/sh")
            .args(["-c", "exit 9"])
            .spawn()
            .unwrap();
        let (pid, pidfd) = open(child.id());
        child.wait().unwrap();
        let code = wait(pid, &pidfd).await.code;
        assert!(code.is_none_or(|code| code == 9), "{code:?}");
    }
}
