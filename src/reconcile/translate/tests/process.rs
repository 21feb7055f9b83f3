//! Program, environment, the image's config, limits of the process, logs.

use super::*;

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
            "ulimits: {nofile: 2000001}",
            "ulimits.nofile",
            "no more than 2000000 open files",
        ),
        (
            "ulimits: {nofile: -1}",
            "ulimits.nofile",
            "no more than 2000000 open files",
        ),
        ("uts: host\nhostname: other", "hostname", "`uts: host`"),
        (
            "network_mode: 'service:db'\nhostname: other",
            "hostname",
            "`network_mode: service:db`",
        ),
        ("expose: [x]", "expose[0]", "`x` is not a port"),
        (
            "expose: ['80', '90-81', '80/tpc', '99999']",
            "expose[1]",
            "`90-81` is not a port",
        ),
        ("expose: ['80/tpc']", "expose[0]", "`80/tpc` is not a port"),
        ("expose: ['99999']", "expose[0]", "`99999` is not a port"),
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
