//! `exec` and `run`: streams, exit codes, options, and what stays afterwards.

use crate::support::isolated;

const COMPOSE: &str = r#"
services:
  web:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
    environment: {FROM_FILE: "yes"}
    ports: ["18080:80"]
    depends_on: [db]
  db:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
"#;

#[test]
fn exec_passes_streams_and_the_exit_code() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("ex", COMPOSE);
        project.up().whatever();
        let exec = |args: &[&str]| project.skiff([&["exec", "-T"], args].concat());
        let both = exec(&["web", "sh", "-c", "echo out; echo err >&2; exit 7"])
            .run()
            .ends_with(7);
        assert_eq!(
            (both.stdout.as_str(), both.stderr.as_str()),
            ("out\n", "err\n")
        );
        exec(&["web", "cat"])
            .input("typed")
            .run()
            .succeeds()
            .prints("typed")
            .whatever();
        exec(&["-e", "A=b c", "web", "sh", "-c", "echo \"$A\""])
            .run()
            .succeeds()
            .prints("b c\n")
            .whatever();
        exec(&["web", "sh", "-c", "echo $FROM_FILE"])
            .run()
            .succeeds()
            .prints("yes\n")
            .whatever();
        exec(&["-w", "/tmp", "web", "pwd"])
            .run()
            .succeeds()
            .prints("/tmp\n")
            .whatever();
        exec(&["-u", "app", "web", "id", "-u"])
            .run()
            .succeeds()
            .prints("77\n")
            .whatever();
        exec(&["-u", "1234:5", "web", "id", "-g"])
            .run()
            .succeeds()
            .prints("5\n")
            .whatever();
        exec(&["web", "sh", "-c", "kill -9 $$"])
            .run()
            .ends_with(137)
            .whatever();
        exec(&["web", "nosuchprogram"])
            .run()
            .ends_with(127)
            .whatever();
        exec(&["web", "/etc"]).run().ends_with(126).whatever();
        exec(&["nosuch", "true"])
            .run()
            .ends_with(1)
            .warns("nosuch")
            .whatever();
        exec(&["-u", "nosuch", "web", "id"])
            .run()
            .fails()
            .warns("nosuch")
            .whatever();
        project.down();
    });
}

#[test]
fn exec_joins_the_container_and_dies_with_it() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("ex", COMPOSE);
        project.up().whatever();
        let inside = project.sh(
            "web",
            "cat /proc/self/cgroup; ls /proc/1/ns -l | sed 's/.*-> //' | sort",
        );
        let outside = project.sh(
            "web",
            "cat /proc/1/cgroup; ls /proc/self/ns -l | sed 's/.*-> //' | sort",
        );
        assert_eq!(inside, outside);
        let limits = project.sh(
            "web",
            "grep Cap /proc/self/status; grep Seccomp: /proc/self/status",
        );
        let of_init = project.sh(
            "web",
            "grep Cap /proc/1/status; grep Seccomp: /proc/1/status",
        );
        assert_eq!(limits, of_init, "an exec is confined as the container is");
        let mut exec = project
            .skiff(["exec", "-T", "web", "sh", "-c", "echo in; sleep 1000"])
            .spawn();
        exec.wait_line("in");
        project
            .skiff(["stop", "-t", "0", "web"])
            .run()
            .succeeds()
            .whatever();
        exec.finish().ends_with(137).whatever();
        project.down();
    });
}

#[test]
fn run_makes_a_container_beside_the_service() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("ex", COMPOSE);
        project.up().whatever();
        let run = |args: &[&str]| project.skiff([&["run", "--rm", "-T"], args].concat());
        let both = run(&["web", "sh", "-c", "echo out; echo err >&2; exit 7"])
            .run()
            .ends_with(7);
        assert_eq!(both.stdout, "out\n");
        assert!(both.stderr.ends_with("err\n"), "{both}");
        run(&["-e", "A=1", "web", "sh", "-c", "echo \"$A\""])
            .run()
            .succeeds()
            .prints("1\n")
            .whatever();
        run(&["--entrypoint", "echo", "web", "hi"])
            .run()
            .succeeds()
            .prints("hi\n")
            .whatever();
        run(&["-w", "/tmp", "web", "pwd"])
            .run()
            .succeeds()
            .prints("/tmp\n")
            .whatever();
        run(&["-u", "app", "web", "id", "-un"])
            .run()
            .succeeds()
            .prints("app\n")
            .whatever();
        run(&["web", "cat"])
            .input("typed")
            .run()
            .succeeds()
            .prints("typed")
            .whatever();
        // The service's port is the service's: without --service-ports it stays free.
        run(&["web", "nslookup", "db"]).run().succeeds().whatever();
        run(&["web", "nosuchprogram"])
            .run()
            .fails()
            .warns("nosuchprogram")
            .whatever();
        run(&["nosuch", "true"])
            .run()
            .ends_with(1)
            .warns("nosuch")
            .whatever();
        let ps = project.skiff(["ps", "-a", "-q"]).run().succeeds();
        assert_eq!(ps.lines().len(), 2, "--rm removed every one-off\n{ps}");
        project.down();
    });
}

