//! A file from any web server, into a file of ours: revalidated where it was had
//! before (RFC 9110 section 13), resumed where the transfer breaks (section 14).

use std::io;

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use super::access::Access;
use super::answer::plain;
use super::reason::Reason;
use super::retry::{ATTEMPTS, back_off, wait_after};
use super::transport::{SendError, location};
use crate::image::digest::{Digest, Hasher};

/// Most redirects of one request.
const REDIRECT_LIMIT: usize = 10;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`
    pub etag: Option<String>,
    /// `Last-Modified`, as the server writes it.
    pub last_modified: Option<String>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self {
            etag: text(ETAG),
            last_modified: text(LAST_MODIFIED),
        }
    }

    /// What a part may be asked for by: it has to be the same byte for byte.
    fn strong(&self) -> Option<&str> {
        let etag = self.etag.as_deref();
        etag.filter(|etag| !etag.starts_with("W/"))
    }

    /// Seconds since 1970 of `Last-Modified`.
    pub fn modified(&self) -> Option<i64> {
        let text = self.last_modified.as_deref()?;
        let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
        Some(parsed.ok()?.as_second())
    }
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// It is as it was.
    Same,
    /// It was written.
    New {
        /// To ask by the next time.
        validators: Validators,
        /// SHA-256 of its content.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
    },
}

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The text is no address.
    #[error("`{url}` is no address: {reason}")]
    NoAddress {
        /// As given, without a password.
        url: String,
        /// Why.
        reason: String,
    },
    /// Nothing answers.
    #[error("cannot reach `{host}`: {}", reason.text)]
    Unreachable {
        /// Host, and port where it is not the usual one.
        host: String,
        /// Why.
        reason: Reason,
    },
    /// The server has no such file, or does not give it.
    #[error("`{host}` answers `{status}`")]
    Refused {
        /// Host, and port where it is not the usual one.
        host: String,
        /// `404 Not Found`
        status: StatusCode,
    },
    /// The server sends us somewhere else, where nobody is to go.
    #[error("{0}")]
    Astray(String),
    /// It is longer than anybody wants to have.
    #[error("it is longer than {limit} bytes")]
    TooLong {
        /// What is taken.
        limit: u64,
    },
    /// It cannot be written.
    #[error("cannot write it")]
    Write(#[from] io::Error),
}

impl FetchError {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { reason, .. } => Some(
                reason
                    .remedy
                    .unwrap_or("check the network and the proxy variables")
                    .to_owned(),
            ),
            Self::Refused { status, .. } => match *status {
                StatusCode::NOT_FOUND | StatusCode::GONE => {
                    Some("check the address: there is no such file".to_owned())
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(
                    "the server wants to know who asks: get the file in a RUN with a secret, or put it into the context"
                        .to_owned(),
                ),
                _ => None,
            },
            Self::NoAddress { .. } | Self::Astray(_) | Self::TooLong { .. } | Self::Write(_) => None,
        }
    }
}

/// A transfer, which may take several requests.
struct Transfer<'a> {
    access: &'a Access,
    url: Url,
    into: &'a mut File,
    limit: u64,
    hasher: Hasher,
    received: u64,
    validators: Validators,
    breaks: u32,
}

/// A request without an answer.
enum Unanswered {
    /// Worth another attempt.
    Broken(Reason),
    /// Not worth one.
    Final(FetchError),
}

/// Why a body ended that is not whole.
enum Broken {
    Transfer(Reason),
    Final(FetchError),
}

impl Access {
    /// Gets a file, unless it is as `known` has it, into `into`, which is empty.
    ///
    /// # Errors
    /// [`FetchError`]; then `into` may hold a part.
    pub async fn fetch(
        &self,
        url: &str,
        known: Option<&Validators>,
        into: &mut File,
        limit: u64,
    ) -> Result<Fetched, FetchError> {
        let no_address = |reason: String| FetchError::NoAddress {
            url: shown_address(url),
            reason,
        };
        let mut parsed = Url::parse(url).map_err(|error| no_address(error.to_string()))?;
        if parsed.host_str().is_none_or(str::is_empty) {
            return Err(no_address("it names no host".to_owned()));
        }
        parsed.set_fragment(None);
        let transfer = Transfer {
            access: self,
            url: parsed,
            into,
            limit,
            hasher: Hasher::new(),
            received: 0,
            validators: Validators::default(),
            breaks: 0,
        };
        let mut headers = HeaderMap::new();
        let known = known.cloned().unwrap_or_default();
        set(&mut headers, IF_NONE_MATCH, known.etag.as_deref());
        set(
            &mut headers,
            IF_MODIFIED_SINCE,
            known.last_modified.as_deref(),
        );
        let response = transfer.ask(&headers).await?;
        if response.status() == StatusCode::NOT_MODIFIED && !headers.is_empty() {
            return Ok(Fetched::Same);
        }
        transfer.run(response).await
    }
}

impl Transfer<'_> {
    /// All of it.
    async fn run(mut self, first: Response) -> Result<Fetched, FetchError> {
        let mut response = first;
        self.validators = Validators::of(response.headers());
        loop {
            match self.take(response).await {
                Ok(()) => break,
                Err(Broken::Final(error)) => return Err(error),
                Err(Broken::Transfer(reason)) => {
                    self.breaks += 1;
                    if self.breaks >= ATTEMPTS {
                        return Err(self.unreachable(Reason {
                            text: format!(
                                "the transfer broke off at byte {}: {}",
                                self.received, reason.text
                            ),
                            remedy: reason.remedy,
                        }));
                    }
                    tokio::time::sleep(back_off(self.breaks)).await;
                }
            }
            response = self.again().await?;
        }
        self.into.flush().await?;
        Ok(Fetched::New {
            validators: self.validators,
            digest: self.hasher.finish(),
            size: self.received,
        })
    }

    /// Asks for the rest; for all of it where the server gives no parts.
    async fn again(&mut self) -> Result<Response, FetchError> {
        let mut headers = HeaderMap::new();
        if let Some(etag) = self.validators.strong().filter(|_| self.received > 0) {
            set(&mut headers, IF_RANGE, Some(etag));
            set(
                &mut headers,
                RANGE,
                Some(&format!("bytes={}-", self.received)),
            );
        }
        let response = self.ask(&headers).await?;
        let goes_on = response.status() == StatusCode::PARTIAL_CONTENT
            && response
                .headers()
                .get(CONTENT_RANGE)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|range| range.starts_with(&format!("bytes {}-", self.received)));
        if !goes_on {
            self.into.set_len(0).await?;
            self.into.rewind().await?;
            self.hasher = Hasher::new();
            self.received = 0;
            self.validators = Validators::of(response.headers());
        }
        Ok(response)
    }

    async fn take(&mut self, mut response: Response) -> Result<(), Broken> {
        let too_long = FetchError::TooLong { limit: self.limit };
        let announced = response.content_length().unwrap_or(0);
        if self.received.saturating_add(announced) > self.limit {
            return Err(Broken::Final(too_long));
        }
        loop {
            let chunk = response.chunk().await;
            let Some(chunk) = chunk.map_err(|error| Broken::Transfer(Reason::of(&error)))? else {
                return Ok(());
            };
            self.breaks = 0;
            self.received += chunk.len() as u64;
            if self.received > self.limit {
                return Err(Broken::Final(too_long));
            }
            self.hasher.update(&chunk);
            let written = self.into.write_all(&chunk).await;
            written.map_err(|error| Broken::Final(error.into()))?;
        }
    }

    /// Sends a request until there is an answer of use.
    async fn ask(&self, headers: &HeaderMap) -> Result<Response, FetchError> {
        let mut attempt = 1;
        loop {
            let response = match self.send(headers).await {
                Ok(response) => response,
                Err(Unanswered::Broken(_)) if attempt < ATTEMPTS => {
                    tokio::time::sleep(back_off(attempt)).await;
                    attempt += 1;
                    continue;
                }
                Err(Unanswered::Broken(reason)) => return Err(self.unreachable(reason)),
                Err(Unanswered::Final(error)) => return Err(error),
            };
            let status = response.status();
            if status.is_success() || status == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            let Some(wait) = wait_after(status, response.headers(), attempt) else {
                return Err(FetchError::Refused {
                    host: host(&self.url),
                    status,
                });
            };
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// Sends one request and follows its redirects. User and password of an address
    /// are for its own host: they are not part of where that sends us.
    async fn send(&self, headers: &HeaderMap) -> Result<Response, Unanswered> {
        let astray = |reason| Unanswered::Final(FetchError::Astray(reason));
        let mut url = self.url.clone();
        for _ in 0..REDIRECT_LIMIT {
            let client = self.access.plain_client(&url);
            let client =
                client.map_err(|error| Unanswered::Final(self.unreachable(error.into())))?;
            let request = client
                .get(url.clone())
                // What is counted and hashed is the file itself.
                .header(ACCEPT_ENCODING, "identity")
                .headers(headers.clone());
            let response =
                request
                    .send()
                    .await
                    .map_err(|error| match SendError::of(self.access, &error) {
                        SendError::Broken(reason) => Unanswered::Broken(reason),
                        SendError::Final(reason) => Unanswered::Final(self.unreachable(reason)),
                    })?;
            let status = response.status();
            if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            url = location(&url, response.headers()).map_err(astray)?;
        }
        Err(astray(format!(
            "it redirects more than {REDIRECT_LIMIT} times"
        )))
    }

    fn unreachable(&self, reason: Reason) -> FetchError {
        FetchError::Unreachable {
            host: host(&self.url),
            reason,
        }
    }
}

/// What cannot be sent is left out: the file is had whole then.
fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| value.parse().ok()) {
        headers.insert(name, value);
    }
}

fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

/// An address as it may be shown: without a password.
pub fn shown_address(url: &str) -> String {
    plain(&super::http::without_password(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_strong_tag_lets_a_transfer_go_on() {
        let of = |etag: &str| Validators {
            etag: Some(etag.to_owned()),
            last_modified: Some("Sat, 28 Nov 2026 10:00:07 GMT".to_owned()),
        };
        assert_eq!(of("\"a\"").strong(), Some("\"a\""));
        assert_eq!(of("W/\"a\"").strong(), None);
        assert_eq!(of("\"a\"").modified(), Some(1_795_860_007));
        assert_eq!(Validators::default().modified(), None);
    }
}
