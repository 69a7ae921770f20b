//! What Google's answers mean for the conversion that was sent. Only an answer that can be read and that is about the
//! conversion settles it; everything else is sent again, which is harmless: the `transactionId` is the same.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::platforms::{Outcome, Reason, Verdict};

/// An HTTP answer of Google's.
pub(super) struct Answer<'a> {
    pub status: u16,
    /// How long the platform asks us to wait.
    pub retry_after: Option<TimeDelta>,
    pub body: &'a [u8],
}

/// `google.rpc.Status` as it is written in JSON (AIP-193).
#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorBody {
    error: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    #[serde(rename = "status")]
    canonical_code: String,
    message: String,
    details: Vec<Detail>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    /// Of `google.rpc.ErrorInfo`.
    reason: String,
    /// Of `google.rpc.BadRequest`.
    field_violations: Vec<FieldViolation>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct FieldViolation {
    field: String,
    description: String,
    reason: String,
}

/// Reads the answer to `events:ingest` for a request of one event.
pub(super) fn of_ingest(answer: &Answer<'_>, now: DateTime<Utc>) -> Outcome {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Receipt {
        request_id: String,
    }
    if answer.status == 200 {
        return match serde_json::from_slice(answer.body) {
            Ok(Receipt { request_id }) if !request_id.is_empty() => Outcome::Accepted { request_id },
            _ => Outcome::Unavailable(
                Reason::new(
                    "unreadable_answer",
                    "Google answered 200 without a receipt. Adtrail sends it again by itself; it will count once.",
                ),
                answer.retry_after,
            ),
        };
    }
    let error = serde_json::from_slice::<ErrorBody>(answer.body).unwrap_or_default().error;
    let violation = error.details.iter().flat_map(|detail| &detail.field_violations).find(|it| !it.reason.is_empty());
    let named = error.details.iter().map(|detail| detail.reason.as_str()).find(|reason| !reason.is_empty());
    let code = violation.map(|it| it.reason.as_str()).or(named).unwrap_or(&error.canonical_code);
    let said = match violation {
        Some(it) => format!("{}: {}", it.field, it.description),
        None => error.message.clone(),
    };
    classify(answer, code, &said, now)
}

/// From Google's name for it (`ErrorReason` of the Data Manager API) to what to do.
fn classify(answer: &Answer<'_>, code: &str, said: &str, now: DateTime<Utc>) -> Outcome {
    let reason = |advice: &str| {
        let code = if code.is_empty() { format!("http_{}", answer.status) } else { code.to_owned() };
        let said =
            if said.is_empty() { format!("Google answered {}", answer.status) } else { format!("Google said: {said}") };
        Reason::new(code, format!("{advice}. {said}"))
    };
    match code {
        "ALREADY_EXISTS" => Outcome::AlreadyDone(reason("Google has it already")),
        "CONVERSION_ACTION_TOO_RECENTLY_CREATED" => Outcome::Later(
            now + TimeDelta::hours(6),
            reason("A new conversion action takes conversions after six hours"),
        ),
        "RESOURCE_EXHAUSTED" => {
            Outcome::Unavailable(reason("The quota is used up; Adtrail goes on when there is more"), answer.retry_after)
        }
        "TERMS_AND_CONDITIONS_NOT_SIGNED" | "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED" => {
            Outcome::Paused(reason(
                "Accept the customer data terms in Google Ads: Goals, Settings, Customer data terms",
            ))
        }
        "DESTINATION_ACCOUNT_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS"
        | "DESTINATION_ACCOUNT_DATA_POLICY_PROHIBITS_ENHANCED_CONVERSIONS" => {
            Outcome::Paused(reason("Turn on enhanced conversions for leads in Google Ads: Goals, Settings"))
        }
        "NOT_FOUND" | "INVALID_CONVERSION_ACTION_ID" | "INVALID_CONVERSION_ACTION_TYPE" => Outcome::Paused(reason(
            "The conversion action isn't there, or was made minutes ago, or isn't of the type for imports from clicks. Check \
             GOOGLE_ADS_CONVERSION_ACTION_CLOSED, GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED and GOOGLE_ADS_CUSTOMER_ID",
        )),
        "PERMISSION_DENIED"
        | "INVALID_DESTINATION"
        | "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH"
        | "NOT_ALLOWLISTED"
        | "LINKED_ACCOUNT_ONLY_ALLOWED_WITH_DATA_PARTNER_LOGIN_ACCOUNT"
        | "DESTINATION_ACCOUNT_TYPE_MISMATCH" => Outcome::Paused(reason(
            "The credentials have no access to this account. Add the service account as a user in Google Ads (Admin, \
                 Access and security), check GOOGLE_ADS_CUSTOMER_ID, and set GOOGLE_ADS_LOGIN_CUSTOMER_ID only if access \
                 goes through a manager account",
        )),
        "SERVICE_DISABLED" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT" => Outcome::Paused(reason(
            "The Data Manager API isn't enabled for the Google Cloud project, or the credentials lack the scope datamanager",
        )),
        "EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED"
        | "EVENT_SOURCE_AND_DESTINATION_MISMATCH"
        | "CUSTOM_VARIABLE_NOT_ENABLED"
        | "CUSTOM_VARIABLE_NOT_FOUND"
        | "REQUIRED_PREREQUISITE_LINK_MISSING" => {
            Outcome::Paused(reason("The Google Ads account isn't set up for this"))
        }
        "INTERNAL_ERROR" | "INTERNAL" | "DEADLINE_EXCEEDED" | "UNAVAILABLE" => {
            Outcome::Unavailable(reason("Google has a problem; Adtrail sends it again by itself"), answer.retry_after)
        }
        _ => match answer.status {
            // The request was one conversion, so what is wrong with the request is wrong with it.
            400 if !said.is_empty() => Outcome::Rejected(reason("Google refuses this conversion")),
            401 => Outcome::Paused(reason("Google doesn't take our access token; check the credentials")),
            408 | 429 | 500..=599 => Outcome::Unavailable(
                reason("Google isn't available; Adtrail sends it again by itself"),
                answer.retry_after,
            ),
            403 | 404 => Outcome::Paused(reason("Google refuses us; check the account and the credentials")),
            // A proxy's or a portal's: no verdict on the conversion, so it costs no attempt.
            _ if code.is_empty() => Outcome::Unavailable(
                reason("This isn't an answer of Google's; Adtrail sends it again by itself"),
                answer.retry_after,
            ),
            _ => Outcome::Retry(reason("Google answered what Adtrail doesn't know")),
        },
    }
}

