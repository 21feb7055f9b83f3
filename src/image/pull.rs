//! Pulling: from a reference to an image in the store.
//!
//! Documents first (index, manifest, config), then all layers that are
//! missing, some at a time, each in one pass: the network fills a bounded
//! channel, one thread decompresses, one unpacks. Nothing of an image is
//! visible until all of it is there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::try_join_all;
use tokio::sync::OnceCell;

use super::config::ConfigFile;
use super::digest::Digest;
use super::error::ImageError;
use super::fetch::{self, Places, beside};
use super::platform::Platform;
use super::progress::Told;
use super::reference::Reference;
use super::registry::manifest::{self, CONFIG_LIMIT, Document, INDEX_DEPTH, Manifest};
use super::registry::{Access, Blob, Repository, plain};
use super::store::{Image, NewImage, Store, Usage};
use crate::event::{Event, EventSink};

/// What is told where a pull is interrupted.
pub const KEPT_OF_A_PULL: &str = "layers that are whole are kept for the next pull";

/// What to pull, and how.
#[derive(Debug, Clone)]
pub struct PullRequest {
    /// Which image.
    pub reference: Reference,
    /// For which platform; `None` means the host's, and takes an image that is
    /// for one other platform only with a warning.
    pub platform: Option<Platform>,
    /// How registries are reached.
    pub access: Access,
    /// What progress calls it: the service that it is for.
    pub label: String,
}

/// Pulls under way in one process: who asks for the same image meanwhile gets
/// the same result.
#[derive(Debug, Default)]
pub(crate) struct Pulls(Mutex<HashMap<Key, Arc<OnceCell<Image>>>>);

type Key = (Reference, Option<Platform>);

impl Pulls {
    fn join(&self, key: Key) -> Arc<OnceCell<Image>> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(map.entry(key).or_default())
    }

    fn leave(&self, key: &Key) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.remove(key);
    }
}

/// Pulls an image, also where there is one of that name already: then only
/// what has changed is downloaded.
///
/// # Errors
/// See [`ImageError`]; the store is as it was, except that whole layers stay
/// for the next attempt.
pub async fn pull(
    store: &Store,
    request: &PullRequest,
    events: &dyn EventSink,
) -> Result<Image, ImageError> {
    let told = Told::begin(events, request.label.clone(), "Pulling");
    let key = (request.reference.clone(), request.platform.clone());
    let shared = store.pulls().join(key.clone());
    let pull = Pull {
        store,
        request,
        events,
    };
    let result = shared.get_or_try_init(|| pull.run()).await.cloned();
    store.pulls().leave(&key);
    told.end(&result, "Pulled");
    result
}

/// The digest of what a reference means now, from its mirrors or its registry.
/// A reference with a digest means that.
///
/// # Errors
/// See [`ImageError`].
pub async fn resolve(
    access: &Access,
    reference: &Reference,
    events: &dyn EventSink,
) -> Result<Digest, ImageError> {
    if let Some(digest) = reference.digest() {
        return Ok(digest.clone());
    }
    let mut places = Places::of(access, reference)?;
    loop {
        let repository = Repository::new(access, places.here(), reference, events);
        let digest = repository.digest(reference.manifest_selector()).await;
        if let Some(result) = places.came_to(digest, events) {
            return result;
        }
    }
}

struct Pull<'a> {
    store: &'a Store,
    request: &'a PullRequest,
    events: &'a dyn EventSink,
}

/// The documents of an image.
struct Documents {
    /// Index and manifest as they came.
    texts: Vec<Vec<u8>>,
    /// Digest of what the reference names: the index, where there is one.
    target: Digest,
    /// Digest of the manifest.
    digest: Digest,
    manifest: Manifest,
}

