//! The calls whose answers are compared with the document.

use dev::settings::{self, HEALTH_KEY, WEBHOOK_SECRET};
use lambda_http::http::{Method, header};
use serde_json::Value;
use shared::http::Caller;

use crate::NOW;
use crate::answers::WEBSITE;
use crate::document::{Document, Operation, inside};

/// Instead of a status: whatever the call becomes, it is accepted.
pub const ANY_SUCCESS: u16 = 2;

/// One who was here before.
pub const VISITOR: &str = "b5a1f0de-0c1f-4d63-8f0e-6f3d0a9c2e11";

/// One that is no person.
pub const BOT: &str = "0b7e1f4c-2a93-4d58-8f6b-91c3d7e5a204";

/// One request and what must come of it.
pub struct Call {
    /// As in `POST /api/leads`.
    pub operation: String,
    pub method: Method,
    pub path: String,
    pub origin: Option<&'static str>,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub status: u16,
    /// What the answer says at a pointer.
    pub says: Option<(&'static str, Value)>,
    /// The schema and the code judge the body alike. When they don't, the document's prose says why.
    pub by_schema: bool,
}

impl Call {
    /// As the website, with the right credentials or as a visitor who is known.
    pub fn new(operation: &str, status: u16, body: impl Into<Vec<u8>>) -> Self {
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let body = body.into();
        let credentials = match path {
            "/api/webhooks/crm-conversion" => {
                Some((header::AUTHORIZATION.as_str(), format!("Bearer {WEBHOOK_SECRET}")))
            }
            "/api/webhooks/{source}" => Some(("x-nethunt-secret", settings::secret("NETHUNT_SECRET").to_owned())),
            "/api/consent" => Some((header::COOKIE.as_str(), format!("adtrail_visitor={VISITOR}"))),
            "/api/health/tracking" => Some((header::AUTHORIZATION.as_str(), format!("Bearer {HEALTH_KEY}"))),
            _ => None,
        };
        Self {
            operation: operation.into(),
            method: method.parse().expect("a method"),
            path: path.replace("{source}", "nethunt"),
            origin: Some(WEBSITE),
            headers: credentials.into_iter().collect(),
            body,
            status,
            says: None,
            by_schema: true,
        }
    }

    /// Called by a page of this website, or by no page at all.
    pub fn from(self, origin: Option<&'static str>) -> Self {
        Self { origin, ..self }
    }

    /// With this header instead of the credentials.
    pub fn with(self, name: &'static str, value: &str) -> Self {
        Self { headers: vec![(name, value.into())], ..self }
    }

