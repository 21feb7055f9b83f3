//! What can go wrong with images.

use std::io;
use std::path::PathBuf;

use super::digest::Digest;
use super::reference::ReferenceError;
use super::registry::Reason;

/// An operation on images failed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The text is no image reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Nothing answers at the registry's address.
    #[error("cannot reach registry `{registry}`{}: {}", purpose(reference), reason.text)]
    Unreachable {
        /// Host and port.
        registry: String,
        /// The image or part of it that was asked for; empty for none.
        reference: String,
        /// The cause.
        reason: Reason,
    },
    /// The registry has no such image.
    #[error("registry `{registry}` has no image `{reference}`{}", detail(message.as_ref()))]
    NotFound {
        /// Host and port.
        registry: String,
        /// The image.
        reference: String,
        /// What the registry says about it.
        message: Option<String>,
    },
    /// The registry refuses access.
    #[error("registry `{registry}` denies access to `{reference}`{}", detail(message.as_ref()))]
    Denied {
        /// Host and port.
        registry: String,
        /// The image.
        reference: String,
        /// What the registry says about it.
        message: Option<String>,
    },
    /// The registry answers something else than what was asked for.
    #[error("registry `{registry}` answers `{status}`{}{}", purpose(reference), detail(message.as_ref()))]
    Registry {
        /// Host and port.
        registry: String,
        /// The image or part of it; empty for none.
        reference: String,
        /// HTTP status.
        status: String,
        /// What the registry says about it.
        message: Option<String>,
    },
    /// A document is not what the specification asks for.
    #[error("cannot understand {what}: {reason}")]
    Malformed {
        /// Which document: `manifest of nginx:latest`.
        what: String,
        /// Why.
        reason: String,
    },
    /// Content does not have the digest it was asked for by.
    #[error("{what} has digest `{found}` where `{expected}` was expected; nothing of it is kept")]
    WrongDigest {
        /// Which content.
        what: String,
        /// As the manifest or the reference names it.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// Content does not have the size its descriptor states.
    #[error("{what} has {found} bytes where {expected} were expected; nothing of it is kept")]
    WrongSize {
        /// Which content.
        what: String,
        /// As the descriptor states it.
        expected: u64,
        /// As received.
        found: u64,
    },
    /// The image exists, but not for this platform.
    #[error("image `{reference}` is not there for {wanted}, only for {}", available.join(", "))]
    NoPlatform {
        /// The image.
        reference: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        available: Vec<String>,
    },
    /// A layer cannot be unpacked.
    #[error("cannot unpack {what}: {reason}")]
    Unpack {
        /// Which layer.
        what: String,
        /// Which entry and why.
        reason: String,
    },
    /// A folder cannot become a layer.
    #[error("cannot make a layer of `{}`: {reason}", folder.display())]
    Commit {
        /// What a build step left.
        folder: PathBuf,
        /// Which file and why.
        reason: String,
    },
    /// A file given to `load` holds no image.
    #[error("cannot load {what}: {reason}")]
    Archive {
        /// File name or `standard input`.
        what: String,
        /// Why.
        reason: String,
    },
    /// A layer's archive cannot be made again.
    #[error("the archive of layer {} cannot be made again: it held several files of one name, and the last one is kept", .0.short())]
    Inexact(Digest),
    /// What is saved cannot be written.
    #[error("cannot write {what}: {source}")]
    Output {
        /// File name or `standard output`.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// Docker's `config.json` or a credential helper fails.
    #[error("cannot get credentials for registry `{registry}` from {origin}: {reason}")]
    Credentials {
        /// Host and port.
        registry: String,
        /// The file or the helper.
        origin: String,
        /// Why.
        reason: String,
    },
    /// What is pushed gets its digest from what it is.
    #[error("cannot push to `{0}`: a name to push to has a tag and no digest")]
    PushByDigest(String),
    /// Credentials cannot be kept, or not be taken away.
    #[error("cannot change the credentials for registry `{registry}` in {keeper}: {reason}")]
    Keeping {
        /// Host and port.
        registry: String,
        /// The file or the helper.
        keeper: String,
        /// Why.
        reason: String,
    },
    /// The text is no registry.
    #[error(
        "`{0}` is not a registry: it is HOST or HOST:PORT, with a dot or a port in it, as before the first `/` of an image"
    )]
    NoRegistry(String),
    /// The registry takes neither this user nor this password.
    #[error("registry `{registry}` refuses to log in `{user}`{}", detail(message.as_ref()))]
    LoginRefused {
        /// Host and port.
        registry: String,
        /// Who wanted in.
        user: String,
        /// What the registry says about it.
        message: Option<String>,
    },
    /// A file about registries is damaged.
    #[error("cannot use `{}`: {reason}", path.display())]
    Settings {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// `registries.conf` forbids to pull it.
    #[error("pulling `{reference}` is blocked: registries.conf says so of `{prefix}`")]
    Blocked {
        /// The image.
        reference: String,
        /// The `prefix` of the rule.
        prefix: String,
    },
    /// An id prefix that several images share.
    #[error("`{text}` means {count} images; give more digits of the id")]
    Ambiguous {
        /// As given.
        text: String,
        /// How many.
        count: usize,
    },
    /// No such image in the store.
    #[error("no image `{0}` here")]
    NoSuchImage(String),
    /// The store on disk.
    #[error("cannot {op} `{}`: {source}", path.display())]
    Store {
        /// What was tried, as it fits after "cannot".
        op: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A task of a pull ended without a result.
    #[error("the work on {what} was broken off")]
    Interrupted {
        /// Which layer or image.
        what: String,
    },
}

impl ImageError {
    /// What the user can do about a push that failed, where that is known.
    pub fn push_hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { reason, .. } => Some(remedy(reason).to_owned()),
            other => other.hint(),
        }
    }

    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable {
                reason, reference, ..
            } => {
                let remedy = remedy(reason);
                if reference.is_empty() {
                    return Some(remedy.to_owned());
                }
                Some(format!("{remedy}; or get the image in with `skiff load`"))
            }
            Self::NotFound { .. } => Some("check the spelling of the name and the tag".to_owned()),
            Self::Denied { registry, .. } => Some(format!(
                "log in with `skiff login {registry}`; a private image that you may not see is reported like this too"
            )),
            Self::LoginRefused { .. } => Some(
                "check user and password; many registries take an access token only".to_owned(),
            ),
            Self::NoPlatform { available, .. } => available.first().map(|p| {
                format!("`--platform {p}`, or `platform: {p}` of a service, takes that one")
            }),
            Self::Registry { status, .. } if status.starts_with("429") => {
                Some("the registry limits how much may be pulled; wait, or log in".to_owned())
            }
            Self::Inexact(_) => {
                Some("copy it from its registry, with skopeo for example".to_owned())
            }
            Self::Store { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("images are kept in a folder of root's; run it with sudo".to_owned())
            }
            Self::Reference(_)
            | Self::Registry { .. }
            | Self::Malformed { .. }
            | Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::Unpack { .. }
            | Self::Commit { .. }
            | Self::Archive { .. }
            | Self::Output { .. }
            | Self::Credentials { .. }
            | Self::Keeping { .. }
            | Self::NoRegistry(_)
            | Self::PushByDigest(_)
            | Self::Settings { .. }
            | Self::Blocked { .. }
            | Self::Ambiguous { .. }
            | Self::NoSuchImage(_)
            | Self::Store { .. }
            | Self::Interrupted { .. } => None,
        }
    }
}

