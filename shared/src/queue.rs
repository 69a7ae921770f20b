//! The queue: one row for each conversion and lane it is sent in.
//!
//! A claimed row keeps its status and has a lease. The lease uses Postgres' clock, so that all uploaders agree on it,
//! and its token guards the outcome: a sandbox that was frozen and lost its lease can't overwrite what happened since.
//! Everything else (what is due, when to retry) uses the app's clock.

pub mod breaker;
mod closing;
mod consent;
mod log;
mod policy;
pub mod receipts;
mod settlement;
mod upkeep;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::attribution::ClickId;
use crate::consent::statements::Subject;
use crate::consent::{Consent, ConsentStatus};
use crate::db::{DbError, Tx};
use crate::deals::Stage;
use crate::identity::Hash;
use crate::money::Money;
use crate::platforms::{Conversion, Delivery, Facts, Operation, Outcome, Route};

pub use closing::close_moot;
use consent::Claimed;
pub use policy::Policy;
use settlement::{Counters, Settlement};
pub use upkeep::{Work, requests, wake, work};

/// The lease of a claimed row, in seconds. Longer than an uploader can run: its Lambda ends after 120.
pub const LEASE_SECONDS: i32 = 300;

/// Rows claimed together.
#[derive(Debug)]
pub struct Claim {
    token: Uuid,
    /// What to send.
    pub conversions: Vec<Conversion>,
    counters: Vec<Counters>,
}

