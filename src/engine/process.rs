//! Which process is which: proc(5), `pidfd_open(2)`.
//!
//! A pid alone says little, for it is used again. Together with its start
//! time, and the boot it belongs to, it names one process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Index of fields of /proc/PID/stat after the program's name, which is
/// field 2 and may contain anything.
const STATE: usize = 0;
const START_TIME: usize = 22 - 3;
const EXIT_CODE: usize = 52 - 3;

/// A process of this boot, whatever becomes of its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// As the host sees it.
    pub pid: i32,
    /// Field 22 of /proc/PID/stat: clock ticks since boot.
    pub start_time: u64,
}

/// The fields of /proc/PID/stat that say what a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    state: u8,
    start_time: u64,
    exit_code: i32,
}

impl ProcessIdentity {
    /// Of a process that exists now.
    ///
    /// # Errors
    /// `ENOENT` where it does not.
    pub fn of(pid: i32) -> io::Result<Self> {
        read_stat(pid).map(|stat| Self {
            pid,
            start_time: stat.start_time,
        })
    }

    /// Of the calling process.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn own() -> io::Result<Self> {
        Self::of(rustix::process::getpid().as_raw_pid())
    }

    /// Whether it still runs; a zombie does not.
    pub fn still_running(&self) -> bool {
        self.stat()
            .is_some_and(|stat| !matches!(stat.state, b'Z' | b'X'))
    }

    /// Its wait status (as waitpid(2) gives it) while it is a zombie.
    pub fn zombie_status(&self) -> Option<i32> {
        self.stat()
            .filter(|stat| stat.state == b'Z')
            .map(|stat| stat.exit_code)
    }

    /// A pidfd of this very process, `None` where it is gone
    /// (`pidfd_open`, Linux 5.3).
    ///
    /// # Errors
    /// What `pidfd_open(2)` says other than that there is no such process.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(None);
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // Only now is the number held: what it names is looked at again.
            Ok(pidfd) => Ok(self.stat().is_some().then_some(pidfd)),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn stat(&self) -> Option<Stat> {
        read_stat(self.pid)
            .ok()
            .filter(|stat| stat.start_time == self.start_time)
    }
}

/// Whether the process of a pidfd has ended (it may be a zombie still).
///
/// # Errors
/// What poll(2) says.
pub fn has_ended(pidfd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    Ok(rustix::io::retry_on_intr(|| poll(&mut fds, Some(&now)))? > 0)
}

/// `docker run`'s exit code for a wait status: 128 + N for signal N.
pub const fn exit_code(wait_status: i32) -> i32 {
    if libc::WIFSIGNALED(wait_status) {
        128 + libc::WTERMSIG(wait_status)
    } else {
        libc::WEXITSTATUS(wait_status)
    }
}

/// The id of this boot of the machine.
///
/// # Errors
/// /proc cannot be read.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string(BOOT_ID)?.trim().to_owned())
}

fn read_stat(pid: i32) -> io::Result<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&String::from_utf8_lossy(&text)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse_stat(text: &str) -> Option<Stat> {
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    Some(Stat {
        state: *fields.get(STATE)?.as_bytes().first()?,
        start_time: fields.get(START_TIME)?.parse().ok()?,
        exit_code: fields.get(EXIT_CODE)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn parse_stat_of_a_name_with_parentheses_finds_the_fields() {
        let mut fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        fields[0] = "Z".to_owned();
        let text = format!("7 (a) R 1 (b) {}\n", fields.join(" "));
        assert_eq!(
            parse_stat(&text),
            Some(Stat {
                state: b'Z',
                start_time: 22,
                exit_code: 52
            })
        );
    }

    #[test]
    fn identity_of_a_zombie_tells_its_status() {
        let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = ProcessIdentity::of(pid).unwrap();
        let pidfd = identity.open().unwrap().unwrap();
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        poll(&mut fds, None).unwrap();
        assert!(has_ended(pidfd.as_fd()).unwrap());
        assert!(!identity.still_running());
        assert_eq!(identity.zombie_status().map(exit_code), Some(7));
        child.wait().unwrap();
        assert_eq!(identity.zombie_status(), None);
        assert!(identity.open().unwrap().is_none());
    }

    #[test]
    fn identity_with_another_start_time_is_another_process() {
        let own = ProcessIdentity::own().unwrap();
        assert!(own.still_running());
        let other = ProcessIdentity {
            start_time: own.start_time + 1,
            ..own
        };
        assert!(!other.still_running());
        assert!(other.open().unwrap().is_none());
    }
}
