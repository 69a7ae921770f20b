//! A webhook as the CRM delivers it.

use chrono::{DateTime, Utc};
use lambda_http::Body;
use lambda_http::http::uri::{Scheme, Uri};
use lambda_http::http::{HeaderName, HeaderValue, header};
use shared::clock::Clock;
use shared::crm::Source;
use shared::crm::authentication::{Sample, Signed};
use shared::http::Request;
use uuid::Uuid;

use super::default_url;
use crate::Failure;
use crate::arguments::Call;

/// Where a webhook is sent and when.
pub(super) struct Delivery {
    pub(super) url: String,
    pub(super) at: DateTime<Utc>,
}

impl Delivery {
    /// To the API at `base`, unless the call names a URL.
    pub(super) fn new(call: &Call, base: Option<&str>, source: &Source, clock: &Clock) -> Self {
        let url = call.url.clone().unwrap_or_else(|| default_url(base, source));
        Self { url, at: call.at.unwrap_or_else(|| clock.now()) }
    }

    /// Signed as the CRM does, with a new event id.
    pub(super) fn signed(&self, source: &Source, body: &[u8]) -> Option<Signed> {
        let id = Uuid::new_v4().to_string();
        let sample = Sample { method: "POST", url: &self.url, body, id: &id, at: self.at };
        source.sign(&sample)
    }
}

/// The request as the endpoint receives it. Errors never quote a header: it may hold a secret.
pub(super) fn request(url: &str, headers: &[(String, String)], body: &[u8]) -> Result<Request, Failure> {
    let invalid_url = || {
        Failure::Message(
            "The URL is invalid: give the full URL that the CRM calls, such as https://example.com/api/webhooks/acme."
                .into(),
        )
    };
    let uri: Uri = url.parse().map_err(|_| invalid_url())?;
    let is_http = [Scheme::HTTP, Scheme::HTTPS].iter().any(|scheme| uri.scheme() == Some(scheme));
    let (Some(authority), Some(path)) = (uri.authority(), uri.path_and_query()) else { return Err(invalid_url()) };
    if !is_http {
        return Err(invalid_url());
    }
    let mut request =
        lambda_http::http::Request::post(path.as_str()).body(Body::from(body)).map_err(|_| invalid_url())?;
    for (position, (name, value)) in headers.iter().enumerate() {
        let pair = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        let (name, value) = pair.ok_or_else(|| invalid_header(position))?;
        request.headers_mut().append(name, value);
    }
    if !request.headers().contains_key(header::HOST) {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| invalid_url())?;
        request.headers_mut().insert(header::HOST, host);
    }
    Ok(request)
}

/// Headers in curl's notation.
pub(super) fn headers(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |(position, text): (usize, &String)| {
        let (name, value) = text.split_once(':').ok_or_else(|| invalid_header(position))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    given.iter().enumerate().map(pair).collect()
}

fn invalid_header(position: usize) -> Failure {
    Failure::Message(format!("Header {} is invalid: write each as -H 'Name: value'.", position + 1))
}
