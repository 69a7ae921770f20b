//! The two cookies Adtrail sets, both HttpOnly: who the visitor is, and where they came from.
//!
//! Without a domain they are `__Host-` cookies: browsers take those only from this host, over HTTPS or from localhost.
//! So no other host of the site can set or replace them. They are read under both names, because the setting may change
//! and the version before knew one name only.

use chrono::{DateTime, TimeDelta, Utc};
use lambda_http::Request;
use lambda_http::http::{HeaderValue, header};

use super::Response;
use crate::attribution::{Attribution, CLICK_COUNTS, Clicks, linker, networks};
use crate::identity::ClientId;
use crate::identity::client_id::{session_cookie, session_id};
use crate::visitors::VisitorId;

/// Holds the visitor id.
pub const VISITOR: Name = Name { host: "__Host-adtrail_visitor", domain: "adtrail_visitor" };
/// Holds the attribution, so that it isn't lost while the database is unavailable.
pub const ATTRIBUTION: Name = Name { host: "__Host-adtrail_attribution", domain: "adtrail_attribution" };

/// The longest that browsers keep a cookie (RFC 6265bis, section 5.5).
const LONGEST: TimeDelta = TimeDelta::days(400);

/// After this long the cookies are set again, so that their time begins anew.
const RENEWED_AFTER: TimeDelta = TimeDelta::days(1);

/// What a cookie is called.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// As one of this host alone.
    pub host: &'static str,
    /// As one of a domain.
    pub domain: &'static str,
}

impl Name {
    fn of(self, domain: Option<&str>) -> &'static str {
        if domain.is_some() { self.domain } else { self.host }
    }

    /// All values in the request. The host's come first: with a domain they are removed, and without one they are
    /// newer.
    fn values(self, request: &Request) -> impl Iterator<Item = &str> {
        find(request, self.host).chain(find(request, self.domain))
    }
}

/// The visitor id of the request; none when it is absent or not one of ours.
#[must_use]
pub fn visitor(request: &Request) -> Option<VisitorId> {
    VISITOR.values(request).find_map(VisitorId::parse)
}

/// The attribution of the request, empty when it is absent or was tampered with.
#[must_use]
pub fn attribution(request: &Request, now: DateTime<Utc>) -> Attribution {
    let mut read = ATTRIBUTION.values(request).map(|value| Attribution::from_cookie(value, now));
    read.find(|attribution| *attribution != Attribution::default()).unwrap_or_default()
}

/// What the networks' own tags keep in cookies of the site. A click has a time only if the cookie tells it.
#[must_use]
pub fn clicks(request: &Request, now: DateTime<Utc>) -> Clicks {
    let clicks = Clicks::read(now, |parameter| {
        find(request, parameter.cookie?).find(|value| !value.is_empty()).map(String::from)
    });
    let of_google = linker::COOKIES.iter().flat_map(|(name, _)| find(request, name).map(move |value| (*name, value)));
    clicks.or_google(|| linker::newest(of_google), now)
}

/// What Google's tag calls the browser. There may be several such cookies, of the site and of its domain.
#[must_use]
pub fn ga_client(request: &Request) -> Option<ClientId> {
    find(request, ClientId::COOKIE).find_map(ClientId::from_cookie)
}

/// The session that Google's tag keeps for the stream of this measurement id.
#[must_use]
pub fn ga_session(request: &Request, measurement_id: &str) -> Option<i64> {
    let name = session_cookie(measurement_id);
    find(request, &name).find_map(session_id)
}

/// Those of the request's cookies that Adtrail reads, as a header has them. A value that isn't ASCII can't be ours.
#[must_use]
pub fn read(request: &Request) -> String {
    let of_networks = networks::NETWORKS.iter().flat_map(|network| network.parameters).filter_map(|it| it.cookie);
    let ours = [VISITOR, ATTRIBUTION].into_iter().flat_map(|name| [name.host, name.domain]);
    let names = ours.chain(of_networks).chain(linker::COOKIES.map(|(name, _)| name));
    let pairs = names.flat_map(|name| find(request, name).map(move |value| (name, value)));
    let pairs = pairs.filter(|(_, value)| value.is_ascii()).map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("; ")
}

/// Sets both, the id for as long as browsers allow, the attribution for as long as a click counts; unless the browser
/// has the same, set within the last day.
pub fn renew(
    response: &mut Response,
    request: &Request,
    domain: Option<&str>,
    visitor: VisitorId,
    attribution: &Attribution,
    now: DateTime<Utc>,
) {
    // Those of the host would be read before those of the domain.
    let of_host = [VISITOR, ATTRIBUTION].map(|name| name.host).into_iter();
    let left_over: Vec<_> = of_host.filter(|name| domain.is_some() && find(request, name).next().is_some()).collect();
    if left_over.is_empty() && is_current(request, domain, visitor, attribution, now) {
        return;
    }
    let of_domain = domain.map(|domain| format!("; Domain={domain}")).unwrap_or_default();
    let mut set = |name: &str, value: &str, max_age: i64, domain: &str| {
        let cookie = format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly; Secure; SameSite=Lax{domain}");
        // Both values and the configured domain are plain ASCII.
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    };
    set(VISITOR.of(domain), &visitor.to_string(), LONGEST.num_seconds(), &of_domain);
    set(ATTRIBUTION.of(domain), &attribution.to_cookie(now), CLICK_COUNTS.num_seconds(), &of_domain);
    for name in left_over {
        set(name, "", 0, "");
    }
}

