//! Packages of the distribution that are looked into and never installed:
//! fetched with apt-get, unpacked with dpkg-deb.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

/// Unpacks packages into a folder below the target folder, once. Two tests may
/// come here at once: the first to rename wins. `finish` is called on the new
/// folder before that.
pub(crate) fn unpack(name: &str, packages: &[String], finish: impl FnOnce(&Path)) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let root = home.join(name);
    if root.join("complete").exists() {
        return root;
    }
    let new = tempfile::Builder::new()
        .prefix("packages-")
        .tempdir_in(home)
        .expect("a folder");
    run(Command::new("apt-get")
        .arg("download")
        .args(packages)
        .current_dir(new.path()));
    for entry in fs::read_dir(new.path()).expect("the new folder") {
        let path = entry.expect("a package").path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb")
                .arg("-x")
                .arg(&path)
                .arg(new.path()));
            fs::remove_file(&path).expect("an unpacked package");
        }
    }
    finish(new.path());
    fs::write(new.path().join("complete"), "").expect("a mark");
    let new = new.keep();
    if fs::rename(&new, &root).is_err() {
        fs::remove_dir_all(&new).expect("the loser's folder");
    }
    root
}

/// A package and all that it needs on a machine that has nothing, by name and
/// version as `name=version`.
pub(crate) fn closure(package: &str) -> Vec<String> {
    let nothing = tempfile::NamedTempFile::new().expect("a temporary file");
    let output = Command::new("apt-get")
        .args(["install", "--simulate", "--no-install-recommends"])
        .args(["-o", "Debug::NoLocking=1", "-o"])
        .arg(format!("Dir::State::status={}", nothing.path().display()))
        .arg(package)
        .output()
        .expect("apt-get");
    // `Inst NAME (VERSION RELEASE [ARCHITECTURE])`
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found: Vec<String> = text
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
            Some(format!("{name}={}", rest.split_whitespace().next()?))
        })
        .collect();
    assert!(
        !found.is_empty(),
        "package {package}; is `sudo apt-get update` needed?\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    found
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{errors}",
        output.status
    );
}
