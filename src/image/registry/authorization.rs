//! Who we are to one registry: its challenges answered, tokens kept and
//! renewed.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use tokio::sync::Mutex;

use super::access::Access;
use super::challenge::{self, Challenge};
use super::credentials::{self, Credentials};
use super::endpoint::Endpoint;
use super::token::{self, Token, TokenFailure, TokenRequest};
use crate::event::{Event, EventSink};

/// What tokens have to allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scopes {
    /// What the registry names, else this.
    Asked(String),
    /// This, whatever the request at hand needs: one token serves for all.
    Fixed(Vec<String>),
}

impl Scopes {
    /// To pull from a repository.
    pub(super) fn pull(path: &str) -> Self {
        Self::Asked(format!("repository:{path}:pull"))
    }

    /// To push to a repository what may be mounted from others.
    pub(super) fn push(path: &str, others: &[String]) -> Self {
        let own = format!("repository:{path}:pull,push");
        let from = others
            .iter()
            .map(|other| format!("repository:{other}:pull"));
        Self::Fixed(std::iter::once(own).chain(from).collect())
    }

    /// Those to ask for, where a challenge names these.
    fn of(&self, challenged: Option<&str>) -> Vec<String> {
        match self {
            Self::Fixed(scopes) => scopes.clone(),
            Self::Asked(own) => {
                let named = challenged.unwrap_or(own).split_whitespace();
                named.map(str::to_owned).collect()
            }
        }
    }
}

/// The authorization of requests to one registry.
pub(super) struct Authorization<'a> {
    access: &'a Access,
    endpoint: &'a Endpoint,
    scopes: Scopes,
    events: &'a dyn EventSink,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// The challenge that the token answers.
    challenge: Option<Challenge>,
    credentials: Option<Credentials>,
    looked_up: bool,
    refresh_token: Option<String>,
}

impl<'a> Authorization<'a> {
    pub(super) fn new(
        access: &'a Access,
        endpoint: &'a Endpoint,
        scopes: Scopes,
        events: &'a dyn EventSink,
    ) -> Self {
        Self {
            access,
            endpoint,
            scopes,
            events,
            state: Mutex::default(),
        }
    }

    /// With these credentials, and no others are looked for.
    pub(super) fn known(self, credentials: Credentials) -> Self {
        let state = State {
            credentials: Some(credentials),
            looked_up: true,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            ..self
        }
    }

    /// The header to send, renewed where its time is up.
    pub(super) async fn header(&self) -> Option<String> {
        let mut state = self.state.lock().await;
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
            let fetched = self
                .token(&realm, service.as_deref(), scope.as_deref(), &mut state)
                .await;
            state.token = fetched.ok();
        }
        state.token.as_ref().map(|token| token.header.clone())
    }

    /// Answers a challenge to a request with this authorization. False where
    /// there is nothing to answer with.
    pub(super) async fn answer(
        &self,
        headers: &HeaderMap,
        sent: Option<&str>,
    ) -> Result<bool, TokenFailure> {
        let texts = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let Some(challenge) = challenge::parse(texts) else {
            return Ok(false);
        };
        let mut state = self.state.lock().await;
        // Of several requests at a time one gets the token for all.
        let is_new = |token: &Token| token.is_alive() && Some(token.header.as_str()) != sent;
        if state.token.as_ref().is_some_and(is_new) {
            return Ok(true);
        }
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
                _,
            ) => {
                self.token(realm, service.as_deref(), scope.as_deref(), &mut state)
                    .await?
            }
        };
        state.token = Some(token);
        state.challenge = Some(challenge);
        Ok(true)
    }

    /// The token for others that the last token came with.
    pub(super) async fn refresh_token(&self) -> Option<String> {
        self.state.lock().await.refresh_token.clone()
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
        state: &mut State,
    ) -> Result<Token, TokenFailure> {
        let request = TokenRequest {
            realm,
            service,
            scopes: &self.scopes.of(scope),
            endpoint: self.endpoint,
        };
        let granted = token::fetch(self.access, &request, state.credentials.as_ref()).await?;
        if granted.refresh_token.is_some() {
            state.refresh_token = granted.refresh_token;
        }
        Ok(granted.token)
    }

    /// Most images are public: trouble with credentials is told, and the pull
    /// goes on without any.
    async fn look_up_credentials(&self) -> Option<Credentials> {
        match credentials::find(self.access, &self.endpoint.name).await {
            Ok(found) => found,
            Err(error) => {
                self.events.emit(Event::Warning {
                    message: format!("{error}; going on without credentials"),
                });
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_those_of_the_challenge_for_pulling_and_fixed_for_pushing() {
        let pull = Scopes::pull("a/b");
        assert_eq!(pull.of(None), ["repository:a/b:pull"]);
        assert_eq!(pull.of(Some("x:y:z u:v:w")), ["x:y:z", "u:v:w"]);
        let push = Scopes::push("a/b", &["c".to_owned()]);
        assert_eq!(
            push.of(Some("repository:a/b:pull")),
            ["repository:a/b:pull,push", "repository:c:pull"]
        );
        assert!(Scopes::Fixed(Vec::new()).of(Some("x")).is_empty());
    }
}
