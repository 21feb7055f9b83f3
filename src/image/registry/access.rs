//! How registries are reached and who we are there: one value for a command.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use super::http;
use crate::env;

/// What [`Access`] is made of.
#[derive(Debug, Clone, Default)]
pub struct AccessOptions {
    /// Folder of Docker's `config.json` (of the user that called sudo, say).
    pub docker_config: Option<PathBuf>,
    /// Hosts, `name` or `name:port`, that are spoken to in plain HTTP beside
    /// those that are this machine.
    pub insecure: Vec<String>,
    /// Proxy for plain HTTP.
    pub http_proxy: Option<String>,
    /// Proxy for https.
    pub https_proxy: Option<String>,
    /// Hosts reached without a proxy, with commas between them.
    pub no_proxy: Option<String>,
    /// File of trusted certificates instead of the system's.
    pub certificate_file: Option<PathBuf>,
    /// Folder of trusted certificates instead of the system's.
    pub certificate_folder: Option<PathBuf>,
}

impl AccessOptions {
    /// From the environment: `DOCKER_CONFIG`, else `HOME/.docker`;
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` in either case,
    /// the upper one first as in Go programs; `SSL_CERT_FILE`, `SSL_CERT_DIR`.
    pub fn from_env() -> Self {
        let either = |upper: &str| {
            env::read_string(upper).or_else(|| env::read_string(&upper.to_ascii_lowercase()))
        };
        let all = either(env::ALL_PROXY);
        Self {
            docker_config: env::read_path(env::DOCKER_CONFIG)
                .or_else(|| env::read_path(env::HOME).map(|home| home.join(".docker"))),
            insecure: Vec::new(),
            http_proxy: either(env::HTTP_PROXY).or_else(|| all.clone()),
            https_proxy: either(env::HTTPS_PROXY).or(all),
            no_proxy: either(env::NO_PROXY),
            certificate_file: env::read_path(env::SSL_CERT_FILE),
            certificate_folder: env::read_path(env::SSL_CERT_DIR),
        }
    }
}

/// Settings of registry access, shared by all pulls of a command; cheap to
/// clone. HTTP clients are made at their first use and kept.
#[derive(Debug, Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: AccessOptions,
    direct: OnceLock<reqwest::Client>,
    secure: OnceLock<reqwest::Client>,
}

impl Access {
    /// With these options.
    pub fn new(options: AccessOptions) -> Self {
        Self {
            inner: Arc::new(Inner {
                options,
                direct: OnceLock::new(),
                secure: OnceLock::new(),
            }),
        }
    }

    /// As the environment says.
    pub fn from_env() -> Self {
        Self::new(AccessOptions::from_env())
    }

    /// The file with credentials, if it is known where that would be.
    pub(super) fn docker_config(&self) -> Option<PathBuf> {
        self.inner
            .options
            .docker_config
            .as_ref()
            .map(|folder| folder.join("config.json"))
    }

    /// Whether plain HTTP may be spoken to a host.
    pub(super) fn allows_plain(&self, host: &str) -> bool {
        http::is_loopback(host)
            || self
                .inner
                .options
                .insecure
                .iter()
                .any(|listed| listed == host)
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
                http::secure_client(&self.inner.options)
            })
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = build()?;
        Ok(cell.get_or_init(|| client))
    }
}
