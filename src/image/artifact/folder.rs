//! Artifacts in an OCI image layout: `oci-layout`, `index.json`, and blobs by
//! digest (OCI image specification, "Image Layout").

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Artifact, FolderName, NewArtifact, malformed};
use crate::image::digest::{Digest, Hasher};
use crate::image::error::{ImageError, StoreContext as _};
use crate::image::layout::{BLOBS, Layout, REF_NAME, blob_path, check};
use crate::image::push::{Packing, layer_type, manifest_text, pack};
use crate::image::registry::manifest::{
    CONFIG_LIMIT, Descriptor, Document, MANIFEST_LIMIT, MANIFEST_TYPE, Manifest,
};
use crate::image::registry::plain;
use crate::image::store::{LayerClaim, PendingLayer, Store, Usage};
use crate::image::unpack::{Hashing, Unpacked};
use crate::state::atomic::{self, Durability};
use crate::state::lock::Lock;

/// Held while the layout is written to.
const LOCK: &str = ".skiff.lock";

/// `index.json`, whatever else is in it included.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Entry>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    annotations: serde_json::Map<String, Value>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Entry {
    fn name(&self) -> Option<&str> {
        self.annotations.get(REF_NAME)?.as_str()
    }
}

/// Reads one manifest and its config.
pub(super) fn read(folder: &Path, name: &FolderName) -> Result<Artifact, ImageError> {
    let layout = Layout::new(folder);
    let manifest = manifest(layout, name)?;
    Ok(Artifact {
        config: layout.blob(&manifest.config.digest, CONFIG_LIMIT)?,
        kind: manifest.config.media_type,
        layers: manifest.layers,
    })
}

fn manifest(layout: Layout<'_>, name: &FolderName) -> Result<Manifest, ImageError> {
    let digest = match name {
        FolderName::Digest(digest) => digest.clone(),
        FolderName::Tag(tag) => {
            let index = index(layout)?;
            let entry = index.manifests.iter().find(|one| one.name() == Some(tag));
            let entry = entry.ok_or_else(|| layout.bad(format!("it has nothing named `{tag}`")))?;
            entry.digest.clone()
        }
    };
    let text = layout.blob(&digest, MANIFEST_LIMIT)?;
    match Document::parse_any(&text).map_err(|reason| layout.bad(plain(&reason)))? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(entries) => Err(layout.bad(
            if entries
                .iter()
                .any(|entry| super::is_buildkit(&entry.descriptor.media_type))
            {
                super::OF_BUILDKIT
            } else {
                "an index is where a manifest was expected"
            },
        )),
    }
}

fn index(layout: Layout<'_>) -> Result<Index, ImageError> {
    let text = layout.document("index.json", MANIFEST_LIMIT)?;
    serde_json::from_slice(&text).map_err(|error| {
        let reason = format!("its `index.json` is not understood: {error}");
        layout.bad(reason)
    })
}

/// Sees to it that a layer is in the store.
pub(super) fn layer(
    store: &Store,
    usage: &Arc<Usage>,
    folder: &Path,
    diff_id: &Digest,
    descriptor: &Descriptor,
) -> Result<(), ImageError> {
    match store.claim_layer(usage, diff_id)? {
        LayerClaim::Present => Ok(()),
        LayerClaim::Missing(pending) => {
            let result = unpack(&pending, folder, descriptor);
            pending.commit(&result?)
        }
    }
}

fn unpack(
    pending: &PendingLayer,
    folder: &Path,
    descriptor: &Descriptor,
) -> Result<Unpacked, ImageError> {
    let name = blob_path(&descriptor.digest);
    let path = folder.join(&name);
    let (file, size) = Layout::new(folder).open(&name)?;
    if size != descriptor.size {
        return Err(ImageError::WrongSize {
            what: format!("`{}`", path.display()),
            expected: descriptor.size,
            found: size,
        });
    }
    let mut hasher = Hasher::new();
    let mut input = Hashing::new(BufReader::new(file), &mut hasher);
    let unpacked = pending.unpack(&mut input)?;
    io::copy(&mut input, &mut io::sink()).store("read", &path)?;
    drop(input);
    check(
        &descriptor.digest,
        hasher.finish(),
        &format!("`{}`", path.display()),
    )?;
    Ok(unpacked)
}

