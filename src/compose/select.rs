//! Which services are active: profiles, names on the command line, and the
//! resources that they use.
//!
//! Specification: "Profiles".

use std::collections::HashSet;

use indexmap::IndexMap;

use super::diag::{Diagnostic, Report, similar};
use super::model::{MountKind, Project, Service};

/// Disables the services that are in no active profile.
pub(super) fn by_profiles(project: &mut Project) {
    // A service is large: where none moves, none is touched.
    let is_active = |service: &Service| service.is_in_profiles(&project.profiles);
    if project.disabled_services.is_empty() && project.services.values().all(is_active) {
        return;
    }
    let all = std::mem::take(&mut project.services);
    let disabled = std::mem::take(&mut project.disabled_services);
    for (name, service) in all.into_iter().chain(disabled) {
        let target = if service.is_in_profiles(&project.profiles) {
            &mut project.services
        } else {
            &mut project.disabled_services
        };
        target.insert(name, service);
    }
}

/// Activates the profiles of the services that are named.
pub(super) fn activate(project: &mut Project, names: &[String]) {
    for name in names {
        if let Some(service) = project.disabled_services.get(name) {
            project.profiles.extend(service.profiles.iter().cloned());
        }
    }
    by_profiles(project);
}

/// The named services and what they depend on, as far as that is active; all
/// active ones without a name.
pub(super) fn wanted(project: &Project, names: &[String], report: &mut Report) -> HashSet<String> {
    if names.is_empty() {
        return project.services.keys().cloned().collect();
    }
    let mut wanted: HashSet<String> = HashSet::new();
    let mut open: Vec<String> = Vec::new();
    for name in names {
        let matching = matching(project, name);
        if project.services.contains_key(name) {
            open.push(name.clone());
        } else if !matching.is_empty() {
            open.extend(matching);
        } else {
            let mut diagnostic = Diagnostic::error(format!("no such service: {name}"));
            let known = project.services.keys().map(String::as_str);
            // Where it is only counted, no name is looked for.
            if !report.is_full()
                && let Some(similar) = similar(name, known)
            {
                diagnostic = diagnostic.suggest(format!("did you mean `{similar}`?"));
            }
            report.push(diagnostic);
        }
    }
    while let Some(name) = open.pop() {
        let Some(service) = project.services.get(&name) else {
            continue;
        };
        if wanted.insert(name) {
            open.extend(service.depends_on.keys().cloned());
        }
    }
    wanted
}

/// The active services that a pattern stands for (`web*`).
fn matching(project: &Project, pattern: &str) -> Vec<String> {
    // Braces are no part of a pattern, nor of a name.
    if !pattern.contains(['*', '?', '[']) || pattern.contains(['{', '}']) {
        return Vec::new();
    }
    let Ok(glob) = globset::Glob::new(pattern) else {
        return Vec::new();
    };
    let matcher = glob.compile_matcher();
    let names = project.services.keys().cloned();
    names.filter(|name| matcher.is_match(name)).collect()
}

/// Disables all others.
pub(super) fn only(project: &mut Project, wanted: &HashSet<String>) {
    let all = std::mem::take(&mut project.services);
    for (name, service) in all {
        if wanted.contains(&name) {
            project.services.insert(name, service);
        } else {
            project.disabled_services.insert(name, service);
        }
    }
}

/// Drops what services say of dependencies that are not active.
pub(super) fn own_dependencies(project: &mut Project) {
    let active: HashSet<String> = project.services.keys().cloned().collect();
    for service in project.services.values_mut() {
        service.depends_on.retain(|name, _| active.contains(name));
    }
}

/// Drops what no active service uses.
pub(super) fn used_resources(project: &mut Project) {
    let services = project.services.values();
    let networks: HashSet<&str> = services
        .clone()
        .flat_map(|service| service.networks.keys().map(String::as_str))
        .collect();
    let volumes: HashSet<&str> = services
        .clone()
        .flat_map(|service| &service.volumes)
        .filter(|mount| mount.kind == MountKind::Volume)
        .filter_map(|mount| mount.source.as_deref())
        .collect();
    let secrets: HashSet<&str> = services
        .clone()
        .flat_map(|service| {
            let build = service.build.iter().flat_map(|build| &build.secrets);
            service.secrets.iter().chain(build)
        })
        .filter_map(|secret| secret.source.as_deref())
        .collect();
    let configs: HashSet<&str> = services
        .clone()
        .flat_map(|service| &service.configs)
        .filter_map(|config| config.source.as_deref())
        .collect();
    let models: HashSet<&str> = services
        .flat_map(|service| service.models.keys().map(String::as_str))
        .collect();
    keep(&mut project.networks, &networks);
    keep(&mut project.volumes, &volumes);
    keep(&mut project.secrets, &secrets);
    keep(&mut project.configs, &configs);
    keep(&mut project.models, &models);
}

fn keep<T>(resources: &mut IndexMap<String, T>, used: &HashSet<&str>) {
    resources.retain(|name, _| used.contains(name.as_str()));
}
