//! Each attribute of a service, and what the container has of it: written as
//! YAML on the left, read off the record's JSON on the right.

use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capabilities, Capability, LinuxDevice, LinuxDeviceType};
use serde_json::{Value, json};

use super::oneoff::{OneOff, Overrides};
use super::*;
use crate::compose::{FileArg, FileSystem, LoadOptions};

/// No file but what comes on standard input.
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

/// A host with two processors and a few paths.
struct FakeHost;

impl HostFiles for FakeHost {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        let device = |kind, major, minor| FileKind::Device {
            kind,
            major,
            minor,
            mode: 0o660,
            uid: 0,
            gid: 6,
        };
        match path.to_str()? {
            "/srv" | "/dev/snd" => Some(FileKind::Folder),
            "/p/conf" | "/p/secret" => Some(FileKind::File),
            "/dev/fuse" => Some(device(LinuxDeviceType::C, 10, 229)),
            "/dev/sda" => Some(device(LinuxDeviceType::B, 8, 0)),
            "/dev/snd/seq" => Some(device(LinuxDeviceType::C, 116, 1)),
            _ => None,
        }
    }
    fn read(&self, path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("/p/profile.json") => Ok(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#.to_owned()),
            Some("/p/broken.json") => Ok("{".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
    fn entries(&self, folder: &Path) -> Vec<PathBuf> {
        if folder == Path::new("/dev/snd") {
            vec!["/dev/snd/seq".into()]
        } else {
            Vec::new()
        }
    }
    fn devices(&self) -> Vec<LinuxDevice> {
        Vec::new()
    }
    fn all_capabilities(&self) -> Capabilities {
        [Capability::SysAdmin, Capability::Chown].into()
    }
    fn processors(&self) -> usize {
        2
    }
    fn hostname(&self) -> String {
        "the-host".to_owned()
    }
    fn new_name(&self) -> String {
        "n".repeat(64)
    }
}

const ID: &str = "9f4da3d3837745d3f657b73c8f59035515a3d1f9925ba24d088bac95a876d403";
const DB_ID: &str = "b0055d3b93c660d367895f68124dd80bd9ed32d28ff7537a0be5152c7c8cc8a6";

const REST: &str = "
  db: {image: db}
networks: {front: {}, back: {name: shared}}
volumes: {data: {}, ext: {external: true, name: other_data}}
configs:
  inline: {content: 'hello'}
  file: {file: ./conf}
  gone: {file: ./gone}
  env: {environment: CONFIG_TEXT}
secrets:
  file: {file: ./secret}
  env: {environment: SECRET_TEXT}
  unset: {environment: NOT_SET}
";

fn project(service: &str) -> Project {
    let indented: Vec<String> = service.lines().map(|line| format!("    {line}")).collect();
    let indented = indented.join("\n");
    let text = format!("name: p\nservices:\n  web:\n    image: img\n{indented}{REST}");
    let environment = [("CONFIG_TEXT", "from env"), ("SECRET_TEXT", "s3cret")]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let options = LoadOptions {
        files: vec![FileArg::Stdin(text.clone())],
        cwd: "/p".into(),
        environment,
        all_resources: true,
        ..LoadOptions::default()
    };
    match crate::compose::load(&options, &NoFiles) {
        Ok(loaded) => loaded.project,
        Err(diagnostics) => {
            panic!(
                "{}\n{text}",
                diagnostics.render(&crate::compose::Style::PLAIN)
            )
        }
    }
}

fn image(config: &Value) -> ImageFacts {
    let file = json!({"config": config}).to_string();
    ImageFacts {
        reference: "img".to_owned(),
        id: "sha256:abc".to_owned(),
        layers: vec!["sha256:l1".to_owned()],
        config: crate::image::ConfigFile::parse(file.as_bytes())
            .unwrap()
            .config,
    }
}

fn run(
    service: &str,
    config: &Value,
    change: impl FnOnce(&mut Instance<'_>),
) -> Result<Translated, Vec<Issue>> {
    let project = project(service);
    let peers = BTreeMap::from([(
        "db".to_owned(),
        vec![Peer {
            id: ContainerId::parse(DB_ID).unwrap(),
            name: "p-db-1".to_owned(),
            number: 1,
        }],
    )]);
    let containers = BTreeMap::from([("other".to_owned(), ContainerId::parse(DB_ID).unwrap())]);
    let context = Context {
        project: &project,
        peers: &peers,
        containers: &containers,
        host: &FakeHost,
        now: "2026-01-02T03:04:05Z",
    };
    let mut instance = Instance {
        id: ContainerId::parse(ID).unwrap(),
        name: "p-web-1".to_owned(),
        number: 1,
        oneoff: None,
        carried: &[],
    };
    change(&mut instance);
    let service = project.services.get("web").unwrap();
    translate(context, "web", service, &image(config), &instance)
}

/// What an image without anything but a command has.
fn plain() -> Value {
    json!({"Cmd": ["run"]})
}

#[track_caller]
fn launch(service: &str, config: &Value) -> Value {
    match run(service, config, |_| {}) {
        Ok(translated) => serde_json::to_value(translated.record.launch).unwrap(),
        Err(issues) => panic!("{service}: {issues:?}"),
    }
}

/// Checks rows of (service, place in the launch spec, what is there).
#[track_caller]
fn check(rows: &[(&str, &str, Value)]) {
    for (service, pointer, expected) in rows {
        let launch = launch(service, &plain());
        let found = launch.pointer(pointer).cloned().unwrap_or(Value::Null);
        assert_eq!(found, *expected, "{service}\n{pointer}");
    }
}

/// Checks rows of (service, attribute, part of the message).
#[track_caller]
fn check_refused(rows: &[(&str, &str, &str)]) {
    for (service, path, message) in rows {
        let Err(issues) = run(service, &plain(), |_| {}) else {
            panic!("accepted: {service}");
        };
        let found = issues
            .iter()
            .any(|one| one.path == format!("services.web.{path}") && one.message.contains(message));
        assert!(
            found,
            "{service}\nexpected {path}: {message}\nfound {issues:#?}"
        );
    }
}

#[test]
fn program_and_arguments_follow_docker() {
    let config = json!({"Entrypoint": ["/entry"], "Cmd": ["default"]});
    for (service, expected) in [
        ("", json!(["/entry", "default"])),
        ("command: [own, words]", json!(["/entry", "own", "words"])),
        (
            "command: own 'two words'",
            json!(["/entry", "own", "two words"]),
        ),
        ("entrypoint: [/own]", json!(["/own"])),
        ("entrypoint: [/own]\ncommand: [x]", json!(["/own", "x"])),
        ("entrypoint: []", json!(["default"])),
        ("entrypoint: []\ncommand: [x]", json!(["x"])),
        ("command: []", json!(["/entry"])),
    ] {
        let launch = launch(service, &config);
        assert_eq!(launch["oci"]["process"]["args"], expected, "{service}");
    }
    let issues = run("entrypoint: []", &json!({}), |_| {}).unwrap_err();
    assert!(
        issues[0].message.contains("no command specified"),
        "{issues:?}"
    );
}

#[test]
fn environment_is_the_images_under_the_services() {
    let config = json!({"Cmd": ["x"], "Env": ["PATH=/img", "A=img", "B=img", "C=img"]});
    let env = |service: &str| launch(service, &config)["oci"]["process"]["env"].clone();
    assert_eq!(
        env("environment: {B: own, D: new, C: }"),
        json!([
            "PATH=/img",
            "HOSTNAME=9f4da3d38377",
            "A=img",
            "B=own",
            "D=new"
        ])
    );
    assert_eq!(
        launch("tty: true", &plain())["oci"]["process"]["env"],
        json!([
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOSTNAME=9f4da3d38377",
            "TERM=xterm"
        ])
    );
}

#[test]
fn image_config_counts_in_full() {
    let config = json!({
        "Cmd": ["x"], "User": "app:web", "WorkingDir": "/srv", "StopSignal": "SIGQUIT",
        "Volumes": {"/var/lib/x": {}, "/cache/": {}},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Healthcheck": {"Test": ["CMD-SHELL", "check it"], "Interval": 7_000_000_000_i64},
        "Shell": ["/bin/bash", "-lc"],
    });
    let launch = launch("expose: ['90', '80']", &config);
    assert_eq!(launch["user"], "app:web");
    assert_eq!(launch["oci"]["process"]["cwd"], "/srv");
    assert_eq!(launch["stop_signal"], 3);
    assert_eq!(
        launch["exposed"],
        json!([[53, "udp"], [80, "tcp"], [90, "tcp"]])
    );
    let targets: Vec<&Value> = launch["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["destination"])
        .collect();
    assert_eq!(targets, ["/cache", "/var/lib/x"]);
    assert_eq!(launch["volumes"][0]["anonymous"], true);
    assert_eq!(
        launch["health"]["command"],
        json!(["/bin/bash", "-lc", "check it"])
    );
    assert_eq!(launch["health"]["interval"]["secs"], 7);
    assert_eq!(launch["health"]["timeout"]["secs"], 30);
    assert_eq!(launch["health"]["retries"], 3);
    assert_eq!(launch["health"]["start_interval"]["secs"], 5);
}

#[test]
fn image_config_gives_way_to_the_service() {
    let config = json!({
        "Cmd": ["x"], "User": "app:web", "WorkingDir": "/srv", "StopSignal": "SIGQUIT",
        "Volumes": {"/var/lib/x": {}, "/cache/": {}},
        "Healthcheck": {"Test": ["CMD-SHELL", "check it"], "Interval": 7_000_000_000_i64},
    });
    let own = launch(
        "user: me\nworking_dir: /own\nstop_signal: '15'\nvolumes: ['data:/cache']\n\
         healthcheck: {timeout: 3s, retries: 9}",
        &config,
    );
    assert_eq!(
        (&own["user"], &own["oci"]["process"]["cwd"]),
        (&json!("me"), &json!("/own"))
    );
    assert_eq!(own["stop_signal"], 15);
    assert_eq!(own["volumes"][0]["name"], "p_data");
    assert_eq!(own["volumes"].as_array().unwrap().len(), 2);
    assert_eq!(own["health"]["interval"]["secs"], 7);
    assert_eq!(own["health"]["timeout"]["secs"], 3);
    assert_eq!(own["health"]["retries"], 9);
    for off in [
        "healthcheck: {disable: true}",
        "healthcheck: {test: [NONE]}",
    ] {
        assert_eq!(launch(off, &config)["health"], Value::Null, "{off}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn process_attributes_have_their_effect() {
    let wait = |seconds: u64| json!({"secs": seconds, "nanos": 0});
    check(&[
        ("", "/oci/process/cwd", json!("/")),
        ("", "/user", Value::Null),
        ("user: '1000:1000'", "/user", json!("1000:1000")),
        ("group_add: [audio, 42]", "/groups", json!(["audio", "42"])),
        ("tty: true", "/tty", json!(true)),
        ("tty: true", "/oci/process/terminal", json!(true)),
        ("stdin_open: true", "/open_stdin", json!(true)),
        ("init: true", "/init", json!(true)),
        ("", "/oci/hostname", json!("9f4da3d38377")),
        ("hostname: h", "/oci/hostname", json!("h")),
        ("network_mode: host", "/oci/hostname", json!("the-host")),
        ("uts: host", "/oci/hostname", json!("the-host")),
        (
            "domainname: example.org",
            "/domainname",
            json!("example.org"),
        ),
        ("", "/stop_signal", json!(15)),
        ("stop_signal: USR1", "/stop_signal", json!(10)),
        ("stop_signal: SIGRTMIN+3", "/stop_signal", json!(37)),
        ("", "/stop_grace", wait(10)),
        ("stop_grace_period: 1m30s", "/stop_grace", wait(90)),
        ("stop_grace_period: 0s", "/stop_grace", wait(0)),
        ("", "/restart", json!("no")),
        ("restart: always", "/restart", json!("always")),
        (
            "restart: unless-stopped",
            "/restart",
            json!("unless-stopped"),
        ),
        (
            "restart: on-failure:3",
            "/restart",
            json!({"on-failure": {"max_retries": 3}}),
        ),
        (
            "deploy: {restart_policy: {condition: on-failure, max_attempts: 2}}",
            "/restart",
            json!({"on-failure": {"max_retries": 2}}),
        ),
        (
            "deploy: {restart_policy: {condition: any}}",
            "/restart",
            json!("always"),
        ),
        (
            "restart: always\ndeploy: {restart_policy: {condition: none}}",
            "/restart",
            json!("no"),
        ),
        (
            "oom_score_adj: -500",
            "/oci/process/oomScoreAdj",
            json!(-500),
        ),
        ("", "/oci/process/rlimits", Value::Null),
        (
            "ulimits: {nofile: {soft: 10, hard: 20}, nproc: -1}",
            "/oci/process/rlimits",
            json!([
                {"type": "RLIMIT_NOFILE", "hard": 20, "soft": 10},
                {"type": "RLIMIT_NPROC", "hard": u64::MAX, "soft": u64::MAX},
            ]),
        ),
        (
            "",
            "/log",
            json!({"enabled": true, "max_size": null, "max_files": 1}),
        ),
        (
            "logging: {driver: json-file, options: {max-size: 10m, max-file: '3'}}",
            "/log",
            json!({"enabled": true, "max_size": 10_000_000, "max_files": 3}),
        ),
        (
            "logging: {driver: local}",
            "/log",
            json!({"enabled": true, "max_size": 20_000_000, "max_files": 5}),
        ),
        ("logging: {driver: none}", "/log/enabled", json!(false)),
        (
            "healthcheck: {test: [CMD, a, b]}",
            "/health/command",
            json!(["a", "b"]),
        ),
        (
            "healthcheck: {test: a b}",
            "/health/command",
            json!(["/bin/sh", "-c", "a b"]),
        ),
        (
            "healthcheck: {test: a, start_period: 5s, start_interval: 1s}",
            "/health/start_period",
            wait(5),
        ),
        ("healthcheck: {interval: 5s}", "/health", Value::Null),
    ]);
    check_refused(&[
        ("stop_signal: SIGNOPE", "stop_signal", "is not a signal"),
        ("working_dir: relative", "working_dir", "absolute"),
        ("ulimits: {bogus: 1}", "ulimits.bogus", "getrlimit"),
        (
            "ulimits: {nofile: {soft: 3, hard: 2}}",
            "ulimits.nofile",
            "above the hard limit",
        ),
        (
            "logging: {options: {max-size: lots}}",
            "logging.options.max-size",
            "not a size",
        ),
        (
            "logging: {options: {max-file: '0'}}",
            "logging.options.max-file",
            "at least 1",
        ),
        (
            "oom_score_adj: 1000\ndeploy: {restart_policy: {condition: sometimes}}",
            "deploy.restart_policy.condition",
            "expected none",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn security_attributes_have_their_effect() {
    let caps = |service: &str| {
        let launch = launch(service, &plain());
        let mut list: Vec<String> =
            serde_json::from_value(launch["oci"]["process"]["capabilities"]["bounding"].clone())
                .unwrap();
        list.sort();
        list
    };
    assert_eq!(caps("").len(), 14);
    assert!(caps("cap_add: [NET_ADMIN]").contains(&"CAP_NET_ADMIN".to_owned()));
    assert!(!caps("cap_drop: [CAP_CHOWN]").contains(&"CAP_CHOWN".to_owned()));
    assert_eq!(caps("cap_drop: [ALL]\ncap_add: [kill]"), ["CAP_KILL"]);
    assert_eq!(caps("privileged: true"), ["CAP_CHOWN", "CAP_SYS_ADMIN"]);
    let namespaces = |service: &str| {
        let launch = launch(service, &plain());
        let list = launch["oci"]["linux"]["namespaces"]
            .as_array()
            .unwrap()
            .clone();
        list.iter()
            .map(|one| one["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = namespaces("");
    for kind in ["mount", "network", "uts", "pid", "ipc"] {
        assert!(all.contains(&kind.to_owned()), "{kind}");
    }
    for (service, kind) in [
        ("pid: host", "pid"),
        ("ipc: host", "ipc"),
        ("uts: host", "uts"),
        ("network_mode: host", "network"),
    ] {
        assert!(!namespaces(service).contains(&kind.to_owned()), "{service}");
    }
    check(&[
        ("", "/seccomp", json!("default")),
        ("privileged: true", "/seccomp", json!("unconfined")),
        (
            "security_opt: [seccomp=unconfined]",
            "/seccomp",
            json!("unconfined"),
        ),
        (
            "security_opt: ['seccomp:unconfined']",
            "/seccomp",
            json!("unconfined"),
        ),
        (
            "privileged: true\nsecurity_opt: [seccomp=builtin]",
            "/seccomp",
            json!("default"),
        ),
        (
            "security_opt: ['seccomp:./profile.json']",
            "/seccomp/profile",
            json!(r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#),
        ),
        ("", "/oci/process/noNewPrivileges", json!(false)),
        (
            "security_opt: [no-new-privileges]",
            "/oci/process/noNewPrivileges",
            json!(true),
        ),
        (
            "security_opt: ['no-new-privileges:true']",
            "/oci/process/noNewPrivileges",
            json!(true),
        ),
        (
            "security_opt: [systempaths=unconfined]",
            "/oci/linux/maskedPaths",
            Value::Null,
        ),
        (
            "security_opt: [apparmor=unconfined]",
            "/seccomp",
            json!("default"),
        ),
        ("read_only: true", "/oci/root/readonly", json!(true)),
    ]);
    check_refused(&[
        ("cap_add: [NOPE]", "cap_add", "NOPE"),
        ("cap_drop: [NOPE]", "cap_drop", "NOPE"),
        (
            "security_opt: ['apparmor:mine']",
            "security_opt[0]",
            "cannot be honoured",
        ),
        (
            "security_opt: ['seccomp:./gone.json']",
            "security_opt[0]",
            "cannot read",
        ),
        (
            "security_opt: ['seccomp:./broken.json']",
            "security_opt[0]",
            "not a seccomp profile",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn limits_have_their_effect() {
    let resources = "/oci/linux/resources";
    let at = |rest: &str| format!("{resources}{rest}");
    let (cpu, memory, pids, io) = (at("/cpu"), at("/memory"), at("/pids"), at("/blockIO"));
    check(&[
        ("", &cpu, Value::Null),
        ("", &memory, Value::Null),
        ("", &pids, Value::Null),
        (
            "cpus: 1.5",
            &cpu,
            json!({"quota": 150_000, "period": 100_000}),
        ),
        (
            "deploy: {resources: {limits: {cpus: '0.25', memory: 64m, pids: 7}}}",
            &cpu,
            json!({"quota": 25_000, "period": 100_000}),
        ),
        (
            "deploy: {resources: {limits: {memory: 64m}, reservations: {memory: 32m}}}",
            &memory,
            json!({"limit": 67_108_864, "reservation": 33_554_432, "swap": 134_217_728}),
        ),
        (
            "deploy: {resources: {limits: {pids: 7}}}",
            &pids,
            json!({"limit": 7}),
        ),
        (
            "cpu_shares: 512\ncpu_quota: 5000\ncpu_period: 10000\ncpuset: '0,1'",
            &cpu,
            json!({"shares": 512, "quota": 5000, "period": 10_000, "cpus": "0,1"}),
        ),
        (
            "mem_limit: 64m",
            &memory,
            json!({"limit": 67_108_864, "swap": 134_217_728}),
        ),
        (
            "mem_limit: 64m\nmemswap_limit: -1",
            &memory,
            json!({"limit": 67_108_864, "swap": -1}),
        ),
        (
            "mem_reservation: 32m",
            &memory,
            json!({"reservation": 33_554_432}),
        ),
        ("pids_limit: 50", &pids, json!({"limit": 50})),
        ("pids_limit: -1", &pids, json!({"limit": -1})),
        ("blkio_config: {weight: 300}", &io, json!({"weight": 300})),
        (
            "blkio_config: {device_read_bps: [{path: /dev/sda, rate: 1m}]}",
            &io,
            json!({"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1_048_576}]}),
        ),
        (
            "sysctls: {net.core.somaxconn: 1024}",
            "/oci/linux/sysctl/net.core.somaxconn",
            json!("1024"),
        ),
        (
            "",
            "/oci/linux/sysctl/net.ipv4.ip_unprivileged_port_start",
            json!("0"),
        ),
        ("network_mode: host", "/oci/linux/sysctl", Value::Null),
    ]);
    check_refused(&[
        ("cpus: 3", "cpus", "there are 2 processors"),
        ("mem_limit: 1m", "mem_limit", "at least 6m"),
        ("memswap_limit: 64m", "memswap_limit", "needs `mem_limit`"),
        (
            "mem_limit: 64m\nmemswap_limit: 32m",
            "memswap_limit",
            "below",
        ),
        (
            "sysctls: {vm.swappiness: 1}",
            "sysctls.vm.swappiness",
            "whole host",
        ),
        (
            "network_mode: host\nsysctls: {net.core.somaxconn: 1}",
            "sysctls.net.core.somaxconn",
            "network is not its own",
        ),
        (
            "blkio_config: {weight_device: [{path: /dev/none, weight: 10}]}",
            "blkio_config.weight_device",
            "not a device",
        ),
    ]);
}

#[test]
fn devices_come_with_their_rules() {
    let launch = launch(
        "devices: ['/dev/fuse:/dev/f:r', /dev/snd]\ndevice_cgroup_rules: ['c 1:* rmw']",
        &plain(),
    );
    let linux = &launch["oci"]["linux"];
    assert_eq!(
        linux["devices"],
        json!([
            {"path": "/dev/f", "type": "c", "major": 10, "minor": 229, "fileMode": 0o660, "uid": 0, "gid": 6},
            {"path": "/dev/snd/seq", "type": "c", "major": 116, "minor": 1, "fileMode": 0o660, "uid": 0, "gid": 6},
        ])
    );
    let rules = linux["resources"]["devices"].as_array().unwrap();
    assert_eq!(
        rules[rules.len() - 3..],
        [
            json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "r"}),
            json!({"allow": true, "type": "c", "major": 116, "minor": 1, "access": "rwm"}),
            json!({"allow": true, "type": "c", "major": 1, "access": "rmw"}),
        ]
    );
    check_refused(&[
        (
            "devices: [/dev/none]",
            "devices[0]",
            "no device `/dev/none`",
        ),
        ("devices: ['vendor.com/class=all']", "devices[0]", "CDI"),
        (
            "devices: ['/dev/fuse:/dev/fuse:x']",
            "devices[0]",
            "not made of r, w and m",
        ),
        (
            "device_cgroup_rules: ['z 1:2 r']",
            "device_cgroup_rules[0]",
            "not a device rule",
        ),
    ]);
}

#[test]
fn mounts_have_their_effect() {
    let mount = |service: &str, destination: &str| {
        let launch = launch(service, &plain());
        let mounts = launch["oci"]["mounts"].as_array().unwrap().clone();
        mounts
            .into_iter()
            .find(|one| one["destination"] == destination)
            .unwrap_or(Value::Null)
    };
    let bind = |source: &str, options: &[&str]| json!({"destination": "/d", "type": "bind", "source": source, "options": options});
    let tmpfs = |options: &[&str]| json!({"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": options});
    let long = |rest: &str| format!("volumes: [{{type: bind, source: /srv, target: /d, {rest}}}]");
    for (service, expected) in [
        ("volumes: ['/srv:/d']", bind("/srv", &["rbind", "rprivate"])),
        (
            "volumes: ['/srv:/d:ro']",
            bind("/srv", &["rbind", "rro", "rprivate"]),
        ),
        (
            "volumes: ['/srv:/d/:rshared']",
            bind("/srv", &["rbind", "rshared"]),
        ),
        (
            &long("bind: {recursive: disabled}"),
            bind("/srv", &["bind", "rprivate"]),
        ),
        (
            &long("read_only: true, bind: {recursive: writable}"),
            bind("/srv", &["rbind", "ro", "rprivate"]),
        ),
    ] {
        assert_eq!(mount(service, "/d"), expected, "{service}");
    }
    for (service, expected) in [
        ("tmpfs: /t", tmpfs(&["nosuid", "nodev", "noexec"])),
        (
            "tmpfs: ['/t:size=1m,mode=700,exec']",
            tmpfs(&["nosuid", "nodev", "noexec", "size=1m", "mode=700", "exec"]),
        ),
        (
            "volumes: [{type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0o755}}]",
            tmpfs(&["nosuid", "nodev", "noexec", "size=1048576", "mode=755"]),
        ),
    ] {
        assert_eq!(mount(service, "/t"), expected, "{service}");
    }
    let shm = |service: &str| mount(service, "/dev/shm")["options"].clone();
    assert!(shm("").to_string().contains("size=67108864"));
    assert!(shm("shm_size: 32m").to_string().contains("size=33554432"));
    assert_eq!(mount("ipc: host", "/dev/shm")["source"], "/dev/shm");
    assert_eq!(mount("ipc: none", "/dev/shm"), Value::Null);

    check(&[
        (
            "volumes: ['data:/d:ro', {type: volume, source: ext, target: /e, volume: {nocopy: true, subpath: sub}}]",
            "/volumes",
            json!([
                {"name": "p_data", "anonymous": false, "destination": "/d", "read_only": true,
                 "no_copy": false, "subpath": null},
                {"name": "other_data", "anonymous": false, "destination": "/e", "read_only": false,
                 "no_copy": true, "subpath": "sub"},
            ]),
        ),
        ("volumes: [/anon]", "/volumes/0/name", json!("n".repeat(64))),
        ("volumes: [/anon]", "/volumes/0/anonymous", json!(true)),
    ]);
    check_refused(&[
        (
            &long("bind: {create_host_path: false}").replace("/srv", "/none"),
            "volumes[0]",
            "bind source path does not exist",
        ),
        (
            "volumes: ['/var/run/docker.sock:/var/run/docker.sock']",
            "volumes[0]",
            "offers no Docker API",
        ),
    ]);
    let made = run("volumes: ['./new/dir:/d']", &plain(), |_| {}).unwrap();
    assert_eq!(made.folders, [PathBuf::from("/p/new/dir")]);
}

#[test]
fn anonymous_volumes_are_carried_over_a_recreation() {
    let carried = [VolumeUse {
        name: "old".to_owned(),
        anonymous: true,
        destination: "/anon".to_owned(),
        read_only: false,
        no_copy: false,
        subpath: None,
    }];
    let config = json!({"Cmd": ["x"], "Volumes": {"/anon": {}, "/more": {}}});
    // The closure cannot lend what lives here to any lifetime, so the instance
    // is changed by value.
    let project = project("volumes: [/own]");
    let instance = Instance {
        id: ContainerId::parse(ID).unwrap(),
        name: "p-web-1".to_owned(),
        number: 1,
        oneoff: None,
        carried: &carried,
    };
    let context = Context {
        project: &project,
        peers: &BTreeMap::new(),
        containers: &BTreeMap::new(),
        host: &FakeHost,
        now: "",
    };
    let service = project.services.get("web").unwrap();
    let record = translate(context, "web", service, &image(&config), &instance)
        .unwrap()
        .record;
    let names: Vec<(&str, &str)> = record
        .launch
        .volumes
        .iter()
        .map(|one| (one.destination.as_str(), one.name.get(..3).unwrap()))
        .collect();
    assert_eq!(names, [("/own", "nnn"), ("/anon", "old"), ("/more", "nnn")]);
}

#[test]
fn configs_and_secrets_have_their_effect() {
    let file = |destination: &str, content: &str, mode: u32, uid: &str| {
        use base64::Engine as _;
        let content = base64::engine::general_purpose::STANDARD.encode(content);
        json!({"destination": destination, "content": content, "mode": mode, "uid": uid, "gid": "0"})
    };
    check(&[
        (
            "configs: [inline]",
            "/files/0",
            file("/inline", "hello", 0o444, "0"),
        ),
        (
            "configs: [env]",
            "/files/0",
            file("/env", "from env", 0o444, "0"),
        ),
        (
            "configs: [{source: inline, target: /etc/x, mode: 0400, uid: '7'}]",
            "/files/0",
            file("/etc/x", "hello", 0o400, "7"),
        ),
        (
            "secrets: [env]",
            "/files/0",
            file("/run/secrets/env", "s3cret", 0o444, "0"),
        ),
        (
            "secrets: [{source: env, target: other}]",
            "/files/0",
            file("/run/secrets/other", "s3cret", 0o444, "0"),
        ),
        (
            "secrets: [file]",
            "/oci/mounts/7",
            json!({"destination": "/run/secrets/file", "type": "bind", "source": "/p/secret",
                   "options": ["rbind", "rro", "rprivate"]}),
        ),
        (
            "configs: [file]",
            "/oci/mounts/7/destination",
            json!("/file"),
        ),
    ]);
    check_refused(&[
        (
            "configs: [gone]",
            "configs[0]",
            "bind source path does not exist: `/p/gone`",
        ),
        (
            "secrets: [unset]",
            "secrets[0]",
            "`NOT_SET` of secret `unset` is not set",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn networks_have_their_effect() {
    let endpoint = |network: &str, aliases: &[&str]| {
        json!({
            "network": network, "aliases": aliases, "ipv4": null, "ipv6": null, "link_local": [],
            "mac": null, "interface": null, "gateway_priority": 0, "driver_opts": {}, "links": {},
        })
    };
    let with = |mut base: Value, changes: Value| {
        let changes = changes.as_object().unwrap().clone();
        base.as_object_mut().unwrap().extend(changes);
        base
    };
    check(&[
        (
            "",
            "/network/networks",
            json!([endpoint("p_default", &["web"])]),
        ),
        (
            "networks: [front, back]",
            "/network/networks",
            json!([endpoint("shared", &["web"]), endpoint("p_front", &["web"])]),
        ),
        (
            "networks: {back: {}, front: {priority: 10, gw_priority: 2, aliases: [a, web]}}",
            "/network/networks/0",
            with(
                endpoint("p_front", &["web", "a"]),
                json!({"gateway_priority": 2}),
            ),
        ),
        (
            "networks: {front: {ipv4_address: 10.1.2.3, ipv6_address: 'fd00::3', link_local_ips: [169.254.1.1], mac_address: '02:42:ac:11:00:02', interface_name: net0}}",
            "/network/networks/0",
            with(
                endpoint("p_front", &["web"]),
                json!({"ipv4": "10.1.2.3", "ipv6": "fd00::3", "link_local": ["169.254.1.1"],
                       "mac": "02:42:ac:11:00:02", "interface": "net0"}),
            ),
        ),
        (
            "mac_address: '02:42:ac:11:00:02'",
            "/network/networks/0/mac",
            json!("02:42:ac:11:00:02"),
        ),
        (
            "links: ['db:database']\nexternal_links: [other, 'legacy:old']",
            "/network/networks/0/links",
            json!({"database": "p-db-1", "db-1": "p-db-1", "p-db-1": "p-db-1",
                   "other": "other", "old": "legacy"}),
        ),
        ("network_mode: none", "/network", json!("none")),
        ("network_mode: host", "/network", json!("host")),
        (
            "network_mode: 'service:db'",
            "/network/container",
            json!(DB_ID),
        ),
        (
            "network_mode: 'container:other'",
            "/network/container",
            json!(DB_ID),
        ),
        (
            "dns: [1.1.1.1, '::1']\ndns_search: [example.org]\ndns_opt: ['ndots:2']",
            "/dns",
            json!({"servers": ["1.1.1.1", "::1"], "search": ["example.org"], "options": ["ndots:2"]}),
        ),
        (
            "extra_hosts: ['a=10.0.0.1', 'b:host-gateway', 'c=[::1]']",
            "/extra_hosts",
            json!([["a", {"ip": "10.0.0.1"}], ["b", "gateway"], ["c", {"ip": "::1"}]]),
        ),
    ]);
    check_refused(&[
        (
            "network_mode: 'container:nobody'",
            "network_mode",
            "no container `nobody`",
        ),
        (
            "networks: {front: {ipv4_address: abc}}",
            "networks.front.ipv4_address",
            "not an address",
        ),
        ("dns: [abc]", "dns[0]", "not an address"),
    ]);
}

#[test]
fn ports_become_single_ports() {
    let port = |ip: Value, host: u16, last: Value, inside: u16, protocol: &str| {
        json!({"host_ip": ip, "host_port": host, "host_port_end": last,
               "container_port": inside, "protocol": protocol})
    };
    let null = Value::Null;
    check(&[
        (
            "ports: ['80']",
            "/ports/0",
            port(null.clone(), 0, null.clone(), 80, "tcp"),
        ),
        (
            "ports: ['8080:80/udp']",
            "/ports/0",
            port(null.clone(), 8080, null.clone(), 80, "udp"),
        ),
        (
            "ports: ['127.0.0.1:8080:80']",
            "/ports/0",
            port(json!("127.0.0.1"), 8080, null.clone(), 80, "tcp"),
        ),
        (
            "ports: ['8000-8001:80-81']",
            "/ports",
            json!([
                port(null.clone(), 8000, null.clone(), 80, "tcp"),
                port(null.clone(), 8001, null.clone(), 81, "tcp"),
            ]),
        ),
        (
            "ports: ['8000-8010:80']",
            "/ports/0",
            port(null.clone(), 8000, json!(8010), 80, "tcp"),
        ),
        ("ports: ['[::1]:80:80']", "/ports/0/host_ip", json!("::1")),
        ("ports: ['80:80']\nnetwork_mode: host", "/ports", json!([])),
    ]);
    check_refused(&[(
        "ports: ['80:80']\nnetwork_mode: 'service:db'",
        "ports",
        "publish them there",
    )]);
}

#[test]
fn record_has_docker_composes_names_and_labels() {
    let config = json!({"Cmd": ["x"], "Labels": {"a": "image", "b": "image"}});
    let service = "labels: {a: own}\ndepends_on: {db: {condition: service_healthy, restart: true}}";
    let record = run(service, &config, |_| {}).unwrap().record;
    assert_eq!(
        (record.name.as_str(), record.number, record.oneoff),
        ("p-web-1", 1, false)
    );
    assert_eq!(
        (record.image.as_str(), record.image_id.as_str()),
        ("img", "sha256:abc")
    );
    let labels: Vec<(String, String)> = record.labels.clone().into_iter().collect();
    let own = |name: &str, value: &str| (format!("com.docker.compose.{name}"), value.to_owned());
    assert_eq!(
        labels,
        [
            ("a".to_owned(), "own".to_owned()),
            ("b".to_owned(), "image".to_owned()),
            own("config-hash", &record.config_hash),
            own("container-number", "1"),
            own("depends_on", "db:service_healthy:true"),
            own("image", "sha256:abc"),
            own("oneoff", "False"),
            own("project", "p"),
            own("project.config_files", "-"),
            own("project.working_dir", "/p"),
            own("service", "web"),
            own("version", env!("CARGO_PKG_VERSION")),
        ]
    );
    assert_eq!(record.config_hash.len(), 64);
    assert_eq!(record.canonical["labels"]["a"], "own");
}

#[test]
fn oneoff_has_no_name_of_the_service_and_a_slug() {
    let record = run("", &plain(), |instance| {
        instance.oneoff = Some(OneOff {
            slug: "f".repeat(64),
            auto_remove: true,
            use_aliases: false,
        });
    })
    .unwrap()
    .record;
    assert!(record.oneoff && record.launch.auto_remove);
    assert_eq!(record.labels[names::LABEL_ONEOFF], "True");
    assert_eq!(record.labels[names::LABEL_SLUG], "f".repeat(64));
    assert!(!record.labels.contains_key(names::LABEL_NUMBER));
    let launch = serde_json::to_value(record.launch).unwrap();
    assert_eq!(launch["network"]["networks"][0]["aliases"], json!([]));
}

#[test]
fn overrides_of_run_change_the_service() {
    let project = project(
        "command: [a]\nentrypoint: [e]\nports: ['80:80']\nvolumes: ['data:/d']\nrestart: always\n\
         container_name: fixed\ntty: true\ncap_drop: [KILL]",
    );
    let service = project.services.get("web").unwrap();
    let plain = Overrides::default().apply(service);
    assert_eq!(plain.command.as_deref().unwrap(), ["a"]);
    assert!(plain.ports.is_empty() && plain.restart.is_none() && plain.container_name.is_none());
    assert!(!plain.tty);
    let overrides = Overrides {
        entrypoint: Some(vec!["own".to_owned()]),
        environment: vec![("A".to_owned(), Some("b".to_owned()))],
        volumes: vec![crate::compose::Mount {
            target: "/d".to_owned(),
            ..crate::compose::Mount::default()
        }],
        service_ports: true,
        user: Some("me".to_owned()),
        cap_add: vec!["KILL".to_owned()],
        ..Overrides::default()
    };
    let changed = overrides.apply(service);
    assert_eq!(changed.entrypoint.as_deref().unwrap(), ["own"]);
    assert_eq!((changed.command, changed.ports.len()), (None, 1));
    assert_eq!(changed.environment["A"].as_deref(), Some("b"));
    assert_eq!(
        (changed.volumes.len(), changed.volumes[0].source.clone()),
        (1, None)
    );
    assert_eq!(changed.user.as_deref(), Some("me"));
    assert!(changed.cap_drop.is_empty());
}

#[test]
fn what_has_no_effect_is_a_warning_by_attribute() {
    for (service, path) in [
        ("logging: {options: {tag: x}}", "logging.options.tag"),
        ("security_opt: ['label:type:x']", "security_opt[0]"),
        ("volumes: ['/srv:/d:z']", "volumes[0]"),
        ("secrets: [{source: file, mode: 0400}]", "secrets[0]"),
        (
            "deploy: {restart_policy: {delay: 5s}}",
            "deploy.restart_policy",
        ),
        ("ports: ['80:80']\nnetwork_mode: none", "ports"),
    ] {
        let warnings = run(service, &plain(), |_| {}).unwrap().warnings;
        let found = warnings
            .iter()
            .any(|one| one.path == format!("services.web.{path}"));
        assert!(found, "{service}: {warnings:?}");
    }
}
