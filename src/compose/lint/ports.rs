//! A second file adds to a list of ports; whoever wants to change a port gets
//! both.

use super::Linter;
use crate::compose::diag::Diagnostic;
use crate::compose::model::Port;

/// Ports of a container that two files publish, at different ports of the host.
pub(super) fn joined(linter: &Linter<'_>) -> Vec<Diagnostic> {
    let mut hints = Vec::new();
    for (name, service) in &linter.project.services {
        let Some(nodes) = linter
            .attribute(name, "ports")
            .and_then(|node| node.as_seq())
        else {
            continue;
        };
        for (at, (port, node)) in service.ports.iter().zip(nodes).enumerate() {
            let mut earlier = service.ports.iter().zip(nodes).take(at);
            let other = earlier.find(|(other, earlier)| {
                is_same(other, port) && earlier.mark.file != node.mark.file
            });
            let Some((other, earlier)) = other else {
                continue;
            };
            let path = format!("services.{name}.ports[{at}]");
            let message = format!(
                "port {} of the container is published twice, at {} and at {}",
                port.target,
                published(other),
                published(port)
            );
            let mut hint = linter.hint(node.mark, &path, message).suggest(
                "lists of ports are joined; `ports: !override` takes the place of the earlier list",
            );
            hint.chain
                .push(linter.also("the other one is", earlier.mark));
            hints.push(hint);
        }
    }
    hints
}

fn is_same(one: &Port, other: &Port) -> bool {
    one.target == other.target
        && one.protocol == other.protocol
        && one.host_ip == other.host_ip
        && one.published != other.published
}

fn published(port: &Port) -> &str {
    port.published.as_deref().unwrap_or("any free port")
}
