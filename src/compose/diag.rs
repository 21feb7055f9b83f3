//! Diagnostics of the loader: what is wrong, where, what was expected and how
//! to mend it, as data and as text with a source excerpt.
//!
//! `ui` may colour the text: [`Diagnostic::render`] takes a [`Style`] with the
//! escape sequences to put around the parts; [`Style::PLAIN`] has none.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tree::Mark;

/// A place in a file, for messages: `compose.yaml:3:7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file as it was named, or `-` for standard input.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, in characters.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Loading goes on.
    Warning,
    /// Loading fails.
    Error,
}

/// The line a diagnostic is about and the part of it to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The whole line, without its end.
    pub text: String,
    /// First character to underline, from 0.
    pub start: usize,
    /// How many characters to underline, at least 1.
    pub length: usize,
}

/// A step of the way to the error: `included by`, `extended by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was done there, as in: extended by service `web`.
    pub what: String,
    /// Where.
    pub position: Option<Position>,
}

/// One thing that is wrong, or ought to be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Where, if it is in a file.
    pub position: Option<Position>,
    /// The source line, if it is in a file.
    pub excerpt: Option<Excerpt>,
    /// Key path, `services.web.ports[1].target`; empty for the file as a whole.
    pub path: String,
    /// What is wrong: lower case, no final period.
    pub message: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// What to do: `did you mean `image`?`.
    pub suggestion: Option<String>,
    /// How the loader got there, the nearest first.
    pub chain: Vec<Step>,
}

impl Diagnostic {
    /// An error that has no place in a file.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message)
    }

    /// A warning that has no place in a file.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message)
    }

    fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            severity,
            position: None,
            excerpt: None,
            path: String::new(),
            message: message.into(),
            expected: None,
            suggestion: None,
            chain: Vec::new(),
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
    pub fn suggest(mut self, text: impl Into<String>) -> Self {
        self.suggestion = Some(text.into());
        self
    }

    /// Says which attribute it is about.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The text for a screen: severity and message, place and key path, the
    /// source line with a caret, what was expected, what to do, how it came.
    /// Ends without a line end.
    pub fn render(&self, style: &Style) -> String {
        let mut lines = vec![self.headline(style)];
        let gutter = self
            .position
            .as_ref()
            .map_or(1, |at| at.line.to_string().len());
        let Style { dim, reset, .. } = style;
        if let Some(at) = &self.position {
            let at = printable(&at.to_string());
            lines.push(format!("{dim}{:gutter$}-->{reset} {at}", ""));
        }
        if let (Some(at), Some(excerpt)) = (&self.position, &self.excerpt) {
            self.push_excerpt(&mut lines, at, excerpt, style);
        }
        if let Some(expected) = &self.expected {
            let expected = printable(expected);
            lines.push(format!("{dim}{:gutter$} ={reset} expected: {expected}", ""));
        }
        if let Some(suggestion) = &self.suggestion {
            let suggestion = printable(suggestion);
            lines.push(format!("{dim}{:gutter$} ={reset} help: {suggestion}", ""));
        }
        for step in &self.chain {
            let place = step
                .position
                .as_ref()
                .map_or_else(String::new, |at| format!(" at {at}"));
            let step = printable(&format!("{}{place}", step.what));
            lines.push(format!("{dim}{:gutter$} ={reset} {step}", ""));
        }
        lines.join("\n")
    }

    fn headline(&self, style: &Style) -> String {
        let Style {
            error,
            warning,
            bold,
            reset,
            ..
        } = style;
        let (colour, word) = match self.severity {
            Severity::Error => (error, "error"),
            Severity::Warning => (warning, "warning"),
        };
        let path = if self.path.is_empty() {
            String::new()
        } else {
            format!("{bold}{}{reset}: ", printable(&self.path))
        };
        format!("{colour}{word}:{reset} {path}{}", printable(&self.message))
    }

    /// Everything in one line: severity, key path, message, place.
    fn line(&self, style: &Style) -> String {
        let place = self.position.as_ref().map_or_else(String::new, |at| {
            format!(" ({})", printable(&at.to_string()))
        });
        format!("{}{place}", self.headline(style))
    }

    fn push_excerpt(
        &self,
        lines: &mut Vec<String>,
        at: &Position,
        excerpt: &Excerpt,
        style: &Style,
    ) {
        let Style {
            error,
            warning,
            dim,
            reset,
            ..
        } = style;
        let colour = match self.severity {
            Severity::Error => error,
            Severity::Warning => warning,
        };
        let gutter = at.line.to_string().len();
        // Tabs stay tabs in the caret's line, so that it stands under its text.
        let indent: String = excerpt
            .text
            .chars()
            .take(excerpt.start)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        lines.push(format!("{dim}{:gutter$} |{reset}", ""));
        lines.push(format!("{dim}{} |{reset} {}", at.line, excerpt.text));
        lines.push(format!(
            "{dim}{:gutter$} |{reset} {indent}{colour}{}{reset}",
            "",
            "^".repeat(excerpt.length.max(1))
        ));
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Style::PLAIN))
    }
}

