//! Several accounts of Google Ads, declared.

use chrono::TimeDelta;
use crm_conversion::{ENDPOINT, handle};
use google_sandbox::{AdsAccount, Click, Endpoint, Fault, FaultKind};
use serde_json::{Value, json};
use shared::health::Status;
use shared::platforms::UNDECLARED;
use shared::queue;
use sqlx::PgPool;
use testing::{call, json_request, lead, rows, with};

use super::{Delivery, start};

const FIRST: &str = "1234567890";
const SECOND: &str = "2223334444";

/// An account for everything, and one for the site in France.
const TWO: &str = r#"
[google_ads]
platform = "google-ads"
customer_id = "123-456-7890"
[google_ads.actions]
closed = 987654321
demo_booked = 987654323

[google_ads_fr]
platform = "google-ads"
customer_id = "222-333-4444"
when = { site = "www.example.fr" }
[google_ads_fr.actions]
closed = 111
"#;

/// The CRM's demos are worth fifty.
const SOURCE: &str = r#"
[acme]
[[acme.auth]]
header = { name = "x-acme", secret = "ACME_SECRET" }
[acme.fields]
deal_id = "/deal"
stage = "/stage"
value = "/value"
currency = { text = "EUR" }
email = "/email"
occurred_at = "/at"
[[acme.rules]]
when = { stage = "demo" }
conversion = "demo_booked"
value = 50
[[acme.rules]]
when = { stage = "won" }
conversion = "closed"
[[acme.rules]]
when = { stage = "lost" }
conversion = "lost"
"#;

impl Delivery {
    /// Declared only: the settings of one account are gone.
    async fn declared(pool: &PgPool, destinations: &str, transport: &str) -> Self {
        let destinations =
            destinations.replace("\ncustomer_id", &format!("\ntransport = \"{transport}\"\ncustomer_id"));
        let declared = [
            ("GOOGLE_ADS_CUSTOMER_ID", ""),
            ("DESTINATIONS", destinations.as_str()),
            ("STAGES", "demo_booked"),
            ("CRM_SOURCES", SOURCE),
            ("ACME_SECRET", "the secret of acme"),
        ];
        let delivery = Self::new(pool, &declared).await;
        delivery.google.add_account(AdsAccount::second_dev());
        delivery
    }

    async fn acme(&self, body: &Value) -> Value {
        let mut request = with(json_request(&ENDPOINT, body), "x-acme", "the secret of acme");
        *request.uri_mut() = "/api/webhooks/acme".parse().unwrap();
        call(&self.crm, &ENDPOINT, request, handle).await.body
    }

    /// Account, conversion action, value, and whether it was retracted: of each conversion as Google counts it.
    fn counted_by_account(&self) -> Vec<(String, String, Option<f64>, bool)> {
        let counted = self.google.conversions().into_iter();
        assert!(self.google.conversions().iter().all(|it| it.received == 1 || it.value.is_some()));
        let mut counted: Vec<_> =
            counted.map(|it| (it.customer_id, it.conversion_action, it.value, it.retracted)).collect();
        counted.sort_by(|one, other| one.partial_cmp(other).unwrap());
        counted
    }

    async fn waits_with(&self) -> Vec<Value> {
        rows(&self.pool, "select platform, status, retry_count from public.conversion_queue order by 1").await
    }
}

fn report(deal: &str, stage: &str, value: u32, person: &str) -> Value {
    json!({
        "deal": deal, "stage": stage, "value": value, "email": format!("{person}@example.com"),
        "at": "2026-11-22T10:00:00Z",
    })
}

