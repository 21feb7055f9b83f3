//! What the services of a project say to each other and to its resources:
//! undefined names, circles, attributes that contradict each other.
//!
//! Services of profiles that are not active are not looked at, as in the
//! reference.

use std::collections::{HashMap, HashSet};

use super::diag::{Allowed, Diagnostic, Report, did_you_mean, listed, similar};
use super::model::{Mount, MountKind, Project, Service, WatchAction};
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
        if services.contains(name) {
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
                return node.place();
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None => return Mark::default(),
            }
        }
    }

    #[track_caller]
    fn at(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        self.report.at(self.mark(path), path, message)
    }

    /// Reports that two attributes do not go together.
    #[track_caller]
    fn clash(&mut self, path: &str, other: &str, message: impl Into<String>) {
        let mut diagnostic = self.at(path, message).suggest("remove one of the two");
        // Without the service, which both are of.
        let what = format!("`{}` is", other.splitn(3, '.').last().unwrap_or_default());
        self.report.also(&mut diagnostic, &what, self.mark(other));
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
        if self.report.has_error(section) {
            return; // what is there was not understood
        }
        let source = format!("{path}.source");
        let mark = |path: &str| self.tree.lookup(path).map(|node| node.mark);
        let is_long = mark(&source).is_some_and(|source| Some(source) != mark(path));
        let path = if is_long { source.as_str() } else { path };
        let mut diagnostic = self.at(path, format!("refers to undefined {kind} `{name}`"));
        // A service is of no use to itself.
        let own = path.split('.').nth(1).filter(|_| kind == "service");
        let names: Vec<&str> = known
            .map(String::as_str)
            .filter(|known| Some(*known) != own)
            .collect();
        let define = match kind {
            "service" => format!("add a service of that name: {section}.{name}"),
            _ => format!("define it at the top level: {section}.{name}"),
        };
        if !names.is_empty() {
            let of = if names.len() > 1 { "one of " } else { "" };
            diagnostic.expected = Some(format!("{of}{}", listed(&names)));
        }
        diagnostic.suggestion = Some(match similar(name, names.into_iter()) {
            Some(similar) => format!("did you mean `{similar}`? Or {define}"),
            None => define,
        });
        self.report.push(diagnostic);
    }

    fn service(&mut self, path: &str, service: &Service) {
        // An `extends` that is still there was refused already.
        let extends = self.tree.lookup(&format!("{path}.extends")).is_some();
        let has_source =
            service.build.is_some() || service.image.is_some() || service.provider.is_some();
        // What was taken out because of an error may have been the source.
        if !has_source && !extends && !self.report.is_broken(path) {
            let diagnostic = self
                .at(path, "it has neither an image nor a build")
                .expected("`image:` or `build:`")
                .suggest("name an image to run, `image: NAME:TAG`, or a folder to build one from, `build: .`");
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
            self.clash(
                &format!("{path}.build.dockerfile_inline"),
                &format!("{path}.build.dockerfile"),
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
                    let diagnostic = self
                        .at(&path, format!("the service `{target}` has no build"))
                        .expected("`service:` and the name of a service with `build:`")
                        .suggest(format!(
                            "give `{target}` a `build:`, or write `docker-image://` and an image"
                        ));
                    self.report.push(diagnostic);
                }
                Some(_) => {}
            }
        }
        if let Some(platform) = &service.platform
            && !build.platforms.is_empty()
            && !build.platforms.contains(platform)
        {
            let list = format!("{path}.build.platforms");
            let message = format!("the service's platform `{platform}` is not among them");
            let mut diagnostic = self
                .at(&list, message)
                .suggest(format!("add `{platform}` to them, or remove `platform`"));
            let other = self.mark(&format!("{path}.platform"));
            self.report.also(&mut diagnostic, "`platform` is", other);
            self.report.push(diagnostic);
        }
        let project = self.project;
        for (index, secret) in build.secrets.iter().enumerate() {
            let Some(name) = secret.source.as_deref() else {
                self.sourceless(&format!("{path}.build.secrets[{index}]"), "secret");
                continue;
            };
            if !project.secrets.contains_key(name) {
                let path = format!("{path}.build.secrets[{index}]");
                self.undefined(&path, ("secret", "secrets"), name, project.secrets.keys());
            }
        }
    }

    /// Reports a use of a config or a secret that does not say of which.
    fn sourceless(&mut self, path: &str, kind: &str) {
        if self.report.is_broken(path) {
            return; // an error has left its place empty
        }
        let diagnostic = self
            .at(path, "`source` is missing")
            .expected(format!("`source:`, the name of a {kind} of the top level"))
            .suggest("add `source: …`");
        self.report.push(diagnostic);
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
                .expected("a service that is active whenever this one is")
                .suggest(format!(
                    "activate a profile of it (`{profiles}`) with `--profile`, \
                     give this service the same profiles, or write `required: false` for the dependency"
                ));
            self.report.push(diagnostic);
            return;
        }
        self.undefined(path, ("service", "services"), name, project.services.keys());
    }

    fn networks(&mut self, path: &str, service: &Service) {
        if service.network_mode.is_some() && !service.networks.is_empty() {
            self.clash(
                &format!("{path}.network_mode"),
                &format!("{path}.networks"),
                "`network_mode` and `networks` exclude each other",
            );
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
        let mut implied = None;
        for (name, dependency) in &service.depends_on {
            if self.project.services.contains_key(name) {
                continue;
            }
            if !dependency.required && self.project.disabled_services.contains_key(name) {
                continue;
            }
            let implied = implied.get_or_insert_with(|| self::implied(service));
            let attribute = match implied.get(name.as_str()) {
                Some(attribute) => attribute.clone(),
                None => format!("depends_on.{name}"),
            };
            let path = format!("{path}.{attribute}");
            self.undefined_service(&path, name);
        }
    }

    fn resources(&mut self, path: &str, service: &Service) {
        let project = self.project;
        for (index, mount) in service.volumes.iter().enumerate() {
            let path = format!("{path}.volumes[{index}]");
            if self.report.is_broken(&path) {
                continue;
            }
            let Mount { kind, source, .. } = mount;
            if let (MountKind::Volume, Some(name)) = (kind, source)
                && !project.volumes.contains_key(name)
            {
                self.undefined(&path, ("volume", "volumes"), name, project.volumes.keys());
            }
            if *kind == MountKind::Bind && source.is_none() {
                let diagnostic = self
                    .at(&path, "a bind has no `source`")
                    .expected("`source:`, a path on this machine")
                    .suggest("add `source: ./data`, or whatever path is meant");
                self.report.push(diagnostic);
            }
        }
        for (index, config) in service.configs.iter().enumerate() {
            let Some(name) = config.source.as_deref() else {
                self.sourceless(&format!("{path}.configs[{index}]"), "config");
                continue;
            };
            if !project.configs.contains_key(name) {
                let path = format!("{path}.configs[{index}]");
                self.undefined(&path, ("config", "configs"), name, project.configs.keys());
            }
        }
        for (index, secret) in service.secrets.iter().enumerate() {
            let Some(name) = secret.source.as_deref() else {
                self.sourceless(&format!("{path}.secrets[{index}]"), "secret");
                continue;
            };
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
                let message = format!("`{here}` and `deploy.resources.{there}` differ");
                let there = format!("{path}.deploy.resources.{there}");
                self.clash(&format!("{path}.{here}"), &there, message);
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
            self.clash(
                &format!("{path}.scale"),
                &format!("{path}.deploy.replicas"),
                "`scale` and `deploy.replicas` differ",
            );
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
            let count = service.replicas();
            let mut diagnostic = self
                .at(&path, format!("{count} containers cannot have one name"))
                .suggest("remove `container_name`, or run one container alone");
            let base = path.trim_end_matches(".container_name").to_owned();
            let places = ["scale", "deploy.replicas"].map(|key| (key, format!("{base}.{key}")));
            let number = places
                .iter()
                .find(|(_, place)| self.tree.lookup(place).is_some());
            if let Some((key, place)) = number {
                let mark = self.mark(place);
                self.report
                    .also(&mut diagnostic, &format!("`{key}` is"), mark);
            }
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
                if self.report.is_broken(&path) {
                    continue;
                }
                let diagnostic = self
                    .at(&path, format!("the action `{action}` needs a `target`"))
                    .expected("`target:`, a path in the container")
                    .allowed(Allowed::WatchTarget)
                    .suggest("add `target: /src`, or whatever path it is there");
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
            if self.report.is_broken(&path) {
                return;
            }
            let mut diagnostic = self
                .at(&path, format!("a test cannot begin with `{first}`"))
                .expected("CMD, CMD-SHELL or NONE first, or a string");
            let words = ["CMD", "CMD-SHELL", "NONE"];
            let meant = did_you_mean(first, words.into_iter());
            diagnostic.suggestion = Some(meant.unwrap_or_else(|| {
                let all = test.into_iter().flat_map(|test| test.iter());
                let all = all.map(|word| format!("{word:?}"));
                let all: Vec<String> = all.collect();
                format!("write [\"CMD\", {}]", all.join(", "))
            }));
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
        let written = tmpfs
            .chain(volumes)
            .filter(|(_, target)| !target.is_empty());
        for (place, target) in written {
            if let Some(earlier) = known.get(target) {
                let message = format!("something is mounted at `{target}` already");
                let mut diagnostic = self
                    .at(&format!("{path}.{place}"), message)
                    .expected("another path in the container")
                    .suggest("change one of the two paths, or remove one of the mounts");
                let mark = self.mark(&format!("{path}.{earlier}"));
                self.report
                    .also(&mut diagnostic, &format!("`{earlier}` is"), mark);
                self.report.push(diagnostic);
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
                    .expected("`file:`, `environment:`, or `external: true`")
                    .allowed(Allowed::NoSource)
                    .suggest(format!(
                        "write `file: ./{name}.txt` below it, or whatever file it is"
                    ));
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
                let message =
                    format!("the container of `{earlier}` is named `{container}` already");
                let mut diagnostic = self
                    .at(&path, message)
                    .expected("a name that no other container has")
                    .suggest("rename one of the two, or remove it: a name is then made of project and service");
                let mark = self.mark(&format!("services.{earlier}.container_name"));
                self.report.also(&mut diagnostic, "the other one is", mark);
                self.report.push(diagnostic);
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
            let (expected, help) = if first == second {
                (
                    "other services",
                    "a service cannot wait for itself: remove it from its own list",
                )
            } else {
                (
                    "dependencies that lead to no service twice",
                    "remove one of these dependencies; \
                     a service that does not need the other at its start can come first",
                )
            };
            let mut diagnostic = self.at(&path, message).expected(expected).suggest(help);
            let others = cycle.iter().zip(cycle.iter().skip(1)).skip(1).rev();
            for (from, to) in others {
                let mark = self.mark(&format!("services.{from}.depends_on.{to}"));
                self.report.also(
                    &mut diagnostic,
                    &format!("`{from}` depends on `{to}`"),
                    mark,
                );
            }
            self.report.push(diagnostic);
        }
    }
}

/// Most circles that are told of.
const MOST_CYCLES: usize = 20;

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
                Some(false) if self.found.len() == MOST_CYCLES => {}
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

/// The services that a service depends on without saying so, each with the
/// attribute that implies it.
pub(super) fn implied(service: &Service) -> HashMap<&str, String> {
    let mut found = HashMap::new();
    let lists = [
        ("links", &service.links),
        ("volumes_from", &service.volumes_from),
    ];
    for (attribute, list) in lists {
        for (index, text) in list.iter().enumerate() {
            let name = text.split(':').next().unwrap_or_default();
            let place = || format!("{attribute}[{index}]");
            found.entry(name).or_insert_with(place);
        }
    }
    let modes = [
        ("network_mode", &service.network_mode),
        ("ipc", &service.ipc),
        ("pid", &service.pid),
    ];
    for (attribute, mode) in modes {
        let mode = mode.as_deref().unwrap_or_default();
        if let Some(name) = mode.strip_prefix("service:") {
            found.entry(name).or_insert_with(|| attribute.to_owned());
        }
    }
    found
}
