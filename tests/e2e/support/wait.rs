//! Waits: always on an event, always with a deadline.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Multiplies the deadline, for machines that are emulated.
const PATIENCE_VARIABLE: &str = "SKIFF_E2E_PATIENCE";

/// How long anything may take before the test fails.
pub(crate) static DEADLINE: LazyLock<Duration> = LazyLock::new(|| {
    let factor = skiff::env::read_string(PATIENCE_VARIABLE).and_then(|text| text.parse().ok());
    Duration::from_secs(30) * factor.unwrap_or(1)
});

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
