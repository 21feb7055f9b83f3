//! `COMPOSE_*` variables and the flags they stand for, where a user sees what
//! they do. What `config` shows of them is in `tests/config_as_docker.rs`.

use crate::support::{Output, Project, SLEEPER, Terminal, isolated};

fn services(names: &[&str]) -> String {
    let lines = names
        .iter()
        .map(|name| format!("  {name}: {{image: test/busybox, {SLEEPER}}}\n"));
    format!("services:\n{}", lines.collect::<String>())
}

/// The names of all containers, in order.
fn containers(project: &Project<'_>) -> Vec<String> {
    let ps = project
        .skiff(["ps", "-a", "--format", "{{.Name}}"])
        .run()
        .succeeds();
    let mut names: Vec<String> = ps.stdout.lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn names_are_those_of_compose_1_where_asked() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = "services:\n  a: {image: test/busybox, command: [echo, shown], scale: 2}\n";
        let project = sandbox.project("compat", compose);
        let is_named = |up: Output| {
            up.succeeds().whatever();
            assert_eq!(containers(&project), ["compat_a_1", "compat_a_2"]);
            project.down();
        };
        is_named(project.skiff(["--compatibility", "up", "-d"]).run());
        is_named(
            project
                .skiff(["up", "-d"])
                .env("COMPOSE_COMPATIBILITY", "true")
                .run(),
        );
        project.write(".env", "COMPOSE_COMPATIBILITY=1\n");
        is_named(project.skiff(["up", "-d"]).run());
        let up = project.skiff(["up"]).run().succeeds();
        up.says("a_1  | shown\n").whatever();
        // A container that is there keeps its name.
        let again = project
            .skiff(["up", "-d"])
            .env("COMPOSE_COMPATIBILITY", "no")
            .run();
        again.succeeds().whatever();
        assert_eq!(containers(&project), ["compat_a_1", "compat_a_2"]);
        let run = project.skiff(["run", "-d", "a", "sleep", "1000"]).run();
        run.succeeds().whatever();
        let names = containers(&project);
        assert!(
            names.iter().any(|name| name.starts_with("compat_a_run_")),
            "{names:?}"
        );
        project.down();
        project.write(".env", "");
        project.skiff(["up", "-d"]).run().succeeds().whatever();
        assert_eq!(containers(&project), ["compat-a-1", "compat-a-2"]);
        project.down();
    });
}

/// How many containers were being started or stopped at once, at most.
fn at_once(output: &Output, begun: &str, ended: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for line in output
        .stderr
        .lines()
        .filter(|line| line.contains("Container"))
    {
        if line.ends_with(begun) {
            open += 1;
            most = most.max(open);
        } else if line.ends_with(ended) {
            open -= 1;
        }
    }
    most
}

#[test]
fn no_more_operations_run_at_once_than_allowed() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("limit", &services(&["a", "b", "c", "d", "e"]));
        let both = |args: &[&str], limit: Option<&str>| {
            let run = |command: &[&str]| {
                let mut invocation = project.skiff([args, command].concat());
                if let Some(limit) = limit {
                    invocation = invocation.env("COMPOSE_PARALLEL_LIMIT", limit);
                }
                invocation.run().succeeds()
            };
            let up = run(&["up", "-d"]);
            let down = run(&["down"]);
            (
                at_once(&up, "Starting", "Started"),
                at_once(&down, "Stopping", "Stopped"),
            )
        };
        assert_eq!(both(&["--parallel", "1"], None), (1, 1));
        assert_eq!(both(&[], Some("1")), (1, 1));
        assert_eq!(both(&["--parallel", "2"], Some("1")), (2, 2));
        // Without a limit all are stopped together.
        assert_eq!(both(&["--parallel", "-1"], Some("1")).1, 5);
        assert_eq!(both(&[], None).1, 5);
        project.write(".env", "COMPOSE_PARALLEL_LIMIT=1\n");
        assert_eq!(both(&[], None), (1, 1));
    });
}

