//! Does a click arrive at the site with its id?

use url::Url;

use crate::doctor::call::{Answer, send_reading};
use crate::doctor::report::{Report, sentence};

pub(super) const REDIRECTS: &str = "site.redirects";
/// Browsers follow twenty; no click of an ad should need as many.
const MOST_REDIRECTS: usize = 10;
/// How much of a page is read. The tag belongs into its head.
pub(super) const MOST: usize = 4 * 1024 * 1024;
const UNREACHABLE: &str = "Open this address of the website in a browser. If it doesn't work there either, correct the website, its DNS or \
     its certificate, or the redirect that leads there; else give the address as the browser shows it.";
const CLICK_ID: &str = "EAIaIQobChMIadtraildoctor";
const BROWSER: &str = concat!("Mozilla/5.0 (compatible; adtrail/", env!("CARGO_PKG_VERSION"), ")");

/// The page at the end of the redirects.
pub(super) struct Arrival {
    /// With the click ids that were sent.
    pub url: Url,
    pub answer: Answer,
}

/// Follows the site's redirects with made-up click ids, as a browser does. None if there is no page at their end, which
/// is then found.
pub(super) async fn arrive(
    http: &reqwest::Client,
    site: &Url,
    parameters: &[String],
    report: &mut Report,
) -> Option<Arrival> {
    let mut url = site.clone();
    for parameter in parameters {
        url.query_pairs_mut().append_pair(parameter, CLICK_ID);
    }
    let mut kept: Vec<_> = parameters.iter().map(String::as_str).collect();
    for _ in 0..=MOST_REDIRECTS {
        let request = http.get(url.clone()).header("user-agent", BROWSER).header("accept", "text/html,*/*;q=0.8");
        let answer = match send_reading(request, MOST).await {
            Ok(answer) => answer,
            // The fix there is one of the API.
            Err((problem, _)) => {
                report.error(REDIRECTS, format!("{} can't be reached. {problem}", shown(&url)), UNREACHABLE);
                return None;
            }
        };
        if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            report.right_unless_found(REDIRECTS, arrived(&url, &kept));
            return Some(Arrival { url, answer });
        }
        let target = url.join(answer.header("location")).ok();
        let Some(mut target) = target.filter(|target| matches!(target.scheme(), "http" | "https")) else {
            let problem = format!("{} redirects to nothing that can be read", shown(&url));
            report.error(REDIRECTS, sentence(&problem), "Correct the redirect.");
            return None;
        };
        if target.fragment().is_none() {
            target.set_fragment(url.fragment());
        }
        let (still, lost): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|name| is_in(target.query(), name) || is_in(behind_hash(&target), name));
        check_lost(&url, &target, &lost, still.is_empty(), report);
        (kept, url) = (still, target);
    }
    let problem = format!("{} redirects more than {MOST_REDIRECTS} times", shown(site));
    let fix = "Correct the redirects: they may lead in a circle, or wait for a cookie.";
    report.error(REDIRECTS, sentence(&problem), fix);
    None
}

fn check_lost(from: &Url, to: &Url, lost: &[&str], is_all: bool, report: &mut Report) {
    if lost.is_empty() {
        return;
    }
    let what = if is_all { "the query, and with it every click id".to_owned() } else { lost.join(", ") };
    let problem = format!("The redirect from {} to {} drops {what}", shown(from), shown(to));
    let fix = "Let the redirect keep the query string as it is, or let ads lead to its target.";
    report.error(REDIRECTS, sentence(&problem), fix);
}

/// Where single-page applications with a router behind `#` have their query.
fn behind_hash(url: &Url) -> Option<&str> {
    url.fragment()?.split_once('?').map(|(_, query)| query)
}

fn is_in(query: Option<&str>, parameter: &str) -> bool {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.into_iter().any(|(name, value)| name == parameter && value == CLICK_ID)
}

fn arrived(url: &Url, kept: &[&str]) -> String {
    let is_behind_hash = kept.iter().any(|name| !is_in(url.query(), name));
    let hint = if is_behind_hash { ", behind #, where Adtrail's tag reads it and other tags may not" } else { "" };
    format!("a click id arrives at {}{hint}", shown(url))
}

/// Without the query, which may say more than is needed.
pub(super) fn shown(url: &Url) -> String {
    crate::visible::short(&format!("{}{}", url.origin().ascii_serialization(), url.path())).into_owned()
}
