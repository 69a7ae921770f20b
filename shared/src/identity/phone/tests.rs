use proptest::option::weighted;
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;
use rlibphonenumber::PHONE_NUMBER_UTIL;
use testing::cases;

use super::region::REGIONS;
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
        &["030 901820", "(030) 90 18 20", "030/901820 ext. 7"],
    ),
    (
        "UA",
        "+380441234567",
        &["+380 44 123 45 67", "+380 (44) 123-45-67", "＋３８０ ４４ 123 45 67"],
        &["044 123 4567", "(044) 123-45-67"],
    ),
    (
        "GB",
        "+442079460018",
        &["+44 20 7946 0018", "+44 (0)20 7946 0018", "+44 (0) 20 7946 0018 x12"],
        &["020 7946 0018", "(020) 7946 0018"],
    ),
    (
        "US",
        "+14155552671",
        &["+1 (415) 555-2671", "+1-415-555-2671", "+1.415.555.2671 ext. 5"],
        &["(415) 555-2671", "1-415-555-2671", "415.555.2671"],
    ),
    ("FR", "+33142685300", &["+33 1 42 68 53 00", "+33 (0)1 42 68 53 00"], &["01 42 68 53 00", "0142685300"]),
    // Italy dials the zero from abroad too.
    ("IT", "+390669821234", &["+39 06 6982 1234", "+39 06-69821234"], &["06 6982 1234"]),
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
    for text in ["+12", "+999 123456", "+0 30 901820", "+1 111 111 1111", "+49 30", "+1 (555) 010-0100", "++", "+"] {
        for region in ["", "US", "DE"] {
            assert_eq!(hash(&format!("{text}0"), region), Err(NoHash::NotInternational), "{text}0 in {region}");
        }
    }
}

/// What was read of it without a region, and with each of some: the number and what was guessed.
fn read(text: &str, how: PhoneReading) -> (Option<Hash>, Option<Guess>) {
    let phone = Phone::read(text, how).unwrap();
    (phone.hash().ok().cloned(), phone.guess())
}

const REGIONS_OF_SITES: [&str; 6] = ["", "DE", "US", "GB", "BR", "IN"];

#[test]
fn every_spelling_of_a_complete_number_is_that_number_everywhere() {
    for (e164, spellings) in [
        (
            "+4930901820",
            &[
                "0049 30 901820",
                "00 49 (0) 30 / 90 18 20",
                "+49 (0) 30 901820",
                "+49 030 901820",
                "+0049 30 901820",
                "++49 30 901820",
                "+ 49 30 901820",
                "(+49) 30 901820",
                "+49\u{a0}30\u{202f}90\u{2009}18\u{3000}20",
                "+49\u{2011}30\u{2212}90\u{2013}18\u{30fc}20",
                "\u{202a}+49 30 901820\u{202c}",
                "\u{feff}+49\u{200b}30901820",
                "＋４９ ３０ ９０１８２０",
                "➕49 30 901820",
                "+49\t30\n901820",
                "tel:+49-30-901820",
                "Telefon: +49 30 901820",
                "+49 30 901820 ext. 12",
                "+49 30 901820 x12",
                "+49 30 901820 Durchwahl 12",
                "+49 30 901820, poste 12",
                "+49 30 901820 (ramal 12)",
                "+49 30 901820 доб. 12",
                "+49 30 901820 Tel",
                "+49 30 901820 (mobil)",
                "+49 30 901820; +49 171 2345678",
                "+49 30 901820 / +49 171 2345678",
                "+49 30 901820 or +49 171 2345678",
            ][..],
        ),
        ("+14155552671", &["+1 415 555 2671", "001 415 555 2671", "011 1 415 555 2671", "+1 (415) 555-2671 x 9"]),
        (
            "+442079460018",
            &["44 (0) 20 7946 0018", "(44) (0)20 7946 0018", "011 44 20 7946 0018", "+44 (0)20 7946 0018"],
        ),
    ] {
        for text in spellings {
            for region in REGIONS_OF_SITES {
                let how = PhoneReading { region: Region::parse(region).ok(), ..PhoneReading::default() };
                assert_eq!(read(text, how), (Some(Hash::of(e164)), None), "{text} in {region}");
            }
        }
    }
}

