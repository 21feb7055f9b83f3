//! What every command starts from: streams, roots, the project.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indexmap::IndexMap;

use super::args::Global;
use super::error::CliError;
use super::folder;
use super::settings::Settings;
use super::variables::{self, Reach};
use crate::compose::{
    self, Diagnostic, FileArg, FirstVariables, Host, LoadOptions, Loaded, Project, RawModel,
    Readers, SetPart, Skip, Style,
};
use crate::env;
use crate::image::Platform;
use crate::reconcile;
use crate::reconcile::images::DEFAULT_PLATFORM;
use crate::similar::did_you_mean;
use crate::state::Layout;
use crate::supervise::inspect::{self, ContainerView};
use crate::ui::progress::Console;
use crate::ui::{self, Ui};

/// What every command starts from.
#[derive(Debug)]
pub struct Context {
    /// The streams.
    pub ui: Ui,
    /// The roots.
    pub layout: Layout,
    /// Options of every command.
    pub global: Global,
    /// What they and the variables decide.
    pub settings: Settings,
    /// Whether the variables that mean nothing were told already.
    pub told_variables: AtomicBool,
}

/// A project by file, or by name alone.
#[derive(Debug)]
pub enum Target {
    /// Loaded from its files.
    Loaded(Box<Project>),
    /// Known from its records only.
    Named(String),
}

impl Target {
    /// The project's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Loaded(project) => &project.name,
            Self::Named(name) => name,
        }
    }

    /// The model, where there is one.
    pub fn project(&self) -> Option<&Project> {
        match self {
            Self::Loaded(project) => Some(project),
            Self::Named(_) => None,
        }
    }
}

impl Context {
    /// Loads the project; warnings are printed. `services` are those named on
    /// the command line.
    ///
    /// # Errors
    /// All that is wrong with the files, rendered.
    pub fn load(&self, services: &[String]) -> Result<Project, CliError> {
        self.load_by(&self.load_options(services)?)
    }

