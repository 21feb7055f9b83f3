//! The texts of the loaded files, how they were reached, and the line that a
//! diagnostic shows of them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::provenance::Provenance;
use super::uses::use_in;
use super::ways::{Way, Ways};
use super::{Excerpt, Position, Step, UseKind};
use crate::compose::tree::Mark;

/// How a file was reached that another one includes.
pub(crate) const INCLUDED: &str = "included";

/// Most services of a long chain that are told of.
const MOST_EXTENDED: usize = 10;

/// The text of one loaded file.
#[derive(Debug, Clone)]
struct SourceFile {
    name: PathBuf,
    text: Arc<str>,
    /// How the loader came here, the nearest step first.
    way: Vec<Step>,
    /// Places of the text, [`STEP`] bytes or a little more from one to the next;
    /// made when the first is asked for.
    known: OnceLock<Vec<Known>>,
}

/// Where a place is in the text.
#[derive(Debug, Clone, Copy)]
struct Known {
    byte: usize,
    line: u32,
    column: u32,
}

/// How far apart known places are: a search reads no more than this.
const STEP: usize = 4096;

impl SourceFile {
    fn known(&self) -> &[Known] {
        self.known.get_or_init(|| {
            let mut at = Known {
                byte: 0,
                line: 1,
                column: 1,
            };
            let mut known = vec![at];
            let mut last = 0;
            let mut chars = self.text.char_indices().peekable();
            while let Some((_, c)) = chars.next() {
                let next = chars.peek();
                at.byte = next.map_or(self.text.len(), |(byte, _)| *byte);
                if c == '\n' || (c == '\r' && next.is_none_or(|(_, next)| *next != '\n')) {
                    at.line = at.line.saturating_add(1);
                    at.column = 1;
                } else {
                    at.column = at.column.saturating_add(1);
                }
                if at.byte >= last + STEP {
                    known.push(at);
                    last = at.byte;
                }
            }
            known
        })
    }

    /// The text from a place on, the end of its line where that is shorter.
    fn from(&self, line: u32, column: u32) -> Option<&str> {
        let known = self.known();
        let behind = known.partition_point(|at| (at.line, at.column) <= (line, column));
        let mut at = *known.get(behind.checked_sub(1)?)?;
        let rest = self.text.get(at.byte..)?;
        let mut chars = rest.char_indices().peekable();
        while let Some((offset, c)) = chars.next() {
            let is_break = matches!(c, '\n' | '\r');
            if at.line == line && (at.column == column || is_break) {
                return rest.get(offset..);
            }
            let is_pair = c == '\r' && chars.peek().is_some_and(|(_, next)| *next == '\n');
            if is_break && !is_pair {
                at.line += 1;
                at.column = 1;
            } else {
                at.column = at.column.saturating_add(1);
            }
        }
        (at.line == line).then_some("")
    }
}

/// The texts of all loaded files, which [`Mark`]s refer to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    files: Vec<SourceFile>,
    /// What the variables in them stood for.
    pub(crate) provenance: Provenance,
    /// By which aliases and services values came where they are.
    pub(crate) ways: Ways,
}

