//! The inbox: what CRMs sent, and its state.

mod attach;
mod list;
mod retry;
mod show;
pub(crate) mod words;

pub(crate) use attach::attach;
pub(crate) use list::list;
pub(crate) use retry::retry;
pub(crate) use show::show;

use serde_json::{Value, json};
use shared::conversions::Recorded;
use shared::db::Tx;
use shared::inbox::entry::{self, Entry, StoredDeal};
use shared::inbox::listing::ListedState;
use uuid::Uuid;

use crate::Failure;

/// The entries of this name, at least one.
async fn find(tx: &mut Tx, name: &str) -> Result<Vec<Entry>, Failure> {
    let found = entry::find(tx, name).await?;
    if found.is_empty() {
        return Err(Failure::Message(format!(
            "There is no deal or event {name}: take an id from adtrail inbox list, or use the CRM's id of the deal."
        )));
    }
    Ok(found)
}

/// The only deal among the entries; none if all are events that never became one.
fn only_deal<'a>(entries: &'a [Entry], name: &str) -> Result<Option<(&'a Entry, &'a StoredDeal)>, Failure> {
    let deals: Vec<_> = entries.iter().filter_map(|entry| Some((entry, entry.deal.as_ref()?))).collect();
    match deals.as_slice() {
        [] => Ok(None),
        [deal] => Ok(Some(*deal)),
        several => {
            let each = several
                .iter()
                .map(|(_, deal)| format!("{} ({}, {})", deal.id, deal.conversion_type.as_str(), deal.state.as_str()));
            let each: Vec<_> = each.collect();
            Err(Failure::Message(format!(
                "{} deals have the CRM's id {name}: use the id of one of them, {}.",
                several.len(),
                each.join(" or ")
            )))
        }
    }
}

fn refuse_matched(entry: &Entry, deal: &StoredDeal) -> Result<(), Failure> {
    if deal.state != ListedState::Matched {
        return Ok(());
    }
    let lead = entry.lead.as_ref().map(|lead| format!(" {}", lead.id)).unwrap_or_default();
    Err(Failure::Message(format!(
        "The deal is already matched to lead{lead}. If that is wrong, assign it to another lead: adtrail inbox attach {} \
         <LEAD_ID>.",
        deal.id
    )))
}

/// The result of matching a deal again, as JSON.
fn document(inbox_id: Uuid, crm_deal_id: &str, status: &str, recorded: Option<&Recorded>) -> Value {
    json!({
        "inbox_id": inbox_id,
        "crm_deal_id": crm_deal_id,
        "status": status,
        "conversion_id": recorded.map(|it| it.conversion_id),
        "platforms": recorded.map(|it| &it.platforms),
        "skip_reason": recorded.and_then(|it| it.skip_reason),
    })
}
