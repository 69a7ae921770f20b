//! An event within the limits of Google Analytics. What it wouldn't take is left out or cut here, so that both ways of
//! sending it say the same.

use serde_json::{Map, Number, Value};

use super::limits::{self, MOST_CUSTOM_ITEM_PARAMS, MOST_ITEM_PARAMS, MOST_ITEMS, MOST_PARAMS};
use super::{EventToSend, Transport};
use crate::events;
use crate::identity::Hash;
use crate::money::Money;
use crate::platforms::Reason;

/// The events that Google Analytics recognises by a transaction id. It counts a purchase once, and finds the purchase
/// of a refund.
const OF_TRANSACTIONS: [&str; 2] = ["purchase", "refund"];

/// Parameters that are none of an event's own: they would change when it happened, or whose it is.
const NEVER: [&str; 2] = ["timestamp_micros", "user_data"];

/// What a parameter may be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    Number(Number),
}

/// An item of a cart.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Item {
    pub id: Option<String>,
    pub quantity: Option<i64>,
    pub price: Option<f64>,
    pub others: Vec<(String, Scalar)>,
}

/// An event as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fitted {
    pub session_id: Option<i64>,
    /// Without it an event is missing from the reports of active users.
    pub engagement_time_msec: i64,
    pub transaction_id: Option<String>,
    pub value: Option<f64>,
    pub currency: Option<String>,
    pub coupon: Option<String>,
    pub items: Vec<Item>,
    /// With the page it happened on.
    pub others: Vec<(String, Scalar)>,
}

/// Would a repetition of it be counted once?
#[must_use]
pub fn is_recognised_again(event: &EventToSend) -> bool {
    event.name == "purchase"
}

impl Fitted {
    /// # Errors
    /// Why it can't be sent at all.
    pub(super) fn of(event: &EventToSend, transport: Transport) -> Result<Self, Reason> {
        if events::name(&event.name).is_err() {
            let message = "Names of events start with a letter and have at most 40 letters, digits and underscores: \
                           rename it on the website.";
            return Err(Reason::new("invalid_event_name", message));
        }
        if limits::is_reserved_event(&event.name) {
            let message = format!(
                "Google Analytics keeps the name {} for itself and drops such events of others: rename it on the website.",
                event.name
            );
            return Err(Reason::new("reserved_event_name", message));
        }
        let params = &event.params;
        let mut others = Vec::new();
        if let Some(page) = event.page_url.as_deref().and_then(|url| text_of("page_location", url, transport)) {
            others.push(("page_location".to_owned(), page));
        }
        let mut fitted = Self {
            session_id: event.session_id.or_else(|| integer(params.get("session_id")?)).filter(|id| *id > 0),
            engagement_time_msec: params
                .get("engagement_time_msec")
                .and_then(integer)
                .filter(|it| *it > 0)
                .unwrap_or(1),
            transaction_id: transaction_id(event, transport),
            value: params.get("value").and_then(number),
            currency: params.get("currency").and_then(currency),
            coupon: params.get("coupon").and_then(|it| text(it, transport)),
            items: items(params, transport),
            others,
        };
        fitted.add_others(params, transport);
        Ok(fitted)
    }

    /// The rest of its parameters, in the order of their names, as long as there is room.
    fn add_others(&mut self, params: &Map<String, Value>, transport: Transport) {
        const OWN: [&str; 6] = ["session_id", "engagement_time_msec", "value", "currency", "coupon", "items"];
        let is_own = |name: &str| OWN.contains(&name) || (name == "transaction_id" && self.transaction_id.is_some());
        let others = params.iter().filter(|(name, _)| {
            !is_own(name)
                && !NEVER.contains(&name.as_str())
                && limits::is_param(name)
                && self.others.iter().all(|(known, _)| known != *name)
        });
        let others = others.filter_map(|(name, value)| Some((name.clone(), scalar(name, value, transport)?)));
        let others: Vec<_> = others.take(MOST_PARAMS.saturating_sub(self.params())).collect();
        self.others.extend(others);
    }

