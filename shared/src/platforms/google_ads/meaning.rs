//! The few actions that Google's many reasons map to.

use chrono::{DateTime, TimeDelta, Utc};

use super::windows::YOUNGEST_CLICK;
pub(super) use crate::platforms::google::status::reason;
use crate::platforms::{Conversion, Facts, Outcome, Reason};

/// What to do about a click that doesn't belong to the account.
pub(super) const OTHER_ACCOUNT: &str = "The customer id (GOOGLE_ADS_CUSTOMER_ID, or customer_id in DESTINATIONS) must be \
     the account of the ad, or the one that keeps its conversions (Goals, Settings), and the conversion actions must be \
     that account's. Conversions of such clicks wait until it is; others are sent";

/// How often a conversion is said to be a second later than it was.
const MOST_SECONDS_LATER: i32 = 30;
const NEVER_SENT: &str = "Adtrail never sent it before: another system did, or an earlier installation, or the database \
     was restored from a backup. It is not sent again, because Google counts an id once; compare it with the \
     conversions in Google Ads.";
const NO_SECOND_LEFT: &str = "The click has a conversion at each of the next thirty seconds as well: check why one click \
     has so many conversions at one time.";

/// Google's time is ignored if it differs from ours by more. A clock that is further off gets no token anyway.
const MOST_APART: TimeDelta = TimeDelta::days(7);
/// What Google can't find yet is retried until then.
const LAST_SEARCH: TimeDelta = TimeDelta::hours(48);

