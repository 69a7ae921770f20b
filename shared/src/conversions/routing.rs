//! Passes on conversions whose click belongs to another account than the destination's. A click belongs to one account,
//! so the next destination gets them that may; a row moves and is never copied, so no two accounts get one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::stored::{self, Stored};
use crate::attribution::Clicks;
use crate::db::{DbError, Tx};
use crate::platforms::{Candidate, Destination, Destinations, Operation, Plan};

/// So often a declined row is tried again, every hour or two, before it goes without its click id to an account that
/// has confirmed few or none: two or three days to correct the settings.
const TRIES: i32 = 36;

/// So many more declined clicks than confirmed ones are no sign of a wrong account.
const FEW: i64 = 3;

/// An upload whose click isn't of its destination's account.
struct Misrouted {
    id: Uuid,
    conversion_id: Uuid,
    destination: String,
    declined_by: Vec<String>,
    last_error: Option<String>,
}

/// Where a row goes.
struct Move {
    id: Uuid,
    from: String,
    to: String,
    declined_by: Vec<String>,
    /// Due when it counts there, or when the row is due anyway.
    due_at: Option<DateTime<Utc>>,
    is_due_now: bool,
    expires_at: Option<DateTime<Utc>>,
    reason: Option<String>,
}

/// Passes on those of these rows that were declined, with their corrections. When all destinations have declined one,
/// it goes without its click id where that may do; else it waits and begins with the first again, because an account
/// may have been corrected.
pub async fn pass_on(
    tx: &mut Tx,
    destinations: &Destinations,
    queue_ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let conversions = conversions_of(tx, queue_ids).await?;
    // Conversions before rows, as everybody locks them.
    let stored = stored::lock(tx, &conversions).await?;
    let stored: BTreeMap<_, _> = stored.iter().map(|it| (it.id, it)).collect();
    lock_rows(tx, &conversions).await?;
    let declined = declined(tx, queue_ids).await?;
    let moves = declined.iter().filter_map(|it| next(destinations, it, stored.get(&it.conversion_id)?, now));
    let moves: Vec<_> = moves.collect();
    if !moves.is_empty() {
        move_uploads(tx, &moves, now).await?;
        move_corrections(tx, destinations, &moves).await?;
    }
    let waiting = declined.iter().filter(|it| moves.iter().all(|moved| moved.id != it.id || !moved.is_due_now));
    let waiting = waiting.filter(|it| {
        let to = moves.iter().find(|moved| moved.id == it.id).map_or(&it.destination, |moved| &moved.to);
        let conversion = stored.get(&it.conversion_id);
        conversion.zip(destinations.get(to)).is_some_and(|(conversion, to)| counts_without_click(conversion, to))
    });
    let waiting: Vec<_> = waiting.map(|it| it.id).collect();
    omit_click_id(tx, &waiting, now).await
}

/// Does this destination take it by the person's e-mail or phone?
fn counts_without_click(conversion: &Stored, to: &Destination) -> bool {
    let candidate = Candidate { clicks: Clicks::default(), ..conversion.candidate() };
    matches!(to.plan(&candidate), Plan::Send(_))
}

/// Makes those of these rows due without their click id whose account is the right one for most: it confirmed about as
/// many clicks lately as it declined. Of an account that may be the wrong one they wait for a while, because a
/// conversion counts for more with its click, and then go as well.
async fn omit_click_id(tx: &mut Tx, queue_ids: &[Uuid], now: DateTime<Utc>) -> Result<(), DbError> {
    if queue_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- conversions::routing::omit_click_id
        update public.conversion_queue q
        set omit_click_id = true, send_alone = false, next_retry_at = $2
        where q.id = any($1) and not q.omit_click_id
            and (
                q.transport_failures > $3
                or (
                    select count(*)
                    from (
                        select
                        from public.conversion_queue o
                        where o.platform = q.platform and o.adjusts is null and not o.omit_click_id
                            and o.confirmed_at > $2::timestamptz - interval '30 days'
                        limit 100
                    ) confirmed
                ) + $4 >= (
                    select count(*)
                    from (
                        select
                        from public.conversion_queue o
                        where o.platform = q.platform and o.status in ('pending', 'failed') and o.adjusts is null
                            and not o.omit_click_id and o.last_error_code = q.last_error_code
                        union all
                        select
                        from public.conversion_queue o
                        where o.platform = q.platform and o.omit_click_id and o.adjusts is null
                        limit 200
                    ) declined
                )
            )",
        queue_ids,
        now,
        TRIES,
        FEW,
    )
    .execute(tx)
    .await?;
    Ok(())
}