/// Escape sequences around the parts of a rendered diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Before `error:` and its carets.
    pub error: &'static str,
    /// Before `warning:` and its carets.
    pub warning: &'static str,
    /// Before the key path.
    pub bold: &'static str,
    /// Before line numbers and gutters.
    pub dim: &'static str,
    /// After each of them.
    pub reset: &'static str,
}

impl Style {
    /// No colour.
    pub const PLAIN: Self = Self {
        error: "",
        warning: "",
        bold: "",
        dim: "",
        reset: "",
    };
    /// The usual terminal colours.
    pub const COLOUR: Self = Self {
        error: "\u{1b}[1;31m",
        warning: "\u{1b}[1;33m",
        bold: "\u{1b}[1m",
        dim: "\u{1b}[34m",
        reset: "\u{1b}[0m",
    };
}

/// Everything that stood against loading a project; at least one error, and
/// the warnings that came before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics {
    /// In the order in which they were found.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// The errors alone.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter().filter(|d| d.severity == Severity::Error)
    }

    /// The warnings alone.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter().filter(|d| d.severity == Severity::Warning)
    }

    /// All of them for a screen, a blank line between two.
    pub fn render(&self, style: &Style) -> String {
        self.list
            .iter()
            .map(|diagnostic| diagnostic.render(style))
            .collect::<Vec<_>>()
            .join("\n\n")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self {
            list: vec![diagnostic],
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Style::PLAIN))
    }
}

impl std::error::Error for Diagnostics {}

/// Diagnostics shown with their source line; those after them take a line each.
const SHOWN_IN_FULL: usize = 4;
/// Diagnostics shown at all: one screen.
const SHOWN: usize = 12;

/// A list for one screen: the first in full, the next in a line each, then how
/// many more there are. What stands at one place and says the same, as an
/// anchor's content does in each of its uses, is shown once.
pub fn render_list<'a>(list: impl IntoIterator<Item = &'a Diagnostic>, style: &Style) -> String {
    let mut once: Vec<&Diagnostic> = Vec::new();
    for one in list {
        let is_same = |known: &&Diagnostic| {
            known.position.is_some()
                && (&known.position, &known.message) == (&one.position, &one.message)
        };
        if !once.iter().any(is_same) {
            once.push(one);
        }
    }
    let mut texts: Vec<String> = once
        .iter()
        .take(SHOWN_IN_FULL)
        .map(|one| one.render(style))
        .collect();
    let rest = once.get(SHOWN_IN_FULL..).unwrap_or_default();
    let mut lines: Vec<String> = rest
        .iter()
        .take(SHOWN - SHOWN_IN_FULL)
        .map(|one| one.line(style))
        .collect();
    if once.len() > SHOWN {
        lines.push(format!("and {} more", once.len() - SHOWN));
    }
    if !lines.is_empty() {
        texts.push(lines.join("\n"));
    }
    texts.join("\n\n")
}

/// A text without what would steer a terminal; lines and tabs stay.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// The text of one loaded file.
#[derive(Debug, Clone)]
struct SourceFile {
    name: PathBuf,
    text: Arc<str>,
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
        });
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    fn file(&self, mark: Mark) -> Option<&SourceFile> {
        if !mark.is_known() {
            return None;
        }
        self.files.get(usize::try_from(mark.file).ok()?)
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
        let text = file.text.lines().nth(line)?;
        let start = usize::try_from(mark.column).ok()?.saturating_sub(1);
        Some(crop(text, start))
    }
}

/// Longest excerpt shown, in characters.
const EXCERPT_WIDTH: usize = 120;

