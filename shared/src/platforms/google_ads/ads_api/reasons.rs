//! What the Google Ads API's published reasons mean (v26): every name of every enum that an upload or an adjustment can
//! return, once; a test compares the lists with Google's own descriptors. A name that isn't here was published
//! later.
#![expect(clippy::too_many_lines, clippy::match_same_arms, reason = "a table, enum by enum")]

use crate::platforms::google_ads::meaning::OTHER_ACCOUNT;
use crate::platforms::google_ads::meaning::ReasonMeaning::{
    self, Account, Action, ClickId, Collision, Conversion, Defect, Done, Exists, Odd, OtherAccount, Quota, Search,
    SearchClick, Transient, Trouble, Twice, Wait, WaitForClick,
};

const TERMS: &str = "Accept the customer data terms in Google Ads: Goals, Settings, Customer data terms";
const ACTION: &str = "The conversion action does not exist or is not of the type for imports from clicks. Check \
     GOOGLE_ADS_CONVERSION_ACTION_CLOSED and GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED (ctId in the action's URL in \
     Google Ads) and GOOGLE_ADS_CUSTOMER_ID";
const ACCESS: &str = "Google Ads denied access. Add the service account as a user in Google Ads (Admin, Access and \
     security), check GOOGLE_ADS_CUSTOMER_ID, and set GOOGLE_ADS_LOGIN_CUSTOMER_ID if access goes through a manager \
     account";
const PROJECT: &str = "The Google Cloud project may not use the Google Ads API on this account. Enable the API there \
     and apply for Explorer or Basic access";
const CREDENTIALS: &str = "Authentication with Google Ads failed. Check GOOGLE_SERVICE_ACCOUNT_KEY, \
     GOOGLE_EXTERNAL_ACCOUNT or GOOGLE_REFRESH_TOKEN";
const USER_DATA: &str = "Google's policy bars this account from enhanced conversions: set GOOGLE_ADS_USER_DATA=omit to \
     send only click ids";
const EXTERNAL: &str =
    "The conversion action is attributed by an external model, which is not supported. Use one of Google's models";
const CLICK_ID: &str = "Google can't parse the click id: it was altered on the way to the landing page, or made up";
pub(super) const DEFECT: &str = "Adtrail made an invalid request. Please report this message as a bug";
const CONVERSION: &str = "Google rejected this conversion; a retry would not help";
const NEW_ACTION: &str = "A new conversion action accepts conversions after six hours";
const TROUBLE: &str = "Google has a temporary problem; Adtrail retries automatically";

/// The key of `GoogleAdsError.error_code` and its value.
pub(super) fn of(error: &str, value: &str) -> Option<(ReasonMeaning, &'static str)> {
    match error {
        "conversionUploadError" => of_upload(value),
        "conversionAdjustmentUploadError" => of_adjustment(value),
        _ => of_any_request(error, value),
    }
}

/// Is it published as a reason about an upload or an adjustment?
pub(super) fn is_of_a_row(value: &str) -> bool {
    of_upload(value).or_else(|| of_adjustment(value)).is_some()
}

