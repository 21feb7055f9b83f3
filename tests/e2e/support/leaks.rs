//! What a test may not leave behind, and how it is found.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fs_err as fs;

use super::proc::{Process, processes};
use super::sandbox::{Sandbox, program, walk};
use super::wait::wait_exit;

/// Keeper and supervisor end by themselves when nothing runs; in this time.
const GRACE: Duration = Duration::from_secs(5);

/// Every control group hierarchy is mounted below this.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The state of the namespaces before the test's body.
#[derive(Debug)]
pub(super) struct Baseline {
    mounts: BTreeSet<String>,
    links: BTreeSet<String>,
    rules: String,
}

impl Baseline {
    /// Looks at the namespaces of this process.
    pub(super) fn take() -> Self {
        Self {
            mounts: mounts(),
            links: links(),
            rules: rules(),
        }
    }
}

/// What is there now and was not before, a line each.
pub(super) fn find(sandbox: &Sandbox, before: &Baseline) -> Vec<String> {
    let mut left: Vec<String> = Vec::new();
    for process in leftover_processes() {
        left.push(format!(
            "process {} ({}) {}",
            process.pid, process.state, process.command
        ));
    }
    left.extend(
        mounts()
            .difference(&before.mounts)
            .map(|point| format!("mount {point}")),
    );
    left.extend(
        links()
            .difference(&before.links)
            .map(|link| format!("link {link}")),
    );
    let rules = rules();
    if rules != before.rules {
        left.push(format!("nft rules:\n{rules}"));
    }
    left.extend(
        files(sandbox)
            .iter()
            .map(|path| format!("file {}", path.display())),
    );
    left
}

/// Processes that are still there after their grace time; each end is an event.
fn leftover_processes() -> Vec<Process> {
    let end = Instant::now() + GRACE;
    loop {
        // A zombie is the harness's own child that nobody waited for.
        let alive: Vec<Process> = processes().into_iter().filter(|p| p.state != 'Z').collect();
        match alive.first() {
            None => return alive,
            Some(first) if wait_exit(first.pid, end) => {}
            // Looked at again: it may have been about to execute its program.
            Some(_) => return processes().into_iter().filter(|p| p.state != 'Z').collect(),
        }
    }
}

/// Mount points of this namespace.
fn mounts() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    text.lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(str::to_owned)
        .collect()
}

/// Links of this network namespace.
fn links() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/net/dev").expect("/proc");
    let name = |line: &str| Some(line.split_once(':')?.0.trim().to_owned());
    text.lines().skip(2).filter_map(name).collect()
}

/// The whole rule set of this network namespace, as nft prints it.
fn rules() -> String {
    let output = Command::new(program("nft"))
        .args(["list", "ruleset"])
        .output()
        .expect("nft");
    assert!(
        output.status.success(),
        "nft: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Control groups that carry a root id of this test, parents first.
fn cgroups(home: &Path) -> Vec<PathBuf> {
    let ids = root_ids(home);
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(CGROUPS)];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let path = entry.path();
                let text = path.to_string_lossy();
                if ids.iter().any(|id| text.contains(id)) {
                    found.push(path.clone());
                }
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The root ids in the folders of a test: of its data root, and of one that it
/// kept elsewhere and mounted there.
fn root_ids(home: &Path) -> Vec<String> {
    let Ok(folders) = fs::read_dir(home) else {
        return Vec::new();
    };
    let read = |folder: fs::DirEntry| fs::read_to_string(folder.path().join("id")).ok();
    let ids: Vec<String> = folders
        .flatten()
        .filter_map(read)
        .map(|id| id.trim().to_owned())
        .collect();
    assert!(!ids.iter().any(String::is_empty), "an empty root id");
    ids
}

/// Removes what a test left of its control groups, and tells what that was. Its
/// processes are gone with their pid namespace.
pub(super) fn sweep_cgroups(home: &Path) -> Vec<String> {
    let left = cgroups(home);
    for path in left.iter().rev() {
        // What cannot be removed is told all the same.
        fs::remove_dir(path).ok();
    }
    left.iter().map(|path| path.display().to_string()).collect()
}

/// Files that belong to something that should be gone.
fn files(sandbox: &Sandbox) -> Vec<PathBuf> {
    let data = sandbox.data();
    let mut left: Vec<PathBuf> = Vec::new();
    for folder in ["projects", "networks", "volumes", "trash"] {
        left.extend(walk(&data.join(folder)));
    }
    // Folders of the run root may stay: they vanish with the boot.
    let of_run = walk(&sandbox.run_root());
    left.extend(of_run.into_iter().filter(|path| !path.is_dir()));
    left.retain(|path| !stays(path));
    left
}

/// Files that belong to no project: locks, the mark of a complete index, and
/// compiled system call filters, which are the same for everyone.
fn stays(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let cached = path
        .parent()
        .is_some_and(|folder| folder.ends_with("seccomp"));
    ["lock", ".lock", ".locks", ".complete"].contains(&name)
        || path
            .extension()
            .is_some_and(|extension| extension == "lock")
        || cached
}
