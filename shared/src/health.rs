//! The state of deliveries, for people and for monitors.

mod events;
mod habits;
mod silences;
mod website;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::consent::{ConsentStatus, UnknownConsent};
use crate::db::{DbError, Tx};
use crate::inbox::ignored::{self, IgnoredValue};
use crate::platforms::{Destinations, Operation, UNDECLARED};

use silences::Counted;

pub use events::{EventsHealth, of_events};
pub use silences::Silence;
pub use website::{Deals, FormRefusals, Forms, LeadWarnings, PaidVisits, Website};

/// A bit more than two runs of the schedule: a row that has been due for longer was skipped.
const WAITS_TOO_LONG: TimeDelta = TimeDelta::minutes(45);

/// The whole answer of `GET /api/health/tracking`.
#[derive(Debug, Serialize)]
pub struct Health {
    /// The sum of it.
    pub status: Status,
    /// The queue, in numbers.
    pub queue: Queue,
    /// Corrections, in numbers.
    pub corrections: Corrections,
    /// The inbox, in numbers.
    pub inbox: Inbox,
    /// Every lane that is configured, has a state or has open rows.
    pub platforms: Vec<PlatformHealth>,
    /// What stopped arriving, or arrives in part, without an error anywhere.
    pub silences: Vec<Silence>,
    /// Forms, in numbers.
    pub forms: Forms,
    /// Visits that an ad was paid for, in numbers.
    pub paid_visits: PaidVisits,
    /// Deals of the last days, in numbers.
    pub deals: Deals,
    /// Every destination of the website's events.
    pub events: Vec<EventsHealth>,
    /// When something last happened.
    pub last: Last,
}

/// The sum of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing to do.
    Healthy,
    /// Needs attention: a row has been due for too long or keeps failing, became a dead letter in the last day or has
    /// no verdict, a lane is paused or undeclared, a CRM is unavailable, events of the last day were rejected, a
    /// destination of the website's events is in trouble, or something stopped arriving.
    Degraded,
    /// Nothing can be delivered: rows are due, and their platforms are paused.
    Critical,
}

/// The queue, in numbers of rows.
#[derive(Debug, Serialize)]
pub struct Queue {
    /// Not sent yet.
    pub pending: i64,
    /// Accepted by the platform.
    pub uploaded: i64,
    /// Refused, to be retried.
    pub failed: i64,
    pub dead_letter: i64,
    /// Of the pending: until the click is old enough, or consent known.
    pub held: i64,
    /// Of the uploaded: processed by the platform.
    pub confirmed: i64,
    /// Of the uploaded: without a verdict for seven days, so that it is no longer asked for; or the platform had it
    /// before anything was sent.
    pub unconfirmed: i64,
    /// How long the longest waiting row has been due.
    pub oldest_due_seconds: Option<i64>,
    /// Why rows wait, became dead letters in the last day or were left unconfirmed in the last eight, the most frequent
    /// first, five at most.
    pub reasons: Vec<HealthReason>,
}

/// Corrections and retractions of what was uploaded, in numbers of rows.
#[derive(Debug, Serialize)]
pub struct Corrections {
    /// Not sent yet, or to be retried.
    pub open: i64,
    /// Accepted by the platform.
    pub uploaded: i64,
    pub dead_letter: i64,
}

/// Why rows wait or became dead letters.
#[derive(Debug, Serialize, Deserialize)]
pub struct HealthReason {
    /// The platform's code, or Adtrail's in lower case.
    pub code: String,
    /// What happened and what to do, from one of the rows.
    pub message: String,
    pub rows: i64,
}

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

/// The state of one lane.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlatformHealth {
    pub platform: String,
    /// `active`, `paused`, or `undeclared`: it has open rows, and no destination of this name is declared.
    pub state: String,
    /// Why it is paused or what to do about its rows.
    pub reason: Option<String>,
}

/// When something last happened.
#[derive(Debug, Serialize)]
pub struct Last {
    pub visit: Option<DateTime<Utc>>,
    pub lead: Option<DateTime<Utc>>,
    pub event: Option<DateTime<Utc>>,
    /// A deal from the CRM.
    pub webhook: Option<DateTime<Utc>>,
    /// A platform accepted a conversion.
    pub upload: Option<DateTime<Utc>>,
}

