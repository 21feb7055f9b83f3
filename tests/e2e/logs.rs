//! `logs`: order, prefix, time, following, and that no line is lost.

use crate::support::isolated;

const TALK: &str = r#"
services:
  a:
    image: test/busybox
    command: ["sh", "-c", "echo one; echo two >&2; echo three"]
  longer-name:
    image: test/busybox
    command: ["sh", "-c", "printf 'no newline'"]
"#;

#[test]
fn logs_are_prefixed_padded_and_all_on_stdout() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("talk", TALK);
        project.skiff(["up"]).run().succeeds().whatever();
        let logs = project.skiff(["logs"]).run().succeeds();
        let mut lines = logs.lines();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "a-1            | one",
                "a-1            | three",
                "a-1            | two",
                "longer-name-1  | no newline"
            ],
            "{logs}"
        );
        assert_eq!(logs.stderr, "");
        project
            .skiff(["logs", "--no-log-prefix", "a"])
            .run()
            .succeeds()
            .says("one\n")
            .whatever();
        let tail = project
            .skiff(["logs", "--tail", "1", "--no-log-prefix", "longer-name"])
            .run();
        tail.succeeds().prints("no newline\n").whatever();
        project
            .skiff(["logs", "nosuch"])
            .run()
            .ends_with(1)
            .warns("nosuch")
            .whatever();
        project.down();
    });
}

#[test]
fn logs_can_show_the_time() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("talk", TALK);
        project.skiff(["up"]).run().succeeds().whatever();
        let logs = project
            .skiff(["logs", "-t", "--no-log-prefix", "a"])
            .run()
            .succeeds();
        let time =
            regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (one|two|three)$").unwrap();
        assert_eq!(logs.lines().len(), 3, "{logs}");
        assert!(
            logs.lines().iter().all(|line| time.is_match(line)),
            "{logs}"
        );
        let since = project
            .skiff(["logs", "--since", "2099-01-01T00:00:00Z"])
            .run()
            .succeeds();
        since.prints("").whatever();
        let since = project
            .skiff(["logs", "--since", "1h", "--no-log-prefix", "longer-name"])
            .run();
        since.succeeds().prints("no newline\n").whatever();
        project.down();
    });
}

#[test]
fn logs_follow_to_the_end_and_a_restart_is_appended() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  a:
    image: test/busybox
    command: ["sh", "-c", "echo begin; trap 'echo end; exit 0' TERM; sleep 1000 & wait"]
"#;
        let project = sandbox.project("follow", compose);
        project.up().whatever();
        let mut follow = project.skiff(["logs", "-f", "--no-log-prefix"]).spawn();
        follow.wait_line("begin");
        project.skiff(["stop"]).run().succeeds().whatever();
        follow.finish().succeeds().prints("begin\nend\n").whatever();
        project.skiff(["start"]).run().succeeds().whatever();
        project.skiff(["stop"]).run().succeeds().whatever();
        let logs = project.skiff(["logs", "--no-log-prefix"]).run().succeeds();
        logs.prints("begin\nend\nbegin\nend\n").whatever();
        project.down();
    });
}

/// Restarted, recreated and new containers are followed; the end comes when
/// nothing runs any more.
#[test]
fn logs_follow_over_restart_recreation_and_new_replicas() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  a:
    image: test/busybox
    environment: {N: "${N:-one}"}
    command: ["sh", "-c", "trap 'echo end $$N; exit 0' TERM; echo begin $$N; sleep 1000 & wait"]
"#;
        let project = sandbox.project("follow", compose);
        project.up().whatever();
        let mut follow = project.skiff(["logs", "-f"]).spawn();
        follow.wait_line("a-1  | begin one");
        project.skiff(["restart"]).run().succeeds().whatever();
        follow.wait_line("a-1  | end one");
        follow.wait_line("a-1  | begin one");
        project
            .skiff(["up", "-d"])
            .env("N", "two")
            .run()
            .succeeds()
            .whatever();
        follow.wait_line("a-1  | end one");
        follow.wait_line("a-1  | begin two");
        project
            .skiff(["up", "-d", "--scale", "a=2"])
            .env("N", "two")
            .run()
            .succeeds()
            .whatever();
        follow.wait_line("a-2  | begin two");
        project.skiff(["stop"]).run().succeeds().whatever();
        let output = follow.finish().succeeds();
        let mut lines = output.lines();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "a-1  | begin one",
                "a-1  | begin one",
                "a-1  | begin two",
                "a-1  | end one",
                "a-1  | end one",
                "a-1  | end two",
                "a-2  | begin two",
                "a-2  | end two",
            ],
            "{output}"
        );
        project.down();
    });
}

