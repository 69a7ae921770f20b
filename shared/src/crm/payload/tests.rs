use serde_json::json;

use super::*;

fn all(body: &[u8], encoding: BodyEncoding, pointer: Option<&str>) -> Result<Vec<Value>, FieldError> {
    let read = items(body, encoding, pointer.map(|it| Pointer::parse(it).unwrap()).as_ref(), false)?;
    Ok(read.items.into_iter().map(|item| item.value).collect())
}

fn read(body: impl AsRef<[u8]>, pointer: Option<&str>) -> Result<Vec<Value>, FieldError> {
    all(body.as_ref(), BodyEncoding::Json, pointer)
}

fn read_form(body: &[u8]) -> Result<Vec<Value>, FieldError> {
    all(body, BodyEncoding::Form, None)
}

#[test]
fn a_body_is_one_item_or_an_array_of_them() {
    assert_eq!(read(r#"{"a":1}"#, None).unwrap(), [json!({"a": 1})]);
    assert_eq!(read(r#"[{"a":1},{}]"#, Some("")).unwrap(), [json!({"a": 1}), json!({})]);
    assert_eq!(read(r#"{"events":[{"a":1}]}"#, Some("/events")).unwrap(), [json!({"a": 1})]);
    let thousand = vec![json!({}); 1000];
    assert_eq!(read(json!(thousand).to_string(), Some("")).unwrap().len(), 1000);
}

#[test]
fn a_body_of_another_shape_is_refused_where_it_differs() {
    let many = json!({"events": vec![json!({}); 1001]}).to_string();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(17), "]".repeat(17));
    for (body, pointer, refused_at) in [
        ("", None, ""),
        ("<html><body>Bad Gateway</body></html>", None, ""),
        ("[]", None, ""),
        ("[{}]", None, ""),
        ("7", None, ""),
        (&*deep, None, ""),
        (r#"{"a":"\u0000"}"#, None, "/a"),
        (r#"[{"a":{"b":1,"b":2}}]"#, Some(""), "/0/a/b"),
        ("{}", Some(""), ""),
        ("[]", Some(""), ""),
        ("[{}]", Some("/events"), "/events"),
        ("{}", Some("/events"), "/events"),
        (r#"{"events":{}}"#, Some("/events"), "/events"),
        (r#"{"events":[{},7]}"#, Some("/events"), "/events/1"),
        (&*many, Some("/events"), "/events"),
    ] {
        let refused = read(body, pointer).unwrap_err();
        assert_eq!(refused.pointer, refused_at, "{body:.40} {refused:?}");
    }
}

#[test]
fn a_form_is_an_object_of_texts() {
    let read = read_form(b"deal_id=42&email=jane%40example.com&name=J%C3%A4ne+Doe&empty=&a%2Fb=1\n").unwrap();
    let expected = json!({"deal_id": "42", "email": "jane@example.com", "name": "Jäne Doe", "empty": "", "a/b": "1"});
    assert_eq!(read, [expected]);
}

#[test]
fn a_form_with_junk_is_refused() {
    for (body, refused_at) in [
        (&b""[..], ""),
        (b"\n", ""),
        (b"<html>", ""),
        (br#"{"deal_id":42}"#, ""),
        (b"a=%", ""),
        (b"a=%4", ""),
        (b"a=%zz", ""),
        (b"a=%ff", ""),
        (b"a=\xff", ""),
        (b"a=b c", ""),
        (b"=1", ""),
        (b"a=%00", "/a"),
    ] {
        let refused = read_form(body).unwrap_err();
        assert_eq!(refused.pointer, refused_at, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn bracketed_names_are_objects_and_arrays() {
    for (form, pointer, value) in [
        ("leads[status][0][id]=7&leads[status][1][id]=8", "/leads/status", json!([{"id": "7"}, {"id": "8"}])),
        ("leads%5Bstatus%5D%5B0%5D%5Bid%5D=7", "/leads/status/0/id", json!("7")),
        ("a[b][c][d]=1", "/a", json!({"b": {"c": {"d": "1"}}})),
        ("tags[]=x&tags[]=y", "/tags", json!(["x", "y"])),
        ("a[x]=1&a[x]=2&a[x]=1", "/a/x", json!(["1", "2"])),
        // Numbers with gaps may be ids.
        ("f[12]=a&f[15]=b", "/f", json!({"12": "a", "15": "b"})),
        ("f[1]=a&f[2]=b", "/f/2", json!("b")),
        ("l[10]=k&l[0]=a&l[1]=b&l[2]=c&l[3]=d&l[4]=e&l[5]=f&l[6]=g&l[7]=h&l[8]=i&l[9]=j", "/l/10", json!("k")),
        ("a[0]=x&a[b]=y", "/a", json!({"0": "x", "b": "y"})),
        // The name itself is there, too, and what is called so itself stays.
        ("leads[status][0][id]=7", "/leads[status][0][id]", json!("7")),
        ("a=1&a[b]=2", "/a", json!("1")),
    ] {
        let read = read_form(form.as_bytes()).unwrap().remove(0);
        assert_eq!(read.pointer(pointer), Some(&value), "{form} {read}");
    }
    for odd in ["a[=1", "a]=1", "[a]=1", "a[b]c=1", "a[b[c]]=1", &format!("a{}=1", "[b]".repeat(17))] {
        let read = read_form(odd.as_bytes()).unwrap().remove(0);
        assert_eq!(read.as_object().unwrap().len(), 1, "{odd} {read}");
    }
}

#[test]
fn a_form_has_the_items_of_its_list() {
    let read = |form: &str, pointer: &str| {
        items(form.as_bytes(), BodyEncoding::Form, Some(&Pointer::parse(pointer).unwrap()), false)
            .map(|read| read.items.into_iter().map(|it| format!("{} {}", it.at, it.value)).collect::<Vec<_>>())
            .map_err(|refused| refused.pointer)
    };
    let bulk = "leads[status][0][id]=7&leads[status][1][id]=8&leads[add][0][id]=9&account[x]=1";
    assert_eq!(
        read(bulk, "/leads/status").unwrap(),
        [r#"/leads/status/0 {"id":"7"}"#, r#"/leads/status/1 {"id":"8"}"#]
    );
    assert_eq!(read(bulk, "/leads/*").unwrap().len(), 3);
    assert_eq!(read("l[3][id]=7&l[11][id]=8", "/l").unwrap(), [r#"/l/3 {"id":"7"}"#, r#"/l/11 {"id":"8"}"#]);
    assert_eq!(read(bulk, "/deals").unwrap_err(), "/deals");
    assert_eq!(read("l[0]=7", "/l").unwrap_err(), "/l/0");
    assert_eq!(read("l[a][id]=7", "/l").unwrap_err(), "/l");
    assert_eq!(read("l=7", "/l").unwrap_err(), "/l");
}

#[test]
fn a_name_that_comes_again_is_an_array() {
    let read = read_form(b"a=1&b=2&a=3&%61=4&c=5&c=5").unwrap();
    assert_eq!(read, [json!({"a": ["1", "3", "4"], "b": "2", "c": "5"})]);
}

#[test]
fn a_byte_order_mark_is_left_out() {
    for body in ["\u{feff}{\"a\":1}", "\u{feff} {\"a\":1}\r\n", "\u{feff}\n{\"a\":1}"] {
        assert_eq!(read(body, None).unwrap(), [json!({"a": 1})], "{body:?}");
    }
    for form in ["\u{feff}a=1&b=2", "%EF%BB%BFa=1&b=2", "\u{feff}a=1&b=2\r\n"] {
        assert_eq!(read_form(form.as_bytes()).unwrap(), [json!({"a": "1", "b": "2"})], "{form:?}");
    }
    assert!(read("\u{feff}", None).is_err() && read("{\u{feff}}", None).is_err());
    let strict = items("\u{feff}{\"a\":1}".as_bytes(), BodyEncoding::Json, None, true).unwrap();
    assert!(!strict.is_mended);
}

#[test]
fn line_breaks_in_texts_are_taken_unless_the_source_is_strict() {
    for (body, text) in [
        ("{\"a\": \"first\nsecond\"}", "first\nsecond"),
        ("{\n\t\"a\": \"first\r\nsecond\",\n\t\"b\": 1\n}", "first\r\nsecond"),
        ("{\"a\": \"tab\there\"}", "tab\there"),
        ("{\"a\": \"a \\\"quoted\\\"\nword\"}", "a \"quoted\"\nword"),
        ("{\"a\": \"ends with \\\\\", \"b\": \"\n\"}", "ends with \\"),
        ("{\"b\nc\": 1, \"a\": \"x\"}", "x"),
    ] {
        let read = items(body.as_bytes(), BodyEncoding::Json, None, false).unwrap();
        assert_eq!((read.items[0].value["a"].as_str(), read.is_mended), (Some(text), true), "{body}");
        assert!(items(body.as_bytes(), BodyEncoding::Json, None, true).is_err(), "{body}");
    }
    for body in ["{\"a\": \"60\" oak\"}", "{\"a\": \"x\n}", "{\"a\": \"\\\n\"}", "{\"a\": 1,\n}", "{\"a\": \"\u{1}\"}"]
    {
        assert!(read(body, None).is_err(), "{body}");
    }
    assert!(!items(b"{\n\"a\": 1\n}", BodyEncoding::Json, None, false).unwrap().is_mended);
}
