//! Docker's `config.json`, as far as it is about registries: who we are, and
//! which helper knows it. Other fields stay as they are.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::account::Account;
use super::credentials::Credentials;
use super::settings::read_limited;
use crate::image::reference::DEFAULT_DOMAIN;

/// What Docker stores the default registry's credentials under.
const DEFAULT_KEY: &str = "https://index.docker.io/v1/";
/// Longest file that is read.
const FILE_LIMIT: u64 = 8 * 1024 * 1024;

/// The fields about registries.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DockerConfig {
    auths: HashMap<String, AuthEntry>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthEntry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
    #[serde(rename = "registrytoken")]
    registry_token: Option<String>,
}

impl std::fmt::Debug for AuthEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuthEntry")
    }
}

/// What a registry's credentials are stored under, here and in helpers.
pub(super) fn key_of(domain: &str) -> &str {
    if domain == DEFAULT_DOMAIN {
        DEFAULT_KEY
    } else {
        domain
    }
}

impl DockerConfig {
    /// Reads the file's text; an empty one is as none.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(text).map_err(|e| e.to_string())
    }

    /// The helper for a registry: its own, else the general one.
    pub(super) fn helper(&self, key: &str) -> Option<&str> {
        let own = self.helpers.iter().find(|(name, _)| same_host(name, key));
        own.map(|(_, helper)| helper)
            .or(self.store.as_ref())
            .map(String::as_str)
            .filter(|helper| !helper.is_empty())
    }

    /// What the file itself knows.
    pub(super) fn credentials(&self, key: &str) -> Result<Option<Credentials>, String> {
        let entry = self.auths.get(key).or_else(|| {
            self.auths
                .iter()
                .find(|(name, _)| same_host(name, key))
                .map(|(_, entry)| entry)
        });
        entry.map_or(Ok(None), from_entry)
    }
}

/// Whether two keys mean the same registry: scheme and path are not told
/// apart, as in Docker.
fn same_host(one: &str, other: &str) -> bool {
    fn host(key: &str) -> &str {
        let key = key
            .strip_prefix("https://")
            .or_else(|| key.strip_prefix("http://"))
            .unwrap_or(key);
        match key.split('/').next().unwrap_or_default() {
            "docker.io" | "registry-1.docker.io" => "index.docker.io",
            host => host,
        }
    }
    host(one) == host(other)
}

fn from_entry(entry: &AuthEntry) -> Result<Option<Credentials>, String> {
    let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    if let Some(token) = given(&entry.identity_token) {
        return Ok(Some(Credentials::Identity(token)));
    }
    if let Some(token) = given(&entry.registry_token) {
        return Ok(Some(Credentials::Registry(token)));
    }
    if let Some(auth) = given(&entry.auth) {
        let text = STANDARD
            .decode(auth.trim())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or("an `auth` that is no base64 text")?;
        let (user, password) = text
            .split_once(':')
            .ok_or("an `auth` without a colon between user and password")?;
        return Ok(Some(Credentials::Basic {
            user: user.to_owned(),
            // Docker has filled passwords up with NULs at a time.
            password: password.trim_matches('\0').to_owned(),
        }));
    }
    Ok(given(&entry.username).map(|user| Credentials::Basic {
        user,
        password: entry.password.clone().unwrap_or_default(),
    }))
}

/// What becomes of a registry's entry.
#[derive(Debug)]
pub(super) enum Change<'a> {
    /// The file keeps the credentials of this user.
    Keep {
        user: &'a str,
        credentials: &'a Credentials,
    },
    /// A helper keeps them; the file says that there are some, as Docker's.
    Mark,
    /// There are none any more.
    Forget,
}

/// The file's text with a registry's entry changed, and all else as it was.
pub(super) fn changed(text: &[u8], key: &str, change: &Change<'_>) -> Result<Vec<u8>, String> {
    let mut root: Map<String, Value> = if text.trim_ascii().is_empty() {
        Map::new()
    } else {
        serde_json::from_slice(text).map_err(|e| e.to_string())?
    };
    let auths = root.entry("auths").or_insert_with(|| json!({}));
    if auths.is_null() {
        *auths = json!({});
    }
    let auths = auths.as_object_mut().ok_or("its `auths` is no object")?;
    auths.retain(|name, _| !same_host(name, key));
    let entry = match change {
        Change::Keep { user, credentials } => Some(entry_of(user, credentials)),
        Change::Mark => Some(json!({})),
        Change::Forget => None,
    };
    if let Some(entry) = entry {
        auths.insert(key.to_owned(), entry);
    }
    let mut pretty = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut pretty, format);
    root.serialize(&mut serializer).map_err(|e| e.to_string())?;
    Ok(pretty)
}

fn entry_of(user: &str, credentials: &Credentials) -> Value {
    let auth = |password: &str| STANDARD.encode(format!("{user}:{password}"));
    match credentials {
        Credentials::Basic { password, .. } => json!({"auth": auth(password)}),
        Credentials::Identity(token) => json!({"auth": auth(""), "identitytoken": token}),
        Credentials::Registry(token) => json!({"registrytoken": token}),
    }
}

/// Where the file is, and with whose rights it is read and written.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: PathBuf,
    account: Option<Account>,
}

