//! Receipts: a platform accepted a request but hasn't processed it. The verdict is asked for until there is one.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::facts::can_omit_click_id;
use super::log::{self, Line};
use super::settlement::{Columns, Counters, Settlement};
use super::{Policy, breaker};
use crate::attribution::Clicks;
use crate::db::{DbError, Tx};
use crate::platforms::{Exchange, Facts, Outcome, Reason, Route, Verdict};

/// The verdict is first asked for after [`Policy::confirm_after`], then at doubling intervals up to this.
const LONGEST_STATUS_DELAY: TimeDelta = TimeDelta::hours(12);
/// After this no verdict is asked for: what was accepted stays unconfirmed.
const LAST_QUESTION: TimeDelta = TimeDelta::days(7);

/// The delay to the next question after so many, when the first came after `first`.
pub(crate) fn next_delay(first: TimeDelta, asked: i32) -> TimeDelta {
    (first * (1 << asked.clamp(0, 10).cast_unsigned())).min(LONGEST_STATUS_DELAY)
}

/// Is a verdict on what was accepted then still asked for?
pub(crate) fn is_asked_for(accepted_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - accepted_at < LAST_QUESTION
}

/// A receipt whose verdict is due, and the rows that wait for it.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub request_id: String,
    /// Where its conversions were sent, if that is known.
    pub sent_to: Option<String>,
    /// What the platform needs to know about the conversions, in the order of the rows.
    pub conversions: Vec<Facts>,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    queue_id: Uuid,
    counters: Counters,
    status_checks: i32,
    uploaded_at: DateTime<Utc>,
}

/// Receipts of a lane whose verdict is due, the longest waiting first.
pub async fn unconfirmed(
    tx: &mut Tx,
    route: &Route,
    limit: usize,
    now: DateTime<Utc>,
) -> Result<Vec<Receipt>, DbError> {
    let rows = sqlx::query!(
        r#"-- queue::receipts::unconfirmed
        with receipt as materialized (
            select request_id, min(next_status_check_at) as due_at
            from (
                select request_id, next_status_check_at
                from public.conversion_queue
                where platform = $1 and status = 'uploaded' and confirmed_at is null and request_id is not null
                    and next_status_check_at <= $2
                order by next_status_check_at
                -- Of one receipt there are at most so many rows.
                limit $3::bigint * 2000
            ) due
            group by request_id
            order by due_at
            limit $3::bigint
        )
        select
            q.id, q.request_id as "request_id!", q.retry_count, q.max_retries, q.transport_failures, q.status_checks,
            q.uploaded_at as "uploaded_at!", c.occurred_at, c.restated_at,
            coalesce(c.retracted_at, c.consent_withdrawn_at) as retracted_at, q.send_alone, q.omit_click_id,
            q.claims, q.adjusts is not null as "is_correction!", q.seconds_later,
            coalesce(o.sent_to, q.sent_to) as sent_to, coalesce(o.omit_click_id, false) as "went_without_click!",
            jsonb_build_object($4::text, c.clicks -> $4) as "clicks!: Json<Clicks>",
            coalesce(c.email_hash_google, c.phone_hash) is not null as "has_user_data!",
            (select created_at from public.leads where id = c.lead_id) as lead_at
        from receipt r
        join public.conversion_queue q on q.request_id = r.request_id
        join public.conversions c on c.id = q.conversion_id
        left join public.conversion_queue o on o.id = q.adjusts
        where q.platform = $1 and q.status = 'uploaded' and q.confirmed_at is null and q.next_status_check_at <= $2
        -- Of one receipt in the order of its request.
        order by r.due_at, q.request_id, q.id"#,
        route.lane,
        now,
        i64::try_from(limit).unwrap_or(i64::MAX),
        route.network,
    )
    .fetch_all(tx)
    .await?;
    let mut receipts: Vec<Receipt> = Vec::new();
    for row in rows {
        if receipts.last().is_none_or(|receipt| receipt.request_id != row.request_id) {
            let (request_id, sent_to) = (row.request_id, row.sent_to);
            receipts.push(Receipt { request_id, sent_to, conversions: Vec::new(), rows: Vec::new() });
        }
        let Some(receipt) = receipts.last_mut() else { continue };
        let click_id_omitted = row.omit_click_id || row.went_without_click;
        receipt.conversions.push(Facts {
            click_at: row.clicks.0.newest_at(),
            lead_at: row.lead_at.unwrap_or(row.occurred_at),
            restated_at: row.restated_at,
            retracted_at: row.retracted_at,
            can_omit_click_id: can_omit_click_id(&row.clicks.0, row.has_user_data, click_id_omitted),
            click_id_omitted,
            sent_before: row.claims > 1,
            is_correction: row.is_correction,
            seconds_later: row.seconds_later,
            send_alone: row.send_alone,
        });
        receipt.rows.push(Row {
            queue_id: row.id,
            counters: Counters {
                retry_count: row.retry_count,
                max_retries: row.max_retries,
                transport_failures: row.transport_failures,
            },
            status_checks: row.status_checks,
            uploaded_at: row.uploaded_at,
        });
    }
    Ok(receipts)
}

