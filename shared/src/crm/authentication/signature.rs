//! Signatures over parts of a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};

use super::called_url::CalledUrl;
use super::declared::{Close, Ed25519, Hmac, HubspotV3, StandardWebhooks};
use super::encoding::{SecretEncoding, SignatureEncoding};
use super::header_part::PartName;
use super::key::{Algorithm, Key};
use super::names::{Header, Lookup, Prefix};
use super::template::{Parts, Template, TemplatePart};
use super::timestamp::{Timestamp, Tolerance, Unit};
use super::{Refusal, Sample, Signed, Verified};
use crate::http::Request;

/// Senders list several while they rotate a secret. The limit bounds the work.
const LISTED: usize = 16;

/// A signature in a header.
#[derive(Debug)]
pub(super) struct Signature {
    header: Header,
    /// The part of the header that holds it; several of this name may.
    part: Option<PartName>,
    /// How many signatures a header without parts may hold, separated by spaces.
    listed: usize,
    encoding: SignatureEncoding,
    /// The current secret's first.
    keys: Vec<Key>,
    signed: Template,
    url: CalledUrl,
    timestamp: Option<Timestamp>,
    id_header: Option<Header>,
}

impl Signature {
    pub(super) fn hmac(declared: &Hmac, secret: Lookup<'_>) -> Result<Self, String> {
        let live = declared.secret.live(secret, |text| declared.secret_encoding.decode(text))?;
        let keys = live.into_iter().map(|live| Key::hmac(live, declared.algorithm, &declared.prefix.0)).collect();
        Ok(Self {
            header: declared.header.clone(),
            part: declared.signature_part.clone(),
            listed: 1,
            encoding: declared.encoding,
            keys,
            signed: declared.signed.clone(),
            url: CalledUrl::AsCalled,
            timestamp: declared.timestamp()?,
            id_header: declared.id_header.clone(),
        })
    }

    /// Source: HubSpot's "Validating requests".
    pub(super) fn hubspot_v3(declared: &HubspotV3, secret: Lookup<'_>) -> Result<Self, String> {
        let as_hmac = Hmac {
            header: Header::of_vendor("X-HubSpot-Signature-v3"),
            secret: declared.secret.clone(),
            algorithm: Algorithm::Sha256,
            encoding: SignatureEncoding::Base64,
            prefix: Prefix::default(),
            secret_encoding: SecretEncoding::Raw,
            signed: Template::of([
                TemplatePart::Method,
                TemplatePart::Url,
                TemplatePart::Body,
                TemplatePart::Timestamp,
            ]),
            signature_part: None,
            timestamp_part: None,
            timestamp_header: Some(Header::of_vendor("X-HubSpot-Request-Timestamp")),
            timestamp_unit: Some(Unit::Milliseconds),
            tolerance_seconds: None,
            id_header: None,
        };
        let url = CalledUrl::Hubspot(declared.url.clone());
        Ok(Self { url, ..Self::hmac(&as_hmac, secret)? })
    }

    /// Public receivers agree on this: the key is hexadecimal, and nothing stands between timestamp and body. No
    /// published example was found to test against.
    pub(super) fn close(declared: &Close, secret: Lookup<'_>) -> Result<Self, String> {
        let as_hmac = Hmac {
            header: Header::of_vendor("close-sig-hash"),
            secret: declared.secret.clone(),
            algorithm: Algorithm::Sha256,
            encoding: SignatureEncoding::Hex,
            prefix: Prefix::default(),
            secret_encoding: SecretEncoding::Hex,
            signed: Template::of([TemplatePart::Timestamp, TemplatePart::Body]),
            signature_part: None,
            timestamp_part: None,
            timestamp_header: Some(Header::of_vendor("close-sig-timestamp")),
            timestamp_unit: Some(Unit::Seconds),
            tolerance_seconds: None,
            id_header: None,
        };
        Self::hmac(&as_hmac, secret)
    }

    pub(super) fn ed25519(declared: &Ed25519) -> Result<Self, String> {
        Ok(Self {
            header: declared.header.clone(),
            part: declared.signature_part.clone(),
            listed: 1,
            encoding: declared.encoding,
            keys: vec![Key::ed25519(&declared.public_key, &declared.prefix.0)],
            signed: declared.signed.clone(),
            url: CalledUrl::AsCalled,
            timestamp: declared.timestamp()?,
            id_header: declared.id_header.clone(),
        })
    }

    /// Source: the Standard Webhooks specification. Signatures of other versions are skipped, as it requires.
    pub(super) fn standard_webhooks(declared: &StandardWebhooks, secret: Lookup<'_>) -> Result<Self, String> {
        let read = |text: &str| {
            let bytes = text.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
            bytes.filter(|bytes| (24..=64).contains(&bytes.len())).ok_or_else(|| {
                "must be whsec_ and base64 of 24 to 64 bytes: paste the secret as the sender shows it".to_owned()
            })
        };
        let live = declared.secret.as_ref().map(|setting| setting.live(secret, read)).transpose()?.unwrap_or_default();
        let mut keys: Vec<_> = live.into_iter().map(|live| Key::hmac(live, Algorithm::Sha256, "v1,")).collect();
        keys.extend(declared.public_key.as_ref().map(|key| Key::ed25519(key, "v1a,")));
        let dot = || TemplatePart::Text(".".to_owned());
        Ok(Self {
            header: Header::of_vendor("webhook-signature"),
            part: None,
            listed: LISTED,
            encoding: SignatureEncoding::Base64,
            keys,
            signed: Template::of([TemplatePart::Id, dot(), TemplatePart::Timestamp, dot(), TemplatePart::Body]),
            url: CalledUrl::AsCalled,
            timestamp: Some(Timestamp {
                header: Header::of_vendor("webhook-timestamp"),
                part: None,
                unit: Unit::Seconds,
                tolerance: Tolerance::default(),
            }),
            id_header: Some(Header::of_vendor("webhook-id")),
        })
    }

