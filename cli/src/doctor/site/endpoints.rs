//! Do the endpoints beside the tag answer its page?

use std::collections::BTreeMap;

use futures_util::future::join_all;
use url::Url;

use super::arrival::shown;
use super::page::Page;
use super::tag::Tag;
use crate::doctor::call::{Answer, send};
use crate::doctor::report::{Report, sentence};

const NAME: &str = "site.endpoints";
const COOKIE: &str = "site.set_cookie";
const GATEWAY: &str = "site.tag_gateway";
/// Of visits, events, leads and consent.
const NAMES: [&str; 4] = ["v", "e", "l", "c"];

/// JSON, but no body of any endpoint: it is refused before anything is read, counted or stored.
const REFUSED: &str = "[]";
/// What Adtrail answers to it, and not to a body that was lost on the way.
const REFUSAL: &str = "must be a JSON object";

/// Where the tag at this address sends: `/t.js` to `/t/v`.
pub(super) fn all(tag: &Url) -> Vec<Url> {
    NAMES.into_iter().map(|name| beside(tag, name)).collect()
}

fn beside(tag: &Url, name: &str) -> Url {
    let mut url = tag.clone();
    url.set_path(&format!("{}/{name}", tag.path().trim_end_matches(".js")));
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Sends each what it must refuse.
pub(super) async fn check(http: &reqwest::Client, page: &Page, tag: &Tag, report: &mut Report) {
    let origin = page.origin();
    let answers = all(&tag.url).into_iter().map(async |url| {
        let request = http.post(url.clone()).header("origin", &origin);
        // A form that is refused strictly isn't counted.
        let request = request.header("prefer", "handling=strict").header("content-type", "text/plain;charset=UTF-8");
        (url, send(request.body(REFUSED)).await)
    });
    let is_cross = page.url.origin() != tag.url.origin();
    let mut refused: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (url, answer) in join_all(answers).await {
        let found = match answer {
            Ok(answer) => judge(&answer, &origin, is_cross),
            Err(unanswered) => Some(unanswered),
        };
        if let Some(found) = found {
            refused.entry(found).or_default().push(shown(&url));
        }
    }
    for ((problem, fix), urls) in refused {
        report.error(NAME, sentence(&format!("{}: {problem}", urls.join(", "))), fix);
    }
    if !report.has_found(NAME) {
        report.right(NAME, "those for visits, events, leads and consent answer, and read what is sent");
        report.not_checked(COOKIE, "trying it would store a visit: see docs/website.md, What to check");
    }
    check_gateway(http, &tag.url, report).await;
}

/// What is wrong with an answer, and the fix.
fn judge(answer: &Answer, origin: &str, is_cross: bool) -> Option<(String, String)> {
    const PASS_ON: &str = "Let the site's host pass POST to these paths on to Adtrail, with body, query, cookies and the \
                           header Origin: docs/website.md has the lines for CloudFront, Vercel, Netlify, Cloudflare and \
                           nginx.";
    let is_ours = answer.header("content-type").starts_with("application/problem+json");
    let (problem, fix) = match answer.status {
        400 if is_ours && !String::from_utf8_lossy(&answer.body).contains(REFUSAL) => {
            ("the body of the call is lost on the way".to_owned(), PASS_ON.to_owned())
        }
        400 if is_ours && is_cross && answer.header("access-control-allow-origin") != origin => {
            let fix = "Let what is in front of Adtrail pass Access-Control-Allow-Origin on.";
            (format!("the answer doesn't allow {origin}"), fix.to_owned())
        }
        400 if is_ours && is_cross && answer.header("access-control-allow-credentials") != "true" => {
            let fix = "Let what is in front of Adtrail pass Access-Control-Allow-Credentials on.";
            ("the answer doesn't allow cookies".to_owned(), fix.to_owned())
        }
        400 if is_ours => return None,
        403 if is_ours => {
            (format!("{origin} isn't one of ALLOWED_ORIGINS"), format!("Add {origin} to AllowedOrigins and deploy."))
        }
        429 => ("too many calls".to_owned(), "Run it again in a minute.".to_owned()),
        status if is_ours => {
            let fix = "Run adtrail doctor --stack adtrail, which looks at the deployment itself.";
            (format!("Adtrail answers with status {status}"), fix.to_owned())
        }
        status => {
            (format!("the answer is the site's own, with status {status}, and not Adtrail's"), PASS_ON.to_owned())
        }
    };
    Some((problem, fix))
}

/// Google's tag gateway answers `ok` at `/healthy` below its own path, and drops every cookie that isn't Google's.
async fn check_gateway(http: &reqwest::Client, tag: &Url, report: &mut Report) {
    let answer = send(http.get(beside(tag, "healthy"))).await;
    if answer.is_ok_and(|it| it.status == 200 && it.body.trim_ascii().eq_ignore_ascii_case(b"ok")) {
        let problem = "Google's tag gateway serves the tag's path, and drops Adtrail's cookies.";
        report.error(GATEWAY, problem, "Give the tag gateway a path of its own in the CDN's settings.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoints_stand_beside_the_tag() {
        for (tag, visit) in [
            ("https://www.example.com/t.js", "https://www.example.com/t/v"),
            ("https://www.example.com/api/t.js?v=2#x", "https://www.example.com/api/t/v"),
            ("https://www.example.com/static/hello.js", "https://www.example.com/static/hello/v"),
        ] {
            assert_eq!(all(&tag.parse().unwrap())[0].as_str(), visit);
        }
    }
}
