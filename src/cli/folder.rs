//! The current folder.

use std::path::PathBuf;

use super::error::CliError;
use crate::env;

/// The current folder as the shell names it: `$PWD` where it is the same
/// folder, so that paths through symbolic links stay as typed. A folder
/// that was removed matters only where something is relative to it.
///
/// # Errors
/// It cannot be told, and one of `files` is relative to it.
pub fn current(files: &[String]) -> Result<PathBuf, CliError> {
    let real = match std::env::current_dir() {
        Ok(folder) => folder,
        Err(_) if !files.is_empty() && files.iter().all(|file| file.starts_with('/')) => {
            return Ok(PathBuf::from("/"));
        }
        Err(error) => {
            return Err(
                CliError::new(format!("cannot tell the current folder: {error}"))
                    .hint("it may have been removed; change to another one"),
            );
        }
    };
    let named = env::read_path(env::PWD).filter(|path| {
        path.is_absolute() && fs_err::canonicalize(path).is_ok_and(|path| path == real)
    });
    Ok(named.unwrap_or(real))
}
