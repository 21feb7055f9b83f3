//! How registries are reached and who we are there: one value for a command.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::account::Account;
use super::certs::{self, Certificates};
use super::docker_config::Place;
use super::endpoint::Endpoint;
use super::http::{self, Specials};
use super::reason::Reason;
use super::settings::{Settings, SettingsFiles};
use crate::env;
use crate::image::error::ImageError;
use crate::image::reference::Reference;

/// What [`Access`] is made of. By default nothing of the machine is read.
#[derive(Debug, Clone, Default)]
pub struct AccessOptions {
    /// Folder of Docker's `config.json` (of the user that called sudo, say).
    pub docker_config: Option<PathBuf>,
    /// The `auths` of such a file as a text, which go before those of the file.
    pub docker_auths: Option<String>,
    /// Who its files belong to and its credential helpers run as; `None`: who
    /// we are.
    pub account: Option<Account>,
    /// Hosts, `name` or `name:port`, that any certificate, and plain HTTP, is
    /// taken from.
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
    /// The machine's settings of registries.
    pub files: SettingsFiles,
    /// How long a transfer may stand still before it is begun anew where it
    /// stopped (default: a minute).
    pub patience: Option<Duration>,
}

impl AccessOptions {
    /// From the environment: `DOCKER_CONFIG`, else `HOME/.docker`; `DOCKER_AUTH_CONFIG`;
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` in either case,
    /// the upper one first as in Go programs; `SSL_CERT_FILE`, `SSL_CERT_DIR`;
    /// `CONTAINERS_REGISTRIES_CONF` and the machine's files.
    pub fn from_env() -> Self {
        let home = env::read_path(env::HOME);
        let docker_config = env::read_path(env::DOCKER_CONFIG)
            .or_else(|| home.as_ref().map(|home| home.join(".docker")));
        let either = |upper: &str| {
            env::read_string(upper).or_else(|| env::read_string(&upper.to_ascii_lowercase()))
        };
        let all = either(env::ALL_PROXY);
        Self {
            docker_config,
            docker_auths: env::read_string(env::DOCKER_AUTH_CONFIG),
            account: None,
            insecure: Vec::new(),
            http_proxy: either(env::HTTP_PROXY).or_else(|| all.clone()),
            https_proxy: either(env::HTTPS_PROXY).or(all),
            no_proxy: either(env::NO_PROXY),
            certificate_file: env::read_path(env::SSL_CERT_FILE),
            certificate_folder: env::read_path(env::SSL_CERT_DIR),
            files: SettingsFiles::of_machine(home.as_deref()),
            patience: None,
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
    settings: OnceLock<Settings>,
    clients: Mutex<HashMap<ClientKind, reqwest::Client>>,
}

/// What makes clients differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum ClientKind {
    /// Plain HTTP to this machine, without proxies.
    Direct { uploads: bool },
    /// With the certificates of a folder.
    Secure {
        folder: Option<PathBuf>,
        /// To the registry itself, and not to where it sends us.
        own: bool,
        any: bool,
        uploads: bool,
    },
}

impl Access {
    /// With these options.
    pub fn new(options: AccessOptions) -> Self {
        Self {
            inner: Arc::new(Inner {
                options,
                settings: OnceLock::new(),
                clients: Mutex::default(),
            }),
        }
    }

    /// As the environment says.
    pub fn from_env() -> Self {
        Self::new(AccessOptions::from_env())
    }

    /// The file with credentials, if it is known where that would be.
    pub(super) fn docker_config(&self) -> Option<Place> {
        let options = &self.inner.options;
        let folder = options.docker_config.as_ref()?;
        Some(Place::new(folder, options.account.clone()))
    }

    /// What goes before that file.
    pub(super) fn docker_auths(&self) -> Option<&str> {
        self.inner.options.docker_auths.as_deref()
    }

    /// The places to pull an image from, in order: mirrors, then its registry.
    ///
    /// # Errors
    /// Pulling it is forbidden, or a file of settings is damaged.
    pub(crate) fn places(&self, reference: &Reference) -> Result<Vec<Endpoint>, ImageError> {
        self.settings()?.places(reference)
    }

    /// The registry that a reference names, to push to.
    ///
    /// # Errors
    /// A file of settings is damaged.
    pub(crate) fn own_place(&self, reference: &Reference) -> Result<Endpoint, ImageError> {
        Ok(self.settings()?.own(reference))
    }

    fn settings(&self) -> Result<&Settings, ImageError> {
        if let Some(settings) = self.inner.settings.get() {
            return Ok(settings);
        }
        let options = &self.inner.options;
        let settings = Settings::read(&options.files, &options.insecure)?;
        Ok(self.inner.settings.get_or_init(|| settings))
    }

    /// How long a transfer may stand still.
    pub(super) fn patience(&self) -> Duration {
        http::patience(&self.inner.options)
    }

    /// The client for an address that a registry, `endpoint`, is at or sends
    /// us to. Its authorities count for where it sends us, too, as for Docker;
    /// our own certificate is shown to nobody else, and being insecure is for
    /// the registry's host alone.
    pub(super) fn client(
        &self,
        endpoint: &Endpoint,
        url: &reqwest::Url,
        uploads: bool,
    ) -> Result<reqwest::Client, String> {
        self.client_of(self.kind(endpoint, url, uploads))
    }

    fn client_of(&self, kind: ClientKind) -> Result<reqwest::Client, String> {
        let lock = || {
            self.inner
                .clients
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(client) = lock().get(&kind) {
            return Ok(client.clone());
        }
        let client = self.make(&kind)?;
        Ok(lock().entry(kind).or_insert(client).clone())
    }

    /// Why a request failed; of one through a proxy, with its name where that failed.
    pub(super) fn reason(&self, error: &reqwest::Error) -> Reason {
        let options = &self.inner.options;
        let proxy = error.url().and_then(|url| http::proxy_of(options, url));
        Reason::through(proxy.as_deref(), error)
    }

    /// The client for an address that has to do with no registry.
    pub(super) fn plain_client(&self, url: &reqwest::Url) -> Result<reqwest::Client, String> {
        let host = url.host_str().unwrap_or_default();
        self.client_of(if url.scheme() == "http" && http::is_loopback(host) {
            ClientKind::Direct { uploads: false }
        } else {
            ClientKind::Secure {
                folder: None,
                own: false,
                any: false,
                uploads: false,
            }
        })
    }

    /// Who the user is, where that is not who we are.
    pub(crate) fn account(&self) -> Option<&Account> {
        self.inner.options.account.as_ref()
    }

    /// What a program of another's needs to have in its environment to reach hosts as
    /// we do: proxies, and trusted certificates as git(1) takes them.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let options = &self.inner.options;
        let text = |text: &Option<String>| text.clone().map(OsString::from);
        let path = |path: &Option<PathBuf>| path.clone().map(PathBuf::into_os_string);
        let all = [
            // curl(1) reads this one in small letters only.
            ("http_proxy", text(&options.http_proxy)),
            ("https_proxy", text(&options.https_proxy)),
            ("no_proxy", text(&options.no_proxy)),
            ("GIT_SSL_CAINFO", path(&options.certificate_file)),
            ("GIT_SSL_CAPATH", path(&options.certificate_folder)),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    fn kind(&self, endpoint: &Endpoint, url: &reqwest::Url, uploads: bool) -> ClientKind {
        let host = url.host_str().unwrap_or_default();
        if url.scheme() == "http" && http::is_loopback(host) {
            return ClientKind::Direct { uploads };
        }
        let own = endpoint.host_name() == host;
        let folders = &self.inner.options.files.certs_folders;
        ClientKind::Secure {
            folder: certs::folder_of(folders, &endpoint.certificate_names()),
            own,
            any: own && endpoint.takes_any_certificate(),
            uploads,
        }
    }

    fn make(&self, kind: &ClientKind) -> Result<reqwest::Client, String> {
        let options = &self.inner.options;
        match kind {
            ClientKind::Direct { uploads } => http::direct_client(options, *uploads),
            ClientKind::Secure {
                folder,
                own,
                any,
                uploads,
            } => {
                let mut certificates = match folder {
                    Some(folder) => certs::read(folder)?,
                    None => Certificates::default(),
                };
                if !own {
                    certificates.client = None;
                }
                let specials = Specials {
                    certificates,
                    any: *any,
                    uploads: *uploads,
                };
                http::secure_client(options, specials)
            }
        }
    }
}
