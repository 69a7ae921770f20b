//! What is stored, in words.

use serde_json::Value;
use shared::conversions::{Recorded, SkipReason};
use shared::http::problem::in_words;
use shared::intake::Outcome;

use crate::table;

/// A value without quotes; nothing for null.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A stored time.
pub(crate) fn time(value: &Value) -> String {
    let at = value.as_str().and_then(|text| text.parse().ok());
    at.map_or_else(|| text(value), table::time)
}

/// The state of a deal as it is called in the list.
pub(crate) fn state(deal: &Value) -> String {
    match text(&deal["state"]).as_str() {
        "awaiting_lead" => "unmatched".into(),
        state => state.into(),
    }
}

/// What became of an event, or would.
pub(crate) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Queued { platforms, .. } => queued(platforms),
        Outcome::Duplicate { conversion_id: Some(_) } => "nothing new: it is that conversion already".into(),
        Outcome::Duplicate { conversion_id: None } => "nothing new: it was taken before".into(),
        Outcome::Skipped { reason, .. } => skipped(*reason),
        Outcome::AwaitingLead => "a deal that waits for its lead".into(),
        Outcome::Received => "it waits until the CRM has been asked".into(),
        Outcome::Restated { platforms, .. } => told("a conversion with another value or time", platforms),
        Outcome::Retracted { platforms, .. } => told("a conversion that is taken back", platforms),
        Outcome::NothingToRetract => "a loss, and nothing to take back yet".into(),
        Outcome::Ignored { reason } => format!("nothing: {reason}"),
        Outcome::Rejected { errors } => format!("it can't be used: {}", in_words(errors)),
    }
}

/// What a deal became whose lead was found: its status, and what it is.
pub(crate) fn recorded(recorded: &Recorded) -> (&'static str, String) {
    match recorded.skip_reason {
        Some(reason) => ("skipped", skipped(reason)),
        None => ("queued", queued(&recorded.platforms)),
    }
}

/// A conversion that these platforms will hear of.
fn queued(platforms: &[&str]) -> String {
    format!("a conversion, queued for {}", platforms.join(", "))
}

/// A conversion that no platform will hear of.
fn skipped(reason: SkipReason) -> String {
    let why = match reason {
        SkipReason::ConsentDenied => "consent_denied: the person said no",
        SkipReason::NoAttribution => "no_attribution: neither click id nor hashed e-mail or phone",
        SkipReason::NoConversionAction => {
            "no_conversion_action: none is set for this type, see GOOGLE_ADS_CUSTOMER_ID and \
             GOOGLE_ADS_CONVERSION_ACTION_…"
        }
        SkipReason::DealLost => "deal_lost: it was lost before any platform heard of it",
    };
    format!("a conversion that is sent nowhere, {why}")
}

fn told(what: &str, platforms: &[String]) -> String {
    if platforms.is_empty() {
        format!("{what}, which no platform has heard of")
    } else {
        format!("{what}, which {} will be told", platforms.join(", "))
    }
}
