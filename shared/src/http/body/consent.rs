//! Consent in a body, as it is written: what can't be understood is unknown, never a yes and never a reason to refuse.

use serde_json::Value;

use super::Fields;
use crate::consent::{Consent, ConsentStatus, UnknownWord};
use crate::warning::Warning;

/// The answers in an object, or in the body itself.
#[derive(Debug)]
pub struct Answers<'a> {
    fields: Fields<'a>,
    /// Where Google's purposes may stand as well.
    beside: Option<Fields<'a>>,
    /// What is said instead of an object.
    flat: ConsentStatus,
}

impl<'a> Fields<'a> {
    /// What is said of a purpose, however its name is spelled: a no isn't lost for `adUserData`.
    fn said_of(&self, purpose: &str) -> Option<&'a Value> {
        let plain = |name: &str| name.replace(['_', '-', ' '], "").to_lowercase();
        let spelled = || self.iter().find(|(name, _)| plain(name) == plain(purpose));
        self.hint(purpose, Some).or_else(|| spelled().map(|(_, said)| said))
    }
}

/// What is said instead of an object, or in one that has it as its value.
fn word_in(said: &Value) -> Option<&Value> {
    match said {
        Value::Object(object) => ["value", "status", "state", "answer"].iter().find_map(|name| object.get(*name)),
        word => Some(word),
    }
}

/// The purposes that are in the object `consent`.
pub(super) const PURPOSES: &[&str] = &["ad_user_data", "ad_personalization", "marketing", "data_processing"];

impl<'a> Answers<'a> {
    /// Those of the body itself.
    #[must_use]
    pub fn of(fields: Fields<'a>) -> Self {
        Self { fields, beside: None, flat: ConsentStatus::Unknown }
    }

    /// Those of the object `consent`, for Google's purposes also of the body itself. A word that stands there instead
    /// of an object is said of both of Google's purposes, and a no among several words counts.
    #[must_use]
    pub fn inside(body: &Fields<'a>, warnings: &mut Vec<Warning>) -> Self {
        let said = match body.hint("consent", Some) {
            Some(Value::Array(several)) => several.as_slice(),
            one => one.map(std::slice::from_ref).unwrap_or_default(),
        };
        let names_a_purpose = |said: &&Value| {
            let fields = body.inside("consent", said.as_object());
            PURPOSES.iter().any(|purpose| fields.said_of(purpose).is_some())
        };
        let words = said.iter().filter(|said| !names_a_purpose(said)).filter_map(word_in);
        let words: Vec<_> = words.map(ConsentStatus::said).collect();
        let said_of_all = |status| words.contains(&Ok(status));
        let (flat, detail) = match () {
            () if said_of_all(ConsentStatus::Denied) => (ConsentStatus::Denied, "is taken as a no to both"),
            () if words.iter().any(Result::is_err) => (ConsentStatus::Unknown, "is taken as unknown"),
            () if said_of_all(ConsentStatus::Granted) => (ConsentStatus::Granted, "is taken as a yes to both"),
            () => (ConsentStatus::Unknown, "is taken as unknown"),
        };
        if flat != ConsentStatus::Unknown || words.iter().any(Result::is_err) {
            let detail = format!("{detail} ad_user_data and ad_personalization: say it of each, in an object");
            warnings.push(Warning { field: "consent", detail });
        }
        let object =
            said.iter().find(|said| names_a_purpose(said)).or_else(|| said.iter().find(|said| said.is_object()));
        let fields = body.inside("consent", object.and_then(Value::as_object));
        Self { fields, beside: Some(body.clone()), flat }
    }

    /// The answer for this purpose; `field` is the purpose as a warning names it.
    #[must_use]
    pub fn status(&self, purpose: &str, field: &'static str, warnings: &mut Vec<Warning>) -> ConsentStatus {
        let beside = || self.beside.as_ref().filter(|_| purpose.starts_with("ad_"))?.said_of(purpose);
        let Some(said) = self.fields.said_of(purpose).or_else(beside) else { return self.flat };
        ConsentStatus::said(said).unwrap_or_else(|UnknownWord| {
            warnings.push(Warning { field, detail: UnknownWord.to_string() });
            ConsentStatus::Unknown
        })
    }

    /// Both of Google's purposes, of the object `consent`.
    #[must_use]
    pub fn to_ads(&self, warnings: &mut Vec<Warning>) -> Consent {
        Consent {
            ad_user_data: self.status("ad_user_data", "consent/ad_user_data", warnings),
            ad_personalization: self.status("ad_personalization", "consent/ad_personalization", warnings),
        }
    }

    /// Yes or no, of the object `consent`.
    #[must_use]
    pub fn boolean(&self, name: &str, field: &'static str, warnings: &mut Vec<Warning>) -> Option<bool> {
        // What is said of everything is said of ads.
        self.fields.said_of(name)?;
        match self.status(name, field, warnings) {
            ConsentStatus::Granted => Some(true),
            ConsentStatus::Denied => Some(false),
            ConsentStatus::Unknown => None,
        }
    }
}
