//! Conversions as a platform needs them.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::Leased;
use crate::attribution::Clicks;
use crate::consent::ConsentStatus;
use crate::db::{DbError, Tx};
use crate::deals::{Stage, day};
use crate::identity::Hash;
use crate::money::Money;
use crate::platforms::{Conversion, Facts};

/// A stored conversion, with the click of one network.
#[derive(Clone)]
pub(super) struct Stored {
    pub id: Uuid,
    pub lead_id: Option<Uuid>,
    pub crm_deal_id: String,
    pub ad_user_data: ConsentStatus,
    pub ad_personalization: ConsentStatus,
    transaction_id: String,
    conversion_type: Stage,
    occurred_at: DateTime<Utc>,
    value: Option<f64>,
    currency: Option<String>,
    clicks: Json<Clicks>,
    session_attributes: Option<String>,
    email_hash: Option<Hash>,
    email_hash_google: Option<Hash>,
    phone_hash: Option<Hash>,
    phone_hash_digits: Option<Hash>,
    restated_at: Option<DateTime<Utc>>,
    retracted_at: Option<DateTime<Utc>>,
    lead_at: Option<DateTime<Utc>>,
}

impl Stored {
    /// As it is sent from this row.
    pub(super) fn into_conversion(self, row: &Leased) -> Conversion {
        let facts = Facts {
            click_at: self.clicks.0.newest_at(),
            // There may be no lead, and a site's own table may have leads without a time.
            lead_at: self.lead_at.unwrap_or(self.occurred_at),
            restated_at: self.restated_at,
            retracted_at: self.retracted_at,
            can_omit_click_id: can_omit_click_id(
                &self.clicks.0,
                self.email_hash_google.is_some() || self.phone_hash.is_some(),
                row.omit_click_id,
            ),
            click_id_omitted: row.omit_click_id,
            sent_before: row.claims > 1,
            is_correction: row.is_correction,
            seconds_later: row.seconds_later,
            send_alone: row.send_alone,
        };
        Conversion {
            queue_id: row.id,
            transaction_id: self.transaction_id,
            conversion_type: self.conversion_type,
            occurred_at: day::told_at(self.occurred_at, facts.click_at) + TimeDelta::seconds(row.seconds_later.into()),
            money: self.value.zip(self.currency).map(|(value, currency)| Money::new(value, currency)),
            clicks: if row.omit_click_id { Clicks::default() } else { self.clicks.0 },
            session_attributes: self.session_attributes.filter(|_| !row.omit_click_id),
            email_hash: self.email_hash,
            email_hash_google: self.email_hash_google,
            phone_hash: self.phone_hash,
            phone_hash_digits: self.phone_hash_digits,
            sent_to: row.sent_to.clone(),
            sent_through: row.sent_through.clone(),
            ad_user_data: self.ad_user_data,
            ad_personalization: self.ad_personalization,
            facts,
        }
    }
}

/// Was or will it be sent with a click id that isn't needed, because there is an e-mail or a phone?
pub(super) fn can_omit_click_id(clicks: &Clicks, has_user_data: bool, is_omitted: bool) -> bool {
    clicks.has_click() && has_user_data && !is_omitted
}

/// Reads conversions, in no order.
pub(super) async fn read(tx: &mut Tx, network: &str, conversions: &[Uuid]) -> Result<Vec<Stored>, DbError> {
    let stored = sqlx::query_as!(
        Stored,
        r#"-- queue::facts::read
        select
            c.id, c.lead_id, c.crm_deal_id, c.ad_user_data as "ad_user_data: ConsentStatus",
            c.ad_personalization as "ad_personalization: ConsentStatus", c.transaction_id,
            c.conversion_type as "conversion_type: Stage", c.occurred_at, c.value::float8 as value, c.currency,
            jsonb_build_object($2::text, c.clicks -> $2) as "clicks!: Json<Clicks>", c.session_attributes,
            c.email_hash as "email_hash: Hash", c.email_hash_google as "email_hash_google: Hash",
            c.phone_hash as "phone_hash: Hash", c.phone_hash_digits as "phone_hash_digits: Hash", c.restated_at,
            coalesce(c.retracted_at, c.consent_withdrawn_at) as retracted_at,
            (select created_at from public.leads where id = c.lead_id) as lead_at
        from public.conversions c
        where c.id = any($1)"#,
        conversions,
        network,
    )
    .fetch_all(tx)
    .await?;
    Ok(stored)
}
