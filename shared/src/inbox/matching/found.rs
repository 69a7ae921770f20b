//! What was found of a waiting deal.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use uuid::Uuid;

use super::MatchedBy;
use crate::attribution::Clicks;
use crate::consent::{Consent, ConsentStatus};
use crate::deals::Stage;

/// A waiting deal and the lead it belongs to, or none where it is told by its click.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a row, column by column")]
pub struct Match {
    /// The deal's id in the inbox.
    pub inbox_id: Uuid,
    /// The CRM's id of the deal.
    pub crm_deal_id: String,
    /// The stage it reached.
    pub conversion_type: Stage,
    /// The key of its conversion: `{name}:{stage}`, from the second generation on with `:{generation}` after it.
    pub idempotency_key: String,
    /// When it reached the stage.
    pub occurred_at: DateTime<Utc>,
    /// Its lead.
    pub lead_id: Option<Uuid>,
    /// The rule that found the lead.
    pub matched_by: MatchedBy,
    /// Did the operator or the CRM say whose the deal is?
    pub is_certain: bool,
    /// Could it also be the lead of another browser: by another of the deal's e-mails, or by the same phone?
    pub several_candidates: bool,
    /// The lead's clicks.
    pub(super) lead_clicks: Json<Clicks>,
    /// Those that the CRM reported.
    pub(super) deal_clicks: Json<Clicks>,
    /// Has the lead or the deal a hashed e-mail?
    pub has_email: bool,
    /// And one by Google's normalisation?
    pub has_email_google: bool,
    /// A hashed phone?
    pub has_phone: bool,
    /// The site that the lead came from.
    pub site: Option<String>,
    /// The source that reported the deal.
    pub source: String,
    pub utm_source: Option<String>,
    pub utm_medium: Option<String>,
    pub utm_campaign: Option<String>,
    pub utm_term: Option<String>,
    pub utm_content: Option<String>,
    /// When the lead filled in the form.
    pub lead_at: DateTime<Utc>,
    /// What the lead's row says of sending its data to Google for advertising.
    pub ad_user_data: ConsentStatus,
    /// And of using it to personalise.
    pub ad_personalization: ConsentStatus,
    /// Did a program fill in the form?
    pub is_of_bot: bool,
}

impl Match {
    /// The newest click of each network: of the lead, and of those that the CRM reported. One without a time was before
    /// the form and the deal. Without a lead there is no form, and the click that the deal came from wasn't after it.
    #[must_use]
    pub fn clicks(&self) -> Clicks {
        if self.lead_id.is_none() {
            return self.deal_clicks.0.clone().dated(self.occurred_at);
        }
        let deal_at = self.lead_at.min(self.occurred_at);
        self.lead_clicks.0.clone().merged(self.deal_clicks.0.clone()).clicked(deal_at)
    }

    /// What the lead's row says. It counts where nothing was stated: rows that the version before wrote.
    #[must_use]
    pub fn consent(&self) -> Consent {
        Consent { ad_user_data: self.ad_user_data, ad_personalization: self.ad_personalization }
    }
}