/// `ConversionUploadError`
pub(in super::super) fn of_upload(value: &str) -> Option<(ReasonMeaning, &'static str)> {
    Some(match value {
        "ORDER_ID_ALREADY_IN_USE" => (Exists, "Google already has a conversion with this order id"),
        "CLICK_CONVERSION_ALREADY_EXISTS" => (
            Collision,
            "The click already has a conversion at this time; Adtrail sends this one as if it was a second later",
        ),
        "DUPLICATE_ORDER_ID" | "DUPLICATE_CLICK_CONVERSION_IN_REQUEST" => {
            (Twice, "Two conversions of the request are the same for Google; each is sent again in its own request")
        }
        "TOO_RECENT_EVENT" => (WaitForClick, "Google accepts it once the click is six hours old; Adtrail retries then"),
        "EVENT_NOT_FOUND" => (SearchClick(6), "Google can't find the click in this account"),
        "CLICK_NOT_FOUND" => (
            SearchClick(12),
            "Google can't find a click by this person. This is normal for leads that did not come from an ad",
        ),
        "TOO_RECENT_CONVERSION_ACTION" => (Wait(6), NEW_ACTION),
        "UNSPECIFIED" | "UNKNOWN" => (Odd, "Google rejected it without a reason"),
        "INVALID_CUSTOMER_FOR_CLICK" | "UNAUTHORIZED_CUSTOMER" => (OtherAccount, OTHER_ACCOUNT),
        "CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS" => (Account, TERMS),
        "CUSTOMER_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS" => {
            (Account, "Turn on enhanced conversions for leads in Google Ads: Goals, Settings")
        }
        "CUSTOMER_DATA_POLICY_PROHIBITS_ENHANCED_CONVERSIONS" => (Account, USER_DATA),
        "NO_CONVERSION_ACTION_FOUND" | "INVALID_CONVERSION_ACTION_TYPE" => (Action, ACTION),
        "EXTERNAL_ATTRIBUTION_DATA_NOT_SET_FOR_EXTERNALLY_ATTRIBUTED_CONVERSION_ACTION"
        | "ORDER_ID_NOT_PERMITTED_FOR_EXTERNALLY_ATTRIBUTED_CONVERSION_ACTION"
        | "EXTERNALLY_ATTRIBUTED_CONVERSION_ACTION_NOT_PERMITTED_WITH_USER_IDENTIFIER" => (Action, EXTERNAL),
        "CUSTOM_VARIABLE_NOT_ENABLED" => {
            (Action, "The account has no such custom variable, and Adtrail sends none; check the conversion action")
        }
        "ONE_PER_CLICK_CONVERSION_ACTION_NOT_PERMITTED_WITH_BRAID" => (
            Action,
            "Clicks with gbraid or wbraid need a conversion action that counts every conversion: set its count to \
                 Every",
        ),
        "UNPARSEABLE_GCLID" | "UNPARSEABLE_WBRAID" | "UNPARSEABLE_GBRAID" => (ClickId, CLICK_ID),
        "CONVERSION_PRECEDES_EVENT" => {
            (ClickId, "The conversion is earlier than the click: check the time the CRM reports")
        }
        "EXPIRED_EVENT" => (ClickId, "The click is older than the conversion action's window"),
        "CONVERSION_TRACKING_NOT_ENABLED_AT_IMPRESSION_TIME" => {
            (ClickId, "The click happened before conversion tracking was set up in the account")
        }
        "CUSTOM_VARIABLE_VALUE_CONTAINS_PII" | "CONVERSION_NOT_COMPLIANT_WITH_ATT_POLICY" => (Conversion, CONVERSION),
        // Of calls.
        "TOO_RECENT_CALL"
        | "EXPIRED_CALL"
        | "CALL_NOT_FOUND"
        | "CONVERSION_PRECEDES_CALL"
        | "CONVERSION_TRACKING_NOT_ENABLED_AT_CALL_TIME"
        | "UNPARSEABLE_CALLERS_PHONE_NUMBER"
        | "CALL_CONVERSION_ALREADY_EXISTS"
        | "DUPLICATE_CALL_CONVERSION_IN_REQUEST"
        | "INVALID_CUSTOMER_FOR_CALL" => (Conversion, CONVERSION),
        "TOO_MANY_CONVERSIONS_IN_REQUEST"
        | "EXTERNAL_ATTRIBUTION_DATA_SET_FOR_NON_EXTERNALLY_ATTRIBUTED_CONVERSION_ACTION"
        | "INVALID_USER_IDENTIFIER"
        | "UNSUPPORTED_USER_IDENTIFIER"
        | "GBRAID_WBRAID_BOTH_SET"
        | "ORDER_ID_CONTAINS_PII"
        | "INVALID_JOB_ID" => (Defect, DEFECT),
        _ => return None,
    })
}