/// Writes one under a name, in the place of what had that name. Blobs come first
/// and `index.json` last, so that a crash leaves what was there; then blobs go that
/// nothing names any more.
pub(super) fn write(
    store: &Store,
    folder: &Path,
    name: &FolderName,
    new: &NewArtifact,
    owner: Option<(u32, u32)>,
) -> Result<(), ImageError> {
    let blobs = folder.join(BLOBS);
    let made = folder.ancestors().find(|above| above.exists());
    let kept = made.map(Path::to_owned);
    fs::create_dir_all(&blobs).store("make", &blobs)?;
    let lock_path = folder.join(LOCK);
    let _lock = Lock::acquire(&lock_path).store("lock", &lock_path)?;
    let mut layers = Vec::new();
    for (diff_id, known) in &new.layers {
        layers.push(put_layer(store, &blobs, diff_id, known, new)?);
    }
    let config = Descriptor::new(
        new.kind,
        put_document(&blobs, &new.config)?,
        new.config.len() as u64,
    );
    let text = manifest_text(&config, &layers);
    let digest = put_document(&blobs, &text)?;
    // What is in one that cannot be read is not ours to take away.
    let mut index = if folder.join("index.json").exists() {
        index(Layout::new(folder))?
    } else {
        Index::default()
    };
    if let FolderName::Tag(tag) = name {
        index.manifests.retain(|one| one.name() != Some(tag));
        let entry = json!({
            "mediaType": MANIFEST_TYPE,
            "digest": digest,
            "size": text.len(),
            "annotations": {REF_NAME: tag},
        });
        let entry = serde_json::from_value(entry)
            .map_err(|error| malformed(&folder.display().to_string(), &error.to_string()))?;
        index.manifests.push(entry);
    }
    index.rest.insert("schemaVersion".to_owned(), 2.into());
    let files = [
        ("oci-layout", json!({"imageLayoutVersion": "1.0.0"})),
        ("index.json", json!(index)),
    ];
    for (file, value) in files {
        let path = folder.join(file);
        atomic::write(&path, value.to_string().as_bytes(), Durability::Durable)
            .store("write", &path)?;
    }
    sweep(folder, &blobs, &index)?;
    match owner {
        Some(owner) => give(folder, kept.as_deref(), owner),
        None => Ok(()),
    }
}

fn put_document(blobs: &Path, text: &[u8]) -> Result<Digest, ImageError> {
    let digest = Digest::of(text);
    let path = blobs.join(digest.hex());
    atomic::write(&path, text, Durability::ThisBoot).store("write", &path)?;
    Ok(digest)
}

/// A layer that is there in one of its known forms is not packed again.
fn put_layer(
    store: &Store,
    blobs: &Path,
    diff_id: &Digest,
    known: &[Descriptor],
    new: &NewArtifact,
) -> Result<Descriptor, ImageError> {
    let is_there = |one: &&Descriptor| {
        let found = fs::metadata(blobs.join(one.digest.hex()));
        let fits = !new.repacks || one.media_type == layer_type(new.packing);
        fits && found.is_ok_and(|found| found.is_file() && found.len() == one.size)
    };
    if let Some(there) = known.iter().find(is_there) {
        return Ok(there.clone());
    }
    let file = tempfile::NamedTempFile::new_in(blobs).store("make a file in", blobs)?;
    let (digest, size) = packed(store, diff_id, new.packing, file.as_file()).and_then(
        |(output, digest, size)| {
            output
                .store("write to", file.path())
                .map(|()| (digest, size))
        },
    )?;
    file.as_file().sync_data().store("write to", file.path())?;
    let path = blobs.join(digest.hex());
    file.persist(&path)
        .map_err(|error| error.error)
        .store("put in place", &path)?;
    Ok(Descriptor::new(&layer_type(new.packing), digest, size))
}

