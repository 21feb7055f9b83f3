//! Isolation of a test, an image, and a project to be driven.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use fs_err as fs;
use oci_spec::runtime::{Process, Spec};
use rustix::process::{Pid, Signal, kill_process};
use skiff::engine::oci_default;
use skiff::engine::spec::{ExecSpec, Seccomp};
use skiff::event::Silent;
use skiff::image::{LoadSource, Store, load};
use skiff::state::{ContainerId, Layout};
use skiff::supervise::client::{Client, ClientError, Conversation, ended};
use skiff::supervise::inspect::{self, ContainerView};
use skiff::supervise::launch::{
    DnsOptions, HealthCheck, LaunchSpec, LogOptions, NetworkMode, RestartPolicy,
};
use skiff::supervise::logs::reader::{LogItem, LogReader, LogSource, ReadOptions};
use skiff::supervise::record::{ContainerRecord, RECORD_VERSION};
use skiff::supervise::wire::{ChangeKind, Condition, Reply, Request};
use tempfile::TempDir;

const ISOLATED: &str = "SKIFF_TEST_ISOLATED";
const BUSYBOX: &str = "/bin/busybox";
const APPLETS: [&str; 12] = [
    "sh", "cat", "echo", "true", "false", "sleep", "kill", "seq", "ls", "tty", "stty", "id",
];
/// Nothing here takes long; what does has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Runs `test` in a fresh process with its own mount, pid and network
/// namespaces, and fails where it fails. Everything it starts ends with it.
pub(crate) fn isolated(test: impl AsyncFnOnce(&Bench)) {
    if skiff::env::read(ISOLATED).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let bench = Bench::new();
        runtime.block_on(test(&bench));
        runtime.block_on(bench.leave_nothing());
        return;
    }
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests need root: run them with sudo"
    );
    let name = std::thread::current().name().unwrap().to_owned();
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--pid",
            "--net",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
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

/// Roots with an image, and one project.
pub(crate) struct Bench {
    _root: TempDir,
    pub(crate) layout: Layout,
    layers: Vec<String>,
    created: RefCell<Vec<ContainerId>>,
}

