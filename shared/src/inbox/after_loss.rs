//! Wins that are reported after a loss of their deal, where nothing says for sure which was first.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Received;
use crate::db::{DbError, Tx};
use crate::deals::{Deal, Stages};

/// Such a win.
#[derive(Debug)]
pub struct AfterLoss {
    /// The deal's id in the inbox.
    pub inbox_id: Uuid,
    /// When it was lost.
    pub lost_at: DateTime<Utc>,
    /// When it was won, as far as is known.
    pub won_at: DateTime<Utc>,
    /// Does the report state a time?
    pub is_dated: bool,
}

impl AfterLoss {
    /// Was it taken as won again? Else the loss stands.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.won_at > self.lost_at
    }
}

/// Which of these reports, as they were received, are such wins. A win that its CRM dates after the loss is none, nor
/// one that it says is older or newer. Of several reports since the loss it is the one that decided. Nothing of a
/// deleted deal counts, so there is no doubt.
pub async fn doubtful(tx: &mut Tx, stages: &Stages, reports: &[(&Deal, &Received)]) -> Result<Vec<AfterLoss>, DbError> {
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    let inbox_ids: Vec<_> = reports.iter().map(|(_, received)| received.inbox_id).collect();
    let payloads: Vec<_> = reports.iter().map(|(deal, _)| deal.payload_hash.as_str()).collect();
    let doubtful = sqlx::query_as!(
        AfterLoss,
        r#"-- inbox::after_loss::doubtful
        select i.id as inbox_id, d.lost_at, i.occurred_at as won_at, r.stated_at is not null as "is_dated!"
        from unnest($1::uuid[], $2::text[]) as report (inbox_id, payload_hash)
        join public.inbox i on i.id = report.inbox_id
        join public.deal_reports r on r.inbox_id = i.id and r.payload_hash = report.payload_hash
        join public.lost_deals d on d.crm_deal_id = i.crm_deal_id
        cross join lateral (
            select
                case when r.is_crms_word then r.received_at else r.as_of end as arrived_at,
                least(r.as_of, r.received_at) as made_at
        ) it
        where i.conversion_type = any($3)
            and it.arrived_at >= d.received_at
            and case
                when r.is_crms_word then r.stated_at <= d.lost_at and i.occurred_at > d.lost_at
                    and d.as_of = d.received_at and r.as_of <= d.as_of
                when r.stated_at is null then it.arrived_at < d.received_at + interval '1 minute'
                else r.stated_at <= d.lost_at
            end
            and (i.occurred_at <= d.lost_at or i.occurred_at >= it.made_at)
            and public.undone_at(i.crm_deal_id, 'infinity') is null"#,
        &inbox_ids,
        &payloads as &[&str],
        &stages.undone_by_loss() as &[&str],
    )
    .fetch_all(tx)
    .await?;
    Ok(doubtful)
}
