//! Who answered what: the questions of a form have names that its owner chose, in any language, and each form builder
//! puts them elsewhere.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::absent::is_nothing;
use crate::attribution::networks;
use crate::http::Warning;
use crate::identity::{Email, number_as_text};

/// What a lead may have besides clicks.
pub(super) const FIELDS: &[&str] = &[
    "email",
    "phone",
    "name",
    "message",
    "page",
    "transaction_id",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_term",
    "utm_content",
    "ad_user_data",
    "ad_personalization",
];

/// Levels of objects that are searched where no place is declared.
const DEPTH: usize = 4;

/// An answer, and all that it is called.
struct Answer {
    names: Vec<String>,
    /// Its type, as the form builder calls it.
    kind: String,
    value: String,
}

/// The answers that say something about a lead, by field.
pub(super) struct Answers {
    pub fields: BTreeMap<String, String>,
    pub warnings: Vec<Warning>,
}

impl Answers {
    /// Of a body: of what these pointers point at, else of all of it.
    pub fn of(body: &Value, places: &[String], questions: Option<&str>) -> Self {
        let titles = questions.and_then(|questions| body.pointer(questions)).map(titles).unwrap_or_default();
        let mut found = Vec::new();
        if places.is_empty() {
            collect(body, &titles, DEPTH, &mut found);
        }
        for place in places.iter().filter_map(|place| body.pointer(place)) {
            collect(place, &titles, 1, &mut found);
        }
        Self::recognized(&found)
    }

    fn recognized(found: &[Answer]) -> Self {
        let mut fields = BTreeMap::new();
        let mut warnings = Vec::new();
        let parameters: Vec<_> = networks::NETWORKS.iter().flat_map(|it| it.parameters).map(|it| it.name).collect();
        for field in FIELDS.iter().skip(5).copied().chain(parameters) {
            let named = found.iter().find(|answer| answer.names.iter().any(|name| is_called(name, field)));
            fields.extend(named.map(|answer| (field.to_owned(), answer.value.clone())));
        }
        // Rather what the form builder says it is than what its owner calls it.
        let pick = |kinds: &[&str], words: &[&str], fits: &dyn Fn(&str) -> bool| {
            let of_kind = found.iter().filter(|answer| kinds.contains(&answer.kind.as_str()));
            let named = found.iter().filter(|answer| answer.names.iter().any(|name| has_word(name, words)));
            let exactly = |name: &String| words.contains(&name.strip_prefix("your_").unwrap_or(name));
            let exact = found.iter().filter(|answer| answer.names.iter().any(exactly));
            of_kind
                .chain(exact)
                .chain(named)
                .map(|answer| answer.value.as_str())
                .find(|value| fits(value))
                .map(String::from)
        };
        let is_email = |text: &str| Email::parse(text).is_ok();
        let email = pick(&["email", "input_email", "work_email"], EMAIL, &is_email)
            .or_else(|| pick(&["email", "input_email"], EMAIL, &|text| text.contains('@')));
        let email = email.or_else(|| {
            let looks_so = found.iter().find(|answer| answer.kind != "hidden" && is_email(&answer.value));
            let detail = "is taken from an answer that isn't called so: point fields.email at it to be sure";
            warnings.extend(looks_so.map(|_| Warning { field: "email", detail: detail.into() }));
            looks_so.map(|answer| answer.value.clone())
        });
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).count() >= 6;
        let phone = pick(&["phone_number", "phone", "tel", "input_phone_number", "work_phone"], PHONE, &digits);
        let whole = |it: &Answer| it.names.iter().any(|name| WHOLE_NAME.contains(&name.as_str()));
        let part = |parts: &'static [&str]| {
            let it = found.iter().find(|it| it.names.iter().any(|name| parts.contains(&name.as_str())));
            it.map(|it| it.value.as_str())
        };
        let parts = || {
            let parts: Vec<_> = [part(FIRST_NAME), part(LAST_NAME)].into_iter().flatten().collect();
            (!parts.is_empty()).then(|| parts.join(" "))
        };
        let name = found.iter().find(|it| whole(it)).map(|it| it.value.clone()).or_else(parts);
        let message = pick(&["textarea", "long_text"], MESSAGE, &|_| true);
        let page = pick(&[], PAGE, &|text| text.starts_with("http"));
        let known = [("email", email), ("phone", phone), ("name", name), ("message", message), ("page", page)];
        fields.extend(known.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))));
        Self { fields, warnings }
    }
}

