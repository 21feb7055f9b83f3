//! Pulls and pushes that are cut short, by Ctrl-C, SIGKILL or the line: what is kept,
//! what is told, and that the next one goes on from there.

use std::path::PathBuf;

use rustix::process::Signal;

use crate::support::{
    Background, Image, Line, Output, Project, Registry, Sandbox, Trouble, Way, files_below,
    isolated, kill_hard, noise,
};

/// Where the line to the registry begins.
const NAME: &str = "127.0.0.1:5009/big:1";
const ENDS: (&str, &str) = ("127.0.0.1:5009", "127.0.0.1:5000");
/// Bytes of the large layer.
const LARGE: usize = 8 << 20;

/// A small layer below a large one.
fn image() -> Image {
    Image::busybox().layer().file("noise", 0o644, noise(LARGE))
}

/// With the image at the registry, behind the line.
fn project(sandbox: &Sandbox) -> Project<'_> {
    let compose = format!("services:\n  a: {{image: \"{NAME}\", command: [wc, -c, /noise]}}\n");
    sandbox.project("cut", &compose)
}

/// What the store has of work that is not done.
fn unfinished(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut found = files_below(&sandbox.data().join("images/tmp"));
    found.extend(files_below(&sandbox.data().join("trash")));
    found
}

fn is_listed(sandbox: &Sandbox) -> bool {
    let listed = sandbox.skiff(["image", "ls", "-q", NAME]).run().succeeds();
    !listed.stdout.is_empty()
}

/// Up to where the small layer is whole and the large one is not.
fn pull_half(project: &Project<'_>, line: &Line, command: &[&str]) -> Background {
    let mut pull = project.skiff(command).spawn();
    pull.wait_for("that a layer is there", |line| {
        line.contains("Pull complete") || line.contains("Already exists")
    });
    line.wait();
    pull
}

/// The pull that comes afterwards, and what is in the image.
fn goes_on(sandbox: &Sandbox, project: &Project<'_>, line: &Line) -> Output {
    line.go();
    let pulled = sandbox.skiff(["image", "pull", NAME]).run().succeeds();
    let run = project.skiff(["run", "--rm", "-T", "a"]).run().succeeds();
    run.prints(&format!("{LARGE} /noise\n")).whatever();
    let sound = sandbox.skiff(["image", "verify"]).run().succeeds();
    assert!(!sound.stdout.contains("damaged"), "{sound}");
    pulled
}

#[test]
fn ctrl_c_in_a_pull_keeps_whole_layers_alone_and_says_so() {
    isolated(|sandbox| {
        let _registry = Registry::start(sandbox, 5000);
        image().push("127.0.0.1:5000", "big", "1");
        let project = project(sandbox);
        let line = Line::start(ENDS, (Way::Down, Trouble::Stops), LARGE / 2);
        for (command, signal) in [
            (&["image", "pull", NAME][..], Signal::INT),
            (&["pull"], Signal::TERM),
            (&["up", "-d"], Signal::INT),
            (&["run", "--rm", "-T", "a"], Signal::INT),
        ] {
            let pull = pull_half(&project, &line, command);
            pull.signal(signal);
            let ended = pull.finish().ends_with(130);
            ended
                .warns("layers that are whole are kept for the next pull")
                .whatever();
            assert_eq!(unfinished(sandbox), Vec::<PathBuf>::new(), "{command:?}");
            assert!(!is_listed(sandbox), "{command:?}");
            line.go();
        }
        let pulled = goes_on(sandbox, &project, &line);
        pulled.warns("Already exists").whatever();
        project.down();
    });
}

#[test]
fn a_killed_pull_leaves_nothing_that_counts_and_the_next_command_removes_it() {
    isolated(|sandbox| {
        let _registry = Registry::start(sandbox, 5000);
        image().push("127.0.0.1:5000", "big", "1");
        Image::empty()
            .file("other", 0o644, "other")
            .push("127.0.0.1:5000", "other", "1");
        let project = project(sandbox);
        let line = Line::start(ENDS, (Way::Down, Trouble::Stops), LARGE / 2);
        let pull = pull_half(&project, &line, &["image", "pull", NAME]);
        kill_hard(pull.pid());
        pull.finish().whatever();
        assert!(!is_listed(sandbox));
        line.go();
        // Whatever it is about.
        let other = ["image", "pull", "127.0.0.1:5000/other:1"];
        sandbox.skiff(other).run().succeeds().whatever();
        assert_eq!(unfinished(sandbox), Vec::<PathBuf>::new());
        let pulled = goes_on(sandbox, &project, &line);
        pulled.warns("Already exists").whatever();
        project.down();
    });
}

#[test]
fn a_pull_over_a_line_that_breaks_asks_for_the_rest_alone() {
    isolated(|sandbox| {
        let _registry = Registry::start(sandbox, 5000);
        image().push("127.0.0.1:5000", "big", "1");
        let project = project(sandbox);
        let line = Line::start(ENDS, (Way::Down, Trouble::Breaks), LARGE / 3);
        sandbox
            .skiff(["image", "pull", NAME])
            .run()
            .succeeds()
            .whatever();
        let asked = line.asked("range");
        let from: Vec<usize> = asked
            .iter()
            .map(|range| {
                let from = range
                    .strip_prefix("bytes=")
                    .and_then(|range| range.strip_suffix('-'));
                from.and_then(|from| from.parse().ok()).expect("a range")
            })
            .collect();
        // Each goes on behind the one before, nearly as far as that came.
        let [first, second, ..] = from.as_slice() else {
            panic!("{asked:?}");
        };
        assert!(*first > LARGE / 4 && *first < LARGE / 2, "{asked:?}");
        assert!(*second > LARGE / 2 && *second < LARGE, "{asked:?}");
        let run = project.skiff(["run", "--rm", "-T", "a"]).run().succeeds();
        run.prints(&format!("{LARGE} /noise\n")).whatever();
        project.down();
    });
}

#[test]
fn an_interrupted_push_names_nothing_and_the_next_one_gets_there() {
    isolated(|sandbox| {
        let registry = Registry::start(sandbox, 5000);
        sandbox.load(&image(), NAME);
        let compose = format!("services:\n  a: {{image: \"{NAME}\", build: .}}\n");
        let project = sandbox.project("cut", &compose);
        let line = Line::start(ENDS, (Way::Up, Trouble::Stops), LARGE / 2);
        let tags = || {
            let answer = crate::support::http_get(&registry.address, "/v2/big/tags/list");
            answer.expect("an answer").text()
        };
        for (command, signal, code) in [
            (&["image", "push", NAME][..], Signal::INT, 130),
            (&["push"], Signal::TERM, 130),
            (&["push"], Signal::KILL, 137),
        ] {
            let push = project.skiff(command).spawn();
            line.wait();
            push.signal(signal);
            let ended = push.finish().ends_with(code);
            if code == 130 {
                ended
                    .warns("Interrupted: what the registry has by now is not sent again")
                    .whatever();
            }
            line.go();
            assert!(!tags().contains("\"1\""), "{}", tags());
            assert_eq!(unfinished(sandbox), Vec::<PathBuf>::new(), "{command:?}");
        }
        line.go();
        let pushed = project.skiff(["push"]).run().succeeds();
        pushed.warns("Layer already exists").whatever();
        assert!(tags().contains("\"1\""), "{}", tags());
    });
}
