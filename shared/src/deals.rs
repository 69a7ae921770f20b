//! Deals as a CRM reports them: the stages they reach, their values, persons and losses.

pub mod day;
mod stages;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::attribution::Clicks;
use crate::consent::Consent;
use crate::identity::{Email, Hash, Phone};
use crate::money::Money;

pub(crate) use stages::NO_STAGE;
pub use stages::{Stage, Stages};

/// A deal as the CRM reported it.
#[derive(Debug)]
pub struct Deal {
    /// The source that reported it.
    pub source: String,
    /// The CRM's id of the deal.
    pub crm_deal_id: String,
    /// The stage it reached.
    pub conversion_type: Stage,
    pub money: Option<Money>,
    /// When it reached the stage, as the deal says.
    pub occurred_at: Option<DateTime<Utc>>,
    /// When the CRM noticed something about it: the stage was reached then or before.
    pub event_at: Option<DateTime<Utc>>,
    /// How new the report is: the CRM's word, else its arrival.
    pub as_of: DateTime<Utc>,
    /// Is the deal open? Then a win before is undone.
    pub is_open: bool,
    /// Our id of the lead, when the CRM echoes it.
    pub lead_id: Option<Uuid>,
    pub email: Option<Email>,
    /// Further addresses of the person, when the CRM knows several.
    pub other_emails: Vec<Email>,
    pub phone: Option<Phone>,
    /// What the CRM says about the person's consent.
    pub consent: Consent,
    /// The clicks that the CRM kept. They have a time only if it says so.
    pub clicks: Clicks,
    /// When the CRM last changed it; of several reports the newest counts.
    pub updated_at: Option<DateTime<Utc>>,
    /// SHA-256 of what was sent, or of the sender's id of the event: the same hash again is a duplicate.
    pub payload_hash: Hash,
}

impl Deal {
    /// What else a lead of this person may be known by: the further addresses, and the spellings of all of them that
    /// leads were stored with before addresses had one.
    #[must_use]
    pub fn other_email_hashes(&self) -> Vec<Hash> {
        let former = self.email.iter().chain(&self.other_emails).flat_map(Email::former_hashes);
        self.other_emails.iter().map(Email::hash).chain(former).collect()
    }
}

/// A loss as the CRM reported it.
#[derive(Debug)]
pub struct Loss {
    /// The CRM's id of the deal.
    pub crm_deal_id: String,
    /// When it was lost.
    pub lost_at: DateTime<Utc>,
    /// How new the report is: the CRM's word, else its arrival.
    pub as_of: DateTime<Utc>,
    /// Is it open again, rather than lost? Then only its win is undone.
    pub is_reopened: bool,
    /// SHA-256 of the body.
    pub payload_hash: Hash,
}

/// A deletion as the CRM reported it. It is final, until the deal is restored.
#[derive(Debug)]
pub struct Deletion {
    /// The CRM's id of the deal.
    pub crm_deal_id: String,
    /// When it was deleted.
    pub deleted_at: DateTime<Utc>,
}

/// A deal that the CRM restored after it had deleted it.
#[derive(Debug)]
pub struct Restoration {
    /// The CRM's id of the deal.
    pub crm_deal_id: String,
    /// When it was restored.
    pub restored_at: DateTime<Utc>,
}

/// Deals that the CRM made one. Their ids become names of the one that is left.
#[derive(Debug)]
pub struct Merge {
    /// The CRM's id of the deal that is left.
    pub into: String,
    /// The ids of those that are merged into it.
    pub from: Vec<String>,
    /// When they were merged.
    pub merged_at: DateTime<Utc>,
}

/// What platforms identify a conversion by: the same for the same deal and type, for ever, without personal data and
/// never all digits. 128 bits of a SHA-256.
#[must_use]
pub fn transaction_id(idempotency_key: &str) -> String {
    format!("adtrail-{}", &Hash::of(idempotency_key).as_str()[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_id_stays_what_it_is_for_ever() {
        // Google counts by it: another formula would count every deal twice.
        assert_eq!(transaction_id("1042:closed"), "adtrail-c55481abceee21e862c513c8dfa97fbc");
    }

    #[test]
    fn a_transaction_id_names_nobody() {
        assert!(!transaction_id("jane@example.com:closed").contains('@'));
        assert_ne!(transaction_id("1042:closed"), transaction_id("1042:qualified"));
    }
}