#[sqlx::test(migrations = "../migrations")]
async fn each_conversion_goes_to_the_account_of_its_site_once_and_its_corrections_follow(pool: PgPool) {
    for transport in ["data_manager", "google_ads"] {
        let delivery = Delivery::declared(&pool, TWO, transport).await;
        for (person, site) in [("jane", "www.example.fr"), ("john", "www.example.com")] {
            lead(&format!("{person}@example.com"))
                .with(&json!({"site": site, "gclid": format!("Click-{person}")}))
                .store(&pool)
                .await;
            for (deal, stage, value) in [("won", "won", 100), ("demo", "demo", 0)] {
                let answer = delivery.acme(&report(&format!("{person}-{deal}"), stage, value, person)).await;
                assert_eq!(answer["status"], "queued", "{answer}");
            }
        }
        delivery.tick_after(TimeDelta::hours(7)).await;
        let of = |account: &str, action: &str, value: f64, retracted: bool| {
            (account.to_owned(), action.to_owned(), Some(value), retracted)
        };
        let first = [
            of(FIRST, "987654321", 100.0, false),
            of(FIRST, "987654323", 50.0, false),
            of(FIRST, "987654323", 50.0, false),
        ];
        let mut expected = first.to_vec();
        expected.push(of(SECOND, "111", 100.0, false));
        assert_eq!(delivery.counted_by_account(), expected, "{transport}");

        let answer = delivery.acme(&report("jane-won", "won", 150, "jane")).await;
        assert_eq!(json!([answer["status"], answer["platforms"]]), json!(["restated", ["google_ads_fr_restatements"]]));
        let lost = json!({"deal": "john-won", "stage": "lost", "at": "2026-11-22T11:00:00Z"});
        assert_eq!(delivery.acme(&lost).await["platforms"], json!(["google_ads_retractions"]));
        for _ in 0..3 {
            delivery.tick_after(TimeDelta::hours(7)).await;
        }
        expected[0] = of(FIRST, "987654321", 100.0, true);
        expected[3] = of(SECOND, "111", 150.0, false);
        assert_eq!(delivery.counted_by_account(), expected, "{transport}");
        delivery.execute("delete from public.leads; delete from public.inbox; delete from public.lost_deals").await;
        delivery.execute("delete from public.platform_state").await;
    }
}

/// The same account for everything, and another one for everything.
fn both() -> String {
    TWO.replace("when = { site = \"www.example.fr\" }\n", "")
}

