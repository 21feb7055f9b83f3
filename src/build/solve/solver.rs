//! Walks a plan: each step once, as soon as its inputs are there, all that do not
//! wait for each other at the same time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, try_join_all};

use super::builder::{Builder, Given};
use super::cache::Entry;
use super::caches::Caches;
use super::context::{Context, ContextFolder};
use super::copy;
use super::error::{BuildError, StepError};
use super::failed::Failed;
use super::files::Files;
use super::full;
use super::hashes::{Hash, unhex};
use super::layer::{Made, Scratch};
use super::shown::Shown;
use super::warm_up::WarmUp;
use super::{key, owner};
use crate::build::graph::{self, Kind, Plan, Source, Step, StepId};
use crate::image::Digest;

/// What a step came to.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// What it is known by.
    pub(super) key: Hash,
    /// All keys that it is known by, that one first.
    pub(super) keys: Vec<Hash>,
    /// Its files.
    pub(super) files: Files,
    /// Its own layer and when it was made; absent where it made none.
    pub(super) made: Made,
    /// RFC 3339.
    pub(super) created: String,
}

type Pending<'a> = Shared<BoxFuture<'a, Result<Arc<Outcome>, Arc<StepError>>>>;

pub(super) type Inputs = BTreeMap<StepId, Arc<Outcome>>;

/// One plan being walked.
pub(super) struct Work<'a> {
    pub(super) builder: &'a Builder<'a>,
    pub(super) plan: &'a Plan,
    pub(super) contexts: BTreeMap<Option<String>, Arc<Context>>,
    pub(super) caches: Caches,
    /// All but the contexts.
    pub(super) given: Given,
    warm_up: WarmUp,
}

impl Builder<'_> {
    /// Makes a plan ready to be walked.
    pub(super) fn begin<'w>(
        &'w self,
        plan: &'w Plan,
        mut given: Given,
    ) -> Result<Work<'w>, Arc<StepError>> {
        let contexts = self.contexts(plan, std::mem::take(&mut given.contexts))?;
        Ok(Work {
            builder: self,
            plan,
            contexts,
            caches: Caches::new(&given.cache_from),
            given,
            warm_up: WarmUp::default(),
        })
    }

    fn contexts(
        &self,
        plan: &Plan,
        mut given: BTreeMap<Option<String>, ContextFolder>,
    ) -> Result<BTreeMap<Option<String>, Arc<Context>>, Arc<StepError>> {
        let mut opened = BTreeMap::new();
        for (index, step) in plan.steps.iter().enumerate() {
            let Kind::Source(Source::Context { name, .. }) = &step.kind else {
                continue;
            };
            if let Some(folder) = given.remove(name) {
                let context = Context::open(folder, &self.cache.hashes());
                let context =
                    context.map_err(|error| Arc::new(Failed::from(error).at(StepId(index))))?;
                opened.insert(name.clone(), Arc::new(context));
            }
        }
        Ok(opened)
    }
}

