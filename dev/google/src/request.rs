//! The parts of an `IngestEventsRequest` that the sandbox looks at, read from a message that
//! already parsed against Google's descriptor. Names and defaults are Google's.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngestEventsRequest {
    pub destinations: Vec<Destination>,
    pub events: Vec<Event>,
    pub consent: Option<Consent>,
    pub validate_only: bool,
    pub encoding: Option<EnumValue>,
    pub encryption_info: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Destination {
    pub reference: String,
    pub login_account: Option<ProductAccount>,
    pub linked_account: Option<ProductAccount>,
    pub operating_account: Option<ProductAccount>,
    pub product_destination_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ProductAccount {
    pub account_id: String,
    pub account_type: Option<EnumValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_field_names, reason = "Google's names")]
pub(crate) struct Event {
    pub destination_references: Vec<String>,
    pub transaction_id: String,
    pub event_timestamp: Option<DateTime<Utc>>,
    pub user_data: Option<UserData>,
    pub consent: Option<Consent>,
    pub ad_identifiers: AdIdentifiers,
    pub currency: String,
    /// A number, or one of the strings `NaN`, `Infinity` and `-Infinity`.
    pub conversion_value: Option<Value>,
    pub event_source: Option<EnumValue>,
    pub event_name: String,
    pub client_id: String,
    pub app_instance_id: String,
    pub additional_event_parameters: Vec<EventParameter>,
    pub cart_data: CartData,
}

/// Of an event, or of an item.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EventParameter {
    pub parameter_name: String,
    pub value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CartData {
    pub items: Vec<Item>,
    pub coupon_codes: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Item {
    pub item_id: String,
    pub additional_item_parameters: Vec<EventParameter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct UserData {
    pub user_identifiers: Vec<UserIdentifier>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct UserIdentifier {
    pub email_address: Option<String>,
    pub phone_number: Option<String>,
    pub address: Option<AddressInfo>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AddressInfo {
    pub given_name: String,
    pub family_name: String,
    pub region_code: String,
    pub postal_code: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Consent {
    pub ad_user_data: Option<EnumValue>,
    pub ad_personalization: Option<EnumValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AdIdentifiers {
    pub gclid: String,
    pub gbraid: String,
    pub wbraid: String,
    pub dclid: String,
    pub session_attributes: String,
    pub mobile_device_id: String,
    pub impression_id: String,
    pub match_id: String,
}

/// A value of a proto3 enum other than its zero. The enums are open: a number that Google has not
/// defined parses too.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum EnumValue {
    Name(String),
    Undefined(i32),
}

impl EnumValue {
    pub(crate) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Name(own) if own == name)
    }

    pub(crate) fn is_defined(&self) -> bool {
        matches!(self, Self::Name(_))
    }
}

impl Destination {
    /// Is it a stream of Google Analytics?
    pub(crate) fn is_analytics(&self) -> bool {
        let account = self.operating_account.as_ref().and_then(|account| account.account_type.as_ref());
        account.is_some_and(|account_type| account_type.is("GOOGLE_ANALYTICS_PROPERTY"))
    }

    /// The operating account's id.
    pub(crate) fn customer_id(&self) -> &str {
        self.operating_account.as_ref().map_or("", |account| &account.account_id)
    }
}

impl Event {
    /// What poisons and decisions name it by: its `transactionId`, or the name of an event that has none.
    pub(crate) fn id(&self) -> &str {
        if self.transaction_id.is_empty() { &self.event_name } else { &self.transaction_id }
    }

    /// The destinations this event goes to, with their places in the request: those it refers to,
    /// or all of them when it refers to none.
    pub(crate) fn targets<'a>(
        &'a self,
        destinations: &'a [Destination],
    ) -> impl Iterator<Item = (usize, &'a Destination)> {
        destinations.iter().enumerate().filter(|(_, destination)| {
            self.destination_references.is_empty() || self.destination_references.contains(&destination.reference)
        })
    }
}
