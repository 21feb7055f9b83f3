//! Loading images from archives, as `docker save` and OCI tools write them.
//!
//! Docker's format has `manifest.json` (and, since 25, an OCI layout beside
//! it); the OCI image layout has `index.json` and `oci-layout`. Either may be
//! compressed as a whole. The list of contents stands at the end of such
//! archives as often as at the beginning, so one that comes from a pipe or is
//! compressed is first written to a nameless file in the store's folder; an
//! uncompressed file is read where it is.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use fs_err as fs;
use serde::Deserialize;

use super::config::ConfigFile;
use super::digest::Digest;
use super::error::{ImageError, StoreContext as _};
use super::layout::{self, REF_NAME, Top, blob_path};
use super::platform::Platform;
use super::reference::Reference;
use super::registry::manifest::{CONFIG_LIMIT, IndexEntry, MANIFEST_LIMIT};
use super::store::{Image, NewImage, Store, Usage};
use super::unpack::{self, Archive, Compression, Kind};
use crate::event::{Event, EventSink, Resource, ResourceKind};

/// Most files of an archive: two for each of many layers is usual.
const FILE_LIMIT: usize = 100_000;
/// Links within an archive that are followed.
const LINK_LIMIT: usize = 8;
/// Annotation with an image's full name, as containerd and Docker write it.
const FULL_NAME: &str = "io.containerd.image.name";

/// Where an archive comes from.
pub enum LoadSource {
    /// A file.
    File(PathBuf),
    /// A stream, with what it is called in messages (`standard input`).
    Stream(String, Box<dyn Read + Send>),
}

impl std::fmt::Debug for LoadSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LoadSource").field(&self.name()).finish()
    }
}

impl LoadSource {
    fn name(&self) -> String {
        match self {
            Self::File(path) => format!("`{}`", path.display()),
            Self::Stream(name, _) => name.clone(),
        }
    }
}

/// Loads all images of an archive, and gives each with the names that it has there. Blocks.
///
/// # Errors
/// No archive of a known kind, or damaged; images before the damage are
/// loaded, the damaged one is not.
pub fn load(
    store: &Store,
    source: LoadSource,
    events: &dyn EventSink,
) -> Result<Vec<Image>, ImageError> {
    load_for(store, source, None, events)
}

/// The same for a platform, instead of the host's and of what is there alone.
///
/// # Errors
/// As [`load`]; an image that is not there for this platform.
pub fn load_for(
    store: &Store,
    source: LoadSource,
    platform: Option<&Platform>,
    events: &dyn EventSink,
) -> Result<Vec<Image>, ImageError> {
    let name = source.name();
    let fail = |reason: String| ImageError::Archive {
        what: name.clone(),
        reason,
    };
    let usage = store.use_shared()?;
    let file = open(store, source)?;
    let contents = Contents::read(&file, &name, platform)?;
    let wanted = if contents.has("manifest.json") {
        contents.docker_images()?
    } else if contents.has("index.json") {
        contents.oci_images()?
    } else if contents.is_empty() {
        return Err(fail("it is empty".to_owned()));
    } else if !contents.complete {
        return Err(fail("it ends too early".to_owned()));
    } else {
        return Err(fail(
            "it has neither `manifest.json` nor `index.json`, so it holds no image".to_owned(),
        ));
    };
    if wanted.is_empty() {
        return Err(fail("its list of images is empty".to_owned()));
    }
    wanted
        .into_iter()
        .map(|image| load_image(store, &usage, &contents, image, events))
        .collect()
}

/// An image of the archive, by the names of its files.
struct Wanted {
    config: Vec<u8>,
    layers: Vec<Piece>,
    names: Vec<Reference>,
    manifests: Vec<Vec<u8>>,
    manifest: Option<Digest>,
}

/// Where a file's content is in the archive.
#[derive(Debug, Clone, Copy)]
struct Piece {
    offset: u64,
    size: u64,
}

fn load_image(
    store: &Store,
    usage: &Usage,
    contents: &Contents<'_>,
    wanted: Wanted,
    events: &dyn EventSink,
) -> Result<Image, ImageError> {
    let id = Digest::of(&wanted.config);
    let resource = Resource {
        kind: ResourceKind::Image,
        name: wanted
            .names
            .first()
            .map_or_else(|| id.short().to_owned(), Reference::familiar),
    };
    events.emit(Event::Started {
        resource: resource.clone(),
        action: "Loading",
    });
    let names = wanted.names.clone();
    let result = load_layers(store, usage, contents, &wanted).and_then(|()| {
        let image = store.add_image(
            usage,
            NewImage {
                config: wanted.config,
                manifests: wanted.manifests,
                manifest: wanted.manifest,
                names: wanted.names,
                repo_digests: Vec::new(),
                variants: Vec::new(),
            },
        )?;
        Ok(Image { names, ..image })
    });
    events.emit(match &result {
        Ok(_) => Event::Done {
            resource,
            outcome: "Loaded",
        },
        Err(error) => Event::Failed {
            resource,
            message: error.to_string(),
        },
    });
    result
}

