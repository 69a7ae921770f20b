//! A platform that keeps in memory what it gets, for the suite only. As unlike Google Ads as a platform may be: other
//! clicks, another window, no hold, no corrections, no receipts, several accounts for one click.

mod declared;
mod lane;
mod sandbox;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::attribution::Click;
use shared::deals::Stage;
use shared::platforms::{
    Candidate, Connecting, Conversion, Entry, Lanes, Operation, Outcome, Plan, Platform, Preview, Reason, Route,
    SkipReason, Window,
};

use lane::Uploads;
pub use sandbox::sandbox;

const NETWORK: &str = "meta";
/// Its address.
const URL: &str = "RECORDER_URL";
/// What opens it.
const TOKEN: &str = "RECORDER_TOKEN";
/// How long after it happened a conversion counts.
const COUNTS: TimeDelta = TimeDelta::days(7);

pub const ENTRY: Entry = Entry {
    id: "recorder",
    network: NETWORK,
    click_has_one_account: false,
    declared: |table, stages, settings| Ok(Arc::new(declared::read(table, stages, settings)?)),
    corrections: &[],
    short_form: None,
};

/// An account that conversions go to.
#[derive(Clone, Debug)]
pub struct Recorder {
    account: String,
    stages: Vec<Stage>,
    url: String,
}

impl Platform for Recorder {
    fn target(&self, stage: &Stage) -> Option<String> {
        self.stages.contains(stage).then(|| target(&self.account, stage.as_str()))
    }

    fn plan(&self, candidate: &Candidate) -> Plan {
        let has_click = candidate.clicks.get(NETWORK).is_some_and(Click::is_one);
        if has_click || candidate.hashes.email {
            Plan::Send(Window { from: None, until: candidate.occurred_at.checked_add_signed(COUNTS) })
        } else {
            Plan::Skip(SkipReason::NoAttribution)
        }
    }

    fn described(&self) -> Vec<(&'static str, String)> {
        let counts = format!("{} days from the conversion", COUNTS.num_days());
        vec![("account", self.account.clone()), ("counts", counts), ("credentials", TOKEN.into())]
    }

    fn preview(&self, conversion: &Conversion, _: Operation, now: DateTime<Utc>) -> Result<Preview, Outcome> {
        let event = self.event(conversion, now)?;
        Ok(Preview { method: "POST", url: self.address(), body: self.body(std::iter::once(&event)) })
    }

    fn connect(&self, destination: &str, connecting: &mut Connecting<'_, '_>) -> Option<Lanes> {
        let Some(token) = connecting.settings.secret(TOKEN) else {
            connecting.settings.miss(TOKEN);
            return None;
        };
        let operation = Operation::Upload;
        let route = Route {
            destination: destination.into(),
            lane: operation.lane_of(destination),
            operation,
            transport: ENTRY.id,
            network: NETWORK,
            quota: TOKEN.into(),
        };
        let Connecting { http, clock, .. } = connecting;
        Some(vec![Box::new(Uploads { recorder: self.clone(), token, route, http: http.clone(), clock: clock.clone() })])
    }
}

impl Recorder {
    fn address(&self) -> String {
        format!("{}/conversions", self.url)
    }

    fn body<'a>(&self, events: impl Iterator<Item = &'a Value>) -> String {
        json!({"account": self.account, "events": events.collect::<Vec<_>>()}).to_string()
    }

    /// What is sent of a conversion; or why it isn't.
    fn event(&self, conversion: &Conversion, now: DateTime<Utc>) -> Result<Value, Outcome> {
        let stage = &conversion.conversion_type;
        if !self.stages.contains(stage) {
            let fix = format!("The recorder takes no {stage} deals: add {stage} to its stages in DESTINATIONS.");
            return Err(Outcome::Held(Reason::new("no_stage", fix)));
        }
        if now - conversion.occurred_at > COUNTS {
            let why = format!("The recorder takes a conversion for {} days; report deals sooner.", COUNTS.num_days());
            return Err(Outcome::Rejected(Reason::new("expired", why)));
        }
        Ok(json!({
            "id": conversion.transaction_id,
            "stage": stage,
            "at": conversion.occurred_at,
            "value": conversion.money.as_ref().map(|money| (money.value(), money.currency())),
            "fbclid": conversion.click(NETWORK).and_then(|click| click.get("fbclid")),
            "email": conversion.email_hash,
        }))
    }
}

/// Where conversions of a stage go. No other platform's target may be the same.
fn target(account: &str, stage: &str) -> String {
    format!("recorder/{account}/{stage}")
}
