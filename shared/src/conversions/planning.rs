//! Asks the destinations again about conversions that were recorded before their settings changed: a destination or a
//! conversion action that is set up later gets what still counts. And about those whose time changed.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::decision::Eligibility;
use super::recording::enqueue;
use super::stored::{self, Stored};
use crate::attribution::CLICK_COUNTS;
use crate::clock::Clock;
use crate::consent::ConsentStatus;
use crate::db::{Db, DbError, Tx};
use crate::platforms::{Destinations, Plan, SkipReason};

/// Conversions per transaction.
const PAGE: i64 = 500;

/// What came of asking again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Backfill {
    /// How many were queued, by destination.
    pub queued: BTreeMap<String, u64>,
    /// How many are sent nowhere, by the reason.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// How many destinations have had all along.
    pub unchanged: u64,
}

impl Backfill {
    /// How many were queued.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.queued.values().sum()
    }
}

/// Queues conversions for destinations that accept them now and weren't asked before, page by page until `end`, the
/// newest first. What counts for none of them any more says so.
pub async fn enqueue_missing(
    db: &Db,
    clock: &Clock,
    destinations: &Destinations,
    end: DateTime<Utc>,
) -> Result<Backfill, DbError> {
    let (mut backfill, mut after) = (Backfill::default(), None);
    while clock.now() < end {
        let page = db.tx(async |tx| ask_page(tx, destinations, after, clock.now()).await).await?;
        let Some(page) = page else { break };
        after = Some(backfill.add(page));
    }
    Ok(backfill)
}

/// What [`enqueue_missing`] would do. Stores nothing.
///
/// # Errors
/// When the database fails.
pub async fn rehearse_missing(db: &Db, clock: &Clock, destinations: &Destinations) -> Result<Backfill, DbError> {
    let (mut backfill, mut after) = (Backfill::default(), None);
    while let Some(page) = db.rolled_back(async |tx| ask_page(tx, destinations, after, clock.now()).await).await? {
        after = Some(backfill.add(page));
    }
    Ok(backfill)
}

/// The place of a conversion among those that are asked about, the newest first.
#[derive(Clone, Copy, Debug)]
struct Place {
    created_at: DateTime<Utc>,
    id: Uuid,
}

struct Page {
    last: Place,
    queued: Vec<String>,
    skip_reasons: Vec<Option<SkipReason>>,
}

impl Backfill {
    /// Returns the place of the last conversion.
    fn add(&mut self, page: Page) -> Place {
        let asked = page.skip_reasons.len();
        for reason in page.skip_reasons.iter().flatten() {
            *self.skipped.entry(*reason).or_default() += 1;
        }
        let skipped = page.skip_reasons.iter().flatten().count();
        self.unchanged += (asked - skipped).saturating_sub(page.queued.len()) as u64;
        for destination in page.queued {
            *self.queued.entry(destination).or_default() += 1;
        }
        page.last
    }
}

async fn ask_page(
    tx: &mut Tx,
    destinations: &Destinations,
    after: Option<Place>,
    now: DateTime<Utc>,
) -> Result<Option<Page>, DbError> {
    let fingerprint = destinations.fingerprint();
    let stale = lock_stale(tx, fingerprint, after, now).await?;
    let Some(last) = stale.last().copied() else { return Ok(None) };
    let stored = stored::read(tx, &stale.iter().map(|it| it.id).collect::<Vec<_>>()).await?;
    let decided: Vec<_> = stored.iter().map(|it| decide(it, destinations, now)).collect();
    let accepted: Vec<_> = decided.iter().map(|(id, eligibility)| (*id, eligibility)).collect();
    let queued = enqueue(tx, &accepted, now).await?;
    mark(tx, &decided, fingerprint).await?;
    let skip_reasons = decided.into_iter().map(|(_, eligibility)| eligibility.skip_reason).collect();
    Ok(Some(Page { last, queued, skip_reasons }))
}

