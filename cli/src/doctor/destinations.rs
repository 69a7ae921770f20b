//! Would every destination take conversions?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::StreamExt;
use futures_util::stream;
use shared::clock::Clock;
use shared::db::Db;
use shared::deals::Stage;
use shared::platforms::{Allowance, Check, Destination, Lane, Reason, UNDECLARED, no_destination};
use shared::queue;

use super::report::{Report, capitalised, sentence};

/// For one request.
const LIMIT: Duration = Duration::from_secs(20);
/// Requests at once, as many as Google recommends.
const IN_FLIGHT: usize = 10;

/// What a platform said, and of which stages.
type Said = BTreeMap<(String, Answer), BTreeSet<String>>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Answer {
    is_refusal: bool,
    code: String,
    message: String,
}

impl Answer {
    fn new(is_refusal: bool, Reason { code, message }: Reason) -> Self {
        Self { is_refusal, code, message }
    }
}

/// Asks each lane about each stage that its destination takes. Nothing is recorded there.
pub(super) async fn check(config: &upload_conversions::Config, report: &mut Report) {
    let destinations = &config.intake.destinations;
    if destinations.is_empty() {
        let said = no_destination();
        let (problem, fix) = said.split_once(": ").unwrap_or((&said, "declare one in DESTINATIONS"));
        return report.warn("destinations", sentence(problem), sentence(&capitalised(fix)));
    }
    let clock = Clock::system();
    let asked = config.lanes.iter().flat_map(|lane| {
        let destination = destinations.get(&lane.route().destination);
        let stages = destination.into_iter().flat_map(|it| it.targets(&destinations.stages));
        stages.map(move |(stage, _)| (lane.as_ref(), stage))
    });
    let asked: Vec<_> = asked.map(|(lane, stage)| ask(lane, stage, &clock)).collect();
    let answers: Vec<_> = stream::iter(asked).buffer_unordered(IN_FLIGHT).collect().await;
    let (mut said, mut not_offered) = (Said::new(), BTreeSet::new());
    for (destination, stage, check) in answers {
        let answer = match check {
            Check::Passed => continue,
            Check::NotOffered => {
                not_offered.insert(destination.to_owned());
                continue;
            }
            Check::Refused(reason) => Answer::new(true, reason),
            Check::Unanswered(reason) => Answer::new(false, reason),
        };
        said.entry((destination.to_owned(), answer)).or_default().insert(stage.as_str().to_owned());
    }
    for destination in destinations.iter() {
        let targets = destination.targets(&destinations.stages).count();
        tell(destination, targets, &said, not_offered.contains(&destination.name), report);
        ends_soon(destination, &clock, report);
    }
}

/// Asks one lane about one stage.
async fn ask<'a>(lane: &'a dyn Lane, stage: &'a Stage, clock: &Clock) -> (&'a str, &'a Stage, Check) {
    let end = clock.now() + TimeDelta::from_std(LIMIT).unwrap_or_default();
    let allowance = Allowance::new(clock.clone(), end, None, (0, 0));
    let checked = tokio::time::timeout(LIMIT, lane.check(stage, &allowance)).await;
    let no_answer = |_| Check::Unanswered(Reason::new("timeout", "The platform didn't answer in time."));
    (&lane.route().destination, stage, checked.unwrap_or_else(no_answer))
}

fn name_of(destination: &Destination) -> String {
    format!("destination.{}", destination.name)
}

fn tell(destination: &Destination, targets: usize, said: &Said, not_offered: bool, report: &mut Report) {
    let name = name_of(destination);
    if targets == 0 {
        let problem = format!("{} takes conversions of no stage, so nothing is sent to it.", destination.name);
        report.warn(name, problem, "Set the conversion action of a stage, as docs/google-ads.md says.");
        return;
    }
    for ((_, Answer { is_refusal, code, message }), stages) in
        said.iter().filter(|((it, _), _)| *it == destination.name)
    {
        let stages = stages.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        if *is_refusal {
            let problem = format!("{} refuses conversions of {stages} ({code}).", destination.name);
            report.error(&*name, problem, sentence(message));
        } else {
            let problem = format!("{} didn't say whether it takes conversions of {stages} ({code}).", destination.name);
            report.warn(&*name, problem, sentence(message));
        }
    }
    let seen =
        if not_offered { "the credentials are there; the platform has no trial request" } else { "takes conversions" };
    report.right_unless_found(&name, seen);
}

fn ends_soon(destination: &Destination, clock: &Clock, report: &mut Report) {
    const NAME: &str = "versions";
    match destination.platform.ends_soon(clock.now()) {
        Some(Reason { message, .. }) if !report.has_found(NAME) => {
            let (problem, fix) = message.split_once(". ").unwrap_or((&message, "Update Adtrail."));
            report.warn(NAME, sentence(problem), fix);
        }
        _ => {}
    }
}

/// Lanes in which nothing is sent, as the database has them.
pub(super) async fn check_lanes(config: &upload_conversions::Config, db: &Db, report: &mut Report) {
    const NAME: &str = "lanes";
    let now = Clock::system().now();
    let lanes = match db.tx(async |tx| queue::lanes(tx, now).await).await {
        Ok(lanes) => lanes,
        Err(error) => return report.not_checked(NAME, sentence(&error.to_string())),
    };
    let declared = config.intake.destinations.lanes();
    for lane in lanes {
        if let Some(reason) = &lane.paused {
            let problem = format!("The lane {} is paused, and {} conversions wait: {reason}", lane.lane, lane.open);
            report.error(NAME, sentence(&problem), "Do what the reason says; the next runs try again by themselves.");
        }
        if lane.open > 0 && !declared.contains(&lane.lane) && !declared.is_empty() {
            let problem =
                format!("{} rows wait in the lane {}, whose destination isn't declared.", lane.open, lane.lane);
            report.error(NAME, problem, UNDECLARED);
        }
    }
    report.right_unless_found(NAME, "none is paused");
}
