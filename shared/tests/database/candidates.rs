//! Whose deal it is when leads of several browsers have its address.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures_util::poll;
use serde_json::{Value, json};
use shared::conversions::{self, Release, record_matches};
use shared::db::{DbError, Tx};
use shared::identity::Hash;
use shared::rate_limits::Callers;
use shared::{App, intake, leads};
use sqlx::PgPool;
use testing::{
    Row, app, app_with, execute, lead, match_waiting, row, rows, scaled, start, waiting_deal, waiting_for_lock,
};
use uuid::Uuid;

use crate::inbox::lead_and_deal;

const PHONE: &str = "+493023125123";

async fn visitors(pool: &PgPool, names: &[&str]) {
    for name in names {
        Row::of("visitors", &json!({"visitor_id": name})).store(pool).await;
    }
}

/// Matches what waits.
async fn rematch(app: &App<intake::Config>) -> usize {
    let matched: Result<_, DbError> = app.db.tx(async |tx| match_waiting(tx, &app.config, &app.clock, 100).await).await;
    matched.unwrap().len()
}

/// A form: the day of November, the browser, and whether it came by a click.
type Form = (u8, Option<&'static str>, bool);

fn form((day, browser, has_click): Form, address: &Value) -> Row {
    let mut row = lead("nobody@example.com").with(address).with(&json!({
        "visitor_id": browser, "created_at": format!("2026-11-{day:02}T11:00:00Z"),
    }));
    if !has_click {
        row = row.with(&json!({"gclid": null, "click_at": null}));
    }
    row
}

/// The day of the lead that a deal of the tenth of November gets, and whether there were several candidates. The last
/// form of one browser is from the twelfth.
#[sqlx::test(migrations = "../migrations")]
async fn the_browser_that_came_first_gets_the_deal(pool: PgPool) {
    let app = app(&pool);
    visitors(&pool, &["jane", "stranger"]).await;
    let (jane, stranger) = (Some("jane"), Some("stranger"));
    let cases: &[(&[Form], u8, bool)] = &[
        (&[(2, jane, true)], 2, false),
        (&[(2, jane, true), (4, stranger, true)], 2, true),
        (&[(2, jane, true), (4, stranger, true), (6, jane, true)], 6, true),
        (&[(2, jane, true), (4, jane, false)], 2, false),
        (&[(2, jane, false), (4, stranger, true)], 2, true),
        (&[(2, jane, false), (4, stranger, true), (6, jane, true)], 6, true),
        (&[(2, jane, true), (4, None, true)], 2, true),
        (&[(2, None, true), (4, None, true)], 2, true),
        (&[(2, None, true), (4, jane, true)], 2, true),
        // What the site imported is no browser that came first.
        (&[(2, None, false), (4, jane, true)], 4, true),
        (&[(2, None, false), (4, None, false)], 4, true),
        // Before the deal or after it.
        (&[(2, jane, true), (12, jane, true)], 2, false),
        (&[(2, stranger, false), (12, jane, true)], 2, true),
        (&[(11, jane, false), (12, stranger, true)], 11, true),
    ];
    for (nth, (forms, expected, several)) in cases.iter().enumerate() {
        for kind in ["email", "phone"] {
            let (id, address) = (format!("{kind}-{nth}"), format!("{kind}-{nth}@example.com"));
            let hashes = json!({"email_hash": null, (format!("{kind}_hash")): Hash::of(&address)});
            for one in *forms {
                form(*one, &hashes).store(&pool).await;
            }
            let at = json!({"occurred_at": "2026-11-10T12:00:00Z"});
            waiting_deal(&id, "").with(&hashes).with(&at).store(&pool).await;
            assert_eq!(rematch(&app).await, 1, "{id}");
            let found = format!(
                "select extract(day from l.created_at) as day, i.several_candidates, i.matched_by
                 from public.inbox i
                 join public.conversions c on c.id = i.conversion_id
                 join public.leads l on l.id = c.lead_id
                 where i.crm_deal_id = '{id}'"
            );
            let expected = json!({"day": expected, "several_candidates": several, "matched_by": kind});
            assert_eq!(row(&pool, &found).await, expected, "{id}: {forms:?}");
        }
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn leads_of_different_addresses_of_one_person_compete(pool: PgPool) {
    let app = app(&pool);
    visitors(&pool, &["stranger"]).await;
    lead("jane@example.com").store(&pool).await;
    lead("work@example.com").with(&json!({"visitor_id": "stranger"})).store(&pool).await;
    let others = json!({"other_email_hashes": [Hash::of("jane@example.com")]});
    waiting_deal("D-1", "work@example.com").with(&others).store(&pool).await;
    assert_eq!(rematch(&app).await, 1);
    assert_eq!(row(&pool, "select several_candidates from public.inbox").await["several_candidates"], true);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_the_crm_or_another_stage_says_comes_before_any_address(pool: PgPool) {
    let app = app(&pool);
    visitors(&pool, &["stranger"]).await;
    let jane = lead("jane@example.com").store(&pool).await;
    let qualified = json!({"conversion_type": "qualified"});
    waiting_deal("D-1", "jane@example.com").with(&qualified).store(&pool).await;
    assert_eq!(rematch(&app).await, 1);
    // Older than Jane's, and the only one of the address that the deal has by now.
    let stranger = json!({"visitor_id": "stranger", "created_at": "2026-11-01T11:00:00Z"});
    let stranger = lead("boss@example.com").with(&stranger).store(&pool).await;
    waiting_deal("D-1", "boss@example.com").store(&pool).await;
    waiting_deal("D-2", "boss@example.com").with(&json!({"lead_id": jane})).store(&pool).await;
    waiting_deal("D-3", "boss@example.com").store(&pool).await;
    assert_eq!(rematch(&app).await, 3);
    let found = "select i.crm_deal_id, i.matched_by, i.several_candidates, c.lead_id
        from public.inbox i join public.conversions c on c.id = i.conversion_id
        where i.conversion_type = 'closed' order by 1";
    let expected = json!([
        {"crm_deal_id": "D-1", "matched_by": "deal", "several_candidates": false, "lead_id": jane},
        {"crm_deal_id": "D-2", "matched_by": "lead_id", "several_candidates": false, "lead_id": jane},
        {"crm_deal_id": "D-3", "matched_by": "email", "several_candidates": false, "lead_id": stranger},
    ]);
    assert_eq!(Value::from(rows(&pool, found).await), expected);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_that_opens_again_keeps_its_lead(pool: PgPool) {
    let app = app(&pool);
    visitors(&pool, &["stranger"]).await;
    let jane = lead("jane@example.com").store(&pool).await;
    let deal = waiting_deal("D-1", "jane@example.com").store(&pool).await;
    assert_eq!(rematch(&app).await, 1);
    let older = json!({"visitor_id": "stranger", "created_at": "2026-11-01T11:00:00Z"});
    lead("jane@example.com").with(&older).store(&pool).await;
    execute(
        &pool,
        "insert into public.lost_deals (crm_deal_id, lost_at, payload_hash) values ('D-1', '2026-11-20 10:30Z', 'x');
         update public.conversions set skip_reason = 'deal_lost', retracted_at = '2026-11-20 10:30Z'",
    )
    .await;
    let reopened = app.db.tx(async |tx| {
        let reopened = conversions::reopen(tx, &app.config.destinations.stages, &[deal]).await?;
        record_matches(tx, &app.config.destinations, app.config.match_by, &reopened, app.clock.now()).await
    });
    assert_eq!(reopened.await.unwrap().len(), 1);
    let found =
        "select i.matched_by, c.lead_id from public.inbox i join public.conversions c on c.id = i.conversion_id";
    assert_eq!(row(&pool, found).await, json!({"matched_by": "email", "lead_id": jane}));
}

#[sqlx::test(migrations = "../migrations")]
async fn addresses_are_not_learned_by_a_phone_number_in_two_steps(pool: PgPool) {
    let app = app(&pool);
    lead("stranger@example.com").with(&json!({"phone_hash": Hash::of(PHONE)})).store(&pool).await;
    let by_phone = json!({"conversion_type": "qualified", "email_hash": null, "phone_hash": Hash::of(PHONE)});
    waiting_deal("D-1", "").with(&by_phone).store(&pool).await;
    assert_eq!(rematch(&app).await, 1);
    waiting_deal("D-1", "jane@example.com").store(&pool).await;
    assert_eq!(rematch(&app).await, 1);
    waiting_deal("D-2", "jane@example.com").store(&pool).await;
    assert_eq!(rematch(&app).await, 0, "the stranger's lead isn't known by Jane's address");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_later_form_of_another_browser_is_noted_until_a_platform_may_know(pool: PgPool) {
    let app = app(&pool);
    visitors(&pool, &["first", "second"]).await;
    let first = json!({"visitor_id": "first"});
    for (name, address) in [
        ("email", json!({"email_hash": Hash::of("jane@example.com")})),
        ("other", json!({"email_hash": Hash::of("work@example.com")})),
        ("phone", json!({"email_hash": null, "phone_hash": Hash::of(PHONE)})),
        ("claimed", json!({"email_hash": Hash::of("jane@example.com")})),
        ("lead_id", json!({"email_hash": Hash::of("jane@example.com")})),
    ] {
        let lead_id = lead("").with(&first).with(&address).store(&pool).await;
        let mut deal = waiting_deal(name, "").with(&address);
        if name == "other" {
            let other = json!({"email_hash": null, "other_email_hashes": [Hash::of("work@example.com")]});
            deal = deal.with(&other);
        }
        if name == "lead_id" {
            deal = deal.with(&json!({"lead_id": lead_id}));
        }
        deal.store(&pool).await;
    }
    assert_eq!(rematch(&app).await, 5);
    let claimed = "update public.conversion_queue q set claims = 1 from public.conversions c
        where c.id = q.conversion_id and c.crm_deal_id = 'claimed'";
    execute(&pool, claimed).await;
    let noted = async || -> Vec<Value> {
        let noted = "select crm_deal_id as id from public.inbox where several_candidates order by 1";
        rows(&pool, noted).await.into_iter().map(|row| row["id"].clone()).collect()
    };
    let everybody = [json!({"phone_hash": Hash::of(PHONE)}), json!({"email_hash": Hash::of("work@example.com")})];
    let form = async |visitor: Option<&str>| {
        for address in &everybody {
            lead("jane@example.com").with(address).with(&json!({"visitor_id": visitor})).store(&pool).await;
        }
    };
    form(Some("first")).await;
    assert_eq!(noted().await, Vec::<Value>::new(), "the same browser again");
    form(Some("second")).await;
    assert_eq!(noted().await, ["email", "other", "phone"]);
    let leads = "select count(distinct l.visitor_id) from public.conversions c join public.leads l on l.id = c.lead_id";
    assert_eq!(row(&pool, leads).await["count"], 1, "no match was changed");
}

/// Jane's lead and a deal that waits for her.
async fn jane_and_her_deal(pool: &PgPool) {
    lead("jane@example.com").store(pool).await;
    waiting_deal("D-1", "jane@example.com").store(pool).await;
}

/// Somebody else sends a form with Jane's address.
async fn rival(tx: &mut Tx) -> Result<(), DbError> {
    let (lead, _) = lead_and_deal("jane@example.com", "D-1");
    leads::create(tx, &lead, &Callers::default()).await.map(drop)
}

async fn run_of_the_schedule(app: &App<intake::Config>) -> Result<u64, DbError> {
    intake::rematch(&app.db, &app.clock, &app.config, start() + TimeDelta::hours(1)).await
}

async fn expect_matched_and_noted(pool: &PgPool) {
    let found = row(pool, "select state, several_candidates from public.inbox").await;
    assert_eq!(found, json!({"state": "matched", "several_candidates": true}));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_form_that_is_being_stored_while_its_deal_is_matched_is_a_candidate(pool: PgPool) {
    let app = app(&pool);
    jane_and_her_deal(&pool).await;
    let run = app.db.tx(async |tx| -> Result<_, DbError> {
        rival(tx).await?;
        let mut run = Box::pin(run_of_the_schedule(&app));
        while waiting_for_lock(&pool, "advisory").await == 0 {
            assert!(poll!(&mut run).is_pending(), "the run didn't wait for the form");
        }
        Ok(run)
    });
    assert_eq!(run.await.unwrap().await.unwrap(), 1);
    expect_matched_and_noted(&pool).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn a_form_that_comes_while_its_deal_is_being_matched_is_a_candidate(pool: PgPool) {
    let app = app(&pool);
    jane_and_her_deal(&pool).await;
    let run_and_form = app.db.tx(async |tx| -> Result<_, DbError> {
        // The run has found the lead when it waits for the lead's row.
        sqlx::query("select from public.leads for update").execute(&mut *tx).await?;
        let mut run = Box::pin(run_of_the_schedule(&app));
        while waiting_for_lock(&pool, "transactionid").await == 0 {
            assert!(poll!(&mut run).is_pending(), "the run didn't wait for the lead's row");
        }
        let mut form = Box::pin(app.db.tx(async |tx| rival(tx).await));
        while waiting_for_lock(&pool, "advisory").await == 0 {
            assert!(poll!(&mut form).is_pending(), "the form didn't wait for the run");
        }
        Ok((run, form))
    });
    let (run, form) = run_and_form.await.unwrap();
    let (matched, created) = tokio::join!(run, form);
    created.unwrap();
    assert_eq!(matched.unwrap(), 1);
    expect_matched_and_noted(&pool).await;
}

#[sqlx::test(migrations = "../migrations")]
async fn only_the_lead_id_counts_where_the_operator_wants_it_so(pool: PgPool) {
    let app = app_with(&pool, &[("MATCH_BY", "lead_id")]);
    let jane = lead("jane@example.com").with(&json!({"phone_hash": Hash::of(PHONE)})).store(&pool).await;
    let phone = json!({"phone_hash": Hash::of(PHONE), "other_email_hashes": [Hash::of("jane@example.com")]});
    for (id, named, stage) in [("D-1", None, "closed"), ("D-2", Some(jane), "qualified"), ("D-2", None, "closed")] {
        let deal = json!({"lead_id": named, "conversion_type": stage});
        waiting_deal(id, "jane@example.com").with(&phone).with(&deal).store(&pool).await;
    }
    rematch(&app).await;
    rematch(&app).await;
    let found = "select crm_deal_id, matched_by from public.inbox order by 1, 2 desc";
    let expected = json!([
        {"crm_deal_id": "D-1", "matched_by": null},
        {"crm_deal_id": "D-2", "matched_by": "lead_id"},
        {"crm_deal_id": "D-2", "matched_by": "deal"},
    ]);
    assert_eq!(Value::from(rows(&pool, found).await), expected);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_match_is_taken_back_only_while_no_platform_may_have_the_conversion(pool: PgPool) {
    let app = app(&pool);
    let jane = lead("jane@example.com").store(&pool).await;
    let deal = waiting_deal("D-1", "jane@example.com").store(&pool).await;
    let release = async || app.db.tx(async |tx| conversions::release(tx, deal).await).await.unwrap();
    assert_eq!(release().await, Release::NotMatched);
    assert_eq!(rematch(&app).await, 1);
    assert_eq!(release().await, Release::Released(Some(jane)));
    let left = "select i.state, i.matched_by, (select count(*) from public.conversions) as conversions
        from public.inbox i";
    assert_eq!(row(&pool, left).await, json!({"state": "awaiting_lead", "matched_by": null, "conversions": 0}));
    assert_eq!(rematch(&app).await, 1);
    execute(&pool, "update public.conversion_queue set claims = 1").await;
    assert_eq!(release().await, Release::Refused { lead_id: Some(jane), platforms: vec!["google_ads".into()] });
    assert_eq!(row(&pool, left).await, json!({"state": "matched", "matched_by": "email", "conversions": 1}));
}

/// How long it takes to match a deal.
const AT_MOST: Duration = Duration::from_millis(50);

/// The least time that matching such a deal takes. Tries often if need be, because other tests run at the same time.
async fn time_to_match(app: &App<intake::Config>, pool: &PgPool, deal: &Value) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..40 {
        waiting_deal(&Uuid::new_v4().to_string(), "").with(deal).store(pool).await;
        let began = Instant::now();
        assert_eq!(rematch(app).await, 1);
        best = best.min(began.elapsed());
        if best < AT_MOST {
            break;
        }
    }
    best
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_is_matched_at_once_however_many_leads_have_its_address(pool: PgPool) {
    let leads = scaled(300_000, 30_000);
    let app = app(&pool);
    visitors(&pool, &["jane"]).await;
    let address = json!({"visitor_id": "jane", "phone_hash": Hash::of(PHONE)});
    let jane = lead("jane@example.com").with(&address).store(&pool).await;
    execute(
        &pool,
        &format!(
            "insert into public.leads (
                 email_hash, phone_hash, gclid, click_at, ad_user_data, ad_personalization, consent_source, created_at
             )
             select '{}', '{}', 'stolen', '2026-11-20 10:00Z', 'granted', 'denied', 'form',
                 '2026-11-20 11:00Z'::timestamptz - nth * interval '1 s'
             from generate_series(1, {leads}) as nth",
            Hash::of("jane@example.com").as_str(),
            Hash::of(PHONE).as_str(),
        ),
    )
    .await;
    let by_email = json!({"email_hash": Hash::of("jane@example.com")});
    let by_phone = json!({"email_hash": null, "phone_hash": Hash::of(PHONE)});
    let by_lead_id =
        json!({"lead_id": jane, "email_hash": Hash::of("jane@example.com"), "phone_hash": Hash::of(PHONE)});
    for statistics in ["", "analyze public.leads; analyze public.lead_emails"] {
        execute(&pool, statistics).await;
        for (name, deal) in [("email", &by_email), ("phone", &by_phone), ("lead_id", &by_lead_id)] {
            let took = time_to_match(&app, &pool, deal).await;
            println!("{leads} leads of its address, found by {name}: {took:?}");
            assert!(took < AT_MOST, "{name}: {took:?}");
        }
    }
    let unnoted = "select count(*) from public.inbox where not several_candidates and matched_by <> 'lead_id'";
    assert_eq!(row(&pool, unnoted).await["count"], 0, "not all were looked at, so there may be others");
}
