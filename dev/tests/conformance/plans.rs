//! Who hears of a conversion, and when.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::attribution::Utm;
use shared::deals::Stage;
use shared::platforms::{Candidate, Hashes, Plan, Window};
use sqlx::PgPool;

use crate::platforms;
use crate::trial::{Deployment, MAIN, Trial};
use crate::wire::Trouble;

/// A deal that closed: when its person clicked and filled in the form, and when it closed.
#[derive(Clone, Copy)]
struct Times {
    clicked: DateTime<Utc>,
    lead: DateTime<Utc>,
    closed: DateTime<Utc>,
}

impl Times {
    /// All of it in the last hour.
    fn just_before(now: DateTime<Utc>) -> Self {
        let ago = |minutes| now - TimeDelta::minutes(minutes);
        Self { clicked: ago(60), lead: ago(50), closed: ago(10) }
    }
}

impl Trial {
    /// Somebody at these times, whose deal is reported now.
    async fn reported(&self, adtrail: &Deployment, name: &str, times: Times) -> Value {
        let columns = json!({"clicks": self.clicks(name, times.clicked), "created_at": times.lead});
        self.lead(name, &columns).await;
        adtrail.report(name, &json!({"occurred_at": times.closed})).await
    }

    /// When that counts, as the platform says.
    fn window(&self, adtrail: &Deployment, name: &str, times: Times) -> Window {
        let candidate = Candidate {
            stage: Stage::closed(),
            occurred_at: times.closed,
            lead_at: times.lead,
            clicks: serde_json::from_value(self.clicks(name, times.clicked)).unwrap(),
            hashes: Hashes { email: true, email_google: true, phone: true },
            site: Some("www.example.com".into()),
            source: Some("crm-conversion".into()),
            utm: Utm::default(),
        };
        match adtrail.main().plan(&candidate) {
            Plan::Send(window) => window,
            Plan::Skip(reason) => panic!("skipped: {reason:?}"),
        }
    }

