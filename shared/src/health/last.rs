//! When something last happened.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::db::{DbError, Tx};

/// When something last happened.
#[derive(Debug, Serialize)]
pub struct Last {
    pub visit: Option<DateTime<Utc>>,
    pub lead: Option<DateTime<Utc>>,
    pub event: Option<DateTime<Utc>>,
    /// A deal from the CRM.
    pub webhook: Option<DateTime<Utc>>,
    /// A platform accepted a conversion.
    pub upload: Option<DateTime<Utc>>,
}

impl Last {
    pub(super) async fn read(tx: &mut Tx) -> Result<Self, DbError> {
        let last = sqlx::query_as!(
            Self,
            "-- health::last::read
            select
                (select max(last_seen_at) from public.visitors where bot_score < 100) as visit,
                (select max(created_at) from public.leads) as lead,
                (select max(created_at) from public.tracking_events) as event,
                greatest(
                    (select max(received_at) from public.inbox),
                    (select max(last_received_at) from public.inbox_receipts where body is not null)
                ) as webhook,
                (
                    select max(last_accepted_at) from public.platform_state where platform not like 'events:%'
                ) as upload",
        )
        .fetch_one(tx)
        .await?;
        Ok(last)
    }
}
