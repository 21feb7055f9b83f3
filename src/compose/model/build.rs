//! `build`: the Compose Build Specification.

use indexmap::IndexMap;

use super::record::{Cx, Emit, Form, Parse, record};
use super::{ExtraHosts, FileReference, Labels, OptionsMap, Ulimit, Variables};
use crate::compose::printed::Printed;
use crate::compose::tree::Node;
use crate::compose::units::Bytes;

record! {
    /// How a service's image is made.
    Build {
        /// Folder, or the URL of a repository.
        context: Option<String>,
        /// Path below the context.
        dockerfile: Option<String>,
        /// The Dockerfile itself.
        dockerfile_inline: Option<String>,
        /// Extra privileges.
        entitlements: Vec<String>,
        /// Build arguments; those without a value come from the environment.
        args: Variables,
        /// Provenance attestation.
        provenance: Option<String>,
        /// Software bill of materials attestation.
        sbom: Option<String>,
        /// SSH agents or keys.
        ssh: SshKeys,
        /// Labels of the image.
        labels: Labels,
        /// Where cached layers are taken from.
        cache_from: Vec<String>,
        /// Where cached layers are put.
        cache_to: Vec<String>,
        /// Build without the cache.
        no_cache: bool,
        /// Stages to build without the cache.
        no_cache_filter: Vec<String>,
        /// Further contexts by name.
        additional_contexts: OptionsMap,
        /// Pull base images anew.
        pull: bool,
        /// Additional hosts.
        extra_hosts: ExtraHosts,
        /// Isolation technology.
        isolation: Option<String>,
        /// Network of `RUN` steps.
        network: Option<String>,
        /// Stage to build.
        target: Option<String>,
        /// Secrets of `RUN` steps.
        secrets: Vec<FileReference>,
        /// Size of /dev/shm.
        shm_size: Option<Bytes>,
        /// Additional names of the image.
        tags: Vec<String>,
        /// Limits.
        ulimits: IndexMap<String, Ulimit>,
        /// Platforms to build for.
        platforms: Vec<String>,
        /// Privileged `RUN` steps.
        privileged: bool,
    }
}

/// An SSH agent socket or key given to the build. The reference cannot print one
/// with a path as JSON: its `config --format json` fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshKey {
    /// Its id.
    pub id: String,
    /// Its path; absent for the agent's.
    pub path: Option<String>,
}

/// All of `build.ssh`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshKeys(pub Vec<SshKey>);

impl Parse for SshKeys {
    fn parse(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.as_map() else {
            return cx.fail(node, format!("is {}", node.kind()), "`default` or ID=PATH");
        };
        let key = |(id, path): (&String, &Node)| SshKey {
            id: id.clone(),
            path: path.scalar_text(),
        };
        Some(Self(map.iter().map(key).collect()))
    }
}

impl Emit for SshKeys {
    fn value(&self, form: Form) -> Printed {
        self.0.value(form)
    }

    fn omit(&self, _form: Form) -> bool {
        self.0.is_empty()
    }
}

impl Emit for SshKey {
    fn value(&self, _form: Form) -> Printed {
        Printed::String(match &self.path {
            Some(path) => format!("{}={path}", self.id),
            None => self.id.clone(),
        })
    }
}
