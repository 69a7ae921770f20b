//! Telephone numbers: as people write them, and in E.164, the one form that is hashed alike everywhere.

use std::fmt;

use rlibphonenumber::{PhoneNumber, PhoneNumberFormat};

use super::Hash;

/// Every region that libphonenumber knows numbers of. Asking it would load its metadata, and settings are read while a
/// function starts.
const REGIONS: &str = "\
    AC AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BW BY BZ CA CC CD \
    CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE \
    GF GG GH GI GL GM GN GP GQ GR GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN \
    KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ \
    NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH \
    SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VG \
    VI VN VU WF WS XK YE YT ZA ZM ZW";

/// A country or territory with telephone numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region(rlibphonenumber::Region);

impl Region {
    /// From its two letters (ISO 3166-1 alpha-2), in capitals or not.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(code: &str) -> Result<Self, String> {
        let code = code.to_ascii_uppercase();
        let known = REGIONS.split_ascii_whitespace().any(|region| region == code);
        let region = rlibphonenumber::Region::from_code(&code).ok().filter(|_| known);
        region.map(Self).ok_or_else(|| {
            "must be the two letters of a country (ISO 3166-1 alpha-2), such as DE, US or, for the United Kingdom, GB"
                .into()
        })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why a number has no hash, as what is said of the field it stood in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHash {
    /// It names no country, and a guess would be somebody else's number.
    #[error(
        "can't be matched without its country: start it with + and the country code, such as +49 30 901820, or set \
         PHONE_DEFAULT_REGION to the country whose numbers come without one"
    )]
    NoCountry,
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

/// A telephone number, at most 64 characters. Its `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone {
    written: String,
    hashes: Result<Box<Hashes>, NoHash>,
}

#[derive(Clone, PartialEq, Eq)]
struct Hashes {
    e164: Hash,
    digits: Hash,
}