impl Work<'_> {
    /// Carries the plan out; what came of each step comes back in their order. A
    /// shared cache that does not have what it says is done without.
    pub(super) async fn walk(&self) -> Result<Vec<Arc<Outcome>>, Arc<StepError>> {
        let outcomes = loop {
            match self.walk_once().await {
                Err(error) if self.caches.gives_up(self.builder, &error) => {}
                outcomes => break outcomes,
            }
        };
        for context in self.contexts.values() {
            // What is not kept is read again next time.
            context.hashes().save().ok();
        }
        outcomes
    }

    async fn walk_once(&self) -> Result<Vec<Arc<Outcome>>, Arc<StepError>> {
        let mut pending: Vec<Pending<'_>> = Vec::new();
        for (index, step) in self.plan.steps.iter().enumerate() {
            let inputs: BTreeMap<StepId, Pending<'_>> = step
                .inputs()
                .into_iter()
                .filter_map(|id| Some((id, pending.get(id.0)?.clone())))
                .collect();
            let is_result = self.plan.result == Some(StepId(index));
            let future = async move {
                let named = inputs
                    .into_iter()
                    .map(|(id, input)| async move { input.await.map(|outcome| (id, outcome)) });
                let inputs: BTreeMap<_, _> = try_join_all(named).await?.into_iter().collect();
                let at = |failed: Failed| {
                    let error = full::told(self.builder.layout, *failed.error);
                    let failed = Failed {
                        error: Box::new(error),
                        ..failed
                    };
                    Arc::new(failed.at(StepId(index)))
                };
                let outcome = self.step(step, &inputs).await.map_err(at)?;
                if is_result {
                    // The image has them.
                    let all = self.have(outcome.files.layers()).await;
                    all.map_err(|error| at(error.into()))?;
                }
                Ok(Arc::new(outcome))
            };
            pending.push(future.boxed().shared());
        }
        let walk = async {
            let outcomes = try_join_all(pending).await;
            self.warm_up.let_go();
            outcomes
        };
        let (outcomes, ()) = tokio::join!(walk, self.warm_up.run(self.builder, self.plan));
        outcomes
    }

    /// Sees to it that layers are here which a shared cache has.
    pub(super) async fn have(&self, layers: &[Digest]) -> Result<(), BuildError> {
        self.caches.fetch(self.builder, layers).await
    }

    async fn step(&self, step: &Step, inputs: &Inputs) -> Result<Outcome, Failed> {
        match &step.kind {
            Kind::Source(source) => self.source(step, source).await,
            Kind::Folder(folder) => {
                let root = root_of(inputs, folder.root);
                let key = key::folder(folder, root.map(|root| &root.key));
                self.make(step, &[key], root, root, async |_| {
                    let folder = folder.clone();
                    self.written(root, move |root| {
                        if root.open(Path::new(&folder.path)).is_ok() {
                            return Ok(());
                        }
                        let owner = owner::find(root, &folder.owner)?;
                        copy::make_folders(root, Path::new(&folder.path), Some(owner), None)?;
                        Ok(())
                    })
                    .await
                })
                .await
            }
            Kind::Copy(wanted) => self.copy(step, wanted, inputs).await,
            Kind::Run(wanted) => self.run(step, wanted, inputs).await,
        }
    }

    /// Writes to a root, and makes a layer of what was written.
    pub(super) async fn written(
        &self,
        root: Option<&Outcome>,
        write: impl FnOnce(&crate::engine::inroot::Root) -> Result<(), BuildError> + Send + 'static,
    ) -> Result<Made, Failed> {
        let (layers, latest) = (below(root), self.plan.epoch);
        self.have(&layers).await?;
        let made = self.builder.blocking(move |store, usage| {
            let scratch = Scratch::open(store, &layers)?;
            write(scratch.root())?;
            scratch.commit(store, usage, latest)
        });
        Ok(made.await?)
    }

    /// What the cache has under one of these keys, where it may be used, or a shared
    /// one. What was found under a later one is entered under the first, too.
    pub(super) async fn cached(
        &self,
        step: &Step,
        keys: &[Hash],
        root: Option<&Outcome>,
        base: Option<&Outcome>,
    ) -> Result<Option<Outcome>, Failed> {
        let builder = self.builder;
        if step.ignores_cache {
            return Ok(None);
        }
        for key in keys {
            let Some(entry) = builder.known(key)? else {
                continue;
            };
            for other in keys.iter().filter(|other| *other != key) {
                builder.cache.keep(other, &entry).ok();
            }
            Shown::begin(builder, &step.name).cached();
            return Ok(Some(outcome(root, &entry, keys)));
        }
        let Some(known) = self.caches.find(builder, keys).await else {
            return Ok(None);
        };
        let own = known.keys.first().copied().unwrap_or_default();
        let mut entry = Entry::new(&own, step.name.clone(), known.layer.clone(), 0, below(base));
        if !known.created.is_empty() {
            entry.created.clone_from(&known.created);
        }
        if let Some(layer) = &known.layer
            && !builder.store.has_layer(layer)?
        {
            self.caches.keep_later(keys, &entry, layer);
        } else {
            if let Some(layer) = &known.layer {
                entry.size = builder.store.layer_size(layer)?;
            }
            for key in keys {
                builder.cache.keep(key, &entry).ok();
            }
        }
        Shown::begin(builder, &step.name).cached();
        Ok(Some(outcome(root, &entry, &known.keys)))
    }

    /// What the cache has, or what `work` makes on the layers of `base`.
    pub(super) async fn make(
        &self,
        step: &Step,
        keys: &[Hash],
        root: Option<&Outcome>,
        base: Option<&Outcome>,
        work: impl AsyncFnOnce(&Shown<'_>) -> Result<Made, Failed>,
    ) -> Result<Outcome, Failed> {
        let builder = self.builder;
        let Some(own) = keys.first() else {
            return Err(BuildError::NoSource {
                what: step.name.clone(),
            }
            .into());
        };
        let turn = builder.turn(*own);
        let _turn = turn.lock().await;
        if let Some(outcome) = self.cached(step, keys, root, base).await? {
            return Ok(outcome);
        }
        self.warm_up.begin();
        let shown = Shown::begin(builder, &step.name);
        let made = match work(&shown).await {
            Ok(made) => made,
            Err(failed) => {
                shown.failed(&failed.error);
                return Err(failed);
            }
        };
        let (layer, size) = (made.layer.clone(), made.size);
        let entry = Entry::new(own, step.name.clone(), layer, size, below(base));
        for key in keys {
            builder.keep(key, &entry)?;
        }
        shown.done();
        Ok(outcome(root, &entry, keys))
    }
}

pub(super) fn root_of(inputs: &Inputs, root: graph::Root) -> Option<&Outcome> {
    root.and_then(|id| inputs.get(&id))
        .map(|outcome| &**outcome)
}

pub(super) fn below(root: Option<&Outcome>) -> Vec<Digest> {
    root.map(|root| root.files.layers().to_vec())
        .unwrap_or_default()
}

pub(super) fn outcome(root: Option<&Outcome>, entry: &Entry, keys: &[Hash]) -> Outcome {
    let mut layers = below(root);
    layers.extend(entry.layer.clone());
    let key = unhex(&entry.key).unwrap_or_default();
    let others = keys.iter().filter(|other| **other != key);
    Outcome {
        key,
        keys: std::iter::once(key).chain(others.copied()).collect(),
        files: Files::Layers(layers),
        made: Made {
            layer: entry.layer.clone(),
            size: entry.size,
        },
        created: entry.created.clone(),
    }
}
