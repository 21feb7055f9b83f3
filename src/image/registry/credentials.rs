//! Credentials from Docker's `config.json` and its credential helpers.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::image::error::ImageError;
use crate::image::reference::DEFAULT_DOMAIN;

/// What Docker stores the default registry's credentials under.
const DEFAULT_KEY: &str = "https://index.docker.io/v1/";
/// A helper may ask its user something; not for longer than this.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);
/// The user name with which a helper says that the secret is a token.
const TOKEN_USER: &str = "<token>";

/// How to prove who we are.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    /// User and password.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// A token that other tokens are had for (an `OAuth2` refresh token).
    Identity(String),
    /// A token to be sent to the registry as it is.
    Registry(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets stay out of logs.
        f.write_str("Credentials")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DockerConfig {
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

/// Looks for a registry's credentials: its own helper, else the general
/// helper, else the file itself.
pub(super) async fn find(config: &Path, domain: &str) -> Result<Option<Credentials>, ImageError> {
    let fail = |origin: String, reason: String| ImageError::Credentials {
        registry: domain.to_owned(),
        origin,
        reason,
    };
    let origin = || format!("`{}`", config.display());
    let text = match fs::read(config) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(origin(), error.to_string())),
    };
    let parsed: DockerConfig =
        serde_json::from_slice(&text).map_err(|e| fail(origin(), e.to_string()))?;
    let key = if domain == DEFAULT_DOMAIN {
        DEFAULT_KEY
    } else {
        domain
    };
    let own = parsed.helpers.iter().find(|(name, _)| same_host(name, key));
    if let Some(helper) = own.map(|(_, helper)| helper).or(parsed.store.as_ref())
        && !helper.is_empty()
    {
        return ask_helper(helper, key)
            .await
            .map_err(|reason| fail(format!("helper `docker-credential-{helper}`"), reason));
    }
    let entry = parsed.auths.get(key).or_else(|| {
        parsed
            .auths
            .iter()
            .find(|(name, _)| same_host(name, key))
            .map(|(_, e)| e)
    });
    entry
        .and_then(|entry| from_entry(entry).transpose())
        .transpose()
        .map_err(|reason| fail(origin(), reason))
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

#[derive(Deserialize)]
struct HelperAnswer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// Runs `docker-credential-NAME get` (docker-credential-helpers' protocol: the
/// registry on standard input, JSON on standard output).
async fn ask_helper(name: &str, key: &str) -> Result<Option<Credentials>, String> {
    if name.contains('/') {
        return Err("its name has a slash".to_owned());
    }
    let mut child = Command::new(format!("docker-credential-{name}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| e.to_string())?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that ends early has its say in its output.
        input.write_all(key.as_bytes()).await.ok();
    }
    let output = tokio::time::timeout(HELPER_TIMEOUT, child.wait_with_output())
        .await
        .map_err(|_| {
            format!(
                "it did not answer within {} seconds",
                HELPER_TIMEOUT.as_secs()
            )
        })?
        .map_err(|e| e.to_string())?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        let said = if text.trim().is_empty() {
            String::from_utf8_lossy(&output.stderr)
        } else {
            text
        };
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(format!("{}: {}", output.status, said.trim()));
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("its answer is not understood: {e}"))?;
    Ok(match answer {
        HelperAnswer { user, secret } if user == TOKEN_USER => Some(Credentials::Identity(secret)),
        HelperAnswer { user, secret } if user.is_empty() && secret.is_empty() => None,
        HelperAnswer { user, secret } => Some(Credentials::Basic {
            user,
            password: secret,
        }),
    })
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

    async fn look(config: &str, domain: &str) -> Result<Option<Credentials>, ImageError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, config).unwrap();
        find(&path, domain).await
    }

    #[tokio::test]
    async fn entries_are_found_by_host() {
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
                look(&config, domain).await.unwrap(),
                Some(basic("me", "pa:ss")),
                "{key}"
            );
            assert_eq!(look(&config, "elsewhere.io").await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn tokens_and_plain_users_are_understood() {
        let config = r#"{"auths": {
            "a.io": {"auth": "eDp5", "identitytoken": "T"},
            "b.io": {"registrytoken": "R"},
            "c.io": {"username": "u", "password": "p"},
            "d.io": {}, "e.io": {"auth": "!"}, "f.io": {"auth": "eHk="}}}"#;
        assert_eq!(
            look(config, "a.io").await.unwrap(),
            Some(Credentials::Identity("T".into()))
        );
        assert_eq!(
            look(config, "b.io").await.unwrap(),
            Some(Credentials::Registry("R".into()))
        );
        assert_eq!(look(config, "c.io").await.unwrap(), Some(basic("u", "p")));
        assert_eq!(look(config, "d.io").await.unwrap(), None);
        for bad in ["e.io", "f.io"] {
            assert!(matches!(
                look(config, bad).await,
                Err(ImageError::Credentials { .. })
            ));
        }
    }

    #[tokio::test]
    async fn a_missing_file_is_no_error_and_a_damaged_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert_eq!(find(&path, "docker.io").await.unwrap(), None);
        let error = look("{", "docker.io").await.unwrap_err().to_string();
        assert!(error.contains("config.json"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_helper_is_named() {
        let config = r#"{"credsStore": "skiff-has-none"}"#;
        let error = look(config, "docker.io").await.unwrap_err().to_string();
        assert!(
            error.contains("docker-credential-skiff-has-none"),
            "{error}"
        );
    }
}
