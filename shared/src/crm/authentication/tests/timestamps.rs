//! Old requests, future ones, and invalid timestamps.

use super::*;

const HMAC: &str = r#"hmac = { header = "x-signature", secret = "ONLY_SECRET", signed = "{timestamp}.{body}", timestamp_header = "x-timestamp" }"#;

/// A request with a valid signature over this text as its timestamp.
fn signed_at(timestamp: &str) -> Request {
    let mac = crate::identity::hmac(&"the only secret".into(), &[timestamp.as_bytes(), b".", BODY].concat());
    let signature = hex(&hmac::Mac::finalize(mac).into_bytes());
    let headers = vec![("x-signature".to_owned(), signature), ("x-timestamp".to_owned(), timestamp.to_owned())];
    request(&Signed { headers, url: URL.to_owned() }, BODY)
}

#[test]
fn exactly_the_tolerance_is_accepted_and_a_second_more_is_not() {
    let scheme = scheme(HMAC);
    for seconds in [0, 1, -1, 300, -300] {
        let at = (now().timestamp() + seconds).to_string();
        assert!(check(&scheme, &signed_at(&at)).is_ok(), "{seconds}");
    }
    for seconds in [301, -301, 3_600, -3_600] {
        let at = (now().timestamp() + seconds).to_string();
        assert_eq!(check(&scheme, &signed_at(&at)), Err(Refusal::Expired), "{seconds}");
    }
}

#[test]
fn milliseconds_have_the_same_limit() {
    let scheme = scheme(r#"hubspot_v3 = { secret = "ONLY_SECRET" }"#);
    for (milliseconds, is_in) in [(300_000, true), (-300_000, true), (300_001, false), (-300_001, false)] {
        let at = now() + chrono::TimeDelta::milliseconds(milliseconds);
        let signed = scheme.sign(&Sample { at, ..sample(BODY) }).unwrap();
        let expected = if is_in { None } else { Some(Refusal::Expired) };
        assert_eq!(check(&scheme, &request(&signed, BODY)).err(), expected, "{milliseconds}");
    }
}

#[test]
fn a_wider_tolerance_is_respected() {
    let scheme = scheme(&HMAC.replace(" }", ", tolerance_seconds = 3600 }"));
    for (seconds, is_in) in [(3_600, true), (3_601, false), (-3_600, true), (-3_601, false)] {
        let at = (now().timestamp() + seconds).to_string();
        assert_eq!(check(&scheme, &signed_at(&at)).is_ok(), is_in, "{seconds}");
    }
}

#[test]
fn other_texts_are_no_timestamps_even_when_they_are_signed() {
    let scheme = scheme(HMAC);
    let (least, most) = (i64::MIN.to_string(), i64::MAX.to_string());
    let now = now().timestamp();
    for bad in [
        &*least,
        "+1",
        "-1",
        " 1",
        "1 ",
        "1e9",
        "1.0",
        "",
        "0x1",
        "9999999999999999999",
        "00000000001795176000",
        &format!("+{now}"),
        &format!(" {now}"),
        &format!("{now}\t"),
        &format!("{now}, {now}"),
        "2026-11-20T12:00:00Z",
    ] {
        assert_eq!(check(&scheme, &signed_at(bad)), Err(Refusal::TimestampMalformed), "{bad:?}");
    }
    for (far, at) in [(&*most, "the end"), ("0", "1970"), ("1795176000000", "milliseconds")] {
        assert_eq!(check(&scheme, &signed_at(far)), Err(Refusal::Expired), "{at}");
    }
    let arabic = replaced(signed_at("1"), "x-timestamp", "١٧٩٥١٧٦٠٠٠");
    assert_eq!(check(&scheme, &arabic), Err(Refusal::TimestampMalformed));
}

#[test]
fn every_scheme_with_a_timestamp_asks_for_it_once() {
    for (toml, header) in [
        (HMAC, "x-timestamp"),
        (r#"standard_webhooks = { secret = "STANDARD_SECRET" }"#, "webhook-timestamp"),
        (r#"hubspot_v3 = { secret = "ACME_SECRET" }"#, "x-hubspot-request-timestamp"),
        (r#"close = { secret = "CLOSE_SECRET" }"#, "close-sig-timestamp"),
    ] {
        let scheme = scheme(toml);
        assert_eq!(check(&scheme, &without(signed(&scheme), header)), Err(Refusal::TimestampMissing), "{toml}");
        assert_eq!(check(&scheme, &twice(signed(&scheme), header)), Err(Refusal::TimestampMalformed), "{toml}");
        assert_eq!(check(&scheme, &replaced(signed(&scheme), header, "")), Err(Refusal::TimestampMalformed), "{toml}");
    }
}
