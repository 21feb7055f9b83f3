//! Which hierarchies are mounted where: `/proc/self/mountinfo` (proc(5)).

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A controller that skiff uses, whichever version it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Controller {
    /// Shares and bandwidth of processor time.
    Cpu,
    /// Counters of processor time (version 1 only).
    Cpuacct,
    /// Processors and memory nodes.
    Cpuset,
    /// Memory and swap.
    Memory,
    /// Number of processes.
    Pids,
    /// Access to devices (version 1; on version 2 always there, as eBPF).
    Devices,
    /// Stopping processes (version 1; always there on version 2).
    Freezer,
    /// Block devices (`blkio` on version 1, `io` on version 2).
    Io,
    /// Huge pages.
    Hugetlb,
}

impl Controller {
    const ALL: [Self; 9] = [
        Self::Cpu,
        Self::Cpuacct,
        Self::Cpuset,
        Self::Memory,
        Self::Pids,
        Self::Devices,
        Self::Freezer,
        Self::Io,
        Self::Hugetlb,
    ];

    /// The kernel's name on version 1.
    pub fn v1_name(self) -> &'static str {
        match self {
            Self::Io => "blkio",
            Self::Cpu
            | Self::Cpuacct
            | Self::Cpuset
            | Self::Memory
            | Self::Pids
            | Self::Devices
            | Self::Freezer
            | Self::Hugetlb => self.v2_name(),
        }
    }

    /// The kernel's name on version 2.
    pub fn v2_name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Devices => "devices",
            Self::Freezer => "freezer",
            Self::Io => "io",
            Self::Hugetlb => "hugetlb",
        }
    }

    /// The controller of this name on version 1.
    pub(super) fn from_v1(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.v1_name() == name)
    }

    /// The controller of this name on version 2.
    pub(super) fn from_v2(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.v2_name() == name)
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.v1_name())
    }
}

/// One mounted version 1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct V1Mount {
    /// Its controllers that skiff uses; none for a named hierarchy.
    pub(super) controllers: Vec<Controller>,
    /// Where it is mounted.
    pub(super) root: PathBuf,
}

/// What is mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mounts {
    /// Version 1 hierarchies, one mount each.
    pub(super) v1: Vec<V1Mount>,
    /// The version 2 hierarchy.
    pub(super) v2: Option<PathBuf>,
}

impl Mounts {
    /// Whether limits can be set through version 1.
    pub(super) fn has_v1_controller(&self) -> bool {
        self.v1.iter().any(|mount| !mount.controllers.is_empty())
    }
}

/// Reads the text of a mountinfo file. A hierarchy that is mounted several
/// times counts where it is mounted first.
pub(super) fn parse(mountinfo: &str) -> Mounts {
    let mut mounts = Mounts::default();
    let mut devices = Vec::new();
    for line in mountinfo.lines() {
        let Some((device, mount)) = parse_line(line) else {
            continue;
        };
        if devices.contains(&device) {
            continue;
        }
        match mount {
            Mount::V1(mount) => mounts.v1.push(mount),
            Mount::V2(root) => {
                if mounts.v2.is_some() {
                    continue;
                }
                mounts.v2 = Some(root);
            }
        }
        devices.push(device);
    }
    mounts
}

enum Mount {
    V1(V1Mount),
    V2(PathBuf),
}

/// `31 23 0:28 ROOT TARGET OPTIONS [TAG...] - TYPE SOURCE SUPER-OPTIONS`.
fn parse_line(line: &str) -> Option<(&str, Mount)> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(2);
    let device = before.next()?;
    let root = unescape(before.nth(1)?);
    let mut after = after.split(' ');
    match after.next()? {
        "cgroup2" => Some((device, Mount::V2(root))),
        "cgroup" => {
            let controllers = after
                .nth(1)?
                .split(',')
                .filter_map(Controller::from_v1)
                .collect();
            Some((device, Mount::V1(V1Mount { controllers, root })))
        }
        _ => None,
    }
}

/// Spaces, tabs, newlines and backslashes are written as `\` and three octal
/// digits.
fn unescape(field: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = code.map_or(tail, |_| tail.get(3..).unwrap_or_default());
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_host_has_v1_controllers_and_a_v2_mount() {
        let mounts = parse(concat!(
            "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n",
            "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n",
            "39 31 0:36 / /sys/fs/cgroup/a\\040b rw - cgroup cgroup rw,blkio\n",
            "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n",
            "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            "99 31 0:29 / /elsewhere rw - cgroup cgroup rw,cpu,cpuacct\n",
        ));
        assert!(mounts.has_v1_controller());
        assert_eq!(mounts.v2, Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(
            mounts.v1,
            [
                V1Mount {
                    controllers: vec![Controller::Cpu, Controller::Cpuacct],
                    root: "/sys/fs/cgroup/cpu,cpuacct".into(),
                },
                V1Mount {
                    controllers: vec![Controller::Io],
                    root: "/sys/fs/cgroup/a b".into(),
                },
                V1Mount {
                    controllers: vec![],
                    root: "/sys/fs/cgroup/systemd".into(),
                },
            ]
        );
    }

    #[test]
    fn unified_host_has_one_mount() {
        let mounts =
            parse("30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n");
        assert!(!mounts.has_v1_controller());
        assert_eq!(mounts.v2, Some("/sys/fs/cgroup".into()));
    }

    #[test]
    fn host_without_hierarchies_has_none() {
        assert_eq!(
            parse("23 1 0:21 / /sys rw - sysfs sysfs rw\n"),
            Mounts::default()
        );
        assert_eq!(parse("nonsense\n\n"), Mounts::default());
    }
}
