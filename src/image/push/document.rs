//! The documents of an image that is pushed (OCI image specification).

use serde_json::{Value, json};

use super::produce::Packing;
use crate::image::digest::Digest;
use crate::image::registry::manifest::{Descriptor, INDEX_TYPE, LAYER_TYPE, MANIFEST_TYPE};
use crate::image::store::Image;

/// A manifest or an index, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) media_type: String,
    pub(super) text: Vec<u8>,
}

impl Document {
    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.text)
    }

    fn new(media_type: &str, value: &Value) -> Self {
        Self {
            media_type: media_type.to_owned(),
            text: value.to_string().into_bytes(),
        }
    }
}

/// The media type of a layer that is packed so.
pub(crate) fn layer_type(packing: Packing) -> String {
    let packing = match packing {
        Packing::Plain => "",
        Packing::Gzip(_) => "+gzip",
        Packing::Zstd(_) => "+zstd",
    };
    format!("{LAYER_TYPE}{packing}")
}

/// The manifest of one image, or of whatever has a config and layers.
pub(super) fn manifest(config: &Descriptor, layers: &[Descriptor]) -> Document {
    let layers: Vec<Value> = layers.iter().map(layer_entry).collect();
    let value = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config,
        "layers": layers,
    });
    Document::new(MANIFEST_TYPE, &value)
}

/// A layer in OCI's words, whichever it was described in before.
fn layer_entry(layer: &Descriptor) -> Value {
    let kind = &layer.media_type;
    let packing = if kind.ends_with("zstd") {
        "+zstd"
    } else if kind.ends_with("gzip") {
        "+gzip"
    } else {
        ""
    };
    json!({
        "mediaType": format!("{LAYER_TYPE}{packing}"),
        "digest": layer.digest,
        "size": layer.size,
    })
}

/// The index of several images.
pub(super) fn index(images: &[(&Image, Document)]) -> Document {
    let entries: Vec<Value> = images
        .iter()
        .map(|(image, document)| {
            json!({
                "mediaType": document.media_type,
                "digest": document.digest(),
                "size": document.text.len(),
                "platform": image.platform,
            })
        })
        .collect();
    let value = json!({
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": entries,
    });
    Document::new(INDEX_TYPE, &value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::registry::manifest::{CONFIG_TYPE, Document as Parsed};
    use crate::image::store::tests::image_pulled_at;

    fn descriptor(kind: &str, content: &[u8]) -> Descriptor {
        Descriptor::new(kind, Digest::of(content), content.len() as u64)
    }

    #[test]
    fn a_manifest_is_read_back_with_oci_s_words_for_layers() {
        let config = descriptor(CONFIG_TYPE, b"{}");
        let layers = [
            descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", b"a"),
            descriptor("application/vnd.oci.image.layer.v1.tar+zstd", b"b"),
            descriptor("application/vnd.oci.image.layer.v1.tar", b"c"),
        ];
        let document = manifest(&config, &layers);
        let Parsed::Manifest(parsed) = Parsed::parse(&document.text).unwrap() else {
            panic!("a manifest was expected");
        };
        assert_eq!(parsed.config, config);
        let kinds: Vec<_> = parsed
            .layers
            .iter()
            .map(|l| l.media_type.as_str())
            .collect();
        assert_eq!(
            kinds,
            [
                "application/vnd.oci.image.layer.v1.tar+gzip",
                "application/vnd.oci.image.layer.v1.tar+zstd",
                "application/vnd.oci.image.layer.v1.tar"
            ]
        );
    }

    #[test]
    fn an_index_names_platforms() {
        let image = image_pulled_at("2026-03-02T11:00:00Z");
        let member = manifest(&descriptor(CONFIG_TYPE, b"{}"), &[]);
        let document = index(&[(&image, member.clone())]);
        let value: Value = serde_json::from_slice(&document.text).unwrap();
        assert_eq!(value["manifests"][0]["digest"], json!(member.digest()));
        assert_eq!(
            value["manifests"][0]["platform"]["architecture"],
            json!(image.platform.architecture)
        );
    }
}
