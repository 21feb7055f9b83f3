//! Walks a plan: each step once, as soon as its inputs are there, all that do not
//! wait for each other at the same time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, try_join_all};
use tokio::task::spawn_blocking;

use super::cache::{Cache, Entry};
use super::caches::{Caches, Opened};
use super::context::{Context, ContextFolder};
use super::copy::{self, Looks};
use super::error::{BuildError, StepError};
use super::files::{self, Files};
use super::full;
use super::hashes::{Hash, unhex};
use super::layer::{Made, Scratch, Stacks};
use super::mode::ModeChange;
use super::output;
use super::run::{self, Job};
use super::shown::Shown;
use super::source::Remote;
use super::warm_up::WarmUp;
use super::worker::Worker;
use super::{key, mounts, owner};
use crate::build::graph::{self, CopySource, Kind, Plan, Source, Step, StepId};
use crate::build::ignore::Ignore;
use crate::build::shared_cache::{CacheFrom, CacheTo};
use crate::event::{BuildNews, Event, EventSink};
use crate::image::artifact::Reach;
use crate::image::{Access, Digest, Image, Platform, Store, Usage};
use crate::state::Layout;

/// What all builds of a command share.
#[expect(missing_debug_implementations, reason = "holds a trait object")]
pub struct Builder<'a> {
    pub(super) layout: &'a Layout,
    pub(super) store: Store,
    pub(super) usage: Arc<Usage>,
    pub(super) cache: Cache,
    pub(super) worker: Worker,
    pub(super) sink: &'a dyn EventSink,
    /// The number of the step that was shown last.
    pub(super) shown: AtomicU32,
    /// What is being made, by key: the same step of two builds is carried out
    /// once.
    turns: Mutex<BTreeMap<Hash, Arc<tokio::sync::Mutex<()>>>>,
    pub(super) outside: Outside,
    pub(super) opened: Opened,
}

/// What reaches beyond this machine, and into the user's own folders.
#[derive(Debug, Clone)]
pub struct Outside {
    /// How registries are reached.
    pub access: Access,
    /// Who owns files that are written for the user; absent: this process's user.
    pub owner: Option<(u32, u32)>,
}

/// A copy whose files change while it is made is made anew, so often.
const CHANGES: u32 = 5;

/// What one build is given beside its plan.
#[derive(Debug, Default)]
pub struct Given {
    /// Contexts by name; the build's own has none.
    pub contexts: BTreeMap<Option<String>, ContextFolder>,
    /// Images that steps start from, by the reference that the plan has.
    pub images: BTreeMap<String, Image>,
    /// Results of other builds, by the name that the plan has.
    pub builds: BTreeMap<String, Image>,
    /// Images in folders, by how the plan has them.
    pub layouts: BTreeMap<String, Image>,
    /// What was got from other machines already, by its source in the plan.
    pub remote: BTreeMap<Source, Remote>,
    /// Secrets by id.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Sockets of SSH agents by id.
    pub agents: BTreeMap<String, std::path::PathBuf>,
    /// Caches of other machines to take steps from.
    pub cache_from: Vec<CacheFrom>,
    /// And to put steps into.
    pub cache_to: Vec<CacheTo>,
}

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

impl<'a> Builder<'a> {
    /// Begins; nothing runs before a step needs it. Blocks while another process
    /// collects garbage.
    ///
    /// # Errors
    /// The roots cannot be written.
    pub fn new(
        layout: &'a Layout,
        store: Store,
        sink: &'a dyn EventSink,
        outside: Outside,
    ) -> Result<Self, BuildError> {
        let usage = Arc::new(store.use_shared()?);
        let run = layout.run().to_owned();
        Ok(Self {
            worker: Worker::new(layout).map_err(BuildError::files("write to", run))?,
            cache: Cache::open(layout),
            layout,
            store,
            usage,
            sink,
            shown: AtomicU32::new(0),
            turns: Mutex::default(),
            outside,
            opened: Opened::default(),
        })
    }

    /// How caches of other machines are reached.
    pub(super) fn reach(&self) -> Reach<'_> {
        Reach {
            store: &self.store,
            usage: &self.usage,
            access: &self.outside.access,
            events: self.sink,
            owner: self.outside.owner,
        }
    }

    /// The store, which nobody collects garbage in meanwhile.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Tells of something that is done at once: reading a Dockerfile, say.
    pub fn note(&self, name: &str, lines: &[String]) {
        let shown = Shown::begin(self, name);
        for line in lines {
            shown.emit(BuildNews::Status { line: line.clone() });
        }
        shown.done();
    }

    /// Tells of anything else.
    pub fn emit(&self, event: Event) {
        self.sink.emit(event);
    }

    /// Takes down what ran the steps, and what builds that were killed left.
    ///
    /// # Errors
    /// The engine cannot be talked to any more.
    pub async fn close(self) -> Result<(), BuildError> {
        let run = self.layout.run().to_owned();
        let dead = Worker::dead(self.layout).map_err(BuildError::files("read", run));
        let closed = self.worker.close().await;
        for worker in dead? {
            worker.bury().await?;
        }
        closed
    }

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

    /// What a step with this key made, where its layer is here.
    pub(super) fn known(&self, key: &Hash) -> Result<Option<Entry>, BuildError> {
        let Some(entry) = self.cache.find(key) else {
            return Ok(None);
        };
        let is_here = match &entry.layer {
            Some(layer) => self.store.has_layer(layer)?,
            None => true,
        };
        Ok(is_here.then_some(entry))
    }

    /// Keeps what a step made.
    pub(super) fn keep(&self, key: &Hash, entry: &Entry) -> Result<(), BuildError> {
        let kept = self.cache.keep(key, entry);
        kept.map_err(BuildError::files("write", self.cache.path(key)))
    }

    pub(super) fn turn(&self, key: Hash) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(key).or_default())
    }
}

