//! A folder of the machine that files are copied from.

use std::path::{Path, PathBuf};

use super::error::BuildError;
use super::files;
use super::hashes::{Hashes, place};
use super::scan::Verdict;
use crate::build::ignore::Ignore;
use crate::engine::inroot::Root;

/// A context as it is given.
#[derive(Debug)]
pub struct ContextFolder {
    /// The folder.
    pub folder: PathBuf,
    /// What takes part; absent: everything.
    pub ignore: Option<Ignore>,
    /// The file that says so: `.dockerignore`.
    pub ignore_file: Option<PathBuf>,
}

/// A context that is read.
pub(crate) struct Context {
    given: ContextFolder,
    root: Root,
    hashes: Hashes,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("folder", &self.given.folder)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// Opens the folder; `hashes` is where what is known of its files is kept.
    ///
    /// # Errors
    /// There is no such folder.
    pub(crate) fn open(given: ContextFolder, hashes: &Path) -> Result<Self, BuildError> {
        Ok(Self {
            hashes: Hashes::open(place(hashes, &given.folder)),
            root: files::open(&given.folder)?,
            given,
        })
    }

    /// The folder, that no path leads out of.
    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// What is known of its files.
    pub(crate) fn hashes(&self) -> &Hashes {
        &self.hashes
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.given.folder
    }

    /// Whether everything in it takes part.
    pub(crate) fn is_whole(&self) -> bool {
        self.given.ignore.is_none()
    }

    /// The file of patterns.
    pub(crate) fn ignore_file(&self) -> Option<&Path> {
        self.given.ignore_file.as_deref()
    }

    /// Whether a path takes part.
    pub(crate) fn verdict(&self, path: &Path, is_folder: bool) -> Verdict {
        match &self.given.ignore {
            None => Verdict::Take,
            Some(ignore) => Verdict::of(ignore, path, is_folder),
        }
    }
}
