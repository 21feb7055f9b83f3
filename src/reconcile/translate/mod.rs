//! From a Compose service to a container's record: pure functions, one file a
//! subject, each attribute pinned by a table test.
//!
//! What the host must be asked (what a path is, which devices there are) comes
//! in through [`HostFiles`]; what it must be changed for (a bind source to be
//! made) goes out as [`Translated::folders`]. Docker's rules of merging with an
//! image's config, and the defaults that Docker Engine 28.5 gives.

pub mod identity;
pub mod names;
pub mod oneoff;
pub mod project;

mod host;
mod image_defaults;
mod mounts;
mod network;
mod process;
mod resources;
mod security;
#[cfg(test)]
mod tests;
pub(super) mod values;

use std::collections::BTreeMap;

use crate::compose::{Diagnostic, Project, Service};
use crate::engine::oci_default;
use crate::image::{Image, ImageConfig};
use crate::state::ContainerId;
use crate::supervise::launch::{LaunchSpec, VolumeUse};
use crate::supervise::record::{ContainerRecord, RECORD_VERSION};

use identity::{Contents, Identity};

pub use host::{FileKind, Host, HostFiles};

/// An image as translation needs it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageFacts {
    /// As the service names it.
    pub reference: String,
    /// Digest of its config.
    pub id: String,
    /// diff-ids, the lowest first.
    pub layers: Vec<String>,
    /// Its config.
    pub config: ImageConfig,
}

impl ImageFacts {
    /// From the store's image.
    pub fn new(reference: &str, image: &Image) -> Self {
        Self {
            reference: reference.to_owned(),
            id: image.id.to_string(),
            layers: image.layers.iter().map(ToString::to_string).collect(),
            config: image.config.clone(),
        }
    }
}

/// Another container, as `network_mode` and `links` refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub id: ContainerId,
    /// Its full name.
    pub name: String,
    /// Replica number.
    pub number: u32,
}

/// What translation reads beside the service.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "holds a trait object")]
pub struct Context<'a> {
    /// The project.
    pub project: &'a Project,
    /// Containers by service, as they will be.
    pub peers: &'a BTreeMap<String, Vec<Peer>>,
    /// Ids of other containers by name or id, for `network_mode: container:x`.
    pub containers: &'a BTreeMap<String, ContainerId>,
    /// What configs and secrets contain.
    pub contents: &'a Contents,
    /// The host.
    pub host: &'a dyn HostFiles,
    /// The time, RFC 3339.
    pub now: &'a str,
}

/// The container to be made.
#[derive(Debug, Clone)]
pub struct Instance<'a> {
    /// Its id.
    pub id: ContainerId,
    /// Its full name.
    pub name: String,
    /// Replica number.
    pub number: u32,
    /// Set for `run`.
    pub oneoff: Option<oneoff::OneOff>,
    /// Volumes of the container that it replaces.
    pub carried: &'a [VolumeUse],
}

/// A record, and what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Translated {
    /// The record.
    pub record: ContainerRecord,
    /// Bind sources that are missing and are to be made.
    pub folders: Vec<std::path::PathBuf>,
    /// What is accepted and has no effect here.
    pub warnings: Vec<Issue>,
}

/// Something about one attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Issue {
    /// `services.web.ports[0]`
    pub path: String,
    /// What is the matter, and what to do.
    pub message: String,
}

impl Issue {
    /// As an error at its place in the file.
    pub fn diagnostic(&self, project: &Project) -> Diagnostic {
        project
            .diagnostic(&self.path, self.message.as_str())
            .in_parts()
    }
}

/// What was found while one service is translated.
#[derive(Debug, Default)]
struct Issues {
    service: String,
    errors: Vec<Issue>,
    warnings: Vec<Issue>,
}

impl Issues {
    fn issue(&self, attribute: &str, message: impl Into<String>) -> Issue {
        Issue {
            path: format!("services.{}.{attribute}", self.service),
            message: message.into(),
        }
    }

    fn error(&mut self, attribute: &str, message: impl Into<String>) {
        let issue = self.issue(attribute, message);
        self.errors.push(issue);
    }

    fn warn(&mut self, attribute: &str, message: impl Into<String>) {
        let issue = self.issue(attribute, message);
        self.warnings.push(issue);
    }
}

