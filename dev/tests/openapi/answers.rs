//! Is an answer one that the document promises?

use std::collections::BTreeSet;

use lambda_http::http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::Value;
use shared::http::Caller;

use crate::document::{Document, Operation, Place, inside};

/// The website that may call.
pub const WEBSITE: &str = "https://www.example.com";

/// These are said once for all answers, in the document's introduction.
const SAID_ONCE: [HeaderName; 6] = [
    header::CACHE_CONTROL,
    header::X_CONTENT_TYPE_OPTIONS,
    header::VARY,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
];

/// What came back, and from where it was asked.
pub struct Answer {
    pub origin: Option<&'static str>,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Everything about an answer of this operation that the document doesn't promise.
pub fn surprises(document: &Document, operation: &Operation, answer: &Answer) -> Vec<String> {
    let status = answer.status.as_u16();
    let Some(response) = document.find(&format!("{}/responses/{status}", operation.pointer)) else {
        return vec![format!("{status} isn't documented")];
    };
    let mut found = Vec::new();
    if operation.method != "HEAD" {
        found.extend(body(document, &response, answer));
    }
    // What is public may be kept, and says so itself.
    let is_kept = operation.caller() == Caller::Anyone && status < 400;
    let said_once = if is_kept { &[header::X_CONTENT_TYPE_OPTIONS][..] } else { &SAID_ONCE };
    found.extend(headers(document, &response, said_once, answer));
    if !is_kept {
        found.extend(self::said_once(document, operation.caller() == Caller::Browser, answer));
    }
    if let Some(allow) = answer.headers.get(header::ALLOW) {
        let allowed: BTreeSet<_> = allow.to_str().unwrap_or_default().split(", ").map(str::to_owned).collect();
        let all = document.operations();
        let documented = all.iter().filter(|other| other.path == operation.path).map(|other| other.method.clone());
        if allowed != documented.collect() {
            found.push(format!("Allow names other methods than the document: {allow:?}"));
        }
    }
    found
}

/// The operations' statuses that are documented, without those that came back.
pub fn never_answered(document: &Document, answered: &BTreeSet<(String, u16)>) -> Vec<String> {
    let promised = document.operations().into_iter().flat_map(|operation| {
        let responses = document.members(&inside(&operation.pointer, "responses"));
        let statuses = responses.into_iter().map(|(status, _)| status.parse::<u16>().unwrap_or_default());
        statuses.map(|status| (operation.name(), status)).collect::<Vec<_>>()
    });
    promised
        .filter(|promise| !answered.contains(promise))
        .map(|(operation, status)| format!("{operation}: {status} is documented, and no call was answered so"))
        .collect()
}

/// The words of an answer that everybody who reads it has to know: why a conversion was skipped, the states of lanes.
pub fn words(said: &Value) -> Vec<String> {
    let reason = (said["status"] == "skipped").then(|| &said["reason"]);
    let states = said["platforms"].as_array().into_iter().flatten().map(|lane| &lane["state"]);
    reason.into_iter().chain(states).filter_map(Value::as_str).map(String::from).collect()
}

/// Such words that are documented, and no answer had.
pub fn never_said(document: &Document, said: &BTreeSet<String>) -> Vec<String> {
    let reasons = document.find("/components/schemas/ConversionSkipped/properties/reason/enum");
    let reasons: Vec<String> =
        reasons.map(|place| place.value.clone()).and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default();
    let states = document.members("/components/schemas/PlatformHealth/discriminator/mapping");
    let states = states.into_iter().map(|(state, _)| state.to_owned());
    let promised = reasons.into_iter().chain(states).filter(|word| !said.contains(word));
    promised.map(|word| format!("{word} is documented, and no answer had it")).collect()
}

/// What is wrong with the body of an answer that is documented as this response.
pub fn body(document: &Document, response: &Place, answer: &Answer) -> Vec<String> {
    let kind = answer.headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
    let contents = document.members(&inside(&response.pointer, "content"));
    match (contents.iter().find(|(documented, _)| Some(*documented) == kind), kind) {
        (Some(_), Some(kind)) if !kind.ends_with("json") => Vec::new(),
        (Some((_, content)), _) => match serde_json::from_slice::<Value>(&answer.body) {
            Ok(body) => document.violations(&inside(&content.pointer, "schema"), &body),
            Err(error) => vec![format!("the body isn't JSON: {error}")],
        },
        (None, None) if contents.is_empty() && answer.body.is_empty() => Vec::new(),
        (None, kind) => vec![format!("the Content-Type {kind:?} isn't documented")],
    }
}

fn headers(document: &Document, response: &Place, said_once: &[HeaderName], answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    let documented = document.members(&inside(&response.pointer, "headers"));
    for (name, place) in &documented {
        if place.value["required"] == true && !answer.headers.contains_key(*name) {
            found.push(format!("{name} is missing"));
        }
        found.extend(values(document, place, name, answer));
    }
    let unexpected = answer.headers.keys().filter(|name| {
        ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name)
            && !said_once.contains(name)
            && !documented.iter().any(|(documented, _)| name.as_str().eq_ignore_ascii_case(documented))
    });
    found.extend(unexpected.map(|name| format!("{name} isn't documented")));
    let cookies = answer.headers.get_all(header::SET_COOKIE).iter();
    let names: Vec<_> = cookies.map(|cookie| cookie.to_str().unwrap_or_default().split('=').next()).collect();
    if !names.is_empty() && names != [Some("adtrail_visitor"), Some("adtrail_attribution")] {
        found.push(format!("Set-Cookie isn't sent twice, once for each cookie: {names:?}"));
    }
    found
}

