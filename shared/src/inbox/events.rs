//! The events of a webhook's body, and the outcome of each.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::db::{DbError, Tx};
use crate::texts::{SENTENCE, fit};

/// How long an event is reserved for one lookup.
const LEASE: TimeDelta = TimeDelta::minutes(5);
/// The longest delay between two lookups.
const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(6);

/// The outcome of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Encode)]
#[sqlx(rename_all = "snake_case")]
pub enum EventState {
    /// Fields that the CRM left out have to be looked up.
    Received,
    /// It is a report on a deal.
    Taken,
    /// It calls for no action.
    Ignored,
    /// It is invalid.
    Rejected,
}

crate::db::text_in_sql!(EventState);

/// One event of a body.
#[derive(Debug)]
pub struct InboxEvent {
    /// Its place in the body.
    pub position: usize,
    /// The sender's id of it, else the hash of what was sent.
    pub source_event_id: String,
    /// Its outcome.
    pub state: EventState,
    /// Why it is ignored or rejected.
    pub reason: Option<String>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The deal it is about.
    pub crm_deal_id: Option<String>,
    /// The deal's id in the inbox.
    pub inbox_id: Option<Uuid>,
    /// What was ignored or guessed.
    pub warnings: Value,
}

/// Those of these events that were `taken` before.
pub async fn taken(tx: &mut Tx, source: &str, source_event_ids: &[&str]) -> Result<Vec<String>, DbError> {
    if source_event_ids.is_empty() {
        return Ok(Vec::new());
    }
    let taken = sqlx::query_scalar!(
        "-- inbox::events::taken
        select source_event_id from public.inbox_events
        where source = $1 and source_event_id = any($2) and state = 'taken'",
        source,
        source_event_ids as &[&str],
    )
    .fetch_all(tx)
    .await?;
    Ok(taken)
}

/// An event as it was kept.
#[derive(Debug)]
pub struct Kept {
    /// Its id.
    pub id: Uuid,
    /// The source.
    pub source: String,
    /// The sender's id of it, else the hash of what was sent.
    pub source_event_id: String,
    /// Its place in the body.
    pub position: i32,
    /// The body; none if it was deleted.
    pub body: Option<Vec<u8>>,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// How many lookups failed.
    pub fetch_failures: i32,
    /// Was it `taken` before?
    pub is_taken: bool,
}

/// Claims events whose lookup is due, at most `limit` and of no source in `except`, for five minutes.
pub async fn claim_received(
    tx: &mut Tx,
    limit: u16,
    except: &[String],
    now: DateTime<Utc>,
) -> Result<Vec<Kept>, DbError> {
    let kept = sqlx::query_as!(
        Kept,
        r#"-- inbox::events::claim_received
        with due as (
            select id from public.inbox_events
            where state = 'received' and fetch_due_at <= $1 and source <> all($4)
            order by fetch_due_at
            limit $2
            for update skip locked
        )
        update public.inbox_events e set fetch_due_at = $3
        from due, public.inbox_receipts r
        where e.id = due.id and r.id = e.receipt_id
        returning
            e.id, e.source, e.source_event_id, e.position, r.body, e.received_at, e.fetch_failures,
            false as "is_taken!""#,
        now,
        i64::from(limit),
        now + LEASE,
        except,
    )
    .fetch_all(tx)
    .await?;
    Ok(kept)
}

/// One event, to be read again.
pub async fn get(tx: &mut Tx, id: Uuid) -> Result<Option<Kept>, DbError> {
    let kept = sqlx::query_as!(
        Kept,
        r#"-- inbox::events::get
        select
            e.id, e.source, e.source_event_id, e.position, r.body, e.received_at, e.fetch_failures,
            e.state = 'taken' as "is_taken!"
        from public.inbox_events e
        join public.inbox_receipts r on r.id = e.receipt_id
        where e.id = $1
        for no key update of e"#,
        id,
    )
    .fetch_optional(tx)
    .await?;
    Ok(kept)
}

/// Stores the outcome of an event that was read again.
pub async fn settle(tx: &mut Tx, id: Uuid, event: &InboxEvent, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- inbox::events::settle
        update public.inbox_events
        set state = $2, reason = $3, rule = $4, crm_deal_id = coalesce($5, crm_deal_id), inbox_id = $6,
            fetch_due_at = case when $2 = 'received' then $7::timestamptz end, warnings = $8
        where id = $1",
        id,
        event.state as EventState,
        event.reason,
        event.rule,
        event.crm_deal_id,
        event.inbox_id,
        now,
        event.warnings,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Postpones a lookup that failed: it is retried after a quarter of an hour, then at growing intervals, or after the
/// delay the CRM asks for.
pub async fn postpone(
    tx: &mut Tx,
    kept: &Kept,
    reason: &str,
    after: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let pause = TimeDelta::minutes(15 << kept.fetch_failures.clamp(0, 5)).min(LONGEST_PAUSE);
    sqlx::query!(
        "-- inbox::events::postpone
        update public.inbox_events
        set fetch_failures = fetch_failures + 1, fetch_due_at = $3, reason = $2
        where id = $1 and state = 'received'",
        kept.id,
        fit(reason, SENTENCE),
        now + after.unwrap_or(pause).min(LONGEST_PAUSE),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Postpones all lookups of a source until its CRM accepts requests again.
pub async fn hold_back(tx: &mut Tx, source: &str, until: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "-- inbox::events::hold_back
        update public.inbox_events set fetch_due_at = $2
        where id in (
            select id from public.inbox_events
            where state = 'received' and source = $1 and fetch_due_at < $2
            -- In the order in which bodies keep their events.
            order by source_event_id
            for no key update
        )",
        source,
        until,
    )
    .execute(tx)
    .await?;
    Ok(())
}
