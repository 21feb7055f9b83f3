//! SIGKILL in the middle of a command, at any moment: the next command puts
//! everything right at once, and no data is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use fs_err as fs;
use rustix::process::Signal;

use crate::support::{Project, Sandbox, helpers, isolated, send, wait_exit};

/// Names of all volumes on disk.
fn volumes(sandbox: &Sandbox) -> BTreeSet<String> {
    fs::read_dir(sandbox.data().join("volumes"))
        .map(|entries| {
            entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter(|name| !name.starts_with('.'))
                .collect()
        })
        .unwrap_or_default()
}

/// Starts a command and kills it after a while, or lets it end before.
fn kill_after(project: &Project<'_>, args: &[&str], while_: Duration) {
    let command = project.skiff(args).spawn();
    if !wait_exit(command.pid(), std::time::Instant::now() + while_) {
        command.signal(Signal::KILL);
    }
    command.finish().whatever();
}

fn running(project: &Project<'_>) -> usize {
    let ps = project.skiff(["ps", "--format", "json"]).run().succeeds();
    let lines = ps.json_lines();
    lines.iter().filter(|one| one["State"] == "running").count()
}

/// An address that was given when a start was cut short names its container
/// and has no endpoint.
#[test]
fn an_address_of_a_start_that_was_cut_short_goes_with_its_container() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = "services:\n  a: {image: test/busybox, init: true, command: sleep 1000}\n  \
                       b: {image: test/busybox, init: true, command: sleep 1000}\n";
        let project = sandbox.project("short", compose);
        project.up().whatever();
        let script = r#"
            for pool in "$SKIFF_RUN_ROOT"/networks/*/addresses; do
                for given in "$pool"/*; do cp -P "$given" "${given%.*}.20${given##*.}"; done
                ls "$pool"
            done
        "#;
        let given = sandbox.shell(script).run().succeeds();
        assert_eq!(given.lines().len(), 4, "{given}");
        // Another container of the network is not touched by it.
        project.skiff(["restart", "a"]).run().succeeds().whatever();
        project.sh("b", "nslookup a >/dev/null");
        project.skiff(["down"]).run().succeeds().whatever();
    });
}

/// Six services, with which there is always a start under way.
fn six() -> String {
    let service = |name: &str| {
        format!("  {name}: {{image: test/busybox, init: true, command: sleep 1000}}\n")
    };
    let services: String = ["a", "b", "c", "d", "e", "f"]
        .into_iter()
        .map(service)
        .collect();
    format!("services:\n{services}")
}

/// The keeper, not a child that it has just cloned; 0 where there is none yet.
fn keeper(sandbox: &Sandbox, project: &Project<'_>) -> u32 {
    let sign = format!("projects/{}/keeper.json", project.name);
    let Ok(text) = fs::read_to_string(sandbox.run_root().join(sign)) else {
        return 0;
    };
    let sign: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    u32::try_from(sign["pid"].as_u64().expect("a pid")).expect("a pid")
}

/// The keeper dies while an `up` is under way, which the next one completes.
#[test]
fn an_up_whose_keeper_died_succeeds() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("died", &six());
        let mut killed = 0;
        for step in 1..24 {
            let up = project.skiff(["up", "-d"]).spawn();
            let end = std::time::Instant::now() + Duration::from_millis(step * 6);
            wait_exit(up.pid(), end);
            let keeper = keeper(sandbox, &project);
            if keeper > 0 && send(keeper, Signal::KILL) {
                killed += 1;
            }
            up.finish().succeeds().whatever();
            assert_eq!(running(&project), 6, "step {step}");
            project.skiff(["down"]).run().succeeds().whatever();
        }
        assert!(killed > 10, "{killed} keepers");
    });
}

/// Supervisors die while an `up` is under way; `up` itself goes on, and
/// whatever came of it, one `down` is enough.
#[test]
fn a_down_after_supervisors_that_died_in_an_up_leaves_nothing() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("died", &six());
        for step in 1..16 {
            let up = project.skiff(["up", "-d"]).spawn();
            wait_exit(
                up.pid(),
                std::time::Instant::now() + Duration::from_millis(step * 9),
            );
            for pid in helpers(&project, "__supervisor") {
                send(pid, Signal::KILL);
            }
            up.finish().whatever();
            project.skiff(["down"]).run().succeeds().whatever();
        }
    });
}

const WITH_VOLUME: &str = r#"
services:
  a:
    image: test/busybox
    init: true
    command: sleep 1000
    volumes: ["/vol"]
  b:
    image: test/busybox
    init: true
    command: sleep 1000
    volumes: ["/vol"]
    depends_on: [a]
  c:
    image: test/busybox
    init: true
    command: sleep 1000
    networks: [default, other]
networks:
  other:
"#;

/// A recreation that is killed at any moment loses no anonymous volume, leaves
/// none behind, and is completed by the next `up`.
#[test]
fn a_killed_recreation_keeps_its_volumes_and_is_completed_at_once() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("again", WITH_VOLUME);
        project.up().whatever();
        for service in ["a", "b"] {
            project.sh(service, &format!("echo {service} >/vol/keep"));
        }
        let before = volumes(sandbox);
        assert_eq!(before.len(), 2);
        for step in 1..30 {
            kill_after(
                &project,
                &["up", "-d", "--force-recreate", "-t", "1"],
                Duration::from_millis(step * 8),
            );
            project.up().whatever();
            assert_eq!(running(&project), 3, "step {step}");
            for service in ["a", "b"] {
                let kept = project.sh(service, "cat /vol/keep");
                assert_eq!(kept, format!("{service}\n"), "step {step}");
            }
            assert_eq!(volumes(sandbox), before, "step {step}");
        }
        project.down();
    });
}

/// The same where the file changes each time.
#[test]
fn a_killed_change_keeps_its_volumes_and_is_completed_at_once() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("again", WITH_VOLUME);
        project.up().whatever();
        project.sh("a", "echo a >/vol/keep");
        let before = volumes(sandbox);
        for step in 1..20_u32 {
            let text = WITH_VOLUME.replace(
                "command: sleep 1000",
                &format!("command: sleep {}", 1000 + step),
            );
            project.write("compose.yaml", &text);
            kill_after(
                &project,
                &["up", "-d", "-t", "1"],
                Duration::from_millis(u64::from(step) * 12),
            );
            project.up().whatever();
            assert_eq!(running(&project), 3, "step {step}");
            assert_eq!(project.sh("a", "cat /vol/keep"), "a\n", "step {step}");
            assert_eq!(volumes(sandbox), before, "step {step}");
        }
        project.down();
    });
}
