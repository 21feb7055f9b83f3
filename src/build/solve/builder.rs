//! What all builds of a command share, and what one of them is given.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use super::cache::{Cache, Entry};
use super::caches::Opened;
use super::context::ContextFolder;
use super::error::BuildError;
use super::hashes::Hash;
use super::shown::Shown;
use super::source::Remote;
use super::worker::Worker;
use crate::build::graph::{Kind, Source, Step};
use crate::build::shared_cache::CacheFrom;
use crate::event::{BuildNews, Event, EventSink};
use crate::image::artifact::Reach;
use crate::image::{Access, Image, Store, Usage};
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

/// What one build is given beside its plan.
#[derive(Debug, Default)]
pub struct Given {
    /// Contexts by name; the build's own has none.
    pub contexts: BTreeMap<Option<String>, ContextFolder>,
    /// Images that steps start from, by the reference that the plan has, and platform:
    /// one stage may run here and another one be for a machine elsewhere.
    pub images: BTreeMap<(String, String), Image>,
    /// Results of other builds, by the name that the plan has.
    pub builds: BTreeMap<String, Image>,
    /// Images in folders, by how the plan has them, and platform.
    pub layouts: BTreeMap<(String, String), Image>,
    /// What was got from other machines already, by its source in the plan.
    pub remote: BTreeMap<Source, Remote>,
    /// Secrets by id.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Sockets of SSH agents by id.
    pub agents: BTreeMap<String, std::path::PathBuf>,
    /// Caches of other machines to take steps from.
    pub cache_from: Vec<CacheFrom>,
    /// The image carries its own cache.
    pub is_inline: bool,
    /// The image goes with the next collection, unless it was there before.
    pub is_passing: bool,
}

impl Given {
    /// The image that a step is, where it is one.
    pub(super) fn image(&self, step: &Step) -> Option<&Image> {
        let of = |name: &String| (name.clone(), step.platform.to_string());
        match &step.kind {
            Kind::Source(Source::Image { reference }) => self.images.get(&of(reference)),
            Kind::Source(Source::Layout { layout }) => self.layouts.get(&of(layout)),
            Kind::Source(Source::Build { name }) => self.builds.get(name),
            _ => None,
        }
    }
}

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

    /// Whether a network of a project is there.
    pub fn has_network(&self, name: &str) -> bool {
        self.layout.networks().join(format!("{name}.json")).exists()
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
            worker.close().await?;
        }
        closed
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

    /// Does work that blocks, on the store.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store, &Usage) -> Result<T, BuildError> + Send + 'static,
    ) -> Result<T, BuildError> {
        let (store, usage) = (self.store.clone(), Arc::clone(&self.usage));
        spawn_blocking(move || work(&store, &usage))
            .await
            .map_err(joined)?
    }

    pub(super) fn turn(&self, key: Hash) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(key).or_default())
    }
}

pub(super) fn joined(error: tokio::task::JoinError) -> BuildError {
    BuildError::Pipe(std::io::Error::other(error))
}
