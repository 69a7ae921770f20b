//! What the sandbox accepted, and the verdicts it will return later.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::adjustment_log::AdjustmentLog;
use crate::ads_account::ConversionAction;
use crate::analytics::Analytics;
use crate::book::{Amount, Arrival, Book, Identity, Origin, Transport};
use crate::clicks::Clicks;
use crate::request::{Destination, Event, IngestEventsRequest};
use crate::request_body::RequestBody;
use crate::status::{RequestStatus, Verdict};

/// One conversion at one destination. Google matches on `transactionId` within a conversion
/// action: a second event with the same one adjusts the first instead of counting again.
#[derive(Clone, Debug, Serialize)]
pub struct ReceivedEvent {
    /// The request that brought it, the latest if it came more than once.
    pub request_id: String,
    /// The account that it was sent for: ten digits.
    #[serde(rename = "customerId")]
    pub customer_id: String,
    /// The conversion action's numeric id, within the account.
    #[serde(rename = "conversionAction")]
    pub conversion_action: String,
    #[serde(rename = "transactionId")]
    pub transaction_id: String,
    /// How many times it was accepted.
    pub received: u32,
    /// The destination, exactly as the latest request wrote it. Null when bodies are not kept.
    pub destination: Value,
    /// The event, exactly as the latest request wrote it. Null when bodies are not kept.
    pub event: Value,
    /// When it was accepted last.
    pub received_at: DateTime<Utc>,
    /// The whole latest request, byte for byte. `None` when bodies are not kept.
    #[serde(skip)]
    pub body: Option<RequestBody>,
}

/// What one request brought to one of its destinations.
#[derive(Debug)]
pub(crate) struct Submission {
    pub destination: Arc<Value>,
    pub record_count: u64,
    /// Which of the request's records processing refused, by reason.
    pub refused: BTreeMap<String, Vec<usize>>,
    /// The scripted verdict, which takes precedence.
    pub scripted: Option<Verdict>,
    /// Was the verdict returned? Google doesn't change it afterwards.
    pub is_told: bool,
}

/// An event was booked at a conversion action under a `transactionId`.
type Place = (ConversionAction, String);

/// Everything accepted so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub book: Book,
    pub clicks: Clicks,
    pub adjustments: AdjustmentLog,
    events: Vec<ReceivedEvent>,
    places: HashMap<Place, usize>,
    submissions: HashMap<String, Vec<Submission>>,
    /// Every destination ever written, once.
    destinations: Vec<Arc<Value>>,
    /// Why processing refuses the events with a `transactionId`.
    decisions: HashMap<String, String>,
}

impl Ledger {
    /// Records a request that passed every check. `raw` is the same request as it was written, `body` the same byte for
    /// byte, if bodies are kept.
    pub(crate) fn accept(
        &mut self,
        request_id: &str,
        request: &IngestEventsRequest,
        raw: &Value,
        body: Option<&RequestBody>,
        analytics: &mut Analytics,
        now: DateTime<Utc>,
    ) {
        let mut submissions: Vec<Submission> = (0..request.destinations.len())
            .map(|index| Submission {
                destination: self.known(&raw["destinations"][index]),
                record_count: 0,
                refused: BTreeMap::new(),
                scripted: None,
                is_told: false,
            })
            .collect();
        let kept = |value: &Value| if body.is_some() { value.clone() } else { Value::Null };
        for (event_index, event) in request.events.iter().enumerate() {
            for (index, destination) in event.targets(&request.destinations) {
                let submission = &mut submissions[index];
                submission.record_count += 1;
                if destination.is_analytics() {
                    match self.decisions.get(event.id()).cloned() {
                        Some(reason) => submission.refused.entry(reason).or_default().push(event_index),
                        None => analytics.ingest(event, destination, now),
                    }
                    continue;
                }
                let action = action(destination);
                self.receive(
                    (action.clone(), event.transaction_id.clone()),
                    ReceivedEvent {
                        request_id: request_id.to_owned(),
                        customer_id: action.customer_id.clone(),
                        conversion_action: action.id.clone(),
                        transaction_id: event.transaction_id.clone(),
                        received: 1,
                        destination: kept(&submission.destination),
                        event: kept(&raw["events"][event_index]),
                        received_at: now,
                        body: body.cloned(),
                    },
                );
                let decided = self.decisions.get(&event.transaction_id).cloned();
                if let Some(reason) = decided.or_else(|| mismatch(&self.clicks, event, destination)) {
                    submission.refused.entry(reason).or_default().push(event_index);
                } else {
                    let origin = Origin { request_id: request_id.to_owned(), destination: index, event: event_index };
                    let arrival = arrival(event, origin, body, now);
                    self.book.arrive(&action, Identity::Order(event.transaction_id.clone()), arrival);
                }
            }
        }
        self.submissions.insert(request_id.to_owned(), submissions);
    }

