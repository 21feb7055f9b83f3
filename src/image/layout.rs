//! Images in folders of the OCI image layout: found by name or digest, and taken into
//! the store without a name.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use serde::Deserialize;

use super::config::ConfigFile;
use super::digest::Digest;
use super::error::ImageError;
use super::platform::Platform;
use super::registry::manifest::{
    self, CONFIG_LIMIT, Descriptor, Document, INDEX_DEPTH, IndexEntry, MANIFEST_LIMIT, Manifest,
};
use super::store::{Image, LayerClaim, NewImage, Store, Usage};

/// Where a layout has all that is known by its digest.
pub(crate) const BLOBS: &str = "blobs/sha256";

/// Layers that are unpacked at a time.
const LAYERS_AT_ONCE: usize = 2;
/// Annotation with a name or only a tag, as the OCI specification has it.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The name that is meant where none is given.
const DEFAULT_NAME: &str = "latest";

/// `index.json` of a layout.
#[derive(Debug, Deserialize)]
pub(super) struct Top {
    pub(super) manifests: Vec<Named>,
}

/// An entry of it.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    #[serde(flatten)]
    pub(super) entry: IndexEntry,
    #[serde(default)]
    pub(super) annotations: HashMap<String, String>,
}

/// An image of a layout.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) manifest: Manifest,
    /// The manifest and the indexes that it was chosen from, byte for byte.
    pub(super) documents: Vec<Vec<u8>>,
    /// The manifest's.
    pub(super) digest: Digest,
}

/// Of several entries the image for a platform; `called` is what messages call it,
/// `blob` reads a document.
///
/// # Errors
/// None is for the platform; a document is missing or damaged.
pub(super) fn follow(
    mut entries: Vec<IndexEntry>,
    platform: Option<&Platform>,
    called: &str,
    blob: &dyn Fn(&Digest) -> Result<Vec<u8>, ImageError>,
) -> Result<Found, ImageError> {
    let bad = |reason: String| ImageError::Archive {
        what: called.to_owned(),
        reason,
    };
    let mut documents = Vec::new();
    for _ in 0..INDEX_DEPTH {
        let chosen = match entries.as_slice() {
            // What is alone is wanted, whatever it is for.
            [only] => only.descriptor.clone(),
            several => {
                let wanted = platform.cloned().unwrap_or_else(Platform::host);
                manifest::choose(several, &wanted)
                    .cloned()
                    .map_err(|available| ImageError::NoPlatform {
                        reference: called.to_owned(),
                        wanted: wanted.to_string(),
                        available,
                    })?
            }
        };
        let text = blob(&chosen.digest)?;
        let document = Document::parse(&text).map_err(bad)?;
        documents.push(text);
        match document {
            Document::Index(inner) => entries = inner,
            Document::Manifest(manifest) => {
                return Ok(Found {
                    manifest,
                    documents,
                    digest: chosen.digest,
                });
            }
        }
    }
    Err(bad("its indexes lead to indexes without end".to_owned()))
}

/// Unpacks the layers that are not in the store, several at a time.
///
/// # Errors
/// One is damaged, or is not what the config says.
pub(super) fn unpack<S: Sync, R: std::io::BufRead + Send>(
    store: &Store,
    usage: &Usage,
    layers: &[(Digest, &S)],
    open: impl Fn(&S) -> Result<R, ImageError> + Sync,
) -> Result<(), ImageError> {
    let queue = Mutex::new(layers.iter());
    let next = || {
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.next()
    };
    let work = || -> Result<(), ImageError> {
        while let Some((diff_id, source)) = next() {
            if let LayerClaim::Missing(pending) = store.claim_layer(usage, diff_id)? {
                let unpacked = open(source).and_then(|input| pending.unpack(input));
                pending.commit(&unpacked?)?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..LAYERS_AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| {
                Err(ImageError::Interrupted {
                    what: "a layer".to_owned(),
                })
            })
        })
    })
}

/// A text, where it has a digest; `what` is what it is.
///
/// # Errors
/// It has another one.
pub(super) fn checked(text: Vec<u8>, digest: &Digest, what: &str) -> Result<Vec<u8>, ImageError> {
    check(digest, Digest::of(&text), what)?;
    Ok(text)
}

/// Whether a digest is the one that was expected.
///
/// # Errors
/// It is another one.
pub(super) fn check(expected: &Digest, found: Digest, what: &str) -> Result<(), ImageError> {
    if found == *expected {
        return Ok(());
    }
    Err(ImageError::WrongDigest {
        what: what.to_owned(),
        expected: expected.clone(),
        found,
    })
}

/// Where a blob is in a layout.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}

