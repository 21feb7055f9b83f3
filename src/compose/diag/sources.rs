//! The texts of the loaded files, and the line that a diagnostic shows of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::{Excerpt, Position};
use crate::compose::tree::Mark;

/// The text of one loaded file.
#[derive(Debug, Clone)]
struct SourceFile {
    name: PathBuf,
    text: Arc<str>,
    /// Where every so many lines one begins, in bytes; made when it is asked for.
    starts: OnceLock<Vec<usize>>,
}

/// Lines from one known beginning to the next.
const STEP: usize = 64;

impl SourceFile {
    /// A line by its number from 0, without its end.
    fn line(&self, number: usize) -> Option<&str> {
        let starts = self.starts.get_or_init(|| {
            let ends = self.text.match_indices('\n');
            let starts = std::iter::once(0).chain(ends.map(|(end, _)| end + 1));
            starts.step_by(STEP).collect()
        });
        let start = *starts.get(number / STEP)?;
        self.text.get(start..)?.lines().nth(number % STEP)
    }
}

/// The texts of all loaded files, which [`Mark`]s refer to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    files: Vec<SourceFile>,
}

impl Sources {
    /// Adds a file; the result is [`Mark::file`] for it.
    pub(crate) fn add(&mut self, name: &Path, text: Arc<str>) -> u32 {
        self.files.push(SourceFile {
            name: name.to_owned(),
            text,
            starts: OnceLock::new(),
        });
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    fn file(&self, mark: Mark) -> Option<&SourceFile> {
        if !mark.is_known() {
            return None;
        }
        self.files.get(usize::try_from(mark.file).ok()?)
    }

    /// How many files were read before this one.
    pub(super) fn order(&self, name: &Path) -> Option<usize> {
        self.files.iter().position(|file| file.name == name)
    }

    /// A mark in the words of a message.
    pub(crate) fn position(&self, mark: Mark) -> Option<Position> {
        Some(Position {
            file: self.file(mark)?.name.clone(),
            line: mark.line,
            column: mark.column,
        })
    }

    /// The source line at a mark, its token underlined.
    pub(crate) fn excerpt(&self, mark: Mark) -> Option<Excerpt> {
        let file = self.file(mark)?;
        let line = usize::try_from(mark.line).ok()?.checked_sub(1)?;
        let text = file.line(line)?;
        let start = usize::try_from(mark.column).ok()?.saturating_sub(1);
        Some(crop(text, start))
    }
}

impl Sources {
    /// A plain number as it is written at a mark (`0x10`, `1e3`), which may not
    /// be how it is read.
    pub(crate) fn number(&self, mark: Mark) -> Option<String> {
        let file = self.file(mark)?;
        let line = usize::try_from(mark.line).ok()?.checked_sub(1)?;
        let start = usize::try_from(mark.column).ok()?.checked_sub(1)?;
        let rest: Vec<char> = file.line(line)?.chars().skip(start).take(64).collect();
        let begins = |c: &char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.');
        let length = rest
            .iter()
            .position(|c| c.is_whitespace() || matches!(c, ',' | ']' | '}'));
        let token = rest.get(..length.unwrap_or(rest.len()))?;
        token
            .first()
            .is_some_and(begins)
            .then(|| token.iter().collect())
    }
}

/// Longest excerpt shown, in characters.
const EXCERPT_WIDTH: usize = 120;

/// Cuts a long line to the part around `start` and finds the token there.
fn crop(text: &str, start: usize) -> Excerpt {
    // Of a very long line no more is looked at than may be shown.
    let far = start.saturating_sub(EXCERPT_WIDTH);
    let near: String = text.chars().skip(far).take(3 * EXCERPT_WIDTH).collect();
    crop_line(&near, start - far)
}

fn crop_line(text: &str, start: usize) -> Excerpt {
    let clean: Vec<char> = text
        .trim_end()
        .chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect();
    let start = start.min(clean.len());
    let rest = clean.get(start..).unwrap_or_default();
    let length = token_length(rest).max(1);
    let skip = if clean.len() > EXCERPT_WIDTH && start > EXCERPT_WIDTH / 2 {
        start - EXCERPT_WIDTH / 3
    } else {
        0
    };
    let shown: String = clean.iter().skip(skip).take(EXCERPT_WIDTH).collect();
    let room = shown.chars().count().saturating_sub(start - skip).max(1);
    Excerpt {
        text: shown,
        start: start - skip,
        length: length.min(room),
    }
}

/// How far the YAML token at the start of `rest` goes: a quoted string to its
/// closing quote, else up to what ends a plain scalar.
fn token_length(rest: &[char]) -> usize {
    match rest.first() {
        Some(quote @ ('"' | '\'')) => rest
            .iter()
            .skip(1)
            .position(|c| c == quote)
            .map_or(rest.len(), |at| at + 2),
        Some('{' | '[' | '|' | '>' | '&' | '*' | '!' | '-') | None => 1,
        Some(_) => {
            let ends = |(at, c): (usize, &char)| match c {
                ',' | ']' | '}' => true,
                ':' => rest.get(at + 1).is_none_or(|next| next.is_whitespace()),
                '#' => at > 0 && rest.get(at - 1).is_some_and(|c| c.is_whitespace()),
                _ => false,
            };
            let end = rest.iter().enumerate().position(ends).unwrap_or(rest.len());
            let token = rest.get(..end).unwrap_or_default();
            end - token.iter().rev().take_while(|c| c.is_whitespace()).count()
        }
    }
}
