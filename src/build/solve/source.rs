//! What steps start from: images, folders, other builds, and what is on other
//! machines, which becomes a layer as what a step makes does.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::builder::Builder;
use super::error::BuildError;
use super::failed::Failed;
use super::files::Files;
use super::hashes::Hash;
use super::key;
use super::layer::Made;
use super::shown::Shown;
use super::solver::{Outcome, Work};
use crate::build::graph::{Source, Step};
use crate::build::request::LayoutPlace;
use crate::engine::inroot::Root;
use crate::image::{Image, ImageError, Platform, Store, load_layout};

/// What opens other machines' doors.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// Secrets by id.
    pub secrets: &'a BTreeMap<String, Vec<u8>>,
    /// Sockets of SSH agents by id.
    pub agents: &'a BTreeMap<String, PathBuf>,
}

/// What was got from another machine before there was a plan.
#[derive(Debug, Clone)]
pub struct Remote(pub(super) Arc<Outcome>);

impl Remote {
    /// A file of it, below no link that leads out; `None` where there is none. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or is longer than `limit` bytes.
    pub(in crate::build) fn read(
        &self,
        store: &Store,
        path: &Path,
        limit: u64,
    ) -> io::Result<Option<Vec<u8>>> {
        let Some(layer) = self.0.files.layers().first() else {
            return Ok(None);
        };
        let root = Root::at(&store.layer_dir(layer))?;
        let file = match root.open_file(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(file) => std::fs::File::from(file),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mut content = Vec::new();
        file.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            return Err(io::Error::other(format!("it is longer than {limit} bytes")));
        }
        Ok(Some(content))
    }
}

impl Work<'_> {
    pub(super) async fn source(&self, step: &Step, source: &Source) -> Result<Outcome, Failed> {
        let found = match source {
            Source::Image { .. } | Source::Build { .. } | Source::Layout { .. } => {
                self.given.image(step).map(image)
            }
            Source::Context { name, .. } => self.contexts.get(name).map(|context| Outcome {
                // What is copied of it says what it is.
                key: Hash::default(),
                keys: Vec::new(),
                files: Files::Context(Arc::clone(context)),
                made: Made::nothing(),
                created: String::new(),
            }),
            Source::Http { .. } | Source::Git(_) | Source::Archive { .. } => {
                if let Some(Remote(loaded)) = self.given.remote.get(source) {
                    return Ok((**loaded).clone());
                }
                let keys = Keys {
                    secrets: &self.given.secrets,
                    agents: &self.given.agents,
                };
                return Ok(self.builder.remote(&step.name, source, keys).await?);
            }
        };
        let shown = Shown::begin(self.builder, &step.name);
        if let Some(outcome) = found {
            shown.done();
            return Ok(outcome);
        }
        let error = BuildError::NoSource {
            what: step.name.clone(),
        };
        shown.failed(&error);
        Err(error.into())
    }
}

impl Builder<'_> {
    /// Has what is on another machine before there is a plan, under this name of a
    /// step.
    ///
    /// # Errors
    /// It cannot be had.
    pub(in crate::build) async fn load(
        &self,
        name: &str,
        source: &Source,
        keys: Keys<'_>,
    ) -> Result<Remote, BuildError> {
        let outcome = self.remote(name, source, keys).await?;
        Ok(Remote(Arc::new(outcome)))
    }

    /// Has the image of a folder, which is in use until the end of the build.
    ///
    /// # Errors
    /// The work was broken off; inside, that there is no such image.
    pub(in crate::build) async fn layout(
        &self,
        place: LayoutPlace,
        platform: Option<Platform>,
    ) -> Result<Result<Image, ImageError>, BuildError> {
        self.blocking(move |store, usage| {
            let (name, digest) = (&place.tag, place.digest.as_deref());
            let platform = platform.as_ref();
            Ok(load_layout(
                store,
                usage,
                &place.folder,
                name,
                digest,
                platform,
            ))
        })
        .await
    }
}

fn image(image: &Image) -> Outcome {
    let mut key = key::Key::new("image");
    key.list(&image.layers, |key, layer| {
        key.text(&layer.to_string());
    });
    Outcome {
        key: key.finish(),
        keys: Vec::new(),
        files: Files::Layers(image.layers.clone()),
        made: Made::nothing(),
        created: image.created.clone().unwrap_or_default(),
    }
}
