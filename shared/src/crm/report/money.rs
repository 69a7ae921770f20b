//! The value of a deal, as CRMs write it.

use serde_json::Value;

use super::Reader;
use crate::crm::fields::{Number, Text};
use crate::crm::rules::{Amount, rounded};
use crate::money::Money;

impl Reader<'_> {
    pub(super) fn money(&mut self, amount: Amount) -> Option<Money> {
        let fields = &self.source.fields;
        let value = match amount {
            Amount::None => return None,
            Amount::Fixed(value) => Some(value),
            Amount::Deal => self.amount(),
            Amount::Expected => self.expected(),
        };
        let currency = self.currency();
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

    fn amount(&mut self) -> Option<f64> {
        let field = self.source.fields.value.as_ref()?;
        let read = self.number(field).map(|(pointer, number)| {
            number
                .ok_or_else(|| NO_AMOUNT.to_owned())
                .and_then(|n| Money::value_from(&n.into()))
                .map_err(|it| (pointer, it))
        });
        self.keep(read)
    }

    /// The value times the probability that it will be paid.
    fn expected(&mut self) -> Option<f64> {
        let value = self.amount()?;
        let field = self.source.fields.probability.as_ref()?;
        let read = self.number(field).map(|(pointer, number)| {
            let likely = number.filter(|number| (0.0..=1.0).contains(number));
            likely.ok_or((pointer, "must be from 0 to 1; of a percentage, declare divide_by = 100".to_owned()))
        });
        let is_absent = read.is_none() && !self.waits;
        let expected = self.keep(read).map(|probability| rounded(value * probability));
        if is_absent {
            self.warn_or_refuse("probability", field.at.first(), "is missing, so the expected value can't be reckoned");
        }
        expected
    }

    fn keep(&mut self, read: Option<Result<f64, (String, String)>>) -> Option<f64> {
        read?.map_err(|(pointer, detail)| self.refuse(&pointer, detail)).ok()
    }

    /// The pointer to a number, and its value if it is valid.
    fn number(&mut self, field: &Number) -> Option<(String, Option<f64>)> {
        self.waits |= field.at.wait(self.item);
        let (pointer, value) = field.at.find(self.item)?;
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) if !self.source.strict => decimal(text.trim()),
            _ => None,
        };
        let scaled = |number: f64| field.divide_by.map_or(number, |units| rounded(number / units));
        Some((pointer.into(), number.map(scaled)))
    }

    fn currency(&mut self) -> Option<String> {
        let (pointer, value) = self.source.fields.currency.as_ref()?.find(self.item)?;
        let read = match value.as_str().map(str::trim) {
            None => Err("must be a text".into()),
            Some(code) if self.source.strict => Money::currency_from(code),
            Some(code) => Money::currency_from(&code.to_ascii_uppercase()),
        };
        read.map_err(|detail| self.refuse(pointer, detail)).ok()
    }
}

const NO_AMOUNT: &str = "must be a number from 0 to 999999999999 with at most six decimals, such as 6000.5, without \
                         separators of thousands";

/// A number written as 6000 or 6000.50. Thousands separators are not accepted: 1.234 is a decimal number,
/// and 1.234,56 is invalid.
fn decimal(text: &str) -> Option<f64> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    (digits(whole.strip_prefix('-').unwrap_or(whole)) && digits(decimals)).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_as_text_is_digits_with_a_point() {
        for (text, number) in [("6000", 6000.0), ("6000.50", 6000.5), ("0", 0.0), ("-1", -1.0), ("007.10", 7.1)] {
            assert_eq!(decimal(text), Some(number), "{text}");
        }
        for text in ["", ".", "1.", ".5", "1,5", "1.234,56", "1 234", "1e3", "+5", "0x10", "NaN", "inf", "€5", "1.2.3"]
        {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
