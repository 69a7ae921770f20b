//! The Google Ads API: `uploadClickConversions`, for accounts that used it before it was closed to others, and
//! `uploadConversionAdjustments`, which every account may use. Requests go out with partial failure: the answer says of
//! each conversion whether it was recorded.

mod answers;
mod reasons;
mod rows;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

#[cfg(test)]
pub(super) use reasons::of_upload;

use super::identifiers::{self, usable};
use super::settings::Shared;
use super::{GoogleAds, Target, probe};
use crate::clock::Clock;
use crate::deals::Stage;
use crate::outgoing::Limit;
use crate::platforms::google::api::{Answer, Api};
use crate::platforms::google::batch::{Answered, deliver_ready};
use crate::platforms::{
    Allowance, Check, Conversion, Delivery, Exchange, Facts, Lane, Operation, Outcome, Preview, Reason, Route, Verdict,
};

/// "Conversion upload" and "Conversion adjustment" limits of the Google Ads API.
const LARGEST_REQUEST: usize = 2_000;

/// Google Ads through its own API.
pub(super) struct AdsApi {
    pub(super) google: Arc<GoogleAds>,
    pub(super) api: Api,
    pub(super) clock: Clock,
    pub(super) route: Route,
}

impl AdsApi {
    /// Sends these in one request. All go to the same account.
    async fn send(&self, rows: Vec<(&Conversion, &Value)>, allowance: &Allowance) -> Option<(Answered, Exchange)> {
        let target = self.google.target_of(rows.first()?.0).ok()?;
        let customer_id = target.customer_id;
        let (url, body) = request(&self.google, self.route.operation, customer_id, rows.iter().map(|(_, row)| *row));
        let conversions: Vec<_> = rows.iter().map(|(conversion, _)| *conversion).collect();
        let (answer, mut exchange) = self.call(&url, &body, target, conversions.len(), allowance).await?;
        let answered = match answer {
            Ok(answer) => {
                let read = answers::read(&answer, &conversions, customer_id, &mut exchange, self.clock.now());
                // Refused credentials are refused for every account.
                if answer.status == 401 {
                    read
                } else {
                    self.google.hold_all_elsewhere(target, read, conversions.len())
                }
            }
            Err(outcome) => Answered::Failed(outcome),
        };
        Some((answered, exchange))
    }

    /// Sends a request of so many rows, all for this account.
    async fn call(
        &self,
        url: &str,
        body: &Value,
        target: Target<'_>,
        rows: usize,
        allowance: &Allowance,
    ) -> Option<(Result<Answer, Outcome>, Exchange)> {
        let request = || {
            let request = self.api.http.post(url).json(body);
            match target.manager {
                Some(manager) => request.header("login-customer-id", manager),
                None => request,
            }
        };
        self.api.call(allowance, Limit::of(rows), request).await
    }
}

/// Where a request of these rows goes, and its body.
fn request<'a>(
    google: &GoogleAds,
    operation: Operation,
    customer_id: &str,
    rows: impl Iterator<Item = &'a Value>,
) -> (String, Value) {
    let Shared { ads_api_url, ads_api_version, .. } = &google.shared;
    let (method, list) = match operation {
        Operation::Upload => ("uploadClickConversions", "conversions"),
        Operation::Restatement | Operation::Retraction => ("uploadConversionAdjustments", "conversionAdjustments"),
    };
    let url = format!("{ads_api_url}/{ads_api_version}/customers/{customer_id}:{method}");
    (url, json!({ list: rows.collect::<Vec<_>>(), "partialFailure": true }))
}

fn row<'a>(
    google: &'a GoogleAds,
    operation: Operation,
    conversion: &'a Conversion,
    now: DateTime<Utc>,
) -> Result<(Target<'a>, Value), Outcome> {
    let target = google.target_of(conversion)?;
    let identifiers = usable(conversion, operation, google.click_hold, google.user_data, now)?;
    let action = target.resource();
    let row = match operation {
        Operation::Upload => rows::click_conversion(conversion, &identifiers, &action),
        Operation::Restatement => rows::restatement(conversion, &action),
        Operation::Retraction => rows::retraction(conversion, &action),
    };
    Ok((target, row))
}

/// The request for this conversion alone.
pub(super) fn preview(
    google: &GoogleAds,
    conversion: &Conversion,
    operation: Operation,
    now: DateTime<Utc>,
) -> Result<Preview, Outcome> {
    let (target, row) = row(google, operation, conversion, now)?;
    let (url, body) = request(google, operation, target.customer_id, std::iter::once(&row));
    Ok(Preview { method: "POST", url, body: body.to_string() })
}

impl Lane for AdsApi {
    fn route(&self) -> &Route {
        &self.route
    }

    fn names_reason(&self, code: &str) -> bool {
        identifiers::REASONS.contains(&code) || reasons::is_of_a_row(code)
    }

    fn claim_size(&self, _due: usize) -> usize {
        LARGEST_REQUEST
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), Outcome>> {
        Box::pin(self.api.ready())
    }

    fn check<'a>(&'a self, stage: &'a Stage, allowance: &'a Allowance) -> BoxFuture<'a, Check> {
        Box::pin(async move {
            let (now, operation) = (self.clock.now(), self.route.operation);
            let conversion = probe::conversion(stage, now);
            let (target, row) = match row(&self.google, operation, &conversion, now) {
                Ok(ready) => ready,
                Err(outcome) => return outcome.into(),
            };
            let (url, body) = request(&self.google, operation, target.customer_id, std::iter::once(&row));
            let body = probe::validating(body);
            let outcome = match self.call(&url, &body, target, 1, allowance).await {
                Some((Ok(answer), _)) => {
                    probe::outcome(answers::read_validated(&answer, &conversion, target.customer_id, self.clock.now()))
                }
                Some((Err(outcome), _)) => outcome,
                None => Outcome::Unsent,
            };
            outcome.into()
        })
    }

    fn upload<'a>(&'a self, conversions: &'a [Conversion], allowance: &'a Allowance) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let (now, operation) = (self.clock.now(), self.route.operation);
            let row = |it| row(&self.google, operation, it, now).map(|(_, row)| row);
            let rows: Vec<_> = conversions.iter().map(row).collect();
            let send = |rows| self.send(rows, allowance);
            let group = |it: &Conversion| {
                let target = self.google.target_of(it).ok()?;
                Some((target.customer_id.to_owned(), target.manager.map(str::to_owned)))
            };
            deliver_ready(conversions, &rows, |it| it.facts.send_alone, group, send).await
        })
    }

    /// This API has none to ask for. A receipt is one of the other API's, from before the transport was changed.
    fn verdict<'a>(
        &'a self,
        _request_id: &'a str,
        _sent_to: Option<&'a str>,
        conversions: &'a [Facts],
        _allowance: &'a Allowance,
    ) -> BoxFuture<'a, Option<(Vec<Verdict>, Exchange)>> {
        let message = "It was accepted by the Data Manager API, which GOOGLE_ADS_TRANSPORT no longer selects.";
        let unknowable = Verdict::Unknowable(Reason::new("transport_changed", message));
        Box::pin(async move { Some((vec![unknowable; conversions.len()], Exchange::default())) })
    }
}
