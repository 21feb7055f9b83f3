//! Compose: text to [`Project`]. Pure: no engine, no network, no clock; files
//! are read through [`FileSystem`] and the environment comes as data.
//!
//! A load is a pipeline of stages over one spanned tree, each in its own file:
//!
//! ```text
//! source       which files, which name, which variables
//! yaml         text -> spanned tree: anchors, merge keys, duplicate keys, limits
//! tags         !reset and !override
//! interpolate  ${VAR}
//! extends      a service from another one
//! include      other projects' services
//! merge        file over file, by a table of rules
//! unique       entries of lists that take the place of earlier ones
//! schema       shape, types, names; all errors of a file at once
//! canonical    short forms to long forms
//! defaults     what the specification implies
//! model        the typed model, units parsed
//! select       profiles, named services
//! consistency  what refers to what
//! ```
//!
//! [`explain()`] tells of a loaded project where its values come from, out of what
//! the stages left in the trace.
//!
//! Everything that is wrong is a [`Diagnostic`] with its place. `skiff config`
//! prints [`Project::text`], which agrees with the reference implementation's
//! output.
//!
//! The loader is usable alone. From disk:
//!
//! ```no_run
//! use skiff::compose::{Host, LoadOptions, load};
//!
//! let options = LoadOptions { cwd: std::env::current_dir()?, ..LoadOptions::default() };
//! match load(&options, &Host) {
//!     Ok(loaded) => println!("{}", loaded.project.canonical_json()),
//!     Err(diagnostics) => eprintln!("{diagnostics}"),
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! From memory, where nothing of the machine is looked at:
//!
//! ```
//! use skiff::compose::{LoadOptions, Memory, load};
//!
//! let files = Memory::from([(
//!     "/shop/compose.yaml",
//!     "services: {web: {image: 'nginx:${TAG:-latest}', ports: ['8080:80']}}",
//! )]);
//! let options = LoadOptions {
//!     cwd: "/shop".into(),
//!     environment: [("TAG".to_owned(), "1.29".to_owned())].into(),
//!     ..LoadOptions::default()
//! };
//! let project = load(&options, &files)?.project;
//! assert_eq!(project.name, "shop");
//! assert_eq!(project.services["web"].image.as_deref(), Some("nginx:1.29"));
//! assert_eq!(project.services["web"].ports[0].target, 80);
//!
//! // What is wrong has its place.
//! let files = Memory::from([("/shop/compose.yaml", "services:\n  web:\n    imgae: nginx\n")]);
//! let diagnostics = load(&options, &files).unwrap_err();
//! let first = diagnostics.errors().next().expect("an error");
//! let at = first.position.as_ref().expect("a place");
//! assert_eq!((at.line, at.column), (3, 5));
//! assert_eq!(first.path, "services.web.imgae");
//! # Ok::<(), skiff::compose::Diagnostics>(())
//! ```

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
mod files;
mod flags;
mod include;
mod interpolate;
mod layout;
mod limits;
mod lint;
mod loader;
mod merge;
mod metered;
mod model;
mod order;
mod paths;
mod pipes;
mod printed;
mod raw;
mod refused;
mod scalar;
mod schema;
mod select;
mod shell;
mod short;
mod sockets;
mod source;
mod strangers;
mod syntax;
mod tags;
mod template;
mod trace;
mod tree;
mod unique;
mod units;
mod variables;
mod yaml;

pub use diag::{
    Diagnostic, Diagnostics, Excerpt, Position, SetPart, Severity, Step, Style, print_list,
    render_list,
};
pub(crate) use diag::{crop, did_you_mean, listed};
pub use explain::{Explanation, Origin, Source, Standing, Use, explain};
pub use files::{FileSystem, Host, Memory, read_text};
pub use flags::{mount_flag, parse_env_file, port_flag, split_words};
pub use lint::lint;
pub use model::*;
pub use printed::Printed;
pub use raw::{RawModel, Variable};
pub use sockets::{Doubled, doubled_sockets};
pub(crate) use source::VARIABLE_PREFIX;
pub use source::{
    FileArg, FirstVariables, LoadOptions, Loaded, Readers, Skip, check_name, is_true,
};
pub(crate) use units::parse_bytes;
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
pub fn first_variables(options: &LoadOptions, files: &dyn FileSystem) -> FirstVariables {
    source::first_variables(options, files)
}