#[sqlx::test(migrations = "../migrations")]
async fn a_click_of_another_account_is_passed_on_with_its_corrections(pool: PgPool) {
    for transport in ["data_manager", "google_ads"] {
        let delivery = Delivery::declared(&pool, &both(), transport).await;
        let click = Click { at: start() - TimeDelta::days(2), customer_id: SECOND.into() };
        delivery.google.add_click("Click-jane", click);
        let columns = json!({"gclid": "Click-jane", "click_at": start() - TimeDelta::days(2)});
        lead("jane@example.com").with(&columns).store(&pool).await;
        assert_eq!(delivery.acme(&report("D-1", "won", 100, "jane")).await["platforms"], json!(["google_ads"]));
        delivery.tick().await;
        // A new value while nobody knows yet that the account is the wrong one.
        delivery.acme(&report("D-1", "won", 120, "jane")).await;
        for _ in 0..6 {
            delivery.tick_after(TimeDelta::hours(1)).await;
        }
        let expected = [(SECOND.to_owned(), "111".to_owned(), Some(120.0), false)];
        assert_eq!(delivery.counted_by_account(), expected, "{transport}");
        assert!(delivery.waits_with().await.iter().all(|row| row["status"] == "uploaded" && row["retry_count"] == 0));

        let lost = json!({"deal": "D-1", "stage": "lost", "at": "2026-11-22T11:00:00Z"});
        assert_eq!(delivery.acme(&lost).await["platforms"], json!(["google_ads_fr_retractions"]));
        for _ in 0..3 {
            delivery.tick_after(TimeDelta::hours(7)).await;
        }
        assert!(delivery.counted_by_account()[0].3, "{transport}: it is retracted where it was counted");
        delivery.execute("delete from public.leads; delete from public.inbox; delete from public.lost_deals").await;
        delivery.execute("delete from public.platform_state").await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_click_of_no_account_waits_says_which_accounts_and_goes_once_one_is_right(pool: PgPool) {
    let delivery = Delivery::declared(&pool, &both(), "data_manager").await;
    let of = |customer_id: &str| Click { at: start() - TimeDelta::days(2), customer_id: customer_id.into() };
    delivery.google.add_click("Click-jane", of("5556667777"));
    let columns = json!({"gclid": "Click-jane", "click_at": start() - TimeDelta::days(2)});
    lead("jane@example.com").with(&columns).store(&pool).await;
    delivery.acme(&report("D-1", "won", 100, "jane")).await;
    for _ in 0..48 {
        delivery.tick_after(TimeDelta::hours(1)).await;
    }
    let held = rows(&pool, "select status, retry_count, last_error from public.conversion_queue").await.remove(0);
    let asked = delivery.google.requests().ingest_calls;
    assert!(asked < 120, "{asked} requests in two days");
    assert_eq!(json!([held["retry_count"]]), json!([0]), "{held}");
    delivery.google.add_click("Click-jane", of(FIRST));
    for _ in 0..4 {
        delivery.tick_after(TimeDelta::hours(1)).await;
    }
    let expected = [(FIRST.to_owned(), "987654321".to_owned(), Some(100.0), false)];
    assert_eq!(delivery.counted_by_account(), expected);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_a_destination_has_stays_its_own_when_it_is_renamed_or_removed(pool: PgPool) {
    let delivery = Delivery::declared(&pool, TWO, "data_manager").await;
    for person in ["sent", "open"] {
        lead(&format!("{person}@example.com")).with(&json!({"site": "www.example.fr"})).store(&pool).await;
    }
    delivery.acme(&report("sent", "won", 100, "sent")).await;
    delivery.tick_after(TimeDelta::hours(7)).await;
    delivery.acme(&report("open", "won", 100, "open")).await;
    let stored = async || {
        let sql = "select platform, status from public.conversion_queue where adjusts is null order by created_at, 1";
        Value::from(rows(&pool, sql).await)
    };
    let of =
        |lane: &str, open: &str| json!([{"platform": lane, "status": "uploaded"}, {"platform": lane, "status": open}]);

    let removed = TWO.split("[google_ads_fr]").next().unwrap();
    for (setting, hours) in [(TWO.replace("google_ads_fr", "france"), 8), (removed.to_owned(), 1)] {
        let changed = delivery.with_setting("DESTINATIONS", &setting);
        changed.tick_after(TimeDelta::hours(hours)).await;
        assert_eq!(stored().await, of("google_ads_fr", "pending"), "it waits, and no other account gets it");
        let health = changed.health().await;
        let lane = health.platforms.iter().find(|it| it.platform == "google_ads_fr").unwrap();
        assert_eq!((lane.state.as_str(), lane.reason.as_deref()), ("undeclared", Some(UNDECLARED)));
        assert_eq!(health.status, Status::Degraded);
    }
    assert_eq!(delivery.counted_by_account().len(), 1);
    // What is reported meanwhile waits, too.
    let gone = delivery.with_setting("DESTINATIONS", removed);
    let answer = gone.acme(&report("sent", "won", 130, "sent")).await;
    assert_eq!(json!([answer["status"], answer["platforms"]]), json!(["restated", ["google_ads_fr_restatements"]]));
    gone.tick_after(TimeDelta::hours(1)).await;

    let renamed = delivery.with_setting("DESTINATIONS", &TWO.replace("google_ads_fr", "france"));
    let france = renamed.app.config.intake.destinations.get("france").unwrap();
    assert_eq!(queue::rename(&renamed.app.db, "google_ads_fr", france).await.unwrap(), 3);
    assert_eq!(queue::rename(&renamed.app.db, "google_ads_fr", france).await.unwrap(), 0);
    for _ in 0..2 {
        renamed.tick_after(TimeDelta::hours(1)).await;
    }
    assert_eq!(stored().await, of("france", "uploaded"));
    let counted = |value| (SECOND.to_owned(), "111".to_owned(), Some(value), false);
    assert_eq!(renamed.counted_by_account(), [counted(100.0), counted(130.0)], "corrections go on, too");
    assert_eq!(renamed.health().await.status, Status::Healthy);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_correction_goes_to_the_account_and_action_that_have_the_conversion(pool: PgPool) {
    let delivery = Delivery::declared(&pool, TWO, "data_manager").await;
    lead("jane@example.com").store(&pool).await;
    delivery.acme(&report("D-1", "won", 100, "jane")).await;
    delivery.tick_after(TimeDelta::hours(7)).await;
    // From now on closed deals are another action.
    let changed = delivery.with_setting("DESTINATIONS", &TWO.replace("987654321", "987654322"));
    changed.acme(&report("D-1", "won", 130, "jane")).await;
    changed.tick_after(TimeDelta::hours(1)).await;
    let lost = json!({"deal": "D-1", "stage": "lost", "at": "2026-11-22T11:00:00Z"});
    changed.acme(&lost).await;
    for _ in 0..3 {
        changed.tick_after(TimeDelta::hours(7)).await;
    }
    let expected = [(FIRST.to_owned(), "987654321".to_owned(), Some(130.0), true)];
    assert_eq!(changed.counted_by_account(), expected);
}

/// The first account, reached through a manager.
const MANAGED: &str = r#"
[google_ads]
platform = "google-ads"
customer_id = "333-444-5555"
login_customer_id = "999-888-7777"
[google_ads.actions]
closed = 31
"#;
/// The same destination later: another account and action, and no manager.
const MOVED: &str = r#"
[google_ads]
platform = "google-ads"
customer_id = "222-333-4444"
[google_ads.actions]
closed = 111
"#;

impl Delivery {
    /// Two deals told to the managed account, which the settings no longer name.
    async fn moved(pool: &PgPool, transport: &str) -> (Self, AdsAccount) {
        let delivery = Self::declared(pool, MANAGED, transport).await;
        let account =
            AdsAccount { login_customer_id: Some("9998887777".into()), ..AdsAccount::new("3334445555", ["31"]) };
        delivery.google.add_account(account.clone());
        for person in ["jane", "john"] {
            lead(&format!("{person}@example.com")).with(&json!({"gclid": format!("Click-{person}")})).store(pool).await;
            delivery.acme(&report(person, "won", 100, person)).await;
        }
        delivery.tick_after(TimeDelta::hours(7)).await;
        let moved = MOVED.replace("\ncustomer_id", &format!("\ntransport = \"{transport}\"\ncustomer_id"));
        (delivery.with_setting("DESTINATIONS", &moved), account)
    }

    /// Jane's deal has another value, John's is lost, and a third one is won.
    async fn change_both(&self) {
        self.acme(&report("jane", "won", 130, "jane")).await;
        self.acme(&json!({"deal": "john", "stage": "lost", "at": "2026-11-22T11:00:00Z"})).await;
        lead("joe@example.com").with(&json!({"gclid": "Click-joe"})).store(&self.pool).await;
        self.acme(&report("joe", "won", 70, "joe")).await;
    }

    async fn forget_all(&self) {
        self.execute("delete from public.leads; delete from public.inbox; delete from public.lost_deals").await;
        self.execute("delete from public.platform_state").await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn after_a_move_to_another_account_corrections_go_to_the_old_one_through_its_manager(pool: PgPool) {
    for transport in ["data_manager", "google_ads"] {
        let (moved, _) = Delivery::moved(&pool, transport).await;
        moved.change_both().await;
        for _ in 0..3 {
            moved.tick_after(TimeDelta::hours(7)).await;
        }
        let of = |account: &str, action: &str, value: f64, retracted: bool| {
            (account.to_owned(), action.to_owned(), Some(value), retracted)
        };
        let expected =
            [of(SECOND, "111", 70.0, false), of("3334445555", "31", 100.0, true), of("3334445555", "31", 130.0, false)];
        assert_eq!(moved.counted_by_account(), expected, "{transport}");
        assert_eq!(moved.health().await.status, Status::Healthy, "{transport}");
        moved.forget_all().await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn an_old_account_that_is_closed_to_us_holds_its_corrections_and_nothing_else(pool: PgPool) {
    for transport in ["data_manager", "google_ads"] {
        let (moved, account) = Delivery::moved(&pool, transport).await;
        let shut = AdsAccount { login_customer_id: Some("1112223333".into()), ..account.clone() };
        moved.google.add_account(shut);
        moved.change_both().await;
        for _ in 0..3 {
            moved.tick_after(TimeDelta::hours(7)).await;
        }
        let held = "select status, retry_count, last_error from public.conversion_queue where adjusts is not null";
        let held = rows(&pool, held).await;
        assert_eq!(held.len(), 2, "{held:?}");
        for row in &held {
            assert_eq!(json!([row["status"], row["retry_count"]]), json!(["pending", 0]), "{transport}: {row}");
            let said = row["last_error"].as_str().unwrap();
            assert!(
                said.contains("account 3334445555") && said.contains("changed to 2223334444"),
                "{transport}: {said}"
            );
        }
        let paused = "select count(*) from public.platform_state where state = 'paused'";
        assert_eq!(moved.number(paused).await, 0, "{transport}: today's account goes on");
        assert_eq!(moved.counted_by_account()[0].0, SECOND, "{transport}");

        moved.google.add_account(account);
        for _ in 0..3 {
            moved.tick_after(TimeDelta::hours(7)).await;
        }
        let told: Vec<_> = moved.counted_by_account().into_iter().skip(1).map(|it| (it.2, it.3)).collect();
        assert_eq!(told, [(Some(100.0), true), (Some(130.0), false)], "{transport}: it goes once it is open again");
        moved.forget_all().await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn corrections_of_a_removed_destination_wait_and_say_so(pool: PgPool) {
    let delivery = Delivery::declared(&pool, TWO, "data_manager").await;
    for person in ["jane", "john"] {
        lead(&format!("{person}@example.com")).store(&pool).await;
        delivery.acme(&report(person, "won", 100, person)).await;
    }
    delivery.tick_after(TimeDelta::hours(7)).await;
    // No destination at all is left, or only one of another name.
    let renamed = TWO.split("[google_ads]").nth(1).unwrap().replace("google_ads", "other");
    let other = format!("[other]{}", renamed.split("[other_fr]").next().unwrap());
    for (setting, person) in [("", "jane"), (other.as_str(), "john")] {
        let removed = delivery.with_setting("DESTINATIONS", setting);
        let lost = json!({"deal": person, "stage": "lost", "at": "2026-11-22T11:00:00Z"});
        assert_eq!(removed.acme(&lost).await["platforms"], json!(["google_ads_retractions"]), "{setting:?}");
        removed.tick_after(TimeDelta::hours(1)).await;
    }
    let sql = "select status, last_error_code, last_error from public.conversion_queue where adjusts is not null";
    let waiting = rows(&pool, sql).await;
    assert_eq!(waiting.len(), 2);
    for row in &waiting {
        assert_eq!(json!([row["status"], row["last_error_code"]]), json!(["pending", "undeclared"]));
        let said = row["last_error"].as_str().unwrap();
        assert!(said.starts_with(UNDECLARED), "{said}");
        assert!(said.ends_with("What it corrects is at customers/1234567890/conversionActions/987654321."), "{said}");
    }
    // It is declared again.
    for _ in 0..3 {
        delivery.tick_after(TimeDelta::hours(7)).await;
    }
    assert!(delivery.counted_by_account().iter().all(|it| it.3), "both are retracted");
    assert_eq!(delivery.number("select count(*) from public.conversion_queue where last_error is not null").await, 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_google_may_have_from_a_lost_reply_is_taken_back_where_it_was_sent(pool: PgPool) {
    let delivery = Delivery::declared(&pool, TWO, "data_manager").await;
    lead("jane@example.com").store(&pool).await;
    delivery.acme(&report("D-1", "won", 100, "jane")).await;
    delivery.google.script(Fault::once(Endpoint::Ingest, FaultKind::ReplyLost {})).unwrap();
    delivery.tick().await;
    let changed = delivery.with_setting("DESTINATIONS", &TWO.replace("987654321", "987654322"));
    changed.acme(&json!({"deal": "D-1", "stage": "lost", "at": "2026-11-22T11:00:00Z"})).await;
    for _ in 0..3 {
        changed.tick_after(TimeDelta::hours(7)).await;
    }
    assert_eq!(changed.counted_by_account(), [(FIRST.to_owned(), "987654321".to_owned(), Some(100.0), true)]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_conversion_that_went_without_its_click_is_restated_without_it(pool: PgPool) {
    let delivery = Delivery::declared(&pool, TWO, "data_manager").await;
    let click = Click { at: start() - TimeDelta::days(2), customer_id: "5556667777".into() };
    delivery.google.add_click("Click-jane", click);
    let columns = json!({"gclid": "Click-jane", "click_at": start() - TimeDelta::days(2)});
    lead("jane@example.com").with(&columns).store(&pool).await;
    delivery.acme(&report("D-1", "won", 100, "jane")).await;
    for _ in 0..4 {
        delivery.tick_after(TimeDelta::hours(1)).await;
    }
    delivery.acme(&report("D-1", "won", 130, "jane")).await;
    for _ in 0..4 {
        delivery.tick_after(TimeDelta::hours(1)).await;
    }
    assert_eq!(delivery.counted_by_account()[0].2, Some(130.0));
    let open = "select count(*) from public.conversion_queue where confirmed_at is null";
    assert_eq!(delivery.number(open).await, 0);
}
