//! What the sandbox accepted, and what it will say about it later.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::request::IngestEventsRequest;
use super::status::Verdict;

/// One conversion at one destination. Google matches on `transactionId` within a conversion
/// action: a second event with the same one adjusts the first instead of counting again.
#[derive(Clone, Debug, Serialize)]
pub struct ReceivedEvent {
    /// The request that brought it, the latest if it came more than once.
    pub request_id: String,
    /// The event's `transactionId`.
    #[serde(rename = "transactionId")]
    pub transaction_id: String,
    /// How many times it was accepted.
    pub received: u32,
    /// The destination, exactly as the latest request wrote it.
    pub destination: Value,
    /// The event, exactly as the latest request wrote it.
    pub event: Value,
    /// When it was accepted last.
    pub received_at: DateTime<Utc>,
}

/// What one request brought to one of its destinations.
#[derive(Debug)]
pub(super) struct Submission {
    pub destination: Value,
    pub record_count: usize,
    pub verdict: Verdict,
}

/// Where an event was booked: account, conversion action, `transactionId`.
type Place = (String, String, String);

/// Everything accepted so far.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    events: Vec<ReceivedEvent>,
    places: HashMap<Place, usize>,
    submissions: HashMap<String, Vec<Submission>>,
}

impl Ledger {
    /// Books a request that passed every check. `raw` is the same request as it was written.
    pub(super) fn accept(&mut self, request_id: &str, request: &IngestEventsRequest, raw: &Value, now: DateTime<Utc>) {
        let mut submissions: Vec<Submission> = (0..request.destinations.len())
            .map(|index| Submission {
                destination: raw["destinations"][index].clone(),
                record_count: 0,
                verdict: Verdict::default(),
            })
            .collect();
        for (event_index, event) in request.events.iter().enumerate() {
            for (index, destination) in event.targets(&request.destinations) {
                let submission = &mut submissions[index];
                submission.record_count += 1;
                let account = destination.operating_account.as_ref();
                let place = (
                    account.map_or_else(String::new, |account| account.account_id.clone()),
                    destination.product_destination_id.clone(),
                    event.transaction_id.clone(),
                );
                self.book(
                    place,
                    ReceivedEvent {
                        request_id: request_id.to_owned(),
                        transaction_id: event.transaction_id.clone(),
                        received: 1,
                        destination: submission.destination.clone(),
                        event: raw["events"][event_index].clone(),
                        received_at: now,
                    },
                );
            }
        }
        self.submissions.insert(request_id.to_owned(), submissions);
    }

    fn book(&mut self, place: Place, mut event: ReceivedEvent) {
        if let Some(&index) = self.places.get(&place) {
            event.received += self.events[index].received;
            self.events[index] = event;
        } else {
            self.places.insert(place, self.events.len());
            self.events.push(event);
        }
    }

    /// The events in the order of their first arrival.
    pub(super) fn events(&self) -> &[ReceivedEvent] {
        &self.events
    }

    /// What a request brought, one entry per destination. `None` for a request never accepted.
    pub(super) fn submissions(&mut self, request_id: &str) -> Option<&mut [Submission]> {
        self.submissions.get_mut(request_id).map(Vec::as_mut_slice)
    }

    /// Forgets the events. The status of their requests can still be asked for.
    pub(super) fn forget_events(&mut self) {
        self.events.clear();
        self.places.clear();
    }
}