impl Sources {
    /// The names of all files.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.name.as_path())
    }

    /// Adds a file; the result is [`Mark::file`] for it.
    pub(crate) fn add(&mut self, name: &Path, text: Arc<str>) -> u16 {
        // A byte order mark takes no column.
        let text = match text.strip_prefix('\u{feff}') {
            Some(text) => Arc::from(text),
            None => text,
        };
        if self.files.len() >= usize::from(u16::MAX) {
            return u16::MAX; // the number of none: what is wrong there has no place
        }
        self.files.push(SourceFile {
            name: name.to_owned(),
            text,
            way: Vec::new(),
            known: OnceLock::new(),
        });
        u16::try_from(self.files.len() - 1).unwrap_or(u16::MAX)
    }

    /// The name of one.
    pub(crate) fn name(&self, file: u16) -> Option<&Path> {
        let file = self.files.get(usize::from(file))?;
        Some(&file.name)
    }

    fn file(&self, mark: Mark) -> Option<&SourceFile> {
        if !mark.is_known() {
            return None;
        }
        self.files.get(usize::from(mark.file))
    }

    /// The first place of a file.
    pub(crate) fn start_of(&self, name: &Path) -> Option<Mark> {
        let file = u16::try_from(self.order(name)?).ok()?;
        Some(Mark {
            line: 1,
            column: 1,
            length: Mark::TO_LINE_END,
            file,
        })
    }

    /// How many files were read before this one.
    pub(super) fn order(&self, name: &Path) -> Option<usize> {
        self.files.iter().position(|file| file.name == name)
    }

    /// Remembers that a file was reached from a place in another one: `included`,
    /// `extended by service web`.
    pub(crate) fn reached(&mut self, file: u16, from: Mark, what: impl Into<String>) {
        if !from.is_known() {
            return;
        }
        let step = Step {
            what: what.into(),
            position: self.position(from),
        };
        let before = self.way(from).iter().cloned();
        let way = std::iter::once(step).chain(before).collect();
        if let Some(file) = self.files.get_mut(usize::from(file)) {
            file.way = way;
        }
    }

    /// How a file was reached.
    pub(crate) fn way_of(&self, file: u16) -> &[Step] {
        let file = self.files.get(usize::from(file));
        file.map(|file| file.way.as_slice()).unwrap_or_default()
    }

    fn way(&self, mark: Mark) -> &[Step] {
        self.file(mark)
            .map(|file| file.way.as_slice())
            .unwrap_or_default()
    }

    /// How what stands at a mark came to the attribute `path`: the variables in it,
    /// the aliases and the services by which it did, then how the file was reached.
    pub(crate) fn chain(&self, mark: Mark, path: &str) -> Vec<Step> {
        let token = self.token(mark).unwrap_or_default();
        let mut chain = self.provenance.steps(mark.file, token, self);
        let way = self.ways.find(mark, path);
        chain.extend(self.aliases(&way));
        let extended = way.extended.iter().map(|(service, mark)| Step {
            what: format!("extended by service `{service}`"),
            position: self.position(*mark),
        });
        let mut extended: Vec<Step> = extended.collect();
        if extended.len() > MOST_EXTENDED {
            let further = extended.len() - MOST_EXTENDED;
            let left_out = Step {
                what: format!("extended by {further} more"),
                position: None,
            };
            let near = MOST_EXTENDED - 1;
            extended.splice(near..near + further, [left_out]);
        }
        chain.extend(extended);
        let from = way.extended.last().map_or(mark, |(_, mark)| *mark);
        chain.extend_from_slice(self.way(from));
        chain
    }

    /// The aliases by which what stands at a mark came to the attribute `path`, the
    /// nearest first.
    pub(crate) fn repeated_by(&self, mark: Mark, path: &str) -> Vec<Step> {
        self.aliases(&self.ways.find(mark, path)).collect()
    }

    fn aliases(&self, way: &Way<'_>) -> impl Iterator<Item = Step> {
        way.aliases.iter().map(|alias| {
            let written = self.token(alias.mark).unwrap_or("*");
            Step {
                what: if alias.is_merged {
                    format!("merged by `<<: {written}`")
                } else {
                    format!("repeated by `{written}`")
                },
                position: self.position(alias.mark),
            }
        })
    }

    /// A mark in the words of a message.
    pub(crate) fn position(&self, mark: Mark) -> Option<Position> {
        Some(Position {
            file: self.file(mark)?.name.clone(),
            line: mark.line,
            column: mark.column,
        })
    }

    /// The name and the text of a file.
    pub(super) fn text(&self, file: u16) -> Option<&str> {
        self.files.get(usize::from(file)).map(|file| &*file.text)
    }

    /// The text from a mark on.
    pub(crate) fn from(&self, mark: Mark) -> Option<&str> {
        self.file(mark)?.from(mark.line, mark.column)
    }

    /// The line of a mark.
    pub(crate) fn line(&self, mark: Mark) -> Option<&str> {
        lines(self.file(mark)?.from(mark.line, 1)?).next()
    }

    /// The source line at a mark, its token underlined.
    pub(crate) fn excerpt(&self, mark: Mark) -> Option<Excerpt> {
        let file = self.file(mark)?;
        // Of a very long line no more is read than may be shown.
        let skipped = mark.column.saturating_sub(1).saturating_sub(2 * WIDTH);
        let near = file.from(mark.line, skipped + 1)?;
        let near = lines(near).next().unwrap_or_default();
        let far = near.char_indices().nth(5 * EXCERPT_WIDTH);
        let near = far.map_or(near, |(end, _)| near.get(..end).unwrap_or_default());
        let start = usize::try_from(mark.column.saturating_sub(1) - skipped).ok()?;
        let length = match mark.length {
            0 => {
                let rest: Vec<char> = near.chars().skip(start).take(EXCERPT_WIDTH).collect();
                token_length(&rest)
            }
            length => usize::from(length),
        };
        let mut excerpt = crop(near, start, length);
        excerpt.end = match mark.length {
            0 | Mark::TO_LINE_END => excerpt.end.saturating_add(skipped),
            length => mark.column.saturating_add(length.into()),
        };
        Some(excerpt)
    }

    /// What is written at a mark, up to the line's end; empty for a block.
    pub(crate) fn token(&self, mark: Mark) -> Option<&str> {
        let rest = self.file(mark)?.from(mark.line, mark.column)?;
        let rest = match rest.char_indices().nth(mark.length.into()) {
            Some((end, _)) => rest.get(..end)?,
            None => rest,
        };
        lines(rest).next()
    }

    /// The part of a mark that a message is about: the first text in backticks,
    /// where it stands there as it is; else the whole mark.
    pub(crate) fn narrowed(&self, mark: Mark, message: &str) -> Mark {
        let part = message.split('`').nth(1).unwrap_or_default();
        let is_part = |token: &str| {
            let quotes = ['"', '\''];
            !part.is_empty() && token.trim_matches(quotes) != part && token.contains(part)
        };
        match self.token(mark) {
            Some(token) if is_part(token) => self.part(mark, part),
            _ => mark,
        }
    }

    /// Where a file uses a variable for the first time.
    pub(crate) fn use_of(&self, file: u16, name: &str) -> Option<Mark> {
        let start = Mark {
            line: 1,
            column: 1,
            length: 0,
            file,
        };
        self.use_from(start, usize::MAX, name, UseKind::Plain)
    }

    /// Where in the value at a mark, which may go over several lines, a variable
    /// is used in this way, else in any.
    pub(crate) fn variable(&self, mark: Mark, name: &str, kind: UseKind) -> Mark {
        self.use_from(mark, MOST_LINES, name, kind).unwrap_or(mark)
    }

    fn use_from(&self, mark: Mark, most: usize, name: &str, kind: UseKind) -> Option<Mark> {
        let first = |kind| self.first_from(mark, most, |rest| use_in(rest, name, kind));
        let any = first(None)?;
        // Far behind the first use it is one of another value.
        let this = first(Some(kind)).filter(|this| this.line == any.line);
        Some(this.unwrap_or(any))
    }

    /// Where in the value at a mark, which may go over several lines, this text
    /// stands.
    pub(crate) fn part(&self, mark: Mark, part: &str) -> Mark {
        let find = |rest: &str| Some((rest.find(part)?, part.len()));
        let found = self.first_from(mark, MOST_LINES, find);
        found.unwrap_or(mark)
    }

    /// The first place at or behind a mark, in so many lines, that `find` finds in
    /// one: start and length in bytes.
    fn first_from(
        &self,
        mark: Mark,
        most: usize,
        find: impl Fn(&str) -> Option<(usize, usize)>,
    ) -> Option<Mark> {
        let text = self.file(mark)?.from(mark.line, mark.column)?;
        let before = mark.column.checked_sub(1)?;
        let mut rests = lines(text).take(most).enumerate().map(|(index, line)| {
            let before = if index == 0 { before } else { 0 };
            (index, before, line)
        });
        rests.find_map(|(index, before, rest)| {
            let (start, length) = find(rest)?;
            let start_chars = rest.get(..start)?.chars().count();
            let length = rest.get(start..start + length)?.chars().count();
            Some(Mark {
                line: mark.line.checked_add(u32::try_from(index).ok()?)?,
                column: u32::try_from(start_chars)
                    .ok()?
                    .checked_add(before)?
                    .checked_add(1)?,
                length: u16::try_from(length).unwrap_or(Mark::TO_LINE_END),
                file: mark.file,
            })
        })
    }

    /// A plain number as it is written at a mark (`0x10`, `1e3`), which may not
    /// be how it is read.
    pub(crate) fn number(&self, mark: Mark) -> Option<String> {
        let token = self.token(mark)?;
        let begins = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.');
        token.starts_with(begins).then(|| token.to_owned())
    }
}

