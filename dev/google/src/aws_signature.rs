//! AWS Signature Version 4, implemented here: what AWS does with the signed request that an
//! uploader shows to Google. Source: AWS's "Create a signed AWS API request".

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use ring::{digest, hmac};
use serde::Deserialize;
use url::Url;

use crate::account::AwsRole;

/// How far a request's time may be from AWS's.
const FRESH: TimeDelta = TimeDelta::minutes(5);

/// A request as the Security Token Service takes it.
#[derive(Deserialize)]
pub(crate) struct SignedRequest {
    url: String,
    method: String,
    headers: Vec<Header>,
}

#[derive(Deserialize)]
struct Header {
    key: String,
    value: String,
}

/// A `GetCallerIdentity` request that AWS would answer, and which of its headers are signed.
pub(crate) struct CallerIdentity {
    headers: BTreeMap<String, String>,
    signed: Vec<String>,
}

impl CallerIdentity {
    /// The value of this header, if the signature covers it.
    pub(crate) fn signed_header(&self, name: &str) -> Option<&str> {
        self.signed.iter().any(|signed| signed == name).then(|| self.headers.get(name).map(String::as_str))?
    }
}

impl SignedRequest {
    /// Checks the request as AWS does. The error is AWS's.
    pub(crate) fn verify(self, role: &AwsRole, now: DateTime<Utc>) -> Result<CallerIdentity, String> {
        let headers: BTreeMap<_, _> = self
            .headers
            .into_iter()
            .map(|header| (header.key.to_lowercase(), header.value.trim().to_owned()))
            .collect();
        let header = |name: &str| headers.get(name).map(String::as_str).ok_or(format!("MissingHeader: {name}"));

        let url = Url::parse(&self.url).map_err(|error| format!("InvalidUrl: {error}"))?;
        let host = url.host_str().unwrap_or_default();
        if url.scheme() != "https" || header("host")? != host || url.path() != "/" || self.method != "POST" {
            return Err("InvalidAction: not a POST to the host over https".to_owned());
        }
        let query: BTreeMap<_, _> = url.query_pairs().collect();
        let asks = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")];
        if query.len() != 2 || asks.iter().any(|(name, value)| query.get(*name).is_none_or(|found| found != value)) {
            return Err("InvalidAction: not GetCallerIdentity".to_owned());
        }

        let authorization = Authorization::parse(header("authorization")?).ok_or("IncompleteSignature")?;
        let [key_id, date, region, service, terminator] = authorization.credential.as_slice() else {
            return Err("IncompleteSignature: Credential".to_owned());
        };
        let regional_host = format!("sts.{region}.amazonaws.com");
        if *service != "sts" || *terminator != "aws4_request" || host != regional_host {
            return Err("SignatureDoesNotMatch: Credential should be scoped to a valid region and service".to_owned());
        }
        if *key_id != role.access_key_id || header("x-amz-security-token")? != role.session_token {
            return Err("InvalidClientTokenId: The security token included in the request is invalid.".to_owned());
        }
        let amz_date = header("x-amz-date")?;
        let signed_at = NaiveDateTime::parse_from_str(amz_date, "%Y%m%dT%H%M%SZ").map_err(|_| "IncompleteSignature")?;
        let age = now - signed_at.and_utc();
        if age > FRESH || !amz_date.starts_with(date) {
            return Err("SignatureDoesNotMatch: Signature expired".to_owned());
        }
        if age < -FRESH {
            return Err("SignatureDoesNotMatch: Signature not yet current".to_owned());
        }

        let names: Vec<&str> = authorization.signed_headers.split(';').collect();
        let must_be_signed = ["host", "x-amz-date", "x-amz-security-token"];
        if !names.is_sorted() || must_be_signed.iter().any(|name| !names.contains(name)) {
            return Err("SignatureDoesNotMatch: headers must be signed".to_owned());
        }
        let signed = names.iter().map(|name| Ok((*name, header(name)?))).collect::<Result<Vec<_>, String>>()?;
        if signature(&role.secret_access_key, region, amz_date, &signed) != authorization.signature {
            return Err("SignatureDoesNotMatch: The request signature we calculated does not match".to_owned());
        }
        let signed = names.into_iter().map(str::to_owned).collect();
        Ok(CallerIdentity { headers, signed })
    }
}

/// The signature of a `GetCallerIdentity` request with these headers.
fn signature(secret_access_key: &str, region: &str, amz_date: &str, headers: &[(&str, &str)]) -> String {
    let mut canonical = "POST\n/\nAction=GetCallerIdentity&Version=2011-06-15\n".to_owned();
    for (name, value) in headers {
        let _ = writeln!(canonical, "{name}:{value}");
    }
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let _ = write!(canonical, "\n{}\n{}", names.join(";"), sha256(""));

    let scope = [amz_date.split('T').next().unwrap_or_default(), region, "sts", "aws4_request"];
    let to_sign = format!("AWS4-HMAC-SHA256\n{amz_date}\n{}\n{}", scope.join("/"), sha256(&canonical));
    let secret = format!("AWS4{secret_access_key}").into_bytes();
    let key = scope.iter().fold(secret, |key, part| mac(&key, part));
    hex(&mac(&key, &to_sign))
}

