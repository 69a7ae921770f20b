//! The value of a deal, as CRMs write it.

use serde_json::Value;

use super::Reader;
use crate::absent::is_failure;
use crate::crm::amounts::{self, Style, Unread, Written, currencies_of, currency_of, one_currency};
use crate::crm::fields::{DecimalSign, Nothing, Number, Text};
use crate::crm::rules::{Amount, rounded};
use crate::money::Money;

/// Currencies of which a thousandth is paid.
const THREE_DECIMALS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// A number, and where it is.
struct Found {
    pointer: String,
    number: Result<f64, String>,
    /// What somebody should know about it.
    doubt: Option<String>,
    /// The signs and codes of currencies around it.
    currencies: Vec<String>,
}

impl Reader<'_> {
    pub(super) fn money(&mut self, amount: Amount) -> Option<Money> {
        let errors = self.errors.len();
        let read = self.read_currency();
        let code = read.as_ref().and_then(|(_, code)| code.as_deref().ok());
        let (value, own) = match amount {
            Amount::None => return None,
            Amount::Fixed(value) => (Some(value), None),
            Amount::Deal => self.amount(code).unzip(),
            Amount::Expected => self.expected(code).unzip(),
        };
        let has_amount = value.is_some() || self.errors.len() > errors;
        let currency = match read {
            Some((_, Ok(code))) => Some(code),
            Some((pointer, Err(detail))) if has_amount || self.source.strict => {
                self.refuse(&pointer, detail);
                None
            }
            Some((pointer, Err(detail))) => {
                self.warn("currency", format!("at {pointer} {detail}. It is left out, as there is no amount"));
                None
            }
            None if value.is_some() && self.source.fields.currency.as_ref().is_some_and(|it| it.waits(self.item)) => {
                self.waits = true;
                None
            }
            None => own.flatten().or_else(|| {
                if value.is_some() {
                    self.miss_currency();
                }
                None
            }),
        };
        value.zip(currency).map(|(value, currency)| Money::new(value, currency))
    }

    /// There is no currency, neither in its field nor with the amount.
    fn miss_currency(&mut self) {
        let pointer = self.source.fields.currency.as_ref().map_or("", Text::first);
        let fix = if self.source.strict {
            ""
        } else {
            "; where the CRM has one only, declare it: currency = { text = \"EUR\" }"
        };
        self.refuse(pointer, format!("is required when there is a value{fix}"));
    }

    /// The amount, and the currency that it says itself.
    fn amount(&mut self, currency: Option<&str>) -> Option<(f64, Option<String>)> {
        let field = self.source.fields.value.as_ref()?;
        let has_three_decimals = currency.is_some_and(|code| THREE_DECIMALS.contains(&code));
        let Some(found) = self.number(field, has_three_decimals) else {
            self.warn_of_failure(field);
            return None;
        };
        if found.number.is_ok() {
            self.compare(&found, currency);
        }
        if let Some(doubt) = &found.doubt {
            self.warn("value", format!("at {} {doubt}", found.pointer));
        }
        let own = one_currency(found.currencies.iter().map(String::as_str));
        let value = found.number.and_then(|number| Money::value_from(&number.into()));
        self.keep(&found.pointer, value).map(|value| (value, own))
    }

    /// There is no amount. A text that no person writes says that there was to be one.
    fn warn_of_failure(&mut self, field: &Number) {
        let mut there = field.at.iter().filter_map(|pointer| pointer.find(self.item, Nothing::Empty));
        let failure = there.find(|(_, value)| !self.source.strict && value.as_str().is_some_and(is_failure));
        if let Some((pointer, _)) = failure {
            let detail = "a template or a program failed to fill in the amount: the deal is taken without one";
            self.warn("value", format!("at {pointer} {detail}"));
        }
    }

    /// The currency that stands with an amount is the deal's: a code says so for certain, a sign is shared by several.
    fn compare(&mut self, found: &Found, currency: Option<&str>) {
        let Some(currency) = currency else { return };
        for said in &found.currencies {
            match currencies_of(said) {
                Some(those) if !those.split_ascii_whitespace().any(|code| code == currency) => {
                    let detail =
                        format!("has a sign at {} that isn't of {currency}: is the currency right?", found.pointer);
                    self.warn("value", detail);
                }
                None if said.len() == 3 && said.is_ascii() && !said.eq_ignore_ascii_case(currency) => {
                    let detail = format!(
                        "names another currency than {currency}: point currency at where the CRM says it, or declare the \
                         right one"
                    );
                    self.refuse(&found.pointer, detail);
                }
                _ => {}
            }
        }
    }

    /// The value times the probability that it will be paid.
    fn expected(&mut self, currency: Option<&str>) -> Option<(f64, Option<String>)> {
        let (value, own) = self.amount(currency)?;
        let field = self.source.fields.probability.as_ref()?;
        // A probability has no thousands.
        let read = self.number(field, true);
        if read.is_none() && !self.waits {
            self.warn_or_refuse("probability", field.at.first(), "is missing, so the expected value can't be reckoned");
        }
        let found = read?;
        let likely = found.number.ok().filter(|number| (0.0..=1.0).contains(number));
        let likely = likely.ok_or_else(|| "must be from 0 to 1; of a percentage, declare divide_by = 100".to_owned());
        self.keep(&found.pointer, likely).map(|probability| (rounded(value * probability), own))
    }

    fn keep(&mut self, pointer: &str, read: Result<f64, String>) -> Option<f64> {
        read.map_err(|detail| self.refuse(pointer, detail)).ok()
    }

    fn number(&mut self, field: &Number, has_three_decimals: bool) -> Option<Found> {
        self.waits |= field.at.wait(self.item);
        let (pointer, value) = field.at.find(self.item)?;
        let mut found = Found { pointer, number: Err(NO_AMOUNT.into()), doubt: None, currencies: Vec::new() };
        let value = self.only(&value);
        if field.at.nothing().includes(value) {
            return None;
        }
        match value {
            Value::Number(number) => found.number = number.as_f64().ok_or_else(|| NO_AMOUNT.into()),
            Value::String(text) if !self.source.strict => {
                match amounts::read(text, Style { decimal: field.decimal, has_three_decimals }) {
                    Ok(written) => {
                        found.number = Ok(written.number);
                        found.doubt = doubt(&written, field);
                        found.currencies = written.currencies;
                    }
                    Err(unread) => found.number = Err(why(unread, field)),
                }
            }
            _ => {}
        }
        let scaled = |number: f64| field.divide_by.map_or(number, |units| rounded(number / units));
        Some(Found { number: found.number.map(scaled), ..found })
    }

    fn read_currency(&self) -> Option<(String, Result<String, String>)> {
        let (pointer, value) = self.source.fields.currency.as_ref()?.find(self.item)?;
        let text = self.only(&value).as_str().map(str::trim);
        let read = match text {
            None => Err("must be a text".into()),
            Some(code) if self.source.strict => Money::currency_from(code),
            Some(text) => currency_in(text),
        };
        Some((pointer, read))
    }

    /// The value, or of an array the only one; a strict source takes no arrays.
    fn only<'v>(&self, value: &'v Value) -> &'v Value {
        match value {
            Value::Array(elements) if elements.len() == 1 && !self.source.strict => &elements[0],
            value => value,
        }
    }
}

