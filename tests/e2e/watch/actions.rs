//! What a change leads to beside copying: builds, restarts, commands, and a project
//! that is another one.

use fs_err as fs;
use rustix::process::Signal;

use super::{SYNC, end, path, until, watch, with_rules};
use crate::support::{Project, SLEEPER, Sandbox, isolated};

/// A service that is built from a folder with `Dockerfile` and `page`, and this rule.
fn built<'s>(sandbox: &'s Sandbox, name: &str, rules: &str) -> Project<'s> {
    let project = with_rules(sandbox, name, rules);
    let compose = fs::read_to_string(path(&project, "compose.yaml")).expect("the file");
    let compose = compose.replace("image: test/busybox", "build: .");
    project.write("compose.yaml", &compose);
    project.write("Dockerfile", "FROM test/busybox\nCOPY page src/ /app/\n");
    project.write("page", "one");
    project
}

const REBUILD: &str = "        - {path: ./page, action: rebuild}\n";

#[test]
fn a_rebuild_makes_containers_anew_and_a_failed_one_leaves_them() {
    isolated(|sandbox| {
        let rules = format!("{REBUILD}        - {{path: ./Dockerfile, action: rebuild}}\n{SYNC}");
        let project = built(sandbox, "rebuild", &rules);
        let mut watch = watch(&project, &[]);
        let first = project.container_field("web", "ID");
        // What was copied and is in no image yet survives the rebuild.
        project.write("src/carried", "carried");
        watch.wait_line("web: src/carried");
        project.write("page", "two");
        watch.wait_line("web: rebuilding");
        watch.wait_line("web: rebuilt and running");
        until(
            &mut watch,
            &project,
            "cat /app/page /app/carried",
            "twocarried",
        );
        let second = project.container_field("web", "ID");
        assert_ne!(first, second);

        project.write(
            "Dockerfile",
            "FROM test/busybox\nRUN echo this is why; exit 7\n",
        );
        watch.wait_line("web: the build failed: what runs stays as it is");
        watch.wait_line("exit code: 7");
        assert_eq!(project.container_field("web", "ID"), second);
        assert_eq!(project.container_field("web", "State"), "running");
        // And the next one is as good as any.
        project.write("page", "three");
        project.write("Dockerfile", "FROM test/busybox\nCOPY page /app/\n");
        watch.wait_line("web: rebuilt and running");
        until(
            &mut watch,
            &project,
            "cat /app/page /app/carried",
            "threecarried",
        );
        end(watch);
        project.down();
    });
}

#[test]
fn changes_while_a_build_runs_are_not_lost() {
    isolated(|sandbox| {
        let project = built(sandbox, "during", &format!("{REBUILD}{SYNC}"));
        project.write(
            "Dockerfile",
            "FROM test/busybox\nCOPY page /app/\nRUN --mount=type=bind,from=gate,target=/gate \
             if [ -e /gate/wait ]; then echo waiting; while [ ! -e /gate/go ]; do sleep 0.05; done; fi\n",
        );
        let compose = fs::read_to_string(path(&project, "compose.yaml")).expect("the file");
        let compose = compose.replace(
            "build: .",
            "build: {context: ., additional_contexts: {gate: ../gate}}",
        );
        project.write("compose.yaml", &compose);
        let gate = project.dir.parent().expect("a folder").join("gate");
        fs::create_dir(&gate).expect("a folder");
        let mut watch = watch(&project, &[]);
        fs::write(gate.join("wait"), "").expect("a file");
        project.write("page", "two");
        watch.wait_line("waiting");
        // One that is copied goes into the old container at once, one that is built waits.
        project.write("src/meanwhile", "m");
        watch.wait_line("web: src/meanwhile");
        assert_eq!(project.sh("web", "cat /app/page /app/meanwhile"), "onem");
        project.write("page", "three");
        fs::write(gate.join("go"), "").expect("a file");
        watch.wait_line("web: rebuilt and running");
        watch.wait_line("web: rebuilding");
        watch.wait_line("web: rebuilt and running");
        until(
            &mut watch,
            &project,
            "cat /app/page /app/meanwhile",
            "threem",
        );
        end(watch);
        fs::remove_dir_all(&gate).expect("a folder");
        project.down();
    });
}

