//! The access tokens that the sandbox gave out, and what they open.

use std::collections::{BTreeSet, HashMap};

use axum::http::{HeaderMap, StatusCode, header};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::answer::Refusal;

/// Opens the Data Manager API.
pub(crate) const DATAMANAGER: &str = "https://www.googleapis.com/auth/datamanager";
/// Opens the Google Ads API.
pub(crate) const ADWORDS: &str = "https://www.googleapis.com/auth/adwords";
/// Opens the IAM Service Account Credentials API. Only tokens of the Security Token Service have it.
pub(crate) const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// What a token may be used for: addresses such as [`DATAMANAGER`].
pub(crate) type Scopes = BTreeSet<String>;

/// The scopes of a request that asks for some of those an uploader may have.
pub(crate) fn advertising_scopes<'a>(asked: impl Iterator<Item = &'a str>) -> Option<Scopes> {
    let scopes: Scopes = asked.map(str::to_owned).collect();
    let known = |scope: &String| matches!(scope.as_str(), DATAMANAGER | ADWORDS);
    (!scopes.is_empty() && scopes.iter().all(known)).then_some(scopes)
}

/// When a token expires, and its scopes.
#[derive(Debug)]
pub(crate) struct Access {
    expires_at: DateTime<Utc>,
    scopes: Scopes,
}

/// The access tokens that the sandbox gave out.
#[derive(Debug, Default)]
pub(crate) struct AccessTokens(HashMap<String, Access>);

impl AccessTokens {
    pub(crate) fn issue(&mut self, scopes: Scopes, expires_at: DateTime<Utc>) -> String {
        let token = format!("sandbox-{}", Uuid::new_v4().simple());
        self.0.insert(token.clone(), Access { expires_at, scopes });
        token
    }

    /// Accepts a call only with a token from this sandbox that has not expired.
    pub(crate) fn authorize(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Result<&Access, Refusal> {
        let presented =
            headers.get(header::AUTHORIZATION).ok_or_else(|| Refusal::unauthenticated("CREDENTIALS_MISSING"))?;
        let access = presented
            .to_str()
            .ok()
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| self.0.get(token))
            .ok_or_else(|| Refusal::unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED"))?;
        if access.expires_at <= now {
            return Err(Refusal::unauthenticated("ACCESS_TOKEN_EXPIRED"));
        }
        Ok(access)
    }

    /// The same, only with a token that was granted for `scope`.
    pub(crate) fn authorize_for(&self, headers: &HeaderMap, now: DateTime<Utc>, scope: &str) -> Result<(), Refusal> {
        if self.authorize(headers, now)?.scopes.contains(scope) {
            return Ok(());
        }
        let problem = "Request had insufficient authentication scopes.";
        Err(Refusal::new(StatusCode::FORBIDDEN, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", problem))
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn a_token_opens_what_it_was_granted_for() {
        let now = "2026-11-22T12:00:00Z".parse().expect("a time");
        let mut tokens = AccessTokens::default();
        let token = tokens.issue([ADWORDS.to_owned()].into(), now + chrono::TimeDelta::hours(1));
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().expect("a header"));

        tokens.authorize_for(&headers, now, ADWORDS).expect("open");
        let refusal = tokens.authorize_for(&headers, now, DATAMANAGER).expect_err("closed");
        assert!(refusal.json().to_string().contains("ACCESS_TOKEN_SCOPE_INSUFFICIENT"));
        assert_eq!(refusal.into_response().status(), StatusCode::FORBIDDEN);
    }

    #[test]
    fn an_uploader_may_have_no_other_scopes() {
        let scopes = |asked: &[&str]| advertising_scopes(asked.iter().copied()).map(|scopes| scopes.len());
        assert_eq!(scopes(&[DATAMANAGER]), Some(1));
        assert_eq!(scopes(&[DATAMANAGER, ADWORDS]), Some(2));
        assert_eq!(scopes(&[DATAMANAGER, CLOUD_PLATFORM]), None);
        assert_eq!(scopes(&[]), None);
    }
}
