//! How registries are reached and who we are there: one value for a command.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::http::{self, Proxies};
use crate::env;

/// Settings of registry access, shared by all pulls of a command; cheap to
/// clone. HTTP clients are made at their first use and kept.
#[derive(Debug, Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    docker_config: Option<PathBuf>,
    insecure: Vec<String>,
    proxies: Proxies,
    certificates: http::Certificates,
    direct: OnceLock<reqwest::Client>,
    secure: OnceLock<reqwest::Client>,
}

impl Access {
    /// From the environment: proxies, certificates, and Docker's `config.json`
    /// in `DOCKER_CONFIG` or `HOME/.docker`.
    pub fn from_env() -> Self {
        let docker_config = env::read_path(env::DOCKER_CONFIG)
            .or_else(|| env::read_path(env::HOME).map(|home| home.join(".docker")));
        Self::new(docker_config, Vec::new())
    }

    /// With an explicit folder of Docker's `config.json` (of the user that
    /// called sudo, say), and hosts (`name` or `name:port`) that are spoken to
    /// in plain HTTP; proxies and certificates from the environment.
    pub fn new(docker_config: Option<PathBuf>, insecure: Vec<String>) -> Self {
        Self {
            inner: Arc::new(Inner {
                docker_config,
                insecure,
                proxies: Proxies::from_env(),
                certificates: http::Certificates::from_env(),
                direct: OnceLock::new(),
                secure: OnceLock::new(),
            }),
        }
    }

    /// The file with credentials, if it is known where that would be.
    pub(super) fn docker_config(&self) -> Option<PathBuf> {
        self.inner
            .docker_config
            .as_ref()
            .map(|folder| folder.join("config.json"))
    }

    /// Whether plain HTTP may be spoken to a host.
    pub(super) fn allows_plain(&self, host: &str) -> bool {
        http::is_loopback(host) || self.inner.insecure.iter().any(|listed| listed == host)
    }

    /// The client for a URL: a plain one without proxies for plain HTTP to this
    /// machine, else the one with certificates and proxies.
    pub(super) fn client(&self, url: &reqwest::Url) -> Result<&reqwest::Client, String> {
        let direct =
            url.scheme() == "http" && http::is_loopback(url.host_str().unwrap_or_default());
        let (cell, build): (_, &dyn Fn() -> Result<reqwest::Client, String>) = if direct {
            (&self.inner.direct, &http::direct_client)
        } else {
            (&self.inner.secure, &|| {
                http::secure_client(&self.inner.proxies, &self.inner.certificates)
            })
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = build()?;
        Ok(cell.get_or_init(|| client))
    }
}