    /// How many parameters it has.
    fn params(&self) -> usize {
        let own = [
            self.session_id.is_some(),
            true,
            self.transaction_id.is_some(),
            self.value.is_some(),
            self.currency.is_some(),
            self.coupon.is_some(),
            !self.items.is_empty(),
        ];
        own.into_iter().filter(|it| *it).count() + self.others.len()
    }
}

/// Never empty: Google Analytics takes all purchases with an empty one for the same. A purchase without one is
/// recognised by the id of its event.
fn transaction_id(event: &EventToSend, transport: Transport) -> Option<String> {
    if !OF_TRANSACTIONS.contains(&event.name.as_str()) {
        return None;
    }
    let own = event.params.get("transaction_id").and_then(|it| text(it, transport));
    own.or_else(|| {
        let of_event = || text(&Value::from(event.event_id.as_str()), transport);
        let hashed = || Hash::of(&event.event_id).as_str()[..32].to_owned();
        (event.name == "purchase").then(|| of_event().unwrap_or_else(hashed))
    })
}

fn items(params: &Map<String, Value>, transport: Transport) -> Vec<Item> {
    let listed = params.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let items = listed.iter().filter_map(|it| item(it.as_object()?, transport));
    items.take(MOST_ITEMS).collect()
}

/// None if nothing says which item it is.
fn item(params: &Map<String, Value>, transport: Transport) -> Option<Item> {
    let others = |is_known: bool| {
        let names = params.iter().filter(move |(name, _)| limits::is_known_of_item(name) == is_known);
        let names = names
            .filter(|(name, _)| !["item_id", "quantity", "price"].contains(&name.as_str()) && limits::is_param(name));
        names.filter_map(|(name, value)| Some((name.clone(), scalar(name, value, transport)?)))
    };
    let item = Item {
        id: params.get("item_id").and_then(|it| text(it, transport)),
        quantity: params.get("quantity").and_then(integer).filter(|it| *it > 0),
        price: params.get("price").and_then(number).filter(|it| *it >= 0.0),
        others: others(true).chain(others(false).take(MOST_CUSTOM_ITEM_PARAMS)).take(MOST_ITEM_PARAMS).collect(),
    };
    let has_name = item.others.iter().any(|(name, _)| name == "item_name");
    (item.id.is_some() || has_name).then_some(item)
}

/// A text or a number; true and false are texts. Objects and lists have no meaning for Google Analytics.
fn scalar(name: &str, value: &Value, transport: Transport) -> Option<Scalar> {
    match value {
        Value::String(text) => text_of(name, text, transport),
        Value::Number(number) => Some(Scalar::Number(number.clone())),
        Value::Bool(it) => Some(Scalar::Text(it.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn text_of(name: &str, text: &str, transport: Transport) -> Option<Scalar> {
    let longest = limits::longest_value(name, transport);
    let is_url = matches!(name, "page_location" | "page_referrer");
    let text = text.trim();
    let text = match text.find(['?', '#']) {
        Some(end) if is_url && limits::has_address(text) => &text[..end],
        _ => text,
    };
    if limits::has_address(text) {
        return None;
    }
    let text = if is_url { limits::cut_url(text, longest) } else { limits::cut(text, longest) };
    (!text.is_empty()).then(|| Scalar::Text(text.to_owned()))
}

/// A text, or a number as one.
fn text(value: &Value, transport: Transport) -> Option<String> {
    match scalar("", value, transport)? {
        Scalar::Text(text) => Some(text),
        Scalar::Number(number) => Some(number.to_string()),
    }
}

/// A number, also one that was written as a text.
fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    number.is_finite().then_some(number)
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn currency(value: &Value) -> Option<String> {
    Money::currency_from(&value.as_str()?.trim().to_ascii_uppercase()).ok()
}
