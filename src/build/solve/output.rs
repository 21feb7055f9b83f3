//! What a step's command writes, line by line, as it comes.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use crate::event::{BuildNews, Event, EventSink};

/// A line that is longer is shown in pieces.
const LONGEST_LINE: usize = 4096;
/// Lines that are told again where the command fails.
const LAST_LINES: usize = 20;

/// A line, and when it came, counted from the step's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// Time since the step began.
    pub elapsed: Duration,
    /// The text, with everything taken out that would move a terminal's cursor.
    pub text: String,
}

/// A pipe for a command to write to, and its reading end.
///
/// # Errors
/// No descriptors are left.
pub(crate) fn make() -> io::Result<(pipe::Receiver, io::PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    let reader = pipe::Receiver::from_owned_fd(reader.into())?;
    Ok((reader, writer))
}

/// Reads until nobody can write any more, telling each line; the last ones come
/// back.
pub(crate) async fn relay(
    mut reader: pipe::Receiver,
    sink: &dyn EventSink,
    step: u32,
    began: Instant,
) -> Vec<OutputLine> {
    let mut lines = Lines::default();
    let mut last = VecDeque::new();
    let mut buffer = vec![0; 16 * 1024];
    let mut tell = |text: String| {
        let elapsed = began.elapsed();
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(OutputLine {
            elapsed,
            text: text.clone(),
        });
        let news = BuildNews::Output {
            line: text,
            elapsed,
        };
        sink.emit(Event::Build { step, news });
    };
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => lines
                .take(buffer.get(..length).unwrap_or_default())
                .into_iter()
                .for_each(&mut tell),
        }
    }
    lines.rest().into_iter().for_each(tell);
    last.into()
}

/// Bytes that become lines.
#[derive(Debug, Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// The lines that are complete now. A carriage return begins a line anew, as
    /// on a terminal.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for byte in bytes {
            let is_end = *byte == b'\n';
            if !is_end {
                self.0.push(*byte);
            }
            if is_end || self.0.len() >= LONGEST_LINE {
                complete.push(self.flush());
            }
        }
        complete
    }

    fn rest(mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.flush())
    }

    fn flush(&mut self) -> String {
        let line = std::mem::take(&mut self.0);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\r');
        let last = text.rsplit('\r').next().unwrap_or_default();
        plain(last)
    }
}

/// A text without escape sequences and control characters but tabs.
fn plain(text: &str) -> String {
    let text = console::strip_ansi_codes(text);
    text.chars()
        .filter(|c| *c == '\t' || !c.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_when_they_are_complete() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"one\ntw"), ["one"]);
        assert_eq!(
            lines.take(b"o\r\n\n 10%\r 90%\rdone\n"),
            ["two", "", "done"]
        );
        assert_eq!(
            lines.take(b"\x1b[31mred\x1b[0m\x1b[2J\x07\ttab\n"),
            ["red\ttab"]
        );
        assert_eq!(lines.take(&[0xff, b'\n']), ["\u{fffd}"]);
        assert_eq!(lines.take(&vec![b'x'; LONGEST_LINE + 1]).len(), 1);
        assert_eq!(lines.rest().as_deref(), Some("x"));
    }
}
