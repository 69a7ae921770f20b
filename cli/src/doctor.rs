//! `adtrail doctor`: runs every check it can, each by itself and with an end, and says what to do. It writes nothing.

mod api;
mod call;
mod clock;
mod cookies;
mod cors;
mod database;
mod destinations;
mod names;
mod report;
mod schedule;
mod settings;
mod site;
mod stack;
mod webhooks;

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::Value;
use shared::outgoing::{endpoint, http_client};
use shared::settings::{ConfigError, Values};
use tokio::time::timeout;
use url::Url;

use crate::answer::Answer;
use crate::arguments::Doctor;
use crate::stack::Stack;
use report::{Level, Report, sentence};
use settings::Deployment;

/// For all checks of one kind: a database or a site that hangs stops no others.
const FAMILY: Duration = Duration::from_secs(90);

/// With the settings of the stack of this name, or with `values` alone.
pub(crate) async fn doctor(values: Result<Values, ConfigError>, stack: Option<&str>, arguments: &Doctor) -> Answer {
    let mut report = Report::default();
    let stack = match stack {
        Some(name) => stack::read(name, &mut report).await,
        None => None,
    };
    let values = all_values(values, stack.as_ref(), &mut report).await;
    let deployment = settings::check(&values, &mut report);
    let base = base_url(arguments, stack.as_ref(), &mut report);
    let site = site_url(arguments, &mut report);
    let minutes = stack.as_ref().and_then(Stack::upload_every).unwrap_or(arguments.upload_every);
    let period = TimeDelta::minutes(minutes.into());
    let families = tokio::join!(
        within("database", of_database(&values, &deployment, period)),
        within("destinations", of_destinations(&deployment)),
        within("api", of_api(&values, &deployment, base.as_ref())),
        within("site", of_site(&values, &deployment, site.as_ref(), base.as_ref())),
        within("alarms", of_alarms(stack.as_ref())),
    );
    for family in <[Report; 5]>::from(families) {
        report.append(family);
    }
    concluded(&report, report.document())
}

/// `adtrail doctor site`: a page, as a visitor's browser sees it.
pub(crate) async fn site(url: &str, tag: Option<&str>) -> Answer {
    let report = within("site", site::examine(url, tag)).await;
    concluded(&report, report.document())
}

/// `adtrail doctor cookie`: how long Safari keeps the visitor's cookie.
pub(crate) async fn cookie(site: &str, api: &str) -> Answer {
    let mut report = Report::default();
    let days = cookies::examine(site, api, &mut report).await;
    let mut document = report.document();
    document["days"] = days.into();
    concluded(&report, document)
}

