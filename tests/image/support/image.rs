//! Images made for tests, and how they get into a registry.

use std::io::Write as _;
use std::net::SocketAddr;

use serde_json::{Value, json};
use skiff::image::Digest;

use super::http;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// How a layer is packed.
#[derive(Clone, Copy)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// A layer with its files.
pub(crate) struct Layer {
    /// Its archive as it is.
    pub(crate) tar: Vec<u8>,
    /// Its archive as a registry has it.
    pub(crate) blob: Vec<u8>,
    media_type: &'static str,
}

impl Layer {
    /// A layer of these files, packed with gzip.
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        Self::packed(files, Packing::Gzip)
    }

    pub(crate) fn packed(files: &[(&str, &[u8])], packing: Packing) -> Self {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o755);
            header.set_size(content.len() as u64);
            header.set_mtime(1_000_000_000);
            builder.append_data(&mut header, path, *content).unwrap();
        }
        let tar = builder.into_inner().unwrap();
        let (blob, media_type) = match packing {
            Packing::Plain => (tar.clone(), "application/vnd.oci.image.layer.v1.tar"),
            Packing::Gzip => {
                let level = flate2::Compression::fast();
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
                gzip.write_all(&tar).unwrap();
                let blob = gzip.finish().unwrap();
                (blob, "application/vnd.oci.image.layer.v1.tar+gzip")
            }
            Packing::Zstd => (
                zstd::encode_all(&tar[..], 1).unwrap(),
                "application/vnd.oci.image.layer.v1.tar+zstd",
            ),
        };
        Self {
            tar,
            blob,
            media_type,
        }
    }
}

/// Bytes that do not compress, the same each time.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[3]
        })
        .collect()
}

/// An image ready for a registry.
pub(crate) struct TestImage {
    pub(crate) config: Vec<u8>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) manifest: Vec<u8>,
}

impl TestImage {
    /// An image of these layers, for amd64.
    pub(crate) fn new(layers: Vec<Layer>) -> Self {
        Self::with(layers, "amd64", &json!({"Cmd": ["/bin/x"], "Env": ["A=b"]}))
    }

    pub(crate) fn with(layers: Vec<Layer>, architecture: &str, config: &Value) -> Self {
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(&layer.tar)).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "created": "2026-01-02T03:04:05Z",
            "config": config, "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = config.to_string().into_bytes();
        let described: Vec<Value> = layers
            .iter()
            .map(|layer| descriptor(layer.media_type, &layer.blob))
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": described,
        });
        Self {
            config,
            layers,
            manifest: manifest.to_string().into_bytes(),
        }
    }

    /// The same in Docker's own media types.
    pub(crate) fn into_docker(mut self) -> Self {
        let text = String::from_utf8(self.manifest).unwrap();
        let text = text
            .replace(OCI_MANIFEST, DOCKER_MANIFEST)
            .replace(
                "vnd.oci.image.config.v1+json",
                "vnd.docker.container.image.v1+json",
            )
            .replace(
                "vnd.oci.image.layer.v1.tar+gzip",
                "vnd.docker.image.rootfs.diff.tar.gzip",
            );
        self.manifest = text.into_bytes();
        self
    }

    pub(crate) fn id(&self) -> Digest {
        Digest::of(&self.config)
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    fn media_type(&self) -> String {
        let manifest: Value = serde_json::from_slice(&self.manifest).unwrap();
        manifest["mediaType"].as_str().unwrap().to_owned()
    }

    /// Pushes it over plain HTTP.
    pub(crate) fn push(&self, to: SocketAddr, repository: &str, tag: &str) {
        for blob in self
            .layers
            .iter()
            .map(|layer| &layer.blob)
            .chain([&self.config])
        {
            push_blob(to, repository, blob);
        }
        push_manifest(to, repository, tag, &self.media_type(), &self.manifest);
    }

    /// Its entry in an index.
    pub(crate) fn entry(&self, platform: &Value) -> Value {
        let mut entry = descriptor(&self.media_type(), &self.manifest);
        entry["platform"] = platform.clone();
        entry
    }
}

pub(crate) fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(content), "size": content.len()})
}

fn push_blob(to: SocketAddr, repository: &str, blob: &[u8]) {
    let begun = http::send(
        to,
        "POST",
        &format!("/v2/{repository}/blobs/uploads/"),
        "",
        b"",
    );
    assert_eq!(
        begun.status,
        202,
        "{}",
        String::from_utf8_lossy(&begun.body)
    );
    let location = begun.header("location").unwrap();
    let target = location
        .split_once("://")
        .map_or(location, |(_, rest)| &rest[rest.find('/').unwrap()..]);
    let joint = if target.contains('?') { '&' } else { '?' };
    let target = format!("{target}{joint}digest={}", Digest::of(blob));
    let ended = http::send(to, "PUT", &target, "application/octet-stream", blob);
    assert_eq!(
        ended.status,
        201,
        "{}",
        String::from_utf8_lossy(&ended.body)
    );
}

pub(crate) fn push_manifest(to: SocketAddr, repository: &str, tag: &str, kind: &str, text: &[u8]) {
    let answer = http::send(
        to,
        "PUT",
        &format!("/v2/{repository}/manifests/{tag}"),
        kind,
        text,
    );
    assert_eq!(
        answer.status,
        201,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
}
