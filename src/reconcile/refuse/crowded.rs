//! Replicas that would have to share a port of the host. Docker finds out when
//! the second one starts; it can be told before the first one does.

use std::collections::BTreeMap;

use super::replicas;
use crate::compose::{Diagnostic, Doubled, Port, Project, Step, doubled_sockets};

/// Published ports of these services that do not suffice for their replicas,
/// whose number `scale` may say instead of the file.
pub fn crowded_ports(
    project: &Project,
    services: &[&String],
    scale: &BTreeMap<String, u32>,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (name, service) in &project.services {
        if !services.contains(&name) {
            continue;
        }
        let replicas = replicas::of(name, service, scale);
        for (index, port) in service.ports.iter().enumerate() {
            if room(port).is_some_and(|room| room < replicas) {
                let path = format!("services.{name}.ports[{index}]");
                found.push(refusal(project, &path, port, replicas));
            }
        }
    }
    found
}

/// Ports of the host that two entries of these services publish, or one service
/// twice: the second to start would fail.
pub fn doubled_ports(project: &Project, services: &[&String]) -> Vec<Diagnostic> {
    let wanted = project
        .services
        .iter()
        .filter(|(name, _)| services.contains(name));
    let refused = |doubled: Doubled| {
        let Doubled {
            number,
            path,
            earlier,
        } = doubled;
        let message = format!("port {number} of the host is published by `{earlier}` already");
        let mut diagnostic = project
            .diagnostic(&path, message)
            .expected("a port of the host that nothing else publishes")
            .suggest("change one of the two host ports");
        let step = Step {
            what: "the other one is".to_owned(),
            position: project.position(&earlier),
        };
        diagnostic.chain.insert(0, step);
        diagnostic
    };
    doubled_sockets(wanted).into_iter().map(refused).collect()
}

/// How many containers can have one of the port's numbers; `None` where there
/// is no end of them, or where it is no port at all, which is told elsewhere.
fn room(port: &Port) -> Option<u32> {
    let (first, last) = port.published_range()?;
    let count = u32::from(last.checked_sub(first)?) + 1;
    (first > 0).then_some(count)
}

fn refusal(project: &Project, path: &str, port: &Port, replicas: u32) -> Diagnostic {
    let published = port.published.as_deref().unwrap_or_default();
    let (first, last) = port.published_range().unwrap_or_default();
    let what = if first == last { "port" } else { "ports" };
    let message =
        format!("{what} {published} of the host cannot be published by {replicas} replicas");
    let end = u32::from(first).saturating_add(replicas - 1);
    let advice = if u16::try_from(end).is_ok() {
        format!(
            "a port for each, `{first}-{end}:{target}`, or any that are free, `{target}`",
            target = port.target
        )
    } else {
        format!("any ports that are free, `{}`", port.target)
    };
    project
        .diagnostic(path, message)
        .expected(advice)
        .suggest("run one container, or publish a range of ports")
}
