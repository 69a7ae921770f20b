//! Authenticated webhooks: every body, byte for byte.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::events::{EventState, InboxEvent};
use crate::db::{DbError, Tx};
use crate::identity::Hash;

/// How a row of a file got here, in place of a scheme of authentication.
pub const IMPORTED: &str = "import";

/// A body whose sender is authenticated.
#[derive(Debug)]
pub struct WebhookReceipt<'a> {
    /// The source that sent it.
    pub source: &'a str,
    /// SHA-256 of the body.
    pub payload_hash: &'a Hash,
    /// The body.
    pub body: &'a [u8],
    /// Its headers; null for the value of one that may be secret or personal.
    pub headers: &'a Value,
    /// How the sender was authenticated.
    pub verified_by: &'a str,
    /// The setting whose secret matched.
    pub verified_with: &'a str,
}

/// Stores a body and its events, once each. An event that is already `taken` or `received` keeps that state, unless it
/// is `taken` now; any other gets its new state, because the declaration may have changed. Returns the ids of the
/// events that are `taken` after this.
pub async fn keep(
    tx: &mut Tx,
    receipt: &WebhookReceipt<'_>,
    events: &[InboxEvent],
    now: DateTime<Utc>,
) -> Result<Vec<String>, DbError> {
    let positions: Vec<i32> = events.iter().map(|event| i32::try_from(event.position).unwrap_or(i32::MAX)).collect();
    let ids: Vec<&str> = events.iter().map(|event| event.source_event_id.as_str()).collect();
    let states: Vec<EventState> = events.iter().map(|event| event.state).collect();
    let reasons: Vec<Option<&str>> = events.iter().map(|event| event.reason.as_deref()).collect();
    let rules: Vec<Option<&str>> = events.iter().map(|event| event.rule.as_deref()).collect();
    let deals: Vec<Option<&str>> = events.iter().map(|event| event.crm_deal_id.as_deref()).collect();
    let inbox_ids: Vec<Option<Uuid>> = events.iter().map(|event| event.inbox_id).collect();
    let warnings: Vec<Value> = events.iter().map(|event| event.warnings.clone()).collect();
    let taken = sqlx::query_scalar!(
        r#"-- inbox::receipts::keep
        with receipt as (
            insert into public.inbox_receipts as r (
                source, payload_hash, body, headers, verified_by, verified_with, received_at, last_received_at
            )
            values ($1, $2, $3, $4, $5, $6, $7, $7)
            on conflict (source, payload_hash) do update
            set deliveries = r.deliveries + 1, last_received_at = excluded.last_received_at,
                body = coalesce(r.body, excluded.body)
            returning id
        )
        insert into public.inbox_events as e (
            receipt_id, position, source, source_event_id, state, reason, rule, crm_deal_id, inbox_id, fetch_due_at,
            received_at, warnings
        )
        select
            receipt.id, d.position, $1, d.source_event_id, d.state, d.reason, d.rule, d.crm_deal_id, d.inbox_id,
            case when d.state = 'received' then $7::timestamptz end, $7, d.warnings
        from receipt
        cross join unnest(
            $8::integer[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::uuid[], $15::jsonb[]
        )
            as d (position, source_event_id, state, reason, rule, crm_deal_id, inbox_id, warnings)
        -- Two bodies may hold the same events in another order, and would deadlock.
        order by d.source_event_id
        on conflict (source, source_event_id) do update
        set deliveries = e.deliveries + 1,
            -- What was processed before warns of nothing any more.
            warnings = case
                when excluded.warnings = '[]' and e.state = 'taken' then e.warnings
                else excluded.warnings
            end,
            (receipt_id, position, state, reason, rule, crm_deal_id, inbox_id, fetch_due_at) = (
                select
                    excluded.receipt_id, excluded.position, excluded.state, excluded.reason, excluded.rule,
                    excluded.crm_deal_id, excluded.inbox_id, excluded.fetch_due_at
                where excluded.state = 'taken' or e.state not in ('taken', 'received')
                union all
                select
                    e.receipt_id, e.position, e.state, e.reason, e.rule, e.crm_deal_id, e.inbox_id, e.fetch_due_at
                where excluded.state <> 'taken' and e.state in ('taken', 'received')
            )
        returning case when state = 'taken' then source_event_id end"#,
        receipt.source,
        receipt.payload_hash.as_str(),
        receipt.body,
        receipt.headers,
        receipt.verified_by,
        receipt.verified_with,
        now,
        &positions,
        &ids as &[&str],
        &states as &[EventState],
        &reasons as &[Option<&str>],
        &rules as &[Option<&str>],
        &deals as &[Option<&str>],
        &inbox_ids as &[Option<Uuid>],
        &warnings,
    )
    .fetch_all(tx)
    .await?;
    Ok(taken.into_iter().flatten().collect())
}
