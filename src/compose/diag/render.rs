//! A diagnostic as text with a source excerpt.
//!
//! `ui` may colour it: [`Diagnostic::render`] takes a [`Style`] with the escape
//! sequences to put around the parts; [`Style::PLAIN`] has none.

use std::fmt;

use super::{Diagnostic, Diagnostics, Excerpt, Position, Severity};

impl Diagnostic {
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
