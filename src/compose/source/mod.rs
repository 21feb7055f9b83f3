//! Where a project comes from: its files, its name, its variables; and the way
//! from there to the [`Project`].
//!
//! Discovery, `COMPOSE_*` variables and `.env` files are the reference
//! implementation's conventions, which the specification leaves to the tool.

mod env_files;
mod find;
mod first;
mod name;
mod options;
mod typed;

use std::path::PathBuf;
use std::sync::Arc;

use super::diag::{Diagnostic, Diagnostics};
use super::files::FileSystem;
use super::limits::MOST_SERVICES;
use super::loader::{Environment, Input, Loader, Scope};
use super::model::{Origin, Project};
use super::raw::RawModel;
use super::trace::Trace;
use super::tree::{Mark, Node};
use super::{check, defaults, lint};

pub use first::FirstVariables;
pub(crate) use first::VARIABLE_PREFIX;
pub use name::check_name;
pub use options::{FileArg, LoadOptions, Loaded, Readers, Skip};
pub use typed::is_true;

/// What is expected instead of such a reference, and what to do.
pub(super) const HERE: &str = "a path on this machine";
pub(super) const FETCH_IT: &str =
    "fetch it first, and name the fetched file: files of other machines are not loaded";

/// True for a reference that another machine would have to be asked for.
pub(super) fn is_remote(path: &str) -> bool {
    path.contains("://") || path.starts_with("git@") || path.starts_with("github.com/")
}

pub(super) fn load(options: &LoadOptions, files: &dyn FileSystem) -> Result<Loaded, Diagnostics> {
    let mut loader = loader(options, files);
    let project = Source::new(options, &mut loader).project();
    let (mut report, asked) = (loader.report, loader.asked);
    if let Some((project, _)) = &project {
        // The shell has many that are none of the project's.
        let is_own =
            |name: &&String| asked.contains(*name) || !options.environment.contains_key(*name);
        let set = project.environment.keys().filter(is_own);
        let set: Vec<&str> = set.map(String::as_str).collect();
        report.suggest_variables(&set);
    }
    match project {
        Some((mut project, tree)) if report.error_count() == 0 => {
            project.asked = asked;
            lint::mistakes(&project, &tree, &mut report);
            let warnings = report.sorted();
            project.origin = Arc::new(Origin {
                tree: Some(tree),
                sources: report.sources,
                trace: report.trace,
            });
            Ok(Loaded { project, warnings })
        }
        _ => Err(Diagnostics {
            list: report.sorted(),
        }),
    }
}

/// Loads the files as they are written, see [`super::load_raw`].
pub(super) fn load_raw(
    options: &LoadOptions,
    files: &dyn FileSystem,
) -> Result<RawModel, Diagnostics> {
    let mut loader = loader(options, files);
    loader.raw = true;
    let mut source = Source::new(options, &mut loader);
    source.is_raw = true;
    let merged = source.merged();
    let environment = source.environment;
    match merged {
        Some(Merged { mut tree, name, .. }) if loader.report.error_count() == 0 => {
            if let Some(map) = tree.as_map_mut().filter(|_| !options.skip.normalization) {
                map.insert("name".to_owned(), Node::str(name, Mark::default()));
            }
            Ok(RawModel {
                tree,
                environment,
                warnings: loader.report.sorted(),
                sources: loader.report.sources,
            })
        }
        _ => Err(Diagnostics {
            list: loader.report.sorted(),
        }),
    }
}

/// The variables of the first files that are looked into, see
/// [`super::first_variables`].
pub(super) fn first_variables(options: &LoadOptions, files: &dyn FileSystem) -> FirstVariables {
    let mut loader = loader(options, files);
    let mut source = Source::new(options, &mut loader);
    source.find_named();
    // What is wrong with them is told by the load.
    source.env_files();
    let mut variables = source.environment;
    variables.retain(|name, _| !options.environment.contains_key(name));
    FirstVariables::new(variables, loader.report.sources)
}

fn loader<'l>(options: &LoadOptions, files: &'l dyn FileSystem) -> Loader<'l> {
    let home = options.environment.get("HOME").cloned();
    let mut loader = Loader::new(files, home);
    loader.report.unset_help.clone_from(&options.unset_help);
    loader.report.trace = options
        .trace
        .then(|| Trace::new(options.environment.clone(), options.project_name.clone()));
    // What stands in files that are not read again keeps its place.
    let first = options.first.as_ref();
    loader.report.sources = first.map(FirstVariables::sources).unwrap_or_default();
    if let (Some(trace), Some(first)) = (&mut loader.report.trace, first) {
        first.traced().for_each(|setting| trace.setting(setting));
    }
    loader.report.sources.provenance.shell = Arc::new(options.environment.clone());
    loader.raw = options.skip.interpolation;
    loader
}

