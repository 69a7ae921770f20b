use serde_json::json;

use super::*;

fn all(body: &[u8], encoding: BodyEncoding, pointer: Option<&str>) -> Result<Vec<Value>, FieldError> {
    let read = items(body, encoding, pointer.map(|it| Pointer::parse(it).unwrap()).as_ref(), false)?;
    Ok(read.into_iter().map(|item| item.value).collect())
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
    for (body, pointer, refused_at) in [
        ("", None, ""),
        ("<html><body>Bad Gateway</body></html>", None, ""),
        ("[]", None, ""),
        ("[{}]", None, ""),
        ("7", None, ""),
        ("{}", Some(""), ""),
        ("[]", Some(""), ""),
        ("[{}]", Some("/events"), "/events"),
        ("{}", Some("/events"), "/events"),
        (r#"{"events":{}}"#, Some("/events"), "/events"),
        (r#"{"events":null}"#, Some("/events"), "/events"),
        (r#"{"events":"none"}"#, Some("/events"), "/events"),
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
        (b"a=b c", ""),
        (b"=1", ""),
        (b"&=1&=2", ""),
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
            .map(|read| read.into_iter().map(|it| format!("{} {}", it.at, it.value)).collect::<Vec<_>>())
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
    assert_eq!(read("l[0]=7&l[1][id]=8", "/l").unwrap(), [r#"/l/0 "7""#, r#"/l/1 {"id":"8"}"#]);
    assert_eq!(read("l[2]=7&l[9][id]=8", "/l").unwrap(), [r#"/l/2 "7""#, r#"/l/9 {"id":"8"}"#]);
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
    assert!(strict[0].warnings.is_empty());
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
        assert_eq!((read[0].value["a"].as_str(), read[0].warnings.len()), (Some(text), 1), "{body}");
        assert!(items(body.as_bytes(), BodyEncoding::Json, None, true).is_err(), "{body}");
    }
    for body in ["{\"a\": \"60\" oak\"}", "{\"a\": \"x\n}", "{\"a\": \"\\\n\"}", "{\"a\": 1,\n}", "{\"a\": \"\u{1}\"}"]
    {
        assert!(read(body, None).is_err(), "{body}");
    }
    assert!(items(b"{\n\"a\": 1\n}", BodyEncoding::Json, None, false).unwrap()[0].warnings.is_empty());
}

/// Each item's pointer, its fault if it has one, and its warnings.
fn told(body: impl AsRef<[u8]>, encoding: BodyEncoding, pointer: Option<&str>) -> Vec<(String, bool, Vec<String>)> {
    let pointer = pointer.map(|it| Pointer::parse(it).unwrap());
    let read = items(body.as_ref(), encoding, pointer.as_ref(), false).unwrap();
    let told = |item: Item| {
        let warnings = item.warnings.into_iter().map(|it| it.detail).collect();
        (item.at, item.fault.is_some(), warnings)
    };
    read.into_iter().map(told).collect()
}

#[test]
fn each_item_stands_alone() {
    for (body, faulty) in [
        (r#"[7,{"a":1},{"a":2}]"#, &[0][..]),
        (r#"[{"a":1},null,{"a":2}]"#, &[1]),
        (r#"[{"a":1},{"a":2},[{}]]"#, &[2]),
        (r#"["{}",true,{},[],null]"#, &[0, 1, 3, 4]),
        ("[null,null]", &[0, 1]),
    ] {
        let told = told(body, BodyEncoding::Json, Some(""));
        let found: Vec<_> = told.iter().enumerate().filter(|(_, it)| it.1).map(|(at, _)| at).collect();
        assert_eq!(found, faulty, "{body}");
        assert!(told.iter().enumerate().all(|(at, it)| it.0 == format!("/{at}")), "{body}");
    }
    let mut thousand = vec![json!({"a": 1}); 1000];
    (thousand[0], thousand[499], thousand[999]) = (json!(null), json!("x"), json!([]));
    let told = told(json!({"events": thousand}).to_string(), BodyEncoding::Json, Some("/events"));
    assert_eq!((told.len(), told.iter().filter(|it| it.1).count()), (1000, 3));
    // Of several lists, too; what is no list is no deal.
    let lists = r#"{"new":[{"id":1}],"meta":{"id":2},"old":[{"id":3},0],"page":1}"#;
    let all = self::told(lists, BodyEncoding::Json, Some("/*"));
    let shown: Vec<_> = all.iter().map(|it| (it.0.as_str(), it.1)).collect();
    assert_eq!(shown, [("/meta", true), ("/new/0", false), ("/old/0", false), ("/old/1", true), ("/page", true)]);
}

#[test]
fn what_nobody_points_at_makes_no_body_unreadable() {
    let deep = format!("{{\"id\":1,\"tree\":{}{}}}", "[".repeat(200), "]".repeat(200));
    let full = format!("{{\"id\":1,\"tree\":{}1{}}}", "[".repeat(16), "]".repeat(16));
    for (body, named) in [
        (r#"{"id":1,"note":"a\u0000b"}"#, "/note"),
        (r#"{"id":1,"note":"cut \ud83d"}"#, "/note"),
        (r#"{"id":1,"note":"\udc00\ud800"}"#, "/note"),
        (r#"{"id":1,"notes":[{"by":"\uDBFF!"}]}"#, "/notes/0/by"),
        (r#"{"id":1,"n\u0000":2}"#, "at :"),
        (r#"{"id":1,"owner":{"name":"A","name":"B"}}"#, "/owner/name"),
        (r#"{"id":2,"id":1}"#, "/id"),
        (r#"{"id":1,"a/b":[{"c":1,"c":2}]}"#, "/a~1b/0/c"),
        (&deep, "/tree/0/0/0"),
        (&full, "/tree/0/0/0"),
    ] {
        let read = items(body.as_bytes(), BodyEncoding::Json, None, false).unwrap().remove(0);
        assert_eq!(read.value["id"], 1, "{body}");
        assert_eq!(read.warnings.len(), 1, "{body}");
        assert!(read.warnings[0].detail.contains(named), "{body}: {:?}", read.warnings);
        assert!(!read.value.to_string().contains("\\u0000"), "{body}");
        assert!(items(body.as_bytes(), BodyEncoding::Json, None, true).is_err(), "{body}");
    }
    let latin = told(b"{\"id\":1,\"name\":\"M\xfcller\"}", BodyEncoding::Json, None);
    assert!(latin[0].2[0].contains("/name"), "{latin:?}");
    for quiet in [
        r#"{"id":1,"id":1}"#,
        r#"{"a":{"b":[1],"b":[1]}}"#,
        r#"{"note":"\ud83d\ude00 \\u0000 \\ud800"}"#,
        "{\"note\":\"sent so: \u{fffd}\"}",
    ] {
        assert_eq!(told(quiet, BodyEncoding::Json, None)[0].2, [""; 0], "{quiet}");
    }
}

#[test]
fn what_was_passed_over_is_told_with_its_item() {
    let body = r#"{"page":1,"page":2,"events":[{"a":1},{"a":"\ud800","b":1,"b":2},{"a":1}]}"#;
    let all = told(body, BodyEncoding::Json, Some("/events"));
    let counts: Vec<_> = all.iter().map(|it| it.2.len()).collect();
    assert_eq!(counts, [1, 2, 0], "{all:?}");
    assert!(all[0].2[0].contains("/page"), "{all:?}");
    let many = format!("{{{}}}", (0..30).map(|at| format!("\"k{at}\":\"\\ud800\"")).collect::<Vec<_>>().join(","));
    let warning = told(many, BodyEncoding::Json, None)[0].2.concat();
    assert!(warning.contains("/k4 and in 25 other places"), "{warning}");
    for (form, warnings) in [
        ("id=7&note=%00", vec![1]),
        ("id=7&note=a%FFb&n%00=1", vec![1]),
        ("id=7&=junk", vec![0]),
        ("id=7&note=%EF%BF%BD", vec![1]),
    ] {
        let told = told(form, BodyEncoding::Form, None);
        assert_eq!(told.iter().map(|it| it.2.len()).collect::<Vec<_>>(), warnings, "{form}");
        assert_eq!(read_form(form.as_bytes()).unwrap()[0]["id"], "7", "{form}");
    }
    let listed = told("l[0][id]=7&l[1][id]=8&l[1][n]=%00", BodyEncoding::Form, Some("/l"));
    assert_eq!(listed.iter().map(|it| it.2.len()).collect::<Vec<_>>(), [0, 1]);
    for strict in ["id=7&note=%00", "id=7&note=%FF", "id=7&=1", "id=7&%00=1"] {
        assert!(items(strict.as_bytes(), BodyEncoding::Form, None, true).is_err(), "{strict}");
    }
}