impl Pull<'_> {
    async fn run(&self) -> Result<Image, ImageError> {
        let reference = &self.request.reference;
        let usage = Arc::new(self.blocking(Store::use_shared).await?);
        let access = &self.request.access;
        let mut places = Places::of(access, reference)?;
        loop {
            let repository = Repository::new(access, places.here(), reference, self.events);
            let pulled = self.run_at(&repository, &usage).await;
            if let Some(result) = places.came_to(pulled, self.events) {
                return result;
            }
        }
    }

    /// Pulls from one place; layers that came from another before are there.
    async fn run_at(
        &self,
        repository: &Repository<'_>,
        usage: &Arc<Usage>,
    ) -> Result<Image, ImageError> {
        let reference = &self.request.reference;
        let documents = self.documents(repository).await?;
        let config = self.config(repository, &documents.manifest).await?;
        let file =
            ConfigFile::parse(&config).map_err(|e| self.malformed("config", &e.to_string()))?;
        self.check_platform(&file)?;
        let layers = file
            .pair(&documents.manifest.layers)
            .map_err(|reason| self.malformed("manifest", &reason))?;
        let what = self.what();
        let into = fetch::Into {
            store: self.store,
            usage,
            events: self.events,
            what: &what,
        };
        let work = layers
            .iter()
            .map(|(diff_id, layer)| into.layer(repository, diff_id, layer));
        try_join_all(work).await?;
        let by_digest = format!("{}@{}", reference.name(), documents.target);
        let tagged = reference.tag().filter(|_| reference.digest().is_none());
        let new = NewImage {
            config,
            manifests: documents.texts,
            manifest: Some(documents.digest),
            names: tagged
                .map(|tag| reference.with_tag(tag))
                .transpose()?
                .into_iter()
                .collect(),
            repo_digests: vec![Reference::parse(&by_digest)?],
            variants: Vec::new(),
        };
        let usage = Arc::clone(usage);
        self.blocking(move |store| store.add_image(&usage, new))
            .await
    }

    /// Runs what may block beside the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, ImageError> {
        beside(self.store, &self.what(), work).await
    }

    fn what(&self) -> String {
        format!("`{}`", self.request.reference.familiar())
    }

    fn malformed(&self, document: &str, reason: &str) -> ImageError {
        ImageError::Malformed {
            what: format!("the {document} of `{}`", self.request.reference.familiar()),
            reason: plain(reason),
        }
    }

    /// Follows indexes to the manifest for the platform.
    async fn documents(&self, repository: &Repository<'_>) -> Result<Documents, ImageError> {
        let host = Platform::host();
        let wanted = self.request.platform.as_ref().unwrap_or(&host);
        let mut selector = self.request.reference.manifest_selector().to_owned();
        let mut texts = Vec::new();
        let mut target = None;
        for _ in 0..INDEX_DEPTH {
            let (digest, text) = repository.manifest(&selector).await?;
            target.get_or_insert_with(|| digest.clone());
            let document = Document::parse(&text).map_err(|e| self.malformed("manifest", &e))?;
            texts.push(text);
            match document {
                Document::Manifest(manifest) => {
                    return Ok(Documents {
                        texts,
                        target: target.unwrap_or_else(|| digest.clone()),
                        digest,
                        manifest,
                    });
                }
                Document::Index(entries) => {
                    let chosen = manifest::choose(&entries, wanted).map_err(|available| {
                        ImageError::NoPlatform {
                            reference: self.request.reference.familiar(),
                            wanted: wanted.to_string(),
                            available,
                        }
                    })?;
                    selector = chosen.digest.to_string();
                }
            }
        }
        Err(self.malformed("manifest", "indexes lead to indexes without end"))
    }

    /// The config document, from the store where it is there already.
    async fn config(
        &self,
        repository: &Repository<'_>,
        manifest: &Manifest,
    ) -> Result<Vec<u8>, ImageError> {
        if let Ok(text) = self.store.read_blob(&manifest.config.digest)
            && Digest::of(&text) == manifest.config.digest
        {
            return Ok(text);
        }
        Blob::new(repository, &manifest.config)
            .read(CONFIG_LIMIT)
            .await
    }

    fn check_platform(&self, file: &ConfigFile) -> Result<(), ImageError> {
        let host = Platform::host();
        let wanted = self.request.platform.as_ref().unwrap_or(&host);
        let raw = file.platform();
        let found = Platform::normalised(&raw.os, &raw.architecture, raw.variant.as_deref());
        if wanted.fitness(&found).is_some() {
            return Ok(());
        }
        let reference = self.request.reference.familiar();
        if self.request.platform.is_some() {
            return Err(ImageError::NoPlatform {
                reference,
                wanted: wanted.to_string(),
                available: vec![found.to_string()],
            });
        }
        self.events.emit(Event::Warning {
            message: format!("image `{reference}` is for {found}, this machine is {host}"),
        });
        Ok(())
    }
}