const EMAIL: &[&str] = &["email", "e_mail", "mail", "emailaddress", "correo", "courriel", "user_email"];
const PHONE: &[&str] = &[
    "phone",
    "tel",
    "telephone",
    "telefon",
    "telefono",
    "mobile",
    "mobil",
    "handy",
    "whatsapp",
    "cell",
    "phonenumber",
    "text_reminder_number",
];
const MESSAGE: &[&str] = &["message", "msg", "comment", "comments", "nachricht", "mensaje", "enquiry", "inquiry"];
const PAGE: &[&str] = &["page_url", "pageurl", "page", "landing_page", "source_url", "url", "referrer", "referer"];
const WHOLE_NAME: &[&str] = &["name", "full_name", "fullname", "your_name", "nombre", "nom", "vollstandiger_name"];
const FIRST_NAME: &[&str] = &["first_name", "firstname", "given_name", "vorname", "your_first_name", "fname"];
const LAST_NAME: &[&str] = &["last_name", "lastname", "family_name", "nachname", "surname", "your_last_name", "lname"];

/// A scalar as text, if it says something.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number_as_text(value).unwrap_or_else(|| number.to_string()),
        Value::Bool(said) => said.to_string(),
        // Boxes to tick: the first.
        Value::Array(several) => {
            return several.iter().find_map(|value| if value.is_array() { None } else { text(value) });
        }
        Value::Object(_) | Value::Null => return None,
    };
    (!is_nothing(&text)).then_some(text)
}

/// In small letters, its words apart by `_`.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    let mut was_small = false;
    for c in name.trim().chars() {
        if c.is_alphanumeric() {
            if c.is_uppercase() && was_small {
                plain.push('_');
            }
            plain.extend(c.to_lowercase());
        } else if !plain.is_empty() && !plain.ends_with('_') {
            plain.push('_');
        }
        was_small = c.is_lowercase();
    }
    plain.trim_end_matches('_').to_owned()
}

fn has_word(name: &str, words: &[&str]) -> bool {
    let around = format!("_{name}_");
    words.iter().any(|word| around.contains(&format!("_{word}_")))
}

/// Is it the parameter itself, with or without something before it, such as `ms_clkid` and `hidden_msclkid`?
fn is_called(name: &str, parameter: &str) -> bool {
    let bare = |text: &str| text.replace('_', "");
    name == parameter || bare(name) == bare(parameter) || name.ends_with(&format!("_{parameter}"))
}

/// The questions of answers by their ids.
fn titles(questions: &Value) -> BTreeMap<String, String> {
    let all = questions.as_array().into_iter().flatten();
    all.filter_map(|it| Some((text(&it["id"])?, text(it.get("title").or(it.get("label"))?)?))).collect()
}

/// All answers in a value, those of outer objects first.
fn collect(value: &Value, titles: &BTreeMap<String, String>, depth: usize, found: &mut Vec<Answer>) {
    match value {
        Value::Array(answers) => {
            found.extend(answers.iter().filter_map(Value::as_object).filter_map(|it| answer(None, it, titles)));
        }
        Value::Object(object) => {
            for (name, value) in object {
                let names = || vec![plain(name)];
                let scalar = text(value).map(|value| Answer { names: names(), kind: String::new(), value });
                let inner = value.as_object().and_then(|it| answer(Some(name), it, titles));
                found.extend(scalar.into_iter().chain(inner));
            }
            let inner = object.values().filter(|it| depth > 1 && (it.is_object() || it.is_array()));
            inner.for_each(|it| collect(it, titles, depth - 1, found));
        }
        _ => {}
    }
}

/// An answer with its question beside it.
fn answer(name: Option<&str>, it: &Map<String, Value>, titles: &BTreeMap<String, String>) -> Option<Answer> {
    let field = it.get("field").and_then(Value::as_object);
    let get = |key: &str| it.get(key).or_else(|| field?.get(key)).and_then(text);
    let kind = it.get("type").and_then(text).unwrap_or_default();
    let value = ["string_value", "value", "answer", "raw_value", kind.as_str()].into_iter().find_map(|key| it.get(key));
    // A choice has a label of its own.
    let value = value?;
    let value = text(value.get("label").unwrap_or(value))?;
    let names = ["column_id", "column_name", "key", "ref", "label", "title", "question", "name", "id"];
    let asked = get("id").and_then(|id| titles.get(&id).cloned());
    let names = names.into_iter().filter_map(get).chain(asked).chain(name.map(String::from));
    let names: Vec<_> = names.map(|name| plain(&name)).collect();
    (!names.is_empty()).then(|| Answer { names, kind: plain(&kind), value })
}
