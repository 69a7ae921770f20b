//! What would become of a webhook.

mod completion;
mod item;

use lambda_http::http::HeaderMap;
use serde_json::json;
use shared::clock::Clock;
use shared::crm::Source;
use shared::crm::authentication::{self, Refusal, Verified};
use shared::intake::{self, Webhook};
use shared::settings::Values;

use super::deliveries::{Delivery, Proof, headers, request, unsigned};
use super::{Named, read};
use crate::answer::Answer;
use crate::arguments::Test;
use crate::table::{named, section, time};
use crate::{Failure, setting};
use item::Item;

pub(crate) async fn test(values: &Values, test: &Test) -> Result<Answer, Failure> {
    let clock = test.call.at.map_or_else(Clock::system, Clock::fixed);
    let (app, has_database) = setting::app_anyway(values, clock)?;
    let chosen = Named::find(&app.config, values, &test.source)?;
    let source = chosen.source();
    let body = read(&test.file)?;
    let limit = crm_conversion::ENDPOINT.body_limit;
    if body.len() > limit {
        return Err(Failure::Said(format!(
            "The body has {} bytes, and at most {limit} are taken: have the CRM send less.",
            body.len()
        )));
    }
    let delivery = Delivery::of(&test.call, source, &app.clock);
    let (proof, verified, arrived) = verify(source, &delivery, &headers(&test.headers)?, &body)?;
    let body = match &test.fetched {
        Some(file) => completion::with_fetched(source, &body, &read(file)?)?,
        None => body,
    };
    let webhook = Webhook { source, verified, body: &body, headers: &arrived, received_at: delivery.at };
    let mut items: Vec<_> = intake::read(&app, &webhook)
        .into_iter()
        .enumerate()
        .map(|(position, (event_id, reading))| Item::new(source, position, event_id, reading))
        .collect();
    if has_database {
        for (item, (taken, stored)) in items.iter_mut().zip(intake::rehearse(&app, &webhook).await?) {
            item.foresee(taken.outcome, stored);
        }
    }

    let document = json!({
        "source": source.name,
        "origin": chosen.origin(),
        "received_at": delivery.at,
        "verification": proof.document(),
        "items": items.iter().map(Item::document).collect::<Vec<_>>(),
        "rehearsed": has_database,
    });
    let mut blocks = vec![named([
        ("source", format!("{} ({})", source.name, chosen.origin())),
        ("received", time(delivery.at)),
        ("signature", proof.said()),
    ])];
    blocks.extend(
        items.iter().map(|item| section(&format!("item {} of {}", item.position + 1, items.len()), item.rows(source))),
    );
    blocks.push(if has_database {
        "Nothing was stored: all of it was rolled back.".into()
    } else {
        "Whether a lead is found isn't known: DATABASE_URL isn't set.".into()
    });
    let problem = match &proof {
        Proof::Bad { why, is_own: false } => Some(format!("The headers that were given are refused: {why}")),
        _ if items.iter().all(Item::is_unusable) => {
            Some("Nothing in the body can be used: put right what is named above, there or in the declaration.".into())
        }
        _ => None,
    };
    Ok(Answer::new(document, &blocks.join("\n")).failing(problem))
}

/// Checks the headers that were given, else those that the CRM would send with the current secret.
fn verify(
    source: &Source,
    delivery: &Delivery,
    given: &[(String, String)],
    body: &[u8],
) -> Result<(Proof, Verified, HeaderMap), Failure> {
    let nobody = || Verified { scheme: "none", secret: "none".into(), event_id: None };
    let is_own = given.is_empty();
    let signed = if is_own { delivery.signed(source, body) } else { None };
    if source.schemes.is_empty() || (is_own && signed.is_none()) {
        let why = unsigned(source).to_string();
        return Ok((Proof::Unchecked(why), nobody(), HeaderMap::new()));
    }
    let request = match &signed {
        Some(signed) => request(&signed.url, &signed.headers, body)?,
        None => request(&delivery.url, given, body)?,
    };
    Ok(match authentication::verify(&source.schemes, &request, delivery.at) {
        Ok(verified) => {
            let (scheme, secret) = (verified.scheme, verified.secret.clone());
            // Made up here, it is nobody's name of an event.
            let verified = if is_own { Verified { event_id: None, ..verified } } else { verified };
            (Proof::Good { scheme, secret, is_own }, verified, request.headers().clone())
        }
        Err(refusal) => {
            let expected: Vec<_> = source.schemes.iter().map(authentication::Scheme::expects).collect();
            let mut why = format!("{refusal} Expected is {}.", expected.join("; or "));
            if refusal == Refusal::Expired && !is_own {
                why += " If the delivery is an old one, say when it came with --at.";
            }
            (Proof::Bad { why, is_own }, nobody(), request.headers().clone())
        }
    })
}
