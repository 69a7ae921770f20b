//! What the Google Ads API's answers mean for the conversions that were sent. An error names the row it is about; what
//! can't be attributed to a row marks none as done.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::reasons;
use crate::outgoing::duration;
use crate::platforms::google::api::Answer;
use crate::platforms::google::batch::Answered;
use crate::platforms::google::status::{RpcStatus, of_transport, too_large, unreadable};
use crate::platforms::google_ads::meaning::{ReasonMeaning, explained, outcome, reason, wait_if_clock_ahead};
use crate::platforms::{Conversion, Exchange, Outcome, Reason};
use crate::texts;

/// `GoogleAdsFailure`, as far as it is needed. Whatever it holds, it can be read.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct GoogleAdsFailure {
    errors: Vec<GoogleAdsError>,
    request_id: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct GoogleAdsError {
    /// One key, the enum, with its value.
    error_code: Option<Box<RawValue>>,
    message: String,
    location: Location,
    details: Details,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Location {
    field_path_elements: Vec<FieldPathElement>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct FieldPathElement {
    field_name: String,
    index: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    unpublished_error_code: Option<String>,
    quota_error_details: QuotaErrorDetails,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct QuotaErrorDetails {
    /// A `google.protobuf.Duration`, as in `30s`.
    retry_delay: Option<String>,
}

impl GoogleAdsError {
    fn meaning(&self, customer_id: &str) -> (ReasonMeaning, Reason) {
        let code = self.error_code.as_ref().and_then(|code| serde_json::from_str(code.get()).ok());
        let code = code.and_then(|code: BTreeMap<String, String>| code.into_iter().next());
        let (error, value) = code.unwrap_or_default();
        let unknown = (ReasonMeaning::Odd, "Google rejected it for a reason unknown to Adtrail");
        let meaning = reasons::of(&error, &value).unwrap_or(unknown);
        let field = self.location.field_path_elements.last().map_or("", |it| it.field_name.as_str());
        let is_about_the_click = matches!(field, "gclid" | "gbraid" | "wbraid");
        let meaning = if is_about_the_click { meaning.0.about_a_click(meaning.1) } else { meaning };
        let code = match &self.details.unpublished_error_code {
            Some(unpublished) if matches!(value.as_str(), "UNKNOWN" | "ERROR_CODE_NOT_PUBLISHED") => unpublished,
            _ => &value,
        };
        let code = if code.is_empty() { "unknown_error" } else { code };
        explained(code, meaning, &self.message, customer_id)
    }

    /// The row it is about. Of one row there is only one.
    fn row(&self, rows: usize) -> Option<usize> {
        let element = self
            .location
            .field_path_elements
            .iter()
            .find(|it| matches!(it.field_name.as_str(), "conversions" | "conversion_adjustments"));
        match element.and_then(|it| it.index) {
            None if rows == 1 => Some(0),
            index => index.filter(|index| *index < rows),
        }
    }

    fn retry_delay(&self) -> Option<TimeDelta> {
        duration(self.details.quota_error_details.retry_delay.as_ref()?)
    }
}

fn failure(status: &RpcStatus) -> Option<GoogleAdsFailure> {
    status.details("GoogleAdsFailure").next()
}

/// Reads the answer to an upload of these conversions, or of their corrections, to this account.
pub(super) fn read(
    answer: &Answer,
    conversions: &[&Conversion],
    customer_id: &str,
    exchange: &mut Exchange,
    now: DateTime<Utc>,
) -> Answered {
    read_with(answer, conversions, customer_id, exchange, now, Some(conversions.len()))
}

/// Reads the answer to a request that only validates this conversion: it has no results.
pub(super) fn read_validated(
    answer: &Answer,
    conversion: &Conversion,
    customer_id: &str,
    now: DateTime<Utc>,
) -> Answered {
    read_with(answer, &[conversion], customer_id, &mut Exchange::default(), now, None)
}

fn read_with(
    answer: &Answer,
    conversions: &[&Conversion],
    customer_id: &str,
    exchange: &mut Exchange,
    now: DateTime<Utc>,
    results_expected: Option<usize>,
) -> Answered {
    #[derive(Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct Response {
        partial_failure_error: Option<RpcStatus>,
        results: Option<Vec<IgnoredAny>>,
    }
    if let Some(outcome) = too_large(answer) {
        return Answered::TooLarge(outcome);
    }
    if answer.status != 200 {
        return refused(answer, conversions, customer_id, exchange, now);
    }
    let Ok(Response { partial_failure_error, results }) = serde_json::from_slice(&answer.body) else {
        return Answered::Failed(unreadable(answer));
    };
    // One for each row, those that failed included. What they hold says nothing.
    if results_expected.is_some_and(|expected| results.is_none_or(|results| results.len() != expected)) {
        return Answered::Failed(unreadable(answer));
    }
    let Some(status) = partial_failure_error else {
        return Answered::Each(vec![Outcome::Recorded; conversions.len()]);
    };
    let Some(GoogleAdsFailure { errors, request_id }) = failure(&status).filter(|it| !it.errors.is_empty()) else {
        return Answered::Failed(unreadable(answer));
    };
    exchange.request_id = request_id.and_then(texts::id).or(exchange.request_id.take());
    let mut rows: Vec<Option<(ReasonMeaning, Reason, Option<TimeDelta>)>> = vec![None; conversions.len()];
    for error in &errors {
        let (meaning, reason) = error.meaning(customer_id);
        let Some(row) = error.row(conversions.len()) else {
            return unattributed(error, (meaning, reason), answer, now);
        };
        if rows[row].as_ref().is_none_or(|(known, ..)| meaning.weight() > known.weight()) {
            rows[row] = Some((meaning, reason, error.retry_delay()));
        }
    }
    let outcomes = rows.into_iter().zip(conversions).map(|(error, conversion)| match error {
        None => Outcome::Recorded,
        Some((meaning, reason, wait)) => {
            let outcome = outcome(meaning, reason, Some(&conversion.facts), wait, now);
            wait_if_clock_ahead(outcome, conversion, answer.date, now)
        }
    });
    Answered::Each(outcomes.collect())
}

/// Nothing of the request was processed.
fn refused(
    answer: &Answer,
    conversions: &[&Conversion],
    customer_id: &str,
    exchange: &mut Exchange,
    now: DateTime<Utc>,
) -> Answered {
    let status = RpcStatus::of(answer);
    let Some(GoogleAdsFailure { errors, request_id }) = failure(&status).filter(|it| !it.errors.is_empty()) else {
        if let Some(outcome) = of_transport(answer, &status) {
            return Answered::Failed(outcome);
        }
        let reason = reason(&status.canonical_code, reasons::DEFECT, &status.message);
        return Answered::Unnamed(outcome(ReasonMeaning::Defect, reason, None, None, now));
    };
    exchange.request_id = request_id.and_then(texts::id).or(exchange.request_id.take());
    let read = errors.iter().map(|error| (error, error.meaning(customer_id)));
    let Some((error, (meaning, reason))) = read.max_by_key(|(_, (meaning, _))| meaning.weight()) else {
        return Answered::Failed(unreadable(answer));
    };
    match error.row(conversions.len()) {
        Some(row) if answer.status < 500 && !meaning.is_of_all() => {
            let outcome = outcome(meaning, reason, Some(&conversions[row].facts), error.retry_delay(), now);
            Answered::Blamed(vec![(row, outcome)])
        }
        _ => unattributed(error, (meaning, reason), answer, now),
    }
}

/// An error that names no row marks none as done. Those that were recorded all the same say so when they are sent
/// again.
fn unattributed(
    error: &GoogleAdsError,
    (meaning, reason): (ReasonMeaning, Reason),
    answer: &Answer,
    now: DateTime<Utc>,
) -> Answered {
    // An error of Google's own is no conversion's, whatever it says.
    let meaning = if answer.status >= 500 { ReasonMeaning::Trouble } else { meaning };
    let outcome = outcome(meaning, reason, None, error.retry_delay().or(answer.retry_after), now);
    if meaning.is_of_all() { Answered::Failed(outcome) } else { Answered::Unnamed(outcome) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::platforms::Facts;
    use crate::platforms::google_ads::identifiers::tests::{conversion, now};

    /// What becomes of conversions that were sent before.
    fn read_as(status: u16, body: &Value, rows: usize) -> Answered {
        let facts = Facts { sent_before: true, ..conversion().facts };
        let conversion = Conversion { facts, ..conversion() };
        let answer =
            Answer { url: String::new(), status, retry_after: None, date: None, body: body.to_string().into() };
        read(&answer, &vec![&conversion; rows], "1234567890", &mut Exchange::default(), now())
    }

    fn error(key: &str, value: &str, index: Option<usize>) -> Value {
        let mut place = json!({"fieldName": "conversions"});
        if let Some(index) = index {
            place["index"] = json!(index);
        }
        json!({
            "errorCode": {key: value},
            "message": "said",
            "location": {"fieldPathElements": [place, {"fieldName": "order_id"}]},
        })
    }

    fn failure(errors: &[Value]) -> Value {
        let kind = "type.googleapis.com/google.ads.googleads.v26.errors.GoogleAdsFailure";
        json!([{"@type": kind, "requestId": "r", "errors": errors}])
    }

    fn partial(rows: usize, errors: &[Value]) -> Value {
        json!({
            "partialFailureError": {"code": 3, "message": "m", "details": failure(errors)},
            "results": vec![json!({}); rows],
        })
    }

    #[track_caller]
    fn each(answered: Answered) -> Vec<&'static str> {
        match answered {
            Answered::Each(outcomes) => outcomes.iter().map(Outcome::as_str).collect(),
            _ => panic!("not answered row by row"),
        }
    }

    #[test]
    fn each_row_has_its_own_answer_the_first_included() {
        let errors = [
            error("conversionUploadError", "UNAUTHORIZED_CUSTOMER", Some(0)),
            error("internalError", "INTERNAL_ERROR", Some(2)),
            error("conversionUploadError", "ORDER_ID_ALREADY_IN_USE", Some(3)),
            error("databaseError", "CONCURRENT_MODIFICATION", Some(5)),
        ];
        assert_eq!(
            each(read_as(200, &partial(6, &errors), 6)),
            ["other_account", "recorded", "retry", "already_done", "recorded", "unavailable"]
        );
    }

    #[test]
    fn without_its_click_id_a_conversion_goes_again() {
        let error = error("conversionUploadError", "UNPARSEABLE_GCLID", Some(0));
        assert_eq!(each(read_as(200, &partial(1, &[error]), 1)), ["omit_click_id"]);
    }

    #[test]
    fn whatever_is_wrong_with_the_field_of_a_click_id_the_conversion_goes_without_it() {
        for (key, value, field) in [
            ("fieldError", "INVALID_VALUE", "gclid"),
            ("stringLengthError", "TOO_LONG", "wbraid"),
            ("stringFormatError", "ILLEGAL_CHARS", "gbraid"),
            ("inventedError", "NEW", "gclid"),
            ("conversionUploadError", "GBRAID_WBRAID_BOTH_SET", "gbraid"),
        ] {
            let mut error = error(key, value, Some(0));
            error["location"]["fieldPathElements"][1]["fieldName"] = json!(field);
            assert_eq!(each(read_as(200, &partial(1, &[error.clone()]), 1)), ["omit_click_id"], "{error}");
            error["location"]["fieldPathElements"][1]["fieldName"] = json!("order_id");
            assert_ne!(each(read_as(200, &partial(1, &[error.clone()]), 1)), ["omit_click_id"], "{error}");
        }
    }

    #[test]
    fn of_several_errors_of_a_row_the_worst_counts() {
        let errors = [
            error("conversionUploadError", "ORDER_ID_ALREADY_IN_USE", Some(0)),
            error("conversionUploadError", "CONVERSION_NOT_COMPLIANT_WITH_ATT_POLICY", Some(0)),
        ];
        assert_eq!(each(read_as(200, &partial(1, &errors), 1)), ["rejected"]);
    }

    #[test]
    fn what_cannot_be_attributed_marks_nothing_as_done() {
        let nowhere = error("conversionUploadError", "CONVERSION_NOT_COMPLIANT_WITH_ATT_POLICY", None);
        let known = error("conversionUploadError", "CONVERSION_NOT_COMPLIANT_WITH_ATT_POLICY", Some(1));
        for errors in
            [vec![nowhere.clone()], vec![known, nowhere.clone()], vec![error("dateError", "UNKNOWN", Some(9))]]
        {
            let answered = read_as(200, &partial(3, &errors), 3);
            assert!(matches!(answered, Answered::Unnamed(Outcome::Rejected(_))));
        }
        let trouble = error("internalError", "INTERNAL_ERROR", None);
        assert!(matches!(read_as(200, &partial(3, &[trouble]), 3), Answered::Failed(Outcome::Unavailable(..))));
        assert_eq!(each(read_as(200, &partial(1, &[nowhere]), 1)), ["rejected"]);
        for body in [
            json!({}),
            json!([]),
            json!("html"),
            json!({"results": [{}]}),
            json!({"results": [{}, {}], "partialFailureError": {"code": 3, "message": "m"}}),
            json!({"results": [{}, {}], "partialFailureError": {"code": 3, "details": failure(&[])}}),
        ] {
            assert!(matches!(read_as(200, &body, 2), Answered::Failed(Outcome::Unavailable(..))), "{body}");
        }
    }

    #[test]
    fn what_is_kept_of_an_answer_is_short_and_can_be_stored() {
        let long = "x\0".repeat(100_000);
        let mut errors = [error("inventedError", &long, Some(0))];
        errors[0]["message"] = json!(long);
        let mut answer = partial(1, &errors);
        answer["partialFailureError"]["details"][0]["requestId"] = json!(long);
        let answer =
            Answer { url: String::new(), status: 200, retry_after: None, date: None, body: answer.to_string().into() };
        let (conversion, mut exchange) = (conversion(), Exchange::default());
        let Answered::Each(outcomes) = read(&answer, &[&conversion], "1234567890", &mut exchange, now()) else {
            panic!()
        };
        let Reason { code, message } = outcomes[0].reason().unwrap();
        assert_eq!((code.chars().count(), message.chars().count()), (100, 1_000));
        assert!(!code.contains('\0') && !message.contains('\0'));
        assert_eq!(exchange.request_id, None);
    }

    #[test]
    fn an_unknown_reason_is_kept_and_retried() {
        let errors =
            [error("conversionUploadError", "INVENTED_LATER", Some(0)), error("inventedError", "NEW", Some(1))];
        let Answered::Each(outcomes) = read_as(200, &partial(2, &errors), 2) else { panic!() };
        let codes: Vec<_> = outcomes.iter().map(|it| (it.as_str(), it.reason().unwrap().code.as_str())).collect();
        assert_eq!(codes, [("retry", "INVENTED_LATER"), ("retry", "NEW")]);
    }

    #[test]
    fn a_refused_request_is_nobodys_fault_unless_it_says_so() {
        let body = |errors: &[Value]| json!({"error": {"code": 400, "status": "S", "message": "m", "details": failure(errors)}});
        let not_allowed = error("notAllowlistedError", "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE", None);
        let Answered::Failed(Outcome::Paused(reason)) = read_as(403, &body(&[not_allowed]), 3) else { panic!() };
        assert!(reason.message.contains("GOOGLE_ADS_TRANSPORT=data_manager"), "{}", reason.message);

        let mut quota = error("quotaError", "RESOURCE_TEMPORARILY_EXHAUSTED", None);
        quota["details"] = json!({"quotaErrorDetails": {"retryDelay": "42.5s"}});
        let answered = read_as(429, &body(std::slice::from_ref(&quota)), 3);
        assert!(
            matches!(answered, Answered::Failed(Outcome::Unavailable(_, Some(wait))) if wait.num_milliseconds() == 42_500)
        );
        for absurd in ["86401s", "-1s", "1e300s", "NaNs", "inf s"] {
            quota["details"]["quotaErrorDetails"]["retryDelay"] = json!(absurd);
            let answered = read_as(429, &body(std::slice::from_ref(&quota)), 3);
            assert!(matches!(answered, Answered::Failed(Outcome::Unavailable(_, None))), "{absurd}");
        }

        let of_row = error("conversionUploadError", "CONVERSION_NOT_COMPLIANT_WITH_ATT_POLICY", Some(2));
        assert!(matches!(read_as(400, &body(&[of_row]), 3), Answered::Blamed(it) if it[0].0 == 2));
        let of_none = error("conversionUploadError", "CONVERSION_NOT_COMPLIANT_WITH_ATT_POLICY", None);
        assert!(matches!(read_as(400, &body(&[of_none]), 3), Answered::Unnamed(Outcome::Rejected(_))));
        let without_failure = json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "Unknown name"}});
        assert!(matches!(read_as(400, &without_failure, 3), Answered::Unnamed(Outcome::Rejected(_))));
        assert!(matches!(read_as(503, &json!("html"), 3), Answered::Failed(Outcome::Unavailable(..))));
        assert!(matches!(read_as(401, &json!({}), 3), Answered::Failed(Outcome::Paused(_))));
    }
}