    /// None when the header is absent.
    pub(super) fn check(
        &self,
        scheme: &'static str,
        request: &Request,
        now: DateTime<Utc>,
    ) -> Result<Option<Verified>, Refusal> {
        let Some(given) = self.header.value(request)? else { return Ok(None) };
        let listed: Vec<_> = match &self.part {
            Some(part) => part.values(given).take(LISTED + 1).collect(),
            None => given.splitn(self.listed, ' ').collect(),
        };
        if listed.len() > LISTED {
            return Err(Refusal::Malformed);
        }
        let timestamp = self.timestamp.as_ref().map(|timestamp| timestamp.read(request)).transpose()?;
        let id = self.id_header.as_ref().map(|header| header.value(request)).transpose()?.flatten();
        if self.signed.has(&TemplatePart::Id) && id.is_none_or(str::is_empty) {
            return Err(Refusal::Malformed);
        }
        let url = if self.signed.has(&TemplatePart::Url) { self.url.of_request(request) } else { String::new() };
        let message = self.signed.fill(&Parts {
            method: request.method().as_str(),
            url: &url,
            body: request.body(),
            timestamp: timestamp.map_or("", |(text, _)| text),
            id: id.unwrap_or_default(),
        });
        let key = self.key_of(&listed, &message)?;
        // Checked after the signature: only a sender who knows the secret is told about its clock or a replay.
        if let (Some(timestamp), Some((_, at))) = (&self.timestamp, timestamp) {
            timestamp.check(at, now)?;
        }
        let event_id = id.filter(|id| !id.is_empty()).map(str::to_owned);
        Ok(Some(Verified { scheme: scheme.into(), secret: key.name.clone(), event_id }))
    }

    /// The key that made one of these signatures. Every key is tried, even after a match.
    fn key_of(&self, listed: &[&str], message: &[u8]) -> Result<&Key, Refusal> {
        let mut found = Err(Refusal::Malformed);
        for key in &self.keys {
            let signatures: Vec<_> = listed.iter().filter_map(|text| key.read(text, self.encoding)).collect();
            if signatures.is_empty() {
                continue;
            }
            found = match (key.has_made_one_of(&signatures, message), found) {
                (_, Ok(earlier)) => Ok(earlier),
                (true, Err(_)) => Ok(key),
                (false, Err(_)) => Err(Refusal::Wrong),
            };
        }
        found
    }

    pub(super) fn sign(&self, sample: &Sample<'_>) -> Option<Signed> {
        let timestamp = self.timestamp.as_ref().map(|timestamp| (timestamp, timestamp.unit.of(sample.at).to_string()));
        let message = self.signed.fill(&Parts {
            method: sample.method,
            url: &self.url.signed(sample.url),
            body: sample.body,
            timestamp: timestamp.as_ref().map_or("", |(_, text)| text),
            id: sample.id,
        });
        let signature = self.keys.first()?.sign(&message, self.encoding)?;
        let mut headers = self.headers(signature, timestamp);
        headers.extend(self.id_header.as_ref().map(|header| (header.as_str().to_owned(), sample.id.to_owned())));
        Some(Signed { headers, url: sample.url.to_owned() })
    }

    /// The headers of a signature and its timestamp; one if both are parts of it.
    fn headers(&self, signature: String, timestamp: Option<(&Timestamp, String)>) -> Vec<(String, String)> {
        let part = |name: &Option<PartName>, value: String| match name {
            Some(name) => format!("{}={value}", name.as_str()),
            None => value,
        };
        let mut headers = vec![(self.header.as_str().to_owned(), part(&self.part, signature))];
        if let Some((timestamp, text)) = timestamp {
            let (name, text) = (timestamp.header.as_str(), part(&timestamp.part, text));
            match &mut headers[0] {
                (of_signature, value) if of_signature.eq_ignore_ascii_case(name) => *value = format!("{text},{value}"),
                _ => headers.push((name.to_owned(), text)),
            }
        }
        headers
    }

    pub(super) fn secrets(&self) -> Vec<&str> {
        self.keys.iter().filter(|key| key.is_secret()).map(|key| key.name.as_str()).collect()
    }

    pub(super) fn expects(&self) -> String {
        let over = self.signed.to_string();
        let over = if over == "{body}" { "the body" } else { &over };
        let key = |key: &Key| format!("{}<{} {} of {over}>", key.prefix, self.encoding.as_str(), key.algorithm());
        let mut kinds: Vec<_> = self.keys.iter().map(key).collect();
        // Two live secrets have the same description.
        kinds.dedup();
        let timestamp = |it: &'_ Timestamp| format!("<Unix time in {}>", it.unit.as_str());
        let timestamp = self.timestamp.as_ref().map(|it| (it, timestamp(it)));
        let headers = self.headers(kinds.join(" or "), timestamp).into_iter();
        let mut parts: Vec<_> = headers.map(|(name, value)| format!("{name}: {value}")).collect();
        parts.extend(self.id_header.as_ref().map(|header| format!("{}: <the event's id>", header.as_str())));
        parts.join(", ")
    }
}
