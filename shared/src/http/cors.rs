//! Cross-origin calls from the websites the operator lists, with credentials. An origin is compared as a whole and
//! never reflected unseen (Fetch Standard, "CORS protocol").

use lambda_http::http::{HeaderValue, header};

use url::Url;

use super::{Response, no_content};
use crate::clock::Clock;
use crate::settings::{FromSettings, Settings};

/// The websites whose pages may call, as `https://www.example.com`.
#[derive(Debug, Default)]
pub struct Origins(Vec<String>);

impl FromSettings for Origins {
    fn from_settings(settings: &mut Settings, _: &Clock) -> Self {
        settings.parsed("ALLOWED_ORIGINS", Self::parse).unwrap_or_default()
    }
}

impl Origins {
    /// Reads a list separated by commas.
    ///
    /// # Errors
    /// What an origin looks like.
    pub fn parse(list: &str) -> Result<Self, String> {
        let origin = |text: &str| {
            let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            url.map(|url| url.origin().ascii_serialization())
                .filter(|origin| origin == text.trim().trim_end_matches('/'))
                .ok_or_else(|| "must list origins such as https://www.example.com, separated by commas".to_owned())
        };
        list.split(',').map(origin).collect::<Result<_, _>>().map(Self)
    }

    /// All of them, as `https://www.example.com`.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Is this origin on the list?
    #[must_use]
    pub fn allow(&self, origin: &HeaderValue) -> bool {
        self.0.iter().any(|allowed| origin == allowed.as_str())
    }
}

/// The answer to a preflight request; [`allow`] adds the origin.
#[must_use]
pub fn preflight(method: &str) -> Response {
    let mut response = no_content();
    let headers = response.headers_mut();
    if let Ok(method) = HeaderValue::from_str(method) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method);
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type, prefer"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    response
}

/// Lets the page at `origin`, which is listed, read the answer.
pub fn allow(response: &mut Response, origin: Option<HeaderValue>) {
    let headers = response.headers_mut();
    // Also without an origin: a cache must not hand this answer to a page that has one.
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_as_a_whole() {
        let origins = Origins::parse("https://a.example, http://localhost:3000/").unwrap();
        let allows = |origin: &'static str| origins.allow(&HeaderValue::from_static(origin));
        assert!(allows("https://a.example") && allows("http://localhost:3000"));
        for other in ["http://a.example", "https://a.example.evil.example", "https://a.example:8443", "null"] {
            assert!(!allows(other), "{other}");
        }
        assert!(Origins::parse("*").unwrap_err().contains("must list origins"));
    }
}
