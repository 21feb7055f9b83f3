//! A file of a web server as a layer. Known by its checksum, where it has to have one;
//! else by its content and time, and the server is asked whether these still are what an
//! earlier build got.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::fs::File;

use super::archive;
use super::builder::Builder;
use super::error::BuildError;
use super::files::DOWNLOADED;
use super::hashes::{Hash, hex, place, unhex};
use super::key;
use super::layer::Made;
use super::remote::{Got, make};
use super::shown::Shown;
use crate::build::fetch::http::{Known, LIMIT};
use crate::event::BuildNews;
use crate::image::{Digest, Fetched, Store, Usage, shown_address};

/// A [`Source::Http`].
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) url: &'a str,
    pub(super) file: &'a str,
    pub(super) checksum: Option<&'a str>,
    pub(super) is_tree: bool,
}

impl Wanted<'_> {
    fn key(&self, content: &str, modified: Option<i64>) -> Hash {
        key::http(self.file, content, modified, self.is_tree)
    }
}

impl Builder<'_> {
    pub(super) async fn http(
        &self,
        name: &str,
        wanted: Wanted<'_>,
        shown: &Shown<'_>,
    ) -> Result<Got, BuildError> {
        if let Some(checksum) = wanted.checksum
            && let Some(entry) = self.known(&wanted.key(checksum, None))?
        {
            return Ok(Got::cached(entry));
        }
        let kind = if wanted.is_tree { "tree" } else { "file" };
        let record = place(
            &self.cache.sources().join("http"),
            Path::new(&format!("{kind} {}", wanted.url)),
        );
        // What a server says of a file is of use only where any content will do.
        let known = Known::read(&record).filter(|_| wanted.checksum.is_none());
        let entry = match known.as_ref().and_then(|known| unhex(&known.key)) {
            Some(key) => self.known(&key)?,
            None => None,
        };
        let part = Part::new(self.folder()?, wanted)?;
        let validators = known.as_ref().map(|known| &known.validators);
        let validators = validators.filter(|_| entry.is_some());
        let mut file = File::create_new(&part.path)
            .await
            .map_err(BuildError::files("make", &part.path))?;
        let fetched = self
            .outside
            .access
            .fetch(wanted.url, validators, &mut file, LIMIT);
        let fetched = fetched.await.map_err(|source| BuildError::Fetch {
            url: shown_address(wanted.url),
            source,
        })?;
        let (validators, digest, size) = match (fetched, entry) {
            (Fetched::Same, Some(entry)) => return Ok(Got::cached(entry)),
            (Fetched::Same, None) => {
                let what = name.to_owned();
                return Err(BuildError::NoSource { what });
            }
            (
                Fetched::New {
                    validators,
                    digest,
                    size,
                },
                _,
            ) => (validators, digest, size),
        };
        let line = format!("got {size} bytes, {digest}");
        shown.emit(BuildNews::Status { line });
        check(wanted, &digest)?;
        // As BuildKit has it.
        let modified = validators.modified().unwrap_or(0);
        let own = match wanted.checksum {
            Some(checksum) => wanted.key(checksum, None),
            None => wanted.key(&digest.to_string(), Some(modified)),
        };
        let got = if let Some(entry) = self.known(&own)? {
            Got {
                entry,
                is_cached: false,
            }
        } else {
            let file = file.into_std().await;
            let made =
                self.blocking(move |store, usage| part.commit(&file, modified, store, usage));
            self.got(&own, name, made.await?)?
        };
        if wanted.checksum.is_none() {
            let key = hex(&own);
            // What is not kept is got again.
            Known { validators, key }.keep(&record).ok();
        }
        Ok(got)
    }
}

/// A file that is being got.
struct Part {
    folder: TempDir,
    /// The file, alone in a folder of its own.
    path: PathBuf,
    /// Its address, as it may be shown.
    url: String,
    is_tree: bool,
}

impl Part {
    fn new(folder: TempDir, wanted: Wanted<'_>) -> Result<Self, BuildError> {
        let upper = folder.path().join("upper");
        make(&upper)?;
        Ok(Self {
            path: upper.join(wanted.file),
            folder,
            url: shown_address(wanted.url),
            is_tree: wanted.is_tree,
        })
    }

    /// Makes a layer of it, or of what it is an archive of.
    fn commit(
        self,
        file: &std::fs::File,
        modified: i64,
        store: &Store,
        usage: &Usage,
    ) -> Result<Made, BuildError> {
        if !self.is_tree {
            dress(file, modified).map_err(BuildError::files("change", &self.path))?;
            return Made::commit(store, usage, &self.folder.path().join("upper"), None);
        }
        let read = || BuildError::files("read", &self.path);
        let mut archive = std::fs::File::open(&self.path).map_err(read())?;
        if !archive::is_archive(&mut archive).map_err(read())? {
            return Err(BuildError::NoArchive { url: self.url });
        }
        let tree = self.folder.path().join("tree");
        make(&tree)?;
        archive::unpack(archive, &tree)?;
        Made::commit(store, usage, &tree, None)
    }
}

fn check(wanted: Wanted<'_>, found: &Digest) -> Result<(), BuildError> {
    match wanted.checksum {
        Some(expected) if found.to_string() != expected => Err(BuildError::Checksum {
            url: shown_address(wanted.url),
            expected: expected.to_owned(),
            found: found.clone(),
        }),
        _ => Ok(()),
    }
}

fn dress(file: &std::fs::File, modified: i64) -> std::io::Result<()> {
    file.set_permissions(std::fs::Permissions::from_mode(DOWNLOADED))?;
    let since = Duration::from_secs(u64::try_from(modified).unwrap_or(0));
    file.set_modified(SystemTime::UNIX_EPOCH + since)
}
