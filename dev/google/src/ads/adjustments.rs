//! `uploadConversionAdjustments`: every row retracts a conversion or restates its value.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::request::{ConversionAdjustment, UploadConversionAdjustmentsRequest};
use super::row::Row;
use super::{Service, Upload};
use crate::adjustment_log::{AdjustmentType, ReceivedAdjustment};
use crate::ads_account::{AdsAccount, ConversionAction};
use crate::book::{Amount, Identity, Standing};
use crate::ledger::Ledger;
use crate::poison::Poisons;
use crate::request_body::RequestBody;

pub(super) const SERVICE: Service = Service {
    rows: "conversion_adjustments",
    category: "conversionAdjustmentUploadError",
    too_many: "TOO_MANY_ADJUSTMENTS_IN_REQUEST",
};
/// How long after a conversion it can be adjusted.
const WINDOW: TimeDelta = TimeDelta::days(54);

/// A row that says what is to be done, and to which conversion.
struct Readable {
    action: ConversionAction,
    target: Identity,
    kind: AdjustmentType,
    at: DateTime<Utc>,
    amount: Option<Amount>,
}

/// Applies the valid rows of `request` to the conversions of `account`, unless it only validates.
pub(super) fn upload(
    request: &UploadConversionAdjustmentsRequest,
    account: &AdsAccount,
    ledger: &mut Ledger,
    poisons: &Poisons,
    body: Option<&RequestBody>,
    now: DateTime<Utc>,
) -> Upload {
    let mut read: Vec<(Row, Option<Readable>)> = request
        .conversion_adjustments
        .iter()
        .enumerate()
        .map(|(index, adjustment)| {
            let mut row = Row::new(&SERVICE, index, account);
            let id = adjustment.order_id.as_deref().unwrap_or_default();
            if let Some(poison) = poisons.row(id) {
                row.add(poison.error(SERVICE.rows, index, id));
                return (row, None);
            }
            let readable = examine(adjustment, &mut row);
            (row, readable)
        })
        .collect();
    refuse_duplicates(&mut read);

    let mut upload = Upload::default();
    for ((mut row, readable), adjustment) in read.into_iter().zip(&request.conversion_adjustments) {
        // What is wrong in itself is not held against a conversion.
        if row.is_flawless()
            && let Some(readable) = readable
        {
            let standing = ledger.book.standing(&readable.action, &readable.target);
            match obstacle(&readable, standing.as_ref(), now) {
                Some((field, name)) => {
                    row.refuse(field, name, adjustment.order_id.as_deref().unwrap_or_default());
                    if !request.validate_only {
                        ledger.adjustments.repeat(readable.action, readable.target, readable.kind, readable.at);
                    }
                }
                None if request.validate_only => {}
                None => carry_out(readable, body, ledger),
            }
        }
        upload.push(row, || result(adjustment));
    }
    upload
}

fn examine(adjustment: &ConversionAdjustment, row: &mut Row) -> Option<Readable> {
    let action = row.action(&adjustment.conversion_action);
    let at = row.time("adjustment_date_time", &adjustment.adjustment_date_time);
    row.user_identifiers(&adjustment.user_identifiers);
    row.order_id(adjustment.order_id.as_deref());
    let target = target(adjustment, row);
    let kind = kind(&adjustment.adjustment_type, row)?;
    let amount = restatement(adjustment, kind, row);
    Some(Readable { action, target: target?, kind, at: at?, amount })
}

fn target(adjustment: &ConversionAdjustment, row: &mut Row) -> Option<Identity> {
    match (&adjustment.order_id, &adjustment.gclid_date_time_pair) {
        (Some(id), None) => Some(Identity::Order(id.clone())),
        (None, Some(pair)) => {
            if pair.gclid.is_empty() {
                row.refuse_as("fieldError", "gclid_date_time_pair.gclid", "REQUIRED", "");
            }
            let time = row.time("gclid_date_time_pair.conversion_date_time", &pair.conversion_date_time)?;
            // A conversion with an order id is not found this way.
            Some(Identity::Click(pair.gclid.clone(), time))
        }
        (Some(id), Some(_)) => {
            row.refuse("order_id", "GCLID_DATE_TIME_PAIR_AND_ORDER_ID_BOTH_SET", id);
            None
        }
        (None, None) => {
            row.refuse_as("fieldError", "order_id", "REQUIRED", "");
            None
        }
    }
}

