//! Isolation of a test, a root file system, and running containers in it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::net::RecvFlags;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use skiff::engine::launch::{
    CgroupFds, LaunchError, LaunchFds, PidNamespace, Spawned, SyncMessage, receive,
    spawn_container, spawn_exec,
};
use skiff::engine::oci_default;
use skiff::engine::prepare::{memfd_spec, sealed_memfd, sync_pair};
use skiff::engine::spec::{ExecSpec, InitError, InitSpec, RootSpec, Seccomp};
use tempfile::TempDir;

const ISOLATED: &str = "SKIFF_TEST_ISOLATED";
const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 24] = [
    "cat", "chmod", "cut", "echo", "env", "false", "grep", "head", "hostname", "id", "kill", "ls",
    "mkdir", "mount", "pwd", "readlink", "rm", "sh", "sleep", "stat", "test", "touch", "true",
    "tty",
];

/// Runs `test` in a fresh process with its own mount and pid namespaces, and
/// fails where it fails. Everything it mounts and starts ends with it.
pub(crate) fn isolated(test: impl FnOnce()) {
    if skiff::env::read(ISOLATED).is_some() {
        return test();
    }
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests need root: run them with sudo"
    );
    let name = std::thread::current().name().unwrap().to_owned();
    let output = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(ISOLATED, "1")
        .output()
        .expect("unshare(1): apt-get install util-linux");
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "the isolated test did not pass");
    assert!(output.status.success());
}

/// What a container left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
    pub(crate) error: Option<InitError>,
}

impl Outcome {
    /// The output of a program that ended with 0.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(
            self.code == 0 && self.error.is_none(),
            "container failed: {self:?}"
        );
        self.stdout
    }

    #[track_caller]
    pub(crate) fn error(self) -> InitError {
        assert!(self.error.is_some(), "container was started: {self:?}");
        self.error.unwrap()
    }
}

/// A container that runs, with the host's ends of its pipes.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) spawned: Spawned,
    pub(crate) console: Option<OwnedFd>,
    pub(crate) error: Option<InitError>,
    stdout: File,
    stderr: File,
    sync: OwnedFd,
    ended: bool,
}

