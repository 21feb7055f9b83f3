//! Steps that other machines made: looked for once the own cache has none, their
//! layers fetched once something needs them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::builder::Builder;
use super::cache::{Cache, Entry};
use super::error::{BuildError, StepError};
use super::hashes::Hash;
use super::shown::Shown;
use crate::build::shared_cache::CacheFrom;
use crate::build::shared_cache::document::{self, Known};
use crate::causes::with_causes;
use crate::event::Event;
use crate::image::artifact::{Artifact, Descriptor};
use crate::image::{Digest, ImageError, Place, Store};

/// The caches that one build may take from.
#[derive(Debug)]
pub(super) struct Caches {
    places: Vec<Place>,
    opened: OnceCell<Vec<Arc<Source>>>,
    /// What is entered into the own cache as soon as a layer is here.
    waiting: Mutex<BTreeMap<Digest, Vec<(Hash, Entry)>>>,
}

/// A cache that was read.
#[derive(Debug)]
pub(super) struct Source {
    place: Place,
    steps: HashMap<Hash, Arc<Known>>,
    /// Where its layers are.
    layers: BTreeMap<Digest, Descriptor>,
    /// It did not have what it says.
    is_lost: AtomicBool,
}

/// Caches that this command has read, by place; nothing where one could not be read.
pub(super) type Opened = Mutex<BTreeMap<Place, Arc<OnceCell<Option<Arc<Source>>>>>>;

/// Layers by the cache that has them.
type Missing = BTreeMap<Place, Vec<(Digest, Descriptor)>>;

impl Source {
    fn read(place: &Place, artifact: &Artifact) -> Result<Self, String> {
        let (steps, diff_ids) = document::read(artifact)?;
        let mut by_key = HashMap::new();
        for step in steps {
            let step = Arc::new(step);
            for key in &step.keys {
                by_key.entry(*key).or_insert_with(|| Arc::clone(&step));
            }
        }
        Ok(Self {
            place: place.clone(),
            steps: by_key,
            layers: diff_ids
                .into_iter()
                .zip(artifact.layers.iter().cloned())
                .collect(),
            is_lost: AtomicBool::new(false),
        })
    }

    fn is_there(&self) -> bool {
        !self.is_lost.load(Ordering::Relaxed)
    }
}

impl Caches {
    /// Nothing is read before a step is looked for.
    pub(super) fn new(from: &[CacheFrom]) -> Self {
        Self {
            places: from.iter().map(|from| from.place.clone()).collect(),
            opened: OnceCell::new(),
            waiting: Mutex::default(),
        }
    }

    /// What one of the caches has under one of these keys.
    pub(super) fn find<'f>(
        &'f self,
        builder: &'f Builder<'_>,
        keys: &'f [Hash],
    ) -> BoxFuture<'f, Option<Arc<Known>>> {
        async move {
            if self.places.is_empty() {
                return None;
            }
            let sources = self.opened.get_or_init(|| async {
                let mut sources = Vec::new();
                for place in &self.places {
                    sources.extend(open(builder, place).await);
                }
                sources
            });
            let sources = sources.await;
            let there = sources.iter().filter(|source| source.is_there());
            let mut found = there.flat_map(|source| keys.iter().map(|key| source.steps.get(key)));
            found.find_map(Option::<&Arc<Known>>::cloned)
        }
        .boxed()
    }

    /// The cache that has a layer.
    fn source_of(&self, layer: &Digest) -> Option<(&Arc<Source>, &Descriptor)> {
        let sources = self.opened.get()?;
        sources
            .iter()
            .filter(|source| source.is_there())
            .find_map(|source| Some((source, source.layers.get(layer)?)))
    }

    /// How a layer is packed where it comes from.
    pub(super) fn form(&self, layer: &Digest) -> Option<&Descriptor> {
        self.source_of(layer).map(|(_, descriptor)| descriptor)
    }

    /// Enters a step into the own cache once its layer is here.
    pub(super) fn keep_later(&self, keys: &[Hash], entry: &Entry, layer: &Digest) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let all = waiting.entry(layer.clone()).or_default();
        all.extend(keys.iter().map(|key| (*key, entry.clone())));
    }

    /// Sees to it that layers are here which steps of these caches have.
    ///
    /// # Errors
    /// [`BuildError::CacheLost`]: [`Caches::give_up`] makes the next try do without.
    pub(super) fn fetch<'f>(
        &'f self,
        builder: &'f Builder<'_>,
        layers: &'f [Digest],
    ) -> BoxFuture<'f, Result<(), BuildError>> {
        async move {
            if self.opened.get().is_none_or(Vec::is_empty) {
                return Ok(());
            }
            for (place, layers) in self.missing(&builder.store, layers)? {
                let fetched = builder.reach().fetch(&place, &layers).await;
                fetched.map_err(|source| BuildError::CacheLost {
                    place,
                    source: Box::new(source),
                })?;
                for (layer, _) in layers {
                    self.arrived(&builder.store, &builder.cache, &layer)?;
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn missing(&self, store: &Store, layers: &[Digest]) -> Result<Missing, ImageError> {
        let mut missing = Missing::new();
        for layer in layers {
            if let Some((source, descriptor)) = self.source_of(layer)
                && !store.has_layer(layer)?
            {
                let of_source = missing.entry(source.place.clone()).or_default();
                of_source.push((layer.clone(), descriptor.clone()));
            }
        }
        Ok(missing)
    }

    fn arrived(&self, store: &Store, cache: &Cache, layer: &Digest) -> Result<(), ImageError> {
        let entries = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.remove(layer).unwrap_or_default()
        };
        let size = store.layer_size(layer)?;
        for (key, mut entry) in entries {
            entry.size = size;
            // What cannot be kept is fetched again.
            cache.keep(&key, &entry).ok();
        }
        Ok(())
    }

    /// Where a cache did not have what it says: takes nothing of it any more, and
    /// says so. Whether that was it.
    pub(super) fn give_up(&self, builder: &Builder<'_>, error: &BuildError) -> bool {
        let BuildError::CacheLost { place, source } = error else {
            return false;
        };
        let sources = self.opened.get().into_iter().flatten();
        let mut was_there = false;
        for lost in sources.filter(|source| source.place == *place) {
            was_there |= !lost.is_lost.swap(true, Ordering::Relaxed);
        }
        if was_there {
            warn(builder, place, &with_causes(&**source));
        }
        was_there
    }

    /// The same for a step's error.
    pub(super) fn gives_up(&self, builder: &Builder<'_>, error: &StepError) -> bool {
        self.give_up(builder, &error.error)
    }
}

async fn open(builder: &Builder<'_>, place: &Place) -> Option<Arc<Source>> {
    let cell = {
        let mut opened = builder
            .opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(opened.entry(place.clone()).or_default())
    };
    let source = cell.get_or_init(|| async {
        let shown = Shown::begin(builder, &format!("importing cache manifest from {place}"));
        let read = match builder.reach().read(place).await {
            Ok(artifact) => Source::read(place, &artifact),
            Err(error) => Err(with_causes(&error)),
        };
        match read {
            Ok(source) => {
                shown.done();
                Some(Arc::new(source))
            }
            Err(reason) => {
                shown.failed_for(&reason);
                warn(builder, place, &reason);
                None
            }
        }
    });
    source.await.clone()
}

fn warn(builder: &Builder<'_>, place: &Place, reason: &str) {
    builder.emit(Event::Warning {
        message: format!("the cache `{place}` is not used: {reason}"),
    });
}
