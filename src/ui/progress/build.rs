//! A build in lines, as `BuildKit` prints them: `#5 [web 2/5] RUN npm ci`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use crate::event::BuildNews;
use crate::ui::printable;

/// What was printed so far.
#[derive(Debug, Default)]
pub(super) struct BuildLog {
    names: BTreeMap<u32, String>,
    /// The step whose lines were printed last, while it goes on.
    open: Option<u32>,
}

impl BuildLog {
    /// The lines to be printed for this. Steps that go on at the same time take
    /// turns: where one is interrupted three dots say so, and where one goes on
    /// its name is told again.
    pub(super) fn text(&mut self, step: u32, news: &BuildNews) -> String {
        let mut text = String::new();
        if let BuildNews::Named { name } = news {
            self.names.insert(step, name.clone());
        }
        if self.open != Some(step) {
            if let Some(other) = self.open {
                writeln!(text, "#{other} ...\n").ok();
            }
            let name = self.names.get(&step).map_or("", String::as_str);
            writeln!(text, "#{step} {name}").ok();
        }
        self.open = Some(step);
        let end = match news {
            BuildNews::Named { .. } => None,
            BuildNews::Status { line } => {
                writeln!(text, "#{step} {line}").ok();
                None
            }
            BuildNews::Output { line, elapsed } => {
                let seconds = elapsed.as_secs_f64();
                writeln!(text, "#{step} {seconds:.3} {line}").ok();
                None
            }
            BuildNews::Done { elapsed } => Some(format!("DONE {:.1}s", elapsed.as_secs_f64())),
            BuildNews::Cached => Some("CACHED".to_owned()),
            BuildNews::Failed { message } => Some(format!("ERROR: {message}")),
            BuildNews::Canceled => Some("CANCELED".to_owned()),
        };
        if let Some(end) = end {
            writeln!(text, "#{step} {end}\n").ok();
            self.open = None;
        }
        printable(&text)
    }
}

/// Lines of a step's output that are seen while it goes on, as with `BuildKit`.
const TAIL: usize = 6;
/// What stands before each.
const INDENT: &str = "   │ ";

/// The last lines of a step that goes on, on a terminal.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<String>);

impl Tail {
    pub(super) fn push(&mut self, line: String) {
        if self.0.len() == TAIL {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    /// The lines that a terminal of this size has room for: a quarter of its rows at
    /// most, none broken.
    pub(super) fn text(&self, (rows, columns): (u16, u16)) -> String {
        let most = usize::from(rows / 4).clamp(1, TAIL);
        let width = usize::from(columns).saturating_sub(INDENT.chars().count() + 1);
        let lines = self.0.iter().skip(self.0.len().saturating_sub(most));
        lines
            .map(|line| {
                // A tab has no width of its own.
                let line = line.replace('\t', " ");
                format!("{INDENT}{}", console::truncate_str(&line, width, "…"))
            })
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_lines_are_seen_as_far_as_there_is_room() {
        let mut tail = Tail::default();
        for number in 1..=8 {
            tail.push(format!("line {number}"));
        }
        let shown = |rows, columns| tail.text((rows, columns));
        let first = |text: &str| text.lines().next().map(str::to_owned);
        assert_eq!(first(&shown(40, 80)).as_deref(), Some("   │ line 3"));
        assert_eq!(shown(40, 80).lines().count(), 6);
        assert_eq!(shown(9, 80), "   │ line 7\n   │ line 8");
        assert_eq!(shown(2, 80), "   │ line 8");
        assert_eq!(shown(2, 10), "   │ lin…");
    }

    #[test]
    fn steps_at_the_same_time_take_turns() {
        let mut log = BuildLog::default();
        let named = |name: &str| BuildNews::Named {
            name: name.to_owned(),
        };
        let output = |line: &str, millis| BuildNews::Output {
            line: line.to_owned(),
            elapsed: Duration::from_millis(millis),
        };
        let done = BuildNews::Done {
            elapsed: Duration::from_millis(340),
        };
        let text: String = [
            (1, named("[web 1/2] FROM debian")),
            (1, BuildNews::Cached),
            (2, named("[web 2/2] RUN make")),
            (2, output("cc a.c", 94)),
            (3, named("[db 2/2] RUN make")),
            (
                3,
                BuildNews::Status {
                    line: "waiting".to_owned(),
                },
            ),
            (2, output("cc b.c", 1_234)),
            (2, done),
            (
                3,
                BuildNews::Failed {
                    message: "exit code: 1".to_owned(),
                },
            ),
            (4, BuildNews::Canceled),
        ]
        .into_iter()
        .map(|(step, news)| log.text(step, &news))
        .collect();
        let expected = "\
            #1 [web 1/2] FROM debian\n#1 CACHED\n\n\
            #2 [web 2/2] RUN make\n#2 0.094 cc a.c\n#2 ...\n\n\
            #3 [db 2/2] RUN make\n#3 waiting\n#3 ...\n\n\
            #2 [web 2/2] RUN make\n#2 1.234 cc b.c\n#2 DONE 0.3s\n\n\
            #3 [db 2/2] RUN make\n#3 ERROR: exit code: 1\n\n\
            #4 \n#4 CANCELED\n\n";
        assert_eq!(text, expected);
    }
}
