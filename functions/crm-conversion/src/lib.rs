//! `POST /api/webhooks/crm-conversion`: the CRM says that a deal reached a stage, is worth something else, or was lost.
//! Stored before anything else, matched to its lead, recorded as a conversion and queued for the ad platforms, all in one
//! transaction.

use chrono::{DateTime, TimeDelta, Utc};
use lambda_http::http::{Method, StatusCode};
use serde::Serialize;
use shared::App;
use shared::conversions::{self, ConversionType, SkipReason, record_matches};
use shared::db::{DbError, Tx};
use shared::http::body::{Body, text_up_to};
use shared::http::{Caller, Endpoint, Problem, Request, Response, Warning, json, signature};
use shared::identity::{Email, Hash, Phone};
use shared::inbox::{self, Deal, Waiting};
use shared::money::Money;
use shared::{
    leads,
    lost_deals::{self, Loss},
};
use uuid::Uuid;

/// Where it answers.
pub const ENDPOINT: Endpoint = Endpoint {
    method: Method::POST,
    path: "/api/webhooks/crm-conversion",
    caller: Caller::Server,
    body_limit: 256 * 1024,
    requires: &["WEBHOOK_SECRET", "GOOGLE_ADS_CUSTOMER_ID"],
};

/// How far a CRM's clock may be ahead of ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(10);

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    outcome: Outcome,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

#[derive(Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Outcome {
    Queued { conversion_id: Uuid, platforms: Vec<&'static str> },
    Duplicate { conversion_id: Uuid },
    Skipped { conversion_id: Uuid, reason: SkipReason },
    AwaitingLead,
    Restated { conversion_id: Uuid, platforms: Vec<String> },
    Retracted { conversion_id: Uuid, platforms: Vec<String> },
    NothingToRetract,
}

/// What the CRM reports.
enum Report {
    Reached(Deal),
    Lost(Loss),
}

/// Takes the report, once per deal and stage, and says what became of it. A deal without a lead is kept and waits.
///
/// # Errors
/// 401 when the signature isn't right, 400 when the body is wrong, 503 when the database is away.
pub async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    if !signature::is_signed(&request, &app.config.webhook_secrets) {
        return Err(Problem::unauthorized(
            "Send X-Webhook-Signature: sha256=<hex HMAC-SHA-256 of the raw body with the webhook secret>, or the secret \
             itself as Authorization: Bearer.",
        ));
    }
    let now = app.clock.now();
    let report = parse(app, &request)?;
    let outcome = match &report {
        Report::Reached(deal) => app.db.tx(async |tx| take(tx, app, deal).await).await?,
        Report::Lost(loss) => app.db.tx(async |tx| undo(tx, loss, now).await).await?,
    };
    let code = if matches!(outcome, Outcome::AwaitingLead) { StatusCode::ACCEPTED } else { StatusCode::OK };
    let warnings = match &report {
        Report::Reached(deal) => Warning::of_phone(deal.phone.as_ref()).into_iter().collect(),
        Report::Lost(_) => Vec::new(),
    };
    Ok(json(code, &Answer { outcome, warnings }))
}

async fn take(tx: &mut Tx, app: &App, deal: &Deal) -> Result<Outcome, DbError> {
    let received = inbox::receive(tx, deal, app.clock.now()).await?;
    if let Some(conversion_id) = received.conversion_id {
        if !received.is_new {
            return Ok(Outcome::Duplicate { conversion_id });
        }
        if !conversions::reopen(tx, received.inbox_id, deal.occurred_at).await? {
            let restated = conversions::restate(tx, received.inbox_id, app.clock.now()).await?;
            return Ok(restated.map_or(Outcome::Duplicate { conversion_id }, |restated| Outcome::Restated {
                conversion_id,
                platforms: restated.platforms,
            }));
        }
    }
    let recorded = record_matches(tx, app, Waiting::Deal(received.inbox_id)).await?.pop();
    Ok(recorded.map_or(Outcome::AwaitingLead, |recorded| match recorded.skip_reason {
        Some(reason) => Outcome::Skipped { conversion_id: recorded.conversion_id, reason },
        None => Outcome::Queued { conversion_id: recorded.conversion_id, platforms: recorded.platforms },
    }))
}

