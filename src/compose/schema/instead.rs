//! What to write in place of a value of the wrong type, attribute by attribute: the
//! short forms that people expect, coming from flags of `docker run`, from Kubernetes,
//! or from another attribute.

use std::net::IpAddr;

use super::flow::{flow, scalar, text};
use super::shape::Object;
use crate::compose::diag::similar;
use crate::compose::tree::{Map, Node, Value};

/// What to do, where the attribute is one that has such a form. `path` is that of the
/// value.
pub(super) fn instead(node: &Node, path: &str) -> Option<String> {
    let context = Context::of(path)?;
    let advice = match context.section {
        "services" => of_service(&context, node),
        section => of_resource(section, &context, node),
    };
    advice.or_else(|| context.setting(node))
}

/// Where a value is: what it is of, and what stands there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Context<'p> {
    /// The attribute of the top level.
    pub(super) section: &'p str,
    /// The service, network, and so on.
    pub(super) owner: &'p str,
    /// The path below that; list items as `[]`.
    pub(super) below: String,
    /// The last key of it.
    key: &'p str,
}

impl<'p> Context<'p> {
    /// `None` for a path that leads to no attribute of a resource.
    pub(super) fn of(path: &'p str) -> Option<Self> {
        let mut parts = path.splitn(3, '.');
        let (section, owner) = (parts.next()?, parts.next()?);
        let rest = parts.next().unwrap_or_default();
        let mut below = String::with_capacity(rest.len());
        for (index, part) in rest.split('[').enumerate() {
            let (_, behind) = part
                .split_once(']')
                .filter(|_| index > 0)
                .unwrap_or(("", part));
            below.push_str(if index > 0 { "[]" } else { "" });
            below.push_str(behind);
        }
        let last = rest.rsplit('.').next().unwrap_or_default();
        let key = last.split('[').next().unwrap_or_default();
        Some(Self {
            section,
            owner,
            below,
            key: if rest.is_empty() { owner } else { key },
        })
    }

    /// `key: VALUE`, as it is to be written.
    fn line(&self, value: &str) -> String {
        format!("write `{}: {value}`", scalar(self.key))
    }

    /// A text `NAME=VALUE` where a mapping is needed.
    fn setting(&self, node: &Node) -> Option<String> {
        const MAPPINGS: [&str; 5] = [
            "driver_opts",
            "options",
            "storage_opt",
            "sysctls",
            "ulimits",
        ];
        let written = node.as_str().filter(|_| MAPPINGS.contains(&self.key))?;
        let (name, value) = written.split_once('=')?;
        Some(self.line(&format!("{{{}: {}}}", text(name), scalar(value))))
    }
}

fn of_resource(section: &str, context: &Context<'_>, node: &Node) -> Option<String> {
    let written = node.as_str()?;
    if !context.below.is_empty() {
        let is_number = written.parse::<u64>().is_ok();
        return (context.below == "context_size" && is_number).then(|| context.line(written));
    }
    let key = match section {
        "configs" if written.contains('\n') => {
            return Some("write `content: |` below the name, and the text below that".to_owned());
        }
        "secrets" | "configs" => "file",
        "models" => "model",
        "networks" | "volumes" if written == "external" => {
            return Some(context.line("{external: true}"));
        }
        "volumes" if written.contains('/') => {
            return Some(format!(
                "a folder of this machine is named where it is mounted: `volumes: [{}]`",
                text(&format!("{written}:/data"))
            ));
        }
        "networks" | "volumes" => "driver",
        _ => return None,
    };
    Some(context.line(&format!("{{{key}: {}}}", text(written))))
}

