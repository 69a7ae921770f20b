//! Queues corrections of what platforms may have received, and deletes rows that no platform received.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{DbError, Tx};
use crate::platforms::{Destinations, Operation, REGISTRY};

/// An upload that its platform may have received.
pub(in crate::conversions) struct Upload {
    queue_id: Uuid,
    pub(in crate::conversions) conversion_id: Uuid,
    pub(in crate::conversions) platform: String,
    /// The platform that its destination is an account of.
    kind: String,
}

/// The uploads of these conversions that their platforms may have received: a row that was never claimed can't have
/// been sent. The caller has locked the conversions, so no claim can happen in between.
pub(in crate::conversions) async fn possibly_received(
    tx: &mut Tx,
    conversion_ids: &[Uuid],
) -> Result<Vec<Upload>, DbError> {
    if conversion_ids.is_empty() {
        return Ok(Vec::new());
    }
    let uploads = sqlx::query_as!(
        Upload,
        "-- conversions::possibly_received
        select id as queue_id, conversion_id, platform, kind
        from public.conversion_queue
        where conversion_id = any($1) and adjusts is null and claims > 0 and status <> 'dead_letter'",
        conversion_ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(uploads)
}

/// A correction that was queued.
pub(super) struct Queued {
    conversion_id: Uuid,
    lane: String,
}

pub(super) fn lanes_of(queued: &[Queued], conversion_id: Uuid) -> Vec<String> {
    queued.iter().filter(|it| it.conversion_id == conversion_id).map(|it| it.lane.clone()).collect()
}

/// Queues the new values for the platforms that may have received the old ones, and returns the lanes.
pub(super) async fn restate_at_platforms(
    tx: &mut Tx,
    destinations: &Destinations,
    uploads: &[Upload],
    now: DateTime<Utc>,
) -> Result<Vec<Queued>, DbError> {
    let Corrections { conversions, lanes, adjusts, seconds } =
        Corrections::of(destinations, Operation::Restatement, uploads);
    if conversions.is_empty() {
        return Ok(Vec::new());
    }
    let queued = sqlx::query_as!(
        Queued,
        "-- conversions::restate_at_platforms
        insert into public.conversion_queue as q (conversion_id, platform, kind, adjusts, expires_at, created_at)
        select c.id, d.lane, upload.kind, d.adjusts, c.occurred_at + make_interval(secs => d.seconds), $5
        from unnest($1::uuid[], $2::text[], $3::uuid[], $4::float8[]) as d (conversion_id, lane, adjusts, seconds)
        join public.conversions c on c.id = d.conversion_id
        join public.conversion_queue upload on upload.id = d.adjusts
        left join public.conversion_queue earlier on earlier.conversion_id = c.id and earlier.platform = d.lane
        -- In the order in which the uploader locks rows.
        order by earlier.id
        on conflict (conversion_id, platform) do update
        -- Sent again from the start, due now. An attempt with the previous value loses its lease.
        set status = 'pending', retry_count = 0, transport_failures = 0, next_retry_at = $5, request_id = null,
            confirmed_at = null, next_status_check_at = null, status_checks = 0, send_alone = false,
            last_error = null, last_error_code = null, dead_lettered_at = null, locked_until = null, lock_token = null
        returning conversion_id, platform as lane",
        &conversions,
        &lanes,
        &adjusts,
        &seconds,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(queued)
}

/// Deletes rows that no platform received: uploads that were never claimed, and restatements that were not accepted.
pub(super) async fn drop_unsent(tx: &mut Tx, conversion_ids: &[Uuid]) -> Result<(), DbError> {
    sqlx::query!(
        "-- conversions::drop_unsent
        delete from public.conversion_queue
        where id in (
            select id from public.conversion_queue
            where conversion_id = any($1)
                and ((adjusts is null and claims = 0) or (right(platform, length($2)) = $2 and status <> 'uploaded'))
            -- In the order in which the uploader locks rows.
            order by id
            for update
        )",
        conversion_ids,
        Operation::Restatement.suffix(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Queues the retractions for the platforms that may have received the conversions, and returns the lanes.
pub(super) async fn retract_from_platforms(
    tx: &mut Tx,
    destinations: &Destinations,
    uploads: &[Upload],
    now: DateTime<Utc>,
) -> Result<Vec<Queued>, DbError> {
    let Corrections { conversions, lanes, adjusts, seconds } =
        Corrections::of(destinations, Operation::Retraction, uploads);
    if conversions.is_empty() {
        return Ok(Vec::new());
    }
    let queued = sqlx::query_as!(
        Queued,
        "-- conversions::retract_from_platforms
        insert into public.conversion_queue (conversion_id, platform, kind, adjusts, expires_at, created_at)
        select c.id, d.lane, upload.kind, d.adjusts, c.occurred_at + make_interval(secs => d.seconds), $5
        from unnest($1::uuid[], $2::text[], $3::uuid[], $4::float8[]) as d (conversion_id, lane, adjusts, seconds)
        join public.conversions c on c.id = d.conversion_id
        join public.conversion_queue upload on upload.id = d.adjusts
        order by c.id, d.lane
        on conflict (conversion_id, platform) do nothing
        returning conversion_id, platform as lane",
        &conversions,
        &lanes,
        &adjusts,
        &seconds,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(queued)
}

/// Drops retractions that no platform received, except of lost deals.
pub(in crate::conversions) async fn drop_unsent_retractions(
    tx: &mut Tx,
    conversion_ids: &[Uuid],
) -> Result<(), DbError> {
    sqlx::query!(
        "-- conversions::drop_unsent_retractions
        delete from public.conversion_queue q
        using public.conversions c
        where q.conversion_id = any($1) and right(q.platform, length($2)) = $2 and q.claims = 0
            and c.id = q.conversion_id and c.retracted_at is null",
        conversion_ids,
        Operation::Retraction.suffix(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Queues again what was given up because consent was withdrawn, unless a retraction of it may have been sent: what was
/// retracted isn't accepted again.
pub(in crate::conversions) async fn send_withdrawn_again(
    tx: &mut Tx,
    conversion_ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "-- conversions::send_withdrawn_again
        update public.conversion_queue
        set status = 'pending', next_retry_at = $2, last_error = null, last_error_code = null, dead_lettered_at = null
        where id in (
            select q.id
            from public.conversion_queue q
            where q.conversion_id = any($1) and q.adjusts is null and q.last_error_code = 'consent_withdrawn'
                and not exists (select from public.conversion_queue retraction where retraction.adjusts = q.id)
            -- In the order in which the uploader locks rows.
            order by q.id
            for update
        )",
        conversion_ids,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Corrections to queue, as columns: the conversion of each, the lane, the row it corrects, and for how many seconds
/// after the conversion the platform accepts it.
struct Corrections {
    conversions: Vec<Uuid>,
    lanes: Vec<String>,
    adjusts: Vec<Uuid>,
    seconds: Vec<f64>,
}

impl Corrections {
    fn of(destinations: &Destinations, operation: Operation, uploads: &[Upload]) -> Self {
        let mut corrections =
            Self { conversions: Vec::new(), lanes: Vec::new(), adjusts: Vec::new(), seconds: Vec::new() };
        for upload in uploads {
            // What isn't declared now waits for its destination, as its uploads do.
            let declared = || destinations.iter().map(|it| it.entry).find(|it| it.id == upload.kind);
            let named = destinations.get(&upload.platform).map(|it| it.entry);
            let known = || REGISTRY.iter().find(|it| it.id == upload.kind);
            let Some(entry) = named.or_else(declared).or_else(known) else { continue };
            let accepted = entry.corrections.iter().find(|it| it.operation == operation);
            let Some(correction) = accepted else { continue };
            corrections.conversions.push(upload.conversion_id);
            corrections.lanes.push(operation.lane_of(&upload.platform));
            corrections.adjusts.push(upload.queue_id);
            corrections.seconds.push(correction.window.as_seconds_f64());
        }
        corrections
    }
}
