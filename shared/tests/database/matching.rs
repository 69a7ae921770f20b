use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::attribution::Clicks;
use shared::consent::Consent;
use shared::conversions::record_matches;
use shared::db::DbError;
use shared::deals::{Deal, Stage};
use shared::identity::{Email, Hash, Phone};
use shared::inbox;
use shared::inbox::matching;
use shared::money::Money;
use shared::{App, intake};
use sqlx::PgPool;
use testing::{Row, app, execute, permutations, row, rows, start, store, waiting_deal};
use uuid::Uuid;

/// A report that names nobody, of a deal that closed now.
fn report(crm_deal_id: &str) -> Deal {
    Deal {
        source: "test".into(),
        crm_deal_id: crm_deal_id.into(),
        conversion_type: Stage::closed(),
        money: None,
        occurred_at: Some(start()),
        event_at: None,
        as_of: start(),
        is_open: false,
        lead_id: None,
        email: None,
        other_emails: Vec::new(),
        phone: None,
        consent: Consent::default(),
        clicks: Clicks::default(),
        updated_at: None,
        payload_hash: Hash::of(crm_deal_id),
    }
}

fn email(address: &str) -> Email {
    Email::parse(address).unwrap()
}

/// Puts it into the inbox and looks for its lead.
async fn receive(app: &App<intake::Config>, deal: &Deal) -> Uuid {
    let received: Result<_, DbError> = app
        .db
        .tx(async |tx| {
            let received = inbox::receive(tx, &[(deal, app.clock.now())], app.clock.now()).await?;
            record_matches(tx, &app.config.destinations, app.config.match_by, &[received[0].inbox_id], app.clock.now())
                .await?;
            Ok(received[0].inbox_id)
        })
        .await;
    received.unwrap()
}

async fn rematch(app: &App<intake::Config>) -> u64 {
    intake::rematch(&app.db, &app.clock, &app.config, app.clock.now() + TimeDelta::minutes(1)).await.unwrap()
}

async fn lead(pool: &PgPool, address: &str) -> Uuid {
    testing::lead(address).store(pool).await
}

/// State, rule, and lead of each deal.
async fn decided(pool: &PgPool) -> Value {
    let query = "select i.crm_deal_id, i.state, i.matched_by, c.lead_id, c.matched_by as conversions
        from public.inbox i left join public.conversions c on c.id = i.conversion_id order by i.crm_deal_id";
    let rows = rows(pool, query).await;
    for row in &rows {
        assert_eq!(row["matched_by"], row["conversions"], "the rule stands on both rows");
    }
    rows.iter().map(|row| json!([row["crm_deal_id"], row["state"], row["matched_by"], row["lead_id"]])).collect()
}