fn of_service(context: &Context<'_>, node: &Node) -> Option<String> {
    match (context.below.as_str(), &node.value) {
        ("", Value::Str(image)) if !image.contains(' ') && !is_line(image) => {
            Some(context.line(&format!("{{image: {}}}", text(image))))
        }
        ("dns" | "dns[]", Value::Int(_) | Value::Float(_)) => {
            Some("write the address of a name server, such as `10.0.0.53`".to_owned())
        }
        ("healthcheck", _) => healthcheck(context, node),
        ("healthcheck.test" | "command" | "entrypoint", Value::Map(map)) => words(context, map),
        ("deploy.resources.limits" | "deploy.resources.reservations", _) => amount(context, node),
        ("deploy.restart_policy", Value::Str(policy)) => {
            let condition = end_condition(policy);
            Some(context.line(&format!("{{condition: {condition}}}")))
        }
        ("restart", Value::Bool(true)) => Some(context.line("always")),
        ("restart", Value::Bool(false)) => Some(context.line("\"no\"")),
        ("build", Value::Bool(true)) => Some(context.line(".")),
        ("build" | "extends", Value::Seq(items)) => match items.as_slice() {
            [only] => Some(context.line(&text(only.as_str()?))),
            _ => None,
        },
        ("image", Value::Map(map)) => image(context, map),
        ("gpus", Value::Int(count)) => Some(context.line(&format!("[{{count: {count}}}]"))),
        ("gpus", Value::Str(count)) if count.parse::<u32>().is_ok() => {
            Some(context.line(&format!("[{{count: {count}}}]")))
        }
        ("gpus", Value::Bool(true)) => Some(context.line("all")),
        ("post_start" | "pre_start" | "pre_stop", Value::Str(words)) => {
            Some(context.line(&format!("[{{command: {}}}]", text(words))))
        }
        ("post_start[]" | "pre_start[]" | "pre_stop[]", Value::Str(words)) => {
            Some(format!("write `- command: {}`", text(words)))
        }
        ("develop.watch", Value::Str(rule)) => Some(context.line(&format!("[{}]", watch(rule)))),
        ("develop.watch[]", Value::Str(rule)) => Some(format!("write `- {}`", watch(rule))),
        ("environment[]" | "build.args[]", Value::Map(map)) => {
            let (name, value) = (map.get("name")?.as_str()?, map.get("value")?.scalar_text()?);
            Some(format!("write `- {name}={value}`"))
        }
        ("networks[]", Value::Map(map)) => {
            let name = map.get("name")?.as_str()?;
            Some(format!("write the name alone: `- {name}`"))
        }
        ("depends_on[]", Value::Map(map)) => match map.first()? {
            (name, value) if map.len() == 1 && !matches!(value.value, Value::Map(_)) => {
                Some(format!(
                    "write it below `depends_on:` without the `- `: `{}`",
                    dependency(name, value)
                ))
            }
            _ => None,
        },
        ("secrets" | "configs", Value::Map(map)) => files(context, map),
        ("ulimits", Value::Seq(items)) => {
            let limits: Option<Vec<String>> = items
                .iter()
                .map(|item| {
                    let (name, value) = item.as_str()?.split_once('=')?;
                    Some(format!("{name}: {}", limit(value)?))
                })
                .collect();
            Some(context.line(&format!("{{{}}}", limits?.join(", "))))
        }
        ("ulimits", Value::Str(words)) => {
            let (name, value) = words.split_once('=')?;
            Some(context.line(&format!("{{{name}: {}}}", limit(value)?)))
        }
        _ => only(context, node).or_else(|| named(context, node)),
    }
}

/// True for `image:nginx`, which is a line of a service without the space.
fn is_line(image: &str) -> bool {
    let key = image.split_once(':').map(|(key, _)| key);
    key.is_some_and(|key| ["image", "build", "command", "extends"].contains(&key))
}

/// Mappings of a service that people write as the value of one attribute, and which
/// one: a text, or a number.
const ONLY: [(&str, &str); 3] = [
    ("credential_spec", "file"),
    ("logging", "driver"),
    ("provider", "type"),
];
const ONLY_NUMBER: [(&str, &str); 2] = [("blkio_config", "weight"), ("deploy", "replicas")];