/// What comes before the typed model.
struct Merged {
    tree: Node,
    name: String,
    base: PathBuf,
}

struct Source<'a, 'l> {
    options: &'a LoadOptions,
    loader: &'a mut Loader<'l>,
    /// No typed model follows.
    is_raw: bool,
    environment: Environment,
    inputs: Vec<Input>,
}

impl<'a, 'l> Source<'a, 'l> {
    fn new(options: &'a LoadOptions, loader: &'a mut Loader<'l>) -> Self {
        let mut environment = options.environment.clone();
        if let Some(first) = &options.first {
            for (name, value) in first.settings() {
                let entry = environment.entry(name.to_owned());
                entry.or_insert_with(|| value.to_owned());
            }
        }
        Self {
            options,
            loader,
            is_raw: false,
            environment,
            inputs: Vec::new(),
        }
    }

    /// `None` where an error was reported; others may have been, too.
    fn project(mut self) -> Option<(Project, Node)> {
        let Merged { tree, name, base } = self.merged()?;
        let project = self.typed(&tree, name, base)?;
        Some((project, tree))
    }

    /// All files as one tree, normalized.
    fn merged(&mut self) -> Option<Merged> {
        let cwd = self.options.cwd.clone();
        self.environment
            .entry("PWD".to_owned())
            .or_insert_with(|| cwd.to_string_lossy().into_owned());
        self.find_named();
        self.all_are_here()?;
        self.env_files()?;
        if self.inputs.is_empty() {
            self.compose_file_variable()?;
            if self.inputs.is_empty() {
                self.discover();
            }
            // The project's folder is known only now.
            self.env_files()?;
        }
        if self.inputs.is_empty() {
            self.nothing_found();
            return None;
        }
        let base = self.project_directory();
        let mut are_read = true;
        for input in self.inputs.clone() {
            let documents = self.loader.documents(&input, (Mark::default(), ""));
            are_read &= documents.is_some();
        }
        if !are_read {
            return None; // a part alone would only seem to lack the rest
        }
        let name = self.name(&base)?;
        self.environment
            .insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
        // As the reference has it: in a raw tree variables without a value stay
        // without one.
        let environment = if self.is_raw {
            self.environment
                .get_key_value("COMPOSE_PROJECT_NAME")
                .map(|(name, value)| (name.clone(), value.clone()))
                .into_iter()
                .collect()
        } else {
            self.environment.clone()
        };
        let scope = Scope {
            base: base.clone(),
            prefix: (!self.options.skip.paths).then(|| base.clone()),
            environment: Arc::new(environment),
            number: 0,
        };
        let mut tree = self.loader.model(&self.inputs.clone(), &scope, &[]);
        self.loader.forget_files();
        if self.loader.limits.is_over() {
            return None; // told; what is left of the model would only be large
        }
        if tree.as_map().is_none_or(|map| map.is_empty()) {
            if self.loader.report.error_count() == 0 {
                self.empty();
            }
            return None;
        }
        if !self.options.skip.normalization {
            check::implied(&tree, &mut self.loader.report);
            defaults::normalize(&mut tree, &name, &scope.environment);
        }
        let services = tree.get("services").and_then(Node::as_map);
        if services.is_some_and(|services| services.len() > MOST_SERVICES) {
            let message = format!("the project has more than {MOST_SERVICES} services");
            let diagnostic = Diagnostic::error(message)
                .expected("fewer services")
                .suggest("make several projects of it");
            self.loader.report.push(diagnostic);
            return None;
        }
        Some(Merged { tree, name, base })
    }

    /// The files say nothing.
    fn empty(&mut self) {
        let report = &mut self.loader.report;
        let first = self.inputs.first();
        let mark = first.and_then(|input| report.sources.start_of(&input.name));
        let diagnostic = report
            .at(mark.unwrap_or_default(), "", "the Compose file is empty")
            .expected("a mapping with `services:`")
            .suggest(
                "name a service below `services:`, and an image below that: `image: NAME:TAG`",
            );
        report.push(diagnostic);
    }
}
