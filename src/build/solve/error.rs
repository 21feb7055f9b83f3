//! Why a build did not come to its end.

use std::io;
use std::path::PathBuf;

use super::copy::CopyError;
use super::output::OutputLine;
use crate::build::fetch::git::GitError;
use crate::build::graph::StepId;
use crate::causes::with_causes;
use crate::engine::spec::InitError;
use crate::image::{Digest, FetchError, ImageError, Place, Platform};
use crate::supervise::client::ClientError;
use crate::supervise::wire::Failure;

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct StepError {
    /// Which.
    pub step: StepId,
    /// Why.
    #[source]
    pub error: BuildError,
    /// The last lines that its command wrote.
    pub output: Vec<OutputLine>,
}

/// What failed in a step, or beside it.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The engine could not be reached, or refused.
    #[error(transparent)]
    Engine(#[from] ClientError),
    /// A pipe for a step's output.
    #[error("cannot make a pipe")]
    Pipe(#[source] io::Error),
    /// The store of images.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A root could not be mounted, or has no such user.
    #[error(transparent)]
    Root(#[from] InitError),
    /// The kernel cannot execute the step's programs.
    #[error("this machine cannot run programs for {platform}")]
    Foreign {
        /// What the step is for.
        platform: Platform,
        /// What to do.
        hint: Option<String>,
    },
    /// Files could not be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Files of the build's own.
    #[error("cannot {action} `{path}`", path = path.display())]
    Files {
        /// `read`
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A command ended with a code other than 0.
    #[error("process \"{command}\" did not complete successfully: exit code: {code}")]
    Exit {
        /// The command line.
        command: String,
        /// Its exit code.
        code: i32,
    },
    /// A command's end was not seen: its supervisor was killed.
    #[error("process \"{command}\" was lost")]
    Lost {
        /// The command line.
        command: String,
    },
    /// Nothing matches a source.
    #[error("`{what}` not found{}", ignored.as_ref().map(|by| format!(": it is excluded by {by}")).unwrap_or_default())]
    Missing {
        /// The source as written.
        what: String,
        /// The file of patterns that excludes it, where one does.
        ignored: Option<String>,
        /// What is there under similar names.
        nearest: Vec<String>,
    },
    /// A file of a web server could not be had.
    #[error("cannot get `{url}`")]
    Fetch {
        /// Its address.
        url: String,
        /// Why.
        #[source]
        source: FetchError,
    },
    /// A file of a web server is another one than it has to be.
    #[error("`{url}` has the checksum {found}, where {expected} was expected")]
    Checksum {
        /// Its address.
        url: String,
        /// As given.
        expected: String,
        /// As computed.
        found: Digest,
    },
    /// There is no such file.
    #[error("there is no Dockerfile `{path}`", path = path.display())]
    NoDockerfile {
        /// Where it was looked for.
        path: PathBuf,
        /// What is there under similar names.
        nearest: Vec<String>,
    },
    /// Several images where one was expected.
    #[error("an archive of an image has room for one platform")]
    OneOnly,
    /// Bytes for a screen.
    #[error("an archive is no text for a terminal")]
    Terminal,
    /// Something that is no context.
    #[error("`{what}` is no context: {reason}")]
    NoContext {
        /// As given.
        what: String,
        /// Why.
        reason: String,
    },
    /// A context that is neither a folder nor an archive.
    #[error("`{url}` is no archive (tar, also with gzip, bzip2, xz or zstd), so it is no context")]
    NoArchive {
        /// Its address.
        url: String,
    },
    /// A repository could not be had.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A file changed between being looked at and being copied.
    #[error("files of the context change while they are copied")]
    Changed,
    /// A source that was not given.
    #[error("{what}: nothing was given for it")]
    NoSource {
        /// The step.
        what: String,
    },
    /// `--chmod` is no mode.
    #[error("`{text}` is no mode: an octal number, or words such as `u=rwX,go=rX`")]
    NoMode {
        /// As written.
        text: String,
    },
    /// A secret or an agent that is required was not given.
    #[error("{what} `{id}` is required, and was not given")]
    NoSecret {
        /// `the secret`
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A shared cache does not have a layer that it says to have.
    #[error("cannot use the cache `{place}`")]
    CacheLost {
        /// Which.
        place: Place,
        /// Why.
        #[source]
        source: Box<ImageError>,
    },
    /// A cache for other machines.
    #[error("cannot write the cache `{place}`")]
    CacheNotWritten {
        /// Which.
        place: Place,
        /// Why.
        #[source]
        source: Box<ImageError>,
    },
    /// A program that the machine has to have.
    #[error("`{program}` is not installed (sudo apt-get install {package})")]
    NoProgram {
        /// `ssh-agent`
        program: &'static str,
        /// Debian's package.
        package: &'static str,
    },
    /// An agent does not take SSH keys.
    #[error("cannot use the SSH key{} {}: {said}", if keys.len() == 1 { "" } else { "s" }, shown(keys))]
    Keys {
        /// Their files.
        keys: Vec<PathBuf>,
        /// What `ssh-add` said.
        said: String,
    },
    /// There is no room any more.
    #[error("{}: the disk is full, `{folder}` has {free} of {size} MB left", with_causes(&**failed), folder = folder.display())]
    Full {
        /// What failed of it.
        failed: Box<BuildError>,
        /// Where skiff's data is.
        folder: PathBuf,
        /// Megabytes that may still be written.
        free: u64,
        /// Megabytes of the file system.
        size: u64,
    },
    /// Something that skiff does not do.
    #[error("{what} is not supported")]
    Unsupported {
        /// What.
        what: String,
    },
    /// What commands are to be connected to is not there.
    #[error("there is no network `{0}` for the commands of a build")]
    NoNetwork(String),
    /// The user asked to stop.
    #[error("interrupted")]
    Cancelled,
}

fn shown(keys: &[PathBuf]) -> String {
    let keys: Vec<String> = keys
        .iter()
        .map(|key| format!("`{}`", key.display()))
        .collect();
    keys.join(", ")
}

/// What helps against a full disk.
const ROOM: &str = "`skiff build prune` takes away what no image has of builds, `skiff image prune -a` images \
                    without containers";

impl BuildError {
    /// What it means that a step for this platform failed so.
    pub(super) fn on(self, platform: &Platform) -> Self {
        match &self {
            Self::Engine(error) if *platform != Platform::host() => match error.failure() {
                Some(failure @ Failure::Init { error, .. }) if error.errno == libc::ENOEXEC => {
                    Self::Foreign {
                        platform: platform.clone(),
                        hint: failure.hint(),
                    }
                }
                _ => self,
            },
            _ => self,
        }
    }

    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Git(error) => error.hint(),
            Self::Fetch { source, .. } => source.hint(),
            Self::Checksum { found, .. } => {
                Some(format!("if the change is meant: `--checksum={found}`"))
            }
            Self::NoDockerfile { nearest, .. } => alternatives(nearest),
            Self::Missing {
                nearest, ignored, ..
            } => {
                if let Some(names) = alternatives(nearest) {
                    return Some(names);
                }
                let help = "take its pattern out of that file, or add `!` and its name";
                ignored.as_ref().map(|_| help.to_owned())
            }
            Self::Engine(error) => error.failure().and_then(Failure::hint),
            Self::Foreign { hint, .. } => hint.clone(),
            Self::Image(error) => error.hint(),
            Self::NoNetwork(_) => Some(
                "`default`, `none` and `host` are always there; others come with the `up` of a project"
                    .to_owned(),
            ),
            Self::Full { .. } => Some(ROOM.to_owned()),
            _ => None,
        }
    }

    /// For `map_err`, of calls about a path.
    pub(crate) fn files(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Files {
            action,
            path,
            source,
        }
    }
}

fn alternatives(names: &[String]) -> Option<String> {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("did you mean {}?", names.join(" or ")))
}
