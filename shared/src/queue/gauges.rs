//! What the queue looks like after a run, in numbers for metrics. Open rows and the last day only, because it is read
//! every few minutes from tables that grow for ever.

use chrono::{DateTime, Utc};

use super::Policy;
use crate::consent::ConsentStatus;
use crate::db::{DbError, Tx};
use crate::platforms::{Destinations, Operation, Route};

/// A lane that has open rows, rows without a verdict, or a state.
#[derive(Debug, PartialEq, Eq)]
pub struct LaneGauges {
    pub lane: String,
    /// Rows that are not sent yet, or to be retried.
    pub open: i64,
    /// Of the open: held, because nobody knows whether the person consents.
    pub held: i64,
    /// Of the open: tried at least once, and still waiting.
    pub retrying: i64,
    /// Accepted rows whose verdict is still asked for.
    pub unconfirmed: i64,
    /// Since when the longest waiting row has been due that may be sent.
    pub due_since: Option<DateTime<Utc>>,
    /// Since when nothing has been accepted although rows wait that may be sent. None if none wait.
    pub idle_since: Option<DateTime<Utc>>,
    pub is_paused: bool,
}

/// How each lane stands. A row that was tried waits from the first request after the last one that was accepted: its
/// own time moves with each retry.
pub async fn lanes(
    tx: &mut Tx,
    policy: &Policy,
    destinations: &Destinations,
    transports: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<LaneGauges>, DbError> {
    let lanes = sqlx::query_as!(
        LaneGauges,
        r#"-- queue::gauges::lanes
        with row as (
            select
                q.platform as lane, greatest(q.next_retry_at, q.created_at) as due_at,
                q.status = 'failed' or q.transport_failures > 0 as was_tried,
                c.ad_user_data <> all($1::text[]) and q.platform <> all($2::text[]) as awaits_consent,
                -- A correction goes when what it corrects has gone.
                coalesce(o.status in ('pending', 'failed'), false) as awaits_upload
            from public.conversion_queue q
            join public.conversions c on c.id = q.conversion_id
            left join public.conversion_queue o on o.id = q.adjusts
            where q.status in ('pending', 'failed')
        ),
        open as (
            select
                lane, count(*) as open,
                count(*) filter (where awaits_consent) as held,
                count(*) filter (where was_tried and not awaits_consent) as retrying,
                min(due_at) filter (where due_at <= $3 and not awaits_consent and not awaits_upload) as due_since,
                min(due_at) filter (
                    where due_at <= $3 and not awaits_consent and not awaits_upload and not was_tried
                ) as untried_since,
                bool_or(was_tried and not awaits_consent and not awaits_upload) as some_were_tried
            from row
            group by lane
        ),
        unconfirmed as (
            select platform as lane, count(*) as unconfirmed
            from public.conversion_queue
            where status = 'uploaded' and confirmed_at is null and next_status_check_at is not null
            group by platform
        )
        select
            coalesce(open.lane, unconfirmed.lane, s.platform) as "lane!", coalesce(open, 0) as "open!",
            coalesce(held, 0) as "held!", coalesce(retrying, 0) as "retrying!",
            coalesce(unconfirmed, 0) as "unconfirmed!", due_since,
            case when waiting.since is not null then greatest(s.last_accepted_at, waiting.since) end as idle_since,
            coalesce(s.state = 'paused', false) as "is_paused!"
        from open
        full join unconfirmed on unconfirmed.lane = open.lane
        full join (
            select platform, state, last_accepted_at from public.platform_state where platform not like 'events:%'
        ) s on s.platform = coalesce(open.lane, unconfirmed.lane)
        left join lateral (
            select least(
                untried_since,
                case when some_were_tried then (
                    -- The window is longer than any delay between two attempts.
                    select coalesce(min(attempted_at), $3::timestamptz - interval '8 days')
                    from public.upload_attempts a
                    where a.transport = any($4) and a.platform = open.lane and a.operation <> 'status'
                        and a.attempted_at > greatest(s.last_accepted_at, $3::timestamptz - interval '8 days')
                ) end
            ) as since
        ) waiting on true
        order by 1"#,
        &policy.sendable(Operation::Upload) as &[ConsentStatus],
        &destinations.correction_lanes(Operation::Retraction),
        now,
        transports,
    )
    .fetch_all(tx)
    .await?;
    Ok(lanes)
}

/// Rows of a lane that became dead letters in the last day, by their reason.
#[derive(Debug, PartialEq, Eq)]
pub struct DeadLetters {
    pub lane: String,
    pub code: String,
    pub rows: i64,
}

/// Not those that need nobody: lost deals, what was withdrawn or never consented to, and their corrections.
pub async fn dead_letters(
    tx: &mut Tx,
    policy: &Policy,
    destinations: &Destinations,
    now: DateTime<Utc>,
) -> Result<Vec<DeadLetters>, DbError> {
    let counts = sqlx::query_as!(
        DeadLetters,
        r#"-- queue::gauges::dead_letters
        select q.platform as lane, coalesce(q.last_error_code, 'unknown') as "code!", count(*) as "rows!"
        from public.conversion_queue q
        join public.conversions c on c.id = q.conversion_id
        where q.status = 'dead_letter' and q.dead_lettered_at > $1::timestamptz - interval '1 day'
            and coalesce(q.last_error_code, '') not in ('deal_lost', 'original_refused', 'consent_withdrawn')
            and (
                q.last_error_code is distinct from 'expired'
                or c.ad_user_data = any($2::text[])
                or q.platform = any($3::text[])
            )
        group by 1, 2
        order by 1, 2"#,
        now,
        &policy.sendable(Operation::Upload) as &[ConsentStatus],
        &destinations.correction_lanes(Operation::Retraction),
    )
    .fetch_all(tx)
    .await?;
    Ok(counts)
}

/// What platforms did with uploads in the last day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    pub accepted: i64,
    /// Processed as well.
    pub confirmed: i64,
}

/// Of these lanes, by the log of attempts.
pub async fn delivered(tx: &mut Tx, routes: &[&Route], now: DateTime<Utc>) -> Result<Delivered, DbError> {
    let uploads = routes.iter().filter(|route| route.operation == Operation::Upload);
    let lanes: Vec<_> = uploads.map(|route| route.lane.clone()).collect();
    let delivered = sqlx::query_as!(
        Delivered,
        r#"-- queue::gauges::delivered
        select
            coalesce(sum(cardinality(queue_ids)) filter (
                where outcome in ('accepted', 'recorded', 'already_done', 'already_there')
            ), 0) as "accepted!",
            coalesce(sum(cardinality(queue_ids)) filter (
                where outcome in ('confirmed', 'recorded', 'already_done')
            ), 0) as "confirmed!"
        from public.upload_attempts
        where transport = any($1) and platform = any($2) and attempted_at > $3::timestamptz - interval '1 day'"#,
        &transports(routes),
        &lanes,
        now,
    )
    .fetch_one(tx)
    .await?;
    Ok(delivered)
}

/// The APIs of these lanes, each once.
#[must_use]
pub fn transports(routes: &[&Route]) -> Vec<String> {
    let mut transports: Vec<_> = routes.iter().map(|route| route.transport.to_owned()).collect();
    transports.sort_unstable();
    transports.dedup();
    transports
}
