//! What the Data Manager API says later of the conversions that it accepted.
//!
//! It counts those that it refused, for each reason. Since release 1.9 it also names them, by their places in the
//! request.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::answers::UNKNOWN;
use super::reasons;
use crate::platforms::google::api::Answer;
use crate::platforms::google::request_status::{self, Records, RequestStatus};
use crate::platforms::google::status::{RpcStatus, of_transport};
use crate::platforms::google_ads::meaning::{ReasonMeaning, explained, outcome, reason};
use crate::platforms::{Facts, Outcome, Reason, Verdict};

/// The verdicts on the conversions of a request.
#[derive(Debug, PartialEq)]
pub(super) struct Verdicts {
    /// In the order of the request.
    pub each: Vec<Verdict>,
    /// Did Google name conversions that it refused? None if it refused none.
    pub names_refused: Option<bool>,
}

/// Reads the answer to `requestStatus:retrieve` for a request of these conversions, in its order and all of one type,
/// that were sent for this account.
pub(super) fn of_status(answer: &Answer, conversions: &[Facts], customer_id: &str, now: DateTime<Utc>) -> Verdicts {
    let all = |verdict: Verdict| Verdicts { each: vec![verdict; conversions.len()], names_refused: None };
    let unanswered = |code: &str| {
        let message = "Google did not return a verdict. Adtrail asks again automatically.";
        all(Verdict::Unanswered(Reason::new(code, message)))
    };
    if answer.status != 200 {
        return all(of_failed_question(answer));
    }
    let destination = match request_status::read(answer) {
        Ok(destination) => destination,
        Err(code) => return unanswered(code),
    };
    destination.log_warnings();
    match destination.word.as_str() {
        "SUCCESS" => all(Verdict::Confirmed),
        // The documentation says FAILURE, the API FAILED.
        "FAILED" | "FAILURE" | "PARTIAL_SUCCESS" => Verdicts {
            each: destination.refusals(conversions, customer_id, now),
            names_refused: Some(destination.names_some_of(conversions.len())),
        },
        _ => all(Verdict::Processing),
    }
}

impl RequestStatus {
    fn refusals(&self, conversions: &[Facts], customer_id: &str, now: DateTime<Utc>) -> Vec<Verdict> {
        let meaning = |code: &str| reasons::of_processing(code).unwrap_or(UNKNOWN);
        let counts = self.refused();
        let refused = |code: &str, facts: &Facts| {
            let (meaning, reason) = explained(code, meaning(code), "", customer_id);
            if facts.click_id_omitted && meaning.is_about_a_click() {
                return Verdict::Unknowable(about_no_click(&reason));
            }
            match outcome(meaning, reason, Some(facts), None, now) {
                Outcome::AlreadyDone(_) => Verdict::Confirmed,
                Outcome::AlreadyThere(reason) => Verdict::Unknowable(reason),
                outcome => Verdict::Refused(outcome),
            }
        };
        // Whichever it was: Google has them all.
        let was_sent = |facts: &Facts| facts.sent_before || facts.is_correction;
        if !counts.is_empty()
            && counts.iter().all(|it| meaning(&it.reason).0 == ReasonMeaning::Exists)
            && conversions.iter().all(was_sent)
        {
            return vec![Verdict::Confirmed; conversions.len()];
        }
        let code = counts.iter().map(|it| it.reason.as_str()).max_by_key(|code| meaning(code).0.weight());
        let code = code.unwrap_or("PROCESSING_ERROR_REASON_UNSPECIFIED");
        // One row may be what is left of a request of many: others were deleted since, or went another way.
        let is_alone = conversions.len() == 1 && conversions[0].send_alone;
        let is_one_for_all = is_alone || (counts.len() == 1 && self.word != "PARTIAL_SUCCESS");
        if is_one_for_all {
            return conversions.iter().map(|facts| refused(code, facts)).collect();
        }
        let (named, rest_is_fine) = self.named(conversions.len());
        let advice = "Google rejected part of the request without saying which; each is sent again in its own request";
        let of = |(place, facts): (usize, &Facts)| match named.get(&place) {
            Some(code) => refused(code, facts),
            None if rest_is_fine => Verdict::Confirmed,
            None => Verdict::Refused(Outcome::SendAlone(reason(code, advice, ""))),
        };
        conversions.iter().enumerate().map(of).collect()
    }