fn only(context: &Context<'_>, node: &Node) -> Option<String> {
    let (table, value) = match &node.value {
        Value::Int(number) => (ONLY_NUMBER.as_slice(), number.to_string()),
        Value::Str(written) => (ONLY.as_slice(), text(written)),
        _ => return None,
    };
    let (_, key) = table.iter().find(|(below, _)| *below == context.below)?;
    Some(context.line(&format!("{{{key}: {value}}}")))
}

/// A command that a colon, or a key that says what it is, has made a mapping of.
fn words(context: &Context<'_>, map: &Map) -> Option<String> {
    let (key, value) = map.first().filter(|_| map.len() == 1)?;
    let value = value.scalar_text()?;
    let is_label =
        ["cmd", "command", "exec", "shell", "test"].contains(&key.to_lowercase().as_str());
    Some(context.line(&text(&if is_label {
        value
    } else {
        format!("{key}: {value}")
    })))
}

/// An image in parts.
fn image(context: &Context<'_>, map: &Map) -> Option<String> {
    let name = ["name", "repository"]
        .iter()
        .find_map(|key| map.get(*key))?;
    let tag = map.get("tag").and_then(Node::scalar_text);
    let tag = tag.map_or_else(String::new, |tag| format!(":{tag}"));
    Some(context.line(&format!("{}{tag}", name.as_str()?)))
}

/// The condition of `deploy.restart_policy` that a policy of `restart` is.
fn end_condition(policy: &str) -> &'static str {
    match policy {
        "no" | "never" | "Never" | "none" => "none",
        "on-failure" | "OnFailure" => "on-failure",
        _ => "any",
    }
}

/// What is below a name of the user's choice.
fn named(context: &Context<'_>, node: &Node) -> Option<String> {
    let (above, name) = context.below.split_once('.')?;
    let is_attribute = name.contains('.') && ["depends_on", "networks", "ulimits"].contains(&above);
    if is_attribute {
        let is_condition = above == "depends_on" && name.ends_with(".condition");
        return is_condition.then(|| context.line(condition(node)));
    }
    match (above, &node.value) {
        ("depends_on", Value::Str(_) | Value::Null | Value::Bool(_)) if name == "condition" => {
            Some(format!(
                "write the name of the other service above it: `NAME: {{condition: {}}}`",
                condition(node)
            ))
        }
        ("depends_on", Value::Str(_) | Value::Null | Value::Bool(_)) => {
            Some(format!("write `{}`", dependency(name, node)))
        }
        ("networks", Value::Str(value)) => {
            let key = match value.parse::<IpAddr>() {
                Ok(IpAddr::V4(_)) => "ipv4_address",
                Ok(IpAddr::V6(_)) => "ipv6_address",
                Err(_) => return Some(context.line(&format!("{{aliases: [{}]}}", text(value)))),
            };
            Some(context.line(&format!("{{{key}: {}}}", text(value))))
        }
        ("networks", Value::Seq(_)) => Some(context.line(&format!("{{aliases: {}}}", flow(node)?))),
        ("environment", Value::Seq(items)) => {
            let words: Option<Vec<String>> = items.iter().map(Node::scalar_text).collect();
            Some(context.line(&format!("\"{}\"", words?.join(","))))
        }
        ("labels" | "annotations", Value::Map(map)) => {
            let (key, value) = map.first()?;
            let value = value.scalar_text()?;
            Some(format!("write `{name}.{key}: {}`", text(&value)))
        }
        ("ulimits", Value::Seq(items)) => match items.as_slice() {
            [soft, hard] => {
                let (soft, hard) = (soft.scalar_text()?, hard.scalar_text()?);
                Some(context.line(&format!("{{soft: {soft}, hard: {hard}}}")))
            }
            _ => None,
        },
        _ => None,
    }
}

