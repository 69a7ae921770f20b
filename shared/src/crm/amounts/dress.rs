//! What stands around a number: currencies, brackets, a minus.

use crate::invisible::is_invisible;
use crate::money::Money;

/// Signs and short words of currencies. Those that begin like another come before it.
const SIGNS: &[&str] = &[
    "US$", "CA$", "AU$", "NZ$", "HK$", "NT$", "MX$", "R$", "C$", "A$", "S$", "$", "€", "£", "¥", "￥", "₹", "₽", "₴",
    "₺", "₩", "₪", "₫", "฿", "₦", "₱", "₡", "₲", "₸", "₼", "₾", "SFr.", "SFr", "Fr.", "Fr", "kr.", "kr", "Kč", "zł",
    "Ft", "лв.", "лв", "lei", "руб.", "руб", "грн.", "грн", "TL", "Rs.", "Rs", "S/.", "S/", "R",
];

/// What Arabic writes before decimals.
pub(super) const ARABIC_DECIMAL: char = '٫';
/// The first of ten digits, in the scripts that have digits of their own and are met in amounts.
const ZEROS: [char; 5] = ['０', '٠', '۰', '०', '০'];

/// A number and what stood around it.
pub(super) struct Dressed<'a> {
    pub number: &'a str,
    pub is_negative: bool,
    pub has_plus: bool,
    pub currencies: Vec<String>,
}

/// The text with one kind of space, apostrophe, minus and digit, without characters that nobody sees.
pub(in crate::crm) fn plain(text: &str) -> String {
    let plain = |c: char| match c {
        c if is_invisible(c) => None,
        // Arabic's separator of thousands is nothing else, as an apostrophe.
        '’' | '‘' | 'ʼ' | '´' | '`' | '＇' | '′' | '٬' => Some('\''),
        '−' | '‐'..='―' | '﹣' | '－' => Some('-'),
        '＋' => Some('+'),
        '．' | ARABIC_DECIMAL => Some('.'),
        '，' | '،' => Some(','),
        c if c.is_whitespace() => Some(' '),
        c => Some(digit(c).unwrap_or(c)),
    };
    text.chars().filter_map(plain).collect()
}

/// The digit that this is in another script.
fn digit(c: char) -> Option<char> {
    let value = ZEROS.iter().find_map(|zero| u32::from(c).checked_sub(u32::from(*zero)).filter(|value| *value < 10))?;
    char::from_digit(value, 10)
}

/// Takes off what stands around the number: at most one minus, plus or pair of brackets, and two currencies.
pub(super) fn off(text: &str) -> Option<Dressed<'_>> {
    let mut dressed = Dressed { number: text.trim(), is_negative: false, has_plus: false, currencies: Vec::new() };
    loop {
        let text = dressed.number;
        let negative = bracketed(text).or_else(|| text.strip_prefix('-')).or_else(|| trailing_minus(text));
        if let Some(inner) = negative {
            if dressed.is_negative || dressed.has_plus {
                return None;
            }
            dressed.is_negative = true;
            dressed.number = inner.trim();
        } else if let Some(inner) = text.strip_prefix('+') {
            if dressed.is_negative || dressed.has_plus {
                return None;
            }
            dressed.has_plus = true;
            dressed.number = inner.trim();
        } else if let Some((currency, inner)) = currency(text) {
            if dressed.currencies.len() == 2 {
                return None;
            }
            dressed.currencies.push(currency.into());
            dressed.number = inner.trim();
        } else {
            return Some(dressed);
        }
    }
}

fn bracketed(text: &str) -> Option<&str> {
    text.strip_prefix('(')?.strip_suffix(')')
}

/// Some accounts put the minus last. After a decimal sign it says that there are no cents.
fn trailing_minus(text: &str) -> Option<&str> {
    text.strip_suffix('-').filter(|rest| rest.trim_end().ends_with(|c: char| c.is_ascii_digit()))
}

