//! A step's error on its way to where it is known which step it is.

use super::error::{BuildError, StepError};
use super::output::OutputLine;
use crate::build::graph::StepId;
use crate::image::Platform;

/// A step's error, before it is known which step it is.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Box<BuildError>,
    pub(super) output: Vec<OutputLine>,
}

impl Failed {
    pub(super) fn on(self, platform: &Platform) -> Self {
        Self {
            error: Box::new(self.error.on(platform)),
            output: self.output,
        }
    }

    pub(super) fn at(self, step: StepId) -> StepError {
        StepError {
            step,
            error: *self.error,
            output: self.output,
        }
    }
}

impl<E: Into<BuildError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self {
            error: Box::new(error.into()),
            output: Vec::new(),
        }
    }
}
