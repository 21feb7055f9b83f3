//! Requests to one registry: authorization, redirects, retries.

use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::sync::Mutex;

use super::access::Access;
use super::answer::refusal;
use super::authorization::Authorization;
use super::endpoint::Endpoint;
use super::reason::Reason;
use super::retry::{ATTEMPTS, back_off, wait_after};
use super::token::TokenFailure;
use crate::image::error::ImageError;

/// Most redirects of one request.
const REDIRECT_LIMIT: usize = 10;

/// A request that can be sent again.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Call {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Vec::new(),
        }
    }

    pub(super) fn header(mut self, name: reqwest::header::HeaderName, value: &str) -> Self {
        // What we send is of our own making; a value that cannot be sent is not.
        if let Ok(value) = value.parse() {
            self.headers.insert(name, value);
        }
        self
    }
}

/// A request without an answer.
pub(super) enum SendError {
    /// Worth another attempt.
    Broken(Reason),
    /// Not worth one.
    Final(Reason),
}

impl SendError {
    pub(super) fn of(access: &Access, error: &reqwest::Error) -> Self {
        let reason = access.reason(error);
        if Reason::is_passing(error) {
            Self::Broken(reason)
        } else {
            Self::Final(reason)
        }
    }

    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Broken(reason) | Self::Final(reason) => reason,
        }
    }
}

/// The way to one registry.
pub(super) struct Transport<'a> {
    access: &'a Access,
    endpoint: &'a Endpoint,
    authorization: Authorization<'a>,
    /// The image it is about, for errors; empty for none.
    reference: String,
    base: Mutex<Option<Url>>,
}

impl<'a> Transport<'a> {
    pub(super) fn new(
        access: &'a Access,
        endpoint: &'a Endpoint,
        authorization: Authorization<'a>,
        reference: String,
    ) -> Self {
        Self {
            access,
            endpoint,
            authorization,
            reference,
            base: Mutex::new(None),
        }
    }

