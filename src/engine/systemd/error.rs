//! Why systemd did not give a scope.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a question to systemd has no answer, or not the wanted one.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// Nobody listens at its socket.
    #[error("cannot connect to `{}`", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("no answer within {} s", limit.as_secs_f32())]
    Late {
        /// How long it was waited for.
        limit: Duration,
    },
    /// The conversation broke.
    #[error("the conversation broke")]
    Broken(#[source] io::Error),
    /// It said something that is no D-Bus.
    #[error("it does not speak D-Bus as expected: {0}")]
    Protocol(&'static str),
    /// It refused.
    #[error("it refused: {message} ({name})")]
    Refused {
        /// The error's D-Bus name (`org.freedesktop.systemd1.UnitExists`).
        name: String,
        /// Its text.
        message: String,
    },
    /// The job that starts the unit did not end well.
    #[error("the job for `{unit}` ended with `{result}`")]
    Job {
        /// The unit.
        unit: String,
        /// systemd's word: `canceled`, `timeout`, `failed`, `dependency`, …
        result: String,
    },
}

impl SystemdError {
    /// Whether a unit of this name is there already.
    pub(super) fn is_unit_exists(&self) -> bool {
        matches!(self, Self::Refused { name, .. } if name == "org.freedesktop.systemd1.UnitExists")
    }
}
