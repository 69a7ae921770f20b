//! Deals that were lost or refunded, and what that undoes.
//!
//! The loss is kept whatever is known of the deal, so that it doesn't matter which of its reports comes first: a closing
//! from before the loss is undone, one from after it stands.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::db::{DbError, Tx};
use crate::identity::Hash;
use crate::inbox::Locks;
use crate::platforms::{self, Operation};

/// A loss as the CRM reported it.
#[derive(Debug)]
pub struct Loss {
    /// The CRM's id of the deal.
    pub crm_deal_id: String,
    /// When it was lost.
    pub lost_at: DateTime<Utc>,
    /// SHA-256 of the body.
    pub payload_hash: Hash,
}

/// Keeps the loss, the latest if there are several (one that is known from before says nothing new), and holds back other
/// reports of the deal until the transaction ends, as well as whoever matches the deal to its lead: they record it first
/// or see the loss.
///
/// # Errors
/// Those of the database.
pub async fn keep(tx: &mut Tx, loss: &Loss, is_known: bool, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- lost_deals::keep
        with locked as materialized (
            select pg_advisory_xact_lock(key) from unnest($1::bigint[]) as key
        ),
        gate as materialized (
            select count(*) from locked
        )
        insert into public.lost_deals as d (crm_deal_id, lost_at, payload_hash, received_at)
        select $2, $3, $4, $5 from gate
        on conflict (crm_deal_id) do update
        -- A report without a time of its own must not become newer by being sent again.
        set lost_at = case
                when $6 or d.payload_hash = excluded.payload_hash then d.lost_at
                else greatest(d.lost_at, excluded.lost_at)
            end,
            payload_hash = excluded.payload_hash,
            deliveries = d.deliveries + 1",
        &Locks::of_deal(&loss.crm_deal_id).keys,
        loss.crm_deal_id,
        loss.lost_at,
        loss.payload_hash.as_str(),
        now,
        is_known,
    )
    .execute(&mut *tx)
    .await?;
    // A statement sees what was there when it began, so this one comes after the wait for other reports.
    sqlx::query!(
        "-- lost_deals::hold_back_matches
        select from public.inbox where crm_deal_id = $1 order by id for update",
        loss.crm_deal_id,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// A conversion that was undone.
#[derive(Debug)]
pub struct Retracted {
    /// The conversion.
    pub conversion_id: Uuid,
    /// The platforms that will be told, because they may know of it.
    pub platforms: Vec<String>,
}

/// Undoes the closing of a lost deal, once: takes it back where a platform may know of it, and drops it where none does.
///
/// # Errors
/// Those of the database.
pub async fn retract(tx: &mut Tx, crm_deal_id: &str, now: DateTime<Utc>) -> Result<Option<Retracted>, DbError> {
    // Locks the conversion against a claim; one that came first is seen by the next statement.
    let conversion_id = sqlx::query_scalar!(
        "-- lost_deals::retract
        update public.conversions c
        set retracted_at = d.lost_at
        from public.lost_deals d, public.conversions was
        left join public.inbox i on i.conversion_id = was.id
        where d.crm_deal_id = $1 and was.idempotency_key = d.crm_deal_id || ':closed' and c.id = was.id
            -- A platform may know an earlier time than the one that stands.
            and coalesce(i.occurred_at, was.occurred_at) <= d.lost_at
            and was.retracted_at is null
        returning c.id",
        crm_deal_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(conversion_id) = conversion_id else { return Ok(None) };
    let (uploads, retractions) = platforms::corrections(Operation::Retraction);
    let (_, restatements) = platforms::corrections(Operation::Restatement);
    let platforms = sqlx::query_scalar!(
        "-- lost_deals::retract_from_platforms
        with told as (
            select q.id, q.platform
            from public.conversion_queue q
            where q.conversion_id = $1 and q.adjusts is null and q.claims > 0 and q.status <> 'dead_letter'
        ),
        dropped as (
            delete from public.conversion_queue q
            where q.conversion_id = $1
                and ((q.adjusts is null and q.claims = 0) or (q.platform = any($4) and q.status <> 'uploaded'))
        ),
        skipped as (
            update public.conversions set skip_reason = 'deal_lost' where id = $1 and not exists (select from told)
        )
        insert into public.conversion_queue (conversion_id, platform, adjusts, expires_at, created_at)
        select $1, way.retractions, told.id, c.occurred_at + interval '54 days', $5
        from told
        join unnest($2::text[], $3::text[]) as way (uploads, retractions) on way.uploads = told.platform
        cross join (select occurred_at from public.conversions where id = $1) c
        on conflict (conversion_id, platform) do nothing
        returning platform",
        conversion_id,
        &uploads,
        &retractions,
        &restatements,
        now,
    )
    .fetch_all(tx)
    .await?;
    Ok(Some(Retracted { conversion_id, platforms }))
}
