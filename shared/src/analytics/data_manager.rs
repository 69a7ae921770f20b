//! The Data Manager API: `events:ingest`, with Google Analytics as the destination, and `requestStatus:retrieve`.

mod answers;
mod event;
mod reasons;
mod verdicts;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::fitted::is_recognised_again;
use super::lane::{NO_ANSWER, new_connections};
use super::limits::{OLDEST, too_old};
use super::{EventLane, EventOutcome, EventRoute, EventToSend, EventVerdict};
use crate::clock::Clock;
use crate::outgoing::Limit;
use crate::platforms::google::api::Api;
use crate::platforms::google::batch::{Answered, deliver};
use crate::platforms::google::{DATA_MANAGER_LIMITS, MOST_EVENTS};
use crate::platforms::{Allowance, Exchange, Limits, Outcome, Preview, Reason};

/// The first request of several has no more. If Google doesn't answer, so many events at most are in doubt.
const FIRST_REQUEST: usize = 20;
/// Google's front end takes 10 MiB. Events are far smaller, unless they have carts.
const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// A stream of Google Analytics through the Data Manager API.
pub(super) struct DataManager {
    pub(super) property_id: String,
    pub(super) measurement_id: String,
    pub(super) url: String,
    pub(super) api: Api,
    pub(super) clock: Clock,
    pub(super) route: EventRoute,
}

fn ingest(url: &str) -> String {
    format!("{url}/v1/events:ingest")
}

/// The request for this event alone, sent when it happens.
pub(super) fn preview(
    url: &str,
    property_id: &str,
    measurement_id: &str,
    event: &EventToSend,
) -> Result<Preview, EventOutcome> {
    let written = event::event(event, event.at).map_err(EventOutcome::Rejected)?;
    let body = event::request(property_id, measurement_id, std::iter::once(&written));
    Ok(Preview { method: "POST", url: ingest(url), body: body.to_string() })
}

impl DataManager {
    /// Sends these in one request.
    async fn call(
        &self,
        http: &reqwest::Client,
        events: Vec<&Value>,
        allowance: &Allowance,
    ) -> Option<(Answered, Exchange)> {
        let count = events.len();
        let body = event::request(&self.property_id, &self.measurement_id, events.into_iter());
        let request = || http.post(ingest(&self.url)).json(&body);
        let (answer, mut exchange) = self.api.call(allowance, Limit::of(count), request).await?;
        let answered = match answer {
            Ok(answer) => answers::of_ingest(&answer, count, &self.property_id, &mut exchange),
            Err(_) if exchange.may_have_arrived => answers::unanswered(),
            Err(outcome) => Answered::Failed(outcome),
        };
        Some((answered, exchange))
    }

    fn written(&self, event: &EventToSend) -> Result<Value, EventOutcome> {
        let now = self.clock.now();
        let written = too_old(event.at, now).map_or_else(|| event::event(event, now), Err);
        written.map_err(EventOutcome::Rejected)
    }
}

/// What may be sent of these, in the order in which the verdicts on a request are read, and in requests that aren't
/// too large.
fn requests(events: &[EventToSend], written: &[Result<Value, EventOutcome>]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..events.len()).filter(|at| written[*at].is_ok()).collect();
    order.sort_unstable_by_key(|at| events[*at].queue_id);
    let mut requests: Vec<Vec<usize>> = Vec::new();
    let mut size = 0;
    for at in order {
        let more = written[at].as_ref().map_or(0, |it| it.to_string().len() + 1);
        let most = if requests.len() == 1 { FIRST_REQUEST } else { MOST_EVENTS };
        match requests.last_mut() {
            Some(last) if last.len() < most && size + more <= LARGEST_BODY => last.push(at),
            _ => {
                requests.push(vec![at]);
                size = 0;
            }
        }
        size += more;
    }
    requests
}

