//! Image references and their normalisation: `nginx` means
//! `docker.io/library/nginx:latest`.
//!
//! The grammar is that of the distribution project's reference format, which
//! Docker and every registry share:
//! `[host[:port]/]path/components[:tag][@sha256:digest]`.

use std::fmt;
use std::str::FromStr;

use super::digest::{Digest, DigestError, is_lower_hex};

/// The registry that a reference without a host means.
pub const DEFAULT_DOMAIN: &str = "docker.io";
/// An older name of the default registry.
const LEGACY_DOMAIN: &str = "index.docker.io";
/// The namespace of the default registry's official images.
const OFFICIAL: &str = "library/";
/// The tag that a reference without tag and digest means.
pub const DEFAULT_TAG: &str = "latest";
/// Longest repository path, as the reference format sets it.
const PATH_LIMIT: usize = 255;
/// Longest tag.
const TAG_LIMIT: usize = 128;

/// A normalised image reference; it has a tag, a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses a reference as a user writes it, and completes it.
    ///
    /// # Errors
    /// The part that breaks the grammar, by kind.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let fail = |reason| ReferenceError {
            reference: text.to_owned(),
            reason,
        };
        if text.is_empty() {
            return Err(fail(ReferenceProblem::Empty));
        }
        if let Some(bad) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return Err(fail(ReferenceProblem::Character(bad)));
        }
        if text.contains("://") {
            return Err(fail(ReferenceProblem::Scheme));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = Digest::parse(digest).map_err(|e| fail(e.into()))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        if let Some(tag) = tag {
            check_tag(tag).map_err(fail)?;
        }
        let (domain, path) = split_domain(name);
        if domain != DEFAULT_DOMAIN {
            check_domain(domain).map_err(fail)?;
        }
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
            if path.len() == 64 && is_lower_hex(path) {
                return Err(fail(ReferenceProblem::LooksLikeId));
            }
            check_path(path).map_err(fail)?;
            format!("{OFFICIAL}{path}")
        } else {
            check_path(path).map_err(fail)?;
            path.to_owned()
        };
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some(DEFAULT_TAG.to_owned()),
        };
        Ok(Self {
            domain: domain.to_owned(),
            path,
            tag,
            digest,
        })
    }

    /// Host and port of the registry as named: `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag; absent only where a digest stands alone.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where one is given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What a manifest is asked for by: the digest, else the tag.
    pub fn manifest_selector(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => DEFAULT_TAG,
        }
    }

    /// Repository with its registry: `docker.io/library/nginx`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The shortest text that means the same repository: `nginx`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL) {
            // `docker.io/library/a/b` is not `a/b`.
            Some(short) if !short.contains('/') => short.to_owned(),
            Some(_) | None if self.first_component_reads_as_domain() => self.name(),
            Some(_) | None => self.path.clone(),
        }
    }

    /// The shortest text that means the same image: `nginx:1.27`.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// The same repository with another tag and no digest.
    ///
    /// # Errors
    /// The tag breaks the grammar.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        check_tag(tag).map_err(|reason| ReferenceError {
            reference: format!("{}:{tag}", self.familiar_name()),
            reason,
        })?;
        Ok(Self {
            domain: self.domain.clone(),
            path: self.path.clone(),
            tag: Some(tag.to_owned()),
            digest: None,
        })
    }

    fn first_component_reads_as_domain(&self) -> bool {
        self.path
            .split_once('/')
            .is_some_and(|(first, _)| reads_as_domain(first))
    }

    fn with_suffix(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(digest.as_str());
        }
        text
    }
}

