//! The clicks that deals bring: in the inbox, and with those of the leads in the conversions.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::attribution::Clicks;
use shared::deals::Deal;
use shared::identity::Hash;
use shared::{App, inbox, intake};
use sqlx::PgPool;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use testing::{app, execute, lead, match_waiting, permutations, row, start, waiting_deal};

use crate::inbox::lead_and_deal;

fn clicks(document: &Value) -> Clicks {
    serde_json::from_value(document.clone()).unwrap()
}

async fn receive(app: &App<intake::Config>, deal: &Deal) {
    let received = app.db.tx(async |tx| inbox::receive(tx, &[(deal, start())], start()).await);
    assert_eq!(received.await.unwrap().len(), 1);
}

async fn stored(pool: &PgPool) -> Value {
    row(pool, "select clicks from public.inbox").await["clicks"].clone()
}

#[sqlx::test(migrations = "../migrations")]
async fn the_newest_report_with_a_click_of_a_network_counts_in_any_order(pool: PgPool) {
    let app = app(&pool);
    let reports = [
        json!({"google": {"gclid": "typo", "at": "2026-11-19T10:00:00Z"}, "meta": {"fbclid": "one", "fbp": "p"}}),
        json!({"google": {"gclid": "one"}, "tiktok": {"ttp": "t"}}),
        json!({}),
        json!({"google": {"gclid": "one", "gad_source": "1"}, "meta": {"fbp": "q"}}),
    ];
    let expected = json!({
        "google": {"gclid": "one", "gad_source": "1"}, "meta": {"fbclid": "one", "fbp": "q"}, "tiktok": {"ttp": "t"},
    });
    for order in permutations(reports.len()) {
        execute(&pool, "truncate public.inbox cascade").await;
        for &nth in &order {
            let (_, deal) = lead_and_deal("jane@example.com", "D-1");
            let updated_at = start() - TimeDelta::hours(9 - i64::try_from(nth).unwrap());
            let payload_hash = Hash::of(format!("report {nth}"));
            receive(&app, &Deal { clicks: clicks(&reports[nth]), updated_at: Some(updated_at), payload_hash, ..deal })
                .await;
        }
        assert_eq!(stored(&pool).await, expected, "{order:?}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_clicks_of_a_matched_deal_stand(pool: PgPool) {
    let app = app(&pool);
    lead("jane@example.com").store(&pool).await;
    let report = |gclid: &str, nth: i64| {
        let (_, deal) = lead_and_deal("jane@example.com", "D-1");
        let at = Some(start() - TimeDelta::hours(9 - nth));
        let found = clicks(&json!({"google": {"gclid": gclid, "at": "2026-11-20T10:30:00Z"}}));
        Deal { clicks: found, updated_at: at, payload_hash: Hash::of(gclid), ..deal }
    };
    receive(&app, &report("one", 1)).await;
    app.db.tx(async |tx| match_waiting(tx, &app.config, &app.clock, 10).await).await.unwrap();
    receive(&app, &report("two", 2)).await;
    let found = row(&pool, "select i.clicks, c.gclid from public.inbox i join public.conversions c on true").await;
    assert_eq!((&found["clicks"]["google"]["gclid"], &found["gclid"]), (&json!("one"), &json!("one")));
}

#[sqlx::test(migrations = "../migrations")]
async fn whatever_a_site_wrote_into_its_leads_the_deal_goes_in(pool: PgPool) {
    let app = app(&pool);
    let of_deal = json!({"google": {"gclid": "deal"}, "meta": {"fbclid": "deal", "at": "2026-11-20T10:00:00Z"}});
    for (nth, written) in [
        json!({"meta": {"fbclid": "lead", "at": "long ago"}}),
        json!({"meta": 7}),
        json!({"meta": "x", "google": null}),
        json!([1]),
        json!(7),
        Value::Null,
    ]
    .into_iter()
    .enumerate()
    {
        let (email, deal) = (format!("p{nth}@example.com"), format!("D-{nth}"));
        // Without the default, as a column of the site's own would be.
        execute(&pool, "alter table public.leads alter clicks drop not null").await;
        let columns = json!({"gclid": null, "click_at": null, "clicks": written});
        lead(&email).with(&columns).store(&pool).await;
        waiting_deal(&deal, &email).with(&json!({"clicks": of_deal})).store(&pool).await;
        let recorded = app.db.tx(async |tx| match_waiting(tx, &app.config, &app.clock, 10).await).await.unwrap();
        assert_eq!(recorded.len(), 1, "{written}");
        let found = format!("select gclid, click_at, clicks from public.conversions where crm_deal_id = '{deal}'");
        let found = row(&pool, &found).await;
        assert_eq!((&found["gclid"], &found["clicks"]["meta"]["fbclid"]), (&json!("deal"), &json!("deal")), "{found}");
        assert_eq!(found["click_at"], "2026-11-20T11:00:00+00:00", "{found}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_version_before_stores_deals_and_erases_no_click(pool: PgPool) {
    let app = app(&pool);
    let report = |crm_deal_id: &'static str, payload: &'static str| {
        let none = [None::<&str>];
        let store: Query<'_, sqlx::Postgres, PgArguments> = sqlx::query(include_str!("before/inbox_store.sql"));
        let store = store.bind(["test"]).bind([crm_deal_id]).bind(["closed"]).bind([None::<f64>]).bind(none);
        let store = store.bind([start()]).bind([None::<uuid::Uuid>]);
        let store = store.bind([Some(Hash::of("jane@example.com").as_str().to_owned())]).bind(none).bind([""]);
        let store = store
            .bind(none)
            .bind([Hash::of(payload).as_str().to_owned()])
            .bind([start()])
            .bind([Some(start())])
            .bind(start());
        store.bind([None::<DateTime<Utc>>]).bind([None::<DateTime<Utc>>]).bind([Some(start())]).bind(none)
    };
    report("D-1", "one").execute(&pool).await.unwrap();
    assert_eq!(stored(&pool).await, json!({}));

    let (_, deal) = lead_and_deal("jane@example.com", "D-1");
    let of_deal = json!({"google": {"gclid": "one"}});
    receive(&app, &Deal { clicks: clicks(&of_deal), ..deal }).await;
    report("D-1", "two").execute(&pool).await.unwrap();
    assert_eq!(stored(&pool).await, of_deal);
}
