//! With a terminal: interactive programs, sizes, Ctrl-C, and progress.

use crate::support::{Terminal, isolated};

const COMPOSE: &str = r#"
services:
  web:
    image: test/busybox
    command: ["sh", "-c", "echo hello; trap 'exit 0' TERM; sleep 1000 & wait"]
  tty:
    image: test/busybox
    tty: true
    stdin_open: true
    command: ["sh", "-c", "tty; echo $$TERM; trap 'exit 0' TERM; sleep 1000 & wait"]
"#;

#[test]
fn exec_has_a_terminal_when_the_caller_has_one() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("term", COMPOSE);
        project.up().whatever();
        let mut terminal = Terminal::start(&project.skiff(["exec", "web", "sh"]));
        terminal.types("tty; stty size; echo $TERM; stty -echo; echo rea\"\"dy\r");
        let text = terminal.wait_text("ready\r\n");
        assert!(text.contains("/dev/pts/"), "{text}");
        assert!(text.contains("24 80"), "the caller's size\n{text}");
        assert!(text.contains("xterm"), "{text}");
        // Ctrl-C goes to the program inside, not to skiff.
        // It may come between two commands or during one: a shell with a trap
        // waits for the end of the one that runs, so each is short.
        terminal.types(
            "trap 'echo inter\"\"rupted; stop=1' INT; echo go\"\"ing; until [ \"$stop\" ]; do sleep 0.1; done\r",
        );
        terminal.wait_text("going");
        terminal.types("\u{3}");
        terminal.wait_text("interrupted");
        terminal.types("exit 9\r");
        assert_eq!(terminal.finish().0, 9);
        let piped = project
            .skiff(["exec", "-T", "web", "sh", "-c", "tty || true"])
            .run()
            .succeeds();
        piped.prints("not a tty\n").whatever();
        project.down();
    });
}

#[test]
fn a_declared_term_is_that_of_an_exec_too() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  web:
    image: test/busybox
    environment: {TERM: vt52}
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
"#;
        let project = sandbox.project("term", compose);
        project.up().whatever();
        let mut terminal =
            Terminal::start(&project.skiff(["exec", "web", "sh", "-c", "echo $TERM."]));
        terminal.wait_text("vt52.");
        assert_eq!(terminal.finish().0, 0);
        project.down();
    });
}

#[test]
fn run_is_interactive_and_returns_the_exit_code() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("term", COMPOSE);
        let mut terminal =
            Terminal::start(&project.skiff(["run", "--rm", "--no-deps", "web", "sh"]));
        terminal.types("echo $((40+2)); exit 5\r");
        terminal.wait_text("42");
        assert_eq!(terminal.finish().0, 5);
        project.down();
    });
}

#[test]
fn ctrl_p_ctrl_q_leaves_a_run_and_lets_it_run_on() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("term", COMPOSE);
        let mut terminal =
            Terminal::start(&project.skiff(["run", "--name", "left", "--no-deps", "web", "sh"]));
        terminal.types("echo $((40+2))\r");
        terminal.wait_text("42");
        terminal.types("\u{10}\u{11}");
        let (code, text) = terminal.finish();
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("left runs on"), "{text}");
        let ps = project
            .skiff(["ps", "-a", "--format", "json"])
            .run()
            .succeeds();
        assert_eq!(ps.json_lines()[0]["Name"], "left", "{ps}");
        assert_eq!(ps.json_lines()[0]["State"], "running", "{ps}");
        project.down();
    });
}

/// The terminal must be usable again, whatever the program inside did to it.
#[test]
fn the_callers_terminal_is_put_back() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("term", COMPOSE);
        project.up().whatever();
        let script = "stty -a >before; \"$skiff\" exec web sh -c 'stty raw -echo'; \
                      stty -a >after; cmp before after && echo same";
        let mut terminal = Terminal::start(&sandbox.shell(script).dir(&project.dir));
        terminal.wait_text("same");
        assert_eq!(terminal.finish().0, 0);
        project.down();
    });
}

#[test]
fn a_service_with_a_terminal_has_one() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("term", COMPOSE);
        project.up().whatever();
        let mut logs = project
            .skiff(["logs", "-f", "--no-log-prefix", "tty"])
            .spawn();
        let first = logs.wait_line("/dev/");
        assert!(
            first.starts_with("/dev/pts/0") || first.starts_with("/dev/console"),
            "{first}"
        );
        logs.wait_line("xterm");
        drop(logs);
        assert_eq!(
            project.sh("tty", "ls -l /proc/1/fd/0 | grep -c /dev/"),
            "1\n"
        );
        project.down();
    });
}

#[test]
fn ctrl_c_typed_at_up_stops_the_project() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("term", COMPOSE);
        let mut terminal = Terminal::start(&project.skiff(["up", "web"]));
        terminal.wait_text("hello");
        terminal.types("\u{3}");
        terminal.wait_text("Gracefully Stopping...");
        assert_eq!(terminal.finish().0, 130);
        assert_eq!(project.container_field("web", "State"), "exited");
        project.down();
    });
}

#[test]
fn progress_is_animated_on_a_terminal_and_plain_when_asked() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("term", COMPOSE);
        let (code, screen) =
            Terminal::start(&project.skiff(["up", "-d"]).env("TERM", "xterm")).finish();
        assert_eq!(code, 0, "{screen}");
        assert!(
            screen.contains('\u{1b}') && screen.contains("term-web-1"),
            "{screen}"
        );
        project.down();
        let plain = project
            .skiff(["--progress", "plain", "up", "-d"])
            .env("TERM", "xterm");
        let (_, screen) = Terminal::start(&plain).finish();
        assert!(
            !screen.contains('\u{1b}') && screen.contains("term-web-1"),
            "{screen}"
        );
        let none = project
            .skiff(["ps"])
            .env("TERM", "xterm")
            .env("NO_COLOR", "1");
        let (_, screen) = Terminal::start(&none).finish();
        assert!(!screen.contains('\u{1b}'), "{screen}");
        project.down();
        let quiet = project
            .skiff(["--progress", "quiet", "up", "-d"])
            .run()
            .succeeds();
        assert_eq!(quiet.stderr, "", "{quiet}");
        project.down();
        let json = project
            .skiff(["--progress", "json", "up", "-d"])
            .run()
            .succeeds();
        for line in json.stderr.lines() {
            assert!(
                serde_json::from_str::<serde_json::Value>(line).is_ok(),
                "{line}"
            );
        }
        project.down();
    });
}
