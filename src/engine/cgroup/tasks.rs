//! The processes of a group: counting, stopping, killing, waiting for the end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::delegation::split;
use super::error::CgroupError;
use super::files;

/// How long processes may take to stand still.
const FREEZE_LIMIT: Duration = Duration::from_secs(10);

/// Rounds of signals where nothing can be stopped first.
const KILL_ROUNDS: u32 = 1000;

/// Tries of rmdir(2) on a group that is said to be empty.
const REMOVE_TRIES: u32 = 100;

/// Whoever knows of a group's processes.
#[derive(Debug)]
pub(super) enum Tasks {
    /// A version 2 group: `cgroup.freeze` (5.2), `cgroup.kill` (5.14), events.
    Unified(PathBuf),
    /// A group of the version 1 freezer.
    Freezer(PathBuf),
    /// A group of any version 1 controller.
    Plain(PathBuf),
}

impl Tasks {
    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Unified(folder) | Self::Freezer(folder) | Self::Plain(folder) => folder,
        }
    }

    /// All processes of the group and of those below it.
    pub(super) fn processes(&self) -> Result<Vec<i32>, CgroupError> {
        let mut found = Vec::new();
        collect(self.folder(), &mut found)?;
        Ok(found)
    }

    pub(super) fn freeze(&self) -> Result<(), CgroupError> {
        match self {
            Self::Unified(folder) => {
                files::write(&folder.join("cgroup.freeze"), "1")?;
                let frozen = |text: &str| files::keyed(text, "frozen") == Some(1);
                if wait_event(folder, FREEZE_LIMIT, frozen)? {
                    return Ok(());
                }
            }
            Self::Freezer(folder) => {
                let state = folder.join("freezer.state");
                let deadline = Instant::now() + FREEZE_LIMIT;
                files::write(&state, "FROZEN")?;
                // The freezer tells nobody when it is done; each look makes it
                // count again.
                while Instant::now() < deadline {
                    if files::read(&state)?.trim() == "FROZEN" {
                        return Ok(());
                    }
                    rustix::thread::sched_yield();
                }
            }
            Self::Plain(_) => {}
        }
        Err(CgroupError::NotFrozen {
            path: self.folder().to_owned(),
        })
    }

    pub(super) fn thaw(&self) -> Result<(), CgroupError> {
        match self {
            Self::Unified(folder) => files::write(&folder.join("cgroup.freeze"), "0"),
            Self::Freezer(folder) => files::write(&folder.join("freezer.state"), "THAWED"),
            Self::Plain(_) => Ok(()),
        }
    }

    pub(super) fn is_frozen(&self) -> Result<bool, CgroupError> {
        let (file, thawed) = match self {
            Self::Unified(folder) => (folder.join("cgroup.freeze"), "0"),
            Self::Freezer(folder) => (folder.join("freezer.state"), "THAWED"),
            Self::Plain(_) => return Ok(false),
        };
        Ok(files::read_if_there(&file)?.is_some_and(|text| text.trim() != thawed))
    }

    pub(super) fn kill_all(&self) -> Result<(), CgroupError> {
        if let Self::Unified(folder) = self {
            let kill = folder.join("cgroup.kill");
            if kill.exists() {
                return files::write(&kill, "1");
            }
        }
        if !self.folder().exists() {
            return Ok(());
        }
        // What stands still cannot fork, so one round reaches everything.
        // Where it cannot be stopped, rounds go on until nobody is left.
        let stopped = self.freeze().is_ok();
        let result = if stopped {
            self.signal_once().map(|_| ())
        } else {
            self.signal_until_empty()
        };
        self.thaw()?;
        result
    }

    fn signal_until_empty(&self) -> Result<(), CgroupError> {
        for _ in 0..KILL_ROUNDS {
            if self.signal_once()? == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends SIGKILL to everything there is now, by descriptors, so that a
    /// number that was given anew meanwhile is spared.
    fn signal_once(&self) -> Result<usize, CgroupError> {
        let held = self.open_processes()?;
        let still = self.processes()?;
        for (pid, fd) in held.iter().filter(|(pid, _)| still.contains(pid)) {
            match pidfd_send_signal(fd, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(errno) => {
                    return Err(CgroupError::Write {
                        path: self.folder().join("cgroup.procs"),
                        value: format!("SIGKILL to {pid}"),
                        source: errno.into(),
                    });
                }
            }
        }
        Ok(still.len())
    }

    fn open_processes(&self) -> Result<Vec<(i32, OwnedFd)>, CgroupError> {
        Ok(self
            .processes()?
            .into_iter()
            .filter_map(|pid| {
                let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
                Some((pid, fd))
            })
            .collect())
    }

    pub(super) fn wait_empty(&self, limit: Duration) -> Result<(), CgroupError> {
        let empty = match self {
            Self::Unified(folder) => {
                let vacated = |text: &str| files::keyed(text, "populated") == Some(0);
                wait_event(folder, limit, vacated)?
            }
            Self::Freezer(_) | Self::Plain(_) => self.wait_processes(limit)?,
        };
        if empty {
            return Ok(());
        }
        let mut processes = self.processes()?;
        processes.truncate(5);
        Err(CgroupError::StillPopulated {
            path: self.folder().to_owned(),
            seconds: limit.as_secs(),
            processes,
        })
    }

    /// Waits on a descriptor of each process, as version 1 has no event.
    fn wait_processes(&self, limit: Duration) -> Result<bool, CgroupError> {
        let deadline = Instant::now() + limit;
        loop {
            if self.processes()?.is_empty() {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let held = self.open_processes()?;
            // Between the two looks the last may have gone: look again.
            let ended = match held.first() {
                Some((_, first)) => {
                    let mut fds = [PollFd::new(first, PollFlags::IN)];
                    poll_for(&mut fds, left, self.folder())?
                }
                None => !left.is_zero(),
            };
            if !ended {
                return Ok(false);
            }
        }
    }
}

/// Waits until `done` holds for the text of `cgroup.events`; false when the
/// time is up. A group that does not exist has no process to wait for.
fn wait_event(
    folder: &Path,
    limit: Duration,
    done: impl Fn(&str) -> bool,
) -> Result<bool, CgroupError> {
    let path = folder.join("cgroup.events");
    let deadline = Instant::now() + limit;
    let file = match rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(true),
        Err(errno) => {
            return Err(CgroupError::Read {
                path,
                source: errno.into(),
            });
        }
    };
    loop {
        let mut buffer = [0_u8; 256];
        let length = match rustix::io::pread(&file, &mut buffer, 0) {
            Ok(length) => length,
            Err(rustix::io::Errno::NODEV) => return Ok(true),
            Err(errno) => {
                return Err(CgroupError::Read {
                    path,
                    source: errno.into(),
                });
            }
        };
        let text = buffer.get(..length).unwrap_or_default();
        if done(&String::from_utf8_lossy(text)) {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&file, PollFlags::PRI)];
        if !poll_for(&mut fds, left, folder)? {
            return Ok(false);
        }
    }
}