impl Phone {
    /// A number without a country code is one of `default_region`; without that, it has no hash.
    ///
    /// # Errors
    /// What a number must look like.
    pub fn parse(text: &str, default_region: Option<Region>) -> Result<Self, String> {
        let written = text.trim();
        let plain = !written.chars().any(char::is_control);
        if plain && written.chars().any(char::is_numeric) && written.chars().count() <= 64 {
            let hashes = e164(written, default_region).map(|number| Box::new(Hashes::of(&number)));
            Ok(Self { written: written.into(), hashes })
        } else {
            Err("must be a telephone number of at most 64 characters, best with its country code: +49 30 901820".into())
        }
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

/// The number in E.164, without its extension.
///
/// Valid numbers only, where possible ones (of the right length) would do for a platform: what people type to get past
/// a form is mostly possible and never valid, and would match the deals of one to the lead of another.
fn e164(written: &str, default_region: Option<Region>) -> Result<String, NoHash> {
    let number = PhoneNumber::parse(written, default_region.map(|region| region.0))
        .ok()
        .filter(|number| number.is_valid() && !is_spelled(written, number));
    number.map(|number| number.format_as(PhoneNumberFormat::E164).into_owned()).ok_or_else(|| {
        if written.contains(['+', '＋']) {
            NoHash::NotInternational
        } else {
            default_region.map_or(NoHash::NoCountry, NoHash::NotOf)
        }
    })
}

/// Were letters read as the digits they share a key with? In a form they are no 1-800-FLOWERS but a note: "mobile".
fn is_spelled(written: &str, number: &PhoneNumber) -> bool {
    let digits: String = written.chars().filter(char::is_ascii_digit).collect();
    written.contains(|c: char| c.is_ascii_alphabetic()) && !digits.contains(&number.get_national_significant_number())
}

#[cfg(test)]
mod tests {
    use proptest::option::weighted;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use proptest::sample::select;
    use rlibphonenumber::PHONE_NUMBER_UTIL;
    use testing::cases;

    use super::*;

    fn hash(text: &str, region: &str) -> Result<Hash, NoHash> {
        let region = (!region.is_empty()).then(|| Region::parse(region).unwrap());
        Phone::parse(text, region).unwrap().hash().cloned()
    }

    #[test]
    fn googles_published_vector_is_met() {
        let expected = "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30";
        for region in ["", "US", "DE"] {
            assert_eq!(hash("+1 800-555-0100", region).unwrap().as_str(), expected);
        }
    }

    /// Region, E.164, in international and in national writing.
    const NUMBERS: [(&str, &str, &[&str], &[&str]); 9] = [
        (
            "DE",
            "+4930901820",
            &["+49 30 901820", "+49 (0)30 901820", "+49(30)90-18-20", "+49 30/901820 ext 7", "tel:+49-30-901820"],
            &["030 901820", "(030) 90 18 20", "0049 30 901820", "030/901820 ext. 7"],
        ),
        (
            "UA",
            "+380441234567",
            &["+380 44 123 45 67", "+380 (44) 123-45-67", "＋３８０ ４４ 123 45 67"],
            &["044 123 4567", "(044) 123-45-67", "00 380 44 123 45 67"],
        ),
        (
            "GB",
            "+442079460018",
            &["+44 20 7946 0018", "+44 (0)20 7946 0018", "+44 (0) 20 7946 0018 x12"],
            &["020 7946 0018", "(020) 7946 0018", "0044 20 7946 0018"],
        ),
        (
            "US",
            "+14155552671",
            &["+1 (415) 555-2671", "+1-415-555-2671", "+1.415.555.2671 ext. 5"],
            &["(415) 555-2671", "1-415-555-2671", "415.555.2671", "011 1 415 555 2671"],
        ),
        (
            "FR",
            "+33142685300",
            &["+33 1 42 68 53 00", "+33 (0)1 42 68 53 00"],
            &["01 42 68 53 00", "0142685300", "0033 1 42 68 53 00"],
        ),
        // Italy dials the zero from abroad too.
        ("IT", "+390669821234", &["+39 06 6982 1234", "+39 06-69821234"], &["06 6982 1234", "0039 06 6982 1234"]),
        (
            "BR",
            "+5511912345678",
            &["+55 11 91234-5678", "+55 (11) 91234-5678"],
            // With and without the carrier that a long-distance call goes through.
            &["(11) 91234-5678", "011 91234-5678", "0 15 11 91234-5678", "0021 55 11 91234-5678"],
        ),
        ("IN", "+918123456789", &["+91 81234 56789", "+91-8123456789"], &["081234 56789", "81234 56789"]),
        (
            "AU",
            "+61270101234",
            &["+61 2 7010 1234", "+61 (0)2 7010 1234"],
            &["(02) 7010 1234", "02 7010 1234", "0011 61 2 7010 1234"],
        ),
    ];

    #[test]
    fn a_number_with_its_country_needs_no_region() {
        for (region, e164, international, _) in NUMBERS {
            for text in international {
                for default in ["", region, "US", "RU", "IT"] {
                    assert_eq!(hash(text, default), Ok(Hash::of(e164)), "{text} in {default}");
                }
            }
        }
    }

    #[test]
    fn metas_hash_is_of_the_digits() {
        let phone = Phone::parse("+49 (0)30 901820", None).unwrap();
        assert_eq!(phone.digits_hash(), Some(&Hash::of("4930901820")));
        assert_eq!(Phone::parse("030 901820", None).unwrap().digits_hash(), None);
    }

    #[test]
    fn a_number_without_its_country_is_one_of_the_region_or_of_nobody() {
        for (region, e164, _, national) in NUMBERS {
            for text in national {
                assert_eq!(hash(text, region), Ok(Hash::of(e164)), "{text} in {region}");
                assert_eq!(hash(text, ""), Err(NoHash::NoCountry), "{text}");
            }
        }
        let germany = Region::parse("DE").unwrap();
        assert_ne!(hash("(415) 555-2671", "DE"), Ok(Hash::of("+14155552671")));
        assert_eq!(hash("020 7946 001", "GB").unwrap_err().to_string().matches("GB").count(), 1);
        assert_eq!(hash("0000000", "DE"), Err(NoHash::NotOf(germany)));
    }

    #[test]
    fn what_nobody_can_be_called_by_has_no_hash() {
        for text in ["+12", "+999 123456", "+0 30 901820", "+1 111 111 1111", "+49 30", "+1 (555) 010-0100", "++", "+"]
        {
            for region in ["", "US", "DE"] {
                assert_eq!(hash(&format!("{text}0"), region), Err(NoHash::NotInternational), "{text}0 in {region}");
            }
        }
    }

    #[test]
    fn a_note_beside_the_number_is_no_part_of_it() {
        assert_eq!(hash("Tel. +49 30 901820", ""), Ok(Hash::of("+4930901820")));
        assert_eq!(hash("電話 ０３－１２３４－５６７８", "JP"), Ok(Hash::of("+81312345678")));
        for text in ["+49 30 901820 Tel", "+49 151 234567 mob", "+1 800 FLOWERS 7"] {
            assert_eq!(hash(text, ""), Err(NoHash::NotInternational), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "call me", "+49 30\u{7}901820", &"1".repeat(65)] {
            assert!(Phone::parse(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn a_region_is_one_that_has_numbers() {
        let mut known: Vec<_> = PHONE_NUMBER_UTIL.get_supported_regions().map(|it| it.to_string()).collect();
        known.sort_unstable();
        assert_eq!(REGIONS.split_ascii_whitespace().collect::<Vec<_>>(), known);
        assert_eq!(Region::parse("de").unwrap().to_string(), "DE");
        for code in ["UK", "EU", "ZZ", "AQ", "001", "+49", "DEU", "Germany", "D E", "ÄÖ"] {
            assert!(Region::parse(code).unwrap_err().contains("GB"), "{code}");
        }
    }

    proptest! {
        #![proptest_config(cases(5_000))]

        #[test]
        fn every_number_has_the_hash_of_its_international_form_or_the_reason_why_not(
            text in concat!(
                r"(|\+|\+49|\+1|tel:\+39|00|011|;phone-context=\+|;ext=)",
                "([0-9]|[-+ ()./~;=#*,xtel:isub\u{ff0b}\u{ff11}\u{661}½²Ⅷ\u{ad}\u{200f}😀ß]){0,29}",
            ),
            region in weighted(0.75, select(REGIONS.split_ascii_whitespace().collect::<Vec<_>>())),
        ) {
            let region = region.map(|code| Region::parse(code).unwrap());
            if let Ok(phone) = Phone::parse(&text, region) {
                prop_assert_eq!(phone.as_str(), text.trim());
                match phone.hash() {
                    Ok(hash) => {
                        let number = e164(phone.as_str(), region).unwrap();
                        let international = Phone::parse(&number, None).unwrap();
                        prop_assert_eq!(international.hash(), Ok(hash), "{}", number);
                    }
                    Err(NoHash::NotInternational) => prop_assert!(text.contains(['+', '＋'])),
                    Err(NoHash::NoCountry) => prop_assert_eq!(region, None),
                    Err(NoHash::NotOf(asked)) => prop_assert_eq!(region, Some(asked)),
                }
            }
        }
    }
}
