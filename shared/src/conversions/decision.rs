//! Decides for a matched deal which platforms get the conversion and when, or why none does.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::consent::{Consent, ConsentStatus, UnknownConsent};
use crate::deals::{Stage, transaction_id};
use crate::inbox::matching::{Match, MatchedBy};
use crate::platforms::{Plans, Window};

/// Why a conversion isn't sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Encode, sqlx::Decode)]
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
    /// When a platform that accepts it was set up, it no longer counted there.
    TooOld,
}

crate::db::text_in_sql!(SkipReason);

/// What decides whether a conversion is sent.
#[derive(Debug)]
pub(super) struct Standing {
    pub conversion_type: Stage,
    pub ad_user_data: ConsentStatus,
    /// When the click happened; none without a click id.
    pub clicked_at: Option<DateTime<Utc>>,
    pub has_click_id: bool,
    pub has_user_data: bool,
    pub lead_at: DateTime<Utc>,
}

/// The platforms that get a conversion, and when it counts for each; or why none does.
#[derive(Debug)]
pub(super) struct Eligibility {
    pub platforms: Vec<(&'static str, Window)>,
    pub skip_reason: Option<SkipReason>,
}

impl Eligibility {
    pub(super) fn of(plans: &Plans, standing: &Standing) -> Self {
        let clicked_at = standing.clicked_at.filter(|_| standing.has_click_id);
        let platforms: Vec<_> = plans
            .wanting(&standing.conversion_type)
            .map(|plan| (plan.platform, plan.window(clicked_at, standing.lead_at)))
            .collect();
        let skip_reason = if !standing.ad_user_data.may_be_sent(UnknownConsent::Send) {
            Some(SkipReason::ConsentDenied)
        } else if !standing.has_click_id && !standing.has_user_data {
            Some(SkipReason::NoAttribution)
        } else if platforms.is_empty() {
            Some(SkipReason::NoConversionAction)
        } else {
            None
        };
        Self { platforms: if skip_reason.is_none() { platforms } else { Vec::new() }, skip_reason }
    }
}

/// What to record for a match.
#[derive(Debug)]
pub(super) struct Decision {
    pub inbox_id: Uuid,
    pub crm_deal_id: String,
    pub lead_id: Uuid,
    pub matched_by: MatchedBy,
    /// Are the deal's addresses certainly the lead's?
    pub is_certain: bool,
    pub several_candidates: bool,
    pub idempotency_key: String,
    pub transaction_id: String,
    /// By all that its person said.
    pub consent: Consent,
    pub eligibility: Eligibility,
}

impl Decision {
    pub(super) fn on(plans: &Plans, found: &Match, consent: Consent) -> Self {
        let standing = Standing {
            conversion_type: found.conversion_type.clone(),
            ad_user_data: consent.ad_user_data,
            clicked_at: found.click_at,
            has_click_id: found.has_click_id,
            has_user_data: found.has_user_data,
            lead_at: found.lead_at,
        };
        let idempotency_key = format!("{}:{}", found.crm_deal_id, found.conversion_type.as_str());
        Self {
            inbox_id: found.inbox_id,
            crm_deal_id: found.crm_deal_id.clone(),
            lead_id: found.lead_id,
            matched_by: found.matched_by,
            is_certain: found.is_certain,
            several_candidates: found.several_candidates,
            transaction_id: transaction_id(&idempotency_key),
            idempotency_key,
            consent,
            eligibility: Eligibility::of(plans, &standing),
        }
    }
}
