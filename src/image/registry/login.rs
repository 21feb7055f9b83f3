//! Logging in and out, as `docker login` and `docker logout` do: credentials
//! are tried at the registry before they are kept.

use super::access::Access;
use super::authorization::{Authorization, Scopes};
use super::credentials::{self, Credentials, Keeper};
use super::docker_config::{Place, key_of};
use super::endpoint::Endpoint;
use super::transport::{Call, Transport};
use crate::event::{EventSink, Silent};
use crate::image::error::ImageError;
use crate::image::reference::{DEFAULT_DOMAIN, Reference};

/// A registry that one logs in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `host[:port]`, `docker.io` for Docker Hub.
    domain: String,
    /// Where it answers, by a repository that nobody asks for.
    reference: Reference,
}

impl Server {
    /// Takes `host[:port]`, perhaps as an address with scheme and path, which
    /// say nothing; empty means Docker Hub.
    ///
    /// # Errors
    /// The host of no image can be written so.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or(text);
        let domain = match host.split('/').next().unwrap_or_default() {
            "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => DEFAULT_DOMAIN,
            host => host,
        };
        let reference = Reference::parse(&format!("{domain}/x/x"))?;
        if reference.domain() != domain {
            return Err(ImageError::NoRegistry(domain.to_owned()));
        }
        Ok(Self {
            domain: domain.to_owned(),
            reference,
        })
    }

    /// What its credentials are stored under.
    pub fn key(&self) -> &str {
        key_of(&self.domain)
    }
}

/// Tries user and password at a registry, and keeps them: or what its token
/// server gives in the password's place.
///
/// # Errors
/// The registry refuses or cannot be reached; they cannot be kept.
pub async fn login(
    access: &Access,
    server: &Server,
    user: &str,
    password: &str,
) -> Result<Keeper, ImageError> {
    let place = place(access, server)?;
    let given = Credentials::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    };
    let refresh = verify(access, server, user, given.clone(), &Silent).await?;
    let kept = refresh.map_or(given, Credentials::Identity);
    credentials::keep(&place, &server.domain, user, &kept).await
}

/// Tries the credentials that are kept for a registry; gives the user's name,
/// where it is known. `None`: there are none.
///
/// # Errors
/// As [`login`].
pub async fn login_again(access: &Access, server: &Server) -> Result<Option<String>, ImageError> {
    let Some(found) = credentials::find(access, &server.domain).await? else {
        return Ok(None);
    };
    let user = match &found {
        Credentials::Basic { user, .. } => user.clone(),
        Credentials::Identity(_) | Credentials::Registry(_) => String::new(),
    };
    verify(access, server, &user, found, &Silent).await?;
    Ok(Some(user))
}

/// Takes away what is kept for a registry. That there is nothing is no error.
///
/// # Errors
/// The file or the helper cannot be changed.
pub async fn logout(access: &Access, server: &Server) -> Result<(), ImageError> {
    credentials::forget(&place(access, server)?, &server.domain).await
}

fn place(access: &Access, server: &Server) -> Result<Place, ImageError> {
    access.docker_config().ok_or_else(|| ImageError::Keeping {
        registry: server.domain.clone(),
        keeper: "Docker's config.json".to_owned(),
        reason: "neither DOCKER_CONFIG nor HOME is set".to_owned(),
    })
}

/// Asks the registry who we are to it. Gives the token that its server gives
/// in the password's place.
async fn verify(
    access: &Access,
    server: &Server,
    user: &str,
    given: Credentials,
    events: &dyn EventSink,
) -> Result<Option<String>, ImageError> {
    let endpoint: Endpoint = access.own_place(&server.reference)?;
    let authorization =
        Authorization::new(access, &endpoint, Scopes::Fixed(Vec::new()), events).known(given);
    let transport = Transport::new(access, &endpoint, authorization, String::new());
    let call = Call::new(reqwest::Method::GET, transport.url("v2/").await?);
    match transport.request(&call).await {
        Ok(_) => Ok(transport.authorization().refresh_token().await),
        Err(ImageError::Denied {
            registry, message, ..
        }) => Err(ImageError::LoginRefused {
            registry,
            user: user.to_owned(),
            message,
        }),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_hosts_with_whatever_around_them() {
        for (text, key) in [
            ("", "https://index.docker.io/v1/"),
            ("docker.io", "https://index.docker.io/v1/"),
            ("https://index.docker.io/v1/", "https://index.docker.io/v1/"),
            ("quay.io", "quay.io"),
            ("http://127.0.0.1:5000/v2/", "127.0.0.1:5000"),
            ("localhost:5000", "localhost:5000"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(Server::parse(text).unwrap().key(), key, "{text}");
        }
        for bad in ["quay", "a b.io", "a.io:port", "-"] {
            assert!(Server::parse(bad).is_err(), "{bad}");
        }
    }
}