    /// The reasons of those that Google names, by their places, and whether it counts no others. None of them if they
    /// may not be the places of these conversions, because the request had others as well.
    fn named(&self, conversions: usize) -> (BTreeMap<usize, &str>, bool) {
        let weight = |code: &str| reasons::of_processing(code).unwrap_or(UNKNOWN).0.weight();
        let mut named: BTreeMap<usize, &str> = BTreeMap::new();
        let mut are_all_named = self.word == "PARTIAL_SUCCESS";
        for refused in self.refused() {
            let places = refused.places();
            are_all_named &= refused.count() == Some(places.len());
            for place in places {
                let worst = named.entry(place).or_insert(&refused.reason);
                if weight(&refused.reason) > weight(worst) {
                    *worst = &refused.reason;
                }
            }
        }
        let is_whole = self.events_ingestion_status.count() == Some(conversions);
        if is_whole && named.keys().all(|place| *place < conversions) {
            (named, are_all_named)
        } else {
            (BTreeMap::new(), false)
        }
    }

    /// Does it name any, and each by a place that there is? One beyond the last would mean that Google counts from 1.
    fn names_some_of(&self, conversions: usize) -> bool {
        let places: Vec<_> = self.refused().iter().flat_map(Records::places).collect();
        !places.is_empty() && places.iter().all(|place| *place < conversions)
    }
}

/// Google refuses a click that it wasn't told: that can't be about this request, which has no other refusal.
fn about_no_click(refused: &Reason) -> Reason {
    let message = format!(
        "It was sent by e-mail or phone, without its click id, and accepted; the verdict is about a click id all the \
         same, so it stays unconfirmed and isn't sent again: see in Google Ads whether it counts. {}",
        refused.message
    );
    Reason::new(&refused.code, message)
}

