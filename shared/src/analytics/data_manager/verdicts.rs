//! What the Data Manager API says later of the events that it accepted.

use std::collections::BTreeMap;

use super::reasons::{self, Meaning};
use crate::analytics::EventVerdict;
use crate::platforms::google::api::Answer;
use crate::platforms::google::request_status::{self, RequestStatus};
use crate::platforms::google::status::{RpcStatus, of_transport, reason};
use crate::platforms::{Outcome, Reason};

/// Reads the answer to `requestStatus:retrieve` for a request of so many events, in its order.
pub(super) fn of_status(answer: &Answer, events: usize, property_id: &str) -> Vec<EventVerdict> {
    let all = |verdict: EventVerdict| vec![verdict; events];
    if answer.status != 200 {
        return all(of_failed_question(answer));
    }
    let status = match request_status::read(answer) {
        Ok(status) => status,
        Err(code) => {
            let message = "Google did not return a verdict. Adtrail asks again automatically.";
            return all(EventVerdict::Unanswered(Reason::new(code, message)));
        }
    };
    status.log_warnings();
    match status.word.as_str() {
        "SUCCESS" => all(EventVerdict::Confirmed),
        "FAILED" | "FAILURE" | "PARTIAL_SUCCESS" => refusals(&status, events, property_id),
        _ => all(EventVerdict::Processing),
    }
}

/// Google counts those that it refused, and names them if it can.
fn refusals(status: &RequestStatus, events: usize, property_id: &str) -> Vec<EventVerdict> {
    let refused = |code: &str| match reasons::of_verdict(code) {
        (Meaning::Done, _) => EventVerdict::Confirmed,
        (_, advice) => EventVerdict::Refused(reason(code, advice, &format!("property {property_id}"))),
    };
    let counts = status.refused();
    let code = counts.first().map_or("PROCESSING_ERROR_REASON_UNSPECIFIED", |it| it.reason.as_str());
    let is_whole = status.events_ingestion_status.count().is_none_or(|records| records == events);
    let is_one_for_all = counts.len() <= 1 && status.word != "PARTIAL_SUCCESS";
    if events == 1 && is_whole || is_one_for_all {
        return vec![refused(code); events];
    }
    let mut named: BTreeMap<usize, &str> = BTreeMap::new();
    let mut are_all_named = is_whole && status.word == "PARTIAL_SUCCESS";
    for records in counts {
        let places = records.places();
        are_all_named &= records.count() == Some(places.len());
        named.extend(places.into_iter().map(|place| (place, records.reason.as_str())));
    }
    if !is_whole || named.keys().any(|place| *place >= events) {
        (named, are_all_named) = (BTreeMap::new(), false);
    }
    let unnamed = EventVerdict::Unknowable(reason(
        code,
        "Google refused some events of the request without saying which; none of it is sent again",
        "",
    ));
    let verdict = |place: usize| match named.get(&place) {
        Some(code) => refused(code),
        None if are_all_named => EventVerdict::Confirmed,
        None => unnamed.clone(),
    };
    (0..events).map(verdict).collect()
}

fn of_failed_question(answer: &Answer) -> EventVerdict {
    let status = RpcStatus::of(answer);
    let violations = status.field_violations();
    let named = violations.into_iter().map(|it| it.reason).find(|it| !it.is_empty()).or_else(|| status.error_info());
    match named.as_deref() {
        Some(code @ ("REQUEST_TOO_OLD" | "INVALID_REQUEST_ID")) => {
            EventVerdict::Unknowable(Reason::new(code, "Google no longer knows what became of the event."))
        }
        _ => match of_transport(answer, &status) {
            Some(Outcome::Paused(reason) | Outcome::Unavailable(reason, _)) => EventVerdict::Unanswered(reason),
            _ => EventVerdict::Unanswered(reason(
                &format!("http_{}", answer.status),
                "Google did not return a verdict",
                "",
            )),
        },
    }
}
