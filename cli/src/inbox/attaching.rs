//! `adtrail inbox attach`.

use serde_json::json;
use shared::config::Values;
use shared::conversions::record_matches;
use shared::inbox::matching::{self, Waiting};
use uuid::Uuid;

use super::words::{self, text};
use super::{REQUIRED, find, only_deal, still_open};
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
        let recorded = record_matches(tx, &app, Waiting::Deal(inbox_id)).await?.pop();
        Ok((inbox_id, text(&deal["crm_deal_id"]), recorded))
    });
    let (inbox_id, crm_deal_id, recorded) = attached.await?;
    let (status, said) = match &recorded {
        None => ("awaiting_lead", "the next run of the uploader matches it".into()),
        Some(recorded) => match recorded.skip_reason {
            Some(reason) => ("skipped", format!("it is {}", words::skipped(reason))),
            None => ("queued", format!("it is {}", words::queued(&recorded.platforms))),
        },
    };
    let document = json!({
        "inbox_id": inbox_id,
        "crm_deal_id": crm_deal_id,
        "lead_id": lead_id,
        "status": status,
        "conversion_id": recorded.as_ref().map(|it| it.conversion_id),
        "platforms": recorded.as_ref().map(|it| &it.platforms),
        "skip_reason": recorded.as_ref().and_then(|it| it.skip_reason),
    });
    Ok(Answer::new(document, &format!("Deal {crm_deal_id} is lead {lead_id}'s now: {said}.")))
}
