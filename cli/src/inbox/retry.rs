//! `adtrail inbox retry`.

use std::path::Path;

use serde_json::json;
use shared::conversions::record_matches;
use shared::inbox::events::{self, Kept};
use shared::inbox::listing::ListedState;
use shared::inbox::matching;
use shared::intake::{self, EventOutcome, Processed, Resumed};
use shared::settings::Values;
use shared::{App, inbox};
use uuid::Uuid;

use super::{document, find, only_deal, refuse_matched, words};
use crate::answer::Answer;
use crate::crm::read_body;
use crate::{Failure, app};

enum Target {
    Event(Kept),
    Deal { inbox_id: Uuid, crm_deal_id: String, was_expired: bool, events: Vec<Kept> },
}

pub(crate) async fn retry(values: &Values, name: &str, body: Option<&Path>) -> Result<Answer, Failure> {
    let mended = body.map(read_body).transpose()?;
    let app = app::with_database(values)?;
    match target(&app, name).await? {
        Target::Event(event) => again(&app, &event, mended.as_deref()).await,
        Target::Deal { events, .. } if mended.is_some() => {
            let [event] = &events[..] else {
                let ids: Vec<_> = events.iter().map(|event| event.id.to_string()).collect();
                return Err(Failure::Message(format!(
                    "Deal {name} has {} events, and --body is the body of one: use its id, {}.",
                    ids.len(),
                    ids.join(" or ")
                )));
            };
            again(&app, event, mended.as_deref()).await
        }
        Target::Deal { inbox_id, crm_deal_id, was_expired, events } => {
            // The declaration may read them differently by now, and the CRM may know more.
            for event in &events {
                let resumed = intake::resume(&app.db, &app.clock, &app.config, event).await?;
                if let Resumed::Processed(Processed {
                    outcome: EventOutcome::Queued { .. } | EventOutcome::Skipped { .. },
                    ..
                }) = resumed
                {
                    return Ok(event_answer(event, resumed));
                }
            }
            rematch(&app, inbox_id, &crm_deal_id, was_expired).await
        }
    }
}

async fn again(app: &App<intake::Config>, event: &Kept, mended: Option<&[u8]>) -> Result<Answer, Failure> {
    let resumed = match mended {
        Some(body) => intake::resume_from(&app.db, &app.clock, &app.config, event, body).await?,
        None => intake::resume(&app.db, &app.clock, &app.config, event).await?,
    };
    Ok(event_answer(event, resumed))
}

/// The event of this id, or the deal of this id or CRM's id, or the only event of a deal that is not stored.
async fn target(app: &App<intake::Config>, name: &str) -> Result<Target, Failure> {
    let target = app.db.tx(async |tx| -> Result<_, Failure> {
        if let Ok(id) = name.parse()
            && let Some(event) = events::get(tx, id).await?
        {
            return Ok(Target::Event(event));
        }
        let found = find(tx, name).await?;
        if let Some((entry, deal)) = only_deal(&found, name)? {
            refuse_matched(entry, deal)?;
            let mut events = Vec::new();
            for event in &entry.events {
                events.extend(events::get(tx, event.id).await?);
            }
            let (inbox_id, crm_deal_id) = (deal.id, deal.crm_deal_id.clone());
            return Ok(Target::Deal { inbox_id, crm_deal_id, was_expired: deal.state == ListedState::Expired, events });
        }
        let ids: Vec<_> = found.iter().flat_map(|entry| &entry.events).map(|event| event.id).collect();
        if let [id] = ids[..]
            && let Some(event) = events::get(tx, id).await?
        {
            return Ok(Target::Event(event));
        }
        let ids: Vec<_> = ids.iter().map(Uuid::to_string).collect();
        Err(Failure::Message(format!(
            "Deal {name} has {} events and none became a deal: use the id of one of them, {}.",
            ids.len(),
            ids.join(" or ")
        )))
    });
    target.await
}

/// The result of reading an event again. The command fails if it is still no report.
fn event_answer(event: &Kept, resumed: Resumed) -> Answer {
    let mut document = json!({ "event_id": event.id, "source": event.source });
    let (text, problem) = match resumed {
        Resumed::Processed(processed) => {
            let outcome = match processed.errors() {
                errors if errors.is_empty() => processed.outcome,
                errors => EventOutcome::Rejected { errors },
            };
            document["outcome"] = json!(outcome);
            document["warnings"] = json!(processed.warnings);
            document["rule"] = json!(processed.rule);
            document["crm_deal_id"] = json!(processed.crm_deal_id);
            document["inbox_id"] = json!(processed.inbox_id);
            let is_rejected = matches!(outcome, EventOutcome::Rejected { .. });
            let problem = "The event is rejected: fix the problems above, in the body or in the declaration.";
            (format!("Result of the event: {}", words::outcome(&outcome)), is_rejected.then_some(problem))
        }
        Resumed::Postponed { reason, .. } => {
            document["outcome"] = json!({ "status": "postponed", "reason": reason });
            (format!("The event is postponed: {reason}"), Some("The event wasn't processed: see above."))
        }
    };
    Answer::new(document, &sentence(&text)).failing(problem.map(String::from))
}

/// With one full stop at its end: some reasons are sentences.
fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end().trim_end_matches('.'))
}

async fn rematch(
    app: &App<intake::Config>,
    inbox_id: Uuid,
    crm_deal_id: &str,
    was_expired: bool,
) -> Result<Answer, Failure> {
    let matched = app.db.tx(async |tx| -> Result<_, Failure> {
        inbox::lock_persons(tx, &[inbox_id]).await?;
        matching::wait_again(tx, &[inbox_id], app.clock.now()).await?;
        Ok(record_matches(tx, &app.config.destinations, app.config.match_by, &[inbox_id], app.clock.now()).await?.pop())
    });
    let recorded = matched.await?;
    let (status, text) = match recorded.as_ref().map(words::recorded) {
        Some((status, what)) => (status, format!("is matched: {what}")),
        None if was_expired => ("awaiting_lead", "was expired and waits another 90 days for its lead".into()),
        None => {
            let fix = format!("assign it with adtrail inbox attach {inbox_id} <LEAD_ID>");
            ("awaiting_lead", format!("still has no lead; {fix}"))
        }
    };
    let mut document = document(inbox_id, crm_deal_id, status, recorded.as_ref());
    document["waits_again"] = json!(was_expired);
    Ok(Answer::new(document, &format!("Deal {crm_deal_id} {text}.")))
}
