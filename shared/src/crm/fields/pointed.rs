//! Which pointers a declaration of fields has.

use super::text::Part;
use super::{DeclaredFields, Pointer, Text};

impl DeclaredFields {
    /// The fields that point somewhere, by name, each with its pointers.
    pub fn pointed(&self) -> Vec<(&'static str, Vec<&Pointer>)> {
        // All fields are named, so that a new one can't be forgotten.
        let Self {
            event_id,
            deal_id,
            occurred_at,
            event_at,
            currency,
            value,
            probability,
            email,
            phone,
            lead_id,
            updated_at,
            ad_user_data,
            ad_personalization,
            clicked_at,
            clicks,
            stage,
            status,
            pipeline,
            zone: _,
            date_order: _,
        } = self;
        let texts = [
            ("event_id", event_id),
            ("deal_id", deal_id),
            ("currency", currency),
            ("stage", stage),
            ("status", status),
            ("pipeline", pipeline),
        ];
        let phone = phone.as_ref().map(|phone| &phone.at);
        let pointers = [
            ("occurred_at", occurred_at),
            ("event_at", event_at),
            ("email", email),
            ("lead_id", lead_id),
            ("updated_at", updated_at),
            ("ad_user_data", ad_user_data),
            ("ad_personalization", ad_personalization),
            ("clicked_at", clicked_at),
        ];
        let numbers = [("value", value), ("probability", probability)];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?.pointers())));
        let pointers = pointers.into_iter().filter_map(|(name, it)| Some((name, it.as_ref()?)));
        let pointers = pointers.chain(phone.map(|it| ("phone", it)));
        let pointers = pointers.map(|(name, it)| (name, it.iter().collect()));
        let numbers = numbers.into_iter().filter_map(|(name, it)| Some((name, it.as_ref()?.at.iter().collect())));
        let clicks = clicks.iter().map(|(name, it)| (name, it.iter().collect()));
        texts.chain(pointers).chain(numbers).chain(clicks).filter(|(_, all): &(_, Vec<_>)| !all.is_empty()).collect()
    }
}

impl Text {
    /// All its pointers; of a text that is the same for every item none.
    pub fn pointers(&self) -> Vec<&Pointer> {
        match self {
            Self::At(pointers) | Self::After(_, pointers) => pointers.iter().collect(),
            Self::Join(parts, _) => {
                let pointers = parts.iter().filter_map(|part| match part {
                    Part::At(pointer) => Some(pointer),
                    Part::Always(_) => None,
                });
                pointers.collect()
            }
            Self::Always(_) => Vec::new(),
        }
    }
}
