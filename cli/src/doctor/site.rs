//! Does a click arrive at the site with its id?

use shared::http::cors::Origins;
use shared::platforms::Destinations;
use url::Url;

use super::call::send;
use super::report::{Report, sentence};

const NAME: &str = "site.redirects";
const ORIGIN: &str = "site.origin";
/// Browsers follow twenty; no click of an ad should need as many.
const MOST_REDIRECTS: usize = 10;
const UNREACHABLE: &str = "Open this address of the website in a browser. If it doesn't work there either, correct the website, its DNS or \
     its certificate, or the redirect that leads there; else give --site as the browser shows it.";
const CLICK_ID: &str = "EAIaIQobChMIadtraildoctor";

/// Follows the site's redirects with a made-up click id, as a browser does.
pub(super) async fn check(
    http: &reqwest::Client,
    site: &Url,
    origins: &Origins,
    destinations: &Destinations,
    report: &mut Report,
) {
    // That of one network is enough: a redirect keeps the query or doesn't.
    let Some(parameter) = destinations.click_ids().into_iter().next() else { return };
    let mut url = site.clone();
    url.query_pairs_mut().append_pair(&parameter, CLICK_ID);
    for _ in 0..MOST_REDIRECTS {
        let answer = match send(http.get(url.clone())).await {
            Ok(answer) => answer,
            // The fix there is one of the API.
            Err((problem, _)) => {
                return report.error(NAME, format!("{} can't be reached. {problem}", shown(&url)), UNREACHABLE);
            }
        };
        let is_redirect = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
        let target = is_redirect.then(|| url.join(answer.header("location")).ok());
        let Some(target) = target else {
            if answer.status >= 400 {
                let problem = format!("{} answers with status {}.", shown(&url), answer.status);
                report.warn(NAME, problem, "Give the address of a page that ads lead to.");
            }
            report.right_unless_found(NAME, format!("a click id arrives at {}", shown(&url)));
            return check_origin(&url, origins, report);
        };
        let Some(target) = target.filter(|target| matches!(target.scheme(), "http" | "https")) else {
            let problem = format!("{} redirects to nothing that can be read", shown(&url));
            return report.error(NAME, sentence(&problem), "Correct the redirect.");
        };
        if !target.query_pairs().any(|(name, value)| name == parameter && value == CLICK_ID) {
            let problem = format!(
                "The redirect from {} to {} drops the query, and with it every click id",
                shown(&url),
                shown(&target)
            );
            return report.error(
                NAME,
                sentence(&problem),
                "Let the redirect keep the query string, or let ads lead to its target.",
            );
        }
        url = target;
    }
    let problem = format!("{} redirects more than {MOST_REDIRECTS} times", shown(site));
    report.error(NAME, sentence(&problem), "Correct the redirects: they may lead in a circle.");
}

/// The page at the end is one that may call.
fn check_origin(page: &Url, origins: &Origins, report: &mut Report) {
    let origin = page.origin().ascii_serialization();
    if origins.iter().any(|allowed| allowed == origin) {
        report.right(ORIGIN, format!("{origin} is one of ALLOWED_ORIGINS"));
    } else {
        let problem = format!("{origin} isn't one of ALLOWED_ORIGINS, so its pages can't call.");
        report.error(ORIGIN, problem, "Add it to AllowedOrigins and deploy.");
    }
}

/// Without the query, which may say more than is needed.
fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}
