//! Compose: text to [`Project`]. Pure: no engine, no network, no clock; files
//! are read through [`FileSystem`] and the environment comes as data.
//!
//! A load is a pipeline of stages over one spanned tree, each in its own file:
//!
//! ```text
//! source       which files, which name, which variables
//! yaml         text -> spanned tree: anchors, merge keys, duplicate keys, limits
//! interpolate  ${VAR}
//! tags         !reset and !override
//! extends      a service from another one
//! include      other projects' services
//! merge        file over file, by a table of rules
//! schema       shape, types, names; all errors of a file at once
//! canonical    short forms to long forms
//! normalize    defaults that the specification implies
//! model        the typed model, units parsed
//! check        what refers to what
//! ```
//!
//! [`explain()`] tells of a loaded project where its values come from, out of what
//! the stages left in the trace.
//!
//! Everything that is wrong is a [`Diagnostic`] with its place. `skiff config`
//! prints [`Project::text`], which agrees with the reference implementation's
//! output.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a stage looks for some kinds of nodes and leaves all others alone"
)]

mod canonical;
mod check;
mod consistency;
mod defaults;
mod diag;
mod dotenv;
mod emit;
mod explain;
mod extends;
mod flags;
mod include;
mod interpolate;
mod lint;
mod loader;
mod merge;
mod model;
mod order;
mod paths;
mod raw;
mod scalar;
mod schema;
mod select;
mod shell;
mod short;
mod source;
mod tags;
mod template;
mod trace;
mod tree;
mod unique;
mod units;
mod variables;
mod yaml;

pub use diag::{Diagnostic, Diagnostics, Excerpt, Position, Severity, Step, Style, render_list};
pub use explain::{Explanation, Origin, Source, Standing, Use, explain};
pub use flags::{mount_flag, parse_env_file, port_flag, split_words};
pub use lint::lint;
pub use model::*;
pub use raw::{RawModel, Variable};
pub use source::{
    FileArg, FileSystem, Host, LoadOptions, Loaded, Readers, Skip, check_name, is_true,
};
pub use units::{Bytes, FileMode, Period, PeriodOrZero};

/// Loads a project.
///
/// # Errors
///
/// Everything that stands against it, each with its place, and the warnings
/// that came before.
pub fn load(options: &LoadOptions, files: &dyn FileSystem) -> Result<Loaded, Diagnostics> {
    source::load(options, files)
}

/// Loads the files as they are written: merged, with `extends` and `include`,
/// and with their variables still in them.
///
/// # Errors
///
/// As [`load`]; what services say of each other is not checked.
pub fn load_raw(options: &LoadOptions, files: &dyn FileSystem) -> Result<RawModel, Diagnostics> {
    source::load_raw(options, files)
}

/// The variables of the files that are read before a Compose file is looked
/// for: those of `--env-file`, else of `.env` beside the first file that the
/// command line names, in the project directory that it names, or in the current
/// folder. Only those that the environment does not have; none where such a file
/// is wrong.
pub fn first_variables(
    options: &LoadOptions,
    files: &dyn FileSystem,
) -> indexmap::IndexMap<String, String> {
    source::first_variables(options, files)
}
