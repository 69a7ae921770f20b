use serde_json::json;

use super::*;

fn found(pointer: &str, item: &Value) -> Vec<String> {
    Pointer::parse(pointer).unwrap().all(item).into_iter().map(|(at, value)| format!("{at} {value}")).collect()
}

#[test]
fn a_pointer_finds_what_a_json_pointer_does() {
    let item = json!({"a": {"b/c": [1, {"d~": 2}], "": 3, "01": 4}, "*": 5, "x[y=z]": 6, "leads[0][id]": 7});
    for (pointer, value) in [
        ("/a/b~1c/0", "/a/b~1c/0 1"),
        ("/a/b~1c/1/d~0", "/a/b~1c/1/d~0 2"),
        ("/a/", "/a/ 3"),
        ("/a/01", "/a/01 4"),
        // Names that say something else in a pointer of ours.
        ("/*", "/* 5"),
        ("/x[y=z]", "/x[y=z] 6"),
        ("/leads[0][id]", "/leads[0][id] 7"),
    ] {
        assert_eq!(found(pointer, &item), [value], "{pointer}");
        let standard = item.pointer(pointer).unwrap().to_string();
        assert!(value.ends_with(&standard), "{pointer}");
    }
    for pointer in ["/b", "/a/b~1c/2", "/a/b~1c/01", "/a/b~1c/+1", "/a/b~1c/-", "/a/b~1c/0/x", "/*/x"] {
        assert_eq!(found(pointer, &item), [""; 0], "{pointer}");
        assert_eq!(item.pointer(pointer), None, "{pointer}");
    }
    assert_eq!(found("", &json!(7)), [" 7"]);
}

#[test]
fn a_star_is_every_element() {
    let item = json!({"contacts": [{"mail": "a"}, {"mail": null}, {}, {"mail": "b"}], "by_id": {"7": {"n": 1}, "9": {"n": 2}}});
    assert_eq!(
        found("/contacts/*/mail", &item),
        ["/contacts/0/mail \"a\"", "/contacts/1/mail null", "/contacts/3/mail \"b\""]
    );
    assert_eq!(found("/by_id/*/n", &item), ["/by_id/7/n 1", "/by_id/9/n 2"]);
    assert_eq!(found("/contacts/*/*", &item).len(), 3);
    assert_eq!(found("/none/*", &item), [""; 0]);
}

#[test]
fn an_element_is_chosen_by_the_value_beside_it() {
    let item = json!({
        "custom_fields": [
            {"name": "source", "value": "web"},
            {"name": "adtrail_lead_id", "values": [{"value": "one"}]},
            {"id": 42, "name": "a/b ]", "value": "two"},
            {"name": " flag ", "is_set": true, "value": "three"},
        ],
        "by_key": {"x": {"code": "A1", "is": 1}, "y": {"code": "B2", "is": 2}},
    });
    for (pointer, value) in [
        ("/custom_fields[name=adtrail_lead_id]/values/0/value", "/custom_fields/1/values/0/value \"one\""),
        ("/custom_fields[id=42]/value", "/custom_fields/2/value \"two\""),
        ("/custom_fields[name=a~1b ]]/value", "/custom_fields/2/value \"two\""),
        ("/custom_fields[name=\"source\"]/value", "/custom_fields/0/value \"web\""),
        ("/custom_fields[name=flag]/value", "/custom_fields/3/value \"three\""),
        ("/custom_fields[is_set=true]/value", "/custom_fields/3/value \"three\""),
        ("/custom_fields/[name=source]/value", "/custom_fields/0/value \"web\""),
        ("/by_key[code=B2]/is", "/by_key/y/is 2"),
    ] {
        assert_eq!(found(pointer, &item), [value], "{pointer}");
    }
    for pointer in ["/custom_fields[name=Source]/value", "/custom_fields[name=]/value", "/nothing[name=source]/value"] {
        assert_eq!(found(pointer, &item), [""; 0], "{pointer}");
    }
}

#[test]
fn several_values_are_one_only_if_they_are_the_same() {
    let item = json!({"same": [{"c": "EUR"}, {"c": "EUR"}, {"c": ""}], "other": [{"c": "EUR"}, {"c": ["USD"]}]});
    let find = |pointer: &str| {
        let found = Pointer::parse(pointer).unwrap().find(&item, Nothing::Empty);
        found.map(|(at, value)| (at, value.into_owned()))
    };
    assert_eq!(find("/same/*/c"), Some(("/same/0/c".into(), json!("EUR"))));
    assert_eq!(find("/other/*/c"), Some(("/other/*/c".into(), json!(["EUR", "USD"]))));
    assert_eq!(find("/none/*/c"), None);
}
