//! What the Data Manager API's answers to `events:ingest` mean for the conversions that were sent. Only an answer that
//! can be read and that is about a conversion settles it; everything else is sent again, which is harmless: the
//! `transactionId` is the same.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::reasons;
use crate::platforms::google::api::Answer;
use crate::platforms::google::batch::Answered;
use crate::platforms::google::receipt;
use crate::platforms::google::status::{RpcStatus, event_index, of_transport, too_large, unreadable};
use crate::platforms::google_ads::meaning::{ReasonMeaning, explained, outcome, wait_if_clock_ahead};
use crate::platforms::{Conversion, Exchange, Outcome, Reason};

pub(super) const UNKNOWN: (ReasonMeaning, &str) =
    (ReasonMeaning::Odd, "Google rejected it for a reason unknown to Adtrail");

/// Reads the answer to `events:ingest` for these conversions, all of one type, that were sent for this account.
pub(super) fn of_ingest(
    answer: &Answer,
    conversions: &[&Conversion],
    customer_id: &str,
    exchange: &mut Exchange,
    now: DateTime<Utc>,
) -> Answered {
    if answer.status == 200 {
        let Some(request_id) = receipt::request_id(answer, exchange) else {
            return Answered::Failed(unreadable(answer));
        };
        return Answered::Each(vec![Outcome::Accepted { request_id }; conversions.len()]);
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
        || (violations.is_empty() && reasons::of_request(&named).is_none());
    if is_about_the_request && let Some(outcome) = of_transport(answer, &status) {
        return Answered::Failed(outcome);
    }

    let mut events: BTreeMap<usize, (ReasonMeaning, Reason)> = BTreeMap::new();
    let mut elsewhere = None;
    for violation in &violations {
        let code = if violation.reason.is_empty() { &named } else { &violation.reason };
        let meaning = reasons::of_request(code).unwrap_or(UNKNOWN);
        let is_about_the_click = ["ad_identifiers", "adIdentifiers"].iter().any(|name| violation.field.contains(name));
        let meaning = if is_about_the_click { meaning.0.about_a_click(meaning.1) } else { meaning };
        let said = format!("{}: {}", violation.field, violation.description);
        let found = explained(code, meaning, &said, customer_id);
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
        let meaning = reasons::of_request(&named).unwrap_or(UNKNOWN);
        explained(&named, meaning, &status.message, customer_id)
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

fn worst(known: &mut (ReasonMeaning, Reason), found: (ReasonMeaning, Reason)) {
    if found.0.weight() > known.0.weight() {
        *known = found;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use chrono::TimeDelta;

    use crate::platforms::google_ads::identifiers::tests::{conversion, now};

    pub(in super::super) const ACCOUNT: &str = "1234567890";

    pub(in super::super) fn answer(status: u16, body: &str) -> Answer {
        let url = "https://datamanager.googleapis.com/v1/events:ingest".into();
        Answer { url, status, retry_after: Some(TimeDelta::seconds(7)), date: None, body: body.into() }
    }

    /// What a request of so many conversions comes to.
    fn ingest(status: u16, body: &str, conversions: usize) -> Answered {
        let conversion = conversion();
        of_ingest(&answer(status, body), &vec![&conversion; conversions], ACCOUNT, &mut Exchange::default(), now())
    }

    fn failed(status: u16, body: &str) -> Outcome {
        match ingest(status, body, 3) {
            Answered::Failed(outcome) => outcome,
            _ => panic!("{status} {body}"),
        }
    }

    pub(in super::super) fn error(status: u16, reason: &str, violations: &[(&str, &str)]) -> String {
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
        let outcome = |minutes| match of_ingest(&at(minutes), &[&conversion], ACCOUNT, &mut Exchange::default(), now())
        {
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
            let Answered::Blamed(blamed) = of_ingest(&dated, &[&conversion], ACCOUNT, &mut Exchange::default(), now())
            else {
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
        let Answered::Blamed(blamed) = of_ingest(&answer(400, &body), &[&conversion], ACCOUNT, &mut exchange, now())
        else {
            panic!()
        };
        assert!(fits(blamed[0].1.reason().unwrap()), "{:?}", blamed[0].1);
        assert_eq!(exchange.request_id.as_deref(), Some("t-1"));
        let too_long = answer(400, &body.replace("t-1", &"t".repeat(300)));
        of_ingest(&too_long, &[&conversion], ACCOUNT, &mut exchange, now());
        assert_eq!(exchange.request_id.as_deref(), Some("t-1"), "an invalid id is not stored");
        let Answered::Failed(unavailable) = ingest(503, &error(503, &long, &[]), 2) else { panic!() };
        assert!(fits(unavailable.reason().unwrap()), "{unavailable:?}");
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
    fn a_click_of_another_account_waits_and_says_which_account_it_was_sent_for() {
        let of_event = [("events.events[1].ad_identifiers.gclid", "INVALID_AD_IDENTIFIER_FOR_ACCOUNT")];
        let Answered::Blamed(blamed) = ingest(400, &error(400, "INVALID_ARGUMENT", &of_event), 3) else { panic!() };
        let [(1, Outcome::OtherAccount(refused))] = blamed.as_slice() else { panic!("{blamed:?}") };
        assert!(refused.message.contains(ACCOUNT) && refused.message.contains("GOOGLE_ADS_CUSTOMER_ID"), "{refused:?}");
    }

    #[test]
    fn a_page_that_does_not_exist_pauses_and_names_the_address() {
        let page = "\n<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>";
        let Outcome::Paused(reason) = failed(404, page) else { panic!() };
        let names = |text: &str| reason.message.contains(text);
        assert!(names("https://datamanager.googleapis.com/v1/events:ingest"), "{reason:?}");
        assert!(names("GOOGLE_DATA_MANAGER_URL") && names("GOOGLE_ADS_API_VERSION"), "{reason:?}");
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
}
