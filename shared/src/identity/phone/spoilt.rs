//! What spreadsheets and scanners make of a number: `4930901820.0`, `4.93090182E+9`, `O30 9O1820`.

use std::borrow::Cow;

/// The text with its digits as they were. None if they can't be told: what is left would be somebody else's number.
pub(super) fn mended(text: &str) -> Option<Cow<'_, str>> {
    if let Some((mantissa, exponent)) = of_power_of_ten(text) {
        return written_out(mantissa, exponent).map(|number| Cow::Owned(surrounded_as(text, &number)));
    }
    if let Some(whole) = without_fraction(text) {
        return Some(Cow::Borrowed(whole));
    }
    let letters = letters_at_digits(text);
    if letters.is_empty() {
        return Some(Cow::Borrowed(text));
    }
    let is_plain = text.chars().all(|c| c.is_numeric() || "+ -()./'\n".contains(c) || like_a_digit(c).is_some());
    let are_digits = letters.iter().all(|run| run.chars().all(|c| like_a_digit(c).is_some()));
    (is_plain && are_digits).then(|| text.chars().map(|c| like_a_digit(c).unwrap_or(c)).collect())
}

/// The digit that a letter looks like: O, also of Greek and Cyrillic keyboards, and a small L or a capital I.
fn like_a_digit(c: char) -> Option<char> {
    match c {
        'O' | 'o' | 'Ο' | 'ο' | 'О' | 'о' => Some('0'),
        'l' | 'I' => Some('1'),
        _ => None,
    }
}

/// What spreadsheets put around a text that is to stay one.
const QUOTES: [char; 4] = [' ', '\'', '"', '='];

/// A space before a number may have been its plus.
fn surrounded_as(text: &str, number: &str) -> String {
    let space = if text.starts_with(' ') { " " } else { "" };
    format!("{space}{number}")
}

/// `4.93E+11` in two parts. In a form the plus of the exponent is a space.
fn of_power_of_ten(text: &str) -> Option<(&str, i32)> {
    let (mantissa, exponent) = text.trim_matches(QUOTES).split_once(['e', 'E'])?;
    let unsigned = mantissa.strip_prefix('+').unwrap_or(mantissa);
    let is_number = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    let (whole, fraction) = unsigned.split_once(['.', ',']).unwrap_or((unsigned, ""));
    let is_mantissa = !whole.is_empty() && is_number(whole) && is_number(fraction);
    let digits = exponent.strip_prefix(['+', '-', ' ']).unwrap_or(exponent);
    if !is_mantissa || digits.is_empty() || !is_number(digits) {
        return None;
    }
    let size = digits.parse().unwrap_or(i32::MAX);
    Some((mantissa, if exponent.starts_with('-') { -size } else { size }))
}

/// The whole number, if no digit is missing but a zero at its end: of more zeros some were other digits.
fn written_out(mantissa: &str, exponent: i32) -> Option<String> {
    let (sign, unsigned) = mantissa.strip_prefix('+').map_or(("", mantissa), |rest| ("+", rest));
    let (whole, fraction) = unsigned.split_once(['.', ',']).unwrap_or((unsigned, ""));
    let all = format!("{}{fraction}", if whole == "0" { "" } else { whole });
    let left = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let digits = match left {
        0 => all,
        1 => format!("{all}0"),
        // Zeros behind the point.
        ..0 => {
            let (digits, rest) = all.split_at_checked(all.len().checked_sub(left.unsigned_abs() as usize)?)?;
            rest.bytes().all(|c| c == b'0').then(|| digits.to_owned())?
        }
        _ => return None,
    };
    Some(format!("{sign}{digits}"))
}

/// The number before the `.0` of a decimal: the text has no other point or comma.
fn without_fraction(text: &str) -> Option<&str> {
    let number = text.trim_end_matches(QUOTES).trim_start_matches(['\'', '"', '=']);
    let (whole, fraction) = number.split_once(['.', ','])?;
    let is_zero = !fraction.is_empty() && fraction.bytes().all(|c| c == b'0');
    let is_number = whole.chars().all(|c| c.is_ascii_digit() || "+ -()/".contains(c));
    (is_zero && is_number && whole.ends_with(|c: char| c.is_ascii_digit())).then_some(whole)
}

/// Letters among digits, which are no word, and no extension such as `x12`: what looks like a digit beside one, one or
/// two of any other kind between two, and the E of an exponent whose rest is elsewhere.
fn letters_at_digits(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut is_behind_digit = false;
    while let Some(start) = rest.find(char::is_alphabetic) {
        is_behind_digit = rest[..start].chars().next_back().map_or(is_behind_digit && start == 0, char::is_numeric);
        let run = &rest[start..];
        let run = &run[..run.find(|c: char| !c.is_alphabetic()).unwrap_or(run.len())];
        rest = &rest[start + run.len()..];
        let is_before_digit = rest.starts_with(char::is_numeric);
        let alike = run.chars().all(|c| like_a_digit(c).is_some());
        let is_bracketed = alike && text[..text.len() - rest.len() - run.len()].ends_with('(') && rest.starts_with(')');
        let is_short = run.chars().count() <= 2 && !["x", "X", "х", "Х"].contains(&run);
        let is_exponent = is_behind_digit && ["e", "E"].contains(&run);
        if (alike && (is_behind_digit || is_before_digit))
            || is_bracketed
            || (is_short && is_behind_digit && is_before_digit)
            || is_exponent
        {
            found.push(run);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_as_they_were_or_unknown() {
        for (text, number) in [
            ("4930901820.0", Some("4930901820")),
            ("+4930901820.00", Some("+4930901820")),
            ("4930901820,0 ", Some("4930901820")),
            ("'+49 30 901820.0", Some("+49 30 901820")),
            ("=\"4930901820.0\"", Some("4930901820")),
            ("49.30.901820.0", Some("49.30.901820.0")),
            ("030.901820", Some("030.901820")),
            ("030 901820-0", Some("030 901820-0")),
            ("4.93090182E+9", Some("4930901820")),
            ("+4.930901820e09", Some("+4930901820")),
            (" 4,93023125123E 11", Some(" 493023125123")),
            ("493023125123000E-3", Some("493023125123")),
            ("4930231251231E-1", None),
            ("4.93E+11", None),
            ("4.93023E+11", None),
            ("4.93E+99999999999", None),
            ("1E+2147483647", None),
            ("O30 9O1820", Some("030 901820")),
            ("+49 (O) 3o/9ОI8-2O", Some("+49 (0) 30/9018-20")),
            ("+49 l51 2345I789", Some("+49 151 23451789")),
            ("030 901820 o 0171 2345678", Some("030 901820 o 0171 2345678")),
            ("Tel. +49 30 901820 mobil x12", Some("Tel. +49 30 901820 mobil x12")),
            ("030 901820x12", Some("030 901820x12")),
            ("030 901820ext12", Some("030 901820ext12")),
            ("Tel. O30 901820", None),
            ("030 9S1820", None),
            ("030 90B182O", None),
            ("4791112345E", None),
            ("", Some("")),
        ] {
            assert_eq!(mended(text).as_deref(), number, "{text}");
        }
    }
}
