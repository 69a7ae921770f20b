//! The few actions that Google's many reasons map to.

use chrono::{DateTime, TimeDelta, Utc};

use super::windows::YOUNGEST_CLICK;
pub(super) use crate::platforms::google::status::reason;
use crate::platforms::{Conversion, Facts, Outcome, Reason};

/// What to do about a click that doesn't belong to the account.
pub(super) const OTHER_ACCOUNT: &str = "The customer id (GOOGLE_ADS_CUSTOMER_ID, or customer_id in DESTINATIONS) must be \
     the account of the ad, or the one that keeps its conversions (Goals, Settings), and the conversion actions must be \
     that account's. Conversions of such clicks wait until it is; others are sent";

/// Google's time is ignored if it differs from ours by more. A clock that is further off gets no token anyway.
const MOST_APART: TimeDelta = TimeDelta::days(7);
/// What Google can't find yet is retried until then.
const LAST_SEARCH: TimeDelta = TimeDelta::hours(48);

/// The action for a published reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReasonMeaning {
    /// Google already has it from an earlier attempt.
    Done,
    /// Retry after this many hours.
    Wait(i64),
    /// Retry when the click is old enough.
    WaitForClick,
    /// Retry every so many hours, until the lead or the correction is two days old: Google may not have processed the
    /// click or the original yet.
    Search(i64),
    /// Google has a problem. It may be one with this conversion.
    Trouble,
    /// Google calls its problem temporary, so no conversion causes it.
    Transient,
    /// Rate limit or daily quota exceeded.
    Quota,
    /// Our access or the account: every request fails until someone changes a setting.
    Account,
    /// The conversion action is wrong for it: only conversions of this action are held.
    Action,
    /// The click belongs to another account: conversions of such clicks wait until someone changes a setting.
    OtherAccount,
    /// The click id is unusable. With an e-mail or phone the conversion is retried without it.
    ClickId,
    /// The conversion itself is refused, permanently.
    Conversion,
    /// Ambiguous: retry with backoff.
    Odd,
    /// Adtrail made an invalid request.
    Defect,
}

impl ReasonMeaning {
    /// Does it concern the whole request, whichever conversion it was reported for?
    pub(super) fn is_of_all(self) -> bool {
        matches!(self, Self::Trouble | Self::Transient | Self::Quota | Self::Account | Self::Action | Self::Wait(_))
    }

    /// Of several reasons the most severe counts: "done" only when nothing else is wrong.
    pub(super) fn weight(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Odd | Self::Trouble | Self::Transient => 1,
            Self::Wait(_) | Self::WaitForClick | Self::Search(_) | Self::Quota => 2,
            Self::Account | Self::Action | Self::OtherAccount => 3,
            Self::Conversion | Self::ClickId => 4,
            Self::Defect => 5,
        }
    }
}

/// The outcome of a reason, for one conversion if the reason is about one.
pub(super) fn outcome(
    meaning: ReasonMeaning,
    reason: Reason,
    conversion: Option<&Facts>,
    retry_after: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> Outcome {
    let in_hours = |hours| now + TimeDelta::hours(hours);
    match meaning {
        ReasonMeaning::Done => Outcome::AlreadyDone(reason),
        ReasonMeaning::Wait(hours) => Outcome::Later(in_hours(hours), reason),
        ReasonMeaning::WaitForClick => {
            let old_enough = conversion.and_then(|it| it.click_at).map(|at| at + YOUNGEST_CLICK);
            // Our time is that of the page view; Google's may differ.
            Outcome::Later(old_enough.filter(|at| *at > now).unwrap_or_else(|| in_hours(1)), reason)
        }
        ReasonMeaning::Search(hours) => {
            // A correction counts from the change it reports.
            let since = conversion.and_then(|it| [Some(it.lead_at), it.restated_at, it.retracted_at].into_iter().max());
            match since.flatten() {
                Some(at) if now - at < LAST_SEARCH => Outcome::Later(in_hours(hours), reason),
                _ => Outcome::Rejected(reason),
            }
        }
        // An internal error about one conversion may be caused by that conversion.
        ReasonMeaning::Trouble if conversion.is_some() => Outcome::Retry(reason),
        ReasonMeaning::Trouble | ReasonMeaning::Transient | ReasonMeaning::Quota => {
            Outcome::Unavailable(reason, retry_after)
        }
        ReasonMeaning::Account => Outcome::Paused(reason),
        ReasonMeaning::Action => Outcome::Held(reason),
        ReasonMeaning::OtherAccount => Outcome::OtherAccount(reason),
        ReasonMeaning::ClickId if conversion.is_some_and(|it| it.can_omit_click_id) => Outcome::OmitClickId(reason),
        ReasonMeaning::ClickId | ReasonMeaning::Conversion => Outcome::Rejected(reason),
        ReasonMeaning::Odd => Outcome::Retry(reason),
        ReasonMeaning::Defect => {
            tracing::error!(
                code = reason.code,
                "Google rejected a request of Adtrail's as invalid: please report this as a bug"
            );
            Outcome::Rejected(reason)
        }
    }
}

/// Turns a rejection into a wait if our clock is ahead of Google's: a conversion in Google's future is refused as an
/// invalid argument. An absurd date, such as one of 1970, is ignored.
pub(super) fn wait_if_clock_ahead(
    outcome: Outcome,
    conversion: &Conversion,
    google_date: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Outcome {
    let credible = google_date.filter(|date| (now - *date).abs() <= MOST_APART);
    // The header has whole seconds.
    match (outcome, credible.map(|date| date + TimeDelta::seconds(1))) {
        (Outcome::Rejected(refused), Some(date)) if conversion.occurred_at > date => {
            let advice = "This machine's clock is ahead of Google's, so the conversion is in the future for Google. \
                 Adtrail retries when that time is reached. Correct the clock";
            Outcome::Later(now + (conversion.occurred_at - date), reason("clock_is_ahead", advice, &refused.message))
        }
        (outcome, _) => outcome,
    }
}

/// What a reason means for a conversion that was sent for this account, in words.
pub(super) fn explained(
    code: &str,
    (meaning, advice): (ReasonMeaning, &str),
    said: &str,
    customer_id: &str,
) -> (ReasonMeaning, Reason) {
    let reason = match meaning {
        ReasonMeaning::OtherAccount => {
            reason(code, &format!("The click does not belong to account {customer_id}. {advice}"), said)
        }
        _ => reason(code, advice, said),
    };
    (meaning, reason)
}
