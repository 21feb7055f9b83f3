//! Images whose names others have now: they go with their last container, and
//! never before.

use std::thread;

use crate::support::{Image, Sandbox, isolated};

const COMPOSE: &str = "services:\n  a:\n    image: test/mark:1\n    init: true\n    command: sleep 1000\n    stop_grace_period: 0s\n";

/// Loads an image with this mark as `test/mark:1`.
fn load(sandbox: &Sandbox, mark: &str) {
    let image = Image::busybox().file("etc/mark", 0o644, mark);
    sandbox.load(&image, "test/mark:1");
}

/// How many layers are in the store.
fn layers(sandbox: &Sandbox) -> usize {
    fs_err::read_dir(sandbox.data().join("images/layers"))
        .expect("a store")
        .count()
}

#[test]
fn a_replaced_image_stays_while_a_container_of_any_project_has_it() {
    isolated(|sandbox| {
        load(sandbox, "one\n");
        let (running, stopped) = (
            sandbox.project("running", COMPOSE),
            sandbox.project("stopped", COMPOSE),
        );
        running.up().whatever();
        stopped.up().whatever();
        stopped.skiff(["stop"]).run().succeeds().whatever();
        load(sandbox, "two\n");
        assert_eq!(layers(sandbox), 2);
        assert_eq!(running.sh("a", "cat /etc/mark"), "one\n");
        // A new container of the new image; that of the other project stays.
        running.up().whatever();
        assert_eq!(running.sh("a", "cat /etc/mark"), "two\n");
        assert_eq!(layers(sandbox), 2);
        stopped.skiff(["start"]).run().succeeds().whatever();
        assert_eq!(stopped.sh("a", "cat /etc/mark"), "one\n");
        stopped.down();
        assert_eq!(layers(sandbox), 1, "gone with its last container");
        assert_eq!(running.sh("a", "cat /etc/mark"), "two\n");
        running.down();
        assert_eq!(layers(sandbox), 1, "an image with a name stays");
    });
}

#[test]
fn a_toolbox_of_another_binary_replaces_the_old_one() {
    isolated(|sandbox| {
        let compose = "services:\n  a: {image: skiff/toolbox, command: [echo, hi]}\n";
        let project = sandbox.project("box", compose);
        let run = |program: &str| {
            let line = format!("cd box && {program} run --rm -T a && {program} down");
            sandbox
                .shell(&line)
                .run()
                .succeeds()
                .prints("hi\n")
                .whatever();
        };
        run("$skiff");
        let other = sandbox.shell("cp $skiff other && echo >>other");
        other.run().succeeds().whatever();
        run("../other");
        assert_eq!(layers(sandbox), 1);
        project.down();
    });
}

/// One makes containers while the other takes their image's name away.
#[test]
fn what_a_command_is_about_to_use_is_not_collected_by_another() {
    isolated(|sandbox| {
        load(sandbox, "one\n");
        let project = sandbox.project("race", COMPOSE);
        thread::scope(|scope| {
            scope.spawn(|| {
                for mark in ["two\n", "one\n"].into_iter().cycle().take(10) {
                    load(sandbox, mark);
                }
            });
            for _ in 0..10 {
                let run = ["run", "--rm", "-T", "a", "cat", "/etc/mark"];
                let marks = project.skiff(run).run().succeeds();
                assert!(["one\n", "two\n"].contains(&&*marks.stdout), "{marks}");
            }
        });
        project.down();
        load(sandbox, "three\n");
        assert_eq!(layers(sandbox), 1);
    });
}