fn remedy(reason: &Reason) -> &'static str {
    let general = "check the network and the proxy variables";
    reason.remedy.unwrap_or(general)
}

fn purpose(reference: &str) -> String {
    if reference.is_empty() {
        return String::new();
    }
    format!(" for `{reference}`")
}

fn detail(message: Option<&String>) -> String {
    message.map(|m| format!(": {m}")).unwrap_or_default()
}

/// Names the path and the operation of a failed file operation.
pub(crate) trait StoreContext<T> {
    /// Adds what was tried on which path.
    fn store(self, op: &'static str, path: &std::path::Path) -> Result<T, ImageError>;
}

impl<T, E: Into<io::Error>> StoreContext<T> for Result<T, E> {
    fn store(self, op: &'static str, path: &std::path::Path) -> Result<T, ImageError> {
        self.map_err(|error| ImageError::Store {
            op,
            path: path.to_owned(),
            source: plain(error.into(), path),
        })
    }
}

/// Takes the path out of an error of `fs_err`, for it is named already.
fn plain(error: io::Error, path: &std::path::Path) -> io::Error {
    let text = error.to_string();
    match text.split_once(&format!("`{}`: ", path.display())) {
        Some((_, reason)) => io::Error::new(error.kind(), reason.to_owned()),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn advice_is_for_what_was_tried() {
        let unreachable = ImageError::Unreachable {
            registry: "a.test".to_owned(),
            reference: "a.test/x".to_owned(),
            reason: "why".into(),
        };
        let general = "check the network and the proxy variables";
        let pull = format!("{general}; or get the image in with `skiff load`");
        assert_eq!(unreachable.hint(), Some(pull));
        assert_eq!(unreachable.push_hint().as_deref(), Some(general));
        let other = ImageError::NoPlatform {
            reference: "x".to_owned(),
            wanted: "linux/arm64".to_owned(),
            available: vec!["linux/amd64".to_owned()],
        };
        let advice =
            "`--platform linux/amd64`, or `platform: linux/amd64` of a service, takes that one";
        assert_eq!(other.hint().as_deref(), Some(advice));
        assert_eq!(other.push_hint(), other.hint());
    }

    #[test]
    fn a_store_error_names_its_path_once() {
        let path = Path::new("/nonexistent/x");
        let error = fs_err::read(path).store("read", path).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read `/nonexistent/x`: No such file or directory (os error 2)"
        );
    }
}
