//! Forms that were refused: how many, and why. Nothing else of them is stored, because anybody can send one.

use chrono::{DateTime, Utc};

use crate::db::{DbError, Tx};

/// Nothing in the form says who it is.
pub const NOBODY: &str = "no e-mail address, phone number or click id";
/// The body can't be read at all.
pub const UNREADABLE: &str = "a body that can't be read";
/// It names a source of leads, and doesn't prove to be from it.
pub const UNPROVEN: &str = "a missing or wrong secret";

/// Counts one of this source; of the website's own form, which has no name.
pub async fn count(tx: &mut Tx, source: &str, reason: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- leads::refusals::count
        insert into public.lead_refusals as r (source, reason, hour, last_at)
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

/// Forgets those of more than a week ago.
pub async fn forget(tx: &mut Tx, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- leads::refusals::forget
        delete from public.lead_refusals where hour < $1::timestamptz - interval '7 days 1 hour'",
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What was refused in the last seven days, of one source and for one reason.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
pub struct RefusalCount {
    /// The source; empty for the website's own form.
    pub source: String,
    /// Why, as it is counted.
    pub reason: String,
    /// How many.
    pub refusals: i64,
    /// The last of them.
    pub last_at: DateTime<Utc>,
}

/// Those of the last seven days by source and reason, the most frequent first.
pub async fn of_last_week(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<RefusalCount>, DbError> {
    let refused = sqlx::query_as!(
        RefusalCount,
        r#"-- leads::refusals::of_last_week
        select source, reason, sum(refusals)::bigint as "refusals!", max(last_at) as "last_at!"
        from public.lead_refusals
        where hour > $1::timestamptz - interval '7 days'
        group by source, reason
        order by 3 desc, source, reason"#,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(refused)
}
