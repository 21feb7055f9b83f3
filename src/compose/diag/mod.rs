//! Diagnostics of the loader: what is wrong, where, what was expected and how
//! to mend it. [`render`] makes text of it, [`json`] data; [`report`] collects it
//! from the stages, [`sources`] has the files that it points into, [`provenance`]
//! the variables in them, [`ways`] by what a value came to an attribute.

mod allowed;
mod json;
mod provenance;
mod render;
mod report;
mod set;
#[cfg(test)]
mod sites;
mod sources;
mod uses;
mod ways;

use std::fmt;
use std::path::PathBuf;

pub(crate) use crate::similar::{did_you_mean, similar};
pub(crate) use allowed::Allowed;
pub(crate) use json::{place_json, step_json};
pub use render::{Style, print_list, render_list};
pub(crate) use render::{is_invisible, listed, quoted};
pub(crate) use report::Report;
pub use set::SetPart;
pub(crate) use sources::{INCLUDED, Sources, crop, lines};
pub(crate) use uses::UseKind;
pub(crate) use ways::{Alias, Service};

/// A place in a file, for messages: `compose.yaml:3:7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file, absolute, or `-` for standard input.
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
    /// The line, without its end and with what makes it too long cut off.
    pub text: String,
    /// First character to underline, from 0.
    pub start: usize,
    /// How many characters to underline, at least 1.
    pub length: usize,
    /// The column behind the last of them in the whole line, from 1.
    pub end: u32,
}

/// A step of the way to the error: what a variable stood for, how its file was
/// reached.
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
    /// What else there is to know, as that the specification allows it.
    pub note: Option<String>,
    /// How the loader got there, the nearest first.
    pub chain: Vec<Step>,
    /// Lines of the file before and behind the one that it is about, with their
    /// numbers.
    pub around: Vec<(u32, String)>,
    /// The last lines that a program wrote whose failure it is.
    pub output: Vec<String>,
    /// Which line of the loader made it.
    #[cfg(test)]
    pub(crate) site: &'static std::panic::Location<'static>,
}

impl Diagnostic {
    /// An error that has no place in a file.
    #[track_caller]
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message)
    }

    /// A warning that has no place in a file.
    #[track_caller]
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message)
    }

    #[track_caller]
    fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            severity,
            position: None,
            excerpt: None,
            path: String::new(),
            message: message.into(),
            expected: None,
            suggestion: None,
            note: None,
            chain: Vec::new(),
            around: Vec::new(),
            output: Vec::new(),
            #[cfg(test)]
            site: std::panic::Location::caller(),
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

    /// Says that the specification allows what is refused here.
    #[must_use]
    pub(crate) fn allowed(mut self, allowed: impl Into<Option<Allowed>>) -> Self {
        self.note = allowed.into().map(Allowed::note).or(self.note);
        self
    }

    /// Where a variable that is not set, or empty, has left a value empty: says what to
    /// do about that, with an example of its value.
    #[must_use]
    pub(crate) fn of_empty_variable(mut self, example: &str) -> Self {
        let empty = self.chain.iter().find_map(|step| {
            let (name, state) = step.what.strip_prefix('`')?.split_once('`')?;
            let is_empty = [" is not set", " is empty"]
                .iter()
                .any(|words| state.starts_with(words));
            is_empty.then_some(name)
        });
        if let Some(name) = empty {
            self.suggestion = Some(format!(
                "set it in the environment or in `.env`, `{name}={example}`, or give it a \
                 default here: `${{{name}:-{example}}}`"
            ));
        }
        self
    }

    /// Takes a message apart that is `WHAT IS WRONG; expected THIS; DO THAT`: its
    /// first part stays.
    #[must_use]
    pub(crate) fn in_parts(mut self) -> Self {
        let message = std::mem::take(&mut self.message);
        let mut parts = message.split("; ");
        parts
            .next()
            .unwrap_or_default()
            .clone_into(&mut self.message);
        let (expected, advice): (Vec<&str>, Vec<&str>) =
            parts.partition(|part| part.starts_with("expected "));
        let expected = expected
            .first()
            .and_then(|text| text.strip_prefix("expected "));
        self.expected = expected.map(str::to_owned);
        if !advice.is_empty() {
            self.suggestion = Some(advice.join("; "));
        }
        self
    }

    /// Says which attribute it is about.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }
}

/// Everything that stood against loading a project; at least one error, and
/// the warnings that came before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics {
    /// In the order of reading: errors, then warnings; by file and place.
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
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self {
            list: vec![diagnostic],
        }
    }
}

impl std::error::Error for Diagnostics {}