pub(crate) const PROJECT: &str = "bench";

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        let store = Store::open(&layout);
        let archive = root.path().join("image.tar");
        fs::write(&archive, archive_of_busybox()).unwrap();
        let images = load(&store, LoadSource::File(archive), &Silent).unwrap();
        let layers = images[0].layers.iter().map(ToString::to_string).collect();
        Self {
            _root: root,
            layout,
            layers,
            created: RefCell::default(),
        }
    }

    /// The project's client; keeper and supervisor are the real binary's.
    pub(crate) async fn client(&self) -> Client {
        let program = fs::File::open(env!("CARGO_BIN_EXE_skiff")).unwrap();
        let program = OwnedFd::from(program.into_file());
        Client::ensure_from(&self.layout, PROJECT, program)
            .await
            .unwrap()
    }

    /// A container that runs a shell script, to be changed before `create`.
    pub(crate) fn shell(&self, name: &str, script: &str) -> ContainerRecord {
        let mut oci: Spec = oci_default::default_spec();
        let process = oci.process_mut().as_mut().unwrap();
        process.set_args(Some(["/bin/sh", "-c", script].map(str::to_owned).into()));
        process.set_env(Some(vec![
            "PATH=/bin".to_owned(),
            "CONTAINER=yes".to_owned(),
        ]));
        process.set_cwd("/".into());
        let id = ContainerId::random();
        self.created.borrow_mut().push(id.clone());
        ContainerRecord {
            version: RECORD_VERSION,
            id,
            name: format!("{PROJECT}-{name}-1"),
            project: PROJECT.to_owned(),
            service: name.to_owned(),
            number: 1,
            oneoff: false,
            created: jiff::Timestamp::now().to_string(),
            image: "test/busybox".to_owned(),
            image_id: String::new(),
            labels: BTreeMap::new(),
            config_hash: String::new(),
            canonical: serde_json::Value::Null,
            launch: LaunchSpec {
                layers: self.layers.clone(),
                oci,
                user: None,
                groups: Vec::new(),
                seccomp: Seccomp::Default,
                volumes: Vec::new(),
                trees: Vec::new(),
                files: Vec::new(),
                network: NetworkMode::None,
                ports: Vec::new(),
                exposed: Vec::new(),
                extra_hosts: Vec::new(),
                dns: DnsOptions::default(),
                domainname: None,
                tty: false,
                open_stdin: false,
                init: false,
                stop_signal: libc::SIGTERM,
                stop_grace: Some(Duration::from_secs(10)),
                restart: RestartPolicy::No,
                health: None,
                log: LogOptions {
                    enabled: true,
                    max_size: None,
                    max_files: 1,
                },
                auto_remove: false,
                bound: false,
            },
        }
    }

    pub(crate) fn view(&self, id: &ContainerId) -> Option<ContainerView> {
        inspect::containers(&self.layout, PROJECT)
            .unwrap()
            .into_iter()
            .find(|view| view.record.id == *id)
    }

    /// All lines of a container's log.
    pub(crate) async fn lines(&self, id: &ContainerId) -> Vec<String> {
        let mut reader = LogReader::new(ReadOptions::default()).unwrap();
        let folder = inspect::log_folder(&self.layout, PROJECT, id);
        reader.add(LogSource::new(folder, None)).unwrap();
        let mut lines = Vec::new();
        while let Some(item) = reader.next().await.unwrap() {
            if let LogItem::Line(line) = item {
                lines.push(String::from_utf8(line.text).unwrap());
            }
        }
        lines
    }

    /// Waits until a container's log has a line.
    pub(crate) async fn has_written(&self, id: &ContainerId) {
        let end = Instant::now() + DEADLINE;
        while self.lines(id).await.is_empty() {
            assert!(Instant::now() < end, "nothing was ever written");
        }
    }

    /// Process ids of keeper or supervisor, the youngest last.
    pub(crate) fn helpers(command: &str) -> Vec<i32> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap() {
            let entry = entry.unwrap();
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if line.split(|byte| *byte == 0).nth(1) == Some(command.as_bytes()) {
                found.push(pid);
            }
        }
        found.sort_unstable();
        found
    }

    /// A container's control group, in the hierarchy of a version 1 controller
    /// where there is one.
    pub(crate) fn group_folder(&self, controller: &str, id: &ContainerId) -> PathBuf {
        let root_id = fs::read_to_string(self.layout.root_id()).unwrap();
        let path = format!("skiff/{}/{PROJECT}/{id}", root_id.trim());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let has = |options: &str| options.split(',').any(|option| option == controller);
        let all: Vec<_> = hierarchies(&mounts).collect();
        let mut found = all.iter().filter(|(_, options)| has(options));
        let (mount, _) = found.next().unwrap_or(&all[0]);
        mount.join(path)
    }

    /// Waits for a state of the machine that nothing tells of.
    pub(crate) async fn eventually(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + DEADLINE;
        while !holds() {
            assert!(Instant::now() < end, "never came true: {what}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Removes what the test made and checks that nothing is left of it.
    async fn leave_nothing(&self) {
        let client = self.client().await;
        let created = self.created.borrow().clone();
        for id in &created {
            let request = Request::Remove {
                id: id.clone(),
                force: true,
                volumes: true,
            };
            match client.call(request, &[]).await {
                Ok(_) | Err(ClientError::Refused(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        drop(client);
        // A keeper's last steps are another process's, which a list of processes
        // that is being read can miss.
        ended(&self.layout, PROJECT).await.unwrap();
        self.eventually("keeper and supervisor end", || {
            Self::helpers("__keeper").is_empty() && Self::helpers("__supervisor").is_empty()
        })
        .await;
        let root_id = fs::read_to_string(self.layout.root_id()).unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for (mount, _) in hierarchies(&mounts) {
            let group = mount.join("skiff").join(root_id.trim());
            assert!(!group.exists(), "{} is left", group.display());
        }
        let own = self.layout.run().join("netns");
        let own = own.to_str().unwrap();
        assert!(!mounts.contains(own), "a namespace is left: {mounts}");
        let run = self.layout.run_project(PROJECT);
        let left: Vec<String> = fs::read_dir(&run)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !matches!(name.as_str(), "lock" | "start.lock"))
            .collect();
        assert!(left.is_empty(), "left in the run folder: {left:?}");
        assert_eq!(
            fs::read_dir(self.layout.trash()).map_or(0, Iterator::count),
            0
        );
    }
}

/// Where control group hierarchies are mounted, and with which options.
fn hierarchies(mountinfo: &str) -> impl Iterator<Item = (&Path, &str)> {
    let lines = mountinfo.lines().filter(|line| line.contains("- cgroup"));
    lines.map(|line| {
        let mount = line.split(' ').nth(4).unwrap();
        (Path::new(mount), line.rsplit(' ').next().unwrap())
    })
}

/// What tests ask for most.
pub(crate) trait Ask {
    async fn create(&self, record: &ContainerRecord) -> ContainerId;
    async fn begin(&self, id: &ContainerId);
    async fn ask(&self, request: Request) -> Reply;
    async fn run(&self, record: &ContainerRecord) -> ContainerId;
    async fn until(&self, id: &ContainerId, condition: Condition);
    async fn changes(&self) -> Conversation;
}

impl Ask for Client {
    async fn create(&self, record: &ContainerRecord) -> ContainerId {
        self.ask(Request::Create(Box::new(record.clone()))).await;
        record.id.clone()
    }

    async fn begin(&self, id: &ContainerId) {
        self.ask(Request::Start {
            id: id.clone(),
            stdio: false,
        })
        .await;
    }

    async fn ask(&self, request: Request) -> Reply {
        let shown = format!("{request:?}");
        let shown: String = shown.chars().take(80).collect();
        tokio::time::timeout(DEADLINE, self.call(request, &[]))
            .await
            .unwrap_or_else(|_| panic!("no answer to {shown}"))
            .unwrap_or_else(|error| panic!("{shown}: {error}"))
            .reply
    }

    async fn run(&self, record: &ContainerRecord) -> ContainerId {
        let id = self.create(record).await;
        self.begin(&id).await;
        id
    }

    async fn until(&self, id: &ContainerId, condition: Condition) {
        self.ask(Request::Wait {
            id: id.clone(),
            condition,
        })
        .await;
    }

    async fn changes(&self) -> Conversation {
        self.start(Request::Subscribe, &[]).await.unwrap()
    }
}

/// Ends a process without asking it.
pub(crate) fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// The next end of this container, skipping other changes.
pub(crate) async fn next_exit(changes: &mut Conversation, id: &ContainerId) -> (Option<i32>, bool) {
    loop {
        let change = tokio::time::timeout(DEADLINE, changes.next_change())
            .await
            .unwrap()
            .unwrap();
        if let (true, ChangeKind::Exited { code, will_restart }) = (change.id == *id, &change.kind)
        {
            return (*code, *will_restart);
        }
    }
}

/// A probe that is due seldom, so that only early ones can be quick.
pub(crate) fn probe(script: &str) -> HealthCheck {
    HealthCheck {
        command: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        interval: Duration::from_secs(3600),
        timeout: Duration::from_secs(5),
        retries: 3,
        start_period: Duration::ZERO,
        start_interval: Duration::from_secs(5),
    }
}

/// A shell script in a container, as `exec` asks for it.
pub(crate) fn exec(record: &ContainerRecord, script: &str) -> Request {
    let mut process: Process = record.launch.oci.process().clone().unwrap();
    process.set_args(Some(["/bin/sh", "-c", script].map(str::to_owned).into()));
    process.set_env(None);
    let spec = ExecSpec {
        process,
        user: None,
        groups: Vec::new(),
        seccomp: Seccomp::Default,
    };
    Request::Exec {
        id: record.id.clone(),
        spec: Box::new(spec),
        tty: false,
        detach: false,
    }
}

pub(crate) fn pipes() -> [std::io::PipeWriter; 3] {
    [(); 3].map(|()| std::io::pipe().unwrap().1)
}

pub(crate) fn borrowed(stdio: &[std::io::PipeWriter; 3]) -> [std::os::fd::BorrowedFd<'_>; 3] {
    stdio.each_ref().map(AsFd::as_fd)
}

fn archive_of_busybox() -> Vec<u8> {
    use sha2::{Digest, Sha256};
    assert!(
        Path::new(BUSYBOX).exists(),
        "{BUSYBOX} is missing: apt-get install busybox-static"
    );
    let mut layer = tar::Builder::new(Vec::new());
    for folder in ["bin/", "etc/", "tmp/"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        layer
            .append_data(&mut header, folder, std::io::empty())
            .unwrap();
    }
    add(
        &mut layer,
        "bin/busybox",
        0o755,
        &fs::read(BUSYBOX).unwrap(),
    );
    add(
        &mut layer,
        "etc/passwd",
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\napp:x:77:78::/:/bin/sh\n",
    );
    for applet in APPLETS {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        layer
            .append_link(&mut header, format!("bin/{applet}"), "busybox")
            .unwrap();
    }
    let layer = layer.into_inner().unwrap();
    let digest: String = Sha256::digest(&layer)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    let manifest = serde_json::json!([
        { "Config": "config.json", "RepoTags": ["test/busybox:latest"], "Layers": ["layer.tar"] }
    ]);
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, "layer.tar", 0o644, &layer);
    add(
        &mut archive,
        "config.json",
        0o644,
        config.to_string().as_bytes(),
    );
    add(
        &mut archive,
        "manifest.json",
        0o644,
        manifest.to_string().as_bytes(),
    );
    archive.into_inner().unwrap()
}

fn add(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(u64::try_from(content.len()).unwrap());
    archive.append_data(&mut header, path, content).unwrap();
}