fn load_layers(
    store: &Store,
    usage: &Usage,
    contents: &Contents<'_>,
    wanted: &Wanted,
) -> Result<(), ImageError> {
    let config = ConfigFile::parse(&wanted.config).map_err(|e| contents.bad(&e.to_string()))?;
    contents.check_platform(&config, wanted.names.first())?;
    let layers = config
        .pair(&wanted.layers)
        .map_err(|reason| contents.bad(&reason))?;
    layout::unpack(store, usage, &layers, |piece| Ok(contents.open(*piece)))
}

/// Opens an archive so that any part of it can be read.
fn open(store: &Store, source: LoadSource) -> Result<std::fs::File, ImageError> {
    let name = source.name();
    let fail = |error: io::Error| ImageError::Archive {
        what: name.clone(),
        reason: error.to_string(),
    };
    let stream: Box<dyn Read + Send> = match source {
        LoadSource::File(path) => {
            let mut file = fs::File::open(&path).store("open", &path)?.into_parts().0;
            let regular = file.metadata().map_err(fail)?.is_file();
            if regular {
                let mut head = Vec::new();
                file.by_ref().take(8).read_to_end(&mut head).map_err(fail)?;
                file.rewind().map_err(fail)?;
                if Compression::detect(&head).map_err(fail)? == Compression::None {
                    return Ok(file);
                }
            }
            Box::new(file)
        }
        LoadSource::Stream(_, stream) => stream,
    };
    let scratch = store.scratch();
    fs::create_dir_all(&scratch).store("make", &scratch)?;
    let mut file = tempfile::tempfile_in(&scratch).store("write in", &scratch)?;
    unpack::with_decompressed(BufReader::with_capacity(256 * 1024, stream), |input| {
        io::copy(input, &mut file).map_err(unpack::UnpackError::Stream)
    })
    .map_err(|error| ImageError::Archive {
        what: name.clone(),
        reason: error.to_string(),
    })?;
    Ok(file)
}

/// An archive's list of files.
struct Contents<'a> {
    file: &'a std::fs::File,
    name: &'a str,
    files: HashMap<Vec<u8>, Piece>,
    links: HashMap<Vec<u8>, Vec<u8>>,
    /// Its end is marked as such.
    complete: bool,
    /// What is asked for.
    platform: Option<&'a Platform>,
}

impl<'a> Contents<'a> {
    fn read(
        file: &'a std::fs::File,
        name: &'a str,
        platform: Option<&'a Platform>,
    ) -> Result<Self, ImageError> {
        let mut contents = Self {
            file,
            name,
            files: HashMap::new(),
            links: HashMap::new(),
            complete: false,
            platform,
        };
        contents.list().map_err(|error| {
            let begins = contents.files.is_empty() && contents.links.is_empty();
            let prefix = if begins { "it is no archive: " } else { "" };
            contents.bad(&format!("{prefix}{error}"))
        })?;
        Ok(contents)
    }

    fn list(&mut self) -> io::Result<()> {
        let mut file = self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut archive = Archive::new(BufReader::new(file), ());
        while let Some(entry) = archive.next_entry()? {
            if self.files.len() + self.links.len() > FILE_LIMIT {
                return Err(io::Error::other(format!(
                    "it has more than {FILE_LIMIT} files"
                )));
            }
            let Ok(path) = unpack::clean(&entry.path) else {
                continue;
            };
            match entry.kind {
                Kind::Regular => {
                    let offset = archive.skip_to_next()?;
                    let size = entry.size;
                    self.files.insert(path, Piece { offset, size });
                }
                Kind::HardLink => {
                    self.links.insert(path, entry.link);
                }
                Kind::Symlink => {
                    let (folder, _) = unpack::split(&path);
                    let target = [folder, b"/", &entry.link].concat();
                    self.links.insert(path, target);
                }
                Kind::Directory | Kind::Character | Kind::Block | Kind::Fifo => {}
            }
        }
        self.complete = archive.is_complete();
        Ok(())
    }

    /// An image's name, or the archive's.
    fn called(&self, name: Option<&Reference>) -> String {
        name.map_or_else(|| self.name.to_owned(), Reference::familiar)
    }

    fn check_platform(
        &self,
        config: &ConfigFile,
        name: Option<&Reference>,
    ) -> Result<(), ImageError> {
        let found = config.platform();
        match self.platform {
            Some(wanted) if wanted.fitness(&found).is_none() => Err(ImageError::NoPlatform {
                reference: self.called(name),
                wanted: wanted.to_string(),
                available: vec![found.to_string()],
            }),
            _ => Ok(()),
        }
    }

    fn is_empty(&self) -> bool {
        !self.complete && self.files.is_empty() && self.links.is_empty()
    }

