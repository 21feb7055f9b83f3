//! What is told where a build fails, and that nothing is left of it.

use rustix::process::Signal;

use super::{build, carried_out, with_dockerfile};
use crate::support::{isolated, kill_hard};

#[test]
fn a_failed_command_is_shown_with_its_last_lines_and_those_of_the_file() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "fails",
            "FROM test/busybox\nWORKDIR /w\nRUN echo before; echo wrong >&2; exit 7\nCOPY x /\n",
        );
        let failed = project.skiff(["build"]).run().ends_with(1);
        let dockerfile = project.dir.join("Dockerfile");
        let wanted = format!(
            "error: process \"/bin/sh -c echo before; echo wrong >&2; exit 7\" did not complete \
             successfully: exit code: 7\n --> {}:3:1\n  |\n1 | FROM test/busybox\n2 | WORKDIR /w\n3 | RUN echo",
            dockerfile.display()
        );
        assert!(failed.stderr.contains(&wanted), "{failed}");
        let last: Vec<&str> = failed
            .stderr
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("> "))
            .filter_map(|line| line.split_once(' '))
            .map(|(_, text)| text)
            .collect();
        assert_eq!(last, ["before", "wrong"], "{failed}");
    });
}

#[test]
fn a_missing_file_is_told_with_what_is_like_it_and_who_left_it_out() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "missing",
            "FROM test/busybox\nCOPY pakage.json /\n",
        );
        project.write("package.json", "{}");
        project.write("secret.txt", "");
        let failed = project.skiff(["build"]).run().fails();
        assert!(
            failed.stderr.contains("`/pakage.json` not found"),
            "{failed}"
        );
        assert!(
            failed.stderr.contains("did you mean `package.json`?"),
            "{failed}"
        );
        assert!(failed.stderr.contains("Dockerfile:2:"), "{failed}");
        project.write("Dockerfile", "FROM test/busybox\nCOPY secret.txt /\n");
        project.write(".dockerignore", "*.txt\n");
        let failed = project.skiff(["build"]).run().fails();
        assert!(failed.stderr.contains("it is excluded by"), "{failed}");
        assert!(failed.stderr.contains(".dockerignore"), "{failed}");
    });
}

#[test]
fn what_is_wrong_with_a_dockerfile_is_told_at_its_place() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "wrong", "FROM test/busybox\nRUNN true\nCOPY a\n");
        let failed = project.skiff(["build"]).run().fails();
        assert!(failed.stderr.contains("Dockerfile:2:1"), "{failed}");
        assert!(failed.stderr.contains("did you mean `RUN`?"), "{failed}");
        assert!(
            failed.stderr.contains("Dockerfile:3:"),
            "all at once: {failed}"
        );
        project.write("Dockerfile", "FROM no.such.host.invalid/image\n");
        let failed = project.skiff(["build"]).run().fails();
        assert!(failed.stderr.contains("Dockerfile:1:"), "{failed}");
        fs_err::remove_file(project.dir.join("Dockerfile")).unwrap();
        let failed = project.skiff(["build"]).run().fails();
        assert!(failed.stderr.contains("Dockerfile"), "{failed}");
    });
}

const SLOW: &str = "FROM test/busybox\nRUN echo done > /first\nRUN echo begun; sleep 1000\n";

#[test]
fn ctrl_c_in_a_step_ends_it_and_keeps_what_was_made() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "stopped", SLOW);
        let mut running = project.skiff(["build"]).spawn();
        running.wait_for("begun", |line| line.ends_with(" begun\n"));
        running.signal(Signal::INT);
        let ended = running.finish().ends_with(130);
        ended
            .warns("Interrupted: steps at work are ended; those that are done are kept")
            .whatever();
        project.write("Dockerfile", &SLOW.replace("sleep 1000", "true"));
        assert_eq!(carried_out(&build(&project)), ["RUN echo begun; true"]);
    });
}

