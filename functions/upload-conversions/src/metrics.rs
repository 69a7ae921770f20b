//! What CloudWatch gets to know of a run, for pictures and alarms. What each number means, and over which time, is in
//! `docs/operations.md`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use shared::App;
use shared::db::DbError;
use shared::inbox::gauges::{InboxGauges, Unused, UnusedCount};
use shared::metrics::{Metric, Unit, line};
use shared::platforms::{Operation, Route};
use shared::queue::gauges::{DeadLetters, Delivered, LaneGauges};
use shared::visitors::gauges::WebsiteGauges;
use shared::{inbox, queue, visitors};

use crate::{Config, Summary};

/// What has a name of its own in metrics is limited, because CloudWatch charges for each. The rest has this one.
const OTHER: &str = "other";
const SOURCES: usize = 20;

/// The lines of a run: one for the run itself, if it came to its end, with what the database says now; and one for each
/// lane, reason of dead letters, and source with webhooks that weren't used. If the database can't be read, the run's
/// line says so in `Uncounted`.
pub async fn of_run(app: &App<Config>, summary: Option<&Summary>) -> Vec<Value> {
    let now = app.clock.now();
    let counts = Counts::read(app, now).await;
    if let Err(error) = &counts {
        tracing::warn!(%error, "the metrics of the run have no counts, because the database can't be read");
    }
    let function = ("Function", app.config.function.as_str());
    let mut run = summary.map(of_summary).unwrap_or_default();
    run.push(("Uncounted", Unit::Count, counts.is_err().into()));
    let Ok(counts) = counts else { return vec![line(&[function], &run, now)] };
    run.extend(counts.of_all(now));
    let mut first = line(&[function], &run, now);
    // Not metrics, but whoever looks for the cause of an alarm finds them here.
    first["SilentSourceNames"] = counts.inbox.silent.clone().into();
    first["RefusedSourceNames"] = counts.inbox.refused.clone().into();
    let mut lines = vec![first];
    let of_lanes = counts.of_lanes(app, now);
    lines.extend(of_lanes.iter().map(|(lane, metrics)| line(&[function, ("Lane", lane)], metrics, now)));
    for (reason, rows) in counts.dead_letters_by_reason(app) {
        lines.push(line(&[function, ("Reason", reason)], &[("DeadLettersLastDay", Unit::Count, rows)], now));
    }
    for ((source, reason), metrics) in counts.of_webhooks(app) {
        lines.push(line(&[function, ("Source", source), ("Reason", reason)], &metrics, now));
    }
    lines
}

fn of_summary(summary: &Summary) -> Vec<Metric> {
    [
        ("Runs", 1),
        ("Matched", summary.matched),
        ("Accepted", summary.accepted),
        ("Rejected", summary.rejected),
        ("Postponed", summary.postponed),
        ("LeaseLost", summary.lease_lost),
        ("Expired", summary.expired),
        ("PausedLanes", summary.paused.len() as u64),
    ]
    .map(|(name, count)| (name, Unit::Count, i64::try_from(count).unwrap_or(i64::MAX)))
    .into()
}

/// What the database says after the run.
struct Counts {
    lanes: Vec<LaneGauges>,
    dead_letters: Vec<DeadLetters>,
    delivered: Delivered,
    inbox: InboxGauges,
    unused: Vec<UnusedCount>,
    website: WebsiteGauges,
}

impl Counts {
    async fn read(app: &App<Config>, now: DateTime<Utc>) -> Result<Self, DbError> {
        let Config { intake, policy, .. } = &app.config;
        let routes: Vec<_> = routes(app).collect();
        let transports = queue::gauges::transports(&routes);
        let sources: Vec<_> = intake.sources.iter().map(|source| source.name.clone()).collect();
        app.db
            .tx(async |tx| {
                Ok(Self {
                    lanes: queue::gauges::lanes(tx, policy, &intake.destinations, &transports, now).await?,
                    dead_letters: queue::gauges::dead_letters(tx, policy, &intake.destinations, now).await?,
                    delivered: queue::gauges::delivered(tx, &routes, now).await?,
                    inbox: inbox::gauges::read(tx, &sources, now).await?,
                    unused: inbox::gauges::unused(tx, now).await?,
                    website: visitors::gauges::read(tx, now).await?,
                })
            })
            .await
    }

