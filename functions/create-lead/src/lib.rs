//! `POST /api/leads`: a form was submitted. Stores the lead with the click that led to it.
//!
//! Deals that wait for it are matched by the uploader's next run. If they were matched here, the time of the answer
//! would tell anybody who knows an address whether the CRM has a deal of it.

use lambda_http::http::{HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde_json::json;
use shared::App;
use shared::clock::Clock;
use shared::forms::{self, Form};
use shared::http::body::{as_json, multipart_as_json};
use shared::http::{
    Caller, Endpoint, PREFERENCE_APPLIED, Problem, Request, Response, STRICTLY, Warning, address, json, no_content,
    prefers_strict,
};
use shared::identity::Hash;
use shared::lead_sources::{self, Reading, Source, Sources};
use shared::leads::{self, Created, refusals};
use shared::rate_limits;
use shared::settings::{FromSettings, Settings};
use shared::spool::{Kept, Message, Spool};
use uuid::Uuid;

pub const ENDPOINT: Endpoint = Endpoint {
    method: Method::POST,
    path: "/api/leads",
    aliases: &["/t/l", "/api/t/l", "/api/leads/{source}"],
    caller: Caller::Browser,
    // A message may be of any length: it is cut after reading.
    body_limit: 256 * 1024,
    requires: &["ALLOWED_ORIGINS", "IP_HASH_KEY"],
};

/// With this header (`true`) only the proof of a source of leads is tried: nothing is read, stored or counted.
pub const DRY_RUN: &str = "x-adtrail-dry-run";

/// What it reads from the settings.
pub struct Config {
    /// How forms are read.
    pub forms: forms::Config,
    /// Who else may send leads; or why nobody can until the operator has mended it.
    pub sources: Result<Sources, String>,
    /// Where they wait while Postgres can't be reached.
    pub spool: Spool,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
        Self {
            forms: forms::Config::from_settings(settings, clock),
            sources: Sources::from_settings(settings),
            spool: Spool::from_settings(settings, clock),
        }
    }
}

#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    lead_id: Option<Uuid>,
    transaction_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

/// Stores the lead once per transaction id.
///
/// # Errors
/// 400 when the body is wrong, 409 when the transaction id is in use, 429 when the caller is far above its limit, 503
/// when neither the database nor the spool is available.
pub async fn handle(app: &App<Config>, request: Request) -> Result<Response, Problem> {
    let forms = &app.config.forms;
    let address = forms.rate_limit.hashed(address(&request));
    let sources = app.config.sources.as_ref();
    let google = lead_sources::google_lead(request.body());
    let source = match request.uri().path().strip_prefix("/api/leads/") {
        Some(name) => {
            let sources = sources.map_err(|problem| Problem::unavailable(problem.as_str()))?;
            Some(sources.get(name).ok_or_else(Problem::not_found)?)
        }
        None => google.as_ref().and_then(|lead| sources.ok()?.google(lead)),
    };
    if let Some(source) = source {
        return store_from(app, source, &request, address).await;
    }
    if google.is_some() {
        let reading = lead_sources::read_google(forms, request.body(), address.as_ref(), app.clock.now());
        return store_reading(app, "", request.body(), reading, address).await;
    }
    let request = as_json(request);
    let form = match forms::read(forms, &request, address.as_ref(), app.clock.now()) {
        Ok(form) => form,
        Err(problem) => {
            // Unless its sender wanted that.
            if !prefers_strict(&request) {
                count_refusal(app, "", forms::why_refused(&request)).await;
            }
            return Err(problem);
        }
    };
    store(app, &request, form, address).await
}

/// Stores what a source of leads sent; of a dry run, says only whether it proves that. What is refused is counted under
/// its name.
async fn store_from(
    app: &App<Config>,
    source: &Source,
    request: &Request,
    address: Option<Hash>,
) -> Result<Response, Problem> {
    let is_dry_run = request.headers().get(DRY_RUN).is_some_and(|value| value == "true");
    if let Err(refusal) = source.verify(request, app.clock.now()) {
        if !is_dry_run {
            count_refusal(app, &source.name, refusals::UNPROVEN).await;
        }
        return Err(Problem::unauthorized(format!("{refusal} Send {}.", source.expects())));
    }
    if is_dry_run {
        return Ok(no_content());
    }
    let multipart = multipart_as_json(request);
    let body = multipart.as_deref().map_or_else(|| request.body().as_ref(), str::as_bytes);
    let reading = source.read(&app.config.forms, body, app.clock.now());
    store_reading(app, &source.name, body, reading, address).await
}

/// Stores what another sender than the website's form brought. A sender that repeats a lead is told that it is known,
/// also where it changed something: it would go on repeating it.
async fn store_reading(
    app: &App<Config>,
    source: &str,
    body: &[u8],
    reading: Result<Reading, Problem>,
    address: Option<Hash>,
) -> Result<Response, Problem> {
    match reading {
        Ok(Reading::Ignored) => Ok(json(StatusCode::OK, &json!({ "status": "ignored" }))),
        Ok(Reading::Lead(form, request)) => store(app, &request, *form, address).await,
        Err(problem) => {
            count_refusal(app, source, lead_sources::why_refused(body)).await;
            Err(problem)
        }
    }
}

async fn store(
    app: &App<Config>,
    request: &Request,
    mut form: Form,
    address: Option<Hash>,
) -> Result<Response, Problem> {
    let storing = app.db.tx(async |tx| leads::create(tx, &form.lead, &form.callers).await);
    let keeping = app.config.spool.keep(Box::pin(storing), || Message::of_form(request, &form, address));
    let kept = keeping.await?;
    let (code, lead_id, status) = match kept {
        Kept::InPostgres(Created::New(id)) => (StatusCode::CREATED, Some(id), "created"),
        Kept::InPostgres(Created::Beside(id)) => {
            form.lead.warnings.push(leads::id_was_used());
            (StatusCode::CREATED, Some(id), "created")
        }
        Kept::InPostgres(Created::Duplicate(id)) => (StatusCode::OK, Some(id), "duplicate"),
        Kept::InPostgres(Created::Conflict) if form.lead.source.is_some() => (StatusCode::OK, None, "duplicate"),
        Kept::InPostgres(Created::Conflict) => return Err(Problem::conflict(forms::CONFLICT)),
        Kept::InPostgres(Created::Refused) => {
            return Err(Problem::too_many_requests(rate_limits::resets_in(form.lead.at)));
        }
        Kept::ForLater => (StatusCode::ACCEPTED, None, "stored_for_later"),
    };
    let answer = Answer { lead_id, transaction_id: form.lead.transaction_id, status, warnings: form.lead.warnings };
    let mut response = json(code, &answer);
    if prefers_strict(request) {
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static(STRICTLY));
    }
    Ok(response)
}

/// Counts a form that was refused. It is refused as well if it can't be counted.
async fn count_refusal(app: &App<Config>, source: &str, reason: &str) {
    let now = app.clock.now();
    let counted = app.db.tx(async |tx| refusals::count(tx, source, reason, now).await).await;
    if let Err(error) = counted {
        tracing::warn!(%error, "a refused form isn't counted");
    }
}

#[cfg(test)]
mod tests;
