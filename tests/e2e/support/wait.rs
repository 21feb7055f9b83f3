//! Waits: always on an event, always with a deadline.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How long anything may take before the test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until the process has ended (a zombie counts); false at the deadline.
pub(crate) fn wait_exit(pid: u32, deadline: Instant) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return true };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return true };
    let rest = deadline.saturating_duration_since(Instant::now());
    let rest = Timespec::try_from(rest).expect("a deadline of seconds");
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&rest)), Ok(1))
}

/// Asks again whenever something changes below `folder`, until there is an
/// answer; panics at the deadline.
pub(crate) fn eventually<T>(folder: &Path, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let (sender, events) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event| {
        // The receiver is gone only when the wait is over.
        sender.send(event).ok();
    })
    .expect("inotify");
    watcher.watch(folder, RecursiveMode::Recursive).expect("a folder to watch");
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        let rest = end.saturating_duration_since(Instant::now());
        assert!(!rest.is_zero(), "{what}: not within {DEADLINE:?}");
        // A lost event must not cost the whole deadline's answer: the last
        // question is asked at the deadline in any case.
        events.recv_timeout(rest).ok();
    }
}