impl fmt::Display for Reference {
    /// The full form: `docker.io/library/nginx:latest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.name()))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

/// A text that is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{reference}` is not an image reference: {reason}")]
pub struct ReferenceError {
    /// The text as given.
    pub reference: String,
    /// Which rule it breaks.
    pub reason: ReferenceProblem,
}

/// Which rule of the grammar a text breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceProblem {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// White space or a control character.
    #[error("it contains the character {0:?}")]
    Character(char),
    /// `https://…`.
    #[error("it is written without `http://` or `https://`")]
    Scheme,
    /// An upper-case repository.
    #[error("the repository `{0}` must be in lower case")]
    UpperCase(String),
    /// A component of the path breaks the grammar.
    #[error("the part `{0}` may hold only a-z, 0-9 and single `.`, `_`, `__` or `-` between them")]
    Component(String),
    /// `//`, or a slash at either end.
    #[error("a part between slashes is empty")]
    EmptyComponent,
    /// Over 255 characters.
    #[error("the repository is longer than {PATH_LIMIT} characters")]
    TooLong,
    /// 64 hexadecimal digits are an id, not a name.
    #[error("64 hexadecimal digits are an image id, not a name")]
    LooksLikeId,
    /// The host.
    #[error("`{0}` is not a registry host")]
    Host(String),
    /// The port.
    #[error("`{0}` is not a port number")]
    Port(String),
    /// The tag.
    #[error(
        "the tag `{0}` must be 1 to 128 letters, digits, `_`, `.` or `-`, not beginning with `.` or `-`"
    )]
    Tag(String),
    /// The digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// Cuts a tag off: what follows the last colon, if no slash does.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && !tag.ends_with(']') => (name, Some(tag)),
        Some(_) | None => (text, None),
    }
}

/// Cuts the registry off, by Docker's rule of thumb.
fn split_domain(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((LEGACY_DOMAIN, path)) => (DEFAULT_DOMAIN, path),
        Some((first, path)) if reads_as_domain(first) => (first, path),
        Some(_) | None => (DEFAULT_DOMAIN, name),
    }
}

/// A first component is a host if it has a dot or a colon, is `localhost` or
/// has an upper-case letter, which no repository may have.
fn reads_as_domain(first: &str) -> bool {
    first.contains(['.', ':'])
        || first == "localhost"
        || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_domain(domain: &str) -> Result<(), ReferenceProblem> {
    let bad_host = || ReferenceProblem::Host(domain.to_owned());
    let (host, port) = if let Some(rest) = domain.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or_else(bad_host)?;
        let valid = address.parse::<std::net::Ipv6Addr>().is_ok();
        let port = match port {
            "" => None,
            port => Some(port.strip_prefix(':').ok_or_else(bad_host)?),
        };
        return if valid {
            check_port(port)
        } else {
            Err(bad_host())
        };
    } else {
        match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        }
    };
    let label_is_valid = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if !host.split('.').all(label_is_valid) {
        return Err(bad_host());
    }
    check_port(port)
}

fn check_port(port: Option<&str>) -> Result<(), ReferenceProblem> {
    match port {
        None => Ok(()),
        Some(text) if text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok() => {
            Ok(())
        }
        Some(text) => Err(ReferenceProblem::Port(text.to_owned())),
    }
}

fn check_path(path: &str) -> Result<(), ReferenceProblem> {
    if path.len() > PATH_LIMIT {
        return Err(ReferenceProblem::TooLong);
    }
    for component in path.split('/') {
        if component.is_empty() {
            return Err(ReferenceProblem::EmptyComponent);
        }
        if component.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ReferenceProblem::UpperCase(path.to_owned()));
        }
        if !component_is_valid(component) {
            return Err(ReferenceProblem::Component(component.to_owned()));
        }
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
fn component_is_valid(component: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !component.starts_with(alphanumeric) || !component.ends_with(alphanumeric) {
        return false;
    }
    component.split(alphanumeric).all(|separator| {
        matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
    })
}

