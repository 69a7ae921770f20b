//! Decides for a matched deal which platforms get the conversion and when, or why none does.

use serde::Serialize;
use uuid::Uuid;

use crate::consent::UnknownConsent;
use crate::deals::transaction_id;
use crate::inbox::matching::{Match, MatchedBy};
use crate::platforms::{Plans, Window};

/// Why a conversion isn't sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Encode)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum SkipReason {
    /// Consent was denied.
    ConsentDenied,
    /// Neither click id nor hashed e-mail or phone.
    NoAttribution,
    /// No platform has a conversion action for this type.
    NoConversionAction,
    /// The deal was lost before the conversion was sent.
    DealLost,
}

crate::db::text_in_sql!(SkipReason);

/// What to record for a match.
#[derive(Debug)]
pub(super) struct Decision {
    pub inbox_id: Uuid,
    pub lead_id: Uuid,
    pub matched_by: MatchedBy,
    pub idempotency_key: String,
    pub transaction_id: String,
    /// The platforms that get it, and when it counts for each.
    pub platforms: Vec<(&'static str, Window)>,
    /// Why none does.
    pub skip_reason: Option<SkipReason>,
}

impl Decision {
    pub(super) fn on(plans: &Plans, found: &Match) -> Self {
        let clicked_at = found.click_at.filter(|_| found.has_click_id);
        let platforms: Vec<_> = plans
            .wanting(found.conversion_type)
            .map(|plan| (plan.platform, plan.window(clicked_at, found.lead_at)))
            .collect();
        let skip_reason = if !found.ad_user_data.may_be_sent(UnknownConsent::Send) {
            Some(SkipReason::ConsentDenied)
        } else if !found.has_click_id && !found.has_user_data {
            Some(SkipReason::NoAttribution)
        } else if platforms.is_empty() {
            Some(SkipReason::NoConversionAction)
        } else {
            None
        };
        let idempotency_key = format!("{}:{}", found.crm_deal_id, found.conversion_type.as_str());
        Self {
            inbox_id: found.inbox_id,
            lead_id: found.lead_id,
            matched_by: found.matched_by,
            transaction_id: transaction_id(&idempotency_key),
            idempotency_key,
            platforms: if skip_reason.is_none() { platforms } else { Vec::new() },
            skip_reason,
        }
    }
}
