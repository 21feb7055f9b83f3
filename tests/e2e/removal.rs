//! What is left when projects are gone: nothing that README does not tell of.

use std::time::Instant;

use fs_err as fs;

use crate::support::{DEADLINE, Sandbox, isolated, processes, wait_exit};

/// Names in a folder of the sandbox; none where it is missing.
fn names(sandbox: &Sandbox, folder: &str) -> Vec<String> {
    let path = sandbox.data().parent().expect("a sandbox").join(folder);
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

const COMPOSE: &str = r#"
services:
  web:
    image: test/busybox
    init: true
    command: sleep 1000
    volumes: ["data:/data", "/anonymous"]
volumes:
  data:
"#;

/// The harness looks for processes, mounts, links, rules and control groups.
#[test]
fn the_complete_removal_of_the_readme_is_complete() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let list = || {
            let list = sandbox.skiff(["ls", "-a", "-q"]).run().succeeds();
            list.lines()
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let one = sandbox.project("one", COMPOSE);
        one.skiff(["run", "--rm", "web", "true"])
            .run()
            .succeeds()
            .whatever();
        let two = sandbox.project("two", COMPOSE);
        two.up().whatever();
        two.skiff(["down"]).run().succeeds().whatever();
        let three = sandbox.project("three", COMPOSE);
        three.up().whatever();
        three
            .skiff(["run", "-d", "--no-deps", "web", "sleep", "1000"])
            .run()
            .succeeds()
            .whatever();
        assert_eq!(list(), ["one", "three", "two"]);
        let table = sandbox.skiff(["ls", "-a"]).run().succeeds();
        table
            .says("network(1), volume(1)")
            .says("volume(2)")
            .whatever();
        let running = sandbox.skiff(["ls", "-q"]).run().succeeds();
        running.prints("three\n").whatever();
        let mut readme = include_str!("../../README.md").lines().map(str::trim);
        let command = readme.find(|line| line.starts_with("sudo sh -c 'for"));
        let command = command.expect("the command for a complete removal");
        let command = command
            .replace("sudo ", "")
            .replace("skiff ls", "\"$skiff\" ls")
            .replace("skiff -p", "\"$skiff\" -p")
            .replace("/var/lib/skiff", "\"$SKIFF_DATA_ROOT\"")
            .replace("/run/skiff", "\"$SKIFF_RUN_ROOT\"")
            .replace(" /usr/local/bin/skiff", "");
        sandbox.shell(&command).run().succeeds().whatever();
        for root in [sandbox.data(), sandbox.run_root()] {
            assert!(!root.exists(), "{}", root.display());
        }
    });
}

#[test]
fn anonymous_volumes_stay_after_down_and_go_with_a_later_one() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("anon", COMPOSE);
        project.up().whatever();
        // Another's are nobody's business.
        let other = sandbox.project("other", COMPOSE);
        other.up().whatever();
        other.skiff(["down"]).run().succeeds().whatever();
        project.skiff(["down"]).run().succeeds().whatever();
        assert_eq!(names(sandbox, "data/volumes").len(), 4);
        let down = project.skiff(["down", "-v"]).run().succeeds();
        down.warns("Volume anon_data  Removed").whatever();
        assert_eq!(names(sandbox, "data/volumes").len(), 2);
        other.down();
        assert!(names(sandbox, "data/volumes").is_empty());
    });
}

/// Commands on names of which there is nothing leave nothing.
#[test]
fn no_lock_is_left_of_a_project_that_is_not() {
    isolated(|sandbox| {
        for command in ["down", "stop", "kill", "ps", "logs"] {
            sandbox.skiff(["-p", "nosuch", command]).run().whatever();
            assert!(names(sandbox, "run/projects").is_empty(), "{command}");
        }
    });
}

/// A supervisor ends a moment after the command that took the last container.
#[test]
fn a_supervisor_that_ends_late_makes_no_root_anew() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        // Without a network of its own nothing of it is mounted for a moment more.
        let compose = COMPOSE.replace("init: true", "init: true\n    network_mode: host");
        let project = sandbox.project("late", &compose);
        project.up().whatever();
        // Without this lock it cannot end.
        let path = sandbox.run_root().join("projects/late/start.lock");
        let lock = fs::File::open(path).expect("the lock of a project that runs");
        lock.file().lock().expect("nobody starts or ends");
        project.down();
        let roots = [sandbox.data(), sandbox.run_root()];
        for root in &roots {
            fs::remove_dir_all(root).expect("nothing is mounted there");
        }
        drop(lock);
        for helper in processes() {
            assert!(wait_exit(helper.pid, Instant::now() + *DEADLINE));
        }
        for root in roots {
            assert!(!root.exists(), "{}", root.display());
        }
    });
}
