//! Numbers in texts, as people and programs write them: read as the one amount they can be, or not at all.

mod dress;

use super::fields::DecimalSign;

pub(super) use dress::{currencies_of, currency_of, one_currency, plain};

/// What separates thousands, besides the sign that isn't the decimal's.
const GROUPING: [char; 2] = [' ', '\''];
/// A plus before so many is a phone number's.
const LEAST_WITHOUT_PLUS: f64 = 1e9;

/// How a source writes numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Style {
    /// What it writes before decimals, if it is declared.
    pub decimal: Option<DecimalSign>,
    /// Is 1.234 surely less than two? So it is where thousands can't be, or three decimals are usual.
    pub has_three_decimals: bool,
}

/// A number that was read.
#[derive(Debug, PartialEq)]
pub(super) struct Written {
    pub number: f64,
    /// Does it have a decimal sign other than the declared one?
    pub is_undeclared: bool,
    /// Could the declared decimal sign be one between thousands, as in 1,234?
    pub may_be_thousands: bool,
    /// The signs and codes of currencies around it.
    pub currencies: Vec<String>,
}

/// Why a text is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    NoNumber,
    /// It may be more than one.
    Ambiguous,
    /// It is below zero.
    Negative,
}

/// Reads a text. Spaces of every kind and apostrophes may stand between thousands, the sign and the code of a currency
/// around it, and brackets or a minus make it negative. A decimal sign may be last.
///
/// # Errors
/// If it is no number, one below zero, or one of several and the style doesn't say which.
pub(super) fn read(text: &str, style: Style) -> Result<Written, Unread> {
    // Arabic has signs of its own, which can't be mistaken.
    let says_itself = text.contains(dress::ARABIC_DECIMAL);
    let style = if says_itself { Style { decimal: Some(DecimalSign::Point), ..style } } else { style };
    let plain = dress::plain(text);
    let dressed = dress::off(&plain).ok_or(Unread::NoNumber)?;
    let is_bare = dressed.currencies.is_empty();
    let (number, is_undeclared) = number(dressed.number, style, is_bare)?;
    if dressed.is_negative && number != 0.0 {
        return Err(Unread::Negative);
    }
    if dressed.has_plus && number >= LEAST_WITHOUT_PLUS {
        return Err(Unread::NoNumber);
    }
    let may_be_thousands = !says_itself && !style.has_three_decimals && may_be_thousands(dressed.number, style);
    Ok(Written { number, is_undeclared, may_be_thousands, currencies: dressed.currencies })
}

/// The number, and whether its sign isn't the declared one.
fn number(text: &str, style: Style, is_bare: bool) -> Result<(f64, bool), Unread> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let power: i32 = exponent.map_or(Ok(0), |it| it.parse().map_err(|_| Unread::NoNumber))?;
    let digits = |sign: DecimalSign| digits(mantissa, sign.as_char(), style.decimal == Some(sign));
    let (point, comma) = (digits(DecimalSign::Point), digits(DecimalSign::Comma));
    // Only programs write exponents, and always with a point.
    let is_programs = !mantissa.contains(',') && (exponent.is_some() || style.has_three_decimals && is_bare);
    let are_two = point.is_some() && comma.is_some() && point != comma;
    let (first, second) = match style.decimal {
        Some(DecimalSign::Comma) => (comma, point),
        None if are_two && !is_programs => return Err(Unread::Ambiguous),
        Some(DecimalSign::Point) | None => (point, comma),
    };
    let is_undeclared = first.is_none() && style.decimal.is_some();
    let digits = first.or(second).ok_or(Unread::NoNumber)?;
    let number: f64 = format!("{digits}e{power}").parse().map_err(|_| Unread::NoNumber)?;
    if number.is_finite() { Ok((number, is_undeclared)) } else { Err(Unread::NoNumber) }
}

/// Is the declared sign the only one, with three digits after it, as one between thousands has them?
fn may_be_thousands(text: &str, style: Style) -> bool {
    let parts = style.decimal.and_then(|sign| text.split_once(sign.as_char()));
    parts.is_some_and(|(whole, decimals)| {
        let is_first_group = are_digits(whole) && whole.len() <= 3 && !whole.starts_with('0');
        is_first_group && are_digits(decimals) && decimals.len() == 3
    })
}

/// The number with a point and without separators, if it is one where this is the decimal sign. If nobody declared
/// that, a sign that is last is one only after plain digits: after thousands it may belong to a sentence.
fn digits(text: &str, decimal: char, is_declared: bool) -> Option<String> {
    // "1.234,-" has no cents.
    let (text, cents_are_none) = match text.trim_end_matches('-') {
        cut if cut.len() == text.len() => (text, false),
        cut if text.len() - cut.len() > 2 => return None,
        cut => (cut.strip_suffix(decimal).or_else(|| cut.strip_suffix(':'))?, true),
    };
    let (whole, decimals) = match text.split_once(decimal) {
        Some(_) if cents_are_none => return None,
        Some((whole, "")) if is_declared || are_digits(whole) => (whole, "0"),
        Some((whole, decimals)) => (whole, decimals),
        None => (text, "0"),
    };
    let whole = ungrouped(whole, if decimal == '.' { ',' } else { '.' })?;
    are_digits(decimals).then(|| format!("{whole}.{decimals}"))
}

/// The digits of a whole number whose thousands may be separated by this sign, by spaces or by apostrophes.
fn ungrouped(whole: &str, sign: char) -> Option<String> {
    let Some(separator) = whole.chars().find(|c| !c.is_ascii_digit()) else {
        return are_digits(whole).then(|| whole.to_owned());
    };
    if separator != sign && !GROUPING.contains(&separator) {
        return None;
    }
    let groups: Vec<&str> = whole.split(separator).collect();
    let (first, rest) = groups.split_first()?;
    let (last, middle) = rest.split_last()?;
    let are = |length: usize| middle.iter().all(|group| group.len() == length);
    let is_grouped = match first.len() {
        1..=3 if are(3) => true,
        // In India thousands are followed by lakhs and crores: 12,34,567.
        1 | 2 => separator == ',' && are(2),
        _ => false,
    };
    let is_whole = is_grouped && last.len() == 3 && !first.starts_with('0') && groups.iter().all(|it| are_digits(it));
    is_whole.then(|| groups.concat())
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