/// A step's error, before it is known which step it is.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Box<BuildError>,
    pub(super) output: Vec<output::OutputLine>,
}

impl Failed {
    fn on(self, platform: &Platform) -> Self {
        Self {
            error: Box::new(self.error.on(platform)),
            output: self.output,
        }
    }

    fn at(self, step: StepId) -> StepError {
        StepError {
            step,
            error: *self.error,
            output: self.output,
        }
    }
}

impl<E: Into<BuildError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self {
            error: Box::new(error.into()),
            output: Vec::new(),
        }
    }
}

type Inputs = BTreeMap<StepId, Arc<Outcome>>;

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
    async fn have(&self, layers: &[Digest]) -> Result<(), BuildError> {
        self.caches.fetch(self.builder, layers).await
    }

    async fn have_sources(
        &self,
        sources: impl IntoIterator<Item = &files::SourceFiles>,
    ) -> Result<(), BuildError> {
        for (layers, _) in sources
            .into_iter()
            .filter_map(files::SourceFiles::in_layers)
        {
            self.have(layers).await?;
        }
        Ok(())
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
                        copy::make_folders(root, Path::new(&folder.path), Some(owner))?;
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

    async fn copy(
        &self,
        step: &Step,
        wanted: &graph::Copy,
        inputs: &Inputs,
    ) -> Result<Outcome, Failed> {
        let root = root_of(inputs, wanted.root);
        let root_key = root.map(|root| &root.key);
        let sources = self.sources(wanted, inputs)?;
        // By what the sources are known by, where all are: nothing has to be read.
        let known: Option<Vec<Hash>> = sources.iter().map(|source| source.known).collect();
        let quick = known.map(|known| key::copy(wanted, root_key, &known));
        let known: Vec<Hash> = quick.into_iter().collect();
        let base = root.filter(|_| !wanted.is_link);
        if let Some(outcome) = self.cached(step, &known, root, base).await? {
            return Ok(outcome);
        }
        self.have_sources(&sources).await?;
        let mut left = CHANGES;
        loop {
            let contents = contents(sources.clone()).await?;
            let own = key::copy(wanted, root_key, &contents);
            let all: Vec<Hash> = std::iter::once(own).chain(quick).collect();
            let sources = sources.clone();
            let copied = self.make(step, &all, root, base, async |_| {
                let wanted = wanted.clone();
                self.written(base, move |root| {
                    put(root, &wanted, &sources)?;
                    // What was written to meanwhile is not what the key says.
                    for (source, before) in sources.iter().zip(contents) {
                        if source.is_users() && source.content()? != before {
                            return Err(BuildError::Changed);
                        }
                    }
                    Ok(())
                })
                .await
            });
            match copied.await {
                Err(failed) if left > 0 && matches!(*failed.error, BuildError::Changed) => {
                    left -= 1;
                }
                other => return other,
            }
        }
    }

    fn sources(
        &self,
        wanted: &graph::Copy,
        inputs: &Inputs,
    ) -> Result<Vec<files::SourceFiles>, BuildError> {
        let excludes = Ignore::of(&wanted.excludes).map_err(|error| BuildError::Unsupported {
            what: format!("`--exclude={}` ({})", error.pattern, error.reason),
        })?;
        let excludes = Arc::new(excludes);
        let stacks = Stacks::default();
        let mut sources = Vec::new();
        for source in &wanted.sources {
            let from = match source {
                CopySource::Files { from, .. } => from.and_then(|id| inputs.get(&id)),
                CopySource::Download { from, .. } | CopySource::Tree { from } => inputs.get(from),
                CopySource::Inline { .. } => None,
            };
            sources.push(files::SourceFiles::new(
                source,
                from.map(|outcome| (&outcome.files, outcome.key)),
                &excludes,
                (&self.builder.store, &stacks),
            ));
        }
        Ok(sources)
    }

    async fn run(
        &self,
        step: &Step,
        wanted: &graph::Run,
        inputs: &Inputs,
    ) -> Result<Outcome, Failed> {
        let root = root_of(inputs, wanted.root);
        let seen = mounts::sources(wanted, inputs, &self.builder.store);
        let root_key = root.map(|root| &root.key);
        let known: Option<Vec<Option<Hash>>> = seen
            .iter()
            .map(|source| match source {
                None => Some(None),
                Some(source) => source.known.map(Some),
            })
            .collect();
        let mut keys: Vec<Hash> = known
            .map(|known| key::run(wanted, root_key, &known))
            .into_iter()
            .collect();
        let shows_files = seen.iter().any(Option::is_some);
        if shows_files {
            if let Some(outcome) = self.cached(step, &keys, root, root).await? {
                return Ok(outcome);
            }
            self.have_sources(seen.iter().flatten()).await?;
            let shown: Vec<_> = seen.iter().flatten().cloned().collect();
            let mut contents = contents(shown).await?.into_iter();
            let contents: Vec<Option<Hash>> = seen
                .iter()
                .map(|source| source.as_ref().and_then(|_| contents.next()))
                .collect();
            keys.insert(0, key::run(wanted, root_key, &contents));
        }
        self.make(step, &keys, root, root, async |shown| {
            let made = self.command(wanted, inputs, root, shown).await;
            made.map_err(|failed| failed.on(&step.platform))
        })
        .await
    }

    async fn command(
        &self,
        wanted: &graph::Run,
        inputs: &Inputs,
        root: Option<&Outcome>,
        shown: &Shown<'_>,
    ) -> Result<Made, Failed> {
        let builder = self.builder;
        self.have(&below(root)).await?;
        for input in inputs.values() {
            // What a mount shows, or a cache folder begins with.
            self.have(input.files.layers()).await?;
        }
        let prepared = mounts::prepare(
            wanted,
            inputs,
            &mounts::Place {
                store: &builder.store,
                cache: &builder.cache,
                secrets: &self.given.secrets,
                agents: &self.given.agents,
            },
        )
        .await?;
        let mut env: Vec<String> = wanted
            .proxies
            .iter()
            .chain(&wanted.environment)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        env.extend(prepared.env);
        let job = Job {
            layers: below(root),
            args: wanted.arguments.clone(),
            env,
            folder: wanted.folder.clone().into(),
            user: Some(wanted.user.clone()).filter(|user| !user.is_empty()),
            network: wanted.network.clone(),
            insecure: wanted.is_privileged,
            sandbox: Arc::clone(&wanted.sandbox),
            mounts: prepared.mounts,
        };
        let (reader, writer) = output::make().map_err(BuildError::Pipe)?;
        let place = (builder.layout, &builder.store, &builder.usage);
        let running = run::run(&builder.worker, place, job, writer, self.plan.epoch);
        let relayed = output::relay(reader, builder.sink, shown.number, shown.began);
        let (made, output) = tokio::join!(running, relayed);
        made.map_err(|error| Failed {
            error: Box::new(error),
            output,
        })
    }

    /// Writes to a root, and makes a layer of what was written.
    async fn written(
        &self,
        root: Option<&Outcome>,
        write: impl FnOnce(&crate::engine::inroot::Root) -> Result<(), BuildError> + Send + 'static,
    ) -> Result<Made, Failed> {
        let (store, usage) = (self.builder.store.clone(), Arc::clone(&self.builder.usage));
        let (layers, latest) = (below(root), self.plan.epoch);
        self.have(&layers).await?;
        let made = spawn_blocking(move || {
            let scratch = Scratch::open(&store, &layers)?;
            write(scratch.root())?;
            scratch.commit(&store, &usage, latest)
        });
        Ok(made.await.map_err(joined)??)
    }

    /// What the cache has under one of these keys, where it may be used, or a shared
    /// one. What was found under a later one is entered under the first, too.
    async fn cached(
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
    async fn make(
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

pub(super) fn joined(error: tokio::task::JoinError) -> BuildError {
    BuildError::Pipe(std::io::Error::other(error))
}

/// What is there, one hash a source.
async fn contents(sources: Vec<files::SourceFiles>) -> Result<Vec<Hash>, BuildError> {
    let ask = move || sources.iter().map(files::SourceFiles::content).collect();
    spawn_blocking(ask).await.map_err(joined)?
}

fn root_of(inputs: &Inputs, root: graph::Root) -> Option<&Outcome> {
    root.and_then(|id| inputs.get(&id))
        .map(|outcome| &**outcome)
}

fn below(root: Option<&Outcome>) -> Vec<Digest> {
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

fn put(
    root: &crate::engine::inroot::Root,
    wanted: &graph::Copy,
    sources: &[files::SourceFiles],
) -> Result<(), BuildError> {
    let owner = wanted
        .owner
        .as_ref()
        .map(|text| owner::find(root, text))
        .transpose()?;
    let mode = match &wanted.mode {
        None => None,
        Some(graph::Mode::Bits(bits)) => Some(ModeChange::Octal(*bits)),
        Some(graph::Mode::Symbolic(text)) => {
            Some(ModeChange::parse(text).ok_or_else(|| BuildError::NoMode { text: text.clone() })?)
        }
    };
    let many = sources.len() > 1;
    for source in sources {
        let looks = Looks {
            owner: owner.or_else(|| source.owner()),
            mode: mode.clone(),
            drops_set_id: source.is_users(),
        };
        source.put(root, Path::new(&wanted.destination), many, &looks)?;
    }
    Ok(())
}
