//! Replicas that would have to share a port of the host. Docker finds out when
//! the second one starts; it can be told before the first one does.

use std::collections::BTreeMap;

use crate::compose::{Diagnostic, Port, Project, Step};

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
        let replicas = scale
            .get(name)
            .copied()
            .unwrap_or_else(|| service.replicas());
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
    let mut seen: Vec<(u16, &Port, String)> = Vec::new();
    let mut found = Vec::new();
    for (name, service) in &project.services {
        if !services.contains(&name) {
            continue;
        }
        for (index, port) in service.ports.iter().enumerate() {
            // Of a range, another one is taken.
            let Some((number, last)) = port.published_range() else {
                continue;
            };
            if number == 0 || number != last {
                continue;
            }
            let path = format!("services.{name}.ports[{index}]");
            let clash = |(other, earlier, _): &&(u16, &Port, String)| {
                *other == number && same_socket(earlier, port)
            };
            match seen.iter().find(clash) {
                Some((_, _, earlier)) => {
                    let message =
                        format!("port {number} of the host is published by `{earlier}` already");
                    let mut diagnostic = project
                        .diagnostic(&path, message)
                        .expected("a port of the host that nothing else publishes")
                        .suggest("change one of the two host ports");
                    let step = Step {
                        what: "the other one is".to_owned(),
                        position: project.position(earlier),
                    };
                    diagnostic.chain.insert(0, step);
                    found.push(diagnostic);
                }
                None => seen.push((number, port, path)),
            }
        }
    }
    found
}

/// Whether one socket on the host excludes the other.
fn same_socket(one: &Port, other: &Port) -> bool {
    let address = |port: &Port| {
        let text = port.host_ip.clone().unwrap_or_default();
        text.parse::<std::net::IpAddr>()
            .ok()
            .filter(|address| !address.is_unspecified())
    };
    let (left, right) = (address(one), address(other));
    one.protocol() == other.protocol() && (left.is_none() || right.is_none() || left == right)
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
    let end = u32::from(first) + replicas - 1;
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
