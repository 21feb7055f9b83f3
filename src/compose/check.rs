//! What a tree's attributes say to each other, before the typed model: sources
//! of configs and secrets, external resources, addresses.
//!
//! What services say to each other is in [`consistency`](super::consistency).

use std::net::IpAddr;

use super::diag::{Allowed, Report, quoted};
use super::tree::{Map, Node};

/// Checks a canonical tree.
pub(super) fn tree(tree: &Node, report: &mut Report) {
    for (name, volume) in members(tree, "volumes") {
        external_volume(&format!("volumes.{name}"), volume, report);
    }
    for (name, config) in members(tree, "configs") {
        let keys = ["file", "environment", "content"];
        sources(&format!("configs.{name}"), config, &keys, report);
    }
    for (name, secret) in members(tree, "secrets") {
        let keys = ["file", "environment"];
        sources(&format!("secrets.{name}"), secret, &keys, report);
    }
    for (name, service) in members(tree, "services") {
        let path = format!("services.{name}");
        for (index, port) in items(service.get("ports")) {
            host_address(&format!("{path}.ports[{index}].host_ip"), port, report);
        }
        let watch = service
            .get("develop")
            .and_then(|develop| develop.get("watch"));
        for (index, watch) in items(watch) {
            let path = format!("{path}.develop.watch[{index}].path");
            if let Some(node) = watch.get("path").filter(|node| node.as_str() == Some("")) {
                let diagnostic = report
                    .at(node.mark, &path, "the path is empty")
                    .expected("a path on this machine to watch, such as `./src`");
                report.push(diagnostic);
            }
        }
        device_requests(&path, service, report);
    }
}

/// Refuses what should be a path and is none, wherever paths are resolved: in every
/// service, also in one that nobody extends or whose profile is not active, as in the
/// reference.
pub(super) fn paths(tree: &Node, report: &mut Report) {
    for (name, service) in members(tree, "services") {
        let contexts = service
            .get("build")
            .and_then(|build| build.get("additional_contexts"))
            .and_then(Node::as_map);
        for (key, context) in contexts.into_iter().flatten() {
            if context.as_str().is_none() {
                let path = format!("services.{name}.build.additional_contexts.{key}");
                let message = super::model::shown(context, &format!("is {}", context.kind()));
                let diagnostic = report
                    .at(context.place(), &path, message)
                    .expected("a path, `service:NAME`, `docker-image://…` or a URL")
                    .suggest("write a path, in quotes where it looks like a number");
                report.push(diagnostic);
            }
        }
        for (index, mount) in items(service.get("volumes")) {
            let is_bind = mount.get("type").and_then(Node::as_str) == Some("bind");
            if is_bind && mount.get("source").is_none() {
                let path = format!("services.{name}.volumes[{index}]");
                let diagnostic = report
                    .at(mount.place(), &path, "a bind has no `source`")
                    .expected("`source:`, a path on this machine")
                    .suggest("add `source: ./data`, or whatever path is meant");
                report.push(diagnostic);
            }
        }
    }
}

/// Refuses what the reference breaks off at where it works out what a model implies.
pub(super) fn implied(tree: &Node, report: &mut Report) {
    for (name, service) in members(tree, "services") {
        if let Some(pid) = service.get("pid").filter(|pid| pid.is_null()) {
            let diagnostic = report
                .at(pid.place(), &format!("services.{name}.pid"), "has no value")
                .expected("`host`, `service:NAME` or `container:NAME`")
                .suggest("write one, or remove the line");
            report.push(diagnostic);
        }
    }
}

fn members<'n>(tree: &'n Node, key: &str) -> impl Iterator<Item = (&'n String, &'n Node)> {
    tree.get(key).and_then(Node::as_map).into_iter().flatten()
}

fn items(node: Option<&Node>) -> impl Iterator<Item = (usize, &Node)> {
    node.and_then(Node::as_seq)
        .unwrap_or_default()
        .iter()
        .enumerate()
}

fn is_external(map: &Map) -> bool {
    map.get("external").and_then(Node::as_bool) == Some(true)
}

/// A volume of somebody else has a name and nothing more.
fn external_volume(path: &str, volume: &Node, report: &mut Report) {
    let Some(map) = volume.as_map().filter(|map| is_external(map)) else {
        return;
    };
    for (key, child) in map {
        if key != "name" && key != "external" && !key.starts_with("x-") {
            let path = format!("{path}.{key}");
            let message = format!("`{key}` and `external` exclude each other");
            let diagnostic = report
                .at(child.key, &path, message)
                .expected("`name` alone beside `external: true`")
                .suggest(format!(
                    "remove `{key}`: whoever made the volume has decided that"
                ));
            report.push(diagnostic);
        }
    }
}

/// Exactly one source for a config or secret of the project's own.
fn sources(path: &str, node: &Node, keys: &[&str], report: &mut Report) {
    let Some(map) = node.as_map().filter(|_| !report.is_broken(path)) else {
        return;
    };
    let given: Vec<&str> = keys
        .iter()
        .copied()
        .filter(|key| map.contains_key(*key))
        .collect();
    let all = keys.join(", ");
    match given.as_slice() {
        [] if map.contains_key("driver") || map.contains_key("external") => {}
        [] => {
            let diagnostic = report
                .at(node.key, path, "it has no source")
                .expected(format!("one of {all}, or `external: true`"))
                .allowed(Allowed::NoSource)
                .suggest("write `file: ./…` below it, with the path of the file");
            report.push(diagnostic);
        }
        [_] => {}
        [first, .., second] => {
            let message = format!("`{}` exclude each other", given.join("` and `"));
            let mark = map.get(*second).map_or(node.key, |child| child.key);
            let mut diagnostic = report
                .at(mark, path, message)
                .expected(format!("one of {all}"))
                .suggest("remove all but one of them");
            if let Some((first, child)) = map.get_key_value(*first) {
                report.also(&mut diagnostic, &format!("`{first}` is"), child.key);
            }
            report.push(diagnostic);
        }
    }
}

fn host_address(path: &str, port: &Node, report: &mut Report) {
    let Some(node) = port.get("host_ip") else {
        return;
    };
    let text = node.as_str().unwrap_or_default();
    if text.parse::<IpAddr>().is_err() {
        let message = format!("{} is not an IP address", quoted(text));
        let mut diagnostic = report
            .at(node.mark, path, message)
            .expected("an address of this machine, such as `127.0.0.1` or `::1`");
        diagnostic.suggestion = (text == "localhost").then(|| "write `127.0.0.1`".to_owned());
        report.push(diagnostic);
    }
}

fn device_requests(path: &str, service: &Node, report: &mut Report) {
    let reserved = service
        .get("deploy")
        .and_then(|deploy| deploy.get("resources"))
        .and_then(|resources| resources.get("reservations"))
        .and_then(|reservations| reservations.get("devices"));
    for (place, list) in [
        ("deploy.resources.reservations.devices", reserved),
        ("gpus", service.get("gpus")),
    ] {
        for (index, request) in items(list) {
            if let (Some(_), Some(ids)) = (request.get("count"), request.get("device_ids")) {
                let path = format!("{path}.{place}[{index}]");
                let message = "`count` and `device_ids` exclude each other";
                let diagnostic = report
                    .at(ids.key, &path, message)
                    .expected("a number of devices, or the ids of some")
                    .suggest("remove one of the two");
                report.push(diagnostic);
            }
        }
    }
}