fn next(destinations: &Destinations, it: &Misrouted, stored: &Stored, now: DateTime<Utc>) -> Option<Move> {
    let open = destinations.instead_of(&it.destination, &stored.candidate());
    let mut declined_by = it.declined_by.clone();
    declined_by.push(it.destination.clone());
    let (found, is_due_now) = match open.iter().find(|(to, _)| !declined_by.contains(&to.name)) {
        Some(found) => (found, true),
        None => (open.first()?, false),
    };
    let (to, window) = found;
    let reason = (!is_due_now).then(|| {
        let all = declined_by.join(", ");
        format!(
            "The click belongs to the account of no destination: {all} declined it. {}",
            it.last_error.as_deref().unwrap_or_default()
        )
    });
    Some(Move {
        id: it.id,
        from: it.destination.clone(),
        to: to.name.clone(),
        declined_by: if is_due_now { declined_by } else { Vec::new() },
        due_at: window.from.filter(|from| *from > now),
        is_due_now,
        expires_at: window.until,
        reason,
    })
}

async fn conversions_of(tx: &mut Tx, queue_ids: &[Uuid]) -> Result<Vec<Uuid>, DbError> {
    let ids = sqlx::query_scalar!(
        "-- conversions::routing::conversions_of
        select conversion_id from public.conversion_queue where id = any($1)",
        queue_ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(ids)
}

/// Locks all rows of these conversions, in the order in which the uploader locks rows.
async fn lock_rows(tx: &mut Tx, conversions: &[Uuid]) -> Result<(), DbError> {
    sqlx::query!(
        "-- conversions::routing::lock_rows
        select from public.conversion_queue where conversion_id = any($1) order by id for update",
        conversions,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What was claimed again meanwhile is sent where it is.
async fn declined(tx: &mut Tx, queue_ids: &[Uuid]) -> Result<Vec<Misrouted>, DbError> {
    let declined = sqlx::query_as!(
        Misrouted,
        "-- conversions::routing::declined
        select id, conversion_id, platform as destination, declined_by, last_error
        from public.conversion_queue
        where id = any($1) and adjusts is null and status in ('pending', 'failed') and lock_token is null",
        queue_ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(declined)
}

async fn move_uploads(tx: &mut Tx, moves: &[Move], now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- conversions::routing::move_uploads
        update public.conversion_queue q
        set platform = m.destination, declined_by = string_to_array(m.declined_by, ' '), request_id = null,
            sent_to = null, sent_through = null, send_alone = false, expires_at = m.expires_at,
            next_retry_at = case when m.is_due_now then coalesce(m.due_at, $8) else q.next_retry_at end,
            last_error = coalesce(m.reason, q.last_error)
        from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::boolean[], $6::timestamptz[], $7::text[])
            as m (id, destination, declined_by, due_at, is_due_now, expires_at, reason)
        where q.id = m.id",
        &moves.iter().map(|it| it.id).collect::<Vec<_>>(),
        &moves.iter().map(|it| it.to.clone()).collect::<Vec<_>>(),
        &moves.iter().map(|it| it.declined_by.join(" ")).collect::<Vec<_>>(),
        &moves.iter().map(|it| it.due_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &moves.iter().map(|it| it.is_due_now).collect::<Vec<_>>(),
        &moves.iter().map(|it| it.expires_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &moves.iter().map(|it| it.reason.clone()).collect::<Vec<_>>() as &[Option<String>],
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Corrections follow their conversion. One that the new destination doesn't accept is dropped, because nothing was
/// received that it would correct.
async fn move_corrections(tx: &mut Tx, destinations: &Destinations, moves: &[Move]) -> Result<(), DbError> {
    let (mut ids, mut from, mut to) = (Vec::new(), Vec::new(), Vec::new());
    for it in moves {
        let accepted = destinations.get(&it.to).map_or(&[][..], |to| to.entry.corrections);
        for operation in Operation::CORRECTIONS {
            let accepts = accepted.iter().any(|correction| correction.operation == operation);
            ids.push(it.id);
            from.push(operation.lane_of(&it.from));
            to.push(accepts.then(|| operation.lane_of(&it.to)));
        }
    }
    sqlx::query!(
        "-- conversions::routing::move_corrections
        update public.conversion_queue q
        set platform = m.new
        from unnest($1::uuid[], $2::text[], $3::text[]) as m (adjusts, old, new)
        where q.adjusts = m.adjusts and q.platform = m.old and m.new is not null",
        &ids,
        &from,
        &to as &[Option<String>],
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "-- conversions::routing::drop_corrections
        delete from public.conversion_queue q
        using unnest($1::uuid[], $2::text[], $3::text[]) as m (adjusts, old, new)
        where q.adjusts = m.adjusts and q.platform = m.old and m.new is null",
        &ids,
        &from,
        &to as &[Option<String>],
    )
    .execute(tx)
    .await?;
    Ok(())
}