    async fn assert_queued(&self, window: Window) {
        let queued = self.queue().await;
        let time = |it: &Value| it.as_str().map(|it| it.parse::<DateTime<Utc>>().unwrap());
        let queued: Vec<_> = queued.iter().map(|it| (time(&it["next_retry_at"]), time(&it["expires_at"]))).collect();
        assert_eq!(queued, [(window.from, window.until)]);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn due_and_expiry_are_those_of_the_plan_and_kept_to(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        let times = Times::just_before(trial.now());
        trial.reported(&adtrail, "jane", times).await;
        let window = trial.window(&adtrail, "jane", times);
        trial.assert_queued(window).await;
        if let Some(from) = window.from.filter(|from| *from > trial.now()) {
            adtrail.run_after(from - trial.now() - TimeDelta::seconds(1)).await;
            assert_eq!(trial.wire.sent(), [], "it is too early");
            trial.clock.advance(TimeDelta::seconds(1));
        }
        adtrail.run().await;
        trial.assert_received_once(&["jane"]);
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_counts_is_sent_until_the_last_second_and_then_says_why_not(pool: PgPool) {
    for platform in platforms::ALL {
        for is_late in [false, true] {
            let trial = Trial::of(platform, &pool).await;
            let adtrail = trial.deployed();
            let times = Times::just_before(trial.now());
            trial.reported(&adtrail, "jane", times).await;
            let Some(until) = trial.window(&adtrail, "jane", times).until else { continue };
            let second = TimeDelta::seconds(if is_late { 1 } else { -1 });
            adtrail.run_after(until - trial.now() + second).await;
            if is_late {
                assert!(trial.received().is_empty() && trial.requests_about("jane").is_empty());
                let states = trial.columns(&["status", "last_error_code"]).await;
                assert_eq!(states, [json!(["dead_letter", "expired"])]);
            } else {
                trial.assert_received_once(&["jane"]);
            }
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_time_that_the_crm_corrects_moves_due_and_expiry(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed();
        let times = Times::just_before(trial.now());
        trial.reported(&adtrail, "jane", times).await;
        let corrected = Times { closed: times.closed + TimeDelta::minutes(5), ..times };
        let answer = adtrail.report("jane", &json!({"occurred_at": corrected.closed})).await;
        assert_eq!(answer["status"], "restated", "{answer}");
        trial.assert_queued(trial.window(&adtrail, "jane", corrected)).await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_the_platform_does_not_take_has_no_row_and_says_why(pool: PgPool) {
    let nobody = json!({"email_hash": null, "email_hash_google": null, "phone_hash": null, "phone_hash_digits": null});
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        // Of a network that isn't the platform's.
        let of_another = if platform.entry.network == "microsoft" {
            json!({"linkedin": {"li_fat_id": "another", "at": trial.now()}})
        } else {
            json!({"microsoft": {"msclkid": "another", "at": trial.now()}})
        };
        let only = |clicks: Value| {
            let mut columns = nobody.clone();
            columns["clicks"] = clicks;
            columns
        };
        let main = trial.destination(MAIN, 0);
        for (name, declarations, columns, fields, reason) in [
            ("without-anything", main.clone(), only(json!({})), json!({}), "no_attribution"),
            ("of-another-network", main.clone(), only(of_another), json!({}), "no_attribution"),
            (
                "of-another-stage",
                main.clone(),
                json!({}),
                json!({"conversion_type": "qualified"}),
                "no_conversion_action",
            ),
            (
                "of-another-site",
                format!("{main}when = {{ site = \"www.example.fr\" }}"),
                json!({}),
                json!({}),
                "no_destination",
            ),
        ] {
            let adtrail = trial.deployed_with(&declarations);
            let id = trial.lead(name, &columns).await;
            let mut fields = fields;
            fields["lead_id"] = json!(id);
            fields["email"] = Value::Null;
            let answer = adtrail.report(name, &fields).await;
            assert_eq!((&answer["status"], &answer["reason"]), (&json!("skipped"), &json!(reason)), "{name}");
            assert_eq!(trial.skip_reason(name).await, reason);
            adtrail.run_for_hours(7).await;
            assert_eq!(trial.queue().await, [Value::Null; 0], "{name}");
            assert_eq!(trial.wire.sent(), [], "{name}");
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn of_two_destinations_one_gets_a_conversion_if_a_click_has_one_account_else_both(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let adtrail = trial.deployed_with(&(trial.destination("one", 0) + &trial.destination("two", 1)));
        trial.closed(&adtrail, "jane").await;
        adtrail.run_for_hours(2).await;
        let received = trial.received();
        let targets: Vec<_> = received.iter().map(|it| it.target.clone()).collect();
        let of = |name: &str| adtrail.destinations().get(name).unwrap().platform.target(&Stage::closed()).unwrap();
        let mut expected = vec![of("one")];
        if !platform.entry.click_has_one_account {
            expected.push(of("two"));
        }
        expected.sort();
        assert_eq!(targets, expected);
        assert!(received.iter().all(|it| it.times == 1), "{received:?}");
        assert_eq!(trial.queue().await.len(), expected.len());
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_destination_that_is_declared_later_hears_of_what_still_counts_once(pool: PgPool) {
    for platform in platforms::ALL {
        let trial = Trial::of(platform, &pool).await;
        let before = trial.deployed_with("");
        let after = trial.deployed();
        let old = Times::just_before(trial.now());
        assert_eq!(trial.reported(&before, "old", old).await["reason"], "no_conversion_action");
        let until = trial.window(&after, "old", old).until;
        if let Some(until) = until {
            before.run_after(until - trial.now() + TimeDelta::seconds(1)).await;
        }
        trial.lead("jane", &json!({})).await;
        before.report("jane", &json!({})).await;
        assert_eq!(before.run().await.claimed, 0);

        let run = after.run().await;
        assert_eq!(run.queued_late, if until.is_some() { 1 } else { 2 });
        assert_eq!(trial.skip_reason("jane").await, Value::Null);
        if until.is_some() {
            trial.assert_received_once(&["jane"]);
            assert_eq!(trial.skip_reason("old").await, "too_old");
        }
        let received = trial.received();
        after.run_for_hours(2).await;
        assert_eq!(trial.received(), received, "once each");

        // Under another name it is the same account.
        let renamed = trial.deployed_with(&trial.destination("renamed", 0));
        renamed.run_for_hours(2).await;
        assert_eq!(trial.received(), received);

        // A second account hears of it unless the first one's is the click's.
        let both = trial.deployed_with(&(trial.destination(MAIN, 0) + &trial.destination("second", 1)));
        both.run_for_hours(2).await;
        let counted = if platform.entry.click_has_one_account { received.len() } else { received.len() * 2 };
        let received = trial.received();
        assert_eq!(received.len(), counted, "{received:?}");
        assert!(received.iter().all(|it| it.times == 1), "{received:?}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn every_platform_hears_of_the_same_conversion_and_none_waits_for_one_that_is_away(pool: PgPool) {
    for platform in platforms::ALL {
        let away = Trial::of(platform, &pool).await;
        let mut others = Vec::new();
        for other in platforms::ALL.iter().filter(|it| it.entry.id != platform.entry.id) {
            others.push(away.beside(other).await);
        }
        let (mut declarations, mut settings, mut clicks) = (String::new(), Vec::new(), json!({}));
        for (nth, it) in others.iter().chain([&away]).enumerate() {
            declarations += &it.destination(&format!("number_{nth}"), 0);
            settings.extend(it.settings());
            let network = it.entry.network;
            clicks[network] = it.clicks("jane", it.now() - TimeDelta::days(2))[network].clone();
        }
        let adtrail = away.deploy(&declarations, &settings).unwrap_or_else(|error| panic!("{error}"));
        away.lead("jane", &json!({"clicks": clicks})).await;
        adtrail.report("jane", &json!({})).await;

        away.wire.breaks(Trouble::Away);
        adtrail.run().await;
        assert!(away.received().is_empty());
        for other in &others {
            other.assert_received_once(&["jane"]);
        }
        away.wire.is_mended();
        adtrail.run_for_hours(2).await;
        for it in others.iter().chain([&away]) {
            it.assert_received_once(&["jane"]);
        }
    }
}
