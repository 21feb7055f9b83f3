//! On the hierarchies of the machine that runs the tests, as root: groups with
//! random names, removed in the end. A host with version 2 alone is tested in
//! a virtual machine by the end-to-end tests; here its device programs are.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command};
use std::time::Instant;

use super::*;
use crate::engine::oci_default::default_device_rules;

/// A group below a random one, removed with it even when a test fails.
struct Scratch {
    host: Host,
    top: String,
}

impl Scratch {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test needs root");
        Self {
            host: Host::detect().unwrap(),
            top: format!("skiff-test-{}", random_hex(6)),
        }
    }

    /// As if this host had version 1 alone (where it has that at all).
    fn without_v2() -> Self {
        let text = fs::read_to_string(MOUNTINFO).unwrap();
        let others: Vec<_> = text
            .lines()
            .filter(|line| !line.contains(" - cgroup2 "))
            .collect();
        let mut scratch = Self::new();
        scratch.host = Host::from_mountinfo(&others.join("\n")).unwrap();
        scratch
    }

    /// This host as it is, and without version 2.
    fn both() -> Vec<Self> {
        let hybrid = Self::new();
        match hybrid.host.version() {
            Version::V1 => vec![hybrid, Self::without_v2()],
            Version::V2 => vec![hybrid],
        }
    }

    fn path(&self) -> String {
        format!("{}/project/{}", self.top, random_hex(4))
    }

    fn create(&self, json: serde_json::Value) -> Result<Group, CgroupError> {
        self.host
            .create(&self.path(), &serde_json::from_value(json).unwrap())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let all = self.host.open(&self.top);
        all.kill_all().ok();
        all.remove().unwrap();
        for root in self.host.all_roots() {
            assert!(!root.join(&self.top).exists(), "{} is left", root.display());
        }
    }
}

/// What a shell runs to enter a group. (It cannot be born there.)
fn enter(fds: &CgroupFds) -> String {
    let path = |fd: &OwnedFd| fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
    let unified = fds.unified.iter().map(|fd| path(fd).join("cgroup.procs"));
    unified
        .chain(fds.tasks.iter().map(path))
        .map(|file| format!("echo 0 > '{}' || exit 9\n", file.display()))
        .collect()
}

/// Runs a program in a group, entered as a container's process enters it.
fn spawn(group: &Group, script: &str) -> Child {
    Command::new("/bin/sh")
        .arg("-c")
        .arg(enter(&group.enter_fds().unwrap()) + script)
        .spawn()
        .unwrap()
}

/// Waits until the group has so many processes: each fork is one more line.
fn wait_for_processes(group: &Group, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while group.processes().unwrap().len() < count {
        assert!(Instant::now() < deadline, "never {count} processes");
        std::thread::yield_now();
    }
}

#[test]
fn limits_reach_the_kernel_and_nothing_is_left() {
    let scratch = Scratch::new();
    let group = scratch
        .create(serde_json::json!({
            "memory": {"limit": 64 << 20, "swap": 64 << 20},
            "cpu": {"quota": 50000, "period": 100_000, "cpus": "0"},
            "pids": {"limit": 50},
            "devices": default_device_rules()
        }))
        .unwrap();
    assert!(group.exists());
    let (memory, cpu, want) = match scratch.host.version() {
        Version::V1 => ("memory.limit_in_bytes", "cpu.cfs_quota_us", "50000"),
        Version::V2 => ("memory.max", "cpu.max", "50000 100000"),
    };
    let read =
        |controller, file| fs::read_to_string(group.file(controller, file).unwrap()).unwrap();
    assert_eq!(read(Controller::Memory, memory).trim(), "67108864");
    assert_eq!(read(Controller::Pids, "pids.max").trim(), "50");
    assert_eq!(read(Controller::Cpu, cpu).trim(), want);
    assert_eq!(read(Controller::Cpuset, "cpuset.cpus").trim(), "0");
    group.remove().unwrap();
    assert!(!group.exists());
    scratch.host.remove_tree(group.path()).unwrap();
    // Parents without another group are gone too.
    for root in scratch.host.all_roots() {
        assert!(!root.join(&scratch.top).exists());
    }
    group.remove().unwrap();
}

