//! What a cache says of its steps. Whoever can write to it has a say in what comes
//! of a build, as with every cache; but what is damaged, or claims to be something
//! else than it is, counts as absent.

use serde::{Deserialize, Serialize};

use crate::build::solve::{Hash, hex, unhex};
use crate::image::Digest;
use crate::image::artifact::{Artifact, is_buildkit};

/// Media type of the config.
pub(crate) const KIND: &str = "application/vnd.skiff.buildcache.config.v1+json";
/// Where it is in an image's config (`type=inline`).
pub(crate) const FIELD: &str = "skiff.buildcache.v1";
/// Raised where a field's meaning changes.
const VERSION: u32 = 1;

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Document {
    version: u32,
    /// Diff-ids in the order of the manifest's layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    layers: Vec<Digest>,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    /// In hexadecimal digits; the first is the one that steps above count with.
    keys: Vec<String>,
    /// Index of its layer; absent where it changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<usize>,
    /// RFC 3339 time at which it was made; absent in an image, which has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
}

/// A step that a cache has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its keys; the first is the one that steps above count with.
    pub(crate) keys: Vec<Hash>,
    /// Diff-id of its layer; absent where it changed nothing.
    pub(crate) layer: Option<Digest>,
    /// RFC 3339; empty where it is not known.
    pub(crate) created: String,
}

/// What of a config is read where it is an image's.
#[derive(Deserialize)]
struct ImageConfig {
    #[serde(rename = "skiff.buildcache.v1")]
    cache: Option<Document>,
    created: Option<String>,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
}

impl Document {
    /// Of steps, and layers that some of them have. With times, unless it becomes
    /// part of an image.
    pub(crate) fn new(steps: &[Known], layers: &[Digest], is_inline: bool) -> Self {
        let steps = steps.iter().map(|step| Step {
            keys: step.keys.iter().map(hex).collect(),
            layer: step
                .layer
                .as_ref()
                .and_then(|own| layers.iter().position(|layer| layer == own)),
            created: Some(step.created.clone()).filter(|_| !is_inline),
        });
        Self {
            version: VERSION,
            layers: if is_inline {
                Vec::new()
            } else {
                layers.to_vec()
            },
            steps: steps.collect(),
        }
    }

    pub(crate) fn to_value(&self) -> serde_json::Value {
        serde_json::json!(self)
    }
}

