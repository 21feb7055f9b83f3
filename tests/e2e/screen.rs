//! What somebody sees who sits at the terminal: the rendered rows, not bytes.

use crate::support::{Project, Terminal, isolated};

const TWO: &str = r#"
services:
  web:
    image: test/busybox
    command: ["sh", "-c", "trap 'echo bye; exit 0' TERM; echo hello; echo err >&2; sleep 1000 & wait"]
  longername-db:
    image: test/busybox
    command: ["sh", "-c", "echo a; echo b; printf 'no newline'; exit 3"]
"#;

/// `up` on a terminal of so many rows until both have said all, then Ctrl-C.
fn up_and_ctrl_c(project: &Project<'_>, rows: u16) -> Vec<String> {
    let up = project.skiff(["up"]).env("TERM", "xterm");
    let mut terminal = Terminal::start_sized(&up, rows, 80);
    terminal.wait_all(&["hello", "err", "longername-db-1 exited with code 3"]);
    terminal.types("\u{3}");
    let (code, rows) = terminal.finish_rows();
    assert_eq!(code, 130, "{rows:#?}");
    rows
}

/// Where in `rows` the one row is that contains `part`.
#[track_caller]
fn the_row(rows: &[String], part: &str) -> usize {
    let found: Vec<usize> = (0..rows.len())
        .filter(|at| rows[*at].contains(part))
        .collect();
    assert_eq!(found.len(), 1, "`{part}` in\n{}", rows.join("\n"));
    found[0]
}

#[track_caller]
fn in_order(rows: &[String], parts: &[&str]) {
    let places: Vec<usize> = parts.iter().map(|part| the_row(rows, part)).collect();
    assert!(
        places.is_sorted(),
        "{parts:?} at {places:?} in\n{}",
        rows.join("\n")
    );
}

#[test]
fn an_attached_up_shows_every_line_once_and_in_order() {
    isolated(|sandbox| {
        sandbox.load_busybox();
        let project = sandbox.project("att", TWO);
        // One on which all fits, and one that scrolls.
        for height in [50, 9] {
            let rows = up_and_ctrl_c(&project, height);
            in_order(
                &rows,
                &[
                    "Network att_default  Created",
                    "web-1            | hello",
                    "Gracefully Stopping... press Ctrl+C again to force",
                    "web-1            | bye",
                    "web-1 exited with code 0",
                ],
            );
            in_order(
                &rows,
                &[
                    "Attaching to longername-db-1, web-1",
                    "Container att-longername-db-1  Started",
                    "longername-db-1  | a",
                    "longername-db-1  | b",
                    "longername-db-1  | no newline",
                    "longername-db-1 exited with code 3",
                    "Gracefully Stopping...",
                    "Container att-web-1  Stopped",
                ],
            );
            the_row(&rows, "web-1            | err");
            the_row(&rows, "Container att-web-1  Started");
            // What was drawn again in place is there once, in its last words.
            let mut told: Vec<&str> = rows
                .iter()
                .filter(|row| row.contains(" Container "))
                .filter_map(|row| row.trim().rsplit_once("  ").map(|(told, _)| told))
                .collect();
            told.sort_unstable();
            assert!(
                told.windows(2).all(|pair| pair[0] != pair[1]),
                "{}",
                rows.join("\n")
            );
            project.down();
        }
    });
}
