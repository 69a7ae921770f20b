//! Ids that a source of leads used before for another person: a builder that counts from one again, a test that left
//! its id in the template. The lead is kept beside the other one.

use serde_json::json;

use super::NewLead;
use crate::attribution::Clicks;
use crate::identity::Hash;
use crate::warning::Warning;

/// What of the lead that has the id can be compared with a new one.
pub(super) struct Holder {
    /// Has it the same e-mail address or phone number?
    pub has_address: bool,
    /// Has it another one?
    pub has_other_address: bool,
    /// Has it neither?
    pub has_no_address: bool,
    pub clicks: Clicks,
}

impl Holder {
    /// Is it surely no earlier telling of this lead? Addresses say so; where they can't be compared, clicks do. Of a
    /// lead of which nothing is left, nobody is another person.
    pub fn is_another_than(&self, lead: &NewLead) -> bool {
        let is_forgotten = self.has_no_address && self.clicks.is_empty();
        let is_same_click = || self.clicks.have_a_click_of(&lead.body.clicks);
        !self.has_address && (self.has_other_address || !(is_forgotten || is_same_click()))
    }
}

/// The lead's key beside that of the other person: the same for the same person. It can't be an id as it is sent, which
/// has no slash.
pub(super) fn own_key(lead: &NewLead) -> String {
    let email = lead.email.as_ref().map(|email| email.hash().as_str().to_owned());
    let phone = || lead.phone.as_ref().map(|phone| phone.hash().map_or(phone.as_str(), Hash::as_str).to_owned());
    let person = email.or_else(phone).unwrap_or_else(|| json!(lead.body.clicks.ids()).to_string());
    let hash = Hash::of(format!("{person}/{}", lead.transaction_id));
    format!("{}/{}", lead.transaction_id, &hash.as_str()[..32])
}

/// What is said of a lead whose id another person has.
#[must_use]
pub fn warning() -> Warning {
    let detail = "was used before for another person: the lead is stored beside that one. Let the sender give each lead \
                  an id of its own";
    Warning { field: "transaction_id", detail: detail.into() }
}
