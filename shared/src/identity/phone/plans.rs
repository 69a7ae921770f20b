//! Numbering plans that changed: people go on writing the number they have known for years.

use rlibphonenumber::{PhoneNumber, PhoneNumberFormat};

/// A valid number in E.164, as it is dialled today.
pub(super) fn today(number: &PhoneNumber) -> Option<String> {
    let (national, country) = (number.get_national_significant_number(), number.country_code);
    let moved: Option<String> = match country {
        // Brazil's mobiles have nine digits behind their area since 2016, of which the first is 9.
        55 if national.len() == 10 && matches!(national.as_bytes()[2], b'6'..=b'9') => {
            Some(format!("{}9{}", &national[..2], &national[2..]))
        }
        // Mexico's were dialled with a 1 from abroad, and with 044 or 045 at home, until 2019.
        52 if national.len() == 11 => national.strip_prefix('1').map(String::from),
        52 => ["044", "045", "01"].iter().find_map(|prefix| national.strip_prefix(prefix)).map(String::from),
        _ => None,
    };
    if let Some(number) = moved.and_then(|national| valid(country, &national)) {
        return Some(number);
    }
    if number.is_valid() {
        return Some(e164(number));
    }
    (country == 54).then(|| of_argentina(&national)).flatten()
}

/// Mobiles have a 9 behind the country code, which people leave out, and at home a 15 behind the area, which people
/// write beside it. Where the same digits are a landline's, they are that.
fn of_argentina(national: &str) -> Option<String> {
    let national = national.trim_start_matches('0');
    let number = national.strip_prefix('9').unwrap_or(national);
    let without_15 = (2..=4).filter_map(|area| {
        let (area, rest) = number.split_at_checked(area)?;
        valid(54, &format!("9{area}{}", rest.strip_prefix("15")?))
    });
    without_15.chain(valid(54, &format!("9{number}"))).next()
}

fn valid(country: i32, national: &str) -> Option<String> {
    let number = PhoneNumber::parse(format!("+{country}{national}"), None).ok()?;
    number.is_valid().then(|| e164(&number))
}

fn e164(number: &PhoneNumber) -> String {
    number.format_as(PhoneNumberFormat::E164).into_owned()
}
