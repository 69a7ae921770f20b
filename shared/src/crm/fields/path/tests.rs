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
    for pointer in
        ["/custom_fields[name=Source]/value", "/custom_fields[name=\"\"]/value", "/nothing[name=source]/value"]
    {
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

#[test]
fn a_pointer_that_never_finds_anything_is_refused_with_the_fix() {
    for (pointer, fix) in [
        ("/s[name=x", "write s[name=x]"),
        ("/s[name=x/value", "write s[name=x]"),
        ("/s/[name=x/value", "write [name=x]"),
        ("/s[name", "write s[name]"),
        ("/s[0][id", "write s[0][id]"),
        ("/s name=x]", "list[name=value]"),
        ("/a/**", "write one * for each"),
        ("/**/id", "write one * for each"),
        ("/a/***/b", "write one * for each"),
        ("/s/*/[name=]", "[name=value]"),
        ("/s[name= ]/value", "s[name=value]"),
        ("/a[=x]", "write a[name=x]"),
        ("/a[ =x]/b", "write a[name=x]"),
        ("/a/[=]", "with the name that has the value"),
        ("/s[name=x].value", "write s[name=x]/value"),
        ("/s[name=x]value", "write s[name=x]/value"),
        ("/s[name=x][id=y]/value", "several brackets"),
        ("/s[0][id=y]/value", "several brackets"),
        ("/s/*[name=x]/value", "write */[name=x]"),
        ("/a//b", "empty name"),
        ("/a/", "empty name"),
        ("//a", "empty name"),
        ("/", "empty name"),
        ("a/b", "write \"/a/b\""),
        ("/a~b", "is written ~0"),
    ] {
        let refused = Pointer::parse(pointer).unwrap_err();
        assert!(refused.contains(fix), "{pointer}: {refused}");
    }
    for fine in [
        "",
        "/a",
        "/*",
        "/a/*/b/*",
        "/Email*",
        "/Amount [EUR]",
        "/leads[0][id]",
        "/tags[]",
        "/s[name=x]/value",
        "/s/[name=x]",
        "/s[name=\"\"]",
        "/s[name=\"a][b\"]/v",
        "/s[name=a=b]",
        "/a b/c.d/e-f",
        "/~0/~1",
        "/a=b",
    ] {
        assert!(Pointer::parse(fine).is_ok(), "{fine}");
    }
}

#[test]
fn a_name_of_a_form_has_another_pointer_in_json() {
    for (pointer, in_json) in [
        ("/a[name]", Some("/a/name")),
        ("/leads[0][id]", Some("/leads/0/id")),
        ("/fetched/deal[properties]/x", Some("/fetched/deal/properties/x")),
        ("/Amount [EUR]", None),
        ("/a[some name]", None),
        ("/s[name=x]/v", None),
        ("/a/*/b", None),
    ] {
        assert_eq!(Pointer::parse(pointer).unwrap().in_json().as_deref(), in_json, "{pointer}");
    }
}
