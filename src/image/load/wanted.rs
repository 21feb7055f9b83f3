//! The images of an archive, as its own lists have them.

use std::collections::HashMap;

use serde::Deserialize;

use super::contents::{Contents, Piece};
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::layout::{self, REF_NAME, Top, blob_path};
use crate::image::reference::Reference;
use crate::image::registry::manifest::{CONFIG_LIMIT, IndexEntry, MANIFEST_LIMIT};

/// Annotation with an image's full name, as containerd and Docker write it.
const FULL_NAME: &str = "io.containerd.image.name";

/// An image of the archive, by the names of its files.
pub(super) struct Wanted {
    pub(super) config: Vec<u8>,
    pub(super) layers: Vec<Piece>,
    pub(super) names: Vec<Reference>,
    pub(super) manifests: Vec<Vec<u8>>,
    pub(super) manifest: Option<Digest>,
}

impl Contents<'_> {
    /// Those of `manifest.json`.
    pub(super) fn docker_images(&self) -> Result<Vec<Wanted>, ImageError> {
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

    /// Those of `index.json`.
    pub(super) fn oci_images(&self) -> Result<Vec<Wanted>, ImageError> {
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