/// What is wrong with the values of a header.
fn values(document: &Document, header: &Place, name: &str, answer: &Answer) -> Vec<String> {
    let schema = inside(&header.pointer, "schema");
    let is_number = document.find(&schema).is_some_and(|schema| schema.value["type"] == "integer");
    let violations = answer.headers.get_all(name).iter().flat_map(|value| {
        let text = value.to_str().unwrap_or_default();
        let number = text.parse::<u64>().ok().filter(|_| is_number);
        document.violations(&schema, &number.map_or_else(|| text.into(), Value::from))
    });
    violations.map(|violation| format!("{name}: {violation}")).collect()
}

/// What is wrong with the headers that every answer has, at whatever path.
pub fn unhardened(headers: &HeaderMap) -> Vec<String> {
    let promised = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    let broken = promised.iter().filter(|(name, promised)| headers.get(name).is_none_or(|value| value != promised));
    broken.map(|(name, promised)| format!("{name} isn't {promised}")).collect()
}

/// What is said once for all answers.
fn said_once(document: &Document, for_browsers: bool, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(unhardened(&answer.headers));
    let [_, _, vary, cors @ ..] = SAID_ONCE;
    let readable = for_browsers && answer.origin == Some(WEBSITE);
    for (name, wanted) in std::iter::once((vary, for_browsers)).chain(cors.map(|name| (name, readable))) {
        if answer.headers.contains_key(&name) != wanted {
            found.push(format!("{name} is {}", if wanted { "missing" } else { "there" }));
        }
        let documented = document.members("/components/headers");
        match documented.iter().find(|(documented, _)| name.as_str().eq_ignore_ascii_case(documented)) {
            Some((_, place)) => found.extend(values(document, place, name.as_str(), answer)),
            None => found.push(format!("{name} has no schema")),
        }
    }
    if answer.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|origin| origin != WEBSITE) {
        found.push("Access-Control-Allow-Origin isn't the origin".into());
    }
    found
}

#[cfg(test)]
mod tests {
    use lambda_http::http::HeaderValue;
    use serde_json::json;

    use super::*;