    fn receive(&mut self, place: Place, mut event: ReceivedEvent) {
        if let Some(&index) = self.places.get(&place) {
            event.received += self.events[index].received;
            self.events[index] = event;
        } else {
            self.places.insert(place, self.events.len());
            self.events.push(event);
        }
    }

    fn known(&mut self, destination: &Value) -> Arc<Value> {
        if let Some(known) = self.destinations.iter().find(|known| ***known == *destination) {
            return known.clone();
        }
        let destination = Arc::new(destination.clone());
        self.destinations.push(destination.clone());
        destination
    }

    /// The events in the order of their first arrival.
    pub(crate) fn events(&self) -> &[ReceivedEvent] {
        &self.events
    }

    /// What a request brought, one entry per destination. `None` for a request never accepted.
    pub(crate) fn submissions(&mut self, request_id: &str) -> Option<&mut [Submission]> {
        self.submissions.get_mut(request_id).map(Vec::as_mut_slice)
    }

    /// Settles a request by a verdict from the script.
    pub(crate) fn settle(&mut self, request_id: &str, verdict: &Verdict) {
        for (index, submission) in self.submissions.get_mut(request_id).into_iter().flatten().enumerate() {
            submission.scripted = Some(verdict.clone());
            if verdict.status == RequestStatus::Failed {
                self.book.refuse_submission(request_id, index);
            }
        }
    }

    /// Lets processing refuse the events with this `transactionId`: those to come, and those whose verdict nobody
    /// knows yet.
    pub(crate) fn decide(&mut self, transaction_id: String, reason: String) {
        let submissions = &mut self.submissions;
        self.book.refuse(&Identity::Order(transaction_id.clone()), |origin| {
            let submissions = submissions.get_mut(&origin.request_id);
            let submission = submissions.and_then(|submissions| submissions.get_mut(origin.destination));
            let open = submission.filter(|submission| !submission.is_told);
            if let Some(submission) = open {
                submission.refused.entry(reason.clone()).or_default().push(origin.event);
                return true;
            }
            false
        });
        self.decisions.insert(transaction_id, reason);
    }

    /// Lets processing accept future events with this `transactionId`. Those it rejected stay rejected.
    pub(crate) fn undecide(&mut self, transaction_id: &str) {
        self.decisions.remove(transaction_id);
    }

    /// Forgets the events, the conversions and the adjustments. The status of their requests can still be asked for.
    pub(crate) fn forget_events(&mut self) {
        self.events.clear();
        self.places.clear();
        self.book = Book::default();
        self.adjustments = AdjustmentLog::default();
    }
}

impl Submission {
    /// Google's verdict once it is processed.
    pub(crate) fn status(&self) -> RequestStatus {
        if let Some(scripted) = &self.scripted {
            return scripted.status;
        }
        let refused: u64 = self.refused.values().map(|records| records.len() as u64).sum();
        match refused {
            0 => RequestStatus::Success,
            _ if refused < self.record_count => RequestStatus::PartialSuccess,
            _ => RequestStatus::Failed,
        }
    }

    /// Which of the request's records were refused for this reason. A verdict from the script names none.
    pub(crate) fn named(&self, reason: &str) -> Option<BTreeSet<usize>> {
        let records = self.refused.get(reason).filter(|_| self.scripted.is_none())?;
        Some(records.iter().copied().collect())
    }

    /// How many records were refused, by reason.
    pub(crate) fn errors(&self) -> BTreeMap<String, u64> {
        let Some(scripted) = &self.scripted else {
            let counted = self.refused.iter().map(|(reason, records)| (reason.clone(), records.len() as u64));
            return counted.collect();
        };
        let usual = if scripted.status == RequestStatus::Failed { self.record_count } else { 1 };
        let reason = scripted.reason.as_deref().unwrap_or("PROCESSING_ERROR_REASON_INTERNAL_ERROR");
        [(reason.to_owned(), scripted.record_count.unwrap_or(usual))].into()
    }
}

fn action(destination: &Destination) -> ConversionAction {
    ConversionAction {
        customer_id: destination.customer_id().to_owned(),
        id: destination.product_destination_id.clone(),
    }
}

fn mismatch(clicks: &Clicks, event: &Event, destination: &Destination) -> Option<String> {
    let ids = &event.ad_identifiers;
    let found = [&ids.gclid, &ids.gbraid, &ids.wbraid]
        .into_iter()
        .find_map(|id| clicks.mismatch(id, event.event_timestamp?, destination.customer_id()))?;
    Some(found.processing_reason().to_owned())
}

fn arrival(event: &Event, submission: Origin, body: Option<&RequestBody>, now: DateTime<Utc>) -> Arrival {
    let value = event.conversion_value.as_ref().and_then(Value::as_f64);
    Arrival {
        transport: Transport::DataManager,
        occurred_at: event.event_timestamp.unwrap_or(now),
        amount: value.map(|value| Amount { value, currency: Some(event.currency.clone()) }),
        submission: Some(submission),
        body: body.cloned(),
    }
}