/// Packs a layer into a file: whether all of it got there, its digest, its size.
fn packed(
    store: &Store,
    diff_id: &Digest,
    packing: Packing,
    file: &std::fs::File,
) -> Result<(io::Result<()>, Digest, u64), ImageError> {
    let output = Counted {
        inner: io::BufWriter::new(file),
        hasher: Hasher::new(),
        size: 0,
    };
    let mut output = pack(store, diff_id, packing, output, &Arc::default())?;
    Ok((output.flush(), output.hasher.finish(), output.size))
}

struct Counted<W> {
    inner: W,
    hasher: Hasher,
    size: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Takes away the blobs that no manifest of the layout names. Where one of them
/// cannot be read, or is an index, all stay.
fn sweep(folder: &Path, blobs: &Path, index: &Index) -> Result<(), ImageError> {
    let mut named = BTreeSet::new();
    for entry in &index.manifests {
        let Ok(text) = Layout::new(folder).blob(&entry.digest, MANIFEST_LIMIT) else {
            return Ok(());
        };
        let Ok(Document::Manifest(manifest)) = Document::parse_any(&text) else {
            return Ok(());
        };
        named.insert(entry.digest.clone());
        named.insert(manifest.config.digest);
        named.extend(manifest.layers.into_iter().map(|layer| layer.digest));
    }
    for file in fs::read_dir(blobs).store("read", blobs)? {
        let path = file.store("read", blobs)?.path();
        let digest = path.file_name().and_then(OsStr::to_str);
        let digest = digest.and_then(|hex| Digest::parse(&format!("sha256:{hex}")).ok());
        if digest.is_none_or(|digest| !named.contains(&digest)) {
            fs::remove_file(&path).store("remove", &path)?;
        }
    }
    Ok(())
}

/// Gives the layout, and the folders above it that were made, to a user.
fn give(folder: &Path, kept: Option<&Path>, (uid, gid): (u32, u32)) -> Result<(), ImageError> {
    let above = folder
        .ancestors()
        .take_while(|above| Some(*above) != kept)
        .map(Path::to_owned);
    let inside = ["blobs", BLOBS, "index.json", "oci-layout", LOCK];
    let mut all: Vec<PathBuf> = above
        .chain(inside.iter().map(|name| folder.join(name)))
        .collect();
    let blobs = folder.join(BLOBS);
    for file in fs::read_dir(&blobs).store("read", &blobs)? {
        all.push(file.store("read", &blobs)?.path());
    }
    for path in all {
        std::os::unix::fs::lchown(&path, Some(uid), Some(gid)).store("set the owner of", &path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::store::tests::Scene;

    #[test]
    fn a_layout_that_cannot_be_read_is_left_as_it_is() {
        let scene = Scene::new();
        let folder = scene.folder.path().join("layout");
        let name = FolderName::Tag("latest".to_owned());
        let new = |config: &str| NewArtifact {
            kind: "application/vnd.example+json",
            config: config.as_bytes().to_vec(),
            layers: Vec::new(),
            packing: Packing::default(),
            repacks: false,
        };
        write(&scene.store, &folder, &name, &new("{\"a\": 1}"), None).unwrap();
        write(&scene.store, &folder, &name, &new("{}"), None).unwrap();
        assert_eq!(read(&folder, &name).unwrap().config, b"{}");
        let blobs = || fs::read_dir(folder.join("blobs/sha256")).unwrap().count();
        assert_eq!(blobs(), 2, "a manifest and its config");
        fs::write(folder.join("index.json"), "{").unwrap();
        let other = FolderName::Tag("other".to_owned());
        write(&scene.store, &folder, &other, &new("[]"), None).unwrap_err();
        assert!(blobs() >= 2, "what others have in it stays");
        assert_eq!(fs::read(folder.join("index.json")).unwrap(), b"{");
    }
}
