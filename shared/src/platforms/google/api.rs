//! Calls to Google's APIs: with an access token, within what is allowed, and timed.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};

use super::auth::{Scope, TokenSource};
use super::status::RpcStatus;
use crate::outgoing::{self, Limit, retry_after};
use crate::platforms::{Allowance, Exchange, Outcome, Reason};
use crate::texts;

/// An HTTP answer of Google's.
pub(crate) struct Answer {
    /// What was called, without the query.
    pub url: String,
    pub status: u16,
    /// How long the platform asks us to wait, by its header or in its body.
    pub retry_after: Option<TimeDelta>,
    /// What time it is at Google, as the answer says.
    pub date: Option<DateTime<Utc>>,
    /// Empty if it exceeded the limit or wasn't UTF-8.
    pub body: Vec<u8>,
}

/// One of Google's APIs.
pub(crate) struct Api {
    pub tokens: Arc<TokenSource>,
    pub scope: Scope,
    pub http: reqwest::Client,
}

impl Api {
    /// Is there a token? Asked before anything is sent, so that nothing pays for a missing one.
    pub(crate) async fn ready(&self) -> Result<(), Outcome> {
        self.tokens.token_for(self.scope).await.map(drop)
    }

    /// Sends a request with an access token; once more with a new token if that one is refused. None when no request
    /// may be made now.
    pub(crate) async fn call(
        &self,
        allowance: &Allowance,
        limit: Limit,
        request: impl Fn() -> reqwest::RequestBuilder + Send,
    ) -> Option<(Result<Answer, Outcome>, Exchange)> {
        if !allowance.take().await {
            return None;
        }
        let started = Instant::now();
        let mut exchange = Exchange::default();
        let result = async {
            let mut token = self.tokens.token_for(self.scope).await?;
            let mut answer = send(request(), &token, limit, &mut exchange).await?;
            if answer.status == 401 && allowance.take().await {
                self.tokens.forget(&token).await;
                token = self.tokens.token_for(self.scope).await?;
                answer = send(request(), &token, limit, &mut exchange).await?;
            }
            Ok(answer)
        }
        .await;
        exchange.duration = started.elapsed();
        Some((result, exchange))
    }
}

async fn send(
    request: reqwest::RequestBuilder,
    token: &SecretString,
    limit: Limit,
    exchange: &mut Exchange,
) -> Result<Answer, Outcome> {
    let failed = |error: reqwest::Error| {
        let code = if error.is_timeout() { "timeout" } else { "connection_failed" };
        let what = error.without_url();
        let message = format!("Google can't be reached ({what}). Adtrail retries automatically; it is counted once.");
        Outcome::Unavailable(Reason::new(code, message), None)
    };
    exchange.http_status = None;
    let response = match request.bearer_auth(token.expose_secret()).send().await {
        Ok(response) => response,
        Err(error) => {
            exchange.may_have_arrived = !error.is_connect() && !error.is_builder();
            return Err(failed(error));
        }
    };
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    exchange.http_status = Some(response.status().as_u16());
    exchange.request_id = header("request-id").and_then(texts::id);
    let retry_after = retry_after(response.headers());
    let url = response.url().as_str().split('?').next().unwrap_or_default().to_owned();
    let date = header("date").and_then(|date| DateTime::parse_from_rfc2822(&date).ok()).map(|date| date.to_utc());
    let status = response.status().as_u16();
    let body = match outgoing::body(response, limit).await {
        Ok(body) => body,
        Err(error) => {
            exchange.may_have_arrived = status < 300;
            return Err(failed(error));
        }
    };
    let mut answer = Answer { url, status, retry_after, date, body };
    if status != 200 {
        answer.retry_after = retry_after.max(RpcStatus::of(&answer).retry_delay());
    }
    Ok(answer)
}
