//! What a run reads from the queue before it sends: the work of each lane, and the number of requests so far.

use chrono::{DateTime, Utc};

use super::Policy;
use super::breaker::State;
use crate::consent::ConsentStatus;
use crate::db::{DbError, Tx};
use crate::platforms::{Operation, Route};

/// Due rows are counted up to this.
const MANY: i64 = 10_000;

/// The work of a lane.
#[derive(Debug)]
pub struct Work {
    pub platform: String,
    /// Whether it is paused.
    pub state: State,
    /// How many rows are due and may be sent, counted up to ten thousand.
    pub due: usize,
    /// Is a verdict due?
    pub has_receipts: bool,
}

/// The work of each of these lanes.
pub async fn work(tx: &mut Tx, policy: &Policy, routes: &[Route], now: DateTime<Utc>) -> Result<Vec<Work>, DbError> {
    let platforms: Vec<_> = routes.iter().map(|route| route.platform).collect();
    let retracts: Vec<_> = routes.iter().map(|route| route.operation == Operation::Retraction).collect();
    let rows = sqlx::query!(
        r#"-- queue::work
        select
            p.platform as "platform!",
            coalesce(s.state = 'paused', false) as "is_paused!", s.next_probe_at,
            coalesce(s.ends_with, '') as "ends_with!",
            (
                select count(*)
                from (
                    select
                    from public.conversion_queue q
                    join public.conversions c on c.id = q.conversion_id
                    -- The same rows as queue::claim takes.
                    where q.platform = p.platform
                        and q.status in ('pending', 'failed')
                        and (q.next_retry_at is null or q.next_retry_at <= $2)
                        and (q.locked_until is null or q.locked_until <= now())
                        and (p.retracts or c.ad_user_data = any($3::text[]))
                        and (q.adjusts is not null or c.retracted_at is null)
                        and (
                            q.adjusts is null
                            or (
                                select o.status in ('uploaded', 'dead_letter')
                                from public.conversion_queue o
                                where o.id = q.adjusts
                            )
                        )
                    limit $4
                ) row
            ) as "due!",
            exists (
                select
                from public.conversion_queue q
                where q.platform = p.platform and q.status = 'uploaded' and q.confirmed_at is null
                    and q.next_status_check_at <= $2
            ) as "has_receipts!"
        from unnest($1::text[], $5::boolean[]) as p (platform, retracts)
        left join public.platform_state s on s.platform = p.platform"#,
        &platforms as &[&str],
        now,
        &policy.unknown_consent.sendable() as &[ConsentStatus],
        MANY,
        &retracts,
    )
    .fetch_all(tx)
    .await?;
    let work = rows.into_iter().map(|row| Work {
        platform: row.platform,
        state: State::of(row.is_paused, row.next_probe_at, &row.ends_with, now),
        due: usize::try_from(row.due).unwrap_or(0),
        has_receipts: row.has_receipts,
    });
    Ok(work.collect())
}

/// Makes rows due whose requests failed: the platform is available again.
pub async fn wake(tx: &mut Tx, platform: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- queue::wake
        update public.conversion_queue
        set next_retry_at = $2
        where id in (
            select id from public.conversion_queue
            where platform = $1 and status in ('pending', 'failed') and transport_failures > 0 and next_retry_at > $2
                and lock_token is null
            order by id
            for no key update
        )",
        platform,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// How many requests were made to an API in the last minute and in the last day.
pub async fn requests(tx: &mut Tx, transport: &str, now: DateTime<Utc>) -> Result<(usize, usize), DbError> {
    let row = sqlx::query!(
        r#"-- queue::requests
        select
            count(distinct exchange_id) filter (
                where attempted_at > $2::timestamptz - interval '1 minute'
            ) as "last_minute!",
            count(distinct exchange_id) as "last_day!"
        from public.upload_attempts
        where transport = $1 and attempted_at > $2::timestamptz - interval '1 day'"#,
        transport,
        now,
    )
    .fetch_one(tx)
    .await?;
    Ok((usize::try_from(row.last_minute).unwrap_or(0), usize::try_from(row.last_day).unwrap_or(0)))
}
