//! The inbox, in numbers.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::COUNTED;
use crate::db::{DbError, Tx};
use crate::inbox::ignored::{self, IgnoredValue};

/// The inbox, in numbers.
#[derive(Debug, Serialize)]
pub struct Inbox {
    /// Deals whose lead wasn't found yet.
    pub awaiting_lead: i64,
    /// Events that wait for a lookup.
    pub received: i64,
    /// Invalid events of the last seven days.
    pub rejected: i64,
    /// Events of the last seven days that no rule knew.
    pub ignored: i64,
    /// Which values of theirs no rule knew, the most frequent of each source first, ten at most of each.
    pub ignored_values: Vec<IgnoredValue>,
    /// Webhooks of the last seven days that failed authentication.
    pub refused: i64,
    /// Deals and events that expired after 90 days.
    pub expired: i64,
    /// Leads of the last seven days from callers above their limit: no deal is matched to them by their addresses.
    pub suspicious_leads: i64,
    /// Leads of the last seven days whose form gave away a program: a trap was filled in, or it was too fast.
    pub leads_with_spam_signs: i64,
    /// Deals of the last seven days that were matched to one of several candidates: leads of different browsers.
    pub several_candidates: i64,
}

impl Inbox {
    /// And whether an event needs attention.
    pub(super) async fn read(tx: &mut Tx, now: DateTime<Utc>) -> Result<(Self, bool), DbError> {
        let row = sqlx::query!(
            r#"-- health::inbox::read
            select
                (
                    select count(*) from (select from public.inbox where state = 'awaiting_lead' limit $2) deal
                ) as "awaiting_lead!",
                (select count(*) from public.inbox_events where state = 'received') as "received!",
                (
                    select count(*) from public.inbox_events
                    where state = 'rejected' and received_at > $1::timestamptz - interval '7 days'
                ) as "rejected!",
                (
                    select coalesce(sum(refusals), 0)::bigint from public.webhook_refusals
                    where hour > $1::timestamptz - interval '7 days'
                ) as "refused!",
                (
                    select coalesce(sum(events), 0)::bigint from public.ignored_values
                    where day > ($1::timestamptz at time zone 'utc')::date - 7
                ) as "ignored!",
                (select count(*) from (select from public.inbox where state = 'expired' limit $2) deal)
                    + (
                        select count(*) from (select from public.inbox_events where state = 'expired' limit $2) event
                    ) as "expired!",
                (
                    select count(*) from public.leads
                    where is_suspicious and created_at > $1::timestamptz - interval '7 days'
                ) as "suspicious_leads!",
                (
                    select count(*) from public.leads
                    where spam_signs <> '{}' and created_at > $1::timestamptz - interval '7 days'
                ) as "leads_with_spam_signs!",
                (
                    select count(*) from public.inbox
                    where several_candidates and matched_at > $1::timestamptz - interval '7 days'
                ) as "several_candidates!",
                exists (select from public.inbox_events where state = 'received' and fetch_failures > 2)
                    or exists (
                        select from public.inbox_events
                        where state = 'rejected' and received_at > $1::timestamptz - interval '1 day'
                    ) as "is_troubled!""#,
            now,
            COUNTED,
        )
        .fetch_one(&mut *tx)
        .await?;
        let inbox = Self {
            awaiting_lead: row.awaiting_lead,
            received: row.received,
            rejected: row.rejected,
            ignored: row.ignored,
            ignored_values: ignored::of_last_week(tx, now).await?,
            refused: row.refused,
            expired: row.expired,
            suspicious_leads: row.suspicious_leads,
            leads_with_spam_signs: row.leads_with_spam_signs,
            several_candidates: row.several_candidates,
        };
        Ok((inbox, row.is_troubled))
    }
}
