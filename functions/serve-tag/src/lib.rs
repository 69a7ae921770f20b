//! `GET /t.js`: the tag, which a page of the website loads. It is part of the binary, so it is served while the
//! database is away, and its page views then wait in the browser.

mod encoding;

use std::fmt::Write;
use std::future::{Ready, ready};
use std::sync::LazyLock;

use lambda_http::Body;
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use sha2::{Digest, Sha256};
use shared::http::{Caller, Endpoint, Problem, Request, Response, no_content};

use encoding::Encoding;

/// Where it answers.
pub const ENDPOINT: Endpoint = Endpoint {
    method: Method::GET,
    path: "/t.js",
    aliases: &["/api/t.js"],
    caller: Caller::Anyone,
    body_limit: 0,
    requires: &[],
};

/// A browser uses its copy for a day without asking, and for a week more while it asks in the background, so no page
/// view waits for the tag. Asking costs an answer without a body as long as the tag is the same. A new version reaches
/// who comes back after a day with the second page, and everybody after eight days: so long, endpoints must understand
/// the tag before.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=86400, stale-while-revalidate=604800");

/// What stands for the tag in one encoding.
struct Representation {
    encoding: Encoding,
    bytes: &'static [u8],
    /// Of these bytes, so another one for each encoding and each version.
    etag: HeaderValue,
}

static REPRESENTATIONS: LazyLock<[Representation; 3]> = LazyLock::new(|| {
    [
        (Encoding::Brotli, &include_bytes!("../../../tracker/dist/t.js.br")[..]),
        (Encoding::Gzip, &include_bytes!("../../../tracker/dist/t.js.gz")[..]),
        (Encoding::Identity, &include_bytes!("../../../tracker/dist/t.js")[..]),
    ]
    .map(|(encoding, bytes)| Representation { encoding, bytes, etag: etag(bytes) })
});

/// Serves the tag, or says that the browser's copy is still the tag.
#[expect(clippy::needless_pass_by_value, reason = "as every handler takes it")]
pub fn handle(request: Request) -> Ready<Result<Response, Problem>> {
    ready(Ok(tag(&request)))
}

fn tag(request: &Request) -> Response {
    let accepted = Encoding::accepted(request.headers());
    let chosen = REPRESENTATIONS.iter().find(|it| it.encoding == accepted).unwrap_or(&REPRESENTATIONS[2]);
    let mut response = no_content();
    let headers = response.headers_mut();
    let shared = [
        (header::ETAG, chosen.etag.clone()),
        (header::CACHE_CONTROL, CACHE_CONTROL),
        (header::VARY, HeaderValue::from_static("Accept-Encoding")),
        // A page of any site may load it, and compare it with a hash (Subresource Integrity), which needs CORS.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin")),
    ];
    headers.extend(shared);
    if is_known(request.headers(), &chosen.etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    if let Some(name) = chosen.encoding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    *response.status_mut() = StatusCode::OK;
    if request.method() != Method::HEAD {
        // What is compressed goes through API Gateway in base64, and leaves it as these bytes.
        *response.body_mut() = Body::from(chosen.bytes);
    }
    response
}

/// Has the browser this version already (RFC 9110, section 13.1.2)? A proxy that compressed anew may have marked the
/// ETag as weak.
fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|list| list.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == *etag)
}

fn etag(bytes: &[u8]) -> HeaderValue {
    let mut tag = String::from("\"");
    for byte in &Sha256::digest(bytes)[..16] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests;
