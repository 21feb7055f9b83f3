//! The file of a context that says what is left out of it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::ignore::{Ignore, IgnoreError, file_names};

/// Why it cannot be used.
#[derive(Debug, Error)]
pub enum IgnoreFileError {
    /// It is there and cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line of it is no pattern.
    #[error("{}: {source}", path.display())]
    Pattern {
        /// The file.
        path: PathBuf,
        /// Which, and why.
        source: IgnoreError,
    },
}

/// `DOCKERFILE.dockerignore` beside the Dockerfile, else `.dockerignore` of the
/// context, with what it says; `None` where there is neither. A relative Dockerfile
/// is one of the context's; none at all is one without a file of its own.
///
/// # Errors
/// [`IgnoreFileError`].
pub fn read(
    folder: &Path,
    dockerfile: Option<&Path>,
) -> Result<Option<(PathBuf, Ignore)>, IgnoreFileError> {
    let name = dockerfile.unwrap_or_else(|| Path::new(""));
    let [own, common] = file_names(&name.to_string_lossy());
    for name in dockerfile.map(|_| own).into_iter().chain([common]) {
        let path = folder.join(name);
        return match fs_err::read_to_string(&path) {
            Ok(text) => match Ignore::parse(&text) {
                Ok(ignore) => Ok(Some((path, ignore))),
                Err(source) => Err(IgnoreFileError::Pattern { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => Err(IgnoreFileError::Read { path, source }),
        };
    }
    Ok(None)
}
