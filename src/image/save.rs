//! Saving images to an archive that is both an OCI image layout and what
//! `docker load` takes, as `docker save` writes it since version 25.
//!
//! Layers are uncompressed: their compressed forms are not kept (see
//! [`super::store`]), and a manifest is made for them. So the same image always
//! gives the same bytes, the config's digest is the image's id, and the digest
//! that a registry gave its manifest is not in there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::config::ConfigFile;
use super::digest::Digest;
use super::error::{ImageError, StoreContext as _};
use super::layout::{BLOBS, blob_path};
use super::platform::Platform;
use super::reference::Reference;
use super::store::{Image, Store};
use super::unpack::header::{END, Header, encode, padding};
use crate::state::atomic;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Writes images to an archive; `what` is its name in messages. A text is what
/// [`Store::find`] takes; a repository without a tag means all its tags, as for
/// Docker. Blocks.
///
/// # Errors
/// No such image, or one that is for another platform than the wanted one; a
/// layer whose archive cannot be made again, or was damaged since; the output
/// cannot be written, and is of no use then.
pub fn save(
    store: &Store,
    texts: &[String],
    platform: Option<&Platform>,
    what: &str,
    output: impl Write,
) -> Result<(), ImageError> {
    let _usage = store.use_shared()?;
    let mut archive = Archive::default();
    for (image, names) in chosen(store, texts)? {
        if let Some(wanted) = platform.filter(|wanted| wanted.fitness(&image.platform).is_none()) {
            return Err(ImageError::NoPlatform {
                reference: names
                    .first()
                    .map_or_else(|| image.id.short().to_owned(), Reference::familiar),
                wanted: wanted.to_string(),
                available: vec![image.platform.to_string()],
            });
        }
        archive.add(store, &image, &names)?;
    }
    written(what, output, |output| archive.write(store, output))
}

/// Writes a single image to an archive, under these names whether it has them in the
/// store or not. The caller holds off collections. Blocks.
///
/// # Errors
/// As [`save`].
pub(crate) fn save_image(
    store: &Store,
    image: &Image,
    names: &[Reference],
    what: &str,
    output: impl Write,
) -> Result<(), ImageError> {
    let mut archive = Archive::default();
    archive.add(store, image, names)?;
    written(what, output, |output| archive.write(store, output))
}

/// Writes a single image into a folder that has a `blobs/sha256`, as an OCI image layout
/// with the files of [`save_image`]; they belong to `owner`. The caller holds off
/// collections. Blocks.
///
/// # Errors
/// As [`save`].
pub(crate) fn save_layout(
    store: &Store,
    image: &Image,
    names: &[Reference],
    folder: &Path,
    owner: (u32, u32),
) -> Result<(), ImageError> {
    let mut archive = Archive::default();
    archive.add(store, image, names)?;
    for (path, blob) in archive.files() {
        let path = folder.join(path);
        let written = atomic::produce(&path, Some(owner), |file| {
            let what = path.display().to_string();
            written(&what, file, |output| blob.write(store, output))
        });
        written.store("write", &path)??;
    }
    Ok(())
}

/// Writes something, telling failures of the output from those of the store.
fn written<W: Write>(
    what: &str,
    output: W,
    write: impl FnOnce(&mut Output<W>) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    let mut output = Output {
        inner: output,
        failed: None,
    };
    let written = write(&mut output);
    match output.failed {
        Some(source) => Err(ImageError::Output {
            what: what.to_owned(),
            source,
        }),
        None => written,
    }
}

/// The images that are meant, each with the names that are saved with it, in
/// the order in which they were named.
fn chosen(store: &Store, texts: &[String]) -> Result<Vec<(Image, Vec<Reference>)>, ImageError> {
    let all = store.list()?;
    let mut chosen: Vec<(Image, Vec<Reference>)> = Vec::new();
    let mut add = |image: &Image, names: Vec<Reference>| {
        let at = chosen.iter().position(|(known, _)| known.id == image.id);
        match at.and_then(|at| chosen.get_mut(at)) {
            Some((_, known)) => known.extend(names),
            None => chosen.push((image.clone(), names)),
        }
    };
    for text in texts {
        let reference = Reference::parse(text).ok();
        let repository = reference.as_ref().filter(|reference| {
            reference.digest().is_none() && !text.ends_with(&tag_suffix(reference))
        });
        let tags_of = |image: &Image| -> Vec<Reference> {
            let wanted = repository.map(Reference::name);
            let names = image.names.iter();
            names
                .filter(|name| Some(name.name()) == wanted)
                .cloned()
                .collect()
        };
        let tagged = all.iter().map(|image| (tags_of(image), image));
        let mut tagged: Vec<(Vec<Reference>, &Image)> =
            tagged.filter(|(tags, _)| !tags.is_empty()).collect();
        if !tagged.is_empty() {
            tagged.sort_by_key(|(tags, _)| tags.first().map(Reference::to_string));
            for (tags, image) in tagged {
                add(image, tags);
            }
            continue;
        }
        let image = store
            .find(text)?
            .ok_or_else(|| ImageError::NoSuchImage(text.clone()))?;
        let name = reference.filter(|reference| image.names.contains(reference));
        add(&image, name.into_iter().collect());
    }
    for (_, names) in &mut chosen {
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.to_string()));
    }
    Ok(chosen)
}

fn tag_suffix(reference: &Reference) -> String {
    format!(":{}", reference.tag().unwrap_or_default())
}

/// What is under `blobs/sha256`.
enum Blob {
    Document(Vec<u8>),
    Layer(Digest, u64),
}

impl Blob {
    fn size(&self) -> u64 {
        match self {
            Self::Document(text) => text.len() as u64,
            Self::Layer(_, size) => *size,
        }
    }

