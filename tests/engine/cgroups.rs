//! Entering control groups of both versions; paused containers.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;

use crate::harness::{Cgroup, Machine, isolated};

/// A group that is gone with the value.
struct Group {
    folder: PathBuf,
}

impl Group {
    fn make(top: &Path) -> Self {
        let unique = tempfile::tempdir().unwrap();
        let unique = unique.path().file_name().unwrap().to_str().unwrap();
        let folder = top.join(format!("skiff-engine-test{unique}"));
        fs::create_dir(&folder).unwrap();
        Self { folder }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its last process may be on its way out still.
        let limit = Instant::now() + Duration::from_secs(5);
        while fs::remove_dir(&self.folder).is_err() && Instant::now() < limit {
            std::thread::yield_now();
        }
    }
}

/// Where a hierarchy is mounted: `cgroup2`, or the v1 one with a controller.
fn hierarchy(kind: &str, controller: Option<&str>) -> Option<PathBuf> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap();
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let has = |name| fields[3].split(',').any(|option| option == name);
        (fields[2] == kind && controller.is_none_or(has)).then(|| fields[1].into())
    })
}

type Version = fn(PathBuf) -> Cgroup;

/// Groups of each version that this machine has.
fn groups() -> Vec<(Group, Version)> {
    let mut groups: Vec<(Group, Version)> = Vec::new();
    if let Some(top) = hierarchy("cgroup2", None) {
        groups.push((Group::make(&top), Cgroup::V2));
    }
    if let Some(top) = hierarchy("cgroup", Some("freezer")) {
        groups.push((Group::make(&top), Cgroup::V1));
    }
    assert!(!groups.is_empty(), "no cgroup hierarchy is mounted");
    groups
}

#[test]
fn container_is_in_its_group_and_sees_it_as_the_root() {
    isolated(|| {
        for (group, kind) in groups() {
            let mut machine = Machine::new();
            machine.cgroup = Some(kind(group.folder.clone()));
            let container = machine.start(&["sleep", "1000"]);
            let pid = container.pid().as_raw_pid().to_string();
            let procs = group.folder.join("cgroup.procs");
            assert_eq!(fs::read_to_string(&procs).unwrap().trim(), pid);
            let name = group.folder.file_name().unwrap().to_str().unwrap();
            let outside = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
            assert!(outside.contains(name), "{outside}");
            let exec = machine.exec(&container, &["cat", "/proc/self/cgroup"]);
            let inside = exec.finish().ok();
            assert!(!inside.contains(name), "{inside}");
            container.kill();
        }
    });
}

#[test]
fn exec_in_a_paused_container_is_refused() {
    isolated(|| {
        for (group, kind) in groups() {
            let mut machine = Machine::new();
            machine.cgroup = Some(kind(group.folder.clone()));
            let container = machine.start(&["sleep", "1000"]);
            let (file, frozen, thawed) = match machine.cgroup {
                Some(Cgroup::V2(_)) => ("cgroup.freeze", "1", "0"),
                _ => ("freezer.state", "FROZEN", "THAWED"),
            };
            fs::write(group.folder.join(file), frozen).unwrap();
            let text = match machine.try_exec(&container, &["true"]) {
                Err(error) => error.to_string(),
                Ok(running) => running.finish().error().to_string(),
            };
            assert!(
                text.ends_with("the container is paused; unpause it first"),
                "{text}"
            );
            fs::write(group.folder.join(file), thawed).unwrap();
            machine.exec(&container, &["true"]).finish().ok();
            container.kill();
        }
    });
}
