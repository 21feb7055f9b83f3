//! Where a project comes from: its files, its name, its variables.
//!
//! Discovery, `COMPOSE_*` variables and `.env` files are the reference
//! implementation's conventions, which the specification leaves to the tool.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::diag::{Diagnostic, Diagnostics};
use super::model::Project;

/// One `-f`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileArg {
    /// A path, relative to [`LoadOptions::cwd`].
    Path(PathBuf),
    /// The text that came on standard input (`-f -`).
    Stdin(String),
}

/// What a load starts from.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// `-f`; empty: `COMPOSE_FILE`, else looked for in `cwd` and above it.
    pub files: Vec<FileArg>,
    /// `-p`.
    pub project_name: Option<String>,
    /// `--project-directory`.
    pub project_directory: Option<PathBuf>,
    /// `--env-file`.
    pub env_files: Vec<PathBuf>,
    /// `--profile`; empty: `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// The environment of the process.
    pub environment: IndexMap<String, String>,
    /// The current folder, absolute.
    pub cwd: PathBuf,
    /// Services named on the command line: they and what they depend on are
    /// active, whatever their profiles.
    pub services: Vec<String>,
    /// Keep networks, volumes, configs, secrets and models that no active
    /// service uses.
    pub all_resources: bool,
}

/// A loaded project and what to know about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// Warnings, in the order in which they were found.
    pub warnings: Vec<Diagnostic>,
}

/// Files as the loader sees them.
pub trait FileSystem {
    /// The bytes of a file.
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>>;
    /// True for an existing file or folder.
    fn exists(&self, path: &Path) -> bool;
    /// True for an existing folder.
    fn is_dir(&self, path: &Path) -> bool;
    /// The path with all symbolic links resolved.
    fn canonicalize(&self, path: &Path) -> std::io::Result<PathBuf>;
}

/// The machine's own files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

impl FileSystem for Host {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        fs_err::read(path)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn canonicalize(&self, path: &Path) -> std::io::Result<PathBuf> {
        fs_err::canonicalize(path)
    }
}

pub(super) fn load(_options: &LoadOptions, _files: &dyn FileSystem) -> Result<Loaded, Diagnostics> {
    Err(Diagnostic::error("not wired yet").into())
}
