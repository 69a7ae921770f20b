//! Whether a conversion can be sent, and with which identifiers. Checked before anything is sent, so that a conversion
//! that can't be attributed costs no request.

use chrono::{DateTime, TimeDelta, Utc};

use super::{NETWORK, windows};
use crate::identity::Hash;
use crate::money::Money;
use crate::platforms::{Conversion, Facts, Operation, Outcome, Reason};

/// In characters (Google Ads Help, "Use a transaction ID to minimize duplicate conversions").
const LONGEST_TRANSACTION_ID: usize = 64;

/// The codes by which conversions are rejected before Google is asked.
pub(super) const REASONS: [&str; 8] = [
    "adjustment_window_is_over",
    "click_after_conversion",
    "expired",
    "invalid_currency",
    "invalid_transaction_id",
    "invalid_value",
    "no_identifiers",
    "too_large",
];

/// What Google identifies the person by. Never empty.
#[derive(Debug, PartialEq)]
pub(super) struct Identifiers<'a> {
    /// The best click id and its name.
    pub click: Option<(&'static str, &'a str)>,
    /// Of the session that the click started.
    pub session_attributes: Option<&'a str>,
    pub email: Option<&'a Hash>,
    pub phone: Option<&'a Hash>,
}

/// The identifiers that still count, or why the conversion isn't sent now. Without `user_data` only click ids are sent.
pub(super) fn usable(
    conversion: &Conversion,
    operation: Operation,
    click_hold: TimeDelta,
    user_data: bool,
    now: DateTime<Utc>,
) -> Result<Identifiers<'_>, Outcome> {
    check(conversion, now)?;
    let has_click = click(conversion).is_some();
    let email = conversion.email_hash_google.as_ref().filter(|_| user_data);
    let phone = conversion.phone_hash.as_ref().filter(|_| user_data);
    let has_user_data = email.is_some() || phone.is_some();
    let click_is_later = has_click && click_is_later(conversion);
    if operation != Operation::Upload {
        adjustable(conversion, now)?;
        // Google finds the original by its transaction id; the rest is unchanged.
        return Ok(Identifiers {
            click: click(conversion).filter(|_| !click_is_later),
            session_attributes: conversion.session_attributes.as_deref().filter(|_| !click_is_later),
            email,
            phone,
        });
    }
    let click_is_old = conversion.facts.click_at.is_some_and(|at| now - at > windows::CLICK);
    let user_data_is_old = now - conversion.facts.lead_at > windows::USER_DATA;
    if click_is_later {
        return Err(without_click(has_user_data && !user_data_is_old));
    }
    let click_counts = has_click && !click_is_old;
    if click_counts && let Some(at) = conversion.facts.click_at.map(|at| at + click_hold).filter(|at| *at > now) {
        let message = "Google rejects clicks younger than six hours; Adtrail sends it when the click is old enough.";
        return Err(Outcome::Later(at, Reason::new("click_too_recent", message)));
    }
    if !click_counts && (!has_user_data || user_data_is_old) {
        return Err(Outcome::Rejected(if !has_click && !has_user_data {
            Reason::new("no_identifiers", "No click id, e-mail or phone: Google can't attribute it.")
        } else {
            let message = format!(
                "All identifiers have expired: click ids count for {} days, hashed e-mail and phone for {}. Report deals \
                 to Adtrail sooner, or report an earlier stage.",
                windows::CLICK.num_days(),
                windows::USER_DATA.num_days()
            );
            Reason::new("expired", message)
        }));
    }
    Ok(Identifiers {
        click: click(conversion).filter(|_| click_counts),
        session_attributes: conversion.session_attributes.as_deref().filter(|_| !click_is_old),
        email: email.filter(|_| !user_data_is_old),
        phone: phone.filter(|_| !user_data_is_old),
    })
}

/// Did the click come after the conversion? Then it can't have led to it, and Google refuses the two together. A click
/// that only the form names has about the form's time; it was earlier, and Google knows when.
fn click_is_later(conversion: &Conversion) -> bool {
    let Facts { click_at, lead_at, .. } = conversion.facts;
    click_at.is_some_and(|at| at > conversion.occurred_at && lead_at - at >= TimeDelta::seconds(1))
}

fn without_click(has_others: bool) -> Outcome {
    let why = "The click is later than the conversion, so it did not lead to it";
    let (outcome, then): (fn(Reason) -> Outcome, _) = if has_others {
        (Outcome::OmitClickId, "it is sent by e-mail and phone, without the click id")
    } else {
        (Outcome::Rejected, "there is no e-mail or phone to send it by")
    };
    let check = "If that can't be, check the time and its zone that the CRM reports";
    outcome(Reason::new("click_after_conversion", format!("{why}; {then}. {check}.")))
}

/// gclid before wbraid before gbraid; Google takes one.
fn click(conversion: &Conversion) -> Option<(&'static str, &str)> {
    let click = conversion.click(NETWORK)?;
    ["gclid", "wbraid", "gbraid"].into_iter().find_map(|name| Some((name, click.get(name)?)))
}

