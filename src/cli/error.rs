//! From errors to text and exit code, in one place.

use std::io;
use std::process::ExitCode;

use crate::causes::with_causes;
use crate::ui::Ui;

/// What ends a command.
#[derive(Debug)]
pub enum CliError {
    /// Something failed: `error: …`, exit code 1.
    Failed {
        /// What failed and why; the causes are already part of it.
        message: String,
        /// What to do about it.
        hints: Vec<String>,
    },
    /// As `Failed`, with an exit code of its own.
    Code {
        /// What failed and why.
        message: String,
        /// The exit code.
        code: u8,
    },
    /// Text that is complete as it stands (diagnostics), exit code 1.
    Rendered(String),
    /// The command itself went well and hands on another program's exit code.
    Exit(u8),
    /// Ended by the user (Ctrl-C, SIGTERM): exit code 130.
    Interrupted,
    /// Whoever read the output has gone: silently, exit code 0 as for `head`.
    BrokenPipe,
}

/// What every command returns.
pub type CliResult = Result<(), CliError>;

impl CliError {
    /// A failure without advice.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// A failure from an error and all its causes.
    pub fn from_error(error: &dyn std::error::Error) -> Self {
        Self::new(with_causes(error))
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Failed { message, mut hints } => {
                hints.push(hint.into());
                Self::Failed { message, hints }
            }
            other => other,
        }
    }

    /// Prints it and gives the exit code.
    pub fn report(self, ui: Ui) -> ExitCode {
        match self {
            Self::Failed { message, hints } => {
                ui.error(&message);
                for hint in hints {
                    ui.hint(&hint);
                }
                ExitCode::FAILURE
            }
            Self::Code { message, code } => {
                ui.error(&message);
                ExitCode::from(code)
            }
            Self::Rendered(text) => {
                ui.failure(&text);
                ExitCode::FAILURE
            }
            Self::Exit(code) => ExitCode::from(code),
            Self::Interrupted => ExitCode::from(130),
            Self::BrokenPipe => ExitCode::SUCCESS,
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Self::from_error(&error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_pipe_is_no_failure() {
        let error = CliError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(matches!(error, CliError::BrokenPipe));
    }
}