/// One translation at work.
struct Work<'a> {
    name: &'a str,
    service: &'a Service,
    image: &'a ImageFacts,
    context: Context<'a>,
    instance: &'a Instance<'a>,
    issues: Issues,
}

/// Translates one container of a service.
///
/// # Errors
/// Everything that the host or the engine cannot give it, by attribute.
pub fn translate(
    context: Context<'_>,
    name: &str,
    service: &Service,
    image: &ImageFacts,
    instance: &Instance<'_>,
) -> Result<Translated, Vec<Issue>> {
    let mut work = Work {
        name,
        service,
        image,
        context,
        instance,
        issues: Issues {
            service: name.to_owned(),
            ..Issues::default()
        },
    };
    let mut spec = if service.privileged {
        oci_default::privileged_spec(&context.host.all_capabilities())
    } else {
        oci_default::default_spec()
    };
    work.process(&mut spec);
    work.security(&mut spec);
    work.resources(&mut spec);
    work.devices(&mut spec);
    let mounts = work.mounts(&mut spec);
    let network = work.network(&mut spec);
    let launch = LaunchSpec {
        layers: image.layers.clone(),
        user: work.user(),
        groups: service.group_add.clone(),
        seccomp: work.seccomp(),
        volumes: mounts.volumes,
        trees: Vec::new(),
        files: mounts.files,
        exposed: work.exposed(),
        ports: work.ports(&network),
        network,
        extra_hosts: work.extra_hosts(),
        dns: work.dns(),
        domainname: service.domainname.clone(),
        tty: service.tty,
        open_stdin: service.stdin_open,
        init: service.init.unwrap_or(false),
        stop_signal: work.stop_signal(),
        stop_grace: work.stop_grace(),
        restart: work.restart(),
        health: work.health(),
        log: work.log(),
        bound: false,
        auto_remove: instance.oneoff.as_ref().is_some_and(|one| one.auto_remove),
        oci: spec,
    };
    let record = work.record(launch);
    if work.issues.errors.is_empty() {
        Ok(Translated {
            record,
            folders: mounts.folders,
            warnings: work.issues.warnings,
        })
    } else {
        Err(work.issues.errors)
    }
}

impl Work<'_> {
    fn record(&self, launch: LaunchSpec) -> ContainerRecord {
        let identity = Identity::of(self.service, self.context.contents);
        ContainerRecord {
            version: RECORD_VERSION,
            id: self.instance.id.clone(),
            name: self.instance.name.clone(),
            project: self.context.project.name.clone(),
            service: self.name.to_owned(),
            number: self.instance.number,
            oneoff: self.instance.oneoff.is_some(),
            created: self.context.now.to_owned(),
            image: self.image.reference.clone(),
            image_id: self.image.id.clone(),
            labels: self.labels(&identity.hash),
            config_hash: identity.hash,
            canonical: identity.canonical,
            launch,
        }
    }

    /// The image's labels, the service's over them, and Compose's own.
    fn labels(&self, config_hash: &str) -> BTreeMap<String, String> {
        let project = self.context.project;
        let mut labels = self.image.config.labels.clone();
        labels.extend(
            self.service
                .labels
                .iter()
                .map(|(k, v)| (k.clone(), v.clone())),
        );
        let mut own = |key: &str, value: String| labels.insert(key.to_owned(), value);
        let files: Vec<String> = project
            .compose_files
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let dependencies = project::explicit_dependencies(self.service);
        own(names::LABEL_PROJECT, project.name.clone());
        own(names::LABEL_SERVICE, self.name.to_owned());
        own(names::LABEL_CONFIG_HASH, config_hash.to_owned());
        own(
            names::LABEL_DEPENDS_ON,
            names::format_depends_on(&dependencies),
        );
        own(names::LABEL_IMAGE, self.image.id.clone());
        own(names::LABEL_VERSION, env!("CARGO_PKG_VERSION").to_owned());
        own(
            names::LABEL_WORKING_DIR,
            project.working_dir.display().to_string(),
        );
        own(names::LABEL_CONFIG_FILES, files.join(","));
        match &self.instance.oneoff {
            None => {
                own(names::LABEL_ONEOFF, "False".to_owned());
                own(names::LABEL_NUMBER, self.instance.number.to_string());
            }
            Some(oneoff) => {
                own(names::LABEL_ONEOFF, "True".to_owned());
                own(names::LABEL_SLUG, oneoff.slug.clone());
            }
        }
        labels
    }
}
