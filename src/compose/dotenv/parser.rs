//! The grammar: one statement after the other.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use indexmap::IndexMap;

use super::escapes::unescape;
use super::names::spaced_name;
use super::uses::uses_in;
use super::{Assignment, DotenvError, LINE, MOST_ERRORS, Parsed, Used, too_many};
use crate::compose::diag::quoted;
use crate::compose::interpolate;
use crate::compose::limits::{Budget, MOST_SETTINGS, MOST_TEXT};
use crate::compose::template::{self, Lookup};

/// Reads a text, with the variables in each value where `tells_uses` says so.
pub(super) fn read(
    text: &str,
    variables: &mut IndexMap<String, String>,
    outside: &Lookup<'_>,
    tells_uses: bool,
) -> Result<Parsed, Vec<DotenvError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser {
        rest: text,
        length: text.len(),
        written: 0..0,
        uses: Vec::new(),
        tells_uses,
        line: 1,
        variables,
        outside,
        parsed: Parsed::default(),
        errors: Vec::new(),
        room: RefCell::new(Budget::new(MOST_TEXT)),
    };
    while parser.errors.len() < MOST_ERRORS && parser.skip_to_statement() {
        if parser.parsed.settings.len() >= MOST_SETTINGS {
            parser.errors.push(too_many(parser.line));
            break;
        }
        if let Err(error) = parser.statement() {
            parser.errors.push(error);
            break;
        }
    }
    if parser.errors.is_empty() {
        Ok(parser.parsed)
    } else {
        Err(parser.errors)
    }
}

struct Parser<'a> {
    rest: &'a str,
    line: u32,
    /// That of the whole text.
    length: usize,
    /// Where the value at work stands.
    written: Range<usize>,
    /// The variables in it.
    uses: Vec<Used>,
    tells_uses: bool,
    variables: &'a mut IndexMap<String, String>,
    outside: &'a Lookup<'a>,
    parsed: Parsed,
    /// What is wrong so far; reading went on in the next line.
    errors: Vec<DotenvError>,
    /// What variables within values may still add.
    room: RefCell<Budget>,
}

impl<'a> Parser<'a> {
    /// Notes an error and leaves the rest of its line out.
    fn give_line_up(&mut self, error: DotenvError) {
        self.errors.push(error);
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        self.advance(end);
    }

