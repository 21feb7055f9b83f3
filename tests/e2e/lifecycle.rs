//! `up`, `down`, `stop`, `start`, `restart` and `kill`: what runs afterwards,
//! what is said on which stream, and with which exit code.

use rustix::process::Signal;

use crate::support::{Project, deaf, isolated};

/// Two services that end at once on SIGTERM, and a job that has ended.
const THREE: &str = r#"
services:
  web:
    image: test/busybox
    command: ["sh", "-c", "trap 'echo bye; exit 0' TERM; echo hello; echo trouble >&2; sleep 1000 & wait"]
    depends_on: [db]
  db:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
  job:
    image: test/busybox
    command: ["sh", "-c", "echo done; exit 3"]
"#;

fn states(project: &Project<'_>) -> Vec<String> {
    let output = project
        .skiff(["ps", "-a", "--format", "json"])
        .run()
        .succeeds();
    let state = |c: &serde_json::Value| {
        format!(
            "{} {}",
            c["Name"].as_str().unwrap(),
            c["State"].as_str().unwrap()
        )
    };
    let mut states: Vec<String> = output.json_lines().iter().map(state).collect();
    states.sort();
    states
}

#[test]
fn up_starts_everything_and_down_leaves_nothing() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("three", THREE);
        let up = project.up();
        assert_eq!(up.stdout, "", "progress belongs on stderr\n{up}");
        for thing in [
            "Network three_default",
            "Container three-web-1",
            "Container three-db-1",
        ] {
            assert!(up.stderr.contains(thing), "{thing}\n{up}");
        }
        assert!(
            !up.stderr.contains('\u{1b}'),
            "no escape sequences in a pipe\n{up}"
        );
        project
            .skiff(["up", "-d", "--wait", "web", "db"])
            .run()
            .succeeds()
            .whatever();
        let states = states(&project);
        assert!(
            states.contains(&"three-web-1 running".to_owned()),
            "{states:?}"
        );
        assert!(
            states.contains(&"three-db-1 running".to_owned()),
            "{states:?}"
        );
        let down = project.skiff(["down"]).run().succeeds();
        assert_eq!(down.stdout, "", "{down}");
        assert!(down.stderr.contains("Container three-web-1"), "{down}");
        project
            .skiff(["ps", "-a", "-q"])
            .run()
            .succeeds()
            .prints("")
            .whatever();
        // Nothing to remove any more is no error.
        project.skiff(["down"]).run().succeeds().whatever();
    });
}

#[test]
fn attached_up_multiplexes_both_streams_and_ctrl_c_stops() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("three", THREE);
        let mut up = project.skiff(["up"]).spawn();
        up.wait_line("job-1 exited with code 3");
        up.wait_line("trouble");
        up.signal(Signal::INT);
        let output = up.finish().ends_with(130);
        let out = &output.stdout;
        assert!(
            out.contains("Attaching to db-1, job-1, web-1\n"),
            "{output}"
        );
        assert!(out.contains("web-1  | hello\n"), "{output}");
        assert!(out.contains("job-1  | done\n"), "{output}");
        assert!(out.contains("Gracefully Stopping..."), "{output}");
        assert!(
            !out.contains("trouble"),
            "a container's stderr goes to stderr\n{output}"
        );
        assert!(output.stderr.contains("web-1  | trouble\n"), "{output}");
        assert!(
            out.contains("web-1  | bye\n"),
            "output of the last moments too\n{output}"
        );
        assert_eq!(
            states(&project),
            [
                "three-db-1 exited",
                "three-job-1 exited",
                "three-web-1 exited"
            ]
        );
        project.down();
    });
}

#[test]
fn sigterm_on_up_ends_with_130_too() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("three", THREE);
        let mut up = project.skiff(["up"]).spawn();
        up.wait_line("hello");
        up.signal(Signal::TERM);
        up.finish()
            .ends_with(130)
            .says("Gracefully Stopping...")
            .whatever();
        project.down();
    });
}

#[test]
fn a_second_ctrl_c_kills() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("deaf", &deaf("deaf"));
        let mut up = project.skiff(["up"]).spawn();
        up.wait_line("ready");
        up.signal(Signal::INT);
        up.wait_line("no");
        up.signal(Signal::INT);
        up.finish().ends_with(130).whatever();
        assert_eq!(project.container_field("deaf", "ExitCode"), "137");
        project.down();
    });
}

