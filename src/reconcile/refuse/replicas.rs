//! How many containers of a service there are to be, and more of them than any
//! machine has room for: a slip, and one that would take the machine down.

use std::collections::BTreeMap;

use crate::compose::{Diagnostic, Project, Service};

/// Most containers of a project. Each has some processes of its own, and the
/// kernel's limit of those, `kernel.pid_max`, is 32,768 by default.
const MOST_CONTAINERS: u64 = 10_000;

/// The number of a service's containers: `scale` may have another one than the file.
pub(super) fn of(name: &str, service: &Service, scale: &BTreeMap<String, u32>) -> u32 {
    let asked = scale.get(name).copied();
    asked.unwrap_or_else(|| service.replicas())
}

/// Services that have more containers, all together, than a project can have; told
/// at the one with the most.
pub fn too_many_containers(
    project: &Project,
    services: &[&String],
    scale: &BTreeMap<String, u32>,
) -> Option<Diagnostic> {
    let chosen = project.services.iter();
    let chosen = chosen.filter(|(name, _)| services.contains(name));
    let counts: Vec<(&String, u32)> = chosen
        .map(|(name, service)| (name, of(name, service, scale)))
        .collect();
    let all: u64 = counts.iter().map(|(_, count)| u64::from(*count)).sum();
    let (name, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    if all <= MOST_CONTAINERS {
        return None;
    }
    let message = format!("{count} containers are more than one project can have");
    let of_service = |attribute: &str| format!("services.{name}.{attribute}");
    let attributes = ["scale", "deploy.replicas"].map(of_service);
    let written = attributes.iter().find(|path| project.is_written(path));
    let diagnostic = match written.filter(|_| !scale.contains_key(name)) {
        Some(path) => project.diagnostic(path, message),
        None => Diagnostic::error(message).path(of_service("scale")),
    };
    Some(diagnostic.expected(format!(
        "at most {MOST_CONTAINERS}, of all its services together"
    )))
}