/// `ConversionAdjustmentUploadError`
fn of_adjustment(value: &str) -> Option<(ReasonMeaning, &'static str)> {
    Some(match value {
        "CONVERSION_ALREADY_RETRACTED"
        | "MORE_RECENT_RESTATEMENT_FOUND"
        | "RESTATEMENT_ALREADY_EXISTS"
        | "CONVERSION_ALREADY_ENHANCED" => (Done, "Google already has it, or a newer correction"),
        "TOO_RECENT_CONVERSION_ACTION" => (Wait(6), NEW_ACTION),
        "TOO_RECENT_CONVERSION" => (Wait(24), "Google requires a day between a conversion and its correction"),
        "CONVERSION_NOT_FOUND" => (Search(6), "Google can't find the conversion that this one corrects"),
        "UNSPECIFIED" | "UNKNOWN" => (Odd, "Google rejected it without a reason"),
        "CANNOT_RESTATE_CONVERSION_ACTION_THAT_ALWAYS_USES_DEFAULT_CONVERSION_VALUE" => (
            Action,
            "The conversion action always uses its default value. Allow different values in Google Ads: Goals, Summary",
        ),
        "CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS" => (Account, TERMS),
        "CONVERSION_ACTION_NOT_ELIGIBLE_FOR_ENHANCEMENT"
        | "NO_CONVERSION_ACTION_FOUND"
        | "INVALID_CONVERSION_ACTION_TYPE" => (Action, ACTION),
        "CUSTOMER_DATA_POLICY_PROHIBITS_ENHANCEMENT" => (Account, USER_DATA),
        "CONVERSION_EXPIRED" => (Conversion, "The conversion is so old that Google no longer accepts corrections"),
        "TOO_MANY_ADJUSTMENTS" => (Conversion, "The conversion has reached Google's limit of corrections"),
        "ADJUSTMENT_PRECEDES_CONVERSION"
        | "TOO_MANY_ADJUSTMENTS_IN_REQUEST"
        | "DUPLICATE_ADJUSTMENT_IN_REQUEST"
        | "INVALID_USER_IDENTIFIER"
        | "UNSUPPORTED_USER_IDENTIFIER"
        | "GCLID_DATE_TIME_PAIR_AND_ORDER_ID_BOTH_SET"
        | "DUPLICATE_ENHANCEMENT_IN_REQUEST"
        | "MISSING_ORDER_ID_FOR_WEBPAGE"
        | "ORDER_ID_CONTAINS_PII"
        | "INVALID_JOB_ID" => (Defect, DEFECT),
        _ => return None,
    })
}

