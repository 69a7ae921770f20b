//! How long does the visitor's cookie last?

mod webkit;

use reqwest::header::HeaderMap;
use secrecy::ExposeSecret;
use shared::outgoing::http_client;
use shared::settings::{Values, value};
use url::Url;

use super::call::send_reading;
use super::report::{Report, sentence};
use super::{names, website};
use webkit::Durability;

const DURABILITY: &str = "cookies";
const DOMAIN: &str = "cookies.domain";

/// How long Safari keeps the cookie, in days.
const FULL: u16 = 400;
const CAPPED: u16 = 7;

/// Who serves a site's pages, by a header of its answers; with the name of the recipe in docs/website.md. Who stands in
/// front comes first.
const SERVED_BY: [(&str, &str, &str); 7] = [
    ("cf-ray", "", "Cloudflare"),
    ("x-vercel-id", "", "Vercel"),
    ("x-nf-request-id", "", "Netlify"),
    ("x-amz-cf-id", "", "CloudFront"),
    ("server", "cloudflare", "Cloudflare"),
    ("server", "netlify", "Netlify"),
    ("server", "nginx", "nginx"),
];

/// `adtrail doctor cookie`. None if that can't be said.
pub(super) async fn examine(site: &str, api: &str, report: &mut Report) -> Option<u16> {
    let (Some(site), Some(api)) = (website(site), website(api)) else {
        let fix = "Give two hosts, such as www.example.com and api.example.com, or addresses on them.";
        report.error("arguments", "These aren't two hosts.", fix);
        return None;
    };
    let headers = match http_client() {
        Ok(http) => send_reading(http.get(site.clone()), 1).await.ok().map(|answer| answer.headers),
        Err(_) => None,
    };
    durability(&site, &api, headers.as_ref(), report).await
}

/// Of a page whose answer had these headers.
pub(super) async fn check_page(page: &Url, api: &Url, headers: &HeaderMap, report: &mut Report) {
    durability(page, api, Some(headers), report).await;
}

/// By WebKit's rule for a page of `site` that calls `api`.
pub(super) async fn check_durability(site: &Url, api: &Url, report: &mut Report) {
    durability(site, api, None, report).await;
}

async fn durability(site: &Url, api: &Url, headers: Option<&HeaderMap>, report: &mut Report) -> Option<u16> {
    let look_up = |host: &str| -> futures_util::future::BoxFuture<'_, _> {
        let host = host.to_owned();
        Box::pin(async move { names::look_up(&host).await })
    };
    let (site, api) = (site.host_str()?, api.host_str()?);
    match webkit::judge(site, api, &look_up).await {
        Ok(Durability::Full(why)) => {
            report.right(DURABILITY, format!("Safari keeps the visitor's cookie for {FULL} days: {why}"));
            Some(FULL)
        }
        Ok(Durability::SevenDays(why)) => {
            let problem = format!("Safari ends the visitor's cookie after seven days: {why}");
            report.warn(DURABILITY, sentence(&problem), fix(headers));
            Some(CAPPED)
        }
        Ok(Durability::Dropped) => {
            let problem = format!("Browsers drop the cookies of {api} on pages of {site}, because it is another site.");
            report.error(DURABILITY, problem, fix(headers));
            Some(0)
        }
        Err(problem) => {
            report.error(DURABILITY, sentence(&problem), "Correct the host's name, or its DNS record.");
            None
        }
    }
}

fn fix(headers: Option<&HeaderMap>) -> String {
    let is = |(name, value, _): &(&str, &str, &str)| {
        let given = headers.and_then(|headers| headers.get(*name)).and_then(|it| it.to_str().ok());
        given.is_some_and(|given| given.to_ascii_lowercase().contains(value))
    };
    let recipe = match SERVED_BY.iter().find(|it| is(it)) {
        Some((.., name)) => format!("the recipe {name}, which serves the site"),
        None => "the recipe CloudFront, Vercel, Netlify, Cloudflare or nginx".to_owned(),
    };
    format!("Let the site's own host pass /t.js and /t/* on to Adtrail: docs/website.md, {recipe}.")
}

/// Do cookies of one belong to the other?
pub(super) fn is_same_site(one: &Url, other: &Url) -> bool {
    let party = |url: &Url| url.host_str().map(|host| webkit::registrable(host).unwrap_or_else(|| host.to_owned()));
    party(one) == party(other)
}

/// Does `COOKIE_DOMAIN` fit the hosts?
pub(super) fn check_domain(values: &Values, site: Option<&Url>, api: Option<&Url>, report: &mut Report) {
    let Some(domain) = value(values, "COOKIE_DOMAIN") else {
        return report.right(DOMAIN, "COOKIE_DOMAIN isn't set: the cookies are those of the API's host");
    };
    let domain = domain.expose_secret().trim_start_matches('.').to_ascii_lowercase();
    if webkit::registrable(&domain).is_none() {
        let problem = format!("COOKIE_DOMAIN is {domain}, which no browser takes, because it isn't one owner's.");
        return report.error(
            DOMAIN,
            problem,
            "Set it to the domain of the site, such as example.com, or leave it out.",
        );
    }
    for (whose, host) in [("the site", site), ("the API", api)] {
        let Some(host) = host.and_then(Url::host_str) else { continue };
        if !is_within(host, &domain) {
            let problem = format!("COOKIE_DOMAIN is {domain}, and {whose} is at {host}, which isn't in it.");
            report.error(
                DOMAIN,
                problem,
                "Set it to the domain that both are in, such as example.com, or leave it out.",
            );
        }
    }
    report.right_unless_found(DOMAIN, format!("COOKIE_DOMAIN {domain} fits"));
}

fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_domain_must_be_of_both_hosts_and_of_one_owner() {
        for (domain, site, api, fits) in [
            ("", "https://www.example.com", "https://api.example.com", true),
            ("example.com", "https://www.example.com", "https://api.example.com", true),
            (".example.com", "https://www.example.com", "https://api.example.com", true),
            ("www.example.com", "https://www.example.com", "https://api.example.com", false),
            ("example.com", "https://www.example.com", "https://x.execute-api.eu-west-1.amazonaws.com", false),
            ("example.org", "https://www.example.com", "https://www.example.com", false),
            ("ample.com", "https://www.example.com", "https://www.example.com", false),
            ("co.uk", "https://www.example.co.uk", "https://api.example.co.uk", false),
            ("github.io", "https://example.github.io", "https://example.github.io", false),
        ] {
            let values = Values::from([("COOKIE_DOMAIN".to_owned(), domain.to_owned().into())]);
            let mut report = Report::default();
            let (site, api) = (Url::parse(site).unwrap(), Url::parse(api).unwrap());
            check_domain(&values, Some(&site), Some(&api), &mut report);
            assert_eq!(!report.has_found(DOMAIN), fits, "{domain} {site} {api}: {}", report.text());
        }
    }
}