/// A code in any letters, or a sign that one currency has. Some CRMs have it only in the text of an amount.
fn currency_in(text: &str) -> Result<String, String> {
    let plain = amounts::plain(text);
    let text = plain.trim();
    let code = Money::currency_from(&text.to_ascii_uppercase());
    let sign = || currency_of(text).map(String::from);
    let of_amount = || {
        let written = amounts::read(text, Style::default()).ok()?;
        one_currency(written.currencies.iter().map(String::as_str))
    };
    code.or_else(|_| sign().or_else(of_amount).ok_or_else(|| NO_CURRENCY.into()))
}

/// What somebody should know of an amount that was read.
fn doubt(written: &Written, field: &Number) -> Option<String> {
    let sign = field.decimal?;
    if written.is_undeclared {
        return Some("has another decimal sign than declared; it was read as the only amount that it can be".into());
    }
    let other = if sign == DecimalSign::Comma { '.' } else { ',' };
    written.may_be_thousands.then(|| {
        format!(
            "was read as {}, since decimal = \"{}\" is declared: if thousands are written so, declare \"{other}\"",
            written.number,
            sign.as_char()
        )
    })
}

const NO_CURRENCY: &str = "must be a currency code of ISO 4217, such as EUR, or a sign that stands for one only, such \
                           as €; where the CRM has one only, declare it: currency = { text = \"USD\" }";
const NO_AMOUNT: &str = "must be a number from 0 to 999999999999, such as 6000.5";

/// What is wrong with a text, and what to do about it.
fn why(unread: Unread, field: &Number) -> String {
    let declare = format!("value = {{ at = \"{}\", decimal = \",\" }}", field.at.first());
    match unread {
        Unread::Negative => "is below zero: where that is a refund, add a rule with conversion = \"refunded\"".into(),
        Unread::Ambiguous => {
            format!("may be two amounts: say whether decimals follow a comma or a point, such as {declare}")
        }
        Unread::NoNumber if field.decimal.is_none() => {
            format!("{NO_AMOUNT}; where it is written as 1.234,56 or 1,234.56, declare it: {declare}, or \".\"")
        }
        Unread::NoNumber => {
            let sign = field.decimal.map_or('.', DecimalSign::as_char);
            format!("{NO_AMOUNT}; it isn't one with the decimal sign {sign} either")
        }
    }
}
