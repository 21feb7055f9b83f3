//! The image that a build makes: its layers, the times of its history, and its entry
//! in the store.

use std::sync::Arc;

use super::builder::{Builder, Given};
use super::error::{BuildError, StepError};
use super::full;
use super::share::{Shareable, Walked};
use super::solver::Outcome;
use crate::build::graph::{self, Kind, Plan, StepId};
use crate::build::shared_cache::document::FIELD;
use crate::image::config::{History, RootFs};
use crate::image::store::NewImage;
use crate::image::{ConfigFile, Digest, Image, Platform, Reference};

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
    /// image that is there already, under the same names, is left as it is. What caches
    /// may have of it comes back, too.
    ///
    /// # Errors
    /// The first step that failed; the others are ended then.
    pub async fn build(
        &self,
        plan: &Plan,
        given: Given,
        names: Vec<Reference>,
    ) -> Result<(Image, Shareable), BuildFailure> {
        let chain = chain(plan);
        let mut diff_ids = base_layers(plan, chain.first(), &given)?;
        let (is_inline, is_passing) = (given.is_inline, given.is_passing);
        let work = self.begin(plan, given).map_err(BuildFailure::Step)?;
        let outcomes = work.walk().await.map_err(BuildFailure::Step)?;
        let walked = Walked {
            plan,
            chain: &chain,
            outcomes: &outcomes,
        };
        let is_made = |id: &&StepId| {
            let step = plan.steps.get(id.0);
            step.is_some_and(|step| !matches!(step.kind, Kind::Source(_)))
        };
        let made: Vec<&Outcome> = chain
            .iter()
            .filter(is_made)
            .filter_map(|id| outcomes.get(id.0).map(|outcome| &**outcome))
            .collect();
        diff_ids.extend(made.iter().filter_map(|outcome| outcome.made.layer.clone()));
        let history = history(plan, &made);
        let created = plan.epoch.map(time_of).or_else(|| {
            let made = made.iter().rev().map(|outcome| outcome.created.clone());
            let made = made.chain(history.iter().rev().filter_map(|one| one.created.clone()));
            made.into_iter().find(|created| !created.is_empty())
        });
        let platform = plan.config.platform();
        let file = ConfigFile {
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
            created,
            rootfs: RootFs { diff_ids },
            history,
            ..plan.config.clone()
        };
        let mut config = graph::document(&file, plan.has_escaped_args);
        if is_inline && let Some(fields) = config.as_object_mut() {
            let inline = walked.inline(&file.rootfs.diff_ids);
            fields.insert(FIELD.to_owned(), inline);
        }
        let config = config.to_string().into_bytes();
        let image = self.enter(config, names, Vec::new(), is_passing).await?;
        Ok((image, Shareable::new(&walked, work.caches)))
    }

    /// Gives an image its names, which mean these others for other platforms;
    /// `is_passing` as [`Given`] has it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn name(
        &self,
        image: &Image,
        names: Vec<Reference>,
        variants: Vec<Digest>,
        is_passing: bool,
    ) -> Result<Image, BuildError> {
        let config = image.raw_config.as_bytes().to_vec();
        self.enter(config, names, variants, is_passing).await
    }

    /// Of an image and those that were built with it the one that serves a platform;
    /// the image itself where none does.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn variant(&self, image: Image, wanted: &Platform) -> Result<Image, BuildError> {
        if wanted.fitness(&image.platform).is_some() {
            return Ok(image);
        }
        let all = self.store.with_variants(image.clone())?;
        let mut fitting = all
            .into_iter()
            .filter(|one| wanted.fitness(&one.platform).is_some());
        Ok(fitting.next().unwrap_or(image))
    }

    async fn enter(
        &self,
        config: Vec<u8>,
        names: Vec<Reference>,
        variants: Vec<Digest>,
        is_passing: bool,
    ) -> Result<Image, BuildError> {
        let added = self.blocking(move |store, usage| {
            let id = Digest::of(&config);
            let there = store.find(&id.to_string())?;
            let is_new = there.is_none();
            if let Some(image) = there
                && names.iter().all(|name| image.names.contains(name))
                && (names.is_empty() || image.variants == variants)
            {
                return Ok(image);
            }
            let new = NewImage {
                config,
                manifests: Vec::new(),
                manifest: None,
                names,
                repo_digests: Vec::new(),
                variants,
            };
            let image = store.add_image(usage, new)?;
            if is_new && is_passing {
                store.let_go(&id)?;
            }
            Ok(image)
        });
        added.await.map_err(|error| full::told(self.layout, error))
    }
}

/// The steps from what the result starts from up to it.
fn chain(plan: &Plan) -> Vec<StepId> {
    let step = |id: StepId| plan.steps.get(id.0);
    let mut chain: Vec<StepId> =
        std::iter::successors(plan.result, |id| step(*id)?.root()).collect();
    chain.reverse();
    chain
}

/// The diff-ids of the image that the result starts from.
fn base_layers(
    plan: &Plan,
    start: Option<&StepId>,
    given: &Given,
) -> Result<Vec<Digest>, BuildError> {
    let step = start.and_then(|id| plan.steps.get(id.0));
    let Some(image) = step.and_then(|step| given.image(step)) else {
        return Ok(Vec::new());
    };
    let file = ConfigFile::parse(image.raw_config.as_bytes());
    let file = file.map_err(|error| BuildError::Unsupported {
        what: format!("the config of the base image ({error})"),
    })?;
    Ok(file.rootfs.diff_ids)
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
