//! Credentials: found, kept and forgotten, in Docker's `config.json` and its
//! credential helpers.

use super::access::Access;
use super::docker_config::{self, Change, DockerConfig, Place, key_of};
use super::helper::Helper;
use crate::env;
use crate::image::error::ImageError;

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

/// Where credentials are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// A credential helper, by its program's name.
    Helper(String),
    /// The file itself, where whoever can read it can read them.
    File(std::path::PathBuf),
}

/// A registry's place in the configuration.
struct Entry<'a> {
    place: &'a Place,
    domain: &'a str,
    text: Vec<u8>,
    config: DockerConfig,
}

impl<'a> Entry<'a> {
    fn read(place: &'a Place, domain: &'a str) -> Result<Self, ImageError> {
        let text = place.read();
        let parsed = text
            .map_err(|error| error.to_string())
            .and_then(|text| Ok((DockerConfig::parse(&text)?, text)));
        match parsed {
            Ok((config, text)) => Ok(Self {
                place,
                domain,
                text,
                config,
            }),
            Err(reason) => Err(failure(domain, &origin(place), reason)),
        }
    }

    fn key(&self) -> &'a str {
        key_of(self.domain)
    }

    fn helper(&self) -> Option<Helper<'_>> {
        let name = self.config.helper(self.key())?;
        Some(Helper::new(name, self.place.account()))
    }

    fn write(&self, change: &Change<'_>) -> Result<(), ImageError> {
        let written = docker_config::changed(&self.text, self.key(), change)
            .and_then(|text| self.place.write(&text).map_err(|error| error.to_string()));
        written.map_err(|reason| ImageError::Keeping {
            registry: self.domain.to_owned(),
            keeper: origin(self.place),
            reason,
        })
    }

    fn keeping(&self, helper: &Helper<'_>, reason: String) -> ImageError {
        ImageError::Keeping {
            registry: self.domain.to_owned(),
            keeper: format!("helper `{}`", helper.program()),
            reason,
        }
    }
}

/// Looks for a registry's credentials: those of the variable, else its own helper,
/// else the general helper, else the file itself.
pub(super) async fn find(access: &Access, domain: &str) -> Result<Option<Credentials>, ImageError> {
    if let Some(text) = access.docker_auths() {
        let known = DockerConfig::parse(text.as_bytes())
            .and_then(|config| config.credentials(key_of(domain)))
            .map_err(|reason| failure(domain, &format!("`{}`", env::DOCKER_AUTH_CONFIG), reason))?;
        if known.is_some() {
            return Ok(known);
        }
    }
    match access.docker_config() {
        Some(place) => kept(&place, domain).await,
        None => Ok(None),
    }
}

/// The credentials that file and helpers have.
async fn kept(place: &Place, domain: &str) -> Result<Option<Credentials>, ImageError> {
    let entry = Entry::read(place, domain)?;
    if let Some(helper) = entry.helper() {
        return helper
            .get(entry.key())
            .await
            .map_err(|reason| failure(domain, &format!("helper `{}`", helper.program()), reason));
    }
    entry
        .config
        .credentials(entry.key())
        .map_err(|reason| failure(domain, &origin(place), reason))
}

/// Keeps a registry's credentials: with its helper where there is one, else in
/// the file.
pub(super) async fn keep(
    place: &Place,
    domain: &str,
    user: &str,
    credentials: &Credentials,
) -> Result<Keeper, ImageError> {
    let entry = Entry::read(place, domain)?;
    let Some(helper) = entry.helper() else {
        entry.write(&Change::Keep { user, credentials })?;
        return Ok(Keeper::File(place.path().to_owned()));
    };
    let stored = helper.store(entry.key(), user, credentials).await;
    stored.map_err(|reason| entry.keeping(&helper, reason))?;
    entry.write(&Change::Mark)?;
    Ok(Keeper::Helper(helper.program()))
}

/// Takes a registry's credentials away, from its helper and from the file.
pub(super) async fn forget(place: &Place, domain: &str) -> Result<(), ImageError> {
    let entry = Entry::read(place, domain)?;
    if let Some(helper) = entry.helper() {
        let erased = helper.erase(entry.key()).await;
        erased.map_err(|reason| entry.keeping(&helper, reason))?;
    }
    if entry.text.is_empty() {
        return Ok(());
    }
    entry.write(&Change::Forget)
}

fn origin(place: &Place) -> String {
    format!("`{}`", place.path().display())
}

fn failure(domain: &str, origin: &str, reason: String) -> ImageError {
    ImageError::Credentials {
        registry: domain.to_owned(),
        origin: origin.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    async fn look(config: &str, domain: &str) -> Result<Option<Credentials>, ImageError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), config).unwrap();
        kept(&Place::new(folder.path(), None), domain).await
    }

    #[tokio::test]
    async fn a_missing_file_is_no_error_and_a_damaged_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(folder.path(), None);
        assert_eq!(kept(&place, "docker.io").await.unwrap(), None);
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

    #[tokio::test]
    async fn credentials_are_kept_and_forgotten_in_the_file() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("new/.docker");
        let place = Place::new(&home, None);
        let credentials = Credentials::Basic {
            user: "me".into(),
            password: "secret".into(),
        };
        let keeper = keep(&place, "a.io", "me", &credentials).await.unwrap();
        assert_eq!(keeper, Keeper::File(home.join("config.json")));
        let mode =
            |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&home), mode(place.path())), (0o700, 0o600));
        assert_eq!(kept(&place, "a.io").await.unwrap(), Some(credentials));
        forget(&place, "a.io").await.unwrap();
        assert_eq!(kept(&place, "a.io").await.unwrap(), None);
        let left: Vec<_> = fs::read_dir(&home).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        // There is nothing to forget, and nothing is made.
        let none = Place::new(&folder.path().join("none"), None);
        forget(&none, "a.io").await.unwrap();
        assert!(!folder.path().join("none").exists());
    }
}