    fn of_all(&self, now: DateTime<Utc>) -> Vec<Metric> {
        let idle = self.lanes.iter().filter_map(|lane| lane.idle_since).min();
        let rejected = self.unused.iter().filter(|it| it.unused == Unused::Rejected).map(|it| it.count).sum();
        let count = |name, count| (name, Unit::Count, count);
        vec![
            ("NothingAcceptedFor", Unit::Seconds, seconds(idle, now)),
            count("DeadLettersLastDay", self.dead_letters.iter().map(|it| it.rows).sum()),
            count("AwaitingLead", self.inbox.awaiting_lead),
            count("SilentSources", number(&self.inbox.silent)),
            count("RefusedSources", number(&self.inbox.refused)),
            count("EventsRejectedLastDay", rejected),
            count("VisitorsLastDay", self.website.visitors),
            count("VisitorsWithClickLastDay", self.website.with_click),
            count("VisitorsWithGpcLastDay", self.website.with_gpc),
            count("LeadsLastDay", self.website.leads),
            count("DealsLastDay", self.inbox.deals),
            count("AcceptedLastDay", self.delivered.accepted),
            count("ConfirmedLastDay", self.delivered.confirmed),
        ]
    }

    /// Lanes of uploads always, and others while there is something to say.
    fn of_lanes(&self, app: &App<Config>, now: DateTime<Utc>) -> BTreeMap<String, Vec<Metric>> {
        let uploads = routes(app).filter(|route| route.operation == Operation::Upload).map(|route| route.lane.as_str());
        let known = self.lanes.iter().map(|lane| lane.lane.as_str());
        let names: BTreeSet<_> =
            uploads.clone().chain(known).chain(self.dead_letters.iter().map(|it| it.lane.as_str())).collect();
        let uploads: BTreeSet<_> = uploads.collect();
        let mut lines = BTreeMap::new();
        for name in names {
            let lane = self.lanes.iter().find(|lane| lane.lane == name);
            let dead = self.dead_letters.iter().filter(|it| it.lane == name).map(|it| it.rows).sum();
            let count = |of: fn(&LaneGauges) -> i64| lane.map_or(0, of);
            let metrics = vec![
                ("Open", Unit::Count, count(|it| it.open)),
                ("Held", Unit::Count, count(|it| it.held)),
                ("Retrying", Unit::Count, count(|it| it.retrying)),
                ("Unconfirmed", Unit::Count, count(|it| it.unconfirmed)),
                ("DeadLettersLastDay", Unit::Count, dead),
                ("OldestDue", Unit::Seconds, seconds(lane.and_then(|it| it.due_since), now)),
                ("Paused", Unit::Count, count(|it| it.is_paused.into())),
            ];
            if uploads.contains(name) || metrics.iter().any(|(.., value)| *value > 0) {
                lines.insert(name.to_owned(), metrics);
            }
        }
        lines
    }

    fn dead_letters_by_reason(&self, app: &App<Config>) -> BTreeMap<&str, i64> {
        let is_known = |code: &str| code == "expired" || app.config.lanes.iter().any(|lane| lane.names_reason(code));
        let mut reasons = BTreeMap::new();
        for it in &self.dead_letters {
            *reasons.entry(if is_known(&it.code) { it.code.as_str() } else { OTHER }).or_default() += it.rows;
        }
        reasons
    }

    /// By source and reason. The reasons are ours; the sources are the declared ones.
    fn of_webhooks(&self, app: &App<Config>) -> BTreeMap<(&str, &str), Vec<Metric>> {
        let declared: BTreeSet<_> =
            app.config.intake.sources.iter().map(|source| source.name.as_str()).take(SOURCES).collect();
        let mut counts: BTreeMap<_, BTreeMap<&'static str, i64>> = BTreeMap::new();
        for it in &self.unused {
            let source = if declared.contains(it.source.as_str()) { it.source.as_str() } else { OTHER };
            let metric = match it.unused {
                Unused::Refused => "WebhooksRefusedLastDay",
                Unused::Ignored => "EventsIgnoredLastDay",
                Unused::Rejected => "EventsRejectedLastDay",
            };
            *counts.entry((source, it.reason.as_str())).or_default().entry(metric).or_default() += it.count;
        }
        let metrics = |counts: BTreeMap<&'static str, i64>| {
            counts.into_iter().map(|(name, count)| (name, Unit::Count, count)).collect()
        };
        counts.into_iter().map(|(key, counts)| (key, metrics(counts))).collect()
    }
}

fn routes(app: &App<Config>) -> impl Iterator<Item = &Route> + Clone {
    app.config.lanes.iter().map(|lane| lane.route())
}

/// How long ago; 0 if never.
fn seconds(since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> i64 {
    since.map_or(0, |since| (now - since).num_seconds())
}

fn number(names: &[String]) -> i64 {
    i64::try_from(names.len()).unwrap_or(i64::MAX)
}
