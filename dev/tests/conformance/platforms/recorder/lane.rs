//! The way to the recorder: all that was claimed, in one request.

use std::time::Instant;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use shared::clock::Clock;
use shared::outgoing::{self, Limit, retry_after};
use shared::platforms::{Allowance, Conversion, Delivery, Exchange, Lane, Outcome, Reason, Request, Route};

use super::{Recorder, TOKEN};

const LARGEST_REQUEST: usize = 100;

pub(super) struct Uploads {
    pub recorder: Recorder,
    pub token: SecretString,
    pub route: Route,
    pub http: reqwest::Client,
    pub clock: Clock,
}

/// What it says to a request: of each event, in their order.
#[derive(Deserialize)]
struct Answer {
    results: Vec<EventResult>,
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum EventResult {
    Recorded,
    Known,
    Rejected { code: String, message: String },
}

impl Lane for Uploads {
    fn route(&self) -> &Route {
        &self.route
    }

    fn claim_size(&self, _due: usize) -> usize {
        LARGEST_REQUEST
    }

    /// The token is at hand.
    fn ready(&self) -> BoxFuture<'_, Result<(), Outcome>> {
        Box::pin(async { Ok(()) })
    }

    fn upload<'a>(&'a self, conversions: &'a [Conversion], allowance: &'a Allowance) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let now = self.clock.now();
            let (mut outcomes, mut events, mut sent) = (Vec::new(), Vec::new(), Vec::new());
            for (place, conversion) in conversions.iter().enumerate() {
                match self.recorder.event(conversion, now) {
                    Ok(event) => {
                        outcomes.push(Outcome::Unsent);
                        events.push(event);
                        sent.push(place);
                    }
                    Err(outcome) => outcomes.push(outcome),
                }
            }
            if events.is_empty() || !allowance.take().await {
                return Delivery { outcomes, requests: Vec::new() };
            }
            let started = Instant::now();
            let mut exchange = Exchange::default();
            let answered = self.send(&events, &mut exchange).await;
            exchange.duration = started.elapsed();
            for (place, outcome) in sent.iter().zip(answered) {
                outcomes[*place] = outcome;
            }
            let request = Request { exchange, conversions: sent.clone(), settled: sent };
            Delivery { outcomes, requests: vec![request] }
        })
    }
}

impl Uploads {
    /// Sends these events. One outcome for each of them.
    async fn send(&self, events: &[Value], exchange: &mut Exchange) -> Vec<Outcome> {
        let all = |outcome: Outcome| vec![outcome; events.len()];
        let away = |what: &str| Reason::new("away", format!("The recorder can't be reached ({what}). Nothing to do."));
        let request = self.http.post(self.recorder.address()).bearer_auth(self.token.expose_secret());
        let request = request.header("content-type", "application/json").body(self.recorder.body(events.iter()));
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return all(Outcome::Unavailable(away(&error.without_url().to_string()), None)),
        };
        let (status, wait) = (response.status(), retry_after(response.headers()));
        exchange.http_status = Some(status.as_u16());
        let body = outgoing::body(response, Limit::of(events.len())).await.unwrap_or_default();
        match status.as_u16() {
            200 => {}
            401 => {
                let fix = format!("The recorder refuses the token. Set {TOKEN} to the one that it shows.");
                return all(Outcome::Paused(Reason::new("unauthorized", fix)));
            }
            400 => {
                let said = String::from_utf8_lossy(&body);
                return all(Outcome::Retry(Reason::new(
                    "refused",
                    format!("The recorder refused the request: {said}"),
                )));
            }
            _ => return all(Outcome::Unavailable(away(status.as_str()), wait)),
        }
        match serde_json::from_slice::<Answer>(&body) {
            Ok(answer) if answer.results.len() == events.len() => answer.results.into_iter().map(outcome).collect(),
            _ => all(Outcome::Unavailable(away("an answer that can't be read"), wait)),
        }
    }
}

fn outcome(result: EventResult) -> Outcome {
    match result {
        EventResult::Recorded => Outcome::Recorded,
        EventResult::Known => Outcome::AlreadyDone(Reason::new("known", "The recorder had it already.")),
        EventResult::Rejected { code, message } => Outcome::Rejected(Reason::new(code, message)),
    }
}
