use serde_json::{Value, json};
use shared::attribution::{Attribution, Clicks};
use shared::consent::Consent;
use shared::conversions::record_matches;
use shared::db::DbError;
use shared::deals::{Deal, Stage};
use shared::identity::{Email, Hash};
use shared::inbox;
use shared::leads::{self, NewLead};
use shared::locks;
use shared::rate_limits::Callers;
use shared::{App, intake};
use sqlx::PgPool;
use testing::{app, lead, match_waiting, rows, start, waiting_deal};

/// A deal of jane@example.com.
async fn deal(pool: &PgPool, id: &str, received_at: &str) {
    let columns = json!({"occurred_at": received_at, "received_at": received_at});
    waiting_deal(id, "jane@example.com").with(&columns).store(pool).await;
}

async fn expire(app: &App<intake::Config>) -> u64 {
    app.db.tx(async |tx| inbox::expire(tx, app.clock.now()).await).await.unwrap()
}

async fn rematch(app: &App<intake::Config>, limit: u16) -> usize {
    let matched: Result<_, DbError> =
        app.db.tx(async |tx| match_waiting(tx, &app.config, &app.clock, limit).await).await;
    matched.unwrap().len()
}

async fn states(pool: &PgPool) -> Value {
    rows(pool, "select crm_deal_id, state from public.inbox order by crm_deal_id")
        .await
        .iter()
        .map(|row| (row["crm_deal_id"].as_str().unwrap().to_owned(), row["state"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_waits_90_days_and_stays_visible_as_expired(pool: PgPool) {
    let app = app(&pool);
    deal(&pool, "a second more", "2026-08-22T11:59:59Z").await;
    deal(&pool, "90 days", "2026-08-22T12:00:00Z").await;
    assert_eq!(expire(&app).await, 1);
    assert_eq!(states(&pool).await, json!({"a second more": "expired", "90 days": "awaiting_lead"}));
    assert_eq!(expire(&app).await, 0);

    lead("jane@example.com").store(&pool).await;
    assert_eq!(rematch(&app, 10).await, 1);
    assert_eq!(states(&pool).await, json!({"a second more": "expired", "90 days": "matched"}));
    app.clock.advance(chrono::TimeDelta::days(1));
    assert_eq!(expire(&app).await, 0, "what found its lead is done");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_lead_that_came_by_another_way_is_found_by_the_schedule_the_longest_waiting_first(pool: PgPool) {
    let app = app(&pool);
    for day in 1..=5 {
        deal(&pool, &format!("D-{day}"), &format!("2026-11-{day:02}T00:00:00Z")).await;
    }
    assert_eq!(rematch(&app, 10).await, 0);
    // The site's own code stores it, not POST /api/leads.
    lead("jane@example.com").store(&pool).await;
    assert_eq!(rematch(&app, 2).await, 2);
    let waits = "awaiting_lead";
    let expected = json!({"D-1": "matched", "D-2": "matched", "D-3": waits, "D-4": waits, "D-5": waits});
    assert_eq!(states(&pool).await, expected);
    assert_eq!((rematch(&app, 10).await, rematch(&app, 10).await), (3, 0));
    assert_eq!(rows(&pool, "select 1 from public.conversions").await.len(), 5);
    assert_eq!(rows(&pool, "select 1 from public.conversion_queue").await.len(), 5);
}

/// Two uploaders at once, or an uploader and a lead: each deal is one's alone.
#[sqlx::test(migrations = "../migrations")]
async fn a_deal_that_another_transaction_has_locked_is_skipped(pool: PgPool) {
    let app = app(&pool);
    for day in 1..=4 {
        let email = format!("p{day}@example.com");
        waiting_deal(&format!("D-{day}"), &email).store(&pool).await;
        lead(&email).store(&pool).await;
    }
    let (mine, theirs) = app
        .db
        .tx(async |tx| {
            let mine = match_waiting(tx, &app.config, &app.clock, 3).await?.len();
            Ok::<_, DbError>((mine, rematch(&app, 10).await))
        })
        .await
        .unwrap();
    assert_eq!((mine, theirs), (3, 1));
    assert_eq!(rows(&pool, "select 1 from public.conversions").await.len(), 4);
}

/// A form of this person, and their deal, closed now.
pub fn lead_and_deal(email: &str, crm_deal_id: &str) -> (NewLead, Deal) {
    let email = Email::parse(email).unwrap();
    let lead = NewLead {
        transaction_id: format!("t-{crm_deal_id}"),
        email: Some(email.clone()),
        phone: None,
        name: None,
        message: None,
        consent_marketing: None,
        consent_data_processing: None,
        consent: Consent::default(),
        gpc: false,
        visitor_id: None,
        cookie: Attribution::default(),
        body: Attribution::default(),
        site: None,
        session_attributes: None,
        spam_signs: Vec::new(),
        warnings: Vec::new(),
        source: None,
        at: start(),
    };
    let deal = Deal {
        source: "crm-conversion".into(),
        crm_deal_id: crm_deal_id.into(),
        conversion_type: Stage::closed(),
        money: None,
        occurred_at: Some(start()),
        event_at: None,
        as_of: start(),
        is_open: false,
        lead_id: None,
        email: Some(email),
        other_emails: Vec::new(),
        phone: None,
        consent: Consent::default(),
        clicks: Clicks::default(),
        updated_at: None,
        payload_hash: Hash::of("x"),
    };
    (lead, deal)
}

/// A form and a CRM that are quick may both come first. A deal that comes second sees its lead; one that comes first
/// waits for the uploader's run.
#[sqlx::test(migrations = "../migrations")]
async fn a_deal_and_its_lead_that_come_at_once_do_not_miss_each_other(pool: PgPool) {
    let app = app::<intake::Config>(&pool);
    for nth in 0..40 {
        let (lead, deal) = lead_and_deal(&format!("p{nth}@example.com"), &format!("D-{nth}"));
        let created = app.db.tx(async |tx| leads::create(tx, &lead, &Callers::default()).await);
        let by_deal = app.db.tx(async |tx| {
            locks::take(tx, &inbox::locks_of(&deal)).await?;
            let received = inbox::receive(tx, &[(&deal, start())], start()).await?;
            Ok::<_, DbError>(
                record_matches(
                    tx,
                    &app.config.destinations,
                    app.config.match_by,
                    &[received[0].inbox_id],
                    app.clock.now(),
                )
                .await?
                .len(),
            )
        });
        let (created, by_deal) = tokio::join!(created, by_deal);
        created.unwrap();
        let by_run = app.db.tx(async |tx| match_waiting(tx, &app.config, &app.clock, 10).await).await.unwrap().len();
        assert_eq!(by_deal.unwrap() + by_run, 1, "round {nth}");
    }
}