/// The lines of a text as YAML counts them: a carriage return alone ends one,
/// too.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let is_end = |byte: u8| matches!(byte, b'\n' | b'\r');
        let Some(end) = text.bytes().position(is_end) else {
            rest = None;
            return Some(text);
        };
        let (line, tail) = text.split_at(end);
        let tail = tail.strip_prefix('\r').unwrap_or(tail);
        rest = Some(tail.strip_prefix('\n').unwrap_or(tail));
        Some(line)
    })
}

/// Lines in which a part of a value is looked for.
const MOST_LINES: usize = 1_000;

/// Longest excerpt shown, in characters.
const EXCERPT_WIDTH: usize = 120;
/// The same, as columns are counted.
const WIDTH: u32 = 120;
/// How much of a line is shown before what is underlined in its middle.
const BEFORE: usize = EXCERPT_WIDTH / 3;

/// Cuts a long line to the part around `start`. Of a very long one, no more is
/// copied than is shown.
pub(crate) fn crop(line: &str, start: usize, length: usize) -> Excerpt {
    let line = line.trim_end();
    let start = line.chars().take(start).count();
    let length = line.chars().skip(start).take(length).count().max(1);
    let end = u32::try_from(start + length + 1).unwrap_or(u32::MAX);
    let is_longer_than = |width: usize| line.chars().nth(width).is_some();
    let skip = if is_longer_than(EXCERPT_WIDTH) && start + length > EXCERPT_WIDTH {
        start.saturating_sub(BEFORE)
    } else {
        0
    };
    let mut shown: String = line.chars().skip(skip).take(EXCERPT_WIDTH).collect();
    let room = shown.chars().count().saturating_sub(start - skip).max(1);
    let mut start = start - skip;
    if is_longer_than(skip + EXCERPT_WIDTH) {
        shown.push('…');
    }
    if skip > 0 {
        shown.insert(0, '…');
        start += 1;
    }
    Excerpt {
        text: shown,
        start,
        length: length.min(room),
        end,
    }
}