#[test]
fn a_killed_build_leaves_nothing_that_runs_and_a_good_cache() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "killed", SLOW);
        let mut running = project.skiff(["build"]).spawn();
        running.wait_for("begun", |line| line.ends_with(" begun\n"));
        kill_hard(running.pid());
        running.finish().whatever();
        // The next build takes away what is left, too.
        project.write("Dockerfile", &SLOW.replace("sleep 1000", "true"));
        assert_eq!(carried_out(&build(&project)), ["RUN echo begun; true"]);
    });
}

/// The check at the end of each test looks for processes, mounts, links, rules, control
/// groups and files.
#[test]
fn an_interrupted_build_leaves_nothing_without_another_command() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "left", SLOW);
        for (command, signal, code) in [
            (&["build"][..], Signal::INT, 130),
            (&["image", "build", "."], Signal::TERM, 130),
            (&["up", "-d", "--build"], Signal::INT, 130),
            (&["build"], Signal::KILL, 137),
            (&["image", "build", "."], Signal::KILL, 137),
            (&["up", "-d", "--build"], Signal::KILL, 137),
        ] {
            // While the engine starts, as a rule, and while the command runs.
            for moment in ["RUN echo begun; sleep 1000\n", " begun\n"] {
                let mut running = project.skiff(command).spawn();
                running.wait_for(moment, |line| line.ends_with(moment));
                running.signal(signal);
                running.finish().ends_with(code).whatever();
            }
        }
    });
}

#[test]
fn steps_beside_one_that_failed_are_ended() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "beside",
            "FROM test/busybox AS slow\nRUN sleep 1000\n\
             FROM test/busybox\nRUN exit 3\nCOPY --from=slow /x /\n",
        );
        let failed = project.skiff(["build"]).run().ends_with(1);
        assert!(failed.stderr.contains(" CANCELED\n"), "{failed}");
        assert!(failed.stderr.contains("exit code: 3"), "{failed}");
    });
}

#[test]
fn a_wrong_dockerfile_or_target_is_told_where_it_is_written() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "places", "FROM test/busybox AS last\n");
        for (build, place, part) in [
            (
                "      dockerfile: Dockerfle",
                "compose.yaml:5:19",
                "there is no Dockerfile `",
            ),
            (
                "      target: lost",
                "compose.yaml:5:15",
                "there is no stage `lost`",
            ),
        ] {
            let text = format!("services:\n  web:\n    build:\n      context: .\n{build}\n");
            project.write("compose.yaml", &text);
            for check in [&["build"][..], &["build", "--check"]] {
                let failed = project.skiff(check).run().ends_with(1);
                failed.warns(place).warns(part).whatever();
            }
        }
    });
}

#[test]
fn a_context_or_dockerfile_that_is_not_there_is_told_with_what_is() {
    isolated(|sandbox| {
        let project = with_dockerfile(sandbox, "missing", "FROM test/busybox\n");
        let file = project.dir.join("Dockerfile");
        // As with Docker, it may be written small.
        fs_err::rename(&file, project.dir.join("dockerfile")).expect("a file");
        build(&project).whatever();
        fs_err::rename(
            project.dir.join("dockerfile"),
            project.dir.join("Dockerfile.dev"),
        )
        .expect("a file");
        let failed = project.skiff(["build"]).run().ends_with(1);
        failed
            .warns("there is no Dockerfile `")
            .warns("did you mean `Dockerfile.dev`?")
            .warns("compose.yaml:3:")
            .whatever();
        for (context, part) in [
            (
                "nowhere",
                "/nowhere` is no context: there is no such folder",
            ),
            (
                "Dockerfile.dev",
                "/Dockerfile.dev` is no context: it is no folder",
            ),
        ] {
            let failed = project.skiff(["image", "build", context]).run();
            failed.ends_with(1).warns(part).whatever();
        }
        project.write(
            "Dockerfile",
            "FROM test/busybox AS builder\nFROM scratch\nCOPY --from=bulder /bin/sh /\n",
        );
        let failed = project.skiff(["build"]).run().ends_with(1);
        failed.warns("did you mean the stage `builder`?").whatever();
    });
}
