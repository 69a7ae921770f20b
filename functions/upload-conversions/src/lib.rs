//! Runs on a schedule: matches waiting deals, sends due conversions to the ad platforms, and asks for the verdicts on
//! those sent earlier; then the same for the website's events that weren't sent after their response. Connects the
//! queue (SQL) with the platforms (HTTP); no transaction is open during a request to a platform.

mod events;
pub mod metrics;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use serde::Serialize;
use shared::clock::Clock;
use shared::db::DbError;
use shared::event_delivery::{EventDelivery, EventSummary};
use shared::platforms::{self, Allowance, Lane, Lanes, Limits, Outcome, Verdict};
use shared::queue::breaker::{self, Pause, State};
use shared::queue::receipts::{Receipt, Refused};
use shared::queue::{self, Policy, Work, receipts};
use shared::settings::{FromSettings, Settings};
use shared::{App, conversions, inbox, leads, rate_limits};
use shared::{event_queue, intake};
use uuid::Uuid;

pub const REQUIRES: &[&str] = &["CONSENT_UNKNOWN"];

/// What it reads from the settings.
pub struct Config {
    pub intake: intake::Config,
    pub policy: Policy,
    /// Those of all destinations.
    pub lanes: Lanes,
    /// Of the website's events.
    pub events: EventDelivery,
    /// What Lambda calls the function: an account may have several deployments.
    pub function: String,
}

impl Config {
    /// With destinations of these platforms.
    pub fn of(registry: &'static [platforms::Entry], settings: &mut Settings, clock: &Clock) -> Self {
        let (destinations, lanes) = platforms::connect(registry, settings, clock);
        let intake = intake::Config::with(destinations, settings);
        let function = settings.text("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| "upload-conversions".into());
        let events = EventDelivery::from_settings(settings, clock);
        Self { intake, policy: Policy::from_settings(settings, clock), lanes, events, function }
    }
}

impl FromSettings for Config {
    fn from_settings(settings: &mut Settings, clock: &Clock) -> Self {
        Self::of(platforms::REGISTRY, settings, clock)
    }
}

/// Number of verdicts asked for together.
const VERDICTS: usize = 10;
/// Nothing new is started during this time before the deadline, because the last requests may take as long. At most
/// half of the run.
const MARGIN: TimeDelta = TimeDelta::seconds(45);

/// What a run did: its return value and its log line.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Events whose lookup is complete.
    pub fetched: u64,
    /// Waiting deals whose persons an earlier version had read, and that were read again.
    pub reread: u64,
    /// Waiting deals that were matched.
    pub matched: u64,
    /// Conversions that were recorded before a destination accepted them, and are queued for it now.
    pub queued_late: u64,
    /// Waiting deals and events that expired after 90 days.
    pub expired: u64,
    pub claimed: u64,
    /// Accepted by a platform, now or before.
    pub accepted: u64,
    /// To be retried.
    pub postponed: u64,
    pub rejected: u64,
    /// Claimed, but the lease was lost before they were settled.
    pub lease_lost: u64,
    /// Verdicts asked for.
    pub verdicts: u64,
    /// Lanes that are paused.
    pub paused: Vec<String>,
    /// The website's events.
    pub events: EventSummary,
}

/// What is left of the limits of each API, by its name and whose requests are counted together.
type Allowances<'a> = BTreeMap<(&'a str, &'a str), Allowance>;