async fn undo(tx: &mut Tx, loss: &Loss, now: DateTime<Utc>) -> Result<Outcome, DbError> {
    lost_deals::keep(tx, loss, now).await?;
    let retracted = lost_deals::retract(tx, &loss.crm_deal_id, now).await?;
    leads::renew_status(tx, &[&loss.crm_deal_id]).await?;
    Ok(retracted.map_or(Outcome::NothingToRetract, |retracted| Outcome::Retracted {
        conversion_id: retracted.conversion_id,
        platforms: retracted.platforms,
    }))
}

fn parse(app: &App, request: &Request) -> Result<Report, Problem> {
    let now = app.clock.now();
    let body = Body::parse(request.body())?;
    let fields = body.fields();
    // CRMs number their deals and send the number as one.
    let crm_deal_id = fields
        .optional("crm_deal_id", |value| match (value.as_str().map(str::trim), value.as_u64()) {
            (Some(text), _) if text.contains(char::is_control) => Err("must not contain control characters".into()),
            (Some(text), _) if !text.is_empty() => text_up_to(200)(text),
            (_, Some(number)) => Ok(number.to_string()),
            _ => Err("must be a text of 1 to 200 characters, or a whole number".into()),
        })
        .and_then(|id| id.ok_or_else(|| fields.refuse("crm_deal_id", "is required")));
    let occurred_at = fields.optional_text("occurred_at", |text| time(text, now));
    // Google refuses times ahead of its clock, and what is sent again must be the same: so it is cut here, once.
    let occurred_at = occurred_at.map(|at| at.map_or(now, |at| at.min(now)));
    let payload_hash = Hash::of(request.body());
    let conversion_type = fields.required_text("conversion_type", |text| match text {
        "lost" | "refunded" => Ok(None),
        _ => ConversionType::parse(text).map(Some).map_err(|_| "must be qualified, closed, lost or refunded".into()),
    });
    // A deal that was lost reached no stage. The rest of its body is what the CRM's template sends with every deal.
    let Some(conversion_type) = conversion_type.transpose() else {
        body.check()?;
        return Ok(Report::Lost(Loss { crm_deal_id: crm_deal_id?, lost_at: occurred_at?, payload_hash }));
    };
    let email = fields.optional_text("email", Email::parse);
    let phone = fields.optional_text("phone", |text| Phone::parse(text, app.config.phone_default_region));
    let lead_id = fields.optional_text("lead_id", |text| Uuid::try_parse(text).map_err(|_| "must be a UUID".into()));
    if matches!((&email, &phone, &lead_id), (Ok(None), Ok(None), Ok(None))) {
        fields.refuse("email", "is required, unless there is a phone or a lead_id");
    }
    // A number that can't be matched names nobody.
    if let (Ok(None), Ok(Some(phone)), Ok(None)) = (&email, &phone, &lead_id)
        && let Err(why) = phone.hash()
    {
        fields.refuse("phone", why.to_string());
    }
    let value = fields.optional("value", Money::value_from);
    let currency = fields.optional_text("currency", Money::currency_from);
    if matches!((&value, &currency), (Ok(Some(_)), Ok(None))) {
        fields.refuse("currency", "is required when there is a value");
    }
    // Not cut: a clock that is ahead must still tell the newer of two reports.
    let updated_at = fields.optional_text("updated_at", |text| time(text, now));
    body.check()?;
    Ok(Report::Reached(Deal {
        source: "crm-conversion".into(),
        crm_deal_id: crm_deal_id?,
        conversion_type: conversion_type?,
        money: value?.zip(currency?).map(|(value, currency)| Money::new(value, currency)),
        occurred_at: occurred_at?,
        lead_id: lead_id?,
        email: email?,
        other_emails: Vec::new(),
        phone: phone?,
        updated_at: updated_at?,
        payload_hash,
    }))
}

fn time(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let at = DateTime::parse_from_rfc3339(text)
        .map_err(|_| "must be a time with its zone as in RFC 3339, such as 2026-11-20T14:03:11+01:00")?
        .to_utc();
    if at > now + CLOCK_SKEW {
        Err("must not be in the future".into())
    } else if at < DateTime::from_timestamp(946_684_800, 0).unwrap_or_default() {
        Err("must not be before the year 2000".into())
    } else {
        Ok(at)
    }
}

#[cfg(test)]
mod tests;