    /// `503` of a visit: it has a bit of everything.
    fn answer() -> Answer {
        let visitor = "adtrail_visitor=3f0c9a52-6d1e-4b7a-9c55-0e2f4d8a7b61; Path=/; Max-Age=34560000; HttpOnly; Secure; SameSite=Lax";
        let attribution = "adtrail_attribution=e30; Path=/; Max-Age=7776000; HttpOnly; Secure; SameSite=Lax";
        let headers = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::VARY, "Origin"),
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, WEBSITE),
            (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Retry-After"),
            (header::RETRY_AFTER, "5"),
            (header::SET_COOKIE, visitor),
            (header::SET_COOKIE, attribution),
        ];
        let body = json!({"type": "/problems/unavailable", "title": "Not now", "status": 503});
        Answer {
            origin: Some(WEBSITE),
            status: StatusCode::SERVICE_UNAVAILABLE,
            headers: headers.into_iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, HeaderValue::from_static(value));
                headers
            }),
            body: body.to_string().into(),
        }
    }

    fn reported(document: &Document, answer: &Answer) -> Vec<String> {
        let operations = document.operations();
        let visit = operations.iter().find(|operation| operation.name() == "POST /api/track/visit");
        surprises(document, visit.expect("visits are documented"), answer)
    }

    #[test]
    fn every_kind_of_wrong_answer_is_reported() {
        let document = Document::read();
        assert_eq!(reported(&document, &answer()), [""; 0]);
        let teapot = Answer { status: StatusCode::IM_A_TEAPOT, ..answer() };
        assert_eq!(reported(&document, &teapot), ["418 isn't documented"]);
        let detailed = json!({"type": "/problems/unavailable", "title": "Not now", "status": 503, "detail": "SQL"});
        for (body, expected) in [("", "the body isn't JSON"), (detailed.to_string().as_str(), "/detail")] {
            let found = reported(&document, &Answer { body: body.into(), ..answer() });
            assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
        }
        let headers = [
            ("content-type", "text/html", "the Content-Type Some(\"text/html\") isn't documented"),
            ("cache-control", "public", "cache-control isn't no-store"),
            ("x-content-type-options", "", "x-content-type-options isn't nosniff"),
            ("vary", "Accept", "vary: "),
            ("vary", "", "vary is missing"),
            ("access-control-allow-origin", "*", "Access-Control-Allow-Origin isn't the origin"),
            ("access-control-allow-credentials", "", "access-control-allow-credentials is missing"),
            ("retry-after", "soon", "Retry-After: "),
            ("retry-after", "", "Retry-After is missing"),
            ("set-cookie", "adtrail_visitor=1; Path=/", "Set-Cookie isn't sent twice"),
            ("x-powered-by", "Adtrail", "x-powered-by isn't documented"),
            ("allow", "GET", "Allow names other methods than the document"),
        ];
        for (name, value, expected) in headers {
            let mut answer = answer();
            match value {
                "" => drop(answer.headers.remove(name)),
                value => drop(answer.headers.insert(name, HeaderValue::from_static(value))),
            }
            let found = reported(&document, &answer);
            assert!(found.iter().any(|surprise| surprise.starts_with(expected)), "{name}: {expected} not in {found:?}");
        }
        let stranger = reported(&document, &Answer { origin: Some("https://evil.example.com"), ..answer() });
        assert!(stranger.contains(&"access-control-allow-origin is there".to_owned()), "{stranger:?}");
    }

    #[test]
    fn a_promise_that_the_code_does_not_keep_is_reported() {
        let mistakes = [
            ("/components/schemas/Problem/required/-", json!("instance"), "\"instance\" is a required property"),
            ("/components/headers/Retry-After/schema/minimum", json!(60), "Retry-After: "),
            ("/paths/~1api~1track~1visit/post/responses/503", Value::Null, "503 isn't documented"),
            (
                "/paths/~1api~1track~1visit/post/responses/503/headers/Set-Cookie",
                Value::Null,
                "set-cookie isn't documented",
            ),
        ];
        for (pointer, mistake, expected) in mistakes {
            let mut document = Document::read();
            document.put(pointer, mistake);
            let found = reported(&document, &answer());
            assert!(found.iter().any(|surprise| surprise.contains(expected)), "{expected} not in {found:?}");
        }
    }

    #[test]
    fn a_status_that_nobody_is_answered_is_reported() {
        let mut document = Document::read();
        let all: BTreeSet<_> = document
            .operations()
            .iter()
            .flat_map(|operation| {
                let statuses = operation.value["responses"].as_object().into_iter().flat_map(serde_json::Map::keys);
                statuses.map(|status| (operation.name(), status.parse().expect("a number"))).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(never_answered(&document, &all), [""; 0]);
        document.put("/paths/~1api~1leads/post/responses/410", json!({"description": "Gone"}));
        assert_eq!(
            never_answered(&document, &all),
            ["POST /api/leads: 410 is documented, and no call was answered so"]
        );
    }

    #[test]
    fn a_word_that_nobody_is_answered_is_reported() {
        let mut document = Document::read();
        let missing = |document: &Document| never_said(document, &BTreeSet::from(["active".to_owned()]));
        let known = missing(&document).len();
        assert!(known > 5, "the reasons and the states: {known}");
        document.put("/components/schemas/ConversionSkipped/properties/reason/enum/-", json!("no_mood"));
        assert!(missing(&document).contains(&"no_mood is documented, and no answer had it".to_owned()));
        let said = json!({"status": "skipped", "reason": "no_mood"});
        assert_eq!(words(&said), ["no_mood"]);
        assert_eq!(words(&json!({"platforms": [{"state": "paused"}], "status": "degraded"})), ["paused"]);
        assert_eq!(words(&json!({"platforms": ["google_ads"], "status": "queued"})), [""; 0]);
    }
}
