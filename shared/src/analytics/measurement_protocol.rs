//! The Measurement Protocol: one request for each client. It answers 204 whatever it is sent, so nobody learns from it
//! whether an event was counted.

mod requests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::fitted::is_recognised_again;
use super::lane::{NO_ANSWER, new_connections};
use super::limits::OLDEST;
use super::{EventLane, EventOutcome, EventRoute, EventToSend, EventVerdict};
use crate::clock::Clock;
use crate::outgoing::retry_after;
use crate::platforms::{Allowance, Exchange, Limits, Preview, Reason};

/// Requests at once.
const IN_FLIGHT: usize = 8;
/// Events of so many clients take less than a minute.
const CLAIM: usize = 200;

/// A stream of Google Analytics through the Measurement Protocol.
pub(super) struct MeasurementProtocol {
    pub(super) measurement_id: String,
    pub(super) api_secret: SecretString,
    pub(super) url: String,
    pub(super) clock: Clock,
    pub(super) route: EventRoute,
}

/// The request for this event alone, sent when it happens.
pub(super) fn preview(url: &str, measurement_id: &str, event: &EventToSend) -> Result<Preview, EventOutcome> {
    let it = requests::written(event, event.at).map_err(EventOutcome::Rejected)?;
    Ok(Preview {
        method: "POST",
        url: format!("{url}/mp/collect?measurement_id={measurement_id}&api_secret=…"),
        body: requests::body(event, &[it]).to_string(),
    })
}

/// What a request came to, for each of its events.
enum Sent {
    Taken,
    /// It certainly didn't arrive.
    Lost(Reason, Option<TimeDelta>),
    /// It was sent, and there is no answer.
    Unanswered(Reason),
}

impl Sent {
    fn outcome(&self, event: &EventToSend) -> EventOutcome {
        match self {
            Self::Taken => EventOutcome::Recorded,
            Self::Lost(reason, wait) => EventOutcome::Unavailable(reason.clone(), *wait),
            Self::Unanswered(reason) if is_recognised_again(event) => EventOutcome::Unavailable(reason.clone(), None),
            Self::Unanswered(reason) => EventOutcome::Unverifiable(reason.clone()),
        }
    }
}

impl MeasurementProtocol {
    async fn post(&self, http: &reqwest::Client, body: &Value) -> (Sent, Exchange) {
        let started = Instant::now();
        let query = [("measurement_id", self.measurement_id.as_str()), ("api_secret", self.api_secret.expose_secret())];
        let answer = http.post(format!("{}/mp/collect", self.url)).query(&query).json(body).send().await;
        let mut exchange = Exchange::default();
        let sent = match answer {
            Ok(answer) => {
                let status = answer.status().as_u16();
                exchange.http_status = Some(status);
                if answer.status().is_success() {
                    Sent::Taken
                } else {
                    let message = format!("Google Analytics answered {status}. Adtrail sends the event again.");
                    Sent::Lost(Reason::new(format!("http_{status}"), message), retry_after(answer.headers()))
                }
            }
            Err(error) => {
                let never_left = error.is_connect() || error.is_builder();
                // Its URL has the secret.
                let what = error.without_url();
                if never_left {
                    let message = format!("Google Analytics can't be reached ({what}). Adtrail sends the event again.");
                    Sent::Lost(Reason::new("connection_failed", message), None)
                } else {
                    exchange.may_have_arrived = true;
                    Sent::Unanswered(Reason::new("no_answer", format!("{NO_ANSWER} ({what}).")))
                }
            }
        };
        exchange.duration = started.elapsed();
        (sent, exchange)
    }
}

impl EventLane for MeasurementProtocol {
    fn route(&self) -> &EventRoute {
        &self.route
    }

    fn limits(&self) -> Option<Limits> {
        None
    }

    fn claim_size(&self, due: usize) -> usize {
        due.clamp(1, CLAIM)
    }

    fn can_verify(&self) -> bool {
        false
    }

    fn oldest(&self) -> TimeDelta {
        OLDEST
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), EventOutcome>> {
        Box::pin(async { Ok(()) })
    }

    fn send<'a>(
        &'a self,
        events: &'a [EventToSend],
        allowance: &'a Allowance,
    ) -> BoxFuture<'a, (Vec<EventOutcome>, Vec<Exchange>)> {
        Box::pin(async move {
            let mut outcomes = vec![EventOutcome::Unsent; events.len()];
            let http = match new_connections() {
                Ok(http) => http,
                Err(outcome) => return (vec![outcome; events.len()], Vec::new()),
            };
            let (batches, refused) = requests::batches(events, self.clock.now());
            for (at, outcome) in refused {
                outcomes[at] = outcome;
            }
            let has_failed = AtomicBool::new(false);
            let (http, failed) = (&http, &has_failed);
            let request = |batch: requests::Batch| async move {
                if failed.load(Ordering::Relaxed) || !allowance.take().await {
                    return None;
                }
                let (sent, exchange) = self.post(http, &batch.body).await;
                failed.fetch_or(!matches!(sent, Sent::Taken), Ordering::Relaxed);
                Some((batch.events, sent, exchange))
            };
            // The first one alone: if there is no answer, no more events are in doubt.
            let mut batches = batches.into_iter();
            let first = match batches.next() {
                Some(batch) => request(batch).await,
                None => None,
            };
            let rest: Vec<_> = stream::iter(batches).map(request).buffer_unordered(IN_FLIGHT).collect().await;
            let mut exchanges = Vec::new();
            for (places, sent, exchange) in first.into_iter().chain(rest.into_iter().flatten()) {
                for at in places {
                    outcomes[at] = sent.outcome(&events[at]);
                }
                exchanges.push(exchange);
            }
            (outcomes, exchanges)
        })
    }

    fn verdict<'a>(
        &'a self,
        _request_id: &'a str,
        events: usize,
        _: &'a Allowance,
    ) -> BoxFuture<'a, Option<(Vec<EventVerdict>, Exchange)>> {
        let reason = Reason::new("no_receipts", "The Measurement Protocol gives no receipts.");
        Box::pin(async move { Some((vec![EventVerdict::Unknowable(reason); events], Exchange::default())) })
    }
}