#[test]
fn progress_goes_where_and_as_it_is_asked_for() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("show", &services(&["a"]));
        let up = |name: &str, value: &str| {
            let up = project.skiff(["up", "-d", "--force-recreate"]);
            up.env(name, value).run().succeeds()
        };
        let told = "Container show-a-1  Started";
        let out = up("COMPOSE_STATUS_STDOUT", "1");
        assert!(
            out.stdout.contains(told) && !out.stderr.contains("Container"),
            "{out}"
        );
        let err = up("COMPOSE_STATUS_STDOUT", "false");
        assert!(err.stderr.contains(told) && err.stdout.is_empty(), "{err}");
        let quiet = up("COMPOSE_PROGRESS", "quiet");
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
        let json = up("COMPOSE_PROGRESS", "json");
        for line in json.stderr.lines() {
            let object: serde_json::Value = serde_json::from_str(line).expect(line);
            assert!(object.is_object(), "{line}");
        }
        json.warns(r#"{"id":"Container show-a-1","status":"Started"}"#)
            .whatever();
        // Redrawn lines where they are asked for by name, though it is a pipe.
        for (name, value) in [("COMPOSE_PROGRESS", "tty"), ("COMPOSE_ANSI", "always")] {
            let drawn = up(name, value);
            assert!(
                drawn.stderr.contains("show-a-1") && drawn.stderr.contains('\u{1b}'),
                "{drawn}"
            );
        }
        // `.env` says whether colours may be used, not where progress goes.
        project.write(
            ".env",
            "COMPOSE_PROGRESS=quiet\nCOMPOSE_STATUS_STDOUT=1\nCOMPOSE_ANSI=always\n",
        );
        let dotenv = up("UNUSED", "1");
        assert!(
            dotenv.stdout.is_empty() && dotenv.stderr.contains('\u{1b}'),
            "{dotenv}"
        );
        project.write(".env", "");
        let error = project
            .skiff(["--progress", "json", "up", "-d", "nosuch"])
            .run()
            .ends_with(1);
        let last = error.stderr.lines().last().expect("a line");
        let object: serde_json::Value = serde_json::from_str(last).expect("JSON");
        assert_eq!(object["severity"], "error", "{error}");
        assert!(
            object["message"]
                .as_str()
                .is_some_and(|text| text.contains("nosuch")),
            "{error}"
        );
        // On a terminal, the other way round.
        let plain = project
            .skiff(["up", "-d", "--force-recreate"])
            .env("TERM", "xterm")
            .env("COMPOSE_ANSI", "never");
        let (code, rows) = Terminal::start_sized(&plain, 30, 80).finish_rows();
        assert_eq!(code, 0, "{rows:#?}");
        assert!(
            rows.iter()
                .any(|row| row == " Container show-a-1  Starting"),
            "{rows:#?}"
        );
        project.down();
    });
}

#[test]
fn orphans_are_removed_or_ignored_as_variables_say() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("orphans", &services(&["a", "b"]));
        project.up().whatever();
        project.write("compose.yaml", &services(&["a"]));
        project
            .skiff(["up", "-d"])
            .run()
            .succeeds()
            .warns("orphans-b-1")
            .whatever();
        let ignore = project
            .skiff(["up", "-d"])
            .env("COMPOSE_IGNORE_ORPHANS", "true")
            .run();
        let ignore = ignore.succeeds();
        assert!(!ignore.stderr.contains("orphans-b-1"), "{ignore}");
        project.write(".env", "COMPOSE_IGNORE_ORPHANS=1\n");
        let ignore = project.skiff(["up", "-d"]).run().succeeds();
        assert!(!ignore.stderr.contains("orphans-b-1"), "{ignore}");
        let both = project
            .skiff(["up", "-d", "--remove-orphans"])
            .run()
            .ends_with(1);
        both.warns("cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans")
            .whatever();
        project.write(".env", "COMPOSE_REMOVE_ORPHANS=1\n");
        let kept = project.skiff(["up", "-d", "--remove-orphans=false"]).run();
        kept.succeeds().whatever();
        assert_eq!(containers(&project), ["orphans-a-1", "orphans-b-1"]);
        // `down` asks the shell alone.
        project.skiff(["down"]).run().succeeds().whatever();
        assert_eq!(containers(&project), ["orphans-b-1"]);
        let down = project
            .skiff(["down"])
            .env("COMPOSE_REMOVE_ORPHANS", "true")
            .run();
        down.succeeds().whatever();
        assert_eq!(containers(&project), Vec::<String>::new());
        project.write("compose.yaml", &services(&["a", "b"]));
        project.up().whatever();
        project.write("compose.yaml", &services(&["a"]));
        project.skiff(["up", "-d"]).run().succeeds().whatever();
        assert_eq!(containers(&project), ["orphans-a-1"]);
        project.down();
    });
}

fn count(output: &Output, part: &str) -> usize {
    output.stderr.matches(part).count()
}

