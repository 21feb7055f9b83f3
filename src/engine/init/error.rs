//! From system call results to [`InitError`].

use std::fmt::Display;
use std::io;

use crate::engine::spec::InitError;
use crate::engine::sys::helpers::FsError;

/// What `docker run` exits with when the container could not be set up.
pub(crate) const SETUP_FAILED: i32 = 125;
/// The program exists and cannot be executed.
pub(crate) const NOT_EXECUTABLE: i32 = 126;
/// The program does not exist.
pub(crate) const NOT_FOUND: i32 = 127;

/// A step's result.
pub(crate) type StepResult<T> = Result<T, InitError>;

/// Names the step and the object of a failed call.
pub(crate) trait Step<T> {
    /// `step` fits after "cannot"; `object` is what it was done to.
    fn on(self, step: &str, object: impl Display) -> StepResult<T>;
    /// The same without an object.
    fn doing(self, step: &str) -> StepResult<T>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn on(self, step: &str, object: impl Display) -> StepResult<T> {
        self.map_err(|error| from_io(step, Some(object.to_string()), &error.into()))
    }

    fn doing(self, step: &str) -> StepResult<T> {
        self.map_err(|error| from_io(step, None, &error.into()))
    }
}

fn from_io(step: &str, object: Option<String>, error: &io::Error) -> InitError {
    InitError {
        step: step.to_owned(),
        object,
        errno: error.raw_os_error().unwrap_or(0),
        message: error.raw_os_error().is_none().then(|| error.to_string()),
        exit_code: SETUP_FAILED,
    }
}

/// A file system that could not be made; the kernel's own words are kept.
pub(crate) fn from_fs(step: &str, object: impl Display, error: &FsError) -> InitError {
    let plain = io::Error::from(error.errno);
    InitError {
        step: step.to_owned(),
        object: Some(object.to_string()),
        errno: error.errno.raw_os_error(),
        message: error
            .message
            .as_ref()
            .map(|message| format!("{plain} ({message})")),
        exit_code: SETUP_FAILED,
    }
}

/// A failure that no system call reported.
pub(crate) fn plain(step: &str, object: impl Display, message: impl Into<String>) -> InitError {
    InitError {
        step: step.to_owned(),
        object: Some(object.to_string()),
        errno: 0,
        message: Some(message.into()),
        exit_code: SETUP_FAILED,
    }
}
