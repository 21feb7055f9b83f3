//! Where a project comes from: its files, its name, its variables; and the way
//! from there to the [`Project`].
//!
//! Discovery, `COMPOSE_*` variables and `.env` files are the reference
//! implementation's conventions, which the specification leaves to the tool.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::diag::{Diagnostic, Diagnostics};
use super::files::FileSystem;
use super::limits::{LONGEST_NAME, MOST_SERVICES};
use super::loader::{Environment, Input, Loader, Scope, cannot_read};
use super::model::{Cx, Origin, Project, field, raw_json};
use super::paths::absolute;
use super::raw::RawModel;
use super::trace::Trace;
use super::tree::{Mark, Node, Trail};
use super::{consistency, defaults, interpolate, lint, select, template};

/// Names that are looked for, in this order.
const FILE_NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];

/// Names of the file that is merged over the one found.
const OVERRIDE_NAMES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What stands for standard input, as the only path that is not absolute.
const STDIN: &str = "-";

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

/// True for a reference that another machine would have to be asked for.
pub(super) fn is_remote(path: &str) -> bool {
    path.contains("://") || path.starts_with("git@") || path.starts_with("github.com/")
}

pub(super) fn load(options: &LoadOptions, files: &dyn FileSystem) -> Result<Loaded, Diagnostics> {
    let mut loader = loader(options, files);
    let project = Source::new(options, &mut loader).project();
    let (report, asked) = (loader.report, loader.asked);
    match project {
        Some((mut project, tree)) if report.error_count() == 0 => {
            project.asked = asked;
            let mut warnings = report.sorted();
            project.origin = Arc::new(Origin {
                tree: Some(tree),
                sources: report.sources,
                trace: report.trace,
            });
            warnings.extend(lint::mistakes(&project));
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
                warnings: loader.report.list,
            })
        }
        _ => Err(Diagnostics {
            list: loader.report.sorted(),
        }),
    }
}

/// The variables of the first files that are looked into, see
/// [`super::first_variables`].
pub(super) fn first_variables(options: &LoadOptions, files: &dyn FileSystem) -> Environment {
    let mut loader = loader(options, files);
    let mut source = Source::new(options, &mut loader);
    source.find_named();
    // What is wrong with them is told by the load.
    source.env_files();
    let mut variables = source.environment;
    variables.retain(|name, _| !options.environment.contains_key(name));
    variables
}

