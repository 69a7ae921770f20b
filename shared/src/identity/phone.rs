//! Telephone numbers: as people write them, and in E.164, the one form that is hashed alike everywhere.

mod plans;
mod reading;
mod region;
mod spoilt;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

use super::{Carrier, Hash};

pub use region::Region;

/// Why a number has no hash, as what is said of the field it stood in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHash {
    /// It names no country, and a guess would be somebody else's number.
    #[error(
        "can't be matched without its country: start it with + and the country code, such as +49 30 901820, or set \
         PHONE_DEFAULT_REGION to the country whose numbers come without one"
    )]
    NoCountry,
    /// A spreadsheet kept only its first digits, or there are letters among them.
    #[error(
        "can't be matched: digits of it are lost or are letters, as a spreadsheet that takes it for an amount or a scan \
         makes them; send it as a text, with + and the country code: +49 30 901820"
    )]
    Illegible,
    /// It names a country that has no such number, or none at all.
    #[error("can't be matched: it starts with + and is not a valid number of any country")]
    NotInternational,
    /// It names no country, and isn't one of the country that such numbers are taken for.
    #[error(
        "can't be matched: it is not a valid number in {0}, which is PHONE_DEFAULT_REGION; one from elsewhere starts \
         with + and the country code"
    )]
    NotOf(Region),
}

/// What a number without a plus was taken for, and can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Guess {
    /// It names no country: one of the region that such numbers are taken for.
    #[error(
        "has no country code and is read as a number in {0}, which is PHONE_DEFAULT_REGION: a guess, unless all your \
         numbers are from there; send it with + and the country code"
    )]
    Region(Region),
    /// It is complete but for the plus that international numbers begin with.
    #[error(
        "has no + and is read as if it began with one: a guess; send it with the +, or declare \
         phone = {{ at = \"…\", international = true }} for a source whose numbers are all complete but for that"
    )]
    Plus,
}

/// How to read a number.
#[derive(Clone, Copy, Debug, Default)]
pub struct PhoneReading {
    /// The country of numbers without a country code; none: such a number has no hash.
    pub region: Option<Region>,
    /// What it came in.
    pub carrier: Carrier,
    /// Is the number complete but for its plus?
    pub international: bool,
}

/// A telephone number, at most 64 characters. Its `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone {
    written: String,
    hashes: Result<Box<Hashes>, NoHash>,
    guess: Option<Guess>,
}

#[derive(Clone, PartialEq, Eq)]
struct Hashes {
    e164: Hash,
    digits: Hash,
}

impl Phone {
    /// A number without a country code is one of `region`; without that, it has no hash.
    ///
    /// # Errors
    /// What a number must look like.
    pub fn parse(text: &str, region: Option<Region>) -> Result<Self, String> {
        Self::read(text, PhoneReading { region, ..PhoneReading::default() })
    }

    /// A number as its text came, with the white space around it: a form turns a plus into a space.
    ///
    /// # Errors
    /// What a number must look like.
    pub fn read(text: &str, how: PhoneReading) -> Result<Self, String> {
        let written = text.trim();
        let plain = !written.chars().any(|c| c.is_control() && !c.is_whitespace());
        if plain && written.chars().any(char::is_numeric) && written.chars().count() <= 64 {
            let (hashes, guess) = match reading::e164(text, how) {
                Ok((number, guess)) => (Ok(Box::new(Hashes::of(&number))), guess),
                Err(why) => (Err(why), None),
            };
            Ok(Self { written: written.into(), hashes, guess })
        } else {
            Err("must be a telephone number of at most 64 characters, best with its country code: +49 30 901820".into())
        }
    }

    /// What was guessed of a number that has a hash.
    #[must_use]
    pub fn guess(&self) -> Option<Guess> {
        self.guess
    }

    /// The number as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The SHA-256 of the number in E.164: what leads are matched by, and what every platform but Meta wants.
    ///
    /// # Errors
    /// Why it has none.
    pub fn hash(&self) -> Result<&Hash, NoHash> {
        self.hashes.as_ref().map(|hashes| &hashes.e164).map_err(|why| *why)
    }

    /// Meta's: the SHA-256 of the digits of the number in E.164, without the +. None if it has no hash.
    #[must_use]
    pub fn digits_hash(&self) -> Option<&Hash> {
        self.hashes.as_ref().ok().map(|hashes| &hashes.digits)
    }
}

impl Hashes {
    fn of(e164: &str) -> Self {
        Self { e164: Hash::of(e164), digits: Hash::of(e164.trim_start_matches('+')) }
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(…)")
    }
}

/// A text of a form with the plus of its number, which arrives as a space where the sender doesn't escape it.
#[must_use]
pub fn with_lost_plus(text: String) -> String {
    reading::with_lost_plus(&text).unwrap_or(text)
}

/// A number of a JSON body as text: what stands between a form and a CRM may have made one of its digits.
#[must_use]
pub fn number_as_text(value: &Value) -> Option<String> {
    const MOST: f64 = 1e15;
    // A decimal with so many zeros at its end was rounded by a spreadsheet. As a power of ten its digits aren't taken
    // for a number.
    const ROUND: f64 = 1e5;
    let float = || value.as_f64().filter(|it| it.fract() == 0.0 && (1.0..MOST).contains(it));
    let written = |it: f64| if it % ROUND == 0.0 { format!("{it:e}") } else { format!("{it:.0}") };
    value.as_u64().map(|it| it.to_string()).or_else(|| float().map(written))
}
