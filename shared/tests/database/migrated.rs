//! What the migrations make of rows from before them.

use std::path::Path;

use serde_json::json;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use testing::{app, execute, lead, match_waiting, row, rows, waiting_deal};

/// The migrations before this one, and all of them.
async fn migrations(before: i64) -> (Migrator, Migrator) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations"));
    let all = Migrator::new(folder).await.unwrap();
    let mut first = Migrator::new(folder).await.unwrap();
    first.migrations.to_mut().retain(|migration| migration.version < before);
    (first, all)
}

/// Google knows the closing of deal 1042 by this id, whichever version recorded it.
const CLOSING_OF_1042: &str = "adtrail-c55481abceee21e862c513c8dfa97fbc";

#[sqlx::test(migrations = false)]
async fn a_conversion_from_before_deliveries_has_the_id_it_would_have_today(pool: PgPool) {
    let (before, all) = migrations(6).await;
    assert_eq!(before.iter().count(), 6, "000 to 005");
    before.run(&pool).await.unwrap();
    execute(
        &pool,
        "with lead as (insert into public.leads (email) values ('jane@example.com') returning id)
         insert into public.conversions (lead_id, conversion_type, idempotency_key)
         select id, 'closed', '1042:closed' from lead",
    )
    .await;
    all.run(&pool).await.unwrap();
    let id = async || row(&pool, "select transaction_id from public.conversions").await["transaction_id"].clone();
    assert_eq!(id().await, CLOSING_OF_1042);

    execute(&pool, "delete from public.leads").await;
    lead("jane@example.com").store(&pool).await;
    waiting_deal("1042", "jane@example.com").store(&pool).await;
    let app = app(&pool);
    assert_eq!(app.db.tx(async |tx| match_waiting(tx, &app.config, &app.clock, 1).await).await.unwrap().len(), 1);
    assert_eq!(id().await, CLOSING_OF_1042);
}

#[sqlx::test(migrations = false)]
async fn a_click_from_before_clicks_by_network_is_googles(pool: PgPool) {
    let (before, all) = migrations(15).await;
    before.run(&pool).await.unwrap();
    execute(
        &pool,
        "insert into public.visitors (visitor_id, gclid, click_at, gad_campaignid)
         values ('v', 'one', '2026-11-20 10:00Z', '77'), ('w', null, null, null);
         insert into public.leads (name, gclid, gbraid, click_at, updated_at)
         values ('Jane', 'one', null, '2026-11-20 10:00Z', '2026-11-20 11:00Z'), ('Joan', 'a b', null, null, default),
            ('Luc', 'a b', 'two', null, default), ('Ada', null, null, null, default);
         insert into public.conversions (
            lead_id, conversion_type, idempotency_key, crm_deal_id, occurred_at, transaction_id, gclid, click_at
         )
         select id, 'closed', '1042:closed', '1042', now(), 'adtrail-1', gclid, click_at
         from public.leads where name = 'Jane';
         create function public.refuse() returns trigger language plpgsql as $$
         begin raise 'the site''s own trigger ran'; end $$;
         create trigger of_the_site before update on public.leads for each row execute function public.refuse();
         create trigger off before update on public.leads for each row execute function public.refuse();
         alter table public.leads disable trigger off",
    )
    .await;
    all.run(&pool).await.unwrap();
    let one = json!({"google": {"gclid": "one", "at": "2026-11-20T10:00:00.000000Z"}});
    let clicks = async |query: &str| json!(rows(&pool, query).await);
    let of_campaign = json!({"gclid": "one", "gad_campaignid": "77", "at": "2026-11-20T10:00:00.000000Z"});
    assert_eq!(
        clicks("select clicks from public.visitors order by visitor_id").await,
        json!([{"clicks": {"google": of_campaign}}, {"clicks": {}}])
    );
    assert_eq!(
        clicks("select name, clicks from public.leads order by name").await,
        json!([
            {"name": "Ada", "clicks": {}}, {"name": "Jane", "clicks": one}, {"name": "Joan", "clicks": {}},
            {"name": "Luc", "clicks": {"google": {"gbraid": "two"}}},
        ])
    );
    assert_eq!(clicks("select clicks from public.conversions").await, json!([{"clicks": one}]));
    let jane = row(&pool, "select updated_at from public.leads where name = 'Jane'").await;
    assert_eq!(jane["updated_at"], "2026-11-20T11:00:00+00:00");
    let triggers = "select tgname, tgenabled from pg_trigger where tgname in ('of_the_site', 'off') order by tgname";
    assert_eq!(
        clicks(triggers).await,
        json!([{"tgname": "of_the_site", "tgenabled": "O"}, {"tgname": "off", "tgenabled": "D"}])
    );
}

#[sqlx::test(migrations = false)]
async fn a_column_of_the_sites_own_of_another_type_stops_the_migration(pool: PgPool) {
    let (before, all) = migrations(15).await;
    before.run(&pool).await.unwrap();
    execute(&pool, "alter table public.leads add column clicks integer").await;
    let error = all.run(&pool).await.unwrap_err().to_string();
    assert!(error.contains("clicks is integer, not jsonb"), "{error}");
}