#[test]
fn stop_start_restart_and_kill_act_on_the_named_services() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("three", THREE);
        project.up().whatever();
        // A shell that has not set its trap yet, and is process 1, ignores TERM.
        let mut logs = project.skiff(["logs", "-f", "web"]).spawn();
        logs.wait_line("hello");
        drop(logs);
        project
            .skiff(["stop", "web"])
            .run()
            .succeeds()
            .prints("")
            .warns("three-web-1")
            .whatever();
        assert_eq!(project.container_field("web", "State"), "exited");
        assert_eq!(project.container_field("web", "ExitCode"), "0");
        assert_eq!(project.container_field("db", "State"), "running");
        let id = project.container_field("web", "ID");
        project
            .skiff(["start", "web"])
            .run()
            .succeeds()
            .prints("")
            .warns("three-web-1")
            .whatever();
        assert_eq!(project.container_field("web", "State"), "running");
        project
            .skiff(["restart", "web"])
            .run()
            .succeeds()
            .warns("three-web-1")
            .whatever();
        project
            .skiff(["kill", "web"])
            .run()
            .succeeds()
            .warns("three-web-1")
            .whatever();
        project
            .skiff(["up", "-d", "--wait", "web"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(
            project.container_field("web", "ID"),
            id,
            "the container is the same throughout"
        );
        project
            .skiff(["kill", "-s", "KILL", "web"])
            .run()
            .succeeds()
            .whatever();
        project.down();
    });
}

/// Docker tells a stop whether there is something to be stopped or not, and a
/// start only where there is something to be started.
#[test]
fn stop_and_start_tell_what_docker_tells() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("three", THREE);
        for (args, code) in [
            (["start"], 1),
            (["stop"], 0),
            (["restart"], 0),
            (["kill"], 0),
        ] {
            let output = project.skiff(args).run().ends_with(code);
            assert_eq!(
                output.stderr.contains("no container to start"),
                code == 1,
                "{output}"
            );
        }
        project
            .skiff(["up", "-d", "web"])
            .run()
            .succeeds()
            .whatever();
        let started = project.skiff(["start", "web"]).run().succeeds();
        assert_eq!(started.stderr, "", "{started}");
        for _ in 0..2 {
            let stopped = project.skiff(["stop", "web"]).run().succeeds();
            assert_eq!(
                stopped.stderr,
                " Container three-web-1  Stopping\n Container three-web-1  Stopped\n"
            );
        }
        project.down();
    });
}

#[test]
fn a_killed_container_tells_the_signal() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("three", THREE);
        project.up().whatever();
        let mut logs = project.skiff(["logs", "-f", "web"]).spawn();
        project.skiff(["kill", "web"]).run().succeeds().whatever();
        // `logs -f` ends when nothing can be said any more.
        logs.wait_line("hello");
        logs.finish().succeeds().whatever();
        assert_eq!(project.container_field("web", "ExitCode"), "137");
        project.down();
    });
}

#[test]
fn the_stop_signal_and_the_grace_time_are_the_services() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  usr1:
    image: test/busybox
    stop_signal: SIGUSR1
    command: ["sh", "-c", "trap 'exit 9' USR1; trap 'exit 8' TERM; echo ready; sleep 1000 & wait"]
  deaf:
    image: test/busybox
    stop_grace_period: 200ms
    command: ["sh", "-c", "trap '' TERM; echo ready; sleep 1000"]
"#;
        let project = sandbox.project("signals", compose);
        project.up().whatever();
        let mut logs = project.skiff(["logs", "-f"]).spawn();
        logs.wait_line("ready");
        logs.wait_line("ready");
        drop(logs);
        project.skiff(["stop"]).run().succeeds().whatever();
        assert_eq!(project.container_field("usr1", "ExitCode"), "9");
        assert_eq!(project.container_field("deaf", "ExitCode"), "137");
        project.down();
    });
}