#[test]
fn old_mobiles_are_dialled_as_today() {
    for (e164, international, region, national) in [
        (
            "+5511987654321",
            &[
                "+55 11 98765-4321",
                "+55 11 8765-4321",
                "+55 (11) 8765 4321",
                "0055 11 8765 4321",
                "+55 (011) 8765-4321",
            ][..],
            "BR",
            &["(11) 8765-4321", "11 98765-4321", "011 8765-4321"][..],
        ),
        ("+5521976543210", &["+55 21 7654-3210", "+552176543210"], "BR", &["(21) 7654-3210"]),
        (
            "+525512345678",
            &[
                "+52 55 1234 5678",
                "+52 1 55 1234 5678",
                "+5215512345678",
                "0052 1 55 1234 5678",
                "+52 (1) 55 1234-5678",
            ],
            "MX",
            &["55 1234 5678", "044 55 1234 5678", "045 55 1234 5678", "01 55 1234 5678", "1 55 1234 5678"],
        ),
        ("+523312345678", &["+52 1 33 1234 5678", "+52 044 33 1234 5678"], "MX", &["044 33 1234 5678"]),
        (
            "+5491123456789",
            &[
                "+54 9 11 2345-6789",
                "+54 11 15-2345-6789",
                "+54 9 11 15 2345 6789",
                "0054 9 11 2345 6789",
                "+54 (011) 15 2345-6789",
            ],
            "AR",
            &["011 15-2345-6789", "11 15 2345 6789", "9 11 2345 6789", "(011) 15 2345-6789"],
        ),
        ("+5493515123456", &["+54 9 351 512-3456", "+54 351 15 512-3456"], "AR", &["0351 15-512-3456"]),
    ] {
        for text in international {
            for default in ["", "DE", region] {
                assert_eq!(hash(text, default), Ok(Hash::of(e164)), "{text} in {default}");
            }
        }
        for text in national {
            assert_eq!(hash(text, region), Ok(Hash::of(e164)), "{text} in {region}");
        }
    }
    for landline in ["+551133334444", "+541143211234", "+525555123456"] {
        assert_eq!(hash(landline, ""), Ok(Hash::of(landline)), "a landline stays what it is");
    }
}

#[test]
fn a_number_that_lost_its_plus_is_taken_for_that_number_only_by_a_guess_that_is_told() {
    let plus = Some(Guess::Plus);
    for (text, region, e164, guess) in [
        ("4930902123", "", "+4930902123", plus),
        ("493023125123", "", "+493023125123", plus),
        ("49 30 2312 5123", "", "+493023125123", plus),
        ("447911123456", "", "+447911123456", plus),
        ("14155552671", "", "+14155552671", plus),
        ("5511987654321", "", "+5511987654321", plus),
        ("551187654321", "", "+5511987654321", plus),
        ("5215512345678", "US", "+525512345678", plus),
        ("447911123456", "US", "+447911123456", plus),
        // Its country is the region's: nothing is guessed.
        ("447911123456", "GB", "+447911123456", None),
    ] {
        let how = PhoneReading { region: Region::parse(region).ok(), ..PhoneReading::default() };
        assert_eq!(read(text, how), (Some(Hash::of(e164)), guess), "{text} in {region}");
    }
    // These would be somebody's in Denmark, Singapore or Hungary.
    for text in ["4582345678", "6598765432", "3612345678", "469-555-1234", "030 901820", "(44) 20 7946 0018", "12345"] {
        assert_eq!(hash(text, ""), Err(NoHash::NoCountry), "{text}");
    }
    // A number of the region is that, whatever it would be with a plus.
    let germany = Region::parse("DE").ok();
    let how = PhoneReading { region: germany, ..PhoneReading::default() };
    assert_eq!(read("030 901820", how), (Some(Hash::of("+4930901820")), germany.map(Guess::Region)));
    assert_eq!(read("0049 30 901820", how), (Some(Hash::of("+4930901820")), None));
}

