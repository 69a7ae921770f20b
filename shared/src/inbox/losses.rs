//! Losses. A loss is stored even if its deal is unknown, so that the order of the reports doesn't matter: a closing
//! before the loss is retracted, one after it counts.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::db::{DbError, Tx};
use crate::deals::{Loss, Stages};

/// Blocks concurrent matching of these deals until the transaction ends: it records a deal first, or sees what this
/// transaction wrote.
pub async fn hold_back_matches(tx: &mut Tx, crm_deal_ids: &[&str]) -> Result<(), DbError> {
    if crm_deal_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- inbox::losses::hold_back_matches
        select from public.inbox where crm_deal_id = any($1) order by id for update",
        crm_deal_ids as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Which of these losses are dated before a win that was reported before them, and when that was: they count as of
/// then, because the CRM said last that the deal is lost. Not those whose CRM says that they are older than the win:
/// these were overtaken.
pub async fn dated_before_wins(
    tx: &mut Tx,
    stages: &Stages,
    losses: &[&Loss],
) -> Result<BTreeMap<String, DateTime<Utc>>, DbError> {
    if losses.is_empty() {
        return Ok(BTreeMap::new());
    }
    let deals: Vec<_> = losses.iter().map(|it| it.crm_deal_id.as_str()).collect();
    let lost_at: Vec<_> = losses.iter().map(|it| it.lost_at).collect();
    let as_of: Vec<_> = losses.iter().map(|it| it.as_of).collect();
    let payloads: Vec<_> = losses.iter().map(|it| it.payload_hash.as_str()).collect();
    let found = sqlx::query!(
        r#"-- inbox::losses::dated_before_wins
        select l.crm_deal_id as "crm_deal_id!", max(won.occurred_at) as "won_at!"
        from unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::text[])
            as l (crm_deal_id, lost_at, as_of, payload_hash)
        cross join lateral (
            select i.occurred_at, max(coalesce(r.as_of, r.stated_as_of, r.noticed_at, r.received_at)) as as_of
            from public.inbox i
            join public.deal_reports r on r.inbox_id = i.id
            where i.crm_deal_id = l.crm_deal_id and i.conversion_type = any($5)
            group by i.id
        ) won
        where won.occurred_at > l.lost_at and won.as_of <= l.as_of
            -- The same report again says nothing new.
            and not exists (
                select from public.lost_deals d
                where d.crm_deal_id = l.crm_deal_id and d.payload_hash = l.payload_hash
            )
        group by l.crm_deal_id"#,
        &deals as &[&str],
        &lost_at,
        &as_of,
        &payloads as &[&str],
        &stages.undone_by_loss() as &[&str],
    )
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().map(|it| (it.crm_deal_id, it.won_at)).collect())
}

/// Stores the losses, of each deal the latest; those of the deals in `known` were processed before and change nothing,
/// and those in `dated` count as of another time than they say. Each has the time of its arrival. No deal may be there
/// twice. The caller holds the deals' locks, and holds back their matches.
pub async fn keep(
    tx: &mut Tx,
    losses: &[(&Loss, DateTime<Utc>)],
    known: &[&str],
    dated: &BTreeMap<String, DateTime<Utc>>,
) -> Result<(), DbError> {
    if losses.is_empty() {
        return Ok(());
    }
    let (losses, arrived_at): (Vec<&Loss>, Vec<_>) = losses.iter().copied().unzip();
    let deals: Vec<_> = losses.iter().map(|it| it.crm_deal_id.as_str()).collect();
    let lost_at: Vec<_> = losses
        .iter()
        .map(|it| dated.get(&it.crm_deal_id).map_or(it.lost_at, |won_at| it.lost_at.max(*won_at)))
        .collect();
    let payloads: Vec<_> = losses.iter().map(|it| it.payload_hash.as_str()).collect();
    let reopened: Vec<_> = losses.iter().map(|it| it.is_reopened).collect();
    let as_of: Vec<_> = losses.iter().map(|it| it.as_of).collect();
    sqlx::query!(
        "-- inbox::losses::keep
        insert into public.lost_deals as d (crm_deal_id, lost_at, payload_hash, received_at, is_reopened, as_of)
        select l.crm_deal_id, l.lost_at, l.payload_hash, l.arrived_at, l.is_reopened, l.as_of
        from unnest($1::text[], $2::timestamptz[], $3::text[], $4::timestamptz[], $6::boolean[], $7::timestamptz[])
            as l (crm_deal_id, lost_at, payload_hash, arrived_at, is_reopened, as_of)
        on conflict (crm_deal_id) do update
        -- A report without a time of its own must not become newer by being sent again.
        set (lost_at, is_reopened, received_at) = (
                select d.lost_at, d.is_reopened, d.received_at
                where d.crm_deal_id = any($5) or d.payload_hash = excluded.payload_hash
                    or d.lost_at > excluded.lost_at
                union all
                select excluded.lost_at, excluded.is_reopened, excluded.received_at
                limit 1
            ),
            as_of = case
                when d.crm_deal_id = any($5) or d.payload_hash = excluded.payload_hash then d.as_of
                else greatest(d.as_of, excluded.as_of)
            end,
            payload_hash = excluded.payload_hash,
            deliveries = d.deliveries + 1",
        &deals as &[&str],
        &lost_at,
        &payloads as &[&str],
        &arrived_at,
        known as &[&str],
        &reopened,
        &as_of,
    )
    .execute(tx)
    .await?;
    Ok(())
}