#[test]
fn a_rebuild_can_be_quiet_and_leaves_no_image_without_a_name() {
    isolated(|sandbox| {
        let project = built(sandbox, "quiet", REBUILD);
        let dockerfile = "FROM test/busybox\nRUN echo a step\nCOPY page /app/\n";
        project.write("Dockerfile", dockerfile);
        let mut watch = watch(&project, &["--quiet", "--prune=false"]);
        let images = || {
            let list = project.skiff(["image", "ls", "-a", "-q"]).run().succeeds();
            list.stdout.lines().count()
        };
        let before = images();
        project.write("page", "two");
        watch.wait_line("web: rebuilt and running");
        assert_eq!(images(), before);
        let output = end(watch);
        assert!(output.contains("--prune=false has no effect"), "{output}");
        assert!(!output.contains("a step"), "{output}");
        assert!(!output.contains("COPY page"), "{output}");
        project.down();
    });
}

#[test]
fn a_build_that_is_interrupted_has_not_failed() {
    isolated(|sandbox| {
        let project = built(sandbox, "given-up", REBUILD);
        let dockerfile =
            "FROM test/busybox\nCOPY page /app/\nRUN grep -q one /app/page || sleep 1000\n";
        project.write("Dockerfile", dockerfile);
        let mut watch = watch(&project, &[]);
        let first = project.container_field("web", "ID");
        project.write("page", "two");
        watch.wait_line("RUN grep");
        let output = end(watch);
        assert!(!output.contains("the build failed"), "{output}");
        assert_eq!(project.container_field("web", "ID"), first);
        project.down();
    });
}

#[test]
fn restarts_and_commands() {
    isolated(|sandbox| {
        let rules = "        - {path: ./conf, action: restart}
        - {path: ./both, action: sync+restart, target: /both}
        - {path: ./run, action: sync+exec, target: /run/it, exec: {command: ['sh', '-c', 'echo ran $$WHAT as $$(id -u) in $$(pwd); cat /run/it/x'], user: '42', working_dir: /tmp, environment: {WHAT: it}}}
        - {path: ./bad, action: sync+exec, target: /bad, exec: {command: ['sh', '-c', 'echo no good; exit 3']}}
";
        let project = with_rules(sandbox, "act", rules);
        let compose = fs::read_to_string(path(&project, "compose.yaml")).expect("the file");
        let compose = compose.replace(
            "[sleep, '1000']",
            "[sh, -c, 'mkdir -p /tmp; echo >>/tmp/starts; exec sleep 1000']",
        );
        project.write("compose.yaml", &compose);
        for file in ["conf/x", "both/x", "run/x", "bad/x"] {
            project.write(file, "old");
        }
        let mut watch = watch(&project, &[]);
        let starts = || project.sh("web", "wc -l </tmp/starts").trim().to_owned();
        assert_eq!(starts(), "1");
        project.write("conf/x", "new");
        watch.wait_line("web: restarted");
        assert_eq!(starts(), "2");
        assert_eq!(project.sh("web", "ls /"), project.sh("web", "ls /"));
        project.write("both/x", "new");
        watch.wait_line("web: both/x to /both/x");
        watch.wait_line("web: restarted");
        assert_eq!(
            (starts().as_str(), project.sh("web", "cat /both/x").as_str()),
            ("3", "new")
        );
        project.write("run/x", "content");
        watch.wait_line("web: run/x to /run/it/x");
        watch.wait_line("web: ran it as 42 in /tmp");
        watch.wait_line("web: content");
        watch.wait_line("web: ran sh -c");
        project.write("bad/x", "new");
        watch.wait_line("web: no good");
        watch.wait_line("error: the command of service `web` ended with code 3");
        assert_eq!(starts(), "3");
        end(watch);
        project.down();
    });
}