fn currency(text: &str) -> Option<(&str, &str)> {
    let sign = |sign: &&'static str| {
        let before = text.strip_prefix(sign).filter(|rest| !rest.starts_with(char::is_alphabetic));
        let after = || text.strip_suffix(sign).filter(|rest| !rest.ends_with(char::is_alphabetic));
        Some((*sign, before.or_else(after)?))
    };
    code(text).or_else(|| SIGNS.iter().find_map(sign))
}

/// A code of ISO 4217 before or after the number.
fn code(text: &str) -> Option<(&str, &str)> {
    let is_code = |code: &str| Money::currency_from(&code.to_ascii_uppercase()).is_ok();
    let first = text.get(..3).filter(|it| is_code(it)).map(|code| (code, &text[3..]));
    let first = first.filter(|(_, rest)| !rest.starts_with(char::is_alphabetic));
    first.or_else(|| {
        let at = text.len().checked_sub(3)?;
        let code = text.get(at..).filter(|it| is_code(it))?;
        Some((code, &text[..at])).filter(|(_, rest)| !rest.ends_with(char::is_alphabetic))
    })
}

/// Codes that are words when they aren't in capital letters.
const WORDS: &[&str] = &["ALL", "BOB", "COP", "CUP", "GEL", "LAK", "MAD", "MOP", "PEN", "RON", "SOS", "TOP", "TRY"];

/// The one currency that is said by all these signs and codes together, as they stand around an amount.
pub(in crate::crm) fn one_currency<'a>(said: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let said: Vec<&str> = said.into_iter().collect();
    let code = |said: &str| {
        let code = Money::currency_from(&said.to_ascii_uppercase()).ok()?;
        (said == code || !WORDS.contains(&code.as_str())).then_some(code)
    };
    let codes = said.iter().find_map(|said| code(said));
    let one = codes.or_else(|| said.iter().find_map(|said| currency_of(said)).map(String::from))?;
    let agrees = |said: &&str| match currencies_of(said) {
        Some(those) => those.split_ascii_whitespace().any(|it| it == one),
        None => code(said).as_deref() == Some(&one),
    };
    said.iter().all(agrees).then_some(one)
}

/// The currency of a sign that stands for one only. A pound sign is taken for the British pound, since the others are
/// hardly ever written so outside of their countries.
pub(in crate::crm) fn currency_of(sign: &str) -> Option<&'static str> {
    let is_sign = sign.contains('$') || !sign.is_ascii();
    match currencies_of(sign).filter(|_| is_sign)? {
        _ if sign == "£" => Some("GBP"),
        those => Some(those).filter(|those| those.len() == 3),
    }
}

/// The currencies that a sign stands for. None if it is no sign that says it.
pub(in crate::crm) fn currencies_of(sign: &str) -> Option<&'static str> {
    Some(match sign.trim_end_matches('.') {
        "US$" => "USD",
        "CA$" => "CAD",
        "AU$" | "A$" => "AUD",
        "NZ$" => "NZD",
        "HK$" => "HKD",
        "NT$" => "TWD",
        "MX$" => "MXN",
        "R$" => "BRL",
        "S$" => "SGD",
        "€" => "EUR",
        "£" => "GBP EGP FKP GIP LBP SDG SHP SSP SYP",
        "¥" | "￥" => "JPY CNY",
        "₹" => "INR",
        "₽" => "RUB",
        "₴" | "грн" => "UAH",
        "₺" | "TL" => "TRY",
        "₩" => "KRW KPW",
        "₪" => "ILS",
        "₫" => "VND",
        "฿" => "THB",
        "₦" => "NGN",
        "₱" => "PHP",
        "SFr" | "Fr" => "CHF",
        "kr" => "SEK NOK DKK ISK",
        "Kč" => "CZK",
        "zł" => "PLN",
        "Ft" => "HUF",
        "лв" => "BGN",
        "lei" => "RON MDL",
        "руб" => "RUB BYN",
        "Rs" => "INR PKR LKR NPR MUR SCR",
        "R" => "ZAR",
        "S/" => "PEN",
        "$" => {
            "USD AUD BBD BMD BND BSD BZD CAD CLP COP CVE DOP ARS FJD GYD HKD JMD KYD LRD MXN NAD NIO NZD SBD SGD SRD TTD \
             TWD UYU XCD"
        }
        _ => return None,
    })
}
