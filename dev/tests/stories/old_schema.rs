//! The functions on a schema that wasn't migrated yet: nothing is half stored, and the log says what to do.

use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use testing::{execute, row_counts};

use crate::stage::Stage;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");
/// The schema of the first release that had all endpoints but one.
const FIRST: i64 = 9;

#[sqlx::test(migrations = false)]
async fn a_call_is_stored_whole_or_answered_503_and_stored_later(pool: PgPool) {
    let stage = Stage::new(pool.clone()).await;
    let origin = [("origin", stage.base.as_str())];
    let (mut refused, mut last) = (0, Vec::new());
    for migration in MIGRATIONS.iter() {
        execute(&pool, &format!("begin; {}; commit", migration.sql)).await;
        if migration.version < FIRST {
            continue;
        }
        last.clear();
        let nth = migration.version;
        let lead = json!({"email": format!("jane{nth}@example.com"), "transaction_id": format!("form-{nth}")});
        let event = json!({"event_id": format!("event-{nth}"), "event_name": "signup", "params": {}});
        let visit = json!({"url": "https://www.example.com/?gclid=x"});
        let deal = json!({
            "crm_deal_id": format!("D-{nth}"), "conversion_type": "closed", "email": format!("jane{nth}@example.com"),
        });
        for path in ["/api/track/visit", "/api/track/event", "/api/leads", "/api/webhooks/crm-conversion"] {
            let before = row_counts(&pool).await;
            let answer = match path {
                "/api/track/visit" => stage.call(Method::POST, path, &origin, visit.to_string()).await,
                "/api/track/event" => stage.call(Method::POST, path, &origin, event.to_string()).await,
                "/api/leads" => stage.call(Method::POST, path, &origin, lead.to_string()).await,
                _ => stage.deal(&deal).await,
            };
            let is_stored = answer.status.is_success();
            assert!(is_stored || answer.status == StatusCode::SERVICE_UNAVAILABLE, "{nth} {path}: {answer:?}");
            if !is_stored {
                refused += 1;
                assert!(answer.retry_after.is_some(), "{nth} {path}: {answer:?}");
                assert_eq!(row_counts(&pool).await, before, "{nth} {path}");
            }
            last.push((path, answer.status));
        }
    }
    assert!(refused > 0, "no migration is needed");
    assert!(last.iter().all(|(_, status)| status.is_success()), "{last:?}");
}

/// Functions of the version before go on while the schema is new already: what they read and write stays.
#[test]
fn migrations_take_nothing_away() {
    for migration in MIGRATIONS.iter().filter(|it| it.version > FIRST) {
        let sql = migration.sql.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        for taken in
            ["drop table", "drop column", "drop view", "drop schema", " rename ", " set not null", " set data type"]
        {
            assert!(!sql.contains(taken), "{} has{taken}", migration.description);
        }
    }
}