#[test]
fn a_command_is_seen_as_it_writes_and_its_child_holds_nobody() {
    isolated(|sandbox| {
        let rules = "        - {path: ./src, action: sync+exec, target: /app, exec: {command: ['sh', '-c', \
                     'echo first; while [ ! -e /app/go ]; do sleep 0.05; done; sleep 1000 & echo last']}}\n";
        let project = with_rules(sandbox, "child", rules);
        let mut watch = watch(&project, &[]);
        project.write("src/x", "1");
        watch.wait_line("web: first");
        // It goes into the container while the command runs.
        project.write("src/go", "1");
        watch.wait_line("web: last");
        watch.wait_line("web: ran sh");
        project.write("src/x", "2");
        watch.wait_line("web: first");
        watch.wait_line("web: ran sh");
        end(watch);
        project.down();
    });
}

#[test]
fn what_changes_while_an_image_is_built_counts_and_flags_stay() {
    isolated(|sandbox| {
        let project = built(sandbox, "config", REBUILD);
        project.write(
            "Dockerfile",
            "FROM test/busybox\nCOPY page /app/\nRUN --mount=type=bind,from=gate,target=/gate \
             if [ -e /gate/wait ]; then echo waiting; while [ ! -e /gate/go ]; do sleep 0.05; done; fi\n",
        );
        let gate = project.dir.parent().expect("a folder").join("gate");
        fs::create_dir(&gate).expect("a folder");
        let compose = fs::read_to_string(path(&project, "compose.yaml")).expect("the file");
        let compose = compose.replace(
            "build: .",
            "build: {context: ., additional_contexts: {gate: ../gate}}",
        );
        project.write("compose.yaml", &compose);
        let mut up = project.skiff(["up", "--watch", "--scale", "web=2"]).spawn();
        up.wait_line("watching ");
        fs::write(gate.join("wait"), "").expect("a file");
        project.write("page", "two");
        up.wait_line("waiting");
        let changed = compose.replace(
            "    init: true\n",
            "    init: true\n    environment: {A: b}\n",
        );
        project.write("compose.yaml", &changed);
        up.wait_line("environment (none) ->");
        up.wait_line("done");
        fs::write(gate.join("go"), "").expect("a file");
        up.wait_line("web: rebuilt and running");
        for index in ["1", "2"] {
            let inside = [
                "exec",
                "-T",
                "--index",
                index,
                "web",
                "sh",
                "-c",
                "echo $A; cat /app/page",
            ];
            let inside = project.skiff(inside).run().succeeds();
            assert_eq!(inside.stdout, "b\ntwo");
        }
        up.signal(Signal::INT);
        up.finish().ends_with(130).whatever();
        fs::remove_dir_all(&gate).expect("a folder");
        project.down();
    });
}

#[test]
fn files_that_are_newer_than_the_image_come_at_the_start() {
    isolated(|sandbox| {
        let rules = "        - {path: ./src, action: sync, target: /app, initial_sync: true}\n";
        let project = built(sandbox, "initial", rules);
        project.write("src/built", "built");
        project.skiff(["up", "-d"]).run().succeeds().whatever();
        project.write("src/later", "later");
        let mut watch = watch(&project, &["--no-up"]);
        watch.wait_line("web: src/later to /app/later");
        assert_eq!(project.sh("web", "cat /app/later"), "later");
        end(watch);
        project.down();
    });
}

