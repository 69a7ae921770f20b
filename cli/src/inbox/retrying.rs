//! `adtrail inbox retry`.

use serde_json::{Value, json};
use shared::App;
use shared::conversions::record_matches;
use shared::inbox::events::{self, Kept};
use shared::inbox::matching::{self, Waiting};
use shared::intake::{Outcome, Resumed, Taken, resume};
use shared::settings::Values;
use uuid::Uuid;

use super::words::{self, text};
use super::{REQUIRED, document, find, id_of, only_deal, still_open};
use crate::answer::Answer;
use crate::{Failure, setting};

/// What is looked at again.
enum Again {
    Event(Kept),
    Deal { inbox_id: Uuid, crm_deal_id: String, was_expired: bool, events: Vec<Kept> },
}

pub(crate) async fn retry(values: &Values, name: &str) -> Result<Answer, Failure> {
    let app = setting::app(values, REQUIRED)?;
    match choose(&app, name).await? {
        Again::Event(event) => Ok(taken(&event, resume(&app, &event).await?)),
        Again::Deal { inbox_id, crm_deal_id, was_expired, events } => {
            // What they say may be read in another way by now, and the CRM may know more.
            for event in &events {
                let resumed = resume(&app, event).await?;
                if let Resumed::Taken(Taken { outcome: Outcome::Queued { .. } | Outcome::Skipped { .. }, .. }) = resumed
                {
                    return Ok(taken(event, resumed));
                }
            }
            retry_deal(&app, inbox_id, &crm_deal_id, was_expired).await
        }
    }
}

/// The event of this id, or the deal of this id or of the CRM's, or the only event that speaks of such a deal.
async fn choose(app: &App, name: &str) -> Result<Again, Failure> {
    let chosen = app.db.tx(async |tx| -> Result<_, Failure> {
        if let Ok(id) = name.parse()
            && let Some(event) = events::get(tx, id).await?
        {
            return Ok(Again::Event(event));
        }
        let found = find(tx, name).await?;
        let of_entry = |entry: &Value| entry["events"].as_array().cloned().unwrap_or_default();
        if let Some(deal) = only_deal(&found, name)? {
            let (inbox_id, crm_deal_id) = (still_open(&found, deal)?, text(&deal["crm_deal_id"]));
            let mut events = Vec::new();
            for event in found.iter().filter(|entry| entry["deal"]["id"] == deal["id"]).flat_map(of_entry) {
                events.extend(events::get(tx, id_of(&event)?).await?);
            }
            let was_expired = deal["state"] == "expired";
            return Ok(Again::Deal { inbox_id, crm_deal_id, was_expired, events });
        }
        let ids = found.iter().flat_map(of_entry).map(|event| id_of(&event)).collect::<Result<Vec<_>, _>>()?;
        if let [id] = ids[..]
            && let Some(event) = events::get(tx, id).await?
        {
            return Ok(Again::Event(event));
        }
        let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
        Err(Failure::Said(format!(
            "{} events speak of deal {name} and none became a deal: name one of them by its id, {}.",
            ids.len(),
            ids.join(" or ")
        )))
    });
    chosen.await
}

fn taken(event: &Kept, resumed: Resumed) -> Answer {
    let mut document = json!({ "event_id": event.id, "source": event.source });
    let said = match resumed {
        Resumed::Taken(taken) => {
            document["outcome"] = json!(taken.outcome);
            document["warnings"] = json!(taken.warnings);
            document["rule"] = json!(taken.rule);
            document["crm_deal_id"] = json!(taken.crm_deal_id);
            document["inbox_id"] = json!(taken.inbox_id);
            format!("The event became {}.", words::outcome(&taken.outcome))
        }
        Resumed::Postponed { reason, .. } => {
            document["outcome"] = json!({ "status": "postponed", "reason": reason });
            format!("The event has to wait: {reason}")
        }
    };
    Answer::new(document, &said)
}

async fn retry_deal(app: &App, inbox_id: Uuid, crm_deal_id: &str, was_expired: bool) -> Result<Answer, Failure> {
    let looked = app.db.tx(async |tx| -> Result<_, Failure> {
        matching::wait_again(tx, inbox_id, app.clock.now()).await?;
        Ok(record_matches(tx, &app.config.platforms.plans, Waiting::Deal(inbox_id), app.clock.now()).await?.pop())
    });
    let recorded = looked.await?;
    let (status, said) = match recorded.as_ref().map(words::recorded) {
        Some((status, what)) => (status, format!("found its lead and is {what}")),
        None if was_expired => ("awaiting_lead", "had expired and waits another 90 days for its lead".into()),
        None => {
            let fix = format!("adtrail inbox attach {inbox_id} <LEAD_ID> says whose it is");
            ("awaiting_lead", format!("still finds no lead; {fix}"))
        }
    };
    let mut document = document(inbox_id, crm_deal_id, status, recorded.as_ref());
    document["waits_again"] = json!(was_expired);
    Ok(Answer::new(document, &format!("Deal {crm_deal_id} {said}.")))
}