/// The new state of a row. Names are the SQL's.
struct Conclusion<'a> {
    settlement: Settlement<'a>,
    receipt: &'a str,
}

impl<'a> Conclusion<'a> {
    fn of(receipt: &'a str, row: &Row, verdict: &'a Verdict, now: DateTime<Utc>, policy: &Policy) -> Self {
        let stays = |outcome, reason: Option<&'a Reason>, next_status_check_at| Settlement {
            id: row.queue_id,
            status: "uploaded",
            retry_count: row.counters.retry_count,
            next_status_check_at,
            reason_code: reason.map(|reason| reason.code.as_str()),
            reason: reason.map(|reason| reason.message.as_str()),
            outcome,
            ..Settlement::default()
        };
        let next_at = now + next_delay(policy.confirm_after.max(TimeDelta::seconds(1)), row.status_checks);
        let next_question = is_asked_for(row.uploaded_at, now).then_some(next_at);
        let settlement = match verdict {
            Verdict::Confirmed => stays("confirmed", None, None),
            Verdict::Refused(outcome) => Settlement::of(row.queue_id, row.counters, outcome, now, policy),
            Verdict::Processing if next_question.is_some() => stays("processing", None, next_question),
            Verdict::Processing => Settlement {
                reason_code: Some("unconfirmed"),
                reason: Some(
                    "There was no verdict within seven days. The platform accepted it and may have counted it.",
                ),
                ..stays("unconfirmed", None, None)
            },
            Verdict::Unanswered(reason) | Verdict::Forgotten(reason) if next_question.is_some() => {
                stays("unanswered", Some(reason), next_question)
            }
            Verdict::Unanswered(reason) | Verdict::Forgotten(reason) | Verdict::Unknowable(reason) => {
                stays("unconfirmed", Some(reason), None)
            }
            Verdict::Paused(reason) => stays("paused", Some(reason), Some(next_at)),
        };
        Self { settlement, receipt }
    }
}

/// Stores the verdicts on receipts, one for each of their conversions. A row whose verdict is a rejection is retried,
/// or becomes a dead letter.
pub async fn conclude(
    tx: &mut Tx,
    policy: &Policy,
    route: &Route,
    answers: &[(Receipt, Vec<Verdict>, Exchange)],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut conclusions = Vec::new();
    let mut lines: Vec<Line> = Vec::new();
    for (receipt, verdicts, exchange) in answers {
        let concluded: Vec<_> = receipt
            .rows
            .iter()
            .zip(verdicts)
            .map(|(row, verdict)| Conclusion::of(&receipt.request_id, row, verdict, now, policy))
            .collect();
        let line = Line::new(route, Some((exchange, receipt.rows.len())));
        Line { request_id: Some(&receipt.request_id), ..line }
            .group_by_result(concluded.iter().map(|it| (it.settlement.id, it.settlement.result())), &mut lines);
        conclusions.extend(concluded);
    }
    let outcomes = write(tx, &conclusions, now).await?;
    log::append(tx, &route.lane, "status", &lines, now).await?;
    // A pause that a failed status request caused ends with an answer: there may be nothing to send for weeks.
    if outcomes.iter().any(|outcome| matches!(outcome.as_str(), "confirmed" | "processing")) {
        breaker::resume(tx, &route.lane, outcomes.iter().any(|outcome| outcome == "confirmed")).await?;
    }
    Ok(())
}

