//! What the Data Manager API's published reasons mean. Every name is here once; a test compares the lists with Google's
//! own descriptors. A name that isn't here was published later.
#![expect(clippy::too_many_lines, reason = "a table")]

use crate::platforms::google_ads::meaning::OTHER_ACCOUNT;
use crate::platforms::google_ads::meaning::ReasonMeaning::{
    self, Account, Action, ClickId, Collision, Conversion, Defect, Exists, OtherAccount, Quota, Search, SearchClick,
    Transient, Trouble, Wait, WaitForClick,
};

const TERMS: &str = "Accept the customer data terms in Google Ads: Goals, Settings, Customer data terms";
const LEADS: &str = "Turn on enhanced conversions for leads in Google Ads: Goals, Settings";
const ACTION: &str = "The conversion action does not exist, was created minutes ago, or is not of the type for imports \
     from clicks. Check GOOGLE_ADS_CONVERSION_ACTION_CLOSED and GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED (ctId in the \
     action's URL in Google Ads) and that GOOGLE_ADS_CUSTOMER_ID owns them";
const ACCESS: &str = "The credentials have no access to this account. Add the service account as a user in Google Ads \
     (Admin, Access and security), check GOOGLE_ADS_CUSTOMER_ID, and set GOOGLE_ADS_LOGIN_CUSTOMER_ID only if access \
     goes through a manager account";
const VARIABLE: &str = "The account has no such custom variable, and Adtrail sends none; check the conversion action";
const EXTERNAL: &str =
    "The conversion action is attributed by an external model, which is not supported. Use one of Google's models";
const KEY: &str = "Google can't decrypt it, although Adtrail encrypts nothing; check the account";
const DEFECT: &str = "Adtrail made an invalid request. Please report this message as a bug";
const CONVERSION: &str = "Google rejected this conversion; a retry would not help";
const TROUBLE: &str = "Google has a temporary problem; Adtrail retries automatically";
const ELSEWHERE: &str = "Google rejected this conversion for a reason that belongs to another of its products";

