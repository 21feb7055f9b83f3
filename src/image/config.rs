//! An image's config: what its containers run and how.
//!
//! The OCI image specification's "image configuration", and the fields that
//! Docker adds to it (`Healthcheck`, `Shell`, `OnBuild`, …). The text itself is
//! what the image's id is the digest of, so it is kept byte for byte in the
//! store and never written anew from these types.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::digest::Digest;
use super::platform::Platform;

/// The whole config document of an image.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ConfigFile {
    /// Defaults of its containers.
    #[serde(default, deserialize_with = "null_default")]
    pub config: ImageConfig,
    /// CPU architecture in Go's words: `amd64`.
    #[serde(default, deserialize_with = "null_default")]
    pub architecture: String,
    /// Operating system: `linux`.
    #[serde(default, deserialize_with = "null_default")]
    pub os: String,
    /// Variant of the CPU: `v7`.
    #[serde(default)]
    pub variant: Option<String>,
    /// RFC 3339 time at which the image was built, as written.
    #[serde(default)]
    pub created: Option<String>,
    /// Who built it.
    #[serde(default)]
    pub author: Option<String>,
    /// Its layers.
    #[serde(default)]
    pub rootfs: RootFs,
    /// How each layer came to be.
    #[serde(default, deserialize_with = "null_default")]
    pub history: Vec<History>,
}

impl ConfigFile {
    /// Reads a config document.
    ///
    /// # Errors
    /// Not JSON of this shape.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Each layer once: its diff-id, and what a manifest has for it.
    ///
    /// # Errors
    /// The manifest has more or fewer of them; the text says how many.
    pub(super) fn pair<'l, L>(&self, layers: &'l [L]) -> Result<Vec<(Digest, &'l L)>, String> {
        let diff_ids = &self.rootfs.diff_ids;
        if diff_ids.len() != layers.len() {
            return Err(format!(
                "the image lists {} layers, its config {}",
                layers.len(),
                diff_ids.len()
            ));
        }
        let mut pairs: Vec<(Digest, &L)> = Vec::new();
        for (diff_id, layer) in diff_ids.iter().zip(layers) {
            if !pairs.iter().any(|(known, _)| known == diff_id) {
                pairs.push((diff_id.clone(), layer));
            }
        }
        Ok(pairs)
    }

    /// The platform it is for; what is missing is the host's.
    pub fn platform(&self) -> Platform {
        let host = Platform::host();
        let or = |text: &str, default: String| {
            if text.is_empty() {
                default
            } else {
                text.to_owned()
            }
        };
        Platform {
            os: or(&self.os, host.os),
            architecture: or(&self.architecture, host.architecture),
            variant: self.variant.clone().filter(|v| !v.is_empty()),
        }
    }
}

/// The layers of an image, as its config lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RootFs {
    /// Digests of the uncompressed layers, the lowest first.
    #[serde(default, deserialize_with = "null_default")]
    pub diff_ids: Vec<Digest>,
}

/// One step of an image's making.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct History {
    /// RFC 3339 time, as written.
    #[serde(default)]
    pub created: Option<String>,
    /// The command.
    #[serde(default)]
    pub created_by: Option<String>,
    /// A remark.
    #[serde(default)]
    pub comment: Option<String>,
    /// The step made no layer.
    #[serde(default)]
    pub empty_layer: bool,
}

/// Defaults that an image gives its containers.
///
/// `null`, an empty list and an absent field mean the same everywhere.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// `user[:group]`, by name or number; empty for root.
    #[serde(deserialize_with = "null_default")]
    pub user: String,
    /// Ports that its programs listen on: `80/tcp`.
    #[serde(deserialize_with = "keys")]
    pub exposed_ports: Vec<String>,
    /// Environment, `NAME=value`.
    #[serde(deserialize_with = "null_default")]
    pub env: Vec<String>,
    /// What runs; `cmd` becomes its arguments.
    #[serde(deserialize_with = "null_default")]
    pub entrypoint: Vec<String>,
    /// Default arguments, or what runs where there is no entrypoint.
    #[serde(deserialize_with = "null_default")]
    pub cmd: Vec<String>,
    /// Paths that get an anonymous volume.
    #[serde(deserialize_with = "keys")]
    pub volumes: Vec<String>,
    /// Working directory; empty for `/`.
    #[serde(deserialize_with = "null_default")]
    pub working_dir: String,
    /// Labels.
    #[serde(deserialize_with = "null_default")]
    pub labels: BTreeMap<String, String>,
    /// Signal that asks the program to end: `SIGQUIT`, `3`.
    #[serde(deserialize_with = "empty_is_none")]
    pub stop_signal: Option<String>,
    /// Seconds between that signal and SIGKILL.
    pub stop_timeout: Option<i64>,
    /// How its health is probed (Docker's extension).
    pub healthcheck: Option<Healthcheck>,
    /// Shell of the build steps and of `CMD-SHELL` (Docker's extension).
    #[serde(deserialize_with = "null_default")]
    pub shell: Vec<String>,
    /// Build steps for images built upon this one (Docker's extension).
    #[serde(deserialize_with = "null_default")]
    pub on_build: Vec<String>,
}