/// The action for a published reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReasonMeaning {
    /// Google already has this correction, or a newer one.
    Done,
    /// Google has a conversion with this id: from an earlier attempt, if there was one.
    Exists,
    /// Google has another conversion of this click at this time, or this one from an earlier attempt.
    Collision,
    /// Two conversions of a request are one for Google, and it took neither.
    Twice,
    /// Retry after this many hours.
    Wait(i64),
    /// Retry when the click is old enough.
    WaitForClick,
    /// Retry every so many hours, until the lead or the correction is two days old: Google may not have processed the
    /// click or the original yet.
    Search(i64),
    /// The same for a click. When it isn't found, the conversion is retried without its click id.
    SearchClick(i64),
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
    /// The click belongs to another account: conversions of such clicks wait until someone changes a setting, or are
    /// sent without their click id.
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

    /// The meaning of a reason, with its advice, that Google gives for the field of a click id: whatever is wrong with
    /// the value, the conversion can do without it.
    pub(super) fn about_a_click(self, advice: &str) -> (Self, &str) {
        match self {
            Self::Conversion | Self::Defect | Self::Odd => (Self::ClickId, "Google can't use the click id"),
            other => (other, advice),
        }
    }

    /// Does it concern only the click id?
    pub(super) fn is_about_a_click(self) -> bool {
        matches!(self, Self::ClickId | Self::SearchClick(_) | Self::OtherAccount)
    }

    /// Of several reasons the most severe counts: "done" only when nothing else is wrong.
    pub(super) fn weight(self) -> u8 {
        match self {
            Self::Done | Self::Exists => 0,
            Self::Odd | Self::Trouble | Self::Transient => 1,
            Self::Wait(_)
            | Self::WaitForClick
            | Self::Search(_)
            | Self::SearchClick(_)
            | Self::Quota
            | Self::Collision
            | Self::Twice => 2,
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
        ReasonMeaning::Exists | ReasonMeaning::Collision if conversion.is_none_or(|it| it.is_correction) => {
            Outcome::AlreadyDone(reason)
        }
        ReasonMeaning::Exists if conversion.is_some_and(|it| it.sent_before) => Outcome::AlreadyDone(reason),
        ReasonMeaning::Exists => Outcome::AlreadyThere(with_advice(&reason, NEVER_SENT)),
        // Whether it was this one is asked by sending it again: Google then knows its id.
        ReasonMeaning::Collision if conversion.is_some_and(|it| it.seconds_later < MOST_SECONDS_LATER) => {
            Outcome::SecondLater(reason)
        }
        ReasonMeaning::Collision => Outcome::Rejected(with_advice(&reason, NO_SECOND_LEFT)),
        ReasonMeaning::Twice if conversion.is_none_or(|it| !it.send_alone) => Outcome::SendAlone(reason),
        ReasonMeaning::Wait(hours) => Outcome::Later(in_hours(hours), reason),
        ReasonMeaning::WaitForClick => {
            let old_enough = conversion.and_then(|it| it.click_at).map(|at| at + YOUNGEST_CLICK);
            // Our time is that of the page view; Google's may differ.
            Outcome::Later(old_enough.filter(|at| *at > now).unwrap_or_else(|| in_hours(1)), reason)
        }
        ReasonMeaning::Search(hours) | ReasonMeaning::SearchClick(hours) => {
            // A correction counts from the change it reports.
            let since = conversion.and_then(|it| [Some(it.lead_at), it.restated_at, it.retracted_at].into_iter().max());
            match since.flatten() {
                Some(at) if now - at < LAST_SEARCH => Outcome::Later(in_hours(hours), reason),
                _ if matches!(meaning, ReasonMeaning::SearchClick(_)) => without_click_id(reason, conversion),
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
        // It went without its click id already, so nothing is left to change.
        ReasonMeaning::OtherAccount if conversion.is_some_and(|it| it.click_id_omitted) => Outcome::Rejected(reason),
        ReasonMeaning::OtherAccount => Outcome::OtherAccount(reason),
        ReasonMeaning::ClickId => without_click_id(reason, conversion),
        ReasonMeaning::Conversion => Outcome::Rejected(reason),
        ReasonMeaning::Odd => Outcome::Retry(reason),
        ReasonMeaning::Defect | ReasonMeaning::Twice => {
            tracing::error!(
                code = reason.code,
                "Google rejected a request of Adtrail's as invalid: please report this as a bug"
            );
            Outcome::Rejected(reason)
        }
    }
}

/// Google can't use the click id: e-mail or phone may do, if there is one and the click id was sent.
fn without_click_id(reason: Reason, conversion: Option<&Facts>) -> Outcome {
    if conversion.is_some_and(|it| it.can_omit_click_id && !it.is_correction) {
        Outcome::OmitClickId(reason)
    } else {
        Outcome::Rejected(reason)
    }
}

fn with_advice(reason: &Reason, advice: &str) -> Reason {
    Reason::new(&reason.code, format!("{} {advice}", reason.message))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platforms::google_ads::ads_api;
    use crate::platforms::google_ads::data_manager::reasons::{of_processing, of_request};
    use crate::platforms::google_ads::identifiers::tests::{conversion, now};

    /// What becomes of a conversion that was refused for this reason.
    fn become_of(code: &str, facts: &Facts) -> Outcome {
        let known = ads_api::of_upload(code).or_else(|| of_processing(code)).or_else(|| of_request(code));
        let (meaning, advice) = known.unwrap_or_else(|| panic!("{code}"));
        outcome(meaning, Reason::new(code, advice), Some(facts), None, now())
    }

    #[test]
    fn what_concerns_only_the_click_falls_back_to_e_mail_and_phone() {
        for code in [
            "UNPARSEABLE_GCLID",
            "UNPARSEABLE_WBRAID",
            "UNPARSEABLE_GBRAID",
            "EXPIRED_EVENT",
            "CONVERSION_PRECEDES_EVENT",
            "EVENT_NOT_FOUND",
            "CLICK_NOT_FOUND",
            "CONVERSION_TRACKING_NOT_ENABLED_AT_IMPRESSION_TIME",
            "PROCESSING_ERROR_REASON_INVALID_GCLID",
            "PROCESSING_ERROR_REASON_INVALID_GBRAID",
            "PROCESSING_ERROR_REASON_INVALID_WBRAID",
            "PROCESSING_ERROR_REASON_INVALID_AD_IDENTIFIERS",
            "PROCESSING_ERROR_REASON_INVALID_CLICK",
            "PROCESSING_ERROR_REASON_CONVERSION_PRECEDES_CLICK",
            "PROCESSING_ERROR_REASON_CLICK_NOT_FOUND",
            "PROCESSING_ERROR_REASON_USER_ID_NOT_FOUND_FOR_GCLID",
        ] {
            // The form is two days old: nothing is searched for any longer.
            let facts = conversion().facts;
            assert!(matches!(become_of(code, &facts), Outcome::OmitClickId(_)), "{code}");
            let without = Facts { can_omit_click_id: false, ..facts };
            assert!(matches!(become_of(code, &without), Outcome::Rejected(_)), "{code} and nothing else to send");
            let correction = Facts { is_correction: true, ..facts };
            assert!(matches!(become_of(code, &correction), Outcome::Rejected(_)), "{code} of a correction");
        }
        let young = Facts { lead_at: now() - TimeDelta::hours(40), ..conversion().facts };
        for code in ["EVENT_NOT_FOUND", "CLICK_NOT_FOUND", "PROCESSING_ERROR_REASON_CLICK_NOT_FOUND"] {
            assert!(matches!(become_of(code, &young), Outcome::Later(..)), "{code}: Google may find it yet");
        }
    }

    #[test]
    fn a_click_of_another_account_is_left_out_once() {
        for code in [
            "INVALID_CUSTOMER_FOR_CLICK",
            "UNAUTHORIZED_CUSTOMER",
            "PROCESSING_ERROR_REASON_INVALID_OPERATING_ACCOUNT_FOR_CLICK",
            "PROCESSING_ERROR_OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER",
            "INVALID_AD_IDENTIFIER_FOR_ACCOUNT",
        ] {
            let facts = conversion().facts;
            assert!(matches!(become_of(code, &facts), Outcome::OtherAccount(_)), "{code}");
            let without = Facts { click_id_omitted: true, can_omit_click_id: false, ..facts };
            assert!(matches!(become_of(code, &without), Outcome::Rejected(_)), "{code}");
        }
    }

    #[test]
    fn what_google_has_already_is_taken_for_ours_only_if_it_may_be() {
        let first = conversion().facts;
        let again = Facts { sent_before: true, ..first };
        let correction = Facts { is_correction: true, ..first };
        for (code, expected) in [
            ("ORDER_ID_ALREADY_IN_USE", ["already_there", "already_done", "already_done"]),
            ("PROCESSING_ERROR_REASON_DUPLICATE_TRANSACTION_ID", ["already_there", "already_done", "already_done"]),
            ("ALREADY_EXISTS", ["already_there", "already_done", "already_done"]),
            ("CLICK_CONVERSION_ALREADY_EXISTS", ["second_later", "second_later", "already_done"]),
            ("PROCESSING_ERROR_REASON_DUPLICATE_GCLID", ["second_later", "second_later", "already_done"]),
            ("DUPLICATE_ORDER_ID", ["send_alone", "send_alone", "send_alone"]),
            ("DUPLICATE_CLICK_CONVERSION_IN_REQUEST", ["send_alone", "send_alone", "send_alone"]),
        ] {
            let found = [first, again, correction].map(|facts| become_of(code, &facts).as_str());
            assert_eq!(found, expected, "{code}");
        }
        let alone = Facts { send_alone: true, ..first };
        assert!(matches!(become_of("DUPLICATE_ORDER_ID", &alone), Outcome::Rejected(_)), "it can't be sent more alone");
        let last = Facts { seconds_later: 30, ..first };
        let Outcome::Rejected(reason) = become_of("CLICK_CONVERSION_ALREADY_EXISTS", &last) else { panic!() };
        assert!(reason.message.contains("thirty seconds"), "{reason:?}");
    }
}
