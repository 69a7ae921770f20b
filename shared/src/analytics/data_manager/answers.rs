//! What the answers to `events:ingest` mean for events. A request is taken as a whole or not at all.

use std::collections::BTreeMap;

use super::NO_ANSWER;
use super::reasons::{self, Meaning};
use crate::platforms::google::api::Answer;
use crate::platforms::google::batch::Answered;
use crate::platforms::google::receipt;
use crate::platforms::google::status::{RpcStatus, event_index, of_transport, too_large};
use crate::platforms::{Exchange, Outcome, Reason};

/// Of a request without an answer that says what became of it. Google's codes are in capitals.
pub(super) const NO_ANSWER_CODE: &str = "no_answer";

/// The request was sent, and nobody knows what became of it.
pub(super) fn unanswered() -> Answered {
    Answered::Failed(Outcome::Unavailable(Reason::new(NO_ANSWER_CODE, format!("{NO_ANSWER}.")), None))
}

/// Reads the answer to a request of so many events.
pub(super) fn of_ingest(answer: &Answer, events: usize, property_id: &str, exchange: &mut Exchange) -> Answered {
    if answer.status == 200 {
        let Some(request_id) = receipt::request_id(answer, exchange) else {
            exchange.may_have_arrived = true;
            return unanswered();
        };
        return Answered::Each(vec![Outcome::Accepted { request_id }; events]);
    }
    if let Some(outcome) = too_large(answer) {
        return Answered::TooLarge(outcome);
    }
    let status = RpcStatus::of(answer);
    status.note_request_id(exchange);
    let named = status.error_info().unwrap_or_else(|| status.canonical_code.clone());
    let violations = status.field_violations();
    let is_about_the_request = matches!(answer.status, 401 | 408 | 429 | 500..)
        || (answer.status == 404 && violations.is_empty())
        || (violations.is_empty() && named.is_empty());
    if is_about_the_request && let Some(outcome) = of_transport(answer, &status) {
        return Answered::Failed(outcome);
    }
    let outcome = |code: &str, said: &str| {
        let (meaning, advice) = reasons::of_refusal(code);
        let said = format!("property {property_id}: {said}");
        (meaning, reasons::outcome((meaning, advice), code, &said, answer.retry_after))
    };
    let mut blamed: BTreeMap<usize, Outcome> = BTreeMap::new();
    let mut elsewhere = None;
    for violation in &violations {
        let code = if violation.reason.is_empty() { &named } else { &violation.reason };
        let (meaning, found) = outcome(code, &format!("{}: {}", violation.field, violation.description));
        match event_index(&violation.field).filter(|index| *index < events) {
            // What is wrong with one of them because of the property is wrong with all of them.
            _ if matches!(meaning, Meaning::Settings) => return Answered::Failed(found),
            Some(index) if meaning == Meaning::Event => drop(blamed.insert(index, found)),
            Some(index) => drop(blamed.entry(index).or_insert(found)),
            // A destination isn't an event's fault.
            None if violation.field.starts_with("destinations") => {
                let advice = (Meaning::Settings, reasons::of_refusal("INVALID_DESTINATION").1);
                elsewhere = Some(reasons::outcome(advice, code, &violation.description, answer.retry_after));
            }
            None => elsewhere = Some(found),
        }
    }
    if !blamed.is_empty() {
        return Answered::Blamed(blamed.into_iter().collect());
    }
    match elsewhere.unwrap_or_else(|| outcome(&named, &status.message).1) {
        rejected @ Outcome::Rejected(_) => Answered::Unnamed(rejected),
        outcome => Answered::Failed(outcome),
    }
}
