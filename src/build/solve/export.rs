//! The image that a build makes: its config, as Docker writes it, and its entry in
//! the store.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;

use super::error::{BuildError, StepError};
use super::solver::{Builder, Given, Outcome, joined};
use crate::build::graph::{Kind, Plan, Source, StepId};
use crate::image::config::History;
use crate::image::store::NewImage;
use crate::image::{ConfigFile, Digest, Healthcheck, Image, ImageConfig, Reference};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildFailure {
    /// A step failed.
    #[error(transparent)]
    Step(Arc<StepError>),
    /// Something beside the steps.
    #[error(transparent)]
    Other(#[from] BuildError),
}

impl Builder<'_> {
    /// Carries a plan out and puts the image into the store, under these names. An
    /// image that is there already, under the same names, is left as it is.
    ///
    /// # Errors
    /// The first step that failed; the others are ended then.
    pub async fn build(
        &self,
        plan: &Plan,
        given: Given,
        names: Vec<Reference>,
    ) -> Result<Image, BuildFailure> {
        let base = base_layers(plan, &given)?;
        let outcomes = self.walk(plan, given).await.map_err(BuildFailure::Step)?;
        let chain = chain(plan, &outcomes);
        let mut diff_ids = base;
        diff_ids.extend(
            chain
                .iter()
                .filter_map(|outcome| outcome.made.layer.clone()),
        );
        let history = history(plan, &chain);
        let created = plan.epoch.map(time_of).or_else(|| {
            let made = chain.iter().rev().map(|outcome| outcome.created.clone());
            let made = made.chain(history.iter().rev().filter_map(|one| one.created.clone()));
            made.into_iter().find(|created| !created.is_empty())
        });
        let config = config_json(plan, &diff_ids, &history, created.as_deref());
        let (store, usage) = (self.store.clone(), Arc::clone(&self.usage));
        let added = spawn_blocking(move || {
            let id = Digest::of(&config);
            if let Some(image) = store.find(&id.to_string())?
                && names.iter().all(|name| image.names.contains(name))
            {
                return Ok(image);
            }
            let new = NewImage {
                config,
                manifests: Vec::new(),
                manifest: None,
                names,
                repo_digests: Vec::new(),
            };
            store.add_image(&usage, new).map_err(BuildError::from)
        });
        Ok(added.await.map_err(joined)??)
    }
}

/// The steps from the result down to what it starts from, the lowest first,
/// without the start.
fn chain<'o>(plan: &Plan, outcomes: &'o [Arc<Outcome>]) -> Vec<&'o Outcome> {
    let mut chain = Vec::new();
    let mut here = plan.result;
    while let Some(StepId(index)) = here {
        let root = match plan.steps.get(index).map(|step| &step.kind) {
            None | Some(Kind::Source(_)) => break,
            Some(Kind::Folder(folder)) => folder.root,
            Some(Kind::Copy(copy)) => copy.root,
            Some(Kind::Run(run)) => run.root,
        };
        chain.extend(outcomes.get(index).map(|outcome| &**outcome));
        here = root;
    }
    chain.reverse();
    chain
}

/// The diff-ids of the image that the result starts from.
fn base_layers(plan: &Plan, given: &Given) -> Result<Vec<Digest>, BuildError> {
    let mut here = plan.result;
    while let Some(StepId(index)) = here {
        here = match plan.steps.get(index).map(|step| &step.kind) {
            None => break,
            Some(Kind::Folder(folder)) => folder.root,
            Some(Kind::Copy(copy)) => copy.root,
            Some(Kind::Run(run)) => run.root,
            Some(Kind::Source(source)) => {
                let image = match source {
                    Source::Image { reference } => given.images.get(reference),
                    Source::Build { name } => given.builds.get(name),
                    Source::Context { .. } | Source::Http { .. } | Source::Git(_) => None,
                };
                let text = image.map(|image| image.raw_config.as_bytes());
                let config = text.map(ConfigFile::parse).transpose();
                let config = config.map_err(|error| BuildError::Unsupported {
                    what: format!("the config of the base image ({error})"),
                })?;
                return Ok(config.map(|file| file.rootfs.diff_ids).unwrap_or_default());
            }
        };
    }
    Ok(Vec::new())
}