fn kind(adjustment_type: &Value, row: &mut Row) -> Option<AdjustmentType> {
    const FIELD: &str = "adjustment_type";
    match adjustment_type.as_str() {
        Some("RETRACTION") => return Some(AdjustmentType::Retraction),
        Some("RESTATEMENT") => return Some(AdjustmentType::Restatement),
        // Only conversions of a website's tag can be enhanced.
        Some("ENHANCEMENT") => row.refuse("conversion_action", "INVALID_CONVERSION_ACTION_TYPE", ""),
        None if adjustment_type.is_null() => row.refuse_as("fieldError", FIELD, "REQUIRED", ""),
        _ => row.refuse_as("enumError", FIELD, "ENUM_VALUE_NOT_PERMITTED", &adjustment_type.to_string()),
    }
    None
}

fn restatement(adjustment: &ConversionAdjustment, kind: AdjustmentType, row: &mut Row) -> Option<Amount> {
    const FIELD: &str = "restatement_value";
    match (kind, &adjustment.restatement_value) {
        (AdjustmentType::Retraction, None) => None,
        (AdjustmentType::Retraction, Some(_)) => {
            row.refuse_as("fieldError", FIELD, "VALUE_MUST_BE_UNSET", "");
            None
        }
        (AdjustmentType::Restatement, Some(stated)) if stated.adjusted_value.is_some() => {
            let fields = ["restatement_value.adjusted_value", "restatement_value.currency_code"];
            row.amount(fields, stated.adjusted_value.as_ref(), stated.currency_code.as_ref())
        }
        (AdjustmentType::Restatement, _) => {
            row.refuse_as("fieldError", "restatement_value.adjusted_value", "REQUIRED", "");
            None
        }
    }
}

/// Refuses all adjustments that occur more than once in a request.
fn refuse_duplicates(read: &mut [(Row, Option<Readable>)]) {
    let key = |readable: &Readable| (readable.action.clone(), readable.target.clone(), readable.kind, readable.at);
    let mut seen: HashMap<_, usize> = HashMap::new();
    for readable in read.iter().filter_map(|(_, readable)| readable.as_ref()) {
        *seen.entry(key(readable)).or_default() += 1;
    }
    for (row, readable) in read {
        if readable.as_ref().is_some_and(|readable| seen[&key(readable)] > 1) {
            row.refuse("order_id", "DUPLICATE_ADJUSTMENT_IN_REQUEST", "");
        }
    }
}

/// Why the conversion cannot be adjusted so: a field and an error.
fn obstacle(
    readable: &Readable,
    standing: Option<&Standing>,
    now: DateTime<Utc>,
) -> Option<(&'static str, &'static str)> {
    const TIME: &str = "adjustment_date_time";
    let found = match readable.target {
        Identity::Order(_) => "order_id",
        Identity::Click(..) => "gclid_date_time_pair",
    };
    let Some(standing) = standing else { return Some((found, "CONVERSION_NOT_FOUND")) };
    if standing.retracted {
        return Some((found, "CONVERSION_ALREADY_RETRACTED"));
    }
    if readable.at < standing.occurred_at {
        return Some((TIME, "ADJUSTMENT_PRECEDES_CONVERSION"));
    }
    if readable.at.max(now) > standing.occurred_at + WINDOW {
        return Some((found, "CONVERSION_EXPIRED"));
    }
    match standing.last_restatement.filter(|_| readable.kind == AdjustmentType::Restatement) {
        Some(last) if readable.at == last => Some((TIME, "RESTATEMENT_ALREADY_EXISTS")),
        Some(last) if readable.at < last => Some((TIME, "MORE_RECENT_RESTATEMENT_FOUND")),
        _ => None,
    }
}

fn carry_out(readable: Readable, body: Option<&RequestBody>, ledger: &mut Ledger) {
    let Readable { action, target, kind, at, amount } = readable;
    ledger.book.adjust(&action, &target, at, amount.clone());
    let order_id = match &target {
        Identity::Order(id) => id.clone(),
        Identity::Click(..) => String::new(),
    };
    let (value, currency) = amount.map_or((None, None), |amount| (Some(amount.value), amount.currency));
    let adjustment = ReceivedAdjustment {
        customer_id: action.customer_id,
        conversion_action: action.id,
        adjustment_type: kind,
        order_id,
        value,
        currency,
        adjusted_at: at,
        received: 1,
        body: body.cloned(),
    };
    ledger.adjustments.add(target, adjustment);
}

/// A `ConversionAdjustmentResult`: what was sent, as far as it has the field.
fn result(adjustment: &ConversionAdjustment) -> Value {
    let mut result = json!({
        "conversionAction": adjustment.conversion_action,
        "adjustmentDateTime": adjustment.adjustment_date_time,
        "adjustmentType": adjustment.adjustment_type,
    });
    if let Some(id) = &adjustment.order_id {
        result["orderId"] = json!(id);
    }
    if let Some(pair) = &adjustment.gclid_date_time_pair {
        result["gclidDateTimePair"] = json!({"gclid": pair.gclid, "conversionDateTime": pair.conversion_date_time});
    }
    result
}
