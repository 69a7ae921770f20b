//! AWS Signature Version 4, worked out by hand: what AWS does with the signed request that an
//! uploader shows to Google. Source: AWS's "Create a signed AWS API request".

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use ring::{digest, hmac};
use serde::Deserialize;
use url::Url;

use super::account::AwsRole;

/// How far a request's time may be from AWS's.
const FRESH: TimeDelta = TimeDelta::minutes(5);

/// A request as the Security Token Service takes it.
#[derive(Deserialize)]
pub(super) struct SignedRequest {
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
pub(super) struct CallerIdentity {
    headers: BTreeMap<String, String>,
    signed: Vec<String>,
}

impl CallerIdentity {
    /// The value of this header, if the signature covers it.
    pub(super) fn signed_header(&self, name: &str) -> Option<&str> {
        self.signed.iter().any(|signed| signed == name).then(|| self.headers.get(name).map(String::as_str))?
    }
}

impl SignedRequest {
    /// Checks the request as AWS does. An error is what AWS would say.
    pub(super) fn verify(self, role: &AwsRole, now: DateTime<Utc>) -> Result<CallerIdentity, String> {
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

        let signed: Vec<String> = authorization.signed_headers.split(';').map(str::to_owned).collect();
        let must_be_signed = ["host", "x-amz-date", "x-amz-security-token"];
        if !signed.is_sorted() || must_be_signed.iter().any(|name| !signed.iter().any(|signed| signed == name)) {
            return Err("SignatureDoesNotMatch: headers must be signed".to_owned());
        }
        let mut canonical = "POST\n/\nAction=GetCallerIdentity&Version=2011-06-15\n".to_owned();
        for name in &signed {
            let _ = writeln!(canonical, "{name}:{}", header(name)?);
        }
        let _ = write!(canonical, "\n{}\n{}", authorization.signed_headers, sha256(""));
        let scope = format!("{date}/{region}/sts/aws4_request");
        let to_sign = format!("AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{}", sha256(&canonical));
        let secret = format!("AWS4{}", role.secret_access_key);
        let key = [date, region, "sts", "aws4_request"].iter().fold(secret.into_bytes(), |key, part| mac(&key, part));
        if hex(&mac(&key, &to_sign)) != authorization.signature {
            return Err("SignatureDoesNotMatch: The request signature we calculated does not match".to_owned());
        }
        Ok(CallerIdentity { headers, signed })
    }
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
