//! The person of a deal.

use std::borrow::Cow;

use serde_json::Value;
use uuid::Uuid;

use super::Reader;
use crate::attribution::Clicks;
use crate::crm::fields::Pointers;
use crate::http::Warning;
use crate::identity::{Email, Phone, PhoneReading, number_as_text};

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
        let carrier = self.source.carrier();
        for (pointer, text) in texts(fields.email.as_ref(), self.item) {
            match text.and_then(|text| Email::all(&text, carrier)) {
                Ok(addresses) => {
                    self.warnings.extend(Warning::of_addresses(&addresses));
                    for email in addresses.emails {
                        if !emails.contains(&email) && emails.len() < MAX_EMAILS {
                            emails.push(email);
                        }
                    }
                }
                Err(why) => self.warn_or_refuse("email", &pointer, why),
            }
        }
        let mut phones = Vec::new();
        let international = fields.phone.as_ref().is_some_and(|phone| phone.international);
        let how = PhoneReading { region: self.when.region, carrier, international };
        for (pointer, text) in texts(fields.phone.as_ref().map(|phone| &phone.at), self.item) {
            match text.and_then(|text| Phone::read(&text, how)) {
                Ok(phone) => phones.push((pointer, phone)),
                Err(why) => self.warn_or_refuse("phone", &pointer, why),
            }
        }
        // Of several numbers, one that can be matched.
        let at = phones.iter().position(|(_, phone)| phone.hash().is_ok()).unwrap_or_default();
        let phone = phones.into_iter().nth(at);
        let mut lead_id = None;
        for (pointer, text) in texts(fields.lead_id.as_ref(), self.item).into_iter().take(1) {
            match text.and_then(|text| Uuid::try_parse(text.trim()).map_err(|_| "must be a UUID".into())) {
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
        let phone_at = fields.phone.as_ref().map(|phone| &phone.at);
        let declared = [fields.email.as_ref(), phone_at, fields.lead_id.as_ref()].into_iter().flatten();
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

/// The texts of a field, which may be several, each with its pointer. A number is as good as a text; the white space
/// around one may have been a plus.
fn texts<'a>(pointers: Option<&Pointers>, item: &'a Value) -> Vec<(String, Result<Cow<'a, str>, String>)> {
    let elements = pointers.map(|pointers| pointers.elements(item)).unwrap_or_default();
    let text = |(pointer, element): (String, &'a Value)| {
        let text = element.as_str().map(Cow::Borrowed).or_else(|| number_as_text(element).map(Cow::Owned));
        (pointer, text.ok_or_else(|| "must be a text".into()))
    };
    elements.into_iter().map(text).collect()
}
