use lambda_http::http;
use shared::http::answer;
use shared::http::entrance::Entrance;

use super::*;

/// The status, the headers and the body, as a browser gets them.
async fn ask(method: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = http::Request::builder().method(method).uri(ENDPOINT.path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::Empty).unwrap();
    let (parts, body) = answer(&Entrance::default(), &ENDPOINT, request, handle).await.into_parts();
    (parts.status.as_u16(), parts.headers, body.to_vec())
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn every_page_may_load_it_and_keep_it() {
    for origin in ["https://www.example.com", "https://elsewhere.example", "null"] {
        let (status, headers, body) = ask("GET", &[("origin", origin)]).await;
        assert_eq!((status, &body[..]), (200, REPRESENTATIONS[2].bytes));
        assert_eq!(text(&headers, "content-type"), "text/javascript; charset=utf-8");
        assert_eq!(text(&headers, "access-control-allow-origin"), "*");
        assert_eq!(text(&headers, "cross-origin-resource-policy"), "cross-origin");
        assert_eq!(text(&headers, "x-content-type-options"), "nosniff");
        assert_eq!(text(&headers, "vary"), "Accept-Encoding");
        assert!(text(&headers, "cache-control").starts_with("public, max-age="), "{headers:?}");
        assert!(!headers.contains_key("access-control-allow-credentials") && !headers.contains_key("set-cookie"));
    }
}

#[tokio::test]
async fn it_comes_in_the_encoding_that_the_browser_likes_best() {
    for (accepted, expected) in [
        ("", ""),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("br;q=0.5, gzip;q=0.9", "gzip"),
        ("br ; q=1.0 , gzip;q=1", "br"),
        ("br;q=0, gzip;q=0", ""),
        ("br;q=0, *", "gzip"),
        ("*", "br"),
        ("identity", ""),
        ("identity;q=0.5, gzip;q=0.2", ""),
        ("*;q=0", ""),
        ("gzip;q=2", ""),
        ("gzip;q=NaN", ""),
        ("gzip;level=9", ""),
        ("deflate, zstd", ""),
        (";;,=,q=1", ""),
    ] {
        let (status, headers, body) = ask("GET", &[("accept-encoding", accepted)]).await;
        assert_eq!((status, text(&headers, "content-encoding").as_str()), (200, expected), "{accepted}");
        let sent = REPRESENTATIONS.iter().find(|it| it.encoding.name().unwrap_or_default() == expected).unwrap();
        assert_eq!((body.as_slice(), headers["etag"].clone()), (sent.bytes, sent.etag.clone()), "{accepted}");
    }
}

#[tokio::test]
async fn a_browser_that_has_it_gets_no_body() {
    let (_, headers, _) = ask("GET", &[("accept-encoding", "br")]).await;
    let etag = text(&headers, "etag");
    let others = [format!("\"x\", {etag}"), format!("W/{etag}"), "*".to_owned()];
    for known in others.iter().chain([&etag]) {
        let (status, headers, body) = ask("GET", &[("accept-encoding", "br"), ("if-none-match", known)]).await;
        assert_eq!((status, body.len(), text(&headers, "etag")), (304, 0, etag.clone()), "{known}");
        assert!(text(&headers, "cache-control").starts_with("public, max-age="));
        assert_eq!(text(&headers, "vary"), "Accept-Encoding");
    }
    for (encoding, known) in [("gzip", etag.as_str()), ("br", "\"x\""), ("br", "")] {
        let (status, ..) = ask("GET", &[("accept-encoding", encoding), ("if-none-match", known)]).await;
        assert_eq!(status, 200, "{encoding} {known}");
    }
}

#[tokio::test]
async fn head_is_get_without_the_body_and_nothing_else_is_answered() {
    let (status, headers, body) = ask("HEAD", &[]).await;
    let (_, expected, _) = ask("GET", &[]).await;
    assert_eq!((status, headers, body.len()), (200, expected, 0));
    for method in ["POST", "OPTIONS", "PUT"] {
        let (status, headers, _) = ask(method, &[("origin", "https://www.example.com")]).await;
        assert_eq!((status, text(&headers, "allow").as_str()), (405, "GET, HEAD"), "{method}");
        assert_eq!(text(&headers, "cache-control"), "no-store", "a mistake isn't kept");
    }
}