#[test]
fn abort_on_container_exit_ends_everything_with_its_code() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("three", THREE);
        let output = project
            .skiff(["up", "--abort-on-container-exit"])
            .run()
            .ends_with(3);
        assert!(
            output.stdout.contains("job-1 exited with code 3"),
            "{output}"
        );
        assert_eq!(
            states(&project),
            [
                "three-db-1 exited",
                "three-job-1 exited",
                "three-web-1 exited"
            ]
        );
        project.down();
    });
}

#[test]
fn exit_code_from_ends_all_shown_or_not() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("three", THREE);
        for flags in [&[][..], &["--attach", "web"], &["--no-attach", "job"]] {
            let output = project
                .skiff(["up", "--exit-code-from", "job"])
                .args(flags)
                .run()
                .ends_with(3)
                .warns("Aborting on container exit...");
            assert!(!output.stdout.contains("Aborting"), "{output}");
            assert_eq!(
                states(&project),
                [
                    "three-db-1 exited",
                    "three-job-1 exited",
                    "three-web-1 exited"
                ]
            );
        }
        // The end of another ends all too; the code is the named one's.
        let output = project.skiff(["up", "--exit-code-from", "web"]).run();
        output
            .succeeds()
            .warns("Aborting on container exit...")
            .whatever();
        for flag in ["--exit-code-from", "--attach", "--no-attach"] {
            project
                .skiff(["up", flag, "nosuch"])
                .run()
                .ends_with(1)
                .warns("nosuch")
                .whatever();
        }
        project.down();
    });
}

#[test]
fn up_of_one_service_starts_its_dependencies_only() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("three", THREE);
        project
            .skiff(["up", "-d", "web"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(
            states(&project),
            ["three-db-1 running", "three-web-1 running"]
        );
        project.down();
    });
}

#[test]
fn replicas_are_started_and_the_surplus_goes() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = |count: u32| {
            format!(
                "services:\n  w:\n    image: test/busybox\n    init: true\n    command: sleep 1000\n    \
                 deploy: {{replicas: {count}}}\n"
            )
        };
        let project = sandbox.project("many", &compose(3));
        project.up().whatever();
        assert_eq!(
            states(&project),
            ["many-w-1 running", "many-w-2 running", "many-w-3 running"]
        );
        project.write("compose.yaml", &compose(1));
        project.up().whatever();
        assert_eq!(states(&project), ["many-w-1 running"]);
        project.down();
    });
}

#[test]
fn replicas_with_one_port_are_refused_and_with_a_range_have_one_each() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = |port: &str| {
            format!(
                "services:\n  w:\n    image: test/busybox\n    init: true\n    command: sleep 1000\n    \
                 ports: [\"{port}:80\"]\n    deploy: {{replicas: 2}}\n"
            )
        };
        let project = sandbox.project("many", &compose("18080"));
        let refused = project.skiff(["up", "-d"]).run().fails();
        let place = refused.stderr.contains("compose.yaml:6:");
        let reason = "port 18080 of the host cannot be published by 2 replicas";
        assert!(place && refused.stderr.contains(reason), "{refused}");
        assert!(refused.stderr.contains("18080-18081:80"), "{refused}");
        assert!(states(&project).is_empty());
        project
            .skiff(["up", "-d", "--scale", "w=1"])
            .run()
            .succeeds()
            .whatever();
        project.write("compose.yaml", &compose("18080-18081"));
        project.up().whatever();
        let ps = project.skiff(["ps", "--format", "json"]).run().succeeds();
        let mut ports: Vec<i64> = ps
            .json_lines()
            .iter()
            .filter_map(|one| one["Publishers"][0]["PublishedPort"].as_i64())
            .collect();
        ports.sort_unstable();
        assert_eq!(ports, [18080, 18081], "{ps}");
        project.down();
    });
}

#[test]
fn attached_up_follows_what_runs_already() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("three", THREE);
        project.up().whatever();
        let mut logs = project.skiff(["logs", "-f", "web"]).spawn();
        logs.wait_line("hello");
        drop(logs);
        let mut up = project.skiff(["up"]).spawn();
        up.wait_line("job-1 exited with code 3");
        project.sh("web", "echo still here >/proc/1/fd/1");
        up.wait_line("web-1  | still here");
        up.signal(Signal::INT);
        let _transcript = up.finish().ends_with(130);
        project.down();
    });
}
