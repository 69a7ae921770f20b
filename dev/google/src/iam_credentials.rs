//! `POST /v1/projects/-/serviceAccounts/{account}:generateAccessToken` of Google's IAM Service
//! Account Credentials API.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::{SecondsFormat, TimeDelta};
use serde::Deserialize;
use serde_json::json;

use crate::GoogleSandbox;
use crate::access::{self, CLOUD_PLATFORM};
use crate::answer::Refusal;
use crate::token::granted;

/// More needs a change of the organization's policy.
const LONGEST_SECONDS: i64 = 3600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Generate {
    scope: Vec<String>,
    /// A `google.protobuf.Duration`, such as `3600s`.
    lifetime: Option<String>,
}

/// Answers the method, for the one service account that the pool's role may speak for.
pub(crate) async fn generate(
    State(sandbox): State<GoogleSandbox>,
    Path(resource): Path<String>,
    headers: HeaderMap,
    body: Result<Json<Generate>, JsonRejection>,
) -> Result<Response, Refusal> {
    let now = sandbox.now();
    let mut memory = sandbox.memory();
    memory.tokens.authorize_for(&headers, now, CLOUD_PLATFORM)?;
    let Some(account) = resource.strip_suffix(":generateAccessToken") else {
        return Err(Refusal::usual(StatusCode::NOT_FOUND, None));
    };
    let known = sandbox.account().workload_identity.as_ref();
    if known.is_none_or(|known| known.client_email != account) {
        let problem = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "IAM_PERMISSION_DENIED", problem));
    }
    let Json(request) = body.map_err(|rejection| Refusal::malformed("", &rejection.body_text()))?;
    let invalid = || Refusal::usual(StatusCode::BAD_REQUEST, None);
    let scopes = access::advertising_scopes(request.scope.iter().map(String::as_str)).ok_or_else(invalid)?;
    let seconds = match &request.lifetime {
        None => LONGEST_SECONDS,
        Some(lifetime) => lifetime.strip_suffix('s').and_then(|seconds| seconds.parse().ok()).ok_or_else(invalid)?,
    };
    if !(1..=LONGEST_SECONDS).contains(&seconds) {
        return Err(invalid());
    }
    let end = now + TimeDelta::seconds(seconds);
    Ok(granted(json!({
        "accessToken": memory.tokens.issue(scopes, end),
        "expireTime": end.to_rfc3339_opts(SecondsFormat::Secs, true),
    })))
}