/// Reads the answer to `requestStatus:retrieve` for a request of one event to one destination.
pub(super) fn of_status(answer: &Answer<'_>, now: DateTime<Utc>) -> Verdict {
    #[derive(Deserialize, Default)]
    #[serde(default, rename_all = "camelCase")]
    struct Statuses {
        request_status_per_destination: Vec<Destination>,
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
    let unanswered = |code: String| {
        Verdict::Unanswered(Reason::new(code, "Google didn't say what became of it. Adtrail asks again by itself."))
    };
    if matches!(answer.status, 401 | 403) {
        let advice = "Google no longer lets us ask what became of it; check the account and the credentials.";
        return Verdict::Paused(Reason::new(format!("http_{}", answer.status), advice));
    }
    if answer.status != 200 {
        return unanswered(format!("http_{}", answer.status));
    }
    let Ok(Statuses { request_status_per_destination: statuses }) = serde_json::from_slice(answer.body) else {
        return unanswered("unreadable_answer".into());
    };
    let Some(destination) = statuses.first() else { return unanswered("no_status".into()) };
    match destination.request_status.as_str() {
        "SUCCESS" => Verdict::Confirmed,
        // The documentation says FAILURE, the API FAILED. Of one event, a part is the whole.
        "FAILED" | "FAILURE" | "PARTIAL_SUCCESS" => {
            let code = destination.error_info.error_counts.first().map_or("", |count| count.reason.as_str());
            refused(code, now)
        }
        _ => Verdict::Processing,
    }
}

/// From `ProcessingErrorReason` to what to do.
fn refused(code: &str, now: DateTime<Utc>) -> Verdict {
    let short = code.trim_start_matches("PROCESSING_ERROR_REASON_").trim_start_matches("PROCESSING_ERROR_");
    let reason = |advice: &str| Reason::new(if code.is_empty() { "FAILED" } else { code }, format!("{advice}."));
    Verdict::Refused(match short {
        "DUPLICATE_GCLID" | "DUPLICATE_TRANSACTION_ID" => return Verdict::Confirmed,
        "TOO_RECENT_CLICK" | "ORIGINAL_CONVERSIONS_NOT_FOUND" => {
            Outcome::Later(now + TimeDelta::hours(6), reason("Google wants it when the click is six hours old"))
        }
        "" | "UNSPECIFIED" | "INTERNAL_ERROR" => Outcome::Retry(reason("Google couldn't process it")),
        "NO_CONSENT"
        | "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED"
        | "OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER"
        | "INVALID_OPERATING_ACCOUNT_FOR_CLICK"
        | "ONE_PER_CLICK_CONVERSION_ACTION_NOT_PERMITTED_WITH_BRAID"
        | "EXTERNAL_ATTRIBUTION_DATA_MISSING"
        | "CUSTOM_VARIABLE_NOT_ENABLED" => {
            Outcome::Retry(reason("Google refused it because of how the account is set up; check the account"))
        }
        _ => Outcome::Rejected(reason("Google refused it after processing")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingest(status: u16, body: &str) -> Outcome {
        let answer = Answer { status, retry_after: Some(TimeDelta::seconds(7)), body: body.as_bytes() };
        of_ingest(&answer, DateTime::UNIX_EPOCH)
    }

    fn status(status: u16, body: &str) -> Verdict {
        of_status(&Answer { status, retry_after: None, body: body.as_bytes() }, DateTime::UNIX_EPOCH)
    }

    fn error(status: u16, reason: &str, violation: &str) -> String {
        let violations = if violation.is_empty() {
            String::new()
        } else {
            format!(
                r#",{{"fieldViolations":[{{"field":"events.events[0].currency","description":"no","reason":"{violation}"}}]}}"#
            )
        };
        format!(r#"{{"error":{{"code":{status},"message":"m","details":[{{"reason":"{reason}"}}{violations}]}}}}"#)
    }

    #[test]
    fn a_receipt_counts_only_if_it_can_be_read() {
        assert_eq!(ingest(200, r#"{"requestId":"r1"}"#), Outcome::Accepted { request_id: "r1".into() });
        for body in ["", "{}", "<html>", r#"{"requestId":"r"#, r#"{"requestId":""}"#, r#"{"requestId":7}"#, "[]"] {
            assert!(matches!(ingest(200, body), Outcome::Unavailable(..)), "{body}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_conversion_rejects_it_in_googles_words() {
        let Outcome::Rejected(reason) = ingest(400, &error(400, "INVALID_ARGUMENT", "INVALID_CURRENCY_CODE")) else {
            panic!("not rejected")
        };
        assert_eq!(reason.code, "INVALID_CURRENCY_CODE");
        assert!(reason.message.contains("events.events[0].currency: no"), "{}", reason.message);
    }

    #[test]
    fn what_is_wrong_with_us_pauses_and_says_what_to_do() {
        for (status, code) in
            [(403, "PERMISSION_DENIED"), (400, "NOT_FOUND"), (403, "SERVICE_DISABLED"), (400, "NOT_ALLOWLISTED")]
        {
            assert!(matches!(ingest(status, &error(status, code, "")), Outcome::Paused(_)), "{code}");
        }
        assert!(matches!(ingest(401, ""), Outcome::Paused(_)));
    }

    #[test]
    fn what_is_wrong_at_googles_costs_no_attempt() {
        for status in [408, 429, 500, 502, 503, 504] {
            let Outcome::Unavailable(_, wait) = ingest(status, "<html>") else { panic!("{status}") };
            assert_eq!(wait, Some(TimeDelta::seconds(7)));
        }
        assert!(matches!(ingest(429, &error(429, "RESOURCE_EXHAUSTED", "")), Outcome::Unavailable(..)));
    }

    #[test]
    fn a_verdict_is_read_in_every_spelling() {
        let said = |word: &str, reason: &str| {
            status(
                200,
                &format!(
                    r#"{{"requestStatusPerDestination":[{{"requestStatus":"{word}","errorInfo":{{"errorCounts":[{{"recordCount":"1","reason":"{reason}"}}]}}}}]}}"#
                ),
            )
        };
        assert_eq!(said("SUCCESS", ""), Verdict::Confirmed);
        assert_eq!(said("PROCESSING", ""), Verdict::Processing);
        assert_eq!(said("SOMETHING_NEW", ""), Verdict::Processing);
        assert_eq!(said("FAILED", "PROCESSING_ERROR_REASON_DUPLICATE_TRANSACTION_ID"), Verdict::Confirmed);
        for word in ["FAILED", "FAILURE", "PARTIAL_SUCCESS"] {
            let refused = said(word, "PROCESSING_ERROR_REASON_INVALID_GCLID");
            assert!(matches!(refused, Verdict::Refused(Outcome::Rejected(_))), "{word}");
        }
        let later = said("FAILED", "PROCESSING_ERROR_REASON_TOO_RECENT_CLICK");
        assert!(matches!(later, Verdict::Refused(Outcome::Later(..))));
    }

    #[test]
    fn no_verdict_is_no_verdict() {
        for (code, body) in [(503, ""), (200, ""), (200, "<html>"), (200, "{}"), (400, "{}")] {
            assert!(matches!(status(code, body), Verdict::Unanswered(_)), "{code} {body}");
        }
        assert!(matches!(status(401, ""), Verdict::Paused(_)) && matches!(status(403, "{}"), Verdict::Paused(_)));
    }
}
