//! `adtrail crm test`: a webhook's result without storing anything.

mod fetched;
mod item;
mod verification;

use serde_json::json;
use shared::clock::Clock;
use shared::intake::{self, KeptHeaders, Webhook};
use shared::settings::Values;

use super::delivery::{Delivery, headers};
use super::{ChosenSource, leads, read, read_body};
use crate::answer::Answer;
use crate::arguments::Test;
use crate::table::{fields, section, time};
use crate::{Failure, app};
pub(crate) use fetched::add as add_fetched;
use item::Item;
use verification::{Verification, verify};

pub(crate) async fn test(values: &Values, base: Option<&str>, test: &Test) -> Result<Answer, Failure> {
    let clock = test.call.at.map_or_else(Clock::system, Clock::fixed);
    let (app, has_database) = app::for_declarations(values, clock)?;
    if let Some(answer) = leads::test(&app, values, base, test)? {
        return Ok(answer);
    }
    let chosen = ChosenSource::find(&app.config.intake.sources, values, &test.source)?;
    let source = chosen.source();
    let body = read_body(&test.file)?;
    let delivery = Delivery::new(&test.call, base, source, &app.clock);
    let (verification, verified, arrived) = verify(source, &delivery, &headers(&test.headers)?, &body)?;
    let body = match &test.fetched {
        Some(file) => fetched::add(source, &body, &read(file)?)?,
        None => body,
    };
    let webhook =
        Webhook { source, verified, body: &body, headers: &KeptHeaders::from(&arrived), received_at: delivery.at };
    let mut items: Vec<_> = intake::read(&app.config.intake, &webhook)
        .into_iter()
        .enumerate()
        .map(|(position, (event_id, reading))| Item::new(position, event_id, reading))
        .collect();
    if has_database {
        for (item, (processed, stored)) in
            items.iter_mut().zip(intake::dry_run(&app.db, &app.config.intake, &webhook).await?)
        {
            item.outcome = Some(processed.outcome);
            item.stored = stored;
        }
    }

    let document = json!({
        "source": source.name,
        "origin": chosen.origin(),
        "received_at": delivery.at,
        "verification": verification.document(),
        "items": items.iter().map(Item::document).collect::<Vec<_>>(),
        "dry_run": has_database,
    });
    let mut blocks = vec![fields([
        ("source", format!("{} ({})", source.name, chosen.origin())),
        ("received", time(delivery.at)),
        ("signature", verification.text()),
    ])];
    blocks.extend(
        items.iter().map(|item| section(&format!("item {} of {}", item.position + 1, items.len()), item.rows(source))),
    );
    blocks.push(if has_database {
        "Nothing was stored: the transaction was rolled back.".into()
    } else {
        "The lead was not looked up: DATABASE_URL isn't set.".into()
    });
    let problem = match &verification {
        Verification::Failed { reason, signed_here: false } => {
            Some(format!("The given headers fail verification: {reason}"))
        }
        _ if items.iter().all(Item::is_invalid) => {
            Some("No item of the body is valid: fix the problems above, in the body or in the declaration.".into())
        }
        _ => None,
    };
    Ok(Answer::new(document, &blocks.join("\n")).failing(problem))
}
