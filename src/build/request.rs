//! What is asked of the builder, whoever asks: a service's `build:`, or
//! `skiff image build`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::graph::{Grants, Sandbox};
use super::outputs::Output;
use super::shared_cache::{CacheFrom, CacheTo};
use super::spooled::Spooled;
use crate::compose::Diagnostic;
use crate::image::{Platform, Reference};

/// One image to be built.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The service that it is for, shown before the names of its steps; empty where
    /// it is the only one.
    pub label: String,
    /// The folder that COPY copies from.
    pub context: ContextPlace,
    /// Where parts of it are written.
    pub at: Places,
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
    /// What is written of it beside the store.
    pub outputs: Vec<Output>,
    /// Nobody asks for the image itself: without a name it goes with the next
    /// collection, unless it was there before.
    pub is_passing: bool,
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
    /// What the image is for; none: this machine. Of several the first is what its
    /// names mean here, and all of them where they are pushed to.
    pub platforms: Vec<Platform>,
    /// `SOURCE_DATE_EPOCH`
    pub epoch: Option<i64>,
}

/// Where parts of a request are written, for what is wrong with them: positions and
/// excerpts; none where no file says it.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The context.
    pub context: Option<Diagnostic>,
    /// The Dockerfile's name; where nothing says it, the context stands for it.
    pub dockerfile: Option<Diagnostic>,
    /// The stage to build.
    pub target: Option<Diagnostic>,
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
    /// What is given, else the caller's agent.
    ///
    /// # Errors
    /// There is neither, or what is named is neither a socket nor a file: why, as a
    /// message.
    pub fn given(path: Option<&str>, agent: Option<&str>, base: &Path) -> Result<Self, String> {
        if let Some(path) = path.filter(|path| !path.is_empty()) {
            return Self::parse(path, base);
        }
        let agent = agent.filter(|path| !path.is_empty());
        let agent = agent.ok_or("there is no agent: SSH_AUTH_SOCK is not set")?;
        Self::parse(agent, base).map_err(|why| format!("SSH_AUTH_SOCK: {why}"))
    }

    /// Reads `SOCKET` or `KEY[,KEY…]`; relative paths are below `base`.
    fn parse(text: &str, base: &Path) -> Result<Self, String> {
        use std::os::unix::fs::FileTypeExt as _;
        let whole = base.join(text);
        if fs_err::metadata(&whole).is_ok_and(|found| found.file_type().is_socket()) {
            return Ok(Self::Agent(whole));
        }
        let key = |path: &str| {
            let path = base.join(path);
            let shown = path.display();
            match fs_err::metadata(&path) {
                Ok(found) if found.is_file() => Ok(path),
                Ok(found) if found.file_type().is_socket() => {
                    Err(format!("`{shown}` is an agent's socket, which goes alone"))
                }
                Ok(_) => Err(format!(
                    "`{shown}` is neither the socket of an agent nor the file of a key"
                )),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(format!(
                    "there is no `{shown}`: neither the socket of an agent nor a key"
                )),
                Err(error) => Err(error.to_string()),
            }
        };
        text.split(',')
            .map(key)
            .collect::<Result<_, _>>()
            .map(Self::Keys)
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
    /// An archive at a web address.
    Archive(String),
    /// An image in a folder of the OCI layout.
    Layout(LayoutPlace),
    /// An archive that came as a stream.
    Spooled(Spooled),
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
        if let Some(layout) = text.strip_prefix("oci-layout://") {
            return Self::Layout(LayoutPlace::parse(layout, base));
        }
        if is_git(text) {
            return Self::Git(text.to_owned());
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Self::Archive(text.to_owned());
        }
        Self::Folder(base.join(text))
    }
}

/// An image in a folder of the OCI layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutPlace {
    /// The folder, absolute.
    pub folder: PathBuf,
    /// Which of its images, by name.
    pub tag: String,
    /// Which of its images, by digest, whatever the name says.
    pub digest: Option<String>,
}

impl LayoutPlace {
    /// Reads `PATH[:TAG][@DIGEST]`; a relative path is below `base`.
    fn parse(text: &str, base: &std::path::Path) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (rest, "latest"),
        };
        Self {
            folder: base.join(path),
            tag: tag.to_owned(),
            digest,
        }
    }
}

impl std::fmt::Display for LayoutPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "oci-layout://{}:{}", self.folder.display(), self.tag)?;
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// Whether a context is a repository, as Docker tells it.
fn is_git(text: &str) -> bool {
    let address = text.split(['#', '?']).next().unwrap_or_default();
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
        let layout = |path: &str, tag: &str, digest: Option<&str>| {
            ContextPlace::Layout(LayoutPlace {
                folder: PathBuf::from("/base").join(path),
                tag: tag.to_owned(),
                digest: digest.map(str::to_owned),
            })
        };
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
            (
                "https://example.org/a.git?branch=main",
                git("https://example.org/a.git?branch=main"),
            ),
            (
                "https://example.org/a.tar.gz",
                ContextPlace::Archive("https://example.org/a.tar.gz".to_owned()),
            ),
            ("oci-layout://x", layout("x", "latest", None)),
            ("oci-layout://x:1.0", layout("x", "1.0", None)),
            (
                "oci-layout://x@sha256:12",
                layout("x", "latest", Some("sha256:12")),
            ),
        ] {
            assert_eq!(
                ContextPlace::parse(text, "/base".as_ref()),
                wanted,
                "{text}"
            );
        }
    }
}
