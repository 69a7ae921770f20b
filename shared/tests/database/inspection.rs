//! What `adtrail doctor` looks at is what the migrations make.

use shared::db::inspection::{FUNCTIONS, RELATIONS};
use shared::db::migrations::{Schema, compare};
use sqlx::PgPool;
use testing::{app, execute};

#[sqlx::test(migrations = "../migrations")]
async fn every_object_of_ours_is_looked_at(pool: PgPool) {
    for (sql, known) in [
        (
            "select relname::text from pg_class
             where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm') order by 1",
            RELATIONS.as_slice(),
        ),
        (
            "select distinct proname::text from pg_proc where pronamespace = 'public'::regnamespace order by 1",
            FUNCTIONS.as_slice(),
        ),
    ] {
        let made: Vec<String> = sqlx::query_scalar(sql).fetch_all(&pool).await.unwrap();
        assert_eq!(made, known, "add what a migration makes to shared/src/db/inspection.rs");
    }
}

/// As `supabase db push` records it: the site's own migrations are there, too.
#[sqlx::test(migrations = "../migrations")]
async fn a_schema_of_supabases_tool_is_compared_by_its_record(pool: PgPool) {
    let app = app::<()>(&pool);
    let schema = async || app.db.tx(async |tx| compare(tx).await).await.unwrap();
    assert_eq!(schema().await, Schema::Current);
    execute(
        &pool,
        "create schema supabase_migrations;
         create table supabase_migrations.schema_migrations (version text);
         insert into supabase_migrations.schema_migrations
         select to_char(version, 'FM000') from public._sqlx_migrations union select '20260101120000';
         drop table public._sqlx_migrations",
    )
    .await;
    assert_eq!(schema().await, Schema::Current);
    execute(&pool, "delete from supabase_migrations.schema_migrations where version = '021'").await;
    assert!(matches!(schema().await, Schema::Older(missing) if missing[0].version == 21), "the site's is no later one");
    execute(&pool, "drop schema supabase_migrations cascade").await;
    assert_eq!(schema().await, Schema::Unrecorded);
}
