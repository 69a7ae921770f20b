//! `adtrail inbox attach`.

use serde_json::json;
use shared::conversions::{self, Release};
use shared::inbox::matching;
use shared::locks::{self, Locks};
use shared::settings::Values;
use shared::{intake, leads};
use uuid::Uuid;

use super::{document, find, only_deal, words};
use crate::answer::Answer;
use crate::{Failure, app};

pub(crate) async fn attach(values: &Values, name: &str, lead_id: Uuid) -> Result<Answer, Failure> {
    let app = app::with_database::<intake::Config>(values)?;
    let deal = app.db.tx(async |tx| -> Result<_, Failure> {
        let found = find(tx, name).await?;
        let Some((_, deal)) = only_deal(&found, name)? else {
            return Err(Failure::Message(format!(
                "{name} is an event that never became a deal, so there is nothing to attach: adtrail inbox show {name} \
                 shows why, adtrail inbox retry {name} reads it again."
            )));
        };
        Ok((deal.id, deal.crm_deal_id.clone()))
    });
    let (inbox_id, crm_deal_id) = deal.await?;
    let attached = app.db.tx(async |tx| -> Result<_, Failure> {
        locks::take(tx, &Locks::of_deal(&crm_deal_id)).await?;
        let now = app.clock.now();
        let former = match conversions::release(tx, inbox_id).await? {
            Release::NotMatched => None,
            Release::Released(lead_id) => lead_id,
            Release::Refused { lead_id: of, .. } if of == Some(lead_id) => {
                matching::confirm(tx, inbox_id, now).await?;
                return Ok(None);
            }
            Release::Refused { lead_id, platforms } => return Err(refused(lead_id, &platforms)),
        };
        if !matching::attach(tx, inbox_id, lead_id, now).await? {
            return Err(Failure::Message(format!("There is no lead {lead_id}: take the id from the table leads.")));
        }
        let (destinations, match_by) = (&app.config.destinations, app.config.match_by);
        let recorded = conversions::record(tx, destinations, match_by, &[inbox_id], now).await?.pop();
        leads::renew_status(tx, &[&crm_deal_id], former.as_slice()).await?;
        Ok(Some((former.filter(|former| *former != lead_id), recorded)))
    });
    let Some((former, recorded)) = attached.await? else {
        let text = format!("Deal {crm_deal_id} is confirmed as lead {lead_id}'s.");
        let mut document = document(inbox_id, &crm_deal_id, "confirmed", None);
        document["lead_id"] = json!(lead_id);
        return Ok(Answer::new(document, &text));
    };
    let (status, text) = recorded.as_ref().map(words::recorded).map_or_else(
        || ("awaiting_lead", "The next run of the uploader matches it".into()),
        |(status, what)| (status, format!("It is {what}")),
    );
    let instead = former.map(|former| format!(" instead of lead {former}")).unwrap_or_default();
    let mut document = document(inbox_id, &crm_deal_id, status, recorded.as_ref());
    document["lead_id"] = json!(lead_id);
    document["former_lead_id"] = json!(former);
    Ok(Answer::new(document, &format!("Deal {crm_deal_id} is assigned to lead {lead_id}{instead}. {text}.")))
}

fn refused(lead_id: Option<Uuid>, platforms: &[String]) -> Failure {
    let (is, keeps) = match lead_id {
        Some(lead_id) => (format!("matched to lead {lead_id}"), "It keeps this lead"),
        None => ("told by the click that the CRM kept".into(), "It stays so"),
    };
    Failure::Message(format!(
        "The deal is already {is}, and {} may have received its conversion. {keeps}: a platform doesn't accept the same \
         conversion again with another click. If it must not count, report the deal as lost from the CRM, which retracts \
         it.",
        platforms.join(", ")
    ))
}