/// Claims due rows of a lane, those that expire first at the front, and withholds those whose person denies consent.
pub async fn claim(
    tx: &mut Tx,
    policy: &Policy,
    route: Route,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<Claim, DbError> {
    loop {
        let (mut claim, claimed) = lease(tx, policy, route, limit, now).await?;
        if claimed.is_empty() || route.operation == Operation::Retraction {
            return Ok(claim);
        }
        let consents = consent::decide(tx, policy, claim.token, &claimed, now).await?;
        claim.keep(consents);
        // All of them may have been withheld, and the next ones not.
        if !claim.conversions.is_empty() {
            return Ok(claim);
        }
    }
}

impl Claim {
    /// Keeps the rows that may be sent, with the consent they are sent with.
    fn keep(&mut self, consents: Vec<Option<Consent>>) {
        let conversions = std::mem::take(&mut self.conversions);
        let counters = std::mem::take(&mut self.counters);
        for ((conversion, counters), consent) in conversions.into_iter().zip(counters).zip(consents) {
            let Some(Consent { ad_user_data, ad_personalization }) = consent else { continue };
            self.conversions.push(Conversion { ad_user_data, ad_personalization, ..conversion });
            self.counters.push(counters);
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one statement, whose parts depend on each other")]
async fn lease(
    tx: &mut Tx,
    policy: &Policy,
    route: Route,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<(Claim, Vec<Claimed>), DbError> {
    let token = Uuid::new_v4();
    let rows = sqlx::query!(
        r#"-- queue::claim
        with due as materialized (
            select
                q.id, q.retry_count, q.max_retries, q.transport_failures, q.send_alone, q.omit_click_id,
                c.id as conversion_id, c.lead_id, c.crm_deal_id,
                c.transaction_id, c.conversion_type, c.occurred_at, c.value::float8 as value, c.currency,
                c.gclid, c.gbraid, c.wbraid, c.click_at, c.session_attributes,
                c.email_hash_google, c.phone_hash, c.ad_user_data, c.ad_personalization, c.restated_at,
                coalesce(c.retracted_at, c.consent_withdrawn_at) as retracted_at,
                (select created_at from public.leads where id = c.lead_id) as lead_at
            from public.conversion_queue q
            -- Not a join: a plan that sorts all that is due would do so for every claim of a long queue.
            cross join lateral (
                select *
                from public.conversions
                where id = q.conversion_id
                    and ad_user_data = any($3::text[])
                    and (q.adjusts is not null or retracted_at is null)
                -- A value that is being changed is waited for by nobody and sent by the next claim.
                for no key update skip locked
            ) c
            where q.platform = $1
                and q.status in ('pending', 'failed')
                and (q.next_retry_at is null or q.next_retry_at <= $2)
                and (q.locked_until is null or q.locked_until <= now())
                -- What the platform didn't get yet can't be corrected.
                and (
                    q.adjusts is null
                    or (
                        select o.status in ('uploaded', 'dead_letter')
                        from public.conversion_queue o
                        where o.id = q.adjusts
                    )
                )
            order by q.expires_at, q.created_at
            limit $4
            for no key update of q skip locked
        )
        update public.conversion_queue q
        set locked_until = now() + make_interval(secs => $5), lock_token = $6, claims = q.claims + 1
        from due
        where q.id = due.id
        returning
            q.id, due.retry_count, due.max_retries, due.transport_failures, due.send_alone, due.omit_click_id,
            due.conversion_id, due.lead_id, due.crm_deal_id,
            due.transaction_id, due.conversion_type as "conversion_type: Stage", due.occurred_at,
            due.value, due.currency,
            due.gclid as "gclid: ClickId", due.gbraid as "gbraid: ClickId", due.wbraid as "wbraid: ClickId",
            due.click_at, due.session_attributes,
            due.email_hash_google as "email_hash_google: Hash", due.phone_hash as "phone_hash: Hash",
            due.ad_user_data as "ad_user_data: ConsentStatus",
            due.ad_personalization as "ad_personalization: ConsentStatus",
            due.restated_at, due.retracted_at, due.lead_at"#,
        route.platform,
        now,
        &policy.sendable(route.operation) as &[ConsentStatus],
        i64::try_from(limit).unwrap_or(i64::MAX),
        f64::from(LEASE_SECONDS),
        token,
    )
    .fetch_all(tx)
    .await?;
    let mut claim =
        Claim { token, conversions: Vec::with_capacity(rows.len()), counters: Vec::with_capacity(rows.len()) };
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows {
        claimed.push(Claimed {
            queue_id: row.id,
            conversion_id: row.conversion_id,
            subject: Subject { lead_id: row.lead_id, crm_deal_id: row.crm_deal_id },
            consent: Consent { ad_user_data: row.ad_user_data, ad_personalization: row.ad_personalization },
        });
        claim.counters.push(Counters {
            retry_count: row.retry_count,
            max_retries: row.max_retries,
            transport_failures: row.transport_failures,
        });
        let has_click_id = row.gclid.is_some() || row.gbraid.is_some() || row.wbraid.is_some();
        let has_user_data = row.email_hash_google.is_some() || row.phone_hash.is_some();
        let can_omit_click_id = has_click_id && has_user_data && !row.omit_click_id;
        claim.conversions.push(Conversion {
            queue_id: row.id,
            transaction_id: row.transaction_id,
            conversion_type: row.conversion_type,
            occurred_at: row.occurred_at,
            money: row.value.zip(row.currency).map(|(value, currency)| Money::new(value, currency)),
            gclid: row.gclid.filter(|_| !row.omit_click_id),
            gbraid: row.gbraid.filter(|_| !row.omit_click_id),
            wbraid: row.wbraid.filter(|_| !row.omit_click_id),
            session_attributes: row.session_attributes.filter(|_| !row.omit_click_id),
            email_hash_google: row.email_hash_google,
            phone_hash: row.phone_hash,
            ad_user_data: row.ad_user_data,
            ad_personalization: row.ad_personalization,
            facts: Facts {
                click_at: row.click_at,
                // A site's own table may have leads without a time.
                lead_at: row.lead_at.unwrap_or(row.occurred_at),
                restated_at: row.restated_at,
                retracted_at: row.retracted_at,
                can_omit_click_id,
                send_alone: row.send_alone,
            },
        });
    }
    Ok((claim, claimed))
}

/// Stores the outcomes of a claim, one for each conversion in their order, and logs the requests. Returns how many rows
/// the lease still covered.
pub async fn settle(
    tx: &mut Tx,
    policy: &Policy,
    route: Route,
    claim: &Claim,
    delivery: &Delivery,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let settlements: Vec<_> = claim
        .conversions
        .iter()
        .zip(&claim.counters)
        .zip(&delivery.outcomes)
        .map(|((conversion, counters), outcome)| Settlement::of(conversion.queue_id, *counters, outcome, now, policy))
        .collect();
    let settled = settlement::write(tx, &settlements, claim.token, now).await?;
    log::append(tx, route.platform, route.operation.as_str(), &log::of_delivery(route, claim, delivery), now).await?;
    if let Some(is_confirmation) = acceptance(claim, delivery, &settled) {
        breaker::accepted(tx, route.platform, is_confirmation, now).await?;
    }
    Ok(settled.len() as u64)
}

/// Was any of the settled rows accepted, and if so, is one confirmed by that? A duplicate is: the platform has
/// processed it before.
fn acceptance(claim: &Claim, delivery: &Delivery, settled: &BTreeSet<Uuid>) -> Option<bool> {
    let outcomes = claim.conversions.iter().zip(&delivery.outcomes);
    let accepted =
        outcomes.filter(|(conversion, outcome)| outcome.is_accepted() && settled.contains(&conversion.queue_id));
    accepted.map(|(_, outcome)| !matches!(outcome, Outcome::Accepted { .. })).reduce(|any, it| any || it)
}
