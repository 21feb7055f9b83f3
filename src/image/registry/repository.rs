//! One repository of one registry: requests with authorization, redirects,
//! retries.

use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, HeaderMap, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::access::Access;
use super::challenge::{self, Challenge};
use super::credentials::{self, Credentials};
use super::manifest::{self, MANIFEST_LIMIT};
use super::reason::Reason;
use super::token::{self, Token, TokenFailure, TokenRequest};
use crate::event::{Event, EventSink};
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::reference::Reference;

/// Most redirects of one request.
const REDIRECT_LIMIT: usize = 10;
/// Attempts at one request.
pub(super) const ATTEMPTS: u32 = 5;
/// Wait before the second attempt; doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait that a registry may ask for; above it, it is an error.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Header with the digest of a manifest.
const CONTENT_DIGEST: &str = "docker-content-digest";
/// Longest body of an error that is read.
const ERROR_LIMIT: usize = 64 * 1024;

/// A repository to pull from.
pub(crate) struct Repository<'a> {
    access: &'a Access,
    reference: &'a Reference,
    events: &'a dyn EventSink,
    base: Mutex<Option<Url>>,
    authorization: Mutex<Authorization>,
}

#[derive(Default)]
struct Authorization {
    token: Option<Token>,
    /// The challenge that the token answers.
    challenge: Option<Challenge>,
    credentials: Option<Credentials>,
    looked_up: bool,
}

impl<'a> Repository<'a> {
    pub(crate) fn new(
        access: &'a Access,
        reference: &'a Reference,
        events: &'a dyn EventSink,
    ) -> Self {
        Self {
            access,
            reference,
            events,
            base: Mutex::new(None),
            authorization: Mutex::new(Authorization::default()),
        }
    }

    /// Gets a manifest or an index by tag or digest; its digest is checked.
    pub(crate) async fn manifest(&self, selector: &str) -> Result<(Digest, Vec<u8>), ImageError> {
        let path = format!("v2/{}/manifests/{selector}", self.reference.path());
        let response = self.request(&path, manifest::ACCEPT, 0).await?;
        let stated = response
            .headers()
            .get(CONTENT_DIGEST)
            .and_then(|value| Digest::parse(value.to_str().ok()?).ok());
        let body = read_bounded(response, MANIFEST_LIMIT)
            .await
            .map_err(|error| self.bounded_error(error, "manifest"))?;
        let found = Digest::of(&body);
        let wanted = Digest::parse(selector).ok().or(stated);
        match wanted {
            Some(expected) if expected != found => Err(ImageError::WrongDigest {
                what: format!("the manifest of `{}`", self.reference.familiar()),
                expected,
                found,
            }),
            _ => Ok((found, body)),
        }
    }

    /// Begins to get a blob, from a byte on.
    pub(super) async fn blob(&self, digest: &Digest, from: u64) -> Result<Response, ImageError> {
        let path = format!("v2/{}/blobs/{digest}", self.reference.path());
        self.request(&path, "*/*", from).await
    }

    pub(super) fn bounded_error(&self, error: BoundedError, what: &str) -> ImageError {
        match error {
            BoundedError::TooLong(limit) => ImageError::Malformed {
                what: format!("the {what} of `{}`", self.reference.familiar()),
                reason: format!("it is longer than {limit} bytes"),
            },
            BoundedError::Broken(reason) => self.unreachable(reason),
        }
    }

    pub(super) fn unreachable(&self, reason: impl Into<Reason>) -> ImageError {
        ImageError::Unreachable {
            registry: self.reference.domain().to_owned(),
            reference: self.reference.familiar(),
            reason: reason.into(),
        }
    }