/// The history with the times of the steps; one that made no layer says so.
fn history(plan: &Plan, chain: &[&Outcome]) -> Vec<History> {
    let mut steps = chain.iter().rev();
    let epoch = plan.epoch.map(time_of);
    let mut last = None;
    let mut history = plan.config.history.clone();
    // From the top, as the steps are the last of what has a layer.
    for entry in history.iter_mut().rev() {
        if !entry.empty_layer
            && let Some(outcome) = steps.next()
        {
            entry.empty_layer = outcome.made.layer.is_none();
            entry.created = Some(outcome.created.clone());
        }
    }
    for entry in &mut history {
        match &entry.created {
            Some(created) => last = Some(created.clone()),
            // What makes no layer takes no time.
            None => entry.created.clone_from(&last),
        }
        if let Some(epoch) = &epoch {
            entry.created = Some(epoch.clone());
        }
    }
    history
}

fn time_of(epoch: i64) -> String {
    jiff::Timestamp::from_second(epoch).map_or_else(|_| String::new(), |time| time.to_string())
}

fn config_json(
    plan: &Plan,
    diff_ids: &[Digest],
    history: &[History],
    created: Option<&str>,
) -> Vec<u8> {
    let file = &plan.config;
    let mut top = Map::new();
    let platform = file.platform();
    top.insert("architecture".to_owned(), platform.architecture.into());
    put(&mut top, "author", file.author.clone().map(Value::from));
    let config = image_config(&file.config, plan.has_escaped_args);
    top.insert("config".to_owned(), config.into());
    put(&mut top, "created", created.map(Value::from));
    let history: Vec<Value> = history.iter().map(history_json).collect();
    top.insert("history".to_owned(), history.into());
    top.insert("os".to_owned(), platform.os.into());
    let diff_ids: Vec<String> = diff_ids.iter().map(ToString::to_string).collect();
    top.insert(
        "rootfs".to_owned(),
        json!({"type": "layers", "diff_ids": diff_ids}),
    );
    put(&mut top, "variant", platform.variant.map(Value::from));
    Value::Object(top).to_string().into_bytes()
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), value);
    }
}

fn text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| text.into())
}

fn list(list: &[String]) -> Option<Value> {
    (!list.is_empty()).then(|| list.to_vec().into())
}

/// Sets are objects with empty values.
fn set(list: &[String]) -> Option<Value> {
    let keys: std::collections::BTreeSet<&String> = list.iter().collect();
    let map: Map<String, Value> = keys
        .into_iter()
        .map(|key| (key.clone(), json!({})))
        .collect();
    (!map.is_empty()).then(|| map.into())
}

fn image_config(config: &ImageConfig, has_escaped_args: bool) -> Map<String, Value> {
    let mut map = Map::new();
    put(&mut map, "User", text(&config.user));
    put(&mut map, "ExposedPorts", set(&config.exposed_ports));
    put(&mut map, "Env", list(&config.env));
    put(&mut map, "Entrypoint", list(&config.entrypoint));
    put(&mut map, "Cmd", list(&config.cmd));
    put(&mut map, "Volumes", set(&config.volumes));
    put(&mut map, "WorkingDir", text(&config.working_dir));
    let labels = (!config.labels.is_empty()).then(|| json!(config.labels));
    put(&mut map, "Labels", labels);
    put(
        &mut map,
        "StopSignal",
        config.stop_signal.clone().map(Value::from),
    );
    put(
        &mut map,
        "StopTimeout",
        config.stop_timeout.map(Value::from),
    );
    put(
        &mut map,
        "ArgsEscaped",
        has_escaped_args.then_some(true.into()),
    );
    let probe = config.healthcheck.as_ref().map(healthcheck);
    put(&mut map, "Healthcheck", probe);
    put(&mut map, "OnBuild", list(&config.on_build));
    put(&mut map, "Shell", list(&config.shell));
    map
}

fn healthcheck(probe: &Healthcheck) -> Value {
    let mut map = Map::new();
    put(&mut map, "Test", list(&probe.test));
    for (key, duration) in [
        ("Interval", probe.interval),
        ("Timeout", probe.timeout),
        ("StartPeriod", probe.start_period),
        ("StartInterval", probe.start_interval),
    ] {
        let nanos = duration.and_then(|time| u64::try_from(time.as_nanos()).ok());
        put(&mut map, key, nanos.map(Value::from));
    }
    put(&mut map, "Retries", probe.retries.map(Value::from));
    map.into()
}

fn history_json(entry: &History) -> Value {
    let mut map = Map::new();
    let value = |text: &Option<String>| text.clone().map(Value::from);
    put(&mut map, "created", value(&entry.created));
    put(&mut map, "created_by", value(&entry.created_by));
    put(&mut map, "comment", value(&entry.comment));
    put(
        &mut map,
        "empty_layer",
        entry.empty_layer.then_some(true.into()),
    );
    map.into()
}
