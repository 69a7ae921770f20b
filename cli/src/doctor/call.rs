//! Calls to the API and the site, each with an end.

use std::error::Error;
use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use shared::outgoing::{self, Limit};
use tokio::time::timeout;

/// A function that starts anew, with a database that is slow, takes less.
const TIMEOUT: Duration = Duration::from_secs(15);

/// An answer.
pub(super) struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    /// Of `send` empty if it was too large or isn't text.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's text; empty if it isn't there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Sends it and reads the answer.
///
/// # Errors
/// Why there is none: a sentence and the fix.
pub(super) async fn send(request: RequestBuilder) -> Result<Answer, (String, String)> {
    answered(request, |response| outgoing::body(response, Limit::ONE)).await
}

/// Sends it and reads the first bytes of the answer, whatever they are.
///
/// # Errors
/// Those of [`send`].
pub(super) async fn send_reading(request: RequestBuilder, most: usize) -> Result<Answer, (String, String)> {
    let beginning = async |mut response: Response| {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            body.extend_from_slice(&chunk[..chunk.len().min(most - body.len())]);
            if body.len() == most {
                break;
            }
        }
        Ok(body)
    };
    answered(request, beginning).await
}

async fn answered(
    request: RequestBuilder,
    read: impl AsyncFnOnce(Response) -> Result<Vec<u8>, reqwest::Error>,
) -> Result<Answer, (String, String)> {
    let answered = async {
        let response: Response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: read(response).await? })
    };
    match timeout(TIMEOUT, answered).await {
        Ok(answer) => answer.map_err(|error: reqwest::Error| unreachable(&error)),
        Err(_) => Err(no_answer()),
    }
}

fn no_answer() -> (String, String) {
    let fix = "Look whether the address is right, and whether something between here and there holds the call.";
    ("It doesn't answer in time.".into(), fix.into())
}

fn unreachable(error: &reqwest::Error) -> (String, String) {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let causes: Vec<_> = causes.map(|cause| cause.to_string().to_lowercase()).collect();
    let has = |text: &str| causes.iter().any(|cause| cause.contains(text));
    let (problem, fix) = if error.is_timeout() {
        return no_answer();
    } else if has("dns error") || has("lookup address") {
        ("Its name isn't known in DNS.", "Correct the address, or make the DNS record that docs/deploy.md names.")
    } else if has("certificate") {
        (
            "Its certificate isn't good for this address.",
            "Use the address that the certificate is for, or a certificate of a public authority for this one.",
        )
    } else if has("tls") || has("handshake") || has("corrupt message") {
        ("It doesn't speak TLS there.", "Use the address with https that the stack prints as BaseUrl.")
    } else {
        ("The connection is refused or breaks.", "Look whether the address is right and the API is deployed there.")
    };
    (problem.into(), fix.into())
}
