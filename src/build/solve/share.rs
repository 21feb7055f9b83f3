//! What steps made, for other machines (`cache_to`).

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::builder::Builder;
use super::caches::Caches;
use super::error::BuildError;
use super::full;
use super::shown::Shown;
use super::solver::Outcome;
use crate::build::graph::{Kind, Plan, StepId};
use crate::build::shared_cache::document::{self, Document, KIND, Known};
use crate::build::shared_cache::{CacheTo, Extent, Target};
use crate::causes::with_causes;
use crate::event::Event;
use crate::image::artifact::{Artifact, NewArtifact};
use crate::image::{Digest, Place};

/// What became of a plan.
pub(super) struct Walked<'w> {
    pub(super) plan: &'w Plan,
    /// The steps on the way to the image.
    pub(super) chain: &'w [StepId],
    pub(super) outcomes: &'w [Arc<Outcome>],
}

impl Walked<'_> {
    /// The steps that a cache of this extent has; what is carried out each time
    /// anyway is none.
    fn steps(&self, extent: Extent) -> Vec<Known> {
        let mut seen = BTreeSet::new();
        let all = self.plan.steps.iter().zip(self.outcomes).enumerate();
        all.filter(|(index, (step, _))| {
            let is_meant = extent == Extent::Max || self.chain.contains(&StepId(*index));
            is_meant && !matches!(step.kind, Kind::Source(_))
        })
        .filter(|(_, (_, outcome))| seen.insert(outcome.key))
        .map(|(_, (_, outcome))| Known {
            keys: outcome.keys.clone(),
            layer: outcome.made.layer.clone(),
            created: outcome.created.clone(),
        })
        .collect()
    }

    /// The document that becomes part of the image's config.
    pub(super) fn inline(&self, diff_ids: &[Digest]) -> serde_json::Value {
        Document::new(&self.steps(Extent::Min), diff_ids, true).to_value()
    }
}

/// What a build made that caches may have. Of several platforms each has its own: their
/// steps have different keys.
#[derive(Debug)]
pub struct Shareable {
    /// Where it took steps from itself.
    caches: Caches,
    min: Vec<Known>,
    max: Vec<Known>,
}

impl Shareable {
    pub(super) fn new(walked: &Walked<'_>, caches: Caches) -> Self {
        Self {
            min: walked.steps(Extent::Min),
            max: walked.steps(Extent::Max),
            caches,
        }
    }

    fn steps(&self, extent: Extent) -> Vec<Known> {
        match extent {
            Extent::Min => self.min.clone(),
            Extent::Max => self.max.clone(),
        }
    }

    /// The steps whose layers are here, or were fetched from where they are.
    async fn here(&self, builder: &Builder<'_>, extent: Extent) -> Result<Vec<Known>, BuildError> {
        let steps = self.steps(extent);
        let layers: Vec<Digest> = steps.iter().filter_map(|step| step.layer.clone()).collect();
        let Err(error) = self.caches.fetch(builder, &layers).await else {
            return Ok(steps);
        };
        if !self.caches.give_up(builder, &error) {
            return Err(error);
        }
        // What is here is worth keeping.
        let mut here = Vec::new();
        for step in steps {
            let is_here = match &step.layer {
                Some(layer) => builder.store.has_layer(layer)?,
                None => true,
            };
            here.extend(is_here.then_some(step));
        }
        Ok(here)
    }
}

impl Builder<'_> {
    /// Writes all caches that a build was told to.
    ///
    /// # Errors
    /// The first that cannot be written, unless that does not matter to it.
    pub fn share<'w>(
        &'w self,
        all: &'w [CacheTo],
        made: &'w [Shareable],
    ) -> BoxFuture<'w, Result<(), BuildError>> {
        async move {
            let written = write_all(self, all, made).await;
            written.map_err(|error| full::told(self.layout, error))
        }
        .boxed()
    }
}

async fn write_all(
    builder: &Builder<'_>,
    all: &[CacheTo],
    made: &[Shareable],
) -> Result<(), BuildError> {
    for to in all {
        let Target::Place(place) = &to.target else {
            continue;
        };
        let kind = match place {
            Place::Registry(_) => "registry",
            Place::Folder { .. } => "client directory",
        };
        let shown = Shown::begin(builder, &format!("exporting cache to {kind}"));
        match write_one(builder, made, to, place).await {
            Ok(()) => shown.done(),
            Err(error) if to.ignores_error => {
                let reason = with_causes(&error);
                shown.failed_for(&reason);
                builder.emit(Event::Warning { message: reason });
            }
            Err(error) => {
                shown.failed(&error);
                return Err(error);
            }
        }
    }
    Ok(())
}

async fn write_one(
    builder: &Builder<'_>,
    made: &[Shareable],
    to: &CacheTo,
    place: &Place,
) -> Result<(), BuildError> {
    // Layers that are there already are not packed again.
    let before = builder.reach().read(place).await.ok();
    let before: Option<(Vec<Digest>, Artifact)> = before.and_then(|artifact| {
        let (_, diff_ids) = document::read(&artifact).ok()?;
        Some((diff_ids, artifact))
    });
    let mut steps: Vec<Known> = Vec::new();
    let mut seen = BTreeSet::new();
    for one in made {
        let here = one.here(builder, to.extent).await?;
        steps.extend(
            here.into_iter()
                .filter(|step| seen.insert(step.keys.clone())),
        );
    }
    let mut once = Vec::new();
    for layer in steps.iter().filter_map(|step| step.layer.clone()) {
        if !once.contains(&layer) {
            once.push(layer);
        }
    }
    let config = Document::new(&steps, &once, false).to_value().to_string();
    let layers = once.into_iter().map(|layer| {
        let known = before.iter().flat_map(|(diff_ids, artifact)| {
            let pairs = diff_ids.iter().zip(&artifact.layers);
            pairs.filter(|(diff_id, _)| **diff_id == layer)
        });
        let mut forms: Vec<_> = known.map(|(_, form)| form.clone()).collect();
        forms.extend(
            made.iter()
                .filter_map(|one| one.caches.form(&layer).cloned()),
        );
        (layer, forms)
    });
    let new = NewArtifact {
        kind: KIND,
        config: config.into_bytes(),
        layers: layers.collect(),
        packing: to.packing,
        repacks: to.repacks,
    };
    let written = builder.reach().write(place, new).await;
    written.map_err(|source| BuildError::CacheNotWritten {
        place: place.clone(),
        source: Box::new(source),
    })
}