/// An entry that a space behind its colon has made a mapping of: `./a: /b`.
pub(super) fn split_entry(map: &Map, path: &str, object: &Object) -> Option<String> {
    let context = Context::of(path).filter(|context| context.section == "services")?;
    let (key, value) = map.first().filter(|_| map.len() == 1)?;
    let is_known = object.attributes.iter().any(|(known, _)| known == key);
    let is_path = key.contains(['/', '.', '~']);
    match (context.below.as_str(), &value.value) {
        _ if is_known => None,
        ("env_file[]" | "secrets[]" | "configs[]", Value::Null) => Some(format!("write `- {key}`")),
        ("volumes[]", Value::Str(target))
            if is_path || target.starts_with('/') && !is_alias(key) =>
        {
            Some(format!(
                "write it without the space: `- \"{key}:{target}\"`"
            ))
        }
        ("devices[]", Value::Str(target)) if is_path => Some(format!(
            "write it without the space: `- \"{key}:{target}\"`"
        )),
        ("ports[]", _) if key.contains(|c: char| c.is_ascii_digit()) => Some(format!(
            "write it without the space: `- \"{key}:{}\"`",
            value.scalar_text()?
        )),
        _ => None,
    }
}

/// True for a name that an attribute of a mount has elsewhere.
fn is_alias(key: &str) -> bool {
    super::elsewhere::is_elsewhere("volumes[]", key)
}

/// What to write for an attribute that is missing, out of what is there.
pub(super) fn missing(name: &str, map: &Map, path: &str) -> Option<String> {
    let context = Context::of(path).filter(|context| context.section == "services")?;
    match (context.below.as_str(), name) {
        ("volumes[]", "type") => {
            let sources = ["source", "src", "hostPath", "host", "from"];
            let source = sources.iter().find_map(|key| map.get(*key)?.as_str());
            let kind = match source {
                Some(source) if source.starts_with(['.', '/', '~']) => "bind",
                None if map.contains_key("tmpfs") => "tmpfs",
                _ => "volume",
            };
            Some(format!("add `type: {kind}`"))
        }
        ("extends", "service") => {
            let file = map.get("file")?.as_str()?;
            Some(format!(
                "add `service: {}`, or whatever service of `{file}` is meant",
                text(context.owner)
            ))
        }
        (limit, "soft" | "hard") if limit.starts_with("ulimits.") => {
            let other = map.get(if name == "soft" { "hard" } else { "soft" })?;
            Some(format!("add `{name}: {}`", other.scalar_text()?))
        }
        _ => None,
    }
}

/// A limit of a process, `SOFT[:HARD]`.
pub(in crate::compose) fn limit(written: &str) -> Option<String> {
    let is_number = |text: &str| text.parse::<i64>().is_ok();
    match written.split_once(':') {
        Some((soft, hard)) if is_number(soft) && is_number(hard) => {
            Some(format!("{{soft: {soft}, hard: {hard}}}"))
        }
        Some(_) => None,
        None if ["unlimited", "infinity"].contains(&written) => Some("-1".to_owned()),
        None => is_number(written).then(|| written.to_owned()),
    }
}

fn healthcheck(context: &Context<'_>, node: &Node) -> Option<String> {
    match &node.value {
        Value::Bool(false) => Some(context.line("{disable: true}")),
        Value::Bool(true) => Some(
            "name the command that checks it, `healthcheck: {test: …}`, or remove this: \
             a check that the image has counts"
                .to_owned(),
        ),
        Value::Str(words)
            if ["none", "disable", "disabled", "off", "no"].contains(&words.as_str()) =>
        {
            Some(context.line("{disable: true}"))
        }
        Value::Str(command) => Some(context.line(&format!("{{test: {}}}", text(command)))),
        Value::Seq(_) => Some(context.line(&format!("{{test: {}}}", test(node)?))),
        _ => None,
    }
}

/// A list of words as a health check's test.
fn test(node: &Node) -> Option<String> {
    let first = node.as_seq()?.first()?.as_str()?;
    let list = flow(node)?;
    Some(if ["CMD", "CMD-SHELL", "NONE"].contains(&first) {
        list
    } else {
        format!("[CMD, {}", list.strip_prefix('[')?)
    })
}

