//! What is asked of the builder, whoever asks: a service's `build:`, or
//! `skiff image build`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::graph::{Grants, Sandbox};
use super::remote::{CacheFrom, CacheTo};
use crate::image::{Platform, Reference};

/// One image to be built.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The service that it is for, shown before the names of its steps; empty where
    /// it is the only one.
    pub label: String,
    /// The folder that COPY copies from.
    pub context: ContextPlace,
    /// The Dockerfile.
    pub dockerfile: DockerfilePlace,
    /// Further contexts by name.
    pub contexts: BTreeMap<String, ContextPlace>,
    /// The stage to build; absent: the last one.
    pub target: Option<String>,
    /// Values for `ARG`.
    pub args: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Its names.
    pub names: Vec<Reference>,
    /// Caches of other machines to take steps from.
    pub cache_from: Vec<CacheFrom>,
    /// And to put steps into.
    pub cache_to: Vec<CacheTo>,
    /// Every step is carried out.
    pub no_cache: bool,
    /// The steps of these stages are.
    pub no_cache_stages: Vec<String>,
    /// Base images are pulled, whether they are here or not.
    pub pull: bool,
    /// Network of commands: `default`, `none`, `host`, or a network's name.
    pub network: Option<String>,
    /// What commands may have that a container does not have by itself.
    pub grants: Grants,
    /// What is the same for all commands.
    pub sandbox: Sandbox,
    /// Secrets by id.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// SSH agents and keys by id.
    pub ssh: BTreeMap<String, SshSource>,
    /// What the image is for; absent: this machine.
    pub platform: Option<Platform>,
    /// `SOURCE_DATE_EPOCH`
    pub epoch: Option<i64>,
}

/// What signs for `RUN --mount=type=ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshSource {
    /// The socket of an agent.
    Agent(PathBuf),
    /// Files of private keys.
    Keys(Vec<PathBuf>),
}

impl SshSource {
    /// Reads `SOCKET` or `KEY[,KEY…]`; relative paths are below `base`.
    pub fn parse(text: &str, base: &Path) -> Self {
        use std::os::unix::fs::FileTypeExt as _;
        let whole = base.join(text);
        if fs_err::metadata(&whole).is_ok_and(|found| found.file_type().is_socket()) {
            return Self::Agent(whole);
        }
        Self::Keys(text.split(',').map(|path| base.join(path)).collect())
    }
}

/// Where a context's files are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ContextPlace {
    /// There are none.
    #[default]
    Nothing,
    /// A folder, absolute.
    Folder(PathBuf),
    /// An image.
    Image(String),
    /// What another request builds, by its label.
    Build(String),
    /// A git repository, `URL#REFERENCE:FOLDER`.
    Git(String),
}

impl ContextPlace {
    /// Reads what the command line or a Compose file gives; relative paths are below
    /// `base`.
    pub fn parse(text: &str, base: &std::path::Path) -> Self {
        if let Some(image) = text.strip_prefix("docker-image://") {
            return Self::Image(image.to_owned());
        }
        if let Some(service) = text.strip_prefix("service:") {
            return Self::Build(service.to_owned());
        }
        if is_git(text) {
            return Self::Git(text.to_owned());
        }
        Self::Folder(base.join(text))
    }
}

/// Whether a context is a repository, as Docker tells it.
fn is_git(text: &str) -> bool {
    let (address, _) = text.split_once('#').unwrap_or((text, ""));
    let begins = |schemes: &[&str]| schemes.iter().any(|scheme| address.starts_with(scheme));
    begins(&["git://", "ssh://", "git@", "github.com/"])
        // As a server has it, in small letters.
        || begins(&["http://", "https://"]) && address.rsplit('.').next() == Some("git")
}

/// Where a Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfilePlace {
    /// A file, relative to the context's folder or absolute.
    File(PathBuf),
    /// Its text, and what messages call it.
    Text {
        /// `compose.yaml`
        name: PathBuf,
        /// The whole of it.
        text: String,
    },
}

impl DockerfilePlace {
    /// The file, where it is one.
    pub fn file(&self) -> Option<&std::path::Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Text { .. } => None,
        }
    }
}

impl Default for DockerfilePlace {
    fn default() -> Self {
        Self::File("Dockerfile".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_told_apart() {
        let folder = |path: &str| ContextPlace::Folder(path.into());
        let git = |text: &str| ContextPlace::Git(text.to_owned());
        for (text, wanted) in [
            (".", folder("/base/.")),
            ("sub/dir", folder("/base/sub/dir")),
            ("/abs", folder("/abs")),
            (
                "docker-image://alpine:3",
                ContextPlace::Image("alpine:3".to_owned()),
            ),
            ("service:db", ContextPlace::Build("db".to_owned())),
            (
                "https://example.org/a.git#main:sub",
                git("https://example.org/a.git#main:sub"),
            ),
            ("git@example.org:a.git", git("git@example.org:a.git")),
            ("github.com/a/b", git("github.com/a/b")),
            ("a.git", folder("/base/a.git")),
        ] {
            assert_eq!(
                ContextPlace::parse(text, "/base".as_ref()),
                wanted,
                "{text}"
            );
        }
    }
}
