//! The adjustments that were carried out.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::ads_account::ConversionAction;
use crate::book::Identity;
use crate::request_body::RequestBody;

/// What an adjustment does to a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AdjustmentType {
    Retraction,
    /// It restates its value.
    Restatement,
}

/// An adjustment that was carried out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedAdjustment {
    /// The account of the conversion: ten digits.
    pub customer_id: String,
    /// The conversion action's numeric id, within the account.
    pub conversion_action: String,
    pub adjustment_type: AdjustmentType,
    /// The conversion's `orderId`. Empty when a `gclidDateTimePair` named it.
    pub order_id: String,
    /// The restated value.
    pub value: Option<f64>,
    /// The currency of that value, if it was sent.
    pub currency: Option<String>,
    pub adjusted_at: DateTime<Utc>,
    /// How many times it came: once it was carried out, later ones were refused as already done.
    pub received: u32,
    /// The request that had it carried out. `None` when bodies are not kept.
    #[serde(skip)]
    pub body: Option<RequestBody>,
}

/// Two retractions of a conversion are equal, whatever their times.
type Key = (ConversionAction, Identity, AdjustmentType, Option<DateTime<Utc>>);

/// The adjustments in the order of their first arrival.
#[derive(Debug, Default)]
pub(crate) struct AdjustmentLog {
    carried_out: Vec<ReceivedAdjustment>,
    places: HashMap<Key, usize>,
}

impl AdjustmentLog {
    pub(crate) fn all(&self) -> &[ReceivedAdjustment] {
        &self.carried_out
    }

    pub(crate) fn add(&mut self, target: Identity, adjustment: ReceivedAdjustment) {
        let action =
            ConversionAction { customer_id: adjustment.customer_id.clone(), id: adjustment.conversion_action.clone() };
        let key = key(action, target, adjustment.adjustment_type, adjustment.adjusted_at);
        self.places.insert(key, self.carried_out.len());
        self.carried_out.push(adjustment);
    }

    /// Counts an adjustment that was carried out before.
    pub(crate) fn repeat(
        &mut self,
        action: ConversionAction,
        target: Identity,
        kind: AdjustmentType,
        at: DateTime<Utc>,
    ) {
        if let Some(&place) = self.places.get(&key(action, target, kind, at)) {
            self.carried_out[place].received += 1;
        }
    }
}

fn key(action: ConversionAction, target: Identity, kind: AdjustmentType, at: DateTime<Utc>) -> Key {
    (action, target, kind, (kind == AdjustmentType::Restatement).then_some(at))
}
