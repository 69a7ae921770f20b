//! `adtrail inbox attach`.

use serde_json::json;
use shared::conversions::record_matches;
use shared::inbox::matching::{self, Waiting};
use shared::settings::Values;
use uuid::Uuid;

use super::words::{self, text};
use super::{REQUIRED, document, find, only_deal, still_open};
use crate::answer::Answer;
use crate::{Failure, setting};

pub(crate) async fn attach(values: &Values, name: &str, lead_id: Uuid) -> Result<Answer, Failure> {
    let app = setting::app(values, REQUIRED)?;
    let attached = app.db.tx(async |tx| -> Result<_, Failure> {
        let found = find(tx, name).await?;
        let Some(deal) = only_deal(&found, name)? else {
            return Err(Failure::Said(format!(
                "{name} is an event that never became a deal, so there is nothing to attach: adtrail inbox show {name} says \
                 why, adtrail inbox retry looks at it again."
            )));
        };
        let inbox_id = still_open(&found, deal)?;
        if !matching::attach(tx, inbox_id, lead_id, app.clock.now()).await? {
            return Err(Failure::Said(format!("There is no lead {lead_id}: take the id from the table leads.")));
        }
        let recorded = record_matches(tx, &app.config.platforms.plans, Waiting::Deal(inbox_id), app.clock.now()).await?.pop();
        Ok((inbox_id, text(&deal["crm_deal_id"]), recorded))
    });
    let (inbox_id, crm_deal_id, recorded) = attached.await?;
    let (status, said) = recorded.as_ref().map(words::recorded).map_or_else(
        || ("awaiting_lead", "the next run of the uploader matches it".into()),
        |(status, what)| (status, format!("it is {what}")),
    );
    let mut document = document(inbox_id, &crm_deal_id, status, recorded.as_ref());
    document["lead_id"] = json!(lead_id);
    Ok(Answer::new(document, &format!("Deal {crm_deal_id} is lead {lead_id}'s now: {said}.")))
}
