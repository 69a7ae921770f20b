//! From what people write, and what forms and spreadsheets make of it, to a number in E.164.

use rlibphonenumber::{CountryCodeSource, PHONE_NUMBER_UTIL, PhoneNumber};
use unicode_normalization::UnicodeNormalization as _;

use super::{Guess, NoHash, PhoneReading, Region, plans, spoilt};
use crate::identity::Carrier;
use crate::invisible::is_invisible;

/// The number in E.164, without its extension, and what was guessed of it.
///
/// Valid numbers only, where possible ones (of the right length) would do for a platform: what people type to get past
/// a form is mostly possible and never valid, and would match the deals of one to the lead of another.
pub(super) fn e164(text: &str, how: PhoneReading) -> Result<(String, Option<Guess>), NoHash> {
    let tidied = tidied(text);
    if spoilt::mended(&tidied).is_some() {
        return one_of(&tidied, how);
    }
    // What separates its parts may be its own, but for what only separates numbers.
    let mut several = tidied.split([';', '|', '\n']).filter(|part| part.len() < tidied.len());
    let legible = several.find_map(|part| spoilt::mended(part).and_then(|part| one_of(&part, how).ok()));
    legible.ok_or(NoHash::Illegible)
}

fn one_of(tidied: &str, how: PhoneReading) -> Result<(String, Option<Guess>), NoHash> {
    if let Some(read) = alone(&tidied.replace('\n', " "), how) {
        return Ok(read);
    }
    // Several numbers: the first that can be dialled.
    let parts = tidied.split([';', ',', '|', '/', '\n']).flat_map(before_each_plus);
    let mut several = parts.filter(|part| digits(part) >= LEAST_DIGITS && part.len() < tidied.len());
    several.find_map(|part| alone(part, how)).ok_or_else(|| {
        if tidied.contains('+') {
            NoHash::NotInternational
        } else {
            how.region.map_or(NoHash::NoCountry, NoHash::NotOf)
        }
    })
}

/// What is cut off a longer text has at least as many digits: a shorter number would be somebody else's.
const LEAST_DIGITS: usize = 8;

/// One spelling for all kinds of spaces, dashes, digits and plus signs. Line breaks stay.
fn tidied(text: &str) -> String {
    let characters = text.chars().filter(|c| !is_invisible(*c)).map(|c| match c {
        '\n' | '\r' => '\n',
        c if c.is_whitespace() => ' ',
        '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{30fc}' | '\u{301c}' | '\u{2e3a}' | '\u{58a}' => '-',
        '➕' | '\u{207a}' => '+',
        c => c,
    });
    // Of full width, as Chinese and Japanese keyboards write them.
    let is_wide = |c: char| matches!(c, '\u{fe50}'..='\u{fe6f}' | '\u{ff00}'..='\u{ffef}');
    characters.flat_map(|c| if is_wide(c) { c.nfkc().next().into_iter() } else { Some(c).into_iter() }).collect()
}

fn digits(text: &str) -> usize {
    text.chars().filter(|c| c.is_numeric()).count()
}

/// `+49 30 901820 +49 171 1234567`, each for itself.
fn before_each_plus(text: &str) -> Vec<&str> {
    let starts: Vec<_> = text.match_indices('+').map(|(at, _)| at).chain([text.len()]).collect();
    starts.windows(2).map(|ends| &text[ends[0]..ends[1]]).chain((starts.len() == 1).then_some(text)).collect()
}

/// A text of a form with the plus before its number, if that arrived as a space and it is a valid number so.
pub(super) fn with_lost_plus(text: &str) -> Option<String> {
    let whole = format!("+{}", behind_lost_plus(text)?);
    e164(&whole, PhoneReading::default()).is_ok().then_some(whole)
}

/// Forms that don't escape a plus make a space of it: what follows that. A number with a zero before it had none.
fn behind_lost_plus(text: &str) -> Option<&str> {
    let number = text.strip_prefix(' ')?.trim_start();
    number.trim_start_matches('(').starts_with(|c| matches!(c, '1'..='9')).then_some(number)
}