/// One run, done by `deadline`.
///
/// # Errors
/// The first error of the database. Everything else was done, and claimed rows are safe: their leases expire.
pub async fn handle(app: &App<Config>, deadline: DateTime<Utc>) -> Result<Summary, DbError> {
    let mut summary = Summary::default();
    let end = deadline - MARGIN.min((deadline - app.clock.now()) / 2);
    // Conversions can't wait for events, nor may they take the events' time.
    let events_end = end;
    let end = end - events::share(app, end);
    if app.config.intake.destinations.is_empty() {
        tracing::warn!("{}", platforms::no_destination());
    }
    // An error in the inbox must not prevent uploads, nor an error in one lane those of another.
    let mut done = work_inbox(app, end, &mut summary).await;
    let routes: Vec<_> = app.config.lanes.iter().map(|lane| lane.route()).collect();
    let now = app.clock.now();
    let looked = app.db.tx(async |tx| -> Result<_, DbError> {
        queue::close_moot(tx, &app.config.intake.destinations, now).await?;
        queue::work(tx, &app.config.policy, &routes, now).await
    });
    let mut work: BTreeMap<String, Work> = looked.await?.into_iter().map(|work| (work.lane.clone(), work)).collect();
    let paused = work.extract_if(.., |_, work| work.state == State::Paused).map(|(lane, _)| lane);
    summary.paused.extend(paused);
    work.retain(|_, work| work.due > 0 || work.has_receipts);
    let mut allowances = Allowances::new();
    let mut left = i32::try_from(work.len()).unwrap_or(i32::MAX);
    for lane in &app.config.lanes {
        let route = lane.route();
        let Some(work) = work.get(&route.lane) else { continue };
        // A long queue of one destination must not use up the time of the others.
        let now = app.clock.now();
        let lane_end = now + (end - now) / left.max(1);
        left -= 1;
        let worked = async {
            let quota = (route.transport, route.quota.as_str());
            let allowance = allowance(app, &mut allowances, quota, lane.limits(), events_end).await?;
            Run { app, lane: lane.as_ref(), allowance, end: lane_end }.work(work, &mut summary).await
        };
        let worked = worked.await;
        done = done.and(worked.inspect_err(|error| tracing::error!(lane = route.lane, %error, "a lane failed")));
    }
    // An error there never stops conversions.
    if let Err(error) = events::send(app, &mut allowances, events_end, &mut summary.events).await {
        tracing::error!(%error, "the events failed");
    }
    note_end(app).await;
    tracing::info!(summary = %serde_json::to_string(&summary).unwrap_or_default(), "run done");
    done.map(|()| summary)
}

/// That the schedule runs can then be seen in the database. Nothing depends on it, and the schema may be older.
async fn note_end(app: &App<Config>) {
    let now = app.clock.now();
    let Config { function, policy, .. } = &app.config;
    let noted = app.db.tx(async |tx| queue::runs::note(tx, function, policy.unknown_consent, now).await).await;
    if let Err(error) = noted {
        tracing::warn!(%error, "the end of the run wasn't noted");
    }
}

/// What lanes of this API and quota may still send in this run, those of conversions and of events together.
async fn allowance<'m, 'a>(
    app: &'a App<Config>,
    allowances: &'m mut Allowances<'a>,
    (transport, quota): (&'a str, &'a str),
    limits: Option<Limits>,
    end: DateTime<Utc>,
) -> Result<&'m Allowance, DbError> {
    let first = match allowances.entry((transport, quota)) {
        Entry::Occupied(known) => return Ok(known.into_mut()),
        Entry::Vacant(first) => first,
    };
    let routes = app.config.lanes.iter().map(|lane| lane.route()).filter(|it| it.quota == quota);
    let lanes: Vec<_> = routes.map(|it| it.lane.clone()).collect();
    let routes = app.config.events.lanes.iter().map(|lane| lane.route());
    let routes = routes.filter(|it| limits.is_some() && (it.transport, it.quota.as_str()) == (transport, quota));
    let events: Vec<_> = routes.map(|it| it.destination.clone()).collect();
    let now = app.clock.now();
    let (mut last_minute, mut last_day) =
        app.db.tx(async |tx| queue::requests(tx, transport, &lanes, now).await).await?;
    if !events.is_empty() {
        let (minute, day) = (now - TimeDelta::minutes(1), now - TimeDelta::days(1));
        last_minute += app.db.tx(async |tx| event_queue::requests(tx, &events, minute).await).await?;
        last_day += app.db.tx(async |tx| event_queue::requests(tx, &events, day).await).await?;
    }
    Ok(first.insert(Allowance::new(app.clock.clone(), end, limits, (last_minute, last_day))))
}

