//! The distribution's stock kernel: fetched with apt-get, unpacked with
//! dpkg-deb, never installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

/// Metapackages of the kernel for virtual machines: Debian's, Ubuntu's.
const META: &[&str] = &["linux-image-cloud-amd64", "linux-image-virtual"];

/// An unpacked kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    root: PathBuf,
    /// As `uname -r` would say it.
    pub(crate) version: String,
}

impl Kernel {
    /// Unpacks the kernel below the target folder, once.
    pub(crate) fn fetch() -> Self {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let image = META.iter().find_map(|meta| newest_image(meta));
        let image = image.expect("a kernel package; is `sudo apt-get update` needed?");
        let version = image.trim_start_matches("linux-image-").to_owned();
        let root = home.join(format!("kernel-{version}"));
        if !root.join("complete").exists() {
            unpack(home, &root, &image, &version);
        }
        Self { root, version }
    }

    /// The image to boot.
    pub(crate) fn image(&self) -> PathBuf {
        self.root.join(format!("boot/vmlinuz-{}", self.version))
    }

    /// The folder of its modules.
    pub(crate) fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.version)
    }
}

/// `linux-image-6.1.0-18-cloud-amd64` for a metapackage that exists here.
fn newest_image(meta: &str) -> Option<String> {
    let output = Command::new("apt-cache")
        .args(["depends", meta])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
        .map(str::to_owned)
}

fn unpack(home: &Path, root: &Path, image: &str, version: &str) {
    // Two tests may come here at once: the first to rename wins.
    let new = tempfile::Builder::new()
        .prefix("kernel-")
        .tempdir_in(home)
        .expect("a folder");
    let mut packages = vec![image.to_owned()];
    let modules = format!("linux-modules-{version}");
    if Command::new("apt-cache")
        .args(["show", &modules])
        .output()
        .is_ok_and(|o| o.status.success())
    {
        packages.push(modules);
    }
    for package in packages {
        run(Command::new("apt-get")
            .args(["download", &package])
            .current_dir(new.path()));
    }
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
    // Ubuntu's packages have /usr/lib only where Debian's have /lib.
    let merged = new.path().join("usr/lib/modules");
    if merged.exists() {
        fs::create_dir_all(new.path().join("lib")).expect("a folder");
        fs::rename(merged, new.path().join("lib/modules")).expect("a folder moved");
    }
    run(Command::new("depmod")
        .arg("-b")
        .arg(new.path())
        .arg(version));
    fs::write(new.path().join("complete"), "").expect("a mark");
    let new = new.keep();
    if fs::rename(&new, root).is_err() {
        fs::remove_dir_all(&new).expect("the loser's folder");
    }
}

fn run(command: &mut Command) {
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
