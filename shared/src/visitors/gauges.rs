//! What the website did in the last day, in numbers for metrics.

use chrono::{DateTime, Utc};

use crate::db::{DbError, Tx};

/// Of a busier day this many of the newest visitors and leads are counted.
pub const COUNTED: i64 = 100_000;

/// The last day, up to [`COUNTED`] each.
#[derive(Debug, PartialEq, Eq)]
pub struct WebsiteGauges {
    /// Visitors who came by, without bots.
    pub visitors: i64,
    /// Of them: known to have clicked on an ad, then or before.
    pub with_click: i64,
    /// Of them: refused consent by their browser's Global Privacy Control.
    pub with_gpc: i64,
    /// Forms that were filled in.
    pub leads: i64,
}

pub async fn read(tx: &mut Tx, now: DateTime<Utc>) -> Result<WebsiteGauges, DbError> {
    let gauges = sqlx::query_as!(
        WebsiteGauges,
        r#"-- visitors::gauges::read
        select
            count(*) as "visitors!",
            count(*) filter (where clicks <> '{}') as "with_click!",
            count(*) filter (
                where ad_user_data = 'denied' and exists (
                    select from public.consent_statements s
                    where s.visitor_id = v.visitor_id and s.purpose = 'ad_user_data' and s.source = 'gpc'
                )
            ) as "with_gpc!",
            (
                select count(*)
                from (
                    select from public.leads where created_at > $1::timestamptz - interval '1 day' limit $2
                ) lead
            ) as "leads!"
        from (
            select visitor_id, clicks, ad_user_data
            from public.visitors
            where last_seen_at > $1::timestamptz - interval '1 day' and bot_score < 100
            order by last_seen_at desc
            limit $2
        ) v"#,
        now,
        COUNTED,
    )
    .fetch_one(tx)
    .await?;
    Ok(gauges)
}
