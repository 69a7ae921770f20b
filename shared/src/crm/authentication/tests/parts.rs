//! Time and signature in one header, as Calendly, Stripe and Paddle send them.

use super::*;

const STRIPE: &str = r#"hmac = { header = "x-signature", secret = "ACME_SECRET", signature_part = "v1", timestamp_part = "t", signed = "{timestamp}.{body}" }"#;
const PADDLE: &str = r#"hmac = { header = "x-signature", secret = "ACME_SECRET", signature_part = "h1", timestamp_part = "ts", signed = "{timestamp}:{body}" }"#;

/// The signature of [`BODY`] at this time by the scheme's current secret.
fn digits(toml: &str, at: DateTime<Utc>) -> String {
    let signed = scheme(toml).sign(&Sample { at, ..sample(BODY) }).unwrap();
    signed.headers[0].1.rsplit_once('=').unwrap().1.to_owned()
}

fn checked(toml: &str, header: impl AsRef<[u8]>) -> Result<Verified, Refusal> {
    let scheme = scheme(toml);
    check(&scheme, &replaced(signed(&scheme), "x-signature", header))
}

#[test]
fn a_known_signature_is_verified() {
    // By Stripe's published way: HMAC-SHA-256 of "1795176000.{\"deal\":…}" with the secret's own bytes.
    use hmac::digest::KeyInit;
    use hmac::{Hmac, Mac};
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(b"the secret of today").unwrap();
    mac.update(&[b"1795176000.", BODY].concat());
    let good = hex(&mac.finalize().into_bytes());
    assert!(checked(STRIPE, format!("t=1795176000,v1={good}")).is_ok());
}

#[test]
fn the_parts_may_stand_in_any_order_and_beside_others() {
    let (now, wrong) = (now().timestamp(), "0".repeat(64));
    for (toml, headers) in [
        (
            STRIPE,
            [
                "t=NOW,v1=GOOD",
                "t=NOW, v1=GOOD",
                "v1=GOOD,t=NOW",
                "t=NOW;v1=GOOD",
                "t=NOW,v1=WRONG,v1=GOOD",
                "t=NOW,v1=GOOD,v1=WRONG,v0=WRONG",
                "t=NOW,v1=short,v1=GOOD",
                "t=NOW,,v1=GOOD,scheme",
            ],
        ),
        (
            PADDLE,
            [
                "ts=NOW;h1=GOOD",
                "ts=NOW; h1=GOOD",
                "h1=GOOD;ts=NOW",
                "ts=NOW,h1=GOOD",
                "ts=NOW;h1=WRONG;h1=GOOD",
                "ts=NOW;h1=GOOD;h1=WRONG",
                "t=1;ts=NOW;h1=GOOD",
                "ts=NOW;h1=GOOD;h2=WRONG",
            ],
        ),
    ] {
        let good = digits(toml, super::now());
        for header in headers {
            let sent = header.replace("NOW", &now.to_string()).replace("GOOD", &good).replace("WRONG", &wrong);
            let verified = checked(toml, &sent).unwrap_or_else(|refusal| panic!("{header}: {refusal}"));
            assert_eq!(verified.secret, "ACME_SECRET");
        }
    }
}

