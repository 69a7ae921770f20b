//! The URL of a request as its sender signed it.

use lambda_http::http::header;
use lambda_http::http::uri::Authority;
use serde::Deserialize;
use url::Url;

use crate::http::Request;
use crate::outgoing::endpoint;

/// How a sender writes the URL it signs.
#[derive(Debug, Default)]
pub(super) enum CalledUrl {
    /// As it is called.
    #[default]
    AsCalled,
    /// HubSpot's way, from the URL that is declared or the one that is called.
    Hubspot(Option<HubspotUrl>),
}

impl CalledUrl {
    pub(super) fn of_request(&self, request: &Request) -> String {
        self.signed(&called(request))
    }

    pub(super) fn signed(&self, called: &str) -> String {
        match self {
            Self::AsCalled => called.to_owned(),
            Self::Hubspot(declared) => hubspot(declared.as_ref().map_or(called, |url| &url.0)),
        }
    }
}

/// The URL that HubSpot calls, where a proxy in front changes it.
#[derive(Deserialize, Debug, Clone)]
#[serde(try_from = "String")]
pub(super) struct HubspotUrl(String);

impl TryFrom<String> for HubspotUrl {
    type Error = &'static str;

    fn try_from(url: String) -> Result<Self, Self::Error> {
        match endpoint(&url) {
            Ok(_) => Ok(Self(url)),
            Err(_) => Err("url must be the whole URL that HubSpot calls, as https://example.com/api/webhooks/hubspot"),
        }
    }
}

/// The URL that the sender called, in front of the proxy that terminated TLS.
fn called(request: &Request) -> String {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or(request.uri().authority().map(Authority::as_str)).unwrap_or_default();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let secure = format!("https://{host}{path}");
    let url = Url::parse(&secure).ok();
    match url.as_ref().and_then(Url::host_str) {
        Some("127.0.0.1" | "localhost" | "[::1]") => format!("http://{host}{path}"),
        _ => secure,
    }
}

/// Some characters are signed as themselves though the URL has them encoded. Source: HubSpot's "Validating requests",
/// the table of the v3 signature.
fn hubspot(url: &str) -> String {
    let mut signed = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(at) = rest.find('%') {
        let (before, encoded) = rest.split_at(at);
        signed.push_str(before);
        let decoded = encoded.get(1..3).and_then(|digits| match digits.to_ascii_uppercase().as_str() {
            "3A" => Some(':'),
            "2F" => Some('/'),
            "3F" => Some('?'),
            "40" => Some('@'),
            "21" => Some('!'),
            "24" => Some('$'),
            "27" => Some('\''),
            "28" => Some('('),
            "29" => Some(')'),
            "2A" => Some('*'),
            "2C" => Some(','),
            "3B" => Some(';'),
            _ => None,
        });
        signed.push(decoded.unwrap_or('%'));
        rest = &encoded[if decoded.is_some() { 3 } else { 1 }..];
    }
    signed + rest
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;

    use super::*;

    #[test]
    fn the_url_is_the_one_that_the_sender_called() {
        let request = |host: &str, uri: &str| {
            lambda_http::http::Request::builder().header("host", host).uri(uri).body(Body::Empty).unwrap()
        };
        for (host, uri, url) in [
            ("example.com", "/a?b=c%20d&e", "https://example.com/a?b=c%20d&e"),
            // On Lambda the URI is absolute.
            ("example.com", "https://example.com/a?b=+", "https://example.com/a?b=+"),
            ("localhost:3000", "/a", "http://localhost:3000/a"),
            ("127.0.0.1:80", "/a?", "http://127.0.0.1:80/a?"),
            ("localhost.example.com", "/", "https://localhost.example.com/"),
        ] {
            assert_eq!(CalledUrl::AsCalled.of_request(&request(host, uri)), url);
        }
    }

    #[test]
    fn hubspot_signs_some_characters_as_themselves() {
        let hubspot = CalledUrl::Hubspot(None);
        for (url, signed) in [
            ("https://example.com/a?b=%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B", "https://example.com/a?b=:/?@!$'()*,;"),
            ("https://example.com/a?b=%3a%20%25%3", "https://example.com/a?b=:%20%25%3"),
            ("https://example.com/%", "https://example.com/%"),
            ("https://example.com/%é", "https://example.com/%é"),
            ("https://example.com/%253A", "https://example.com/%253A"),
        ] {
            assert_eq!(hubspot.signed(url), signed);
        }
        let declared = CalledUrl::Hubspot(Some(HubspotUrl("https://example.org/in?x=%2F".to_owned())));
        assert_eq!(declared.signed("https://example.com/a"), "https://example.org/in?x=/");
    }
}
