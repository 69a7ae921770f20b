//! Where the fields of a deal are in what a CRM sends.

mod clicks;
mod ids;
mod mark;
mod nothing;
mod number;
mod path;
mod phone;
mod pointed;
mod pointers;
mod shapes;
mod text;
mod zone;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

use crate::money::Money;
use clicks::ClickFields;
use phone::PhoneField;

pub(super) use clicks::with_clicks;
pub(super) use ids::Ids;
pub(super) use nothing::Nothing;
pub(super) use number::{DecimalSign, Number};
pub(crate) use path::check_json_pointer;
pub(super) use path::{Pointer, is_fetched};
pub(super) use pointers::Pointers;
pub(super) use text::Text;
pub(super) use zone::{Moment, Zone};

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
    pub phone: Option<PhoneField>,
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
    /// How this source writes days in numbers.
    pub date_order: Option<DateOrder>,
}

/// Which number of a written day comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub(super) enum DateOrder {
    /// 28.11.2026
    #[serde(rename = "dmy")]
    DayMonthYear,
    /// 11/28/2026
    #[serde(rename = "mdy")]
    MonthDayYear,
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
            date_order: self.date_order.or(other.date_order),
        }
    }

    /// These fields where the source isn't strict: words that say nothing are as if the field weren't there. What
    /// conditions ask about stays what it is, since an account may call a stage so.
    pub fn lenient(self) -> Self {
        let text = |field: Option<Text>| field.map(|it| it.without(Nothing::Words));
        let pointers = |field: Option<Pointers>| field.map(|it| it.without(Nothing::Words));
        let consent = |field: Option<Pointers>| field.map(|it| it.without(Nothing::WordsButFalse));
        let number = |field: Option<Number>| field.map(|it| it.without(Nothing::Words));
        Self {
            event_id: text(self.event_id),
            deal_id: text(self.deal_id),
            occurred_at: pointers(self.occurred_at),
            event_at: pointers(self.event_at),
            currency: text(self.currency),
            value: number(self.value),
            probability: number(self.probability),
            email: pointers(self.email),
            phone: self.phone.map(|it| it.without(Nothing::Words)),
            lead_id: pointers(self.lead_id),
            updated_at: pointers(self.updated_at),
            ad_user_data: consent(self.ad_user_data),
            ad_personalization: consent(self.ad_personalization),
            clicked_at: pointers(self.clicked_at),
            ..self
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

/// Only text that is the same for every item can be checked before there is one.
fn currency<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    let text = Text::deserialize(deserializer)?;
    if let Text::Always(code) = &text {
        Money::currency_from(code).map_err(D::Error::custom)?;
    }
    Ok(Some(text))
}
