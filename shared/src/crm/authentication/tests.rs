//! Which requests are authenticated and which are not.

mod declarations;
mod flips;
mod parts;
mod schemes;
mod timestamps;
mod vectors;

use chrono::{DateTime, Utc};
use lambda_http::Body;
use lambda_http::http::{HeaderName, HeaderValue};
use ring::signature::{Ed25519KeyPair, KeyPair};
use secrecy::SecretString;
use serde::Deserialize;

use super::{DeclaredScheme, Refusal, Sample, Scheme, Signed, Verified, verify};
use crate::http::Request;
use crate::identity::hex;

/// The settings that the tests declare schemes with.
const SETTINGS: [(&str, &str); 8] = [
    ("ACME_SECRET", "the secret of today"),
    ("ACME_SECRET_PREVIOUS", "the secret of yesterday"),
    ("ONLY_SECRET", "the only secret"),
    ("STANDARD_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("STANDARD_SECRET_PREVIOUS", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ("CLOSE_SECRET", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
    ("CLOSE_SECRET_PREVIOUS", "FFEEDDCCBBAA99887766554433221100"),
    ("BASE64_SECRET", "AP8QIDBAUGBwgJCgsMDQ4PA="),
];

const URL: &str = "https://example.com/api/webhooks/acme?a=b%20c&d=%3A";
const BODY: &[u8] = br#"{"deal":{"id":"1","won":true}}"#;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_176_000, 0).expect("2026-11-20T12:00:00Z")
}

fn lookup(name: &str) -> Option<SecretString> {
    SETTINGS.iter().find(|(setting, _)| *setting == name).map(|(_, value)| SecretString::from(*value))
}

/// The one line of TOML as a scheme, with the secrets of [`SETTINGS`].
fn scheme(toml: &str) -> Scheme {
    scheme_with(toml, &lookup)
}

fn scheme_with(toml: &str, lookup: &dyn Fn(&str) -> Option<SecretString>) -> Scheme {
    Scheme::new(&declared(toml).unwrap(), lookup).unwrap()
}

#[derive(Deserialize)]
struct Source {
    auth: Vec<DeclaredScheme>,
}

/// As it stands in a source, in line 2.
fn declared(line: &str) -> Result<DeclaredScheme, toml::de::Error> {
    toml::from_str::<Source>(&format!("[[auth]]\n{line}\n")).map(|mut source| source.auth.remove(0))
}

fn sample(body: &[u8]) -> Sample<'_> {
    Sample { method: "POST", url: URL, body, id: "evt_1", at: now() }
}

/// The request that a sender of this scheme makes.
fn signed(scheme: &Scheme) -> Request {
    request(&scheme.sign(&sample(BODY)).unwrap(), BODY)
}

fn request(signed: &Signed, body: &[u8]) -> Request {
    // As API Gateway's: the host in its header, the path and the raw query in the URI.
    let (host, path) = signed.url.trim_start_matches("https://").split_once('/').unwrap();
    let mut builder = lambda_http::http::Request::builder().method("POST").uri(format!("/{path}")).header("host", host);
    for (name, value) in &signed.headers {
        builder = builder.header(name, value);
    }
    builder.body(Body::from(body)).unwrap()
}

/// The request with this header replaced.
fn replaced(mut request: Request, name: &str, value: impl AsRef<[u8]>) -> Request {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    assert!(request.headers().contains_key(&name), "{name} is replaced");
    request.headers_mut().insert(name, HeaderValue::from_bytes(value.as_ref()).unwrap());
    request
}

fn without(mut request: Request, name: &str) -> Request {
    assert!(request.headers_mut().remove(name).is_some(), "{name} is taken away");
    request
}

fn twice(mut request: Request, name: &str) -> Request {
    let value = request.headers()[name].clone();
    request.headers_mut().append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    request
}

fn check(scheme: &Scheme, request: &Request) -> Result<Verified, Refusal> {
    verify(std::slice::from_ref(scheme), request, now())
}

/// A pair of keys for Ed25519, and the public one as it is declared.
fn key_pair() -> (Ed25519KeyPair, String) {
    use base64::Engine as _;
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = base64::engine::general_purpose::STANDARD.encode(pair.public_key().as_ref());
    (pair, public)
}