    fn write<W: Write>(&self, store: &Store, output: &mut Output<W>) -> Result<(), ImageError> {
        match self {
            Self::Document(text) => output.put(text),
            Self::Layer(diff_id, _) => store.write_layer(diff_id, output),
        }
    }
}

/// An archive about to be written.
#[derive(Default)]
struct Archive {
    blobs: BTreeMap<String, Blob>,
    /// Of `index.json`.
    manifests: Vec<Value>,
    /// Of `manifest.json`.
    images: Vec<Value>,
    /// Repository, tag, topmost layer: the list of versions before 1.10.
    repositories: BTreeMap<String, BTreeMap<String, String>>,
}

impl Archive {
    fn add(&mut self, store: &Store, image: &Image, names: &[Reference]) -> Result<(), ImageError> {
        let config = image.raw_config.as_bytes();
        let parsed = ConfigFile::parse(config).map_err(|error| ImageError::Malformed {
            what: format!("config of image {}", image.id.short()),
            reason: error.to_string(),
        })?;
        let mut layers = Vec::new();
        for diff_id in &parsed.rootfs.diff_ids {
            let size = store.archive_size(diff_id)?;
            layers.push(json!({"mediaType": LAYER, "digest": diff_id, "size": size}));
            self.blobs
                .insert(diff_id.hex().to_owned(), Blob::Layer(diff_id.clone(), size));
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": image.id, "size": config.len()},
            "layers": layers,
        });
        self.document(config.to_vec());
        let manifest = manifest.to_string().into_bytes();
        let descriptor = json!({
            "mediaType": MANIFEST,
            "digest": Digest::of(&manifest),
            "size": manifest.len(),
            "platform": platform(&image.platform),
        });
        self.document(manifest);
        self.name(names, &descriptor, parsed.rootfs.diff_ids.last());
        let sources = parsed.rootfs.diff_ids.iter().zip(layers);
        let sources = sources.map(|(diff_id, layer)| (diff_id.to_string(), layer));
        self.images.push(json!({
            "Config": blob_path(&image.id),
            "RepoTags": (!names.is_empty())
                .then(|| names.iter().map(Reference::familiar).collect::<Vec<_>>()),
            "Layers": parsed.rootfs.diff_ids.iter().map(blob_path).collect::<Vec<_>>(),
            "LayerSources": sources.collect::<serde_json::Map<_, _>>(),
        }));
        Ok(())
    }

    /// Enters a manifest under each of its names, or under none.
    fn name(&mut self, names: &[Reference], descriptor: &Value, top: Option<&Digest>) {
        if names.is_empty() {
            self.manifests.push(descriptor.clone());
        }
        for name in names {
            let tag = name.tag().unwrap_or_default();
            let mut named = descriptor.clone();
            if let Some(entry) = named.as_object_mut() {
                let annotations = json!({
                    "io.containerd.image.name": name.to_string(),
                    "org.opencontainers.image.ref.name": tag,
                });
                entry.insert("annotations".to_owned(), annotations);
            }
            self.manifests.push(named);
            if let Some(top) = top {
                let tags = self.repositories.entry(name.familiar_name()).or_default();
                tags.insert(tag.to_owned(), top.hex().to_owned());
            }
        }
    }

    fn document(&mut self, text: Vec<u8>) {
        let digest = Digest::of(&text);
        self.blobs
            .insert(digest.hex().to_owned(), Blob::Document(text));
    }

    /// All files of the layout by their paths, those that name others last.
    fn files(self) -> Vec<(String, Blob)> {
        let blobs = self.blobs.into_iter();
        let mut files: Vec<(String, Blob)> = blobs
            .map(|(name, blob)| (format!("{BLOBS}/{name}"), blob))
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests});
        let mut documents = vec![
            ("index.json", index),
            ("manifest.json", Value::from(self.images)),
            ("oci-layout", json!({"imageLayoutVersion": "1.0.0"})),
        ];
        if !self.repositories.is_empty() {
            documents.push(("repositories", json!(self.repositories)));
        }
        files.extend(documents.into_iter().map(|(name, content)| {
            let text = content.to_string().into_bytes();
            (name.to_owned(), Blob::Document(text))
        }));
        files
    }

    fn write<W: Write>(self, store: &Store, output: &mut Output<W>) -> Result<(), ImageError> {
        for folder in ["blobs/", "blobs/sha256/"] {
            output.put(&encode(&Header::plain(b'5', folder.as_bytes(), 0o755, 0)))?;
        }
        for (path, blob) in self.files() {
            let size = blob.size();
            output.put(&encode(&Header::plain(b'0', path.as_bytes(), 0o644, size)))?;
            blob.write(store, output)?;
            output.put(&padding(size))?;
        }
        output.put(&END)?;
        output.flush().map_err(|source| output_failed(&source))
    }
}

fn platform(platform: &Platform) -> Value {
    let mut value = json!({"architecture": platform.architecture, "os": platform.os});
    if let (Some(variant), Some(object)) = (&platform.variant, value.as_object_mut()) {
        object.insert("variant".to_owned(), variant.clone().into());
    }
    value
}

/// Remembers that it was the output that failed, and not a layer.
struct Output<W> {
    inner: W,
    failed: Option<io::Error>,
}

impl<W: Write> Output<W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.write_all(bytes)
            .map_err(|source| output_failed(&source))
    }

    fn remember<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            self.failed = Some(error);
            kind.into()
        })
    }
}

/// A stand-in: what failed is kept in [`Output::failed`].
fn output_failed(source: &io::Error) -> ImageError {
    ImageError::Output {
        what: "the archive".to_owned(),
        source: source.kind().into(),
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.inner.write(bytes);
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            other => self.remember(other),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.inner.flush();
        self.remember(result)
    }
}
