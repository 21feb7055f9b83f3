//! Parts of a service around its processes: health, hooks, limits, logging,
//! dependencies, `develop`.

use indexmap::IndexMap;

use super::record::{self, Cx, Emit, Form, Parse, member, record};
use super::{Argv, OptionsMap, Variables, shown};
use crate::compose::diag::did_you_mean;
use crate::compose::printed::{Object, Printed};
use crate::compose::tree::{Node, Value};
use crate::compose::units::Period;

record! {
    /// How a container's health is found out.
    Healthcheck {
        /// The probe: first `CMD`, `CMD-SHELL` or `NONE`, then its words. A
        /// string in the file is a `CMD-SHELL`.
        test: Option<Probe>,
        /// Longest time of a probe.
        timeout: Option<Period>,
        /// Time between two probes.
        interval: Option<Period>,
        /// Failures in a row that mean unhealthy.
        retries: Option<u64>,
        /// Time in which failures do not count.
        start_period: Option<Period>,
        /// Time between two probes in the start period.
        start_interval: Option<Period>,
        /// No health check, whatever the image has.
        disable: bool,
    }
}

/// The words of a probe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe(pub Vec<String>);

impl std::ops::Deref for Probe {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl Parse for Probe {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.value {
            Value::Str(text) => Some(Self(vec!["CMD-SHELL".to_owned(), text.clone()])),
            _ => Vec::parse(node, cx).map(Self),
        }
    }
}

impl Emit for Probe {
    fn value(&self, form: Form) -> Printed {
        self.0.value(form)
    }

    fn is_blank(&self) -> bool {
        self.0.is_empty()
    }
}

record! {
    /// A command run in a container at a point of its life.
    Hook {
        /// What is run.
        command: Option<Argv>,
        /// As whom.
        user: Option<String>,
        /// With all capabilities.
        privileged: bool,
        /// Where.
        working_dir: Option<String>,
        /// With which additional variables.
        environment: Variables,
    }
}

record! {
    /// A command run before a service starts.
    PreStartHook {
        /// What is run.
        command: Option<Argv>,
        /// In which image; the service's own where absent.
        image: Option<String>,
        /// As whom.
        user: Option<String>,
        /// With all capabilities.
        privileged: bool,
        /// Where.
        working_dir: Option<String>,
        /// With which additional variables.
        environment: Variables,
        /// Once for each container.
        per_replica: bool,
    }
}

record! {
    /// Where output goes.
    Logging {
        /// Driver.
        driver: Option<String>,
        /// Its options.
        options: OptionsMap,
    }
}

record! {
    /// Windows credentials.
    CredentialSpec {
        /// Name of a config.
        config: Option<String>,
        /// Path.
        file: Option<String>,
        /// Registry key.
        registry: Option<String>,
    }
}

record! {
    /// A program outside that takes the place of containers.
    Provider {
        /// Its name.
        kind = "type": Option<String>,
        /// Its options.
        options: ProviderOptions,
    }
}

/// Options that may be repeated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderOptions(pub IndexMap<String, Vec<String>>);

impl Parse for ProviderOptions {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.as_map() else {
            return cx.fail(node, format!("is {}", node.kind()), "a mapping");
        };
        let options = map
            .iter()
            .map(|(key, child)| {
                let values = match &child.value {
                    Value::Seq(items) => items.iter().filter_map(Node::scalar_text).collect(),
                    _ => child.scalar_text().into_iter().collect(),
                };
                (key.clone(), values)
            })
            .filter(|(_, values): &(String, Vec<String>)| !values.is_empty())
            .collect();
        Some(Self(options))
    }
}

impl Emit for ProviderOptions {
    fn value(&self, form: Form) -> Printed {
        self.0.value(form)
    }

    fn omit(&self, _form: Form) -> bool {
        self.0.is_empty()
    }
}

/// A file of environment variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    /// Its path.
    pub path: String,
    /// Whether it is an error that it is missing.
    pub required: bool,
    /// `raw`, or absent for the usual grammar.
    pub format: Option<String>,
}

impl Default for EnvFile {
    fn default() -> Self {
        Self {
            path: String::new(),
            required: true,
            format: None,
        }
    }
}

impl Parse for EnvFile {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Some(path) = node.as_str() {
            return Some(Self {
                path: path.to_owned(),
                ..Self::default()
            });
        }
        let required = match node.get("required") {
            Some(child) => cx.at("required", |cx| bool::parse(child, cx))?,
            None => true,
        };
        Some(Self {
            path: member(node, "path", cx)?,
            required,
            format: member(node, "format", cx)?,
        })
    }
}

impl Emit for EnvFile {
    fn value(&self, form: Form) -> Printed {
        if self.required {
            return Printed::String(self.path.clone());
        }
        let mut object = Object::new();
        object.insert("path".to_owned(), Printed::String(self.path.clone()));
        object.insert("required".to_owned(), Printed::Bool(false));
        if form == Form::Json {
            record::put(&mut object, "format", &self.format, form);
        }
        Printed::Object(object)
    }
}

/// What a dependency must have come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Condition {
    /// It has been started.
    #[default]
    Started,
    /// Its health check passes.
    Healthy,
    /// It has ended with code 0.
    CompletedSuccessfully,
}

impl Condition {
    /// As written in a Compose file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::CompletedSuccessfully => "service_completed_successfully",
        }
    }
}