impl Place {
    /// In this folder, which is the account's; but one that is there and is
    /// another's (`sudo DOCKER_CONFIG=/root/.docker`) is used as it is.
    pub(super) fn new(folder: &Path, account: Option<Account>) -> Self {
        let owner = fs::metadata(folder).ok().map(|metadata| metadata.uid());
        Self {
            path: folder.join("config.json"),
            account: account.filter(|account| owner.is_none_or(|owner| owner == account.uid)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Who runs the helpers that it names; `None`: who we are.
    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// The text; empty where there is no file.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        self.as_owner(|| match read_limited(&self.path, FILE_LIMIT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        })
    }

    /// Replaces the file whole, for its owner's eyes only. A link is followed,
    /// as by Docker.
    pub(super) fn write(&self, text: &[u8]) -> io::Result<()> {
        self.as_owner(|| {
            let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
            let folder = path.parent().unwrap_or_else(|| Path::new("/"));
            if !folder.exists() {
                use std::os::unix::fs::DirBuilderExt as _;

                let mut builder = std::fs::DirBuilder::new();
                builder.recursive(true).mode(0o700).create(folder)?;
            }
            // Its mode is 0600.
            let mut file = tempfile::Builder::new()
                .prefix("config.json")
                .tempfile_in(folder)?;
            file.write_all(text)?;
            if let Ok(before) = fs::metadata(&path)
                && before.uid() != rustix::process::geteuid().as_raw()
                && self.account.is_none()
            {
                fchown(file.as_file(), Some(before.uid()), Some(before.gid()))?;
            }
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        })
    }

    fn as_owner<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        match &self.account {
            Some(account) => account.run(work),
            None => work(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str, password: &str) -> Credentials {
        Credentials::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }

    fn known(config: &str, domain: &str) -> Result<Option<Credentials>, String> {
        DockerConfig::parse(config.as_bytes())?.credentials(key_of(domain))
    }

    #[test]
    fn entries_are_found_by_host() {
        let auth = STANDARD.encode("me:pa:ss");
        for (key, domain) in [
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
            ("quay.io", "quay.io"),
            ("https://quay.io/v1/", "quay.io"),
            ("localhost:5000", "localhost:5000"),
        ] {
            let config = format!(r#"{{"auths": {{"{key}": {{"auth": "{auth}"}}}}}}"#);
            assert_eq!(
                known(&config, domain).unwrap(),
                Some(basic("me", "pa:ss")),
                "{key}"
            );
            assert_eq!(known(&config, "elsewhere.io").unwrap(), None);
        }
    }

    #[test]
    fn tokens_and_plain_users_are_understood() {
        let config = r#"{"auths": {
            "a.io": {"auth": "eDp5", "identitytoken": "T"},
            "b.io": {"registrytoken": "R"},
            "c.io": {"username": "u", "password": "p"},
            "d.io": {}, "e.io": {"auth": "!"}, "f.io": {"auth": "eHk="}}}"#;
        for (domain, expected) in [
            ("a.io", Some(Credentials::Identity("T".into()))),
            ("b.io", Some(Credentials::Registry("R".into()))),
            ("c.io", Some(basic("u", "p"))),
            ("d.io", None),
        ] {
            assert_eq!(known(config, domain).unwrap(), expected, "{domain}");
        }
        assert!(known(config, "e.io").is_err());
        assert!(known(config, "f.io").is_err());
        assert!(known("{", "a.io").is_err());
        assert_eq!(known("", "a.io").unwrap(), None);
    }

    #[test]
    fn a_registry_s_own_helper_goes_before_the_general_one() {
        let config = r#"{"credsStore": "pass", "credHelpers": {"quay.io": "own", "n.io": ""}}"#;
        let config = DockerConfig::parse(config.as_bytes()).unwrap();
        assert_eq!(config.helper("quay.io"), Some("own"));
        assert_eq!(config.helper(key_of("docker.io")), Some("pass"));
        // Of one host, none.
        assert_eq!(config.helper("n.io"), None);
    }

    #[test]
    fn one_entry_changes_and_the_rest_stays() {
        let keep = Change::Keep {
            user: "me",
            credentials: &basic("me", "secret"),
        };
        let token = Credentials::Identity("T".into());
        let identity = Change::Keep {
            user: "me",
            credentials: &token,
        };
        let full =
            r#"{"zz":[1],"auths":{"x.io":{"auth":"YTpi"},"https://h.io/v1/":{}},"a":{"b":1}}"#;
        for (before, change, after) in [
            ("", &keep, r#"{"auths":{"h.io":{"auth":"bWU6c2VjcmV0"}}}"#),
            (" \n", &Change::Forget, r#"{"auths":{}}"#),
            (
                r#"{"auths":null}"#,
                &Change::Mark,
                r#"{"auths":{"h.io":{}}}"#,
            ),
            (
                full,
                &keep,
                r#"{"zz":[1],"auths":{"x.io":{"auth":"YTpi"},"h.io":{"auth":"bWU6c2VjcmV0"}},"a":{"b":1}}"#,
            ),
            (
                full,
                &Change::Forget,
                r#"{"zz":[1],"auths":{"x.io":{"auth":"YTpi"}},"a":{"b":1}}"#,
            ),
            (
                "{}",
                &identity,
                r#"{"auths":{"h.io":{"auth":"bWU6","identitytoken":"T"}}}"#,
            ),
        ] {
            let text = changed(before.as_bytes(), "h.io", change).unwrap();
            let value: Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(value.to_string(), after, "{before} {change:?}");
        }
        // As Docker writes it.
        let text = changed(b"", "h.io", &Change::Mark).unwrap();
        assert_eq!(text, b"{\n\t\"auths\": {\n\t\t\"h.io\": {}\n\t}\n}");
        assert!(changed(b"{", "h.io", &Change::Forget).is_err());
        assert!(changed(br#"{"auths":1}"#, "h.io", &Change::Forget).is_err());
    }
}