/// Neither its log nor its state is there yet when `logs -f` begins.
#[test]
fn logs_follow_a_container_that_is_started_later() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  first:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; echo begin; sleep 1000 & wait"]
  later:
    image: test/busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; echo one; sleep 1 & wait; echo two; sleep 1000 & wait"]
"#;
        let project = sandbox.project("later", compose);
        project
            .skiff(["up", "--no-start"])
            .run()
            .succeeds()
            .whatever();
        project
            .skiff(["start", "first"])
            .run()
            .succeeds()
            .whatever();
        let mut follow = project.skiff(["logs", "-f"]).spawn();
        follow.wait_line("first-1  | begin");
        project
            .skiff(["start", "later"])
            .run()
            .succeeds()
            .whatever();
        follow.wait_line("later-1  | one");
        follow.wait_line("later-1  | two");
        project.skiff(["stop"]).run().succeeds().whatever();
        follow.finish().succeeds().whatever();
        project.down();
    });
}

#[test]
fn an_attached_up_follows_what_others_restart_recreate_and_add() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  a:
    image: test/busybox
    environment: {N: "${N:-one}"}
    command: ["sh", "-c", "trap 'exit 0' TERM; echo begin $$N; sleep 1000 & wait"]
  flaky:
    image: test/busybox
    restart: on-failure:1
    command: ["sh", "-c", "echo again; exit 7"]
"#;
        let project = sandbox.project("follow", compose);
        let mut up = project.skiff(["up"]).spawn();
        up.wait_line("a-1      | begin one");
        up.wait_line("flaky-1 exited with code 7\n");
        project.skiff(["restart", "a"]).run().succeeds().whatever();
        up.wait_line("a-1 exited with code 0 (restarting)");
        up.wait_line("a-1      | begin one");
        project
            .skiff(["up", "-d", "--scale", "a=2", "a"])
            .env("N", "two")
            .run()
            .succeeds()
            .whatever();
        let mut open = vec!["a-1      | begin two", "a-2      | begin two"];
        while !open.is_empty() {
            let line = up.wait_line("begin two");
            open.retain(|part| !line.contains(part));
        }
        project.skiff(["stop"]).run().succeeds().whatever();
        let output = up.finish().succeeds();
        assert!(
            output
                .stdout
                .contains("flaky-1 exited with code 7 (restarting)\n"),
            "{output}"
        );
        project.down();
    });
}

/// 200,000 lines as fast as the container can write them.
#[test]
fn a_flood_of_lines_arrives_whole_and_in_order() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = "services:\n  a:\n    image: test/busybox\n    command: seq 1 200000\n";
        let project = sandbox.project("flood", compose);
        let attached = project.skiff(["up", "--no-log-prefix"]).run().succeeds();
        let stored = project.skiff(["logs", "--no-log-prefix"]).run().succeeds();
        let expected: String =
            (1..=200_000).fold(String::new(), |text, n| text + &n.to_string() + "\n");
        assert!(
            stored.stdout == expected,
            "the log differs: {} bytes",
            stored.stdout.len()
        );
        assert!(
            attached.stdout.contains(&expected),
            "attached output differs"
        );
        project.down();
    });
}

#[test]
fn a_log_is_rotated_at_its_limit() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let compose = r#"
services:
  a:
    image: test/busybox
    command: seq 1 100000
    logging: {driver: json-file, options: {max-size: 100k, max-file: "2"}}
"#;
        let project = sandbox.project("rotate", compose);
        project.skiff(["up"]).run().succeeds().whatever();
        let logs = project.skiff(["logs", "--no-log-prefix"]).run().succeeds();
        let lines = logs.lines();
        assert_eq!(lines.last(), Some(&"100000"));
        assert!(
            lines.len() < 20_000 && lines.len() > 1000,
            "{} lines kept",
            lines.len()
        );
        let first: usize = lines[0].parse().expect("a whole first line");
        assert_eq!(lines.len(), 100_000 - first + 1, "no gap");
        project.down();
    });
}

#[test]
fn colours_come_only_when_asked_for() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("talk", TALK);
        project.skiff(["up"]).run().succeeds().whatever();
        let plain = project.skiff(["logs"]).run().succeeds();
        assert!(!plain.stdout.contains('\u{1b}'), "{plain}");
        let coloured = project.skiff(["--ansi", "always", "logs"]).run().succeeds();
        assert!(coloured.stdout.contains("\u{1b}[36m"), "{coloured}");
        project.down();
    });
}
