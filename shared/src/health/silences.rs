//! What nobody would see: it isn't an error anywhere, but something that used to arrive doesn't.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::habits::{self, Habit};
use super::website::{Deals, Forms, PaidVisits, Website};
use crate::db::{DbError, Tx};
use crate::deals::Stage;

/// Fewer forms, visits or deals say nothing.
const FEWEST: i64 = 10;

/// Something that stopped arriving, or arrives in part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Silence {
    /// `source_is_silent`, `forms_are_refused`, `click_ids_are_lost` or `deals_find_no_lead`.
    pub code: &'static str,
    /// What it is, in numbers, and what to look at.
    pub message: String,
}

impl Silence {
    fn new(code: &'static str, message: String) -> Self {
        Self { code, message }
    }
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub website: Website,
    pub habits: Vec<Habit>,
}

impl Counted {
    /// Of these sources, which are declared: another one may have been removed on purpose.
    pub(super) async fn read(
        tx: &mut Tx,
        sources: &[String],
        stages: &[Stage],
        now: DateTime<Utc>,
    ) -> Result<Self, DbError> {
        Ok(Self { website: Website::read(tx, now).await?, habits: habits::read(tx, sources, stages, now).await? })
    }

    /// What to tell, worst first.
    pub(super) fn silences(&self, now: DateTime<Utc>) -> Vec<Silence> {
        let silent = self.habits.iter().filter(|habit| habit.is_broken(now));
        let silent = silent.map(|habit| Silence::new("source_is_silent", habit.in_words(now)));
        let others = [self.refused_forms(), self.lost_click_ids(), self.deals_without_lead()];
        silent.chain(others.into_iter().flatten()).collect()
    }

    /// A quarter of the forms.
    fn refused_forms(&self) -> Option<Silence> {
        let Forms { accepted_last_day: accepted, refused_last_day: refused, refusals, .. } = &self.website.forms;
        let all = accepted + refused;
        (*refused >= FEWEST && refused * 4 >= all).then(|| {
            let most = refusals.iter().max_by_key(|it| it.forms_last_day);
            let most = most.map_or_else(String::new, |it| format!(", mostly for {}", it.reason));
            let message = format!(
                "Of {all} forms of the last day {refused} were refused{most}: these people are not known. Look at \
                 forms.refusals, and send one of the website's forms by hand: POST /api/leads says which field is wrong."
            );
            Silence::new("forms_are_refused", message)
        })
    }

    /// Half of the visits.
    fn lost_click_ids(&self) -> Option<Silence> {
        let PaidVisits { visits, without_click_id } = self.website.paid_visits;
        (without_click_id >= FEWEST && without_click_id * 2 >= visits).then(|| {
            let message = format!(
                "Of {visits} visits of the last day that an ad was paid for {without_click_id} came without a click id. \
                 Look whether auto-tagging is on in Google Ads, and whether a redirect, a consent banner or a link \
                 shortener drops the click id on the way to the page: adtrail doctor --site follows them."
            );
            Silence::new("click_ids_are_lost", message)
        })
    }

