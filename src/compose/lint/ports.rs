//! Ports that are published twice. A second file adds to a list of ports; whoever
//! wants to change a port gets both.

use std::collections::HashMap;

use super::Linter;
use crate::compose::diag::Diagnostic;
use crate::compose::model::Port;
use crate::compose::sockets::{Doubled, doubled_sockets};
use crate::compose::tree::Mark;

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
        // Of each port of the container the first entry of each file.
        let mut known: HashMap<_, Vec<(&Port, Mark)>> = HashMap::new();
        for (at, (port, node)) in service.ports.iter().zip(nodes).enumerate() {
            let key = (port.target, port.protocol(), port.host_ip.as_deref());
            let earlier = known.entry(key).or_default();
            let other = earlier.iter().find(|(other, mark)| {
                mark.file != node.mark.file && other.published != port.published
            });
            if let Some((other, mark)) = other {
                if hints.len() >= super::MOST {
                    return hints;
                }
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
                hint.chain.push(linter.also("the other one is", *mark));
                hints.push(hint);
            }
            if earlier.iter().all(|(_, mark)| mark.file != node.mark.file) {
                earlier.push((port, node.mark));
            }
        }
    }
    hints
}

/// Ports of the host that two entries publish: only one of them can have it.
pub(super) fn doubled(linter: &Linter<'_>) -> Vec<Diagnostic> {
    let found = doubled_sockets(linter.project.services.iter());
    let hint = |doubled: Doubled| {
        let Doubled {
            number,
            path,
            earlier,
        } = doubled;
        let place = |path: &str| linter.tree.lookup(path).map(|node| node.mark);
        let message = format!(
            "port {number} of the host is published by `{earlier}` already: \
             only one of the two can have it"
        );
        let mark = place(&path).unwrap_or_default();
        let mut hint = linter
            .hint(mark, &path, message)
            .suggest("change one of the two host ports");
        if let Some(mark) = place(&earlier) {
            hint.chain.push(linter.also("the other one is", mark));
        }
        hint
    };
    found.into_iter().take(super::MOST).map(hint).collect()
}

fn published(port: &Port) -> &str {
    port.published.as_deref().unwrap_or("any free port")
}
