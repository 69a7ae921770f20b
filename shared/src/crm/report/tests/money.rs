use super::*;

#[test]
fn an_amount_is_read_as_crms_write_it() {
    let plain = source("", MONEY, ALWAYS);
    let cents = source("", &MONEY.replace("\"/value\"", "{ at = \"/value\", divide_by = 100 }"), ALWAYS);
    for (source, value, amount) in [
        (&plain, json!(6000), Some(6000.0)),
        (&plain, json!("6000"), Some(6000.0)),
        (&plain, json!(" 6000.50 "), Some(6000.5)),
        (&plain, json!("1.234,56"), Some(1234.56)),
        (&plain, json!("1e3"), Some(1000.0)),
        (&plain, json!(0.1 + 0.2), Some(0.3)),
        (&plain, json!(""), None),
        (&plain, json!(false), None),
        (&plain, json!("None"), None),
        (&plain, json!("-"), None),
        (&plain, json!("n/a"), None),
        (&plain, json!("N/A"), None),
        (&plain, json!(" NaN "), None),
        (&plain, json!("{{amount}}"), None),
        (&plain, json!(["N/A"]), None),
        (&plain, json!(null), None),
        (&cents, json!(600_050), Some(6000.5)),
        (&cents, json!("1"), Some(0.01)),
        (&cents, json!(99_999_999_999_900_i64), Some(999_999_999_999.0)),
    ] {
        let deal = deal(source, &json!({"id": 7, "value": value, "currency": "eur"}));
        assert_eq!(worth(&deal), amount.map(|amount| (amount, "EUR")), "{value}");
    }
    for (value, currency, pointer) in [
        (json!("1.234"), json!("EUR"), "/value"),
        (json!("6,000"), json!("EUR"), "/value"),
        (json!("on request"), json!("EUR"), "/value"),
        (json!("N/A EUR"), json!("EUR"), "/value"),
        (json!("5 USD"), json!("EUR"), "/value"),
        (json!(true), json!("EUR"), "/value"),
        (json!("-1"), json!("EUR"), "/value"),
        (json!(6000), json!(null), "/currency"),
        (json!(6000), json!("euro"), "/currency"),
        (json!(6000), json!(["EUR", "USD"]), "/currency"),
    ] {
        let refused = refused(&plain, &json!({"id": 7, "value": value, "currency": currency}));
        assert!(refused.len() == 1 && refused[0].0 == pointer, "{value} {refused:?}");
    }
}

#[test]
fn a_rule_can_set_the_value_of_a_deal() {
    let item = json!({"id": 7, "value": 1000, "currency": "EUR", "likely": 33});
    for (value, expected) in [
        ("\"deal\"", Some((1000.0, "EUR"))),
        ("\"expected\"", Some((330.0, "EUR"))),
        ("\"none\"", None),
        ("250", Some((250.0, "EUR"))),
        ("0.1234567", Some((0.123_457, "EUR"))),
    ] {
        let source = source("", MONEY, &format!("{ALWAYS}\nvalue = {value}"));
        assert_eq!(worth(&deal(&source, &item)), expected, "{value}");
    }
    let expected = source("", MONEY, &format!("{ALWAYS}\nvalue = \"expected\""));
    let third = json!({"id": 7, "value": 0.01, "currency": "EUR", "likely": "33.333"});
    assert_eq!(worth(&deal(&expected, &third)), Some((0.003_333, "EUR")));
    let unknown = read(&expected, &json!({"id": 7, "value": 1000, "currency": "EUR", "email": "jane@example.com"}));
    assert!(unknown.warnings.iter().any(|it| it.field == "probability"), "{:?}", unknown.warnings);
    let certain = refused(&expected, &json!({"id": 7, "value": 1000, "currency": "EUR", "likely": 101}));
    assert_eq!(certain[0].0, "/likely");
    let no_value = source("", "", ALWAYS);
    assert_eq!(worth(&deal(&no_value, &item)), None);
}

