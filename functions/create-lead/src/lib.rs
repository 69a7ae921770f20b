//! `POST /api/leads`: a form was submitted. Stores the lead with the click that led to it.
//!
//! Deals that wait for it are matched by the uploader's next run. If they were matched here, the time of the answer
//! would tell anybody who knows an address whether the CRM has a deal of it.

use lambda_http::http::{Method, StatusCode};
use serde::Serialize;
use shared::App;
use shared::clock::Clock;
use shared::forms;
use shared::http::{Caller, Endpoint, Problem, Request, Response, Warning, address, json};
use shared::leads::{self, Created};
use shared::rate_limits;
use shared::settings::{FromSettings, Settings};
use shared::spool::{Kept, Message, Spool};
use uuid::Uuid;

pub const ENDPOINT: Endpoint = Endpoint {
    method: Method::POST,
    path: "/api/leads",
    aliases: &["/t/l", "/api/t/l"],
    caller: Caller::Browser,
    body_limit: 32 * 1024,
    requires: &["ALLOWED_ORIGINS", "IP_HASH_KEY"],
};

/// What it reads from the settings.
pub struct Config {
    /// How forms are read.
    pub forms: forms::Config,
    /// Where they wait while Postgres can't be reached.
    pub spool: Spool,
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
        Self { forms: forms::Config::from_settings(settings, clock), spool: Spool::from_settings(settings, clock) }
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
    let Config { forms, spool } = &app.config;
    let address = forms.rate_limit.hashed(address(&request));
    let form = forms::read(forms, &request, address.as_ref(), app.clock.now())?;
    let storing = app.db.tx(async |tx| leads::create(tx, &form.lead, &form.callers).await);
    let kept = spool.keep(Box::pin(storing), || Message::of_form(&request, &form, address)).await?;
    let (code, lead_id, status) = match kept {
        Kept::InPostgres(Created::New(id)) => (StatusCode::CREATED, Some(id), "created"),
        Kept::InPostgres(Created::Duplicate(id)) => (StatusCode::OK, Some(id), "duplicate"),
        Kept::InPostgres(Created::Conflict) => return Err(Problem::conflict(forms::CONFLICT)),
        Kept::InPostgres(Created::Refused) => {
            return Err(Problem::too_many_requests(rate_limits::resets_in(form.lead.at)));
        }
        Kept::ForLater => (StatusCode::ACCEPTED, None, "stored_for_later"),
    };
    let answer = Answer { lead_id, transaction_id: form.lead.transaction_id, status, warnings: form.lead.warnings };
    Ok(json(code, &answer))
}

#[cfg(test)]
mod tests;
