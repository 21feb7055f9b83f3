//! Flags that scripts for `docker compose` use.

use crate::support::{Image, SLEEPER, Terminal, isolated};

#[test]
fn flags_of_scripts_are_taken() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("later", "services:\n  a: {image: test/busybox}\n");
        let up = project.skiff(["--verbose", "up", "-d", "--no-build"]).run();
        up.succeeds().whatever();
        project
            .skiff(["stop", "-t", "-1"])
            .run()
            .succeeds()
            .whatever();
        project.down();
    });
}

/// As `docker compose` and `docker image`.
#[test]
fn who_names_no_command_gets_the_help() {
    isolated(|sandbox| {
        let help = sandbox.skiff::<_, &str>([]).run().succeeds();
        assert!(help.stdout.contains("Usage: skiff"), "{help}");
        let help = sandbox.skiff(["image"]).run().succeeds();
        assert!(help.stderr.contains("Usage: skiff image"), "{help}");
        sandbox.skiff(["image", "sl"]).run().fails().whatever();
    });
}

#[test]
fn a_dry_run_is_refused_where_nothing_would_heed_it() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!("services:\n  a: {{image: test/busybox, {SLEEPER}}}\n");
        let project = sandbox.project("dry", &compose);
        project.up().whatever();
        let looks = || {
            let ps = project.skiff(["ps", "-a", "--format", "json"]).run();
            let start = project.sh("a", "cut -d' ' -f 22 /proc/1/stat");
            let images = project.skiff(["images"]).run();
            (
                project.container_field("a", "ID"),
                start,
                ps.stdout.lines().count(),
                images.stdout,
            )
        };
        let before = looks();
        for args in [
            ["exec", "-T", "a", "touch", "/made"].as_slice(),
            &["run", "--rm", "-T", "a", "true"],
            &["pull"],
            &["load", "-i", "nosuch.tar"],
            &["stop"],
            &["start"],
            &["restart"],
            &["kill"],
        ] {
            let refused = project.skiff([&["--dry-run"], args].concat()).run();
            let refused = refused.ends_with(1);
            assert_eq!(
                refused.stderr, "error: --dry-run is for up and down\n",
                "{refused}"
            );
            assert_eq!(looks(), before, "{args:?}");
        }
        assert_eq!(project.sh("a", "ls /made 2>/dev/null | wc -l"), "0\n");
        // It may stand behind the command, too, but not behind what is to be run.
        let stop = project.skiff(["stop", "--dry-run"]).run().ends_with(1);
        stop.warns("--dry-run is for up and down").whatever();
        let echo = ["exec", "-T", "a", "echo", "--dry-run"];
        let echo = project.skiff(echo).run().succeeds();
        echo.prints("--dry-run\n").whatever();
        for args in [["--dry-run", "down"], ["down", "--dry-run"]] {
            let down = project.skiff(args).run().succeeds();
            assert!(down.stdout.contains("dry-a-1"), "{down}");
        }
        assert_eq!(looks(), before);
        project.down();
    });
}

#[test]
fn a_menu_is_for_terminals() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = "services:\n  a: {image: test/busybox, command: [echo, shown]}\n";
        let project = sandbox.project("menu", compose);
        for flag in ["--menu", "--menu=true", "--menu=false"] {
            let up = project.skiff(["up", flag]).run().succeeds();
            assert!(!up.stderr.contains("w watch"), "{up}");
            up.says("a-1  | shown\n").whatever();
        }
        // Asked for, it is there without anything to watch, which a key then tells.
        project.write(
            "compose.yaml",
            &format!("services:\n  a: {{image: test/busybox, {SLEEPER}}}\n"),
        );
        let up = project.skiff(["up", "--menu"]).env("TERM", "xterm");
        let mut terminal = Terminal::start_sized(&up, 30, 100);
        terminal.wait_text("w watch   q stop");
        terminal.types("w");
        terminal.wait_text("none of the selected services is configured for watch");
        terminal.types("q");
        let (code, rows) = terminal.finish_rows();
        assert_eq!(code, 130, "{rows:#?}");
        project.down();
    });
}

