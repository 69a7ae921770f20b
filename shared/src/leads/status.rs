//! How far the deals of a lead have come.

use uuid::Uuid;

use crate::db::{DbError, Tx};

/// Computes the status of the leads of these deals, and of leads that had one of them, from all their deals, lost ones
/// included.
///
/// Comes last in its transaction, once and for all its deals: leads are locked in one order, and who has locked them
/// waits for nothing else. So two transactions about the same people can't deadlock.
pub async fn renew_status(tx: &mut Tx, crm_deal_ids: &[&str], former_leads: &[Uuid]) -> Result<(), DbError> {
    if crm_deal_ids.is_empty() && former_leads.is_empty() {
        return Ok(());
    }
    // Two deals of one lead may be lost at once: the second transaction must see what the first wrote.
    let leads = sqlx::query_scalar!(
        "-- leads::status::lock_of_deals
        select id
        from public.leads
        where id in (
            select c.lead_id
            from unnest($1::text[]) as deal
            join public.conversions c on c.crm_deal_id = deal
            union all
            select unnest($2::uuid[])
        )
        order by id
        for no key update",
        crm_deal_ids as &[&str],
        former_leads,
    )
    .fetch_all(&mut *tx)
    .await?;
    if leads.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "-- leads::status::renew_status
        with stage as (
            select
                c.lead_id,
                bool_or(c.conversion_type = 'closed' and c.retracted_at is null) as is_closed,
                bool_or(
                    c.conversion_type = 'qualified' and (
                        public.undone_at(c.crm_deal_id, c.occurred_at) is null
                        -- It is open again.
                        or exists (
                            select from public.lost_deals d
                            where d.crm_deal_id = c.crm_deal_id and d.is_reopened
                                and public.undone_at(c.crm_deal_id, 'infinity') is null
                        )
                    )
                ) as is_qualified
            from public.conversions c
            where c.lead_id = any($1)
            group by c.lead_id
        )
        update public.leads l
        set conversion_status = case
            when stage.lead_id is null then 'new'
            when is_closed then 'closed'
            when is_qualified then 'qualified'
            else 'lost'
        end
        from unnest($1) as lead (id)
        left join stage on stage.lead_id = lead.id
        where l.id = lead.id",
        &leads,
    )
    .execute(tx)
    .await?;
    Ok(())
}