fn is_current(
    request: &Request,
    domain: Option<&str>,
    visitor: VisitorId,
    attribution: &Attribution,
    now: DateTime<Utc>,
) -> bool {
    let kept = |name: Name| find(request, name.of(domain)).next();
    let is_young = |at: &DateTime<Utc>| (TimeDelta::zero()..RENEWED_AFTER).contains(&(now - at));
    let is_kept = |value: &str| {
        let set_at = Attribution::cookie_set_at(value).filter(is_young);
        set_at.is_some_and(|at| attribution.to_cookie(at) == value)
    };
    kept(VISITOR).is_some_and(|value| value == visitor.to_string()) && kept(ATTRIBUTION).is_some_and(is_kept)
}

/// The values of this cookie: there are several while `COOKIE_DOMAIN` changes. Each pair is parsed on its own, because
/// other cookies of the site may contain anything, even bytes that aren't ASCII.
fn find<'a>(request: &'a Request, name: &'a str) -> impl Iterator<Item = &'a str> {
    let headers = request.headers().get_all(header::COOKIE).into_iter();
    let pairs = headers.flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let readable = pairs.filter_map(|pair| str::from_utf8(pair).ok()?.trim().split_once('='));
    readable.filter(move |(key, _)| *key == name).map(|(_, value)| value)
}

/// Reads the domain that cookies are set for.
///
/// # Errors
/// If it isn't a domain; the text says what one looks like.
pub fn domain(text: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if text.chars().all(known) && text.contains('.') {
        Ok(text.trim_start_matches('.').to_owned())
    } else {
        Err("must be a domain such as example.com".into())
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;

    use super::*;

    fn with_cookies(cookies: &[u8]) -> Request {
        let cookies = HeaderValue::from_bytes(cookies).unwrap();
        lambda_http::http::Request::builder().header(header::COOKIE, cookies).body(Body::Empty).unwrap()
    }

    #[test]
    fn the_browser_and_the_session_are_those_of_googles_tag() {
        for (cookies, client, session) in [
            ("_ga=GA1.1.123.456; _ga_ABC=GS1.1.1700000000.5.1.1700000123.60.0.0", Some("123.456"), Some(1_700_000_000)),
            (
                "_ga=GA1.2.123.456; _ga_ABC=GS2.1.s1700000001$o5$g1$t1700000123$j60",
                Some("123.456"),
                Some(1_700_000_001),
            ),
            // Of another stream.
            ("_ga=GA1.1.123.456; _ga_XYZ=GS1.1.1700000000.5", Some("123.456"), None),
            // One of the site and one of its domain, of which one can't be read.
            ("_ga=broken; _ga=GA1.1.7.8; _ga_ABC=; _ga_ABC=GS2.1.s5$o1", Some("7.8"), Some(5)),
            ("_gat=1; _gac_ABC=1.2.3; __ga=GA1.1.1.2; _ga_ABCD=GS1.1.5.5", None, None),
        ] {
            let request = with_cookies(cookies.as_bytes());
            let found = (ga_client(&request), ga_session(&request, "G-ABC"));
            assert_eq!((found.0.as_ref().map(ClientId::as_str), found.1), (client, session), "{cookies}");
        }
    }

    #[test]
    fn hostile_cookies_name_no_browser_and_no_session() {
        let long = "9".repeat(5_000);
        let cases: [&[u8]; 10] = [
            b"",
            b"_ga; _ga_ABC",
            b"_ga=GA1.1.-1.2; _ga_ABC=GS1.1.-5.1",
            b"_ga=GA1.1.1e9.2; _ga_ABC=GS2.1.s$o1",
            b"_ga=GA1.1..; _ga_ABC=GS1.1.",
            b"_ga=GA1.1.1'--.2; _ga_ABC=GS2.1.s1'--$o1",
            b"_ga=\xff\xfe.1.2; _ga_ABC=GS1.1.\xff",
            b"_ga=%47A1.1.1.2; _ga_ABC=%47S1.1.5",
            b"_ga=GA1.1.\xd9\xa1.\xd9\xa2; _ga_ABC=GS1.1.\xd9\xa1.1",
            &format!("_ga=GA1.1.{long}.{long}; _ga_ABC=GS1.1.{long}.1").into_bytes(),
        ];
        for cookies in cases {
            let request = with_cookies(cookies);
            let found = (ga_client(&request), ga_session(&request, "G-ABC"));
            assert_eq!(found, (None, None), "{}", String::from_utf8_lossy(cookies));
        }
    }

    #[test]
    fn other_cookies_and_leftovers_of_ours_hide_nothing() {
        let id = VisitorId::mint();
        let name = VISITOR.domain;
        let cookies = format!("name=Jürgen; {name}=leftover; {name}={id}; theme=\u{1F600}");
        assert_eq!(visitor(&with_cookies(cookies.as_bytes())), Some(id));
    }
}
