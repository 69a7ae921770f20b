use super::*;

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
