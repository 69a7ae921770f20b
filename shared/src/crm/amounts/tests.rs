use super::*;

const POINT: Style = Style { decimal: Some(DecimalSign::Point), has_three_decimals: false };
const COMMA: Style = Style { decimal: Some(DecimalSign::Comma), has_three_decimals: false };
const UNDECLARED: Style = Style { decimal: None, has_three_decimals: false };

fn number_of(text: &str, style: Style) -> Result<f64, Unread> {
    read(text, style).map(|written| written.number)
}

#[test]
fn a_number_with_a_declared_sign_is_read_as_people_write_it() {
    for (text, style, number) in [
        ("1.234,56", COMMA, 1234.56),
        ("€ 15.000,00", COMMA, 15000.0),
        ("1.234", COMMA, 1234.0),
        ("1,234", POINT, 1234.0),
        ("1,234", COMMA, 1.234),
        ("1.234", POINT, 1.234),
        ("15 000,50 €", COMMA, 15000.5),
        ("15\u{a0}000,50\u{202f}€", COMMA, 15000.5),
        ("1\u{2009}234\u{2009}567", COMMA, 1_234_567.0),
        ("CHF 1'234'567.80", POINT, 1_234_567.8),
        ("1’234.50 Fr.", POINT, 1234.5),
        ("1.234.567,89 EUR", COMMA, 1_234_567.89),
        ("R$ 15.000,00", COMMA, 15000.0),
        ("12,34,567.89", POINT, 1_234_567.89),
        ("₹1,00,000", POINT, 100_000.0),
        ("kr 1.234,-", COMMA, 1234.0),
        ("1'234.–", POINT, 1234.0),
        ("1234:-", COMMA, 1234.0),
        ("0,5", COMMA, 0.5),
        ("1,2e3", COMMA, 1200.0),
        ("1.2E+3", POINT, 1200.0),
        ("１２３４，５６", COMMA, 1234.56),
        ("\u{200e}$7,000.50", POINT, 7000.5),
        ("-0,00", COMMA, 0.0),
        ("6000.5", COMMA, 6000.5),
        ("$7,000.50", COMMA, 7000.5),
        ("7,5", POINT, 7.5),
        ("1.234.567", POINT, 1_234_567.0),
        ("0.125", COMMA, 0.125),
    ] {
        assert_eq!(number_of(text, style), Ok(number), "{text} {style:?}");
    }
    assert!(read("$7,000.50", COMMA).unwrap().is_undeclared && !read("7.000,50", COMMA).unwrap().is_undeclared);
}

#[test]
fn without_a_declaration_only_what_can_be_one_amount_is_read() {
    for (text, number) in [
        ("6000", 6000.0),
        ("6000.50", 6000.5),
        ("0", 0.0),
        ("007.10", 7.1),
        ("1e3", 1000.0),
        ("1.234e3", 1234.0),
        ("2.5E-1", 0.25),
        ("1234.567", 1234.567),
        ("600.000000", 600.0),
        ("0.125", 0.125),
        ("$7,000.50", 7000.5),
        ("€ 15.000,00", 15000.0),
        ("1.234,56", 1234.56),
        ("1,5", 1.5),
        ("1,12", 1.12),
        ("1 234", 1234.0),
        ("1 234,567", 1234.567),
        ("1'234", 1234.0),
        ("1,234,567", 1_234_567.0),
        ("1.234.567", 1_234_567.0),
        ("12,34,567", 1_234_567.0),
        ("1.234,-", 1234.0),
        ("5 EUR", 5.0),
    ] {
        assert_eq!(number_of(text, UNDECLARED), Ok(number), "{text}");
    }
    for text in ["1.234", "1,234", "€ 1.234", "12,345", "999.000", "$1,000", "1,234e3"] {
        assert_eq!(number_of(text, UNDECLARED), Err(Unread::Ambiguous), "{text}");
    }
    let dinars = Style { has_three_decimals: true, ..UNDECLARED };
    assert_eq!(number_of("1.234", dinars), Ok(1.234), "as a program writes it");
    assert_eq!(number_of("1,234", dinars), Err(Unread::Ambiguous));
    assert_eq!(number_of("KD 1.234", dinars), Err(Unread::NoNumber));
}

