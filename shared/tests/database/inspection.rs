//! What `adtrail doctor` looks at is what the migrations make.

use shared::db::inspection::{FUNCTIONS, RELATIONS};
use sqlx::PgPool;

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
