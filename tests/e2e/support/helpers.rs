//! Keeper and supervisor of a project, found and sent signals.

use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::proc::processes;
use super::sandbox::Project;
use super::wait::{DEADLINE, wait_exit};

/// Process ids of the project's helpers of this kind (`keeper`, `supervisor`),
/// and of children that its keeper has just cloned.
pub(crate) fn helpers(project: &Project<'_>, kind: &str) -> Vec<u32> {
    processes()
        .into_iter()
        .filter(|process| {
            let words: Vec<&str> = process.command.split(' ').collect();
            words.iter().any(|word| word.contains(kind)) && words.contains(&project.name.as_str())
        })
        .map(|process| process.pid)
        .collect()
}

/// Sends a signal; false where the process has ended.
pub(crate) fn send(pid: u32, signal: Signal) -> bool {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(raw.expect("a pid"), signal).is_ok()
}

/// Kills a process and waits for its end.
pub(crate) fn kill_hard(pid: u32) {
    assert!(send(pid, Signal::KILL), "process {pid} had ended");
    assert!(wait_exit(pid, Instant::now() + *DEADLINE));
}
