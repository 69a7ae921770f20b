//! Published test vectors.

use super::*;

#[test]
fn standard_webhooks() {
    // The specification's own example.
    let scheme = scheme(r#"standard_webhooks = { secret = "STANDARD_SECRET" }"#);
    let body = br#"{"test": 2432232314}"#;
    let sent = Signed {
        headers: [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        url: URL.to_owned(),
    };
    let at = DateTime::from_timestamp(1_614_265_330, 0).unwrap();
    let check = |request: &Request| verify(std::slice::from_ref(&scheme), request, at);
    let good = || request(&sent, body);
    let verified = Verified {
        scheme: "standard_webhooks".into(),
        secret: "STANDARD_SECRET".to_owned(),
        event_id: Some("msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned()),
    };
    assert_eq!(check(&good()), Ok(verified));
    assert_eq!(check(&request(&sent, br#"{"test": 2432232315}"#)), Err(Refusal::Wrong));
    assert_eq!(check(&replaced(good(), "webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJel")), Err(Refusal::Wrong));
    assert_eq!(check(&replaced(good(), "webhook-timestamp", "1614265331")), Err(Refusal::Wrong));
    let other = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF=";
    assert_eq!(check(&replaced(good(), "webhook-signature", other)), Err(Refusal::Malformed), "trailing bits");
    let other = "v1,h0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(check(&replaced(good(), "webhook-signature", other)), Err(Refusal::Wrong));
    let sample = Sample { method: "POST", url: URL, body, id: "msg_p5jXN8AQM9LWM0D4loKWxJek", at };
    assert_eq!(scheme.sign(&sample).unwrap().headers[0], sent.headers[2]);
}

#[test]
fn hubspot_v3() {
    // From the tests of HubSpot's clients for Python and Ruby.
    let lookup = |name: &str| (name == "HUBSPOT_SECRET").then(|| "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy".into());
    let scheme = scheme_with(r#"hubspot_v3 = { secret = "HUBSPOT_SECRET" }"#, &lookup);
    let body = b"{'example_field':'example_value'}";
    let sent = Signed {
        headers: [
            ("X-HubSpot-Signature-v3", "HPW73RUtKmcYoEDADG0s6MmGFWUzWJKAW07r8RDgcQw="),
            ("X-HubSpot-Request-Timestamp", "15000000"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        url: "https://www.example.com/webhook_uri".to_owned(),
    };
    let at = DateTime::from_timestamp_millis(15_000_000).unwrap();
    let check = |request: &Request| verify(std::slice::from_ref(&scheme), request, at);
    let good = || request(&sent, body);
    let verified = Verified { scheme: "hubspot_v3".into(), secret: "HUBSPOT_SECRET".to_owned(), event_id: None };
    assert_eq!(check(&good()), Ok(verified));
    assert_eq!(check(&request(&sent, b"{'example_field':'example_valuf'}")), Err(Refusal::Wrong));
    assert_eq!(check(&replaced(good(), "X-HubSpot-Request-Timestamp", "15000001")), Err(Refusal::Wrong));
    assert_eq!(check(&replaced(good(), "host", "www.example.org")), Err(Refusal::Wrong));
    let mut other = good();
    *other.uri_mut() = "/webhook_uri?".parse().unwrap();
    assert_eq!(check(&other), Err(Refusal::Wrong), "another URL");
    let mut other = good();
    *other.method_mut() = "PUT".parse().unwrap();
    assert_eq!(check(&other), Err(Refusal::Wrong), "another method");
    let sample = Sample { method: "POST", url: &sent.url, body, id: "", at };
    assert_eq!(scheme.sign(&sample).unwrap().headers, sent.headers);
}

#[test]
fn hmac() {
    // RFC 2202 and RFC 4231, the second case of each.
    for (algorithm, signature) in [
        ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            "sha512",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b\
             636e070a38bce737",
        ),
    ] {
        let lookup = |name: &str| (name == "JEFE").then(|| "Jefe".into());
        let declared = format!(r#"hmac = {{ header = "x-signature", secret = "JEFE", algorithm = "{algorithm}" }}"#);
        let scheme = scheme_with(&declared, &lookup);
        let body = b"what do ya want for nothing?";
        let sent = Signed { headers: vec![("x-signature".into(), signature.into())], url: URL.to_owned() };
        assert!(check(&scheme, &request(&sent, body)).is_ok(), "{algorithm}");
        assert_eq!(scheme.sign(&sample(body)).unwrap().headers, sent.headers);
    }
}

#[test]
fn ed25519() {
    // RFC 8032, section 7.1, the second test; the key as plain base64, with the prefix of Standard Webhooks, and as
    // PEM.
    let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2\
                     eaeb4302aeeb00d291612bb0c00";
    for key in [
        r#""PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=""#,
        r#""whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=""#,
        "\"\"\"\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n\
         -----END PUBLIC KEY-----\n\"\"\"",
    ] {
        let scheme = scheme(&format!(
            r#"ed25519 = {{ header = "x-signature", public_key = {key}, encoding = "hex", signed = "{{body}}" }}"#
        ));
        let sent = Signed { headers: vec![("x-signature".into(), signature.into())], url: URL.to_owned() };
        let verified = Verified { scheme: "ed25519".into(), secret: "public_key".to_owned(), event_id: None };
        assert_eq!(check(&scheme, &request(&sent, &[0x72])), Ok(verified));
        assert_eq!(check(&scheme, &request(&sent, &[0x73])), Err(Refusal::Wrong));
    }
}
