//! Webhooks that failed authentication: how many, and why.

use chrono::{DateTime, Utc};

use crate::db::{DbError, Tx};
use crate::leads::refusals::RefusalCount;

/// Counts one. Nothing else of it is stored, because anybody can send one.
pub async fn count(tx: &mut Tx, source: &str, reason: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- inbox::refusals::count
        insert into public.webhook_refusals as r (source, reason, hour, last_at)
        values ($1, $2, date_trunc('hour', $3::timestamptz, 'UTC'), $3)
        on conflict (source, reason, hour) do update
        set refusals = r.refusals + 1, last_at = greatest(r.last_at, excluded.last_at)",
        source,
        reason,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Those of the last seven days, the most frequent first.
pub async fn of_last_week(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<RefusalCount>, DbError> {
    let refused = sqlx::query_as!(
        RefusalCount,
        r#"-- inbox::refusals::of_last_week
        select source, reason, sum(refusals)::bigint as "refusals!", max(last_at) as "last_at!"
        from public.webhook_refusals
        where hour > $1::timestamptz - interval '7 days'
        group by source, reason
        order by 3 desc, source, reason"#,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(refused)
}
