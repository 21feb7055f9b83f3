//! Defaults: those of single attributes, and what the model as a whole implies
//! (the `default` network, dependencies by `links` or `network_mode`, names).

use super::loader::Environment;
use super::paths::clean;
use super::tree::{Map, Mark, Node, Value};

/// The services of a tree.
fn services(tree: &mut Node) -> impl Iterator<Item = (&String, &mut Node)> {
    tree.get_mut("services")
        .and_then(Node::as_map_mut)
        .into_iter()
        .flatten()
}

/// The items of a list below a mapping.
fn items<'n>(node: &'n mut Node, key: &str) -> impl Iterator<Item = &'n mut Node> {
    node.get_mut(key)
        .and_then(Node::as_seq_mut)
        .into_iter()
        .flatten()
}

/// Sets a member that is not there.
fn default(node: &mut Node, key: &str, value: impl FnOnce(Mark) -> Node) {
    let mark = node.mark;
    if let Some(map) = node.as_map_mut() {
        map.entry(key.to_owned()).or_insert_with(|| value(mark));
    }
}

/// Drops empty entries of `dns`, which come from unset variables.
pub(super) fn drop_empty(tree: &mut Node) {
    for (_, service) in services(tree) {
        if let Some(list) = service.get_mut("dns").and_then(Node::as_seq_mut) {
            list.retain(|item| !item.is_null() && item.as_str() != Some(""));
        }
    }
}

/// Fills in the defaults of single attributes.
pub(super) fn fill_in(tree: &mut Node) {
    for (_, service) in services(tree) {
        if let Some(build) = service.get_mut("build") {
            default(build, "context", |mark| Node::str(".", mark));
        }
        for secret in items(service, "secrets") {
            let source = secret.get("source").and_then(Node::scalar_text);
            let target = format!("/run/secrets/{}", source.unwrap_or_default());
            default(secret, "target", |mark| Node::str(target, mark));
        }
        for port in items(service, "ports") {
            default(port, "protocol", |mark| Node::str("tcp", mark));
            default(port, "mode", |mark| Node::str("ingress", mark));
        }
        for request in items(service, "gpus") {
            all_devices(request);
        }
        let reservations = service
            .get_mut("deploy")
            .and_then(|deploy| deploy.get_mut("resources"))
            .and_then(|resources| resources.get_mut("reservations"));
        if let Some(reservations) = reservations {
            for request in items(reservations, "devices") {
                all_devices(request);
            }
        }
    }
}

fn all_devices(request: &mut Node) {
    if request.get("device_ids").is_none() {
        default(request, "count", |mark| Node::str("all", mark));
    }
}

/// Names of the variables that are taken from the environment as they are: those
/// of `environment` and `build.args` without a value, and those that configs and
/// secrets are made of.
pub(super) fn passed_on(tree: &Node) -> Vec<String> {
    let members = |section: &str| {
        tree.get(section)
            .and_then(Node::as_map)
            .into_iter()
            .flatten()
    };
    let mut names = Vec::new();
    for (_, service) in members("services") {
        let args = service.get("build").and_then(|build| build.get("args"));
        for node in service.get("environment").into_iter().chain(args) {
            match &node.value {
                Value::Map(map) => names.extend(
                    map.iter()
                        .filter(|(_, value)| matches!(value.value, Value::Null))
                        .map(|(name, _)| name.clone()),
                ),
                Value::Seq(list) => names.extend(
                    list.iter()
                        .filter_map(Node::as_str)
                        .filter(|item| !item.contains('='))
                        .map(str::to_owned),
                ),
                _ => {}
            }
        }
    }
    for (_, source) in members("configs").chain(members("secrets")) {
        let name = source.get("environment").and_then(Node::as_str);
        names.extend(name.map(str::to_owned));
    }
    names
}

/// Gives variables without a value that of the environment, where it is a list
/// that they are in, and reads the content of configs and secrets from there.
pub(super) fn resolve_variables(tree: &mut Node, environment: &Environment) {
    for (_, service) in services(tree) {
        for item in items(service, "environment") {
            if let Value::Str(name) = &mut item.value
                && let Some(value) = environment.get(name.as_str())
            {
                *name = format!("{name}={value}");
            }
        }
    }
    for (kind, key) in [("secrets", "x-#value"), ("configs", "content")] {
        let sources = tree.get_mut(kind).and_then(Node::as_map_mut);
        for source in sources.into_iter().flat_map(|map| map.values_mut()) {
            let value = source
                .get("environment")
                .and_then(Node::as_str)
                .and_then(|name| environment.get(name))
                .cloned();
            let mark = source.mark;
            if let (Some(value), Some(map)) = (value, source.as_map_mut()) {
                map.insert(key.to_owned(), Node::str(value, mark));
            }
        }
    }
}

