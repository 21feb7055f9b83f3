//! A project: the model as a whole.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::record::{Emit, Extensions, Form, put, put_extensions};
use super::{ConfigSource, Model, Network, SecretSource, Service, Volume};
use crate::compose::diag::{Diagnostic, Position, SetPart, Sources};
use crate::compose::emit;
use crate::compose::printed::{Object, Printed, may_be_endless};
use crate::compose::trace::Trace;
use crate::compose::tree::{Mark, Node};

/// A loaded project.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The folder relative paths start at.
    pub working_dir: PathBuf,
    /// The files it was loaded from, absolute; `-` for standard input.
    pub compose_files: Vec<PathBuf>,
    /// Names are made as Compose 1 made them, with `_`.
    pub compatibility: bool,
    /// The profiles that are active.
    pub profiles: Vec<String>,
    /// Active services, in the order of the file.
    pub services: IndexMap<String, Service>,
    /// Services whose profiles are not active, or that were not selected.
    pub disabled_services: IndexMap<String, Service>,
    /// Networks; with [`crate::compose::LoadOptions::all_resources`] off, only
    /// those that an active service uses. The same for what follows.
    pub networks: IndexMap<String, Network>,
    /// Volumes.
    pub volumes: IndexMap<String, Volume>,
    /// Configs.
    pub configs: IndexMap<String, ConfigSource>,
    /// Secrets.
    pub secrets: IndexMap<String, SecretSource>,
    /// AI models.
    pub models: IndexMap<String, Model>,
    /// What variables were resolved with: the process' environment, then
    /// `.env`.
    pub environment: IndexMap<String, String>,
    /// Names of the variables that the files ask for, set or not.
    pub asked: BTreeSet<String>,
    /// `x-` attributes at the top level.
    pub extensions: Extensions,
    /// Where everything stands.
    pub(crate) origin: Arc<Origin>,
}

/// The tree that the model was read from, and the texts it came from.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    pub(crate) tree: Option<Node>,
    pub(crate) sources: Sources,
    /// Where values come from, where that was asked for.
    pub(crate) trace: Option<Trace>,
}

impl Project {
    /// Drops what [`Self::position`] and [`Self::diagnostic`] look into, which is
    /// as large as all files: for a caller that has no more to say about them.
    pub fn forget_places(&mut self) {
        self.origin = Arc::default();
    }

