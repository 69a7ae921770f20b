//! What the reasons of the Data Manager API mean for events of Google Analytics. What isn't special to them means the
//! same as for conversions.

use crate::platforms::google::status::reason;
use crate::platforms::google_ads::{ReasonMeaning, of_processing, of_request};
use crate::platforms::{Outcome, Reason};

const ACCESS: &str = "The credentials have no access to this property. Add the service account as an editor of the \
     property (Google Analytics, Admin, Property access management), and check property_id";
const STREAM: &str = "The property has no web stream of this measurement id. Check measurement_id and property_id (Google \
     Analytics, Admin, Data streams)";
const PROPERTY: &str = "Google takes events for ordinary properties only, not for subproperties and roll-up properties. Use \
     the source property";
const ALLOW_LIST: &str = "Google allows this for selected properties only. Ask Google, or declare transport = \
     \"measurement-protocol\"";
const EVENT: &str = "Google refused the event; a retry would not help";
const ACCOUNT: &str = "Google refuses the events of this property. Check the property and the credentials";

/// What to do about an event that was refused, or about all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Google has it.
    Done,
    /// Google has a problem, or the quota is used up.
    Passing,
    /// Every event is refused until someone changes a setting.
    Settings,
    /// Only this event is refused.
    Event,
}

/// Of an `ErrorReason`.
pub(super) fn of_refusal(code: &str) -> (Meaning, &'static str) {
    match code {
        "PERMISSION_DENIED"
        | "INVALID_DESTINATION"
        | "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH"
        | "DESTINATION_ACCOUNT_TYPE_MISMATCH" => (Meaning::Settings, ACCESS),
        "NOT_FOUND" | "INVALID_STREAM_TYPE" => (Meaning::Settings, STREAM),
        "INVALID_PROPERTY_TYPE" | "GOOGLE_ANALYTICS_SUBPROPERTY_OR_ROLLUP_PROPERTY_NOT_ALLOWED" => {
            (Meaning::Settings, PROPERTY)
        }
        "NOT_ALLOWLISTED" => (Meaning::Settings, ALLOW_LIST),
        _ => of(of_request(code)),
    }
}

/// Of a `ProcessingErrorReason`.
pub(super) fn of_verdict(code: &str) -> (Meaning, &'static str) {
    of(of_processing(code))
}

fn of(known: Option<(ReasonMeaning, &'static str)>) -> (Meaning, &'static str) {
    match known {
        Some((ReasonMeaning::Done, advice)) => (Meaning::Done, advice),
        Some((
            ReasonMeaning::Trouble | ReasonMeaning::Transient | ReasonMeaning::Quota | ReasonMeaning::Wait(_),
            advice,
        )) => (Meaning::Passing, advice),
        Some((ReasonMeaning::Account | ReasonMeaning::Action, _)) => (Meaning::Settings, ACCOUNT),
        _ => (Meaning::Event, EVENT),
    }
}

/// The outcome of an event, in the words that the parts of Adtrail share.
pub(super) fn outcome(
    (meaning, advice): (Meaning, &str),
    code: &str,
    said: &str,
    wait: Option<chrono::TimeDelta>,
) -> Outcome {
    let reason: Reason = reason(code, advice, said);
    match meaning {
        Meaning::Done => Outcome::AlreadyDone(reason),
        Meaning::Passing => Outcome::Unavailable(reason, wait),
        Meaning::Settings => Outcome::Paused(reason),
        Meaning::Event => Outcome::Rejected(reason),
    }
}
