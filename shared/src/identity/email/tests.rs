use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::{btree_set, vec};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;
use testing::cases;

use super::*;

fn google_hash(address: &str) -> Option<Hash> {
    Email::parse(address).unwrap().google_hash()
}

#[test]
fn google_hashes_match_googles_published_vectors() {
    let vectors = [
        ("  ALEXZ@EXAMPLE.com ", "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a"),
        ("cloudy.sanfrancisco@gmail.com", "223ebda6f6889b1494551ba902d9d381daf2f642bae055888e96343d53e9f9c4"),
        ("Jefferson.LOVES.Hiking@googlemail.com", "2824967181c781aced84c32bf8bb51fc6401202eeff88263776f63c99df9314c"),
        ("user.name+NYC@Example.com", "f109a2a632fbcea5fc82049f50beed3d8621bf9034399f437fb622222acccdac"),
    ];
    for (address, expected) in vectors {
        assert_eq!(google_hash(address).unwrap().as_str(), expected, "{address}");
    }
}

#[test]
fn the_published_base64_is_of_the_same_bytes() {
    let bytes = STANDARD.decode("UJ6TMBm7KFoTSpM0uLtnnf950M4CPVKa9L10TUe0/Yo=").unwrap();
    assert_eq!(google_hash("alexz@example.com").unwrap().as_str(), crate::identity::hex(&bytes));
}

#[test]
fn the_same_mailbox_at_gmail_has_one_google_hash_and_its_own_plain_hash() {
    let written = Email::parse("Jane.Doe@gmail.com").unwrap();
    assert_eq!(written.google_hash(), Some(Hash::of("janedoe@gmail.com")));
    assert_eq!(written.hash(), Hash::of("jane.doe@gmail.com"));
    assert_eq!(google_hash("j.doe@gmail.example.org"), Some(Hash::of("j.doe@gmail.example.org")));
    assert_eq!(google_hash("jane doe@example.com"), Some(Hash::of("janedoe@example.com")));
}

#[test]
fn with_a_tag_at_gmail_there_is_no_google_hash_and_the_plain_one_stays() {
    for address in ["Jane.Doe+x@gmail.com", "jane+@googlemail.com", "+jane@gmail.com"] {
        assert_eq!(google_hash(address), None, "{address}");
    }
    assert_eq!(Email::parse("Jane.Doe+x@gmail.com").unwrap().hash(), Hash::of("jane.doe+x@gmail.com"));
    assert_eq!(google_hash("jane+x@example.com"), Some(Hash::of("jane+x@example.com")), "a tag only at Gmail");
}

#[test]
fn letters_of_any_script_are_accepted_and_domains_are_those_of_name_servers() {
    for (written, spelling) in [
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
        ("jose\u{301}@example.com", "jos\u{e9}@example.com"),
        ("राज@राजस्थान.भारत", "राज@xn--81bsj3a4b8ad2j.xn--h2brj9c"),
        ("李@例子.example", "李@xn--fsqu00a.example"),
    ] {
        assert_eq!(Email::parse(written).unwrap().as_str(), spelling);
    }
}

