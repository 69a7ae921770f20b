//! The search for the leads of waiting deals.

mod assigning;
mod by_click;
mod by_lead;
mod found;
mod waiting;

use serde::Serialize;

use crate::db::{DbError, Tx};

pub use assigning::{attach, confirm, wait_again};
pub use by_click::with_lead_now;
pub use found::Match;
pub use waiting::{Place, Waiting, end_of_page};

/// The rule that found a deal's lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Encode, sqlx::Decode)]
#[serde(rename_all = "snake_case")]
#[sqlx(rename_all = "snake_case")]
pub enum MatchedBy {
    /// The operator assigned it.
    Manual,
    /// The CRM echoed our lead id.
    LeadId,
    /// The lead has the e-mail address.
    Email,
    /// The phone hashes are the same.
    Phone,
    /// Another stage of the deal was matched to it.
    Deal,
    /// None is known: the CRM kept the id of the click.
    Click,
}

crate::db::text_in_sql!(MatchedBy);

/// What a deal's lead may be found by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchBy {
    /// By our lead id, else by e-mail or phone.
    #[default]
    Addresses,
    /// Only by our lead id.
    LeadId,
}

impl MatchBy {
    /// # Errors
    /// The values allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "addresses" => Ok(Self::Addresses),
            "lead_id" => Ok(Self::LeadId),
            _ => Err("must be addresses or lead_id".into()),
        }
    }
}

/// Finds the leads of waiting deals, as [`by_lead::find_leads`] does; and of the others those that are told by one of
/// `click_ids` of their own.
pub async fn find(
    tx: &mut Tx,
    match_by: MatchBy,
    click_ids: &[String],
    waiting: Waiting<'_>,
) -> Result<Vec<Match>, DbError> {
    let mut matches = by_lead::find_leads(tx, match_by, click_ids, waiting).await?;
    let found: Vec<_> = matches.iter().map(|it| it.inbox_id).collect();
    matches.extend(by_click::find(tx, click_ids, waiting, &found).await?);
    Ok(matches)
}