#[test]
fn in_a_form_a_space_before_the_number_was_its_plus() {
    for region in REGIONS_OF_SITES {
        let region = Region::parse(region).ok();
        let how = PhoneReading { region, carrier: Carrier::Form, ..PhoneReading::default() };
        for text in [" 49 30 901820", " 4930901820", " 49-30-901820 "] {
            assert_eq!(read(text, how), (Some(Hash::of("+4930901820")), None), "{text:?}");
        }
    }
    let how = PhoneReading { region: Region::parse("DE").ok(), carrier: Carrier::Form, international: false };
    assert_eq!(read(" 030 901820", how).0, Some(Hash::of("+4930901820")), "a space that somebody typed");
    for (text, whole) in [
        (" 49 30 901820", "+49 30 901820"),
        (" (49) 30/901820", "+(49) 30/901820"),
        ("  4930901820", "+4930901820"),
        (" 4.930901820E 9", "+4.930901820E 9"),
        (" 49 30 901820; +49 171 2345678", "+49 30 901820; +49 171 2345678"),
        // These are whatever the region makes of them.
        (" 030 901820", " 030 901820"),
        (" 415 555 2671", " 415 555 2671"),
        ("49 30 901820", "49 30 901820"),
        (" +49 30 901820", " +49 30 901820"),
        (" call me", " call me"),
        ("", ""),
    ] {
        assert_eq!(with_lost_plus(text.into()), whole, "{text}");
    }
}

#[test]
fn where_the_source_says_so_numbers_are_complete_but_for_their_plus() {
    for region in REGIONS_OF_SITES {
        let how = PhoneReading { region: Region::parse(region).ok(), international: true, ..PhoneReading::default() };
        for (text, e164) in [
            ("4930901820", "+4930901820"),
            ("49-30-901820", "+4930901820"),
            ("(49) 30/901820", "+4930901820"),
            ("4582345678", "+4582345678"),
            ("+1 415 555 2671", "+14155552671"),
            ("0049 30 901820", "+4930901820"),
            ("5215512345678", "+525512345678"),
        ] {
            assert_eq!(read(text, how), (Some(Hash::of(e164)), None), "{text} in {region}");
        }
    }
}

#[test]
fn a_json_number_is_as_good_as_a_text() {
    let text = |json: &str| number_as_text(&serde_json::from_str(json).unwrap());
    assert_eq!(text("4930902123").as_deref(), Some("4930902123"));
    assert_eq!(text("4930902123.0").as_deref(), Some("4930902123"));
    assert_eq!(text("4.930902123e9").as_deref(), Some("4930902123"));
    assert_eq!(text("4.93e11").as_deref(), Some("4.93e11"), "its other digits are lost");
    for none in ["-1", "1.5", "1e300", "true", "\"1\"", "[1]", "null", "0.0"] {
        assert_eq!(text(none), None, "{none}");
    }
}

#[test]
fn a_note_beside_the_number_is_no_part_of_it() {
    assert_eq!(hash("Tel. +49 30 901820", ""), Ok(Hash::of("+4930901820")));
    assert_eq!(hash("電話 ０３－１２３４－５６７８", "JP"), Ok(Hash::of("+81312345678")));
    for text in ["+49 151 234567 mob", "+1 800 FLOWERS 7"] {
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
                    let how = PhoneReading { region, ..PhoneReading::default() };
                    let (number, _) = reading::e164(&text, how).unwrap();
                    let international = Phone::parse(&number, None).unwrap();
                    prop_assert_eq!(international.hash(), Ok(hash), "{}", number);
                }
                Err(NoHash::NotInternational) => prop_assert!(text.contains(['+', '＋'])),
                Err(NoHash::NoCountry) => prop_assert_eq!(region, None),
                Err(NoHash::Illegible) => prop_assert!(text.contains(char::is_alphabetic)),
                Err(NoHash::NotOf(asked)) => prop_assert_eq!(region, Some(asked)),
            }
        }
    }
}
