//! Does the API answer, with the settings that are here?

use chrono::DateTime;
use secrecy::ExposeSecret;
use serde::Deserialize;
use shared::clock::Clock;
use shared::platforms::Destinations;
use shared::settings::{Values, value};

use super::call::{Answer, send};
use super::clock;
use super::report::{Report, sentence};

const REACHABLE: &str = "api";
const HEALTH: &str = "api.health";
const STATUS: &str = "api.status";
const LANES: &str = "api.lanes";
const GATEWAY: &str = "api.tag_gateway";

/// What health says, as far as it is needed.
#[derive(Deserialize)]
struct Health {
    status: String,
    platforms: Vec<Lane>,
}

#[derive(Deserialize)]
struct Lane {
    platform: String,
    state: String,
}

/// Asks health. False if nothing answers at this address.
pub(super) async fn check(
    http: &reqwest::Client,
    base: &str,
    values: &Values,
    destinations: &Destinations,
    report: &mut Report,
) -> bool {
    let request = http.get(format!("{base}{}", tracking_health::ENDPOINT.path));
    let key = value(values, "HEALTH_KEY");
    let request = match &key {
        Some(key) => request.bearer_auth(key.expose_secret()),
        None => request,
    };
    let answer = match send(request).await {
        Ok(answer) => answer,
        Err((problem, fix)) => {
            report.error(REACHABLE, format!("{base} can't be reached. {problem}"), fix);
            return false;
        }
    };
    report.right(REACHABLE, format!("{base} answers"));
    let now = Clock::system().now();
    if let Ok(date) = DateTime::parse_from_rfc2822(answer.header("date")) {
        clock::compare("clock.api", "the API", now, date.to_utc(), report);
    }
    if key.is_none() {
        report.not_checked(HEALTH, "HEALTH_KEY is missing");
    } else if let Some(health) = health(&answer, report) {
        report.right(HEALTH, "answers to HEALTH_KEY");
        check_status(&health, report);
        check_lanes(&health, destinations, report);
    }
    check_gateway(http, base, report).await;
    true
}

fn health(answer: &Answer, report: &mut Report) -> Option<Health> {
    let (problem, fix) = match answer.status {
        200 => match serde_json::from_slice(&answer.body) {
            Ok(health) => return Some(health),
            Err(_) => (
                "What answers there isn't Adtrail's health endpoint.".to_owned(),
                "Give the stack's output BaseUrl: a site that passes calls on passes on only those of its pages.",
            ),
        },
        401 => (
            "The deployed function has another HEALTH_KEY than the settings here.".to_owned(),
            "If the secret was changed just now, wait five minutes, in which the functions read it anew; else give the \
             settings of this deployment, with --stack or ADTRAIL_SECRET_ID.",
        ),
        status @ 403..=405 => (
            format!("There is no health endpoint at this address (status {status})."),
            "Give the stack's output BaseUrl, without a path: a site that passes calls on passes on only those of its \
             pages.",
        ),
        429 => {
            ("The API answers that there are too many requests.".to_owned(), "Run adtrail doctor again in a minute.")
        }
        503 => (
            "The deployed function can't use its database (status 503).".to_owned(),
            "The function's log says why; docs/settings.md says what to do.",
        ),
        status @ 500.. => (
            format!("The deployed function doesn't start or fails (status {status})."),
            "The function's log names each setting that is missing or wrong.",
        ),
        status => (format!("Health answers with status {status}."), "Give the stack's output BaseUrl."),
    };
    report.error(HEALTH, problem, fix);
    None
}

fn check_status(health: &Health, report: &mut Report) {
    if health.status == "healthy" {
        report.right(STATUS, "healthy");
    } else {
        let problem = format!("Health says that deliveries are {}.", health.status);
        report.warn(STATUS, problem, "Its platforms and queue.reasons say why; docs/google-ads.md says what to do.");
    }
}

/// The destinations that are declared here, in the deployed function. It may have all of them, or none.
fn check_lanes(health: &Health, destinations: &Destinations, report: &mut Report) {
    const FIX: &str = "Deploy these settings, or run adtrail doctor with those that are deployed.";
    let is_there = |lane: &String| health.platforms.iter().any(|it| it.platform == *lane && it.state != "undeclared");
    let (known, unknown): (Vec<_>, Vec<_>) = destinations.lanes().into_iter().partition(is_there);
    let undeclared = health.platforms.iter().filter(|it| it.state == "undeclared");
    let undeclared: Vec<_> = undeclared.map(|it| it.platform.clone()).filter(|lane| unknown.contains(lane)).collect();
    if !undeclared.is_empty() || (!known.is_empty() && !unknown.is_empty()) {
        let problem =
            format!("The deployed functions don't have the lanes {}, which are declared here", unknown.join(", "));
        report.error(LANES, sentence(&problem), FIX);
    } else if known.is_empty() && !unknown.is_empty() {
        report.not_checked(LANES, "the deployed health function has no destinations");
    } else {
        report.right(LANES, "those that are declared here");
    }
}

/// Google's tag gateway answers `ok` at `/healthy` below its own path, and drops every cookie that isn't Google's.
async fn check_gateway(http: &reqwest::Client, base: &str, report: &mut Report) {
    for path in ["/api", "/api/track", "/t"] {
        let answer = send(http.get(format!("{base}{path}/healthy"))).await;
        let is_gateway = answer.is_ok_and(|it| it.status == 200 && it.body.trim_ascii().eq_ignore_ascii_case(b"ok"));
        if is_gateway {
            let problem = format!("Google's tag gateway serves {path} of this address, and drops Adtrail's cookies.");
            return report.error(GATEWAY, problem, "Give the tag gateway a path of its own in the CDN's settings.");
        }
    }
    report.right(GATEWAY, "Google's tag gateway isn't on our path");
}
