//! From a Dockerfile and options to a plan: which steps there are, what each
//! needs, and the config of the image that comes out. Pure: nothing is read,
//! nothing is run.
//!
//! The configs of base images have to be known, since `ENV`, `USER`, `WORKDIR`,
//! `SHELL` and `ONBUILD` of a base have their say: [`plan`] asks for those that it
//! needs and does not have, and is called again with them.

mod address;
mod config;
mod copy;
mod devices;
mod go;
mod metadata;
mod options;
mod origins;
mod outline;
mod platforms;
mod ports;
mod run;
mod scope;
mod sources;
mod stages;
mod step;
mod trigger;
mod values;
mod walk;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use address::{archive, git};
pub use config::document;
pub use options::{Grants, Insecure, NamedContext, NoCache, Options};
pub use outline::{Outline, Target, outline, targets};
pub(super) use sources::loads;
pub use step::*;

use crate::dockerfile::{Dockerfile, Problem, Span, Warning};
use crate::image::{ConfigFile, Platform};

/// What has to be done for a target, and what comes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Each behind those that it needs; only those that the target needs.
    pub steps: Vec<Step>,
    /// The step whose files are the image's; `None` is an image without a file.
    pub result: Root,
    /// The result's config: all but its `rootfs` and `created`, which follow from the
    /// layers. Its history has the base's entries first; those that are not
    /// `empty_layer` are as many as the base's layers and the steps on the way from
    /// it to the result.
    pub config: ConfigFile,
    /// A `CMD` was given: `ArgsEscaped` is set as `BuildKit` sets it.
    pub has_escaped_args: bool,
    /// Seconds since 1970 that all times of the result are (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
    /// What the checks found, in the order of the file.
    pub warnings: Vec<Warning>,
    /// Whether the file asks for warnings to be errors (`# check=error=true`).
    pub warnings_are_errors: bool,
    /// Build arguments that nothing declares.
    pub unused_arguments: Vec<String>,
}

impl Plan {
    fn commands(&self) -> impl Iterator<Item = &Run> {
        self.steps.iter().filter_map(|step| match &step.kind {
            Kind::Run(run) => Some(run),
            _ => None,
        })
    }

    /// Names of devices that commands ask for and do without.
    pub fn left_out(&self) -> impl Iterator<Item = &str> {
        let devices = self.commands().flat_map(|run| &run.left_out);
        devices.map(String::as_str)
    }

    /// Ids of the SSH agents that steps ask.
    pub fn agents(&self) -> BTreeSet<&str> {
        let mounts = self.commands().flat_map(|run| &run.mounts);
        let mounted = mounts.filter_map(|mount| match &mount.kind {
            MountKind::Ssh { id, .. } => Some(id.as_str()),
            _ => None,
        });
        let fetching = self.steps.iter().filter_map(|step| match &step.kind {
            Kind::Source(Source::Git(git)) => git.agent(),
            _ => None,
        });
        mounted.chain(fetching).collect()
    }
}

/// A base whose config has to be known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum BaseRequest {
    /// An image.
    Image {
        /// Normalised: `docker.io/library/busybox:latest`.
        reference: String,
        /// For which platform.
        platform: String,
    },
    /// The result of another build.
    Build {
        /// Its name, as the named context has it.
        name: String,
    },
    /// An image in a folder.
    Layout {
        /// `oci-layout://PATH`, as the named context has it.
        layout: String,
        /// For which platform.
        platform: String,
    },
}

/// What is known of a base.
#[derive(Debug, Clone, PartialEq)]
pub struct BaseImage {
    /// Its config.
    pub config: ConfigFile,
    /// The digest of its manifest or index, where a registry gave one: the source is
    /// pinned to it.
    pub digest: Option<String>,
}

/// What is known of all bases.
pub type Bases = BTreeMap<BaseRequest, BaseImage>;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All is known.
    Ready(Box<Plan>),
    /// These have to be known first, each with the place that names it.
    Needs(Vec<(BaseRequest, Span)>),
}

/// Plans a build.
///
/// # Errors
/// What is wrong beyond the form of the file: no such target or stage, a circle, a
/// variable that must be set, a value that is none of its kind.
pub fn plan(file: &Dockerfile, options: &Options, bases: &Bases) -> Result<Outcome, Vec<Problem>> {
    let mut stages = stages::Stages::of(file, options)?;
    let needs = stages.settle(bases).map_err(|problem| vec![problem])?;
    if !needs.is_empty() {
        return Ok(Outcome::Needs(needs));
    }
    walk::plan(stages).map(|plan| Outcome::Ready(Box::new(plan)))
}

/// More problems are not told.
const MOST_PROBLEMS: usize = 50;

/// The platform that is meant where nobody says any.
pub(crate) fn host() -> Platform {
    Platform::host()
}
