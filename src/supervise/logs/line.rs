//! The CRI log format: one line is
//! `2026-01-02T03:04:05.678901234Z stdout F text`, tag `P` where the text goes
//! on in the stream's next line.

use jiff::Timestamp;

/// A line longer than this is written in parts, as containerd and Docker do.
pub(crate) const LINE_LIMIT: usize = 16 * 1024;

/// Which output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both, in order of their descriptors.
    pub const BOTH: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// Descriptor number in the container.
    pub fn number(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }

    /// The word in a log line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }
}

/// A parsed log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// The time as written; RFC 3339 in UTC sorts as text.
    pub(crate) time: &'a str,
    /// Where it came from.
    pub(crate) stream: Stream,
    /// It goes on in the stream's next line.
    pub(crate) partial: bool,
    /// Without the newline.
    pub(crate) text: &'a [u8],
}

impl<'a> Line<'a> {
    /// Parses a line without its newline; `None` where it is none of ours.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?;
        let stream = match parts.next()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let partial = match parts.next()? {
            b"F" => false,
            b"P" => true,
            _ => return None,
        };
        Some(Self {
            time,
            stream,
            partial,
            text: parts.next()?,
        })
    }
}

/// Writes a time with all nine digits of its fraction, so that times sort as
/// text.
pub(crate) fn format_time(time: Timestamp) -> String {
    format!("{time:.9}")
}

/// How many of a stream's unformatted bytes make complete lines (or parts of
/// [`LINE_LIMIT`] bytes); the rest waits for its newline.
pub(crate) fn complete(bytes: &[u8]) -> usize {
    let lines = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let rest = bytes.len() - lines;
    lines + rest / LINE_LIMIT * LINE_LIMIT
}

/// Bytes of a formatted line beside its text and newline.
const FRAME: usize = 30 + 1 + 6 + 3;

/// How many of these bytes, which are complete lines, fill so much room in the
/// log: the line that crosses the limit is the last.
pub(crate) fn fitting(bytes: &[u8], room: Option<u64>) -> usize {
    let Some(room) = room else {
        return bytes.len();
    };
    let (mut taken, mut filled) = (0, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if filled >= room && taken > 0 {
            break;
        }
        taken += line.len();
        filled += u64::try_from(line.len() + FRAME).unwrap_or(u64::MAX);
    }
    taken
}

/// Formats bytes that [`complete`] counted, or at a stream's end all of them:
/// the same bytes, stream and time always give the same text.
pub(crate) fn format(bytes: &[u8], stream: Stream, time: &str, out: &mut Vec<u8>) {
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (mut text, ended) = match line.split_last() {
            Some((b'\n', text)) => (text, true),
            _ => (line, false),
        };
        while text.len() > LINE_LIMIT || (!ended && text.len() == LINE_LIMIT) {
            let (part, rest) = text.split_at(LINE_LIMIT);
            push(part, stream, time, b'P', out);
            text = rest;
        }
        if ended || !text.is_empty() {
            push(text, stream, time, b'F', out);
        }
    }
}

fn push(text: &[u8], stream: Stream, time: &str, tag: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(time.as_bytes());
    out.push(b' ');
    out.extend_from_slice(stream.word().as_bytes());
    out.extend_from_slice(&[b' ', tag, b' ']);
    out.extend_from_slice(text);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-01-02T03:04:05.678901234Z";

    fn formatted(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        format(bytes, Stream::Stderr, TIME, &mut out);
        out
    }

    #[test]
    fn times_have_nine_digits_and_sort_as_text() {
        let whole = format_time(Timestamp::from_second(1_700_000_000).unwrap());
        assert_eq!(whole, "2023-11-14T22:13:20.000000000Z");
        let later = format_time(Timestamp::new(1_700_000_000, 5).unwrap());
        assert!(whole < later, "{whole} {later}");
    }

    #[test]
    fn only_complete_lines_are_taken() {
        assert_eq!(complete(b""), 0);
        assert_eq!(complete(b"no end"), 0);
        assert_eq!(complete(b"one\ntwo"), 4);
        assert_eq!(complete(b"one\ntwo\n"), 8);
        let long = vec![b'x'; LINE_LIMIT + 3];
        assert_eq!(complete(&long), LINE_LIMIT);
        assert_eq!(
            complete(&[b"a\n", long.as_slice()].concat()),
            2 + LINE_LIMIT
        );
    }

    #[test]
    fn what_fits_ends_with_the_line_that_crosses_the_limit() {
        let lines = b"one\ntwo\nthree\n";
        assert_eq!(fitting(lines, None), lines.len());
        assert_eq!(fitting(lines, Some(1)), 4);
        assert_eq!(fitting(lines, Some(44)), 4);
        assert_eq!(fitting(lines, Some(45)), 8);
        assert_eq!(fitting(lines, Some(1000)), lines.len());
        let mut out = Vec::new();
        format(b"one\n", Stream::Stdout, TIME, &mut out);
        assert_eq!(out.len(), 4 + FRAME);
    }

    #[test]
    fn lines_are_written_whole_and_parsed_back() {
        assert_eq!(
            formatted(b"one\n\ntwo"),
            format!("{TIME} stderr F one\n{TIME} stderr F \n{TIME} stderr F two\n").as_bytes()
        );
        let line = Line::parse(b"2026-01-02T03:04:05.678901234Z stderr F a b  c").unwrap();
        assert_eq!(
            line,
            Line {
                time: TIME,
                stream: Stream::Stderr,
                partial: false,
                text: b"a b  c"
            }
        );
        for bad in [
            &b""[..],
            b"x",
            b"t stdout F",
            b"t stdin F x",
            b"t stdout G x",
        ] {
            assert_eq!(Line::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn long_lines_come_in_parts_that_join_to_the_same_bytes() {
        for length in [LINE_LIMIT - 1, LINE_LIMIT, LINE_LIMIT + 1, 3 * LINE_LIMIT] {
            let mut input = vec![b'x'; length];
            input.push(b'\n');
            // As it arrives: the complete part first, the rest with its newline.
            let first = complete(&input[..length]);
            let mut out = Vec::new();
            format(&input[..first], Stream::Stdout, TIME, &mut out);
            format(&input[first..], Stream::Stdout, TIME, &mut out);
            let mut joined = Vec::new();
            for line in out
                .strip_suffix(b"\n")
                .unwrap()
                .split(|byte| *byte == b'\n')
            {
                let line = Line::parse(line).unwrap();
                joined.extend_from_slice(line.text);
                if !line.partial {
                    joined.push(b'\n');
                }
            }
            assert_eq!(joined, input, "{length}");
        }
    }
}
