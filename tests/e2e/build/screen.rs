//! A build as somebody sees it who sits at the terminal.

use std::io::Write as _;

use super::with_dockerfile;
use crate::support::{Terminal, isolated};

#[test]
fn the_last_lines_of_a_step_are_seen_below_it_until_it_is_done() {
    isolated(|sandbox| {
        let project = with_dockerfile(
            sandbox,
            "folding",
            "FROM test/busybox\nRUN --mount=type=cache,target=/c mkfifo /c/go; \
             for i in 1 2 3 4 5 6 7 8 9; do echo line-$i; done; cat /c/go\n",
        );
        let build = project.skiff(["build"]).env("TERM", "xterm");
        let mut terminal = Terminal::start_sized(&build, 40, 80);
        terminal.wait_all(&["line-9"]);
        let shown = terminal.rows();
        let step = shown.iter().position(|row| row.contains("2/2] RUN"));
        let step = step.unwrap_or_else(|| panic!("no step in {shown:#?}"));
        let below = shown[step..].iter().map(|row| row.trim());
        let below: Vec<&str> = below.filter(|row| row.starts_with('│')).collect();
        let wanted: Vec<String> = (4..=9).map(|number| format!("│ line-{number}")).collect();
        assert_eq!(below, wanted, "{shown:#?}");

        let mounts = sandbox.data().join("builds/mounts");
        let folder = fs_err::read_dir(&mounts).expect("cache folders").flatten();
        let mut folders = folder.filter(|entry| entry.path().is_dir());
        let go = folders.next().expect("a cache folder").path().join("go");
        let mut go = fs_err::OpenOptions::new()
            .write(true)
            .open(go)
            .expect("a pipe");
        go.write_all(b"last\n").expect("a reader");
        drop(go);
        let (code, rows) = terminal.finish_rows();
        assert_eq!(code, 0, "{rows:#?}");
        assert!(!rows.iter().any(|row| row.contains("line-9")), "{rows:#?}");
        let done = rows.iter().filter(|row| row.contains("2/2] RUN"));
        let done: Vec<_> = done.collect();
        assert_eq!(done.len(), 1, "{rows:#?}");
        assert!(done[0].contains('✔'), "{rows:#?}");
    });
}