/// False when the time is up.
fn poll_for(fds: &mut [PollFd<'_>], left: Duration, folder: &Path) -> Result<bool, CgroupError> {
    let time = Timespec::try_from(left).ok();
    match poll(fds, time.as_ref()) {
        Ok(0) => Ok(false),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(true),
        Err(errno) => Err(CgroupError::Read {
            path: folder.to_owned(),
            source: errno.into(),
        }),
    }
}

fn collect(folder: &Path, found: &mut Vec<i32>) -> Result<(), CgroupError> {
    let Some(text) = files::read_if_there(&folder.join("cgroup.procs"))? else {
        return Ok(());
    };
    found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for child in children(folder) {
        collect(&child, found)?;
    }
    Ok(())
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Removes the folders of ours above a group that are empty.
pub(super) fn remove_empty_parents(root: &Path, path: &str) {
    let given = root.join(split(path).0);
    for parent in root
        .join(path)
        .ancestors()
        .skip(1)
        .take_while(|parent| *parent != given)
    {
        // Others may live there; whoever goes last removes it.
        if fs::remove_dir(parent).is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            break;
        }
    }
}

/// Removes a group and those below it. `wait` returns when the group has no
/// process left.
pub(super) fn remove(
    folder: &Path,
    wait: &impl Fn() -> Result<(), CgroupError>,
) -> Result<(), CgroupError> {
    let mut last = io::Error::from_raw_os_error(libc::EBUSY);
    for _ in 0..REMOVE_TRIES {
        match rustix::fs::rmdir(folder) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(rustix::io::Errno::BUSY | rustix::io::Errno::NOTEMPTY) => {
                wait()?;
                for child in children(folder) {
                    remove(&child, wait)?;
                }
            }
            Err(errno) => {
                last = errno.into();
                break;
            }
        }
    }
    Err(CgroupError::Remove {
        path: folder.to_owned(),
        source: last,
    })
}
