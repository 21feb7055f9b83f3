//! The folders of a test, and the binary run in them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::image::Image;
use super::proc::processes;
use super::process::{Invocation, Output};

/// Debian's package for each program that the tests call.
const PACKAGES: &[(&str, &str)] = &[
    ("busybox", "busybox-static"),
    ("debootstrap", "debootstrap"),
    ("docker-registry", "docker-registry"),
    ("git", "git"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("nft", "nftables"),
    ("openssl", "openssl"),
    ("perl", "perl-base"),
    ("setpriv", "util-linux"),
    ("ssh-add", "openssh-client"),
    ("ssh-agent", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("setsid", "util-linux"),
    ("taskset", "util-linux"),
    ("unshare", "util-linux"),
];

/// Where programs are looked for, whatever the caller's PATH.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The path of a program; fails the test with the line that installs it.
pub(crate) fn program(name: &str) -> PathBuf {
    let found = PATH
        .split(':')
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists());
    found.unwrap_or_else(|| {
        let package = PACKAGES.iter().find(|(program, _)| *program == name);
        let package = package.map_or(name, |(_, package)| package);
        panic!("this test needs `{name}`: sudo apt-get install -y {package}")
    })
}

/// One test's world: its data root, run root, home and work folder.
#[derive(Debug)]
pub(crate) struct Sandbox {
    root: PathBuf,
}

impl Sandbox {
    /// Makes the folders below `root`.
    pub(super) fn new(root: &Path) -> Self {
        for folder in ["home", "work"] {
            fs::create_dir_all(root.join(folder)).expect("the test's folder can be written");
        }
        Self {
            root: root.to_owned(),
        }
    }

    /// `$SKIFF_DATA_ROOT`.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// `$SKIFF_RUN_ROOT`.
    pub(crate) fn run_root(&self) -> PathBuf {
        self.root.join("run")
    }

    /// `$HOME`.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// The folder for project folders and whatever else.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// The binary with arguments, in the work folder, with the test's roots and
    /// otherwise next to no environment.
    pub(crate) fn skiff<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Invocation {
        self.command(Path::new(env!("CARGO_BIN_EXE_skiff")))
            .args(args)
    }

    /// Another program in the same environment.
    pub(crate) fn command(&self, program: &Path) -> Invocation {
        Invocation::new(program)
            .env("PATH", PATH)
            .env("HOME", self.home())
            .env("SKIFF_DATA_ROOT", self.data())
            .env("SKIFF_RUN_ROOT", self.run_root())
            .dir(&self.work())
    }

    /// `sh -c script` in the same environment; `$skiff` is the binary.
    pub(crate) fn shell(&self, script: &str) -> Invocation {
        self.command(Path::new("/bin/sh"))
            .args(["-c", script])
            .env("skiff", env!("CARGO_BIN_EXE_skiff"))
    }

    /// A project's folder with its Compose file; the folder's name is the project's.
    pub(crate) fn project(&self, name: &str, compose: &str) -> Project<'_> {
        let dir = self.work().join(name);
        fs::create_dir_all(&dir).expect("a project folder");
        let project = Project {
            sandbox: self,
            name: name.to_owned(),
            dir,
        };
        project.write("compose.yaml", compose);
        project
    }

    /// Loads an image into the store under this name.
    pub(crate) fn load(&self, image: &Image, name: &str) {
        self.skiff(["load"])
            .input(image.docker_archive(name))
            .run()
            .succeeds()
            .whatever();
    }

    /// Loads Debian's static busybox as `test/busybox`, most tests' image.
    pub(crate) fn load_busybox(&self) {
        self.load(&Image::busybox(), "test/busybox:latest");
    }

    /// Tells on a failure what still ran, and what skiff had on disk.
    pub(super) fn print_state(&self) {
        eprintln!("--- processes");
        for process in processes() {
            eprintln!("{} ({}) {}", process.pid, process.state, process.command);
        }
        eprintln!("--- files under the run root");
        for path in walk(&self.run_root()) {
            eprintln!("{}", path.display());
        }
    }
}

/// Every path below `folder`, parents first; nothing where it does not exist.
pub(super) fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The files among them.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = walk(folder);
    found.retain(|path| path.is_file());
    found
}

/// A folder with a Compose file.
#[derive(Debug)]
pub(crate) struct Project<'a> {
    sandbox: &'a Sandbox,
    /// Its name.
    pub(crate) name: String,
    /// Its folder.
    pub(crate) dir: PathBuf,
}

impl Project<'_> {
    /// Writes a file into its folder.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
        fs::write(path, text).expect("a file in the project folder");
    }

    /// The binary, run in the folder.
    pub(crate) fn skiff<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Invocation {
        self.sandbox.skiff(args).dir(&self.dir)
    }

    /// `up -d`, which must succeed.
    #[track_caller]
    pub(crate) fn up(&self) -> Output {
        self.skiff(["up", "-d"]).run().succeeds()
    }

    /// `down -v -t 2`, which must succeed: with it a test leaves nothing.
    #[track_caller]
    pub(crate) fn down(&self) {
        self.skiff(["down", "-v", "-t", "2", "--remove-orphans"])
            .run()
            .succeeds()
            .whatever();
    }

    /// What a shell line prints in a running service.
    #[track_caller]
    pub(crate) fn sh(&self, service: &str, script: &str) -> String {
        self.skiff(["exec", "-T", service, "sh", "-c", script])
            .run()
            .succeeds()
            .stdout
    }

    /// `ps -a --format json` of one service: its first container.
    #[track_caller]
    pub(crate) fn container(&self, service: &str) -> serde_json::Value {
        let output = self
            .skiff(["ps", "-a", "--format", "json", service])
            .run()
            .succeeds();
        output
            .json_lines()
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("no container of `{service}`\n{output}"))
    }

    /// One text field of [`Self::container`].
    #[track_caller]
    pub(crate) fn container_field(&self, service: &str, field: &str) -> String {
        let container = self.container(service);
        let value = &container[field];
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    }
}
