//! When a deal reached its stages, computed from all reports on it.

use uuid::Uuid;

use crate::db::{DbError, Tx};

/// Computes the times of the stages of deals from all their reports, independently of their order, and returns the
/// stages that changed. The newest report that states a time counts; if none does, the first event since the deal was
/// lost, else the first event.
pub async fn settle(tx: &mut Tx, crm_deal_ids: &[&str]) -> Result<Vec<Uuid>, DbError> {
    if crm_deal_ids.is_empty() {
        return Ok(Vec::new());
    }
    let changed = sqlx::query_scalar!(
        "-- inbox::times::settle
        with settled as (
            select
                i.id,
                coalesce(
                    (
                        array_agg(r.stated_at order by r.stated_as_of desc, r.stated_at desc)
                            filter (where r.stated_at is not null)
                    )[1],
                    min(r.noticed_at) filter (where r.noticed_at > d.lost_at),
                    min(r.noticed_at)
                ) as at
            from public.inbox i
            join public.deal_reports r on r.inbox_id = i.id
            left join public.lost_deals d on d.crm_deal_id = i.crm_deal_id
            where i.crm_deal_id = any($1)
            group by i.id
        )
        update public.inbox i set occurred_at = s.at
        from settled s
        where i.id = s.id and i.occurred_at <> s.at
        returning i.id",
        crm_deal_ids as &[&str],
    )
    .fetch_all(tx)
    .await?;
    Ok(changed)
}