    pub(super) fn access(&self) -> &'a Access {
        self.access
    }

    pub(super) fn endpoint(&self) -> &'a Endpoint {
        self.endpoint
    }

    pub(super) fn reference(&self) -> &str {
        &self.reference
    }

    pub(super) fn authorization(&self) -> &Authorization<'a> {
        &self.authorization
    }

    /// The address of a path below the registry's root.
    pub(super) async fn url(&self, path: &str) -> Result<Url, ImageError> {
        self.base()
            .await?
            .join(path)
            .map_err(|e| self.unreachable(e.to_string()))
    }

    /// The registry's address: of those that may be tried the first that
    /// answers.
    async fn base(&self) -> Result<Url, ImageError> {
        let mut base = self.base.lock().await;
        if let Some(url) = &*base {
            return Ok(url.clone());
        }
        let mut urls = Vec::new();
        for scheme in self.endpoint.schemes() {
            let text = format!("{scheme}://{}/", self.endpoint.host);
            urls.push(Url::parse(&text).map_err(|e| self.unreachable(e.to_string()))?);
        }
        let url = match urls.as_slice() {
            [first, second] => match self.probe(first).await {
                Ok(()) => first.clone(),
                Err(SendError::Broken(_)) => second.clone(),
                Err(SendError::Final(reason)) if first.scheme() == "http" => {
                    return Err(self.unreachable(reason));
                }
                // TLS cannot be had; plain HTTP is as good, it was said.
                Err(SendError::Final(reason)) => match self.probe(second).await {
                    Ok(()) => second.clone(),
                    Err(_) => return Err(self.unreachable(reason)),
                },
            },
            [only, ..] => only.clone(),
            [] => return Err(self.unreachable("it has no address")),
        };
        *base = Some(url.clone());
        Ok(url)
    }

    /// Asks whether a registry answers at an address. Go's servers answer 400
    /// to plain HTTP on a TLS port; others end the connection.
    async fn probe(&self, base: &Url) -> Result<(), SendError> {
        let url = base
            .join("v2/")
            .map_err(|e| SendError::Final(e.to_string().into()))?;
        let client = self
            .access
            .client(self.endpoint, &url, false)
            .map_err(|e| SendError::Final(e.into()))?;
        match client.get(url).send().await {
            Ok(response) if response.status() == StatusCode::BAD_REQUEST => {
                Err(SendError::Broken("it answers 400".into()))
            }
            Ok(_) => Ok(()),
            Err(error) if error.is_connect() => Err(SendError::Final(self.access.reason(&error))),
            Err(error) => Err(SendError::Broken(Reason::of(&error))),
        }
    }

    /// Sends a request until there is an answer of use: authorizes itself
    /// where that is asked for, waits and tries again where the registry is
    /// busy or the connection breaks.
    pub(super) async fn request(&self, call: &Call) -> Result<Response, ImageError> {
        let mut authorized = false;
        let mut attempt = 1;
        loop {
            let (response, sent) = match self.send(call).await {
                Ok(answered) => answered,
                Err(SendError::Broken(_)) if attempt < ATTEMPTS => {
                    tokio::time::sleep(back_off(attempt)).await;
                    attempt += 1;
                    continue;
                }
                Err(error) => return Err(self.unreachable(error.reason())),
            };
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            if status == StatusCode::UNAUTHORIZED && !authorized {
                authorized = true;
                if self.authorize(response.headers(), sent.as_deref()).await? {
                    continue;
                }
            }
            if let Some(wait) = wait_after(status, response.headers(), attempt) {
                tokio::time::sleep(wait).await;
                attempt += 1;
                continue;
            }
            return Err(self.answer_error(response).await);
        }
    }

    /// Answers a challenge to what was sent with an authorization. False where
    /// there is nothing to answer with.
    pub(super) async fn authorize(
        &self,
        headers: &HeaderMap,
        sent: Option<&str>,
    ) -> Result<bool, ImageError> {
        let answered = self.authorization.answer(headers, sent).await;
        answered.map_err(|failure| self.token_error(failure))
    }

    /// Sends one request and follows its redirects. The authorization goes to
    /// the registry itself and to nobody else; it is given back.
    async fn send(&self, call: &Call) -> Result<(Response, Option<String>), SendError> {
        let mut url = call.url.clone();
        for _ in 0..REDIRECT_LIMIT {
            let client = self
                .access
                .client(self.endpoint, &url, false)
                .map_err(|e| SendError::Final(e.into()))?;
            let mut builder = client
                .request(call.method.clone(), url.clone())
                .headers(call.headers.clone());
            if !call.body.is_empty() {
                builder = builder.body(call.body.clone());
            } else if !matches!(call.method, Method::GET | Method::HEAD) {
                builder = builder.header(reqwest::header::CONTENT_LENGTH, "0");
            }
            let authorization = self.authorization_for(&url).await;
            if let Some(header) = &authorization {
                builder = builder.header(AUTHORIZATION, header);
            }
            let response = builder
                .send()
                .await
                .map_err(|e| SendError::of(self.access, &e))?;
            let status = response.status();
            // 304 has no place to go to, and others make a GET of what is sent.
            let is_followed = match call.method {
                Method::GET | Method::HEAD => status.is_redirection(),
                _ => matches!(status.as_u16(), 307 | 308),
            };
            if !is_followed {
                return Ok((response, authorization));
            }
            url = location(&url, response.headers()).map_err(|e| SendError::Final(e.into()))?;
        }
        Err(SendError::Final(
            format!("it redirects more than {REDIRECT_LIMIT} times").into(),
        ))
    }

    /// The authorization for an address: none for another host's, such as a
    /// registry may name for an upload.
    pub(super) async fn authorization_for(&self, url: &Url) -> Option<String> {
        let own = self.base.lock().await.as_ref().map(Url::origin);
        if own != Some(url.origin()) {
            return None;
        }
        self.authorization.header().await
    }

    pub(super) fn unreachable(&self, reason: impl Into<Reason>) -> ImageError {
        ImageError::Unreachable {
            registry: self.endpoint.name.clone(),
            reference: self.reference.clone(),
            reason: reason.into(),
        }
    }

    fn token_error(&self, failure: TokenFailure) -> ImageError {
        match failure {
            TokenFailure::Unreachable { host, reason } => self.unreachable(Reason {
                text: format!("no token from its server `{host}`: {}", reason.text),
                remedy: reason.remedy,
            }),
            TokenFailure::Denied(message) => ImageError::Denied {
                registry: self.endpoint.name.clone(),
                reference: self.reference.clone(),
                message: Some(message),
            },
            TokenFailure::Useless(reason) => self.unreachable(reason),
        }
    }

    /// The error that an answer is.
    pub(super) async fn answer_error(&self, response: Response) -> ImageError {
        let status = response.status();
        let registry = self.endpoint.name.clone();
        let reference = self.reference.clone();
        let message = refusal(response).await;
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

/// Where an answer sends us. Never from https to plain HTTP; but a registry
/// behind a proxy that ends TLS may name itself without it, which is put right.
pub(super) fn location(from: &Url, headers: &HeaderMap) -> Result<Url, String> {
    let mut next = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| from.join(text).ok())
        .ok_or_else(|| "it redirects to nowhere".to_owned())?;
    let is_secure = next.scheme() == "https";
    if !is_secure
        && next.scheme() == "http"
        && from.scheme() == "https"
        && next.host_str() == from.host_str()
        && matches!(next.port(), None | Some(80))
        && from.port().is_none()
    {
        // Only a foreign kind of scheme cannot be put in its place.
        let changed = next.set_scheme("https").is_ok() && next.set_port(None).is_ok();
        if changed {
            return Ok(next);
        }
    }
    if !is_secure && (next.scheme() != "http" || from.scheme() == "https") {
        return Err(format!(
            "it redirects to `{}`, which is not https",
            next.origin().ascii_serialization()
        ));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_never_lead_out_of_tls() {
        for (from, to, expected) in [
            ("https://r.io/v2/x", "/y?z", Ok("https://r.io/y?z")),
            ("https://r.io/v2/x", "https://b.io/y", Ok("https://b.io/y")),
            ("http://r.io/v2/x", "http://b.io/y", Ok("http://b.io/y")),
            ("http://r.io/v2/x", "https://b.io/y", Ok("https://b.io/y")),
            ("https://r.io/v2/x", "http://r.io/y", Ok("https://r.io/y")),
            (
                "https://r.io/v2/x",
                "http://r.io:5000/y",
                Err("`http://r.io:5000`"),
            ),
            (
                "https://r.io:5000/v2/x",
                "http://r.io:5000/y",
                Err("not https"),
            ),
            ("https://r.io/v2/x", "http://b.io/y", Err("`http://b.io`")),
            ("http://r.io/v2/x", "ftp://b.io/y", Err("not https")),
            ("https://r.io/v2/x", "https://", Err("nowhere")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, to.parse().unwrap());
            let found = location(&Url::parse(from).unwrap(), &headers);
            match (found, expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected),
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (found, _) => panic!("{from} {to}: {found:?}"),
            }
        }
        let nothing = location(&Url::parse("https://r.io").unwrap(), &HeaderMap::new());
        assert!(nothing.unwrap_err().contains("nowhere"));
    }
}