#[test]
fn what_is_no_amount_is_none_in_any_style() {
    for text in [
        "",
        ".",
        ",",
        ".",
        "1.234,.",
        ".5",
        "1..5",
        "1,2,3",
        "12.34.56",
        "1.2345,6",
        "1 23",
        "1 2345",
        "1.234 567",
        "1'234.567,8",
        "++5",
        "+-5",
        "(+5)",
        "+(5)",
        "5+",
        "+",
        "+491701234567",
        "0x10",
        "NaN",
        "inf",
        "5k",
        "1.5M",
        "5 Mio",
        "about 5",
        "5-10",
        "5 / 10",
        "50%",
        "1.234,56,78",
        "€",
        "€€5€",
        "EUR USD GBP 5",
        "5e",
        "e5",
        "1e400",
        "1e3.5",
        "(5",
        "5)",
        "5 apples",
        "1,23,4567",
        "1_000",
        "1.234,---",
        "5 kilo",
        "ca. 5",
        "5;6",
        "1:30",
    ] {
        for style in [POINT, COMMA, UNDECLARED] {
            assert_eq!(number_of(text, style), Err(Unread::NoNumber), "{text} {style:?}");
        }
    }
    for text in ["-1", "(1.234,56)", "1234-", "−5", "–5", "-$5", "$-5", "$(1,234.56)", "($1,234.56)", "-5 EUR"] {
        assert_eq!(number_of(text, UNDECLARED), Err(Unread::Negative), "{text}");
    }
    for text in ["--5", "((5))", "-(5)", "(-5)", "-5-"] {
        assert_eq!(number_of(text, UNDECLARED), Err(Unread::NoNumber), "{text}");
    }
}

#[test]
fn a_plus_and_a_decimal_sign_at_the_end_change_nothing() {
    for (text, style, number) in [
        ("+5,00", COMMA, 5.0),
        ("+5,00", UNDECLARED, 5.0),
        ("+ 1.234,50 €", UNDECLARED, 1234.5),
        ("€ +7", POINT, 7.0),
        ("＋7.5", POINT, 7.5),
        ("+1,234,567", UNDECLARED, 1_234_567.0),
        ("5,", COMMA, 5.0),
        ("5.", COMMA, 5.0),
        ("5,", POINT, 5.0),
        ("5.", UNDECLARED, 5.0),
        ("5,", UNDECLARED, 5.0),
        ("1234. EUR", UNDECLARED, 1234.0),
        ("1.234,", COMMA, 1234.0),
        ("1,234.", POINT, 1234.0),
        ("1 234,", COMMA, 1234.0),
    ] {
        assert_eq!(number_of(text, style), Ok(number), "{text} {style:?}");
    }
    for text in ["+1.234", "+1,234", "$+1,000"] {
        assert_eq!(number_of(text, UNDECLARED), Err(Unread::Ambiguous), "{text}");
    }
    for (text, style) in
        [("1.234,", UNDECLARED), ("1,234.", UNDECLARED), ("1.234,", POINT), ("5,,", COMMA), ("5.,", COMMA)]
    {
        assert_eq!(number_of(text, style), Err(Unread::NoNumber), "{text} {style:?}");
    }
    assert_eq!(number_of("-5,", COMMA), Err(Unread::Negative));
}

