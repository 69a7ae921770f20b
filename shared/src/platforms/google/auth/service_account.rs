//! A service account that signs for itself (RFC 7523; "Using OAuth 2.0 for Server to Server Applications").

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::Scope;
use crate::outgoing::endpoint;
use crate::platforms::{Outcome, Reason};

/// The JSON key file of a service account, as far as it is needed.
#[derive(Clone)]
pub struct ServiceAccountKey {
    /// Who.
    pub client_email: String,
    /// Which of its keys.
    pub private_key_id: String,
    /// Where to send the signed assertion.
    pub token_uri: String,
    pair: Arc<RsaKeyPair>,
}

impl ServiceAccountKey {
    /// Reads the JSON key file.
    ///
    /// # Errors
    /// What is wrong with it and what to do, without a word of the file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: Value = serde_json::from_str(text).map_err(
            |_| "must be the whole JSON key file of a service account, with \\n in private_key as it is in the file",
        )?;
        match file["type"].as_str() {
            Some("service_account") => {}
            Some("external_account") => {
                return Err("holds a configuration without a key: set it as GOOGLE_EXTERNAL_ACCOUNT instead".into());
            }
            Some("authorized_user") => {
                return Err("holds a person's credentials (type authorized_user): set GOOGLE_CLIENT_ID, \
                            GOOGLE_CLIENT_SECRET and GOOGLE_REFRESH_TOKEN instead, or paste a service account's key \
                            file"
                    .into());
            }
            _ => return Err("must be a key file of type service_account: make a JSON key for the account".into()),
        }
        let field = |name: &str| match file[name].as_str() {
            Some(text) if !text.trim().is_empty() => Ok(text),
            _ => Err(format!("lacks {name}: paste the whole JSON file as Google gave it")),
        };
        Ok(Self {
            client_email: field("client_email")?.to_owned(),
            private_key_id: field("private_key_id")?.to_owned(),
            token_uri: endpoint(field("token_uri")?).map_err(|problem| format!("has a token_uri that {problem}"))?,
            pair: Arc::new(pair(field("private_key")?)?),
        })
    }

    /// A signed JSON Web Token that asks for both scopes.
    pub(super) fn assertion(&self, audience: &str, now: DateTime<Utc>) -> Result<SecretString, Outcome> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.private_key_id});
        let claims = json!({
            "iss": self.client_email,
            "scope": Scope::both(),
            "aud": audience,
            "iat": now.timestamp(),
            "exp": now.timestamp() + 3600,
        });
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.pair.public().modulus_len()];
        let random = ring::rand::SystemRandom::new();
        self.pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).map_err(|_| {
            Outcome::Paused(Reason::new(
                "service_account_key",
                "Signing with the service account's key failed. Make a new key and set GOOGLE_SERVICE_ACCOUNT_KEY.",
            ))
        })?;
        Ok(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

/// Google hands out PKCS #8 in PEM.
fn pair(pem: &str) -> Result<RsaKeyPair, String> {
    // Many a template doubles the backslashes.
    let pem = pem.replace("\\n", "\n");
    if pem.contains("BEGIN RSA PRIVATE KEY") {
        return Err("has a private_key in PKCS #1, and Google's files have PKCS #8: paste the file unchanged, or \
                    convert the key with openssl pkcs8 -topk8 -nocrypt"
            .into());
    }
    let not_rsa = "has a private_key that isn't RSA: paste the key file of a service account";
    if pem.contains("BEGIN EC PRIVATE KEY") {
        return Err(not_rsa.into());
    }
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(
        |_| "has a private_key that is cut off or no PEM: paste the whole JSON file, with \\n in private_key as it is",
    )?;
    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|rejected| {
        if rejected.to_string() == "WrongAlgorithm" {
            return not_rsa.into();
        }
        "has a private_key that is damaged: paste the whole JSON file, or make a new key".into()
    })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

    use super::*;

    /// What is said of a key file that differs in this from a good one.
    fn refused(name: &str, value: &Value) -> String {
        let mut file = json!({
            "type": "service_account",
            "client_email": "uploader@project.iam.gserviceaccount.example",
            "private_key": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
            "private_key_id": "1",
            "token_uri": "https://oauth2.googleapis.com/token",
        });
        file[name] = value.clone();
        ServiceAccountKey::parse(&file.to_string()).err().unwrap()
    }

    #[test]
    fn another_file_is_told_apart() {
        assert!(ServiceAccountKey::parse("-----BEGIN PRIVATE KEY-----").err().unwrap().contains("whole JSON key file"));
        assert!(refused("type", &json!("authorized_user")).contains("GOOGLE_REFRESH_TOKEN"));
        assert!(refused("type", &json!("external_account")).contains("GOOGLE_EXTERNAL_ACCOUNT"));
        assert!(refused("type", &Value::Null).contains("type service_account"));
        assert!(ServiceAccountKey::parse("[]").err().unwrap().contains("type service_account"));
    }

    #[test]
    fn what_is_missing_is_named() {
        for name in ["private_key", "private_key_id", "client_email", "token_uri"] {
            for value in [Value::Null, json!(""), json!(7)] {
                let problem = refused(name, &value);
                assert!(problem.contains(&format!("lacks {name}:")), "{problem}");
            }
        }
        assert!(refused("token_uri", &json!("http://oauth2.example.com/token")).contains("https://"));
    }

    #[test]
    fn a_key_that_google_did_not_make_is_refused_with_the_fix() {
        let pem = |label: &str, der: &[u8]| {
            json!(format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)))
        };
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        for (key, fix) in [
            (pem("RSA PRIVATE KEY", b"secret"), "openssl pkcs8"),
            (pem("EC PRIVATE KEY", b"secret"), "isn't RSA"),
            (pem("PRIVATE KEY", ec.as_ref()), "isn't RSA"),
            (pem("PRIVATE KEY", b"secret"), "damaged"),
            (json!("-----BEGIN PRIVATE KEY-----\nc2VjcmV0"), "cut off"),
            (json!("c2VjcmV0"), "cut off"),
        ] {
            let problem = refused("private_key", &key);
            assert!(problem.contains(fix), "{problem}");
            assert!(!problem.contains("c2VjcmV0"), "{problem}");
        }
    }
}
