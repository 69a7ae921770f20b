//! Rows that are always refused, wherever they are in a request.

use std::collections::HashMap;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ads::failure::{AdsError, ErrorCode};
use crate::answer::{Refusal, Violation};
use crate::faults::{FaultRefused, FieldStyle};

const PROBLEM: &str = "The sandbox is set to refuse this.";

/// Why every request with a certain `transactionId` or `orderId` is refused. One id can be poisoned once at each API.
///
/// As JSON: `{"kind": "event", "reason": "INVALID_EVENT"}` or
/// `{"kind": "row", "error": {"conversionUploadError": "CLICK_NOT_FOUND"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Poison {
    /// At Data Manager: the whole request fails fast.
    Event(EventPoison),
    /// At the Google Ads API: the row fails, whether it is a conversion or an adjustment.
    Row(RowPoison),
}

/// Poison for Data Manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventPoison {
    /// A name of the Data Manager API's `ErrorReason`.
    pub reason: String,
    /// How the event is pointed at. With [`FieldStyle::None`] the answer names no event at all, only the reason.
    #[serde(default)]
    pub field_style: FieldStyle,
    /// Which of several poisoned events the answer names.
    #[serde(default)]
    pub named: Named,
}

/// Which poisoned events an answer names. The first one in the request decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Named {
    /// Every one that has a field style.
    #[default]
    All,
    /// The first one only.
    First,
}

/// Poison for the Google Ads API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowPoison {
    /// The error of the row. Neither of the names has to exist.
    pub error: ErrorCode,
    /// Whether the error has the row's index, as Google's always do.
    #[serde(default = "yes")]
    pub indexed: bool,
}

fn yes() -> bool {
    true
}

impl EventPoison {
    /// Named by `events.events[N]`, together with all others.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), field_style: FieldStyle::default(), named: Named::All }
    }

    /// The same, pointed at in another way.
    #[must_use]
    pub fn styled(self, field_style: FieldStyle) -> Self {
        Self { field_style, ..self }
    }

    /// The same, hiding the poisoned events behind it.
    #[must_use]
    pub fn first_only(self) -> Self {
        Self { named: Named::First, ..self }
    }
}

impl RowPoison {
    /// An error such as `RowPoison::new("conversionUploadError", "CLICK_NOT_FOUND")`.
    #[must_use]
    pub fn new(category: impl Into<String>, name: impl Into<String>) -> Self {
        Self { error: ErrorCode::new(category, name), indexed: true }
    }

    /// The same error without the row's index.
    #[must_use]
    pub fn without_index(self) -> Self {
        Self { indexed: false, ..self }
    }

    /// The error of the row at `index` of the field `rows`.
    pub(crate) fn error(&self, rows: &str, index: usize, id: &str) -> AdsError {
        let location = if self.indexed { format!("{rows}[{index}]") } else { rows.to_owned() };
        AdsError::new(self.error.clone(), PROBLEM).at(location).triggered_by(id)
    }
}

impl From<EventPoison> for Poison {
    fn from(poison: EventPoison) -> Self {
        Self::Event(poison)
    }
}

impl From<RowPoison> for Poison {
    fn from(poison: RowPoison) -> Self {
        Self::Row(poison)
    }
}

/// `POST /sandbox/google/poisons`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PoisonedId {
    /// Or the `orderId`.
    pub transaction_id: String,
    pub poison: Poison,
}

impl PoisonedId {
    pub(crate) fn from_json(document: &str) -> Result<Self, FaultRefused> {
        serde_json::from_str(document).map_err(|error| FaultRefused::because(error.to_string()))
    }

