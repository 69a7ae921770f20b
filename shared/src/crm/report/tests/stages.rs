use super::*;

/// Why an item of a CRM is ignored whose stage is this.
fn ignored(fields: &str, item: &Value) -> String {
    let source = source("", fields, "[[acme.rules]]\nwhen = { stage = \"won\" }\nconversion = \"closed\"");
    match read(&source, item).meaning {
        Meaning::Ignored(why) => why,
        other => panic!("{item}: {other:?}"),
    }
}

#[test]
fn a_stage_without_a_text_says_what_is_there_instead() {
    for (stage, says) in [
        (json!({"name": "won"}), "stage can't be read: /stage holds an object, where a text or a number is needed"),
        (json!({}), "stage can't be read: /stage holds an object"),
        (json!([{"name": "won"}]), "stage can't be read: /stage holds an array of objects"),
        (json!([null]), "stage can't be read: /stage holds an array"),
        (json!([["won"]]), "stage can't be read: /stage holds an array"),
        (json!([]), "stage is absent"),
        (json!(null), "stage is absent"),
        (json!(["new", 7]), "stage = new, 7"),
        (json!("lead"), "stage = lead"),
        (json!(false), "stage = false"),
    ] {
        let why = ignored("stage = \"/stage\"", &json!({"id": 1, "stage": stage}));
        assert!(why.contains(says), "{stage}: {why}");
        assert!(!why.ends_with("= "), "{why}");
    }
    let deep = ignored("stage = \"/deal/stage\"", &json!({"id": 1, "deal": {"stage": {"won": true}}}));
    assert!(deep.contains("/deal/stage holds an object"), "{deep}");
    // A condition of `only` says the same.
    let only = source("only = { \"/kind\" = \"deal\" }", "", ALWAYS);
    let Meaning::Ignored(why) = read(&only, &json!({"id": 1, "kind": {"is": "deal"}})).meaning else { panic!() };
    assert!(why.contains("/kind can't be read: /kind holds an object"), "{why}");
}
