//! `POST /token`: Google's OAuth 2.0 token endpoint with the two grants an uploader can use.
//! Rules: RFC 6749, RFC 7523 and Google's "Using OAuth 2.0 for Server to Server Applications".

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, http::HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::GoogleSandbox;
use crate::access::{self, Scopes};
use crate::account::{GoogleAccount, ServiceAccount};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The lifetime that Google states for a token of one hour.
const EXPIRES_IN_SECONDS: i64 = 3599;
/// How far ahead of Google a client's clock may be.
const CLOCK_SKEW_SECONDS: i64 = 300;
const BAD_TIMES: &str = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a \
                         reasonable timeframe. Check your iat and exp values in the JWT claim.";

/// Every field of the two grants. Which ones count depends on `grant_type`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct TokenRequest {
    grant_type: String,
    client_id: String,
    client_secret: String,
    refresh_token: String,
    assertion: String,
}

/// An error answer as RFC 6749 section 5.2 shapes it.
#[derive(Debug)]
pub(crate) struct OAuthError {
    error: String,
    description: String,
}

impl OAuthError {
    pub(crate) fn new(error: &str, description: &str) -> Self {
        Self { error: error.to_owned(), description: description.to_owned() }
    }

    pub(crate) fn invalid_grant(description: &str) -> Self {
        Self::new("invalid_grant", description)
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let status = match self.error.as_str() {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = json!({"error": self.error, "error_description": self.description});
        (status, Json(body)).into_response()
    }
}

/// Answers `POST /token`.
pub(crate) async fn grant(
    State(sandbox): State<GoogleSandbox>,
    form: Result<Form<TokenRequest>, FormRejection>,
) -> Result<Response, OAuthError> {
    let Form(request) = form.map_err(|rejection| OAuthError::new("invalid_request", &rejection.body_text()))?;
    let now = sandbox.now();
    let account = sandbox.account();
    let scopes = match request.grant_type.as_str() {
        "refresh_token" => check_refresh_token(account, &request)?,
        JWT_BEARER => check_assertion(account, &request.assertion, now)?,
        "" => {
            let problem = "Missing required parameter: grant_type";
            return Err(OAuthError::new("invalid_request", problem));
        }
        other => {
            let problem = format!("Invalid grant_type: {other}");
            return Err(OAuthError::new("unsupported_grant_type", &problem));
        }
    };
    let answer = json!({
        "scope": scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
        "access_token": sandbox.memory().tokens.issue(scopes, now + TimeDelta::seconds(EXPIRES_IN_SECONDS)),
        "expires_in": EXPIRES_IN_SECONDS,
        "token_type": "Bearer",
    });
    Ok(granted(answer))
}

/// A token must not be cached by proxies.
pub(crate) fn granted(answer: Value) -> Response {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(answer)).into_response()
}

/// A refresh token grants the scopes that the person agreed to.
fn check_refresh_token(account: &GoogleAccount, request: &TokenRequest) -> Result<Scopes, OAuthError> {
    let known = &account.refresh_token;
    if request.client_id != known.client_id {
        let problem = "The OAuth client was not found.";
        return Err(OAuthError::new("invalid_client", problem));
    }
    if request.client_secret != known.client_secret {
        return Err(OAuthError::new("invalid_client", "Unauthorized"));
    }
    if request.refresh_token.is_empty() {
        let problem = "Missing required parameter: refresh_token";
        return Err(OAuthError::new("invalid_request", problem));
    }
    if request.refresh_token != known.refresh_token {
        let problem = "Token has been expired or revoked.";
        return Err(OAuthError::invalid_grant(problem));
    }
    Ok(known.scopes.clone())
}

#[derive(Deserialize)]
struct JwtHeader {
    alg: String,
    typ: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    #[serde(default)]
    scope: String,
}

/// An assertion grants the scopes that it asks for.
fn check_assertion(account: &GoogleAccount, assertion: &str, now: DateTime<Utc>) -> Result<Scopes, OAuthError> {
    let malformed = || OAuthError::invalid_grant("Invalid JWT: it has no readable header or claims.");
    let (message, signature) = assertion.rsplit_once('.').ok_or_else(malformed)?;
    let (header, claims) = message.split_once('.').ok_or_else(malformed)?;
    let header: JwtHeader = decode(header).ok_or_else(malformed)?;
    let claims: Claims = decode(claims).ok_or_else(malformed)?;

    if header.alg != "RS256" || header.typ.is_some_and(|typ| typ != "JWT") {
        let problem = "Invalid JWT: the header must say alg RS256 and typ JWT.";
        return Err(OAuthError::invalid_grant(problem));
    }
    let signer = account
        .service_account
        .as_ref()
        .filter(|known| known.client_email == claims.iss)
        .ok_or_else(|| OAuthError::invalid_grant("Invalid grant: account not found"))?;
    if !is_signed_by(signer, message, signature) {
        return Err(OAuthError::invalid_grant("Invalid JWT Signature."));
    }
    if !claims.aud.ends_with("/token") {
        let problem = "Invalid JWT: Failed audience check.";
        return Err(OAuthError::invalid_grant(problem));
    }
    let now = now.timestamp();
    let lifetime = claims.exp.saturating_sub(claims.iat);
    let is_issued = claims.iat <= now + CLOCK_SKEW_SECONDS;
    if !is_issued || claims.exp <= now || !(1..=3600).contains(&lifetime) {
        return Err(OAuthError::invalid_grant(BAD_TIMES));
    }
    access::advertising_scopes(claims.scope.split(' ')).ok_or_else(|| {
        let problem = "Invalid OAuth scope: the sandbox grants datamanager and adwords only.";
        OAuthError::new("invalid_scope", problem)
    })
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn is_signed_by(signer: &ServiceAccount, message: &str, signature: &str) -> bool {
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &signer.public_key_der);
    URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| key.verify(message.as_bytes(), &signature).is_ok())
}
