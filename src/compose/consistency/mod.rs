//! What the services of a project say to each other and to its resources:
//! undefined names, circles, attributes that contradict each other.
//!
//! Services of profiles that are not active are not looked at, as in the
//! reference.

mod cycles;
mod uses;

use std::collections::{HashMap, HashSet};

use super::diag::{Allowed, Diagnostic, Report, did_you_mean, listed, quoted, similar};
use super::model::{Project, Service, WatchAction};
use super::tree::{Mark, Node};

/// Checks these services of the active ones, and what they have in common.
pub(super) fn check(
    project: &Project,
    services: &HashSet<String>,
    tree: &Node,
    report: &mut Report,
) {
    let mut checker = Checker::new(project, services, tree, report);
    for (name, service) in &project.services {
        let path = format!("services.{name}");
        if services.contains(name) {
            checker.service(&path, service);
        }
    }
    checker.secrets();
    checker.cycles();
}

/// Checks that no two of these services give their containers one name: those that
/// are asked for, as in the reference, while all that are active have to fit together
/// otherwise.
pub(super) fn check_names(
    project: &Project,
    services: &HashSet<String>,
    tree: &Node,
    report: &mut Report,
) {
    Checker::new(project, services, tree, report).container_names();
}

struct Checker<'a> {
    project: &'a Project,
    /// Those that are looked at.
    services: &'a HashSet<String>,
    tree: &'a Node,
    report: &'a mut Report,
}

impl<'a> Checker<'a> {
    fn new(
        project: &'a Project,
        services: &'a HashSet<String>,
        tree: &'a Node,
        report: &'a mut Report,
    ) -> Self {
        Self {
            project,
            services,
            tree,
            report,
        }
    }

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
        let mut known = known.peekable();
        if known.peek().is_none() && self.report.has_error(section) {
            return; // what is there was not understood
        }
        let source = format!("{path}.source");
        let mark = |path: &str| self.tree.lookup(path).map(|node| node.mark);
        let is_long = mark(&source).is_some_and(|source| Some(source) != mark(path));
        let path = if is_long { source.as_str() } else { path };
        let mut diagnostic = self.at(path, format!("refers to undefined {kind} {}", quoted(name)));
        if self.report.is_full() {
            self.report.push(diagnostic); // only counted: no name is looked for
            return;
        }
        // A service is of no use to itself.
        let own = path.split('.').nth(1).filter(|_| kind == "service");
        let names: Vec<&str> = known
            .map(String::as_str)
            .filter(|known| Some(*known) != own)
            .collect();
        // It may be of any length.
        let brief = |name: &str| quoted(name).trim_matches('`').to_owned();
        let shown = brief(name);
        let define = match (kind, usable(name).map(|usable| brief(&usable))) {
            ("config" | "secret", _) if shown.contains(['/', ':']) => {
                format!("a file is mounted by its path with `volumes: [{shown:?}]`")
            }
            (_, Some(usable)) => format!(
                "a name has only letters, digits, `_`, `.` and `-`: write `{usable}`, and define \
                 {section}.{usable}"
            ),
            ("service", None) => format!("add a service of that name: {section}.{shown}"),
            (_, None) => format!("define it at the top level: {section}.{shown}"),
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
        // An `extends` that is still there was refused already, or is of nothing.
        let extends =
            self.report.error_count() > 0 && self.tree.lookup(&format!("{path}.extends")).is_some();
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
            let profiles = disabled.profiles.join(", ");
            let first = disabled.profiles.first().map_or("", String::as_str);
            let optional = if path.contains(".depends_on.") {
                let condition = self.tree.lookup(&format!("{path}.condition"));
                let condition = condition
                    .and_then(Node::as_str)
                    .unwrap_or("service_started");
                format!(
                    ", or write `{name}: {{condition: {condition}, required: false}}` below \
                     `depends_on:`, without a `- `"
                )
            } else {
                String::new()
            };
            let diagnostic = self
                .at(
                    path,
                    format!("the service `{name}` is in no active profile"),
                )
                .expected("a service that is active whenever this one is")
                .suggest(format!(
                    "activate it with `--profile {first}`, give this service the same \
                     profiles, `profiles: [{profiles}]`{optional}"
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
}

/// Most circles that are told of.
const MOST_CYCLES: usize = 20;

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

/// What a name could be that has characters that no key of a section may have.
fn usable(name: &str) -> Option<String> {
    let is_usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (!name.chars().all(is_usable)).then(|| name.replace(|c| !is_usable(c), "_"))
}
