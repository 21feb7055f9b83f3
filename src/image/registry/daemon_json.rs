//! What Docker's `daemon.json` says of registries: `registry-mirrors` (of
//! Docker Hub alone) and `insecure-registries` (dockerd(8)).

use std::net::IpAddr;

use reqwest::Url;
use serde::Deserialize;

use super::endpoint::{Endpoint, Trust};
use crate::image::reference::{DEFAULT_DOMAIN, Reference};

/// The settings about registries; all others are passed over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DaemonSettings {
    mirrors: Vec<Mirror>,
    insecure: Vec<Insecure>,
}

#[derive(Debug, PartialEq, Eq)]
struct Mirror {
    /// `host[:port]`.
    host: String,
    plain: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Insecure {
    /// `host[:port]`.
    Host(String),
    /// Addresses of a network.
    Network(IpAddr, u8),
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct File {
    registry_mirrors: Vec<String>,
    insecure_registries: Vec<String>,
}

/// Reads the file's text.
pub(super) fn parse(text: &[u8]) -> Result<DaemonSettings, String> {
    let file: File = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let mirrors = file.registry_mirrors.iter().map(|text| mirror(text));
    Ok(DaemonSettings {
        mirrors: mirrors.collect::<Result<_, _>>()?,
        insecure: file
            .insecure_registries
            .iter()
            .map(|text| insecure(text))
            .collect(),
    })
}

fn mirror(text: &str) -> Result<Mirror, String> {
    let bad = |reason: &str| format!("registry-mirrors: `{text}` {reason}");
    let url = Url::parse(text).map_err(|_| bad("is no address like https://HOST"))?;
    let (scheme, host) = (url.scheme(), url.host_str().unwrap_or_default());
    if !matches!(scheme, "http" | "https") || host.is_empty() {
        return Err(bad("is no address like https://HOST"));
    }
    if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
        return Err(bad(
            "has more than scheme, host and port, which dockerd refuses too",
        ));
    }
    let port = url.port().map(|port| format!(":{port}"));
    Ok(Mirror {
        host: format!("{host}{}", port.unwrap_or_default()),
        plain: scheme == "http",
    })
}

fn insecure(text: &str) -> Insecure {
    let text = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
        .unwrap_or(text);
    text.split_once('/')
        .and_then(|(address, bits)| {
            Some(Insecure::Network(address.parse().ok()?, bits.parse().ok()?))
        })
        .unwrap_or_else(|| Insecure::Host(text.trim_end_matches('/').to_owned()))
}

impl DaemonSettings {
    /// The mirrors of an image: of those of Docker Hub alone.
    pub(super) fn mirrors_of(&self, reference: &Reference) -> Vec<Endpoint> {
        if reference.domain() != DEFAULT_DOMAIN {
            return Vec::new();
        }
        let at = |mirror: &Mirror| {
            let trust = match mirror {
                Mirror { plain: true, .. } => Trust::Plain,
                Mirror { host, .. } => self.trust(host),
            };
            Endpoint::at(&format!("{}/{}", mirror.host, reference.path()), trust).into_mirror()
        };
        self.mirrors.iter().map(at).collect()
    }

    /// How much `host[:port]` has to prove. Networks are about hosts that are
    /// given by address.
    pub(super) fn trust(&self, host: &str) -> Trust {
        let address = host_alone(host).parse::<IpAddr>().ok();
        let listed = self.insecure.iter().any(|one| match one {
            Insecure::Host(listed) => listed == host,
            Insecure::Network(network, bits) => {
                address.is_some_and(|address| within(address, *network, *bits))
            }
        });
        if listed {
            Trust::Anything
        } else {
            Trust::Usual
        }
    }
}

fn host_alone(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (one, other, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits()), u128::from(n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128),
        _ => return false,
    };
    let dropped = width - u32::from(bits).min(width);
    one.checked_shr(dropped).unwrap_or(0) == other.checked_shr(dropped).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_of_docker_hub_alone() {
        let settings = parse(
            br#"{"registry-mirrors": ["https://m.test", "http://n.test:5000/"], "debug": true,
                "insecure-registries": ["m.test"]}"#,
        )
        .unwrap();
        let hub = settings.mirrors_of(&Reference::parse("nginx").unwrap());
        let told: Vec<_> = hub
            .iter()
            .map(|one| {
                (
                    one.host.as_str(),
                    one.path.as_str(),
                    one.trust,
                    one.is_mirror,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("m.test", "library/nginx", Trust::Anything, true),
                ("n.test:5000", "library/nginx", Trust::Plain, true)
            ]
        );
        assert_eq!(
            settings.mirrors_of(&Reference::parse("a.io/x").unwrap()),
            []
        );
    }

    #[test]
    fn insecure_registries_are_hosts_and_networks() {
        let settings = parse(
            br#"{"insecure-registries": ["a.test:5000", "http://b.test/", "10.0.0.0/8", "fd00::/8",
                "0.0.0.0/33"]}"#,
        )
        .unwrap();
        for (host, expected) in [
            ("a.test:5000", true),
            ("a.test", false),
            ("b.test", true),
            ("10.1.2.3:5000", true),
            ("10.1.2.3", true),
            ("11.1.2.3:5000", false),
            ("[fd12::1]:5000", true),
            ("[fe80::1]:5000", false),
        ] {
            assert_eq!(settings.trust(host) == Trust::Anything, expected, "{host}");
        }
        let all = parse(br#"{"insecure-registries": ["0.0.0.0/0"]}"#).unwrap();
        assert_eq!(all.trust("1.2.3.4"), Trust::Anything);
    }

    #[test]
    fn what_dockerd_refuses_is_refused() {
        for (text, part) in [
            ("{", "EOF"),
            (
                r#"{"registry-mirrors": ["m.test"]}"#,
                "`m.test` is no address",
            ),
            (r#"{"registry-mirrors": ["ftp://m.test"]}"#, "no address"),
            (
                r#"{"registry-mirrors": ["https://m.test/x"]}"#,
                "has more than",
            ),
            (
                r#"{"registry-mirrors": ["https://u:p@m.test"]}"#,
                "has more than",
            ),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert_eq!(parse(b"{}").unwrap(), DaemonSettings::default());
    }
}