    /// Most of the deals, where most found one before.
    fn deals_without_lead(&self) -> Option<Silence> {
        let Deals { reported, awaiting_lead, before, awaiting_before } = self.website.deals;
        let found = reported - awaiting_lead;
        let found_before = before - awaiting_before;
        let is_usual = before >= FEWEST && found_before > 0 && found * before * 4 >= found_before * reported * 3;
        (reported >= FEWEST && awaiting_lead * 2 > reported && !is_usual).then(|| {
            let usually = if before >= FEWEST {
                format!(" Of those of the four weeks before, {found_before} of {before} found one.")
            } else {
                String::new()
            };
            let message = format!(
                "Of {reported} deals of the last three days {awaiting_lead} find no lead.{usually} Look whether forms \
                 still arrive (last.lead), and whether the CRM sends the e-mail address, the phone number or our lead id: \
                 adtrail inbox list --state awaiting_lead."
            );
            Silence::new("deals_find_no_lead", message)
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn of_website(website: Website) -> Counted {
        Counted { website, ..Counted::default() }
    }

    fn codes(counted: &Counted) -> Vec<&'static str> {
        counted.silences(now()).iter().map(|it| it.code).collect()
    }

    #[test]
    fn a_quarter_of_the_forms() {
        for (accepted, refused, is_told) in [
            (0, 10, true),
            (30, 10, true),
            (31, 10, false),
            (0, 9, false),
            (20, 20, true),
            (0, 0, false),
            (900, 299, false),
        ] {
            let forms = Forms { accepted_last_day: accepted, refused_last_day: refused, ..Forms::default() };
            let told = codes(&of_website(Website { forms, ..Website::default() }));
            assert_eq!(told == ["forms_are_refused"], is_told, "{accepted} {refused}: {told:?}");
        }
    }

    #[test]
    fn half_of_the_paid_visits() {
        for (visits, without_click_id, is_told) in
            [(20, 10, true), (21, 10, false), (18, 9, false), (20, 20, true), (1_000, 499, false), (1_000, 500, true)]
        {
            let paid_visits = PaidVisits { visits, without_click_id };
            let told = codes(&of_website(Website { paid_visits, ..Website::default() }));
            assert_eq!(told == ["click_ids_are_lost"], is_told, "{visits} {without_click_id}: {told:?}");
        }
    }

    #[test]
    fn most_deals_where_most_found_a_lead_before() {
        // Deals and those that wait, of now and before.
        for (deals, is_told) in [
            ([10, 6, 0, 0], true),
            ([10, 5, 0, 0], false),
            ([9, 9, 0, 0], false),
            ([20, 20, 100, 10], true),
            ([20, 12, 100, 20], true),
            // A CRM with many deals that never came through the website.
            ([20, 16, 100, 80], false),
            ([20, 18, 100, 80], true),
            ([20, 20, 100, 100], true),
            ([20, 15, 5, 5], true),
        ] {
            let [reported, awaiting_lead, before, awaiting_before] = deals;
            let deals = Deals { reported, awaiting_lead, before, awaiting_before };
            let told = codes(&of_website(Website { deals, ..Website::default() }));
            assert_eq!(told == ["deals_find_no_lead"], is_told, "{deals:?}: {told:?}");
        }
    }

    #[test]
    fn a_source_that_is_silent_for_longer_than_ever() {
        // Weeks with deals, the longest gap before, and the days since the last one.
        for (weeks, longest_gap, days, is_told) in [
            (5, 1, 4, true),
            (5, 1, 2, false),
            (5, 3, 4, false),
            (4, 3, 5, true),
            (4, 8, 11, false),
            (4, 8, 13, true),
            (3, 1, 20, false),
            (5, 1, 61, false),
        ] {
            let habit = Habit {
                source: "pipedrive".into(),
                stage: Stage::closed(),
                last_at: now() - TimeDelta::days(days) - TimeDelta::hours(1),
                weeks,
                longest_gap,
                unknown_since: Vec::new(),
            };
            let told = codes(&Counted { habits: vec![habit], ..Counted::default() });
            assert_eq!(told == ["source_is_silent"], is_told, "{weeks} {longest_gap} {days}: {told:?}");
        }
    }

    #[test]
    fn a_renamed_stage_is_named() {
        let habit = Habit {
            source: "pipedrive".into(),
            stage: Stage::closed(),
            last_at: now() - TimeDelta::days(9),
            weeks: 5,
            longest_gap: 2,
            unknown_since: vec!["stage = Won - signed".into(), "stage = won".into()],
        };
        let told = Counted { habits: vec![habit], ..Counted::default() }.silences(now());
        let message = &told[0].message;
        for part in ["pipedrive", "closed", "9 days", "stage = Won - signed; stage = won", "inbox retry"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