/// Cuts a long line to the part around `start` and finds the token there.
fn crop(text: &str, start: usize) -> Excerpt {
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

/// Collects what the stages find.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) sources: Sources,
    pub(crate) list: Vec<Diagnostic>,
    /// How the file at work was reached, the nearest step first.
    pub(crate) chain: Vec<Step>,
    /// What to do about a variable that is not set.
    pub(crate) unset_help: Option<String>,
}

/// More diagnostics than this are not collected: nobody reads them.
const MOST_DIAGNOSTICS: usize = 50;

impl Report {
    /// A diagnostic at a place, yet to be completed and pushed.
    pub(crate) fn at(&self, mark: Mark, path: &str, message: impl Into<String>) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(message).path(path);
        diagnostic.position = self.sources.position(mark);
        diagnostic.excerpt = self.sources.excerpt(mark);
        diagnostic.chain.clone_from(&self.chain);
        diagnostic
    }

    /// An error at a place.
    pub(crate) fn error(&mut self, mark: Mark, path: &str, message: impl Into<String>) {
        let diagnostic = self.at(mark, path, message);
        self.push(diagnostic);
    }

    /// A warning at a place.
    pub(crate) fn warn(&mut self, mark: Mark, path: &str, message: impl Into<String>) {
        let mut diagnostic = self.at(mark, path, message);
        diagnostic.severity = Severity::Warning;
        self.push(diagnostic);
    }

    /// Adds a prepared diagnostic as a warning.
    pub(crate) fn push_warning(&mut self, mut diagnostic: Diagnostic) {
        diagnostic.severity = Severity::Warning;
        self.push(diagnostic);
    }

    /// Adds a diagnostic, once. What a later stage says of the same attribute at
    /// the same place, or with the same words, follows from the first.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let told = |known: &Diagnostic| {
            known.severity == diagnostic.severity
                && known.position == diagnostic.position
                && (known.path == diagnostic.path || known.message == diagnostic.message)
                && (known.position.is_some() || known == &diagnostic)
        };
        if self.list.len() < MOST_DIAGNOSTICS && !self.list.iter().any(told) {
            self.list.push(diagnostic);
        }
    }

    /// True where an error of this attribute, or of one below it, was reported:
    /// what is missing there now would only be told twice.
    pub(crate) fn is_broken(&self, path: &str) -> bool {
        self.list.iter().any(|diagnostic| {
            diagnostic.severity == Severity::Error
                && diagnostic
                    .path
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// All diagnostics in the order of reading: errors, then warnings; by file
    /// and place, those without a place first.
    pub(crate) fn sorted(self) -> Vec<Diagnostic> {
        let order = |diagnostic: &Diagnostic| {
            let place = diagnostic.position.as_ref().map(|at| {
                let file = self.sources.files.iter().position(|f| f.name == at.file);
                (file, at.line, at.column)
            });
            (diagnostic.severity == Severity::Warning, place)
        };
        let mut list = self.list;
        list.sort_by_cached_key(order);
        list
    }

    /// How many errors there are so far.
    pub(crate) fn error_count(&self) -> usize {
        self.list
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, message: &str) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(message).path(format!("services.s{line}"));
        diagnostic.position = Some(Position {
            file: "c.yaml".into(),
            line,
            column: 1,
        });
        diagnostic
    }

    #[test]
    fn a_list_fits_a_screen_and_repeats_nothing() {
        let mut list: Vec<Diagnostic> = (1..=14).map(|line| at(line, "wrong")).collect();
        list.push(at(1, "wrong").path("services.other"));
        let text = render_list(&list, &Style::PLAIN);
        assert!(
            text.starts_with("error: services.s1: wrong\n --> c.yaml:1:1\n\n"),
            "{text}"
        );
        assert!(
            text.contains("\nerror: services.s5: wrong (c.yaml:5:1)\n"),
            "{text}"
        );
        assert!(text.ends_with("and 2 more"), "{text}");
        assert!(!text.contains("other"), "{text}");
        assert!(text.lines().count() <= 24, "{text}");
    }

    #[test]
    fn nothing_of_a_file_steers_the_terminal() {
        let mut diagnostic = at(1, "`a\u{1b}[31mX`\u{9b}1m");
        diagnostic.suggestion = Some("\r".to_owned());
        let text = diagnostic.path("a\u{7}").render(&Style::PLAIN);
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()),
            "{text:?}"
        );
    }
}