#[test]
fn process_beyond_its_memory_is_killed_and_counted() {
    let scratch = Scratch::new();
    let group = scratch
        .create(serde_json::json!({"memory": {"limit": 8 << 20, "swap": 8 << 20}}))
        .unwrap();
    assert_eq!(group.oom_kills().unwrap(), 0);
    let mut child = spawn(&group, "exec tail /dev/zero");
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    assert_eq!(group.oom_kills().unwrap(), 1);
    group.remove().unwrap();
}

#[test]
fn processes_beyond_their_number_are_refused() {
    let scratch = Scratch::new();
    let group = scratch
        .create(serde_json::json!({"pids": {"limit": 1}}))
        .unwrap();
    let mut child = spawn(&group, "/bin/true; echo unreachable");
    assert!(!child.wait().unwrap().success());
}

#[test]
fn device_rules_hold() {
    let scratch = Scratch::new();
    let group = scratch
        .create(serde_json::json!({"devices": [
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"}
        ]}))
        .unwrap();
    let code = |script: &str| spawn(&group, script).wait().unwrap().code();
    assert_eq!(code(": > /dev/null"), Some(0));
    assert_ne!(code("head -c1 /dev/zero > /dev/null 2>&1"), Some(0));
}

/// The program that stands for device rules on version 2, in the version 2
/// mount that hybrid hosts have too.
#[test]
fn kernel_takes_device_programs() {
    let rules = devices::parse(&default_device_rules()).unwrap();
    let mounts = mounts::parse(&fs::read_to_string(MOUNTINFO).unwrap());
    let folder = mounts
        .v2
        .expect("a cgroup2 mount")
        .join(format!("skiff-test-{}", random_hex(6)));
    fs::create_dir(&folder).unwrap();
    let group = std::fs::File::open(&folder).unwrap();
    devices::attach_v2(&group.as_fd().try_clone_to_owned().unwrap(), &rules).unwrap();
    let script = format!(
        "echo 0 > '{}/cgroup.procs' && head -c1 /dev/zero > /dev/null && \
         ! head -c1 /dev/port > /dev/null 2>&1 && ! head -c1 /dev/mem > /dev/null 2>&1 && \
         ! head -c1 /dev/kmsg > /dev/null 2>&1",
        folder.display()
    );
    let status = Command::new("/bin/sh")
        .arg("-c")
        .arg(script)
        .status()
        .unwrap();
    let tasks = tasks::Tasks::Unified(folder.clone());
    tasks.wait_empty(Duration::from_secs(5)).unwrap();
    fs::remove_dir(&folder).unwrap();
    assert!(status.success());
}

#[test]
fn kill_reaches_all_descendants_and_remove_waits_for_them() {
    for scratch in Scratch::both() {
        let group = scratch.create(serde_json::json!({})).unwrap();
        let mut child = spawn(&group, "sleep 60 & (sleep 60 & setsid sleep 60) & wait");
        wait_for_processes(&group, 4);
        group.kill_all().unwrap();
        group.remove().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert_eq!(group.processes().unwrap(), Vec::<i32>::new());
    }
}

#[test]
fn frozen_processes_stand_still_and_can_be_killed() {
    for scratch in Scratch::both() {
        let group = scratch.create(serde_json::json!({})).unwrap();
        let mut child = spawn(&group, "while :; do :; done");
        wait_for_processes(&group, 1);
        assert!(!group.is_frozen().unwrap());
        group.freeze().unwrap();
        assert!(group.is_frozen().unwrap());
        let (controller, file) = match scratch.host.version() {
            Version::V1 => (Controller::Cpuacct, "cpuacct.usage"),
            Version::V2 => (Controller::Cpu, "cpu.stat"),
        };
        let used = || fs::read_to_string(group.file(controller, file).unwrap()).unwrap();
        assert_eq!(used(), used());
        group.kill_all().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }
}

#[test]
fn thawed_processes_go_on() {
    for scratch in Scratch::both() {
        let group = scratch.create(serde_json::json!({})).unwrap();
        let mut child = spawn(&group, "exit 3");
        group.freeze().unwrap();
        group.thaw().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(3));
    }
}

