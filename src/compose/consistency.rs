//! What the services of a project say to each other and to its resources:
//! undefined names, circles, attributes that contradict each other.
//!
//! Services of profiles that are not active are not looked at, as in the
//! reference.

use std::collections::{HashMap, HashSet};

use super::diag::{Diagnostic, Report};
use super::model::{Mount, MountKind, Project, Service, WatchAction};
use super::schema::similar;
use super::tree::{Mark, Node};

/// Checks these services of the active ones, and what they have in common.
pub(super) fn check(
    project: &Project,
    services: &HashSet<String>,
    tree: &Node,
    report: &mut Report,
) {
    let mut checker = Checker {
        project,
        services,
        tree,
        report,
    };
    for (name, service) in &project.services {
        let path = format!("services.{name}");
        if services.contains(name) && !checker.report.is_broken(&path) {
            checker.service(&path, service);
        }
    }
    checker.secrets();
    checker.container_names();
    checker.cycles();
}

struct Checker<'a> {
    project: &'a Project,
    /// Those that are looked at.
    services: &'a HashSet<String>,
    tree: &'a Node,
    report: &'a mut Report,
}

impl Checker<'_> {
    fn mark(&self, path: &str) -> Mark {
        let mut path = path;
        loop {
            if let Some(node) = self.tree.lookup(path)
                && (node.mark.is_known() || node.key.is_known())
            {
                return if node.as_map().is_some() {
                    node.key
                } else {
                    node.mark
                };
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None => return Mark::default(),
            }
        }
    }

    fn at(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        self.report.at(self.mark(path), path, message)
    }

    fn error(&mut self, path: &str, message: impl Into<String>) {
        let diagnostic = self.at(path, message);
        self.report.push(diagnostic);
    }

    /// Reports a name that nothing bears.
    fn undefined<'n>(
        &mut self,
        path: &str,
        (kind, section): (&str, &str),
        name: &str,
        known: impl Iterator<Item = &'n String>,
    ) {
        let mut diagnostic = self.at(path, format!("refers to undefined {kind} `{name}`"));
        diagnostic.suggestion = match similar(name, known.map(String::as_str)) {
            Some(similar) => Some(format!("did you mean `{similar}`?")),
            None => Some(format!("define it at the top level: {section}.{name}")),
        };
        self.report.push(diagnostic);
    }

    fn service(&mut self, path: &str, service: &Service) {
        // An `extends` that is still there was refused already.
        let extends = self.tree.lookup(&format!("{path}.extends")).is_some();
        let has_source =
            service.build.is_some() || service.image.is_some() || service.provider.is_some();
        if !has_source && !extends {
            let diagnostic = self
                .at(path, "it has neither an image nor a build")
                .expected("`image:` or `build:`");
            self.report.push(diagnostic);
        }
        self.build(path, service);
        self.networks(path, service);
        self.dependencies(path, service);
        self.resources(path, service);
        self.amounts(path, service);
        self.scale(path, service);
        self.watch(path, service);
        self.health(path, service);
        self.targets(path, service);
    }

    fn build(&mut self, path: &str, service: &Service) {
        let Some(build) = &service.build else {
            return;
        };
        if build.dockerfile_inline.is_some() && build.dockerfile.is_some() {
            let path = format!("{path}.build.dockerfile_inline");
            self.error(
                &path,
                "`dockerfile` and `dockerfile_inline` exclude each other",
            );
        }
        for (name, context) in build.additional_contexts.iter() {
            let Some(target) = context.strip_prefix("service:") else {
                continue;
            };
            let path = format!("{path}.build.additional_contexts.{name}");
            match self.project.services.get(target) {
                None => self.undefined_service(&path, target),
                Some(service) if service.build.is_none() => {
                    self.error(&path, format!("the service `{target}` has no build"));
                }
                Some(_) => {}
            }
        }
        if let Some(platform) = &service.platform
            && !build.platforms.is_empty()
            && !build.platforms.contains(platform)
        {
            let path = format!("{path}.build.platforms");
            let message = format!("the service's platform `{platform}` is not among them");
            self.error(&path, message);
        }
        let project = self.project;
        for (index, secret) in build.secrets.iter().enumerate() {
            let name = secret.source.as_deref().unwrap_or_default();
            if !project.secrets.contains_key(name) {
                let path = format!("{path}.build.secrets[{index}]");
                self.undefined(&path, ("secret", "secrets"), name, project.secrets.keys());
            }
        }
    }

    fn undefined_service(&mut self, path: &str, name: &str) {
        let project = self.project;
        if let Some(disabled) = project.disabled_services.get(name) {
            let profiles = disabled.profiles.join("`, `");
            let diagnostic = self
                .at(
                    path,
                    format!("the service `{name}` is in no active profile"),
                )
                .suggest(format!("activate one of its profiles (`{profiles}`)"));
            self.report.push(diagnostic);
            return;
        }
        self.undefined(path, ("service", "services"), name, project.services.keys());
    }

    fn networks(&mut self, path: &str, service: &Service) {
        if service.network_mode.is_some() && !service.networks.is_empty() {
            let path = format!("{path}.network_mode");
            self.error(&path, "`network_mode` and `networks` exclude each other");
        }
        let target = service.network_mode.as_deref().unwrap_or_default();
        if let Some(name) = target.strip_prefix("service:")
            && !self.project.services.contains_key(name)
            // Told already where the dependency is implied.
            && !service.depends_on.contains_key(name)
        {
            let path = format!("{path}.network_mode");
            self.undefined_service(&path, name);
        }
        let project = self.project;
        for name in service.networks.keys() {
            if !project.networks.contains_key(name) {
                let path = format!("{path}.networks.{name}");
                self.undefined(
                    &path,
                    ("network", "networks"),
                    name,
                    project.networks.keys(),
                );
            }
        }
    }

    fn dependencies(&mut self, path: &str, service: &Service) {
        for (name, dependency) in &service.depends_on {
            if self.project.services.contains_key(name) {
                continue;
            }
            if !dependency.required && self.project.disabled_services.contains_key(name) {
                continue;
            }
            let path = format!("{path}.depends_on.{name}");
            self.undefined_service(&path, name);
        }
    }

    fn resources(&mut self, path: &str, service: &Service) {
        let project = self.project;
        for (index, mount) in service.volumes.iter().enumerate() {
            let Mount { kind, source, .. } = mount;
            if let (MountKind::Volume, Some(name)) = (kind, source)
                && !project.volumes.contains_key(name)
            {
                let path = format!("{path}.volumes[{index}]");
                self.undefined(&path, ("volume", "volumes"), name, project.volumes.keys());
            }
            if *kind == MountKind::Bind && source.is_none() {
                let path = format!("{path}.volumes[{index}]");
                self.error(&path, "a bind has no `source`");
            }
        }
        for (index, config) in service.configs.iter().enumerate() {
            let name = config.source.as_deref().unwrap_or_default();
            if !project.configs.contains_key(name) {
                let path = format!("{path}.configs[{index}]");
                self.undefined(&path, ("config", "configs"), name, project.configs.keys());
            }
        }
        for (index, secret) in service.secrets.iter().enumerate() {
            let name = secret.source.as_deref().unwrap_or_default();
            if !project.secrets.contains_key(name) {
                let path = format!("{path}.secrets[{index}]");
                self.undefined(&path, ("secret", "secrets"), name, project.secrets.keys());
            }
        }
        for name in service.models.keys() {
            if !project.models.contains_key(name) {
                let path = format!("{path}.models.{name}");
                self.undefined(&path, ("model", "models"), name, project.models.keys());
            }
        }
    }

    /// Amounts that can be said in two places must be the same in both.
    fn amounts(&mut self, path: &str, service: &Service) {
        let Some(deploy) = &service.deploy else {
            return;
        };
        let limits = deploy.resources.limits.as_ref();
        let reservations = deploy.resources.reservations.as_ref();
        let mut differ = |here: &str, there: &str, differs: bool| {
            if differs {
                let path = format!("{path}.{here}");
                let message = format!("`{here}` and `deploy.resources.{there}` differ");
                let diagnostic = self.at(&path, message).suggest("keep one of them");
                self.report.push(diagnostic);
            }
        };
        if let Some(limits) = limits {
            // Single precision, as the reference compares them.
            #[expect(clippy::cast_possible_truncation, reason = "a number of processors")]
            let same = (limits.cpus as f32).to_bits() == (service.cpus as f32).to_bits();
            differ("cpus", "limits.cpus", service.cpus != 0.0 && !same);
            let memory = service.mem_limit.is_some() && service.mem_limit != limits.memory;
            differ("mem_limit", "limits.memory", memory);
            let pids = service.pids_limit != 0 && service.pids_limit != limits.pids;
            differ("pids_limit", "limits.pids", pids);
        }
        if let Some(reservations) = reservations {
            let memory =
                service.mem_reservation.is_some() && service.mem_reservation != reservations.memory;
            differ("mem_reservation", "reservations.memory", memory);
        }
    }

    fn scale(&mut self, path: &str, service: &Service) {
        let replicas = service.deploy.as_ref().and_then(|deploy| deploy.replicas);
        if let (Some(scale), Some(replicas)) = (service.scale, replicas)
            && scale != replicas
        {
            let path = format!("{path}.scale");
            let diagnostic = self
                .at(&path, "`scale` and `deploy.replicas` differ")
                .suggest("keep one of them");
            self.report.push(diagnostic);
        }
        for (attribute, count) in [("scale", service.scale), ("deploy.replicas", replicas)] {
            if count.is_some_and(|count| count < 0) {
                let path = format!("{path}.{attribute}");
                let diagnostic = self
                    .at(&path, "a number of containers cannot be negative")
                    .expected("a whole number from 0");
                self.report.push(diagnostic);
            }
        }
        if service.replicas() > 1 && service.container_name.is_some() {
            let path = format!("{path}.container_name");
            let diagnostic = self
                .at(&path, "several containers cannot have one name")
                .suggest("remove `container_name`, or run one container alone");
            self.report.push(diagnostic);
        }
    }

    fn watch(&mut self, path: &str, service: &Service) {
        let watches = service.develop.iter().flat_map(|develop| &develop.watch);
        for (index, watch) in watches.enumerate() {
            let needs_target = !matches!(
                watch.action,
                Some(WatchAction::Rebuild | WatchAction::Restart)
            );
            if needs_target && watch.target.is_none() {
                let action = watch.action.map_or("sync", WatchAction::as_str);
                let path = format!("{path}.develop.watch[{index}]");
                let diagnostic = self
                    .at(&path, format!("the action `{action}` needs a `target`"))
                    .expected("`target:`, a path in the container");
                self.report.push(diagnostic);
            }
        }
    }

    fn health(&mut self, path: &str, service: &Service) {
        let test = service.healthcheck.as_ref().and_then(|h| h.test.as_ref());
        if let Some(first) = test.and_then(|test| test.first())
            && !["CMD", "CMD-SHELL", "NONE"].contains(&first.as_str())
        {
            let path = format!("{path}.healthcheck.test");
            let diagnostic = self
                .at(&path, format!("a test cannot begin with `{first}`"))
                .expected("CMD, CMD-SHELL or NONE first, or a string")
                .suggest(format!("[\"CMD\", \"{first}\", …]"));
            self.report.push(diagnostic);
        }
    }

    /// Nothing can be mounted where something else is.
    fn targets(&mut self, path: &str, service: &Service) {
        let tmpfs = service.tmpfs.iter().enumerate().map(|(index, text)| {
            let target = text.split(':').next().unwrap_or_default();
            (format!("tmpfs[{index}]"), target)
        });
        let volumes = service
            .volumes
            .iter()
            .enumerate()
            .map(|(index, mount)| (format!("volumes[{index}]"), mount.target.as_str()));
        let mut known: HashMap<&str, String> = HashMap::new();
        for (place, target) in tmpfs.chain(volumes) {
            if let Some(earlier) = known.get(target) {
                let message = format!("`{target}` is mounted already, as {earlier}");
                self.error(&format!("{path}.{place}"), message);
            } else {
                known.insert(target, place);
            }
        }
    }

    fn secrets(&mut self) {
        for (name, secret) in &self.project.secrets {
            let path = format!("secrets.{name}");
            let has_source = secret.file.is_some() || secret.environment.is_some();
            if !secret.external && !has_source && !self.report.is_broken(&path) {
                let diagnostic = self
                    .at(&path, "it has no source")
                    .expected("one of file, environment, or `external: true`");
                self.report.push(diagnostic);
            }
        }
    }

    fn container_names(&mut self) {
        let mut known: HashMap<&str, &String> = HashMap::new();
        for (name, service) in &self.project.services {
            if !self.services.contains(name) {
                continue;
            }
            let Some(container) = service.container_name.as_deref() else {
                continue;
            };
            if let Some(earlier) = known.insert(container, name) {
                let path = format!("services.{name}.container_name");
                let message = format!("the service `{earlier}` has the name `{container}` already");
                self.error(&path, message);
            }
        }
    }

    /// Services that wait for each other.
    fn cycles(&mut self) {
        let mut done: HashMap<&str, bool> = HashMap::new();
        let mut found = Vec::new();
        let names = self.project.services.keys();
        for name in names.filter(|name| self.services.contains(*name)) {
            let mut way = Way {
                project: self.project,
                done: &mut done,
                found: &mut found,
            };
            way.follow(name);
        }
        for cycle in found {
            let (Some(first), Some(second)) = (cycle.first(), cycle.get(1)) else {
                continue;
            };
            let path = format!("services.{first}.depends_on.{second}");
            let message = format!("services depend on each other: {}", cycle.join(" -> "));
            self.error(&path, message);
        }
    }
}

