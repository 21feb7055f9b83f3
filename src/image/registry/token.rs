//! Bearer tokens (distribution's token and `OAuth2` specifications).

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Deserialize;

use super::access::Access;
use super::credentials::Credentials;
use super::http::is_loopback;
use super::reason::Reason;

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
    pub(super) scope: &'a str,
    /// Whether the registry itself is spoken to in plain HTTP.
    pub(super) plain_registry: bool,
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
}

/// Gets a token, anonymously where there are no credentials.
pub(super) async fn fetch(
    access: &Access,
    request: &TokenRequest<'_>,
    credentials: Option<&Credentials>,
) -> Result<Token, TokenFailure> {
    let asked = Instant::now();
    let useless = |reason: String| TokenFailure::Useless(reason);
    let mut url = Url::parse(request.realm).map_err(|e| {
        useless(format!(
            "its token server `{}` is no address: {e}",
            request.realm
        ))
    })?;
    let host = url.host_str().unwrap_or_default().to_owned();
    // An answer of an https registry must not make us send a password in clear.
    let plain = url.scheme() != "https";
    if plain && !is_loopback(&host) && !request.plain_registry {
        return Err(useless(format!("its token server `{url}` is not https")));
    }
    let unreachable = |reason: Reason| TokenFailure::Unreachable {
        host: host.clone(),
        reason,
    };
    let client = access.client(&url).map_err(|e| unreachable(e.into()))?;
    let parameters = [
        ("service", request.service.unwrap_or_default()),
        ("scope", request.scope),
    ];
    let builder = if let Some(Credentials::Identity(token)) = credentials {
        let mut form = Url::parse("form:").map_err(|e| useless(e.to_string()))?;
        form.query_pairs_mut()
            .extend_pairs(parameters)
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", token)
            .append_pair("client_id", CLIENT_ID);
        client
            .post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.query().unwrap_or_default().to_owned())
    } else {
        url.query_pairs_mut()
            .extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
        let builder = client.get(url);
        match credentials {
            Some(Credentials::Basic { user, password }) => {
                builder.header(AUTHORIZATION, basic_header(user, password))
            }
            Some(Credentials::Identity(_) | Credentials::Registry(_)) | None => builder,
        }
    };
    let response = builder
        .send()
        .await
        .map_err(|e| unreachable(Reason::of(&e)))?;
    let status = response.status();
    let body = super::repository::read_bounded(response, ANSWER_LIMIT)
        .await
        .map_err(|e| unreachable(e.to_string().into()))?;
    if !status.is_success() {
        let said = super::repository::error_text(&body);
        let text = format!(
            "its token server `{host}` answers `{status}`{}",
            said.map(|s| format!(": {s}")).unwrap_or_default()
        );
        return Err(if status.is_client_error() && status.as_u16() != 429 {
            TokenFailure::Denied(text)
        } else {
            useless(text)
        });
    }
    let answer: Answer = serde_json::from_slice(&body)
        .map_err(|e| useless(format!("its token server's answer is not understood: {e}")))?;
    let token = answer
        .token
        .or(answer.access_token)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| useless("its token server gives no token".to_owned()))?;
    let life = Duration::from_secs(answer.expires_in.unwrap_or(DEFAULT_LIFE));
    Ok(Token {
        header: format!("Bearer {token}"),
        ends: asked.checked_add(life.saturating_sub(MARGIN)),
    })
}