/// How far the first token of a block goes: a quoted key to its closing quote,
/// else up to what ends a plain one.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> Sources {
        let mut sources = Sources::default();
        sources.add(Path::new("f"), Arc::from(text));
        sources
    }

    fn at(line: u32, column: u32, length: u16) -> Mark {
        Mark {
            line,
            column,
            length,
            file: 0,
        }
    }

    #[test]
    fn lines_are_those_of_yaml() {
        let sources = sources("\u{feff}a\r\nb\rc\n\nd");
        let line = |line| Some(sources.excerpt(at(line, 1, 1))?.text);
        let found: Vec<_> = (1..=6).map(line).collect();
        let expected = [Some("a"), Some("b"), Some("c"), Some(""), Some("d"), None];
        assert_eq!(found, expected.map(|line| line.map(str::to_owned)));
    }

    #[test]
    fn places_far_into_a_text_are_found() {
        let text = format!(
            "{}é{}\r\n{}",
            "ab\n".repeat(5_000),
            "c".repeat(9_000),
            "x y\n".repeat(3_000)
        );
        let sources = sources(&text);
        assert_eq!(sources.token(at(4_321, 2, 1)), Some("b"));
        assert_eq!(sources.token(at(5_001, 1, 2)), Some("éc"));
        assert_eq!(sources.token(at(5_001, 9_001, 5)), Some("c"));
        assert_eq!(sources.token(at(5_001, 9_002, 5)), Some(""));
        assert_eq!(sources.token(at(7_000, 3, 1)), Some("y"));
        assert_eq!(sources.token(at(9_000, 1, 1)), None);
        let excerpt = sources.excerpt(at(5_001, 8_000, 3)).unwrap();
        assert_eq!(excerpt.end, 8_003);
    }

    #[test]
    fn what_is_marked_is_counted_in_characters() {
        let sources = sources("größe: \"日本\" # x\n");
        assert_eq!(sources.token(at(1, 8, 4)), Some("\"日本\""));
        assert_eq!(sources.token(at(1, 1, 5)), Some("größe"));
        assert_eq!(sources.narrowed(at(1, 8, 4), "`本` is"), at(1, 10, 1));
        assert_eq!(sources.narrowed(at(1, 8, 4), "`x` is"), at(1, 8, 4));
        assert_eq!(sources.excerpt(at(1, 1, 0)).unwrap().length, 5);
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}: wrong{}", "k".repeat(200), " x".repeat(100));
        let excerpt = sources(&text).excerpt(at(1, 203, 5)).unwrap();
        assert!(excerpt.text.starts_with("…k"), "{excerpt:?}");
        assert!(excerpt.text.ends_with('…'), "{excerpt:?}");
        let marked: String = excerpt.text.chars().skip(excerpt.start).take(5).collect();
        assert_eq!((marked.as_str(), excerpt.end), ("wrong", 208));
        let start = sources(&text).excerpt(at(1, 1, 200)).unwrap();
        assert_eq!((start.start, start.length, start.end), (0, 120, 201));
    }
}
