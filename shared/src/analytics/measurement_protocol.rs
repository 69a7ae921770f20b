//! The Measurement Protocol: one request for each client. It answers 204 whatever it is sent, so nobody learns from it
//! whether an event was counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::fitted::{Fitted, Item, Scalar, is_recognised_again};
use super::limits::{CONNECTING, LARGEST_BODY, MOST_EVENTS_OF_CLIENT, OLDEST};
use super::{EventLane, EventOutcome, EventRoute, EventToSend, EventVerdict, Transport};
use crate::clock::Clock;
use crate::consent::ConsentStatus;
use crate::identity::Hash;
use crate::outgoing::{http_client_connecting_within, retry_after};
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

/// Events of one client, and what they share.
struct Batch {
    /// Their places in what is sent.
    events: Vec<usize>,
    body: Value,
}

/// The request for this event alone.
pub(super) fn preview(url: &str, measurement_id: &str, event: &EventToSend) -> Result<Preview, EventOutcome> {
    let it = written(event).map_err(EventOutcome::Rejected)?;
    Ok(Preview {
        method: "POST",
        url: format!("{url}/mp/collect?measurement_id={measurement_id}&api_secret=…"),
        body: body(event, &[it]).to_string(),
    })
}

/// An event in a request.
fn written(event: &EventToSend) -> Result<Value, Reason> {
    let mut fitted = Fitted::of(event, Transport::MeasurementProtocol)?;
    loop {
        let written = json!({
            "name": event.name,
            "timestamp_micros": event.at.timestamp_micros(),
            "params": params(&fitted),
        });
        // Beside it stands what is the client's.
        let size = written.to_string().len() + 2_000;
        if size <= LARGEST_BODY || fitted.items.is_empty() {
            return Ok(written);
        }
        let room = fitted.items.len() * LARGEST_BODY / size;
        fitted.items.truncate(room.min(fitted.items.len() - 1));
    }
}

fn params(fitted: &Fitted) -> Map<String, Value> {
    let mut params = Map::new();
    if let Some(id) = fitted.session_id {
        params.insert("session_id".into(), id.to_string().into());
    }
    params.insert("engagement_time_msec".into(), fitted.engagement_time_msec.into());
    let texts =
        [("transaction_id", &fitted.transaction_id), ("currency", &fitted.currency), ("coupon", &fitted.coupon)];
    for (name, text) in texts {
        if let Some(text) = text {
            params.insert(name.into(), text.as_str().into());
        }
    }
    if let Some(value) = fitted.value {
        params.insert("value".into(), json!(value));
    }
    if !fitted.items.is_empty() {
        params.insert("items".into(), fitted.items.iter().map(item).collect());
    }
    params.extend(fitted.others.iter().map(scalar));
    params
}

fn item(item: &Item) -> Value {
    let mut params: Map<String, Value> = item.others.iter().map(scalar).collect();
    let own = [
        ("item_id", item.id.as_deref().map(Value::from)),
        ("quantity", item.quantity.map(Value::from)),
        ("price", item.price.map(|it| json!(it))),
    ];
    params.extend(own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    params.into()
}

fn scalar((name, value): &(String, Scalar)) -> (String, Value) {
    let value = match value {
        Scalar::Text(text) => text.as_str().into(),
        Scalar::Number(number) => number.clone().into(),
    };
    (name.clone(), value)
}

/// A request of events of one client. The browser and the address of a person stay here.
fn body(of: &EventToSend, events: &[Value]) -> Value {
    let mut body = json!({ "client_id": of.client_id, "events": events });
    let consent = consent(of);
    if !consent.is_empty() {
        body["consent"] = consent.into();
    }
    if of.consent.ad_user_data == ConsentStatus::Granted {
        let hashes = [("sha256_email_address", &of.email_hash_google), ("sha256_phone_number", &of.phone_hash)];
        let user_data: Map<_, _> =
            hashes.into_iter().filter_map(|(name, hash)| Some((name.to_owned(), json!([hash.as_ref()?])))).collect();
        if !user_data.is_empty() {
            body["user_data"] = user_data.into();
        }
    }
    body
}

/// What the person said. What isn't known is left out: then what Google's tag told of the client counts.
fn consent(event: &EventToSend) -> Map<String, Value> {
    let spelled = |status| match status {
        ConsentStatus::Granted => Some("GRANTED"),
        ConsentStatus::Denied => Some("DENIED"),
        ConsentStatus::Unknown => None,
    };
    let said = [("ad_user_data", event.consent.ad_user_data), ("ad_personalization", event.consent.ad_personalization)];
    said.into_iter().filter_map(|(name, status)| Some((name.to_owned(), spelled(status)?.into()))).collect()
}

/// What has to be the same of events in one request.
fn of_client(event: &EventToSend) -> (&str, [&'static str; 2], Option<&str>, Option<&str>) {
    let statuses = [event.consent.ad_user_data, event.consent.ad_personalization].map(ConsentStatus::as_str);
    (
        event.client_id.as_str(),
        statuses,
        event.email_hash_google.as_ref().map(Hash::as_str),
        event.phone_hash.as_ref().map(Hash::as_str),
    )
}

/// The requests for these events, and why the others aren't sent.
fn batches(events: &[EventToSend], now: DateTime<Utc>) -> (Vec<Batch>, Vec<(usize, EventOutcome)>) {
    let mut refused = Vec::new();
    let mut by_client: BTreeMap<_, Vec<(usize, Value)>> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        if now - event.at > OLDEST {
            let message = "Google Analytics takes events of the last 72 hours only.";
            refused.push((at, EventOutcome::Rejected(Reason::new("too_old", message))));
            continue;
        }
        match written(event) {
            Ok(it) => by_client.entry(of_client(event)).or_default().push((at, it)),
            Err(reason) => refused.push((at, EventOutcome::Rejected(reason))),
        }
    }
    let mut batches = Vec::new();
    for of_client in by_client.into_values() {
        let (mut chosen, mut values, mut size) = (Vec::new(), Vec::new(), 0);
        for (at, value) in of_client {
            let more = value.to_string().len() + 1;
            if chosen.len() == MOST_EVENTS_OF_CLIENT || (!chosen.is_empty() && size + more + 2_000 > LARGEST_BODY) {
                batches.push(finished(events, &mut chosen, &mut values));
                size = 0;
            }
            chosen.push(at);
            values.push(value);
            size += more;
        }
        batches.push(finished(events, &mut chosen, &mut values));
    }
    (batches, refused)
}

fn finished(events: &[EventToSend], chosen: &mut Vec<usize>, values: &mut Vec<Value>) -> Batch {
    let body = body(&events[chosen[0]], &std::mem::take(values));
    Batch { events: std::mem::take(chosen), body }
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

/// Why an event isn't sent again.
pub(super) const NO_ANSWER: &str = "The event was sent, and no answer came. Google Analytics would count it twice if it \
     had arrived, so only purchases, which it recognises, are sent again";

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
            // A connection that was kept while the process stood still breaks once it is used, and then nobody knows.
            let http = match http_client_connecting_within(CONNECTING) {
                Ok(http) => http,
                Err(problem) => {
                    let outcome = EventOutcome::Unavailable(Reason::new("no_client", problem), None);
                    return (vec![outcome; events.len()], Vec::new());
                }
            };
            let (batches, refused) = batches(events, self.clock.now());
            for (at, outcome) in refused {
                outcomes[at] = outcome;
            }
            let has_failed = AtomicBool::new(false);
            let (http, failed) = (&http, &has_failed);
            let request = |batch: Batch| async move {
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