/// One number, and what was guessed of it.
fn alone(text: &str, how: PhoneReading) -> Option<(String, Option<Guess>)> {
    let text = &*spoilt::mended(text)?;
    if how.carrier == Carrier::Form
        && let Some(number) = behind_lost_plus(text).and_then(international)
    {
        return Some((number, None));
    }
    let had_space = text.starts_with(' ');
    let text = text.trim();
    if text.contains(";phone-context=") {
        return number(text, how.region).map(|number| (number, None));
    }
    // What stands before a number is a word: "Tel."
    let start = text.find(|c: char| c == '+' || c.is_numeric())?;
    let first = &text[start..];
    if let Some(rest) = first.strip_prefix('+') {
        let rest = rest.trim_start_matches(['+', ' ', '(']);
        let rest = rest.strip_prefix("00").unwrap_or(rest);
        return international(rest).map(|number| (number, None));
    }
    if how.international {
        let complete = international(first.strip_prefix("00").unwrap_or(first));
        if let Some(number) = complete.filter(|_| !first.starts_with('0') || first.starts_with("00")) {
            return Some((number, None));
        }
    }
    if let Some(number) = with_bracketed_zero(first).and_then(international) {
        return Some((number, None));
    }
    if let Some(region) = how.region
        && let Some(number) = number(text, Some(region))
    {
        let guess = is_taken_for(text, region).then_some(Guess::Region(region));
        return Some((number, guess));
    }
    let complete = first.strip_prefix("00").filter(|rest| !rest.starts_with('0')).or_else(|| {
        // Shorter, it is a national number of India, Argentina, South Africa or Great Britain.
        first.strip_prefix("011").filter(|rest| digits(rest) >= 10)
    });
    if let Some(number) = complete.and_then(international) {
        return Some((number, None));
    }
    // Part of a text isn't read as one.
    let is_plain = start == 0 && text.chars().all(|c| c.is_ascii_digit() || c == ' ');
    let is_long = (10..=15).contains(&digits(text)) || had_space;
    let guessed = international(text).filter(|_| is_plain && is_long && !text.starts_with('0') && !is_of_ten(text));
    guessed.map(|number| (number, Some(Guess::Plus)))
}

/// `49 (0) 30 901820`: nobody writes that zero but behind the code of a country.
fn with_bracketed_zero(text: &str) -> Option<&str> {
    let code = text.split("(0)").next().filter(|code| code.len() < text.len())?;
    let code = code.trim_matches([' ', '(', ')', '-']);
    let is_code = (1..=3).contains(&code.len()) && code.bytes().all(|c| c.is_ascii_digit()) && !code.starts_with('0');
    is_code.then_some(text)
}

/// The number of ten digits that North America and India write without anything before it: never another country's.
fn is_of_ten(text: &str) -> bool {
    let parsed = |region| PhoneNumber::parse(text, Some(region)).is_ok_and(|number| number.is_valid());
    digits(text) == 10 && (parsed(rlibphonenumber::Region::US) || parsed(rlibphonenumber::Region::IN))
}

/// Does it say nothing of its country?
fn is_taken_for(text: &str, region: Region) -> bool {
    let parsed = PHONE_NUMBER_UTIL.parse_and_keep_raw_input(text, Some(region.0));
    parsed.is_ok_and(|number| number.country_code_source() == CountryCodeSource::FromDefaultCountry)
}

fn international(text: &str) -> Option<String> {
    number(&format!("+{text}"), None)
}

fn number(text: &str, region: Option<Region>) -> Option<String> {
    let read = |text: &str| {
        let number = PhoneNumber::parse(text, region.map(|region| region.0)).ok()?;
        plans::today(&number).filter(|_| !is_spelled(text, &number))
    };
    read(text).or_else(|| read(without_note(text)?))
}

/// Were letters read as the digits they share a key with? In a form they are no 1-800-FLOWERS but a note: "mobile".
fn is_spelled(written: &str, number: &PhoneNumber) -> bool {
    let digits: String = written.chars().filter(char::is_ascii_digit).collect();
    written.contains(|c: char| c.is_ascii_alphabetic()) && !digits.contains(&number.get_national_significant_number())
}

/// The number before a word: an extension in a language that the library doesn't know, or what kind of number it is.
fn without_note(text: &str) -> Option<&str> {
    let first = text.find(|c: char| c.is_numeric())?;
    let word = text[first..].find(char::is_alphabetic).map(|at| first + at)?;
    let number = &text[..word];
    let is_apart = !number.ends_with(|c: char| c.is_numeric());
    (is_apart && digits(number) >= LEAST_DIGITS).then(|| number.trim_end_matches([' ', ',', '(', '-', '/', ';', '#']))
}
