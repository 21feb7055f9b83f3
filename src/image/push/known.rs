//! What the store knows of layers as registries have them: from the manifests
//! that images came with.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::document::Document;
use crate::image::config::ConfigFile;
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::registry::manifest::{Descriptor, Document as Parsed, MANIFEST_TYPE, Manifest};
use crate::image::store::{Image, Store};

/// A layer as it is packed somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) descriptor: Descriptor,
    /// Where it may be found: domain and path.
    pub(super) repositories: Vec<(String, String)>,
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Known {
    layers: BTreeMap<Digest, Vec<Packed>>,
    manifests: Vec<(Manifest, Document)>,
}

/// Reads the manifests of the store. One that cannot be read or does not fit
/// its image tells nothing.
pub(super) fn of_store(store: &Store) -> Result<Known, ImageError> {
    let mut known = Known::default();
    for image in store.list()? {
        let by_digest = image.repo_digests.iter().filter_map(|name| name.digest());
        let mut digests: Vec<&Digest> = image.digest.iter().chain(by_digest).collect();
        digests.sort();
        digests.dedup();
        for digest in digests {
            if let Ok(text) = store.read_blob(digest) {
                known.take(&image, text);
            }
        }
    }
    Ok(known)
}

impl Known {
    fn take(&mut self, image: &Image, text: Vec<u8>) {
        let Ok(Parsed::Manifest(manifest)) = Parsed::parse(&text) else {
            return;
        };
        let Ok(file) = ConfigFile::parse(image.raw_config.as_bytes()) else {
            return;
        };
        let diff_ids = &file.rootfs.diff_ids;
        if manifest.config.digest != image.id || manifest.layers.len() != diff_ids.len() {
            return;
        }
        let repositories: Vec<(String, String)> = image
            .repo_digests
            .iter()
            .map(|name| (name.domain().to_owned(), name.path().to_owned()))
            .collect();
        for (diff_id, descriptor) in diff_ids.iter().zip(&manifest.layers) {
            let all = self.layers.entry(diff_id.clone()).or_default();
            let same = |one: &&mut Packed| one.descriptor.digest == descriptor.digest;
            match all.iter_mut().find(same) {
                Some(one) => one.repositories.extend(repositories.iter().cloned()),
                None => all.push(Packed {
                    descriptor: descriptor.clone(),
                    repositories: repositories.clone(),
                }),
            }
        }
        let media_type = media_type_of(&text);
        self.manifests
            .push((manifest, Document { media_type, text }));
    }

    /// The packed forms of a layer.
    pub(super) fn layer(&self, diff_id: &Digest) -> &[Packed] {
        self.layers.get(diff_id).map_or(&[], Vec::as_slice)
    }

    /// Other repositories at a registry that layers are known of.
    pub(super) fn repositories_at(&self, domain: &str, path: &str) -> Vec<String> {
        let all = self.layers.values().flatten();
        let mut paths: Vec<String> = all
            .flat_map(|packed| &packed.repositories)
            .filter(|(other, own)| other == domain && own != path)
            .map(|(_, path)| path.clone())
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// The manifest that says just this of an image.
    pub(super) fn manifest(&self, config: &Digest, layers: &[Descriptor]) -> Option<Document> {
        self.manifests
            .iter()
            .find(|(manifest, _)| {
                let digests = manifest.layers.iter().map(|layer| &layer.digest);
                manifest.config.digest == *config
                    && digests.eq(layers.iter().map(|layer| &layer.digest))
            })
            .map(|(_, document)| document.clone())
    }
}

fn media_type_of(text: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "mediaType", default)]
        media_type: String,
    }
    serde_json::from_slice(text)
        .map(|typed: Typed| typed.media_type)
        .ok()
        .filter(|kind| !kind.is_empty())
        .unwrap_or_else(|| MANIFEST_TYPE.to_owned())
}
