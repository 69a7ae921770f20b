//! The published vectors, docs/hashes.json: what anybody can check another program against.

use serde::Deserialize;
use serde_json::Value;

use super::{Carrier, Email, Phone, PhoneReading, Region, number_as_text};

#[derive(Deserialize)]
struct Vectors {
    emails: Vec<Mailbox>,
    email_lists: Vec<List>,
    no_emails: Vec<String>,
    phones: Vec<Number>,
    phones_without_hash: Vec<String>,
}

#[derive(Deserialize)]
struct Mailbox {
    spelling: String,
    sha256: String,
    google_sha256: Option<String>,
    written: Vec<String>,
    #[serde(default)]
    written_in_a_form_body: Vec<String>,
}

#[derive(Deserialize)]
struct List {
    written: String,
    spellings: Vec<String>,
}

#[derive(Deserialize)]
struct Number {
    sha256: String,
    digits_sha256: String,
    written: Vec<Value>,
    region: Option<String>,
    #[serde(default)]
    international: bool,
    #[serde(default)]
    form: bool,
    #[serde(default)]
    guess: bool,
}

fn published() -> Vectors {
    serde_json::from_str(include_str!("../../../docs/hashes.json")).unwrap()
}

/// Numbers as spreadsheets and scanners spoil them, in JSON, with the number that they were in Germany: a form and a
/// CRM read them alike. None: nobody can tell.
pub(crate) const SPOILT: &[(&str, Option<&str>)] = &[
    (r#""4930901820.0""#, Some("+4930901820")),
    (r#""+4930901820.0""#, Some("+4930901820")),
    (r#""4.930901820e9""#, Some("+4930901820")),
    (r#""4.93090182E+9""#, Some("+4930901820")),
    (r#""4,93023125123E+11""#, Some("+493023125123")),
    (r#""'+4.4791112345E+11""#, Some("+447911123450")),
    (r#""+14155552671.00""#, Some("+14155552671")),
    (r#""14155552671,0""#, Some("+14155552671")),
    ("493023125123.0", Some("+493023125123")),
    ("4.93023125123e11", Some("+493023125123")),
    (r#""O30 9O1820""#, Some("+4930901820")),
    (r#""+49 (O)30 9o18-2O""#, Some("+4930901820")),
    (r#""OO49 3O/9OI82O""#, Some("+4930901820")),
    (r#""+49 l5l 23456789""#, Some("+4915123456789")),
    (r#""O30 901820; 030 901821""#, Some("+4930901820")),
    (r#""4.93E+11""#, None),
    (r#""4.93023E+11""#, None),
    (r#""+4.4791E11""#, None),
    (r#""4,9302312E+11""#, None),
    ("4.93e11", None),
    (r#""4930901820E""#, None),
    (r#""Tel. O30 9O1820""#, None),
    (r#""030 9O1820 ext 5""#, None),
    (r#""+49 30 9B1820""#, None),
    (r#""+49 3O 9S1 82O""#, None),
];

#[test]
fn every_published_spelling_of_an_address_has_its_published_hashes() {
    for mailbox in published().emails {
        let json = mailbox.written.iter().map(|text| (text, Carrier::Json));
        let form = mailbox.written_in_a_form_body.iter().map(|text| (text, Carrier::Form));
        for (text, carrier) in json.chain(form) {
            let read = Email::all(text, carrier).unwrap().emails;
            assert_eq!(read.iter().map(Email::as_str).collect::<Vec<_>>(), [&mailbox.spelling], "{text}");
            assert_eq!(read[0].hash().as_str(), mailbox.sha256, "{text}");
            let google = read[0].google_hash();
            assert_eq!(google.as_ref().map(super::Hash::as_str), mailbox.google_sha256.as_deref(), "{text}");
        }
    }
}

#[test]
fn published_lists_are_their_addresses_and_what_is_none_is_none() {
    let published = published();
    for list in published.email_lists {
        let read = Email::all(&list.written, Carrier::Json).unwrap().emails;
        assert_eq!(read.iter().map(Email::as_str).collect::<Vec<_>>(), list.spellings, "{}", list.written);
    }
    for text in published.no_emails {
        assert!(Email::parse(&text).is_err(), "{text}");
    }
}

#[test]
fn every_published_spelling_of_a_number_has_its_published_hashes() {
    let published = published();
    for number in published.phones {
        let region = number.region.as_deref().map(|code| Region::parse(code).unwrap());
        let carrier = if number.form { Carrier::Form } else { Carrier::Json };
        let how = PhoneReading { region, carrier, international: number.international };
        for value in &number.written {
            let text = value.as_str().map(String::from).or_else(|| number_as_text(value)).unwrap();
            let phone = Phone::read(&text, how).unwrap();
            assert_eq!(phone.hash().map(super::Hash::as_str), Ok(number.sha256.as_str()), "{text}");
            assert_eq!(phone.digits_hash().map(super::Hash::as_str), Some(number.digits_sha256.as_str()), "{text}");
            let may_guess = number.guess || number.region.is_some();
            assert!(phone.guess().is_none() || may_guess, "{text}");
            assert!(phone.guess().is_some() || !number.guess, "{text}");
        }
    }
    for text in published.phones_without_hash {
        assert!(Phone::parse(&text, None).unwrap().hash().is_err(), "{text}");
    }
}
