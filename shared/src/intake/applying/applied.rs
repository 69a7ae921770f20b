//! What an event changed, as it is answered.

use uuid::Uuid;

use crate::conversions::{Recorded, Restated, Retracted};
use crate::crm::Meaning;
use crate::http::Warning;
use crate::inbox::Received;
use crate::intake::EventOutcome;

/// What an event changed.
pub(in crate::intake) struct Applied {
    pub outcome: EventOutcome,
    pub inbox_id: Option<Uuid>,
    pub warnings: Vec<Warning>,
    /// May the status of the deal's lead be another one now?
    pub concerns_lead: bool,
}

impl Applied {
    /// An event that isn't a report on a deal.
    pub fn nothing(meaning: &Meaning) -> Self {
        let outcome = match meaning {
            Meaning::Ignored(reason) => EventOutcome::Ignored { reason: reason.clone() },
            Meaning::Unusable(errors) => EventOutcome::Rejected { errors: errors.clone() },
            Meaning::Fetch | Meaning::Report(_) => EventOutcome::Received,
        };
        Self { outcome, inbox_id: None, warnings: Vec::new(), concerns_lead: false }
    }

    /// A report on a deal that is a conversion.
    pub fn corrected(
        received: &Received,
        id: Uuid,
        restated: Option<&Restated>,
        retracted: Option<&Retracted>,
    ) -> Self {
        let restated = restated.filter(|it| it.value_changed || !it.was_retracted);
        let outcome = match (restated, retracted) {
            (None, _) => EventOutcome::Duplicate { conversion_id: Some(id) },
            (Some(restated), None) => {
                EventOutcome::Restated { conversion_id: id, platforms: restated.platforms.clone() }
            }
            (Some(_), Some(retracted)) => retraction(retracted),
        };
        // Its new time may be before the loss, or after it.
        let concerns_lead = restated.is_some_and(|it| it.time_changed);
        Self { outcome, inbox_id: Some(received.inbox_id), warnings: Vec::new(), concerns_lead }
    }

    /// A report on a deal that waits for its lead.
    pub fn matched(received: &Received, recorded: Option<&Recorded>) -> Self {
        let outcome = recorded.map_or(EventOutcome::AwaitingLead, outcome_of);
        Self { outcome, inbox_id: Some(received.inbox_id), warnings: Vec::new(), concerns_lead: recorded.is_some() }
    }

    /// A deal that its CRM restored.
    pub fn restored(recorded: Option<&Recorded>) -> Self {
        let outcome = recorded.map_or(EventOutcome::Duplicate { conversion_id: None }, outcome_of);
        Self { outcome, inbox_id: None, warnings: Vec::new(), concerns_lead: true }
    }

    /// A loss or a deletion.
    pub fn lost(retracted: Option<&Retracted>) -> Self {
        let outcome = retracted.map_or(EventOutcome::NothingToRetract, retraction);
        Self { outcome, inbox_id: None, warnings: Vec::new(), concerns_lead: true }
    }
}

fn outcome_of(recorded: &Recorded) -> EventOutcome {
    let conversion_id = recorded.conversion_id;
    match recorded.skip_reason {
        Some(reason) => EventOutcome::Skipped { conversion_id, reason },
        None => EventOutcome::Queued { conversion_id, platforms: recorded.platforms.clone() },
    }
}

fn retraction(retracted: &Retracted) -> EventOutcome {
    EventOutcome::Retracted { conversion_id: retracted.conversion_id, platforms: retracted.platforms.clone() }
}
