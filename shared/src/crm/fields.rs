//! Where the fields of a deal are in what a CRM sends.

mod clicks;
mod ids;
mod pointers;
mod shapes;

use std::borrow::Cow;

use chrono::FixedOffset;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess};
use serde_json::Value;

use crate::money::Money;
use clicks::ClickFields;
use shapes::{OneOr, Shapes};

pub(super) use clicks::with_clicks;
pub(super) use ids::Ids;
pub(super) use pointers::{Pointer, Pointers, is_fetched};

/// The fields that can be declared. [`with_clicks`] reads them.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as [acme.fields]")]
pub(super) struct DeclaredFields {
    pub event_id: Option<Text>,
    pub deal_id: Option<Text>,
    pub occurred_at: Option<Pointers>,
    pub event_at: Option<Pointers>,
    #[serde(default, deserialize_with = "currency")]
    pub currency: Option<Text>,
    pub value: Option<Number>,
    pub probability: Option<Number>,
    pub email: Option<Pointers>,
    pub phone: Option<Pointers>,
    pub lead_id: Option<Pointers>,
    pub updated_at: Option<Pointers>,
    pub ad_user_data: Option<Pointers>,
    pub ad_personalization: Option<Pointers>,
    /// When the clicks happened.
    pub clicked_at: Option<Pointers>,
    #[serde(skip)]
    pub clicks: ClickFields,
    pub stage: Option<Text>,
    pub status: Option<Text>,
    pub pipeline: Option<Text>,
    pub zone: Option<Zone>,
}

impl DeclaredFields {
    /// These fields; those that are absent are taken from `others`.
    pub fn over(self, other: Self) -> Self {
        Self {
            event_id: self.event_id.or(other.event_id),
            deal_id: self.deal_id.or(other.deal_id),
            occurred_at: self.occurred_at.or(other.occurred_at),
            event_at: self.event_at.or(other.event_at),
            currency: self.currency.or(other.currency),
            value: self.value.or(other.value),
            probability: self.probability.or(other.probability),
            email: self.email.or(other.email),
            phone: self.phone.or(other.phone),
            lead_id: self.lead_id.or(other.lead_id),
            updated_at: self.updated_at.or(other.updated_at),
            ad_user_data: self.ad_user_data.or(other.ad_user_data),
            ad_personalization: self.ad_personalization.or(other.ad_personalization),
            clicked_at: self.clicked_at.or(other.clicked_at),
            clicks: self.clicks.over(other.clicks),
            stage: self.stage.or(other.stage),
            status: self.status.or(other.status),
            pipeline: self.pipeline.or(other.pipeline),
            zone: self.zone.or(other.zone),
        }
    }

    /// Does any of them point into the result of a lookup?
    pub fn point_at_fetched(&self) -> bool {
        let texts = [&self.event_id, &self.deal_id, &self.currency, &self.stage, &self.status, &self.pipeline];
        let pointers = [
            &self.occurred_at,
            &self.event_at,
            &self.email,
            &self.phone,
            &self.lead_id,
            &self.updated_at,
            &self.ad_user_data,
            &self.ad_personalization,
            &self.clicked_at,
        ];
        let numbers = [&self.value, &self.probability];
        texts.into_iter().flatten().any(Text::points_at_fetched)
            || pointers.into_iter().flatten().any(Pointers::point_at_fetched)
            || numbers.into_iter().flatten().any(|number| number.at.point_at_fetched())
            || self.clicks.point_at_fetched()
    }
}

/// A text, or a number that stands for one.
#[derive(Debug)]
pub(super) enum Text {
    At(Pointers),
    /// Parts that are concatenated; absent if one of them is.
    Join(Vec<Part>),
    /// The same for every item.
    Always(String),
}

#[derive(Debug, serde::Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Part {
    At(Pointer),
    Always(String),
}

impl TryFrom<String> for Part {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with('/') { Pointer::parse(&text).map(Self::At) } else { Ok(Self::Always(text)) }
    }
}

impl Text {
    /// The pointer to name in an error.
    pub fn first(&self) -> &str {
        match self {
            Self::At(pointers) => pointers.first(),
            Self::Join(parts) => {
                let mut pointers = parts.iter().filter_map(|part| match part {
                    Part::At(pointer) => Some(pointer.as_str()),
                    Part::Always(_) => None,
                });
                pointers.next().unwrap_or_default()
            }
            Self::Always(_) => "",
        }
    }