/// Makes explicit what the model implies. Runs once, over the whole project.
pub(super) fn normalize(tree: &mut Node, name: &str, environment: &Environment) {
    default_network(tree);
    for (_, service) in services(tree) {
        if let Some(policy) = service.get_mut("pull_policy")
            && policy.as_str() == Some("if_not_present")
        {
            policy.value = Value::Str("missing".to_owned());
        }
        if let Some(build) = service.get_mut("build") {
            normalize_build(build, environment);
        }
        if let Some(variables) = service.get_mut("environment") {
            resolve(variables, environment, true);
        }
        imply_dependencies(service);
        for mount in items(service, "volumes") {
            if let Some(Value::Str(target)) = mount.get_mut("target").map(|node| &mut node.value) {
                *target = clean(target);
            }
        }
    }
    for kind in ["networks", "volumes", "configs", "secrets"] {
        name_resources(tree, kind, name);
    }
}

/// Services that say nothing of networks are on `default`.
fn default_network(tree: &mut Node) {
    let mut used = false;
    for (_, service) in services(tree) {
        if service.get("provider").is_some() || service.get("network_mode").is_some() {
            continue;
        }
        let mark = service.mark;
        let Some(map) = service.as_map_mut() else {
            continue;
        };
        let networks = map
            .entry("networks".to_owned())
            .or_insert_with(|| Node::map(Map::new(), mark));
        if let Some(networks) = networks.as_map_mut() {
            if networks.is_empty() {
                networks.insert("default".to_owned(), Node::null(mark));
            }
            used |= networks.contains_key("default");
        }
    }
    if used {
        default(tree, "networks", |mark| Node::map(Map::new(), mark));
        if let Some(networks) = tree.get_mut("networks") {
            default(networks, "default", |_| Node::null(Mark::default()));
        }
    }
}

fn normalize_build(build: &mut Node, environment: &Environment) {
    default(build, "context", |mark| Node::str(".", mark));
    let inline = build
        .get("dockerfile_inline")
        .is_some_and(|node| !node.is_null());
    if !inline {
        default(build, "dockerfile", |mark| Node::str("Dockerfile", mark));
    }
    if let Some(args) = build.get_mut("args") {
        resolve(args, environment, false);
    }
}

/// Gives names without a value that of the environment; drops those that have
/// none unless they are kept.
fn resolve(node: &mut Node, environment: &Environment, keep: bool) {
    match &mut node.value {
        Value::Map(map) => map.retain(|key, child| {
            if !child.is_null() {
                return true;
            }
            match environment.get(key) {
                Some(value) => {
                    child.value = Value::Str(value.clone());
                    true
                }
                None => keep,
            }
        }),
        Value::Seq(items) => items.retain_mut(|item| {
            let Value::Str(text) = &mut item.value else {
                return true;
            };
            if text.contains('=') {
                return true;
            }
            match environment.get(text.as_str()) {
                Some(value) => {
                    *text = format!("{text}={value}");
                    true
                }
                None => keep,
            }
        }),
        _ => {}
    }
}

/// Services that this one needs for its links, namespaces and mounts.
fn imply_dependencies(service: &mut Node) {
    let text = |node: &Node| node.as_str().map(str::to_owned);
    let mut implied: Vec<(String, bool, Mark)> = Vec::new();
    for link in items(service, "links") {
        let mark = link.mark;
        if let Some(link) = text(link) {
            let parts: Vec<&str> = link.split(':').collect();
            let name = match parts.as_slice() {
                [name, _] => (*name).to_owned(),
                _ => link.clone(),
            };
            implied.push((name, true, mark));
        }
    }
    for namespace in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(node) = service.get(namespace)
            && let Some(name) = node.as_str().and_then(|text| text.strip_prefix("service:"))
        {
            implied.push((name.to_owned(), true, node.mark));
        }
    }
    for source in items(service, "volumes_from") {
        let mark = source.mark;
        if let Some(source) = text(source).filter(|text| !text.starts_with("container:")) {
            let name = source.split(':').next().unwrap_or_default();
            implied.push((name.to_owned(), false, mark));
        }
    }
    if implied.is_empty() {
        return;
    }
    default(service, "depends_on", |mark| Node::map(Map::new(), mark));
    let Some(known) = service.get_mut("depends_on").and_then(Node::as_map_mut) else {
        return;
    };
    for (name, restart, mark) in implied {
        known.entry(name).or_insert_with(|| {
            let mut node = super::merge::started(mark);
            if let Some(map) = node.as_map_mut() {
                map.insert("restart".to_owned(), Node::bool(restart, mark));
            }
            node
        });
    }
}

/// Resources are called after the project and their key; those of others after
/// their key alone.
fn name_resources(tree: &mut Node, kind: &str, project: &str) {
    let resources = tree.get_mut(kind).and_then(Node::as_map_mut);
    for (key, resource) in resources.into_iter().flatten() {
        if resource.is_null() {
            resource.value = Value::Map(Map::new());
        }
        let external = resource.get("external").and_then(Node::as_bool);
        let name = if external == Some(true) {
            key.clone()
        } else {
            format!("{project}_{key}")
        };
        if resource.get("name").is_some_and(Node::is_null)
            && let Some(map) = resource.as_map_mut()
        {
            map.shift_remove("name");
        }
        default(resource, "name", |mark| Node::str(name, mark));
    }
}
