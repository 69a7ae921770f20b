//! The circuit breaker, one row per platform. A platform that refuses us as such, because of a setting or a credential,
//! is paused with the sentence that puts it right; its rows wait untouched, and it is tried again from time to time.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{DbError, Tx};
use crate::platforms::Reason;

/// May the platform be used now?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Active,
    /// It was paused; try it with one row.
    Probe,
    /// Not yet.
    Paused,
}

/// The state of a platform.
///
/// # Errors
/// Those of the database.
pub async fn state(tx: &mut Tx, platform: &str, now: DateTime<Utc>) -> Result<State, DbError> {
    let paused_until = sqlx::query_scalar!(
        "-- breaker::state
        select next_probe_at from public.platform_state where platform = $1 and state = 'paused'",
        platform,
    )
    .fetch_optional(tx)
    .await?;
    Ok(match paused_until.flatten() {
        None => State::Active,
        Some(at) if at <= now => State::Probe,
        Some(_) => State::Paused,
    })
}

/// Pauses a platform until the next try. A platform that stays paused keeps the time it was first paused.
///
/// # Errors
/// Those of the database.
pub async fn pause(
    tx: &mut Tx,
    platform: &str,
    reason: &Reason,
    now: DateTime<Utc>,
    probe_after: TimeDelta,
) -> Result<(), DbError> {
    sqlx::query!(
        "-- breaker::pause
        insert into public.platform_state as p (platform, state, reason, paused_at, next_probe_at)
        values ($1, 'paused', $2, $3, $4)
        on conflict (platform) do update
        set state = 'paused', reason = excluded.reason, paused_at = coalesce(p.paused_at, excluded.paused_at),
            next_probe_at = excluded.next_probe_at",
        platform,
        format!("{}: {}", reason.code, reason.message),
        now,
        now + probe_after,
    )
    .execute(tx)
    .await?;
    Ok(())
}