#[test]
fn run_starts_dependencies_unless_told_not_to() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("ex", COMPOSE);
        project
            .skiff(["run", "--rm", "-T", "--no-deps", "web", "true"])
            .run()
            .succeeds()
            .whatever();
        project
            .skiff(["ps", "-a", "-q"])
            .run()
            .succeeds()
            .prints("")
            .whatever();
        project
            .skiff(["run", "--rm", "-T", "web", "true"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(project.container_field("db", "State"), "running");
        project.down();
    });
}

#[test]
fn run_mounts_and_publishes_what_it_is_told() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("ex", COMPOSE);
        project.write("given/file", "content\n");
        let volume = format!("{}:/given:ro", project.dir.join("given").display());
        let run = project.skiff([
            "run",
            "--rm",
            "-T",
            "--no-deps",
            "-v",
            &volume,
            "web",
            "cat",
            "/given/file",
        ]);
        run.run().succeeds().prints("content\n").whatever();
        let script = "echo up; nc -l -p 80 -e echo answered";
        for flags in [
            ["-p", "18081:80"].as_slice(),
            ["--service-ports"].as_slice(),
        ] {
            let args = [
                &["run", "--rm", "-T", "--no-deps"],
                flags,
                &["web", "sh", "-c", script],
            ]
            .concat();
            let mut server = project.skiff(args).spawn();
            server.wait_line("up");
            let port = if flags.len() == 2 { 18081 } else { 18080 };
            let mut answer = String::new();
            // The line comes before the listener: a closed connection means ask again.
            while !answer.contains("answered") {
                use std::io::Read;
                let mut stream =
                    std::net::TcpStream::connect(("127.0.0.1", port)).expect("published");
                stream.read_to_string(&mut answer).ok();
            }
            server.finish().succeeds().whatever();
        }
        project.down();
    });
}

#[test]
fn down_keeps_a_living_one_off_and_says_so() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("ex", COMPOSE);
        project.up().whatever();
        project
            .skiff(["run", "-d", "--no-deps", "web", "sleep", "1000"])
            .run()
            .succeeds()
            .whatever();
        let down = project.skiff(["down"]).run().succeeds();
        let ps = project
            .skiff(["ps", "-a", "--format", "json"])
            .run()
            .succeeds();
        let left = ps.json_lines();
        assert_eq!(left.len(), 1, "{ps}");
        let name = left[0]["Name"].as_str().unwrap();
        assert!(name.starts_with("ex-web-run-"), "{name}");
        assert!(
            down.stderr.contains(name),
            "down names what it keeps\n{down}"
        );
        let labels = left[0]["Labels"].as_str().unwrap();
        assert!(
            labels.contains("com.docker.compose.oneoff=True"),
            "{labels}"
        );
        let bridges = || {
            let list = sandbox.shell("ip -o link show type bridge");
            list.run().succeeds().lines().len()
        };
        assert_eq!(bridges(), 1, "its network is there still");
        project
            .skiff(["down", "--remove-orphans", "-t", "0"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(bridges(), 0);
        project
            .skiff(["ps", "-a", "-q"])
            .run()
            .succeeds()
            .prints("")
            .whatever();
    });
}

#[test]
fn a_detached_exec_runs_on_and_its_output_goes_nowhere() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose =
            "services:\n  web:\n    image: test/busybox\n    init: true\n    command: sleep 1000\n";
        let project = sandbox.project("detached", compose);
        project.up().whatever();
        let script = "echo lost; echo lost >&2; cat; ls -l /proc/self/fd >/fds; mkfifo /done; echo end >/done";
        let detached = project
            .skiff(["exec", "-d", "web", "sh", "-c", script])
            .run()
            .succeeds()
            .prints("");
        assert_eq!(detached.stderr, "", "{detached}");
        let waits = "until [ -p /done ]; do sleep 0.05; done; cat /done; grep -c /dev/null /fds";
        assert_eq!(project.sh("web", waits), "end\n2\n", "input and error");
        let logs = project.skiff(["logs"]).run().succeeds();
        assert_eq!(logs.stdout, "", "{logs}");
        // What cannot be executed is told all the same.
        project
            .skiff(["exec", "-d", "web", "nosuch"])
            .run()
            .ends_with(127)
            .warns("nosuch")
            .whatever();
        project.down();
    });
}

#[test]
fn an_exec_that_cannot_be_set_up_ends_with_1() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose =
            "services:\n  web:\n    image: test/busybox\n    init: true\n    command: sleep 1000\n";
        let project = sandbox.project("codes", compose);
        project.up().whatever();
        for (flags, code) in [
            (["-u", "nosuch", "web", "id"], 1),
            (["-u", "root:nogrp", "web", "id"], 1),
            (["-w", "/nodir", "web", "pwd"], 127),
        ] {
            project
                .skiff(["exec", "-T"])
                .args(flags)
                .run()
                .ends_with(code)
                .whatever();
        }
        project.down();
    });
}
