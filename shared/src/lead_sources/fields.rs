//! What answers say of a lead: the questions of a form have names that its owner chose, in any language.

use std::collections::BTreeMap;

use serde_json::Value;

use super::answers::Answer;
use crate::attribution::networks::NETWORKS;
use crate::consent::ConsentStatus;
use crate::forms::pages::Rank;
use crate::http::Warning;
use crate::identity::{Carrier, Email};

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
    "consent",
];
/// Those that are only called so.
const BY_NAME: &[&str] = &["transaction_id", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];
/// Google's two purposes.
pub(super) const PURPOSES: &[&str] = &["ad_user_data", "ad_personalization"];

/// What the values of declared pointers say, by field, those of each pointer together.
pub(super) type Declared = BTreeMap<String, Vec<Vec<String>>>;

/// What is said of a lead, by field.
pub(super) struct Recognized {
    pub fields: BTreeMap<String, String>,
    /// The addresses of pages, its own first.
    pub pages: Vec<String>,
    /// And of the pages before.
    pub referrers: Vec<String>,
    pub warnings: Vec<Warning>,
}

/// Reads the answers of a body. What a declaration points at comes first, if it can be used.
pub(super) fn recognized(found: &[Answer], declared: &Declared, carrier: Carrier) -> Recognized {
    let mut warnings = Vec::new();
    let email = email(found, declared.get("email"), carrier, &mut warnings);
    let reader = Reader { found, declared };
    let phone = reader.pick("phone", PHONE_KINDS, PHONE, |text| text.chars().filter(char::is_ascii_digit).count() >= 6);
    let message = reader.pick("message", &["textarea", "long_text"], MESSAGE, |_| true);
    let known = [("email", email), ("phone", phone), ("name", reader.name()), ("message", message)];
    let mut fields: BTreeMap<_, _> =
        known.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))).collect();
    for field in BY_NAME {
        fields.extend(reader.called(field).next().map(|value| ((*field).to_owned(), value.to_owned())));
    }
    for parameter in NETWORKS.iter().flat_map(|it| it.parameters) {
        let usable = reader.called(parameter.name).find(|value| parameter.read(value).is_some());
        let said = usable.or_else(|| reader.called(parameter.name).next());
        fields.extend(said.map(|value| (parameter.name.to_owned(), value.to_owned())));
    }
    fields.extend(reader.consent());
    let (pages, referrers) = reader.pages();
    Recognized { fields, pages, referrers, warnings }
}

const EMAIL_KINDS: &[&str] = &["email", "input_email", "work_email"];
const EMAIL: &[&str] = &["email", "e_mail", "mail", "emailaddress", "correo", "courriel", "user_email"];
const PHONE_KINDS: &[&str] = &["phone_number", "phone", "tel", "input_phone_number", "work_phone"];
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
const WHOLE_NAME: &[&str] = &["name", "full_name", "fullname", "your_name", "nombre", "nom", "vollstandiger_name"];
const FIRST_NAME: &[&str] = &["first_name", "firstname", "given_name", "vorname", "your_first_name", "fname"];
const LAST_NAME: &[&str] = &["last_name", "lastname", "family_name", "nachname", "surname", "your_last_name", "lname"];

/// The values that may be meant, the surest first: what the form builder says it is counts more than its owner's name.
fn candidates<'a>(found: &'a [Answer], kinds: &[&str], words: &[&str]) -> Vec<&'a str> {
    let of_kind = found.iter().filter(|answer| kinds.contains(&answer.kind.as_str()));
    let exact = found.iter().filter(|answer| answer.names.iter().any(|name| is_exactly(name, words)));
    let named = found.iter().filter(|answer| answer.names.iter().any(|name| has_word(name, words)));
    of_kind.chain(exact).chain(named).flat_map(|answer| &answer.values).map(String::as_str).collect()
}

