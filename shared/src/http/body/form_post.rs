//! A form as a browser or a form builder posts it, as the JSON that a script would have sent.

use lambda_http::Body;
use lambda_http::http::{HeaderValue, header};
use serde_json::{Map, Value};

use super::consent::PURPOSES;
use super::names::ours;
use super::several::combined;
use super::shape::Shape;
use crate::consent::ConsentStatus;
use crate::encoding::{decoded, pairs};
use crate::http::Request;
use crate::identity::{Carrier, Email, with_lost_plus};

/// More fields than any form has.
pub(super) const MOST_FIELDS: usize = 1_000;
/// What form builders send of a field beside its value, as in `fields[email][title]`.
const BESIDE_THE_VALUE: &[&str] = &["id", "type", "title", "raw_value", "required", "label", "name"];

/// The same request with a JSON body if it is a form post, urlencoded or multipart; else as it is. A JSON object stays
/// one whatever its content type says.
#[must_use]
pub fn as_json(mut request: Request) -> Request {
    // The mark that some editors put before a text.
    if let Some(body) = request.body().strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec) {
        *request.body_mut() = Body::Binary(body);
    }
    let is_json = request.body().iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let (kind, content_type) = content_type(&request);
    let fields = match kind.as_str() {
        "application/x-www-form-urlencoded" if !is_json => urlencoded(request.body()),
        "multipart/form-data" if !is_json => multipart(request.body(), content_type),
        _ => return request,
    };
    *request.body_mut() = Body::Text(Value::Object(form(fields)).to_string());
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

/// The JSON of a multipart form, whatever its content type says; None of any other body.
#[must_use]
pub fn multipart_as_json(request: &Request) -> Option<String> {
    let (kind, content_type) = content_type(request);
    let is_one = kind == "multipart/form-data" || Shape::of(&decoded(request.body())) == Shape::Multipart;
    is_one.then(|| Value::Object(form(multipart(request.body(), content_type))).to_string())
}

/// In small letters without its parameters, and as it is.
fn content_type(request: &Request) -> (String, &str) {
    let written = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    (written.split(';').next().unwrap_or_default().trim().to_ascii_lowercase(), written)
}

pub(super) fn form(fields: Vec<(String, String)>) -> Map<String, Value> {
    let mut form = Map::new();
    for (name, value) in fields.into_iter().take(MOST_FIELDS) {
        put(&mut form, &name, value);
    }
    form
}

pub(super) fn urlencoded(body: &[u8]) -> Vec<(String, String)> {
    pairs(body).map(|(name, value)| (name.clone(), with_plus(&name, value))).collect()
}

/// A plus that wasn't escaped reads as a space. No local part has one.
fn with_plus(name: &str, value: String) -> String {
    match field(name).as_deref() {
        Some("email") => with_plus_in_email(value),
        Some("phone") => with_lost_plus(value),
        _ => value,
    }
}

/// The addresses of a text that came urlencoded, each with its plus; the text itself if it has none.
#[must_use]
pub fn with_plus_in_email(text: String) -> String {
    let found = Email::all(&text, Carrier::Form);
    found.map_or(text, |found| found.emails.iter().map(Email::as_str).collect::<Vec<_>>().join(", "))
}

/// The texts of a multipart body (RFC 7578). Files are left out. The boundary that the content type doesn't name is
/// what the body begins with.
pub(super) fn multipart(body: &[u8], content_type: &str) -> Vec<(String, String)> {
    let boundary = content_type.split(';').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    });
    let text = decoded(body);
    let first_line = || text.lines().next()?.strip_prefix("--").map(str::trim_end);
    let named = boundary.filter(|it| !it.is_empty() && text.contains(&format!("--{it}")));
    let Some(boundary) = named.or_else(first_line).filter(|it| !it.is_empty()) else { return Vec::new() };
    let separator = format!("--{boundary}");
    let parts = text.split(&separator).skip(1).take_while(|part| !part.starts_with("--"));
    parts.filter_map(part).collect()
}

/// The name and the text of a part that is no file.
fn part(part: &str) -> Option<(String, String)> {
    let part = part.strip_prefix("\r\n").or_else(|| part.strip_prefix('\n'))?;
    let (head, content) = part.split_once("\r\n\r\n").or_else(|| part.split_once("\n\n"))?;
    let content = content.strip_suffix("\r\n").or_else(|| content.strip_suffix('\n')).unwrap_or(content);
    let is_disposition = |line: &&str| line.to_ascii_lowercase().starts_with("content-disposition:");
    let disposition = head.lines().find(is_disposition)?;
    let named = |wanted: &str| {
        disposition.split(';').skip(1).find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"'))
        })
    };
    named("filename").is_none().then_some(())?;
    Some((named("name")?.to_owned(), content.to_owned()))
}

/// Our name of the field that is called so in a form: `Your-Email`, `fields[email][value]`, `consent[marketing]`. None
/// for what isn't the value of a field.
fn field(written: &str) -> Option<String> {
    let parts: Vec<_> = written.split(['[', ']', '.']).filter(|part| !part.is_empty()).collect();
    let (last, rest) = parts.split_last()?;
    let name = match rest {
        [.., name] if last.eq_ignore_ascii_case("value") => name,
        [_, _, ..] if BESIDE_THE_VALUE.iter().any(|it| last.eq_ignore_ascii_case(it)) => return None,
        _ => last,
    };
    Some(ours(name))
}

