//! What is inside the guest: a root file system of this crate's binaries,
//! busybox, and the programs that the tests call.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fs_err as fs;

use crate::archive::Archive;
use crate::kernel::Kernel;
use crate::machine;
use crate::packages;

/// Programs of the machine that busybox cannot stand in for, with their packages.
const PROGRAMS: &[(&str, &str)] = &[
    ("dash", "dash"),
    ("docker-registry", "docker-registry"),
    ("ip", "iproute2"),
    ("kmod", "kmod"),
    ("nft", "nftables"),
    ("setsid", "util-linux"),
    ("unshare", "util-linux"),
];

/// Folders of the machine where programs are.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Kernel modules that anything here may ask for: all of these folders.
const MODULES: &[&str] = &[
    "kernel/net/802",
    "kernel/net/bridge",
    "kernel/net/core",
    "kernel/net/ipv4",
    "kernel/net/ipv6",
    "kernel/net/llc",
    "kernel/net/netfilter",
    "kernel/fs/overlayfs",
    "kernel/drivers/net",
    "kernel/lib",
    "kernel/crypto",
    "kernel/arch/x86/crypto",
];

/// First process: the archive's own root cannot be pivoted from, so all moves
/// to a tmpfs.
const MOVE: &str = "#!/bin/busybox sh
/bin/busybox mkdir /new
/bin/busybox mount -t tmpfs -o size=90% root /new
/bin/busybox cp /bin/busybox /new/busybox
for entry in /*; do
    case $entry in /new|/init|/dev) ;; *) /new/busybox mv $entry /new/ ;; esac
done
";

/// Folders that are links to those of `/usr` where a distribution's own first
/// process runs: `usrmerge`.
const MERGED: &[&str] = &["bin", "sbin", "lib", "lib64"];

/// All that the service manager is told to start: what this test is about, as
/// a service without dependencies. Everything else would only take time.
const TARGET: &str = "[Unit]\nRequires=guest.service\n";
const SERVICE: &str = "[Unit]
DefaultDependencies=no
[Service]
ExecStart=/sbin/guest-service
StandardInput=null
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/ttyS0
";
const SERVICE_PROGRAM: &str = "#!/bin/sh
/sbin/guest
code=$?
echo
echo guest-exit-code=$code
systemctl poweroff -ff
";

/// The first process after that: what a distribution's init does for everyone.
const START: &str = "#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mkdir -p /proc /sys /dev /tmp /run /root /var/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
chmod 1777 /tmp
ip link set lo up
hostname guest
ulimit -n 65536
";

/// The same where systemd has done its part of it.
const SERVICE_START: &str = "#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mkdir -p /tmp /root /var/tmp
chmod 1777 /tmp
ip link set lo up
ulimit -n 65536
";

/// The line that ends a guest's output.
const END: &str = "guest-exit-code=";

/// A root file system in the making.
#[derive(Debug)]
pub(crate) struct Guest {
    archive: Archive,
    folders: BTreeSet<String>,
    files: BTreeSet<String>,
    /// With systemd as its first process.
    is_systemd: bool,
}

impl Guest {
    /// With the binaries, the examples and the programs.
    pub(crate) fn new() -> Self {
        Self {
            archive: Archive::default(),
            folders: BTreeSet::new(),
            files: BTreeSet::new(),
            is_systemd: false,
        }
        .furnished()
    }

    /// The same, with the distribution's systemd as its first process.
    pub(crate) fn with_systemd() -> Self {
        let mut guest = Self {
            archive: Archive::default(),
            folders: BTreeSet::new(),
            files: BTreeSet::new(),
            is_systemd: true,
        };
        for name in MERGED {
            guest.link(&format!("/{name}"), &format!("usr/{name}"));
        }
        let packages = packages::closure("systemd");
        let root = packages::unpack("systemd", &packages, |_| ());
        for part in [
            "bin", "sbin", "lib", "lib64", "usr/bin", "usr/sbin", "usr/lib",
        ] {
            guest.copy(&root, &root.join(part));
        }
        guest.text("/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        guest.text("/etc/systemd/system/default.target", TARGET);
        guest.text("/etc/systemd/system/guest.service", SERVICE);
        guest.text("/sbin/guest-service", SERVICE_PROGRAM);
        guest.furnished()
    }

    fn furnished(mut self) -> Self {
        let guest = &mut self;
        let first = if guest.is_systemd {
            "/lib/systemd/systemd"
        } else {
            "/sbin/guest"
        };
        guest.text(
            "/init",
            &format!("{MOVE}exec /new/busybox switch_root /new {first}\n"),
        );
        guest.text(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
        );
        guest.text("/etc/group", "root:x:0:\nnogroup:x:65534:\n");
        guest.text("/etc/hosts", "127.0.0.1 localhost\n");
        guest.text("/etc/resolv.conf", "nameserver 127.0.0.1\n");
        for (name, package) in PROGRAMS {
            guest.program(&machine_program(name, package));
        }
        guest.link(
            "/sbin/modprobe",
            &machine_program("kmod", "kmod").to_string_lossy(),
        );
        // Busybox' own shell prefers its applets to the real programs.
        guest.link(
            "/bin/sh",
            &machine_program("dash", "dash").to_string_lossy(),
        );
        guest.busybox();
        guest.stripped(Path::new(env!("CARGO_BIN_EXE_skiff")));
        guest.stripped(&test_binary());
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        guest.tree(&examples, &[]);
        self
    }

    /// Adds the kernel's modules; without them only what is built in is there.
    pub(crate) fn modules(&mut self, kernel: &Kernel) {
        let home = kernel.modules();
        let inside = |path: &Path| format!("/lib/modules/{}/{}", kernel.version, path.display());
        for entry in fs::read_dir(&home).expect("the modules").flatten() {
            let path = entry.path();
            if path.is_file() {
                let name = Path::new(path.file_name().expect("a name"));
                self.file(
                    &inside(name),
                    0o644,
                    &fs::read(&path).expect("a module list"),
                );
            }
        }
        for folder in MODULES {
            for path in files_below(&home.join(folder)) {
                let relative = path.strip_prefix(&home).expect("below the modules");
                self.file(
                    &inside(relative),
                    0o644,
                    &fs::read(&path).expect("a module"),
                );
            }
        }
    }

    /// Adds the shop's images, which the shop's own test builds.
    pub(crate) fn shop_images(&mut self) {
        let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shop");
        if !store.join("complete").exists() {
            let prepare = Command::new(test_binary())
                .args(["--exact", "shop::the_images_can_be_built", "--nocapture"])
                .status()
                .expect("the end-to-end tests");
            assert!(prepare.success(), "the shop's images: {prepare}");
        }
        self.tree(&store, &["data", "lock"]);
    }

    /// Runs end-to-end tests by name; returns what the guest printed.
    pub(crate) fn run_tests(self, kernel: &Kernel, names: &[&str], limit: Duration) -> String {
        let binary = test_binary();
        let script = format!(
            "SKIFF_E2E_PATIENCE=20 {} --exact --test-threads=1 {}",
            binary.display(),
            names.join(" ")
        );
        self.run_script(kernel, &script, limit)
    }

    /// Runs shell lines; returns what the guest printed. `$SKIFF` is the binary,
    /// `$EXAMPLES` the folder of the examples.
    pub(crate) fn run_script(mut self, kernel: &Kernel, script: &str, limit: Duration) -> String {
        let (start, end) = if self.is_systemd {
            (SERVICE_START, "")
        } else {
            (START, "\necho guest-exit-code=$?\npoweroff -f\n")
        };
        let start = format!(
            "{start}export SKIFF={} EXAMPLES={}/examples/compose\n{script}{end}",
            env!("CARGO_BIN_EXE_skiff"),
            env!("CARGO_MANIFEST_DIR"),
        );
        self.text("/sbin/guest", &start);
        let initrd = self.archive.finish();
        machine::boot(&kernel.image(), &initrd, END, limit)
    }

    fn text(&mut self, path: &str, content: &str) {
        self.file(path, 0o755, content.as_bytes());
    }

    fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        let path = &self.place(path);
        if self.files.insert(path.clone()) {
            self.parents(path);
            self.archive.file(path, mode, content);
        }
    }

    fn link(&mut self, path: &str, target: &str) {
        let path = &self.place(path);
        if self.files.insert(path.clone()) {
            self.parents(path);
            self.archive.link(path, target);
        }
    }

    /// Where a file is to be that is named through a merged folder.
    fn place(&self, path: &str) -> String {
        let merged = |name: &&str| {
            path.strip_prefix('/')
                .and_then(|path| path.strip_prefix(*name))
                .is_some_and(|rest| rest.starts_with('/'))
        };
        if self.is_systemd && MERGED.iter().any(merged) {
            format!("/usr{path}")
        } else {
            path.to_owned()
        }
    }

    /// Files and links of an unpacked package, at the paths they have in it.
    fn copy(&mut self, root: &Path, folder: &Path) {
        // Not every package has every folder.
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let inside = Path::new("/").join(path.strip_prefix(root).expect("below the root"));
            let inside = inside.to_string_lossy();
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() {
                self.copy(root, &path);
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).expect("a link");
                self.link(&inside, &target.to_string_lossy());
            } else {
                self.file(&inside, 0o755, &fs::read(&path).expect("a file"));
            }
        }
    }

    /// The archive must name each folder before what is in it.
    fn parents(&mut self, path: &str) {
        let mut folders: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        folders.reverse();
        for folder in folders {
            let name = folder.to_string_lossy().into_owned();
            if name != "/" && self.folders.insert(name.clone()) {
                self.archive.dir(&name);
            }
        }
    }

    /// A program and the libraries that it is linked with.
    fn program(&mut self, path: &Path) {
        let ldd = Command::new("ldd")
            .arg(path)
            .output()
            .expect("ldd (package libc-bin)");
        let text = String::from_utf8_lossy(&ldd.stdout).into_owned();
        for library in text.split_whitespace().filter(|word| word.starts_with('/')) {
            self.file(
                library,
                0o755,
                &fs::read(library).expect("a library that ldd names"),
            );
        }
        self.file(
            &path.to_string_lossy(),
            0o755,
            &fs::read(path).expect("a program"),
        );
    }

    /// All of busybox's applets that no real program stands in for.
    fn busybox(&mut self) {
        let busybox = machine_program("busybox", "busybox-static");
        let content = fs::read(&busybox).expect("busybox");
        self.file("/bin/busybox", 0o755, &content);
        let list = Command::new(&busybox)
            .arg("--list")
            .output()
            .expect("busybox --list");
        for applet in String::from_utf8_lossy(&list.stdout).split_whitespace() {
            let real = PATH
                .split(':')
                .any(|dir| self.files.contains(&self.place(&format!("{dir}/{applet}"))));
            if !real {
                self.link(&format!("/bin/{applet}"), "/bin/busybox");
            }
        }
    }

    /// One of this crate's binaries, at its own path, without debug information.
    fn stripped(&mut self, path: &Path) {
        let slim = tempfile::NamedTempFile::new().expect("a temporary file");
        let status = Command::new("strip")
            .arg("-o")
            .arg(slim.path())
            .arg(path)
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "strip (package binutils)"
        );
        self.file(
            &path.to_string_lossy(),
            0o755,
            &fs::read(slim.path()).expect("a stripped binary"),
        );
    }

    /// A folder at its own path, without entries of these names.
    fn tree(&mut self, folder: &Path, without: &[&str]) {
        for path in files_below(folder) {
            let skip = path
                .iter()
                .any(|part| without.iter().any(|name| part == *name));
            if !skip {
                let content = fs::read(&path).expect("a file");
                self.file(&path.to_string_lossy(), 0o755, &content);
            }
        }
    }
}

/// A program of this machine; fails the test with the line that installs it.
pub(crate) fn machine_program(name: &str, package: &str) -> PathBuf {
    let found = PATH
        .split(':')
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists());
    found.unwrap_or_else(|| panic!("this test needs `{name}`: sudo apt-get install -y {package}"))
}

/// The end-to-end tests' binary, built beside this one.
fn test_binary() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this test program");
    let folder = own.parent().expect("a file in a folder");
    let candidates = fs::read_dir(folder)
        .expect("the folder of test programs")
        .flatten();
    candidates
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_none())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("e2e-"))
        })
        .max_by_key(|path| fs::metadata(path).and_then(|data| data.modified()).ok())
        .expect("the end-to-end tests: cargo test --no-run --test e2e")
}

/// Every regular file below a folder, sorted.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(path),
                Ok(kind) if kind.is_file() => found.push(path),
                Ok(_) | Err(_) => {}
            }
        }
    }
    found.sort();
    found
}