/// Invariants of rows we wrote. Rows written by something else are rejected here, before they fail a whole batch.
fn check(conversion: &Conversion, now: DateTime<Utc>) -> Result<(), Outcome> {
    let refuse = |code: &str, message: &str| Err(Outcome::Rejected(Reason::new(code, message)));
    let id = &conversion.transaction_id;
    if !id.chars().any(char::is_alphabetic) || id.chars().count() > LONGEST_TRANSACTION_ID {
        return refuse(
            "invalid_transaction_id",
            "The transaction id must contain a letter and have at most 64 characters.",
        );
    }
    if let Some(money) = &conversion.money {
        if Money::currency_from(money.currency()).is_err() {
            return refuse("invalid_currency", "The currency is not an ISO 4217 code. Correct it in the CRM.");
        }
        if !(0.0..=f64::MAX).contains(&money.value()) {
            return refuse("invalid_value", "The value must be a number of at least 0. Correct it in the CRM.");
        }
    }
    if conversion.occurred_at > now {
        let message =
            "The conversion is in the future by this machine's clock; Adtrail sends it when that time is reached.";
        return Err(Outcome::Later(conversion.occurred_at, Reason::new("in_the_future", message)));
    }
    Ok(())
}

fn adjustable(conversion: &Conversion, now: DateTime<Utc>) -> Result<(), Outcome> {
    if now - conversion.occurred_at > windows::ADJUSTMENT {
        let days = windows::ADJUSTMENT.num_days();
        let message = format!("The conversion is older than {days} days; Google no longer accepts corrections.");
        return Err(Outcome::Rejected(Reason::new("adjustment_window_is_over", message)));
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::attribution::Clicks;
    use crate::consent::ConsentStatus;
    use crate::deals::Stage;
    use crate::identity::Email;

    pub(in super::super) fn now() -> DateTime<Utc> {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    /// Three days after its click, a day after the form.
    pub(in super::super) fn conversion() -> Conversion {
        Conversion {
            queue_id: Uuid::nil(),
            transaction_id: "adtrail-1".into(),
            conversion_type: Stage::closed(),
            occurred_at: "2026-11-20T14:03:11+01:00".parse().unwrap(),
            money: Some(Money::new(6000.0, "EUR".into())),
            clicks: clicks(&[("gclid", "EAIa"), ("gbraid", "GB")]),
            session_attributes: None,
            email_hash: None,
            email_hash_google: Email::parse("jane.doe@gmail.com").ok().and_then(|email| email.google_hash()),
            phone_hash: None,
            phone_hash_digits: None,
            sent_to: None,
            sent_through: None,
            ad_user_data: ConsentStatus::Granted,
            ad_personalization: ConsentStatus::Denied,
            facts: facts(3, 2),
        }
    }

    fn clicks(ids: &[(&str, &str)]) -> Clicks {
        Clicks::read(now(), |it| ids.iter().find(|(name, _)| *name == it.name).map(|(_, id)| (*id).into()))
    }

    /// So many days after the click and the form.
    fn facts(click: i64, lead: i64) -> Facts {
        Facts {
            click_at: Some(now() - TimeDelta::days(click)),
            lead_at: now() - TimeDelta::days(lead),
            restated_at: None,
            retracted_at: None,
            can_omit_click_id: true,
            click_id_omitted: false,
            sent_before: false,
            is_correction: false,
            seconds_later: 0,
            send_alone: false,
        }
    }

    fn upload(conversion: &Conversion) -> Result<Identifiers<'_>, Outcome> {
        usable(conversion, Operation::Upload, TimeDelta::hours(6), true, now())
    }

    #[track_caller]
    fn refused(conversion: &Conversion, operation: Operation) -> String {
        match usable(conversion, operation, TimeDelta::hours(6), true, now()) {
            Err(Outcome::Rejected(reason)) => reason.code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn gclid_goes_before_wbraid_before_gbraid() {
        let with = |ids: &[(&str, &str)]| Conversion { clicks: clicks(ids), ..conversion() };
        let name = |it: &Conversion| upload(it).unwrap().click.map(|(name, _)| name);
        assert_eq!(name(&with(&[("gbraid", "GB"), ("wbraid", "WB"), ("gclid", "EAIa")])), Some("gclid"));
        assert_eq!(name(&with(&[("gbraid", "GB"), ("wbraid", "WB")])), Some("wbraid"));
        assert_eq!(name(&with(&[("gbraid", "GB")])), Some("gbraid"));
        assert_eq!(name(&with(&[("gbraid", "GB"), ("fbclid", "FB")])), Some("gbraid"), "of Google's");
    }

    #[test]
    fn what_is_too_old_is_left_out_each_by_its_own_age() {
        let old_click = Conversion { facts: facts(91, 10), ..conversion() };
        let left = upload(&old_click).unwrap();
        assert!(left.click.is_none() && left.email.is_some());

        let old_lead = Conversion { facts: facts(89, 64), ..conversion() };
        let left = upload(&old_lead).unwrap();
        assert!(left.click.is_some() && left.email.is_none());

        let at_the_edge = Conversion { facts: facts(90, 63), ..conversion() };
        let left = upload(&at_the_edge).unwrap();
        assert!(left.click.is_some() && left.email.is_some());
    }

    #[test]
    fn with_nothing_left_nothing_is_sent() {
        let both_old = Conversion { facts: facts(91, 64), ..conversion() };
        assert_eq!(refused(&both_old, Operation::Upload), "expired");
        let no_user_data = Conversion { email_hash_google: None, facts: facts(91, 1), ..both_old };
        assert_eq!(refused(&no_user_data, Operation::Upload), "expired");
        let nothing = Conversion { clicks: Clicks::default(), ..no_user_data };
        assert_eq!(refused(&nothing, Operation::Upload), "no_identifiers");
    }

    #[test]
    fn an_account_that_may_not_send_user_data_sends_the_click_alone() {
        let conversion = conversion();
        let left = usable(&conversion, Operation::Upload, TimeDelta::hours(6), false, now()).unwrap();
        assert!(left.click.is_some() && left.email.is_none());
    }

    #[test]
    fn a_young_click_and_a_time_to_come_wait() {
        let clicked = now() - TimeDelta::hours(2);
        let facts = Facts { click_at: Some(clicked), ..facts(0, 0) };
        let young = Conversion { facts, occurred_at: now(), ..conversion() };
        let expected = clicked + TimeDelta::hours(6);
        assert!(matches!(upload(&young), Err(Outcome::Later(at, _)) if at == expected));
        let ahead = Conversion { occurred_at: now() + TimeDelta::hours(1), ..conversion() };
        assert!(matches!(upload(&ahead), Err(Outcome::Later(at, _)) if at == ahead.occurred_at));
    }

    #[test]
    fn a_click_later_than_the_conversion_is_left_out_or_the_row_says_why() {
        let clicked = conversion().occurred_at + TimeDelta::seconds(1);
        let facts = Facts { click_at: Some(clicked), lead_at: clicked + TimeDelta::seconds(1), ..facts(0, 0) };
        let later = Conversion { facts, ..conversion() };
        let code = |outcome: Outcome| outcome.reason().unwrap().code.clone();
        let without = upload(&later).unwrap_err();
        assert!(matches!(without, Outcome::OmitClickId(_)), "{without:?}");
        assert_eq!(code(without), "click_after_conversion");
        // The next claim has no click id any more.
        let sent = Conversion { clicks: Clicks::default(), ..later.clone() };
        assert!(upload(&sent).is_ok_and(|left| left.click.is_none() && left.email.is_some()));

        let alone = Conversion { email_hash_google: None, ..later.clone() };
        assert_eq!(refused(&alone, Operation::Upload), "click_after_conversion");
        let omits = usable(&later, Operation::Upload, TimeDelta::hours(6), false, now()).unwrap_err();
        assert!(matches!(omits, Outcome::Rejected(_)), "{omits:?}");
        assert!(usable(&later, Operation::Restatement, TimeDelta::hours(6), true, now()).unwrap().click.is_none());

        let at_once = Conversion { occurred_at: clicked, ..later.clone() };
        assert!(upload(&at_once).unwrap().click.is_some());
        let named_by_the_form = Conversion { facts: Facts { lead_at: clicked, ..facts }, ..later };
        assert!(upload(&named_by_the_form).unwrap().click.is_some(), "its click was at an unknown time before");
    }

    #[test]
    fn what_should_not_be_stored_costs_no_request() {
        let id = |id: &str| Conversion { transaction_id: id.into(), ..conversion() };
        let money =
            |value, currency: &str| Conversion { money: Some(Money::new(value, currency.into())), ..conversion() };
        for (conversion, code) in [
            (id("9182"), "invalid_transaction_id"),
            (id(&"a".repeat(65)), "invalid_transaction_id"),
            (money(1.0, "XXX"), "invalid_currency"),
            (money(f64::NAN, "EUR"), "invalid_value"),
            (money(-1.0, "EUR"), "invalid_value"),
        ] {
            assert_eq!(refused(&conversion, Operation::Upload), code);
        }
    }

    #[test]
    fn a_correction_has_its_own_window() {
        let old = Conversion { facts: facts(140, 140), ..conversion() };
        let at = |days| Conversion { occurred_at: now() - TimeDelta::days(days), ..old.clone() };
        assert!(usable(&at(54), Operation::Retraction, TimeDelta::hours(6), true, now()).is_ok());
        assert_eq!(refused(&at(55), Operation::Retraction), "adjustment_window_is_over");
        assert_eq!(refused(&at(55), Operation::Restatement), "adjustment_window_is_over");
    }
}
