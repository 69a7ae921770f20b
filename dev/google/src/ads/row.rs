//! The rules for every row, whether a conversion or an adjustment, and its errors.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Service;
use super::failure::{AdsError, ErrorCode};
use crate::ads_account::{AdsAccount, ConversionAction};
use crate::book::Amount;
use crate::currencies::is_currency;

/// The only time format that the Google Ads API accepts.
const TIME: &str = "%Y-%m-%d %H:%M:%S%:z";
/// In characters, as at Data Manager.
const LONGEST_ORDER_ID: usize = 64;
const MOST_USER_IDENTIFIERS: usize = 5;

/// A row that is being validated.
pub(super) struct Row<'a> {
    /// Such as `conversions[0]`.
    place: String,
    /// The error enum of the row's own service.
    category: &'static str,
    account: &'a AdsAccount,
    errors: Vec<AdsError>,
}

impl<'a> Row<'a> {
    pub(super) fn new(service: &Service, index: usize, account: &'a AdsAccount) -> Self {
        Self { place: format!("{}[{index}]", service.rows), category: service.category, account, errors: Vec::new() }
    }

    /// What is wrong with the row. Nothing when it is empty.
    pub(super) fn errors(self) -> Vec<AdsError> {
        self.errors
    }

    pub(super) fn is_flawless(&self) -> bool {
        self.errors.is_empty()
    }

    /// Refuses the row for a reason of its own service.
    pub(super) fn refuse(&mut self, field: &str, name: &str, trigger: &str) {
        self.refuse_as(self.category, field, name, trigger);
    }

    /// Refuses the row for a reason that other services have too.
    pub(super) fn refuse_as(&mut self, category: &str, field: &str, name: &str, trigger: &str) {
        let message = format!("The sandbox refuses this: {name}.");
        let error = AdsError::new(ErrorCode::new(category, name), &message).at(format!("{}.{field}", self.place));
        self.errors.push(if trigger.is_empty() { error } else { error.triggered_by(trigger) });
    }

    /// An error that is about this row already.
    pub(super) fn add(&mut self, error: AdsError) {
        self.errors.push(error);
    }

    /// The conversion action, which has to be one of the account that is called.
    pub(super) fn action(&mut self, resource_name: &str) -> ConversionAction {
        let id = self.action_id(resource_name);
        ConversionAction { customer_id: self.account.customer_id.clone(), id: id.to_owned() }
    }

    /// Its numeric id. Empty for a name that has none.
    fn action_id<'b>(&mut self, resource_name: &'b str) -> &'b str {
        const FIELD: &str = "conversion_action";
        if resource_name.is_empty() {
            self.refuse_as("fieldError", FIELD, "REQUIRED", "");
            return "";
        }
        let parts: Vec<&str> = resource_name.split('/').collect();
        match parts[..] {
            ["customers", customer, "conversionActions", action] if is_number(customer) && is_number(action) => {
                // Google documents that it ignores the customer in the name. An uploader that names another customer
                // than the one it calls has mixed up two accounts, so the sandbox is stricter.
                if customer != self.account.customer_id || !self.account.has_action(action) {
                    self.refuse(FIELD, "NO_CONVERSION_ACTION_FOUND", resource_name);
                }
                action
            }
            _ => {
                self.refuse_as("requestError", FIELD, "RESOURCE_NAME_MALFORMED", resource_name);
                ""
            }
        }
    }

    /// A time in the one format.
    pub(super) fn time(&mut self, field: &str, text: &str) -> Option<DateTime<Utc>> {
        if text.is_empty() {
            self.refuse_as("fieldError", field, "REQUIRED", "");
            return None;
        }
        let time = DateTime::parse_from_str(text, TIME).ok();
        let time = time.filter(|time| time.format(TIME).to_string() == text);
        if time.is_none() {
            self.refuse_as("dateError", field, "INVALID_STRING_DATE_TIME_SECONDS_WITH_OFFSET", text);
        }
        Some(time?.to_utc())
    }

    /// An `orderId`, which may be absent.
    pub(super) fn order_id(&mut self, order_id: Option<&str>) {
        let Some(id) = order_id else { return };
        if id.is_empty() {
            self.refuse_as("stringLengthError", "order_id", "EMPTY", "");
        } else if id.chars().count() > LONGEST_ORDER_ID {
            self.refuse_as("stringLengthError", "order_id", "TOO_LONG", id);
        } else if id.contains('@') {
            self.refuse("order_id", "ORDER_ID_CONTAINS_PII", id);
        }
    }

    /// A value that is not negative, and its currency.
    pub(super) fn amount(
        &mut self,
        [value_field, currency_field]: [&str; 2],
        value: Option<&Value>,
        currency: Option<&String>,
    ) -> Option<Amount> {
        if let Some(code) = currency
            && !is_currency(code)
        {
            self.refuse_as("currencyCodeError", currency_field, "UNSUPPORTED", code);
        }
        let value = value?;
        match value.as_f64() {
            None => self.refuse_as("fieldError", value_field, "INVALID_VALUE", &value.to_string()),
            Some(number) if number < 0.0 => self.refuse_as("rangeError", value_field, "TOO_LOW", &value.to_string()),
            Some(_) => {}
        }
        Some(Amount { value: value.as_f64()?, currency: currency.cloned() })
    }

    /// Hashes of e-mail addresses and phone numbers, nothing else.
    pub(super) fn user_identifiers(&mut self, identifiers: &[Value]) {
        const FIELD: &str = "user_identifiers";
        if identifiers.len() > MOST_USER_IDENTIFIERS {
            self.refuse_as("collectionSizeError", FIELD, "TOO_MANY", "");
        }
        for (index, identifier) in identifiers.iter().enumerate() {
            let field = format!("{FIELD}[{index}]");
            let has = |name: &str| !identifier[name].is_null();
            if let Some(hash) = identifier["hashedEmail"].as_str() {
                self.hash(&format!("{field}.hashed_email"), hash);
            } else if let Some(hash) = identifier["hashedPhoneNumber"].as_str() {
                self.hash(&format!("{field}.hashed_phone_number"), hash);
            } else if has("mobileId") || has("thirdPartyUserId") || has("addressInfo") {
                self.refuse(&field, "UNSUPPORTED_USER_IDENTIFIER", "");
            } else {
                self.refuse(&field, "INVALID_USER_IDENTIFIER", "");
            }
        }
    }

    fn hash(&mut self, field: &str, hash: &str) {
        let is_sha256 = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_sha256 {
            self.refuse(field, "INVALID_USER_IDENTIFIER", hash);
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
