//! What the Data Manager API's answers mean for the conversions that were sent. Only an answer that can be read and
//! that is about a conversion settles it; everything else is sent again, which is harmless: the `transactionId` is the
//! same.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::reasons;
use crate::platforms::google_ads::api::Answer;
use crate::platforms::google_ads::batch::Answered;
use crate::platforms::google_ads::meaning::{ReasonMeaning, outcome, reason, wait_if_clock_ahead};
use crate::platforms::google_ads::status::{RpcStatus, of_transport, unreadable};
use crate::platforms::{Conversion, Exchange, Facts, Outcome, Reason, Verdict};
use crate::texts::{self, CODE, fit};

/// The maximum number of warnings of an answer that are logged.
const MOST_WARNINGS: usize = 20;

const UNKNOWN: (ReasonMeaning, &str) = (ReasonMeaning::Odd, "Google rejected it for a reason unknown to Adtrail");

/// Reads the answer to `events:ingest` for these conversions, all of one type.
pub(super) fn of_ingest(
    answer: &Answer,
    conversions: &[&Conversion],
    exchange: &mut Exchange,
    now: DateTime<Utc>,
) -> Answered {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Receipt {
        request_id: String,
        #[serde(default)]
        field_warnings: Vec<FieldWarning>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct FieldWarning {
        reason: String,
        field: String,
    }
    if answer.status == 200 {
        let receipt: Option<Receipt> = serde_json::from_slice(&answer.body).ok();
        let receipt = receipt.and_then(|it| Some((texts::id(it.request_id)?, it.field_warnings)));
        let Some((request_id, field_warnings)) = receipt else { return Answered::Failed(unreadable(answer)) };
        // It was accepted all the same, but for these fields.
        for FieldWarning { reason, field } in field_warnings.iter().take(MOST_WARNINGS) {
            let (reason, field) = (fit(reason, CODE), fit(field, CODE));
            tracing::warn!(request_id, reason, field, "Google ignores a field");
        }
        exchange.request_id = Some(request_id.clone());
        return Answered::Each(vec![Outcome::Accepted { request_id }; conversions.len()]);
    }
    let status = RpcStatus::of(answer);
    status.note_request_id(exchange);
    let named = status.error_info().unwrap_or_else(|| status.canonical_code.clone());
    let violations = status.field_violations();
    let is_about_the_request = matches!(answer.status, 401 | 408 | 429 | 500..)
        || (answer.status == 404 && violations.is_empty())
        || (violations.is_empty() && reasons::of_request(&named).is_none());
    if is_about_the_request && let Some(outcome) = of_transport(answer, &status, now) {
        return Answered::Failed(outcome);
    }

    let mut events: BTreeMap<usize, (ReasonMeaning, Reason)> = BTreeMap::new();
    let mut elsewhere = None;
    for violation in &violations {
        let code = if violation.reason.is_empty() { &named } else { &violation.reason };
        let (meaning, advice) = reasons::of_request(code).unwrap_or(UNKNOWN);
        let found = (meaning, reason(code, advice, &format!("{}: {}", violation.field, violation.description)));
        match event_index(&violation.field).filter(|index| *index < conversions.len()) {
            Some(index) => worst(events.entry(index).or_insert_with(|| found.clone()), found),
            // A destination isn't a conversion's fault.
            None if violation.field.starts_with("destinations") && found.0 == ReasonMeaning::Conversion => {
                elsewhere = Some((ReasonMeaning::Account, found.1));
            }
            None => elsewhere = Some(found),
        }
    }
    // What is wrong with one of them because of the account or the action is wrong with all of them.
    let of_all = events.values().find(|(meaning, _)| meaning.is_of_all()).cloned();
    if let Some((meaning, reason)) = of_all {
        return Answered::Failed(outcome(meaning, reason, None, answer.retry_after, now));
    }
    if !events.is_empty() {
        let blamed = events.into_iter().map(|(index, (meaning, reason))| {
            let conversion = conversions[index];
            let outcome = outcome(meaning, reason, Some(&conversion.facts), answer.retry_after, now);
            (index, wait_if_clock_ahead(outcome, conversion, answer.date, now))
        });
        return Answered::Blamed(blamed.collect());
    }
    let (meaning, reason) = elsewhere.unwrap_or_else(|| {
        let (meaning, advice) = reasons::of_request(&named).unwrap_or(UNKNOWN);
        (meaning, reason(&named, advice, &status.message))
    });
    if meaning.is_of_all() {
        Answered::Failed(outcome(meaning, reason, None, answer.retry_after, now))
    } else {
        let only = (conversions.len() == 1).then(|| conversions[0]);
        let outcome = outcome(meaning, reason, only.map(|it| &it.facts), answer.retry_after, now);
        Answered::Unnamed(match only {
            Some(conversion) => wait_if_clock_ahead(outcome, conversion, answer.date, now),
            None => outcome,
        })
    }
}

/// Of `events.events[7].currency` and `events[7].currency`: 7.
fn event_index(field: &str) -> Option<usize> {
    let (_, rest) = field.split_once("events[")?;
    rest.split_once(']')?.0.parse().ok()
}

fn worst(known: &mut (ReasonMeaning, Reason), found: (ReasonMeaning, Reason)) {
    if found.0.weight() > known.0.weight() {
        *known = found;
    }
}

/// Reads the answer to `requestStatus:retrieve` for a request of these conversions, all of one type.
pub(super) fn of_status(answer: &Answer, conversions: &[Facts], now: DateTime<Utc>) -> Vec<Verdict> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Statuses {
        request_status_per_destination: Vec<Destination>,
    }
    let all = |verdict: Verdict| vec![verdict; conversions.len()];
    let unanswered = |code: &str| {
        let message = "Google did not return a verdict. Adtrail asks again automatically.";
        all(Verdict::Unanswered(Reason::new(code, message)))
    };
    if answer.status != 200 {
        return all(of_failed_question(answer, now));
    }
    let Ok(Statuses { request_status_per_destination: statuses }) = serde_json::from_slice(&answer.body) else {
        return unanswered("unreadable_answer");
    };
    let Some(destination) = statuses.first() else { return unanswered("no_status") };
    match destination.request_status.as_str() {
        "SUCCESS" => all(Verdict::Confirmed),
        // The documentation says FAILURE, the API FAILED.
        "FAILED" | "FAILURE" | "PARTIAL_SUCCESS" => destination.refusals(conversions, now),
        _ => all(Verdict::Processing),
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Destination {
    request_status: String,
    error_info: ErrorInfo,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ErrorInfo {
    error_counts: Vec<ErrorCount>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorCount {
    reason: String,
}

impl Destination {
    /// Google counts the conversions it refused for each reason, and doesn't name them.
    fn refusals(&self, conversions: &[Facts], now: DateTime<Utc>) -> Vec<Verdict> {
        let meaning = |code: &str| reasons::of_processing(code).unwrap_or(UNKNOWN);
        let counts = &self.error_info.error_counts;
        if !counts.is_empty() && counts.iter().all(|it| meaning(&it.reason).0 == ReasonMeaning::Done) {
            return vec![Verdict::Confirmed; conversions.len()];
        }
        let code = counts.iter().map(|it| it.reason.as_str()).max_by_key(|code| meaning(code).0.weight());
        let code = code.unwrap_or("PROCESSING_ERROR_REASON_UNSPECIFIED");
        // One row may be what is left of a request of many: others were deleted since, or went another way.
        let is_alone = conversions.len() == 1 && conversions[0].send_alone;
        let is_one_for_all = is_alone || (counts.len() == 1 && self.request_status != "PARTIAL_SUCCESS");
        if !is_one_for_all {
            let advice =
                "Google rejected part of the request without saying which; each is sent again in its own request";
            let alone = Verdict::Refused(Outcome::SendAlone(reason(code, advice, "")));
            return vec![alone; conversions.len()];
        }
        let (meaning, advice) = meaning(code);
        let refused = |it| match outcome(meaning, reason(code, advice, ""), Some(it), None, now) {
            Outcome::AlreadyDone(_) => Verdict::Confirmed,
            outcome => Verdict::Refused(outcome),
        };
        conversions.iter().map(refused).collect()
    }
}

fn of_failed_question(answer: &Answer, now: DateTime<Utc>) -> Verdict {
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
        _ => match of_transport(answer, &status, now) {
            Some(Outcome::Paused(reason)) => Verdict::Paused(reason),
            Some(Outcome::Unavailable(reason, _)) => Verdict::Unanswered(reason),
            _ => Verdict::Unanswered(reason(&format!("http_{}", answer.status), "Google did not return a verdict", "")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    use crate::platforms::google_ads::identifiers::tests::{conversion, now};

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, retry_after: Some(TimeDelta::seconds(7)), date: None, body: body.into() }
    }

    /// What a request of so many conversions comes to.
    fn ingest(status: u16, body: &str, conversions: usize) -> Answered {
        let conversion = conversion();
        of_ingest(&answer(status, body), &vec![&conversion; conversions], &mut Exchange::default(), now())
    }

    fn failed(status: u16, body: &str) -> Outcome {
        match ingest(status, body, 3) {
            Answered::Failed(outcome) => outcome,
            _ => panic!("{status} {body}"),
        }
    }

    fn status(code: u16, body: &str, conversions: usize) -> Vec<Verdict> {
        let facts = Facts { send_alone: conversions == 1, ..conversion().facts };
        of_status(&answer(code, body), &vec![facts; conversions], now())
    }

    fn error(status: u16, reason: &str, violations: &[(&str, &str)]) -> String {
        let violations: Vec<_> = violations
            .iter()
            .map(|(field, reason)| serde_json::json!({"field": field, "description": "no", "reason": reason}))
            .collect();
        serde_json::json!({"error": {"code": status, "message": "m", "status": "INVALID_ARGUMENT", "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason},
            {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "t-1"},
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations},
        ]}})
        .to_string()
    }

    #[test]
    fn a_receipt_counts_only_if_it_can_be_read() {
        let accepted = Outcome::Accepted { request_id: "r1".into() };
        assert!(
            matches!(ingest(200, r#"{"requestId":"r1"}"#, 2), Answered::Each(it) if it == [accepted.clone(), accepted])
        );
        for body in ["", "{}", "<html>", r#"{"requestId":"r"#, r#"{"requestId":""}"#, r#"{"requestId":7}"#, "[]"] {
            assert!(matches!(failed(200, body), Outcome::Unavailable(..)), "{body}");
        }
        for id in ["r\\u0000", "r\\n", &"r".repeat(257)] {
            let body = format!(r#"{{"requestId":"{id}"}}"#);
            assert!(matches!(failed(200, &body), Outcome::Unavailable(..)), "{body}");
        }
    }

    #[test]
    fn the_conversions_at_fault_are_named_in_either_spelling_and_in_googles_words() {
        let violations = [
            ("events.events[2].currency", "INVALID_CURRENCY_CODE"),
            ("events[0].user_data.user_identifiers[1]", "INVALID_HEX_ENCODING"),
        ];
        let Answered::Blamed(blamed) = ingest(400, &error(400, "INVALID_ARGUMENT", &violations), 3) else { panic!() };
        let codes: Vec<_> =
            blamed.iter().map(|(at, it)| (*at, it.as_str(), it.reason().unwrap().code.as_str())).collect();
        assert_eq!(codes, [(0, "rejected", "INVALID_HEX_ENCODING"), (2, "rejected", "INVALID_CURRENCY_CODE")]);
        assert!(blamed[1].1.reason().unwrap().message.contains("events.events[2].currency: no"));
    }

    #[test]
    fn what_lies_ahead_by_googles_clock_waits() {
        let conversion = conversion();
        let refusal = error(400, "INVALID_ARGUMENT", &[("events.events[0]", "INVALID_ARGUMENT")]);
        let at = |minutes| Answer {
            date: Some(conversion.occurred_at + TimeDelta::minutes(minutes)),
            ..answer(400, &refusal)
        };
        let outcome = |minutes| match of_ingest(&at(minutes), &[&conversion], &mut Exchange::default(), now()) {
            Answered::Blamed(mut blamed) => blamed.remove(0).1,
            _ => panic!(),
        };
        assert!(matches!(outcome(-60), Outcome::Later(at, _) if at == now() + TimeDelta::seconds(60 * 60 - 1)));
        assert!(matches!(outcome(1), Outcome::Rejected(_)));
    }

    #[test]
    fn an_absurd_date_is_ignored() {
        let conversion = conversion();
        let refusal = error(400, "INVALID_ARGUMENT", &[("events.events[0]", "INVALID_ARGUMENT")]);
        let apart = |days| now() - TimeDelta::days(days);
        for (date, waits) in [
            (apart(2), true),
            (apart(7), true),
            (apart(8), false),
            (DateTime::UNIX_EPOCH, false),
            (apart(-36_500), false),
            (DateTime::<Utc>::MIN_UTC, false),
            (DateTime::<Utc>::MAX_UTC, false),
        ] {
            let dated = Answer { date: Some(date), ..answer(400, &refusal) };
            let Answered::Blamed(blamed) = of_ingest(&dated, &[&conversion], &mut Exchange::default(), now()) else {
                panic!("{date}")
            };
            assert_eq!(matches!(blamed[0].1, Outcome::Later(..)), waits, "{date}: {:?}", blamed[0].1);
        }
    }

    #[test]
    fn texts_of_an_answer_are_cut_and_have_no_control_characters() {
        let long = "x\0\u{1b}".repeat(100_000);
        let fits = |reason: &Reason| {
            reason.code.chars().count() <= 100
                && reason.message.chars().count() <= 1_000
                && !reason.code.contains(char::is_control)
                && !reason.message.contains(char::is_control)
        };
        let body =
            error(400, &long, &[("events.events[0]", &long)]).replace("\"no\"", &format!("{:?}", "n".repeat(9_999)));
        let mut exchange = Exchange::default();
        let conversion = conversion();
        let Answered::Blamed(blamed) = of_ingest(&answer(400, &body), &[&conversion], &mut exchange, now()) else {
            panic!()
        };
        assert!(fits(blamed[0].1.reason().unwrap()), "{:?}", blamed[0].1);
        assert_eq!(exchange.request_id.as_deref(), Some("t-1"));
        of_ingest(&answer(400, &body.replace("t-1", &"t".repeat(300))), &[&conversion], &mut exchange, now());
        assert_eq!(exchange.request_id.as_deref(), Some("t-1"), "an invalid id is not stored");
        let Answered::Failed(unavailable) = ingest(503, &error(503, &long, &[]), 2) else { panic!() };
        assert!(fits(unavailable.reason().unwrap()), "{unavailable:?}");
        let Verdict::Refused(refused) = status(200, &said("FAILED", &[(&long, 1)]), 1).remove(0) else { panic!() };
        assert!(fits(refused.reason().unwrap()), "{refused:?}");
    }

    #[test]
    fn without_a_name_some_conversion_is_at_fault() {
        for body in
            [error(400, "INVALID_ARGUMENT", &[]), error(400, "INVALID_ARGUMENT", &[("events[9]", "INVALID_EVENT")])]
        {
            assert!(matches!(ingest(400, &body, 3), Answered::Unnamed(Outcome::Rejected(_))), "{body}");
        }
        let unknown = error(400, "INVENTED_LATER", &[]);
        assert!(
            matches!(ingest(400, &unknown, 1), Answered::Unnamed(Outcome::Retry(it)) if it.code == "INVENTED_LATER")
        );
    }

    #[test]
    fn what_is_wrong_with_us_pauses_and_what_is_wrong_with_the_action_holds() {
        for (status, code) in [
            (403, "PERMISSION_DENIED"),
            (403, "SERVICE_DISABLED"),
            (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
            (400, "NOT_ALLOWLISTED"),
            (400, "TERMS_AND_CONDITIONS_NOT_SIGNED"),
        ] {
            assert!(matches!(failed(status, &error(status, code, &[])), Outcome::Paused(_)), "{code}");
        }
        assert!(matches!(failed(401, ""), Outcome::Paused(_)));
        let of_destination = [("destinations[0].login_account.account_id", "INVALID_ARGUMENT")];
        assert!(matches!(failed(400, &error(400, "INVALID_ARGUMENT", &of_destination)), Outcome::Paused(_)));
        let of_event = [("events.events[1].destination_references", "NOT_FOUND")];
        assert!(matches!(failed(400, &error(400, "INVALID_ARGUMENT", &of_event)), Outcome::Held(_)));
    }

    #[test]
    fn what_is_wrong_at_googles_costs_no_attempt() {
        for status in [408, 429, 500, 502, 503, 504] {
            let Outcome::Unavailable(_, wait) = failed(status, "<html>") else { panic!("{status}") };
            assert_eq!(wait, Some(TimeDelta::seconds(7)));
        }
        for (status, body) in [(400, "<html>"), (403, "<html>"), (404, ""), (302, ""), (400, "{}")] {
            assert!(matches!(failed(status, body), Outcome::Unavailable(..)), "{status} {body}");
        }
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
        let left = of_status(&left, &[conversion().facts], now());
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
}