#[expect(clippy::too_many_lines, reason = "two statements, so that their numbers belong together")]
pub async fn check(
    tx: &mut Tx,
    destinations: &Destinations,
    sources: &[String],
    unknown_consent: UnknownConsent,
    now: DateTime<Utc>,
) -> Result<Health, DbError> {
    let configured = destinations.lanes();
    let row = sqlx::query!(
        r#"-- health::check
        with row as (
            select
                q.platform, q.status, q.confirmed_at, q.dead_lettered_at, q.transport_failures, q.last_error_code,
                q.last_error,
                q.status in ('pending', 'failed') as open,
                q.adjusts is null as is_upload,
                -- Given up, but not because somebody refused it.
                coalesce(q.last_error_code in ('deal_lost', 'original_refused', 'consent_withdrawn'), false) as is_moot,
                q.status = 'uploaded' and q.confirmed_at is null and q.next_status_check_at is null
                    -- With a reason: the platform had it before anything was sent.
                    and coalesce(q.request_id, q.last_error_code) is not null as unconfirmed,
                q.uploaded_at,
                greatest(q.next_retry_at, q.created_at) as due_at,
                c.ad_user_data <> all($1::text[]) and q.platform <> all($4::text[]) as awaits_consent,
                -- A correction goes when what it corrects has gone.
                coalesce(o.status in ('pending', 'failed'), false) as awaits_upload,
                coalesce(p.state = 'paused', false) as is_paused
            from public.conversion_queue q
            join public.conversions c on c.id = q.conversion_id
            left join public.conversion_queue o on o.id = q.adjusts
            left join public.platform_state p on p.platform = q.platform
        ),
        reason as (
            select last_error_code as code, min(last_error) as message, count(*) as rows
            from row
            where (
                    (open and not awaits_consent)
                    or (dead_lettered_at > $2::timestamptz - interval '1 day' and not is_moot)
                    or (unconfirmed and uploaded_at > $2::timestamptz - interval '8 days')
                )
                and last_error_code is not null
            group by last_error_code
            order by count(*) desc, last_error_code
            limit 5
        )
        select
            count(*) filter (where is_upload and status = 'pending') as "pending!",
            count(*) filter (where is_upload and status = 'uploaded') as "uploaded!",
            count(*) filter (where is_upload and status = 'failed') as "failed!",
            count(*) filter (where is_upload and status = 'dead_letter' and not is_moot) as "dead_letter!",
            count(*) filter (
                where is_upload and status = 'pending' and transport_failures = 0
                    and (due_at > $2::timestamptz or awaits_consent)
            ) as "held!",
            count(confirmed_at) filter (where is_upload) as "confirmed!",
            count(*) filter (where is_upload and unconfirmed) as "unconfirmed!",
            count(*) filter (where not is_upload and open) as "corrections_open!",
            count(*) filter (where not is_upload and status = 'uploaded') as "corrections_uploaded!",
            count(*) filter (
                where not is_upload and status = 'dead_letter' and not is_moot
            ) as "corrections_dead_letter!",
            min(due_at) filter (
                where open and not awaits_consent and not awaits_upload and due_at <= $2
            ) as oldest_due_at,
            coalesce(
                bool_and(is_paused) filter (where open and not awaits_consent and not awaits_upload and due_at <= $2),
                false
            ) as "all_due_are_paused!",
            coalesce(bool_or(
                (dead_lettered_at > $2::timestamptz - interval '1 day' and not is_moot)
                or (unconfirmed and uploaded_at > $2::timestamptz - interval '8 days')
                -- 15 and 30 minutes were not enough: the platform is unavailable, or a proxy blocks it.
                or (open and not awaits_consent and transport_failures > 2)
            ), false) as "is_troubled!",
            (select jsonb_agg(reason) from reason) as reasons,
            (select max(last_seen_at) from public.visitors where bot_score < 100) as last_visit,
            (select max(created_at) from public.leads) as last_lead,
            (select max(created_at) from public.tracking_events) as last_event,
            (
                select max(last_accepted_at) from public.platform_state where platform not like 'events:%'
            ) as last_upload,
            (
                select jsonb_agg(
                    -- A platform nobody has used yet has no row.
                    jsonb_build_object(
                        'platform', id,
                        'state', case
                            when id <> all($3) and $3 <> '{}' and exists (
                                select from row where open and row.platform = id
                            ) then 'undeclared'
                            else coalesce(p.state, 'active')
                        end,
                        'reason', p.reason
                    )
                    order by id
                )
                -- The uploader may have settings that health doesn't have.
                from (
                    select unnest($3::text[])
                    union select platform from public.platform_state where platform not like 'events:%'
                    union select platform from row where open
                ) as lane (id)
                left join public.platform_state p on p.platform = id
            ) as platforms
        from row"#,
        &unknown_consent.sendable() as &[ConsentStatus],
        now,
        &configured,
        &destinations.correction_lanes(Operation::Retraction),
    )
    .fetch_one(&mut *tx)
    .await?;
    let inbox = sqlx::query!(
        r#"-- health::check_inbox
        select
            (select count(*) from public.inbox where state = 'awaiting_lead') as "awaiting_lead!",
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
            (select count(*) from public.inbox where state = 'expired')
                + (select count(*) from public.inbox_events where state = 'expired') as "expired!",
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
                ) as "is_troubled!",
            greatest(
                (select max(received_at) from public.inbox),
                (select max(last_received_at) from public.inbox_receipts where body is not null)
            ) as last_webhook"#,
        now,
    )
    .fetch_one(&mut *tx)
    .await?;
    let ignored_values = ignored::of_last_week(tx, now).await?;
    let stages: Vec<_> = destinations.stages.iter().cloned().collect();
    let counted = Counted::read(tx, sources, &stages, now).await?;
    let silences = counted.silences(now);
    let mut platforms: Vec<PlatformHealth> = listed(row.platforms);
    for lane in platforms.iter_mut().filter(|lane| lane.state == "undeclared") {
        lane.reason = Some(UNDECLARED.into());
    }
    let waited = row.oldest_due_at.map(|at| now - at);
    let is_paused = platforms.iter().any(|platform| platform.state == "paused");
    let is_undeclared = platforms.iter().any(|platform| platform.state == "undeclared");
    let status = if is_paused && row.all_due_are_paused {
        Status::Critical
    } else if is_paused
        || is_undeclared
        || row.is_troubled
        || inbox.is_troubled
        || !silences.is_empty()
        || waited.is_some_and(|waited| waited > WAITS_TOO_LONG)
    {
        Status::Degraded
    } else {
        Status::Healthy
    };
    Ok(Health {
        status,
        queue: Queue {
            pending: row.pending,
            uploaded: row.uploaded,
            failed: row.failed,
            dead_letter: row.dead_letter,
            held: row.held,
            confirmed: row.confirmed,
            unconfirmed: row.unconfirmed,
            oldest_due_seconds: waited.map(|waited| waited.num_seconds()),
            reasons: listed(row.reasons),
        },
        corrections: Corrections {
            open: row.corrections_open,
            uploaded: row.corrections_uploaded,
            dead_letter: row.corrections_dead_letter,
        },
        inbox: Inbox {
            awaiting_lead: inbox.awaiting_lead,
            received: inbox.received,
            rejected: inbox.rejected,
            ignored: inbox.ignored,
            ignored_values,
            refused: inbox.refused,
            expired: inbox.expired,
            suspicious_leads: inbox.suspicious_leads,
            leads_with_spam_signs: inbox.leads_with_spam_signs,
            several_candidates: inbox.several_candidates,
        },
        platforms,
        silences,
        forms: counted.website.forms,
        paid_visits: counted.website.paid_visits,
        deals: counted.website.deals,
        events: Vec::new(),
        last: Last {
            visit: row.last_visit,
            lead: row.last_lead,
            event: row.last_event,
            webhook: inbox.last_webhook,
            upload: row.last_upload,
        },
    })
}

impl Health {
    /// With the destinations of the website's events.
    #[must_use]
    pub fn with(mut self, events: Vec<EventsHealth>) -> Self {
        if self.status == Status::Healthy && events.iter().any(EventsHealth::is_in_trouble) {
            self.status = Status::Degraded;
        }
        self.events = events;
        self
    }
}

/// What a query put together as JSON; nothing when there are no rows.
fn listed<T: DeserializeOwned>(rows: Option<serde_json::Value>) -> Vec<T> {
    rows.and_then(|rows| serde_json::from_value(rows).ok()).unwrap_or_default()
}
