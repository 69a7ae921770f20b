//! The header `Authorization`, and secrets that are sent as they are.

use lambda_http::Request;
use lambda_http::http::header;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Does `Authorization: Bearer` carry this secret?
#[must_use]
pub fn has_bearer(request: &Request, secret: &SecretString) -> bool {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| credentials(value, "Bearer"));
    token.is_some_and(|token| is_same(token.as_bytes(), secret.expose_secret().as_bytes()))
}

/// What follows the scheme (`Bearer`, `Basic`) in a value of `Authorization`; none when the value is another scheme's.
#[must_use]
pub fn credentials<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (word, rest) = value.split_once(' ').unwrap_or((value, ""));
    word.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// Compares in a time that says nothing: digests are of one length, so not even the length of the secret shows.
#[must_use]
pub fn is_same(given: &[u8], secret: &[u8]) -> bool {
    Sha256::digest(given).ct_eq(&Sha256::digest(secret)).into()
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;

    use super::*;

    #[test]
    fn only_the_secret_itself_as_a_bearer_token_opens() {
        let secret = SecretString::from("secret");
        let request = |value: &str| {
            lambda_http::http::Request::builder().header("authorization", value).body(Body::Empty).unwrap()
        };
        for good in ["Bearer secret", "bearer secret", "BEARER  secret"] {
            assert!(has_bearer(&request(good), &secret), "{good}");
        }
        for bad in ["secret", "Bearer", "Bearer secre", "Bearer secret2", "Basic secret", "Bearersecret", ""] {
            assert!(!has_bearer(&request(bad), &secret), "{bad}");
        }
        assert!(!has_bearer(&Request::new(Body::Empty), &secret));
    }
}
