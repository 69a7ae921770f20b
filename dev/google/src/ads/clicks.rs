//! `uploadClickConversions`: every row is counted or refused on its own.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::request::{ClickConversion, UploadClickConversionsRequest};
use super::row::Row;
use super::{Service, Upload};
use crate::ads_account::{AdsAccount, ConversionAction};
use crate::book::{Amount, Arrival, Identity, Transport};
use crate::ledger::Ledger;
use crate::poison::Poisons;
use crate::request_body::RequestBody;

pub(super) const SERVICE: Service =
    Service { rows: "conversions", category: "conversionUploadError", too_many: "TOO_MANY_CONVERSIONS_IN_REQUEST" };
/// The longest click-through window of a conversion action.
const OLDEST_CONVERSION: TimeDelta = TimeDelta::days(90);

/// A row that says who is meant, where and when.
struct Readable {
    action: ConversionAction,
    identity: Identity,
    occurred_at: DateTime<Utc>,
    amount: Option<Amount>,
}

/// Records the valid rows of `request` for `account`, unless it only validates.
pub(super) fn upload(
    request: &UploadClickConversionsRequest,
    account: &AdsAccount,
    ledger: &mut Ledger,
    poisons: &Poisons,
    body: Option<&RequestBody>,
    now: DateTime<Utc>,
) -> Upload {
    let Ledger { book, clicks, .. } = ledger;
    let mut read: Vec<(Row, Option<Readable>)> = request
        .conversions
        .iter()
        .enumerate()
        .map(|(index, conversion)| {
            let mut row = Row::new(&SERVICE, index, account);
            let id = conversion.order_id.as_deref().unwrap_or_default();
            if let Some(poison) = poisons.row(id) {
                row.add(poison.error(SERVICE.rows, index, id));
                return (row, None);
            }
            let readable = examine(conversion, &mut row, now);
            let click = click_id(conversion);
            let mismatch =
                readable.as_ref().and_then(|it| clicks.mismatch(click, it.occurred_at, &account.customer_id));
            if let Some(mismatch) = mismatch {
                row.refuse("gclid", mismatch.upload_error(), click);
            }
            (row, readable)
        })
        .collect();
    refuse_duplicates(&mut read);

    let mut upload = Upload::default();
    for ((mut row, readable), conversion) in read.into_iter().zip(&request.conversions) {
        if let Some(readable) = readable {
            if book.standing(&readable.action, &readable.identity).is_some() {
                let (field, name) =
                    clash(&readable.identity, "ORDER_ID_ALREADY_IN_USE", "CLICK_CONVERSION_ALREADY_EXISTS");
                row.refuse(field, name, trigger(&readable.identity));
            }
            if row.is_flawless() && !request.validate_only {
                let arrival = Arrival {
                    transport: Transport::GoogleAds,
                    occurred_at: readable.occurred_at,
                    amount: readable.amount,
                    submission: None,
                    body: body.cloned(),
                };
                book.arrive(&readable.action, readable.identity, arrival);
            }
        }
        upload.push(row, || result(conversion));
    }
    upload
}

fn examine(conversion: &ClickConversion, row: &mut Row, now: DateTime<Utc>) -> Option<Readable> {
    check_identifiers(conversion, row);
    check_what_is_closed(conversion, row);
    row.order_id(conversion.order_id.as_deref());
    let action = row.action(&conversion.conversion_action);
    let occurred_at = row.time("conversion_date_time", &conversion.conversion_date_time);
    if let Some(time) = occurred_at {
        let text = &conversion.conversion_date_time;
        if time > now {
            row.refuse_as("dateError", "conversion_date_time", "LATER_THAN_MAXIMUM_DATE", text);
        } else if time < now - OLDEST_CONVERSION {
            row.refuse("conversion_date_time", "EXPIRED_EVENT", text);
        }
    }
    let fields = ["conversion_value", "currency_code"];
    let amount = row.amount(fields, conversion.conversion_value.as_ref(), conversion.currency_code.as_ref());
    let occurred_at = occurred_at?;
    let identity = match &conversion.order_id {
        Some(id) => Identity::Order(id.clone()),
        None => Identity::Click(click_id(conversion).to_owned(), occurred_at),
    };
    Some(Readable { action, identity, occurred_at, amount })
}

