//! A client of the OCI distribution specification 1.1.
//!
//! ```text
//! Repository, Blob, Upload   what is at a registry: documents, contents
//!   └─> transport            requests: redirects, retries
//!         ├─> authorization  challenges, tokens, credentials
//!         └─> Access         what is the same for all registries of a command:
//!               settings     proxies, certificates, mirrors, Docker's config
//! ```
//!
//! What is read from files and headers is parsed by pure functions
//! (`registries_conf`, `daemon_json`, `docker_config`, `challenge`, `retry`).

mod access;
mod account;
mod answer;
mod authorization;
mod blob;
mod certs;
mod challenge;
mod credentials;
mod daemon_json;
mod docker_config;
mod download;
mod endpoint;
mod helper;
mod http;
mod login;
pub(crate) mod manifest;
mod reason;
mod registries_conf;
mod repository;
mod retry;
mod settings;
mod token;
mod transport;
mod upload;

pub use access::{Access, AccessOptions};
pub use account::Account;
pub(crate) use answer::plain;
pub(crate) use blob::{Blob, Chunk};
pub use credentials::Keeper;
pub use download::{FetchError, Fetched, Validators, shown_address};
pub(crate) use endpoint::Endpoint;
pub use login::{Server, login, login_again, logout};
pub use reason::Reason;
pub(crate) use repository::Repository;
pub use settings::SettingsFiles;
pub(crate) use upload::{Mounted, Upload, UploadError};
