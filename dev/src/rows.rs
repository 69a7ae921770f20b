//! `GET /dev/rows`: what is in the database, for people who want to see it.

use serde_json::Value;
use shared::db::{Db, DbError};

/// The newest twenty rows of every table, and `conversion_metrics`, as one JSON object.
pub async fn newest(db: &Db) -> Result<Value, DbError> {
    db.tx(async |tx| {
        sqlx::query_scalar(
            "-- rows::newest
                select jsonb_build_object(
                    'visitors', (
                        select jsonb_agg(t)
                        from (select * from public.visitors order by last_seen_at desc limit 20) t
                    ),
                    'leads', (
                        select jsonb_agg(t)
                        from (select * from public.leads order by created_at desc limit 20) t
                    ),
                    'tracking_events', (
                        select jsonb_agg(t)
                        from (select * from public.tracking_events order by created_at desc limit 20) t
                    ),
                    'inbox', (
                        select jsonb_agg(t)
                        from (select * from public.inbox order by received_at desc limit 20) t
                    ),
                    'conversions', (
                        select jsonb_agg(t)
                        from (select * from public.conversions order by created_at desc limit 20) t
                    ),
                    'conversion_queue', (
                        select jsonb_agg(t)
                        from (select * from public.conversion_queue order by created_at desc limit 20) t
                    ),
                    'upload_attempts', (
                        select jsonb_agg(t)
                        from (select * from public.upload_attempts order by attempted_at desc limit 20) t
                    ),
                    'platform_state', (select jsonb_agg(t) from public.platform_state t),
                    'conversion_metrics', (select to_jsonb(t) from public.conversion_metrics t)
                )",
        )
        .fetch_one(tx)
        .await
        .map_err(DbError::from)
    })
    .await
}
