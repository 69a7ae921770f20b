//! Bodies and requests that nobody should send: each must be answered with a problem that helps, and leave no trace.

use lambda_http::http::Method;
use serde_json::{Value, json};
use shared::App;
use shared::http::{Caller, Endpoint, Problem, Request, Response};
use sqlx::PgPool;

use crate::{Answer, ORIGIN, call, consequences, request, with};

/// Sends everything that is wrong with any body, and `bad_fields` (a pointer into `valid`, and a value that doesn't
/// belong there; null stands for absent). `finish` completes a request, with a signature for example. In the end a good
/// request of exactly the allowed size is let in.
///
/// # Panics
/// When something bad is not refused with 4xx and the field to blame, or leaves a row in any table.
pub async fn refuses_bad_input<'a, C, H, F>(
    (app, pool): (&'a App<C>, &PgPool),
    endpoint: &Endpoint,
    handle: H,
    finish: fn(Request) -> Request,
    valid: &Value,
    bad_fields: &[(&str, Value)],
) where
    C: 'a,
    H: Fn(&'a App<C>, Request) -> F + Copy,
    F: Future<Output = Result<Response, Problem>>,
{
    let before = consequences(pool).await;
    for body in unreadable(valid) {
        let answer = call(app, endpoint, finish(request(endpoint, body.clone())), handle).await;
        expect_problem(&answer, 400, &String::from_utf8_lossy(&body));
        assert_eq!(answer.pointers().len(), 1, "{}", String::from_utf8_lossy(&body));
    }
    let with_nul = text_fields(valid, "").into_iter().map(|pointer| (pointer, json!("before\u{0}after")));
    let bad_fields = bad_fields.iter().map(|(pointer, value)| ((*pointer).to_owned(), value.clone()));
    for (pointer, bad) in with_nul.chain(bad_fields) {
        let body = replaced(valid, &pointer, bad.clone());
        let answer = call(app, endpoint, finish(crate::json_request(endpoint, &body)), handle).await;
        expect_problem(&answer, 400, &body.to_string());
        assert_eq!(answer.pointers(), [pointer], "{body}");
        if let Some(text) = bad.as_str().filter(|text| text.len() > 12) {
            assert!(!answer.body.to_string().contains(text), "the answer repeats what was sent: {}", answer.body);
        }
    }
    refuses_bad_requests(app, endpoint, handle, finish, valid).await;
    assert_eq!(consequences(pool).await, before, "something was stored");

    let padded = |size: usize| {
        let body = valid.to_string();
        format!("{body}{}", " ".repeat(size - body.len()))
    };
    let too_large = call(app, endpoint, finish(request(endpoint, padded(endpoint.body_limit + 1))), handle).await;
    expect_problem(&too_large, 413, "a body of one byte more");
    assert_eq!(consequences(pool).await, before, "something was stored");
    let answer = call(app, endpoint, finish(request(endpoint, padded(endpoint.body_limit))), handle).await;
    assert!((200..300).contains(&answer.status), "a body of exactly the limit: {answer:?}");
    assert_ne!(consequences(pool).await, before, "the good one is stored, so the comparison sees rows");
}

async fn refuses_bad_requests<'a, C, H, F>(
    app: &'a App<C>,
    endpoint: &Endpoint,
    handle: H,
    finish: fn(Request) -> Request,
    valid: &Value,
) where
    C: 'a,
    H: Fn(&'a App<C>, Request) -> F + Copy,
    F: Future<Output = Result<Response, Problem>>,
{
    let good = || finish(crate::json_request(endpoint, valid));
    let browser = endpoint.caller == Caller::Browser;
    let allow = if browser { "POST, OPTIONS" } else { "POST" };
    let mut methods = vec![Method::GET, Method::HEAD, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE];
    if !browser {
        methods.push(Method::OPTIONS);
    }
    for method in methods {
        let mut request = good();
        *request.method_mut() = method.clone();
        let answer = call(app, endpoint, request, handle).await;
        expect_problem(&answer, 405, method.as_str());
        assert_eq!(answer.header("allow"), allow);
    }
    if browser {
        let http = ORIGIN.replace("https", "http");
        let suffixed = format!("{ORIGIN}.evil.example");
        for origin in ["https://evil.example", "null", "", "*", "https://example.com", &http, &suffixed] {
            let answer = call(app, endpoint, with(good(), "origin", origin), handle).await;
            expect_problem(&answer, 403, origin);
            assert!(!answer.headers.contains_key("access-control-allow-origin"), "{origin}");
            assert_eq!(answer.header("vary"), "Origin");
            assert_eq!(answer.cookies(), []);
        }
        let refused = call(app, endpoint, with(finish(request(endpoint, "{")), "origin", ORIGIN), handle).await;
        expect_problem(&refused, 400, "a listed website's own mistake");
        assert_eq!(refused.header("access-control-allow-origin"), ORIGIN, "the page can read what is wrong");
    }
}

fn expect_problem(answer: &Answer, status: u16, sent: &str) {
    let sent: String = sent.chars().take(400).collect();
    assert_eq!(answer.status, status, "{sent} is answered {:?}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{sent}");
    assert_eq!(answer.header("cache-control"), "no-store", "{sent}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{sent}");
    assert_eq!(answer.body["status"], status, "{sent}");
    assert!(answer.body["type"].as_str().is_some_and(|kind| kind.starts_with("/problems/")), "{sent}");
    assert!(answer.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{sent}");
}

/// Bodies that are no JSON object that can be read.
fn unreadable(valid: &Value) -> Vec<Vec<u8>> {
    let good = valid.to_string();
    let open = &good[..good.len() - 1];
    let nested = |levels: usize| format!("{open},\"more\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    let mut not_utf8 = good.clone().into_bytes();
    not_utf8.splice(2..2, [0xff, 0xfe]);
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "{",
        "[]",
        "7",
        "null",
        "true",
        "\"text\"",
        "a=b&c=d",
        "<!doctype html><html><body>502</body></html>",
        "\u{feff}[]",
        open,
        &format!("[{good}]"),
        &format!("{good}{good}"),
        &format!("{open},\"more\":1e200000}}"),
        &format!("{open},\"more\":-1e200000}}"),
        &format!("{open},\"more\":NaN}}"),
        &format!("{open},\"more\":Infinity}}"),
        &format!("{open},\"more\":0x10}}"),
        &format!("{open},\"more\":\"a\u{1}\"}}"),
        &format!("{open},\"mo\\u0000re\":1}}"),
        &format!("{open},\"more\":{{\"deep\":[[\"\\u0000\"]]}}}}"),
        &format!("{open},}}"),
        &nested(17),
        &nested(1_000),
        &"[".repeat(8_000),
        &"{\"a\":".repeat(1_600),
    ]
    .map(|body| body.as_bytes().to_vec())
    .into();
    bodies.push(not_utf8);
    bodies.push(vec![0; 64]);
    bodies
}

/// Pointers to every text in a document.
fn text_fields(value: &Value, pointer: &str) -> Vec<String> {
    match value {
        Value::String(_) => vec![pointer.to_owned()],
        Value::Object(fields) => {
            fields.iter().flat_map(|(name, value)| text_fields(value, &format!("{pointer}/{name}"))).collect()
        }
        _ => Vec::new(),
    }
}

fn replaced(document: &Value, pointer: &str, value: Value) -> Value {
    let mut document = document.clone();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer into the document");
    let parent = document.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    parent.insert(name.to_owned(), value);
    document
}
