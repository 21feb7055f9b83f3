//! Bearer tokens (distribution's token and `OAuth2` specifications).

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Deserialize;

use super::access::Access;
use super::answer::{error_text, read_bounded};
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::http::is_loopback;
use super::reason::Reason;
use super::retry::{ATTEMPTS, back_off, wait_after};

/// A token without a stated life lives so long, says the specification.
const DEFAULT_LIFE: u64 = 60;
/// Tokens are renewed so long before they end.
const MARGIN: Duration = Duration::from_secs(5);
/// Longest answer of a token server.
const ANSWER_LIMIT: usize = 1024 * 1024;
/// How we name ourselves to `OAuth2` servers.
const CLIENT_ID: &str = "skiff";

/// What is sent to the registry.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) header: String,
    ends: Option<Instant>,
}

impl Token {
    /// User and password with each request.
    pub(super) fn basic(user: &str, password: &str) -> Self {
        Self {
            header: basic_header(user, password),
            ends: None,
        }
    }

    /// A token that is known to be good.
    pub(super) fn fixed(token: &str) -> Self {
        Self {
            header: format!("Bearer {token}"),
            ends: None,
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.ends.is_none_or(|end| Instant::now() < end)
    }
}

fn basic_header(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Where a token is had, and for what.
#[derive(Debug)]
pub(super) struct TokenRequest<'a> {
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    pub(super) scopes: &'a [String],
    /// The registry that wants it.
    pub(super) endpoint: &'a Endpoint,
}

/// What a token server gives.
pub(super) struct Granted {
    pub(super) token: Token,
    /// Instead of the password from now on, where the server has such.
    pub(super) refresh_token: Option<String>,
}

/// Why there is no token.
#[derive(Debug)]
pub(super) enum TokenFailure {
    /// Nothing answers there.
    Unreachable { host: String, reason: Reason },
    /// The server refuses.
    Denied(String),
    /// The answer is of no use.
    Useless(String),
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
}

/// Gets a token, anonymously where there are no credentials. A server that is
/// busy or breaks off is asked again.
pub(super) async fn fetch(
    access: &Access,
    request: &TokenRequest<'_>,
    credentials: Option<&Credentials>,
) -> Result<Granted, TokenFailure> {
    let url = Url::parse(request.realm).map_err(|e| {
        TokenFailure::Useless(format!(
            "its token server `{}` is no address: {e}",
            request.realm
        ))
    })?;
    let host = url.host_str().unwrap_or_default().to_owned();
    // An answer of an https registry must not make us send a password in clear.
    let plain = url.scheme() != "https";
    if plain && !is_loopback(&host) && !request.endpoint.allows_plain() {
        let shown = url.origin().ascii_serialization();
        return Err(TokenFailure::Useless(format!(
            "its token server `{shown}` is not https"
        )));
    }
    let unreachable = |reason: Reason| TokenFailure::Unreachable {
        host: host.clone(),
        reason,
    };
    let client = access
        .client(request.endpoint, &url, false)
        .map_err(|e| unreachable(e.into()))?;
    let mut attempt = 1;
    let (asked, status, body) = loop {
        let asked = Instant::now();
        let sent = built(&client, &url, request, credentials).send().await;
        let wait = match sent {
            Ok(response) => {
                let status = response.status();
                match wait_after(status, response.headers(), attempt) {
                    Some(wait) => wait,
                    None => match read_bounded(response, ANSWER_LIMIT).await {
                        Ok(body) => break (asked, status, body),
                        Err(super::answer::BoundedError::Broken(_)) if attempt < ATTEMPTS => {
                            back_off(attempt)
                        }
                        Err(error) => return Err(unreachable(error.to_string().into())),
                    },
                }
            }
            Err(error) if attempt < ATTEMPTS && Reason::is_passing(&error) => back_off(attempt),
            Err(error) => return Err(unreachable(access.reason(&error))),
        };
        tokio::time::sleep(wait).await;
        attempt += 1;
    };
    if status.is_success() {
        return granted(&body, asked);
    }
    let said = error_text(&body);
    let text = format!(
        "its token server `{host}` answers `{status}`{}",
        said.map(|s| format!(": {s}")).unwrap_or_default()
    );
    Err(if status.is_client_error() && status.as_u16() != 429 {
        TokenFailure::Denied(text)
    } else {
        TokenFailure::Useless(text)
    })
}

/// The request: with a refresh token as `OAuth2` has it, else distribution's
/// own form.
fn built(
    client: &reqwest::Client,
    url: &Url,
    request: &TokenRequest<'_>,
    credentials: Option<&Credentials>,
) -> reqwest::RequestBuilder {
    let service = request.service.unwrap_or_default();
    if let Some(Credentials::Identity(token)) = credentials {
        // The serializer of queries is that of forms, too.
        let mut form = url.clone();
        form.set_query(None);
        form.query_pairs_mut()
            .append_pair("service", service)
            .append_pair("scope", &request.scopes.join(" "))
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", token)
            .append_pair("client_id", CLIENT_ID);
        return client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned());
    }
    let mut url = url.clone();
    {
        let mut query = url.query_pairs_mut();
        if !service.is_empty() {
            query.append_pair("service", service);
        }
        for scope in request.scopes {
            query.append_pair("scope", scope);
        }
        if let Some(Credentials::Basic { user, .. }) = credentials {
            query.append_pair("account", user);
            // Only who logs in has no use for a scope.
            if request.scopes.is_empty() {
                query
                    .append_pair("offline_token", "true")
                    .append_pair("client_id", CLIENT_ID);
            }
        }
    }
    let builder = client.get(url);
    match credentials {
        Some(Credentials::Basic { user, password }) => {
            builder.header(AUTHORIZATION, basic_header(user, password))
        }
        Some(Credentials::Identity(_) | Credentials::Registry(_)) | None => builder,
    }
}

fn granted(body: &[u8], asked: Instant) -> Result<Granted, TokenFailure> {
    let useless = |reason: String| TokenFailure::Useless(reason);
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|e| useless(format!("its token server's answer is not understood: {e}")))?;
    let token = answer
        .token
        .or(answer.access_token)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| useless("its token server gives no token".to_owned()))?;
    let life = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_LIFE));
    Ok(Granted {
        token: Token {
            header: format!("Bearer {token}"),
            ends: asked.checked_add(life.saturating_sub(MARGIN)),
        },
        refresh_token: answer.refresh_token.filter(|token| !token.is_empty()),
    })
}
