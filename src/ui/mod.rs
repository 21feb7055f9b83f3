//! How things look: progress, log lines, tables, colours, diagnostics.
//!
//! Data goes to standard output, everything about the work itself to standard
//! error. Colours and animation appear on a terminal only, and never with
//! `NO_COLOR` or `--ansi never`.

pub mod color;
pub mod logs;
pub mod progress;
pub mod table;
pub mod units;

use std::io::{self, IsTerminal, Write};

use crate::env;

/// When to use colours and cursor movement (`--ansi`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ansi {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Always.
    Always,
}

/// How progress is shown (`--progress`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Progress {
    /// `tty` where standard error is a terminal, else `plain`.
    #[default]
    Auto,
    /// Lines that are drawn again in place.
    Tty,
    /// One line for each change.
    Plain,
    /// One JSON object for each change.
    Json,
    /// Nothing but warnings.
    Quiet,
}

/// The two streams, and what they can show.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    /// Standard output takes colours.
    pub color_out: bool,
    /// Standard error takes colours.
    pub color_err: bool,
    /// How progress is shown; never [`Progress::Auto`].
    pub progress: Progress,
    /// Messages are JSON objects, one a line, for tools.
    pub json: bool,
    /// Where it is shown.
    pub status: Stream,
}

/// A standard stream that is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    #[default]
    Err,
}

impl Stream {
    fn is_terminal(self) -> bool {
        match self {
            Self::Out => io::stdout().is_terminal(),
            Self::Err => io::stderr().is_terminal(),
        }
    }

    /// Writes text; a closed stream is nobody's loss.
    pub fn write(self, text: &str) {
        match self {
            Self::Out => write_out(text).ok().unwrap_or_default(),
            Self::Err => write_err(text),
        }
    }
}

impl Default for Ui {
    /// Lines without colours on standard error.
    fn default() -> Self {
        Self {
            color_out: false,
            color_err: false,
            progress: Progress::Plain,
            json: false,
            status: Stream::default(),
        }
    }
}

impl Ui {
    /// Decides from the flags, the environment and the streams themselves;
    /// `status_out` puts progress on standard output.
    pub fn new(ansi: Ansi, progress: Progress, status_out: bool) -> Self {
        let status = if status_out { Stream::Out } else { Stream::Err };
        let color = |terminal: bool| match ansi {
            Ansi::Never => false,
            Ansi::Always => true,
            Ansi::Auto => {
                terminal
                    && env::read(env::NO_COLOR).is_none()
                    && env::read_string(env::TERM).is_none_or(|term| term != "dumb")
            }
        };
        let color_out = color(Stream::Out.is_terminal());
        let color_err = color(Stream::Err.is_terminal());
        let can_redraw = match status {
            Stream::Out => color_out,
            Stream::Err => color_err,
        };
        let progress = match progress {
            Progress::Auto if can_redraw => Progress::Tty,
            Progress::Auto => Progress::Plain,
            chosen => chosen,
        };
        Self {
            color_out,
            color_err,
            progress,
            json: progress == Progress::Json,
            status,
        }
    }

    /// The same with messages for tools.
    #[must_use]
    pub const fn for_tools(self) -> Self {
        Self { json: true, ..self }
    }

    /// Prints a warning line.
    pub fn warn(self, message: &str) {
        if self.json {
            return write_object("warning", message, &[]);
        }
        self.labelled(color::WARNING, "warning", message);
    }

    /// Prints a warning, and advice below it.
    pub fn warn_with(self, message: &str, hints: &[String]) {
        if self.json {
            return write_object("warning", message, hints);
        }
        self.labelled(color::WARNING, "warning", message);
        for hint in hints {
            self.labelled(color::HINT, "hint", hint);
        }
    }

    /// Prints a line of information about the work.
    pub fn note(self, message: &str) {
        if self.json {
            return write_object("info", message, &[]);
        }
        self.status.write(&format!("{}\n", printable(message)));
    }

    /// Prints the error that ends the command, and advice below it.
    pub fn error(self, message: &str, hints: &[String]) {
        if self.json {
            return write_object("error", message, hints);
        }
        self.labelled(color::ERROR, "error", message);
        for hint in hints {
            self.labelled(color::HINT, "hint", hint);
        }
    }

    fn labelled(self, style: anstyle::Style, label: &str, message: &str) {
        let label = color::paint(self.color_err, style, label);
        write_err(&format!("{label}: {}\n", printable(message)));
    }
}

/// Writes a message that is about no place in a file, with the keys of those that
/// are (`docs/diagnostics.md`).
fn write_object(severity: &str, message: &str, hints: &[String]) {
    write_err(&format!("{}\n", object(severity, message, hints)));
}

/// A message as JSON: what it does not have is `null`.
pub(crate) fn object(severity: &str, message: &str, hints: &[String]) -> serde_json::Value {
    let advice = (!hints.is_empty()).then(|| hints.join("\n"));
    serde_json::json!({
        "severity": severity,
        "message": message,
        "path": "",
        "file": null,
        "line": null,
        "column": null,
        "end": null,
        "excerpt": null,
        "expected": null,
        "suggestion": advice,
        "note": null,
        "chain": [],
        "output": [],
    })
}

/// A text without what would steer a terminal: messages repeat what is in files,
/// images and answers of registries. Lines and tabs stay.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// Writes text to standard error; a closed stream is nobody's loss.
pub fn write_err(text: &str) {
    io::stderr().lock().write_all(text.as_bytes()).ok();
}

/// Writes data to standard output at once.
///
/// # Errors
/// The stream is closed (`BrokenPipe`) or full.
pub fn write_out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