/// Every spelling that is one mailbox, and is one hash.
const SPELLINGS: &[(&str, &[&str])] = &[
    (
        "jane+ads@example.com",
        &[
            " Jane+Ads@EXAMPLE.com ",
            "\"Doe, Jane\" <jane+ads@example.com>",
            "Doe, Jane <jane+ads@example.com>",
            "=?Jane Doe?= <jane+ads@example.com>",
            "<jane+ads@example.com>",
            "jane+ads@example.com (Jane Doe)",
            "Jane Doe (jane+ads@example.com)",
            "Jane Doe [jane+ads@example.com]",
            "\"jane@work\" <jane+ads@example.com>",
            "\"jane@work.example\" <jane+ads@example.com>",
            "jane+ads@example.com <jane+ads@example.com>",
            "mailto:jane+ads@example.com?subject=Hello, you&cc=boss@example.com",
            "MAILTO:jane%2Bads@example.com",
            "<mailto:jane+ads@example.com|jane+ads@example.com>",
            "[jane+ads@example.com](mailto:jane+ads@example.com)",
            "E-mail: jane+ads@example.com",
            "SMTP:jane+ads@example.com",
            "“jane+ads@example.com”",
            "'jane+ads@example.com'",
            "'jane+ads@example.com",
            "{jane+ads@example.com}",
            "jane+ads@example.com.",
            "jane+ads@example.com;",
            ", jane+ads@example.com,",
            "jane+ads%40example.com",
            "&lt;jane+ads@example.com&gt;",
            "jane+ads&#64;example.com",
            "ｊａｎｅ＋ａｄｓ＠ｅｘａｍｐｌｅ．ｃｏｍ",
            "jane+ads＠example。com",
            "jane\u{200b}+ads@exam\u{ad}ple.com",
            "\u{202a}jane+ads@example.com\u{202c}",
            "jane+ads @ example . com",
            "jane+ads@\nexample.com",
            "jane+ads@example.com\u{a0}",
        ],
    ),
    (
        "info@xn--mnchen-3ya.example",
        &[
            "info@münchen.example",
            "info@MÜNCHEN.example",
            "info@mu\u{308}nchen.example",
            "info@XN--MNCHEN-3YA.example",
            "Info <info@münchen.example>",
        ],
    ),
    ("jos\u{e9}@example.com", &["jose\u{301}@example.com", "JOS\u{c9}@example.com", "\u{ff4a}os\u{e9}@example.com"]),
    ("o'brien@example.com", &["O'Brien@example.com", "'o'brien@example.com'", "O\u{feff}'Brien@example.com"]),
];

#[test]
fn one_mailbox_has_one_spelling() {
    for (spelling, written) in SPELLINGS {
        for text in written.iter().chain([spelling]) {
            let found = Email::all(text, Carrier::Json).map(|it| it.emails).unwrap_or_default();
            assert_eq!(found.iter().map(Email::as_str).collect::<Vec<_>>(), [*spelling], "{text}");
        }
    }
}

#[test]
fn in_a_form_a_space_is_the_plus_that_nobody_escaped() {
    for (text, form, json) in [
        ("jane ads@example.com", "jane+ads@example.com", "janeads@example.com"),
        (" jane ads@example.com ", "jane+ads@example.com", "janeads@example.com"),
        ("Jane Doe <jane ads@example.com>", "jane+ads@example.com", "janeads@example.com"),
        ("j ane ads@example.com", "j+ane+ads@example.com", "janeads@example.com"),
        ("jane @example.com", "jane@example.com", "jane@example.com"),
        ("jane@example .com", "jane@example.com", "jane@example.com"),
        ("jane +ads@example.com", "jane+ads@example.com", "jane+ads@example.com"),
    ] {
        for (carrier, spelling) in [(Carrier::Form, form), (Carrier::Json, json)] {
            let read = Email::all(text, carrier).unwrap();
            assert_eq!(read.emails[0].as_str(), spelling, "{text}");
            assert_eq!(read.were_spaced, carrier == Carrier::Json && form != json || text.contains(" +"), "{text}");
        }
    }
}

#[test]
fn a_list_is_each_of_its_addresses_once() {
    let two = ["jane@example.com", "doe@example.com"];
    for (text, expected) in [
        ("jane@example.com;doe@example.com", &two[..]),
        ("jane@example.com, doe@example.com", &two),
        ("jane@example.com\ndoe@example.com\r\n", &two),
        ("jane@example.com\u{2028}doe@example.com", &two),
        ("jane@example.com doe@example.com", &two),
        ("jane@example.com，doe@example.com、jane@example.com", &two),
        ("\"Doe; Jane\" <jane@example.com>, Doe <doe@example.com>", &two),
        ("jane@example.com; n/a; JANE@example.com", &two[..1]),
        ("Jane Doe\njane@example.com", &two[..1]),
    ] {
        let found = Email::all(text, Carrier::Json).unwrap().emails;
        assert_eq!(found.iter().map(Email::as_str).collect::<Vec<_>>(), expected, "{text}");
        assert_eq!(Email::parse(text).unwrap().as_str(), "jane@example.com");
    }
}

