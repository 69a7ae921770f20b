//! The queue: one row for each conversion and lane it is sent in.
//!
//! A claimed row keeps its status and has a lease. The lease uses Postgres' clock, so that all uploaders agree on it,
//! and its token guards the outcome: a sandbox that was frozen and lost its lease can't overwrite what happened since.
//! Everything else (what is due, when to retry) uses the app's clock.

pub mod breaker;
mod closing;
mod consent;
mod facts;
pub mod gauges;
mod log;
mod policy;
pub mod receipts;
pub mod rehearsal;
mod renaming;
pub mod runs;
mod settlement;
mod undeclared;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::consent::statements::Subject;
use crate::consent::{Consent, ConsentStatus};
use crate::db::{DbError, Tx};
use crate::platforms::{Conversion, Delivery, Destinations, Operation, Outcome, Route};

pub use closing::close_moot;
use consent::Claimed;
pub use policy::{CONFIRM_AFTER, Policy};
pub use renaming::rename;
use settlement::{Counters, Settlement};
pub use upkeep::{LaneState, Work, lanes, requests, wake, work};

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
    route: &Route,
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

/// A row with a lease.
#[derive(Default)]
struct Leased {
    id: Uuid,
    retry_count: i32,
    max_retries: i32,
    transport_failures: i32,
    /// With this one.
    claims: i32,
    send_alone: bool,
    omit_click_id: bool,
    is_correction: bool,
    seconds_later: i32,
    conversion_id: Uuid,
    sent_to: Option<String>,
    sent_through: Option<String>,
}

async fn lease(
    tx: &mut Tx,
    policy: &Policy,
    route: &Route,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<(Claim, Vec<Claimed>), DbError> {
    let token = Uuid::new_v4();
    let rows = lease_rows(tx, policy, route, limit, token, now).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.conversion_id).collect();
    let mut facts: HashMap<_, _> =
        facts::read(tx, route.network, &ids).await?.into_iter().map(|it| (it.id, it)).collect();
    let mut claim = Claim { token, conversions: Vec::with_capacity(rows.len()), counters: Vec::new() };
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(facts) = facts.remove(&row.conversion_id) else { continue };
        claimed.push(Claimed {
            queue_id: row.id,
            conversion_id: row.conversion_id,
            subject: Subject { lead_id: facts.lead_id, crm_deal_id: facts.crm_deal_id.clone() },
            consent: Consent { ad_user_data: facts.ad_user_data, ad_personalization: facts.ad_personalization },
        });
        claim.counters.push(Counters {
            retry_count: row.retry_count,
            max_retries: row.max_retries,
            transport_failures: row.transport_failures,
        });
        claim.conversions.push(facts.into_conversion(&row));
    }
    Ok((claim, claimed))
}

async fn lease_rows(
    tx: &mut Tx,
    policy: &Policy,
    route: &Route,
    limit: usize,
    token: Uuid,
    now: DateTime<Utc>,
) -> Result<Vec<Leased>, DbError> {
    let rows = sqlx::query_as!(
        Leased,
        r#"-- queue::lease_rows
        with due as materialized (
            select
                q.id, o.sent_to, o.sent_through, coalesce(o.seconds_later, q.seconds_later) as seconds_later,
                -- A correction names the person as the conversion did.
                q.omit_click_id or coalesce(o.omit_click_id, false) as omit_click_id
            from public.conversion_queue q
            left join lateral (
                select status, sent_to, sent_through, seconds_later, omit_click_id
                from public.conversion_queue
                where id = q.adjusts
            ) o on q.adjusts is not null
            -- Not a join: a plan that sorts all that is due would do so for every claim of a long queue.
            cross join lateral (
                select
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
                and (q.adjusts is null or o.status in ('uploaded', 'dead_letter'))
            order by q.expires_at, q.created_at
            limit $4
            for no key update of q skip locked
        )
        update public.conversion_queue q
        set locked_until = now() + make_interval(secs => $5), lock_token = $6, claims = q.claims + 1
        from due
        where q.id = due.id
        returning
            q.id, q.retry_count, q.max_retries, q.transport_failures, q.claims, q.send_alone,
            due.omit_click_id as "omit_click_id!", q.adjusts is not null as "is_correction!",
            due.seconds_later as "seconds_later!", q.conversion_id, due.sent_to as "sent_to?",
            due.sent_through as "sent_through?""#,
        route.lane,
        now,
        &policy.sendable(route.operation) as &[ConsentStatus],
        i64::try_from(limit).unwrap_or(i64::MAX),
        f64::from(LEASE_SECONDS),
        token,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows)
}

/// Stores the outcomes of a claim, one for each conversion in their order, and logs the requests. Returns how many rows
/// the lease still covered.
pub async fn settle(
    tx: &mut Tx,
    policy: &Policy,
    destinations: &Destinations,
    route: &Route,
    claim: &Claim,
    delivery: &Delivery,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let uploads = destinations.get(&route.destination).filter(|_| route.operation == Operation::Upload);
    let targets: BTreeMap<_, _> = uploads.map(|it| it.targets(&destinations.stages).collect()).unwrap_or_default();
    let through = uploads.and_then(|it| it.platform.reached_through());
    let settlements: Vec<_> = claim
        .conversions
        .iter()
        .zip(&claim.counters)
        .zip(&delivery.outcomes)
        .map(|((conversion, counters), outcome)| Settlement {
            sent_to: targets.get(&conversion.conversion_type).filter(|_| may_be_there(outcome)).map(String::as_str),
            sent_through: through.filter(|_| may_be_there(outcome)),
            ..Settlement::of(conversion.queue_id, *counters, outcome, now, policy)
        })
        .collect();
    let settled = settlement::write(tx, &settlements, claim.token, now).await?;
    log::append(tx, &route.lane, route.operation.as_str(), &log::of_delivery(route, claim, delivery), now).await?;
    if let Some(is_confirmation) = acceptance(claim, delivery, &settled) {
        breaker::accepted(tx, &route.lane, is_confirmation, now).await?;
    }
    Ok(settled.len() as u64)
}

/// Does the platform have it, or may it, because its answer was lost? Then corrections go there.
fn may_be_there(outcome: &Outcome) -> bool {
    outcome.is_accepted() || matches!(outcome, Outcome::Unavailable(..))
}

/// The rows of a claim whose click belongs to another account.
#[must_use]
pub fn declined(claim: &Claim, delivery: &Delivery) -> Vec<Uuid> {
    let outcomes = claim.conversions.iter().zip(&delivery.outcomes);
    let declined = outcomes.filter(|(_, outcome)| matches!(outcome, Outcome::OtherAccount(_)));
    declined.map(|(conversion, _)| conversion.queue_id).collect()
}

/// Was any of the settled rows accepted, and if so, is one confirmed by that? A duplicate is: the platform has
/// processed it before.
fn acceptance(claim: &Claim, delivery: &Delivery, settled: &BTreeSet<Uuid>) -> Option<bool> {
    let outcomes = claim.conversions.iter().zip(&delivery.outcomes);
    let accepted =
        outcomes.filter(|(conversion, outcome)| outcome.is_accepted() && settled.contains(&conversion.queue_id));
    accepted.map(|(_, outcome)| !matches!(outcome, Outcome::Accepted { .. })).reduce(|any, it| any || it)
}