    /// Goes on by `length` bytes, counting lines.
    fn advance(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        let lines = taken.bytes().filter(|b| *b == b'\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = rest;
        taken
    }

    /// Skips blank lines and comments; false at the end.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.advance(blank);
            if !self.rest.starts_with('#') {
                return !self.rest.is_empty();
            }
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.advance(end);
        }
    }

    fn skip_spaces(&mut self) {
        let end = self.rest.find(|c| !is_space(c)).unwrap_or(self.rest.len());
        self.advance(end);
    }

    /// Reads one line, or several that a quote holds together. An error is one
    /// behind which nothing can be read.
    fn statement(&mut self) -> Result<(), DotenvError> {
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with(char::is_whitespace)
        {
            self.advance("export".len());
            self.skip_spaces();
        }
        let line = self.line;
        let name_end = match self.name_end() {
            Ok(end) => end,
            Err(wrong) => {
                let whole = self.rest.lines().next().unwrap_or_default();
                self.give_line_up(DotenvError {
                    line,
                    message: format!("`{wrong}` cannot be in a name: {}", quoted(whole)),
                    expected: LINE,
                    suggestion: None,
                });
                return Ok(());
            }
        };
        let start = self.at();
        let name = self.advance(name_end).trim_end().to_owned();
        self.written = start..start + name.len();
        let separator = self.rest.chars().next();
        self.advance(separator.map_or(0, char::len_utf8));
        self.skip_spaces();
        if separator.is_none() && !name.is_empty() {
            // As the reference has it, which wants a line end behind a name alone.
            self.parsed.unended = Some((line, name.clone()));
            self.set(String::new(), name, line);
            return Ok(());
        }
        if name.contains(' ') {
            let value = self.rest.lines().next().filter(|_| separator != Some('\n'));
            self.errors.push(spaced_name(line, &name, value));
            if separator != Some('\n') {
                self.value()?;
            }
            return Ok(());
        }
        if matches!(separator, None | Some('\n')) {
            // A name alone: its value comes from outside, or it has none.
            if let Some(value) = (self.outside)(&name) {
                if self.tells_uses {
                    self.uses.push(Used::outer(&name, Some(value.clone())));
                }
                self.set(name, value, line);
            }
            return Ok(());
        }
        let value = self.value()?;
        self.set(name, value, line);
        Ok(())
    }

    fn set(&mut self, name: String, value: String, line: u32) {
        self.parsed.settings.push(Assignment {
            name: name.clone(),
            value: value.clone(),
            line,
            written: self.written.clone(),
            uses: std::mem::take(&mut self.uses),
        });
        self.variables.insert(name, value);
    }

    /// How much was read.
    fn at(&self) -> usize {
        self.length - self.rest.len()
    }

    /// Where the name ends: at `=`, `:`, the line's end or the text's. An error is
    /// a character that no name has.
    fn name_end(&self) -> Result<usize, char> {
        for (at, c) in self.rest.char_indices() {
            match c {
                '=' | ':' | '\n' => return Ok(at),
                '_' | '.' | '-' | '[' | ']' => {}
                c if c.is_alphanumeric() || is_space(c) => {}
                c => return Err(c),
            }
        }
        Ok(self.rest.len())
    }

    fn value(&mut self) -> Result<String, DotenvError> {
        if let Some(quote @ ('"' | '\'')) = self.rest.chars().next() {
            self.quoted(quote)
        } else {
            let (line, start) = (self.line, self.at());
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            let text = self.advance(end);
            self.advance(usize::from(!self.rest.is_empty()));
            let text = text.split(" #").next().unwrap_or_default().trim_end();
            self.written = start..start + text.len();
            self.expand(text, line)
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, DotenvError> {
        let (line, start) = (self.line, self.at());
        let mut value = String::new();
        let mut escaped = false;
        for (at, c) in self.rest.char_indices().skip(1) {
            if c == quote && !escaped {
                self.advance(at + 1);
                self.written = start..self.at();
                return if quote == '"' {
                    self.expand(&unescape(&value), line)
                } else {
                    Ok(value)
                };
            }
            if c == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if escaped && c != quote {
                value.push('\\');
            }
            escaped = false;
            value.push(c);
        }
        let shown = self.rest.lines().next().unwrap_or_default();
        Err(DotenvError {
            line: self.line,
            message: format!("the quote of {} is not closed", quoted(shown)),
            expected: "a value that ends with the quote that it begins with",
            suggestion: Some(format!("close it: {}", quoted(&format!("{shown}{quote}")))),
        })
    }

    fn expand(&mut self, text: &str, line: u32) -> Result<String, DotenvError> {
        let variables = &*self.variables;
        let outside = self.outside;
        let is_full = Cell::new(false);
        let lookup = |name: &str| {
            let value = outside(name).or_else(|| variables.get(name).cloned())?;
            is_full.set(!self.room.borrow_mut().take(value.len()));
            (!is_full.get()).then_some(value)
        };
        let result = template::substitute(text, &lookup);
        if is_full.get() {
            let message = format!("the values grow beyond {} MiB", MOST_TEXT >> 20);
            return Err(DotenvError {
                line,
                message,
                expected: "values that do not multiply each other",
                suggestion: None,
            });
        }
        if self.tells_uses {
            self.uses = uses_in(text, outside, variables);
        }
        match result {
            Ok((value, unset)) => {
                self.parsed.unset.extend(unset);
                Ok(value)
            }
            Err(errors) => {
                self.errors.extend(errors.iter().map(|error| DotenvError {
                    line,
                    message: error.to_string(),
                    expected: interpolate::expected(error),
                    suggestion: interpolate::advice(error),
                }));
                Ok(String::new())
            }
        }
    }
}

/// White space within a line.
fn is_space(c: char) -> bool {
    matches!(
        c,
        '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}'
    )
}