#[test]
fn a_lead_that_is_stored_by_another_spelling_of_its_domain_is_still_known() {
    let former = |text: &str| Email::parse(text).unwrap().former_hashes();
    assert_eq!(former("jane@example.com"), []);
    for text in ["jane@bücher.example", "jane@xn--bcher-kva.example", "JANE@bu\u{308}cher.example"] {
        for stored in ["jane@b\u{fc}cher.example", "jane@bu\u{308}cher.example"] {
            assert!(former(text).contains(&Hash::of(stored)), "{text} {stored}");
        }
        assert!(!former(text).contains(&Email::parse(text).unwrap().hash()), "{text}");
    }
    assert_eq!(former("jos\u{e9}@example.com"), [Hash::of("jose\u{301}@example.com")]);
}

#[test]
fn what_is_no_address_is_refused() {
    let long = format!("{}@example.com", "a".repeat(250));
    for text in [
        "",
        "\u{200b}",
        "jane",
        "jane@",
        "@example.com",
        "a@b",
        "a@b..c",
        "a@b@example.com",
        "a\0@example.com",
        "a@[192.0.2.1]",
        "a;b@example.com",
        "\"jane doe\"@example.com",
        "https://jane@example.com",
        "mailto:",
        "<>",
        "; , ;",
        &long,
    ] {
        assert!(Email::parse(text).is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn a_spelling_is_that_of_itself_and_nothing_panics(
        text in concat!(
            "(|mailto:|MAILTO:|\"|<|Jane <|'|\\[)",
            "([a-zA-Z0-9]|[-.+_ ;,:<>()\"'%&@{}\u{ff20}\u{3002}\u{200b}\u{ad}\u{a0}\u{a8}üßİΣſ\u{301}李\u{ff21}½ﬁ]){0,24}",
            "(|@|@@|%40|\u{ff20})(|example|bücher|xn--bcher-kva|b\u{75}\u{308}cher|ex\u{ad}ample)(|\\.|。)(|com|भारत)(|>|;|\\.|\\?a=b)",
        ),
        in_form in any::<bool>(),
    ) {
        let carrier = if in_form { Carrier::Form } else { Carrier::Json };
        let Ok(read) = Email::all(&text, carrier) else { return Ok(()) };
        for email in &read.emails {
            let again = Email::all(email.as_str(), carrier).unwrap();
            prop_assert_eq!(again.emails.iter().map(Email::as_str).collect::<Vec<_>>(), [email.as_str()], "{}", text);
            prop_assert!(!again.were_spaced);
            prop_assert!(!email.former_hashes().contains(&email.hash()));
        }
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn two_mailboxes_have_two_hashes_whatever_is_around_them(
        mailboxes in btree_set("[a-z0-9]{1,4}([.+_-][a-z0-9]{1,3}){0,2}@(example\\.(com|org)|b(ü|u)cher\\.example)", 2..40),
        around in vec(select(vec![("", ""), ("Jane Doe <", ">"), ("mailto:", "?subject=x"), (" \u{200b}", "\u{feff}\n"), ("'", "'")]), 40),
    ) {
        let hashes: BTreeSet<_> = mailboxes
            .iter()
            .zip(&around)
            .map(|(mailbox, (before, after))| {
                let email = Email::parse(&format!("{before}{mailbox}{after}")).unwrap();
                assert_eq!(email.hash(), Email::parse(mailbox).unwrap().hash());
                email.hash().as_str().to_owned()
            })
            .collect();
        prop_assert_eq!(hashes.len(), mailboxes.len());
    }
}
