//! The Google Ads API: `uploadClickConversions`, for accounts that used it before it was closed to others, and
//! `uploadConversionAdjustments`, which every account may use. Requests go out with partial failure: the answer says of
//! each conversion whether it was recorded.

mod answers;
mod reasons;
mod rows;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::api::Api;
use super::batch::{Answered, deliver_ready};
use super::identifiers::usable;
use super::{GoogleAds, RESTATEMENTS, RETRACTIONS, UPLOADS};
use crate::clock::Clock;
use crate::outgoing::Limit;
use crate::platforms::{
    Allowance, Conversion, Delivery, Exchange, Facts, Lane, Limits, Operation, Outcome, Reason, Route, Verdict,
};

/// "Conversion upload" and "Conversion adjustment" limits of the Google Ads API.
const LARGEST_REQUEST: usize = 2_000;

/// Google Ads through its own API.
pub(super) struct AdsApi {
    pub(super) google: Arc<GoogleAds>,
    pub(super) api: Api,
    pub(super) clock: Clock,
    pub(super) operation: Operation,
}

impl AdsApi {
    async fn send(&self, rows: Vec<(&Conversion, &Value)>, allowance: &Allowance) -> Option<(Answered, Exchange)> {
        let GoogleAds { ads_api_url, ads_api_version, customer_id, login_customer_id, .. } = self.google.as_ref();
        let (method, list) = match self.operation {
            Operation::Upload => ("uploadClickConversions", "conversions"),
            Operation::Restatement | Operation::Retraction => ("uploadConversionAdjustments", "conversionAdjustments"),
        };
        let url = format!("{ads_api_url}/{ads_api_version}/customers/{customer_id}:{method}");
        let values: Vec<_> = rows.iter().map(|(_, value)| value).collect();
        let body = json!({ list: values, "partialFailure": true });
        let request = || {
            let request = self.api.http.post(&url).json(&body);
            // The manager only where access goes through it: otherwise Google refuses.
            match login_customer_id.as_ref().filter(|id| *id != customer_id) {
                Some(manager) => request.header("login-customer-id", manager),
                None => request,
            }
        };
        let (answer, mut exchange) = self.api.call(allowance, Limit::of(rows.len()), request).await?;
        let answered = match answer {
            Ok(answer) => {
                let conversions: Vec<_> = rows.iter().map(|(conversion, _)| *conversion).collect();
                answers::read(&answer, &conversions, customer_id, &mut exchange, self.clock.now())
            }
            Err(outcome) => Answered::Failed(outcome),
        };
        Some((answered, exchange))
    }

    fn row(&self, conversion: &Conversion) -> Result<Value, Outcome> {
        let action = self.google.action(&conversion.conversion_type)?;
        let now = self.clock.now();
        let identifiers = usable(conversion, self.operation, self.google.click_hold, self.google.user_data, now)?;
        let action = format!("customers/{}/conversionActions/{action}", self.google.customer_id);
        Ok(match self.operation {
            Operation::Upload => rows::click_conversion(conversion, &identifiers, &action),
            Operation::Restatement => rows::restatement(conversion, &action),
            Operation::Retraction => rows::retraction(conversion, &action),
        })
    }
}

impl Lane for AdsApi {
    fn route(&self) -> Route {
        let platform = match self.operation {
            Operation::Upload => UPLOADS,
            Operation::Restatement => RESTATEMENTS,
            Operation::Retraction => RETRACTIONS,
        };
        Route { platform, operation: self.operation, transport: "google_ads" }
    }

    /// Google publishes none for a minute, and each project has its own for a day: it says when it has had enough.
    fn limits(&self) -> Option<Limits> {
        None
    }

    fn claim_size(&self, _due: usize) -> usize {
        LARGEST_REQUEST
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), Outcome>> {
        Box::pin(self.api.ready())
    }

    fn upload<'a>(&'a self, conversions: &'a [Conversion], allowance: &'a Allowance) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let rows: Vec<_> = conversions.iter().map(|it| self.row(it)).collect();
            let send = |rows| self.send(rows, allowance);
            deliver_ready(conversions, &rows, |it| it.facts.send_alone, |_| (), send).await
        })
    }

    /// This API has none to ask for. A receipt is one of the other API's, from before the transport was changed.
    fn verdict<'a>(
        &'a self,
        _request_id: &'a str,
        conversions: &'a [Facts],
        _allowance: &'a Allowance,
    ) -> BoxFuture<'a, Option<(Vec<Verdict>, Exchange)>> {
        let message = "It was accepted by the Data Manager API, which GOOGLE_ADS_TRANSPORT no longer selects.";
        let unknowable = Verdict::Unknowable(Reason::new("transport_changed", message));
        Box::pin(async move { Some((vec![unknowable; conversions.len()], Exchange::default())) })
    }
}