    /// The registry's address. Plain HTTP is tried first where it is allowed;
    /// what answers it with an error of the TLS kind is asked in TLS.
    async fn base(&self) -> Result<Url, ImageError> {
        let mut base = self.base.lock().await;
        if let Some(url) = &*base {
            return Ok(url.clone());
        }
        let host = self.reference.api_host();
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{host}/")).map_err(|e| self.unreachable(e.to_string()))
        };
        let mut url = parse("https")?;
        if self.access.allows_plain(host) {
            let plain = parse("http")?;
            if self.speaks_plain(&plain).await? {
                url = plain;
            }
        }
        *base = Some(url.clone());
        Ok(url)
    }

    /// Whether a host answers plain HTTP. Go's servers answer 400 on a TLS
    /// port; others end the connection.
    async fn speaks_plain(&self, base: &Url) -> Result<bool, ImageError> {
        let url = base
            .join("v2/")
            .map_err(|e| self.unreachable(e.to_string()))?;
        let client = self.access.client(&url).map_err(|e| self.unreachable(e))?;
        match client.get(url).send().await {
            Ok(response) => Ok(response.status() != StatusCode::BAD_REQUEST),
            Err(error) if error.is_connect() => Err(self.unreachable(Reason::of(&error))),
            Err(_) => Ok(false),
        }
    }

    /// Sends a request until there is an answer of use: authorizes itself
    /// where that is asked for, waits and tries again where the registry is
    /// busy or the connection breaks.
    async fn request(&self, path: &str, accept: &str, from: u64) -> Result<Response, ImageError> {
        let base = self.base().await?;
        let url = base
            .join(path)
            .map_err(|e| self.unreachable(e.to_string()))?;
        let mut authorized = false;
        let mut attempt = 1;
        loop {
            let sent = self.send(&url, accept, from).await;
            let response = match sent {
                Ok(response) => response,
                Err(SendError::Broken(_)) if attempt < ATTEMPTS => {
                    tokio::time::sleep(back_off(attempt)).await;
                    attempt += 1;
                    continue;
                }
                Err(SendError::Broken(reason) | SendError::Final(reason)) => {
                    return Err(self.unreachable(reason));
                }
            };
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if status == StatusCode::UNAUTHORIZED && !authorized {
                authorized = true;
                if self.authorize(response.headers()).await? {
                    continue;
                }
            }
            let busy = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
            let wait = stated_wait(response.headers()).unwrap_or_else(|| back_off(attempt));
            if busy && attempt < ATTEMPTS && wait <= LONGEST_WAIT {
                tokio::time::sleep(wait).await;
                attempt += 1;
                continue;
            }
            return Err(self.answer_error(response).await);
        }
    }

    /// Sends one request and follows its redirects. The authorization goes to
    /// the registry itself and to nobody else.
    async fn send(&self, url: &Url, accept: &str, from: u64) -> Result<Response, SendError> {
        let origin = url.origin();
        let mut url = url.clone();
        for _ in 0..REDIRECT_LIMIT {
            let client = self
                .access
                .client(&url)
                .map_err(|e| SendError::Final(e.into()))?;
            let mut builder = client.get(url.clone()).header(ACCEPT, accept);
            if from > 0 {
                builder = builder.header(RANGE, format!("bytes={from}-"));
            }
            if url.origin() == origin
                && let Some(header) = self.current_authorization().await
            {
                builder = builder.header(AUTHORIZATION, header);
            }
            let response = builder.send().await.map_err(|error| {
                let reason = Reason::of(&error);
                if error.is_connect() || error.is_builder() {
                    SendError::Final(reason)
                } else {
                    SendError::Broken(reason)
                }
            })?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let next = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok())
                .and_then(|text| url.join(text).ok())
                .ok_or_else(|| SendError::Final("it redirects to nowhere".into()))?;
            let plain = next.scheme() != "https";
            if plain && (next.scheme() != "http" || url.scheme() == "https") {
                return Err(SendError::Final(
                    format!(
                        "it redirects to `{}`, which is not https",
                        next.origin().ascii_serialization()
                    )
                    .into(),
                ));
            }
            url = next;
        }
        Err(SendError::Final(
            format!("it redirects more than {REDIRECT_LIMIT} times").into(),
        ))
    }

    /// The header to send, renewed where its time is up.
    async fn current_authorization(&self) -> Option<String> {
        let mut state = self.authorization.lock().await;
        match &state.token {
            Some(token) if token.is_alive() => return Some(token.header.clone()),
            Some(_) => {}
            None => return None,
        }
        // If it fails, the registry's answer says why a token is needed.
        state.token = None;
        if let Some(Challenge::Bearer {
            realm,
            service,
            scope,
            ..
        }) = state.challenge.clone()
        {
            let fetched = self.token(
                &realm,
                service.as_deref(),
                scope,
                state.credentials.as_ref(),
            );
            state.token = fetched.await.ok();
        }
        state.token.as_ref().map(|token| token.header.clone())
    }

    /// Answers a challenge. False where there is nothing to answer with.
    async fn authorize(&self, headers: &HeaderMap) -> Result<bool, ImageError> {
        let texts = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenge::parse(texts) else {
            return Ok(false);
        };
        let mut state = self.authorization.lock().await;
        if !state.looked_up {
            state.credentials = self.look_up_credentials().await;
            state.looked_up = true;
        }
        let token = match (&challenge, &state.credentials) {
            (_, Some(Credentials::Registry(token))) => Token::fixed(token),
            (Challenge::Basic, Some(Credentials::Basic { user, password })) => {
                Token::basic(user, password)
            }
            (Challenge::Basic, _) => return Ok(false),
            (
                Challenge::Bearer {
                    realm,
                    service,
                    scope,
                    ..
                },
                credentials,
            ) => self
                .token(
                    realm,
                    service.as_deref(),
                    scope.clone(),
                    credentials.as_ref(),
                )
                .await
                .map_err(|failure| self.token_error(failure))?,
        };
        state.token = Some(token);
        state.challenge = Some(challenge);
        Ok(true)
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<String>,
        credentials: Option<&Credentials>,
    ) -> Result<Token, TokenFailure> {
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.reference.path()));
        let request = TokenRequest {
            realm,
            service,
            scope: &scope,
            plain_registry: self.access.allows_plain(self.reference.api_host()),
        };
        token::fetch(self.access, &request, credentials).await
    }

    /// Most images are public: trouble with credentials is told, and the pull
    /// goes on without any.
    async fn look_up_credentials(&self) -> Option<Credentials> {
        let config = self.access.docker_config()?;
        match credentials::find(&config, self.reference.domain()).await {
            Ok(found) => found,
            Err(error) => {
                self.events.emit(Event::Warning {
                    message: format!("{error}; going on without credentials"),
                });
                None
            }
        }
    }

    fn token_error(&self, failure: TokenFailure) -> ImageError {
        match failure {
            TokenFailure::Unreachable { host, reason } => ImageError::Unreachable {
                registry: self.reference.domain().to_owned(),
                reference: self.reference.familiar(),
                reason: Reason {
                    text: format!("no token from its server `{host}`: {}", reason.text),
                    remedy: reason.remedy,
                },
            },
            TokenFailure::Denied(message) => ImageError::Denied {
                registry: self.reference.domain().to_owned(),
                reference: self.reference.familiar(),
                message: Some(message),
            },
            TokenFailure::Useless(reason) => self.unreachable(reason),
        }
    }

    async fn answer_error(&self, response: Response) -> ImageError {
        let status = response.status();
        let registry = self.reference.domain().to_owned();
        let reference = self.reference.familiar();
        let body = read_bounded(response, ERROR_LIMIT)
            .await
            .unwrap_or_default();
        let message = error_text(&body);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ImageError::Denied {
                registry,
                reference,
                message,
            },
            StatusCode::NOT_FOUND => ImageError::NotFound {
                registry,
                reference,
                message,
            },
            _ => ImageError::Registry {
                registry,
                reference,
                status: status.to_string(),
                message,
            },
        }
    }
}