/// `ErrorReason`: why a request was refused.
pub(crate) fn of_request(reason: &str) -> Option<(ReasonMeaning, &'static str)> {
    Some(match reason {
        "ALREADY_EXISTS" => (Exists, "Google already has it"),
        "RESOURCE_EXHAUSTED" => (Quota, "Quota exceeded; Adtrail resumes automatically"),
        "CONVERSION_ACTION_TOO_RECENTLY_CREATED" => {
            (Wait(6), "A new conversion action accepts conversions after six hours")
        }
        "ERROR_REASON_UNSPECIFIED" | "INTERNAL_ERROR" => (Trouble, TROUBLE),
        "DEADLINE_EXCEEDED" => (Transient, TROUBLE),
        "NOT_FOUND" | "INVALID_CONVERSION_ACTION_ID" | "INVALID_CONVERSION_ACTION_TYPE" => (Action, ACTION),
        "PERMISSION_DENIED"
        | "INVALID_DESTINATION"
        | "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH"
        | "LINKED_ACCOUNT_ONLY_ALLOWED_WITH_DATA_PARTNER_LOGIN_ACCOUNT"
        | "DESTINATION_ACCOUNT_TYPE_MISMATCH" => (Account, ACCESS),
        "TERMS_AND_CONDITIONS_NOT_SIGNED" | "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED" => {
            (Account, TERMS)
        }
        "DESTINATION_ACCOUNT_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS" => (Account, LEADS),
        "DESTINATION_ACCOUNT_DATA_POLICY_PROHIBITS_ENHANCED_CONVERSIONS" => (
            Account,
            "Google's policy bars this account from enhanced conversions: set GOOGLE_ADS_USER_DATA=omit to send only \
                 click ids",
        ),
        "NOT_ALLOWLISTED" => {
            (Account, "Google allows this for selected accounts only. Ask Google, or use another account")
        }
        "EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED" => {
            (Account, "Declare in Google Ads whether the account runs political advertising in the EU")
        }
        "REQUIRED_PREREQUISITE_LINK_MISSING" => {
            (Account, "A link between accounts is missing. Create it in Google Ads: Tools, Data manager")
        }
        "EVENT_SOURCE_AND_DESTINATION_MISMATCH" => {
            (Action, "The conversion action does not accept web conversions. Use one for imports from clicks")
        }
        "CUSTOM_VARIABLE_NOT_ENABLED" | "CUSTOM_VARIABLE_NOT_FOUND" => (Action, VARIABLE),
        "INVALID_AD_IDENTIFIER_FOR_ACCOUNT" => (OtherAccount, OTHER_ACCOUNT),
        "NO_IDENTIFIERS_PROVIDED" => (Conversion, "There is no click id, e-mail or phone that Google can use"),
        "EVENT_TIME_INVALID" => (Conversion, "Google rejected the conversion time: check the time the CRM reports"),
        "INVALID_CURRENCY_CODE" => (Conversion, "Google does not support the currency: correct it in the CRM"),
        "INVALID_ARGUMENT"
        | "INVALID_POSTAL_CODE"
        | "INVALID_EVENT"
        | "INVALID_REQUEST_ID"
        | "FIELD_VALUE_TOO_LONG"
        | "FIELD_VALUE_TOO_SHORT"
        | "INVALID_MERCHANT_ID"
        | "INVALID_MERCHANT_FEED_LANGUAGE_CODE"
        | "INVALID_REGION_CODE"
        | "INVALID_COUPON_CODE"
        | "CUSTOM_VARIABLE_VALUE_CONTAINS_PII"
        | "INVALID_CUSTOM_VARIABLE_VALUE"
        | "REQUEST_TOO_OLD" => (Conversion, CONVERSION),
        "REQUIRED_FIELD_MISSING"
        | "INVALID_FORMAT"
        | "INVALID_HEX_ENCODING"
        | "INVALID_BASE64_ENCODING"
        | "INVALID_SHA256_FORMAT"
        | "INVALID_ENUM_VALUE"
        | "TOO_MANY_USER_IDENTIFIERS"
        | "TOO_MANY_DESTINATIONS"
        | "MULTIPLE_DATA_TYPES_NOT_ALLOWED"
        | "INVALID_NUMBER_FORMAT"
        | "TOO_MANY_EVENTS"
        | "DUPLICATE_DESTINATION_REFERENCE"
        | "RESERVED_NAME_USED"
        | "INVALID_EVENT_NAME"
        | "TOO_MANY_ELEMENTS"
        | "TOO_FEW_ELEMENTS"
        | "BOTH_CLIENT_ID_AND_APP_INSTANCE_ID_NOT_ALLOWED"
        | "THIRD_PARTY_USER_DATA_NOT_ALLOWED" => (Defect, DEFECT),
        // Of audiences, licences and Google Analytics.
        "INVALID_COUNTRY_CODE"
        | "INVALID_USER_LIST_TYPE"
        | "INVALID_AUDIENCE_MEMBER"
        | "TOO_MANY_AUDIENCE_MEMBERS"
        | "DATA_PARTNER_USER_LIST_MUTATE_NOT_ALLOWED"
        | "INVALID_MOBILE_ID_FORMAT"
        | "INVALID_USER_LIST_ID"
        | "DIFFERENT_LOGIN_ACCOUNTS_NOT_ALLOWED_FOR_DATA_PARTNER"
        | "UNSUPPORTED_OPERATING_ACCOUNT_FOR_DATA_PARTNER"
        | "UNSUPPORTED_LINKED_ACCOUNT_FOR_DATA_PARTNER"
        | "INVALID_PROPERTY_TYPE"
        | "INVALID_STREAM_TYPE"
        | "MULTIPLE_DESTINATIONS_FOR_GOOGLE_ANALYTICS_EVENT"
        | "IMMUTABLE_FIELD_FOR_UPDATE"
        | "INVALID_RESOURCE_NAME"
        | "INVALID_FILTER"
        | "INVALID_UPDATE_MASK"
        | "INVALID_PAGE_TOKEN"
        | "CANNOT_UPDATE_DISABLED_LICENSE"
        | "CANNOT_CREATE_LICENSE_FOR_SENSITIVE_USERLIST"
        | "INSUFFICIENT_COST"
        | "CANNOT_DISABLE_LICENSE"
        | "INVALID_CLIENT_ACCOUNT_ID"
        | "PRICING_ONLY_ZERO_COST_ALLOWED"
        | "PRICE_TOO_HIGH"
        | "CUSTOMER_NOT_ALLOWED_TO_CREATE_LICENSE"
        | "INVALID_PRICING_END_DATE"
        | "CANNOT_LICENSE_LOGICAL_LIST_WITH_LICENSED_OR_SHARED_SEGMENT"
        | "MISMATCHED_ACCOUNT_TYPE"
        | "MEDIA_SHARE_COST_NOT_ALLOWED_FOR_LICENSE_TYPE"
        | "MEDIA_SHARE_COST_NOT_ALLOWED_FOR_CLIENT_CUSTOMER"
        | "INVALID_MEDIA_SHARE_COST"
        | "INVALID_COST_TYPE"
        | "MEDIA_SHARE_COST_NOT_ALLOWED_FOR_NON_COMMERCE_USER_LIST"
        | "MAX_COST_NOT_ALLOWED"
        | "COMMERCE_AUDIENCE_CAN_ONLY_BE_DIRECTLY_LICENSED"
        | "INVALID_DESCRIPTION"
        | "INVALID_DISPLAY_NAME"
        | "DISPLAY_NAME_ALREADY_USED"
        | "OWNERSHIP_REQUIRED_FOR_UPDATE"
        | "USER_LIST_MUTATION_NOT_SUPPORTED"
        | "SENSITIVE_USER_LIST_IMMUTABLE"
        | "BILLABLE_RECORD_COUNT_IMMUTABLE"
        | "USER_LIST_NAME_RESERVED"
        | "ADVERTISER_NOT_ALLOWLISTED_FOR_UPLOADED_DATA"
        | "UNSUPPORTED_PARTNER_AUDIENCE_SOURCE"
        | "COMMERCE_PARTNER_NOT_ALLOWED"
        | "UNSUPPORTED_PARTNER_AUDIENCE_INFO"
        | "PARTNER_MATCH_FOR_MANAGER_ACCOUNT_DISALLOWED"
        | "DATA_PARTNER_NOT_ALLOWLISTED_FOR_THIRD_PARTY_PARTNER_DATA"
        | "ADVERTISER_TOS_NOT_ACCEPTED"
        | "ADVERTISER_NOT_ALLOWLISTED_FOR_THIRD_PARTY_PARTNER_DATA"
        | "USER_LIST_TYPE_NOT_SUPPORTED_FOR_ACCOUNT"
        | "INVALID_COMMERCE_PARTNER"
        | "CUSTOMER_NOT_ALLOWLISTED_FOR_COMMERCE_AUDIENCE"
        | "UNSUPPORTED_USER_LIST_UPLOAD_KEY_TYPES"
        | "UNSUPPORTED_INGESTED_USER_LIST_INFO_CONFIG"
        | "UNSUPPORTED_ACCOUNT_TYPES_FOR_USER_LIST_TYPE"
        | "UNSUPPORTED_ACCOUNT_TYPE_FOR_PARTNER_LINK"
        | "MEMBERSHIP_DURATION_TOO_LONG"
        | "ACCOUNT_INELIGIBLE_FOR_STORE_SALES"
        | "INVALID_SUBDIVISION_CODE"
        | "INVALID_SUBCONTINENT_CODE"
        | "INVALID_CONTINENT_CODE"
        | "INVALID_DEVICE_CATEGORY"
        | "GOOGLE_ANALYTICS_SUBPROPERTY_OR_ROLLUP_PROPERTY_NOT_ALLOWED"
        | "TOO_MANY_USERS"
        | "BASELINE_LOCATION_AUTO_DETECTION_FAILED"
        | "INSIGHTS_MISSING_FOR_DIMENSION"
        | "INVALID_REMOVE_AS_OF_TIME" => (Conversion, ELSEWHERE),
        _ => return None,
    })
}