#[test]
fn what_means_nothing_is_told_once() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("strange", &services(&["a"]));
        project.write(".env", "COMPOSE_PROFILE=x\nCOMPOSE_USED=y\nOTHER=1\n");
        let compose = services(&["a", "b"]) + "x-used: $COMPOSE_USED\n";
        project.write("compose.yaml", &compose);
        for command in [
            &["config", "-q"][..],
            &["config", "--no-interpolate"],
            &["up", "-d"],
            &["ps"],
            &["ls"],
            &["version"],
            &["down"],
        ] {
            let strange = project
                .skiff(command)
                .env("COMPOSE_PROJECT_NAMES", "x")
                .env("DOCKER_HOST", "tcp://elsewhere:2375");
            let strange = strange.run().succeeds();
            assert_eq!(
                count(&strange, "`COMPOSE_PROFILE` is no variable of Compose"),
                1,
                "{strange}"
            );
            assert_eq!(
                count(&strange, "did you mean `COMPOSE_PROFILES`?"),
                1,
                "{strange}"
            );
            assert_eq!(
                count(&strange, "did you mean `COMPOSE_PROJECT_NAME`?"),
                1,
                "{strange}"
            );
            assert_eq!(count(&strange, "DOCKER_HOST"), 1, "{strange}");
            let is_loaded = !["ls", "version"].contains(&command[0]);
            assert!(
                !is_loaded || count(&strange, "COMPOSE_USED") == 0,
                "{strange}"
            );
        }
        let bake = project
            .skiff(["version"])
            .env("COMPOSE_BAKE", "1")
            .run()
            .succeeds();
        bake.warns("`COMPOSE_BAKE` has no effect").whatever();
    });
}

/// The diagnostics of a command that prints them as data, by what each says of its place.
fn placed(output: &Output) -> Vec<String> {
    let tell = |line: &str| {
        let one: serde_json::Value = serde_json::from_str(line).expect(line);
        let text = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
        let number = |key: &str| {
            one[key]
                .as_u64()
                .map_or_else(|| "-".to_owned(), |n| n.to_string())
        };
        let file = text("file");
        let file = file
            .rsplit_once("/placed/")
            .map_or(&*file, |(_, rest)| rest);
        let [line, column, end] = ["line", "column", "end"].map(number);
        let set = one["chain"][0]["what"].as_str().unwrap_or("-");
        format!(
            "{} {file}:{line}:{column}-{end} {} | {} | {set}",
            text("severity"),
            text("message"),
            text("suggestion"),
        )
    };
    output.stderr.lines().map(tell).collect()
}

#[test]
fn what_is_wrong_with_variables_of_compose_has_its_place() {
    isolated(|sandbox| {
        let project = sandbox.project("placed", &services(&["a"]));
        let as_data = || project.skiff(["config", "--format", "json"]);
        project.write(
            ".env",
            "export COMPOSE_PROFLES=dev\nCOMPOSE_ANSI=nevr\nCOMPOSE_IGNORE_ORPHANS = ture # no\n\
             COMPOSE_PROGRESS=quiet\n",
        );
        let text = project.skiff(["config", "-q"]).run().succeeds();
        let file = project.dir.join(".env").display().to_string();
        let told = text.stderr.replace(&file, ".env");
        let expected = "\
warning: COMPOSE_ANSI \"nevr\" has no meaning and counts as `never`
 --> .env:2:14
  |
2 | COMPOSE_ANSI=nevr
  |              ^^^^
  = expected: `auto`, `never` or `always`
  = help: did you mean `never`?

warning: COMPOSE_IGNORE_ORPHANS \"ture\" has no meaning and counts as `false`
 --> .env:3:26
  |
3 | COMPOSE_IGNORE_ORPHANS = ture # no
  |                          ^^^^
  = expected: `true` or `false`
  = help: did you mean `true`?
warning: `COMPOSE_PROFLES` is no variable of Compose, it has no effect
 --> .env:1:8
  |
1 | export COMPOSE_PROFLES=dev
  |        ^^^^^^^^^^^^^^^
  = expected: a variable of Compose, or a name that does not begin with `COMPOSE_`
  = help: did you mean `COMPOSE_PROFILES`?

warning: `COMPOSE_PROGRESS` has no effect in a file of variables
 --> .env:4:1
  |
4 | COMPOSE_PROGRESS=quiet
  | ^^^^^^^^^^^^^^^^
  = expected: `COMPOSE_PROGRESS` in the environment
  = help: set it there, and remove it here
";
        assert_eq!(told, expected);
        assert_eq!(
            placed(&as_data().run().succeeds()),
            [
                "warning .env:2:14-18 COMPOSE_ANSI \"nevr\" has no meaning and counts as `never` \
                 | did you mean `never`? | -",
                "warning .env:3:26-30 COMPOSE_IGNORE_ORPHANS \"ture\" has no meaning and counts as \
                 `false` | did you mean `true`? | -",
                "warning .env:1:8-23 `COMPOSE_PROFLES` is no variable of Compose, it has no effect \
                 | did you mean `COMPOSE_PROFILES`? | -",
                "warning .env:4:1-17 `COMPOSE_PROGRESS` has no effect in a file of variables \
                 | set it there, and remove it here | -",
            ]
        );
        // The shell's have no place, and say so.
        project.write(".env", "COMPOSE_ANSI=always\n");
        let shell = as_data().env("COMPOSE_ANSI", "nevr");
        let shell = shell.env("COMPOSE_PROFLES", "dev").run().succeeds();
        assert_eq!(
            placed(&shell),
            [
                "warning -:-:--- COMPOSE_ANSI \"nevr\" has no meaning and counts as `never` \
                 | did you mean `never`? | `COMPOSE_ANSI` is set in the environment",
                "warning -:-:--- `COMPOSE_PROFLES` is no variable of Compose, it has no effect \
                 | did you mean `COMPOSE_PROFILES`? | `COMPOSE_PROFLES` is set in the environment",
            ]
        );
    });
}