    fn bad(&self, reason: &str) -> ImageError {
        ImageError::Archive {
            what: self.name.to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn find(&self, name: &str) -> Option<Piece> {
        let mut path = unpack::clean(name.as_bytes()).ok()?;
        for _ in 0..LINK_LIMIT {
            if let Some(piece) = self.files.get(&path) {
                return Some(*piece);
            }
            path = unpack::clean(self.links.get(&path)?).ok()?;
        }
        None
    }

    fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn piece(&self, name: &str) -> Result<Piece, ImageError> {
        self.find(name)
            .ok_or_else(|| self.bad(&format!("it lacks the file `{}`", name.escape_debug())))
    }

    /// A small file, whole.
    fn document(&self, name: &str, limit: usize) -> Result<Vec<u8>, ImageError> {
        let piece = self.piece(name)?;
        if piece.size > limit as u64 {
            return Err(self.bad(&format!("`{name}` is longer than {limit} bytes")));
        }
        let mut text = Vec::new();
        self.open(piece)
            .read_to_end(&mut text)
            .map_err(|e| self.bad(&format!("`{name}` cannot be read: {e}")))?;
        Ok(text)
    }

    /// A blob of the OCI layout, its digest checked.
    fn blob(&self, digest: &Digest, limit: usize) -> Result<Vec<u8>, ImageError> {
        let text = self.document(&blob_path(digest), limit)?;
        layout::checked(text, digest, &format!("a document in {}", self.name))
    }

    fn open(&self, piece: Piece) -> impl BufRead + Send {
        BufReader::with_capacity(
            256 * 1024,
            PieceReader {
                file: self.file,
                position: piece.offset,
                left: piece.size,
            },
        )
    }

    fn docker_images(&self) -> Result<Vec<Wanted>, ImageError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct One {
            config: String,
            repo_tags: Option<Vec<String>>,
            layers: Option<Vec<String>>,
        }
        let text = self.document("manifest.json", MANIFEST_LIMIT)?;
        let list: Vec<One> = serde_json::from_slice(&text)
            .map_err(|e| self.bad(&format!("its `manifest.json` is not understood: {e}")))?;
        list.into_iter()
            .map(|one| {
                Ok(Wanted {
                    config: self.document(&one.config, CONFIG_LIMIT)?,
                    layers: one
                        .layers
                        .unwrap_or_default()
                        .iter()
                        .map(|name| self.piece(name))
                        .collect::<Result<_, _>>()?,
                    names: one
                        .repo_tags
                        .unwrap_or_default()
                        .iter()
                        .map(|name| Ok(Reference::parse(name)?))
                        .collect::<Result<_, ImageError>>()?,
                    manifests: Vec::new(),
                    manifest: None,
                })
            })
            .collect()
    }

    fn oci_images(&self) -> Result<Vec<Wanted>, ImageError> {
        let text = self.document("index.json", MANIFEST_LIMIT)?;
        let top: Top = serde_json::from_slice(&text)
            .map_err(|e| self.bad(&format!("its `index.json` is not understood: {e}")))?;
        // Entries of one name are one image for several platforms.
        let mut groups: Vec<(Option<Reference>, Vec<IndexEntry>)> = Vec::new();
        for named in top.manifests {
            let name = name_of(&named.annotations);
            match groups
                .iter_mut()
                .find(|(known, _)| *known == name && name.is_some())
            {
                Some((_, entries)) => entries.push(named.entry),
                None => groups.push((name, vec![named.entry])),
            }
        }
        groups
            .into_iter()
            .map(|(name, entries)| self.oci_image(name, entries))
            .collect()
    }

    fn oci_image(
        &self,
        name: Option<Reference>,
        entries: Vec<IndexEntry>,
    ) -> Result<Wanted, ImageError> {
        let called = self.called(name.as_ref());
        let blob = |digest: &Digest| self.blob(digest, MANIFEST_LIMIT);
        let found = layout::follow(entries, self.platform, &called, &blob)?;
        Ok(Wanted {
            config: self.blob(&found.manifest.config.digest, CONFIG_LIMIT)?,
            layers: found
                .manifest
                .layers
                .iter()
                .map(|layer| self.piece(&blob_path(&layer.digest)))
                .collect::<Result<_, _>>()?,
            names: name.into_iter().collect(),
            manifests: found.documents,
            manifest: Some(found.digest),
        })
    }
}

/// The name that annotations give. A bare tag names no repository.
fn name_of(annotations: &HashMap<String, String>) -> Option<Reference> {
    let full = annotations.get(FULL_NAME);
    let reference = annotations
        .get(REF_NAME)
        .filter(|name| name.contains([':', '/']));
    full.or(reference)
        .and_then(|name| Reference::parse(name).ok())
        .filter(|reference| reference.digest().is_none())
}

/// Reads a part of a file without moving the file's own position, so that
/// several threads can.
struct PieceReader<'a> {
    file: &'a std::fs::File,
    position: u64,
    left: u64,
}

impl Read for PieceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let Some(space) = buffer.get_mut(..limit) else {
            return Ok(0);
        };
        let count = self.file.read_at(space, self.position)?;
        self.position += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
