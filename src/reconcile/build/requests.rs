//! From a service's `build:` to what is asked of the builder. Pure but for what
//! `read` reads.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::build::graph::{Grants, Insecure, Sandbox};
use crate::build::request::{ContextPlace, DockerfilePlace, Places, Request, SshSource};
use crate::build::shared_cache::{CacheFrom, CacheTo, SpecError};
use crate::compose::{Build, Diagnostic, Project, Service};
use crate::engine::rlimits;
use crate::image::{Platform, Reference};
use crate::reconcile::images::platform_of;
use crate::reconcile::translate::names::{LABEL_PROJECT, LABEL_SERVICE, LABEL_VERSION};
use crate::reconcile::translate::project::image_name;

use super::BuildChoices;

/// The request for a service; all that cannot be done comes back at once.
///
/// # Errors
/// Refusals, each with its attribute and place.
pub(super) fn request(
    project: &Project,
    name: &str,
    service: &Service,
    choices: &BuildChoices,
) -> Result<Request, Vec<Diagnostic>> {
    let Some(build) = &service.build else {
        return Ok(Request::default());
    };
    let mut mapping = Mapping {
        project,
        path: format!("services.{name}.build"),
        build,
        refused: Vec::new(),
    };
    let request = mapping.request(name, service, choices);
    if mapping.refused.is_empty() {
        Ok(request)
    } else {
        Err(mapping.refused)
    }
}

struct Mapping<'a> {
    project: &'a Project,
    path: String,
    build: &'a Build,
    refused: Vec<Diagnostic>,
}