fn loader<'l>(options: &LoadOptions, files: &'l dyn FileSystem) -> Loader<'l> {
    let home = options.environment.get("HOME").cloned();
    let mut loader = Loader::new(files, home);
    loader.report.unset_help.clone_from(&options.unset_help);
    loader.report.trace = options
        .trace
        .then(|| Trace::new(options.environment.clone()));
    loader.report.sources.provenance.shell = Arc::new(options.environment.clone());
    loader.keeps_paths = options.skip.paths;
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
        Self {
            options,
            loader,
            is_raw: false,
            environment: options.environment.clone(),
            inputs: Vec::new(),
        }
    }

    /// Takes the files that are named on the command line.
    fn find_named(&mut self) {
        let cwd = &self.options.cwd;
        let files = self.options.files.iter();
        self.inputs = files.map(|file| input(cwd, file)).collect();
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
        for input in self.inputs.clone() {
            self.loader.documents(&input, (Mark::default(), ""))?;
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
            paths: base.clone(),
            outer: None,
            environment: Arc::new(environment),
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

    fn warn(&mut self, message: impl Into<String>) {
        self.loader.report.push(Diagnostic::warning(message));
    }

    fn project_directory(&self) -> PathBuf {
        let cwd = &self.options.cwd;
        if let Some(folder) = &self.options.project_directory {
            return absolute(cwd, folder);
        }
        self.inputs
            .iter()
            .find(|input| input.name != Path::new(STDIN))
            .and_then(|input| input.name.parent())
            .map_or_else(|| cwd.clone(), Path::to_owned)
    }

    /// Reads `--env-file`, `COMPOSE_ENV_FILES` or the project folder's `.env`;
    /// what is set already stays.
    fn env_files(&mut self) -> Option<()> {
        let cwd = &self.options.cwd;
        let mut files: Vec<PathBuf> = self
            .options
            .env_files
            .iter()
            .map(|file| absolute(cwd, file))
            .collect();
        if files.is_empty() {
            let variable = self.options.environment.get("COMPOSE_ENV_FILES");
            let names = variable.map(String::as_str).unwrap_or_default().split(',');
            files.extend(
                names
                    .filter(|name| !name.is_empty())
                    .map(|name| absolute(cwd, Path::new(name))),
            );
        }
        if files.is_empty() && !self.is_dotenv_disabled()? {
            let default = self.project_directory().join(".env");
            if self.loader.files.exists(&default) && !self.loader.files.is_dir(&default) {
                files.push(default);
            }
        }
        let mut read = Environment::new();
        if let Some(trace) = &mut self.loader.report.trace {
            trace.round += 1;
        }
        for file in files {
            let outside = self.environment.clone();
            self.loader
                .read_variables(&file, &mut read, &outside, (Mark::default(), ""))?;
        }
        for (name, value) in read {
            self.environment.entry(name).or_insert(value);
        }
        Some(())
    }

    fn is_dotenv_disabled(&mut self) -> Option<bool> {
        let Some(text) = self.options.environment.get("COMPOSE_DISABLE_ENV_FILE") else {
            return Some(false);
        };
        match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => {
                let message =
                    format!("`COMPOSE_DISABLE_ENV_FILE` is `{text}`, that is not a boolean");
                let diagnostic = Diagnostic::error(message)
                    .expected("`true` or `false`")
                    .suggest("set it to one of these in the environment, or unset it");
                self.loader.report.push(diagnostic);
                None
            }
        }
    }

    fn compose_file_variable(&mut self) -> Option<()> {
        let Some(value) = self.environment.get("COMPOSE_FILE").cloned() else {
            return Some(());
        };
        let separator = self
            .environment
            .get("COMPOSE_PATH_SEPARATOR")
            .filter(|text| !text.is_empty())
            .cloned()
            .unwrap_or_else(|| ":".to_owned());
        for part in value.split(separator.as_str()) {
            if part == STDIN {
                let (name, text) = (PathBuf::from(STDIN), None);
                self.inputs.push(Input { name, text });
                continue;
            }
            let name = absolute(&self.options.cwd, Path::new(part));
            if !self.loader.files.exists(&name) {
                let error = std::io::ErrorKind::NotFound.into();
                let diagnostic = cannot_read(&name, &error).suggest(
                    "it is named in the variable `COMPOSE_FILE`: correct that, or unset it",
                );
                self.loader.report.push(diagnostic);
                return None;
            }
            self.inputs.push(Input { name, text: None });
        }
        Some(())
    }

    /// Looks for a file with one of the usual names, here and above.
    fn discover(&mut self) {
        let start = match &self.options.project_directory {
            Some(folder) => absolute(&self.options.cwd, folder),
            None => self.options.cwd.clone(),
        };
        for folder in start.ancestors() {
            let found = self.present(folder, &FILE_NAMES);
            let Some(file) = found.first().cloned() else {
                continue;
            };
            self.tell_choice("Compose", &found);
            let overrides = self.present(folder, &OVERRIDE_NAMES);
            self.tell_choice("override", &overrides);
            for name in std::iter::once(file).chain(overrides.into_iter().take(1)) {
                self.inputs.push(Input { name, text: None });
            }
            return;
        }
    }

    fn present(&self, folder: &Path, names: &[&str]) -> Vec<PathBuf> {
        names
            .iter()
            .map(|name| folder.join(name))
            .filter(|path| self.loader.files.exists(path))
            .collect()
    }

    fn tell_choice(&mut self, kind: &str, found: &[PathBuf]) {
        if let [first, others @ ..] = found
            && !others.is_empty()
        {
            let others: Vec<_> = others
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let message = format!(
                "there are several {kind} files; `{}` is used, not `{}`",
                first.display(),
                others.join("`, `")
            );
            self.warn(message);
        }
    }

    fn nothing_found(&mut self) {
        let folder = self.options.cwd.display();
        let diagnostic = Diagnostic::error(format!(
            "there is no Compose file in `{folder}` or a folder above it"
        ))
        .expected(FILE_NAMES.join(", "))
        .suggest("go to the project's folder, or name the file with `-f`");
        self.loader.report.push(diagnostic);
    }

    /// The project's name: `-p`, `COMPOSE_PROJECT_NAME`, `name:` of the last
    /// file that has one, the folder.
    fn name(&mut self, base: &Path) -> Option<String> {
        let given = [
            ("-p", self.options.project_name.clone()),
            (
                "COMPOSE_PROJECT_NAME",
                self.environment.get("COMPOSE_PROJECT_NAME").cloned(),
            ),
        ];
        for (origin, name) in given {
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                continue;
            };
            if let Err(diagnostic) = check_name(&name, origin) {
                self.loader.report.push(*diagnostic);
                return None;
            }
            return Some(name);
        }
        let normal = |text: String| {
            if self.options.skip.normalization {
                text
            } else {
                normal_name(&text)
            }
        };
        let name = match self.name_in_files() {
            Some((text, _)) if self.loader.raw => normal(text),
            Some((text, mark)) => {
                let environment = &self.environment;
                let lookup = |name: &str| environment.get(name).cloned();
                match template::substitute(&text, &lookup) {
                    Ok((text, _)) => normal(text),
                    Err(error) => {
                        let report = &mut self.loader.report;
                        let diagnostic = interpolate::refusal(report, mark, "name", &error);
                        report.push(diagnostic);
                        return None;
                    }
                }
            }
            None => normal_name(&base.file_name().unwrap_or_default().to_string_lossy()),
        };
        if name.len() > LONGEST_NAME {
            let message = format!("the project's name is longer than {LONGEST_NAME} letters");
            let diagnostic = Diagnostic::error(message)
                .expected("a name that can be part of others")
                .suggest("give it a shorter one with `-p`, or with `name:` in the file");
            self.loader.report.push(diagnostic);
            return None;
        }
        if name.is_empty() {
            let diagnostic = Diagnostic::error("the project has no name")
                .suggest("give it one with `-p`, or with `name:` in the file");
            self.loader.report.push(diagnostic);
            return None;
        }
        Some(name)
    }

    fn name_in_files(&mut self) -> Option<(String, Mark)> {
        let mut found = None;
        for input in self.inputs.clone() {
            let documents = self.loader.documents(&input, (Mark::default(), ""))?;
            for document in documents.iter() {
                if let Some(node) = document.get("name")
                    && let Some(text) = node.scalar_text().filter(|text| !text.is_empty())
                {
                    found = Some((text, node.mark));
                }
            }
        }
        found
    }

    /// The typed project out of the normalized tree.
    fn typed(&mut self, tree: &Node, name: String, base: PathBuf) -> Option<Project> {
        let mut project = Project {
            name,
            working_dir: base,
            compose_files: self.inputs.iter().map(|input| input.name.clone()).collect(),
            compatibility: self.options.compatibility
                || self
                    .environment
                    .get("COMPOSE_COMPATIBILITY")
                    .is_some_and(|text| is_true(text)),
            profiles: self.profiles(),
            environment: self.environment.clone(),
            ..Project::default()
        };
        let mut cx = Cx {
            report: &mut self.loader.report,
            trail: Trail::default(),
        };
        fill(&mut project, tree, &mut cx);
        select::by_profiles(&mut project);
        let active: HashSet<String> = project.services.keys().cloned().collect();
        if !self.options.skip.consistency {
            consistency::check(&project, &active, tree, &mut self.loader.report);
        }
        for service in project.services.values_mut() {
            if let (Some(scale), Some(deploy), false) = (
                service.scale,
                &mut service.deploy,
                self.options.skip.consistency,
            ) {
                deploy.replicas = Some(scale);
            }
        }
        let readers = self.options.env_file_readers;
        let are_read = readers == Readers::Active && self.loader.report.error_count() == 0;
        if are_read {
            self.environments(&mut project, tree);
        }
        let names = &self.options.services;
        if !names.is_empty() {
            let report = &mut self.loader.report;
            select::activate(&mut project, names);
            let wanted = select::wanted(&project, names, report);
            if !self.options.skip.consistency {
                // Nobody has looked at those that are active by their names only.
                consistency::check(&project, &wanted, tree, report);
            }
            select::only(&mut project, &wanted);
            select::own_dependencies(&mut project);
        }
        // Names may have made further services active.
        if readers != Readers::Nobody && (!are_read || !self.options.services.is_empty()) {
            self.environments(&mut project, tree);
        }
        self.labels(&mut project, tree);
        // What is wrong with files of variables is told with all else.
        if self.loader.report.error_count() > 0 {
            return None;
        }
        if !self.options.all_resources {
            select::used_resources(&mut project);
        }
        Some(project)
    }

    /// Resolves the variables of the services that are active now.
    fn environments(&mut self, project: &mut Project, tree: &Node) {
        for (name, service) in &mut project.services {
            for file in &mut service.env_file {
                // Relative ones are left where paths stay as they are written;
                // the reference then reads them from the current folder.
                file.path = resolved(&self.options.cwd, &file.path);
            }
            self.loader
                .service_environment(name, service, &project.environment, tree);
        }
    }

    /// Resolves the labels of the services that are active now.
    fn labels(&mut self, project: &mut Project, tree: &Node) {
        for (name, service) in &mut project.services {
            for file in &mut service.label_file {
                *file = resolved(&self.options.cwd, file);
            }
            self.loader.service_labels(name, service, tree);
        }
    }

    fn profiles(&self) -> Vec<String> {
        if !self.options.profiles.is_empty() {
            return self.options.profiles.clone();
        }
        let variable = self.environment.get("COMPOSE_PROFILES");
        variable
            .map(String::as_str)
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// A truth value of a `COMPOSE_` variable, as Docker reads it.
pub fn is_true(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    ["1", "t", "true", "y"].contains(&text.as_str())
}

fn resolved(base: &Path, file: &str) -> String {
    absolute(base, Path::new(file))
        .to_string_lossy()
        .into_owned()
}

/// Reads the sections of a tree into a project.
pub(super) fn fill(project: &mut Project, tree: &Node, cx: &mut Cx<'_>) {
    for (key, node) in tree.as_map().into_iter().flatten() {
        cx.at(key, |cx| match key.as_str() {
            "services" => project.services = field(node, cx).unwrap_or_default(),
            "networks" => project.networks = field(node, cx).unwrap_or_default(),
            "volumes" => project.volumes = field(node, cx).unwrap_or_default(),
            "configs" => project.configs = field(node, cx).unwrap_or_default(),
            "secrets" => project.secrets = field(node, cx).unwrap_or_default(),
            "models" => project.models = field(node, cx).unwrap_or_default(),
            _ if key.starts_with("x-") => {
                project.extensions.insert(key.clone(), raw_json(node));
            }
            _ => {}
        });
    }
}

fn input(cwd: &Path, file: &FileArg) -> Input {
    match file {
        FileArg::Path(path) => Input {
            name: absolute(cwd, path),
            text: None,
        },
        FileArg::Stdin(text) => Input {
            name: PathBuf::from(STDIN),
            text: Some(text.clone()),
        },
    }
}

/// Refuses what is no name of a project, in Docker's words. A name becomes part
/// of paths and of kernel objects' names.
///
/// # Errors
/// The diagnostic, with a name that would do.
pub fn check_name(name: &str, origin: &str) -> Result<(), Box<Diagnostic>> {
    let normal = normal_name(name);
    if normal == name && !name.is_empty() {
        return Ok(());
    }
    let mut diagnostic = Diagnostic::error(format!(
        "invalid project name {name:?} ({origin}): must consist only of lowercase alphanumeric \
         characters, hyphens, and underscores as well as start with a letter or number"
    ));
    if !normal.is_empty() {
        diagnostic = diagnostic.suggest(format!("try `{normal}`"));
    }
    Err(Box::new(diagnostic))
}

/// A name as a project can have it: in small letters, without everything else.
pub(super) fn normal_name(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}
