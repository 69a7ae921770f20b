//! What CRMs sent.

mod attaching;
mod listing;
mod retrying;
mod showing;
pub(crate) mod words;

pub(crate) use attaching::attach;
pub(crate) use listing::list;
pub(crate) use retrying::retry;
pub(crate) use showing::show;

use serde_json::{Value, json};
use shared::conversions::Recorded;
use shared::db::Tx;
use shared::inbox::listing as stored;
use uuid::Uuid;

use crate::Failure;
use words::text;

/// Without it a match is recorded as one that no platform wants, for good.
const REQUIRED: &[&str] = &["GOOGLE_ADS_CUSTOMER_ID"];

/// Everything of this name.
async fn find(tx: &mut Tx, name: &str) -> Result<Vec<Value>, Failure> {
    let found = stored::show(tx, name).await?;
    if found.is_empty() {
        return Err(Failure::Said(format!(
            "There is no deal and no event {name}: take an id from adtrail inbox list, or the CRM's id of the deal."
        )));
    }
    Ok(found)
}

/// The one deal among what was found; none when there are only events that never became one.
fn only_deal<'a>(found: &'a [Value], name: &str) -> Result<Option<&'a Value>, Failure> {
    let deals: Vec<_> = found.iter().map(|entry| &entry["deal"]).filter(|deal| !deal.is_null()).collect();
    match deals.as_slice() {
        [] => Ok(None),
        [deal] => Ok(Some(deal)),
        several => {
            let each = several.iter().map(|deal| {
                format!("{} ({}, {})", text(&deal["id"]), text(&deal["conversion_type"]), words::state(deal))
            });
            let each: Vec<_> = each.collect();
            Err(Failure::Said(format!(
                "{} deals have the CRM's id {name}: name one of them by its own id, {}.",
                several.len(),
                each.join(" or ")
            )))
        }
    }
}

/// Refuses a deal that has found its lead.
fn still_open(entry: &[Value], deal: &Value) -> Result<Uuid, Failure> {
    let id = id_of(deal)?;
    if deal["state"] == "matched" {
        let lead = entry.iter().find(|entry| entry["deal"]["id"] == deal["id"]).map(|entry| text(&entry["lead"]["id"]));
        return Err(Failure::Said(format!(
            "The deal is already matched to lead {}, and that stays: its conversion may have been sent.",
            lead.unwrap_or_default()
        )));
    }
    Ok(id)
}

fn id_of(row: &Value) -> Result<Uuid, Failure> {
    let id = row["id"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| {
        Failure::Said("The database answers a row without an id: check that all migrations are applied.".into())
    })
}

/// What became of a deal that was looked at again, for machines.
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