/// Who gets it in time, and why nobody does.
fn decide(stored: &Stored, destinations: &Destinations, now: DateTime<Utc>) -> (Uuid, Eligibility) {
    use SkipReason::{NoAttribution, NoConversionAction, NoDestination, TooOld};
    let may_change =
        matches!(stored.skip_reason, None | Some(NoAttribution | NoConversionAction | NoDestination | TooOld));
    if stored.is_retracted || stored.ad_user_data == ConsentStatus::Denied || !may_change {
        return (stored.id, Eligibility::skipped(stored.skip_reason));
    }
    let Eligibility { mut planned, skip_reason } =
        Eligibility::of(destinations, &stored.candidate(), stored.ad_user_data, stored.is_of_bot);
    planned.retain(|it| it.window.until.is_none_or(|until| until > now));
    // Without a reason, other destinations have it.
    let is_sent_nowhere = stored.skip_reason.is_some() && planned.is_empty();
    let skip_reason = is_sent_nowhere.then(|| skip_reason.unwrap_or(TooOld));
    (stored.id, Eligibility { planned, skip_reason })
}

/// Asks the destinations again from when until when these conversions count, because their time changed. Rows that were
/// never claimed are due and expire accordingly. The caller has locked the conversions.
pub(super) async fn renew_windows(
    tx: &mut Tx,
    destinations: &Destinations,
    conversions: &[Uuid],
) -> Result<(), DbError> {
    if conversions.is_empty() {
        return Ok(());
    }
    let stored = stored::read(tx, conversions).await?;
    let planned = stored.iter().flat_map(|it| {
        let candidate = it.candidate();
        destinations.iter().filter_map(move |destination| match destination.plan(&candidate) {
            Plan::Send(window) => Some((it.id, destination.name.clone(), window)),
            Plan::Skip(_) => None,
        })
    });
    let planned: Vec<_> = planned.collect();
    sqlx::query!(
        "-- conversions::planning::renew_windows
        update public.conversion_queue q
        set next_retry_at = renewed.due_at, expires_at = renewed.expires_at
        from (
            select row.id, d.due_at, d.expires_at
            from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[])
                as d (conversion_id, destination, due_at, expires_at)
            join public.conversion_queue row
                on row.conversion_id = d.conversion_id and row.platform = d.destination and row.claims = 0
            -- In the order in which the uploader locks rows.
            order by row.id
            for update of row
        ) renewed
        where q.id = renewed.id",
        &planned.iter().map(|(id, ..)| *id).collect::<Vec<_>>(),
        &planned.iter().map(|(_, destination, _)| destination.clone()).collect::<Vec<_>>(),
        &planned.iter().map(|(.., window)| window.from).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &planned.iter().map(|(.., window)| window.until).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The next conversions about which the destinations were asked when they accepted something else, the newest first,
/// locked. What is locked by others is left to the next run.
async fn lock_stale(
    tx: &mut Tx,
    fingerprint: &str,
    after: Option<Place>,
    now: DateTime<Utc>,
) -> Result<Vec<Place>, DbError> {
    let stale = sqlx::query_as!(
        Place,
        r#"-- conversions::planning::lock_stale
        with recursive fingerprint as (
            -- Each value there is, by the index: there are few.
            select min(planned_for) as value from public.conversions
            union all
            select (select min(planned_for) from public.conversions where planned_for > f.value)
            from fingerprint f
            where f.value is not null
        )
        select c.id, c.created_at
        from fingerprint f
        cross join lateral (
            select id, created_at
            from public.conversions
            where planned_for = f.value and created_at > $2
                and ($4::timestamptz is null or (created_at, id) < ($4, $5::uuid))
            order by created_at desc, id desc
            limit $3
            for no key update skip locked
        ) c
        where f.value <> $1
        order by c.created_at desc, c.id desc
        limit $3"#,
        fingerprint,
        now - CLICK_COUNTS,
        PAGE,
        after.map(|place| place.created_at),
        after.map(|place| place.id),
    )
    .fetch_all(tx)
    .await?;
    Ok(stale)
}

async fn mark(tx: &mut Tx, decided: &[(Uuid, Eligibility)], fingerprint: &str) -> Result<(), DbError> {
    let ids: Vec<_> = decided.iter().map(|(id, _)| *id).collect();
    let skip_reasons: Vec<_> = decided.iter().map(|(_, eligibility)| eligibility.skip_reason).collect();
    sqlx::query!(
        "-- conversions::planning::mark
        update public.conversions c
        set planned_for = $3, skip_reason = d.skip_reason
        from unnest($1::uuid[], $2::text[]) as d (id, skip_reason)
        where c.id = d.id",
        &ids,
        &skip_reasons as &[Option<SkipReason>],
        fingerprint,
    )
    .execute(tx)
    .await?;
    Ok(())
}
