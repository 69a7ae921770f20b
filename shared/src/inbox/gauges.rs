//! What CRMs sent and what became of it, in numbers for metrics.

use chrono::{DateTime, Utc};

use crate::db::{DbError, Tx};

/// So many refused webhooks of a source in a day are no accident.
const REFUSALS: i64 = 3;

/// The inbox now.
#[derive(Debug, PartialEq, Eq)]
pub struct InboxGauges {
    /// Deals whose lead wasn't found yet.
    pub awaiting_lead: i64,
    /// Deals that were reported in the last day, each stage of a deal once.
    pub deals: i64,
    /// Sources that had deals in each of the four weeks before the last seven days, and none in these.
    pub silent: Vec<String>,
    /// Sources whose webhooks of the last day failed authentication several times, and none was accepted since.
    pub refused: Vec<String>,
}

/// Of these sources, which are declared: another one may have been removed on purpose.
pub async fn read(tx: &mut Tx, sources: &[String], now: DateTime<Utc>) -> Result<InboxGauges, DbError> {
    let gauges = sqlx::query_as!(
        InboxGauges,
        r#"-- inbox::gauges::read
        select
            (select count(*) from public.inbox where state = 'awaiting_lead') as "awaiting_lead!",
            (select count(*) from public.inbox where received_at > $1::timestamptz - interval '1 day') as "deals!",
            array(
                select source
                from public.inbox
                where received_at > $1::timestamptz - interval '35 days' and source = any($2)
                group by source
                having max(received_at) <= $1::timestamptz - interval '7 days'
                    and count(distinct floor(extract(epoch from $1::timestamptz - received_at) / 604800)) = 4
                order by source
            ) as "silent!",
            array(
                select source
                from public.webhook_refusals
                where hour > $1::timestamptz - interval '25 hours' and last_at > $1::timestamptz - interval '1 day'
                    and source = any($2)
                group by source
                having sum(refusals) >= $3::bigint and not exists (
                    select from public.inbox_receipts r
                    where r.source = webhook_refusals.source and r.body is not null
                        and r.last_received_at >= max(webhook_refusals.last_at)
                )
                order by source
            ) as "refused!""#,
        now,
        sources,
        REFUSALS,
    )
    .fetch_one(tx)
    .await?;
    Ok(gauges)
}

/// What became of a source's webhooks, where it wasn't a report on a deal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unused {
    /// The request failed authentication.
    Refused,
    /// The event calls for no action.
    Ignored,
    /// The event is invalid.
    Rejected,
}

/// How many of the last day, of one source and reason.
#[derive(Debug, PartialEq, Eq)]
pub struct UnusedCount {
    pub source: String,
    pub unused: Unused,
    /// Of a refusal as in the answer to the sender; else `no_rule`, `rule`, `only` or `invalid`.
    pub reason: String,
    pub count: i64,
}

/// What of the last day was refused, ignored and rejected.
pub async fn unused(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<UnusedCount>, DbError> {
    let rows = sqlx::query!(
        r#"-- inbox::gauges::unused
        select source as "source!", 'refused' as "unused!", reason as "reason!", sum(refusals)::bigint as "count!"
        from public.webhook_refusals
        where hour > $1::timestamptz - interval '1 day'
        group by source, reason
        union all
        select
            source, state,
            case
                when state = 'rejected' then 'invalid'
                when reason like 'no rule matches: %' then 'no_rule'
                when reason like 'rule % ignores it: %' then 'rule'
                else 'only'
            end,
            count(*)
        from public.inbox_events
        where received_at > $1::timestamptz - interval '1 day' and state in ('ignored', 'rejected')
        group by 1, 2, 3
        order by 1, 2, 3"#,
        now,
    )
    .fetch_all(tx)
    .await?;
    let counts = rows.into_iter().map(|row| UnusedCount {
        source: row.source,
        unused: match row.unused.as_str() {
            "refused" => Unused::Refused,
            "ignored" => Unused::Ignored,
            _ => Unused::Rejected,
        },
        reason: row.reason,
        count: row.count,
    });
    Ok(counts.collect())
}