/// `ProcessingErrorReason`: why an accepted conversion was rejected later.
pub(crate) fn of_processing(reason: &str) -> Option<(ReasonMeaning, &'static str)> {
    Some(match reason {
        "PROCESSING_ERROR_REASON_DUPLICATE_GCLID" => (
            Collision,
            "The click already has a conversion at this time; Adtrail sends this one as if it was a second later",
        ),
        "PROCESSING_ERROR_REASON_DUPLICATE_TRANSACTION_ID" => {
            (Exists, "Google already has a conversion with this transaction id")
        }
        "PROCESSING_ERROR_REASON_TOO_RECENT_CLICK" => {
            (WaitForClick, "Google accepts it once the click is six hours old; Adtrail retries then")
        }
        "PROCESSING_ERROR_REASON_ORIGINAL_CONVERSIONS_NOT_FOUND" => {
            (Search(6), "Google can't find the conversion that this one corrects")
        }
        "PROCESSING_ERROR_REASON_CLICK_NOT_FOUND" => (
            SearchClick(12),
            "Google can't find a click by this person. This is normal for leads that did not come from an ad",
        ),
        "PROCESSING_ERROR_REASON_UNSPECIFIED" | "PROCESSING_ERROR_REASON_INTERNAL_ERROR" => {
            (Trouble, "Google failed to process it")
        }
        "PROCESSING_ERROR_REASON_NO_CONSENT" => {
            (Account, "The account has not consented to Google's use of the data: Google Ads, Admin, Account settings")
        }
        "PROCESSING_ERROR_REASON_DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED" => (Account, TERMS),
        "PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER"
        | "PROCESSING_ERROR_REASON_INVALID_OPERATING_ACCOUNT_FOR_CLICK" => (OtherAccount, OTHER_ACCOUNT),
        "PROCESSING_ERROR_REASON_ONE_PER_CLICK_CONVERSION_ACTION_NOT_PERMITTED_WITH_BRAID" => (
            Action,
            "Clicks with gbraid or wbraid need a conversion action that counts every conversion: set its count to \
                 Every",
        ),
        "PROCESSING_ERROR_REASON_EXTERNAL_ATTRIBUTION_DATA_MISSING" => (Action, EXTERNAL),
        "PROCESSING_ERROR_REASON_CUSTOM_VARIABLE_NOT_ENABLED" | "PROCESSING_ERROR_REASON_INVALID_MERCHANT_ID" => {
            (Action, VARIABLE)
        }
        "PROCESSING_ERROR_REASON_DECRYPTION_ERROR"
        | "PROCESSING_ERROR_REASON_DEK_DECRYPTION_ERROR"
        | "PROCESSING_ERROR_REASON_INVALID_WIP"
        | "PROCESSING_ERROR_REASON_INVALID_KEK"
        | "PROCESSING_ERROR_REASON_WIP_AUTH_FAILED"
        | "PROCESSING_ERROR_REASON_KEK_PERMISSION_DENIED"
        | "PROCESSING_ERROR_REASON_AWS_AUTH_FAILED"
        | "PROCESSING_ERROR_REASON_USER_IDENTIFIER_DECRYPTION_ERROR" => (Account, KEY),
        "PROCESSING_ERROR_REASON_EVENT_TOO_OLD" => (Conversion, "The conversion is older than Google accepts"),
        "PROCESSING_ERROR_REASON_DENIED_CONSENT" => (Conversion, "The person denied consent"),
        "PROCESSING_ERROR_REASON_UNKNOWN_CONSENT" => {
            (Conversion, "Google requires the person's consent status: ask for consent, or set the account's default")
        }
        "PROCESSING_ERROR_REASON_CONVERSION_PRECEDES_CLICK" => {
            (ClickId, "The conversion is earlier than the click: check the time the CRM reports")
        }
        "PROCESSING_ERROR_REASON_INVALID_CLICK" => (ClickId, "The click is not a click on a Google Ads ad"),
        "PROCESSING_ERROR_REASON_INVALID_GCLID"
        | "PROCESSING_ERROR_REASON_INVALID_GBRAID"
        | "PROCESSING_ERROR_REASON_INVALID_WBRAID"
        | "PROCESSING_ERROR_REASON_INVALID_AD_IDENTIFIERS" => {
            (ClickId, "Google can't parse the click id: it was altered on the way to the landing page, or made up")
        }
        "PROCESSING_ERROR_REASON_INVALID_CUSTOM_VARIABLE"
        | "PROCESSING_ERROR_REASON_INVALID_EVENT"
        | "PROCESSING_ERROR_REASON_USER_ID_NOT_FOUND" => (Conversion, CONVERSION),
        "PROCESSING_ERROR_REASON_USER_ID_NOT_FOUND_FOR_GCLID" => (ClickId, "Google knows nobody by this click id"),
        "PROCESSING_ERROR_REASON_INVALID_FORMAT" => (Defect, DEFECT),
        "PROCESSING_ERROR_REASON_INSUFFICIENT_MATCHED_TRANSACTIONS"
        | "PROCESSING_ERROR_REASON_INSUFFICIENT_TRANSACTIONS"
        | "PROCESSING_ERROR_REASON_MATCH_ID_NOT_FOUND"
        | "PROCESSING_ERROR_REASON_USER_ID_NOT_FOUND_FOR_MATCH_ID"
        | "PROCESSING_ERROR_REASON_USER_ID_NOT_FOUND_FOR_DCLID"
        | "PROCESSING_ERROR_REASON_INVALID_MOBILE_ID_FORMAT"
        | "PROCESSING_ERROR_REASON_EVENT_ID_DECODE_ERROR"
        | "PROCESSING_ERROR_REASON_USER_ID_NOT_FOUND_FOR_IMPRESSION_ID" => (Conversion, ELSEWHERE),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    /// The names of an enum in Google's own descriptors.
    fn published(name: &str) -> Vec<String> {
        let descriptors = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../dev/google/src/datamanager_v1.fds"));
        let pool = DescriptorPool::decode(descriptors.as_slice()).unwrap();
        let published = pool.get_enum_by_name(&format!("google.ads.datamanager.v1.{name}")).unwrap();
        published.values().map(|value| value.name().to_owned()).collect()
    }

    #[test]
    fn what_is_temporary_or_to_be_sent_later_costs_no_attempt() {
        for reason in ["DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CONVERSION_ACTION_TOO_RECENTLY_CREATED"] {
            assert!(matches!(of_request(reason), Some((Transient | Quota | Wait(_), _))), "{reason}");
        }
        for reason in ["ORIGINAL_CONVERSIONS_NOT_FOUND", "TOO_RECENT_CLICK"] {
            let meaning = of_processing(&format!("PROCESSING_ERROR_REASON_{reason}"));
            assert!(matches!(meaning, Some((Search(_) | WaitForClick, _))), "{reason}");
        }
    }

    #[test]
    fn every_published_reason_has_a_meaning_and_a_sentence() {
        let (requests, processing) = (published("ErrorReason"), published("ProcessingErrorReason"));
        assert!(requests.len() >= 129 && processing.len() >= 45, "{} {}", requests.len(), processing.len());
        for reason in requests {
            let (_, advice) = of_request(&reason).unwrap_or_else(|| panic!("{reason} has no meaning"));
            assert!(advice.len() > 10, "{reason}");
        }
        for reason in processing {
            let (_, advice) = of_processing(&reason).unwrap_or_else(|| panic!("{reason} has no meaning"));
            assert!(advice.len() > 10, "{reason}");
        }
        assert_eq!(of_request("INVENTED_LATER"), None);
        assert_eq!(of_processing("PROCESSING_ERROR_REASON_INVENTED_LATER"), None);
    }
}