#[test]
fn a_currency_is_a_code_or_the_sign_of_one_currency() {
    let plain = source("", MONEY, ALWAYS);
    for (value, currency, money) in [
        (json!(5), json!("€"), (5.0, "EUR")),
        (json!(5), json!(" eur "), (5.0, "EUR")),
        (json!(5), json!(["EUR"]), (5.0, "EUR")),
        (json!(5), json!(["€"]), (5.0, "EUR")),
        (json!([5]), json!("£"), (5.0, "GBP")),
        (json!(["5,50"]), json!("zł"), (5.5, "PLN")),
        (json!(5), json!("EUR\u{200b}"), (5.0, "EUR")),
        (json!(5), json!("US$"), (5.0, "USD")),
        (json!("+5,00"), json!("EUR"), (5.0, "EUR")),
        (json!("5."), json!("EUR"), (5.0, "EUR")),
        (json!("1,00 €"), json!(null), (1.0, "EUR")),
        (json!("1.234,50 EUR"), json!(""), (1234.5, "EUR")),
        (json!("£7.50"), json!([]), (7.5, "GBP")),
        (json!("$5 CAD"), json!(null), (5.0, "CAD")),
        (json!("1,00 €"), json!("1,00 €"), (1.0, "EUR")),
    ] {
        let item = json!({"id": 7, "value": value, "currency": currency});
        assert_eq!(worth(&deal(&plain, &item)), Some(money), "{item}");
    }
    for (value, currency, pointer) in [
        (json!(5), json!("$"), "/currency"),
        (json!(5), json!("¥"), "/currency"),
        (json!(5), json!("kr"), "/currency"),
        (json!(5), json!("Euro"), "/currency"),
        (json!(5), json!("EURO"), "/currency"),
        (json!(5), json!(978), "/currency"),
        (json!(5), json!(["EUR", "USD"]), "/currency"),
        (json!(5), json!([["EUR"]]), "/currency"),
        (json!(5), json!({"code": "EUR"}), "/currency"),
        (json!("$5"), json!(null), "/currency"),
        (json!("5 kr"), json!(null), "/currency"),
        (json!("5 all"), json!(null), "/currency"),
        (json!("€5 USD"), json!(null), "/currency"),
        (json!("5 USD"), json!("EUR"), "/value"),
        (json!("1.234 €"), json!(null), "/value"),
        (json!([5, 6]), json!("EUR"), "/value"),
        (json!([[5]]), json!("EUR"), "/value"),
        (json!("soon"), json!("EUR"), "/value"),
    ] {
        let item = json!({"id": 7, "value": value, "currency": currency});
        assert_eq!(refused(&plain, &item)[0].0, pointer, "{item}");
    }
    // Without an amount it doesn't matter.
    for nothing in [json!(null), json!(""), json!([""]), json!([null]), json!("None")] {
        for currency in [json!("Euro"), json!("$"), json!(978), json!({}), json!("XXX")] {
            let item = json!({"id": 7, "value": nothing, "currency": currency});
            let reading = read(&plain, &item);
            assert!(reading.warnings.iter().any(|it| it.field == "currency"), "{item} {:?}", reading.warnings);
            assert_eq!(worth(&deal(&plain, &item)), None, "{item}");
        }
    }
    let strict = source("strict = true", MONEY, ALWAYS);
    for currency in [json!("€"), json!(["EUR"]), json!("eur")] {
        for item in [json!({"id": 7, "currency": currency}), json!({"id": 7, "value": 5, "currency": currency})] {
            assert!(refused(&strict, &item).iter().any(|it| it.0 == "/currency"), "{item}");
        }
    }
}

#[test]
fn a_currency_that_is_fetched_comes_before_the_one_that_stands_with_the_amount() {
    let fields = "value = \"/value\"\ncurrency = \"/fetched/deal/currency\"";
    let get = "[acme.fetch]\nget = { url = \"https://api.example.com/deals/{/id}\" }";
    let source = source("", fields, &format!("{ALWAYS}\n{get}"));
    let item = json!({"id": 7, "value": "£5"});
    assert!(matches!(read(&source, &item).meaning, Meaning::Fetch));
    for (fetched, currency) in [(json!({"currency": "EGP"}), "EGP"), (json!({}), "GBP")] {
        let item = json!({"id": 7, "value": "£5", "fetched": {"deal": fetched}});
        assert_eq!(worth(&deal(&source, &item)), Some((5.0, currency)));
    }
}

/// The warnings about the amount of a deal.
fn doubts(source: &Source, value: &Value) -> Vec<String> {
    let item = json!({"id": 7, "value": value, "currency": "EUR", "email": "jane@example.com"});
    let warnings = read(source, &item).warnings;
    warnings.into_iter().filter(|it| it.field == "value").map(|it| it.detail).collect()
}

#[test]
fn an_amount_that_a_template_failed_to_fill_in_is_none_and_warned_of() {
    let plain = source("", MONEY, ALWAYS);
    for value in [json!("NaN"), json!("{{amount}}"), json!("${deal.value}"), json!("undefined"), json!("%amount%")] {
        let doubts = doubts(&plain, &value);
        assert!(doubts.len() == 1 && doubts[0].starts_with("at /value a template"), "{value}: {doubts:?}");
    }
    for value in [json!("N/A"), json!("-"), json!(false), json!(null), json!(""), json!("None"), json!(6000)] {
        assert_eq!(doubts(&plain, &value), Vec::<String>::new(), "{value}");
    }
}

#[test]
fn three_digits_after_a_declared_sign_name_the_declaration() {
    let with = |sign: &str| {
        let declared = format!("{{ at = \"/value\", decimal = \"{sign}\" }}");
        source("", &MONEY.replace("\"/value\"", &declared), ALWAYS)
    };
    for (sign, value, warned) in [
        (",", json!("1,000"), true),
        (",", json!("€ 15,000"), true),
        (".", json!("1.000"), true),
        (",", json!("1.000"), false),
        (",", json!("1,00"), false),
        (",", json!(1.234), false),
    ] {
        let doubts = doubts(&with(sign), &value);
        let declared = format!("decimal = \"{sign}\"");
        assert_eq!(doubts.len(), usize::from(warned), "{value}: {doubts:?}");
        assert!(doubts.iter().all(|it| it.contains(&declared)), "{value}: {doubts:?}");
    }
    // Millimes are usual.
    let item = json!({"id": 7, "value": "1,234", "currency": "TND", "email": "jane@example.com"});
    let warnings = read(&with(","), &item).warnings;
    assert!(warnings.iter().all(|it| it.field != "value"), "{warnings:?}");
}
