//! The website from outside: does a click arrive with its id, and does the page let the tag work?

mod arrival;
mod consent;
mod endpoints;
mod page;
mod policy;
mod tag;

use shared::attribution::networks;
use shared::http::cors::Origins;
use shared::outgoing::http_client;
use shared::platforms::Destinations;
use url::Url;

use super::report::{Report, sentence};
use super::{cookies, website};
use arrival::{Arrival, arrive, shown};
use page::Page;

const ARGUMENTS: &str = "arguments";
const ORIGIN: &str = "site.origin";
const PAGE: &str = "site.page";

/// For a deployment: the redirects, and whether the page at their end is one of those that may call.
pub(super) async fn check(
    http: &reqwest::Client,
    site: &Url,
    origins: &Origins,
    destinations: &Destinations,
    report: &mut Report,
) {
    // That of one network is enough: others look at all.
    let parameters: Vec<_> = destinations.click_ids().into_iter().take(1).collect();
    let Some(Arrival { url, answer }) = arrive(http, site, &parameters, report).await else { return };
    if report.has_found(arrival::REDIRECTS) {
        return;
    }
    if answer.status >= 400 {
        let problem = format!("{} answers with status {}.", shown(&url), answer.status);
        report.warn(arrival::REDIRECTS, problem, "Give the address of a page that ads lead to.");
    }
    let origin = url.origin().ascii_serialization();
    if origins.iter().any(|allowed| allowed == origin) {
        report.right(ORIGIN, format!("{origin} is one of ALLOWED_ORIGINS"));
    } else {
        let problem = format!("{origin} isn't one of ALLOWED_ORIGINS, so its pages can't call.");
        report.error(ORIGIN, problem, "Add it to AllowedOrigins and deploy.");
    }
}

/// `adtrail doctor site`: everything that can be seen of a page without a browser.
pub(super) async fn examine(url: &str, tag: Option<&str>) -> Report {
    let mut report = Report::default();
    let (site, given) = (website(url), tag.map(website));
    if site.is_none() || matches!(given, Some(None)) {
        // They aren't repeated: they may hold a password.
        let fix = "Give it as https://www.example.com/landing, and the tag as https://www.example.com/t.js.";
        report.error(ARGUMENTS, "This isn't the address of a page or of a tag.", fix);
        return report;
    }
    let Some(site) = site else { return report };
    let http = match http_client() {
        Ok(http) => http,
        Err(problem) => {
            report.not_checked("site", problem);
            return report;
        }
    };
    let arrived = arrive(&http, &site, &networks::ids_of(|_| true), &mut report).await;
    let Some(page) = arrived.and_then(|arrival| read(arrival, &mut report)) else { return report };
    if let Some(tag) = tag::check(&http, &page, given.flatten(), &mut report).await {
        policy::check(&page, &tag, &mut report);
        endpoints::check(&http, &page, &tag, &mut report).await;
        cookies::check_page(&page.url, &tag.url, &page.headers, &mut report).await;
    }
    consent::check(&page, &mut report);
    report
}

/// None, with a finding, if it is no page.
fn read(Arrival { url, answer }: Arrival, report: &mut Report) -> Option<Page> {
    let address = shown(&url);
    if !(200..300).contains(&answer.status) {
        let problem = format!("{address} answers with status {}.", answer.status);
        let fix = "Give the address of a page that ads lead to. If a browser shows it, something keeps programs out: let \
                   this one in, or look at the page in the browser's developer tools.";
        report.error(PAGE, problem, fix);
        return None;
    }
    if !matches!(answer.header("content-encoding"), "" | "identity") {
        report.not_checked(PAGE, "it is sent compressed, although nobody asked for that");
        return None;
    }
    let kind = answer.header("content-type").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !matches!(kind.as_str(), "" | "text/html" | "application/xhtml+xml") {
        let problem = format!("{address} isn't a page of HTML, but {}.", crate::visible::short(&kind));
        report.error(PAGE, problem, "Give the address of a page that ads lead to.");
        return None;
    }
    let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.scheme() == "http" && !is_loopback {
        let problem = format!("{address} comes without TLS, so browsers don't keep the visitor's cookie.");
        report.error(PAGE, problem, "Let http redirect to https, with the query.");
    }
    if answer.body.len() >= arrival::MOST {
        let problem = format!("The page has more than {} MB; what comes later wasn't looked at.", arrival::MOST >> 20);
        report.warn(PAGE, problem, "Put the tag into the page's head, and make the page smaller.");
    }
    let page = Page::read(url, answer.headers, &answer.body);
    if let Some(target) = &page.refresh {
        let problem = format!("{address} leads on to {} by a meta refresh, which drops the query", shown(target));
        report.error(PAGE, sentence(&problem), "Use a redirect that keeps the query, or let ads lead to its target.");
    }
    report.right_unless_found(PAGE, format!("{} bytes of HTML", answer.body.len()));
    Some(page)
}