/// Of several values, as of boxes to tick, all that say something are kept.
fn put(form: &mut Map<String, Value>, name: &str, value: String) {
    let Some(name) = field(name) else { return };
    let said = Value::String(value);
    let (name, said) = if PURPOSES.contains(&name.as_str()) {
        ("consent".into(), Value::Object([(name, said)].into_iter().collect()))
    } else if name == "gpc" {
        let is_on = ConsentStatus::said(&said) == Ok(ConsentStatus::Granted);
        let was_on = form.get("gpc") == Some(&Value::Bool(true));
        (name, Value::Bool(is_on || was_on))
    } else {
        (name, said)
    };
    let said = match form.remove(&name) {
        Some(known) if !known.is_boolean() => combined(known, said),
        _ => said,
    };
    form.insert(name, said);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(content_type: &str, body: &str) -> Value {
        let mut request = Request::new(Body::from(body));
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        serde_json::from_slice(as_json(request).body()).unwrap_or_default()
    }

    #[test]
    fn a_form_post_is_read_whatever_its_builder_calls_the_fields() {
        for (body, form) in [
            ("email=jane%40example.com&gclid=Click-1", json!({"email": "jane@example.com", "gclid": "Click-1"})),
            ("your-email=jane%40example.com&your-name=Jane", json!({"email": "jane@example.com", "name": "Jane"})),
            ("E-Mail=jane+x%40example.com", json!({"email": "jane+x@example.com"})),
            ("Tel=+49+30+901820", json!({"phone": "+49 30 901820"})),
            // Of no country: a space that somebody typed.
            ("Tel=+415+555+2671", json!({"phone": " 415 555 2671"})),
            ("Phone=+030+1&name=+Jane", json!({"phone": " 030 1", "name": " Jane"})),
            (
                "fields%5Bemail%5D%5Bid%5D=email&fields%5Bemail%5D%5Btitle%5D=Your+mail&fields[email][value]=j%40x.org",
                json!({"email": "j@x.org"}),
            ),
            ("form_fields[GCLID]=Click-1&form[id]=7", json!({"gclid": "Click-1", "id": "7"})),
            (
                "consent[marketing]=on&consent.ad_user_data=no&ad_personalization=yes",
                json!({"consent": {"marketing": "on", "ad_user_data": "no", "ad_personalization": "yes"}}),
            ),
            (
                "ad_user_data=0&ad_user_data=1&consent[marketing]=&consent[marketing]=no",
                json!({"consent": {"ad_user_data": ["0", "1"], "marketing": "no"}}),
            ),
            ("email=&email=a%40x.org&email=", json!({"email": "a@x.org"})),
            ("email=a%40x.org&E-Mail=b%40x.org&mail=a%40x.org", json!({"email": ["a@x.org", "b@x.org"]})),
            ("your-email=none&email=b%40x.org", json!({"email": "b@x.org"})),
            ("consent=no&consent[marketing]=on", json!({"consent": ["no", {"marketing": "on"}]})),
            ("ad_user_data=yes&consent=0", json!({"consent": [{"ad_user_data": "yes"}, "0"]})),
            (
                "name=J%FCrgen&message=Stra%DFe+%96+3%80&n%E4me=x",
                json!({
                    "name": "Jürgen", "message": "Straße – 3€", "näme": "x",
                }),
            ),
            ("gpc=1&gpc=0&email", json!({"gpc": true, "email": ""})),
        ] {
            assert_eq!(read("application/x-www-form-urlencoded; charset=UTF-8", body), form, "{body}");
        }
    }

    #[test]
    fn a_multipart_form_is_read_without_its_files() {
        let body = "preamble\r\n--x1\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\njane+x@example.com\r\n\
                    --x1\r\ncontent-disposition: form-data; name=\"cv\"; filename=\"cv.pdf\"\r\n\
                    Content-Type: application/pdf\r\n\r\n%PDF\r\n\
                    --x1\r\nContent-Disposition: form-data; name=message\r\n\r\nLine one\r\n\r\nline two\r\n--x1--\r\n";
        let form = json!({"email": "jane+x@example.com", "message": "Line one\r\n\r\nline two"});
        assert_eq!(read("multipart/form-data; boundary=x1", body), form);
        let mut latin = Request::new(Body::Binary(body.replace("Line", "Zeile Ü").bytes().collect()));
        let at = latin.body().windows(2).position(|it| it == "Ü".as_bytes()).unwrap();
        let bytes = [&latin.body()[..at], b"\xdc", &latin.body()[at + 2..]].concat();
        *latin.body_mut() = Body::Binary(bytes);
        latin.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("multipart/form-data; boundary=x1"));
        let latin: Value = serde_json::from_slice(as_json(latin).body()).unwrap();
        assert_eq!(latin["message"], "Zeile Ü one\r\n\r\nline two");
        assert_eq!(read("Multipart/Form-Data; boundary=\"x1\"", body), form);
        let body = body.strip_prefix("preamble\r\n").unwrap();
        for other in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=y"] {
            assert_eq!(read(other, body), form, "{other}");
        }
        assert_eq!(read("multipart/form-data", "no form"), json!({}));
    }

    #[test]
    fn json_stays_json_whatever_its_content_type_says() {
        for content_type in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"] {
            assert_eq!(read(content_type, r#" {"email":"a=b&c"}"#), json!({"email": "a=b&c"}), "{content_type}");
        }
    }
}
