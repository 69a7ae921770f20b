//! Makes deals one that the CRM merged. Of a stage that both had reached one conversion stays: one that counts before
//! one that was undone, one that a platform may have before one that none has, and else that of the deal that is left.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::names;
use crate::db::{DbError, Tx};
use crate::deals::Stages;

/// A stage of one of two deals.
struct Row {
    id: Uuid,
    conversion_type: String,
    is_left: bool,
    conversion_id: Option<Uuid>,
    counts: bool,
    is_told: bool,
}

/// Makes `from` a name of `into`, and its stages those of `into`. Returns the conversions that another one replaces;
/// the caller retracts them. The caller holds the locks of both, and holds back their matches.
pub async fn merge(
    tx: &mut Tx,
    stages: &Stages,
    into: &str,
    from: &str,
    merged_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, DbError> {
    let rows = read(tx, into, from).await?;
    let (mut moved, mut replaced, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows.iter().filter(|row| !row.is_left) {
        let other = rows.iter().find(|it| it.is_left && it.conversion_type == row.conversion_type);
        let stays = other.filter(|it| it.rank() >= row.rank());
        match (other, stays) {
            (None, _) => moved.push(row),
            (Some(_), Some(stays)) => pairs.push((stays, row)),
            (Some(goes), None) => {
                pairs.push((row, goes));
                moved.push(row);
            }
        }
    }
    for (stays, goes) in &pairs {
        absorb(tx, stays.id, goes.id).await?;
        replaced.extend(goes.conversion_id.filter(|_| goes.counts));
    }
    let undone = stages.undone_by_loss();
    // What was lost before stays lost under its new name; that a CRM loses or deletes what it merges is no loss.
    let takes_loss = moved.iter().any(|row| undone.contains(&row.conversion_type.as_str()));
    let lost_before = takes_loss.then_some(merged_at);
    rename(tx, &moved.iter().map(|row| row.id).collect::<Vec<_>>(), into, from).await?;
    take_over(tx, into, from, lost_before).await?;
    names::give(tx, into, from, merged_at, now).await?;
    Ok(replaced)
}

impl Row {
    fn rank(&self) -> (bool, bool, bool) {
        (self.counts, self.counts && self.is_told, self.conversion_id.is_some())
    }
}

/// The conversions are locked first, which blocks a claim.
async fn read(tx: &mut Tx, into: &str, from: &str) -> Result<Vec<Row>, DbError> {
    sqlx::query!(
        "-- inbox::merging::lock
        select from public.conversions where crm_deal_id in ($1, $2) order by id for no key update",
        into,
        from,
    )
    .execute(&mut *tx)
    .await?;
    let rows = sqlx::query_as!(
        Row,
        r#"-- inbox::merging::read
        select
            i.id, i.conversion_type, i.crm_deal_id = $1 as "is_left!", i.conversion_id,
            c.id is not null and c.retracted_at is null as "counts!",
            exists (
                select from public.conversion_queue q
                where q.conversion_id = c.id and q.adjusts is null and q.claims > 0 and q.status <> 'dead_letter'
            ) as "is_told!"
        from public.inbox i
        left join public.conversions c on c.id = i.conversion_id
        where i.crm_deal_id in ($1, $2)
        order by i.id
        for update of i"#,
        into,
        from,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows)
}

/// One row takes what another has, where it has nothing itself, and the other goes. Its reports stay known.
async fn absorb(tx: &mut Tx, stays: Uuid, goes: Uuid) -> Result<(), DbError> {
    sqlx::query!(
        "-- inbox::merging::fill
        update public.inbox i
        set value = case when i.value is null then o.value else i.value end,
            currency = case when i.value is null then o.currency else i.currency end,
            reported_at = case when i.value is null then o.reported_at else i.reported_at end,
            clicks = case when i.state <> 'matched' then o.clicks || i.clicks else i.clicks end,
            clicks_reported_at = case
                when i.state <> 'matched' then coalesce(i.clicks_reported_at, o.clicks_reported_at)
                else i.clicks_reported_at
            end,
            deliveries = i.deliveries + o.deliveries
        from public.inbox o
        where i.id = $1 and o.id = $2",
        stays,
        goes,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "-- inbox::merging::fill_person
        update public.inbox i
        set lead_id = o.lead_id, email_hash = o.email_hash, email_hash_google = o.email_hash_google,
            other_email_hashes = o.other_email_hashes, phone_hash = o.phone_hash,
            phone_hash_digits = o.phone_hash_digits, person_reported_at = o.person_reported_at,
            attached_at = o.attached_at
        from public.inbox o
        where i.id = $1 and o.id = $2 and i.state <> 'matched' and i.attached_at is null
            and (i.person_reported_at is null or o.attached_at is not null)",
        stays,
        goes,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "-- inbox::merging::move_reports
        insert into public.deal_reports (inbox_id, payload_hash, received_at)
        select $1, payload_hash, received_at from public.deal_reports where inbox_id = $2
        on conflict do nothing",
        stays,
        goes,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "-- inbox::merging::move_events
        update public.inbox_events set inbox_id = $1
        where id in (
            select id from public.inbox_events where inbox_id = $2 order by source, source_event_id for update
        )",
        stays,
        goes,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "-- inbox::merging::drop_replaced
        delete from public.inbox where id = $1",
        goes,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The key of what is a conversion already doesn't change: platforms know it by that.
async fn rename(tx: &mut Tx, inbox_ids: &[Uuid], into: &str, from: &str) -> Result<(), DbError> {
    if inbox_ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- inbox::merging::rename
        update public.inbox set crm_deal_id = $2, key_name = coalesce(key_name, $3) where id = any($1)",
        inbox_ids,
        into,
        from,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Everything else that is kept by the name of the deal; of a loss, one before `lost_before`.
async fn take_over(tx: &mut Tx, into: &str, from: &str, lost_before: Option<DateTime<Utc>>) -> Result<(), DbError> {
    sqlx::query!(
        "-- inbox::merging::take_over_conversions
        update public.conversions set crm_deal_id = $1 where crm_deal_id = $2",
        into,
        from,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "-- inbox::merging::take_over_statements
        insert into public.consent_statements (
            lead_id, visitor_id, crm_deal_id, email_hash, phone_hash, purpose, value, source, stated_at, recorded_at,
            applied_at
        )
        select
            lead_id, visitor_id, $1, email_hash, phone_hash, purpose, value, source, stated_at, recorded_at, applied_at
        from public.consent_statements
        where crm_deal_id = $2
        order by id",
        into,
        from,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "-- inbox::merging::take_over_loss
        insert into public.lost_deals as d (
            crm_deal_id, lost_at, payload_hash, deliveries, received_at, is_reopened, as_of
        )
        select $1, lost_at, payload_hash, deliveries, received_at, is_reopened, as_of
        from public.lost_deals
        where crm_deal_id = $2 and coalesce(as_of, lost_at) < $3
        on conflict (crm_deal_id) do update
        set lost_at = greatest(d.lost_at, excluded.lost_at), as_of = greatest(d.as_of, excluded.as_of),
            (is_reopened, received_at) = (
                select excluded.is_reopened, excluded.received_at where excluded.lost_at > d.lost_at
                union all
                select d.is_reopened, d.received_at
                limit 1
            )",
        into,
        from,
        lost_before,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "-- inbox::merging::drop_former
        with undeleted as (delete from public.deleted_deals where crm_deal_id = $1)
        delete from public.lost_deals where crm_deal_id = $1",
        from,
    )
    .execute(tx)
    .await?;
    Ok(())
}
