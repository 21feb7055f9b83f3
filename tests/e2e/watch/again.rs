//! `run --watch`: a command that is run again at each change.

use fs_err as fs;
use rustix::process::Signal;

use super::path;
use crate::support::{Background, Project, Sandbox, Terminal, isolated};

/// `web` is built with `src` in it and needs `db`; changes of `src` are copied.
fn project<'s>(sandbox: &'s Sandbox, name: &str, rules: &str) -> Project<'s> {
    sandbox.load_busybox();
    let project = sandbox.project(
        name,
        &format!(
            "services:
  web:
    build: .
    depends_on: {{db: {{condition: service_healthy}}}}
    develop:
      watch:
{rules}  db:
    image: test/busybox
    command: [sleep, '1000']
    init: true
    healthcheck: {{test: 'true', interval: 1s}}
"
        ),
    );
    project.write("Dockerfile", "FROM test/busybox\nCOPY src /app\n");
    project.write("src/test", "echo version 1; exit 3\n");
    project
}

const SYNC: &str = "        - {path: ./src, action: sync, target: /app}\n";

fn begin(project: &Project<'_>, command: &[&str]) -> Background {
    let arguments = ["run", "--rm", "--watch", "web"];
    project.skiff(arguments.iter().chain(command)).spawn()
}

/// Ends it, which leaves nothing that it started.
#[track_caller]
fn end(project: &Project<'_>, again: Background) {
    again.signal(Signal::INT);
    again.finish().ends_with(130).whatever();
    let left = project
        .skiff(["ps", "-a", "--format", "json"])
        .run()
        .succeeds();
    let states: Vec<String> = left
        .json_lines()
        .iter()
        .map(|one| format!("{} {}", one["Service"], one["State"]))
        .collect();
    assert_eq!(states, ["\"db\" \"exited\""]);
}

#[test]
fn a_command_is_run_again_at_each_change() {
    isolated(|sandbox| {
        let project = project(sandbox, "again", SYNC);
        let mut again = begin(&project, &["sh", "/app/test"]);
        again.wait_line("version 1");
        again.wait_line("web: ended with code 3: waiting for changes");
        assert_eq!(project.container_field("db", "Health"), "healthy");
        project.write("src/test", "echo version 2\n");
        again.wait_line("version 2");
        again.wait_line("web: ended with code 0: waiting for changes");
        // One that does not end is ended by a change.
        project.write("src/test", "echo version 3; exec sleep 1000\n");
        again.wait_line("version 3");
        project.write("src/test", "cat /app/other; ls /app\n");
        project.write("src/other", "version 4\n");
        again.wait_line("version 4");
        again.wait_line("ended with code 0");
        fs::remove_file(path(&project, "src/other")).expect("a file");
        again.wait_line("can't open '/app/other'");
        end(&project, again);
        project.down();
    });
}

#[test]
fn a_failed_build_is_told_and_the_next_change_tried() {
    isolated(|sandbox| {
        let rules = "        - {path: ., action: rebuild, ignore: [compose.yaml]}\n";
        let project = project(sandbox, "rebuilds", rules);
        let mut again = begin(&project, &["sh", "/app/test"]);
        again.wait_line("version 1");
        again.wait_line("waiting for changes");
        project.write("Dockerfile", "FROM test/busybox\nRUN echo why; exit 9\n");
        again.wait_line("exit code: 9");
        again.wait_line("waiting for changes");
        project.write("src/test", "echo version 2\n");
        project.write("Dockerfile", "FROM test/busybox\nCOPY src /app\n");
        again.wait_line("version 2");
        end(&project, again);
        project.down();
    });
}

#[test]
fn what_is_mounted_is_watched_where_nothing_is_said() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project(
            "mounted",
            "services:\n  web:\n    image: test/busybox\n    volumes: ['./src:/app']\n  bare: {image: test/busybox}\n",
        );
        project.write("src/x", "one\n");
        let mut again = begin(&project, &["cat", "/app/x"]);
        again.wait_line("one");
        again.wait_line("waiting for changes");
        project.write("src/x", "two\n");
        again.wait_line("two");
        again.signal(Signal::INT);
        again.finish().ends_with(130).whatever();
        let refused = project.skiff(["run", "--watch", "bare", "true"]).run();
        refused
            .ends_with(1)
            .warns("service `bare` has nothing to watch")
            .whatever();
        project.down();
    });
}

#[test]
fn the_terminal_is_cleared_and_the_command_has_one() {
    isolated(|sandbox| {
        let project = project(sandbox, "cleared", SYNC);
        project.write("src/test", "[ -t 1 ] && echo on a terminal; echo first\n");
        let arguments = [
            "run",
            "--rm",
            "--watch",
            "--clear",
            "web",
            "sh",
            "/app/test",
        ];
        let invocation = project.skiff(arguments).env("TERM", "xterm");
        let mut terminal = Terminal::start_sized(&invocation, 30, 80);
        terminal.wait_all(&["on a terminal", "first", "waiting for changes"]);
        project.write("src/test", "echo second\n");
        terminal.wait_all(&["second", "waiting for changes"]);
        terminal.types("\u{3}");
        let (code, rows) = terminal.finish_rows();
        assert_eq!(code, 130);
        assert!(rows.iter().any(|row| row.contains("second")), "{rows:#?}");
        assert!(!rows.iter().any(|row| row.contains("first")), "{rows:#?}");
        project.down();
    });
}