fn click_id(conversion: &ClickConversion) -> &str {
    [&conversion.gclid, &conversion.gbraid, &conversion.wbraid]
        .into_iter()
        .find(|id| !id.is_empty())
        .map_or("", |id| id)
}

fn check_identifiers(conversion: &ClickConversion, row: &mut Row) {
    for (field, id, name) in [
        ("gclid", &conversion.gclid, "UNPARSEABLE_GCLID"),
        ("gbraid", &conversion.gbraid, "UNPARSEABLE_GBRAID"),
        ("wbraid", &conversion.wbraid, "UNPARSEABLE_WBRAID"),
    ] {
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
            row.refuse(field, name, id);
        }
    }
    if !conversion.gbraid.is_empty() && !conversion.wbraid.is_empty() {
        row.refuse("gbraid", "GBRAID_WBRAID_BOTH_SET", &conversion.gbraid);
    }
    if click_id(conversion).is_empty() && conversion.user_identifiers.is_empty() {
        row.refuse_as("fieldError", "gclid", "REQUIRED", "");
    }
    row.user_identifiers(&conversion.user_identifiers);
}

/// Refuses fields that exist, but not for this account or this service.
fn check_what_is_closed(conversion: &ClickConversion, row: &mut Row) {
    for (field, value) in [
        ("user_ip_address", &conversion.user_ip_address),
        ("session_attributes_encoded", &conversion.session_attributes_encoded),
        ("session_attributes_key_value_pairs", &conversion.session_attributes_key_value_pairs),
    ] {
        if value.is_some() {
            row.refuse_as("notAllowlistedError", field, "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE", "");
        }
    }
    if conversion.external_attribution_data.is_some() {
        let name = "EXTERNAL_ATTRIBUTION_DATA_SET_FOR_NON_EXTERNALLY_ATTRIBUTED_CONVERSION_ACTION";
        row.refuse("external_attribution_data", name, "");
    }
    let Some(consent) = &conversion.consent else { return };
    if consent.ad_personalization.is_some() {
        row.refuse_as("fieldError", "consent.ad_personalization", "VALUE_MUST_BE_UNSET", "");
    }
    let is_answer = |value: &Value| value == "GRANTED" || value == "DENIED";
    if consent.ad_user_data.as_ref().is_some_and(|value| !is_answer(value)) {
        row.refuse_as("enumError", "consent.ad_user_data", "ENUM_VALUE_NOT_PERMITTED", "");
    }
}

/// Refuses all conversions that occur more than once in a request.
fn refuse_duplicates(read: &mut [(Row, Option<Readable>)]) {
    let mut seen: HashMap<(ConversionAction, Identity), usize> = HashMap::new();
    for (_, readable) in read.iter() {
        if let Some(readable) = readable {
            *seen.entry((readable.action.clone(), readable.identity.clone())).or_default() += 1;
        }
    }
    seen.retain(|_, count| *count > 1);
    for (row, readable) in read {
        let Some(readable) = readable else { continue };
        if seen.contains_key(&(readable.action.clone(), readable.identity.clone())) {
            let (field, name) =
                clash(&readable.identity, "DUPLICATE_ORDER_ID", "DUPLICATE_CLICK_CONVERSION_IN_REQUEST");
            row.refuse(field, name, trigger(&readable.identity));
        }
    }
}

/// The field and the error of two conversions that are one.
fn clash(identity: &Identity, of_order: &'static str, of_click: &'static str) -> (&'static str, &'static str) {
    match identity {
        Identity::Order(_) => ("order_id", of_order),
        Identity::Click(..) => ("gclid", of_click),
    }
}

fn trigger(identity: &Identity) -> &str {
    let (Identity::Order(id) | Identity::Click(id, _)) = identity;
    id
}

/// A `ClickConversionResult`: what was sent, as far as it has the field.
fn result(conversion: &ClickConversion) -> Value {
    let mut result = json!({
        "conversionAction": conversion.conversion_action,
        "conversionDateTime": conversion.conversion_date_time,
    });
    for (name, id) in [("gclid", &conversion.gclid), ("gbraid", &conversion.gbraid), ("wbraid", &conversion.wbraid)] {
        if !id.is_empty() {
            result[name] = json!(id);
        }
    }
    if !conversion.user_identifiers.is_empty() {
        result["userIdentifiers"] = json!(conversion.user_identifiers);
    }
    result
}
