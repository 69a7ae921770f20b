//! Authenticated webhooks: every body, byte for byte.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::db::{DbError, Tx};
use crate::identity::Hash;

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

/// Stores a body, once. Returns its id.
pub async fn keep(tx: &mut Tx, receipt: &WebhookReceipt<'_>, now: DateTime<Utc>) -> Result<Uuid, DbError> {
    let id = sqlx::query_scalar!(
        "-- inbox::receipts::keep
        insert into public.inbox_receipts as r (
            source, payload_hash, body, headers, verified_by, verified_with, received_at, last_received_at
        )
        values ($1, $2, $3, $4, $5, $6, $7, $7)
        on conflict (source, payload_hash) do update
        set deliveries = r.deliveries + 1, last_received_at = excluded.last_received_at,
            body = coalesce(r.body, excluded.body)
        returning id",
        receipt.source,
        receipt.payload_hash.as_str(),
        receipt.body,
        receipt.headers,
        receipt.verified_by,
        receipt.verified_with,
        now,
    )
    .fetch_one(tx)
    .await?;
    Ok(id)
}