fn check_tag(tag: &str) -> Result<(), ReferenceProblem> {
    let valid = !tag.is_empty()
        && tag.len() <= TAG_LIMIT
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if valid {
        Ok(())
    } else {
        Err(ReferenceProblem::Tag(tag.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_are_normalised_as_docker_does() {
        let with_digest = format!("redis@{HEX}");
        let with_both = format!("quay.io/a/b:v1@{HEX}");
        let digest_full = format!("docker.io/library/redis@{HEX}");
        for (text, full, familiar) in [
            ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"),
            (
                "grafana/grafana",
                "docker.io/grafana/grafana:latest",
                "grafana/grafana:latest",
            ),
            (
                "docker.io/nginx",
                "docker.io/library/nginx:latest",
                "nginx:latest",
            ),
            (
                "index.docker.io/nginx",
                "docker.io/library/nginx:latest",
                "nginx:latest",
            ),
            (
                "docker.io/library/nginx",
                "docker.io/library/nginx:latest",
                "nginx:latest",
            ),
            (
                "library/nginx",
                "docker.io/library/nginx:latest",
                "nginx:latest",
            ),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            (
                "localhost:5000/a:b",
                "localhost:5000/a:b",
                "localhost:5000/a:b",
            ),
            (
                "127.0.0.1:5000/busybox",
                "127.0.0.1:5000/busybox:latest",
                "127.0.0.1:5000/busybox:latest",
            ),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            (
                "ghcr.io/Org/x".to_lowercase().as_str(),
                "ghcr.io/org/x:latest",
                "ghcr.io/org/x:latest",
            ),
            ("Host/x", "Host/x:latest", "Host/x:latest"),
            ("a/b/c", "docker.io/a/b/c:latest", "a/b/c:latest"),
            (
                "a__b/c--d.e_f:X",
                "docker.io/a__b/c--d.e_f:X",
                "a__b/c--d.e_f:X",
            ),
            (&with_digest, &digest_full, &with_digest),
            (&with_both, &with_both, &with_both),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
            assert_eq!(Reference::parse(&reference.familiar()).unwrap(), reference);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_with_its_reason() {
        use ReferenceProblem as P;
        let id = "a".repeat(64);
        let long = "a/".repeat(130) + "a";
        for (text, expected) in [
            ("", P::Empty),
            ("a b", P::Character(' ')),
            ("https://ghcr.io/a", P::Scheme),
            ("Nginx", P::UpperCase("Nginx".into())),
            ("quay.io/Nginx", P::UpperCase("Nginx".into())),
            ("-a", P::Component("-a".into())),
            ("a..b", P::Component("a..b".into())),
            ("a___b", P::Component("a___b".into())),
            ("a//b", P::EmptyComponent),
            ("/a", P::EmptyComponent),
            ("a/", P::EmptyComponent),
            (&long, P::TooLong),
            (&id, P::LooksLikeId),
            ("a_b.c/d", P::Host("a_b.c".into())),
            ("a.b:x/d", P::Port("x".into())),
            ("a.b:99999/d", P::Port("99999".into())),
            ("a:", P::Tag(String::new())),
            ("a:-x", P::Tag("-x".into())),
            (
                "a@sha256:12",
                P::Digest(DigestError::Digits("sha256:12".into())),
            ),
            ("a@md5:12", P::Digest(DigestError::Algorithm("md5".into()))),
        ] {
            assert_eq!(
                Reference::parse(text).unwrap_err().reason,
                expected,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_and_never_panics(text in ".{0,80}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(&Reference::parse(&reference.to_string()).unwrap(), &reference);
                prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
            }
        }

        #[test]
        fn full_and_familiar_form_mean_the_same(
            domain in "(|docker\\.io/|index\\.docker\\.io/|localhost/|localhost:[1-9][0-9]{0,3}/|[a-z]{1,5}\\.[a-z]{2,3}(:[1-9][0-9]{0,3})?/)",
            path in "(library/)?[a-z0-9]{1,6}((_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,6}(\\.[a-z]{1,3})?){0,2}",
            tag in "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,12})?",
            digest in "(@sha256:[0-9a-f]{64})?",
        ) {
            let text = format!("{domain}{path}{tag}{digest}");
            let reference = Reference::parse(&text).unwrap();
            prop_assert!(reference.tag().is_some() || reference.digest().is_some());
            prop_assert_eq!(&Reference::parse(&reference.to_string()).unwrap(), &reference);
            prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
            prop_assert!(reference.familiar().len() <= reference.to_string().len());
        }
    }
}