enum SendError {
    /// Worth another attempt.
    Broken(Reason),
    /// Not worth one.
    Final(Reason),
}

/// Wait after an attempt: 0.2 s, 0.4 s, 0.8 s…
pub(super) fn back_off(attempt: u32) -> Duration {
    FIRST_WAIT * 2_u32.saturating_pow(attempt.saturating_sub(1))
}

fn stated_wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A body that cannot be read whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum BoundedError {
    /// Longer than it may be.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// The connection broke.
    #[error("{}", .0.text)]
    Broken(Reason),
}

/// Reads a body of limited length.
pub(super) async fn read_bounded(
    mut response: Response,
    limit: usize,
) -> Result<Vec<u8>, BoundedError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|e| BoundedError::Broken(Reason::of(&e)))?
    {
        if body.len() + chunk.len() > limit {
            return Err(BoundedError::TooLong(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What an error's body says: the specification's `errors`, or the `details`
/// of token servers.
pub(super) fn error_text(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        errors: Vec<One>,
        details: Option<String>,
        message: Option<String>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let parsed: Body = serde_json::from_slice(body).ok()?;
    let text = parsed
        .errors
        .into_iter()
        .map(|e| {
            if e.message.is_empty() {
                e.code
            } else {
                e.message
            }
        })
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    let text = Some(text)
        .filter(|text| !text.is_empty())
        .or(parsed.details)
        .or(parsed.message)?;
    // What a stranger says must not draw on the user's terminal.
    Some(text.chars().filter(|c| !c.is_control()).take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_registries_are_told_in_their_words() {
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
                Some("manifest unknown"),
            ),
            (
                r#"{"errors":[{"code":"DENIED"},{"message":"b"}]}"#,
                Some("DENIED; b"),
            ),
            (
                r#"{"details":"incorrect username or password"}"#,
                Some("incorrect username or password"),
            ),
            (r#"{"errors":[{"message":"a[31mred"}]}"#, Some("a[31mred")),
            ("<html>", None),
            ("{}", None),
        ] {
            assert_eq!(error_text(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
}
