//! The commands over an engine that only keeps records: what they leave on
//! disk is what the next command sees.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use tempfile::TempDir;

use super::down::down_over;
use super::lifecycle::walk_over;
use super::run::run_prepare_over;
use super::up::up_over;
use super::*;
use crate::compose::{FileArg, FileSystem, LoadOptions};
use crate::image::store::Store;
use crate::image::{Access, AccessOptions, Reference};
use crate::net::spec::{NetworkRecord, NetworkSpec};
use crate::reconcile::backend::{Backend, BackendError};
use crate::reconcile::cancel::Cancel;
use crate::reconcile::desired::VolumeSpec;
use crate::reconcile::executor::OnFailure;
use crate::reconcile::planner::{DownChoices, plan_stop};
use crate::reconcile::session::{Member, ReconcileError, RunOptions, UpOptions, Watcher};
use crate::reconcile::testing::{Recorder, alike};
use crate::reconcile::translate::oneoff::Overrides;
use crate::state::atomic::{Durability, write_json};
use crate::state::lock::Lock;
use crate::state::volume::{self, VolumeRecord};
use crate::state::{ContainerId, Layout, NetworkId};
use crate::supervise::inspect;
use crate::supervise::record::{ContainerRecord, ExitRecord, Health, RunRecord, RunState};
use crate::supervise::wire::Condition;

/// An engine whose containers run as long as nobody stops them, except those of
/// services called `job`, which end at once.
struct Engine {
    layout: Layout,
    project: String,
    calls: Mutex<Vec<String>>,
    lock: Mutex<Option<Lock>>,
}

impl Engine {
    fn note(&self, call: String) {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call);
    }

    fn find(&self, id: &ContainerId) -> ContainerRecord {
        let boot = inspect::boot_id().unwrap();
        inspect::container(&self.layout, &self.project, id, &boot)
            .unwrap()
            .unwrap()
            .record
    }

    /// Writes a state; what runs is this very process.
    fn set(&self, id: &ContainerId, state: RunState) {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let record = RunRecord {
            boot_id: inspect::boot_id().unwrap(),
            state,
            pid: i32::try_from(std::process::id()).unwrap(),
            start_time: fields
                .split_ascii_whitespace()
                .nth(19)
                .unwrap()
                .parse()
                .unwrap(),
            started: String::new(),
            health: Some(Health::Healthy),
            restarts: 0,
            endpoints: Vec::new(),
            ports: Vec::new(),
            cgroup: String::new(),
        };
        let path = self.layout.run_record(&self.project, id);
        write_json(&path, &record, Durability::ThisBoot).unwrap();
    }
}

impl Backend for Engine {
    alike!();
    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<Vec<String>, BackendError> {
        self.note(format!("network {}", spec.name));
        let record = NetworkRecord {
            id: NetworkId::random(),
            spec: spec.clone(),
            subnets: Vec::new(),
            created: String::new(),
        };
        let path = self.layout.networks().join(format!("{}.json", spec.name));
        write_json(&path, &record, Durability::ThisBoot).unwrap();
        Ok(Vec::new())
    }
    async fn remove_network(&self, name: &str) -> Result<(), BackendError> {
        self.note(format!("remove network {name}"));
        fs::remove_file(self.layout.networks().join(format!("{name}.json"))).unwrap();
        Ok(())
    }
    async fn ensure_volume(&self, spec: &VolumeSpec) -> Result<(), BackendError> {
        self.note(format!("volume {}", spec.name));
        let record = VolumeRecord {
            name: spec.name.clone(),
            driver: spec.driver.clone(),
            driver_opts: spec.driver_opts.clone(),
            labels: spec.labels.clone(),
            anonymous: false,
            created: String::new(),
        };
        volume::ensure(&self.layout, &record).unwrap();
        Ok(())
    }
    async fn remove_volume(&self, name: &str) -> Result<(), BackendError> {
        self.note(format!("remove volume {name}"));
        volume::remove(&self.layout, name).unwrap();
        Ok(())
    }
    async fn create(&self, record: &ContainerRecord) -> Result<(), BackendError> {
        self.note(format!("create {}", record.name));
        let path = self
            .layout
            .container(&self.project, &record.id)
            .join("config.json");
        write_json(&path, record, Durability::ThisBoot).unwrap();
        Ok(())
    }
    async fn start(&self, id: &ContainerId) -> Result<Vec<String>, BackendError> {
        let record = self.find(id);
        self.note(format!("start {}", record.name));
        let ends = record.service == "job";
        self.set(
            id,
            if ends {
                RunState::Exited
            } else {
                RunState::Running
            },
        );
        Ok(Vec::new())
    }
    async fn stop(&self, id: &ContainerId, _timeout: Option<i64>) -> Result<(), BackendError> {
        self.note(format!("stop {}", self.find(id).name));
        self.set(id, RunState::Exited);
        let exit = ExitRecord {
            code: Some(143),
            started: String::new(),
            finished: String::new(),
            oom_killed: false,
            error: None,
            stopped_by_user: true,
        };
        let path = self.layout.container(&self.project, id).join("exit.json");
        write_json(&path, &exit, Durability::ThisBoot).unwrap();
        Ok(())
    }
    async fn restart(
        &self,
        id: &ContainerId,
        _timeout: Option<i64>,
    ) -> Result<Vec<String>, BackendError> {
        self.note(format!("restart {}", self.find(id).name));
        Ok(Vec::new())
    }
    async fn kill(&self, id: &ContainerId, _signal: i32) -> Result<(), BackendError> {
        self.note(format!("kill {}", self.find(id).name));
        Ok(())
    }
    async fn remove(&self, id: &ContainerId, _volumes: bool) -> Result<(), BackendError> {
        self.note(format!("remove {}", self.find(id).name));
        fs::remove_dir_all(self.layout.container(&self.project, id)).unwrap();
        Ok(())
    }
    async fn wait(&self, id: &ContainerId, _condition: Condition) -> Result<(), BackendError> {
        self.note(format!("wait {}", self.find(id).name));
        Ok(())
    }
}

