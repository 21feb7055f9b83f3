//! Files of web servers and repositories as layers. Known by their content: a commit,
//! a checksum. Where neither is given, the server is asked whether what an earlier
//! build got is still it.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use fs_err as fs;
use tempfile::TempDir;

use super::archive;
use super::builder::Builder;
use super::cache::Entry;
use super::download::Wanted;
use super::error::BuildError;
use super::hashes::Hash;
use super::key;
use super::layer::Made;
use super::shown::Shown;
use super::solver::{Outcome, outcome};
use super::source::{Keys, Remote};
use crate::build::graph::Source;
use crate::build::spooled::Spooled;

/// What came of a source.
pub(super) struct Got {
    pub(super) entry: Entry,
    /// Nothing had to be transferred.
    pub(super) is_cached: bool,
}

impl Got {
    pub(super) fn cached(entry: Entry) -> Self {
        Self {
            entry,
            is_cached: true,
        }
    }
}

impl Builder<'_> {
    /// What is on another machine, as a step of this name.
    pub(super) async fn remote(
        &self,
        name: &str,
        source: &Source,
        keys: Keys<'_>,
    ) -> Result<Outcome, BuildError> {
        let whose = match source {
            Source::Http { url, .. } => url,
            Source::Git(git) => &git.remote,
            _ => name,
        };
        let mut turn = key::Key::new("remote");
        turn.text(whose);
        let turn = self.turn(turn.finish());
        let _turn = turn.lock().await;
        let shown = Shown::begin(self, name);
        let got = match source {
            Source::Http {
                url,
                file,
                checksum,
                is_tree,
            } => {
                let wanted = Wanted {
                    url,
                    file,
                    checksum: checksum.as_deref(),
                    is_tree: *is_tree,
                };
                self.http(name, wanted, &shown).await
            }
            Source::Git(git) => self.git(name, git, keys, &shown).await,
            _ => Err(BuildError::NoSource {
                what: name.to_owned(),
            }),
        };
        match got {
            Ok(got) => {
                if got.is_cached {
                    shown.cached();
                } else {
                    shown.done();
                }
                Ok(outcome(None, &got.entry, &[]))
            }
            Err(error) => {
                shown.failed(&error);
                Err(error)
            }
        }
    }

    /// Has what an archive holds that came as a stream, before there is a plan.
    ///
    /// # Errors
    /// It is damaged, or an entry leads out of it.
    pub(in crate::build) async fn spooled(
        &self,
        name: &str,
        spooled: &Spooled,
    ) -> Result<Remote, BuildError> {
        let key = key::archive(spooled.digest());
        let shown = Shown::begin(self, name);
        let got = match self.known(&key)? {
            Some(entry) => Ok(entry),
            None => self.unpacked(&key, name, spooled).await,
        };
        match got {
            Ok(entry) => {
                shown.done();
                Ok(Remote(Arc::new(outcome(None, &entry, &[]))))
            }
            Err(error) => {
                shown.failed(&error);
                Err(error)
            }
        }
    }

    async fn unpacked(
        &self,
        key: &Hash,
        name: &str,
        spooled: &Spooled,
    ) -> Result<Entry, BuildError> {
        let (folder, spooled) = (self.folder()?, spooled.clone());
        let made = self.blocking(move |store, usage| {
            let file = spooled.open();
            let file = file.map_err(BuildError::files("read", "standard input"))?;
            let tree = folder.path().join("tree");
            make(&tree)?;
            archive::unpack(file, &tree)?;
            Made::commit(store, usage, &tree, None)
        });
        Ok(self.got(key, name, made.await?)?.entry)
    }

    /// A folder for what is got, on the store's file system.
    pub(super) fn folder(&self) -> Result<TempDir, BuildError> {
        let place = self.store.scratch();
        fs::create_dir_all(&place).map_err(BuildError::files("make", &place))?;
        let folder = tempfile::Builder::new().prefix("got-").tempdir_in(&place);
        folder.map_err(BuildError::files("make a folder in", place))
    }

    /// Enters what was made of something that was transferred.
    pub(super) fn got(&self, key: &Hash, name: &str, made: Made) -> Result<Got, BuildError> {
        let entry = Entry::new(key, name.to_owned(), made.layer, made.size, Vec::new());
        self.keep(key, &entry)?;
        Ok(Got {
            entry,
            is_cached: false,
        })
    }
}

/// Makes a folder, as a root is.
pub(super) fn make(folder: &Path) -> Result<(), BuildError> {
    let made = std::fs::DirBuilder::new().mode(0o755).create(folder);
    made.map_err(BuildError::files("make", folder))
}