/// Each way to kill, whichever of them this host would choose.
#[test]
fn kill_works_without_cgroup_kill_and_without_version_2() {
    let scratch = Scratch::new();
    let group = scratch.create(serde_json::json!({})).unwrap();
    let mut child = spawn(&group, "sleep 60 & sleep 60 & wait");
    wait_for_processes(&group, 3);
    let plain = match &*scratch.host.backend {
        Backend::V1(v1) => v1.folder(Controller::Pids, group.path()).unwrap(),
        Backend::V2(v2) => v2.folder(group.path()),
    };
    let plain = tasks::Tasks::Plain(plain);
    assert_eq!(plain.processes().unwrap().len(), 3);
    plain.kill_all().unwrap();
    plain.wait_empty(Duration::from_secs(5)).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
}

#[test]
fn populated_group_is_not_removed_but_named() {
    let scratch = Scratch::new();
    let group = scratch.create(serde_json::json!({})).unwrap();
    let mut child = spawn(&group, "exec sleep 60");
    wait_for_processes(&group, 1);
    let error = group.wait_empty(Duration::from_millis(20)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("pid {}", child.id())), "{text}");
    group.kill_all().unwrap();
    child.wait().unwrap();
}

/// As one whose process is killed half-way: what is left of the group has to be
/// found by whoever comes next.
#[test]
fn group_whose_removal_was_cut_short_exists_still() {
    for scratch in Scratch::both() {
        let group = scratch.create(serde_json::json!({})).unwrap();
        let Backend::V1(v1) = &*scratch.host.backend else {
            // One folder is there or not.
            continue;
        };
        // Somebody who is in the way in one hierarchy, and unknown in the one
        // that tells of processes.
        let mut guest = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let folder = v1.folder(Controller::Pids, group.path()).unwrap();
        fs::write(folder.join("cgroup.procs"), guest.id().to_string()).unwrap();
        let result = group.remove();
        let (is_left, is_seen) = (folder.exists(), group.exists());
        guest.kill().unwrap();
        guest.wait().unwrap();
        result.unwrap_err();
        assert_eq!((is_left, is_seen), (true, true));
        group.remove().unwrap();
        assert!(!group.exists());
    }
}

#[test]
fn process_leaves_its_callers_group_everywhere() {
    let scratch = Scratch::new();
    let path = format!("{}/project/keeper", scratch.top);
    let fds = scratch.host.create_leaf(&path).unwrap();
    let output = Command::new("/bin/sh")
        .arg("-c")
        .arg(enter(&fds) + "cat /proc/self/cgroup")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.is_empty());
    for line in text.lines() {
        assert!(line.ends_with(&path), "{line}");
    }
}

#[test]
fn missing_controllers_are_named_before_anything_starts() {
    let mounts = mounts::parse("40 31 0:37 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n");
    let host = Host {
        backend: Arc::new(Backend::V1(v1::Hierarchies::new(mounts))),
    };
    let check = |json| host.check(&serde_json::from_value(json).unwrap());
    check(serde_json::json!({"pids": {"limit": 5}})).unwrap();
    let error = check(serde_json::json!({"memory": {"limit": 5 << 20}})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot limit memory: this host has no `memory` control group controller"
    );
    assert!(error.hint().unwrap().contains("-o memory"));
    let error = check(serde_json::json!({"devices": default_device_rules()})).unwrap_err();
    assert!(error.to_string().contains("`devices`"));
}

#[test]
fn missing_abilities_are_named_before_anything_starts() {
    let scratch = Scratch::new();
    let page = serde_json::json!({"blockIO": {"weight": 100}});
    let resources: LinuxResources = serde_json::from_value(page).unwrap();
    let has_it = [
        "io.weight",
        "io.bfq.weight",
        "blkio.weight",
        "blkio.bfq.weight",
    ];
    let group = scratch.create(serde_json::json!({})).unwrap();
    let there = has_it.iter().any(|file| {
        group
            .file(Controller::Io, file)
            .is_some_and(|path| path.exists())
    });
    let result = scratch.host.check(&resources);
    if there {
        result.unwrap();
    } else {
        let text = result.unwrap_err().to_string();
        assert!(
            text.starts_with("cannot limit block I/O: this kernel's `blkio`"),
            "{text}"
        );
        let error = scratch
            .host
            .create(&scratch.path(), &resources)
            .unwrap_err();
        assert!(matches!(error, CgroupError::NotSupported { .. }));
    }
}
