//! `adtrail inbox attach`.

use serde_json::json;
use shared::conversions::record_matches;
use shared::inbox::matching::{self, Waiting};
use shared::settings::Values;
use uuid::Uuid;

use super::{REQUIRED, document, find, only_deal, refuse_matched, words};
use crate::answer::Answer;
use crate::{Failure, app};

pub(crate) async fn attach(values: &Values, name: &str, lead_id: Uuid) -> Result<Answer, Failure> {
    let app = app::for_inbox(values, REQUIRED)?;
    let attached = app.db.tx(async |tx| -> Result<_, Failure> {
        let found = find(tx, name).await?;
        let Some((entry, deal)) = only_deal(&found, name)? else {
            return Err(Failure::Message(format!(
                "{name} is an event that never became a deal, so there is nothing to attach: adtrail inbox show {name} \
                 shows why, adtrail inbox retry {name} reads it again."
            )));
        };
        refuse_matched(entry, deal)?;
        if !matching::attach(tx, deal.id, lead_id, app.clock.now()).await? {
            return Err(Failure::Message(format!("There is no lead {lead_id}: take the id from the table leads.")));
        }
        let recorded = record_matches(tx, app.plans(), Waiting::Deal(deal.id), app.clock.now()).await?.pop();
        Ok((deal.id, deal.crm_deal_id.clone(), recorded))
    });
    let (inbox_id, crm_deal_id, recorded) = attached.await?;
    let (status, text) = recorded.as_ref().map(words::recorded).map_or_else(
        || ("awaiting_lead", "The next run of the uploader matches it".into()),
        |(status, what)| (status, format!("It is {what}")),
    );
    let mut document = document(inbox_id, &crm_deal_id, status, recorded.as_ref());
    document["lead_id"] = json!(lead_id);
    Ok(Answer::new(document, &format!("Deal {crm_deal_id} is assigned to lead {lead_id}. {text}.")))
}