    /// With this header, too.
    pub fn and(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Signed as the CRM of this preset does.
    pub fn signed_for(self, source: &str) -> Self {
        // As the server of these calls sees it.
        let url = format!("http://localhost{}", self.path);
        let signed = settings::sign(source, &url, &self.body, NOW.parse().expect("a time"));
        let headers = signed.headers.into_iter().map(|(name, value)| (&*name.leak(), value));
        Self { headers: headers.chain([("host", "localhost".to_owned())]).collect(), ..self }
    }

    /// The answer says this at this pointer.
    pub fn says(self, pointer: &'static str, value: impl Into<Value>) -> Self {
        Self { says: Some((pointer, value.into())), ..self }
    }

    /// The schema judges the body otherwise than the code.
    pub fn by_prose(self) -> Self {
        Self { by_schema: false, ..self }
    }
}

/// What the document says about this operation without naming its fields.
pub fn general(document: &Document, operation: &Operation) -> Vec<Call> {
    let name = operation.name();
    if operation.method == "OPTIONS" {
        return vec![
            Call::new(&name, 204, ""),
            Call::new(&name, 204, "").from(None),
            Call::new(&name, 403, "").from(Some("https://www.example.com.evil.example.com")),
        ];
    }
    let least = least(document, operation);
    let limit = usize::try_from(operation.value["x-body-limit-bytes"].as_u64().unwrap_or_default()).expect("bytes");
    let padded = |length: usize| format!("{least}{}", " ".repeat(length - least.len()));
    let mut calls = vec![
        Call { method: Method::PUT, ..Call::new(&name, 405, least.clone()) },
        Call::new(&name, 413, padded(limit + 1)),
        Call::new(&name, ANY_SUCCESS, padded(limit)),
    ];
    if operation.caller() == Caller::Anyone {
        calls.push(Call::new(&name, 304, "").and("if-none-match", "*"));
        let encodings = ["br", "gzip", "identity"];
        calls.extend(encodings.map(|it| Call::new(&name, 200, "").from(None).and("accept-encoding", it)));
    } else if operation.caller() == Caller::Browser {
        calls.push(Call::new(&name, ANY_SUCCESS, least.clone()).from(None));
        calls.push(Call::new(&name, 403, least.clone()).from(Some("http://www.example.com")));
        calls.push(Call::new(&name, 403, least.clone()).from(Some("null")));
    } else {
        calls.push(Call { headers: Vec::new(), ..Call::new(&name, 401, least.clone()) });
        calls.push(Call::new(&name, 401, least.clone()).with("authorization", "Bearer somebody-else"));
        calls.push(Call::new(&name, 401, least.clone()).with("authorization", "Basic YTpi"));
    }
    if document.find(&format!("{}/responses/204", operation.pointer)).is_some() {
        calls.push(Call::new(&name, 204, least).and("x-adtrail-dry-run", "true"));
    }
    if limit > 0 {
        // A beacon's type.
        calls.push(
            Call::new(&name, ANY_SUCCESS, shown(document, operation)[0].body.clone()).and("content-type", "text/plain"),
        );
        calls.extend(
            ["", "{", "[]", "null", "<html>"].map(|body| Call::new(&name, 400, body).says("/errors/0/pointer", "")),
        );
        // A declared source reads on.
        if !operation.path.ends_with("{source}") {
            calls.push(Call::new(&name, 400, r#"{"a":{"b~/":"\u0000"}}"#).says("/errors/0/pointer", "/a/b~0~1"));
        }
    }
    // What a declared source sends isn't known to the document.
    if operation.path.ends_with("{source}") {
        for call in calls.iter_mut().filter(|call| call.status == 400) {
            call.by_schema = !matches!(serde_json::from_slice(&call.body), Ok(Value::Object(_) | Value::Array(_)));
        }
    }
    calls
}

/// Every request that the document shows. It has to be accepted.
pub fn shown(document: &Document, operation: &Operation) -> Vec<Call> {
    let mut calls = Vec::new();
    for (kind, content) in document.members(&format!("{}/requestBody/content", operation.pointer)) {
        for (_, example) in document.members(&inside(&content.pointer, "examples")) {
            let body = example.value["value"].to_string();
            calls.push(Call::new(&operation.name(), ANY_SUCCESS, body).and("content-type", kind));
        }
    }
    calls
}

/// The same while the database can't do what is asked.
pub fn without_database(document: &Document, status: u16) -> Vec<Call> {
    let operations = document.operations();
    let calls = operations.iter().filter(|operation| operation.method != "OPTIONS");
    // What is public is in the binary.
    let status = |operation: &Operation| if operation.caller() == Caller::Anyone { 200 } else { status };
    calls.map(|operation| Call::new(&operation.name(), status(operation), least(document, operation))).collect()
}

/// A call of each operation that the spool takes while there is no database.
pub fn stored_for_later(document: &Document) -> Vec<Call> {
    let operations = document.operations();
    let spooled = ["POST /api/leads", "POST /api/webhooks/crm-conversion", "POST /api/webhooks/{source}"];
    let spooled = operations.iter().filter(|operation| spooled.contains(&operation.name().as_str()));
    let calls = spooled.map(|operation| Call::new(&operation.name(), 202, least(document, operation)));
    calls.map(|call| call.says("/status", "stored_for_later")).collect()
}

/// A call of each operation whose callers are above their limits.
pub fn above_the_limit(document: &Document) -> Vec<Call> {
    let operations = document.operations();
    let limited = operations.iter().filter(|it| document.find(&format!("{}/responses/429", it.pointer)).is_some());
    limited.map(|operation| Call::new(&operation.name(), 429, least(document, operation))).collect()
}

/// The smallest body that the document shows; none for an operation that takes none.
fn least(document: &Document, operation: &Operation) -> String {
    let shown = shown(document, operation).into_iter().map(|call| call.body).min_by_key(Vec::len);
    String::from_utf8(shown.unwrap_or_default()).expect("text")
}
