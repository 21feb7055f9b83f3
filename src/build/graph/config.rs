//! The config of the image that comes out, and its history.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::dockerfile;
use crate::image::config::{History, RootFs};
use crate::image::{ConfigFile, Digest, Healthcheck, ImageConfig, Platform};

/// `PATH` of images that set none.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What entries of the history say about who wrote them.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// The config that `FROM scratch` begins with.
pub(super) fn empty(platform: &Platform) -> ConfigFile {
    ConfigFile {
        config: ImageConfig {
            env: vec![format!("PATH={PATH}")],
            working_dir: "/".to_owned(),
            ..ImageConfig::default()
        },
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        created: None,
        author: None,
        rootfs: RootFs::default(),
        history: Vec::new(),
    }
}

/// An entry of the history.
pub(super) fn entry(text: String, has_layer: bool) -> History {
    History {
        created: None,
        created_by: Some(text),
        comment: Some(COMMENT.to_owned()),
        empty_layer: !has_layer,
    }
}

/// A line for the shell as a command.
pub(super) fn with_shell(config: &ImageConfig, words: &[String]) -> Vec<String> {
    let mut command = if config.shell.is_empty() {
        vec!["/bin/sh".to_owned(), "-c".to_owned()]
    } else {
        config.shell.clone()
    };
    command.push(words.join(" "));
    command
}

/// Adds to a sorted set.
pub(super) fn add_all(set: &mut Vec<String>, more: Vec<String>) {
    set.extend(more);
    set.sort();
    set.dedup();
}

/// `HEALTHCHECK` as a config has it.
pub(super) fn healthcheck(check: &dockerfile::Healthcheck) -> Healthcheck {
    let period = |period: Duration| Some(period).filter(|period| !period.is_zero());
    Healthcheck {
        test: check.test.clone(),
        interval: period(check.interval),
        timeout: period(check.timeout),
        start_period: period(check.start_period),
        start_interval: period(check.start_interval),
        retries: Some(check.retries).filter(|retries| *retries > 0),
    }
}

/// The config as the JSON document that is the image's id, its fields in the order
/// in which Docker writes them. What is empty is left out.
pub fn document(file: &ConfigFile, has_escaped_args: bool) -> Value {
    let mut document = Map::new();
    document.insert("architecture".into(), json!(file.architecture));
    put(
        &mut document,
        "author",
        file.author.as_deref().unwrap_or_default(),
    );
    document.insert(
        "config".into(),
        image_config(&file.config, has_escaped_args),
    );
    put(
        &mut document,
        "created",
        file.created.as_deref().unwrap_or_default(),
    );
    let history: Vec<Value> = file.history.iter().map(history).collect();
    document.insert("history".into(), Value::Array(history));
    document.insert("os".into(), json!(file.os));
    let layers: Vec<&str> = file.rootfs.diff_ids.iter().map(Digest::as_str).collect();
    document.insert(
        "rootfs".into(),
        json!({"type": "layers", "diff_ids": layers}),
    );
    put(
        &mut document,
        "variant",
        file.variant.as_deref().unwrap_or_default(),
    );
    Value::Object(document)
}

fn history(entry: &History) -> Value {
    let mut object = Map::new();
    put(
        &mut object,
        "created",
        entry.created.as_deref().unwrap_or_default(),
    );
    put(
        &mut object,
        "created_by",
        entry.created_by.as_deref().unwrap_or_default(),
    );
    put(
        &mut object,
        "comment",
        entry.comment.as_deref().unwrap_or_default(),
    );
    if entry.empty_layer {
        object.insert("empty_layer".into(), json!(true));
    }
    Value::Object(object)
}

fn put(object: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.is_empty() {
        object.insert(name.to_owned(), json!(text));
    }
}

fn image_config(config: &ImageConfig, has_escaped_args: bool) -> Value {
    let mut object = Map::new();
    let list = |object: &mut Map<String, Value>, name: &str, list: &[String]| {
        if !list.is_empty() {
            object.insert(name.to_owned(), json!(list));
        }
    };
    let set = |object: &mut Map<String, Value>, name: &str, set: &[String]| {
        if !set.is_empty() {
            let keys = set.iter().map(|key| (key.clone(), json!({})));
            object.insert(name.to_owned(), Value::Object(keys.collect()));
        }
    };
    put(&mut object, "User", &config.user);
    set(&mut object, "ExposedPorts", &config.exposed_ports);
    list(&mut object, "Env", &config.env);
    list(&mut object, "Entrypoint", &config.entrypoint);
    list(&mut object, "Cmd", &config.cmd);
    set(&mut object, "Volumes", &config.volumes);
    put(&mut object, "WorkingDir", &config.working_dir);
    if !config.labels.is_empty() {
        object.insert("Labels".into(), json!(config.labels));
    }
    put(
        &mut object,
        "StopSignal",
        config.stop_signal.as_deref().unwrap_or_default(),
    );
    if has_escaped_args {
        object.insert("ArgsEscaped".into(), json!(true));
    }
    if let Some(timeout) = config.stop_timeout {
        object.insert("StopTimeout".into(), json!(timeout));
    }
    if let Some(check) = &config.healthcheck {
        object.insert("Healthcheck".into(), health_document(check));
    }
    list(&mut object, "OnBuild", &config.on_build);
    list(&mut object, "Shell", &config.shell);
    Value::Object(object)
}

fn health_document(check: &Healthcheck) -> Value {
    let mut object = Map::new();
    if !check.test.is_empty() {
        object.insert("Test".into(), json!(check.test));
    }
    for (name, period) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if let Some(period) = period {
            let nanos = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
            object.insert(name.to_owned(), json!(nanos));
        }
    }
    if let Some(retries) = check.retries {
        object.insert("Retries".into(), json!(retries));
    }
    Value::Object(object)
}
