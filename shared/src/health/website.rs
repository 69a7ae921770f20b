//! Forms, paid visits and deals without a lead, in numbers: what arrives less often than it should.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::db::{DbError, Tx};

/// Of more than this the newest are counted, so that the numbers cost the same on a busy day.
const COUNTED: i64 = 10_000;

/// What the website sent, and whether it can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Website {
    /// Forms, in numbers.
    pub forms: Forms,
    /// Visits that an ad was paid for, in numbers.
    pub paid_visits: PaidVisits,
    /// Deals of the last days, in numbers.
    pub deals: Deals,
}

impl Website {
    /// As of now.
    pub async fn read(tx: &mut Tx, now: DateTime<Utc>) -> Result<Self, DbError> {
        Ok(Self {
            forms: forms(tx, now).await?,
            paid_visits: paid_visits(tx, now).await?,
            deals: deals(tx, now).await?,
        })
    }
}

/// Forms, of the last seven days and of the last day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Forms {
    /// Of seven days: stored as leads, up to ten thousand.
    pub accepted: i64,
    /// Of seven days: refused, because nothing was left to recognise a person by, or for another error.
    pub refused: i64,
    /// Of the accepted: something was left out, cut or guessed, up to ten thousand.
    pub warned: i64,
    pub accepted_last_day: i64,
    pub refused_last_day: i64,
    /// Why forms were refused, the most frequent first, ten at most.
    pub refusals: Vec<FormRefusals>,
    /// What leads were warned about, the most frequent first, ten at most.
    pub warnings: Vec<LeadWarnings>,
}

/// Forms that were refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormRefusals {
    /// The source of leads; empty for the website's own form.
    pub source: String,
    pub reason: String,
    pub forms: i64,
    /// Of them: of the last day.
    pub forms_last_day: i64,
    /// The last of them.
    pub last_at: DateTime<Utc>,
}

/// Leads of which a field couldn't be used as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadWarnings {
    /// The field, as a JSON Pointer.
    pub pointer: String,
    pub leads: i64,
}

/// First visits of the last day that an ad was paid for, up to ten thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PaidVisits {
    /// With a click id, or with `gad_source`, `gad_campaignid`, Google as the paid UTM source, or a referrer of
    /// Google's ads.
    pub visits: i64,
    /// Of them: without a click id of Google's.
    pub without_click_id: i64,
}

/// Deals of the last three days, up to ten thousand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deals {
    pub reported: i64,
    /// Of them: still wait for a lead.
    pub awaiting_lead: i64,
    /// As many of those before, at most of four weeks.
    #[serde(skip)]
    pub before: i64,
    #[serde(skip)]
    pub awaiting_before: i64,
}

async fn forms(tx: &mut Tx, now: DateTime<Utc>) -> Result<Forms, DbError> {
    let row = sqlx::query!(
        r#"-- health::website::forms
        with lead as (
            select created_at
            from public.leads
            where created_at > $1::timestamptz - interval '7 days' and created_at <= $1
            order by created_at desc
            limit $2
        ),
        warned as (
            select warnings
            from public.leads
            where created_at > $1::timestamptz - interval '7 days' and created_at <= $1 and warnings <> '[]'
            order by created_at desc
            limit $2
        ),
        refused as (
            select source, reason, hour, refusals, last_at
            from public.lead_refusals
            where hour > $1::timestamptz - interval '7 days' and hour <= $1
        )
        select
            (select count(*) from lead) as "accepted!",
            (select count(*) from lead where created_at > $1::timestamptz - interval '1 day') as "accepted_last_day!",
            (select count(*) from warned) as "warned!",
            (select coalesce(sum(refusals), 0)::bigint from refused) as "refused!",
            (
                select coalesce(sum(refusals), 0)::bigint from refused
                where hour > $1::timestamptz - interval '1 day'
            ) as "refused_last_day!",
            (
                select jsonb_agg(by_reason)
                from (
                    select
                        source, reason, sum(refusals)::bigint as forms, max(last_at) as last_at,
                        coalesce(
                            sum(refusals) filter (where hour > $1::timestamptz - interval '1 day'), 0
                        )::bigint as forms_last_day
                    from refused
                    group by source, reason
                    order by 3 desc, source, reason
                    limit 10
                ) by_reason
            ) as refusals,
            (
                select jsonb_agg(by_field)
                from (
                    select coalesce(warning ->> 'pointer', '') as pointer, count(*) as leads
                    from warned
                    cross join lateral jsonb_array_elements(
                        case jsonb_typeof(warnings) when 'array' then warnings else '[]' end
                    ) as each (warning)
                    group by 1
                    order by 2 desc, 1
                    limit 10
                ) by_field
            ) as warnings"#,
        now,
        COUNTED,
    )
    .fetch_one(tx)
    .await?;
    Ok(Forms {
        accepted: row.accepted,
        refused: row.refused,
        warned: row.warned,
        accepted_last_day: row.accepted_last_day,
        refused_last_day: row.refused_last_day,
        refusals: super::listed(row.refusals),
        warnings: super::listed(row.warnings),
    })
}

async fn paid_visits(tx: &mut Tx, now: DateTime<Utc>) -> Result<PaidVisits, DbError> {
    // The condition is that of the index visitors_paid_idx.
    let visits = sqlx::query_as!(
        PaidVisits,
        r#"-- health::website::paid_visits
        select
            count(*) as "visits!",
            count(*) filter (where coalesce(gclid, gbraid, wbraid) is null) as "without_click_id!"
        from (
            select gclid, gbraid, wbraid
            from public.visitors
            where first_seen_at > $1::timestamptz - interval '1 day' and first_seen_at <= $1
                and bot_score < 100
                and (
                    coalesce(gclid, gbraid, wbraid, gad_source, gad_campaignid) is not null
                    or (lower(utm_source) = 'google' and lower(utm_medium) in ('cpc', 'ppc', 'paid', 'paidsearch'))
                    or referrer ~* '^https?://([a-z0-9.-]+\.)?(google\.[a-z.]+/aclk|googleadservices\.com'
                        '|doubleclick\.net|syndicatedsearch\.goog)'
                )
            order by first_seen_at desc
            limit $2
        ) visit"#,
        now,
        COUNTED,
    )
    .fetch_one(tx)
    .await?;
    Ok(visits)
}

async fn deals(tx: &mut Tx, now: DateTime<Utc>) -> Result<Deals, DbError> {
    let deals = sqlx::query_as!(
        Deals,
        r#"-- health::website::deals
        select
            count(*) filter (where is_recent) as "reported!",
            count(*) filter (where is_recent and waits) as "awaiting_lead!",
            count(*) filter (where not is_recent) as "before!",
            count(*) filter (where not is_recent and waits) as "awaiting_before!"
        from (
            (
                select true as is_recent, state = 'awaiting_lead' as waits
                from public.inbox
                where received_at > $1::timestamptz - interval '3 days' and received_at <= $1
                order by received_at desc
                limit $2
            )
            union all
            (
                select false, state <> 'matched'
                from public.inbox
                where received_at > $1::timestamptz - interval '31 days'
                    and received_at <= $1::timestamptz - interval '3 days'
                order by received_at desc
                limit $2
            )
        ) deal"#,
        now,
        COUNTED,
    )
    .fetch_one(tx)
    .await?;
    Ok(deals)
}
