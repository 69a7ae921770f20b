//! What the CRM says about the consent of a deal's person.

use super::Reader;
use crate::consent::{Consent, ConsentStatus, UnknownWord};
use crate::crm::fields::Pointers;
use crate::http::Warning;

impl Reader<'_> {
    pub(super) fn consent(&mut self) -> Consent {
        let fields = &self.source.fields;
        Consent {
            ad_user_data: self.answer("ad_user_data", fields.ad_user_data.as_ref()),
            ad_personalization: self.answer("ad_personalization", fields.ad_personalization.as_ref()),
        }
    }

    fn answer(&mut self, field: &'static str, declared: Option<&Pointers>) -> ConsentStatus {
        let Some((_, value)) = declared.and_then(|pointers| pointers.find(self.item)) else {
            return ConsentStatus::Unknown;
        };
        ConsentStatus::said(value).unwrap_or_else(|UnknownWord| {
            self.warnings.push(Warning { field, detail: UnknownWord.to_string() });
            ConsentStatus::Unknown
        })
    }
}
