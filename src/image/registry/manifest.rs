//! Manifests and indexes: OCI image specification, and Docker's schema 2,
//! which has the same fields under other media types.

use serde::{Deserialize, Serialize};

use super::answer::plain;
use crate::image::digest::Digest;
use crate::image::platform::Platform;

/// Longest manifest or index, as the distribution specification sets it.
pub(crate) const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;
/// Longest config document.
pub(crate) const CONFIG_LIMIT: usize = 8 * 1024 * 1024;
/// Most layers: overlayfs takes no more than 500 lower folders.
const LAYER_LIMIT: usize = 500;

/// Media type of an image's manifest.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Of an index.
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Of a config.
pub(crate) const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// Of a layer; how it is packed is added.
pub(crate) const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// What we ask for, in one `Accept` header.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
application/vnd.oci.image.manifest.v1+json, \
application/vnd.docker.distribution.manifest.list.v2+json, \
application/vnd.docker.distribution.manifest.v2+json";

/// Where content is found and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Descriptor {
    #[serde(rename = "mediaType", default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// Where else it may be had; for layers that registries may not give out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    urls: Option<Vec<String>>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: None,
        }
    }

    /// Whether its owner keeps it back from registries (OCI image
    /// specification, "Non-Distributable Layers"; Docker's foreign layers).
    fn is_foreign(&self) -> bool {
        self.media_type.contains("nondistributable")
            || self.media_type.contains(".foreign.")
            || self.urls.as_ref().is_some_and(|urls| !urls.is_empty())
    }
}

/// One image of an index.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct IndexEntry {
    #[serde(flatten)]
    pub(crate) descriptor: Descriptor,
    #[serde(default)]
    platform: Option<RawPlatform>,
}

/// Indexes within indexes that are followed.
pub(crate) const INDEX_DEPTH: usize = 3;

impl IndexEntry {
    /// One of which nothing else is known.
    pub(crate) fn of(digest: &Digest) -> Self {
        Self {
            descriptor: Descriptor::new("", digest.clone(), 0),
            platform: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct RawPlatform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: Option<String>,
}

impl IndexEntry {
    fn platform(&self) -> Option<Platform> {
        self.platform
            .as_ref()
            .map(|p| Platform::normalised(&p.os, &p.architecture, p.variant.as_deref()))
    }
}

/// The manifest of one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// What a registry has under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    /// One image.
    Manifest(Manifest),
    /// The same image for several platforms.
    Index(Vec<IndexEntry>),
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "schemaVersion")]
    version: Option<u32>,
    #[serde(rename = "artifactType")]
    artifact: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<IndexEntry>>,
}

impl Document {
    /// Reads a document. What it is, its fields say: media types are not
    /// reliable, and a document that could be both is refused
    /// (CVE-2021-41190).
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let (document, artifact) = Self::read(text)?;
        if let Self::Manifest(Manifest { config, layers }) = &document {
            if layers.len() > LAYER_LIMIT {
                return Err(format!(
                    "it has {} layers, and overlayfs can stack no more than {LAYER_LIMIT}",
                    layers.len()
                ));
            }
            check_media_types(artifact.as_deref(), config, layers)?;
        }
        Ok(document)
    }

    /// Reads a document that need not be an image's.
    pub(crate) fn parse_any(text: &[u8]) -> Result<Self, String> {
        Self::read(text).map(|(document, _)| document)
    }

    fn read(text: &[u8]) -> Result<(Self, Option<String>), String> {
        let raw: Raw = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        match raw {
            Raw {
                version: Some(1), ..
            } => Err(
                "it is in Docker's schema 1, which registries gave up in 2020; push the image anew"
                    .to_owned(),
            ),
            Raw {
                artifact,
                config: Some(config),
                layers: Some(layers),
                manifests: None,
                ..
            } => Ok((Self::Manifest(Manifest { config, layers }), artifact)),
            Raw {
                manifests: Some(entries),
                config: None,
                layers: None,
                ..
            } => Ok((Self::Index(entries), None)),
            _ => Err("it is neither a manifest nor an index".to_owned()),
        }
    }
}

fn no_image(kind: &str) -> String {
    format!("it is no container image but holds `{}`", plain(kind))
}

fn check_media_types(
    artifact: Option<&str>,
    config: &Descriptor,
    layers: &[Descriptor],
) -> Result<(), String> {
    let known_config = matches!(
        config.media_type.as_str(),
        "" | "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
            | "application/json"
            | "application/octet-stream"
            | "text/plain; charset=utf-8"
    );
    if !known_config {
        return Err(no_image(artifact.unwrap_or(&config.media_type)));
    }
    if let Some(layer) = layers.iter().find(|layer| layer.is_foreign()) {
        return Err(format!(
            "layer {} is a foreign one (`{}`), which registries do not give out, and skiff does not fetch from elsewhere",
            layer.digest.short(),
            plain(&layer.media_type)
        ));
    }
    let unreadable = layers.iter().find(|layer| {
        layer.media_type.ends_with("+encrypted") || !layer.media_type.contains("tar")
    });
    match unreadable.filter(|layer| !layer.media_type.is_empty()) {
        Some(layer) => Err(format!(
            "layer {} is `{}`, which cannot be unpacked",
            layer.digest.short(),
            plain(&layer.media_type)
        )),
        None => Ok(()),
    }
}