/// What became of an event, after the failures that concern conversions only are ruled out.
fn outcome_of(event: &EventToSend, outcome: Outcome) -> EventOutcome {
    match outcome {
        Outcome::Accepted { request_id } => EventOutcome::Accepted { request_id },
        Outcome::Recorded | Outcome::AlreadyDone(_) | Outcome::AlreadyThere(_) => EventOutcome::Recorded,
        Outcome::Unavailable(reason, _) if reason.code == answers::NO_ANSWER_CODE && !is_recognised_again(event) => {
            EventOutcome::Unverifiable(reason)
        }
        Outcome::Unavailable(reason, wait) => EventOutcome::Unavailable(reason, wait),
        // Several were refused without being named and none was accepted, so the request itself is wrong.
        Outcome::Paused(reason) | Outcome::Held(reason) => EventOutcome::Paused(reason),
        Outcome::Unsent => EventOutcome::Unsent,
        Outcome::Rejected(reason)
        | Outcome::Retry(reason)
        | Outcome::Later(_, reason)
        | Outcome::OtherAccount(reason)
        | Outcome::SendAlone(reason)
        | Outcome::SecondLater(reason)
        | Outcome::OmitClickId(reason) => EventOutcome::Rejected(reason),
    }
}

impl EventLane for DataManager {
    fn route(&self) -> &EventRoute {
        &self.route
    }

    fn limits(&self) -> Option<Limits> {
        Some(DATA_MANAGER_LIMITS)
    }

    fn claim_size(&self, _due: usize) -> usize {
        MOST_EVENTS
    }

    fn can_verify(&self) -> bool {
        true
    }

    fn oldest(&self) -> TimeDelta {
        OLDEST
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), EventOutcome>> {
        Box::pin(async {
            self.api.ready().await.map_err(|outcome| match outcome {
                Outcome::Unavailable(reason, wait) => EventOutcome::Unavailable(reason, wait),
                outcome => {
                    let reason = outcome.reason().cloned();
                    EventOutcome::Paused(reason.unwrap_or_else(|| Reason::new("no_token", "There is no token.")))
                }
            })
        })
    }

    fn send<'a>(
        &'a self,
        events: &'a [EventToSend],
        allowance: &'a Allowance,
    ) -> BoxFuture<'a, (Vec<EventOutcome>, Vec<Exchange>)> {
        Box::pin(async move {
            let http = match new_connections() {
                Ok(http) => http,
                Err(outcome) => return (vec![outcome; events.len()], Vec::new()),
            };
            let written: Vec<_> = events.iter().map(|event| self.written(event)).collect();
            let send = |rows: Vec<usize>| {
                self.call(&http, rows.iter().filter_map(|at| written[*at].as_ref().ok()).collect(), allowance)
            };
            let delivery = deliver(events.len(), &[], requests(events, &written), send).await;
            let exchanges = delivery.requests.into_iter().map(|request| request.exchange).collect();
            let found = delivery.outcomes.into_iter().zip(events).map(|(outcome, event)| outcome_of(event, outcome));
            let outcomes = found.zip(written.iter().cloned()).map(|(found, written)| written.err().unwrap_or(found));
            (outcomes.collect(), exchanges)
        })
    }

    fn verdict<'a>(
        &'a self,
        request_id: &'a str,
        events: usize,
        allowance: &'a Allowance,
    ) -> BoxFuture<'a, Option<(Vec<EventVerdict>, Exchange)>> {
        Box::pin(async move {
            let url = format!("{}/v1/requestStatus:retrieve", self.url);
            let request = || self.api.http.get(&url).query(&[("requestId", request_id)]);
            let (answer, exchange) = self.api.call(allowance, Limit::ONE, request).await?;
            let verdicts = match answer {
                Ok(answer) => verdicts::of_status(&answer, events, &self.property_id),
                Err(failed) => {
                    let reason = failed.reason().cloned().unwrap_or_else(|| Reason::new("failed", NO_ANSWER));
                    vec![EventVerdict::Unanswered(reason); events]
                }
            };
            Some((verdicts, exchange))
        })
    }
}