fn concluded(report: &Report, document: Value) -> Answer {
    let (errors, warnings) = (report.count(Level::Error), report.count(Level::Warning));
    let sum = format!("{} and {}", counted(errors, "error"), counted(warnings, "warning"));
    let text = format!("{}\n{sum}.", report.text());
    Answer::new(document, &text).failing((errors > 0).then(|| format!("adtrail doctor found {sum}.")))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

async fn within(name: &str, checks: impl Future<Output = Report>) -> Report {
    timeout(FAMILY, checks).await.unwrap_or_else(|_| {
        let mut report = Report::default();
        let problem = format!("The checks of {name} took more than {} seconds.", FAMILY.as_secs());
        report.error(name, problem, "Look whether something on the way holds connections without an answer.");
        report
    })
}

/// The settings as a function of the stack has them, or those of the environment.
async fn all_values(own: Result<Values, ConfigError>, stack: Option<&Stack>, report: &mut Report) -> Values {
    let own = own.unwrap_or_else(|error| {
        report.error("secret", sentence(error.problems()), "Correct ADTRAIL_SECRET_ID, AWS_REGION or the credentials.");
        Values::new()
    });
    let Some(stack) = stack else { return own };
    let (values, problem) = stack.settings(own).await;
    if let Some(problem) = problem {
        let fix = "Allow secretsmanager:GetSecretValue on it to the credentials here, or correct SecretArn.";
        report.error("secret", sentence(&problem), fix);
    }
    stack::check_secret(stack, &values, report);
    values
}

/// Where the API is, without a slash at the end.
fn base_url(arguments: &Doctor, stack: Option<&Stack>, report: &mut Report) -> Option<Url> {
    let text = arguments.url.as_deref().or_else(|| stack.and_then(Stack::base_url))?;
    parsed("--url", text, report)
}

fn site_url(arguments: &Doctor, report: &mut Report) -> Option<Url> {
    parsed("--site", arguments.site.as_deref()?, report)
}

fn parsed(flag: &str, text: &str, report: &mut Report) -> Option<Url> {
    let url = endpoint(text).ok().and_then(|text| Url::parse(&text).ok()).filter(has_no_login);
    if url.is_none() {
        // It isn't repeated: it may hold a password.
        let problem = format!("{flag} isn't an address that begins with https://.");
        report.error("arguments", problem, format!("Give it as {flag} https://www.example.com."));
    }
    url
}

/// An address as people write it: https:// may be missing, and nothing else than the web is meant.
fn website(text: &str) -> Option<Url> {
    let text = text.trim();
    let text = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.filter(|url| url.has_host() && has_no_login(url))
}

fn has_no_login(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}

async fn of_database(values: &Values, deployment: &Deployment, period: TimeDelta) -> Report {
    let mut report = Report::default();
    if let Some(db) = database::check(values, &mut report).await {
        destinations::check_lanes(&deployment.uploader, &db, &mut report).await;
        schedule::check(&db, period, &mut report).await;
    } else {
        report.not_checked("schedule", "it stands in the database");
    }
    report
}

async fn of_destinations(deployment: &Deployment) -> Report {
    let mut report = Report::default();
    destinations::check(&deployment.uploader, &mut report).await;
    report
}

async fn of_api(values: &Values, deployment: &Deployment, base: Option<&Url>) -> Report {
    let mut report = Report::default();
    let Some(base) = base else {
        report.not_checked("api", "give --url or --stack");
        return report;
    };
    let base = base.as_str().trim_end_matches('/');
    let http = match http_client() {
        Ok(http) => http,
        Err(problem) => {
            report.not_checked("api", problem);
            return report;
        }
    };
    let Deployment { origins, uploader, leads } = deployment;
    if api::check(&http, base, values, &uploader.intake.destinations, &mut report).await {
        webhooks::check(&http, base, &uploader.intake.sources, &mut report).await;
        webhooks::check_leads(&http, base, leads, &mut report).await;
        cors::check(&http, base, origins, &mut report).await;
    }
    report
}

async fn of_site(values: &Values, deployment: &Deployment, site: Option<&Url>, base: Option<&Url>) -> Report {
    let mut report = Report::default();
    let http = http_client().ok();
    // Where the pages call: the site itself, if it passes their calls on.
    let passes_on = match (site, &http) {
        (Some(site), Some(http)) => cors::passes_on(http, site).await,
        _ => false,
    };
    let base = if passes_on { site } else { base };
    cookies::check_domain(values, site, base, &mut report);
    match (site, base) {
        (None, _) => report.not_checked("cookies", "give --site, the address of the website"),
        (Some(_), None) => report.not_checked("cookies", "give --url or --stack"),
        (Some(site), Some(base)) => cookies::check_durability(site, base, &mut report).await,
    }
    if let (Some(site), Some(http)) = (site, http) {
        let Deployment { origins, uploader, .. } = deployment;
        site::check(&http, site, origins, &uploader.intake.destinations, &mut report).await;
    }
    report
}

async fn of_alarms(stack: Option<&Stack>) -> Report {
    let mut report = Report::default();
    match stack {
        Some(stack) => stack::check_alarms(stack, &mut report).await,
        None => report.not_checked("alarms", "give --stack"),
    }
    report
}