    /// The files of this machine that the model was read from, absolute: Compose files
    /// with what they include and extend, and files of variables.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        let services = self.services.values();
        let env_files = services
            .flat_map(|service| &service.env_file)
            .map(|file| self.working_dir.join(&file.path));
        let read = self.origin.sources.names().map(PathBuf::from);
        read.chain(env_files)
            .chain([self.working_dir.join(".env")])
            .filter(|path| path.is_absolute())
            .collect()
    }

    /// Where an attribute is written: `services.web.ports[1].target`. For what
    /// a default put there, the nearest thing above it that was written.
    pub fn position(&self, path: &str) -> Option<Position> {
        self.origin.sources.position(self.mark(path)?)
    }

    /// An error about an attribute, with its place and source line, for
    /// callers that refuse what the loader accepts.
    #[track_caller]
    pub fn diagnostic(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        let mut diagnostic = Diagnostic::error(message).path(path);
        let sources = &self.origin.sources;
        let mark = self.value_mark(path, &diagnostic.message);
        diagnostic.position = sources.position(mark);
        diagnostic.excerpt = sources.excerpt(mark);
        // The variables stand in the value, whatever is marked.
        let value = self.value(path).map(|value| value.mark);
        let value = value.filter(|value| value.is_known()).unwrap_or(mark);
        diagnostic.chain = sources.chain(value, path);
        diagnostic
    }

    /// What is wrong with a variable, with the line of the file that sets it, or that the
    /// environment does. Before [`Self::forget_places`].
    pub fn of_variable(&self, name: &str, part: SetPart, diagnostic: Diagnostic) -> Diagnostic {
        let sources = &self.origin.sources;
        sources.of_variable(diagnostic, (name, part), &self.environment)
    }

    /// True where a file sets this attribute, or a default does.
    pub fn is_written(&self, path: &str) -> bool {
        self.value(path).is_some()
    }

    /// What an attribute is, where a file sets it, or a default does.
    fn value(&self, path: &str) -> Option<&Node> {
        self.origin.tree.as_ref()?.lookup(path)
    }

    /// The key of an attribute, or the part of its value that a message repeats.
    fn value_mark(&self, path: &str, message: &str) -> Mark {
        let key = self.mark(path).unwrap_or_default();
        let value = self.value(path).map(|node| node.mark);
        let repeated = message.split('`').nth(1).unwrap_or_default();
        let sources = &self.origin.sources;
        match value {
            Some(value)
                if value.line == key.line
                    && !repeated.is_empty()
                    && sources
                        .token(value)
                        .is_some_and(|token| token.contains(repeated)) =>
            {
                sources.narrowed(value, message)
            }
            _ => key,
        }
    }

    fn mark(&self, path: &str) -> Option<Mark> {
        let tree = self.origin.tree.as_ref()?;
        let mut path = path;
        loop {
            let mark = tree.lookup(path).map(|node| {
                if node.key.is_known() {
                    node.key
                } else {
                    node.mark
                }
            });
            if let Some(mark) = mark.filter(|mark| mark.is_known()) {
                return Some(mark);
            }
            let end = path.rfind(['.', '['])?;
            path = path.get(..end)?;
        }
    }

    /// The model as `config --format json` prints it (before dollars are
    /// doubled). It has no `models`, as the reference has none there.
    pub fn canonical_json(&self) -> Json {
        let mut object = self.canonical(Form::Json);
        object.shift_remove("models");
        Printed::Object(object).into_json()
    }

    /// The model as `config` prints it, to be read back: a `$` is doubled, so that
    /// it is not taken for a variable. JSON has no line break at its end, as the
    /// reference has none there.
    pub fn text(&self, form: Form) -> String {
        let text = match form {
            Form::Yaml => emit::yaml(&Printed::Object(self.canonical(form))),
            Form::Json => {
                let mut object = self.canonical(form);
                object.shift_remove("models");
                object
                    .entry("name".to_owned())
                    .or_insert_with(|| Printed::from(""));
                object.sort_keys();
                emit::json(&Printed::Object(object))
            }
        };
        text.replace('$', "$$")
    }

    /// The first value that JSON does not have (`cpus: .inf`), told at its place: the
    /// reference does not print such a model as JSON, either. Before
    /// [`Self::forget_places`].
    pub fn without_json(&self) -> Option<Diagnostic> {
        self.origin
            .tree
            .as_ref()
            .filter(|tree| may_be_endless(tree))?;
        let (path, value) = Printed::Object(self.canonical(Form::Json)).endless()?;
        Some(self.diagnostic(&path, emit::no_json(value)))
    }

    /// Replaces each service's image by what `pin` makes of it, such as the same
    /// with its digest; a service without an image is left alone.
    ///
    /// # Errors
    /// The first of `pin`.
    pub fn pin_images<E>(
        &mut self,
        mut pin: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<(), E> {
        for service in self.services.values_mut() {
            if let Some(image) = &mut service.image {
                *image = pin(image)?;
            }
        }
        Ok(())
    }

    /// The services' images and nothing else: a file to merge over others, that
    /// pins what they run.
    #[must_use]
    pub fn images_only(&self) -> Self {
        let services = self.services.iter().map(|(name, service)| {
            let image = service.image.clone();
            let service = Service {
                image,
                ..Service::default()
            };
            (name.clone(), service)
        });
        Self {
            services: services.collect(),
            ..Self::default()
        }
    }

    fn canonical(&self, form: Form) -> Object {
        let mut object = Object::new();
        put(&mut object, "name", &self.name, form);
        object.insert("services".to_owned(), self.services.value(form));
        put(&mut object, "networks", &self.networks, form);
        put(&mut object, "volumes", &self.volumes, form);
        put(&mut object, "secrets", &self.secrets, form);
        let mut configs = self.configs.clone();
        for config in configs.values_mut() {
            if config.environment.is_some() {
                config.content = None;
            }
        }
        put(&mut object, "configs", &configs, form);
        put(&mut object, "models", &self.models, form);
        put_extensions(&mut object, &self.extensions, form);
        object
    }
}
