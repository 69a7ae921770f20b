//! What the CRM says about the consent of a deal's person.

use super::Reader;
use crate::consent::{Consent, ConsentStatus};
use crate::crm::fields::{Pointers, scalar};

impl Reader<'_> {
    pub(super) fn consent(&mut self) -> Consent {
        let fields = &self.source.fields;
        Consent {
            ad_user_data: self.answer("ad_user_data", fields.ad_user_data.as_ref()),
            ad_personalization: self.answer("ad_personalization", fields.ad_personalization.as_ref()),
        }
    }

    fn answer(&mut self, field: &'static str, declared: Option<&Pointers>) -> ConsentStatus {
        let Some((pointer, value)) = declared.and_then(|pointers| pointers.find(self.item)) else {
            return ConsentStatus::Unknown;
        };
        let read = match (value.as_str().map(str::trim), scalar(&value)) {
            (Some(""), _) => Ok(ConsentStatus::Unknown),
            (Some(text), _) if self.source.strict => ConsentStatus::parse(text),
            (_, Some(text)) if !self.source.strict => match text.to_lowercase().as_str() {
                "true" | "yes" => Ok(ConsentStatus::Granted),
                "false" | "no" => Ok(ConsentStatus::Denied),
                text => ConsentStatus::parse(text),
            },
            _ => Err("must be a text".to_owned()),
        };
        read.unwrap_or_else(|why| {
            self.warn_or_refuse(field, &pointer, why);
            ConsentStatus::Unknown
        })
    }
}
