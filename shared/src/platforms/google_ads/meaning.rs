//! What Google's reasons have in common: a few things to do about them.

use chrono::{DateTime, TimeDelta, Utc};

use super::windows::YOUNGEST_CLICK;
use crate::platforms::{Conversion, Facts, Outcome, Reason};

/// What isn't known of yet is asked for again until then.
const LAST_SEARCH: TimeDelta = TimeDelta::hours(48);

/// What a published reason asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Google has it from an earlier attempt.
    Done,
    /// Again after so many hours.
    Wait(i64),
    /// Again when the click is old enough.
    WaitForClick,
    /// Again every so many hours, until the lead or its correction is two days old: Google may not have processed the
    /// rest yet.
    Search(i64),
    /// Google's trouble.
    Trouble,
    /// We are too fast, or did too much today.
    Quota,
    /// Our access, or the account as a whole: nothing gets through until somebody changes something.
    Account,
    /// The conversion action, or what it doesn't take: only conversions like this one wait.
    Action,
    /// The click id is of no use. With e-mail or phone the conversion goes again without it.
    ClickId,
    /// The conversion is what it is: never.
    Conversion,
    /// One odd conversion, or a wrong account; who knows. It has its attempts.
    Odd,
    /// Adtrail made a request that Google can't take.
    Defect,
}

impl Meaning {
    /// Is it about everything in a request, whatever conversion it was noticed at?
    pub(super) fn is_of_all(self) -> bool {
        matches!(self, Self::Trouble | Self::Quota | Self::Account | Self::Action | Self::Wait(_))
    }

    /// Of several reasons the heaviest counts: "done" only when nothing else is wrong.
    pub(super) fn weight(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Odd | Self::Trouble => 1,
            Self::Wait(_) | Self::WaitForClick | Self::Search(_) | Self::Quota => 2,
            Self::Account | Self::Action => 3,
            Self::Conversion | Self::ClickId => 4,
            Self::Defect => 5,
        }
    }
}

/// Makes an outcome of a reason: for a conversion, if the reason is about one.
pub(super) fn outcome(
    meaning: Meaning,
    reason: Reason,
    conversion: Option<&Facts>,
    retry_after: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> Outcome {
    let in_hours = |hours| now + TimeDelta::hours(hours);
    match meaning {
        Meaning::Done => Outcome::AlreadyDone(reason),
        Meaning::Wait(hours) => Outcome::Later(in_hours(hours), reason),
        Meaning::WaitForClick => {
            let old_enough = conversion.and_then(|it| it.click_at).map(|at| at + YOUNGEST_CLICK);
            // The click may be younger than we think: the time we know is when the page was seen.
            Outcome::Later(old_enough.filter(|at| *at > now).unwrap_or_else(|| in_hours(1)), reason)
        }
        Meaning::Search(hours) => {
            // A correction is as young as what it says.
            let since = conversion.and_then(|it| [Some(it.lead_at), it.restated_at, it.retracted_at].into_iter().max());
            match since.flatten() {
                Some(at) if now - at < LAST_SEARCH => Outcome::Later(in_hours(hours), reason),
                _ => Outcome::Rejected(reason),
            }
        }
        // Once Google has looked at a conversion, its trouble with it may be the conversion's.
        Meaning::Trouble if conversion.is_some() => Outcome::Retry(reason),
        Meaning::Trouble | Meaning::Quota => Outcome::Unavailable(reason, retry_after),
        Meaning::Account => Outcome::Paused(reason),
        Meaning::Action => Outcome::Held(reason),
        Meaning::ClickId if conversion.is_some_and(|it| it.can_omit_click_id) => Outcome::OmitClickId(reason),
        Meaning::ClickId | Meaning::Conversion => Outcome::Rejected(reason),
        Meaning::Odd => Outcome::Retry(reason),
        Meaning::Defect => {
            tracing::error!(code = reason.code, "Google can't take what Adtrail sends: please report it");
            Outcome::Rejected(reason)
        }
    }
}

/// The same, unless our clock is ahead of Google's: what has just happened here hasn't yet there, and Google calls that
/// an invalid argument. Then it waits.
pub(super) fn unless_ahead(
    outcome: Outcome,
    conversion: &Conversion,
    google_date: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Outcome {
    // The header has whole seconds.
    match (outcome, google_date.map(|date| date + TimeDelta::seconds(1))) {
        (Outcome::Rejected(refused), Some(date)) if conversion.occurred_at > date => {
            let advice = "This machine's clock is ahead of Google's, so the conversion lies in the future there; it is sent \
                 when its time has come. Set the clock";
            Outcome::Later(now + (conversion.occurred_at - date), reason("clock_is_ahead", advice, &refused.message))
        }
        (outcome, _) => outcome,
    }
}

/// What Google said and what to do about it.
pub(super) fn reason(code: &str, advice: &str, said: &str) -> Reason {
    let message = if said.is_empty() { format!("{advice}.") } else { format!("{advice}. Google said: {said}") };
    Reason::new(code, message)
}
