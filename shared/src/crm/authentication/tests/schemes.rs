//! Each scheme: valid, invalid, absent, repeated; and several together.

use super::*;

/// A line that declares it, and the header that proves it; none for the URL.
const SIGNING: [(&str, &str); 9] = [
    (r#"hmac = { header = "x-signature", secret = "ACME_SECRET", prefix = "sha256=" }"#, "x-signature"),
    (
        r#"hmac = { header = "x-signature", secret = "ACME_SECRET", algorithm = "sha1", encoding = "base64" }"#,
        "x-signature",
    ),
    (
        r#"hmac = { header = "x-signature", secret = "BASE64_SECRET", secret_encoding = "base64", algorithm = "sha512", signed = "{method}|{url}|{id}|{timestamp}|{body}", timestamp_header = "x-time", timestamp_unit = "ms", id_header = "x-id" }"#,
        "x-signature",
    ),
    (r#"standard_webhooks = { secret = "STANDARD_SECRET" }"#, "webhook-signature"),
    (r#"hubspot_v3 = { secret = "ACME_SECRET" }"#, "x-hubspot-signature-v3"),
    (
        r#"hubspot_v3 = { secret = "ACME_SECRET", url = "https://hooks.example.org/in?x=%2F" }"#,
        "x-hubspot-signature-v3",
    ),
    (r#"close = { secret = "CLOSE_SECRET" }"#, "close-sig-hash"),
    (r#"basic = { user = "adtrail", password = "ACME_SECRET" }"#, "authorization"),
    (r#"bearer = { secret = "ACME_SECRET" }"#, "authorization"),
];
const HEADER: &str = r#"header = { name = "X-Acme-Secret", secret = "ACME_SECRET" }"#;
const IN_URL: &str = r#"url = { secret = "ACME_SECRET" }"#;

#[test]
fn a_request_that_a_scheme_signs_is_verified_by_it_and_the_setting_is_named() {
    for (toml, _) in SIGNING.into_iter().chain([(HEADER, ""), (IN_URL, "")]) {
        let scheme = scheme(toml);
        let verified = check(&scheme, &signed(&scheme)).unwrap_or_else(|refusal| panic!("{toml}: {refusal}"));
        assert!(toml.starts_with(&*verified.scheme), "{toml}");
        assert_eq!(verified.scheme, scheme.name());
        assert_eq!(verified.secret, scheme.secrets()[0], "{toml}");
        let has_id = toml.contains("id_header") || toml.starts_with("standard");
        assert_eq!(verified.event_id.as_deref(), has_id.then_some("evt_1"), "{toml}");
    }
}

#[test]
fn the_previous_secret_is_accepted_and_no_other() {
    let previous = |name: &str| (!name.ends_with("_PREVIOUS")).then(|| lookup(&format!("{name}_PREVIOUS"))).flatten();
    let others = |name: &str| match name {
        "STANDARD_SECRET" => Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx".into()),
        "CLOSE_SECRET" => Some("00112233445566778899aabbccddeeff00112233445566778899aabbccddeefe".into()),
        _ => (!name.ends_with("_PREVIOUS")).then(|| "dGhlIHNlY3JldCBvZiBub2JvZHk=".into()),
    };
    for (toml, _) in SIGNING.into_iter().chain([(HEADER, ""), (IN_URL, "")]) {
        let scheme = scheme(toml);
        let by_other = signed(&scheme_with(toml, &others));
        assert_eq!(check(&scheme, &by_other), Err(Refusal::Wrong), "{toml}");
        if scheme.secrets().len() == 2 {
            let verified = check(&scheme, &signed(&scheme_with(toml, &previous)));
            assert_eq!(verified.unwrap().secret, scheme.secrets()[1], "{toml}");
            assert!(scheme.secrets()[1].ends_with("_PREVIOUS"));
        }
    }
}

#[test]
fn an_absent_header_is_missing_and_a_repeated_one_is_refused() {
    for (toml, header) in SIGNING.into_iter().chain([(HEADER, "x-acme-secret")]) {
        let scheme = scheme(toml);
        assert_eq!(check(&scheme, &without(signed(&scheme), header)), Err(Refusal::Missing), "{toml}");
        assert_eq!(check(&scheme, &twice(signed(&scheme), header)), Err(Refusal::Malformed), "{toml}");
        assert!(check(&scheme, &replaced(signed(&scheme), header, b"\xe4")).is_err(), "{toml}");
    }
    let scheme = scheme(IN_URL);
    let mut request = signed(&scheme);
    let url = request.uri().to_string();
    assert!(url.ends_with("&secret=the+secret+of+today"), "{url}");
    for (uri, refusal) in [
        (url.replace("secret=", "other="), Refusal::Missing),
        (url.replace("secret=", "Secret="), Refusal::Missing),
        (format!("{url}&secret=the+secret+of+today"), Refusal::Malformed),
        (format!("{url}&%73ecret=x"), Refusal::Malformed),
        (format!("{url}s"), Refusal::Wrong),
        ("/?secret".to_owned(), Refusal::Wrong),
    ] {
        *request.uri_mut() = uri.parse().unwrap();
        assert_eq!(check(&scheme, &request), Err(refusal), "{uri}");
    }
    *request.uri_mut() = "/?secret=the%20secret%20of%20today".parse().unwrap();
    assert!(check(&scheme, &request).is_ok());
}

#[test]
fn a_signature_of_another_shape_is_malformed() {
    let (toml, header) = SIGNING[0];
    let scheme = scheme(toml);
    let good = scheme.sign(&sample(BODY)).unwrap().headers[0].1.clone();
    let (upper, digits) = (good[7..].to_uppercase(), &good[7..]);
    let mixed = format!("{}{}", &digits[..32].to_uppercase(), &digits[32..]);
    for bad in [
        "",
        "sha256=",
        digits,
        &good[..good.len() - 1],
        &good[..good.len() - 2],
        &format!("{good}00"),
        &good.replace("sha256", "SHA256"),
        &good.replace("sha256", "sha1"),
        &format!("{good} "),
        &format!("{good},{good}"),
        &format!("{good} {good}"),
        &format!("sha256={mixed}"),
        "sha256=+",
    ] {
        let answer = check(&scheme, &replaced(signed(&scheme), header, bad));
        assert_eq!(answer, Err(Refusal::Malformed), "{bad:?}");
    }
    assert!(check(&scheme, &replaced(signed(&scheme), header, format!("sha256={upper}"))).is_ok());
    let as_base64 = self::scheme(&toml.replace(" }", ", encoding = \"base64\" }"));
    assert_eq!(check(&as_base64, &signed(&scheme)), Err(Refusal::Malformed));
    assert_eq!(check(&scheme, &signed(&as_base64)), Err(Refusal::Malformed));
}

#[test]
fn one_good_signature_in_a_list_is_enough_wherever_it_stands() {
    let (pair, public) = key_pair();
    let both =
        scheme(&format!(r#"standard_webhooks = {{ secret = "STANDARD_SECRET", public_key = "whpk_{public}" }}"#));
    let good = both.sign(&sample(BODY)).unwrap();
    let timestamp = now().timestamp();
    let by_pair = pair.sign(&[format!("evt_1.{timestamp}.").as_bytes(), BODY].concat());
    let by_pair = format!("v1a,{}", super::super::encoding::SignatureEncoding::Base64.encode(by_pair.as_ref()));
    let by_secret = &good.headers[0].1;
    let wrong = format!("v1,{}=", "A".repeat(43));
    let check =
        |scheme: &Scheme, list: String| check(scheme, &replaced(request(&good, BODY), "webhook-signature", list));
    for list in [
        by_secret.clone(),
        format!("{wrong} {by_secret}"),
        format!("{by_secret} {wrong}"),
        format!("v2,unknown {wrong} {by_secret} {wrong}"),
        format!("{by_pair} {by_secret}"),
    ] {
        assert_eq!(check(&both, list).unwrap().secret, "STANDARD_SECRET");
    }
    for list in [by_pair.clone(), format!("{wrong} {by_pair}")] {
        assert_eq!(check(&both, list).unwrap().secret, "public_key");
    }
    for (list, refusal) in [
        (wrong.clone(), Refusal::Wrong),
        (format!("{wrong} {wrong}"), Refusal::Wrong),
        (by_secret.replace("v1,", "v1a,"), Refusal::Malformed),
        (by_pair.replace("v1a,", "v1,"), Refusal::Malformed),
        (by_secret.replace("v1,", "v2,"), Refusal::Malformed),
        (by_secret.replace("v1,", ""), Refusal::Malformed),
        (by_secret.replace("v1,", "v1, "), Refusal::Malformed),
        (format!("{wrong},{by_secret}"), Refusal::Malformed),
    ] {
        assert_eq!(check(&both, list.clone()), Err(refusal), "{list}");
    }
    let public_only = scheme(&format!(r#"standard_webhooks = {{ public_key = "{public}" }}"#));
    assert!(check(&public_only, by_pair).is_ok());
    assert_eq!(check(&public_only, by_secret.clone()), Err(Refusal::Malformed));
    assert!(public_only.sign(&sample(BODY)).is_none() && public_only.secrets().is_empty());
    let no_id = without(request(&good, BODY), "webhook-id");
    assert_eq!(super::check(&both, &no_id), Err(Refusal::Malformed));
}

#[test]
fn one_scheme_is_enough_but_everything_that_is_present_must_be_valid() {
    let (hmac, basic, bearer) = (SIGNING[0].0, SIGNING[7].0, SIGNING[8].0);
    let all = [scheme(hmac), scheme(basic), scheme(bearer), scheme(HEADER)];
    for one in &all {
        assert_eq!(verify(&all, &signed(one), now()).unwrap().scheme, one.name());
    }
    let mut two = signed(&all[0]);
    two.headers_mut().insert("authorization", "Bearer the secret of today".parse().unwrap());
    assert!(verify(&all, &two, now()).is_ok());
    for wrong in ["Bearer another", "bearer", "BASIC YTpi", "Basic"] {
        two.headers_mut().insert("authorization", wrong.parse().unwrap());
        assert_eq!(verify(&all, &two, now()), Err(Refusal::Wrong), "{wrong}");
    }
    two.headers_mut().insert("authorization", "Basic YTpi=".parse().unwrap());
    assert_eq!(verify(&all, &two, now()), Err(Refusal::Malformed));
    for nothing_of_ours in ["Digest x", "the secret of today", "Bearers the secret of today", ""] {
        two.headers_mut().insert("authorization", nothing_of_ours.parse().unwrap());
        assert!(verify(&all, &two, now()).is_ok(), "{nothing_of_ours}");
    }
    let token = replaced(signed(&all[2]), "authorization", "bEARER the secret of today");
    assert!(verify(&all, &token, now()).is_ok());
    let both = replaced(signed(&all[3]), "x-acme-secret", "another");
    assert_eq!(verify(&all, &both, now()), Err(Refusal::Wrong));
    let nothing = without(signed(&all[0]), "x-signature");
    assert_eq!(verify(&all, &nothing, now()), Err(Refusal::Missing));
    assert_eq!(verify(&[], &signed(&all[0]), now()), Err(Refusal::Missing));
}

#[test]
fn a_caller_is_told_what_to_send() {
    let expected = [
        "x-signature: sha256=<hex HMAC-SHA-256 of the body>",
        "x-signature: <base64 HMAC-SHA-1 of the body>",
        "x-signature: <hex HMAC-SHA-512 of {method}|{url}|{id}|{timestamp}|{body}>, x-time: <Unix time in milliseconds>, \
         x-id: <the event's id>",
        "webhook-signature: v1,<base64 HMAC-SHA-256 of {id}.{timestamp}.{body}>, webhook-timestamp: <Unix time in seconds>, \
         webhook-id: <the event's id>",
        "X-HubSpot-Signature-v3: <base64 HMAC-SHA-256 of {method}{url}{body}{timestamp}>, X-HubSpot-Request-Timestamp: <Unix \
         time in milliseconds>",
        "X-HubSpot-Signature-v3: <base64 HMAC-SHA-256 of {method}{url}{body}{timestamp}>, X-HubSpot-Request-Timestamp: <Unix \
         time in milliseconds>",
        "close-sig-hash: <hex HMAC-SHA-256 of {timestamp}{body}>, close-sig-timestamp: <Unix time in seconds>",
        "Authorization: Basic <base64 of user:password>",
        "Authorization: Bearer <the secret>",
        "X-Acme-Secret: <the secret>",
        "secret=<the secret> in the query string",
    ];
    let all = SIGNING.into_iter().chain([(HEADER, ""), (IN_URL, "")]);
    assert_eq!(all.map(|(toml, _)| scheme(toml).expects()).collect::<Vec<_>>(), expected);
}

#[test]
fn no_secret_shows_in_debug() {
    for (toml, _) in SIGNING.into_iter().chain([(HEADER, ""), (IN_URL, "")]) {
        let shown = format!("{:?}", scheme(toml));
        let bytes = format!("{:?}", b"the secret of today");
        assert!(!shown.contains("of today") && !shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    }
}
