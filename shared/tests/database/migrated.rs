//! What the migrations make of rows from before them.

use std::path::Path;

use sqlx::PgPool;
use sqlx::migrate::Migrator;
use testing::{app, execute, lead, match_waiting, row, waiting_deal};

/// Google knows the closing of deal 1042 by this id, whichever version recorded it.
const CLOSING_OF_1042: &str = "adtrail-c55481abceee21e862c513c8dfa97fbc";

#[sqlx::test(migrations = false)]
async fn a_conversion_from_before_deliveries_has_the_id_it_would_have_today(pool: PgPool) {
    let migrations = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations"));
    let all = Migrator::new(migrations).await.unwrap();
    let mut before = Migrator::new(migrations).await.unwrap();
    before.migrations.to_mut().retain(|migration| migration.version < 6);
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
    assert_eq!(app.db.tx(async |tx| match_waiting(tx, &app, 1).await).await.unwrap().len(), 1);
    assert_eq!(id().await, CLOSING_OF_1042);
}
