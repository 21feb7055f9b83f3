//! The screen: a line a batch, keys, JSON.

use super::{SYNC, path, watch, with_rules};
use crate::support::{Terminal, isolated};
use fs_err as fs;

#[test]
fn keys_pause_restart_rebuild_and_quit() {
    isolated(|sandbox| {
        let project = with_rules(sandbox, "keys", SYNC);
        let compose = fs::read_to_string(path(&project, "compose.yaml")).expect("the file");
        let compose = compose.replace("[sleep, '1000']", "[sh, -c, 'echo begun; exec sleep 1000']");
        let compose = compose.replace("image: test/busybox", "build: .");
        project.write("compose.yaml", &compose);
        project.write("Dockerfile", "FROM test/busybox\n");
        let invocation = project.skiff(["watch"]).env("TERM", "xterm");
        let mut terminal = Terminal::start_sized(&invocation, 40, 100);
        terminal.wait_all(&["watching 2 folders for 1 rule", "w pause/go on", "begun"]);
        project.write("src/x", "1");
        terminal.wait_text("src/x to /app/x");
        terminal.types("w");
        terminal.wait_text("paused: changes wait");
        project.write("src/y", "2");
        terminal.types("r");
        terminal.wait_text("web: restarted");
        assert_eq!(project.sh("web", "ls /app"), "x\n");
        terminal.types("w");
        terminal.wait_all(&["going on", "src/y to /app/y"]);
        assert_eq!(project.sh("web", "cat /app/x /app/y"), "12");
        terminal.types("b");
        terminal.wait_text("rebuilt: the image is as it was");
        terminal.types("o");
        terminal.wait_text("no service publishes a port");
        terminal.types("q");
        let (code, rows) = terminal.finish_rows();
        assert_eq!(code, 0, "{rows:#?}");
        // Nothing of the menu is left, and everything was told once.
        let count = |part: &str| rows.iter().filter(|row| row.contains(part)).count();
        assert_eq!(count("w pause"), 0, "{rows:#?}");
        assert_eq!(count("src/x to /app/x"), 1, "{rows:#?}");
        assert_eq!(count("begun"), 2, "{rows:#?}");
        project.down();
    });
}

#[test]
fn an_attached_up_begins_to_watch_at_a_key() {
    isolated(|sandbox| {
        let project = with_rules(sandbox, "menu", SYNC);
        let invocation = project.skiff(["up"]).env("TERM", "xterm");
        let mut terminal = Terminal::start_sized(&invocation, 40, 100);
        terminal.wait_text("w watch   q stop");
        terminal.types("w");
        terminal.wait_text("watching 2 folders for 1 rule");
        project.write("src/x", "1");
        terminal.wait_text("src/x to /app/x");
        terminal.types("q");
        terminal.wait_text("Gracefully Stopping");
        let (code, rows) = terminal.finish_rows();
        assert_eq!(code, 130, "{rows:#?}");
        project.down();
    });
}

#[test]
fn tools_read_json() {
    isolated(|sandbox| {
        let project = with_rules(sandbox, "tools", SYNC);
        let mut watch = project.skiff(["--progress", "json", "watch"]).spawn();
        watch.wait_line(r#""watch":"watch""#);
        project.write("src/x", "1");
        let line = watch.wait_line(r#""watch":"sync""#);
        let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(event["services"], serde_json::json!(["web"]));
        assert_eq!(event["message"], "src/x to /app/x");
        assert_eq!(
            (&event["written"], &event["removed"]),
            (&1.into(), &0.into())
        );
        assert!(event["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{event}");
        super::end(watch);
        project.down();
    });
}

#[test]
fn the_output_of_services_is_shown_below() {
    isolated(|sandbox| {
        let rules = "        - {path: ./src, action: sync+restart, target: /app}\n";
        let project = with_rules(sandbox, "below", rules);
        let compose = fs::read_to_string(path(&project, "compose.yaml")).expect("the file");
        let compose = compose.replace("[sleep, '1000']", "[sh, -c, 'cat /app/x; exec sleep 1000']");
        project.write("compose.yaml", &compose);
        let mut watch = watch(&project, &[]);
        project.write("src/x", "shown\n");
        watch.wait_line("web: src/x to /app/x");
        watch.wait_line("web-1  | shown");
        super::end(watch);
        assert_eq!(project.container_field("web", "State"), "running");
        project.down();
    });
}
