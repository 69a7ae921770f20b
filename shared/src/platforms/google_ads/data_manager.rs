//! The Data Manager API v1: `events:ingest` and `requestStatus:retrieve`.

mod answers;
mod event;
pub(super) mod reasons;
mod verdicts;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::identifiers::{self, usable};
use super::{GoogleAds, Target, probe};
use crate::clock::Clock;
use crate::deals::Stage;
use crate::outgoing::Limit;
use crate::platforms::google::api::Api;
use crate::platforms::google::batch::{self, Answered, deliver_ready};
use crate::platforms::google::{DATA_MANAGER_LIMITS, MOST_EVENTS};
use crate::platforms::{
    Allowance, Check, Conversion, Delivery, Exchange, Facts, Lane, Limits, Operation, Outcome, Preview, Reason, Route,
    Verdict,
};

/// A request of one conversion gets a verdict on that conversion; one of many may get only counts. So up to this many
/// due conversions go one a request, until Google is seen to name those that it refuses.
const AFFORDABLE_SINGLY: usize = 1_000;

/// Google Ads through the Data Manager API. It takes uploads, and restatements as the same event with another value.
pub(super) struct DataManager {
    pub(super) google: Arc<GoogleAds>,
    pub(super) api: Api,
    pub(super) clock: Clock,
    pub(super) route: Route,
    /// Did the latest verdict that refused any say which? Shared by the lanes, for as long as the process lives.
    pub(super) names_refused: Arc<AtomicBool>,
}

impl DataManager {
    /// Sends these in one request. All are of one type and go to the same conversion action.
    async fn send(&self, rows: Vec<(&Conversion, &Value)>, allowance: &Allowance) -> Option<(Answered, Exchange)> {
        let (first, _) = rows.first()?;
        let target = self.google.target_of(first).ok()?;
        let (url, body) = request(&self.google, target, first, rows.iter().map(|(_, event)| *event));
        let conversions = rows.iter().map(|(conversion, _)| *conversion).collect();
        self.call(&url, &body, target, conversions, allowance).await
    }

    /// Sends a request about these conversions, all for this account.
    async fn call(
        &self,
        url: &str,
        body: &Value,
        target: Target<'_>,
        conversions: Vec<&Conversion>,
        allowance: &Allowance,
    ) -> Option<(Answered, Exchange)> {
        let request = || self.api.http.post(url).json(body);
        let (answer, mut exchange) = self.api.call(allowance, Limit::of(conversions.len()), request).await?;
        let answered = match answer {
            Ok(answer) => {
                let (account, now) = (target.customer_id, self.clock.now());
                let read = answers::of_ingest(&answer, &conversions, account, &mut exchange, now);
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

    /// What a verdict on what was told to another account than today's means today.
    fn verdict_elsewhere(&self, account: &str, verdict: Verdict) -> Verdict {
        match verdict {
            _ if account == self.google.customer_id => verdict,
            // The setting was wrong and has been corrected, or so it seems.
            Verdict::Refused(Outcome::OtherAccount(reason)) => {
                Verdict::Refused(Outcome::Later(self.clock.now(), reason))
            }
            Verdict::Refused(outcome) => Verdict::Refused(self.google.hold_elsewhere(account, outcome)),
            Verdict::Paused(reason) => Verdict::Unanswered(self.google.told_elsewhere(account, &reason)),
            verdict => verdict,
        }
    }

    fn names_refused(&self) -> bool {
        self.names_refused.load(Ordering::Relaxed)
    }
}

/// Where a request of these events goes, and its body.
fn request<'a>(
    google: &GoogleAds,
    target: Target<'_>,
    first: &Conversion,
    events: impl Iterator<Item = &'a Value>,
) -> (String, Value) {
    let url = format!("{}/v1/events:ingest", google.shared.data_manager_url);
    (url, event::request(target, &first.conversion_type, events))
}

fn event<'a>(
    google: &'a GoogleAds,
    operation: Operation,
    conversion: &'a Conversion,
    now: DateTime<Utc>,
) -> Result<(Target<'a>, Value), Outcome> {
    let target = google.target_of(conversion)?;
    let identifiers = usable(conversion, operation, google.click_hold, google.user_data, now)?;
    Ok((target, event::event(conversion, &identifiers)))
}

/// The request for this conversion alone.
pub(super) fn preview(
    google: &GoogleAds,
    conversion: &Conversion,
    operation: Operation,
    now: DateTime<Utc>,
) -> Result<Preview, Outcome> {
    let (target, event) = event(google, operation, conversion, now)?;
    let (url, body) = request(google, target, conversion, std::iter::once(&event));
    Ok(Preview { method: "POST", url, body: body.to_string() })
}

impl Lane for DataManager {
    fn route(&self) -> &Route {
        &self.route
    }