/// Processes the inbox: looks up what CRMs left out, matches waiting deals, and expires those that waited too long.
async fn work_inbox(app: &App<Config>, end: DateTime<Utc>, summary: &mut Summary) -> Result<(), DbError> {
    let now = app.clock.now();
    // A slow CRM must not use up the time for uploads.
    let fetched = intake::fetch_due(&app.db, &app.clock, &app.config.intake, now + (end - now) / 3).await;
    let Config { intake, policy, .. } = &app.config;
    let stated = conversions::consent::apply_statements(
        &app.db,
        &app.clock,
        &intake.destinations,
        policy.withdrawn_consent,
        end,
    )
    .await;
    let reread = intake::reread(&app.db, &app.clock, intake, now + (end - now) / 2).await;
    let matched = intake::rematch(&app.db, &app.clock, intake, end).await;
    let queued = conversions::enqueue_missing(&app.db, &app.clock, &intake.destinations, end).await;
    let expired = app.db.tx(async |tx| -> Result<_, DbError> {
        rate_limits::forget(tx, app.clock.now()).await?;
        leads::refusals::forget(tx, app.clock.now()).await?;
        inbox::expire(tx, app.clock.now()).await
    });
    let expired = expired.await;
    let fetched = fetched.map(|count| summary.fetched = count);
    let reread = reread.map(|count| summary.reread = count);
    let matched = matched.map(|count| summary.matched = count);
    let queued = queued.map(|backfill| summary.queued_late = backfill.total());
    let expired = expired.map(|count| summary.expired = count);
    let done = fetched.and(stated.map(drop)).and(reread).and(matched).and(queued).and(expired);
    done.inspect_err(|error| tracing::error!(%error, "the inbox failed"))
}

/// A run's work in one lane.
struct Run<'a> {
    app: &'a App<Config>,
    lane: &'a dyn Lane,
    allowance: &'a Allowance,
    /// Nothing is begun after it.
    end: DateTime<Utc>,
}