/// What a probe of Kubernetes would be here.
pub(super) fn probe(node: &Node) -> Option<String> {
    let test = match node.get("exec").and_then(|exec| exec.get("command")) {
        Some(command) => test(command)?,
        None => http(node.get("httpGet")?)?,
    };
    Some(format!("write `healthcheck: {{test: {test}}}`"))
}

/// The request of a probe as a test.
pub(super) fn http(get: &Node) -> Option<String> {
    let part = |key: &str| get.get(key).and_then(Node::scalar_text);
    let port = part("port").map_or_else(String::new, |port| format!(":{port}"));
    let path = part("path").unwrap_or_default();
    Some(text(&format!("curl -f http://localhost{port}{path}"))).filter(|_| get.as_map().is_some())
}

fn amount(context: &Context<'_>, node: &Node) -> Option<String> {
    match &node.value {
        Value::Int(_) | Value::Float(_) => {
            Some(context.line(&format!("{{cpus: {}}}", node.scalar_text()?)))
        }
        Value::Str(size) if size.starts_with(|c: char| c.is_ascii_digit()) => {
            Some(context.line(&format!("{{memory: {}}}", text(size))))
        }
        _ => None,
    }
}

/// The condition that a word may mean.
fn condition(node: &Node) -> &'static str {
    const CONDITIONS: [&str; 3] = [
        "service_started",
        "service_healthy",
        "service_completed_successfully",
    ];
    let word = node.as_str().unwrap_or_default();
    let meant = similar(word, CONDITIONS.into_iter());
    match word {
        "healthy" | "ready" => "service_healthy",
        "completed" | "done" | "exited" => "service_completed_successfully",
        _ => CONDITIONS
            .into_iter()
            .find(|one| Some(*one) == meant)
            .unwrap_or("service_started"),
    }
}

fn dependency(name: &str, node: &Node) -> String {
    format!("{}: {{condition: {}}}", text(name), condition(node))
}

/// A rule of `develop.watch`, written as a mount.
fn watch(rule: &str) -> String {
    match rule.split_once(':') {
        Some((path, target)) => format!(
            "{{path: {}, target: {}, action: sync}}",
            text(path),
            text(target.trim())
        ),
        None => format!("{{path: {}, action: rebuild}}", text(rule)),
    }
}

/// Configs or secrets of a service as a mapping: with what is defined at the top
/// level, with paths in the container, or with attributes.
fn files(context: &Context<'_>, map: &Map) -> Option<String> {
    let (name, value) = map.first()?;
    match &value.value {
        Value::Str(target) if context.key == "configs" && target.starts_with('/') => Some(format!(
            "write `- {{source: {}, target: {}}}`",
            text(name),
            text(target)
        )),
        Value::Str(file) => Some(format!(
            "write `- {name}` here, and at the top level `{}: {{{}: {{file: {}}}}}`",
            context.key,
            text(name),
            text(file)
        )),
        Value::Map(_) if value.get("file").is_none() => {
            let rest = flow(value)?;
            let source = format!("{{source: {}", text(name));
            let rest = rest.strip_prefix('{')?;
            Some(format!(
                "write `- {source}{}{rest}`",
                if rest == "}" { "" } else { ", " }
            ))
        }
        Value::Map(_) => Some(format!(
            "write `- {name}` here, and at the top level `{}: {{{}: {}}}`",
            context.key,
            text(name),
            flow(value)?
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_has_no_numbers_of_items() {
        let context = Context::of("services.web.volumes[12].bind").unwrap();
        assert_eq!(context.below, "volumes[].bind");
        assert_eq!(
            (context.section, context.owner, context.key),
            ("services", "web", "bind")
        );
        let context = Context::of("services.web.ports[3]").unwrap();
        assert_eq!((context.below.as_str(), context.key), ("ports[]", "ports"));
        assert_eq!(Context::of("secrets.x").unwrap().key, "x");
        assert_eq!(Context::of("services"), None);
    }
}
