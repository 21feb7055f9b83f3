//! Errors that come of a full disk, with how full it is and what helps.

use super::error::BuildError;
use crate::causes::with_causes;
use crate::state::Layout;
use crate::state::space::Space;

/// How Linux words `ENOSPC` and `EDQUOT`, however deep in an error's causes.
const TELLTALES: [&str; 2] = ["(os error 28)", "(os error 122)"];
const MEGABYTE: u64 = 1_000_000;

/// An error as it was, or with what is known of the disk.
pub(super) fn told(layout: &Layout, error: BuildError) -> BuildError {
    let text = with_causes(&error);
    // What a command failed of, only the disk can tell.
    let is_command = matches!(error, BuildError::Exit { .. });
    let is_told = TELLTALES.iter().any(|told| text.contains(told));
    if matches!(error, BuildError::Full { .. }) || !is_command && !is_told {
        return error;
    }
    let Ok(Some(space)) = Space::of(layout.data()) else {
        return error;
    };
    if is_command && !space.is_full() {
        return error;
    }
    BuildError::Full {
        failed: Box::new(error),
        folder: layout.data().to_owned(),
        free: space.free / MEGABYTE,
        size: space.size / MEGABYTE,
    }
}