#[test]
fn errors_of_variables_of_compose_have_their_places_before_there_is_a_project() {
    isolated(|sandbox| {
        let project = sandbox.project("placed", &services(&["a"]));
        let as_data = || project.skiff(["config", "--format", "json"]);
        for (line, error) in [
            (
                "COMPOSE_PARALLEL_LIMIT='many'",
                "error .env:1:24-30 COMPOSE_PARALLEL_LIMIT must be an integer (found: \"many\") \
                 | - | -",
            ),
            (
                "COMPOSE_DISABLE_ENV_FILE=ture",
                "error .env:1:26-30 `COMPOSE_DISABLE_ENV_FILE` is `ture`, that is not a boolean \
                 | did you mean `true`? | -",
            ),
            (
                "COMPOSE_PROJECT_NAME=No\nCOMPOSE_DISABLE_ENV_FILE=1",
                "error .env:1:22-24 invalid project name \"No\" (COMPOSE_PROJECT_NAME): must consist \
                 only of lowercase alphanumeric characters, hyphens, and underscores as well as \
                 start with a letter or number | try `no` | -",
            ),
        ] {
            project.write(".env", &format!("{line}\n"));
            assert_eq!(placed(&as_data().run().ends_with(1)), [error]);
        }
        let progress = as_data().env("COMPOSE_PROGRESS", "plian");
        project.write(".env", "");
        assert_eq!(
            placed(&progress.run().ends_with(1)),
            [
                "error -:-:--- unsupported --progress value \"plian\" | did you mean `plain`? \
              | `COMPOSE_PROGRESS` is set in the environment"
            ]
        );
    });
}

#[test]
fn the_project_folders_dotenv_has_a_say_in_what_is_asked_later() {
    isolated(|sandbox| {
        let compose = services(&["a"]) + "  b: {image: x, profiles: [p]}\n";
        let project = sandbox.project("placed", &compose);
        project.write("src/none", "");
        let config = |args: &[&str]| {
            let config = project.skiff([&["config"], args].concat());
            config.dir(&project.dir.join("src"))
        };
        project.write(
            ".env",
            "COMPOSE_PROFILES=p\nCOMPOSE_ANSI=nevr\nCOMPOSE_PARALLEL_LIMIT=many\n\
             COMPOSE_IGNORE_ORPHANS=ture\nCOMPOSE_REMOVE_ORPHANS=ture\nCOMPOSE_PROFLES=q\n",
        );
        let names = config(&["--services"]).run().succeeds();
        names.prints("a\nb\n").whatever();
        let expected = [
            "warning .env:2:1-13 `COMPOSE_ANSI` has no effect in the project folder's `.env` \
             | set it there; this file is read when it has been asked for already | -",
            "warning .env:4:24-28 COMPOSE_IGNORE_ORPHANS \"ture\" has no meaning and counts as \
             `false` | did you mean `true`? | -",
            "warning .env:3:1-23 `COMPOSE_PARALLEL_LIMIT` has no effect in the project folder's \
             `.env` | set it there; this file is read when it has been asked for already | -",
            "warning .env:6:1-16 `COMPOSE_PROFLES` is no variable of Compose, it has no effect \
             | did you mean `COMPOSE_PROFILES`? | -",
            "warning .env:5:1-23 `COMPOSE_REMOVE_ORPHANS` has no effect in the project folder's \
             `.env` | set it there; this file is read when it has been asked for already | -",
        ];
        let json = ["--format", "json"];
        assert_eq!(placed(&config(&json).run().succeeds()), expected);
        let raw = ["--format", "json", "--no-interpolate"];
        assert_eq!(placed(&config(&raw).run().succeeds()), expected);
        // What the first file sets comes first, whatever the second one has.
        project.write(
            "src/.env",
            "COMPOSE_IGNORE_ORPHANS=1\nCOMPOSE_REMOVE_ORPHANS=1\n",
        );
        project.write(
            ".env",
            "COMPOSE_IGNORE_ORPHANS=ture\nCOMPOSE_REMOVE_ORPHANS=ture\n",
        );
        let silent = config(&["-q"]).run().succeeds();
        assert_eq!(silent.stderr, "");
    });
}

