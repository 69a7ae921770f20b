//! The value of a deal, as CRMs write it.

use serde_json::Value;

use super::Reader;
use crate::crm::amounts::{self, Style, Unread, currencies_of};
use crate::crm::fields::{DecimalSign, Number, Text};
use crate::crm::rules::{Amount, rounded};
use crate::money::Money;

/// Currencies of which a thousandth is paid.
const THREE_DECIMALS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// A number, and where it is.
struct Found {
    pointer: String,
    number: Result<f64, String>,
    /// Is its decimal sign another than the declared one?
    is_undeclared: bool,
    /// The signs and codes of currencies around it.
    currencies: Vec<String>,
}

impl Reader<'_> {
    pub(super) fn money(&mut self, amount: Amount) -> Option<Money> {
        let fields = &self.source.fields;
        let currency = |reader: &mut Self| reader.currency();
        let (value, currency) = match amount {
            Amount::None => return None,
            Amount::Fixed(value) => (Some(value), currency(self)),
            Amount::Deal => {
                let code = self.currency_code();
                (self.amount(code.as_deref()), currency(self))
            }
            Amount::Expected => {
                let code = self.currency_code();
                (self.expected(code.as_deref()), currency(self))
            }
        };
        // A currency that is present but invalid has been reported already.
        let is_absent = |text: &Text| text.find(self.item).is_none();
        if value.is_some() && fields.currency.as_ref().is_none_or(is_absent) {
            if fields.currency.as_ref().is_some_and(|currency| currency.waits(self.item)) {
                self.waits = true;
            } else {
                let fix = if self.source.strict {
                    ""
                } else {
                    "; where the CRM has one only, declare it: currency = { text = \"EUR\" }"
                };
                let pointer = fields.currency.as_ref().map_or("", Text::first);
                self.refuse(pointer, format!("is required when there is a value{fix}"));
            }
        }
        value.zip(currency).map(|(value, currency)| Money::new(value, currency))
    }

    fn amount(&mut self, currency: Option<&str>) -> Option<f64> {
        let field = self.source.fields.value.as_ref()?;
        let has_three_decimals = currency.is_some_and(|code| THREE_DECIMALS.contains(&code));
        let found = self.number(field, has_three_decimals)?;
        if found.number.is_ok() {
            self.compare(&found, currency);
        }
        if found.is_undeclared {
            let detail = format!(
                "has another decimal sign at {} than declared; it was read as the only amount that it can be",
                found.pointer
            );
            self.warn("value", detail);
        }
        let value = found.number.and_then(|number| Money::value_from(&number.into()));
        self.keep(&found.pointer, value)
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
    fn expected(&mut self, currency: Option<&str>) -> Option<f64> {
        let value = self.amount(currency)?;
        let field = self.source.fields.probability.as_ref()?;
        // A probability has no thousands.
        let read = self.number(field, true);
        if read.is_none() && !self.waits {
            self.warn_or_refuse("probability", field.at.first(), "is missing, so the expected value can't be reckoned");
        }
        let found = read?;
        let likely = found.number.ok().filter(|number| (0.0..=1.0).contains(number));
        let likely = likely.ok_or_else(|| "must be from 0 to 1; of a percentage, declare divide_by = 100".to_owned());
        self.keep(&found.pointer, likely).map(|probability| rounded(value * probability))
    }

    fn keep(&mut self, pointer: &str, read: Result<f64, String>) -> Option<f64> {
        read.map_err(|detail| self.refuse(pointer, detail)).ok()
    }

    fn number(&mut self, field: &Number, has_three_decimals: bool) -> Option<Found> {
        self.waits |= field.at.wait(self.item);
        let (pointer, value) = field.at.find(self.item)?;
        let mut found = Found { pointer, number: Err(NO_AMOUNT.into()), is_undeclared: false, currencies: Vec::new() };
        match &*value {
            Value::Number(number) => found.number = number.as_f64().ok_or_else(|| NO_AMOUNT.into()),
            Value::String(text) if !self.source.strict => {
                match amounts::read(text, Style { decimal: field.decimal, has_three_decimals }) {
                    Ok(written) => {
                        found.number = Ok(written.number);
                        found.is_undeclared = written.is_undeclared;
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

    /// The currency, if it is one; what is wrong with it is reported by [`Self::currency`].
    fn currency_code(&self) -> Option<String> {
        self.read_currency()?.1.ok()
    }

    fn currency(&mut self) -> Option<String> {
        let (pointer, read) = self.read_currency()?;
        read.map_err(|detail| self.refuse(&pointer, detail)).ok()
    }

    fn read_currency(&self) -> Option<(String, Result<String, String>)> {
        let (pointer, value) = self.source.fields.currency.as_ref()?.find(self.item)?;
        let read = match value.as_str().map(str::trim) {
            None => Err("must be a text".into()),
            Some(code) if self.source.strict => Money::currency_from(code),
            Some(code) => Money::currency_from(&code.to_ascii_uppercase()),
        };
        Some((pointer, read))
    }
}

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
