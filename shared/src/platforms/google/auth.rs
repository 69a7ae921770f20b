//! Access tokens from Google, fetched once and used until shortly before they end.

mod aws_role;
mod cause;
mod external_account;
mod refusal;
mod service_account;
mod token;

use std::sync::atomic::{AtomicU64, Ordering};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::platforms::{Outcome, Reason};
use refusal::Authority;
use token::Token;

pub use aws_role::AwsKeys;
pub use external_account::ExternalAccount;
pub use service_account::ServiceAccountKey;

/// Where a refresh token is exchanged ("Using OAuth 2.0 for Web Server Applications").
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// Who we are to Google.
#[derive(Clone)]
pub enum Credentials {
    /// A service account that was added to the Google Ads account as a user. Recommended.
    ServiceAccount(ServiceAccountKey),
    /// The same, without a key: the AWS role may speak for it.
    ExternalAccount(ExternalAccount),
    /// A person who once agreed.
    RefreshToken(RefreshToken),
}

/// A person's consent.
#[derive(Clone)]
#[expect(clippy::struct_field_names, reason = "OAuth's names")]
pub struct RefreshToken {
    /// Of the OAuth client.
    pub client_id: SecretString,
    /// Of the OAuth client.
    pub client_secret: SecretString,
    /// Of the person.
    pub refresh_token: SecretString,
}

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Uploads and their verdicts.
    DataManager,
    /// The Google Ads API: retractions, and uploads of the older kind.
    Adwords,
}

impl Scope {
    const ALL: [Self; 2] = [Self::DataManager, Self::Adwords];

    fn url(self) -> &'static str {
        match self {
            Self::DataManager => "https://www.googleapis.com/auth/datamanager",
            Self::Adwords => "https://www.googleapis.com/auth/adwords",
        }
    }

    /// Both, as OAuth writes several.
    fn both() -> String {
        Self::ALL.map(Self::url).join(" ")
    }
}

/// Hands out access tokens. Whoever asks while one is being fetched waits for that one.
pub(crate) struct TokenSource {
    credentials: Credentials,
    token_url: String,
    http: reqwest::Client,
    clock: Clock,
    /// How many fetches have ended. Who waited for one that failed makes none of his own.
    ended: AtomicU64,
    last: Mutex<Option<Result<Token, Outcome>>>,
}

impl TokenSource {
    /// `token_url` replaces the one of the credentials, for tests.
    pub(crate) fn new(
        credentials: Credentials,
        token_url: Option<String>,
        http: reqwest::Client,
        clock: Clock,
    ) -> Self {
        let own_url = match &credentials {
            Credentials::ServiceAccount(key) => &key.token_uri,
            Credentials::ExternalAccount(account) => &account.token_url,
            Credentials::RefreshToken(_) => TOKEN_URL,
        };
        let token_url = token_url.unwrap_or_else(|| own_url.to_owned());
        Self { credentials, token_url, http, clock, ended: AtomicU64::new(0), last: Mutex::default() }
    }

    /// A token for this scope that is good for a few more minutes. Paused when Google says that the credentials were
    /// granted less; when it says nothing, they were granted what was asked for.
    pub(crate) async fn token_for(&self, scope: Scope) -> Result<SecretString, Outcome> {
        let token = self.fresh().await?;
        if token.permits(scope) { Ok(token.secret) } else { Err(lacking(scope)) }
    }

    /// Forgets this token, because Google no longer takes it.
    pub(crate) async fn forget(&self, refused: &SecretString) {
        let mut last = self.last.lock().await;
        if matches!(&*last, Some(Ok(token)) if token.secret.expose_secret() == refused.expose_secret()) {
            *last = None;
        }
    }

    async fn fresh(&self) -> Result<Token, Outcome> {
        let ended = self.ended.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        match &*last {
            Some(Ok(token)) if self.clock.now() < token.refresh_at => return Ok(token.clone()),
            Some(Err(failure)) if self.ended.load(Ordering::SeqCst) > ended => return Err(failure.clone()),
            _ => {}
        }
        let fetched = self.fetch().await;
        self.ended.fetch_add(1, Ordering::SeqCst);
        *last = Some(fetched.clone());
        fetched
    }

    async fn fetch(&self) -> Result<Token, Outcome> {
        let now = self.clock.now();
        match &self.credentials {
            Credentials::ServiceAccount(key) => {
                let assertion = key.assertion(&self.token_url, now)?;
                let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                let form = [("grant_type", grant), ("assertion", assertion.expose_secret())];
                token::ask(self.http.post(&self.token_url).form(&form), Authority::ServiceAccount, now).await
            }
            Credentials::ExternalAccount(account) => account.token(&self.token_url, &self.http, now).await,
            Credentials::RefreshToken(user) => {
                let form = [
                    ("grant_type", "refresh_token"),
                    ("client_id", user.client_id.expose_secret()),
                    ("client_secret", user.client_secret.expose_secret()),
                    ("refresh_token", user.refresh_token.expose_secret()),
                ];
                token::ask(self.http.post(&self.token_url).form(&form), Authority::RefreshToken, now).await
            }
        }
    }
}

fn lacking(scope: Scope) -> Outcome {
    let needed_for = match scope {
        Scope::DataManager => "Uploads need",
        Scope::Adwords => "Retractions and the Google Ads API need",
    };
    let message = format!(
        "{needed_for} the scope {}, and the credentials were granted without it. A refresh token never gains a scope: \
         authorize again with both scopes ({}) and set a new GOOGLE_REFRESH_TOKEN.",
        scope.url(),
        Scope::both()
    );
    Outcome::Paused(Reason::new("ACCESS_TOKEN_SCOPE_INSUFFICIENT", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_is_told_with_the_fix() {
        for scope in Scope::ALL {
            let Outcome::Paused(reason) = lacking(scope) else { panic!("{scope:?}") };
            assert!(
                reason.message.contains(&Scope::both()) && reason.message.contains("authorize again"),
                "{reason:?}"
            );
        }
    }
}