struct NoFiles;

impl FileSystem for NoFiles {
    fn read(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn exists(&self, _path: &Path) -> bool {
        false
    }
    fn is_dir(&self, _path: &Path) -> bool {
        false
    }
    fn link_target(&self, _path: &Path) -> Option<PathBuf> {
        None
    }
}

/// A machine with an image called `img`.
struct Machine {
    root: TempDir,
    engine: Engine,
    sink: Recorder,
    cancel: Cancel,
    registries: Access,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path().join("data"), root.path().join("run"));
        let store = Store::open(&layout);
        let usage = store.use_shared().unwrap();
        let new = crate::image::store::NewImage {
            config: br#"{"os": "linux", "config": {"Cmd": ["run"]}, "rootfs": {"diff_ids": []}}"#
                .to_vec(),
            manifests: Vec::new(),
            manifest: None,
            names: vec![Reference::parse("img").unwrap()],
            repo_digests: Vec::new(),
            variants: Vec::new(),
        };
        store.add_image(&usage, new).unwrap();
        Self {
            engine: Engine {
                layout,
                project: "p".to_owned(),
                calls: Mutex::default(),
                lock: Mutex::default(),
            },
            root,
            sink: Recorder::default(),
            cancel: Cancel::never(),
            registries: Access::new(AccessOptions::default()),
        }
    }

    fn session(&self) -> Session<'_> {
        Session {
            layout: &self.engine.layout,
            project: "p",
            sink: &self.sink,
            cancel: &self.cancel,
            owner: None,
            registries: &self.registries,
            parallel: None,
            applets: &[],
        }
    }

    fn project(&self, services: &str) -> Project {
        let options = LoadOptions {
            files: vec![FileArg::Stdin(format!("name: p\nservices:\n{services}"))],
            cwd: self.root.path().join("home"),
            ..LoadOptions::default()
        };
        crate::compose::load(&options, &NoFiles).unwrap().project
    }

    async fn up(&self, services: &str) -> Result<UpSeen, ReconcileError> {
        let project = self.project(services);
        let seen = Seen::default();
        let options = UpOptions {
            watcher: Some(&seen),
            ..UpOptions::default()
        };
        let outcome = up_over(&self.engine, &self.session(), &project, &options).await?;
        let started = seen
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let members = outcome
            .containers
            .iter()
            .map(|one| one.name.clone())
            .collect();
        Ok(UpSeen { started, members })
    }

    async fn down(&self, dry_run: bool) -> Plan {
        let (session, choices) = (self.session(), DownChoices::default());
        down_over(&self.engine, &session, None, &choices, dry_run)
            .await
            .unwrap()
    }

    /// What the engine was asked since the last look.
    fn calls(&self) -> Vec<String> {
        std::mem::take(
            &mut *self
                .engine
                .calls
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// What was told beside the operations.
    fn told(&self) -> Vec<String> {
        let aside = |line: &String| line.starts_with("note: ") || line.starts_with("warning: ");
        self.sink.take().into_iter().filter(aside).collect()
    }
}

struct UpSeen {
    started: Vec<String>,
    members: Vec<String>,
}

#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Watcher for Seen {
    fn planned(&self, containers: &[Member]) {
        let names: Vec<&str> = containers.iter().map(|one| one.name.as_str()).collect();
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(format!("planned {}", names.join(" ")));
    }
    fn started(&self, container: &Member) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(format!("started {}", container.name));
    }
}

const SHOP: &str = "
  web: {image: img, depends_on: [db], environment: {DEBUG: '0'}}
  db: {image: img, volumes: [/anon]}
";