#[test]
fn digits_and_separators_of_other_scripts_say_one_amount() {
    for (text, number) in [
        ("٥٠٠", 500.0),
        ("١٬٢٣٤٫٥٦", 1234.56),
        ("١٬٢٣٤", 1234.0),
        ("١٫٢٣٤", 1.234),
        ("۱۲٬۳۴۵٬۶۷۸", 12_345_678.0),
        ("\u{200f}٧٬٠٠٠٫٥٠\u{a0}EUR", 7000.5),
        ("1٬234٫5", 1234.5),
        ("१,२३,४५६.५०", 123_456.5),
        ("１\u{3000}２３４", 1234.0),
        ("1\u{202f}234\u{202f}567", 1_234_567.0),
        ("1\u{2007}234", 1234.0),
        ("1′234", 1234.0),
        ("1’234’567.5", 1_234_567.5),
    ] {
        assert_eq!(number_of(text, UNDECLARED), Ok(number), "{text}");
    }
    // Whatever is declared: these signs can be no others.
    for style in [POINT, COMMA] {
        let written = read("١٬٢٣٤٫٥٦٧", style).unwrap();
        assert_eq!(written.number.to_string(), "1234.567");
        assert!(!written.is_undeclared && !written.may_be_thousands, "{written:?}");
    }
    for text in ["١٢٬٣٤", "٫٥", "١٫٢٫٣", "١٬٢٣٤٬"] {
        assert_eq!(number_of(text, UNDECLARED), Err(Unread::NoNumber), "{text}");
    }
}

#[test]
fn three_digits_after_the_declared_sign_may_be_thousands() {
    for (text, style, number, may_be) in [
        ("1,000", COMMA, 1.0, true),
        ("€ 15,000", COMMA, 15.0, true),
        ("1.000", POINT, 1.0, true),
        ("-0", COMMA, 0.0, false),
        ("999,999 EUR", COMMA, 999.999, true),
        ("١,٢٣٤", COMMA, 1.234, true),
        ("1,00", COMMA, 1.0, false),
        ("1,0000", COMMA, 1.0, false),
        ("0,125", COMMA, 0.125, false),
        ("1234,567", COMMA, 1234.567, false),
        ("1.234,567", COMMA, 1234.567, false),
        ("1.000", COMMA, 1000.0, false),
        ("1,000", POINT, 1000.0, false),
        ("1,234e3", COMMA, 1234.0, false),
        ("1000", COMMA, 1000.0, false),
    ] {
        let written = read(text, style).unwrap();
        assert_eq!((written.number, written.may_be_thousands), (number, may_be), "{text} {style:?}");
    }
    let dinars = Style { has_three_decimals: true, ..COMMA };
    assert!(!read("1,234", dinars).unwrap().may_be_thousands);
}

#[test]
fn signs_and_codes_say_one_currency_or_none() {
    for (said, currency) in [
        (&["€"][..], Some("EUR")),
        (&["£"], Some("GBP")),
        (&["₹"], Some("INR")),
        (&["zł"], Some("PLN")),
        (&["Kč"], Some("CZK")),
        (&["US$"], Some("USD")),
        (&["R$"], Some("BRL")),
        (&["EUR"], Some("EUR")),
        (&["usd"], Some("USD")),
        (&["€", "EUR"], Some("EUR")),
        (&["$", "CAD"], Some("CAD")),
        (&["kr", "SEK"], Some("SEK")),
        (&["EGP", "£"], Some("EGP")),
        (&["TOP"], Some("TOP")),
        (&["$"], None),
        (&["¥"], None),
        (&["kr"], None),
        (&["C$"], None),
        (&["Fr."], None),
        (&["R"], None),
        (&["all"], None),
        (&["€", "USD"], None),
        (&["€", "$"], None),
        (&["EUR", "USD"], None),
        (&[], None),
    ] {
        assert_eq!(one_currency(said.iter().copied()).as_deref(), currency, "{said:?}");
    }
}

#[test]
fn the_currencies_around_a_number_are_named() {
    for (text, currencies) in
        [("$5", &["$"][..]), ("US$ 5", &["US$"]), ("5 eur", &["eur"]), ("€ 5 EUR", &["EUR", "€"]), ("5", &[])]
    {
        assert_eq!(read(text, UNDECLARED).unwrap().currencies, currencies, "{text}");
    }
}