/// A health probe as an image declares it; an absent value means Docker's
/// default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", "…"]`, `["NONE"]`; empty inherits.
    #[serde(deserialize_with = "null_default")]
    pub test: Vec<String>,
    /// Time between probes.
    #[serde(deserialize_with = "nanoseconds")]
    pub interval: Option<Duration>,
    /// A probe that takes longer has failed.
    #[serde(deserialize_with = "nanoseconds")]
    pub timeout: Option<Duration>,
    /// Time after the start in which failures do not count.
    #[serde(deserialize_with = "nanoseconds")]
    pub start_period: Option<Duration>,
    /// Time between probes in the start period.
    #[serde(deserialize_with = "nanoseconds")]
    pub start_interval: Option<Duration>,
    /// Failures in a row that make the container unhealthy.
    #[serde(deserialize_with = "positive")]
    pub retries: Option<u32>,
}

impl Healthcheck {
    /// Whether it switches probing off (`HEALTHCHECK NONE`).
    pub fn is_none(&self) -> bool {
        self.test.first().is_some_and(|word| word == "NONE")
    }
}

fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn empty_is_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// Sets are written as objects with empty values.
fn keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let map = Option::<serde_json::Map<String, serde_json::Value>>::deserialize(deserializer)?;
    let mut keys: Vec<String> = map
        .unwrap_or_default()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    keys.sort();
    Ok(keys)
}

/// Durations are written as nanoseconds; 0 means the default.
fn nanoseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let value = Option::<i64>::deserialize(deserializer)?;
    Ok(value
        .and_then(|n| u64::try_from(n).ok())
        .filter(|n| *n > 0)
        .map(Duration::from_nanos))
}

fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let value = Option::<i64>::deserialize(deserializer)?;
    Ok(value.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_with_every_field_is_read() {
        let text = br#"{
            "architecture": "arm64", "os": "linux", "variant": "v8",
            "created": "2026-01-02T03:04:05.678Z", "author": "me",
            "config": {
                "User": "app:1000", "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
                "Env": ["PATH=/bin", "A=b=c"], "Entrypoint": ["/e", "x"], "Cmd": ["y"],
                "Volumes": {"/data": {}}, "WorkingDir": "/w", "Labels": {"k": "v"},
                "StopSignal": "SIGQUIT", "StopTimeout": 3, "Shell": ["/bin/bash", "-c"],
                "OnBuild": ["RUN x"],
                "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5000000000,
                    "Timeout": 1000000, "StartPeriod": 0, "StartInterval": 2000000000, "Retries": 4}
            },
            "rootfs": {"type": "layers", "diff_ids":
                ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
            "history": [{"created_by": "ADD x", "empty_layer": true}]
        }"#;
        let file = ConfigFile::parse(text).unwrap();
        assert_eq!(file.platform().to_string(), "linux/arm64/v8");
        assert_eq!(file.rootfs.diff_ids.len(), 1);
        assert!(file.history[0].empty_layer);
        assert_config(&file.config);
        assert_healthcheck(&file.config.healthcheck.unwrap());
    }

    fn assert_config(config: &ImageConfig) {
        assert_eq!(config.user, "app:1000");
        assert_eq!(config.exposed_ports, ["53/udp", "80/tcp"]);
        assert_eq!(config.env, ["PATH=/bin", "A=b=c"]);
        assert_eq!((config.entrypoint.len(), config.cmd.len()), (2, 1));
        assert_eq!(config.volumes, ["/data"]);
        assert_eq!(config.working_dir, "/w");
        assert_eq!(config.labels["k"], "v");
        assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
        assert_eq!(config.stop_timeout, Some(3));
        assert_eq!(config.shell, ["/bin/bash", "-c"]);
        assert_eq!(config.on_build, ["RUN x"]);
    }

    fn assert_healthcheck(probe: &Healthcheck) {
        assert_eq!(probe.interval, Some(Duration::from_secs(5)));
        assert_eq!(probe.timeout, Some(Duration::from_millis(1)));
        assert_eq!(probe.start_period, None);
        assert_eq!(probe.start_interval, Some(Duration::from_secs(2)));
        assert_eq!(probe.retries, Some(4));
        assert!(!probe.is_none());
    }

    #[test]
    fn null_and_absent_fields_are_empty() {
        let text = br#"{"config": {"Env": null, "Cmd": null, "Entrypoint": null, "Volumes": null,
            "Labels": null, "OnBuild": null, "ExposedPorts": null, "Shell": null, "StopSignal": "",
            "User": null, "WorkingDir": null, "Healthcheck": null},
            "rootfs": {"type": "layers", "diff_ids": null}, "history": null}"#;
        let file = ConfigFile::parse(text).unwrap();
        assert_eq!(file.config, ImageConfig::default());
        assert_eq!(file.platform(), Platform::host());
        assert_eq!(
            ConfigFile::parse(b"{}").unwrap().config,
            ImageConfig::default()
        );
        assert_eq!(
            ConfigFile::parse(br#"{"config": null}"#).unwrap().config,
            ImageConfig::default()
        );
    }

    #[test]
    fn a_diff_id_that_is_no_digest_is_refused() {
        let text = br#"{"rootfs": {"diff_ids": ["../../etc"]}}"#;
        assert!(ConfigFile::parse(text).is_err());
    }
}
