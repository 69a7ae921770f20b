//! Decides for a matched deal which destinations get the conversion and when, or why none does.

use uuid::Uuid;

use crate::attribution::{Clicks, Utm};
use crate::consent::{Consent, ConsentStatus, UnknownConsent};
use crate::deals::transaction_id;
use crate::inbox::matching::{Match, MatchedBy};
use crate::platforms::{Candidate, Destinations, Hashes, Planned, SkipReason};

/// The destinations that get a conversion, and when it counts for each; or why none does.
#[derive(Debug)]
pub(super) struct Eligibility {
    pub planned: Vec<Planned>,
    pub skip_reason: Option<SkipReason>,
}

impl Eligibility {
    pub(super) fn of(
        destinations: &Destinations,
        candidate: &Candidate,
        ad_user_data: ConsentStatus,
        is_of_bot: bool,
    ) -> Self {
        if !ad_user_data.may_be_sent(UnknownConsent::Send) {
            return Self::skipped(Some(SkipReason::ConsentDenied));
        }
        if is_of_bot {
            return Self::skipped(Some(SkipReason::Bot));
        }
        match destinations.plan(candidate) {
            Ok(planned) => Self { planned, skip_reason: None },
            Err(reason) => Self::skipped(Some(reason)),
        }
    }

    pub(super) fn skipped(skip_reason: Option<SkipReason>) -> Self {
        Self { planned: Vec::new(), skip_reason }
    }
}

/// What to record for a match.
#[derive(Debug)]
pub(super) struct Decision {
    pub inbox_id: Uuid,
    pub crm_deal_id: String,
    pub lead_id: Option<Uuid>,
    pub matched_by: MatchedBy,
    /// Are the deal's addresses certainly the lead's?
    pub is_certain: bool,
    pub several_candidates: bool,
    pub idempotency_key: String,
    pub transaction_id: String,
    /// By all that its person said.
    pub consent: Consent,
    /// The lead's, and those that the CRM reported.
    pub clicks: Clicks,
    pub eligibility: Eligibility,
}

impl Decision {
    pub(super) fn on(destinations: &Destinations, found: &Match, consent: Consent) -> Self {
        let candidate = candidate(found);
        Self {
            inbox_id: found.inbox_id,
            crm_deal_id: found.crm_deal_id.clone(),
            lead_id: found.lead_id,
            matched_by: found.matched_by,
            is_certain: found.is_certain,
            several_candidates: found.several_candidates,
            transaction_id: transaction_id(&found.idempotency_key),
            idempotency_key: found.idempotency_key.clone(),
            consent,
            eligibility: Eligibility::of(destinations, &candidate, consent.ad_user_data, found.is_of_bot),
            clicks: candidate.clicks,
        }
    }
}

fn candidate(found: &Match) -> Candidate {
    Candidate {
        stage: found.conversion_type.clone(),
        occurred_at: found.occurred_at,
        lead_at: found.lead_at,
        clicks: found.clicks(),
        hashes: Hashes { email: found.has_email, email_google: found.has_email_google, phone: found.has_phone },
        site: found.site.clone(),
        source: Some(found.source.clone()),
        utm: Utm {
            source: found.utm_source.clone(),
            medium: found.utm_medium.clone(),
            campaign: found.utm_campaign.clone(),
            term: found.utm_term.clone(),
            content: found.utm_content.clone(),
        },
    }
}