#[test]
fn a_variable_that_is_not_set_is_told_once_with_its_place() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = services(&["a", "b"]).replace("{image", "{hostname: \"h$UNSET\", image")
            + "name: unset${UNSET}\n";
        let project = sandbox.project("unset", &compose);
        project.write(".env", "A=1\nB=\"x ${NOWHERE}\"\nC=$NOWHERE\n");
        for command in [
            &["config", "-q"][..],
            &["up", "-d"],
            &["run", "--rm", "-T", "a", "true"],
            &["ps"],
            &["restart", "-t", "0"],
            &["down"],
        ] {
            let told = project.skiff(command).run().succeeds();
            assert_eq!(count(&told, "`UNSET` is not set"), 1, "{told}");
            assert_eq!(count(&told, "compose.yaml:2:20\n"), 1, "{told}");
            assert_eq!(count(&told, "`NOWHERE` is not set"), 1, "{told}");
            assert_eq!(count(&told, ".env:2:8\n"), 1, "{told}");
            assert!(!told.stdout.contains("is not set"), "{told}");
        }
        project.write(".env", "NOWHERE=\nUNSET=\n");
        let silent = project.skiff(["config", "-q"]).run().succeeds();
        assert_eq!(silent.stderr, "");
    });
}

#[test]
fn files_may_come_from_standard_input_and_from_the_first_dotenv() {
    isolated(|sandbox| {
        let project = sandbox.project("from", &services(&["a"]));
        project.write(
            "b.yaml",
            "services: {b: {image: x, volumes: [\"./v:/v\"]}}\n",
        );
        let stdin = project
            .skiff(["config", "--services"])
            .env("COMPOSE_FILE", "-:b.yaml")
            .input("services: {piped: {image: x}}\n");
        stdin.run().succeeds().prints("b\npiped\n").whatever();
        project.write(
            "sub/c.yaml",
            "services: {c: {image: \"x:$T\", volumes: [\"./v:/v\"]}}\n",
        );
        project.write("sub/.env", "T=sub\nCOMPOSE_PROJECT_NAME=sub\n");
        project.write(
            ".env",
            "COMPOSE_FILE=sub/c.yaml:b.yaml\nCOMPOSE_PROJECT_NAME=here\n",
        );
        let json = project
            .skiff(["config", "--format", "json"])
            .run()
            .succeeds()
            .json();
        assert_eq!(json["name"], "here");
        assert_eq!(json["services"]["c"]["image"], "x:sub");
        // Relative to the first file's folder, in the second one, too.
        let base = project.dir.join("sub/v").display().to_string();
        for service in ["b", "c"] {
            assert_eq!(json["services"][service]["volumes"][0]["source"], base);
        }
    });
}

#[test]
fn a_menu_is_wished_for_by_a_variable_and_the_flag_has_the_last_word() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = format!("services:\n  a: {{image: test/busybox, {SLEEPER}}}\n");
        let project = sandbox.project("wish", &compose);
        for (args, value, is_there) in [
            (&["up"][..], "true", true),
            (&["up"], "false", false),
            (&["up", "--menu=false"], "true", false),
            (&["up", "--menu"], "false", true),
        ] {
            let up = project
                .skiff(args)
                .env("COMPOSE_MENU", value)
                .env("TERM", "xterm");
            let mut terminal = Terminal::start_sized(&up, 30, 100);
            // A key that is listened to has an answer, whenever it was typed.
            let answer = "none of the selected services is configured for watch";
            terminal.wait_text("Attaching to a-1");
            terminal.types("w");
            if is_there {
                terminal.wait_text(answer);
            }
            terminal.types("\u{3}");
            let (code, rows) = terminal.finish_rows();
            assert_eq!(code, 130, "{args:?} {value}: {rows:#?}");
            let answered = rows.iter().any(|row| row.contains(answer));
            assert_eq!(answered, is_there, "{args:?} {value}: {rows:#?}");
        }
        project.down();
    });
}
