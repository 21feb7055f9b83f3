//! Places in a Dockerfile, and what is wrong at them.

use std::ops::Range;

use crate::similar::did_you_mean;

/// A part of the file's text, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte behind the last.
    pub end: u32,
}

impl Span {
    /// A part between two bytes; more than the format allows is the last place.
    pub fn new(range: Range<usize>) -> Self {
        let place = |byte| u32::try_from(byte).unwrap_or(u32::MAX);
        Self {
            start: place(range.start),
            end: place(range.end),
        }
    }

    /// From the start of one part to the end of another.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// A text of the file and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Word {
    /// As written, quotes and variables included.
    pub text: String,
    /// Where.
    pub at: Span,
}

/// A line and a column, both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// The text of a Dockerfile, with its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    text: String,
    /// Where each line begins.
    starts: Vec<u32>,
}

impl Source {
    /// Takes a text apart into lines.
    pub fn new(text: String) -> Self {
        let begins = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0)
            .chain(begins.map(|(at, _)| u32::try_from(at + 1).unwrap_or(u32::MAX)))
            .collect();
        Self { text, starts }
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands at a place.
    pub fn part(&self, at: Span) -> &str {
        let range = usize::try_from(at.start).unwrap_or(0)..usize::try_from(at.end).unwrap_or(0);
        self.text.get(range).unwrap_or_default()
    }

    /// Line and column of a byte.
    pub fn place(&self, byte: u32) -> Place {
        let index = self.starts.partition_point(|start| *start <= byte);
        let start = index
            .checked_sub(1)
            .and_then(|index| self.starts.get(index))
            .copied()
            .unwrap_or_default();
        let before = self.part(Span { start, end: byte }).chars().count();
        Place {
            line: u32::try_from(index).unwrap_or(u32::MAX),
            column: u32::try_from(before + 1).unwrap_or(u32::MAX),
        }
    }

    /// The first and the last line of a part, from 1.
    pub fn lines(&self, at: Span) -> (u32, u32) {
        let last = if at.end > at.start {
            at.end - 1
        } else {
            at.end
        };
        (self.place(at.start).line, self.place(last).line)
    }

    /// A line's text without its end.
    pub fn line(&self, number: u32) -> Option<&str> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let start = usize::try_from(*self.starts.get(index)?).ok()?;
        let rest = self.text.get(start..)?;
        let line = rest.split('\n').next()?;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    /// How many lines there are.
    pub fn line_count(&self) -> u32 {
        let ends_with_break = self.text.ends_with('\n');
        let count = self.starts.len() - usize::from(ends_with_break);
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// Something that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Span,
    /// What: lower case, no final period; texts of the file in backticks.
    pub message: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Problem {
    /// Something that is wrong at a place.
    pub fn new(at: Span, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            expected: None,
            help: None,
        }
    }

    /// Says what would have been right.
    #[must_use]
    pub fn expected(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Asks whether the name most like a wrong one was meant.
    #[must_use]
    pub fn did_you_mean(mut self, name: &str, known: &[&str]) -> Self {
        if let Some(question) = did_you_mean(name, known.iter().copied()) {
            self.help = Some(question);
        }
        self
    }
}