    fn limits(&self) -> Option<Limits> {
        Some(DATA_MANAGER_LIMITS)
    }

    fn names_reason(&self, code: &str) -> bool {
        identifiers::REASONS.contains(&code)
            || reasons::of_request(code).is_some()
            || reasons::of_processing(code).is_some()
    }

    fn claim_size(&self, due: usize) -> usize {
        if due > AFFORDABLE_SINGLY || self.names_refused() { MOST_EVENTS } else { batch::IN_FLIGHT }
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), Outcome>> {
        Box::pin(self.api.ready())
    }

    fn check<'a>(&'a self, stage: &'a Stage, allowance: &'a Allowance) -> BoxFuture<'a, Check> {
        Box::pin(async move {
            let now = self.clock.now();
            let conversion = probe::conversion(stage, now);
            let (target, event) = match event(&self.google, self.route.operation, &conversion, now) {
                Ok(ready) => ready,
                Err(outcome) => return outcome.into(),
            };
            let (url, body) = request(&self.google, target, &conversion, std::iter::once(&event));
            let body = probe::validating(body);
            let answered = self.call(&url, &body, target, vec![&conversion], allowance).await;
            answered.map_or(Outcome::Unsent, |(answered, _)| probe::outcome(answered)).into()
        })
    }

    fn upload<'a>(&'a self, conversions: &'a [Conversion], allowance: &'a Allowance) -> BoxFuture<'a, Delivery> {
        Box::pin(async move {
            let (now, operation) = (self.clock.now(), self.route.operation);
            let event = |it| event(&self.google, operation, it, now).map(|(_, event)| event);
            let events: Vec<_> = conversions.iter().map(event).collect();
            let singly = conversions.len() <= batch::IN_FLIGHT && !self.names_refused();
            let alone = |it: &Conversion| singly || it.facts.send_alone;
            let send = |rows| self.send(rows, allowance);
            let group = |it: &Conversion| {
                let target = self.google.target_of(it).ok();
                let manager = target.and_then(|target| target.manager).map(str::to_owned);
                (it.conversion_type.clone(), target.map(Target::resource), manager)
            };
            deliver_ready(conversions, &events, alone, group, send).await
        })
    }

    fn verdict<'a>(
        &'a self,
        request_id: &'a str,
        sent_to: Option<&'a str>,
        conversions: &'a [Facts],
        allowance: &'a Allowance,
    ) -> BoxFuture<'a, Option<(Vec<Verdict>, Exchange)>> {
        Box::pin(async move {
            let url = format!("{}/v1/requestStatus:retrieve", self.google.shared.data_manager_url);
            let request = || self.api.http.get(&url).query(&[("requestId", request_id)]);
            let (answer, exchange) = self.api.call(allowance, Limit::ONE, request).await?;
            let told = sent_to.and_then(Target::parse);
            let account = told.map_or(self.google.customer_id.as_str(), |target| target.customer_id);
            let verdicts = match answer {
                Ok(answer) => {
                    let mut verdicts = verdicts::of_status(&answer, conversions, account, self.clock.now());
                    if answer.status != 401 {
                        let elsewhere = |it| self.verdict_elsewhere(account, it);
                        verdicts.each = verdicts.each.into_iter().map(elsewhere).collect();
                    }
                    if let Some(names) = verdicts.names_refused {
                        self.names_refused.store(names, Ordering::Relaxed);
                    }
                    verdicts.each
                }
                Err(failed) => {
                    let reason = failed.reason().cloned().unwrap_or_else(|| Reason::new("failed", ""));
                    let paused = matches!(failed, Outcome::Paused(_));
                    vec![if paused { Verdict::Paused(reason) } else { Verdict::Unanswered(reason) }; conversions.len()]
                }
            };
            Some((verdicts, exchange))
        })
    }
}