impl Parse for Condition {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let all = [Self::Started, Self::Healthy, Self::CompletedSuccessfully];
        let found = all
            .into_iter()
            .find(|condition| node.as_str() == Some(condition.as_str()));
        match found {
            Some(condition) => Some(condition),
            None => cx.fail(
                node,
                shown(node, "is not a condition"),
                "service_started, service_healthy or service_completed_successfully",
            ),
        }
    }
}

impl Emit for Condition {
    fn value(&self, _form: Form) -> Printed {
        Printed::from(self.as_str())
    }
}

/// A service that must be there first.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    /// What it must have come to.
    pub condition: Condition,
    /// Restart this service when that one is.
    pub restart: bool,
    /// Whether it may be missing.
    pub required: bool,
    /// `x-` attributes.
    pub extensions: super::Extensions,
}

impl Default for Dependency {
    fn default() -> Self {
        Self {
            condition: Condition::Started,
            restart: false,
            required: true,
            extensions: super::Extensions::new(),
        }
    }
}

impl Parse for Dependency {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let required = match node.get("required") {
            Some(child) => cx.at("required", |cx| bool::parse(child, cx))?,
            None => true,
        };
        let extensions = node
            .as_map()
            .into_iter()
            .flatten()
            .filter(|(key, _)| key.starts_with("x-"))
            .map(|(key, child)| (key.clone(), Printed::of(child)))
            .collect();
        Some(Self {
            condition: member(node, "condition", cx)?,
            restart: member(node, "restart", cx)?,
            required,
            extensions,
        })
    }
}

impl Emit for Dependency {
    fn value(&self, form: Form) -> Printed {
        let mut object = Object::new();
        object.insert("condition".to_owned(), self.condition.value(form));
        record::put(&mut object, "restart", &self.restart, form);
        object.insert("required".to_owned(), Printed::Bool(self.required));
        if form == Form::Yaml {
            record::put_extensions(&mut object, &self.extensions, form);
        }
        Printed::Object(object)
    }
}

record! {
    /// What happens while the service is developed.
    Develop {
        /// What is watched.
        watch: Vec<Watch>,
    }
}

record! {
    /// A watched path.
    Watch {
        /// Where.
        path: String,
        /// What happens on a change.
        action: Option<WatchAction>,
        /// Path in the container.
        target: Option<String>,
        /// A command for `sync+exec`.
        exec: Hook,
        /// Patterns to watch alone.
        include: Vec<String>,
        /// Patterns to leave out.
        ignore: Vec<String>,
        /// Sync everything at the start.
        initial_sync: bool,
    }
}

/// What happens when a watched file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WatchAction {
    /// Build and recreate.
    Rebuild,
    /// Copy the file.
    Sync,
    /// Restart the container.
    Restart,
    /// Copy, then restart.
    SyncRestart,
    /// Copy, then run a command.
    SyncExec,
}

impl WatchAction {
    /// As written in a Compose file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuild",
            Self::Sync => "sync",
            Self::Restart => "restart",
            Self::SyncRestart => "sync+restart",
            Self::SyncExec => "sync+exec",
        }
    }
}

impl Parse for WatchAction {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let all = [
            Self::Rebuild,
            Self::Sync,
            Self::Restart,
            Self::SyncRestart,
            Self::SyncExec,
        ];
        let found = all
            .into_iter()
            .find(|action| node.as_str() == Some(action.as_str()));
        match found {
            Some(action) => Some(action),
            None => cx.fail(
                node,
                shown(node, "is not an action"),
                "rebuild, sync, restart, sync+restart or sync+exec",
            ),
        }
    }
}

impl Emit for WatchAction {
    fn value(&self, _form: Form) -> Printed {
        Printed::from(self.as_str())
    }
}

record! {
    /// An AI model of the project.
    Model {
        /// Its full name.
        name: Option<String>,
        /// Which model.
        model: Option<String>,
        /// Size of the context.
        context_size: i64,
        /// Flags of the runtime.
        runtime_flags: Vec<String>,
    }
}

record! {
    /// How a service learns of a model.
    ServiceModel {
        /// Variable for the address.
        endpoint_var: Option<String>,
        /// Variable for the model's name.
        model_var: Option<String>,
    }
}

/// `restart`, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Never.
    No,
    /// Whatever ended it.
    Always,
    /// As `Always`, but not what a user stopped.
    UnlessStopped,
    /// After a failure, at most so often.
    OnFailure {
        /// Most restarts in a row; `None` for no limit.
        max_retries: Option<u32>,
    },
}

impl std::str::FromStr for Restart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (policy, count) = match text.split_once(':') {
            Some((policy, count)) => (policy, Some(count)),
            None => (text, None),
        };
        match (policy, count) {
            ("" | "no", None) => Ok(Self::No),
            ("always", None) => Ok(Self::Always),
            ("unless-stopped", None) => Ok(Self::UnlessStopped),
            ("on-failure", None) => Ok(Self::OnFailure { max_retries: None }),
            ("on-failure", Some(count)) => match count.parse::<u32>() {
                Ok(0) => Ok(Self::OnFailure { max_retries: None }),
                Ok(count) => Ok(Self::OnFailure {
                    max_retries: Some(count),
                }),
                Err(_) => Err(format!(
                    "`{count}` is not a number of retries; expected a whole number, such as on-failure:3"
                )),
            },
            _ => {
                let known = ["no", "always", "unless-stopped", "on-failure"];
                let meant = did_you_mean(policy, known.into_iter());
                let meant = meant.map_or_else(String::new, |meant| format!("; {meant}"));
                Err(format!(
                    "`{text}` is not a restart policy; expected no, always, unless-stopped, \
                     on-failure or on-failure:N{meant}"
                ))
            }
        }
    }
}