    /// Where it was found, and what it is.
    pub fn find<'a>(&'a self, item: &'a Value) -> Option<(&'a str, Cow<'a, Value>)> {
        match self {
            Self::At(pointers) => pointers.find(item).map(|(at, value)| (at, Cow::Borrowed(value))),
            Self::Join(parts) => {
                let text = |part: &Part| match part {
                    Part::At(pointer) => pointer.find(item).and_then(scalar),
                    Part::Always(text) => Some(text.clone()),
                };
                let joined: Option<String> = parts.iter().map(text).collect();
                joined.map(|text| (self.first(), Cow::Owned(text.into())))
            }
            Self::Always(text) => Some(("", Cow::Owned(text.clone().into()))),
        }
    }

    /// Could a lookup still provide it?
    pub fn waits(&self, item: &Value) -> bool {
        self.points_at_fetched() && !is_fetched(item) && self.find(item).is_none()
    }

    pub fn points_at_fetched(&self) -> bool {
        match self {
            Self::At(pointers) => pointers.point_at_fetched(),
            Self::Join(parts) => parts.iter().any(|part| matches!(part, Part::At(at) if at.is_in_fetched())),
            Self::Always(_) => false,
        }
    }
}

/// A text, a number or a boolean as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().into()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(boolean) => Some(boolean.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOr::<Self>::new(
            "a JSON Pointer, an array of them, { text = \"…\" } or { join = [\"/pointer\", \"text\"] }",
        ))
    }
}

impl Shapes for Text {
    fn one(text: &str) -> Result<Self, String> {
        Pointers::one(text).map(Self::At)
    }

    fn several<'de, A: SeqAccess<'de>>(array: A) -> Result<Self, A::Error> {
        Pointers::several(array).map(Self::At)
    }

    fn table<'de, A: MapAccess<'de>>(table: A) -> Result<Self, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            text: Option<String>,
            join: Option<Vec<Part>>,
        }
        match Table::deserialize(MapAccessDeserializer::new(table))? {
            Table { text: Some(text), join: None } if !text.trim().is_empty() => Ok(Self::Always(text)),
            Table { text: None, join: Some(parts) } if parts.iter().any(|part| matches!(part, Part::At(_))) => {
                Ok(Self::Join(parts))
            }
            _ => {
                Err(A::Error::custom("write { text = \"…\" }, or { join = […] } with at least one JSON Pointer in it"))
            }
        }
    }
}

/// Only text that is the same for every item can be checked before there is one.
fn currency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    let text = Text::deserialize(deserializer)?;
    if let Text::Always(code) = &text {
        Money::currency_from(code).map_err(D::Error::custom)?;
    }
    Ok(Some(text))
}

/// A number, or a text that is one.
#[derive(Debug)]
pub(super) struct Number {
    pub at: Pointers,
    /// How many of its units make one of ours: 100 for cents and for percent.
    pub divide_by: Option<f64>,
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOr::<Self>::new(
            "a JSON Pointer, an array of them, or { at = \"/pointer\", divide_by = 100 }",
        ))
    }
}

impl Shapes for Number {
    fn one(text: &str) -> Result<Self, String> {
        Ok(Self { at: Pointers::one(text)?, divide_by: None })
    }

    fn several<'de, A: SeqAccess<'de>>(array: A) -> Result<Self, A::Error> {
        Ok(Self { at: Pointers::several(array)?, divide_by: None })
    }

    fn table<'de, A: MapAccess<'de>>(table: A) -> Result<Self, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            at: Pointers,
            divide_by: f64,
        }
        let Table { at, divide_by } = Table::deserialize(MapAccessDeserializer::new(table))?;
        if divide_by.is_finite() && divide_by > 0.0 {
            Ok(Self { at, divide_by: Some(divide_by) })
        } else {
            Err(A::Error::custom("divide_by is a number above 0, such as 100 where cents are sent"))
        }
    }
}

/// The zone of times that name none.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Zone(pub FixedOffset);

impl TryFrom<String> for Zone {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let offset = if text == "UTC" { "+00:00" } else { &text };
        let offset = Some(offset).filter(|it| it.len() == 6).and_then(|it| it.parse().ok());
        offset.map(Self).ok_or("zone is UTC or the distance from it, such as +01:00")
    }
}