/// Enums of every service.
fn of_any_request(error: &str, value: &str) -> Option<(ReasonMeaning, &'static str)> {
    Some(match (error, value) {
        (_, "CONCURRENT_MODIFICATION" | "TRANSIENT_ERROR" | "DEADLINE_EXCEEDED" | "RPC_DEADLINE_TOO_SHORT") => {
            (Transient, TROUBLE)
        }
        (_, "REQUEST_TOO_LARGE") => (Conversion, "The conversion is too large for a request"),
        ("quotaError", "RESOURCE_EXHAUSTED" | "RESOURCE_TEMPORARILY_EXHAUSTED") => {
            (Quota, "Quota exceeded; Adtrail resumes automatically")
        }
        ("quotaError", "ACCESS_PROHIBITED") => (Account, PROJECT),
        ("quotaError", "UNSPECIFIED" | "UNKNOWN") => (Trouble, TROUBLE),
        // Of queries and billing.
        (
            "quotaError",
            "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION"
            | "EXCESSIVE_LONG_TERM_QUERY_RESOURCE_CONSUMPTION"
            | "PAYMENTS_PROFILE_ACTIVATION_RATE_LIMIT_EXCEEDED",
        ) => (Conversion, CONVERSION),
        ("internalError", "UNSPECIFIED" | "UNKNOWN" | "INTERNAL_ERROR" | "ERROR_CODE_NOT_PUBLISHED") => {
            (Trouble, TROUBLE)
        }
        // The call was already retried with a new token when this is read.
        ("authenticationError", "OAUTH_TOKEN_HEADER_INVALID") => (Defect, DEFECT),
        (
            "authenticationError",
            "UNSPECIFIED"
            | "UNKNOWN"
            | "AUTHENTICATION_ERROR"
            | "CLIENT_CUSTOMER_ID_INVALID"
            | "CUSTOMER_NOT_FOUND"
            | "GOOGLE_ACCOUNT_DELETED"
            | "GOOGLE_ACCOUNT_COOKIE_INVALID"
            | "GOOGLE_ACCOUNT_AUTHENTICATION_FAILED"
            | "GOOGLE_ACCOUNT_USER_AND_ADS_USER_MISMATCH"
            | "LOGIN_COOKIE_REQUIRED"
            | "NOT_ADS_USER"
            | "OAUTH_TOKEN_DISABLED"
            | "OAUTH_TOKEN_REVOKED"
            | "LOGIN_COOKIE_INVALID"
            | "INVALID_EMAIL_ADDRESS"
            | "USER_ID_INVALID"
            | "TWO_STEP_VERIFICATION_NOT_ENROLLED"
            | "ADVANCED_PROTECTION_NOT_ENROLLED"
            | "ORGANIZATION_NOT_RECOGNIZED"
            | "ORGANIZATION_NOT_APPROVED"
            | "ORGANIZATION_NOT_ASSOCIATED_WITH_DEVELOPER_TOKEN"
            | "DEVELOPER_TOKEN_INVALID"
            | "OAUTH_TOKEN_INVALID"
            | "OAUTH_TOKEN_EXPIRED",
        ) => (Account, CREDENTIALS),
        (
            "authorizationError",
            "DEVELOPER_TOKEN_NOT_ON_ALLOWLIST"
            | "DEVELOPER_TOKEN_PROHIBITED"
            | "DEVELOPER_TOKEN_NOT_APPROVED"
            | "PROJECT_DISABLED"
            | "CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION"
            | "CLOUD_PROJECT_NOT_UNDER_ORGANIZATION",
        ) => (Account, PROJECT),
        ("authorizationError", "CUSTOMER_NOT_ENABLED" | "INCOMPLETE_SIGNUP" | "MISSING_TOS") => {
            (Account, "The Google Ads account is not active: complete its sign-up, or reactivate it, in Google Ads")
        }
        ("authorizationError", "ACTION_NOT_PERMITTED_FOR_SUSPENDED_ACCOUNT") => {
            (Account, "The Google Ads account is suspended. See the notice in Google Ads")
        }
        (
            "authorizationError",
            "UNSPECIFIED"
            | "UNKNOWN"
            | "USER_PERMISSION_DENIED"
            | "AUTHORIZATION_ERROR"
            | "ACTION_NOT_PERMITTED"
            | "INVALID_LOGIN_CUSTOMER_ID_SERVING_CUSTOMER_ID_COMBINATION"
            | "SERVICE_ACCESS_DENIED"
            | "ACCESS_DENIED_FOR_ACCOUNT_TYPE"
            | "METRIC_ACCESS_DENIED",
        ) => (Account, ACCESS),
        ("headerError", "UNSPECIFIED" | "UNKNOWN" | "INVALID_LOGIN_CUSTOMER_ID" | "INVALID_LINKED_CUSTOMER_ID") => {
            (Account, ACCESS)
        }
        ("requestError", "UNSPECIFIED" | "UNKNOWN") => (Trouble, TROUBLE),
        ("requestError", "UNSUPPORTED_VERSION") => (
            Account,
            "Google no longer serves this version of the API: set GOOGLE_ADS_API_VERSION to a newer one, such as v26",
        ),
        ("requestError", "RESOURCE_NOT_FOUND") => (Action, ACTION),
        ("requestError", "CLOUD_PROJECT_NOT_FOUND" | "DEVELOPER_TOKEN_PARAMETER_MISSING") => (Account, PROJECT),
        ("requestError", "INVALID_CUSTOMER_ID" | "CANNOT_BE_EXECUTED_BY_MANAGER_ACCOUNT") => (
            Account,
            "GOOGLE_ADS_CUSTOMER_ID must be the account that owns the conversion actions, not a manager account",
        ),
        ("requestError", "LOGIN_CUSTOMER_ID_PARAMETER_MISSING") => (Account, ACCESS),
        (
            "requestError",
            "RESOURCE_NAME_MISSING"
            | "RESOURCE_NAME_MALFORMED"
            | "BAD_RESOURCE_ID"
            | "OPERATION_REQUIRED"
            | "INVALID_PAGE_TOKEN"
            | "EXPIRED_PAGE_TOKEN"
            | "INVALID_PAGE_SIZE"
            | "PAGE_SIZE_NOT_SUPPORTED"
            | "REQUIRED_FIELD_MISSING"
            | "IMMUTABLE_FIELD"
            | "TOO_MANY_MUTATE_OPERATIONS"
            | "TOO_MANY_ACTION_OPERATIONS"
            | "CANNOT_MODIFY_FOREIGN_FIELD"
            | "INVALID_ENUM_VALUE"
            | "VALIDATE_ONLY_REQUEST_HAS_PAGE_TOKEN"
            | "CANNOT_RETURN_SUMMARY_ROW_FOR_REQUEST_WITHOUT_METRICS"
            | "CANNOT_RETURN_SUMMARY_ROW_FOR_VALIDATE_ONLY_REQUESTS"
            | "INCONSISTENT_RETURN_SUMMARY_ROW_VALUE"
            | "TOTAL_RESULTS_COUNT_NOT_ORIGINALLY_REQUESTED",
        )
        | ("partialFailureError", _) => (Defect, DEFECT),
        ("notAllowlistedError", _) => (
            Account,
            "Google has closed this upload to accounts that didn't use it before June 2026: set \
                 GOOGLE_ADS_TRANSPORT=data_manager",
        ),
        (
            "dateError" | "fieldError" | "stringFormatError" | "stringLengthError" | "currencyCodeError" | "rangeError"
            | "notEmptyError" | "idError" | "distinctError",
            _,
        ) => (Conversion, CONVERSION),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prost_reflect::{DescriptorPool, Kind};

    use super::*;

    /// The error enums that an upload or an adjustment can come back with, as `ErrorCode` calls them.
    const ENUMS: [&str; 19] = [
        "conversionUploadError",
        "conversionAdjustmentUploadError",
        "quotaError",
        "authenticationError",
        "authorizationError",
        "internalError",
        "requestError",
        "headerError",
        "partialFailureError",
        "notAllowlistedError",
        "dateError",
        "fieldError",
        "stringFormatError",
        "stringLengthError",
        "currencyCodeError",
        "rangeError",
        "notEmptyError",
        "idError",
        "distinctError",
    ];

    /// The values of every enum in `ErrorCode`, from Google's own descriptors.
    fn published() -> BTreeMap<String, Vec<String>> {
        let descriptors = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../dev/google/src/googleads_v26.fds"));
        let pool = DescriptorPool::decode(descriptors.as_slice()).unwrap();
        let codes = pool.get_message_by_name("google.ads.googleads.v26.errors.ErrorCode").unwrap();
        let values = |kind: Kind| match kind {
            Kind::Enum(it) => it.values().map(|value| value.name().to_owned()).collect(),
            _ => Vec::new(),
        };
        codes.fields().map(|field| (field.json_name().to_owned(), values(field.kind()))).collect()
    }

    #[test]
    fn what_google_publishes_as_temporary_or_to_be_sent_later_costs_no_attempt() {
        let words = ["TRANSIENT", "CONCURRENT", "DEADLINE", "EXHAUSTED"];
        let mut found = Vec::new();
        for (error, values) in published() {
            for value in values.iter().filter(|value| words.iter().any(|word| value.contains(word))) {
                assert!(matches!(of(&error, value), Some((Transient | Quota, _))), "{error}: {value}");
                found.push(value.clone());
            }
        }
        assert!(found.len() >= 6 && found.iter().any(|it| it == "CONCURRENT_MODIFICATION"), "{found:?}");
        for (error, value) in [
            ("conversionUploadError", "TOO_RECENT_EVENT"),
            ("conversionUploadError", "EVENT_NOT_FOUND"),
            ("conversionUploadError", "TOO_RECENT_CONVERSION_ACTION"),
            ("conversionAdjustmentUploadError", "TOO_RECENT_CONVERSION_ACTION"),
            ("conversionAdjustmentUploadError", "CONVERSION_NOT_FOUND"),
            ("conversionAdjustmentUploadError", "TOO_RECENT_CONVERSION"),
        ] {
            let later = matches!(of(error, value), Some((Wait(_) | WaitForClick | Search(_) | SearchClick(_), _)));
            assert!(later, "{error}: {value}");
        }
        // Without a cause that can be told from the conversion's only the request as a whole is free.
        for value in ["INTERNAL_ERROR", "UNKNOWN", "ERROR_CODE_NOT_PUBLISHED"] {
            assert!(matches!(of("internalError", value), Some((Trouble, _))), "{value}");
        }
    }

    #[test]
    fn every_published_reason_has_a_meaning_and_a_sentence() {
        let published = published();
        for error in ENUMS {
            let values = &published[error];
            assert!(values.len() > 2, "{error}");
            for value in values {
                let (_, advice) = of(error, value).unwrap_or_else(|| panic!("{error}: {value} has no meaning"));
                assert!(advice.len() > 10, "{error}: {value}");
            }
        }
        assert_eq!(of("conversionUploadError", "INVENTED_LATER"), None);
        assert_eq!(of("inventedError", "UNKNOWN"), None);
    }
}