/// A walk along dependencies, deepest first, without recursion: a chain may be
/// as long as there are services.
struct Way<'p, 'w> {
    project: &'p Project,
    /// False while a service is on the way, true once it is left for good.
    done: &'w mut HashMap<&'p str, bool>,
    found: &'w mut Vec<Vec<String>>,
}

impl<'p> Way<'p, '_> {
    fn follow(&mut self, start: &'p str) {
        let mut stack: Vec<(&'p str, usize)> = Vec::new();
        if self.done.contains_key(start) {
            return;
        }
        self.done.insert(start, false);
        stack.push((start, 0));
        while let Some((name, next)) = stack.last_mut() {
            let name = *name;
            let child = self
                .project
                .services
                .get(name)
                .and_then(|service| service.depends_on.get_index(*next));
            *next += 1;
            let Some((child, _)) = child else {
                self.done.insert(name, true);
                stack.pop();
                continue;
            };
            match self.done.get(child.as_str()) {
                Some(false) => {
                    let cycle = stack
                        .iter()
                        .map(|(name, _)| (*name).to_owned())
                        .skip_while(|name| name != child)
                        .chain([child.clone()])
                        .collect();
                    self.found.push(cycle);
                }
                None if self.project.services.contains_key(child) => {
                    self.done.insert(child, false);
                    stack.push((child, 0));
                }
                Some(true) | None => {}
            }
        }
    }
}