    /// What is wrong, and all valid values.
    pub(crate) fn refused(error: &FaultRefused) -> Value {
        json!({
            "error": error.to_string(),
            "allowed": {
                "transactionId": "a transactionId or an orderId",
                "poison": [
                    {"kind": "event", "reason": "an ErrorReason",
                     "field_style": ["events.events", "events", "none"], "named": ["all", "first"]},
                    {"kind": "row", "error": {"conversionUploadError": "CLICK_NOT_FOUND"},
                     "indexed": "true by default"},
                ],
            },
        })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Poisons {
    events: HashMap<String, EventPoison>,
    rows: HashMap<String, RowPoison>,
}

impl Poisons {
    pub(crate) fn add(&mut self, id: String, poison: Poison) {
        match poison {
            Poison::Event(poison) => drop(self.events.insert(id, poison)),
            Poison::Row(poison) => drop(self.rows.insert(id, poison)),
        }
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.events.remove(id);
        self.rows.remove(id);
    }

    pub(crate) fn all(&self) -> Vec<PoisonedId> {
        let events = self.events.iter().map(|(id, poison)| (id, poison.clone().into()));
        let rows = self.rows.iter().map(|(id, poison)| (id, poison.clone().into()));
        let mut all: Vec<_> =
            events.chain(rows).map(|(id, poison)| PoisonedId { transaction_id: id.clone(), poison }).collect();
        all.sort_by(|one, other| one.transaction_id.cmp(&other.transaction_id));
        all
    }

    /// Refuses a Data Manager request that contains a poisoned event. `ids` are those of all its events.
    pub(crate) fn check_events<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
        let poisoned: Vec<(usize, &EventPoison)> =
            ids.enumerate().filter_map(|(index, id)| Some((index, self.events.get(id)?))).collect();
        if poisoned.is_empty() { Ok(()) } else { Err(rejection(&poisoned)) }
    }

    /// The poison of a row of the Google Ads API.
    pub(crate) fn row(&self, id: &str) -> Option<&RowPoison> {
        self.rows.get(id)
    }
}

/// The fast failure because of the events at these indexes, of which there is at least one.
pub(crate) fn rejection(poisoned: &[(usize, &EventPoison)]) -> Refusal {
    let (_, first) = poisoned[0];
    if first.field_style == FieldStyle::None {
        let message = "Request contains an invalid argument.";
        return Refusal::new(StatusCode::BAD_REQUEST, &first.reason, message);
    }
    let named = if first.named == Named::First { &poisoned[..1] } else { poisoned };
    let violations: Vec<Violation> = named
        .iter()
        .filter_map(|(index, poison)| {
            let field = match poison.field_style {
                FieldStyle::EventsEvents => format!("events.events[{index}]"),
                FieldStyle::Events => format!("events[{index}]"),
                FieldStyle::None => return None,
            };
            Some(Violation::new(field, &poison.reason, PROBLEM))
        })
        .collect();
    Refusal::fast_failure(&violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(poisons: &Poisons, ids: &[&str]) -> Option<Vec<String>> {
        let refusal = poisons.check_events(ids.iter().copied()).err()?.json();
        let violations = refusal["error"]["details"][2]["fieldViolations"].as_array().cloned().unwrap_or_default();
        Some(violations.iter().map(|violation| violation["field"].as_str().expect("a field").to_owned()).collect())
    }

    #[test]
    fn the_first_poisoned_event_decides_what_is_named() {
        let mut poisons = Poisons::default();
        poisons.add("all".into(), EventPoison::new("INVALID_EVENT").into());
        poisons.add("short".into(), EventPoison::new("INVALID_EVENT").styled(FieldStyle::Events).into());
        poisons.add("first".into(), EventPoison::new("INVALID_EVENT").first_only().into());
        poisons.add("plain".into(), EventPoison::new("INVALID_ARGUMENT").styled(FieldStyle::None).into());
        poisons.add("ads".into(), RowPoison::new("internalError", "INTERNAL_ERROR").into());
        for (ids, expected) in [
            (&["a", "ads"][..], None),
            (&["a", "all"], Some(&["events.events[1]"][..])),
            (&["all", "short", "plain", "a", "first"], Some(&["events.events[0]", "events[1]", "events.events[4]"])),
            (&["first", "all"], Some(&["events.events[0]"])),
            (&["plain", "all"], Some(&[])),
        ] {
            let expected = expected.map(|fields| fields.iter().map(ToString::to_string).collect());
            assert_eq!(fields(&poisons, ids), expected);
        }
        poisons.remove("all");
        assert_eq!(fields(&poisons, &["all"]), None);
    }

    #[test]
    fn a_poison_can_be_written_as_json() {
        for poison in [
            r#"{"kind":"event","reason":"INVALID_EVENT"}"#,
            r#"{"kind":"event","reason":"X","field_style":"none","named":"first"}"#,
            r#"{"kind":"row","error":{"inventedError":"NEW"},"indexed":false}"#,
        ] {
            let document = format!(r#"{{"transactionId":"deal-1","poison":{poison}}}"#);
            let read = PoisonedId::from_json(&document).expect(&document);
            let written = serde_json::to_string(&read).expect("JSON");
            assert_eq!(PoisonedId::from_json(&written), Ok(read), "{document}");
        }
        for (poison, hint) in [
            (r#"{"kind":"batch"}"#, "`event`"),
            (r#"{"kind":"event","reason":"X","why":1}"#, "`field_style`"),
            (r#"{"kind":"row","error":{"a":"b","c":"d"}}"#, "one entry"),
        ] {
            let document = format!(r#"{{"transactionId":"deal-1","poison":{poison}}}"#);
            let refused = PoisonedId::refused(&PoisonedId::from_json(&document).expect_err(&document));
            assert!(refused["error"].to_string().contains(hint), "{refused}");
        }
    }
}
