//! One bit that differs, anywhere.

use super::*;

/// Chance that repeats itself (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }
}

/// Flips one bit in each of `rounds` good requests; answers how many were refused.
fn refused(scheme: &Scheme, good: &Signed, rounds: usize, seed: u64) -> usize {
    assert_eq!(check(scheme, &request(good, BODY)).map(|it| it.scheme), Ok(scheme.name()));
    let mut chance = Chance(seed);
    let mut refused = 0;
    while refused < rounds {
        let part = chance.below(good.headers.len() + 1);
        let mut bytes = if part == 0 { BODY.to_vec() } else { good.headers[part - 1].1.clone().into_bytes() };
        let at = chance.below(bytes.len());
        bytes[at] ^= 1 << chance.below(8);
        let changed = if part == 0 {
            request(good, &bytes)
        } else {
            // What no header can carry never arrives.
            if HeaderValue::from_bytes(&bytes).is_err() {
                continue;
            }
            replaced(request(good, BODY), &good.headers[part - 1].0, &bytes)
        };
        let answer = check(scheme, &changed);
        assert!(answer.is_err(), "{} lets in {}", scheme.name(), String::from_utf8_lossy(&bytes));
        refused += 1;
    }
    refused
}

#[test]
fn a_request_with_one_other_bit_is_never_let_in() {
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
    let encoded = super::super::encoding::Encoding::Base64.encode(signature.as_ref());
    let by_pair = Signed {
        headers: vec![("x-signature".to_owned(), encoded), ("x-timestamp".to_owned(), timestamp)],
        url: URL.to_owned(),
    };
    let of = |scheme: Scheme| {
        let good = scheme.sign(&sample(BODY)).unwrap();
        (scheme, good, 20_000)
    };
    let all = [
        of(hmac("hex")),
        of(hmac("base64")),
        of(scheme(r#"standard_webhooks = { secret = "STANDARD_SECRET" }"#)),
        of(scheme(r#"hubspot_v3 = { secret = "ACME_SECRET" }"#)),
        of(scheme(r#"close = { secret = "CLOSE_SECRET" }"#)),
        // Slower than the others.
        (ed25519, by_pair, 4_000),
    ];
    let refused: usize =
        all.iter().zip(0..).map(|((scheme, good, rounds), seed)| refused(scheme, good, *rounds, seed)).sum();
    assert_eq!(refused, 104_000);
}
