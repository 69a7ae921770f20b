//! One bit that differs, anywhere.

use proptest::prelude::{any, prop_assert, prop_assume};
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use testing::cases;

use super::*;

/// Flips one bit in each of `rounds` good requests: in the body or in one of the signed headers.
fn refuses_every_flip(scheme: &Scheme, good: &Signed, rounds: u32) {
    assert_eq!(check(scheme, &request(good, BODY)).map(|it| it.scheme), Ok(scheme.name().into()));
    let flips = (0..=good.headers.len(), any::<Index>(), 0..8_u32);
    // A flip that no header can contain is replaced by another one.
    let config = Config { max_global_rejects: rounds, ..cases(rounds) };
    let all_refused = TestRunner::new(config).run(&flips, |(part, at, bit)| {
        let mut bytes = if part == 0 { BODY.to_vec() } else { good.headers[part - 1].1.clone().into_bytes() };
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let changed = if part == 0 {
            request(good, &bytes)
        } else {
            prop_assume!(HeaderValue::from_bytes(&bytes).is_ok());
            replaced(request(good, BODY), &good.headers[part - 1].0, &bytes)
        };
        prop_assert!(check(scheme, &changed).is_err(), "it lets in {}", String::from_utf8_lossy(&bytes));
        Ok(())
    });
    all_refused.unwrap_or_else(|error| panic!("{}: {error}", scheme.name()));
}

#[test]
fn a_request_with_one_flipped_bit_is_never_accepted() {
    let hmac = |encoding: &str| {
        scheme(&format!(
            r#"hmac = {{ header = "x-signature", secret = "ACME_SECRET", encoding = "{encoding}", prefix = "sha256=", signed = "{{timestamp}}.{{body}}", timestamp_header = "x-timestamp" }}"#
        ))
    };
    let (pair, public) = key_pair();
    let ed25519 = scheme(&format!(
        r#"ed25519 = {{ header = "x-signature", public_key = "{public}", signed = "{{timestamp}}{{body}}", timestamp_header = "x-timestamp" }}"#
    ));
    let timestamp = now().timestamp().to_string();
    let signature = pair.sign(&[timestamp.as_bytes(), BODY].concat());
    let encoded = super::super::encoding::SignatureEncoding::Base64.encode(signature.as_ref());
    let by_pair = Signed {
        headers: vec![("x-signature".to_owned(), encoded), ("x-timestamp".to_owned(), timestamp)],
        url: URL.to_owned(),
    };
    for scheme in [
        hmac("hex"),
        hmac("base64"),
        scheme(r#"standard_webhooks = { secret = "STANDARD_SECRET" }"#),
        scheme(r#"hubspot_v3 = { secret = "ACME_SECRET" }"#),
        scheme(r#"close = { secret = "CLOSE_SECRET" }"#),
    ] {
        refuses_every_flip(&scheme, &scheme.sign(&sample(BODY)).unwrap(), 20_000);
    }
    // Slower than the others.
    refuses_every_flip(&ed25519, &by_pair, 4_000);
}
