//! Waits: always on an event, always with a deadline.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How long anything may take before the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until the process has ended (a zombie counts); false at the deadline.
pub(crate) fn wait_exit(pid: u32, deadline: Instant) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return true;
    };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let rest = deadline.saturating_duration_since(Instant::now());
    let rest = Timespec::try_from(rest).expect("a deadline of seconds");
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&rest)), Ok(1))
}