/// The steps that an artifact has, and the diff-ids of its layers, in their order.
///
/// # Errors
/// Why it is no cache, to follow upon its name.
pub(crate) fn read(artifact: &Artifact) -> Result<(Vec<Known>, Vec<Digest>), String> {
    if is_buildkit(&artifact.kind) {
        return Err(
            "it was written by BuildKit, whose keys are not skiff's; let skiff write one of its own"
                .to_owned(),
        );
    }
    let damaged = |why: &str| format!("it is damaged: {why}");
    let (document, layers, created) = if artifact.kind == KIND {
        let document: Document = serde_json::from_slice(&artifact.config)
            .map_err(|error| damaged(&error.to_string()))?;
        let layers = document.layers.clone();
        (document, layers, String::new())
    } else {
        let image: ImageConfig = serde_json::from_slice(&artifact.config)
            .map_err(|error| damaged(&error.to_string()))?;
        let document = image.cache.ok_or_else(|| {
            "it is an image without a cache in it (`cache_to: [type=inline]` puts one there)"
                .to_owned()
        })?;
        let created = image.created.unwrap_or_default();
        (document, image.rootfs.diff_ids, created)
    };
    if document.version != VERSION {
        return Err(format!(
            "its format is {}, {VERSION} is known",
            document.version
        ));
    }
    if layers.len() != artifact.layers.len() {
        return Err(damaged("its layers are not those of its manifest"));
    }
    let known = document.steps.iter().map(|step| {
        let keys: Option<Vec<Hash>> = step.keys.iter().map(|key| unhex(key)).collect();
        let layer = match step.layer {
            None => None,
            Some(index) => Some(layers.get(index).cloned()?),
        };
        let time = step.created.as_ref().unwrap_or(&created);
        let is_time = time.parse::<jiff::Timestamp>().is_ok();
        Some(Known {
            keys: keys.filter(|keys| !keys.is_empty())?,
            layer,
            created: if is_time { time.clone() } else { String::new() },
        })
    });
    let known: Option<Vec<Known>> = known.collect();
    Ok((
        known.ok_or_else(|| damaged("a step has no key or no layer"))?,
        layers,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::artifact::Descriptor;

    fn layer(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn artifact(kind: &str, config: &serde_json::Value, layers: usize) -> Artifact {
        Artifact {
            kind: kind.to_owned(),
            config: config.to_string().into_bytes(),
            layers: (0..layers)
                .map(|number| Descriptor::new("", layer(&format!("blob {number}")), 1))
                .collect(),
        }
    }

    fn steps() -> Vec<Known> {
        let step = |key: u8, layer| Known {
            keys: vec![[key; 32], [key + 100; 32]],
            layer,
            created: "2026-03-02T11:00:00Z".to_owned(),
        };
        vec![step(1, Some(layer("a"))), step(2, None)]
    }

    #[test]
    fn steps_come_back_from_a_config_of_its_own_and_from_an_image() {
        let layers = [layer("base"), layer("a")];
        let own = Document::new(&steps(), &layers, false).to_value();
        let read_back = read(&artifact(KIND, &own, 2)).unwrap();
        assert_eq!(read_back, (steps(), layers.to_vec()));
        let image = serde_json::json!({
            "created": "2026-03-02T11:00:00Z",
            "rootfs": {"type": "layers", "diff_ids": layers},
            FIELD: Document::new(&steps(), &layers, true).to_value(),
        });
        let kind = "application/vnd.oci.image.config.v1+json";
        assert_eq!(read(&artifact(kind, &image, 2)).unwrap(), read_back);
    }

    #[test]
    fn what_is_no_cache_is_told() {
        let layers = [layer("a")];
        let good = Document::new(&steps(), &layers, false).to_value();
        let with = |field: &str, value: serde_json::Value| {
            let mut changed = good.clone();
            changed[field] = value;
            changed
        };
        let step = |step: serde_json::Value| with("steps", serde_json::json!([step]));
        let key = "ab".repeat(32);
        for (kind, config, layers, part) in [
            (
                "application/vnd.buildkit.cacheconfig.v0",
                good.clone(),
                1,
                "by BuildKit",
            ),
            (KIND, serde_json::json!([]), 0, "damaged"),
            (KIND, good.clone(), 2, "not those of its manifest"),
            (KIND, with("version", 2.into()), 1, "its format is 2"),
            (KIND, step(serde_json::json!({"keys": []})), 1, "no key"),
            (KIND, step(serde_json::json!({"keys": ["x"]})), 1, "no key"),
            (
                KIND,
                step(serde_json::json!({"keys": [key], "layer": 1})),
                1,
                "no layer",
            ),
            (
                KIND,
                step(serde_json::json!({"keys": [key], "layer": -1})),
                1,
                "damaged",
            ),
            (
                "",
                serde_json::json!({"rootfs": {"diff_ids": []}}),
                0,
                "without a cache",
            ),
            ("", serde_json::json!({}), 0, "damaged"),
        ] {
            let error = read(&artifact(kind, &config, layers)).unwrap_err();
            assert!(error.contains(part), "{config}: {error}");
        }
    }

    #[test]
    fn a_time_that_is_none_is_no_time() {
        let key = "ab".repeat(32);
        let config = serde_json::json!({
            "version": 1,
            "steps": [{"keys": [key], "created": "\u{1b}[31m"}],
        });
        let (steps, _) = read(&artifact(KIND, &config, 0)).unwrap();
        assert_eq!(steps[0].created, "");
    }
}