impl Run<'_> {
    async fn work(&self, work: &Work, summary: &mut Summary) -> Result<(), DbError> {
        let Self { app, lane, .. } = self;
        let id = &lane.route().lane;
        let mut state = work.state;
        // A verdict may end the pause, or prolong it.
        if state.is_until_confirmed() {
            self.confirm(summary).await?;
            state = app.db.tx(async |tx| breaker::state(tx, id, app.clock.now()).await).await?;
        }
        if matches!(state, State::Paused | State::PausedUntilConfirmed) {
            summary.note_pause(id);
            return Ok(());
        }
        let uploaded = if work.due > 0 { self.upload(state, work.due, summary).await } else { Ok(true) };
        if matches!(uploaded, Ok(false)) {
            return Ok(());
        }
        self.confirm(summary).await.and(uploaded.map(drop))
    }

    /// Sends what is due. False if the platform is paused.
    async fn upload(&self, state: State, due: usize, summary: &mut Summary) -> Result<bool, DbError> {
        let Self { app, lane, allowance, end } = self;
        let route = lane.route();
        let id = &route.lane;
        if let Err(outcome) = lane.ready().await {
            self.pause_for(&outcome, summary).await?;
            return Ok(false);
        }
        let mut probing = state != State::Active;
        while app.clock.now() < *end {
            let batch = if probing { 1 } else { lane.claim_size(due) };
            let claim =
                app.db.tx(async |tx| queue::claim(tx, &app.config.policy, route, batch, app.clock.now()).await).await?;
            if claim.conversions.is_empty() {
                break;
            }
            let mut delivery = lane.upload(&claim.conversions, allowance).await;
            delivery.hold_paused_if_any_accepted();
            let now = app.clock.now();
            let settled = app
                .db
                .tx(async |tx| {
                    queue::settle(
                        tx,
                        &app.config.policy,
                        &app.config.intake.destinations,
                        route,
                        &claim,
                        &delivery,
                        now,
                    )
                    .await
                })
                .await?;
            self.pass_on(&queue::declined(&claim, &delivery)).await?;
            let claimed = claim.conversions.len() as u64;
            summary.claimed += claimed;
            summary.lease_lost += claimed.saturating_sub(settled);
            summary.count(&delivery.outcomes);
            if let Some(outcome) = refusal(&delivery.outcomes) {
                self.pause_for(outcome, summary).await?;
                return Ok(false);
            }
            if probing && delivery.outcomes.iter().any(Outcome::is_accepted) {
                if state == State::ProbeUntilConfirmed {
                    // Its verdict comes later. Until then the other rows would be rejected as well.
                    let probe_after = app.config.policy.confirm_after + app.config.policy.probe_after;
                    app.db.tx(async |tx| breaker::postpone_probe(tx, id, now + probe_after).await).await?;
                    return Ok(true);
                }
                app.db.tx(async |tx| queue::wake(tx, id, now).await).await?;
                probing = false;
            }
            if delivery.outcomes.contains(&Outcome::Unsent) {
                break;
            }
        }
        Ok(true)
    }

    /// Asks for the verdicts on what was accepted earlier.
    async fn confirm(&self, summary: &mut Summary) -> Result<(), DbError> {
        let Self { app, lane, allowance, end } = self;
        let route = lane.route();
        // The first is asked for alone: if the credentials are no longer valid, one failed request is enough.
        let mut together = 1;
        while app.clock.now() < *end {
            let due = app.db.tx(async |tx| receipts::unconfirmed(tx, route, together, app.clock.now()).await).await?;
            together = VERDICTS;
            let questions = due.into_iter().map(|receipt| async {
                let Receipt { request_id, sent_to, conversions, .. } = &receipt;
                let (verdicts, exchange) = lane.verdict(request_id, sent_to.as_deref(), conversions, allowance).await?;
                Some((receipt, verdicts, exchange))
            });
            let answers: Vec<_> = join_all(questions).await.into_iter().flatten().collect();
            if answers.is_empty() {
                break;
            }
            let now = app.clock.now();
            app.db.tx(async |tx| receipts::conclude(tx, &app.config.policy, route, &answers, now).await).await?;
            self.pass_on(&receipts::declined(&answers)).await?;
            summary.verdicts += answers.len() as u64;
            if let Some(Refused { reason, late }) = receipts::refused(&answers) {
                let next_probe_at = now + app.config.policy.probe_after;
                self.pause(Pause { reason, next_probe_at, until_confirmed: late }, summary).await?;
                if !late {
                    break;
                }
            }
            let unanswered = |(_, verdicts, _): &(Receipt, Vec<Verdict>, _)| {
                verdicts.iter().any(|verdict| matches!(verdict, Verdict::Unanswered(_)))
            };
            if answers.iter().all(unanswered) {
                break;
            }
        }
        Ok(())
    }

    /// Lets another destination have those whose click belongs to another account.
    async fn pass_on(&self, declined: &[Uuid]) -> Result<(), DbError> {
        let Self { app, .. } = self;
        if declined.is_empty() {
            return Ok(());
        }
        let (destinations, now) = (&app.config.intake.destinations, app.clock.now());
        app.db.tx(async |tx| conversions::pass_on(tx, destinations, declined, now).await).await
    }

    /// Pauses the lane because of this outcome.
    async fn pause_for(&self, outcome: &Outcome, summary: &mut Summary) -> Result<(), DbError> {
        let timing = &self.app.config.policy;
        let (reason, probe_after) = match outcome {
            // It may be available again at any moment, unless it says how long to wait.
            Outcome::Unavailable(reason, wait) => (reason, wait.unwrap_or_default()),
            Outcome::Paused(reason) => (reason, timing.probe_after),
            _ => return Ok(()),
        };
        let next_probe_at = self.app.clock.now() + probe_after;
        self.pause(Pause { reason, next_probe_at, until_confirmed: false }, summary).await
    }

    async fn pause(&self, pause: Pause<'_>, summary: &mut Summary) -> Result<(), DbError> {
        let id = &self.lane.route().lane;
        let now = self.app.clock.now();
        self.app.db.tx(async |tx| breaker::pause(tx, id, pause, now).await).await?;
        summary.note_pause(id);
        Ok(())
    }
}

impl Summary {
    fn note_pause(&mut self, lane: &str) {
        if self.paused.iter().all(|paused| paused != lane) {
            self.paused.push(lane.to_owned());
        }
    }

    fn count(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match outcome {
                outcome if outcome.is_accepted() => self.accepted += 1,
                Outcome::Rejected(_) => self.rejected += 1,
                _ => self.postponed += 1,
            }
        }
    }
}

/// The outcome that pauses the platform, if there is one: it refuses every request, or is unavailable.
fn refusal(outcomes: &[Outcome]) -> Option<&Outcome> {
    let paused = outcomes.iter().find(|outcome| matches!(outcome, Outcome::Paused(_)));
    let mut failed = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Unavailable(..)));
    // Failed requests among as many successful ones are no outage. The longest wait counts.
    let went_through = outcomes.iter().filter(|it| it.is_accepted() || matches!(it, Outcome::Rejected(_))).count();
    let away = failed.clone().count() > went_through;
    let longest = failed.by_ref().max_by_key(|outcome| match outcome {
        Outcome::Unavailable(_, wait) => *wait,
        _ => None,
    });
    paused.or(longest.filter(|_| away))
}

#[cfg(test)]
mod tests;
