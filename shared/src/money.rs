//! The value of a deal.

/// An amount in a currency.
#[derive(Clone, Debug, PartialEq)]
pub struct Money {
    value: f64,
    currency: String,
}

impl Money {
    /// An amount of 0 to 999,999,999,999, rounded to six decimals: what the column holds.
    ///
    /// # Errors
    /// What is allowed.
    pub fn value_from(value: &serde_json::Value) -> Result<f64, String> {
        let number = value.as_f64().filter(|number| (0.0..=999_999_999_999.0).contains(number));
        // A float above a billion has fewer decimals.
        let rounded = number.map(|number| if number < 1e9 { (number * 1e6).round() / 1e6 } else { number });
        rounded.ok_or_else(|| "must be a number from 0 to 999999999999".into())
    }

    /// # Errors
    /// What is allowed.
    pub fn currency_from(text: &str) -> Result<String, String> {
        if ISO_4217.split_ascii_whitespace().any(|code| code == text) {
            Ok(text.into())
        } else {
            Err("must be a currency code of ISO 4217 in capital letters, such as EUR".into())
        }
    }

    /// Of parts that were checked.
    #[must_use]
    pub fn new(value: f64, currency: String) -> Self {
        Self { value, currency }
    }

    /// The amount, in units of the currency.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    #[must_use]
    pub fn currency(&self) -> &str {
        &self.currency
    }
}

/// ISO 4217, active codes of currencies (list one), without funds, metals and tests.
const ISO_4217: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN \
    BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ \
    GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL \
    LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN \
    PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD \
    TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_outside_what_can_be_stored_are_refused() {
        for good in [
            json!(0),
            json!(6000),
            json!(0.1),
            json!(1_499.95),
            json!(0.000_001),
            json!(999_999_999_999_i64),
            json!(999_999_999.99),
        ] {
            assert!(Money::value_from(&good).is_ok(), "{good}");
        }
        for (long, rounded) in [
            (json!(0.1 + 0.2), 0.3),
            (json!(33.333_333_333_333_3), 33.333_333),
            (json!(0.000_000_1), 0.0),
            (json!(1_234.567_890_5), 1_234.567_891),
            (json!(1.2e3), 1200.0),
            (json!(1_999.999_999_9), 2000.0),
        ] {
            assert_eq!(Money::value_from(&long), Ok(rounded), "{long}");
        }
        for bad in [json!(-1), json!(1e12), json!(1e300), json!("6000"), json!(true), json!([])] {
            assert!(Money::value_from(&bad).is_err(), "{bad}");
        }
        assert!(Money::currency_from("EUR").is_ok());
        for bad in ["eur", "EURO", "XXX", "ABC", ""] {
            assert!(Money::currency_from(bad).is_err(), "{bad}");
        }
    }
}