#[tokio::test]
async fn up_then_up_then_change_then_down() {
    let machine = Machine::new();
    let seen = machine.up(SHOP).await.unwrap();
    assert_eq!(seen.members, ["p-db-1", "p-web-1"]);
    assert_eq!(
        seen.started,
        [
            "planned p-db-1 p-web-1",
            "started p-db-1",
            "started p-web-1"
        ]
    );
    assert_eq!(
        machine.calls(),
        [
            "network p_default",
            "create p-db-1",
            "create p-web-1",
            "start p-db-1",
            "start p-web-1"
        ]
    );
    let seen = machine.up(SHOP).await.unwrap();
    assert_eq!(machine.calls(), Vec::<String>::new());
    assert_eq!(seen.started, ["planned p-db-1 p-web-1"]);

    machine.up(&SHOP.replace("'0'", "'1'")).await.unwrap();
    assert_eq!(
        machine.calls(),
        [
            "stop p-web-1",
            "remove p-web-1",
            "create p-web-1",
            "start p-web-1"
        ]
    );
    assert_eq!(
        machine.told(),
        [r#"note: web recreated: environment.DEBUG "0" -> "1""#]
    );

    let plan = machine.down(true).await;
    assert!(plan.to_string().contains("container p-db-1: stop"));
    assert_eq!(machine.calls(), Vec::<String>::new());
    machine.down(false).await;
    assert_eq!(
        machine.calls(),
        [
            "stop p-web-1",
            "remove p-web-1",
            "stop p-db-1",
            "remove p-db-1",
            "remove network p_default"
        ]
    );
    assert!(!machine.engine.layout.project("p").exists());
    machine.down(false).await;
    assert_eq!(
        machine.told(),
        ["warning: No resource found to remove for project \"p\"."]
    );
}

#[tokio::test]
async fn anonymous_volume_survives_a_recreation() {
    let machine = Machine::new();
    let volume = || {
        let views = inspect::containers(&machine.engine.layout, "p").unwrap();
        let db = views
            .iter()
            .find(|view| view.record.service == "db")
            .unwrap();
        (
            db.record.id.clone(),
            db.record.launch.volumes[0].name.clone(),
        )
    };
    machine.up(SHOP).await.unwrap();
    let (first, name) = volume();
    machine
        .up(&SHOP.replace("db: {image: img,", "db: {image: img, labels: {a: b},"))
        .await
        .unwrap();
    let (second, kept) = volume();
    assert_ne!(first, second);
    assert_eq!(name, kept);
}

#[tokio::test]
async fn finished_job_runs_again_with_each_up() {
    let machine = Machine::new();
    let services = "
  job: {image: img}
  web: {image: img, depends_on: {job: {condition: service_completed_successfully}}}
";
    machine.up(services).await.unwrap();
    machine.calls();
    machine.up(services).await.unwrap();
    assert_eq!(machine.calls(), ["start p-job-1", "wait p-job-1"]);
}

#[tokio::test]
async fn everything_against_a_project_is_told_at_once_and_nothing_is_done() {
    let machine = Machine::new();
    let services = "
  a: {image: img, gpus: all, volumes: ['/var/run/docker.sock:/s']}
  b: {build: {context: ., sbom: true}}
  c: {image: img, network_mode: 'service:a', cap_add: [NOPE]}
";
    let error = machine.up(services).await.err().unwrap();
    let ReconcileError::Refused { diagnostics } = error else {
        panic!("{error}")
    };
    let paths: Vec<&str> = diagnostics.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "services.a.gpus",
            "services.a.volumes[0]",
            "services.c.cap_add",
            "services.b.build.sbom",
        ]
    );
    assert!(diagnostics[3].message.contains("software bill"));
    assert!(diagnostics.iter().all(|one| one.position.is_some()));
    assert_eq!(machine.calls(), Vec::<String>::new());
    assert!(!machine.engine.layout.project("p").exists());
}

#[tokio::test]
async fn stop_works_without_a_file() {
    let machine = Machine::new();
    machine.up(SHOP).await.unwrap();
    machine.calls();
    let plan = |desired: Option<&Desired>, observed: &_| plan_stop(desired, observed, &[], None);
    walk_over(
        &machine.engine,
        &machine.session(),
        None,
        OnFailure::Continue,
        None,
        plan,
    )
    .await
    .unwrap();
    assert_eq!(machine.calls(), ["stop p-web-1", "stop p-db-1"]);
}

#[tokio::test]
async fn run_creates_a_one_off_beside_the_service() {
    let machine = Machine::new();
    machine.up(SHOP).await.unwrap();
    machine.calls();
    let options = RunOptions {
        overrides: Overrides {
            command: vec!["test".to_owned()],
            name: Some("mine".to_owned()),
            auto_remove: true,
            ..Overrides::default()
        },
        ..RunOptions::default()
    };
    let project = machine.project(SHOP);
    let prepared = run_prepare_over(
        &machine.engine,
        &machine.session(),
        &project,
        "web",
        &options,
    )
    .await;
    let prepared = prepared.unwrap();
    assert_eq!(machine.calls(), ["create mine"]);
    let record = machine.engine.find(&prepared.container.id);
    assert!(record.oneoff && record.launch.auto_remove);
    let args = record.launch.oci.process().as_ref().unwrap().args().clone();
    assert_eq!(args.unwrap(), ["test"]);
    // It is neither an orphan nor the service's container.
    machine.up(SHOP).await.unwrap();
    assert_eq!((machine.calls(), machine.told()), (Vec::new(), Vec::new()));
}