impl Mapping<'_> {
    fn request(&mut self, name: &str, service: &Service, choices: &BuildChoices) -> Request {
        let build = self.build;
        let base = &self.project.working_dir;
        let context = build.context.as_deref().unwrap_or(".");
        let platforms = self.platforms(service);
        self.unsupported();
        Request {
            label: name.to_owned(),
            context: ContextPlace::parse(context, base),
            at: self.places(context),
            dockerfile: self.dockerfile(),
            contexts: build
                .additional_contexts
                .iter()
                .map(|(name, text)| (name.clone(), ContextPlace::parse(text, base)))
                .collect(),
            target: build.target.clone().filter(|target| !target.is_empty()),
            args: self.args(choices),
            labels: self.labels(name),
            names: self.names(name, service),
            cache_from: self.caches("cache_from", &build.cache_from, CacheFrom::parse),
            cache_to: self.caches("cache_to", &build.cache_to, CacheTo::parse),
            no_cache: build.no_cache || choices.no_cache,
            no_cache_stages: build.no_cache_filter.clone(),
            pull: build.pull || choices.pull,
            network: build.network.clone().filter(|network| !network.is_empty()),
            grants: self.grants(),
            sandbox: self.sandbox(choices),
            secrets: self.secrets(),
            ssh: self.ssh(choices),
            platforms,
            epoch: self.epoch(),
            ..Request::default()
        }
    }

    fn refuse(&mut self, attribute: &str, message: impl Into<String>) {
        let path = format!("{}.{attribute}", self.path);
        let diagnostic = self.project.diagnostic(&path, message);
        self.refused.push(diagnostic);
    }

    fn places(&self, context: &str) -> Places {
        let place = |attribute: &str, text: &str| {
            let path = format!("{}.{attribute}", self.path);
            self.project.diagnostic(&path, format!("`{text}`"))
        };
        let named = self.build.dockerfile.as_deref();
        let named = named.filter(|name| *name != "Dockerfile");
        let target = self.build.target.as_deref();
        Places {
            context: Some(place("context", context)),
            dockerfile: named.map(|name| place("dockerfile", name)),
            target: target.map(|name| place("target", name)),
        }
    }

    fn dockerfile(&self) -> DockerfilePlace {
        match (&self.build.dockerfile_inline, &self.build.dockerfile) {
            (Some(text), _) => DockerfilePlace::Text {
                name: PathBuf::from(format!("{}.dockerfile_inline", self.path)),
                text: text.clone(),
            },
            (None, Some(path)) if !path.is_empty() => DockerfilePlace::File(path.into()),
            (None, _) => DockerfilePlace::default(),
        }
    }

    /// Those of the command line count; one without a value is the caller's.
    fn args(&self, choices: &BuildChoices) -> BTreeMap<String, String> {
        let of_caller = |name: &String| self.project.environment.get(name).cloned();
        let declared = self.build.args.iter().filter_map(|(name, value)| {
            let value = value.clone().or_else(|| of_caller(name))?;
            Some((name.clone(), value))
        });
        let given = choices.args.iter().filter_map(|(name, value)| {
            let value = value.clone().or_else(|| of_caller(name))?;
            Some((name.clone(), value))
        });
        declared.chain(given).collect()
    }

    fn labels(&self, service: &str) -> BTreeMap<String, String> {
        let mut labels: BTreeMap<String, String> = self
            .build
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        for (key, value) in [
            (LABEL_PROJECT, self.project.name.as_str()),
            (LABEL_SERVICE, service),
            (LABEL_VERSION, env!("CARGO_PKG_VERSION")),
        ] {
            labels.insert(key.to_owned(), value.to_owned());
        }
        labels
    }

    fn names(&mut self, name: &str, service: &Service) -> Vec<Reference> {
        let image = image_name(self.project, name, service);
        let mut names = Vec::new();
        let tags = self.build.tags.iter().enumerate();
        let tags = tags.map(|(index, tag)| (format!("tags[{index}]"), tag.clone()));
        for (attribute, text) in tags.chain([("image".to_owned(), image)]) {
            match Reference::parse(&text) {
                Ok(reference) => names.push(reference),
                Err(error) => self.refuse(&attribute, error.to_string()),
            }
        }
        names
    }

    /// Paths are relative to the project's folder.
    fn caches<T>(
        &mut self,
        attribute: &str,
        all: &[String],
        parse: impl Fn(&str, &Path) -> Result<T, SpecError>,
    ) -> Vec<T> {
        let mut caches = Vec::new();
        for (index, text) in all.iter().enumerate() {
            match parse(text, &self.project.working_dir) {
                Ok(cache) => caches.push(cache),
                Err(error) => self.refuse(&format!("{attribute}[{index}]"), error.to_string()),
            }
        }
        caches
    }

    /// `privileged` is for all commands, as the specification has it (build.md,
    /// "privileged"): `BuildKit` takes it for the entitlement alone.
    fn grants(&mut self) -> Grants {
        let mut grants = Grants::default();
        for (index, text) in self.build.entitlements.iter().enumerate() {
            if let Err(message) = grants.add(text) {
                self.refuse(&format!("entitlements[{index}]"), message);
            }
        }
        if self.build.privileged {
            grants.insecure = Insecure::Always;
        }
        grants
    }

    fn sandbox(&mut self, choices: &BuildChoices) -> Sandbox {
        let hosts = self.build.extra_hosts.iter().flat_map(|(name, addresses)| {
            addresses
                .iter()
                .map(move |address| (name.clone(), address.clone()))
        });
        let mut limits = Vec::new();
        for (name, limit) in &self.build.ulimits {
            let (soft, hard) = limit.limits();
            match rlimits::limit(name, soft, hard) {
                Ok(limit) => limits.push(limit),
                Err(message) => self.refuse(&format!("ulimits.{name}"), message),
            }
        }
        Sandbox {
            extra_hosts: hosts.collect(),
            hostname: String::new(),
            shm_size: self
                .build
                .shm_size
                .and_then(|size| u64::try_from(size.0).ok()),
            ulimits: limits,
            memory: choices.memory,
        }
    }

    /// A secret's id is the `target` that the build gives it, else its name.
    fn secrets(&mut self) -> BTreeMap<String, Vec<u8>> {
        let mut secrets = BTreeMap::new();
        for (index, wanted) in self.build.secrets.iter().enumerate() {
            let Some(source) = &wanted.source else {
                continue;
            };
            let attribute = format!("secrets[{index}]");
            let Some(secret) = self.project.secrets.get(source) else {
                continue;
            };
            let id = wanted.target.clone().unwrap_or_else(|| source.clone());
            let content = match (&secret.file, &secret.environment) {
                (Some(file), _) => fs_err::read(self.project.working_dir.join(file))
                    .map_err(|error| error.to_string()),
                (None, Some(variable)) => match self.project.environment.get(variable) {
                    Some(value) => Ok(value.clone().into_bytes()),
                    None => Err(format!("the variable `{variable}` is not set")),
                },
                (None, None) => Err(format!("the secret `{source}` is kept elsewhere")),
            };
            match content {
                Ok(content) => {
                    secrets.insert(id, content);
                }
                Err(why) => self.refuse(&attribute, format!("cannot read the secret: {why}")),
            }
        }
        secrets
    }

    fn ssh(&mut self, choices: &BuildChoices) -> BTreeMap<String, SshSource> {
        let declared = self
            .build
            .ssh
            .0
            .iter()
            .map(|key| (key.id.clone(), key.path.clone()));
        let all: Vec<_> = declared.chain(choices.ssh.iter().cloned()).collect();
        let mut sources = BTreeMap::new();
        for (id, path) in all {
            let agent = self.project.environment.get("SSH_AUTH_SOCK");
            let agent = agent.map(String::as_str);
            match SshSource::given(path.as_deref(), agent, &self.project.working_dir) {
                Err(why) => self.refuse("ssh", format!("nothing signs for `{id}`: {why}")),
                Ok(source) => {
                    sources.insert(id, source);
                }
            }
        }
        sources
    }

    /// What is asked for, the service's own first, else this machine's.
    fn platforms(&mut self, service: &Service) -> Vec<Platform> {
        let mut platforms = Vec::new();
        for (index, text) in self.build.platforms.iter().enumerate() {
            match Platform::parse(text) {
                Ok(platform) if platforms.contains(&platform) => {}
                Ok(platform) => platforms.push(platform),
                Err(error) => self.refuse(&format!("platforms[{index}]"), error.to_string()),
            }
        }
        let own = platform_of(self.project, service);
        if platforms.is_empty() {
            platforms.extend(own);
            return platforms;
        }
        first(&mut platforms, &own.unwrap_or_else(Platform::host));
        platforms
    }

    fn epoch(&self) -> Option<i64> {
        let text = self.build.args.get("SOURCE_DATE_EPOCH").cloned().flatten();
        let text = text.or_else(|| self.project.environment.get("SOURCE_DATE_EPOCH").cloned());
        text?.parse().ok()
    }

    fn unsupported(&mut self) {
        let build = self.build;
        let asked = |text: &Option<String>| {
            text.as_deref()
                .is_some_and(|text| !matches!(text, "" | "false"))
        };
        if asked(&build.provenance) {
            self.refuse("provenance", "skiff attests no provenance");
        }
        if asked(&build.sbom) {
            self.refuse("sbom", "skiff makes no software bill of materials");
        }
        if let Some(isolation) = build.isolation.as_deref()
            && !matches!(isolation, "" | "default")
        {
            self.refuse("isolation", format!("`{isolation}` is not for Linux"));
        }
    }
}

/// Moves one of a list to its beginning, where it is in it.
pub(crate) fn first(platforms: &mut [Platform], wanted: &Platform) {
    if let Some(index) = platforms.iter().position(|one| one == wanted)
        && let Some(head) = platforms.get_mut(..=index)
    {
        head.rotate_right(1);
    }
}
