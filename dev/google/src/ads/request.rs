//! The parts of the conversion uploads that the sandbox looks at, read from messages that already parsed against
//! Google's descriptors. Names and defaults are Google's.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UploadClickConversionsRequest {
    pub customer_id: String,
    pub conversions: Vec<ClickConversion>,
    pub partial_failure: bool,
    pub validate_only: bool,
    pub job_id: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClickConversion {
    pub gclid: String,
    pub gbraid: String,
    pub wbraid: String,
    pub conversion_action: String,
    pub conversion_date_time: String,
    /// A number, or one of the strings `NaN`, `Infinity` and `-Infinity`.
    pub conversion_value: Option<Value>,
    pub currency_code: Option<String>,
    pub order_id: Option<String>,
    pub external_attribution_data: Option<Value>,
    pub user_identifiers: Vec<Value>,
    pub consent: Option<Consent>,
    pub user_ip_address: Option<Value>,
    pub session_attributes_encoded: Option<Value>,
    pub session_attributes_key_value_pairs: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Consent {
    pub ad_user_data: Option<Value>,
    pub ad_personalization: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UploadConversionAdjustmentsRequest {
    pub customer_id: String,
    pub conversion_adjustments: Vec<ConversionAdjustment>,
    pub partial_failure: bool,
    pub validate_only: bool,
    pub job_id: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ConversionAdjustment {
    pub gclid_date_time_pair: Option<GclidDateTimePair>,
    pub order_id: Option<String>,
    pub conversion_action: String,
    pub adjustment_date_time: String,
    /// A name, or a number that Google has not defined.
    pub adjustment_type: Value,
    pub restatement_value: Option<RestatementValue>,
    pub user_identifiers: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct GclidDateTimePair {
    pub gclid: String,
    pub conversion_date_time: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RestatementValue {
    /// A number, or one of the strings `NaN`, `Infinity` and `-Infinity`.
    pub adjusted_value: Option<Value>,
    pub currency_code: Option<String>,
}