    /// The same by these options, for a command that loads the project again.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_by(&self, options: &LoadOptions) -> Result<Project, CliError> {
        self.on_a_platform(self.load_with(options)?)
    }

    /// The same for a command that starts the project's services: what it is going to
    /// refuse is told then, and not warned of.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_to_start(&self, options: &LoadOptions) -> Result<Project, CliError> {
        let Loaded { project, warnings } = self.load_silently(options)?;
        let services: Vec<&String> = project.services.keys().collect();
        self.show(&reconcile::not_refused(&project, &services, warnings));
        self.on_a_platform(project)
    }

    /// Refuses a platform of the environment that is none.
    fn on_a_platform(&self, project: Project) -> Result<Project, CliError> {
        if let Some(text) = project.environment.get(DEFAULT_PLATFORM)
            && let Err(error) = Platform::parse(text)
        {
            let diagnostic = Diagnostic::error(format!("{DEFAULT_PLATFORM}: {error}"));
            let diagnostic = project.of_variable(DEFAULT_PLATFORM, SetPart::Value, diagnostic);
            return Err(self.refusal(std::iter::once(&diagnostic)));
        }
        Ok(project)
    }

    /// Loads the project by these options; warnings are printed.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with(&self, options: &LoadOptions) -> Result<Project, CliError> {
        let Loaded { project, warnings } = self.load_silently(options)?;
        self.show(&warnings);
        Ok(project)
    }

    /// Loads the project by these options; warnings are left to the caller.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_silently(&self, options: &LoadOptions) -> Result<Loaded, CliError> {
        if let Some(message) = super::sudo::unknown_home() {
            self.ui.warn(&message);
        }
        let loaded = compose::load(options, &Host);
        let loaded = loaded.map_err(|found| self.refusal(found.list.iter()))?;
        let project = &loaded.project;
        self.tell_variables(
            &project.environment,
            |name| project.asked.contains(name),
            |name, part, found| project.of_variable(name, part, found),
        );
        Ok(loaded)
    }

    /// Loads the files as they are written by these options; warnings are printed.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_raw_with(&self, options: &LoadOptions) -> Result<RawModel, CliError> {
        if let Some(message) = super::sudo::unknown_home() {
            self.ui.warn(&message);
        }
        match compose::load_raw(options, &Host) {
            Ok(model) => {
                let variables = model.variables();
                self.tell_variables(
                    &model.environment,
                    |name| variables.contains_key(name),
                    |name, part, found| model.of_variable(name, part, found),
                );
                self.show(&model.warnings);
                Ok(model)
            }
            Err(diagnostics) => Err(self.refusal(diagnostics.list.iter())),
        }
    }

    /// The project that a command without need of a model works on: with `-p`
    /// and without `-f` no file is looked for, so that a project whose file is
    /// gone can still be seen and ended from any folder.
    ///
    /// # Errors
    /// Neither a file nor a name, or the file is wrong.
    pub fn target(&self, services: &[String]) -> Result<Target, CliError> {
        let given = self.global.project_name.clone();
        let given = given.filter(|name| !name.is_empty() && self.global.files.is_empty());
        if let Some(name) = given {
            return self.named(name, "-p");
        }
        match self.load(services) {
            Ok(project) => Ok(Target::Loaded(Box::new(project))),
            Err(error) => match self.settings.get(env::COMPOSE_PROJECT_NAME) {
                Some(name) => self.named(name, env::COMPOSE_PROJECT_NAME),
                None => Err(error),
            },
        }
    }

    /// A project by name, which becomes part of paths: nothing but a name will do.
    fn named(&self, name: String, origin: &str) -> Result<Target, CliError> {
        match compose::check_name(&name, origin) {
            Ok(()) => Ok(Target::Named(name)),
            Err(diagnostic) => {
                let first = &self.settings.first;
                let placed = first.of_variable(origin, SetPart::Value, *diagnostic);
                Err(self.refusal(std::iter::once(&placed)))
            }
        }
    }

    /// What the loader starts from.
    ///
    /// # Errors
    /// Standard input cannot be read, or the current folder has gone.
    pub fn load_options(&self, services: &[String]) -> Result<LoadOptions, CliError> {
        let global = &self.global;
        let mut files = Vec::new();
        for file in &global.files {
            files.push(if file == "-" {
                let text = compose::read_text(std::io::stdin().lock()).map_err(|error| {
                    CliError::new(format!(
                        "cannot read the Compose file from standard input: {error}"
                    ))
                })?;
                FileArg::Stdin(text)
            } else {
                FileArg::Path(PathBuf::from(file))
            });
        }
        Ok(LoadOptions {
            files,
            project_name: global.project_name.clone(),
            project_directory: global.project_directory.clone(),
            env_files: global.env_files.clone(),
            profiles: global.profiles.clone(),
            environment: super::sudo::environment().into_iter().collect(),
            first: self.first_of_all(),
            cwd: folder::current(&global.files)?,
            unset_help: env::read(env::SUDO_USER).map(|_| {
                "sudo drops variables: `sudo --preserve-env=NAME skiff …` keeps one".to_owned()
            }),
            services: services.to_vec(),
            skip: Skip::default(),
            all_resources: global.all_resources,
            compatibility: global.compatibility,
            env_file_readers: Readers::default(),
            trace: false,
        })
    }

    /// The variables of a first `.env` that says that no `.env` is to be read: it has
    /// said the rest of its `COMPOSE_` variables, too.
    fn first_of_all(&self) -> Option<FirstVariables> {
        let first = &self.settings.first;
        first
            .get(env::COMPOSE_DISABLE_ENV_FILE)
            .map(|_| first.clone())
    }

    /// Says once which variables mean nothing here, or nothing where they are set, each
    /// in its place; `asked` are those that the Compose files use. Truth values of the
    /// project folder's `.env` are known only now.
    fn tell_variables(
        &self,
        environment: &IndexMap<String, String>,
        asked: impl Fn(&str) -> bool,
        place: impl Fn(&str, SetPart, Diagnostic) -> Diagnostic,
    ) {
        if self.told_variables.swap(true, Ordering::Relaxed) {
            return;
        }
        let is_own = |name: &str| name.starts_with(compose::VARIABLE_PREFIX);
        let shell = env::all().into_iter().map(|(name, _)| name);
        let shell: HashSet<String> = shell.filter(|name| is_own(name)).collect();
        let set = |name: &str| {
            if shell.contains(name) {
                Reach::Shell
            } else if self.settings.first.get(name).is_some() {
                Reach::First
            } else {
                Reach::Project
            }
        };
        let mut told = Vec::new();
        for (name, value) in environment.iter().filter(|(name, _)| is_own(name)) {
            let set = set(name);
            if let Some(found) = variables::stranger(name, set).filter(|_| !asked(name)) {
                told.push((name, place(name, SetPart::Name, found)));
            }
            let counts = variables::reach(name) == Some(set) && set == Reach::Project;
            if counts
                && variables::BOOLEANS.contains(&name.as_str())
                && let Some(found) = variables::no_boolean(name, value)
            {
                told.push((name, place(name, SetPart::Value, found)));
            }
        }
        told.sort_by_key(|(name, _)| *name);
        let told: Vec<Diagnostic> = told.into_iter().map(|(_, found)| found).collect();
        self.show(&told);
    }

    /// The same where no project was loaded.
    pub fn tell_own_variables(&self) {
        if self.told_variables.load(Ordering::Relaxed) {
            return;
        }
        let first = &self.settings.first;
        let mut environment: IndexMap<_, _> = env::all().into_iter().collect();
        let own = first.settings();
        environment.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        self.tell_variables(
            &environment,
            |_| false,
            |name, part, found| first.of_variable(name, part, found),
        );
    }

    /// Names of the variables that the project's files ask for; none where there
    /// is no file, or a wrong one, which is told when it counts. Standard input
    /// is left alone.
    pub fn asked_variables(&self) -> BTreeSet<String> {
        let by_name = self.global.project_name.is_some() && self.global.files.is_empty();
        if by_name || self.global.files.iter().any(|file| file == "-") {
            return BTreeSet::new();
        }
        let loaded = self
            .load_options(&[])
            .ok()
            .and_then(|options| compose::load(&options, &Host).ok());
        loaded
            .map(|loaded| loaded.project.asked)
            .unwrap_or_default()
    }

    /// Prints warnings.
    pub fn show(&self, warnings: &[Diagnostic]) {
        let text = compose::print_list(warnings, self.style(self.ui.color_err).as_ref());
        if !text.is_empty() {
            ui::write_err(&text);
        }
    }

    /// An error made of diagnostics.
    pub fn refusal<'a>(&self, diagnostics: impl Iterator<Item = &'a Diagnostic>) -> CliError {
        let style = self.style(self.ui.color_err);
        CliError::Rendered(compose::print_list(diagnostics, style.as_ref()))
    }

    /// How diagnostics look on a stream; `None` where they are data.
    pub fn style(&self, is_coloured: bool) -> Option<Style> {
        match (self.ui.json, is_coloured) {
            (true, _) => None,
            (false, true) => Some(Style::COLOUR),
            (false, false) => Some(Style::PLAIN),
        }
    }

    /// Where events of this command go.
    pub fn sink(&self) -> Arc<dyn Console> {
        ui::progress::sink(self.ui)
    }

    /// The project's containers, by name.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn containers(&self, project: &str) -> Result<Vec<ContainerView>, CliError> {
        let mut views = inspect::containers(&self.layout, project)
            .map_err(|error| CliError::from_error(&error))?;
        views.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        Ok(views)
    }

    /// The names of this machine's projects, without those that builds make for
    /// themselves.
    ///
    /// # Errors
    /// The records cannot be read.
    pub fn projects(&self) -> Result<Vec<String>, CliError> {
        let mut projects =
            inspect::projects(&self.layout).map_err(|error| CliError::from_error(&error))?;
        projects.retain(|project| !inspect::is_build(project));
        Ok(projects)
    }

    /// Refuses names that are no service of the loaded project.
    ///
    /// # Errors
    /// The first unknown name, with the nearest known one.
    pub fn check_known(&self, project: &Project, names: &[String]) -> Result<(), CliError> {
        let known: Vec<&str> = project.services.keys().map(String::as_str).collect();
        match names.iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(no_such_service(name, &known)),
            None => Ok(()),
        }
    }

    /// Refuses names that are neither a service of the project nor one of a
    /// container's.
    ///
    /// # Errors
    /// The first unknown name, with the nearest known one.
    pub fn check_services(
        target: &Target,
        views: &[ContainerView],
        names: &[String],
    ) -> Result<(), CliError> {
        let mut known: Vec<&str> = views
            .iter()
            .map(|view| view.record.service.as_str())
            .collect();
        if let Some(project) = target.project() {
            known.extend(project.services.keys().map(String::as_str));
            known.extend(project.disabled_services.keys().map(String::as_str));
        }
        for name in names {
            if !known.contains(&name.as_str()) {
                return Err(no_such_service(name, &known));
            }
        }
        Ok(())
    }
}

/// The error for a service that the project does not have.
pub fn no_such_service(name: &str, known: &[&str]) -> CliError {
    let error = CliError::new(format!("no such service: {name}"));
    match did_you_mean(name, known.iter().copied()) {
        Some(question) => error.hint(question),
        None => error,
    }
}