/// Chooses the entry that fits a platform best: the nearest variant, the first
/// of equals. An entry that names no platform is taken where no other fits.
pub(crate) fn choose<'a>(
    entries: &'a [IndexEntry],
    wanted: &Platform,
) -> Result<&'a Descriptor, Vec<String>> {
    let fitting = entries
        .iter()
        .filter_map(|entry| Some((wanted.fitness(&entry.platform()?)?, entry)))
        .min_by_key(|(fitness, _)| *fitness)
        .map(|(_, entry)| entry);
    let unnamed = || entries.iter().find(|entry| entry.platform.is_none());
    fitting
        .or_else(unnamed)
        .map(|entry| &entry.descriptor)
        .ok_or_else(|| {
            let mut available: Vec<String> = entries
                .iter()
                .filter_map(IndexEntry::platform)
                // Attestations are filed under this platform.
                .filter(|platform| platform.os != "unknown")
                .map(|platform| platform.to_string())
                .collect();
            available.dedup();
            available
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(c: char) -> String {
        format!("sha256:{}", c.to_string().repeat(64))
    }

    fn entry(c: char, platform: &str) -> String {
        format!(
            r#"{{"mediaType":"m","digest":"{}","size":1,"platform":{platform}}}"#,
            hex(c)
        )
    }

    fn index(entries: &[String]) -> Vec<IndexEntry> {
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            entries.join(",")
        );
        match Document::parse(text.as_bytes()).unwrap() {
            Document::Index(entries) => entries,
            Document::Manifest(_) => panic!("an index was expected"),
        }
    }

    #[test]
    fn the_platform_that_fits_best_is_chosen() {
        let entries = index(&[
            entry('0', r#"{"os":"unknown","architecture":"unknown"}"#),
            entry('1', r#"{"os":"linux","architecture":"arm","variant":"v6"}"#),
            entry(
                '2',
                r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#,
            ),
            entry('3', r#"{"os":"linux","architecture":"arm","variant":"v7"}"#),
            entry('4', r#"{"os":"linux","architecture":"amd64"}"#),
        ]);
        let chosen = |p: &str| {
            choose(&entries, &Platform::parse(p).unwrap()).map(|d| d.digest.hex().to_owned())
        };
        assert_eq!(chosen("linux/amd64").unwrap(), "4".repeat(64));
        assert_eq!(chosen("linux/arm64").unwrap(), "2".repeat(64));
        assert_eq!(chosen("linux/arm/v7").unwrap(), "3".repeat(64));
        assert_eq!(chosen("linux/arm/v6").unwrap(), "1".repeat(64));
        assert_eq!(
            chosen("linux/s390x").unwrap_err(),
            ["linux/arm/v6", "linux/arm64", "linux/arm/v7", "linux/amd64"]
        );
    }

    #[test]
    fn documents_that_are_no_image_are_refused_with_a_reason() {
        let config = format!(
            r#"{{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"{}","size":1}}"#,
            hex('a')
        );
        let artifact = format!(
            r#"{{"schemaVersion":2,"artifactType":"application/vnd.sbom","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{}","size":2}},"layers":[]}}"#,
            hex('a')
        );
        let layered = |layer: &str| {
            format!(
                r#"{{"config":{{"digest":"{0}","size":1}},"layers":[{{"digest":"{0}","size":1,{layer}}}]}}"#,
                hex('a')
            )
        };
        let docker = layered(
            r#""mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","urls":["https://m/x"]"#,
        );
        let oci = layered(
            r#""mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip""#,
        );
        let elsewhere = layered(
            r#""mediaType":"application/vnd.oci.image.layer.v1.tar","urls":["https://m/x"]"#,
        );
        let drawing = layered(r#""mediaType":"a\u001b[31mb""#);
        let nested = format!(
            r#"{{"config":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        let helm = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#);
        let both = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"manifests":[]}}"#);
        for (text, part) in [
            ("{}", "neither"),
            ("[", "EOF"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#, "schema 1"),
            (helm.as_str(), "helm"),
            (both.as_str(), "neither"),
            (artifact.as_str(), "holds `application/vnd.sbom`"),
            (
                docker.as_str(),
                "aaaaaaaaaaaa is a foreign one (`application/vnd.docker",
            ),
            (oci.as_str(), "is a foreign one"),
            (elsewhere.as_str(), "is a foreign one"),
            (drawing.as_str(), "`a[31mb`"),
            (nested.as_str(), ""),
            (
                r#"{"config":{"digest":"sha256:../x","size":1},"layers":[]}"#,
                "sha256:../x",
            ),
        ] {
            let error = Document::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn too_many_layers_are_refused() {
        let layer = format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":1}}"#,
            hex('a')
        );
        let layers = vec![layer; LAYER_LIMIT + 1].join(",");
        let text = format!(
            r#"{{"config":{{"digest":"{}","size":1}},"layers":[{layers}]}}"#,
            hex('b')
        );
        assert!(
            Document::parse(text.as_bytes())
                .unwrap_err()
                .contains("501 layers")
        );
    }
}
