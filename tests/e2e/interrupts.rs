//! Ctrl-C and SIGTERM: what ends, what is left, and with which exit code.

use rustix::process::Signal;

use crate::support::{DEAF, Project, deaf, helpers, isolated, send};

/// `web` needs `db`; `other` has nothing to do with them.
const THREE: &str = r#"
services:
  web:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; echo web ready; sleep 1000 & wait"]
    depends_on: [db]
  db:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; echo db ready; sleep 1000 & wait"]
  other:
    image: test/busybox
"#;

#[test]
fn ctrl_c_stops_what_this_up_was_about_and_nothing_else() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("three", &format!("{THREE}    {DEAF}\n"));
        project
            .skiff(["up", "-d", "other"])
            .run()
            .succeeds()
            .whatever();
        let mut up = project.skiff(["up", "web"]).spawn();
        up.wait_line("web-1  | web ready");
        up.signal(Signal::INT);
        let output = up.finish().ends_with(130);
        assert!(!output.stderr.contains("three-other-1"), "{output}");
        assert_eq!(project.container_field("web", "State"), "exited");
        assert_eq!(
            project.container_field("db", "State"),
            "exited",
            "it was started for web"
        );
        assert_eq!(project.container_field("other", "State"), "running");
        // A dependency that ran before goes on.
        project
            .skiff(["up", "-d", "db"])
            .run()
            .succeeds()
            .whatever();
        let mut up = project.skiff(["up", "web"]).spawn();
        up.wait_line("web-1  | web ready");
        up.signal(Signal::INT);
        up.finish().ends_with(130).whatever();
        assert_eq!(project.container_field("web", "State"), "exited");
        assert_eq!(project.container_field("db", "State"), "running");
        project.down();
    });
}

#[test]
fn a_second_ctrl_c_kills_only_what_this_up_was_about() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = deaf("deaf") + &deaf("two").replace("services:\n", "");
        let project = sandbox.project("deaf", &compose);
        project
            .skiff(["up", "-d", "two"])
            .run()
            .succeeds()
            .whatever();
        let mut up = project.skiff(["up", "deaf"]).spawn();
        up.wait_line("ready");
        up.signal(Signal::INT);
        up.wait_line("no");
        up.signal(Signal::INT);
        up.finish().ends_with(130).whatever();
        assert_eq!(project.container_field("deaf", "ExitCode"), "137");
        assert_eq!(project.container_field("two", "State"), "running");
        project.down();
    });
}

/// The walk itself waits for an end: a recreation.
#[test]
fn a_second_ctrl_c_kills_during_a_recreation_too() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("deaf", &deaf("deaf"));
        project.up().whatever();
        let mut logs = project.skiff(["logs", "-f"]).spawn();
        logs.wait_line("ready");
        let mut up = project.skiff(["up"]).env("A", "2").spawn();
        logs.wait_line("no");
        up.signal(Signal::INT);
        // On two streams, so in either order.
        let mut left = vec!["Gracefully Stopping", "Container deaf-deaf-1  Stopping"];
        up.wait_for("both lines", |line| {
            left.retain(|wanted| !line.contains(wanted));
            left.is_empty()
        });
        up.signal(Signal::INT);
        up.finish().ends_with(130).whatever();
        assert_eq!(project.container_field("deaf", "ExitCode"), "137");
        drop(logs);
        project.down();
    });
}

#[test]
fn ctrl_c_ends_a_command_that_waits_and_leaves_the_containers() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("deaf", &deaf("deaf"));
        project.up().whatever();
        let mut logs = project.skiff(["logs", "-f"]).spawn();
        logs.wait_line("ready");
        for (command, word, signal) in [
            ("down", "Stopping", Signal::INT),
            ("stop", "Stopping", Signal::TERM),
            ("restart", "Restarting", Signal::INT),
        ] {
            let mut waiting = project.skiff([command]).spawn();
            waiting.wait_line(word);
            if command == "down" {
                // The engine has begun, and goes on for an hour.
                logs.wait_line("no");
            }
            waiting.signal(signal);
            let output = waiting.finish().ends_with(130);
            assert!(output.stderr.contains("Interrupted"), "{output}");
            assert_eq!(project.container_field("deaf", "State"), "running");
        }
        drop(logs);
        // What was interrupted stands in nobody's way: the restart neither.
        project
            .skiff(["stop", "-t", "0"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(project.container_field("deaf", "State"), "exited");
        project.down();
    });
}

