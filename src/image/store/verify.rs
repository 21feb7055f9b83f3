//! What is on disk against the digests that name it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

use fs_err as fs;

use super::index::{Entry, references};
use super::{Store, Usage};
use crate::image::config::ConfigFile;
use crate::image::digest::Digest;
use crate::image::error::{ImageError, StoreContext as _};
use crate::image::platform::Platform;
use crate::image::reference::Reference;
use crate::image::unpack::compare;
use crate::state::lock::Lock;

/// Layers that are read at a time.
const LAYERS_AT_ONCE: usize = 2;

/// A part of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Its config, manifest or index, under this digest.
    Document(Digest),
    /// A layer, by diff-id.
    Layer(Digest),
}

/// What is wrong with a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which one.
    pub part: Part,
    /// In words: `its content has another digest`.
    pub reason: String,
}

/// An image as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its id.
    pub id: Digest,
    /// Its names with tags.
    pub names: Vec<Reference>,
    /// Its names with digests, by which it can be pulled anew.
    pub repo_digests: Vec<Reference>,
    /// What it is for.
    pub platform: Platform,
    /// Nothing, where all is well.
    pub problems: Vec<Problem>,
}

/// Parts that were moved out of the way.
#[derive(Debug, Default)]
pub struct Aside {
    moved: Vec<(PathBuf, PathBuf)>,
}

impl Store {
    /// Reads images whole, all or those that `texts` mean, and compares: documents
    /// with their digests, layers with their diff-ids, and each file's attributes
    /// with what its archive says. A layer that two images share is read once.
    /// Blocks.
    ///
    /// # Errors
    /// No such image, or the index is unreadable. What is wrong with images is
    /// no error.
    pub fn verify(&self, texts: &[String]) -> Result<Vec<Verified>, ImageError> {
        let _usage = self.use_shared()?;
        let index = self.read_index()?;
        let mut entries: Vec<&Entry> = Vec::new();
        for text in texts {
            let found = index.lookup(text)?;
            let found = found.ok_or_else(|| ImageError::NoSuchImage(text.clone()))?;
            if entries.iter().all(|known| known.id != found.id) {
                entries.push(found);
            }
        }
        if texts.is_empty() {
            entries.extend(&index.images);
        }
        let layers: BTreeSet<&Digest> = entries.iter().flat_map(|entry| &entry.layers).collect();
        let layers = self.check_layers(layers.into_iter().collect());
        Ok(entries
            .into_iter()
            .map(|entry| self.verified(entry, &layers))
            .collect())
    }

    fn verified(&self, entry: &Entry, layers: &BTreeMap<&Digest, Option<String>>) -> Verified {
        let repo_digests = references(&entry.repo_digests);
        // The digest that an image was pulled by may be an index's, which is kept.
        let named = repo_digests.iter().filter_map(Reference::digest);
        let documents: BTreeSet<&Digest> = [&entry.id]
            .into_iter()
            .chain(&entry.manifest)
            .chain(named)
            .collect();
        let documents = documents.into_iter().filter_map(|digest| {
            let reason = self.check_document(digest)?;
            Some(Problem {
                part: Part::Document(digest.clone()),
                reason,
            })
        });
        let broken = entry.layers.iter().filter_map(|layer| {
            let reason = layers.get(layer)?.clone()?;
            Some(Problem {
                part: Part::Layer(layer.clone()),
                reason,
            })
        });
        let mut problems: Vec<Problem> = documents.chain(broken).collect();
        problems.extend(self.check_list(entry));
        Verified {
            id: entry.id.clone(),
            names: references(&entry.names),
            repo_digests,
            platform: entry.platform.clone(),
            problems,
        }
    }

    fn check_document(&self, digest: &Digest) -> Option<String> {
        match self.read_blob(digest) {
            Ok(text) if Digest::of(&text) == *digest => None,
            Ok(_) => Some("its content has another digest".to_owned()),
            Err(ImageError::Store { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Some("it is missing".to_owned())
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// Whether the layers to mount are those that the config lists.
    fn check_list(&self, entry: &Entry) -> Option<Problem> {
        let config = self.read_blob(&entry.id).ok()?;
        let config = ConfigFile::parse(&config).ok()?;
        (!entry.layers.starts_with(&config.rootfs.diff_ids)).then(|| Problem {
            part: Part::Document(entry.id.clone()),
            reason: "it lists other layers than the index does".to_owned(),
        })
    }

    fn check_layers<'d>(&self, layers: Vec<&'d Digest>) -> BTreeMap<&'d Digest, Option<String>> {
        let queue = Mutex::new(layers.into_iter());
        let next = || {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.next()
        };
        let checked = Mutex::new(BTreeMap::new());
        thread::scope(|scope| {
            for _ in 0..LAYERS_AT_ONCE {
                scope.spawn(|| {
                    while let Some(layer) = next() {
                        let reason = self.check_layer(layer);
                        let mut checked = checked.lock().unwrap_or_else(PoisonError::into_inner);
                        checked.insert(layer, reason);
                    }
                });
            }
        });
        checked.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong with a layer. One that cannot be made again is only looked
    /// for: it held several files of one name, or is of folders alone (see
    /// `parents`).
    fn check_layer(&self, layer: &Digest) -> Option<String> {
        if !self.layer_dir(layer).is_dir() || !self.has_layer(layer).unwrap_or(false) {
            return Some("it is missing".to_owned());
        }
        let compare = || -> Result<Option<String>, ImageError> {
            if !self.layer_record(layer)?.exact {
                return Ok(None);
            }
            let path = self.layer_home(layer).join("recipe");
            let recipe = fs::File::open(&path).store("open", &path)?;
            let root = self.layer_dir(layer);
            let implied = self.read_implied(layer)?;
            let compared = compare(&root, recipe, &implied).store("read", &root)?;
            if compared.difference.is_none() && compared.diff_id != *layer {
                return Ok(Some("its files have another digest".to_owned()));
            }
            Ok(compared.difference)
        };
        compare().unwrap_or_else(|error| Some(error.to_string()))
    }

    /// Moves damaged parts out of the way, so that a pull gets them anew.
    /// Containers that have a layer mounted keep what they have.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn set_aside(&self, _usage: &Usage, parts: &[Part]) -> Result<Aside, ImageError> {
        let mut aside = Aside::default();
        let scratch = self.scratch();
        fs::create_dir_all(&scratch).store("make", &scratch)?;
        for part in parts {
            let (path, _lock) = match part {
                Part::Document(digest) => (self.blob_path(digest), None),
                Part::Layer(layer) => {
                    let lock = self.root.join("locks").join(layer.hex());
                    let lock = Lock::acquire(&lock).store("lock", &lock)?;
                    (self.layer_home(layer), Some(lock))
                }
            };
            let place = scratch.join(format!("damaged-{}", crate::state::id::random_hex(8)));
            match fs::rename(&path, &place) {
                Ok(()) => aside.moved.push((path, place)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).store("move aside", &path),
            }
        }
        Ok(aside)
    }

    /// Puts parts back whose like could not be had: better than nothing.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn put_back(&self, _usage: &Usage, aside: Aside) -> Result<(), ImageError> {
        for (path, place) in aside.moved {
            if fs::symlink_metadata(&path).is_err() {
                fs::rename(&place, &path).store("put back", &path)?;
            }
        }
        Ok(())
    }

    /// Removes what is not needed any more.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn drop_aside(&self, _usage: &Usage, aside: Aside) -> Result<(), ImageError> {
        for (_, place) in aside.moved {
            self.discard(&place)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