#[test]
fn down_removes_the_images_that_nothing_else_needs() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        sandbox.load(
            &Image::busybox().file("own", 0o644, "1"),
            "rmi-built:latest",
        );
        let compose = format!(
            "services:\n  a: {{image: test/busybox, {SLEEPER}}}\n  built: {{build: ., {SLEEPER}}}\n"
        );
        let other = sandbox.project(
            "other",
            &format!("services:\n  a: {{image: test/busybox, {SLEEPER}}}\n"),
        );
        let project = sandbox.project("rmi", &compose);
        let layers = || {
            let folder = sandbox.data().join("images/layers");
            fs_err::read_dir(folder).expect("the layers").count()
        };
        other.up().whatever();
        project.up().whatever();
        let before = layers();
        let down = project.skiff(["down", "--rmi", "local"]).run().succeeds();
        down.warns("rmi-built Removed").whatever();
        assert_eq!(layers(), before - 1);
        project
            .skiff(["up", "-d", "built"])
            .run()
            .fails()
            .whatever();
        project.skiff(["up", "-d", "a"]).run().succeeds().whatever();
        let down = project.skiff(["down", "--rmi", "all"]).run().succeeds();
        down.warns("test/busybox Resource is still in use")
            .whatever();
        other.sh("a", "true");
        let down = other
            .skiff(["down", "--rmi", "all", "-t", "2"])
            .run()
            .succeeds();
        down.warns("test/busybox Removed").whatever();
        assert_eq!(layers(), before - 2);
        project.down();
    });
}

#[test]
fn ps_and_ls_choose_by_filters() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let both = format!(
            "services:\n  a: {{image: test/busybox, {SLEEPER}}}\n  b: {{image: test/busybox, command: \"true\"}}\n"
        );
        let project = sandbox.project("filters", &both);
        project.up().whatever();
        project
            .skiff(["logs", "-f", "b"])
            .run()
            .succeeds()
            .whatever();
        let services = |args: &[&str]| {
            let all = [&["ps", "--services"], args].concat();
            project.skiff(all).run().succeeds().stdout
        };
        assert_eq!(services(&["--filter", "status=exited"]), "b\n");
        assert_eq!(services(&["--status", "running"]), "a\n");
        project
            .skiff(["ps", "--filter", "color=red"])
            .run()
            .fails()
            .whatever();
        project.write(
            "compose.yaml",
            &format!("services:\n  b: {{image: test/busybox, {SLEEPER}}}\n"),
        );
        assert_eq!(services(&[]), "a\n");
        assert_eq!(services(&["--orphans=false"]), "");
        let names = |filter: &str| {
            let ls = sandbox.skiff(["ls", "-q", "--filter", filter]).run();
            ls.succeeds().stdout
        };
        assert_eq!(names("name=^filt"), "filters\n");
        assert_eq!(names("name=^ilt"), "");
        project.down();
    });
}

#[test]
fn config_prints_lists() {
    isolated(|sandbox| {
        let compose = "name: lists\nservices:\n  b: {image: \"x:${TAG:-1}\", volumes: [\"vol:/v\"]}\n  a: {build: ., networks: [n]}\n  \
                       p: {image: y, profiles: [dbg]}\nvolumes: {vol: {}}\nnetworks: {n: {}}\n";
        let project = sandbox.project("lists", compose);
        let config = |args: &[&str]| {
            let config = project.skiff([&["config"], args].concat()).env("TAG", "2");
            config.run().succeeds().stdout
        };
        let sorted = |text: String| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(config(&["--images"])), ["lists-a", "x:2"]);
        assert_eq!(config(&["--volumes"]), "vol\n");
        assert_eq!(sorted(config(&["--networks"])), ["default", "n"]);
        assert_eq!(config(&["--profiles"]), "dbg\n");
        assert!(config(&["--environment"]).contains("\nTAG=2\n"));
        let hashes = config(&["--hash", "*"]);
        let lines: Vec<Vec<&str>> = hashes
            .lines()
            .map(|line| line.split(' ').collect())
            .collect();
        assert_eq!(
            (lines[0][0], lines[0][1].len(), lines[1][0]),
            ("a", 64, "b")
        );
        assert_eq!(config(&["--hash", "b"]), format!("b {}\n", lines[1][1]));
        assert!(!config(&["--no-normalize"]).contains("default"));
        project.write("a.env", "FROM_FILE=1\n");
        let loose = "services:\n  a: {image: x, env_file: a.env, networks: [nosuch], volumes: [\"./d:/d\"]}\n";
        project.write("compose.yaml", loose);
        project
            .skiff(["config"])
            .run()
            .fails()
            .warns("nosuch")
            .whatever();
        let shown = config(&["--no-consistency", "--no-path-resolution"]);
        assert!(shown.contains("source: ./d\n"), "{shown}");
        assert!(shown.contains("FROM_FILE: \"1\"\n"), "{shown}");
    });
}

#[test]
fn ps_prints_commands_and_tables_as_docker_does() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!("services:\n  a: {{image: test/busybox, {SLEEPER}}}\n");
        let project = sandbox.project("looks", &compose);
        project.up().whatever();
        project
            .skiff(["ps"])
            .run()
            .succeeds()
            .says("\"sh -c 'trap 'exit 0…\"")
            .whatever();
        project
            .skiff(["ps", "--format", "table {{.Name}}\\t{{.State}}"])
            .run()
            .succeeds()
            .prints("NAME        STATE\nlooks-a-1   running\n")
            .whatever();
        project.down();
    });
}
