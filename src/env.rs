//! Every environment variable skiff reads, in one place.
//!
//! The variables of the user's Compose files are not here: `compose` receives
//! the whole environment from its caller as data.

use std::ffi::OsString;
use std::path::PathBuf;

/// Where images, volumes and projects are kept (default `/var/lib/skiff`).
pub const SKIFF_DATA_ROOT: &str = "SKIFF_DATA_ROOT";
/// Where what is true for this boot only is kept (default `/run/skiff`).
pub const SKIFF_RUN_ROOT: &str = "SKIFF_RUN_ROOT";
/// How much images and what builds keep may take: `40GB`, `30%` of the file system,
/// `off` (default: half of it, and images with a name stay).
pub const SKIFF_DISK_BUDGET: &str = "SKIFF_DISK_BUDGET";
/// Filter for skiff's own tracing, in `tracing-subscriber`'s syntax.
pub const SKIFF_LOG: &str = "SKIFF_LOG";
/// The user's home; Docker's `config.json` is in `.docker` there.
pub const HOME: &str = "HOME";
/// Where programs are looked for, credential helpers among them.
pub const PATH: &str = "PATH";
/// Folder of Docker's `config.json`, instead of `$HOME/.docker`.
pub const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
/// What Docker's `config.json` would say of registries' credentials, as a text that goes
/// before the file.
pub const DOCKER_AUTH_CONFIG: &str = "DOCKER_AUTH_CONFIG";
/// `registries.conf` to read instead of the machine's and the user's.
pub const CONTAINERS_REGISTRIES_CONF: &str = "CONTAINERS_REGISTRIES_CONF";
/// File of trusted certificates, instead of the system's.
pub const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// Folder of trusted certificates, instead of the system's.
pub const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
/// Proxy for plain HTTP; this and the next three in lower case too.
pub const HTTP_PROXY: &str = "HTTP_PROXY";
/// Proxy for https.
pub const HTTPS_PROXY: &str = "HTTPS_PROXY";
/// Proxy for both, where the others are unset.
pub const ALL_PROXY: &str = "ALL_PROXY";
/// Hosts that are reached without a proxy.
pub const NO_PROXY: &str = "NO_PROXY";

/// Set to anything: no colours (no-color.org).
pub const NO_COLOR: &str = "NO_COLOR";
/// The terminal's type; `dumb` takes no colours.
pub const TERM: &str = "TERM";
/// The user that called sudo, by number.
pub const SUDO_UID: &str = "SUDO_UID";
/// The group of the user that called sudo, by number.
pub const SUDO_GID: &str = "SUDO_GID";
/// The name of the user that called sudo.
pub const SUDO_USER: &str = "SUDO_USER";
/// The home folder of the user that called sudo.
pub const SUDO_HOME: &str = "SUDO_HOME";
/// When to use colours and cursor movement, as `--ansi`.
pub const COMPOSE_ANSI: &str = "COMPOSE_ANSI";
/// Make names as Compose 1 did, as `--compatibility`.
pub const COMPOSE_COMPATIBILITY: &str = "COMPOSE_COMPATIBILITY";
/// Read no `.env`.
pub const COMPOSE_DISABLE_ENV_FILE: &str = "COMPOSE_DISABLE_ENV_FILE";
/// Files to read instead of `.env`, separated by commas, as `--env-file`.
pub const COMPOSE_ENV_FILES: &str = "COMPOSE_ENV_FILES";
/// The Compose files, as `-f`.
pub const COMPOSE_FILE: &str = "COMPOSE_FILE";
/// Say nothing of containers of services that the file no longer has.
pub const COMPOSE_IGNORE_ORPHANS: &str = "COMPOSE_IGNORE_ORPHANS";
/// Show the shortcuts of an attached `up`, as `up --menu`.
pub const COMPOSE_MENU: &str = "COMPOSE_MENU";
/// How many operations run at once, as `--parallel`.
pub const COMPOSE_PARALLEL_LIMIT: &str = "COMPOSE_PARALLEL_LIMIT";
/// What separates the files of `COMPOSE_FILE` (default `:`).
pub const COMPOSE_PATH_SEPARATOR: &str = "COMPOSE_PATH_SEPARATOR";
/// Profiles to enable, separated by commas, as `--profile`.
pub const COMPOSE_PROFILES: &str = "COMPOSE_PROFILES";
/// How progress is shown, as `--progress`.
pub const COMPOSE_PROGRESS: &str = "COMPOSE_PROGRESS";
/// The project's name, as `-p`.
pub const COMPOSE_PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";
/// Remove containers of services that the file no longer has, as
/// `--remove-orphans`.
pub const COMPOSE_REMOVE_ORPHANS: &str = "COMPOSE_REMOVE_ORPHANS";
/// Show progress on standard output instead of standard error.
pub const COMPOSE_STATUS_STDOUT: &str = "COMPOSE_STATUS_STDOUT";
/// Where Docker's client finds its daemon; means nothing here.
pub const DOCKER_HOST: &str = "DOCKER_HOST";
/// The current folder as the shell names it.
pub const PWD: &str = "PWD";

/// Reads a variable; empty counts as unset.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the environment is read"
)]
pub fn read(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Reads a variable as text; a value that is not UTF-8 counts as unset.
pub fn read_string(name: &str) -> Option<String> {
    read(name).and_then(|value| value.into_string().ok())
}

/// Reads a variable as a path.
pub fn read_path(name: &str) -> Option<PathBuf> {
    read(name).map(PathBuf::from)
}

/// The whole environment as text pairs; entries that are not UTF-8 are left out.
pub fn all() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
