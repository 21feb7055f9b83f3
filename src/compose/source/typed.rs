//! From the merged tree to the typed project: profiles, the services that are
//! wanted, and the files that these name.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::{Readers, Source};
use crate::compose::diag::{Diagnostic, did_you_mean, listed};
use crate::compose::limits::{Budget, MOST_WORDS};
use crate::compose::model::{Cx, Project, field};
use crate::compose::paths::absolute;
use crate::compose::printed::Printed;
use crate::compose::tree::{Node, Trail};
use crate::compose::{consistency, select};

impl Source<'_, '_> {
    /// The typed project out of the normalized tree.
    pub(super) fn typed(&mut self, tree: &Node, name: String, base: PathBuf) -> Option<Project> {
        let mut project = Project {
            name,
            working_dir: base,
            compose_files: self.inputs.iter().map(|input| input.name.clone()).collect(),
            compatibility: self.options.compatibility
                || self
                    .environment
                    .get("COMPOSE_COMPATIBILITY")
                    .is_some_and(|text| is_true(text)),
            profiles: self.profiles(),
            environment: self.environment.clone(),
            ..Project::default()
        };
        let mut cx = Cx {
            report: &mut self.loader.report,
            trail: Trail::default(),
            words: Budget::new(MOST_WORDS),
        };
        fill(&mut project, tree, &mut cx);
        select::by_profiles(&mut project);
        self.unknown_profiles(&project);
        let active: HashSet<String> = project.services.keys().cloned().collect();
        if !self.options.skip.consistency {
            let report = &mut self.loader.report;
            consistency::check(&project, &active, tree, report);
            if self.options.services.is_empty() {
                consistency::check_names(&project, &active, tree, report);
            }
        }
        for service in project.services.values_mut() {
            if let (Some(scale), Some(deploy), false) = (
                service.scale,
                &mut service.deploy,
                self.options.skip.consistency,
            ) {
                deploy.replicas = Some(scale);
            }
        }
        let readers = self.options.env_file_readers;
        let are_read = readers == Readers::Active && self.loader.report.error_count() == 0;
        if are_read {
            self.environments(&mut project, tree);
        }
        // Of all that are active, in the reference; those that names make active follow.
        self.labels(&mut project, tree);
        let names = &self.options.services;
        if !names.is_empty() {
            let report = &mut self.loader.report;
            select::activate(&mut project, names);
            let wanted = select::wanted(&project, names, report);
            if !self.options.skip.consistency {
                // Nobody has looked at those that are active by their names only.
                consistency::check(&project, &wanted, tree, report);
                consistency::check_names(&project, &wanted, tree, report);
            }
            select::only(&mut project, &wanted);
            select::own_dependencies(&mut project);
        }
        // Names may have made further services active.
        if readers != Readers::Nobody && (!are_read || !self.options.services.is_empty()) {
            self.environments(&mut project, tree);
        }
        self.labels(&mut project, tree);
        // What is wrong with files of variables is told with all else.
        if self.loader.report.error_count() > 0 {
            return None;
        }
        if !self.options.all_resources {
            select::used_resources(&mut project);
        }
        Some(project)
    }

    /// Resolves the variables of the services that are active now.
    fn environments(&mut self, project: &mut Project, tree: &Node) {
        for (name, service) in &mut project.services {
            for file in &mut service.env_file {
                // Relative ones are left where paths stay as they are written;
                // the reference then reads them from the current folder.
                file.path = resolved(&self.options.cwd, &file.path);
            }
            self.loader
                .service_environment(name, service, &project.environment, tree);
        }
    }

    /// Resolves the labels of the services that are active now.
    fn labels(&mut self, project: &mut Project, tree: &Node) {
        for (name, service) in &mut project.services {
            for file in &mut service.label_file {
                *file = resolved(&self.options.cwd, file);
            }
            self.loader.service_labels(name, service, tree);
        }
    }

    /// Warns of profiles that the caller names and no service has.
    fn unknown_profiles(&mut self, project: &Project) {
        let services = project
            .services
            .values()
            .chain(project.disabled_services.values());
        let known: BTreeSet<&str> = services
            .flat_map(|service| service.profiles.iter().map(String::as_str))
            .collect();
        let all: Vec<&str> = known.iter().copied().collect();
        for name in &self.options.profiles {
            if name == "*" || known.contains(name.as_str()) {
                continue;
            }
            if self.loader.report.is_full() {
                return; // it would not be told
            }
            let mut warning = Diagnostic::warning(format!("no service has the profile `{name}`"));
            warning.expected = Some(match all.as_slice() {
                [] => "none: no service of these files has `profiles:`".to_owned(),
                all => listed(all),
            });
            warning.suggestion = did_you_mean(name, all.iter().copied());
            self.loader.report.push(warning);
        }
    }

    fn profiles(&self) -> Vec<String> {
        if !self.options.profiles.is_empty() {
            return self.options.profiles.clone();
        }
        let variable = self.environment.get("COMPOSE_PROFILES");
        variable
            .map(String::as_str)
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// A truth value of a `COMPOSE_` variable, as Docker reads it.
pub fn is_true(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    ["1", "t", "true", "y"].contains(&text.as_str())
}

fn resolved(base: &Path, file: &str) -> String {
    absolute(base, Path::new(file))
        .to_string_lossy()
        .into_owned()
}

/// Reads the sections of a tree into a project.
fn fill(project: &mut Project, tree: &Node, cx: &mut Cx<'_>) {
    for (key, node) in tree.as_map().into_iter().flatten() {
        cx.at(key, |cx| match key.as_str() {
            "services" => project.services = field(node, cx).unwrap_or_default(),
            "networks" => project.networks = field(node, cx).unwrap_or_default(),
            "volumes" => project.volumes = field(node, cx).unwrap_or_default(),
            "configs" => project.configs = field(node, cx).unwrap_or_default(),
            "secrets" => project.secrets = field(node, cx).unwrap_or_default(),
            "models" => project.models = field(node, cx).unwrap_or_default(),
            _ if key.starts_with("x-") => {
                project.extensions.insert(key.clone(), Printed::of(node));
            }
            _ => {}
        });
    }
}
