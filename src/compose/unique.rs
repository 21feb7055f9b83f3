//! Lists in which a later entry replaces an earlier one of the same key.
//!
//! Specification: "Merge and override", "Unique resources".

use std::sync::LazyLock;

use super::canonical::mount_target;
use super::diag::{Allowed, Report};
use super::tree::{Node, Rules, Trail, Value};

/// What an entry's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// Up to the `=`.
    BeforeEquals,
    /// The path in the container.
    Mount,
    /// The path in the container, of a device.
    Device,
    /// The path in the container, in this folder by default.
    File(&'static str),
    /// The whole entry.
    Whole,
    /// Address, ports and protocol.
    Port,
    /// The path of the file.
    EnvFile,
}

static KEYS: LazyLock<Rules<Key>> = LazyLock::new(|| {
    use Key::{BeforeEquals, Device, EnvFile, File, Mount, Port, Whole};
    Rules::new(&[
        ("networks.*.labels", BeforeEquals),
        ("networks.*.ipam.options", BeforeEquals),
        ("services.*.annotations", BeforeEquals),
        ("services.*.build.args", BeforeEquals),
        ("services.*.build.additional_contexts", BeforeEquals),
        ("services.*.build.platform", BeforeEquals),
        ("services.*.build.tags", BeforeEquals),
        ("services.*.build.labels", BeforeEquals),
        ("services.*.cap_add", BeforeEquals),
        ("services.*.cap_drop", BeforeEquals),
        ("services.*.devices", Device),
        ("services.*.configs", File("")),
        ("services.*.deploy.labels", BeforeEquals),
        ("services.*.dns", BeforeEquals),
        ("services.*.dns_opt", BeforeEquals),
        ("services.*.dns_search", BeforeEquals),
        ("services.*.environment", BeforeEquals),
        ("services.*.env_file", EnvFile),
        ("services.*.expose", Whole),
        ("services.*.labels", BeforeEquals),
        ("services.*.links", BeforeEquals),
        ("services.*.networks.*.aliases", BeforeEquals),
        ("services.*.networks.*.link_local_ips", BeforeEquals),
        ("services.*.ports", Port),
        ("services.*.profiles", BeforeEquals),
        ("services.*.secrets", File("/run/secrets")),
        ("services.*.sysctls", BeforeEquals),
        ("services.*.tmpfs", BeforeEquals),
        ("services.*.volumes", Mount),
    ])
});

/// When a tree is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// As it is written: what has no key may be something else altogether, which the
    /// schema tells.
    Written,
    /// In long forms.
    Canonical,
}

/// Drops the entries that a later one replaces, in the whole tree.
pub(crate) fn unique(tree: &mut Node, when: When, report: &mut Report) {
    let mut at = Place {
        when,
        report,
        trail: Trail::default(),
    };
    walk(tree, Some(&KEYS), &mut at);
}

/// Where the walk is, and whom it tells.
struct Place<'r> {
    when: When,
    report: &'r mut Report,
    trail: Trail,
}

fn walk(node: &mut Node, keys: Option<&Rules<Key>>, at: &mut Place<'_>) {
    let Some(keys) = keys else {
        return;
    };
    match &mut node.value {
        Value::Map(map) => {
            for (name, child) in map {
                let before = at.trail.key(name);
                walk(child, keys.key(name), at);
                at.trail.leave(before);
            }
        }
        Value::Seq(items) => {
            if let Some(key) = keys.rule() {
                replace(items, key, at);
            }
        }
        _ => {}
    }
}

fn replace(items: &mut Vec<Node>, key: Key, at: &mut Place<'_>) {
    let mut known: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    for (index, item) in std::mem::take(items).into_iter().enumerate() {
        let before = at.trail.index(index);
        let name = name_of(&item, key, at);
        at.trail.leave(before);
        let Some(name) = name else {
            kept.push(item); // the schema says what is wrong with it
            continue;
        };
        if let Some(slot) = known.get(&name).and_then(|index| kept.get_mut(*index)) {
            if let Some(trace) = &mut at.report.trace {
                trace
                    .history
                    .replace_item(at.trail.as_str(), &name, item.mark, slot);
            }
            *slot = item;
        } else {
            known.insert(name, kept.len());
            kept.push(item);
        }
    }
    *items = kept;
}

