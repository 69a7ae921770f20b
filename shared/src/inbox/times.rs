//! When a deal reached its stages, computed from all reports on it.

use uuid::Uuid;

use crate::db::{DbError, Tx};

/// Computes the times of the stages of deals from all their reports, independently of their order, and returns the
/// stages that changed. The newest report that states a time counts; if none does, the first event since the deal was
/// lost, else the first event.
///
/// A deal that is won again may keep the time of its first closing. It reached the stage again when a report after the
/// loss says so: at the time it states if that is after the loss, else when the report was made. A report is after the
/// loss if its CRM says that it is newer. If the CRM says nothing of its age, it is if it arrived later, and the deal
/// had reached the stage before: else it may be the first report, overtaken by the loss. Not within two seconds of the
/// loss: CRMs report one change by several events, of which one may still name the status from before.
pub async fn settle(tx: &mut Tx, crm_deal_ids: &[&str]) -> Result<Vec<Uuid>, DbError> {
    if crm_deal_ids.is_empty() {
        return Ok(Vec::new());
    }
    let changed = sqlx::query_scalar!(
        "-- inbox::times::settle
        with reported as (
            select
                i.id, d.lost_at,
                (
                    array_agg(r.stated_at order by r.stated_as_of desc, r.stated_at desc)
                        filter (where r.stated_at is not null)
                )[1] as stated_at,
                min(r.noticed_at) as noticed_at,
                min(r.noticed_at) filter (
                    where r.noticed_at > d.lost_at + case when r.is_crms_word then trail.ends else interval '0' end
                ) as noticed_since,
                min(case when r.stated_at > d.lost_at then r.stated_at else report.made_at end)
                    filter (where report.is_since) as told_since
            from public.inbox i
            join public.deal_reports r on r.inbox_id = i.id
            left join public.lost_deals d on d.crm_deal_id = i.crm_deal_id
            cross join lateral (
                -- A deal that is open again may well be won the next moment.
                select case when d.is_reopened then interval '0' else interval '2 seconds' end as ends
            ) trail
            cross join lateral (
                select
                    least(r.as_of, r.received_at) as made_at,
                    case
                        when r.is_crms_word then r.as_of > trail.ends + case
                            -- Of the loss's age the CRM says nothing but when it was.
                            when d.as_of = d.received_at and r.received_at > d.received_at then d.lost_at
                            else coalesce(d.as_of, d.lost_at)
                        end
                        else r.as_of > d.received_at + trail.ends and exists (
                            select from public.deal_reports earlier
                            where earlier.inbox_id = i.id
                                and least(earlier.as_of, earlier.received_at) <= d.received_at
                        )
                    end as is_since
            ) report
            where i.crm_deal_id = any($1)
            group by i.id, d.lost_at
        ),
        settled as (
            select
                id,
                case
                    when stated_at <= lost_at then case
                        when told_since is null then stated_at
                        else greatest(told_since, lost_at + interval '1 second')
                    end
                    else coalesce(stated_at, noticed_since, noticed_at)
                end as at
            from reported
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
