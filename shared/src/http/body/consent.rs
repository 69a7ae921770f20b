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
        let spelled = || self.object?.iter().find(|(name, said)| !said.is_null() && plain(name) == plain(purpose));
        self.hint(purpose, Some).or_else(|| spelled().map(|(_, said)| said))
    }
}

impl<'a> Answers<'a> {
    /// Those of the body itself.
    #[must_use]
    pub fn of(fields: Fields<'a>) -> Self {
        Self { fields, beside: None, flat: ConsentStatus::Unknown }
    }

    /// Those of the object `consent`, for Google's purposes also of the body itself. A no that stands there instead of
    /// an object is one to everything; a yes doesn't say to what.
    #[must_use]
    pub fn inside(body: &Fields<'a>, warnings: &mut Vec<Warning>) -> Self {
        let said = match body.hint("consent", Some) {
            Some(Value::Array(several)) => several.as_slice(),
            one => one.map(std::slice::from_ref).unwrap_or_default(),
        };
        let mut words = said.iter().filter(|said| !said.is_object()).peekable();
        let mut flat = ConsentStatus::Unknown;
        if words.peek().is_some() {
            let is_no = words.any(|said| ConsentStatus::said(said) == Ok(ConsentStatus::Denied));
            flat = if is_no { ConsentStatus::Denied } else { flat };
            let detail = if is_no {
                "is taken as a no to everything: it must be an object that says it of each purpose"
            } else {
                "is left out: it must be an object that says it of each purpose, such as ad_user_data"
            };
            warnings.push(Warning { field: "consent", detail: detail.into() });
        }
        let of = |object| Fields { object, path: format!("{}/consent", body.path), errors: body.errors };
        let beside = Fields { object: body.object, path: body.path.clone(), errors: body.errors };
        Self { fields: of(said.iter().find_map(Value::as_object)), beside: Some(beside), flat }
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
