//! A diagnostic as text with a source excerpt.
//!
//! `ui` may colour it: [`Diagnostic::render`] takes a [`Style`] with the escape
//! sequences to put around the parts; [`Style::PLAIN`] has none.

use std::fmt;

use unicode_width::UnicodeWidthStr as _;

use super::{Diagnostic, Diagnostics, Excerpt, Position, Severity};

impl Diagnostic {
    /// The text for a screen: severity and message, place and key path, the
    /// source line with a caret, what was expected, what to do, how it came.
    /// Ends without a line end.
    pub fn render(&self, style: &Style) -> String {
        let mut lines = vec![self.headline(style)];
        let gutter = self.gutter();
        let Style { dim, reset, .. } = style;
        if let Some(at) = &self.position {
            let at = printable(&at.to_string());
            lines.push(format!("{dim}{:gutter$}-->{reset} {at}", ""));
        }
        if let (Some(at), Some(excerpt)) = (&self.position, &self.excerpt) {
            self.push_excerpt(&mut lines, at, excerpt, style);
        }
        let output = self.output.iter().map(|line| {
            let line = printable(line);
            format!("{dim}{:gutter$} >{reset} {line}", "")
        });
        lines.extend(output);
        let mut remark = |text: &str| {
            for (index, line) in printable(text).lines().enumerate() {
                let sign = if index == 0 { '=' } else { ' ' };
                lines.push(format!("{dim}{:gutter$} {sign}{reset} {line}", ""));
            }
        };
        if let Some(expected) = &self.expected {
            remark(&format!("expected: {expected}"));
        }
        if let Some(suggestion) = &self.suggestion {
            remark(&format!("help: {suggestion}"));
        }
        if let Some(note) = &self.note {
            remark(&format!("note: {note}"));
        }
        for step in &self.chain {
            let place = step
                .position
                .as_ref()
                .map_or_else(String::new, |at| format!(" at {at}"));
            remark(&format!("{}{place}", step.what));
        }
        lines.join("\n")
    }

    /// Width of the numbers of lines.
    fn gutter(&self) -> usize {
        let numbers = self.around.iter().map(|(number, _)| *number);
        let own = self.position.as_ref().map(|at| at.line);
        numbers
            .chain(own)
            .max()
            .map_or(1, |number| number.to_string().len())
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
        let message = printable(&self.message).replace('\n', " ");
        format!("{colour}{word}:{reset} {path}{message}")
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
        let gutter = self.gutter();
        // A tab is as wide as the terminal has it, so it is shown as spaces.
        let shown = |text: &str| printable(text).replace('\t', "    ").replace('\n', " ");
        let parts = |from: usize, count: usize| -> String {
            excerpt.text.chars().skip(from).take(count).collect()
        };
        let indent = shown(&parts(0, excerpt.start)).width();
        let carets = shown(&parts(excerpt.start, excerpt.length)).width();
        let numbered = |number: u32, text: &str| {
            let text = shown(text);
            format!("{dim}{number:gutter$} |{reset} {text}")
        };
        let around = |wanted: fn(&u32, &u32) -> bool| {
            let lines = self.around.iter();
            lines
                .filter(move |(number, _)| wanted(number, &at.line))
                .map(|(number, text)| numbered(*number, text))
        };
        lines.push(format!("{dim}{:gutter$} |{reset}", ""));
        lines.extend(around(u32::lt));
        lines.push(numbered(at.line, &excerpt.text));
        lines.push(format!(
            "{dim}{:gutter$} |{reset} {:indent$}{colour}{}{reset}",
            "",
            "",
            "^".repeat(carets.max(1))
        ));
        lines.extend(around(u32::gt));
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Style::PLAIN))
    }
}

impl Diagnostics {
    /// All of them for a screen, a blank line between two.
    pub fn render(&self, style: &Style) -> String {
        self.list
            .iter()
            .map(|diagnostic| diagnostic.render(style))
            .collect::<Vec<_>>()
            .join("\n\n")
    }
}

impl fmt::Display for Diagnostics {
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

/// A list for a stream, each with a line end, in the form that is asked for: as
/// [`render_list`] has it, or an object a line.
pub fn print_list<'a>(
    list: impl IntoIterator<Item = &'a Diagnostic>,
    style: Option<&Style>,
) -> String {
    match style {
        None => list
            .into_iter()
            .map(|one| format!("{}\n", one.json()))
            .collect(),
        Some(style) => match render_list(list, style) {
            text if text.is_empty() => text,
            text => format!("{text}\n"),
        },
    }
}

/// A list for the screen. What stands at one place and says the same, as an anchor's
/// content does in each of its uses, is shown once.
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
    let texts: Vec<String> = once.iter().map(|one| one.render(style)).collect();
    texts.join("\n\n")
}

/// Longest text of a file that a message repeats, in characters.
const LONGEST_QUOTED: usize = 80;

/// A text of the file in a message: in backticks, in one line, cut.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown = String::from("`");
    for (index, c) in text.chars().enumerate() {
        if index == LONGEST_QUOTED {
            shown.push('…');
            break;
        }
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c => shown.push(c),
        }
    }
    shown.push('`');
    shown
}

/// Names in a message: not more than a line of them.
pub(crate) fn listed(names: &[&str]) -> String {
    /// More are left out.
    const MOST_NAMES: usize = 10;
    let mut shown: Vec<String> = names
        .iter()
        .take(MOST_NAMES)
        .map(|name| quoted(name))
        .collect();
    if names.len() > MOST_NAMES {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

/// A text without what would steer a terminal or show it in another order than
/// it has; lines and tabs stay.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() || is_invisible(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// True for marks of direction and characters without width that no language
/// needs.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
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
    fn a_list_is_shown_in_full_and_repeats_nothing() {
        let mut list: Vec<Diagnostic> = (10..=23).map(|line| at(line, "wrong")).collect();
        list.push(at(10, "wrong").path("services.other"));
        let text = render_list(&list, &Style::PLAIN);
        let whole: Vec<String> = (10..=23)
            .map(|line| format!("error: services.s{line}: wrong\n  --> c.yaml:{line}:1"))
            .collect();
        assert_eq!(text, whole.join("\n\n"));
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
