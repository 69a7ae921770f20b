//! Receipts: analytics accepted a request but hasn't processed it. The verdict is asked for until there is one.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::analytics::EventVerdict;
use crate::db::{DbError, Tx};
use crate::platforms::Reason;
use crate::queue::CONFIRM_AFTER;
use crate::queue::receipts::{is_asked_for, next_delay};

/// A receipt whose verdict is due, and the rows that wait for it.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub request_id: String,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    id: Uuid,
    checks: i32,
    sent_at: DateTime<Utc>,
}

impl Receipt {
    /// How many events it is about.
    #[must_use]
    pub fn events(&self) -> usize {
        self.rows.len()
    }
}

/// Receipts of a lane whose verdict is due, the longest waiting first.
pub async fn unconfirmed(tx: &mut Tx, lane: &str, limit: usize, now: DateTime<Utc>) -> Result<Vec<Receipt>, DbError> {
    let rows = sqlx::query!(
        r#"-- event_queue::receipts::unconfirmed
        with receipt as materialized (
            select request_id, min(next_status_check_at) as due_at
            from (
                select request_id, next_status_check_at
                from public.event_queue
                where destination = $1 and next_status_check_at <= $2
                order by next_status_check_at
                -- Of one receipt there are at most so many rows.
                limit $3::bigint * 2000
            ) due
            group by request_id
            order by due_at
            limit $3::bigint
        )
        select q.id, q.request_id as "request_id!", q.status_checks, q.settled_at as "sent_at!"
        from receipt r
        join public.event_queue q on q.request_id = r.request_id and q.next_status_check_at is not null
        where q.destination = $1
        -- Of one receipt in the order of its request.
        order by r.due_at, q.request_id, q.id"#,
        lane,
        now,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(tx)
    .await?;
    let mut receipts: Vec<Receipt> = Vec::new();
    for row in rows {
        if receipts.last().is_none_or(|receipt| receipt.request_id != row.request_id) {
            receipts.push(Receipt { request_id: row.request_id, rows: Vec::new() });
        }
        let Some(receipt) = receipts.last_mut() else { continue };
        receipt.rows.push(Row { id: row.id, checks: row.status_checks, sent_at: row.sent_at });
    }
    Ok(receipts)
}

/// The new state of a row.
struct Conclusion<'a> {
    id: Uuid,
    status: &'static str,
    next_check_at: Option<DateTime<Utc>>,
    reason: Option<(&'a str, &'a str)>,
}

impl<'a> Conclusion<'a> {
    fn of(row: Row, verdict: &'a EventVerdict, now: DateTime<Utc>) -> Self {
        let next_at = now + next_delay(CONFIRM_AFTER, row.checks);
        let next_check_at = is_asked_for(row.sent_at, now).then_some(next_at);
        let conclusion = |status, next_check_at, reason: Option<&'a Reason>| Self {
            id: row.id,
            status,
            next_check_at,
            reason: reason.map(|reason| (reason.code.as_str(), reason.message.as_str())),
        };
        match verdict {
            EventVerdict::Confirmed => conclusion("confirmed", None, None),
            EventVerdict::Processing if next_check_at.is_some() => conclusion("sent", next_check_at, None),
            EventVerdict::Processing => Self {
                reason: Some(("unconfirmed", "There was no verdict within seven days. Google may have counted it.")),
                ..conclusion("sent", None, None)
            },
            EventVerdict::Unanswered(reason) => conclusion("sent", next_check_at, Some(reason)),
            EventVerdict::Refused(reason) => conclusion("rejected", None, Some(reason)),
            EventVerdict::Unknowable(reason) => conclusion("unverifiable", None, Some(reason)),
        }
    }
}

/// Stores the verdicts on receipts, one for each of their events.
pub async fn conclude(
    tx: &mut Tx,
    answers: &[(Receipt, Vec<EventVerdict>)],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let rows = answers.iter().flat_map(|(receipt, verdicts)| receipt.rows.iter().zip(verdicts));
    let mut concluded: Vec<_> = rows.map(|(row, verdict)| Conclusion::of(*row, verdict, now)).collect();
    // In one order, so that two workers can't deadlock.
    concluded.sort_by_key(|it| it.id);
    let text = |value: Option<&str>| value.map(str::to_owned);
    sqlx::query!(
        r#"-- event_queue::receipts::conclude
        update public.event_queue q
        set status = s.status,
            -- A refusal is news of now.
            settled_at = case when s.status in ('rejected', 'unverifiable') then $6 else q.settled_at end,
            status_checks = q.status_checks + 1,
            next_status_check_at = s.next_check_at,
            last_error_code = s.reason_code,
            last_error = s.reason
        from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::text[])
            as s (id, status, next_check_at, reason_code, reason)
        where q.id = s.id and q.status = 'sent' and q.next_status_check_at is not null"#,
        &concluded.iter().map(|it| it.id).collect::<Vec<_>>(),
        &concluded.iter().map(|it| it.status.to_owned()).collect::<Vec<_>>(),
        &concluded.iter().map(|it| it.next_check_at).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &concluded.iter().map(|it| text(it.reason.map(|(code, _)| code))).collect::<Vec<_>>() as &[Option<String>],
        &concluded.iter().map(|it| text(it.reason.map(|(_, said)| said))).collect::<Vec<_>>() as &[Option<String>],
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}
