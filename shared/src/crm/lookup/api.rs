//! The API of a CRM whose requests are known.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderName};
use serde_json::Value;

use super::LookupError;
use super::caller::{Caller, Credentials, Fixes};
use super::crm::Crm;

/// A CRM's API with the token for it.
#[derive(Clone, Debug)]
pub(super) struct CrmApi {
    pub crm: Crm,
    /// Scheme and host.
    pub url: String,
    /// The name of the setting that has the token.
    pub setting: String,
    caller: Caller,
}

impl CrmApi {
    /// # Errors
    /// If the token isn't valid in a header, or TLS can't be set up.
    pub(super) fn new(crm: Crm, url: &str, setting: &str, token: &str) -> Result<Self, String> {
        let invalid = || format!("{setting} is not a valid token. Set it to {}", crm.token_origin());
        if token.is_empty() || !token.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(invalid());
        }
        let (header, value) = match crm {
            Crm::Hubspot => (AUTHORIZATION, format!("Bearer {token}")),
            Crm::Pipedrive => (HeaderName::from_static("x-api-token"), token.to_owned()),
            // The key is the user, and the password is empty (Close API: API Keys).
            Crm::Close => (AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{token}:")))),
        };
        let credentials = Credentials::new(header, &value).ok_or_else(invalid)?;
        let name = crm.name();
        let fixes = Fixes {
            rejected: format!("{name} rejects the token in {setting}. Set it to {}.", crm.token_origin()),
            denied: format!("{name} denies the token in {setting} access to this record. {}.", crm.permission()),
            redirected: "Set url to the address of its API.".into(),
        };
        let caller = Caller::new(name.into(), Some(credentials), fixes, crate::outgoing::http_client()?);
        Ok(Self { crm, url: url.to_owned(), setting: setting.to_owned(), caller })
    }

    /// Reads a record; `record` is its name in error messages. If it doesn't exist: [`LookupError::Gone`].
    pub(super) async fn get(&self, path: &str, record: &str) -> Result<Value, LookupError> {
        self.caller.get(&format!("{}{path}", self.url), record).await
    }

    /// Reads records that the body names.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, LookupError> {
        self.caller.post_for_several(&format!("{}{path}", self.url), body).await
    }

    /// An answer that doesn't have the documented shape.
    pub(super) fn unreadable(&self) -> LookupError {
        self.caller.unreadable()
    }

    /// The item has no valid id at `pointer`.
    pub(super) fn no_id(&self, pointer: &str) -> LookupError {
        self.caller.no_id(pointer)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_request_times_out() {
        // It accepts the connection and never answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let api = CrmApi::new(Crm::Close, &url, "CLOSE_API_KEY", "api_sesame").unwrap();
        let api = CrmApi { caller: api.caller.with_patience(Duration::from_millis(50)), ..api };
        let error = api.get("/api/v1/lead/lead_1/", "lead lead_1").await.unwrap_err();
        let reason = "Close didn't answer in time. Adtrail retries by itself.";
        assert_eq!(error, LookupError::Later { reason: reason.into(), after: None });
    }
}