/// The first address, and whether there are others.
fn email(
    found: &[Answer],
    declared: Option<&Vec<Vec<String>>>,
    carrier: Carrier,
    warnings: &mut Vec<Warning>,
) -> Option<String> {
    let read = |text: &str| Email::all(text, carrier).ok().map(|it| it.emails);
    let mut declared_values = declared.into_iter().flatten();
    let said: Vec<_> = match declared_values.find(|values| values.iter().any(|text| read(text).is_some())) {
        Some(values) => values.iter().map(String::as_str).collect(),
        None => candidates(found, EMAIL_KINDS, EMAIL),
    };
    let usable: Vec<_> = said.iter().filter_map(|text| Some((*text, read(text)?))).collect();
    if let Some((text, emails)) = usable.first() {
        if usable.iter().any(|(_, others)| others.iter().all(|it| !emails.contains(it))) {
            let detail = "has several values: the first that can be used is taken. Point fields.email at the right one";
            warnings.push(Warning { field: "email", detail: detail.into() });
        }
        return Some((*text).to_owned());
    }
    let unusable = declared.into_iter().flatten().flatten().map(String::as_str).chain(said).find(|it| it.contains('@'));
    unusable.map(String::from).or_else(|| {
        let visible = found.iter().filter(|answer| answer.kind != "hidden").flat_map(|answer| &answer.values);
        let looks_so = visible.map(String::as_str).find(|text| read(text).is_some())?;
        let detail = "is taken from an answer that isn't called so: point fields.email at it to be sure";
        warnings.push(Warning { field: "email", detail: detail.into() });
        Some(looks_so.to_owned())
    })
}

struct Reader<'a> {
    found: &'a [Answer],
    declared: &'a Declared,
}

impl<'a> Reader<'a> {
    /// What the declaration points at for a field.
    fn pointed_at(&self, field: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.declared.get(field).into_iter().flatten().flatten().map(String::as_str)
    }

    fn pick(&self, field: &str, kinds: &[&str], words: &[&str], fits: impl Fn(&str) -> bool) -> Option<String> {
        let mut candidates = self.pointed_at(field).chain(candidates(self.found, kinds, words));
        candidates.find(|text| fits(text)).or_else(|| self.pointed_at(field).next()).map(String::from)
    }

    fn name(&self) -> Option<String> {
        let first = |parts: &'static [&str]| {
            let it = self.found.iter().find(|it| it.names.iter().any(|name| parts.contains(&name.as_str())));
            it.and_then(|it| it.values.first()).map(String::as_str)
        };
        let parts = || {
            let parts: Vec<_> = [first(FIRST_NAME), first(LAST_NAME)].into_iter().flatten().collect();
            (!parts.is_empty()).then(|| parts.join(" "))
        };
        self.pointed_at("name").next().or_else(|| first(WHOLE_NAME)).map(String::from).or_else(parts)
    }

    /// The values of this parameter.
    fn called<'p>(&self, parameter: &'p str) -> impl Iterator<Item = &'a str> + use<'a, 'p> {
        let is_it = move |answer: &&Answer| answer.names.iter().any(|name| is_called(name, parameter));
        let named = self.found.iter().filter(is_it);
        self.pointed_at(parameter).chain(named.flat_map(|answer| &answer.values).map(String::as_str))
    }

    /// What is said of Google's purposes, and of both in one word. A no is never lost for something said beside it.
    fn consent(&self) -> Vec<(String, String)> {
        let word = self.found.iter().filter(|answer| answer.names.iter().any(|name| name == "consent"));
        let word = self.pointed_at("consent").chain(word.flat_map(|answer| &answer.values).map(String::as_str));
        let of_both = surest(word);
        let of = |purpose: &&str| {
            let own = surest(self.called(purpose));
            let is_answer = own.is_some_and(|own| said(own).is_some_and(|it| it != ConsentStatus::Unknown));
            let said = if is_answer { own } else { of_both.or(own) };
            Some(((*purpose).to_owned(), said?.to_owned()))
        };
        PURPOSES.iter().filter_map(of).collect()
    }

    /// Addresses of pages, and of the pages before: the form's own, then that of the landing page.
    fn pages(&self) -> (Vec<String>, Vec<String>) {
        let rank = |answer: &'a Answer| Some((Rank::of(&answer.names)?, answer));
        let mut named: Vec<_> = self.found.iter().filter_map(rank).collect();
        named.sort_by_key(|(rank, _)| *rank);
        let (referrers, own): (Vec<_>, Vec<_>) = named.into_iter().partition(|(rank, _)| rank.is_referrer());
        let values = |answers: Vec<(Rank, &'a Answer)>| answers.into_iter().flat_map(|(_, answer)| &answer.values);
        (
            self.pointed_at("page").map(String::from).chain(values(own).cloned()).collect(),
            values(referrers).cloned().collect(),
        )
    }
}

/// The word that counts of several: the first no, else the first.
fn surest<'a>(words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let words: Vec<_> = words.collect();
    let no = words.iter().find(|word| said(word) == Some(ConsentStatus::Denied));
    no.or(words.first()).copied()
}

fn said(word: &str) -> Option<ConsentStatus> {
    ConsentStatus::said(&Value::from(word)).ok()
}

/// Is it one of these words, with or without `your` before it?
fn is_exactly(name: &str, words: &[&str]) -> bool {
    words.contains(&name.strip_prefix("your_").unwrap_or(name))
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