#[test]
fn ctrl_c_ends_a_pull_and_a_run_that_prepares() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        // A registry that takes the connection and never answers.
        let silent = std::net::TcpListener::bind("127.0.0.1:5000").unwrap();
        let compose = "services:\n  a:\n    image: 127.0.0.1:5000/a\n";
        let project = sandbox.project("pulls", compose);
        for command in [&["pull"][..], &["run", "--rm", "a", "true"], &["up", "-d"]] {
            let waiting = project.skiff(command).spawn();
            let _connection = silent.accept().unwrap();
            waiting.signal(Signal::INT);
            waiting.finish().ends_with(130).whatever();
        }
        project.down();
    });
}

#[test]
fn logs_and_exec_end_with_130() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("deaf", &deaf("deaf"));
        project.up().whatever();
        for signal in [Signal::INT, Signal::TERM] {
            let mut logs = project.skiff(["logs", "-f"]).spawn();
            logs.wait_line("ready");
            logs.signal(signal);
            logs.finish().ends_with(130).whatever();
            let mut exec = project
                .skiff(["exec", "-T", "deaf", "sh", "-c", "echo here; read x"])
                .open_input()
                .spawn();
            exec.wait_line("here");
            exec.signal(signal);
            exec.finish().ends_with(130).whatever();
        }
        project.down();
    });
}

/// It is stopped, as a debugger or a full disk would have it.
#[test]
fn a_supervisor_that_does_not_answer_is_named_and_ctrl_c_ends_the_wait() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("deaf", &deaf("deaf"));
        project.up().whatever();
        let supervisor = freeze(&project, "supervisor");
        for command in [
            &["stop"][..],
            &["exec", "-T", "deaf", "true"],
            &["run", "--rm", "-T", "deaf", "true"],
            &["up", "-d", "--force-recreate"],
        ] {
            waits_until_ctrl_c(&project, command, "supervisor", supervisor);
        }
        second_ctrl_c_leaves(&project, "supervisor", supervisor);
        send(supervisor, Signal::CONT);
        project.down();
    });
}

/// The supervisor answers, and gets no answer itself.
#[test]
fn a_keeper_that_does_not_answer_is_named_and_ctrl_c_ends_the_wait() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("deaf", &deaf("deaf"));
        project.up().whatever();
        let keeper = freeze(&project, "keeper");
        for command in [
            // Whatever has pipes of the caller's would hold them on.
            &["exec", "-d", "deaf", "true"][..],
            &["up", "-d", "--scale", "deaf=2"],
            &["stop", "-t", "0"],
            &["up", "-d", "--force-recreate", "-t", "0"],
        ] {
            waits_until_ctrl_c(&project, command, "keeper", keeper);
        }
        second_ctrl_c_leaves(&project, "keeper", keeper);
        send(keeper, Signal::CONT);
        project.down();
    });
}

/// Stops the project's helper of this kind.
fn freeze(project: &Project<'_>, kind: &str) -> u32 {
    let found = helpers(project, kind);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(send(found[0], Signal::STOP));
    found[0]
}

fn waits_until_ctrl_c(project: &Project<'_>, command: &[&str], kind: &str, pid: u32) {
    let mut waiting = project.skiff(command).spawn();
    let line = waiting.wait_line("does not answer");
    let named = format!("waiting for the {kind} of project `deaf`, process {pid}");
    assert!(line.contains(&named), "{line}");
    waiting.signal(Signal::INT);
    waiting.finish().ends_with(130).whatever();
}

fn second_ctrl_c_leaves(project: &Project<'_>, kind: &str, pid: u32) {
    let mut up = project.skiff(["up"]).env("A", "2").spawn();
    up.wait_line("does not answer");
    up.signal(Signal::INT);
    up.wait_line("Gracefully Stopping");
    up.signal(Signal::INT);
    let output = up.finish().ends_with(130);
    let told = format!("the {kind} of project `deaf`, process {pid}, does not answer");
    assert!(output.stderr.contains(&told), "{output}");
}
