//! The log of attempts: append-only, each request and its results. No personal data.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Claim;
use crate::db::{DbError, Tx};
use crate::platforms::{Delivery, Exchange, Outcome, Route};

/// A line of the log of attempts: one per request and distinct result.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub exchange_id: Uuid,
    pub queue_ids: Vec<Uuid>,
    /// None when nothing was sent.
    pub transport: Option<&'a str>,
    pub rows_in_request: Option<i32>,
    pub duration_ms: i32,
    pub http_status: Option<i16>,
    pub request_id: Option<&'a str>,
    pub outcome: &'a str,
    pub reason_code: Option<&'a str>,
    pub reason: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// A line for a request with this number of rows, or for rows that were settled without a request.
    pub(super) fn new(route: &Route, request: Option<(&'a Exchange, usize)>) -> Self {
        let exchange = request.map(|(exchange, _)| exchange);
        Self {
            exchange_id: Uuid::new_v4(),
            queue_ids: Vec::new(),
            transport: exchange.map(|_| route.transport),
            rows_in_request: request.map(|(_, rows)| i32::try_from(rows).unwrap_or(i32::MAX)),
            duration_ms: exchange
                .map_or(0, |exchange| i32::try_from(exchange.duration.as_millis()).unwrap_or(i32::MAX)),
            http_status: exchange
                .and_then(|exchange| exchange.http_status)
                .and_then(|status| i16::try_from(status).ok()),
            request_id: exchange.and_then(|exchange| exchange.request_id.as_deref()),
            outcome: "",
            reason_code: None,
            reason: None,
        }
    }

    /// Puts rows with the same result on one line.
    pub(super) fn group_by_result(self, rows: impl Iterator<Item = (Uuid, AttemptResult<'a>)>, lines: &mut Vec<Self>) {
        let first = lines.len();
        for (id, AttemptResult { outcome, reason_code, reason }) in rows {
            let same = |line: &&mut Self| (line.outcome, line.reason_code) == (outcome, reason_code);
            if let Some(line) = lines[first..].iter_mut().find(same) {
                line.queue_ids.push(id);
            } else {
                lines.push(Self { queue_ids: vec![id], outcome, reason_code, reason, ..self });
            }
        }
    }
}

/// The result of a request for a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttemptResult<'a> {
    pub outcome: &'a str,
    pub reason_code: Option<&'a str>,
    pub reason: Option<&'a str>,
}

impl<'a> AttemptResult<'a> {
    fn of(outcome: &'a Outcome) -> Self {
        let reason = outcome.reason();
        Self {
            outcome: outcome.as_str(),
            reason_code: reason.map(|reason| reason.code.as_str()),
            reason: reason.map(|reason| reason.message.as_str()),
        }
    }
}

/// The log of a delivery: one or more lines for each request, and for rows settled without one. A refused request
/// lists the conversions that caused the refusal; the others in it have a line for the request that settled them.
pub(super) fn of_delivery<'a>(route: &Route, claim: &Claim, delivery: &'a Delivery) -> Vec<Line<'a>> {
    let id = |at: &usize| claim.conversions[*at].queue_id;
    let mut lines = Vec::new();
    let mut unasked: Vec<bool> = delivery.outcomes.iter().map(|outcome| *outcome != Outcome::Unsent).collect();
    for request in &delivery.requests {
        let line = || Line::new(route, Some((&request.exchange, request.conversions.len())));
        request.settled.iter().for_each(|at| unasked[*at] = false);
        if !request.settled.is_empty() {
            line().group_by_result(
                request.settled.iter().map(|at| (id(at), AttemptResult::of(&delivery.outcomes[*at]))),
                &mut lines,
            );
            continue;
        }
        let blamed = request.conversions.iter().filter(|at| !delivery.outcomes[**at].is_accepted());
        let queue_ids: Vec<_> = blamed.map(id).collect();
        if !queue_ids.is_empty() {
            lines.push(Line { queue_ids, outcome: "narrowed_down", ..line() });
        }
    }
    let unasked = (0..delivery.outcomes.len()).filter(|at| unasked[*at]);
    Line::new(route, None)
        .group_by_result(unasked.map(|at| (id(&at), AttemptResult::of(&delivery.outcomes[at]))), &mut lines);
    lines
}

/// Appends lines; `operation` is what `upload_attempts.operation` says.
pub(super) async fn append(
    tx: &mut Tx,
    platform: &str,
    operation: &str,
    lines: &[Line<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let column = |value: fn(&Line) -> Option<String>| lines.iter().map(value).collect::<Vec<_>>();
    // Lines have different numbers of rows, and Postgres' arrays of arrays must be rectangular.
    let rows = (1..).zip(lines).flat_map(|(number, line)| line.queue_ids.iter().map(move |id| (number, *id)));
    let (line_numbers, queue_ids): (Vec<i32>, Vec<Uuid>) = rows.unzip();
    sqlx::query!(
        "-- queue::log::append
        with row as (
            select line, array_agg(queue_id) as queue_ids
            from unnest($13::integer[], $14::uuid[]) as r (line, queue_id)
            group by line
        )
        insert into public.upload_attempts (
            exchange_id, platform, operation, transport, rows_in_request, queue_ids, attempted_at, duration_ms,
            http_status, request_id, outcome, reason_code, reason
        )
        select
            l.exchange_id, $1, $2, l.transport, l.rows_in_request, row.queue_ids, $3, l.duration_ms, l.http_status,
            l.request_id, l.outcome, l.reason_code, l.reason
        from unnest(
            $4::uuid[], $5::text[], $6::integer[], $7::integer[], $8::smallint[], $9::text[], $10::text[], $11::text[],
            $12::text[]
        ) with ordinality as l (
            exchange_id, transport, rows_in_request, duration_ms, http_status, request_id, outcome, reason_code,
            reason, line
        )
        join row on row.line = l.line
        order by l.line",
        platform,
        operation,
        now,
        &lines.iter().map(|line| line.exchange_id).collect::<Vec<_>>(),
        &column(|line| line.transport.map(str::to_owned)) as &[Option<String>],
        &lines.iter().map(|line| line.rows_in_request).collect::<Vec<_>>() as &[Option<i32>],
        &lines.iter().map(|line| line.duration_ms).collect::<Vec<_>>(),
        &lines.iter().map(|line| line.http_status).collect::<Vec<_>>() as &[Option<i16>],
        &column(|line| line.request_id.map(str::to_owned)) as &[Option<String>],
        &lines.iter().map(|line| line.outcome.to_owned()).collect::<Vec<_>>(),
        &column(|line| line.reason_code.map(str::to_owned)) as &[Option<String>],
        &column(|line| line.reason.map(str::to_owned)) as &[Option<String>],
        &line_numbers,
        &queue_ids,
    )
    .execute(tx)
    .await?;
    Ok(())
}