#[test]
fn a_changed_compose_file_is_applied_and_a_wrong_one_is_told() {
    isolated(|sandbox| {
        let project = with_rules(sandbox, "reload", SYNC);
        let compose = fs::read_to_string(path(&project, "compose.yaml")).expect("the file");
        let mut watch = watch(&project, &[]);
        project.write("src/carried", "carried");
        watch.wait_line("web: src/carried");
        let with =
            |line: &str| compose.replace("    init: true\n", &format!("    init: true\n{line}"));
        let first = project.container_field("web", "ID");
        project.write("compose.yaml", &with("    enviroment: {A: b}\n"));
        watch.wait_line("did you mean `environment`");
        watch.wait_line("the project's files have errors: what runs stays as it is");
        let ids = sandbox
            .skiff(["-p", "reload", "ps", "--format", "json"])
            .run()
            .succeeds();
        assert_eq!(ids.json_lines()[0]["ID"], first.as_str());
        project.write("compose.yaml", &with("    environment: {A: b}\n"));
        watch.wait_line("the project's files have changed:");
        watch.wait_line("environment (none) ->");
        watch.wait_line("web: what was synced before");
        assert_eq!(project.sh("web", "echo $A; cat /app/carried"), "b\ncarried");
        // A rule that is new counts at once.
        let more = format!(
            "{}        - {{path: ./more, action: sync, target: /more}}\n",
            with("    environment: {A: b}\n")
        );
        project.write("compose.yaml", &more);
        watch.wait_line("nothing is there yet at");
        watch.wait_line("nothing to do");
        watch.wait_line("watching ");
        project.write("more/x", "y");
        until(&mut watch, &project, "cat /more/x", "y");
        // Another target: what was copied goes there.
        project.write(
            "compose.yaml",
            &more
                .replace("target: /app}", "target: /elsewhere}")
                .replace("A: b", "A: c"),
        );
        watch.wait_line("web recreated: environment.A");
        watch.wait_line("web: what was synced before");
        let found = project.sh("web", "cat /elsewhere/carried; ls -d /app || true");
        assert_eq!(found, "carried");
        // One that goes is left alone, and told.
        let beside = format!("services:\n  gone: {{image: test/busybox, {SLEEPER}}}\n");
        let two = more.replacen("services:\n", &beside, 1);
        project.write("compose.yaml", &two);
        watch.wait_line("reload-gone-1");
        watch.wait_line("done");
        project.write("compose.yaml", &more);
        watch.wait_line("gone: is no service any more: its containers stay until");
        assert_eq!(project.container_field("gone", "State"), "running");
        end(watch);
        project.down();
    });
}

#[test]
fn what_cannot_be_watched_is_refused_by_its_place() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let plain = sandbox.project("plain", "services:\n  web: {image: test/busybox}\n");
        for arguments in [&["watch"][..], &["up", "--watch"]] {
            let refused = plain.skiff(arguments).run().ends_with(1);
            refused
                .warns("none of the selected services is configured for watch")
                .whatever();
        }
        let project = with_rules(sandbox, "wrong", REBUILD);
        let refused = project.skiff(["watch"]).run().ends_with(1);
        refused
            .warns("compose.yaml:8:")
            .warns("`rebuild` needs a `build` section in service `web`")
            .whatever();
        let project = built(sandbox, "nobuild", REBUILD);
        let refused = project
            .skiff(["up", "--watch", "--no-build"])
            .run()
            .ends_with(1);
        refused
            .warns("--no-build is incompatible with watch action rebuild in service web")
            .whatever();
        let refused = project.skiff(["up", "--watch", "-d"]).run();
        refused.fails().warns("cannot be used with").whatever();
    });
}

#[test]
fn up_with_watch_outlives_a_crash_and_stops_all_at_its_end() {
    isolated(|sandbox| {
        let rules = "        - {path: ./src, action: sync+restart, target: /app}\n";
        let project = with_rules(sandbox, "crash", rules);
        let compose = fs::read_to_string(path(&project, "compose.yaml")).expect("the file");
        let compose = compose.replace("[sleep, '1000']", "[sh, /app/main.sh]");
        let compose = compose.replace("image: test/busybox", "build: .");
        project.write("compose.yaml", &compose);
        project.write("Dockerfile", "FROM test/busybox\nCOPY src /app\n");
        project.write("src/main.sh", "echo version 1; exec sleep 1000\n");
        let mut up = project.skiff(["up", "--watch"]).spawn();
        up.wait_line("watching ");
        project.write("src/main.sh", "echo a mistake; exit 5\n");
        up.wait_line("web-1  | a mistake");
        up.wait_line("web-1 exited with code 5");
        project.write("src/main.sh", "echo version 2; exec sleep 1000\n");
        up.wait_line("web-1  | version 2");
        up.signal(Signal::INT);
        up.finish().ends_with(130).whatever();
        assert_eq!(project.container_field("web", "State"), "exited");
        project.down();
    });
}
