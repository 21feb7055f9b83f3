//! A build in lines, as `BuildKit` prints them: `#5 [web 2/5] RUN npm ci`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::event::BuildNews;

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
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

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