/// Takes an image of a folder into the store: by its digest, else by its name. It gets no
/// name there, and goes with the next collection that finds it unused. Blocks.
///
/// # Errors
/// There is no such folder or image, or it is damaged.
pub fn load_layout(
    store: &Store,
    usage: &Usage,
    folder: &Path,
    name: &str,
    digest: Option<&str>,
    platform: Option<&Platform>,
) -> Result<Image, ImageError> {
    let layout = Layout::new(folder);
    let entries = layout.entries(name, digest)?;
    let called = layout.called();
    let blob = |digest: &Digest| layout.blob(digest, MANIFEST_LIMIT);
    let found = follow(entries, platform, &called, &blob)?;
    let config = layout.blob(&found.manifest.config.digest, CONFIG_LIMIT)?;
    let id = Digest::of(&config);
    if let Some(image) = store.find(&id.to_string())? {
        return Ok(image);
    }
    let parsed = ConfigFile::parse(&config).map_err(|error| layout.bad(error.to_string()))?;
    let layers = parsed
        .pair(&found.manifest.layers)
        .map_err(|reason| layout.bad(reason))?;
    let open = |layer: &Descriptor| {
        let (file, _) = layout.open(&blob_path(&layer.digest))?;
        Ok(BufReader::with_capacity(256 * 1024, file))
    };
    unpack(store, usage, &layers, open)?;
    let image = store.add_image(
        usage,
        NewImage {
            config,
            manifests: found.documents,
            manifest: Some(found.digest),
            names: Vec::new(),
            repo_digests: Vec::new(),
            variants: Vec::new(),
        },
    )?;
    store.let_go(&id)?;
    Ok(image)
}

/// A folder of that layout.
#[derive(Clone, Copy)]
pub(super) struct Layout<'a> {
    folder: &'a Path,
}

impl<'a> Layout<'a> {
    /// Nothing is looked at yet.
    pub(super) fn new(folder: &'a Path) -> Self {
        Self { folder }
    }

    fn called(&self) -> String {
        format!("`{}`", self.folder.display())
    }

    /// That something in it is not as it has to be.
    pub(super) fn bad(&self, reason: impl Into<String>) -> ImageError {
        ImageError::Archive {
            what: self.called(),
            reason: reason.into(),
        }
    }

    /// The entries of `index.json` that are meant, one for each platform.
    fn entries(&self, name: &str, digest: Option<&str>) -> Result<Vec<IndexEntry>, ImageError> {
        let text = self.document("index.json", MANIFEST_LIMIT)?;
        let top: Top = serde_json::from_slice(&text)
            .map_err(|error| self.bad(format!("its `index.json` is not understood: {error}")))?;
        if let Some(digest) = digest {
            let digest =
                Digest::parse(digest).map_err(|error| self.bad(format!("`{digest}`: {error}")))?;
            return Ok(vec![IndexEntry::of(&digest)]);
        }
        let names: Vec<String> = top
            .manifests
            .iter()
            .filter_map(|named| named.annotations.get(REF_NAME).cloned())
            .collect();
        let count = top.manifests.len();
        let (meant, others): (Vec<Named>, Vec<Named>) =
            top.manifests.into_iter().partition(|named| {
                named
                    .annotations
                    .get(REF_NAME)
                    .is_some_and(|one| one == name)
            });
        let meant = if meant.is_empty() && count == 1 && name == DEFAULT_NAME {
            others
        } else {
            meant
        };
        if meant.is_empty() {
            let there = match names.as_slice() {
                [] => "its images have no names: give a digest".to_owned(),
                names => format!("it has: {}", names.join(", ")),
            };
            return Err(self.bad(format!("it has no image `{name}`; {there}")));
        }
        Ok(meant.into_iter().map(|named| named.entry).collect())
    }

    /// A file of it, and its bytes; a pipe that nobody writes to is none.
    ///
    /// # Errors
    /// There is no such file.
    pub(super) fn open(&self, name: &str) -> Result<(File, u64), ImageError> {
        let path = self.folder.join(name);
        let opened = fs::metadata(&path).and_then(|found| {
            if found.is_file() {
                Ok((fs::File::open(&path)?.into_parts().0, found.len()))
            } else {
                Err(std::io::Error::other(format!("`{name}` is no file")))
            }
        });
        opened.map_err(|error| {
            self.bad(if error.kind() == std::io::ErrorKind::NotFound {
                format!("there is no `{name}` in it")
            } else {
                error.to_string()
            })
        })
    }

    /// A file that is not longer than `limit` bytes.
    ///
    /// # Errors
    /// It is longer, or cannot be read.
    pub(super) fn document(&self, name: &str, limit: usize) -> Result<Vec<u8>, ImageError> {
        let mut text = Vec::new();
        let (file, _) = self.open(name)?;
        let read = file.take(limit as u64 + 1).read_to_end(&mut text);
        read.map_err(|error| self.bad(format!("`{name}` cannot be read: {error}")))?;
        if text.len() > limit {
            return Err(self.bad(format!("`{name}` is longer than {limit} bytes")));
        }
        Ok(text)
    }

    /// A document, its digest checked.
    ///
    /// # Errors
    /// As [`Self::document`]; it has another digest.
    pub(super) fn blob(&self, digest: &Digest, limit: usize) -> Result<Vec<u8>, ImageError> {
        let text = self.document(&blob_path(digest), limit)?;
        checked(text, digest, &format!("a document in {}", self.called()))
    }
}
