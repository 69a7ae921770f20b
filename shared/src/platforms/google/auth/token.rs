//! What an authority answers: an access token, or why there is none.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Scope;
use super::refusal::{Authority, TokenRefusal};
use crate::outgoing::{self, Limit, retry_after};
use crate::platforms::{Outcome, Reason};

/// Google's own libraries fetch the next token so long before the end.
const AHEAD: TimeDelta = TimeDelta::seconds(225);
/// The limit of a token, in bytes. Google's access tokens have up to 2,048, those of its Security Token Service more.
const LONGEST: usize = 16 * 1024;
/// How long a token lives if nobody says.
const USUAL_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// An access token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) secret: SecretString,
    pub(super) refresh_at: DateTime<Utc>,
    /// What it was granted for, if Google said.
    scopes: Option<String>,
}

impl Token {
    /// None if the token is empty, too long, or not valid in a header.
    pub(super) fn new(secret: SecretString, lifetime: TimeDelta, now: DateTime<Utc>) -> Option<Self> {
        let text = secret.expose_secret();
        let usable = (1..=LONGEST).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic());
        let ahead = AHEAD.min(lifetime / 2);
        usable.then(|| Self { secret, refresh_at: now + lifetime - ahead, scopes: None })
    }

    pub(super) fn permits(&self, scope: Scope) -> bool {
        self.scopes.as_ref().is_none_or(|granted| granted.split_whitespace().any(|one| one == scope.url()))
    }
}

/// An answer as RFC 6749 shapes it.
#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    #[serde(default)]
    expires_in: serde_json::Value,
    scope: Option<String>,
}

impl Granted {
    fn token(self, now: DateTime<Utc>) -> Option<Token> {
        // Google sends a number; its own libraries take a text, too.
        let seconds = match &self.expires_in {
            serde_json::Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        };
        let lifetime = seconds.map_or(USUAL_LIFETIME, |seconds| TimeDelta::seconds(seconds.clamp(0, 86_400)));
        let scopes = self.scope.filter(|granted| !granted.trim().is_empty());
        Some(Token { scopes, ..Token::new(self.access_token, lifetime, now)? })
    }
}

/// Asks a token endpoint.
pub(super) async fn ask(request: RequestBuilder, authority: Authority, now: DateTime<Utc>) -> Result<Token, Outcome> {
    let granted: Granted = read(request, authority).await?;
    granted.token(now).ok_or_else(|| unreadable(authority))
}

/// Sends a request to an authority and reads its answer.
pub(super) async fn read<T: DeserializeOwned>(request: RequestBuilder, authority: Authority) -> Result<T, Outcome> {
    let unreachable = |error: reqwest::Error| {
        let message =
            format!("{} can't be reached ({}). Adtrail retries automatically.", authority.name(), error.without_url());
        Outcome::Unavailable(Reason::new("token_endpoint_unreachable", message), None)
    };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let body = outgoing::body(response, Limit::ONE).await.map_err(unreachable)?;
    if !status.is_success() {
        return Err(TokenRefusal { authority, status, retry_after, body: &body }.outcome());
    }
    serde_json::from_slice(&body).map_err(|_| unreadable(authority))
}

/// The authority granted something, and it is no token.
pub(super) fn unreadable(authority: Authority) -> Outcome {
    let message = format!("{} returned no valid token. Adtrail retries automatically.", authority.name());
    Outcome::Unavailable(Reason::new("token_unreadable", message), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn token(answer: &str) -> Option<Token> {
        serde_json::from_str::<Granted>(answer).ok()?.token(now())
    }

    #[test]
    fn a_token_is_replaced_before_it_ends() {
        let seconds = |answer: &str| (token(answer).unwrap().refresh_at - now()).num_seconds();
        assert_eq!(seconds(r#"{"access_token": "a", "expires_in": 3599}"#), 3374);
        assert_eq!(seconds(r#"{"access_token": "a", "expires_in": "3599"}"#), 3374);
        assert_eq!(seconds(r#"{"access_token": "a"}"#), 3375);
        // A short one is used at all, and an absurd number is no reason to keep one for ever.
        assert_eq!(seconds(r#"{"access_token": "a", "expires_in": 60}"#), 30);
        assert_eq!(seconds(r#"{"access_token": "a", "expires_in": -1}"#), 0);
        assert!(seconds(r#"{"access_token": "a", "expires_in": 9223372036854775807}"#) < 86_400);
    }

    #[test]
    fn what_is_no_token_is_not_used() {
        for answer in ["", "{}", "[]", "<html>", r#"{"access_token": "ya29"#, r#"{"access_token": null}"#] {
            assert!(token(answer).is_none(), "{answer}");
        }
        assert!(token(r#"{"access_token": ""}"#).is_none());
        assert!(token(r#"{"access_token": "two\r\nlines"}"#).is_none());
        let long = |length| token(&format!(r#"{{"access_token": "{}"}}"#, "a".repeat(length)));
        assert!(long(LONGEST).is_some() && long(LONGEST + 1).is_none());
    }

    #[test]
    fn a_scope_that_was_left_out_is_noticed_and_silence_is_consent() {
        let permits = |scope: &str| {
            let token = token(&format!(r#"{{"access_token": "a"{scope}}}"#)).unwrap();
            Scope::ALL.map(|scope| token.permits(scope))
        };
        assert_eq!(permits(""), [true, true]);
        assert_eq!(permits(r#", "scope": null"#), [true, true]);
        assert_eq!(permits(r#", "scope": """#), [true, true]);
        assert_eq!(permits(r#", "scope": "https://www.googleapis.com/auth/adwords""#), [false, true]);
        assert_eq!(permits(r#", "scope": "openid https://www.googleapis.com/auth/datamanager""#), [true, false]);
    }
}
