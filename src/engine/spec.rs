//! What the engine is given: plain serde types, no Compose.
//!
//! Based on the OCI runtime specification 1.2; the additions are what Docker
//! does around it (users by name, fresh volumes, generated files).

use std::path::PathBuf;

use oci_spec::runtime;
use serde::{Deserialize, Serialize};

/// Everything the set-up code of one container needs.
///
/// It travels as JSON in a sealed memfd that only the new child reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InitSpec {
    /// Container id, 64 hexadecimal digits.
    pub id: String,
    /// The OCI runtime spec: `process`, `mounts`, `linux`, `hostname`. Its
    /// `root.readonly` counts, `root.path` does not (see [`InitSpec::root`]);
    /// `linux.seccomp` is unused (see [`Seccomp`]); `linux.namespaces` lists
    /// what is unshared (network by path or absent: the caller's).
    pub oci: runtime::Spec,
    /// The root file system.
    pub root: RootSpec,
    /// Who runs the program, by name or number as in an image's config
    /// (`user[:group]`); resolved in the container's own passwd and group.
    pub user: Option<String>,
    /// Additional groups by name or number.
    pub groups: Vec<String>,
    /// Mounts whose empty source first receives the image folder's content.
    pub volumes: Vec<VolumeMount>,
    /// Roots of other images, mounted in the container (a build's
    /// `RUN --mount=from=…`).
    #[serde(default)]
    pub trees: Vec<TreeMount>,
    /// Files that exist nowhere on the host: mounted from a private tmpfs.
    pub files: Vec<InlineFile>,
    /// The system call filter.
    pub seccomp: Seccomp,
    /// Run a tiny init as process 1 that forwards signals and reaps.
    pub init: bool,
}

/// An overlay of image layers, or a plain folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootSpec {
    /// overlayfs over image layers.
    Overlay {
        /// Layer folders, the topmost first. Empty means an empty root.
        layers: Vec<PathBuf>,
        /// The writable layer.
        upper: PathBuf,
        /// overlayfs' work folder, beside `upper`.
        work: PathBuf,
        /// Mount `volatile`: the content is thrown away at the end.
        volatile: bool,
    },
    /// An existing folder, as OCI bundles have it.
    Folder {
        /// The root's path on the host.
        path: PathBuf,
    },
}

/// A volume folder mounted in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// The folder on the host (`…/_data`).
    pub source: PathBuf,
    /// Absolute path in the container.
    pub destination: String,
    /// Mounted read-only.
    pub read_only: bool,
    /// Copy the image's content, owner and mode into an empty source first.
    pub copy_up: bool,
    /// Folder or file below the source, resolved so that no symlink in the
    /// volume leads out of it. It must exist.
    #[serde(default)]
    pub subpath: Option<String>,
}

/// Another image's root, or a part of it, mounted in the container. What is
/// written to it goes to its own upper folder, never to the layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeMount {
    /// The image's root.
    pub root: RootSpec,
    /// Folder or file in it; symlinks are followed inside.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub destination: String,
    /// Mounted read-only.
    pub read_only: bool,
}

/// A small file whose content comes with the spec (configs, secrets).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlineFile {
    /// Absolute path in the container.
    pub destination: String,
    /// Its bytes.
    #[serde(with = "base64_bytes")]
    pub content: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Owner: a number, or a name of the container's passwd.
    pub uid: String,
    /// Group: a number, or a name of the container's group file.
    pub gid: String,
}

/// Which system call filter a container gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// Docker's default profile, shaped by the container's capabilities.
    Default,
    /// None.
    Unconfined,
    /// A profile in Docker's JSON format (a superset of OCI's), as text.
    Profile(String),
}

/// A further process in a running container, as `exec` and health probes need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// args, env (complete), cwd, capabilities, rlimits, noNewPrivileges,
    /// terminal and console size; its `user` is unused.
    pub process: runtime::Process,
    /// As [`InitSpec::user`].
    pub user: Option<String>,
    /// As [`InitSpec::groups`].
    pub groups: Vec<String>,
    /// As [`InitSpec::seccomp`].
    pub seccomp: Seccomp,
}

/// [`InitError::step`] where the container's passwd file has no such user.
pub const FIND_USER: &str = "find the user";
/// [`InitError::step`] where the container's group file has no such group.
pub const FIND_GROUP: &str = "find the group";

/// [`InitError::step`] where a kernel parameter, `KEY` or `KEY=VALUE`, is refused.
pub const SET_SYSCTL: &str = "set the sysctl";
/// [`InitError::step`] where a limit, `RLIMIT_NOFILE`, is refused.
pub const SET_LIMIT: &str = "set the resource limit";
/// [`InitError::step`] where a volume's folder, or a path in it, is not there.
pub const OPEN_VOLUME: &str = "open the volume";
/// [`InitError::step`] where an image has nothing at a mount's source.
pub const OPEN_TREE: &str = "open the mount's source in the image";
/// [`InitError::step`] where a bind's source cannot be taken.
pub const OPEN_SOURCE: &str = "open the mount's source";
/// [`InitError::step`] where nothing could be mounted on a place in the container.
pub const MOUNT: &str = "mount";
/// [`InitError::step`] where that place could not be made.
pub const MAKE_TARGET: &str = "make the mount target";
/// [`InitError::step`] where a volume could not be given the image's content.
pub const COPY_UP: &str = "copy the image's content into the volume";
/// [`InitError::step`] where the working directory cannot be entered.
pub const ENTER_FOLDER: &str = "change to the working directory";

/// A failure in the child between clone and exec, as it crosses to the parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("cannot {step}{}: {}", object.as_ref().map(|o| format!(" `{o}`")).unwrap_or_default(), message.clone().unwrap_or_else(|| std::io::Error::from_raw_os_error(*errno).to_string()))]
pub struct InitError {
    /// What was tried, as it fits after "cannot": `mount`, `find the user`.
    pub step: String,
    /// On what: a path, a name.
    pub object: Option<String>,
    /// The errno, 0 where there is none.
    pub errno: i32,
    /// Text that says more than the errno.
    pub message: Option<String>,
    /// The exit code that `docker run` gives for this: 127 where the program
    /// is not found, 126 where it cannot be executed, else 125... 128.
    pub exit_code: i32,
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        STANDARD
            .decode(String::deserialize(d)?)
            .map_err(D::Error::custom)
    }
}
