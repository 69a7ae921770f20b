//! Calls to a CRM's API, and what its refusals mean.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::{Crm, LookupError};
use crate::http::body::json;
use crate::outgoing::{self, Limit};
use crate::texts::{CODE, fit};

/// The timeout of a request: the uploader's run waits for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest `Retry-After` that is respected, so that one header can't delay a deal for days.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(6);

/// A CRM's API with the token for it.
#[derive(Clone, Debug)]
pub(super) struct CrmApi {
    pub crm: Crm,
    /// Scheme and host.
    pub url: String,
    /// The name of the setting that has the token.
    pub setting: String,
    credentials: (HeaderName, HeaderValue),
    http: reqwest::Client,
    patience: Duration,
}

impl CrmApi {
    /// # Errors
    /// If the token isn't valid in a header, or TLS can't be set up.
    pub(super) fn new(crm: Crm, url: &str, setting: &str, token: &str) -> Result<Self, String> {
        if token.is_empty() || !token.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(format!("{setting} is not a valid token. Set it to {}", crm.token_origin()));
        }
        let (name, value) = match crm {
            Crm::Hubspot => (AUTHORIZATION, format!("Bearer {token}")),
            Crm::Pipedrive => (HeaderName::from_static("x-api-token"), token.to_owned()),
            // The key is the user, and the password is empty (Close API: API Keys).
            Crm::Close => (AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{token}:")))),
        };
        let mut value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
        value.set_sensitive(true);
        Ok(Self {
            crm,
            url: url.to_owned(),
            setting: setting.to_owned(),
            credentials: (name, value),
            http: crate::outgoing::http_client()?,
            patience: PATIENCE,
        })
    }

    /// Reads a record; `record` is its name in error messages. If it doesn't exist: [`LookupError::Gone`].
    pub(super) async fn get(&self, path: &str, record: &str) -> Result<Value, LookupError> {
        let response = self.send(self.http.get(format!("{}{path}", self.url))).await?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE) {
            let reason = format!("{} has no {record}, or it was deleted.", self.crm.name());
            return Err(LookupError::Gone { reason });
        }
        self.read(response).await
    }

    /// Reads records that the body names.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, LookupError> {
        let response = self.send(self.http.post(format!("{}{path}", self.url)).json(body)).await?;
        self.read(response).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, LookupError> {
        let (name, value) = self.credentials.clone();
        request.header(name, value).timeout(self.patience).send().await.map_err(|error| self.unreachable(error))
    }

    async fn read(&self, response: Response) -> Result<Value, LookupError> {
        if !response.status().is_success() {
            let wait = outgoing::retry_after(response.headers()).map(|wait| wait.min(LONGEST_WAIT));
            return Err(self.refusal(response.status(), wait));
        }
        let body = outgoing::body(response, Limit::ONE).await.map_err(|error| self.unreachable(error))?;
        // Checked like webhooks, because parts of it are stored like theirs.
        json(&body).map_err(|problem| {
            let (name, problem) = (self.crm.name(), fit(problem.to_string().trim_end_matches('.'), CODE));
            let reason = format!("{name} sent an unreadable answer: {problem}. Adtrail retries by itself.");
            LookupError::Unreadable { reason }
        })
    }

    fn refusal(&self, status: StatusCode, after: Option<TimeDelta>) -> LookupError {
        let Self { crm, setting, .. } = self;
        let name = crm.name();
        match status.as_u16() {
            401 => LookupError::Refused {
                reason: format!("{name} rejects the token in {setting}. Set it to {}.", crm.token_origin()),
            },
            403 => LookupError::Refused {
                reason: format!("{name} denies the token in {setting} access to this record. {}.", crm.permission()),
            },
            300..=399 => LookupError::Refused {
                reason: format!("{name} answered with a redirect. Set url to the address of its API."),
            },
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
        let name = self.crm.name();
        let reason = if error.is_timeout() {
            format!("{name} didn't answer in time. Adtrail retries by itself.")
        } else {
            format!("{name} can't be reached ({}). Adtrail retries by itself.", error.without_url())
        };
        LookupError::Later { reason, after: None }
    }

    /// An answer that doesn't have the documented shape.
    pub(super) fn unreadable(&self) -> LookupError {
        let reason = format!("{} sent an unreadable answer. Adtrail retries by itself.", self.crm.name());
        LookupError::Unreadable { reason }
    }

    /// The item has no valid id at `pointer`.
    pub(super) fn no_id(&self, pointer: &str) -> LookupError {
        let reason = format!("The webhook of {} has no valid id for the lookup at {pointer}.", self.crm.name());
        LookupError::Gone { reason }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_request_times_out() {
        // It accepts the connection and never answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let api = CrmApi::new(Crm::Close, &url, "CLOSE_API_KEY", "api_sesame").unwrap();
        let api = CrmApi { patience: Duration::from_millis(50), ..api };
        let error = api.get("/api/v1/lead/lead_1/", "lead lead_1").await.unwrap_err();
        let reason = "Close didn't answer in time. Adtrail retries by itself.";
        assert_eq!(error, LookupError::Later { reason: reason.into(), after: None });
    }
}
