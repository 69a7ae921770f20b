//! Conversions that are decided about again.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::decision::{SkipReason, Standing};
use crate::consent::{Consent, ConsentStatus};
use crate::db::{DbError, Tx};
use crate::deals::Stage;

/// A conversion that was recorded, as far as it decides who gets it.
#[expect(clippy::struct_excessive_bools, reason = "a row, column by column")]
pub(super) struct Stored {
    pub id: Uuid,
    pub lead_id: Uuid,
    pub crm_deal_id: String,
    pub conversion_type: Stage,
    pub click_at: Option<DateTime<Utc>>,
    pub has_click_id: bool,
    pub has_user_data: bool,
    pub lead_at: DateTime<Utc>,
    pub ad_user_data: ConsentStatus,
    pub ad_personalization: ConsentStatus,
    pub skip_reason: Option<SkipReason>,
    pub is_retracted: bool,
    pub is_withdrawn: bool,
}

impl Stored {
    pub fn consent(&self) -> Consent {
        Consent { ad_user_data: self.ad_user_data, ad_personalization: self.ad_personalization }
    }

    pub fn standing(&self, consent: Consent) -> Standing {
        Standing {
            conversion_type: self.conversion_type.clone(),
            ad_user_data: consent.ad_user_data,
            clicked_at: self.click_at,
            has_click_id: self.has_click_id,
            has_user_data: self.has_user_data,
            lead_at: self.lead_at,
        }
    }
}

/// Locks the conversions, which blocks a claim; an earlier claim is visible to the next statement.
pub(super) async fn lock(tx: &mut Tx, conversions: &[Uuid]) -> Result<Vec<Stored>, DbError> {
    let stored = sqlx::query_as!(
        Stored,
        r#"-- conversions::stored::lock
        select
            c.id, c.lead_id, c.crm_deal_id, c.conversion_type as "conversion_type: Stage", c.click_at,
            coalesce(c.gclid, c.gbraid, c.wbraid) is not null as "has_click_id!",
            coalesce(c.email_hash_google, c.email_hash, c.phone_hash) is not null as "has_user_data!",
            coalesce(l.created_at, c.occurred_at) as "lead_at!",
            c.ad_user_data as "ad_user_data: ConsentStatus",
            c.ad_personalization as "ad_personalization: ConsentStatus",
            c.skip_reason as "skip_reason: SkipReason",
            c.retracted_at is not null as "is_retracted!", c.consent_withdrawn_at is not null as "is_withdrawn!"
        from public.conversions c
        join public.leads l on l.id = c.lead_id
        where c.id = any($1)
        order by c.id
        for no key update of c"#,
        conversions,
    )
    .fetch_all(tx)
    .await?;
    Ok(stored)
}
