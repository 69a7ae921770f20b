//! The queue of conversions and their corrections, in numbers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::COUNTED;
use crate::consent::{ConsentStatus, UnknownConsent};
use crate::db::{DbError, Tx};
use crate::platforms::{Destinations, Operation, UNDECLARED};

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

/// The state of one lane.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlatformHealth {
    pub platform: String,
    /// `active`, `paused`, or `undeclared`: it has open rows, and no destination of this name is declared.
    pub state: String,
    /// Why it is paused or what to do about its rows.
    pub reason: Option<String>,
}

/// What was counted.
pub(super) struct Deliveries {
    pub queue: Queue,
    pub corrections: Corrections,
    pub platforms: Vec<PlatformHealth>,
    /// Are all rows that are due of paused lanes?
    pub all_due_are_paused: bool,
    /// Does a row need attention?
    pub is_troubled: bool,
}

impl Deliveries {
    /// Open rows, each with its conversion; of those that are finished the newest, by indexes of their own.
    #[expect(clippy::too_many_lines, reason = "one statement, so that its numbers belong together")]
    pub(super) async fn read(
        tx: &mut Tx,
        destinations: &Destinations,
        unknown_consent: UnknownConsent,
        now: DateTime<Utc>,
    ) -> Result<Self, DbError> {
        let row = sqlx::query!(
            r#"-- health::queue::read
            with open as materialized (
                select
                    q.platform, q.status, q.transport_failures, q.last_error_code, q.last_error,
                    q.adjusts is null as is_upload,
                    greatest(q.next_retry_at, q.created_at) as due_at,
                    c.ad_user_data <> all($1::text[]) and q.platform <> all($4::text[]) as awaits_consent,
                    -- A correction goes when what it corrects has gone.
                    coalesce(o.status in ('pending', 'failed'), false) as awaits_upload,
                    coalesce(p.state = 'paused', false) as is_paused
                from public.conversion_queue q
                join public.conversions c on c.id = q.conversion_id
                left join public.conversion_queue o on o.id = q.adjusts
                left join public.platform_state p on p.platform = q.platform
                where q.status in ('pending', 'failed')
            ),
            uploaded as (
                select
                    count(*) filter (where is_upload) as uploads,
                    count(*) filter (where not is_upload) as corrections,
                    count(confirmed_at) filter (where is_upload) as confirmed,
                    count(*) filter (
                        where is_upload and confirmed_at is null and next_status_check_at is null
                            -- With a reason: the platform had it before anything was sent.
                            and coalesce(request_id, last_error_code) is not null
                    ) as unconfirmed
                from (
                    select adjusts is null as is_upload, confirmed_at, next_status_check_at, request_id, last_error_code
                    from public.conversion_queue
                    where status = 'uploaded'
                    order by uploaded_at desc
                    limit $5
                ) newest
            ),
            refused as (
                select
                    count(*) filter (where is_upload) as uploads, count(*) filter (where not is_upload) as corrections
                from (
                    select adjusts is null as is_upload
                    from public.conversion_queue
                    where status = 'dead_letter'
                        -- Given up, but not because somebody refused it.
                        and not coalesce(
                            last_error_code in ('deal_lost', 'original_refused', 'consent_withdrawn'), false
                        )
                    order by dead_lettered_at desc
                    limit $5
                ) newest
            ),
            trouble as materialized (
                (
                    select last_error_code, last_error
                    from public.conversion_queue
                    where status = 'dead_letter'
                        and not coalesce(
                            last_error_code in ('deal_lost', 'original_refused', 'consent_withdrawn'), false
                        )
                        and dead_lettered_at > $2::timestamptz - interval '1 day'
                    order by dead_lettered_at desc
                    limit $5
                )
                union all
                (
                    select last_error_code, last_error
                    from public.conversion_queue
                    where status = 'uploaded' and confirmed_at is null and next_status_check_at is null
                        and coalesce(request_id, last_error_code) is not null
                        and uploaded_at > $2::timestamptz - interval '8 days'
                    order by uploaded_at desc
                    limit $5
                )
            ),
            reason as (
                select last_error_code as code, min(last_error) as message, count(*) as rows
                from (
                    select last_error_code, last_error from open where not awaits_consent
                    union all
                    select last_error_code, last_error from trouble
                ) row
                where last_error_code is not null
                group by last_error_code
                order by count(*) desc, last_error_code
                limit 5
            )
            select
                count(*) filter (where is_upload and status = 'pending') as "pending!",
                (select uploads from uploaded) as "uploaded!",
                count(*) filter (where is_upload and status = 'failed') as "failed!",
                (select uploads from refused) as "dead_letter!",
                count(*) filter (
                    where is_upload and status = 'pending' and transport_failures = 0
                        and (due_at > $2::timestamptz or awaits_consent)
                ) as "held!",
                (select confirmed from uploaded) as "confirmed!",
                (select unconfirmed from uploaded) as "unconfirmed!",
                count(*) filter (where not is_upload) as "corrections_open!",
                (select corrections from uploaded) as "corrections_uploaded!",
                (select corrections from refused) as "corrections_dead_letter!",
                min(due_at) filter (where not awaits_consent and not awaits_upload and due_at <= $2) as oldest_due_at,
                coalesce(
                    bool_and(is_paused) filter (where not awaits_consent and not awaits_upload and due_at <= $2), false
                ) as "all_due_are_paused!",
                exists (select from trouble)
                    -- 15 and 30 minutes were not enough: the platform is unavailable, or a proxy blocks it.
                    or coalesce(bool_or(not awaits_consent and transport_failures > 2), false) as "is_troubled!",
                (select jsonb_agg(reason) from reason) as reasons,
                (
                    select jsonb_agg(
                        -- A platform nobody has used yet has no row.
                        jsonb_build_object(
                            'platform', id,
                            'state', case
                                when id <> all($3) and $3 <> '{}' and exists (
                                    select from open where open.platform = id
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
                        union select platform from open
                    ) as lane (id)
                    left join public.platform_state p on p.platform = id
                ) as platforms
            from open"#,
            &unknown_consent.sendable() as &[ConsentStatus],
            now,
            &destinations.lanes(),
            &destinations.correction_lanes(Operation::Retraction),
            COUNTED,
        )
        .fetch_one(tx)
        .await?;
        let mut platforms: Vec<PlatformHealth> = super::listed(row.platforms);
        for lane in platforms.iter_mut().filter(|lane| lane.is_undeclared()) {
            lane.reason = Some(UNDECLARED.into());
        }
        Ok(Self {
            queue: Queue {
                pending: row.pending,
                uploaded: row.uploaded,
                failed: row.failed,
                dead_letter: row.dead_letter,
                held: row.held,
                confirmed: row.confirmed,
                unconfirmed: row.unconfirmed,
                oldest_due_seconds: row.oldest_due_at.map(|at| (now - at).num_seconds()),
                reasons: super::listed(row.reasons),
            },
            corrections: Corrections {
                open: row.corrections_open,
                uploaded: row.corrections_uploaded,
                dead_letter: row.corrections_dead_letter,
            },
            platforms,
            all_due_are_paused: row.all_due_are_paused,
            is_troubled: row.is_troubled,
        })
    }
}

impl PlatformHealth {
    pub(super) fn is_paused(&self) -> bool {
        self.state == "paused"
    }

    pub(super) fn is_undeclared(&self) -> bool {
        self.state == "undeclared"
    }
}
