//! The demo site: one page for the ad and for where it leads to. Its policy is as strict as a site can have it, so that
//! the tag is seen to work under it.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("index.html");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src 'self'{}; style-src{}; img-src data:; connect-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
        hashes("script"),
        hashes("style")
    )
});

/// The page, the same at each of its paths.
pub fn page() -> impl IntoResponse {
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY.as_str()), (header::CACHE_CONTROL, "no-store")];
    (headers, Html(PAGE))
}

/// What is written into the page itself, and nothing else, may run.
fn hashes(element: &str) -> String {
    let (start, end) = (format!("<{element}>"), format!("</{element}>"));
    let inside = PAGE.split(&start).skip(1).filter_map(|rest| rest.split(&end).next());
    let hashes = inside.map(|text| format!(" 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text))));
    hashes.collect::<Vec<_>>().concat()
}
