//! `POST /api/webhooks/{source}`: a CRM reports that a deal reached a stage, changed its value, or was lost. The
//! declaration of its source says how to read it; the outcome is committed before the answer.

use lambda_http::http::{Method, StatusCode};
use serde_json::json;
use shared::App;
use shared::clock::Clock;
use shared::crm::Source;
use shared::crm::authentication::{self, Refusal, Scheme};
use shared::http::problem::FieldError;
use shared::http::{Caller, Endpoint, Problem, Request, Response, json, no_content};
use shared::inbox::refusals;
use shared::intake::{self, EventOutcome, KeptHeaders, Processed, Webhook};
use shared::settings::{FromSettings, Settings};
use shared::spool::{Kept, Message, Spool};

pub const ENDPOINT: Endpoint = Endpoint {
    method: Method::POST,
    path: "/api/webhooks/{source}",
    aliases: &[],
    caller: Caller::Server,
    body_limit: 256 * 1024,
    requires: &["WEBHOOK_SECRET"],
};

/// With this header (`true`) only the authentication is tried: nothing of the webhook is read, stored or counted.
pub const DRY_RUN: &str = "x-adtrail-dry-run";

/// What it reads from the settings.
pub struct Config {
    /// How webhooks are read and matched.
    pub intake: intake::Config,
    /// Where they wait while Postgres can't be reached.
    pub spool: Spool,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
        Self { intake: intake::Config::from_settings(settings, clock), spool: Spool::from_settings(settings, clock) }
    }
}

/// Processes the webhook and answers with the outcome of each of its events; of a dry run, whether it is authenticated;
/// of a challenge that the source declares, with what was sent.
///
/// # Errors
/// 404 if no source has this name, 401 if authentication fails, 400 if nothing in the body is valid, 503 if neither the
/// database nor the spool is available.
pub async fn handle(app: &App<Config>, request: Request) -> Result<Response, Problem> {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    let source = app.config.intake.sources.get(name).ok_or_else(Problem::not_found)?;
    let received_at = app.clock.now();
    let is_dry_run = request.headers().get(DRY_RUN).is_some_and(|value| value == "true");
    let verified = match authentication::verify(&source.schemes, &request, received_at) {
        Ok(verified) => verified,
        Err(refusal) => {
            if !is_dry_run {
                count(app, source, &refusal).await;
            }
            let expected: Vec<_> = source.schemes.iter().map(Scheme::expects).collect();
            return Err(Problem::unauthorized(format!("{refusal} Send {}.", expected.join(", or "))));
        }
    };
    if is_dry_run {
        return Ok(no_content());
    }
    if let Some(echo) = source.challenge(request.body()) {
        return Ok(json(StatusCode::OK, &echo));
    }
    let headers = KeptHeaders::from(request.headers());
    let webhook = Webhook { source, verified, body: request.body(), headers: &headers, received_at };
    let storing = app.db.tx(async |tx| intake::receive(tx, &app.config.intake, &webhook).await);
    match app.config.spool.keep(Box::pin(storing), || Message::of_webhook(&webhook)).await? {
        Kept::InPostgres(processed) => answer(source, processed),
        Kept::ForLater => Ok(json(StatusCode::ACCEPTED, &json!({ "status": "stored_for_later" }))),
    }
}

fn answer(source: &Source, mut processed: Vec<Processed>) -> Result<Response, Problem> {
    if processed.iter().all(|it| matches!(it.outcome, EventOutcome::Rejected { .. })) {
        return Err(Problem::invalid_body(refusals_of(processed)));
    }
    if source.has_items() {
        for it in &mut processed {
            let errors = it.errors();
            if !errors.is_empty() {
                it.outcome = EventOutcome::Rejected { errors };
            }
        }
        return Ok(json(StatusCode::OK, &json!({ "results": processed })));
    }
    let Some(it) = processed.pop() else { return Err(Problem::internal("a body without an event")) };
    let waits = matches!(it.outcome, EventOutcome::AwaitingLead | EventOutcome::Received);
    Ok(json(if waits { StatusCode::ACCEPTED } else { StatusCode::OK }, &it))
}

/// What is wrong with each item, and where in the body.
fn refusals_of(processed: Vec<Processed>) -> Vec<FieldError> {
    let errors = processed.into_iter().flat_map(|it| match it.outcome {
        EventOutcome::Rejected { errors } => errors.into_iter().map(|error| error.within(&it.at)).collect(),
        _ => Vec::new(),
    });
    errors.collect()
}

/// Best effort: the request is answered 401 in any case.
async fn count(app: &App<Config>, source: &Source, refusal: &Refusal) {
    let now = app.clock.now();
    let counted = app.db.tx(async |tx| refusals::count(tx, &source.name, refusal.as_str(), now).await).await;
    if let Err(error) = counted {
        tracing::warn!(%error, "a refusal wasn't counted");
    }
}

#[cfg(test)]
mod tests;
