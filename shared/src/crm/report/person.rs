//! The person of a deal.

use serde_json::Value;
use uuid::Uuid;

use super::Reader;
use crate::attribution::Clicks;
use crate::crm::fields::Pointers;
use crate::http::Warning;
use crate::identity::{Email, Phone};

/// The maximum number of addresses of one person. A longer list may be of a whole company.
const MAX_EMAILS: usize = 20;

/// The data by which a lead can be found.
#[derive(Default)]
pub(super) struct Person {
    pub lead_id: Option<Uuid>,
    pub email: Option<Email>,
    pub other_emails: Vec<Email>,
    pub phone: Option<Phone>,
}

impl Reader<'_> {
    /// A click says whose a deal is, too.
    pub(super) fn person(&mut self, clicks: &Clicks) -> Person {
        let fields = &self.source.fields;
        let errors = self.errors.len();
        let mut emails: Vec<Email> = Vec::new();
        for (pointer, text) in texts(fields.email.as_ref(), self.item) {
            match text.and_then(Email::parse) {
                Ok(email) if emails.contains(&email) || emails.len() == MAX_EMAILS => {}
                Ok(email) => emails.push(email),
                Err(why) => self.warn_or_refuse("email", &pointer, why),
            }
        }
        let mut phones = Vec::new();
        for (pointer, text) in texts(fields.phone.as_ref(), self.item) {
            match text.and_then(|text| Phone::parse(text, self.when.region)) {
                Ok(phone) => phones.push((pointer, phone)),
                Err(why) => self.warn_or_refuse("phone", &pointer, why),
            }
        }
        // Of several numbers, one that can be matched.
        let at = phones.iter().position(|(_, phone)| phone.hash().is_ok()).unwrap_or_default();
        let phone = phones.into_iter().nth(at);
        let mut lead_id = None;
        for (pointer, text) in texts(fields.lead_id.as_ref(), self.item).into_iter().take(1) {
            match text.and_then(|text| Uuid::try_parse(text).map_err(|_| "must be a UUID".into())) {
                Ok(id) => lead_id = Some(id),
                Err(why) => self.warn_or_refuse("lead_id", &pointer, why),
            }
        }
        if emails.is_empty() && lead_id.is_none() && errors == self.errors.len() {
            self.unnamed(phone.as_ref(), clicks.has_click());
        }
        self.warnings.extend(Warning::of_phone(phone.as_ref().map(|(_, phone)| phone)));
        let mut emails = emails.into_iter();
        Person { lead_id, email: emails.next(), other_emails: emails.collect(), phone: phone.map(|(_, phone)| phone) }
    }

    /// There is no person, except possibly a phone or a click.
    fn unnamed(&mut self, phone: Option<&(String, Phone)>, has_click: bool) {
        let fields = &self.source.fields;
        if phone.is_some_and(|(_, phone)| phone.hash().is_ok()) {
            return;
        }
        let declared = [&fields.email, &fields.phone, &fields.lead_id].into_iter().flatten();
        if declared.clone().any(|field| field.wait(self.item)) {
            self.waits = true;
            return;
        }
        if has_click {
            return;
        }
        if !self.source.strict {
            let detail = "identifies no one: it has no valid e-mail, phone, lead_id or click id".into();
            self.warnings.push(Warning { field: "email", detail });
        } else if let Some((pointer, phone)) = phone
            && let Err(why) = phone.hash()
        {
            // A number that can't be matched identifies no one.
            self.refuse(pointer, why.to_string());
        } else {
            let pointer = declared.map(Pointers::first).next().unwrap_or_default();
            self.refuse(pointer, "is required, unless there is a phone, a lead_id or a click id");
        }
    }
}

/// The texts of a field, which may be an array of them, each with its pointer.
fn texts<'a>(pointers: Option<&Pointers>, item: &'a Value) -> Vec<(String, Result<&'a str, String>)> {
    let Some((pointer, value)) = pointers.and_then(|pointers| pointers.find(item)) else {
        return Vec::new();
    };
    let elements: Vec<_> = match value {
        Value::Array(array) => array.iter().enumerate().map(|(at, it)| (format!("{pointer}/{at}"), it)).collect(),
        one => vec![(pointer.to_owned(), one)],
    };
    let is_there = |(_, element): &(String, &Value)| match element {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    };
    let text = |(pointer, element): (String, &'a Value)| {
        (pointer, element.as_str().map(str::trim).ok_or_else(|| "must be a text".into()))
    };
    elements.into_iter().filter(is_there).map(text).collect()
}