#[test]
fn an_absent_doubled_or_altered_part_is_refused() {
    let (good, wrong) = (digits(STRIPE, now()), "0".repeat(64));
    let many = format!(",v1={wrong}").repeat(16);
    for (header, refusal) in [
        ("t=NOW", Refusal::Malformed),
        ("v1=GOOD", Refusal::TimestampMissing),
        ("", Refusal::TimestampMissing),
        ("NOW,GOOD", Refusal::TimestampMissing),
        ("t=NOW,v1=", Refusal::Malformed),
        ("t=,v1=GOOD", Refusal::TimestampMalformed),
        ("t=NOW,t=NOW,v1=GOOD", Refusal::TimestampMalformed),
        ("t=1,v1=GOOD,t=NOW", Refusal::TimestampMalformed),
        ("t=-1,v1=GOOD", Refusal::TimestampMalformed),
        ("t=1e9,v1=GOOD", Refusal::TimestampMalformed),
        ("t=NOW,v1=WRONG", Refusal::Wrong),
        ("t=NOW,v1=WRONG,v1=WRONG", Refusal::Wrong),
        ("t=NOW,v0=GOOD", Refusal::Malformed),
        ("t=NOW,V1=GOOD", Refusal::Malformed),
        ("t=NOW,v1 =GOOD", Refusal::Malformed),
        ("t=NOW,v1=\"GOOD\"", Refusal::Malformed),
        ("t=NOW,v1=GOOD0", Refusal::Malformed),
        ("t=NOW,v1=GOODMANY", Refusal::Malformed),
        // Another time than the one that was signed.
        ("t=1795176001,v1=GOOD", Refusal::Wrong),
        ("t=01795176000,v1=GOOD", Refusal::Wrong),
    ] {
        let sent = header.replace("NOW", &now().timestamp().to_string());
        let sent = sent.replace("GOOD", &good).replace("WRONG", &wrong).replace("MANY", &many);
        assert_eq!(checked(STRIPE, &sent), Err(refusal), "{header}");
    }
    let scheme = scheme(STRIPE);
    assert_eq!(check(&scheme, &twice(signed(&scheme), "x-signature")), Err(Refusal::Malformed));
    assert_eq!(check(&scheme, &without(signed(&scheme), "x-signature")), Err(Refusal::Missing));
}

#[test]
fn an_old_signature_has_expired() {
    for (seconds, refused) in [(0, false), (300, false), (-300, false), (301, true), (-301, true)] {
        let at = now() + chrono::TimeDelta::seconds(seconds);
        let header = format!("t={},v1={}", at.timestamp(), digits(STRIPE, at));
        assert_eq!(checked(STRIPE, header).err(), refused.then_some(Refusal::Expired), "{seconds}");
    }
}

#[test]
fn a_sender_is_told_and_signs_what_is_checked() {
    for (toml, expects) in [
        (STRIPE, "x-signature: t=<Unix time in seconds>,v1=<hex HMAC-SHA-256 of {timestamp}.{body}>"),
        (PADDLE, "x-signature: ts=<Unix time in seconds>,h1=<hex HMAC-SHA-256 of {timestamp}:{body}>"),
        (
            r#"hmac = { header = "x-signature", secret = "ACME_SECRET", signature_part = "s", encoding = "base64", prefix = "v1." }"#,
            "x-signature: s=v1.<base64 HMAC-SHA-256 of the body>",
        ),
        (
            r#"hmac = { header = "x-signature", secret = "ACME_SECRET", timestamp_header = "x-time", timestamp_part = "at", timestamp_unit = "ms", signed = "{timestamp}{body}" }"#,
            "x-signature: <hex HMAC-SHA-256 of {timestamp}{body}>, x-time: at=<Unix time in milliseconds>",
        ),
        (
            r#"hmac = { header = "x-signature", secret = "ACME_SECRET", signature_part = "v1", timestamp_header = "x-time", signed = "{timestamp}{body}" }"#,
            "x-signature: v1=<hex HMAC-SHA-256 of {timestamp}{body}>, x-time: <Unix time in seconds>",
        ),
    ] {
        let scheme = scheme(toml);
        assert_eq!(scheme.expects(), expects);
        assert_eq!(check(&scheme, &signed(&scheme)).unwrap().secret, "ACME_SECRET", "{toml}");
    }
    let (pair, public) = key_pair();
    let ed25519 = scheme(&format!(
        r#"ed25519 = {{ header = "x-signature", public_key = "{public}", signature_part = "sig", timestamp_part = "t", signed = "{{timestamp}}.{{body}}" }}"#
    ));
    let signature = pair.sign(&[b"1795176000.", BODY].concat());
    let signature = super::super::encoding::SignatureEncoding::Base64.encode(signature.as_ref());
    let request = |value: String| replaced(signed(&scheme(STRIPE)), "x-signature", value);
    assert!(check(&ed25519, &request(format!("t=1795176000,sig={signature}"))).is_ok());
    assert_eq!(check(&ed25519, &request(format!("t=1795176001,sig={signature}"))), Err(Refusal::Wrong));
}
