//! `POST /v1/token`: Google's Security Token Service, as far as it exchanges the signature of an
//! AWS role. Rules: RFC 8693 and Google's "Method: token" of the Security Token Service.

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::Response;
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;

use crate::GoogleSandbox;
use crate::access::CLOUD_PLATFORM;
use crate::aws_signature::SignedRequest;
use crate::token::{OAuthError, granted};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const AWS_REQUEST: &str = "urn:ietf:params:aws:token-type:aws4_request";
const EXPIRES_IN_SECONDS: i64 = 3600;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Exchange {
    grant_type: String,
    audience: String,
    scope: String,
    requested_token_type: String,
    subject_token: String,
    subject_token_type: String,
}

/// Answers `POST /v1/token`.
pub(crate) async fn exchange(
    State(sandbox): State<GoogleSandbox>,
    form: Result<Form<Exchange>, FormRejection>,
) -> Result<Response, OAuthError> {
    let invalid_request = |problem: &str| OAuthError::new("invalid_request", problem);
    let Form(request) = form.map_err(|rejection| invalid_request(&rejection.body_text()))?;
    if request.grant_type != TOKEN_EXCHANGE {
        return Err(OAuthError::new("unsupported_grant_type", "Invalid grant_type."));
    }
    if request.requested_token_type != ACCESS_TOKEN || request.subject_token_type != AWS_REQUEST {
        return Err(invalid_request("Invalid requested_token_type or subject_token_type."));
    }
    if !request.audience.starts_with("//iam.googleapis.com/") {
        return Err(invalid_request("Invalid value for \"audience\": not the resource name of a provider."));
    }
    let known = sandbox.account().workload_identity.as_ref().filter(|known| known.audience == request.audience);
    let Some(known) = known else {
        let problem = "The target service indicated by the \"audience\" parameters is invalid.";
        return Err(OAuthError::new("invalid_target", problem));
    };
    if request.scope != CLOUD_PLATFORM {
        return Err(OAuthError::new("invalid_scope", "The sandbox exchanges for cloud-platform only."));
    }

    let signed = signed_request(&request.subject_token).ok_or_else(|| {
        OAuthError::invalid_grant("Unable to parse the AWS security credentials: not a signed request in JSON.")
    })?;
    let now = sandbox.now();
    let identity = signed
        .verify(&known.role, now)
        .map_err(|said| OAuthError::invalid_grant(&format!("Received invalid AWS response of type {said}")))?;
    let target = identity.signed_header("x-goog-cloud-target-resource").unwrap_or_default();
    if target.trim_start_matches("https:") != known.audience {
        let problem = "The signed header x-goog-cloud-target-resource doesn't match the audience.";
        return Err(OAuthError::invalid_grant(problem));
    }
    let end = now + TimeDelta::seconds(EXPIRES_IN_SECONDS);
    Ok(granted(json!({
        "access_token": sandbox.memory().tokens.issue([CLOUD_PLATFORM.to_owned()].into(), end),
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": EXPIRES_IN_SECONDS,
    })))
}

/// JSON, percent-encoded once more than the form is.
fn signed_request(subject_token: &str) -> Option<SignedRequest> {
    let (json, _) = form_urlencoded::parse(subject_token.as_bytes()).next()?;
    serde_json::from_str(&json).ok()
}
