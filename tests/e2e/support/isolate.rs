//! Namespaces, folders and the clean-up of one test.
//!
//! A test runs twice. The outer run makes a temporary folder and starts the
//! same test again below `unshare` (util-linux) with mount, network, pid and
//! IPC namespaces of its own; the inner run does the work. Process 1 in there
//! is a shell that reaps orphans, and everything dies with it, so even a
//! test that is killed leaves no process, mount or link on the machine.

use std::any::type_name;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::Command;

use fs_err as fs;

use super::leaks::{self, Baseline};
use super::sandbox::{Sandbox, program};

/// Set in the inner run: the folder of the test.
const HOME_VARIABLE: &str = "SKIFF_E2E_HOME";

/// How the folders of tests are called.
const PREFIX: &str = "skiff-e2e-";

/// In a test's folder: locked while the test runs.
const ALIVE: &str = "alive";

/// The inner run's list of what it left, for the outer run's message.
const LEFT: &str = "left";

/// What process 1 of a test does: an empty `/run`, `lo` up, then the test, then
/// its exit code. The command is not the shell's last, so that it stays to reap
/// orphans.
const INIT: &str = r#"mount -t tmpfs run /run && ip link set lo up && "$0" "$@"; exit $?"#;

/// Runs `body` in namespaces and folders of its own, then fails if anything of
/// it is left. The closure must stand directly in the test function: its type's
/// name is where the test's own name comes from.
pub(crate) fn isolated<F: FnOnce(&Sandbox)>(body: F) {
    isolated_after(|| (), body);
}

/// The same, after `prepare`, which runs in the machine's own namespaces: for
/// what must be fetched from the outside.
pub(crate) fn isolated_after<F: FnOnce(&Sandbox)>(prepare: impl FnOnce(), body: F) {
    if let Some(home) = skiff::env::read_path(HOME_VARIABLE) {
        inner(&home, body);
    } else {
        prepare();
        outer(&test_name::<F>());
    }
}

/// `basics::up_starts` for a closure in `e2e::basics::up_starts`.
fn test_name<F>() -> String {
    let full = type_name::<F>();
    let path = full.trim_end_matches("::{{closure}}");
    let (_, name) = path
        .split_once("::")
        .expect("a test stands in a module of its crate");
    name.to_owned()
}

fn outer(name: &str) {
    assert!(
        rustix::process::geteuid().is_root(),
        "the end-to-end tests need root: run ./tests/run, which uses sudo"
    );
    for tool in ["unshare", "ip", "nft", "busybox"] {
        drop(program(tool));
    }
    sweep_killed_tests();
    let home = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir()
        .expect("a temporary folder");
    // Locked before it has the name by which a sweep looks for it.
    let new = home.path().join("new");
    let lock = fs::File::create(&new).expect("a file in a new folder");
    lock.file().lock().expect("the lock of a new file");
    fs::rename(new, home.path().join(ALIVE)).expect("a file in a new folder");
    let this = std::env::current_exe().expect("the path of this test program");
    let status = Command::new("unshare")
        .args([
            "--mount",
            "--net",
            "--pid",
            "--ipc",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["sh", "-c", INIT])
        .arg(this)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(HOME_VARIABLE, home.path())
        .status()
        .expect("unshare (package util-linux)");
    let ran = home.path().join("ran").exists();
    let groups = leaks::sweep_cgroups(home.path());
    if let Ok(left) = fs::read_to_string(home.path().join(LEFT)) {
        panic!("{name} left behind:\n{left}");
    }
    // Looked for out here: a test may have hidden them from itself.
    assert!(
        groups.is_empty(),
        "{name} left control groups behind:\n{}",
        groups.join("\n")
    );
    assert!(status.success(), "`{name}` failed, see above ({status})");
    assert!(ran, "the inner run did not find the test `{name}`");
}

/// Removes what tests left that were killed, by a time limit or a Ctrl-C:
/// control groups and folders. Their lock is free.
fn sweep_killed_tests() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let free =
            fs::File::open(path.join(ALIVE)).is_ok_and(|lock| lock.file().try_lock().is_ok());
        if free {
            leaks::sweep_cgroups(&path);
            // A folder that a neighbour sweeps at the same time is gone anyway.
            fs::remove_dir_all(&path).ok();
        }
    }
}

fn inner<F: FnOnce(&Sandbox)>(home: &Path, body: F) {
    let sandbox = Sandbox::new(home);
    let before = Baseline::take();
    let result = catch_unwind(AssertUnwindSafe(|| body(&sandbox)));
    if let Err(panic) = result {
        sandbox.print_state();
        resume_unwind(panic);
    }
    let left = leaks::find(&sandbox, &before).join("\n");
    if !left.is_empty() {
        fs::write(home.join(LEFT), &left).expect("the test's folder can be written");
        panic!("left behind:\n{left}");
    }
    fs::write(home.join("ran"), "").expect("the test's folder can be written");
}
