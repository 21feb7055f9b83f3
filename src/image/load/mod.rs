//! Loading images from archives, as `docker save` and OCI tools write them.
//!
//! Docker's format has `manifest.json` (and, since 25, an OCI layout beside
//! it); the OCI image layout has `index.json` and `oci-layout`. Either may be
//! compressed as a whole. The list of contents stands at the end of such
//! archives as often as at the beginning, so one that comes from a pipe or is
//! compressed is first written to a nameless file in the store's folder; an
//! uncompressed file is read where it is.

mod contents;
mod wanted;

use std::io::{self, BufReader, Read, Seek};
use std::path::PathBuf;

use fs_err as fs;

use self::contents::Contents;
use self::wanted::Wanted;
use super::config::ConfigFile;
use super::digest::Digest;
use super::error::{ImageError, StoreContext as _};
use super::layout;
use super::platform::Platform;
use super::progress::Told;
use super::reference::Reference;
use super::store::{Image, NewImage, Store, Usage};
use super::unpack::{self, Compression};
use crate::event::EventSink;

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

fn load_image(
    store: &Store,
    usage: &Usage,
    contents: &Contents<'_>,
    wanted: Wanted,
    events: &dyn EventSink,
) -> Result<Image, ImageError> {
    let id = Digest::of(&wanted.config);
    let name = wanted.names.first();
    let name = name.map_or_else(|| id.short().to_owned(), Reference::familiar);
    let told = Told::begin(events, name, "Loading");
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
    told.end(&result, "Loaded");
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
