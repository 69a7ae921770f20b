//! Calls to an API with its credentials, and what its refusals mean.

use std::error::Error as _;
use std::time::Duration;

use chrono::TimeDelta;
use reqwest::header::{ACCEPT, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::LookupError;
use crate::http::body::json;
use crate::outgoing::{self, Limit, Unreachable};
use crate::texts::{CODE, fit};

/// The timeout of a request: the uploader's run waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest `Retry-After` that is respected, so that one header can't delay a deal for days.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(6);

/// An API with what it takes to call it.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The API, for people.
    pub name: String,
    pub credentials: Option<Credentials>,
    /// What an operator does about its refusals.
    pub fixes: Fixes,
    http: reqwest::Client,
    patience: Duration,
}

/// A header that proves who calls.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    name: HeaderName,
    value: HeaderValue,
}

/// Sentences about what an operator does about a refusal.
#[derive(Clone, Debug)]
pub(super) struct Fixes {
    /// After 401.
    pub rejected: String,
    /// After 403.
    pub denied: String,
    /// After a redirect.
    pub redirected: String,
}

impl Credentials {
    /// None if a header can't carry it.
    pub fn new(name: HeaderName, value: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(value).ok()?;
        value.set_sensitive(true);
        Some(Self { name, value })
    }
}

impl Caller {
    pub fn new(name: String, credentials: Option<Credentials>, fixes: Fixes, http: reqwest::Client) -> Self {
        Self { name, credentials, fixes, http, patience: PATIENCE }
    }

    /// Reads a record; `record` is its name in error messages. If it doesn't exist: [`LookupError::Gone`].
    pub async fn get(&self, url: &str, record: &str) -> Result<Value, LookupError> {
        self.record(self.http.get(url), record).await
    }

    /// Reads records that the body names. None of them is no error.
    pub async fn post_for_several(&self, url: &str, body: &Value) -> Result<Value, LookupError> {
        let response = self.send(self.http.post(url).json(body)).await?;
        self.read(response).await
    }

    /// Reads a record that the body names.
    pub async fn post(&self, url: &str, body: &Value, record: &str) -> Result<Value, LookupError> {
        self.record(self.http.post(url).json(body), record).await
    }

    async fn record(&self, request: RequestBuilder, record: &str) -> Result<Value, LookupError> {
        let response = self.send(request).await?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Err(LookupError::Gone { reason: format!("{} has no {record}, or it was deleted.", self.name) });
        }
        self.read(response).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, LookupError> {
        let request = match self.credentials.clone() {
            Some(Credentials { name, value }) => request.header(name, value),
            None => request,
        };
        let request = request.header(ACCEPT, "application/json").timeout(self.patience);
        request.send().await.map_err(|error| self.unreachable(error))
    }

    async fn read(&self, response: Response) -> Result<Value, LookupError> {
        if !response.status().is_success() {
            let wait = outgoing::retry_after(response.headers()).map(|wait| wait.min(LONGEST_WAIT));
            return Err(self.refusal(response.status(), wait));
        }
        let body = outgoing::body(response, Limit::ONE).await.map_err(|error| self.unreachable(error))?;
        // Checked like webhooks, because parts of it are stored like theirs.
        json(&body).map_err(|problem| {
            let problem = fit(problem.to_string().trim_end_matches('.'), CODE);
            let reason = format!("{} sent an unreadable answer: {problem}. Adtrail retries by itself.", self.name);
            LookupError::Unreadable { reason }
        })
    }

    fn refusal(&self, status: StatusCode, after: Option<TimeDelta>) -> LookupError {
        let Self { name, fixes, .. } = self;
        match status.as_u16() {
            401 => LookupError::Refused { reason: fixes.rejected.clone() },
            403 => LookupError::Refused { reason: fixes.denied.clone() },
            300..=399 => {
                LookupError::Refused { reason: format!("{name} answered with a redirect. {}", fixes.redirected) }
            }
            429 => LookupError::Later {
                reason: format!("{name} limits the rate of requests. Adtrail retries by itself."),
                after,
            },
            code => {
                LookupError::Later { reason: format!("{name} answered with {code}. Adtrail retries by itself."), after }
            }
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> LookupError {
        let name = &self.name;
        let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
        if let Some(forbidden) = causes.find_map(|cause| cause.downcast_ref::<Unreachable>()) {
            let reason = format!("{name} isn't asked: {forbidden}. Set url to the public address of its API.");
            return LookupError::Refused { reason };
        }
        let reason = if error.is_timeout() {
            format!("{name} didn't answer in time. Adtrail retries by itself.")
        } else {
            format!("{name} can't be reached ({}). Adtrail retries by itself.", error.without_url())
        };
        LookupError::Later { reason, after: None }
    }

    /// An answer that doesn't have the documented shape.
    pub fn unreadable(&self) -> LookupError {
        let reason = format!("{} sent an unreadable answer. Adtrail retries by itself.", self.name);
        LookupError::Unreadable { reason }
    }

    /// The item has no valid id at `pointer`.
    pub fn no_id(&self, pointer: &str) -> LookupError {
        let reason = format!("The webhook of {} has no valid id for the lookup at {pointer}.", self.name);
        LookupError::Gone { reason }
    }

    #[cfg(test)]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}
