//! The inbox: every deal the CRM reported, whether or not its lead is known yet.

pub mod after_loss;
pub mod consent;
pub mod deletions;
pub mod entry;
pub mod events;
pub mod gauges;
pub mod ignored;
pub mod importing;
pub mod listing;
pub mod losses;
pub mod matching;
pub mod merging;
pub mod names;
pub mod receipts;
mod receiving;
pub mod refusals;
pub mod times;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

pub use deletions::stages_of;
pub use receiving::{Received, receive, rereading};

use crate::attribution::CLICK_COUNTS;
use crate::db::{DbError, Tx};
use crate::deals::Deal;
use crate::identity::{Email, Hash};
use crate::locks::{self, Locks};

/// What to lock before a report on this deal is applied: the deal, and the person it names.
#[must_use]
pub fn locks_of(deal: &Deal) -> Locks {
    let emails: Vec<_> = deal.email.iter().map(Email::hash).chain(deal.other_email_hashes()).collect();
    let phone = deal.phone.as_ref().and_then(|phone| phone.hash().ok());
    Locks::of_deal(&deal.crm_deal_id).and(Locks::of_person(emails.iter().chain(phone)))
}

/// Takes the locks on the persons whom these deals name, as their forms do. It must come before their leads are looked
/// for.
pub async fn lock_persons(tx: &mut Tx, inbox_ids: &[Uuid]) -> Result<(), DbError> {
    let hashes = sqlx::query_scalar!(
        r#"-- inbox::lock_persons
        select address as "address!: Hash"
        from public.inbox i
        cross join unnest(array[i.email_hash, i.phone_hash] || i.other_email_hashes) as address
        where i.id = any($1) and address is not null"#,
        inbox_ids,
    )
    .fetch_all(&mut *tx)
    .await?;
    locks::take(tx, &Locks::of_person(&hashes)).await
}

/// How long bodies are kept after their deals and events have expired.
const BODIES_OUTLIVE: TimeDelta = TimeDelta::days(7);

/// Expires deals and events that have waited for [`CLICK_COUNTS`]; they stay visible as `expired`. Deletes bodies a
/// week later, and refusals after a week. Returns how many deals and events expired.
pub async fn expire(tx: &mut Tx, now: DateTime<Utc>) -> Result<u64, DbError> {
    let received_before = now - CLICK_COUNTS;
    let expired = sqlx::query_scalar!(
        r#"-- inbox::expire
        with deals as (
            update public.inbox set state = 'expired'
            where id in (
                select id from public.inbox
                where state = 'awaiting_lead' and received_at < $1
                for update skip locked
            )
            returning id
        ),
        events as (
            update public.inbox_events set state = 'expired', fetch_due_at = null
            where id in (
                select id from public.inbox_events
                where state = 'received' and received_at < $1
                for update skip locked
            )
            returning id
        ),
        emptied as (
            update public.inbox_receipts set body = null
            where id in (
                select id from public.inbox_receipts
                where body is not null and last_received_at < $2
                for update skip locked
            )
        ),
        forgotten as (
            delete from public.webhook_refusals where hour < $3::timestamptz - interval '7 days 1 hour'
        ),
        unlearned as (
            delete from public.ignored_values where last_at < $3::timestamptz - interval '42 days'
        )
        select (select count(*) from deals) + (select count(*) from events) as "expired!""#,
        received_before,
        received_before - BODIES_OUTLIVE,
        now,
    )
    .fetch_one(tx)
    .await?;
    Ok(u64::try_from(expired).unwrap_or_default())
}
