//! One place where an image's content may be had.

use super::http::is_loopback;
use crate::image::reference::{DEFAULT_DOMAIN, Reference};

/// What stands in for Docker Hub's name in addresses.
const DEFAULT_HOST: &str = "registry-1.docker.io";

/// How much a registry has to prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Trust {
    /// TLS with a certificate that is trusted; this machine itself may speak
    /// plain HTTP.
    #[default]
    Usual,
    /// TLS with any certificate, else plain HTTP.
    Anything,
    /// Plain HTTP and nothing else, as the address says.
    Plain,
}

/// A repository at a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Who it is to the user and in credentials: `docker.io`, `host:5000`.
    pub(super) name: String,
    /// Who is spoken to: `registry-1.docker.io`, `host:5000`.
    pub(super) host: String,
    /// The repository there.
    pub(super) path: String,
    pub(super) trust: Trust,
    /// It stands in for another registry: what it does not have is no error.
    pub(super) is_mirror: bool,
}

impl Endpoint {
    /// From `host[:port]/path`.
    pub(super) fn at(place: &str, trust: Trust) -> Self {
        let (name, path) = place.split_once('/').unwrap_or((place, ""));
        let host = if name == DEFAULT_DOMAIN {
            DEFAULT_HOST
        } else {
            name
        };
        Self {
            name: name.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            trust,
            is_mirror: false,
        }
    }

    /// The registry that a reference names.
    pub(super) fn own(reference: &Reference, trust: Trust) -> Self {
        Self::at(&reference.name(), trust)
    }

    /// The same as a mirror.
    pub(super) fn into_mirror(self) -> Self {
        Self {
            is_mirror: true,
            ..self
        }
    }

    /// What addresses may be tried, in this order.
    pub(super) fn schemes(&self) -> &'static [&'static str] {
        match self.trust {
            Trust::Plain => &["http"],
            // What runs on this machine speaks plain HTTP as a rule.
            _ if is_loopback(&self.host) => &["http", "https"],
            Trust::Usual => &["https"],
            Trust::Anything => &["https", "http"],
        }
    }

    /// The host without its port.
    pub(super) fn host_name(&self) -> &str {
        match self.host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => &self.host,
        }
    }

    /// What its folder of certificates may be called.
    pub(super) fn certificate_names(&self) -> Vec<String> {
        let mut names = vec![self.host.clone()];
        if self.name != self.host {
            names.push(self.name.clone());
        }
        if !self.host.contains(':') {
            names.push(format!("{}:443", self.host));
        }
        names
    }

    /// Whether any certificate will do. Docker asks nothing of 127.0.0.0/8.
    pub(super) fn takes_any_certificate(&self) -> bool {
        self.trust == Trust::Anything
    }

    /// Whether passwords may go over plain HTTP, as the user wants it so.
    pub(super) fn allows_plain(&self) -> bool {
        self.schemes().contains(&"http")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_is_asked_at_its_api_host() {
        let of = |image: &str| Endpoint::own(&Reference::parse(image).unwrap(), Trust::Usual);
        let hub = of("nginx");
        assert_eq!(hub.host, "registry-1.docker.io");
        assert_eq!(hub.path, "library/nginx");
        assert_eq!(hub.certificate_names()[1], "docker.io");
        let other = of("quay.io:5000/a");
        assert_eq!(
            (other.host.as_str(), other.host_name()),
            ("quay.io:5000", "quay.io")
        );
    }

    #[test]
    fn plain_http_is_for_this_machine_and_what_is_listed() {
        for (place, trust, expected) in [
            ("a.io/x", Trust::Usual, &["https"][..]),
            ("a.io/x", Trust::Anything, &["https", "http"]),
            ("a.io/x", Trust::Plain, &["http"]),
            ("127.0.0.1:5000/x", Trust::Usual, &["http", "https"]),
            ("localhost:5000/x", Trust::Anything, &["http", "https"]),
        ] {
            assert_eq!(Endpoint::at(place, trust).schemes(), expected, "{place}");
        }
    }
}
