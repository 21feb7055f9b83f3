//! What the reference prints and cannot read again as the same, and skiff with it:
//! the table of docs/compose-support.md.

use serde_json::Value as Json;

use crate::compose::Project;

/// True where a project has something of that kind.
pub fn has_unreadable(project: &Project, json: &Json) -> bool {
    has_odd_key(json) || has_odd_device(json) || has_odd_host(project) || has_empty(project, json)
        || has_no_target(project)
}

/// A key with a dollar is printed with two, and keys are not interpolated; one without
/// a name is refused.
fn has_odd_key(json: &Json) -> bool {
    match json {
        Json::Object(map) => map
            .iter()
            .any(|(key, value)| key.is_empty() || key.contains('$') || has_odd_key(value)),
        Json::Array(items) => items.iter().any(has_odd_key),
        _ => false,
    }
}

/// A request for devices that asks for none (`count: 0`), without which all are meant,
/// or without capabilities.
fn has_odd_device(json: &Json) -> bool {
    let is_odd = |key: &str, one: &Json| {
        let has = |name: &str| one.get(name).is_some();
        one.is_object()
            && (!has("count") && !has("device_ids") || key == "devices" && !has("capabilities"))
    };
    match json {
        Json::Object(map) => map.iter().any(|(key, value)| {
            let mut requests = value.as_array().into_iter().flatten();
            (matches!(key.as_str(), "gpus" | "devices") && requests.any(|one| is_odd(key, one)))
                || has_odd_device(value)
        }),
        Json::Array(items) => items.iter().any(has_odd_device),
        _ => false,
    }
}

/// An address of `extra_hosts`, which nobody checks, with a comma in it, or one that is
/// there twice.
fn has_odd_host(project: &Project) -> bool {
    project.services.values().any(|service| {
        let json = service.canonical_json();
        let builds = json.get("build").and_then(|build| build.get("extra_hosts"));
        let lists = json.get("extra_hosts").into_iter().chain(builds);
        lists.filter_map(Json::as_array).any(|hosts| {
            let hosts: Vec<&str> = hosts.iter().filter_map(Json::as_str).collect();
            // They are printed in their order.
            let is_twice = hosts.windows(2).any(|pair| pair.first() == pair.last());
            is_twice || hosts.iter().any(|host| host.contains(','))
        })
    })
}

/// A port that is 0 in the container.
fn has_no_target(project: &Project) -> bool {
    let mut ports = project.services.values().flat_map(|service| &service.ports);
    ports.any(|port| port.target == 0)
}

/// A build without a folder, `build: ""`, or a config with an empty content.
fn has_empty(project: &Project, json: &Json) -> bool {
    let mut builds = project.services.values().filter_map(|one| one.build.as_ref());
    let configs = json.get("configs").and_then(Json::as_object);
    let sources = ["content", "environment", "external", "file"];
    builds.any(|build| build.context.is_none())
        || configs.into_iter().flatten().any(|(_, config)| {
            sources.iter().all(|source| config.get(source).is_none())
        })
}
