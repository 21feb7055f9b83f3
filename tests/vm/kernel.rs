//! The distribution's stock kernel.

use std::path::PathBuf;
use std::process::Command;

use fs_err as fs;

use crate::packages;

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
        let image = META.iter().find_map(|meta| newest_image(meta));
        let image = image.expect("a kernel package; is `sudo apt-get update` needed?");
        let version = image.trim_start_matches("linux-image-").to_owned();
        let root = unpack(&image, &version);
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

fn unpack(image: &str, version: &str) -> PathBuf {
    let mut packages = vec![image.to_owned()];
    let modules = format!("linux-modules-{version}");
    if Command::new("apt-cache")
        .args(["show", &modules])
        .output()
        .is_ok_and(|o| o.status.success())
    {
        packages.push(modules);
    }
    packages::unpack(&format!("kernel-{version}"), &packages, |new| {
        // Ubuntu's packages have /usr/lib only where Debian's have /lib.
        let merged = new.join("usr/lib/modules");
        if merged.exists() {
            fs::create_dir_all(new.join("lib")).expect("a folder");
            fs::rename(merged, new.join("lib/modules")).expect("a folder moved");
        }
        packages::run(Command::new("depmod").arg("-b").arg(new).arg(version));
    })
}