/// Writes verdicts on rows that still wait for them, and returns the outcomes of those rows.
async fn write(tx: &mut Tx, conclusions: &[Conclusion<'_>], now: DateTime<Utc>) -> Result<Vec<String>, DbError> {
    let rows = Columns::of(conclusions.iter().map(|it| &it.settlement));
    // In the order in which whoever corrects conversions locks their rows.
    sqlx::query!(
        "-- queue::receipts::write
        select from public.conversion_queue where id = any($1) order by id for update",
        &rows.ids,
    )
    .execute(&mut *tx)
    .await?;
    let receipts: Vec<_> = conclusions.iter().map(|it| it.receipt.to_owned()).collect();
    let outcomes = sqlx::query_scalar!(
        r#"-- queue::receipts::write
        update public.conversion_queue q
        set status = s.status,
            retry_count = s.retry_count,
            transport_failures = s.transport_failures,
            next_retry_at = case
                when s.next_retry_at > q.expires_at and q.expires_at > $13 then q.expires_at
                else s.next_retry_at
            end,
            confirmed_at = case when s.outcome = 'confirmed' then $13::timestamptz end,
            status_checks = q.status_checks + 1,
            next_status_check_at = s.next_status_check_at,
            send_alone = q.send_alone or s.send_alone,
            omit_click_id = q.omit_click_id or s.omit_click_id,
            seconds_later = q.seconds_later + s.second_later::integer,
            dead_lettered_at = case when s.status = 'dead_letter' then $13 end,
            last_error = case
                when s.outcome in ('confirmed', 'processing') then null
                else coalesce(s.reason, q.last_error)
            end,
            last_error_code = case
                when s.outcome in ('confirmed', 'processing') then null
                else coalesce(s.reason_code, q.last_error_code)
            end
        from unnest(
            $1::uuid[], $2::text[], $3::text[], $4::integer[], $5::integer[], $6::timestamptz[], $7::timestamptz[],
            $8::boolean[], $9::boolean[], $10::text[], $11::text[], $12::text[], $14::boolean[]
        ) as s (
            id, receipt, status, retry_count, transport_failures, next_retry_at, next_status_check_at, send_alone,
            omit_click_id, reason_code, reason, outcome, second_later
        )
        where q.id = s.id and q.request_id = s.receipt and q.status = 'uploaded' and q.confirmed_at is null
        returning s.outcome as "outcome!""#,
        &rows.ids,
        &receipts,
        &rows.statuses,
        &rows.retry_counts,
        &rows.transport_failures,
        &rows.next_retry_at as &[Option<DateTime<Utc>>],
        &rows.next_status_check_at as &[Option<DateTime<Utc>>],
        &rows.send_alone,
        &rows.omit_click_id,
        &rows.reason_codes as &[Option<String>],
        &rows.reasons as &[Option<String>],
        &rows.outcomes,
        now,
        &rows.second_later,
    )
    .fetch_all(tx)
    .await?;
    Ok(outcomes)
}

/// The rows of these answers whose click belongs to another account.
#[must_use]
pub fn declined(answers: &[(Receipt, Vec<Verdict>, Exchange)]) -> Vec<Uuid> {
    let rows = answers.iter().flat_map(|(receipt, verdicts, _)| receipt.rows.iter().zip(verdicts));
    let declined = rows.filter(|(_, verdict)| matches!(verdict, Verdict::Refused(Outcome::OtherAccount(_))));
    declined.map(|(row, _)| row.queue_id).collect()
}

/// Why the platform refuses every request.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// What happened and what to do.
    pub reason: &'a Reason,
    /// Was it rejected by the verdict, after it was accepted? Then verdicts are still available.
    pub late: bool,
}

/// The reason to pause the lane, if one of these verdicts is one.
#[must_use]
pub fn refused(answers: &[(Receipt, Vec<Verdict>, Exchange)]) -> Option<Refused<'_>> {
    answers.iter().flat_map(|(_, verdicts, _)| verdicts).find_map(|verdict| match verdict {
        Verdict::Paused(reason) => Some(Refused { reason, late: false }),
        Verdict::Refused(Outcome::Paused(reason)) => Some(Refused { reason, late: true }),
        _ => None,
    })
}
