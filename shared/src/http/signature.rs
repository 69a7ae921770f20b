//! Is the caller who it says it is? All comparisons take the same time whatever the answer.

use hmac::Mac;
use lambda_http::Request;
use lambda_http::http::header;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::identity::{hex, hmac};

/// Carries `sha256=` and the hexadecimal HMAC-SHA-256 of the raw body.
pub const HEADER: &str = "x-webhook-signature";

/// Is the body signed with one of the secrets, or, by a sender that can't sign, is the secret sent as a bearer token?
/// A signature that is there must be right; a token doesn't make up for it.
#[must_use]
pub fn is_signed(request: &Request, secrets: &[SecretString]) -> bool {
    let mut signatures = request.headers().get_all(HEADER).iter();
    match (signatures.next(), signatures.next()) {
        (Some(signature), None) => {
            let signature = signature.to_str().ok().and_then(|text| text.strip_prefix("sha256=")).and_then(unhex);
            signature.is_some_and(|mac| any(secrets, |secret| is_mac_of(request.body(), secret, &mac)))
        }
        (None, _) => any(secrets, |secret| has_bearer(request, secret)),
        _ => false,
    }
}

/// Does `Authorization: Bearer` carry this secret?
#[must_use]
pub fn has_bearer(request: &Request, secret: &SecretString) -> bool {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.is_some_and(|(_, token)| {
        // Digests are of one length, so not even the length of the secret shows.
        Sha256::digest(token.trim()).ct_eq(&Sha256::digest(secret.expose_secret())).into()
    })
}

/// `sha256=…`, as a sender makes it.
#[must_use]
pub fn sign(body: &[u8], secret: &SecretString) -> String {
    format!("sha256={}", hex(&hmac(secret, body).finalize().into_bytes()))
}

/// Tries every secret, so that the time taken doesn't tell which one fitted.
fn any(secrets: &[SecretString], fits: impl Fn(&SecretString) -> bool) -> bool {
    secrets.iter().fold(false, |found, secret| fits(secret) | found)
}

fn is_mac_of(body: &[u8], secret: &SecretString, signature: &[u8]) -> bool {
    hmac(secret, body).verify_slice(signature).is_ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || text.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;

    use super::*;

    fn request(header: &str, value: &str, body: &str) -> Request {
        lambda_http::http::Request::builder().header(header, value).body(Body::from(body)).unwrap()
    }

    #[test]
    fn accepts_either_live_secret_and_nothing_else() {
        let (old, new) = (SecretString::from("old"), SecretString::from("new"));
        let live = [new.clone(), old.clone()];
        for secret in [&old, &new] {
            assert!(is_signed(&request(HEADER, &sign(b"body", secret), "body"), &live));
        }
        assert!(!is_signed(&request(HEADER, &sign(b"body", &SecretString::from("other")), "body"), &live));
        assert!(!is_signed(&request(HEADER, &sign(b"body", &new), "bodY"), &live));
        assert!(!is_signed(&request(HEADER, &sign(b"body", &new), "body"), &[]));
    }

    #[test]
    fn a_signature_of_another_shape_is_refused() {
        let secret = SecretString::from("secret");
        let good = sign(b"", &secret);
        assert!(is_signed(&request(HEADER, &good, ""), std::slice::from_ref(&secret)));
        for bad in
            ["", "sha256=", &good[7..], &good[..70], &format!("{good}0"), &good.replace("sha256", "sha1"), "sha256=+"]
        {
            assert!(!is_signed(&request(HEADER, bad, ""), std::slice::from_ref(&secret)), "{bad}");
        }
    }

    #[test]
    fn the_secret_as_a_bearer_token_will_do_unless_a_signature_is_wrong() {
        let secret = SecretString::from("secret");
        let mut with_token = request("authorization", "Bearer secret", "body");
        assert!(is_signed(&with_token, std::slice::from_ref(&secret)));
        with_token.headers_mut().insert(HEADER, "sha256=00".parse().unwrap());
        assert!(!is_signed(&with_token, std::slice::from_ref(&secret)));
        for bad in ["secret", "Bearer", "Bearer secre", "Basic secret", ""] {
            assert!(!is_signed(&request("authorization", bad, ""), std::slice::from_ref(&secret)), "{bad}");
        }
    }
}
