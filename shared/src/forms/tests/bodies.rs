//! Bodies that are nearly right, and fields that come several times.

use super::*;
use crate::http::body::as_json;

fn of_bytes(body: &[u8], content_type: &str, preference: &'static str) -> Result<NewLead, Problem> {
    let mut request = Request::new(Bytes::from(body));
    request.headers_mut().insert("content-type", content_type.parse().unwrap());
    request.headers_mut().insert("prefer", HeaderValue::from_static(preference));
    read(&config(), &as_json(request), None, at()).map(|form| form.lead)
}

/// What of a lead is compared: e-mail, phone, click, name, message.
fn told(lead: &NewLead) -> Value {
    json!([lead.email.as_ref().map(Email::as_str), lead.phone.as_ref().map(Phone::as_str), google(lead), lead.name])
}

#[test]
fn a_body_that_is_nearly_right_costs_no_lead_and_is_refused_who_wants_it_strict() {
    let jane = "jane@example.com";
    let deep = |levels: usize| {
        let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        format!("{{\"more\":{deep},\"email\":\"{jane}\"}}").into_bytes()
    };
    for (body, expected) in [
        (b"{\"email\":\"jane@example.com\",\"message\":\"one\ntwo\"}".to_vec(), json!([jane, null, null, null])),
        (b"{\"email\":\"jane@example.com\",\"message\":\"one\r\n\ttwo\"}".to_vec(), json!([jane, null, null, null])),
        (b"{\"name\":\"Jane\n\",\"email\":\"jane@example.com\n\"}".to_vec(), json!([jane, null, null, "Jane"])),
        (b"{\"name\":\"Ja\x02ne\",\"email\":\"jane@example.com\"}".to_vec(), json!([jane, null, null, "Jane"])),
        (b"{\"name\":\"J\xfcrgen\",\"email\":\"jane@example.com\"}".to_vec(), json!([jane, null, null, "Jürgen"])),
        (b"{\"name\":\"Ren\xe9e \x96 X\",\"gclid\":\"Cj1\"}".to_vec(), json!([null, null, "Cj1", "Renée – X"])),
        (br#"{"email":"jane@example.com","a":1,"a":2}"#.to_vec(), json!([jane, null, null, null])),
        (br#"{"email":"","name":"Jane","email":"jane@example.com"}"#.to_vec(), json!([jane, null, null, "Jane"])),
        (br#"{"email":"jane@example.com","email":"joe@example.com"}"#.to_vec(), json!([jane, null, null, null])),
        (br#"{"email":"jane","gclid":"Cj1","email":"jane@example.com"}"#.to_vec(), json!([jane, null, "Cj1", null])),
        (br#"{"gclid":"{{gclid}}","phone":"+49 30 1","gclid":"Cj1"}"#.to_vec(), json!([null, "+49 30 1", "Cj1", null])),
        (br#"{"gclid":"undefined","gclid":"","gclid":"Cj1"}"#.to_vec(), json!([null, null, "Cj1", null])),
        (deep(17), json!([jane, null, null, null])),
        (deep(40), json!([jane, null, null, null])),
        (deep(5_000), json!([jane, null, null, null])),
    ] {
        let shown = String::from_utf8_lossy(&body);
        let lead = of_bytes(&body, "application/json", "").unwrap_or_else(|it| panic!("{shown:.90} {}", it.sentence()));
        assert_eq!(told(&lead), expected, "{shown:.90}");
        assert!(warned(&lead).contains(&"body"), "{shown:.90}: {:?}", lead.warnings);
        assert!(of_bytes(&body, "application/json", "handling=strict").is_err(), "{shown:.90}");
    }
    for body in ["{\"email\":\"jane@example.com", "{\"name\":\"a\nb\"}", "{\"email\":\"x\ny\"}"] {
        assert!(of_bytes(body.as_bytes(), "application/json", "").is_err(), "{body}");
    }
}

#[test]
fn a_filled_field_beats_an_empty_one_of_the_same_name_in_another_case() {
    for (body, expected) in [
        (json!({"EMAIL": "jane@example.com", "email": ""}), json!(["jane@example.com", null, null, null])),
        (json!({"Email": "jane@example.com", "email": "n/a"}), json!(["jane@example.com", null, null, null])),
        (json!({"Email": "undefined", "EMAIL": "jane@example.com"}), json!(["jane@example.com", null, null, null])),
        (json!({"eMail": "jane@example.com", "email": "jane"}), json!(["jane@example.com", null, null, null])),
        (json!({"Gclid": "Cj1", "gclid": ""}), json!([null, null, "Cj1", null])),
        (json!({"GCLID": "Cj1", "gclid": "{{gclid}}"}), json!([null, null, "Cj1", null])),
        (json!({"GClid": "Cj1", "gclid": "[object Object]"}), json!([null, null, "Cj1", null])),
        (json!({"Phone": "+49 30 901820", "phone": " "}), json!([null, "+49 30 901820", null, null])),
        (
            json!({"Name": "Jane", "name": "", "email": "jane@example.com"}),
            json!(["jane@example.com", null, null, "Jane"]),
        ),
        (
            json!({"Email": "joe@example.com", "email": "jane@example.com"}),
            json!(["jane@example.com", null, null, null]),
        ),
    ] {
        let lead = read_one(&body).unwrap_or_else(|it| panic!("{body} {}", it.sentence()));
        assert_eq!(told(&lead), expected, "{body}");
    }
    let denied = json!({"email": "jane@example.com", "Consent": {"ad_user_data": "denied"}, "consent": {}});
    assert_eq!(read_one(&denied).unwrap().consent.ad_user_data, ConsentStatus::Denied);
}

#[test]
fn of_several_values_the_first_that_can_be_used_is_taken_with_a_warning() {
    for (field, value, expected) in [
        ("gclid", json!(["", "Cj1"]), json!(["jane@example.com", null, "Cj1", null])),
        ("gclid", json!(["{{gclid}}", null, "Cj1", "Cj2"]), json!(["jane@example.com", null, "Cj1", null])),
        ("gclid", json!([7, "https://www.example.com/?gclid=Cj1"]), json!(["jane@example.com", null, "Cj1", null])),
        ("gclid", json!(["Cj1"]), json!(["jane@example.com", null, "Cj1", null])),
        ("phone", json!(["n/a", "+49 30 901820"]), json!(["jane@example.com", "+49 30 901820", null, null])),
        ("phone", json!([null, 493_090_182_000_u64]), json!(["jane@example.com", "493090182000", null, null])),
        ("name", json!(["-", "Jane", "Joe"]), json!(["jane@example.com", null, null, "Jane"])),
        ("email", json!(["jane", "joe@example.com"]), json!(["joe@example.com", null, null, null])),
        ("email", json!(["", "joe@example.com", "x@example.com"]), json!(["joe@example.com", null, null, null])),
    ] {
        let mut body = json!({"email": "jane@example.com"});
        body[field] = value;
        let lead = read_one(&body).unwrap_or_else(|it| panic!("{body} {}", it.sentence()));
        assert_eq!(told(&lead), expected, "{body}");
        assert!(warned(&lead).contains(&field), "{body}: {:?}", lead.warnings);
        let strict = of_bytes(body.to_string().as_bytes(), "application/json", "handling=strict");
        assert!(strict.is_err(), "{body}");
    }
    for none in [json!([]), json!([""]), json!([{}]), json!(["{{x}}", "undefined"])] {
        assert_eq!(google(&read_one(&json!({"email": "jane@example.com", "gclid": none})).unwrap()), None, "{none}");
    }
}

#[test]
fn a_form_post_is_read_in_either_encoding_and_by_its_first_address() {
    let form = "application/x-www-form-urlencoded";
    for (body, expected, field) in [
        ("email=jane&email=jane%40example.com", json!(["jane@example.com", null, null, null]), Some("email")),
        (
            "email=jane%40example.com&email=joe%40example.com",
            json!(["jane@example.com", null, null, null]),
            Some("email"),
        ),
        ("email=jane%40example.com&Email=jane%40example.com", json!(["jane@example.com", null, null, null]), None),
        ("your-email=-&e-mail=jane%40example.com", json!(["jane@example.com", null, null, null]), None),
        ("gclid=&gclid=Cj1&phone=%2B4930901820&tel=x", json!([null, "+4930901820", "Cj1", null]), Some("phone")),
        ("email=j%FCrgen%40example.com&name=J%FCrgen", json!(["jürgen@example.com", null, null, "Jürgen"]), None),
        ("email=jane%40example.com&name=Ren%E9e+%96+X", json!(["jane@example.com", null, null, "Renée – X"]), None),
        ("email=jane%40m%FCnchen.example&name=", json!(["jane@xn--mnchen-3ya.example", null, null, null]), None),
        ("email=jane%40example.com&name=Stra%C3%9Fe", json!(["jane@example.com", null, null, "Straße"]), None),
    ] {
        let lead = of_bytes(body.as_bytes(), form, "").unwrap_or_else(|it| panic!("{body} {}", it.sentence()));
        assert_eq!(told(&lead), expected, "{body}");
        assert_eq!(warned(&lead), field.into_iter().collect::<Vec<_>>(), "{body}");
    }
}

#[test]
fn whatever_a_body_is_written_as_costs_no_lead() {
    let jane = json!(["jane@example.com", null, null, null]);
    let with_click = json!(["jane@example.com", null, "Cj1", null]);
    let utf_16 = |text: &str, unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<_>>();
    let body = "\u{feff}{\"email\":\"jane@example.com\"}";
    for (body, expected) in [
        (b"email=jane%40example.com&gclid=Cj1".to_vec(), &with_click),
        (br#"[{"email":"jane@example.com"}]"#.to_vec(), &jane),
        (br#"[{"name":"email","value":"jane@example.com"},{"name":"gclid","value":"Cj1"}]"#.to_vec(), &with_click),
        (br#""{\"email\":\"jane@example.com\"}""#.to_vec(), &jane),
        (br#"{"email":{"value":"jane@example.com"},"gclid":{"id":"Cj1"}}"#.to_vec(), &with_click),
        (br#"{"email":[{"address":"jane@example.com","type":"work"}]}"#.to_vec(), &jane),
        (br#"{"data":{"fields":{"E-Mail":"jane@example.com","GCLID":"Cj1"}}}"#.to_vec(), &with_click),
        (br#"{"url":"https://www.example.com/","lead":[{"emailAddress":"jane@example.com"}]}"#.to_vec(), &jane),
        (br#"{"payload":"{\"email\":\"jane@example.com\"}"}"#.to_vec(), &jane),
        (br#"{"email":"","kontakt":"jane@example.com"}"#.to_vec(), &jane),
        (utf_16(body, u16::to_le_bytes), &jane),
        (utf_16(body, u16::to_be_bytes), &jane),
        (b"{\"email\":\"jane@example.com\",}".to_vec(), &jane),
        (b"{'email': 'jane@example.com', gclid: 'Cj1'}".to_vec(), &with_click),
        (br#"{"email":"jane@example.com","score":NaN,"max":Infinity}"#.to_vec(), &jane),
        (br#"{"email":"jane@example.com","score":1e999}"#.to_vec(), &jane),
        (br#"{"email":"jane@example.com","gclid":"Cj1""#.to_vec(), &with_click),
        (br#"{"email":"jane@example.com","gclid":"Cj"#.to_vec(), &jane),
        (b"email: jane@example.com".to_vec(), &jane),
        (b"Your e-mail: jane@example.com\r\nPage: https://www.example.com/?gclid=Cj1\r\n".to_vec(), &with_click),
        (b"--x\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\njane@example.com\r\n--x--".to_vec(), &jane),
    ] {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let lead = of_bytes(&body, "application/json", "").unwrap_or_else(|it| panic!("{shown} {}", it.sentence()));
        assert_eq!(told(&lead), *expected, "{shown}");
        assert!(!lead.warnings.is_empty(), "{shown}");
        assert!(of_bytes(&body, "application/json", "handling=strict").is_err(), "{shown}");
    }
    for nobody in
        ["[]", "7", "null", "{}", "name: Jane", "name=Jane", "Jane", "[{\"name\":\"Jane\"}]", "{\"a\":{\"b\":\"c\"}}"]
    {
        assert!(of_bytes(nobody.as_bytes(), "application/json", "").is_err(), "{nobody}");
    }
}

#[test]
fn a_form_that_is_kept_for_later_is_the_same_lead() {
    for body in [
        r#"[{"email":"jane@example.com"}]"#,
        "email=jane%40example.com&consent[ad_user_data]=no",
        r#"{"data":{"email":"jane@example.com"}}"#,
        "{email:'jane@example.com',page_url:'/lp?gclid=Cj1'}",
        "email: jane@example.com",
    ] {
        let (fields, _) = crate::http::body::filled_in(body.as_bytes()).unwrap();
        let kept = Value::Object(fields).to_string();
        let (first, again) = (of_bytes(body.as_bytes(), "", "").unwrap(), of_bytes(kept.as_bytes(), "", "").unwrap());
        assert_eq!((told(&first), first.consent), (told(&again), again.consent), "{body}");
    }
}
