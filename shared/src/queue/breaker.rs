//! The circuit breaker, one row per lane. A lane is paused if every request is refused, because of a setting or a
//! credential, or if the platform is unavailable. The pause is stored with the sentence that says the fix; the lane's
//! rows don't change, and probes are sent at intervals.

use chrono::{DateTime, Utc};

use crate::db::{DbError, Tx};
use crate::platforms::{Destinations, Operation, Reason};

/// Whether a lane sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Active,
    /// A probe is due: send one row. If it is accepted, the pause ends.
    Probe,
    /// A probe is due, in a pause because verdicts were rejections: send one row and wait for its verdict.
    ProbeUntilConfirmed,
    Paused,
    /// Nothing is sent; a verdict may end the pause.
    PausedUntilConfirmed,
}

impl State {
    /// From a row of `platform_state`.
    pub(crate) fn of(
        is_paused: bool,
        next_probe_at: Option<DateTime<Utc>>,
        ends_with: &str,
        now: DateTime<Utc>,
    ) -> Self {
        let is_time = next_probe_at.is_none_or(|at| at <= now);
        match (is_paused, ends_with, is_time) {
            (false, ..) => Self::Active,
            (true, "confirmation", true) => Self::ProbeUntilConfirmed,
            (true, "confirmation", false) => Self::PausedUntilConfirmed,
            (true, _, true) => Self::Probe,
            (true, _, false) => Self::Paused,
        }
    }

    /// Does the pause end only when the platform has confirmed something?
    #[must_use]
    pub fn is_until_confirmed(self) -> bool {
        matches!(self, Self::ProbeUntilConfirmed | Self::PausedUntilConfirmed)
    }
}

/// The state of a platform.
pub async fn state(tx: &mut Tx, platform: &str, now: DateTime<Utc>) -> Result<State, DbError> {
    let paused = sqlx::query!(
        "-- queue::breaker::state
        select next_probe_at, ends_with from public.platform_state where platform = $1 and state = 'paused'",
        platform,
    )
    .fetch_optional(tx)
    .await?;
    Ok(paused.map_or(State::Active, |pause| State::of(true, pause.next_probe_at, &pause.ends_with, now)))
}

/// Why a platform is paused and until when.
#[derive(Clone, Copy, Debug)]
pub struct Pause<'a> {
    /// What happened and what to do.
    pub reason: &'a Reason,
    /// When to try again.
    pub next_probe_at: DateTime<Utc>,
    /// Does it end only when the platform has confirmed something?
    pub until_confirmed: bool,
}

/// Pauses a platform until the next try. A platform that stays paused keeps the time it was first paused.
pub async fn pause(tx: &mut Tx, platform: &str, pause: Pause<'_>, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::breaker::pause
        insert into public.platform_state as p (platform, state, reason, paused_at, next_probe_at, ends_with)
        values ($1, 'paused', $2, $3, $4, $5)
        on conflict (platform) do update
        set state = 'paused', reason = excluded.reason, paused_at = coalesce(p.paused_at, excluded.paused_at),
            next_probe_at = excluded.next_probe_at, ends_with = excluded.ends_with",
        platform,
        format!("{}: {}", pause.reason.code, pause.reason.message),
        now,
        pause.next_probe_at,
        if pause.until_confirmed { "confirmation" } else { "acceptance" },
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Postpones the next probe of a paused platform.
pub async fn postpone_probe(tx: &mut Tx, platform: &str, until: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::breaker::postpone_probe
        update public.platform_state set next_probe_at = $2 where platform = $1 and state = 'paused'",
        platform,
        until,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Records that the platform accepted something, which ends its pause unless that requires a confirmation.
pub(crate) async fn accepted(
    tx: &mut Tx,
    platform: &str,
    is_confirmation: bool,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::breaker::accepted
        insert into public.platform_state as p (platform, last_accepted_at)
        values ($1, $2)
        on conflict (platform) do update set last_accepted_at = excluded.last_accepted_at",
        platform,
        now,
    )
    .execute(&mut *tx)
    .await?;
    resume(tx, platform, is_confirmation).await
}

/// Ends the platform's pause, unless that requires a confirmation and this isn't one.
pub(crate) async fn resume(tx: &mut Tx, platform: &str, is_confirmation: bool) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::breaker::resume
        update public.platform_state
        set state = 'active', reason = null, paused_at = null, next_probe_at = null, ends_with = 'acceptance'
        where platform = $1 and state = 'paused' and ($2 or ends_with = 'acceptance')",
        platform,
        is_confirmation,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends the pauses of platforms without open rows that could be the probe: without one they would never end.
pub(super) async fn resume_idle(tx: &mut Tx, destinations: &Destinations, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::breaker::resume_idle
        update public.platform_state s
        set state = 'active', reason = null, paused_at = null, next_probe_at = null, ends_with = 'acceptance'
        where s.state = 'paused' and s.next_probe_at <= $1
            -- Lanes of events have a queue of their own.
            and s.platform not like 'events:%'
            and not exists (
                select
                from public.conversion_queue q
                join public.conversions c on c.id = q.conversion_id
                where q.platform = s.platform
                    and (
                        -- Those whose consent is denied are not sent; retractions are.
                        (q.status in ('pending', 'failed') and (c.ad_user_data <> 'denied' or q.platform = any($2)))
                        or (q.status = 'uploaded' and q.confirmed_at is null and q.next_status_check_at is not null)
                    )
            )",
        now,
        &destinations.correction_lanes(Operation::Retraction),
    )
    .execute(tx)
    .await?;
    Ok(())
}