fn name_of(item: &Node, key: Key, at: &mut Place<'_>) -> Option<String> {
    match key {
        Key::BeforeEquals => {
            let text = item.as_str()?;
            Some(
                text.split_once('=')
                    .map_or(text, |(name, _)| name)
                    .to_owned(),
            )
        }
        Key::Whole => match &item.value {
            Value::Float(_) => {
                let message = super::model::shown(item, "is not a port");
                let diagnostic = at
                    .report
                    .at(item.mark, at.trail.as_str(), message)
                    .expected("a port such as `80`, or a range in quotes, such as \"80-82\"");
                at.report.push(diagnostic);
                None
            }
            _ => item.scalar_text(),
        },
        Key::Mount => match &item.value {
            Value::Str(text) => mount_target(text),
            Value::Map(_) => {
                let missing = Missing {
                    message: "the mount has no target",
                    example: "/data",
                    allowed: None,
                };
                target(item, &missing, at)
            }
            _ => None,
        },
        Key::Device => match &item.value {
            Value::Str(text) => {
                let mut parts = text.split(':');
                let source = parts.next().unwrap_or_default();
                Some(parts.next().unwrap_or(source).to_owned())
            }
            Value::Map(_) => {
                let source = item.get("source").and_then(Node::as_str);
                let missing = Missing {
                    message: "the device has no target",
                    example: source.unwrap_or("/dev/fuse"),
                    allowed: Some(Allowed::DeviceTarget),
                };
                target(item, &missing, at)
            }
            _ => None,
        },
        Key::File(folder) => match &item.value {
            Value::Str(text) => Some(format!("{folder}/{text}")),
            Value::Map(_) => match item.get("target") {
                Some(target) => target.as_str().map(str::to_owned),
                None => Some(format!("{folder}/{}", item.get("source")?.as_str()?)),
            },
            _ => None,
        },
        Key::Port => port_name(item, at),
        Key::EnvFile => match &item.value {
            Value::Str(text) => Some(text.clone()),
            _ => item.get("path")?.as_str().map(str::to_owned),
        },
    }
}

/// What to say where a target is missing.
struct Missing<'m> {
    message: &'m str,
    example: &'m str,
    allowed: Option<Allowed>,
}

fn target(item: &Node, missing: &Missing<'_>, at: &mut Place<'_>) -> Option<String> {
    if let Some(target) = item.get("target") {
        return target.as_str().map(str::to_owned);
    }
    // Where it was taken out, that is what was told.
    if at.when == When::Written || at.report.is_broken(at.trail.as_str()) {
        return None;
    }
    let diagnostic = at
        .report
        .at(item.mark, at.trail.as_str(), missing.message)
        .expected("`target:`, a path in the container")
        .allowed(missing.allowed)
        .suggest(format!(
            "add `target: {}`, or whatever the path is",
            missing.example
        ));
    at.report.push(diagnostic);
    None
}

fn port_name(item: &Node, at: &mut Place<'_>) -> Option<String> {
    match &item.value {
        Value::Int(port) => Some(port.to_string()),
        Value::Str(text) => Some(text.clone()),
        Value::Map(_) => {
            let Some(target) = item.get("target") else {
                // Where it was taken out, that is what was told.
                if at.when == When::Canonical && !at.report.is_broken(at.trail.as_str()) {
                    let diagnostic = at
                        .report
                        .at(item.mark, at.trail.as_str(), "the port has no target")
                        .expected("`target:`, the port in the container")
                        .suggest("add `target: 80`, or whatever port the program listens on");
                    at.report.push(diagnostic);
                }
                return None;
            };
            // A published number and the same as a string are two to the
            // reference, hence the debug form.
            let published = item
                .get("published")
                .map(|node| format!("{:?}", node.value));
            let part = |name: &str, default: &str| {
                item.get(name)
                    .and_then(Node::scalar_text)
                    .unwrap_or_else(|| default.to_owned())
            };
            Some(format!(
                "{}:{}:{:?}/{}",
                part("host_ip", "0.0.0.0"),
                published.unwrap_or_default(),
                target.value,
                part("protocol", "tcp"),
            ))
        }
        _ => None,
    }
}
