use super::*;

#[test]
fn an_event_is_identified_by_its_id_or_by_the_hash_of_its_body() {
    let joined = source("", "event_id = { join = [\"/event\", \"-\", \"/id\"] }", ALWAYS);
    let mut signed = circumstances();
    signed.event_id = Some("msg_1".into());
    let hash = |item: &Value, when: &Circumstances| match joined.read(item, when) {
        Reading { event_id, meaning: Meaning::Report(Report::Reached(deal)), .. } => (event_id, deal.payload_hash),
        other => panic!("{other:?}"),
    };
    let own = (Some("e1-7".into()), Hash::of("acme\ne1-7"));
    assert_eq!(hash(&json!({"id": 7, "event": "e1"}), &circumstances()), own);
    assert_eq!(hash(&json!({"id": 7, "event": "e1"}), &signed), own);
    assert_eq!(hash(&json!({"id": 7, "event": null}), &signed), (Some("msg_1".into()), Hash::of("acme\nmsg_1")));
    assert_eq!(hash(&json!({"id": 7}), &circumstances()), (None, Hash::of("body")));
    // What can't be an id is told, and the event goes by what else identifies it.
    let pointed = source("", "event_id = \"/event\"", ALWAYS);
    for odd in [json!("x".repeat(501)), json!({"id": "e1"}), json!(["e1", "e2"]), json!("e\u{1}1")] {
        for (when, hash) in [(&circumstances(), Hash::of("body")), (&signed, Hash::of("acme\nmsg_1"))] {
            let reading = pointed.read(&json!({"id": 7, "event": odd}), when);
            assert_eq!(reading.warnings[0].field, "event_id", "{odd}");
            let Meaning::Report(Report::Reached(deal)) = reading.meaning else { panic!("{odd}") };
            assert_eq!(deal.payload_hash, hash, "{odd}");
        }
        let strict = source("strict = true", "event_id = \"/event\"", ALWAYS);
        assert_eq!(refused(&strict, &json!({"id": 7, "event": odd}))[0].0, "/event");
    }
}

#[test]
fn an_id_whose_characters_were_replaced_is_none() {
    let plain = source("", "event_id = \"/event\"", ALWAYS);
    let replaced = Circumstances { has_replaced: true, ..circumstances() };
    let reading = plain.read(&json!({"id": "a\u{fffd}", "event": "e1"}), &replaced);
    assert!(matches!(reading.meaning, Meaning::Unusable(ref errors) if errors[0].pointer == "/id"), "{reading:?}");
    let reading = plain.read(&json!({"id": "7", "event": "e\u{fffd}"}), &replaced);
    assert_eq!((reading.event_id, reading.warnings[0].field), (None, "event_id"));
    assert_eq!(deal(&plain, &json!({"id": "a\u{fffd}"})).crm_deal_id, "a\u{fffd}", "as it was sent");
}

#[test]
fn an_id_may_be_the_end_of_a_longer_text() {
    let rules = r#"
        [[acme.rules]]
        when = { "/merged" = true }
        conversion = "merged"
        into = { at = "/uri", after = "/" }
        from = [{ at = "/others", after = "/" }, "/one"]
        [[acme.rules]]
        when = {}
        conversion = "closed"
    "#;
    let behind =
        |mark: &str| told_by("", &format!("deal_id = {{ at = [\"/uri\", \"/number\"], after = \"{mark}\" }}"), rules);
    for (mark, item, id) in [
        ("/", json!({"uri": "https://api.example.com/scheduled_events/A1/invitees/B2"}), "B2"),
        ("/", json!({"uri": "https://api.example.com/v2/projects/17/"}), "17"),
        ("/", json!({"uri": "gid://shop/Order/450789469"}), "450789469"),
        ("/", json!({"uri": " customers/1/leads/2 "}), "2"),
        (":", json!({"uri": "urn:li:sponsoredLead:88"}), "88"),
        ("Opportunity-", json!({"uri": "Opportunity-00Q5e"}), "00Q5e"),
        ("/", json!({"uri": "bare-7"}), "bare-7"),
        ("/", json!({"uri": "", "number": 7}), "7"),
    ] {
        assert_eq!(deal(&behind(mark), &item).crm_deal_id, id, "{item}");
    }
    for nothing in ["https://api.example.com/deals/undefined", "//", "https://api.example.com/deals/null"] {
        assert_eq!(refused(&behind("/"), &json!({"uri": nothing}))[0].0, "/uri", "{nothing}");
    }
    assert_eq!(refused(&behind("/"), &json!({"uri": ["a/1", "a/2"]}))[0].0, "/uri");

    let merge = json!({"merged": true, "uri": "/deals/3", "others": ["/deals/1", "/deals/2"], "one": 4});
    let Meaning::Report(Report::Merged(merge)) = read(&behind("/"), &merge).meaning else { panic!("no merge") };
    assert_eq!((&*merge.into, merge.from), ("3", vec!["1".into(), "2".into(), "4".into()]));
}

#[test]
fn characters_that_nobody_sees_are_no_part_of_a_deals_id() {
    let lenient = source("", "", ALWAYS);
    for (id, read) in [
        ("\u{200b}1042", "1042"),
        ("1042\u{feff}", "1042"),
        ("\u{feff} 1042 \u{200b}", "1042"),
        ("D\u{ad}-10\u{ad}42", "D-1042"),
        ("\u{202a}D-1042\u{202c}", "D-1042"),
        ("\u{2066}D-1042\u{2069}\u{200e}", "D-1042"),
        ("006\u{2060}Hs00\u{200d}001", "006Hs00001"),
        ("Ärzte 10\u{a0}42", "Ärzte 10\u{a0}42"),
    ] {
        assert_eq!(deal(&lenient, &json!({"id": id})).crm_deal_id, read, "{}", id.escape_unicode());
    }
    for nothing in ["\u{200b}", " \u{feff}\u{200e} "] {
        assert_eq!(refused(&lenient, &json!({"id": nothing}))[0].0, "/id");
    }
    let joined = told_by("", "deal_id = { join = [\"hs-\", \"/id\"] }", ALWAYS);
    assert_eq!(deal(&joined, &json!({"id": "\u{200b}7"})).crm_deal_id, "hs-7");
    let merged =
        source("", "", "[[acme.rules]]\nwhen = {}\nconversion = \"merged\"\ninto = \"/into\"\nfrom = \"/from\"");
    let report = read(&merged, &json!({"into": "1\u{200b}0", "from": ["\u{feff}7", "8"]}));
    assert_eq!(report.names(), ["10", "7", "8"]);
    // A strict source says exactly what it means.
    let strict = source("strict = true", "email = \"/email\"", ALWAYS);
    let item = json!({"id": "1042\u{200b}", "email": "jane@example.com"});
    assert_eq!(deal(&strict, &item).crm_deal_id, "1042\u{200b}");
}
