//! Conversions that are decided about again.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use crate::attribution::{Clicks, Utm};
use crate::consent::{Consent, ConsentStatus};
use crate::db::{DbError, Tx};
use crate::deals::Stage;
use crate::platforms::{Candidate, Hashes, SkipReason};

/// A conversion that was recorded, as far as it decides who gets it.
#[expect(clippy::struct_excessive_bools, reason = "a row, column by column")]
pub(super) struct Stored {
    pub id: Uuid,
    pub lead_id: Option<Uuid>,
    pub crm_deal_id: String,
    pub conversion_type: Stage,
    pub occurred_at: DateTime<Utc>,
    pub lead_at: DateTime<Utc>,
    pub clicks: Json<Clicks>,
    pub has_email: bool,
    pub has_email_google: bool,
    pub has_phone: bool,
    pub site: Option<String>,
    pub source: Option<String>,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub utm_term: Option<String>,
    pub utm_content: Option<String>,
    pub ad_user_data: ConsentStatus,
    pub ad_personalization: ConsentStatus,
    pub skip_reason: Option<SkipReason>,
    pub is_retracted: bool,
    pub is_withdrawn: bool,
    pub is_of_bot: bool,
}

impl Stored {
    pub fn consent(&self) -> Consent {
        Consent { ad_user_data: self.ad_user_data, ad_personalization: self.ad_personalization }
    }

    pub fn candidate(&self) -> Candidate {
        Candidate {
            stage: self.conversion_type.clone(),
            occurred_at: self.occurred_at,
            lead_at: self.lead_at,
            clicks: self.clicks.0.clone(),
            hashes: Hashes { email: self.has_email, email_google: self.has_email_google, phone: self.has_phone },
            site: self.site.clone(),
            source: self.source.clone(),
            utm: Utm {
                source: self.utm_source.clone(),
                medium: self.utm_medium.clone(),
                campaign: self.utm_campaign.clone(),
                term: self.utm_term.clone(),
                content: self.utm_content.clone(),
            },
        }
    }
}

/// Locks the conversions, which blocks a claim; an earlier claim is visible to the next statement.
pub(super) async fn lock(tx: &mut Tx, conversions: &[Uuid]) -> Result<Vec<Stored>, DbError> {
    sqlx::query!(
        "-- conversions::stored::lock
        select from public.conversions where id = any($1) order by id for no key update",
        conversions,
    )
    .execute(&mut *tx)
    .await?;
    read(tx, conversions).await
}

/// Reads the conversions, in the order of their ids.
pub(super) async fn read(tx: &mut Tx, conversions: &[Uuid]) -> Result<Vec<Stored>, DbError> {
    let stored = sqlx::query_as!(
        Stored,
        r#"-- conversions::stored::read
        select
            c.id, c.lead_id, c.crm_deal_id, c.conversion_type as "conversion_type: Stage", c.occurred_at,
            coalesce(l.created_at, c.occurred_at) as "lead_at!",
            c.clicks as "clicks: Json<Clicks>",
            c.email_hash is not null as "has_email!", c.email_hash_google is not null as "has_email_google!",
            c.phone_hash is not null as "has_phone!",
            c.site, i.source as "source?", c.utm_source, c.utm_medium, c.utm_campaign, c.utm_term, c.utm_content,
            c.ad_user_data as "ad_user_data: ConsentStatus",
            c.ad_personalization as "ad_personalization: ConsentStatus",
            c.skip_reason as "skip_reason: SkipReason",
            c.retracted_at is not null as "is_retracted!", c.consent_withdrawn_at is not null as "is_withdrawn!",
            public.is_of_bot(l.visitor_id) as "is_of_bot!"
        from public.conversions c
        left join public.leads l on l.id = c.lead_id
        left join public.inbox i on i.conversion_id = c.id
        where c.id = any($1)
        order by c.id"#,
        conversions,
    )
    .fetch_all(tx)
    .await?;
    Ok(stored)
}
