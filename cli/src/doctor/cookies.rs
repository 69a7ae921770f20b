//! How long does the visitor's cookie last?

mod webkit;

use secrecy::ExposeSecret;
use shared::settings::{Values, value};
use url::Url;

use super::names::Lookup;
use super::report::{Report, sentence};
use webkit::Durability;

const DURABILITY: &str = "cookies";
const DOMAIN: &str = "cookies.domain";
const PATH_OR_HOST: &str =
    "Let the site's own host pass the calls of its pages on to the API, as docs/deploy.md says under The website.";

/// By WebKit's rule for a page of `site` that calls `api`.
pub(super) async fn check_durability(site: &Url, api: &Url, look_up: &Lookup<'_>, report: &mut Report) {
    let (Some(site), Some(api)) = (site.host_str(), api.host_str()) else { return };
    match webkit::judge(site, api, look_up).await {
        Ok(Durability::Full(why)) => report.right(DURABILITY, why),
        Ok(Durability::SevenDays(why)) => {
            let problem = format!("Safari ends the visitor's cookie after seven days: {why}");
            report.warn(DURABILITY, sentence(&problem), PATH_OR_HOST);
        }
        Ok(Durability::Dropped) => {
            let problem = format!("Browsers drop the cookies of {api} on pages of {site}, because it is another site.");
            report.error(DURABILITY, problem, PATH_OR_HOST);
        }
        Err(problem) => report.error(DURABILITY, sentence(&problem), "Correct --site or --url, or the DNS record."),
    }
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
