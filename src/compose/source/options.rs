//! What a load starts from, and what comes of it.

use std::path::PathBuf;

use indexmap::IndexMap;

use super::FirstVariables;
use crate::compose::diag::Diagnostic;
use crate::compose::model::Project;

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
    /// `--env-file`; empty: `COMPOSE_ENV_FILES`, else `.env`.
    pub env_files: Vec<PathBuf>,
    /// `--profile`; empty: `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// The environment of the process.
    pub environment: IndexMap<String, String>,
    /// Where [`super::first_variables`] says that no `.env` is to be read: what it found,
    /// of which the `COMPOSE_` variables count all the same.
    pub first: Option<FirstVariables>,
    /// The current folder, absolute.
    pub cwd: PathBuf,
    /// What to do about a variable that is not set, told with the warning.
    pub unset_help: Option<String>,
    /// Services named on the command line: they and what they depend on are
    /// active, whatever their profiles, and no others.
    pub services: Vec<String>,
    /// Stages to leave out.
    pub skip: Skip,
    /// Keep networks, volumes, configs, secrets and models that no active
    /// service uses.
    pub all_resources: bool,
    /// Names are to be made as Compose 1 made them; so they are, too, where
    /// `COMPOSE_COMPATIBILITY` is true.
    pub compatibility: bool,
    /// Whose `env_file`s are read.
    pub env_file_readers: Readers,
    /// Remember where values come from, for [`explain`](super::explain()).
    pub trace: bool,
}

/// The services whose variables are resolved: `env_file` is read, and variables
/// without a value take that of the environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Readers {
    /// Those that are wanted in the end.
    #[default]
    Wanted,
    /// All that are in no profile or an active one, wanted or not.
    Active,
    /// None: a file that is missing does not matter.
    Nobody,
}

/// Stages of a load that `config` can leave out, to show the model without them.
#[expect(
    clippy::struct_excessive_bools,
    reason = "one field a stage, each by itself"
)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skip {
    /// Do not check what refers to what.
    pub consistency: bool,
    /// Leave relative paths relative.
    pub paths: bool,
    /// Leave out what the model implies: the default network, full names.
    pub normalization: bool,
    /// Leave variables as they are written. A model needs their values for its
    /// numbers and booleans; without one see [`super::load_raw`].
    pub interpolation: bool,
}

/// A loaded project and what to know about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// Warnings, in the order in which they were found.
    pub warnings: Vec<Diagnostic>,
}