fn of_failed_question(answer: &Answer) -> Verdict {
    let status = RpcStatus::of(answer);
    let violations = status.field_violations();
    let named = violations.into_iter().map(|it| it.reason).find(|it| !it.is_empty()).or_else(|| status.error_info());
    match named.as_deref() {
        Some("REQUEST_TOO_OLD") => {
            let message = "Google keeps verdicts for fifty days, and this one was not requested in time.";
            Verdict::Unknowable(Reason::new("REQUEST_TOO_OLD", message))
        }
        Some("INVALID_REQUEST_ID") => {
            let message =
                "Google does not recognize its own receipt; Adtrail sends the conversion again; it is counted once.";
            Verdict::Refused(Outcome::Retry(Reason::new("INVALID_REQUEST_ID", message)))
        }
        // Credentials and account are fine, or it would say so.
        _ if answer.status == 404 && !status.canonical_code.is_empty() => {
            let message = "Google does not know this receipt, though it accepted the conversion. Adtrail asks again for \
                 seven days; then the conversion stays unconfirmed. Others are not affected";
            Verdict::Forgotten(reason(&status.canonical_code, message, &status.message))
        }
        _ => match of_transport(answer, &status) {
            Some(Outcome::Paused(reason)) => Verdict::Paused(reason),
            Some(Outcome::Unavailable(reason, _)) => Verdict::Unanswered(reason),
            _ => Verdict::Unanswered(reason(&format!("http_{}", answer.status), "Google did not return a verdict", "")),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::platforms::google_ads::data_manager::answers::tests::{ACCOUNT, answer, error};
    use crate::platforms::google_ads::identifiers::tests::{conversion, now};

    /// The verdicts on conversions that were sent before.
    fn status(code: u16, body: &str, conversions: usize) -> Vec<Verdict> {
        let facts = Facts { send_alone: conversions == 1, sent_before: true, ..conversion().facts };
        of_status(&answer(code, body), &vec![facts; conversions], ACCOUNT, now()).each
    }

    fn said(word: &str, counts: &[(&str, u32)]) -> String {
        let counts: Vec<_> = counts
            .iter()
            .map(|(reason, count)| serde_json::json!({"recordCount": count.to_string(), "reason": reason}))
            .collect();
        serde_json::json!({"requestStatusPerDestination": [{"requestStatus": word, "errorInfo": {"errorCounts": counts}}]})
            .to_string()
    }

    const DUPLICATE: &str = "PROCESSING_ERROR_REASON_DUPLICATE_TRANSACTION_ID";
    const EVENT: &str = "PROCESSING_ERROR_REASON_INVALID_EVENT";

    #[test]
    fn a_verdict_is_read_in_every_spelling() {
        let one = |word: &str, reason: &str| status(200, &said(word, &[(reason, 1)]), 1).remove(0);
        assert_eq!(one("SUCCESS", ""), Verdict::Confirmed);
        assert_eq!(one("PROCESSING", ""), Verdict::Processing);
        assert_eq!(one("SOMETHING_NEW", ""), Verdict::Processing);
        assert_eq!(one("FAILED", DUPLICATE), Verdict::Confirmed);
        for word in ["FAILED", "FAILURE", "PARTIAL_SUCCESS"] {
            assert!(matches!(one(word, EVENT), Verdict::Refused(Outcome::Rejected(_))), "{word}");
        }
        let later = one("FAILED", "PROCESSING_ERROR_REASON_TOO_RECENT_CLICK");
        assert!(matches!(later, Verdict::Refused(Outcome::Later(..))));
        let gclid = one("FAILED", "PROCESSING_ERROR_REASON_INVALID_GCLID");
        assert!(matches!(gclid, Verdict::Refused(Outcome::OmitClickId(_))));
        let unknown = one("FAILED", "PROCESSING_ERROR_REASON_INVENTED_LATER");
        assert!(matches!(unknown, Verdict::Refused(Outcome::Retry(it)) if it.code.ends_with("INVENTED_LATER")));
        let paused = one("FAILED", "PROCESSING_ERROR_REASON_NO_CONSENT");
        assert!(matches!(paused, Verdict::Refused(Outcome::Paused(_))));
    }

    #[test]
    fn a_batch_refused_in_part_is_sent_one_by_one() {
        let all_alone = |body: &str| {
            let verdicts = status(200, body, 3);
            verdicts.len() == 3 && verdicts.iter().all(|it| matches!(it, Verdict::Refused(Outcome::SendAlone(_))))
        };
        assert!(all_alone(&said("PARTIAL_SUCCESS", &[(EVENT, 1)])));
        assert!(all_alone(&said("FAILED", &[(EVENT, 1), (DUPLICATE, 2)])));
        // What is left of a request of many isn't to blame for what was said of the others.
        let left = answer(200, &said("PARTIAL_SUCCESS", &[(EVENT, 1)]));
        let left = of_status(&left, &[conversion().facts], ACCOUNT, now()).each;
        assert!(matches!(left[..], [Verdict::Refused(Outcome::SendAlone(_))]));
        let same = status(200, &said("FAILED", &[(EVENT, 3)]), 3);
        assert!(same.len() == 3 && same.iter().all(|it| matches!(it, Verdict::Refused(Outcome::Rejected(_)))));
        assert_eq!(status(200, &said("PARTIAL_SUCCESS", &[(DUPLICATE, 2)]), 3), vec![Verdict::Confirmed; 3]);
    }

    #[test]
    fn no_verdict_is_no_verdict() {
        for (code, body) in
            [(503, ""), (429, ""), (200, ""), (200, "<html>"), (200, "{}"), (400, "{}"), (403, "<html>")]
        {
            assert!(matches!(status(code, body, 1)[0], Verdict::Unanswered(_)), "{code} {body}");
        }
        let denied = error(403, "PERMISSION_DENIED", &[]);
        assert!(
            matches!(status(401, "", 1)[0], Verdict::Paused(_))
                && matches!(status(403, &denied, 1)[0], Verdict::Paused(_))
        );
        let about = |code| error(400, "INVALID_ARGUMENT", &[("request_id", code)]);
        assert!(matches!(status(400, &about("REQUEST_TOO_OLD"), 1)[0], Verdict::Unknowable(_)));
        assert!(matches!(status(400, &about("INVALID_REQUEST_ID"), 1)[0], Verdict::Refused(Outcome::Retry(_))));
    }

    /// So many records, of which Google refused some: reason, count and places.
    fn named(word: &str, records: &Value, counts: &[(&str, Value, Value)]) -> String {
        let counts: Vec<_> = counts
            .iter()
            .map(|(reason, count, places)| json!({"reason": reason, "recordCount": count, "recordIndices": places}))
            .collect();
        json!({"requestStatusPerDestination": [{
            "requestStatus": word, "errorInfo": {"errorCounts": counts},
            "eventsIngestionStatus": {"recordCount": records},
        }]})
        .to_string()
    }

    /// What becomes of each: confirmed, sent alone, or the last word of its reason.
    fn become_of(body: &str, conversions: usize) -> Vec<String> {
        let word = |verdict: Verdict| match verdict {
            Verdict::Confirmed => "confirmed".to_owned(),
            Verdict::Refused(Outcome::SendAlone(_)) => "alone".to_owned(),
            Verdict::Refused(outcome) => outcome.reason().unwrap().code.rsplit('_').next().unwrap().to_owned(),
            other => panic!("{other:?}"),
        };
        status(200, body, conversions).into_iter().map(word).collect()
    }

    #[test]
    fn those_that_google_names_get_their_reason_and_the_others_are_confirmed() {
        for (records, first, second) in [(json!("4"), json!(["2"]), json!(["0"])), (json!(4), json!([2]), json!([0]))] {
            let counts = [(EVENT, json!("1"), first), (DUPLICATE, json!(1), second)];
            let body = named("PARTIAL_SUCCESS", &records, &counts);
            assert_eq!(become_of(&body, 4), ["confirmed", "confirmed", "EVENT", "confirmed"]);
            let facts = vec![conversion().facts; 4];
            assert_eq!(of_status(&answer(200, &body), &facts, ACCOUNT, now()).names_refused, Some(true));
        }
        let gclid = "PROCESSING_ERROR_REASON_INVALID_GCLID";
        let each = [(EVENT, json!("1"), json!(["1"])), (gclid, json!("1"), json!(["0"]))];
        assert_eq!(become_of(&named("FAILED", &json!("2"), &each), 2), ["GCLID", "EVENT"]);
        let twice = [(EVENT, json!("1"), json!(["1"])), (DUPLICATE, json!("1"), json!(["1"]))];
        let both = become_of(&named("PARTIAL_SUCCESS", &json!("2"), &twice), 2);
        assert_eq!(both, ["confirmed", "EVENT"], "of two reasons the worse one");
    }

    #[test]
    fn if_google_names_fewer_than_it_counts_the_rest_is_sent_alone() {
        for (count, places) in [(json!("3"), json!(["1"])), (json!("2"), json!(["1", "1"])), (Value::Null, json!([1]))]
        {
            let body = named("PARTIAL_SUCCESS", &json!("4"), &[(EVENT, count, places)]);
            assert_eq!(become_of(&body, 4), ["alone", "EVENT", "alone", "alone"], "{body}");
        }
        let contradictory = [(EVENT, json!("1"), json!(["1"])), (DUPLICATE, json!("1"), json!(["2"]))];
        let body = named("FAILED", &json!("3"), &contradictory);
        assert_eq!(become_of(&body, 3), ["alone", "EVENT", "confirmed"], "FAILED leaves nothing that is fine");
    }

    #[test]
    fn places_that_may_be_those_of_others_name_nobody() {
        let one = |places: Value| [(EVENT, json!("1"), places)];
        for (records, places) in [
            (json!("4"), json!(["1"])),
            (Value::Null, json!(["1"])),
            (json!("3"), json!(["3"])),
            (json!("3"), json!(["-1"])),
            (json!("3"), json!("1")),
            (json!("3"), json!([{}])),
            (json!("3"), Value::Null),
            (json!("3"), json!([])),
        ] {
            let body = named("PARTIAL_SUCCESS", &records, &one(places));
            assert_eq!(become_of(&body, 3), ["alone"; 3], "{body}");
        }
        let counted_from_one = answer(200, &named("FAILED", &json!("1"), &[(EVENT, json!("1"), json!(["1"]))]));
        assert_eq!(of_status(&counted_from_one, &[conversion().facts], ACCOUNT, now()).names_refused, Some(false));
        let without = answer(200, &said("PARTIAL_SUCCESS", &[(EVENT, 1)]));
        assert_eq!(of_status(&without, &[conversion().facts; 2], ACCOUNT, now()).names_refused, Some(false));
        let fine = answer(200, &said("SUCCESS", &[]));
        assert_eq!(of_status(&fine, &[conversion().facts; 2], ACCOUNT, now()).names_refused, None);
    }

    #[test]
    fn a_click_of_another_account_says_which_account_it_was_sent_for() {
        for reason in [
            "PROCESSING_ERROR_REASON_INVALID_OPERATING_ACCOUNT_FOR_CLICK",
            "PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER",
        ] {
            let verdict = status(200, &said("FAILED", &[(reason, 1)]), 1).remove(0);
            let Verdict::Refused(Outcome::OtherAccount(refused)) = verdict else { panic!("{verdict:?}") };
            assert!(refused.message.contains(ACCOUNT), "{refused:?}");
        }
    }

    #[test]
    fn what_is_kept_of_a_verdict_is_short_and_a_page_that_does_not_exist_pauses() {
        let long = "x\0\u{1b}".repeat(100_000);
        let Verdict::Refused(refused) = status(200, &said("FAILED", &[(&long, 1)]), 1).remove(0) else { panic!() };
        let Reason { code, message } = refused.reason().unwrap();
        assert!(code.chars().count() <= 100 && message.chars().count() <= 1_000, "{refused:?}");
        assert!(!code.contains(char::is_control) && !message.contains(char::is_control), "{refused:?}");
        assert!(matches!(status(404, "<!DOCTYPE html>", 1)[0], Verdict::Paused(_)));
    }

    #[test]
    fn a_receipt_that_google_no_longer_knows_pauses_nothing() {
        let plain =
            json!({"error": {"code": 404, "message": "Requested entity was not found.", "status": "NOT_FOUND"}});
        for body in [
            plain.to_string(),
            error(404, "NOT_FOUND", &[]),
            error(404, "NOT_FOUND", &[("request_id", "NOT_FOUND")]),
            error(404, "RESOURCE_NOT_FOUND", &[("request_id", "")]),
            error(404, "", &[]),
        ] {
            let verdict = status(404, &body, 1).remove(0);
            assert!(
                matches!(&verdict, Verdict::Forgotten(it) if it.message.contains("receipt")),
                "{body}: {verdict:?}"
            );
        }
        // Of these it isn't Google that says so.
        for (code, body) in [(404, ""), (404, "{}"), (410, ""), (404, "not found"), (502, "NOT_FOUND")] {
            assert!(matches!(status(code, body, 1)[0], Verdict::Unanswered(_)), "{code} {body}");
        }
    }

    #[test]
    fn a_duplicate_of_what_was_never_sent_before_is_not_confirmed() {
        let first = |reason: &str, facts: Facts| {
            let answer = answer(200, &said("FAILED", &[(reason, 1)]));
            of_status(&answer, &[Facts { send_alone: true, ..facts }], ACCOUNT, now()).each.remove(0)
        };
        let gclid = "PROCESSING_ERROR_REASON_DUPLICATE_GCLID";
        let facts = conversion().facts;
        assert!(matches!(first(DUPLICATE, facts), Verdict::Unknowable(it) if it.message.contains("never sent")));
        assert!(matches!(first(gclid, facts), Verdict::Refused(Outcome::SecondLater(_))));
        let again = Facts { sent_before: true, ..facts };
        assert_eq!(first(DUPLICATE, again), Verdict::Confirmed);
        assert!(matches!(first(gclid, again), Verdict::Refused(Outcome::SecondLater(_))), "asked by its id");
        let correction = Facts { is_correction: true, ..facts };
        assert_eq!((first(DUPLICATE, correction), first(gclid, correction)), (Verdict::Confirmed, Verdict::Confirmed));
    }

    #[test]
    fn a_refusal_of_a_click_that_was_not_sent_leaves_it_unconfirmed() {
        let without =
            Facts { click_id_omitted: true, can_omit_click_id: false, send_alone: true, ..conversion().facts };
        let verdict = |word: &str, reason: &str| {
            let answer = answer(200, &said(word, &[(&format!("PROCESSING_ERROR_{reason}"), 1)]));
            of_status(&answer, &[without], ACCOUNT, now()).each.remove(0)
        };
        for reason in [
            "REASON_INVALID_OPERATING_ACCOUNT_FOR_CLICK",
            "OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER",
            "REASON_INVALID_GCLID",
            "REASON_INVALID_GBRAID",
            "REASON_INVALID_WBRAID",
        ] {
            for word in ["FAILED", "PARTIAL_SUCCESS"] {
                let verdict = verdict(word, reason);
                let Verdict::Unknowable(it) = &verdict else { panic!("{reason}: {verdict:?}") };
                assert!(it.code.ends_with(reason) && it.message.contains("without its click id"), "{it:?}");
            }
        }
        assert!(matches!(verdict("FAILED", "REASON_INVALID_EVENT"), Verdict::Refused(Outcome::Rejected(_))));
    }
}
