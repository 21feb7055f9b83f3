//! What is asked for beside the Dockerfile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::step::{Network, Sandbox, Source};
use crate::build::ignore::Ignore;
use crate::image::{Platform, Reference};

/// Which stages are built anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NoCache {
    /// None: what is cached is used.
    #[default]
    Nothing,
    /// All of them.
    All,
    /// Those with these names.
    Stages(BTreeSet<String>),
}

/// What a name in `FROM`, `COPY --from` and `RUN --mount=from` means instead of an
/// image or a stage (`additional_contexts`, `--build-context`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A folder of the machine.
    Folder,
    /// An image; `scratch` is an empty one.
    Image(String),
    /// A git repository, as the main context can be one.
    Git(String),
    /// An archive at a web address.
    Archive(String),
    /// The result of another build.
    Build(String),
    /// An image in a folder, by how it is given: `oci-layout://PATH`.
    Layout(String),
}

/// What commands may have that a container does not have by itself: `BuildKit`'s
/// entitlements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grants {
    /// `RUN --network=host` may be asked for (`network.host`).
    pub host_network: bool,
    /// Which commands are not confined (`security.insecure`).
    pub insecure: Insecure,
}

impl Grants {
    /// Grants one more, by `BuildKit`'s name for it.
    ///
    /// # Errors
    /// There is none of that name, or it is not for Linux: why, as a message.
    pub fn add(&mut self, entitlement: &str) -> Result<(), String> {
        match entitlement {
            "network.host" => self.host_network = true,
            "security.insecure" => self.insecure = Insecure::WhereAsked,
            text if text == "device" || text.starts_with("device=") => {
                return Err("builds are given no CDI devices".to_owned());
            }
            _ => {
                return Err(format!(
                    "`{entitlement}` is no entitlement; there are `network.host` and \
                     `security.insecure`"
                ));
            }
        }
        Ok(())
    }
}

/// Which commands are not confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Insecure {
    /// None; it is an error to ask for it.
    #[default]
    Refused,
    /// Those that ask for it: `RUN --security=insecure`.
    WhereAsked,
    /// All that do not ask for the opposite.
    Always,
}

/// The options of a build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The stage that is wanted; the last one where none is named.
    pub target: Option<String>,
    /// Plan for all stages, needed or not (`--check`).
    pub all_stages: bool,
    /// Build arguments.
    pub arguments: BTreeMap<String, String>,
    /// The build context, where it is no folder of this machine.
    pub context: Option<Source>,
    /// Named contexts, by the names as they are given.
    pub contexts: BTreeMap<String, NamedContext>,
    /// The platform that is built for; where none is named, that of the base.
    pub platform: Option<Platform>,
    /// The platform that is built on; where none is named, that of the machine.
    pub build_platform: Option<Platform>,
    /// Whether steps are shown with their platform: several are built at once.
    pub shows_platform: bool,
    /// Labels of the result, beside those of the file.
    pub labels: BTreeMap<String, String>,
    /// What is built anew.
    pub no_cache: NoCache,
    /// The network of commands that say nothing about it.
    pub network: Network,
    /// What commands may ask for.
    pub grants: Grants,
    /// What is the same for all commands.
    pub sandbox: Arc<Sandbox>,
    /// `.dockerignore` of the build context.
    pub ignore: Option<Ignore>,
}

impl Options {
    /// The named context for a stage or an image.
    pub(super) fn named(&self, name: &str) -> Option<(&str, &NamedContext)> {
        if self.contexts.is_empty() || ["scratch", "context"].contains(&name) {
            return None;
        }
        let key = context_key(name);
        let mut contexts = self.contexts.iter();
        let found = contexts.find(|(name, _)| context_key(name) == key);
        found.map(|(name, context)| (name.as_str(), context))
    }

    pub(super) fn ignores_cache(&self, stage: Option<&str>) -> bool {
        match &self.no_cache {
            NoCache::Nothing => false,
            NoCache::All => true,
            NoCache::Stages(names) => {
                stage.is_some_and(|stage| names.iter().any(|name| name.eq_ignore_ascii_case(stage)))
            }
        }
    }
}

/// Names of contexts are compared as references are: `debian` is `debian:latest`.
fn context_key(name: &str) -> String {
    let lower = name.to_lowercase();
    match Reference::parse(&lower) {
        Ok(reference) => {
            let familiar = reference.familiar();
            familiar
                .strip_suffix(":latest")
                .unwrap_or(&familiar)
                .to_owned()
        }
        Err(_) => lower,
    }
}
