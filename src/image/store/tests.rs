//! Tests of the store.

use super::*;

/// An image with nothing but a time.
pub(crate) fn image_pulled_at(time: &str) -> Image {
    Image {
        id: Digest::of(b"id"),
        names: Vec::new(),
        repo_digests: Vec::new(),
        digest: None,
        config: ImageConfig::default(),
        layers: Vec::new(),
        size: 0,
        created: None,
        pulled: time.parse().unwrap(),
        platform: Platform::host(),
        raw_config: "{}".into(),
    }
}
