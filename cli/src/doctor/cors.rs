//! May the website's pages call, and no others?

use std::collections::BTreeMap;

use shared::http::Endpoint;
use shared::http::cors::Origins;
use url::Url;

use super::call::{Answer, send};
use super::report::{Report, sentence};
use super::settings::FOR_BROWSERS;

/// Nobody has it: `.invalid` is reserved.
const FOREIGN: &str = "https://adtrail-doctor.invalid";
const FOREIGN_CHECK: &str = "cors.foreign";

/// Sends the preflights that browsers would.
pub(super) async fn check(http: &reqwest::Client, base: &str, origins: &Origins, report: &mut Report) {
    for origin in origins.iter() {
        let name = format!("cors.{origin}");
        let mut refused: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
        for path in FOR_BROWSERS.into_iter().flat_map(Endpoint::paths) {
            let refusal = match preflight(http, base, path, origin).await {
                Ok(answer) => refusal(&answer, origin).map(|problem| (problem, fix(&answer).to_owned())),
                Err(unanswered) => Some(unanswered),
            };
            if let Some(refusal) = refusal {
                refused.entry(refusal).or_default().push(path);
            }
        }
        for ((problem, fix), paths) in refused {
            report.error(&*name, sentence(&format!("{origin} can't call {}: {problem}", paths.join(", "))), fix);
        }
        report.right_unless_found(&name, "its pages may call");
    }
    match preflight(http, base, FOR_BROWSERS[0].path, FOREIGN).await {
        Ok(answer) if is_allowed(&answer, FOREIGN) || answer.header("access-control-allow-origin") == "*" => {
            let problem = "Pages of any website may call and read the answers.";
            let fix = "Remove CORS settings of API Gateway or a CDN in front of it: the functions know the origins.";
            report.error(FOREIGN_CHECK, problem, fix);
        }
        Ok(_) => report.right(FOREIGN_CHECK, "pages of other websites are refused"),
        Err((problem, fix)) => report.error(FOREIGN_CHECK, problem, fix),
    }
}

/// Does the website's own host pass its pages' calls on to the functions?
pub(super) async fn passes_on(http: &reqwest::Client, site: &Url) -> bool {
    let origin = site.origin().ascii_serialization();
    let answer = preflight(http, &origin, FOR_BROWSERS[0].path, &origin).await;
    // What the functions say of every answer: a site may have CORS of its own.
    answer.is_ok_and(|it| refusal(&it, &origin).is_none() && it.header("x-content-type-options") == "nosniff")
}

async fn preflight(http: &reqwest::Client, base: &str, path: &str, origin: &str) -> Result<Answer, (String, String)> {
    let request = http.request(reqwest::Method::OPTIONS, format!("{base}{path}"));
    let request = request.header("origin", origin).header("access-control-request-method", "POST");
    send(request.header("access-control-request-headers", "content-type")).await
}

fn is_allowed(answer: &Answer, origin: &str) -> bool {
    answer.header("access-control-allow-origin") == origin
}

/// Why a browser would not go on.
fn refusal(answer: &Answer, origin: &str) -> Option<String> {
    let list = |name: &str, value: &str| {
        answer.header(name).split(',').any(|it| it.trim().eq_ignore_ascii_case(value) || it.trim() == "*")
    };
    if !(200..300).contains(&answer.status) {
        Some(format!("the preflight is answered with status {}", answer.status))
    } else if !is_allowed(answer, origin) {
        Some("the preflight doesn't allow the origin".into())
    } else if answer.header("access-control-allow-credentials") != "true" {
        Some("the preflight doesn't allow cookies".into())
    } else if !list("access-control-allow-methods", "POST") {
        Some("the preflight doesn't allow POST".into())
    } else if !list("access-control-allow-headers", "content-type") {
        Some("the preflight doesn't allow the header Content-Type".into())
    } else {
        None
    }
}

fn fix(answer: &Answer) -> &'static str {
    match answer.status {
        403 => "Add the origin to AllowedOrigins and deploy; the settings here have it, the deployed functions don't.",
        429 => "Run adtrail doctor again in a minute.",
        200..300 => "Remove CORS settings of API Gateway or a CDN in front of it: the functions answer preflights.",
        _ => "Let API Gateway, and whatever is in front of it, pass OPTIONS on to the functions.",
    }
}
