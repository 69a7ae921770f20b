//! Stored values and outcomes in words.

use serde_json::Value;
use shared::conversions::{Recorded, SkipReason};
use shared::http::problem::in_words;
use shared::inbox::entry::StoredConversion;
use shared::inbox::matching::MatchedBy;
use shared::intake::EventOutcome;

/// A value without quotes; nothing for null.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A conversion's lead, and how it was found.
pub(crate) fn lead(conversion: &StoredConversion) -> String {
    let rule = conversion.matched_by.map(|rule| matched_by(rule).to_owned());
    let lead = conversion.lead_id.map(|id| id.to_string());
    lead.into_iter().chain(rule).collect::<Vec<_>>().join(", ")
}

/// How the lead of a deal was found.
fn matched_by(rule: MatchedBy) -> &'static str {
    match rule {
        MatchedBy::Manual => "assigned by the operator",
        MatchedBy::LeadId => "found by lead_id",
        MatchedBy::Email => "found by email",
        MatchedBy::Phone => "found by phone",
        MatchedBy::Deal => "found by another stage of the deal",
        MatchedBy::Click => "none is known: told by the click that the CRM kept",
    }
}

/// The outcome of an event, whether stored or only tested.
pub(crate) fn outcome(outcome: &EventOutcome) -> String {
    match outcome {
        EventOutcome::Queued { platforms, .. } => queued(platforms),
        EventOutcome::Duplicate { conversion_id: Some(_) } => "duplicate: the conversion exists already".into(),
        EventOutcome::Duplicate { conversion_id: None } => "duplicate: the event was processed before".into(),
        EventOutcome::Skipped { reason, .. } => skipped(*reason),
        EventOutcome::AwaitingLead => "a deal that waits for its lead".into(),
        EventOutcome::Received => "stored, until the missing fields are fetched from the CRM".into(),
        EventOutcome::Restated { platforms, .. } => corrected("a conversion with a new value or time", platforms),
        EventOutcome::Retracted { platforms, .. } => corrected("a retracted conversion", platforms),
        EventOutcome::Merged { crm_deal_id, platforms } => {
            corrected(&format!("merged into deal {crm_deal_id}"), platforms)
        }
        EventOutcome::NothingToRetract => "a lost deal without a conversion to retract".into(),
        EventOutcome::Ignored { reason } => format!("ignored: {reason}"),
        EventOutcome::Rejected { errors } => format!("rejected: {}", in_words(errors)),
    }
}

/// The status of a deal whose lead was found, and its conversion.
pub(crate) fn recorded(recorded: &Recorded) -> (&'static str, String) {
    match recorded.skip_reason {
        Some(reason) => ("skipped", skipped(reason)),
        None => ("queued", queued(&recorded.platforms)),
    }
}

fn queued(platforms: &[String]) -> String {
    format!("a conversion, queued for {}", platforms.join(", "))
}

fn skipped(reason: SkipReason) -> String {
    format!("a conversion that is not sent, {}", skip_reason(reason))
}

/// Why a conversion isn't sent.
pub(crate) fn skip_reason(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::ConsentDenied => "consent_denied: the person denied consent",
        SkipReason::Bot => "bot: the lead came from a program, not a person",
        SkipReason::NoAttribution => {
            "no_attribution: it has no click id or hashed e-mail or phone that a destination could use"
        }
        SkipReason::NoConversionAction => {
            "no_conversion_action: no destination has one for this stage, see DESTINATIONS or \
             GOOGLE_ADS_CONVERSION_ACTION_…; once one has, the uploader's next run queues what still counts"
        }
        SkipReason::NoDestination => {
            "no_destination: the destinations that have a conversion action for this stage are for others, see when in \
             DESTINATIONS; once one is for it, the uploader's next run queues what still counts"
        }
        SkipReason::TooOld => "too_old: it no longer counted when a destination that accepts it was set up",
        SkipReason::DealLost => "deal_lost: the deal was lost before the conversion was sent",
    }
}

fn corrected(what: &str, platforms: &[String]) -> String {
    if platforms.is_empty() {
        format!("{what}; no platform needs a correction")
    } else {
        format!("{what}; a correction is queued for {}", platforms.join(", "))
    }
}