/// The Authorization header of a signed request.
struct Authorization<'a> {
    credential: Vec<&'a str>,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let parts: BTreeMap<_, _> =
            text.strip_prefix("AWS4-HMAC-SHA256 ")?.split(',').filter_map(|part| part.trim().split_once('=')).collect();
        Some(Self {
            credential: parts.get("Credential")?.split('/').collect(),
            signed_headers: parts.get("SignedHeaders")?,
            signature: parts.get("Signature")?,
        })
    }
}

fn sha256(message: &str) -> String {
    hex(digest::digest(&digest::SHA256, message.as_bytes()).as_ref())
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "x-goog-cloud-target-resource";

    fn role() -> AwsRole {
        AwsRole {
            access_key_id: "ASIAEXAMPLE".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: "session".to_owned(),
        }
    }

    fn now() -> DateTime<Utc> {
        "2026-11-22T12:00:00Z".parse().expect("a time")
    }

    /// What a signer sends, and may get wrong.
    struct Attempt {
        host: &'static str,
        query: &'static str,
        amz_date: &'static str,
        signed: &'static [&'static str],
    }

    const GOOD: Attempt = Attempt {
        host: "sts.eu-central-1.amazonaws.com",
        query: "Action=GetCallerIdentity&Version=2011-06-15",
        amz_date: "20261122T115800Z",
        signed: &["host", "x-amz-date", "x-amz-security-token", TARGET],
    };

    impl Attempt {
        fn request(&self) -> SignedRequest {
            let values = [
                ("host", self.host),
                ("x-amz-date", self.amz_date),
                ("x-amz-security-token", "session"),
                (TARGET, "//iam.googleapis.com/pool"),
            ];
            let signed: Vec<_> = values.into_iter().filter(|(name, _)| self.signed.contains(name)).collect();
            let authorization = format!(
                "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20261122/eu-central-1/sts/aws4_request, SignedHeaders={}, \
                 Signature={}",
                self.signed.join(";"),
                signature("secret", "eu-central-1", self.amz_date, &signed),
            );
            let headers = values.into_iter().chain([("Authorization", authorization.as_str())]);
            SignedRequest {
                url: format!("https://{}?{}", self.host, self.query),
                method: "POST".to_owned(),
                headers: headers.map(|(key, value)| Header { key: key.to_owned(), value: value.to_owned() }).collect(),
            }
        }

        fn refused(&self) -> String {
            self.request().verify(&role(), now()).err().expect("a refusal")
        }
    }

    #[test]
    fn a_good_signature_counts_for_what_it_covers() {
        let identity = GOOD.request().verify(&role(), now()).expect("an identity");
        assert_eq!(identity.signed_header(TARGET), Some("//iam.googleapis.com/pool"));
        let unsigned = Attempt { signed: &["host", "x-amz-date", "x-amz-security-token"], ..GOOD };
        let identity = unsigned.request().verify(&role(), now()).expect("an identity");
        assert_eq!(identity.signed_header(TARGET), None);
    }

    #[test]
    fn what_aws_would_refuse_is_refused() {
        for (attempt, said) in [
            (Attempt { amz_date: "20261122T115400Z", ..GOOD }, "Signature expired"),
            (Attempt { amz_date: "20261122T120600Z", ..GOOD }, "not yet current"),
            (Attempt { amz_date: "yesterday", ..GOOD }, "IncompleteSignature"),
            (Attempt { host: "sts.eu-west-1.amazonaws.com", ..GOOD }, "scoped to a valid region"),
            (Attempt { host: "sts.eu-central-1.example.com", ..GOOD }, "scoped to a valid region"),
            (Attempt { query: "Action=AssumeRole&Version=2011-06-15", ..GOOD }, "InvalidAction"),
            (Attempt { query: "Action=GetCallerIdentity", ..GOOD }, "InvalidAction"),
            (Attempt { signed: &["host", "x-amz-date"], ..GOOD }, "must be signed"),
        ] {
            let refused = attempt.refused();
            assert!(refused.contains(said), "{said}: {refused}");
        }
        let mut tampered = GOOD.request();
        tampered.headers[3].value.push_str("-of-another");
        let refused = tampered.verify(&role(), now()).err().expect("a refusal");
        assert!(refused.contains("does not match"), "{refused}");
        let other = AwsRole { session_token: "other".to_owned(), ..role() };
        let refused = GOOD.request().verify(&other, now()).err().expect("a refusal");
        assert!(refused.contains("InvalidClientTokenId"), "{refused}");
    }
}
