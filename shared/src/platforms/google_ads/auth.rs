//! Access tokens from Google's OAuth 2.0 endpoint, fetched once and used until shortly before they end.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{Credentials, ServiceAccountKey};
use crate::clock::Clock;
use crate::platforms::{Outcome, Reason};

const SCOPE: &str = "https://www.googleapis.com/auth/datamanager";
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";

/// Hands out access tokens. Whoever asks while one is being fetched waits for that one.
pub(super) struct TokenSource {
    grant: Grant,
    token_url: String,
    http: reqwest::Client,
    clock: Clock,
    cached: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    secret: SecretString,
    refresh_at: DateTime<Utc>,
}

enum Grant {
    ServiceAccount { key: Box<ServiceAccountKey>, pair: Box<RsaKeyPair> },
    RefreshToken { client_id: SecretString, client_secret: SecretString, refresh_token: SecretString },
}

impl TokenSource {
    pub(super) fn new(
        credentials: Credentials,
        token_url: Option<String>,
        http: reqwest::Client,
        clock: Clock,
    ) -> Result<Self, String> {
        let (grant, own_url) = match credentials {
            Credentials::ServiceAccount(key) => {
                let pem = PrivatePkcs8KeyDer::from_pem_slice(key.private_key.expose_secret().as_bytes());
                let pair = pem.ok().and_then(|der| RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok());
                let pair = pair.ok_or(
                    "GOOGLE_SERVICE_ACCOUNT_KEY holds no usable RSA key: paste the whole JSON file, with \\n in private_key",
                )?;
                let url = key.token_uri.clone();
                (Grant::ServiceAccount { key: Box::new(key), pair: Box::new(pair) }, url)
            }
            Credentials::RefreshToken { client_id, client_secret, refresh_token } => {
                (Grant::RefreshToken { client_id, client_secret, refresh_token }, TOKEN_URL.into())
            }
        };
        Ok(Self { grant, token_url: token_url.unwrap_or(own_url), http, clock, cached: Mutex::default() })
    }

    /// A token that is good for a few more minutes.
    pub(super) async fn token(&self) -> Result<SecretString, Outcome> {
        let mut cached = self.cached.lock().await;
        if let Some(token) = cached.as_ref().filter(|token| self.clock.now() < token.refresh_at) {
            return Ok(token.secret.clone());
        }
        let token = self.fetch().await?;
        *cached = Some(token.clone());
        Ok(token.secret)
    }

    /// Forgets this token, because Google no longer takes it.
    pub(super) async fn forget(&self, refused: &SecretString) {
        let mut cached = self.cached.lock().await;
        if cached.as_ref().is_some_and(|token| token.secret.expose_secret() == refused.expose_secret()) {
            *cached = None;
        }
    }

    async fn fetch(&self) -> Result<Token, Outcome> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: SecretString,
            #[serde(default)]
            expires_in: serde_json::Value,
        }
        let now = self.clock.now();
        let request = match &self.grant {
            Grant::ServiceAccount { key, pair } => {
                let assertion = self.assertion(key, pair, now)?;
                let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
                self.http.post(&self.token_url).form(&[("grant_type", grant), ("assertion", &assertion)])
            }
            Grant::RefreshToken { client_id, client_secret, refresh_token } => self.http.post(&self.token_url).form(&[
                ("grant_type", "refresh_token"),
                ("client_id", client_id.expose_secret()),
                ("client_secret", client_secret.expose_secret()),
                ("refresh_token", refresh_token.expose_secret()),
            ]),
        };
        let unreachable = |error: reqwest::Error| {
            let what = error.without_url();
            Outcome::Unavailable(
                Reason::new(
                    "token_endpoint_unreachable",
                    format!("Google's token endpoint can't be reached ({what}). Adtrail tries again by itself."),
                ),
                None,
            )
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if !status.is_success() {
            return Err(refusal(status, &body));
        }
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| {
            Outcome::Unavailable(
                Reason::new(
                    "token_unreadable",
                    "Google's token endpoint answered something that is no token. Adtrail tries again by itself.",
                ),
                None,
            )
        })?;
        // Google sends a number; its own libraries take a text, too.
        let seconds = match &granted.expires_in {
            serde_json::Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        };
        let lifetime = TimeDelta::seconds(seconds.unwrap_or(3600).clamp(0, 86_400));
        // Google's libraries refresh 3 min 45 s before the end.
        Ok(Token { secret: granted.access_token, refresh_at: now + lifetime - TimeDelta::seconds(225) })
    }

    /// A JSON Web Token signed with the service account's key (RFC 7523; "Using OAuth 2.0 for Server to Server
    /// Applications").
    fn assertion(&self, key: &ServiceAccountKey, pair: &RsaKeyPair, now: DateTime<Utc>) -> Result<String, Outcome> {
        let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": key.private_key_id});
        let claims = serde_json::json!({
            "iss": key.client_email,
            "scope": SCOPE,
            "aud": self.token_url,
            "iat": now.timestamp(),
            "exp": now.timestamp() + 3600,
        });
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature).map_err(
            |_| {
                Outcome::Paused(Reason::new(
                    "service_account_key",
                    "The service account's key can't sign. Make a new key and set GOOGLE_SERVICE_ACCOUNT_KEY.",
                ))
            },
        )?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// What an answer other than a token means.
fn refusal(status: StatusCode, body: &[u8]) -> Outcome {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Refused {
        error: String,
        error_description: String,
    }
    let Refused { error, error_description } = serde_json::from_slice(body).unwrap_or_default();
    let passing = matches!(error.as_str(), "internal_failure" | "server_error" | "temporarily_unavailable");
    if passing || status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
        let message = format!("Google's token endpoint answered {status}. Adtrail tries again by itself.");
        return Outcome::Unavailable(Reason::new("token_endpoint_unavailable", message), None);
    }
    let fix = match error.as_str() {
        "invalid_grant" => {
            "The credentials no longer count: a refresh token of a consent screen in Testing ends after 7 days, and a \
             revoked or replaced one at once; a service account's key may be deleted, or this machine's clock wrong. \
             Set GOOGLE_REFRESH_TOKEN or GOOGLE_SERVICE_ACCOUNT_KEY anew"
        }
        "invalid_client" | "deleted_client" | "unauthorized_client" => {
            "The OAuth client isn't known or may not do this. Check GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET"
        }
        "invalid_scope" | "access_denied" | "admin_policy_enforced" => {
            "The credentials may not use the Data Manager API. Agree to the scope datamanager, or ask the administrator"
        }
        _ => {
            "The credentials were refused. Check GOOGLE_SERVICE_ACCOUNT_KEY, or the three settings of the refresh token"
        }
    };
    let code = if error.is_empty() { format!("http_{}", status.as_u16()) } else { error };
    Outcome::Paused(Reason::new(code, format!("{fix}. Google said: {error_description}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_that_last_pause_the_platform() {
        let is_paused = |status: u16, body: &str| {
            matches!(refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes()), Outcome::Paused(_))
        };
        assert!(is_paused(
            400,
            r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#
        ));
        assert!(is_paused(401, r#"{"error":"invalid_client"}"#));
        assert!(is_paused(403, "<html>"));
        assert!(!is_paused(503, "<html>") && !is_paused(429, "") && !is_paused(500, "{}"));
        assert!(!is_paused(400, r#"{"error":"server_error"}"#));
    }
}