impl Running {
    /// Waits until the program was executed, or set-up failed.
    fn settled(mut self) -> Self {
        loop {
            match receive(self.sync.as_fd(), RecvFlags::empty()).unwrap() {
                SyncMessage::Console(master) => self.console = Some(master),
                SyncMessage::Ready => {}
                SyncMessage::Failed(failure) => self.error = Some(failure),
                SyncMessage::Closed => return self,
            }
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.spawned.pid
    }

    /// Waits for the end.
    pub(crate) fn finish(self) -> Outcome {
        let mut this = self.settled();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        this.stdout.read_to_string(&mut stdout).unwrap();
        this.stderr.read_to_string(&mut stderr).unwrap();
        let code = this.wait();
        Outcome {
            stdout,
            stderr,
            code,
            error: this.error.clone(),
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::pidfd_send_signal(&self.spawned.pidfd, signal).unwrap();
    }

    fn wait(&mut self) -> i32 {
        let id = WaitId::PidFd(self.spawned.pidfd.as_fd());
        let status = waitid(id, WaitIdOptions::EXITED).unwrap().unwrap();
        self.ended = true;
        status
            .exit_status()
            .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
            .unwrap()
    }

    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if !self.ended {
            rustix::process::pidfd_send_signal(&self.spawned.pidfd, rustix::process::Signal::KILL)
                .ok();
            self.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A folder with a busybox layer, and a spec to be changed.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) folder: TempDir,
    pub(crate) spec: InitSpec,
    pub(crate) pid: PidNamespace,
    pub(crate) filter: Option<Vec<u8>>,
    pub(crate) cgroup: Option<Cgroup>,
    /// Whose pid namespace a container shares.
    pub(crate) pid_of: Option<OwnedFd>,
}

/// How to enter a control group.
#[derive(Debug, Clone)]
pub(crate) enum Cgroup {
    V2(PathBuf),
    V1(PathBuf),
}

impl Cgroup {
    fn open(&self) -> CgroupFds {
        match self {
            Self::V2(folder) => CgroupFds {
                unified: Some(File::open(folder).unwrap().into()),
                tasks: Vec::new(),
            },
            Self::V1(folder) => {
                let tasks = folder.join("tasks");
                let file = File::options().write(true).open(tasks).unwrap();
                CgroupFds {
                    unified: None,
                    tasks: vec![file.into()],
                }
            }
        }
    }
}

impl Machine {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("base");
        fs::create_dir_all(base.join("bin")).unwrap();
        fs::create_dir_all(base.join("etc")).unwrap();
        assert!(
            Path::new(BUSYBOX).exists(),
            "{BUSYBOX} is missing: apt-get install busybox-static"
        );
        fs::copy(BUSYBOX, base.join("bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", base.join("bin").join(applet)).unwrap();
        }
        fs::write(
            base.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/srv/app:/bin/sh\n",
        )
        .unwrap();
        fs::write(
            base.join("etc/group"),
            "root:x:0:\napp:x:1001:\nextra:x:1002:app\nmore:x:1003:\n",
        )
        .unwrap();
        let mut oci = oci_default::default_spec();
        // Sockets of the test's own network stay out of it.
        oci.set_hostname(Some("box".to_owned()));
        let spec = InitSpec {
            id: "c".repeat(64),
            oci,
            root: RootSpec::Overlay {
                layers: vec![base],
                upper: folder.path().join("upper"),
                work: folder.path().join("work"),
                volatile: false,
            },
            user: None,
            groups: Vec::new(),
            volumes: Vec::new(),
            trees: Vec::new(),
            files: Vec::new(),
            seccomp: Seccomp::Unconfined,
            init: false,
        };
        Self {
            folder,
            spec,
            pid: PidNamespace::New,
            filter: None,
            cgroup: None,
            pid_of: None,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of the lowest layer.
    pub(crate) fn image(&self, name: &str) -> PathBuf {
        let path = self.path("base").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub(crate) fn oci(&mut self) -> &mut Spec {
        &mut self.spec.oci
    }

    pub(crate) fn process(&mut self) -> &mut oci_spec::runtime::Process {
        self.oci().process_mut().as_mut().unwrap()
    }

    pub(crate) fn linux(&mut self) -> &mut oci_spec::runtime::Linux {
        self.oci().linux_mut().as_mut().unwrap()
    }

    pub(crate) fn mount(&mut self, destination: &str, kind: &str, source: &str, options: &[&str]) {
        let options = options.iter().map(|&one| one.to_owned()).collect();
        let mount = oci_default::mount(destination, kind, source, options);
        self.oci().mounts_mut().as_mut().unwrap().push(mount);
    }

    pub(crate) fn without_namespace(&mut self, kind: LinuxNamespaceType) {
        let namespaces = self.linux().namespaces_mut().as_mut().unwrap();
        namespaces.retain(|namespace| namespace.typ() != kind);
    }

    /// Runs a shell script to its end.
    #[track_caller]
    pub(crate) fn sh(&mut self, script: &str) -> Outcome {
        self.run(&["sh", "-c", script])
    }

    #[track_caller]
    pub(crate) fn run(&mut self, args: &[&str]) -> Outcome {
        self.start(args).finish()
    }

    /// Starts a program and returns when it was executed (or failed).
    #[track_caller]
    pub(crate) fn start(&mut self, args: &[&str]) -> Running {
        self.begin(args).settled()
    }

    /// Clones the container's process and returns at once.
    #[track_caller]
    pub(crate) fn begin(&mut self, args: &[&str]) -> Running {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        self.process().set_args(Some(args));
        let memfd = memfd_spec(&self.spec).unwrap();
        let tty = self.process().terminal().unwrap_or(false);
        let target = self.pid_of.as_ref().map(|fd| fd.try_clone().unwrap());
        let (fds, running) = self.fds(memfd, tty, target);
        running(spawn_container(&fds).unwrap())
    }

    /// Starts a further process in a running container.
    #[track_caller]
    pub(crate) fn exec(&mut self, target: &Running, args: &[&str]) -> Running {
        self.try_exec(target, args).unwrap()
    }

    pub(crate) fn try_exec(
        &mut self,
        target: &Running,
        args: &[&str],
    ) -> Result<Running, LaunchError> {
        let mut process = self.process().clone();
        process.set_args(Some(args.iter().map(|&arg| arg.to_owned()).collect()));
        let tty = process.terminal().unwrap_or(false);
        let spec = ExecSpec {
            process,
            user: self.spec.user.clone(),
            groups: self.spec.groups.clone(),
            seccomp: Seccomp::Unconfined,
        };
        let target = target.spawned.pidfd.try_clone().unwrap();
        let (fds, running) = self.fds(memfd_spec(&spec).unwrap(), tty, Some(target));
        let spawned = spawn_exec(&fds);
        drop(fds);
        spawned.map(|spawned| running(spawned).settled())
    }

    /// The descriptors of a launch, and what becomes of the child.
    fn fds(
        &self,
        spec: OwnedFd,
        tty: bool,
        target: Option<OwnedFd>,
    ) -> (LaunchFds, impl FnOnce(Spawned) -> Running + use<>) {
        let (ours, sync) = sync_pair().unwrap();
        let (stdout, out) = pipe();
        let (stderr, err) = pipe();
        let stdio = (!tty).then(|| [File::open("/dev/null").unwrap().into(), out, err]);
        let filter = self.filter.as_deref();
        let fds = LaunchFds {
            spec,
            sync,
            stdio,
            netns: None,
            cgroup: self
                .cgroup
                .as_ref()
                .map_or_else(CgroupFds::default, Cgroup::open),
            filter: filter.map(|bytes| sealed_memfd("filter", bytes).unwrap()),
            target,
            pid: self.pid,
        };
        // As they cross from supervisor to keeper.
        let (shape, list) = fds.into_list();
        let fds = LaunchFds::from_list(shape, list).unwrap();
        let running = move |spawned| Running {
            spawned,
            console: None,
            error: None,
            stdout,
            stderr,
            sync: ours,
            ended: false,
        };
        (fds, running)
    }
}

fn pipe() -> (File, OwnedFd) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (read.into(), write)
}