#[sqlx::test(migrations = "../migrations")]
async fn a_lead_is_known_by_every_address_it_ever_had(pool: PgPool) {
    let app = app(&pool);
    let jane = lead(&pool, "jane@example.com").await;
    execute(&pool, &format!("update public.leads set email = ' Jane@Work.example.com ' where id = '{jane}'")).await;
    for (id, address) in [("D-1", "jane@example.com"), ("D-2", "jane@work.example.com")] {
        receive(&app, &Deal { email: Some(email(address)), ..report(id) }).await;
    }
    let expected = json!([["D-1", "matched", "email", jane], ["D-2", "matched", "email", jane]]);
    assert_eq!(decided(&pool).await, expected);
    let hash = row(&pool, "select email_hash from public.leads").await;
    assert_eq!(hash["email_hash"], json!(Hash::of("jane@example.com")), "the click belongs to the form's address");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_address_the_site_stores_itself_counts_too(pool: PgPool) {
    let app = app(&pool);
    receive(&app, &Deal { email: Some(email("joan@example.com")), ..report("D-1") }).await;
    let joan = Row::of("leads", &json!({"email": "Joan@example.com"})).store(&pool).await;
    Row::of("leads", &json!({"email": "not an address"})).store(&pool).await;
    assert_eq!(rematch(&app).await, 1);
    assert_eq!(decided(&pool).await, json!([["D-1", "matched", "email", joan]]));
}

#[sqlx::test(migrations = "../migrations")]
async fn any_of_a_persons_addresses_finds_the_lead(pool: PgPool) {
    let app = app(&pool);
    let addresses = vec![email("private@example.com"), email("jane@example.com")];
    let deal = Deal { email: Some(email("work@example.com")), other_emails: addresses, ..report("D-1") };
    receive(&app, &deal).await;
    assert_eq!(decided(&pool).await, json!([["D-1", "awaiting_lead", null, null]]));
    let jane = lead(&pool, "jane@example.com").await;
    assert_eq!(rematch(&app).await, 1);
    assert_eq!(decided(&pool).await, json!([["D-1", "matched", "email", jane]]));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_certain_match_adds_the_deals_addresses_to_the_lead(pool: PgPool) {
    let app = app(&pool);
    let jane = lead(&pool, "jane@example.com").await;
    execute(&pool, &format!("update public.leads set phone_hash = '{}'", Hash::of("+493023125123").as_str())).await;
    let by_phone = Phone::parse("+49 30 23125123", None).unwrap();
    let named = |id: &str, address: &str| Deal { email: Some(email(address)), ..report(id) };
    receive(&app, &Deal { lead_id: Some(jane), ..named("D-1", "boss@example.com") }).await;
    receive(&app, &Deal { phone: Some(by_phone), ..named("D-2", "colleague@example.com") }).await;
    receive(&app, &named("D-3", "boss@example.com")).await;
    receive(&app, &named("D-4", "colleague@example.com")).await;
    let expected = json!([
        ["D-1", "matched", "lead_id", jane],
        ["D-2", "matched", "phone", jane],
        ["D-3", "matched", "email", jane],
        // A phone may be a whole company's.
        ["D-4", "awaiting_lead", null, null],
    ]);
    assert_eq!(decided(&pool).await, expected);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_stage_without_a_known_person_is_matched_like_the_deals_other_stage(pool: PgPool) {
    let app = app(&pool);
    let jane = lead(&pool, "jane@example.com").await;
    receive(&app, &report("D-1")).await;
    let qualified = Deal {
        conversion_type: Stage::qualified(),
        email: Some(email("jane@example.com")),
        payload_hash: Hash::of("qualified"),
        ..report("D-1")
    };
    receive(&app, &qualified).await;
    assert_eq!(rematch(&app).await, 1);
    let query = "select conversion_type, matched_by, lead_id from public.conversions order by 1";
    let expected = json!([
        {"conversion_type": "closed", "matched_by": "deal", "lead_id": jane},
        {"conversion_type": "qualified", "matched_by": "email", "lead_id": jane},
    ]);
    assert_eq!(Value::from(rows(&pool, query).await), expected);
}

#[sqlx::test(migrations = "../migrations")]
async fn the_operators_assignment_overrides_the_crm(pool: PgPool) {
    let app = app(&pool);
    let (jane, joan) = (lead(&pool, "jane@example.com").await, lead(&pool, "joan@example.com").await);
    let attach =
        async |deal, lead| app.db.tx(async |tx| matching::attach(tx, deal, lead, start()).await).await.unwrap();
    let waiting = receive(&app, &Deal { email: Some(email("typo@example.com")), ..report("D-1") }).await;
    assert!(!attach(waiting, Uuid::nil()).await, "there is no such lead");
    assert!(attach(waiting, joan).await);
    // The CRM hasn't heard of it and goes on as before.
    let again = Deal { email: Some(email("jane@example.com")), payload_hash: Hash::of("again"), ..report("D-1") };
    receive(&app, &again).await;
    assert_eq!(decided(&pool).await, json!([["D-1", "matched", "manual", joan]]));
    assert!(!attach(waiting, jane).await, "what is matched stays so");

    let expired = receive(&app, &report("D-2")).await;
    app.clock.advance(TimeDelta::days(91));
    app.db.tx(async |tx| inbox::expire(tx, app.clock.now()).await).await.unwrap();
    assert!(attach(expired, jane).await);
    assert_eq!(rematch(&app).await, 1);
    assert_eq!(decided(&pool).await[1], json!(["D-2", "matched", "manual", jane]));
}

#[sqlx::test(migrations = "../migrations")]
async fn all_waiting_deals_are_matched_again(pool: PgPool) {
    let app = app(&pool);
    let deals = (1..=2_345).map(|nth| {
        let received_at = start() - TimeDelta::days(19) + TimeDelta::minutes(nth / 3);
        let deal = waiting_deal(&format!("D-{nth}"), &format!("p{nth}@example.com"));
        deal.with(&json!({"received_at": received_at}))
    });
    store(&pool, deals.collect()).await;
    for nth in [1, 500, 501, 1_000, 2_345] {
        lead(&pool, &format!("p{nth}@example.com")).await;
    }
    assert_eq!(rematch(&app).await, 5);
    assert_eq!(rematch(&app).await, 0);
}

/// What stands of a deal that waits, whatever the order in which its reports came.
#[sqlx::test(migrations = "../migrations")]
async fn each_field_comes_from_the_newest_report_that_has_it(pool: PgPool) {
    let app = app(&pool);
    let at = |hour: u32| -> DateTime<Utc> { format!("2026-11-20T{hour:02}:00:00Z").parse().unwrap() };
    let money = |value| Some(Money::new(value, "EUR".into()));
    let hashed = |nth: u32| Hash::of(format!("report {nth}"));
    let bare = || Deal { occurred_at: None, ..report("D-1") };
    let reports = [
        Deal { updated_at: Some(at(5)), occurred_at: Some(at(3)), email: Some(email("typo@example.com")), ..bare() },
        Deal { updated_at: Some(at(6)), email: Some(email("jane@example.com")), money: money(100.0), ..bare() },
        Deal { updated_at: Some(at(7)), occurred_at: Some(at(4)), ..bare() },
        Deal { updated_at: Some(at(8)), money: money(200.0), ..bare() },
    ];
    let expected = json!({
        "value": 200.0, "occurred_at": "2026-11-20T04:00:00+00:00", "email_hash": Hash::of("jane@example.com"),
    });
    for order in permutations(reports.len()) {
        execute(&pool, "truncate public.inbox cascade").await;
        for &nth in &order {
            let report = &reports[nth];
            let payload_hash = hashed(u32::try_from(nth).unwrap());
            receive(&app, &Deal { payload_hash, email: report.email.clone(), ..copy(report) }).await;
        }
        assert_eq!(row(&pool, "select value, occurred_at, email_hash from public.inbox").await, expected, "{order:?}");
    }
}

fn copy(deal: &Deal) -> Deal {
    Deal { money: deal.money.clone(), occurred_at: deal.occurred_at, updated_at: deal.updated_at, ..report("D-1") }
}
