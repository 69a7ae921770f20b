//! Schemes as they are declared. Everything that can be checked without a secret is checked here, where the parser
//! knows the line.

use serde::Deserialize;

use super::called_url::HubspotUrl;
use super::encoding::{SecretEncoding, SignatureEncoding};
use super::header_part::PartName;
use super::key::{Algorithm, PublicKey};
use super::names::{Header, Parameter, Prefix, Setting, User};
use super::template::{Template, TemplatePart};
use super::timestamp::{Timestamp, Tolerance, Unit};
use crate::crm::checked::checked;

/// A scheme: its name and its options. `secret` and `password` name settings.
#[derive(Deserialize, Debug, Clone)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DeclaredScheme {
    /// An HMAC in a header.
    Hmac(Hmac),
    /// Standard Webhooks: HMAC-SHA-256 (v1) and Ed25519 (v1a).
    StandardWebhooks(StandardWebhooks),
    /// HubSpot's `X-HubSpot-Signature-v3`.
    HubspotV3(HubspotV3),
    /// Close's `close-sig-hash`.
    Close(Close),
    /// An Ed25519 signature in a header.
    Ed25519(Ed25519),
    Basic(Basic),
    /// The secret as a bearer token.
    Bearer(Bearer),
    /// The secret in a header.
    Header(SecretHeader),
    /// The secret in the query string. It ends up in the logs of proxies, so it is for senders that can
    /// set nothing but the URL.
    Url(SecretParameter),
}

impl DeclaredScheme {
    /// The scheme as it is called in a declaration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hmac(_) => "hmac",
            Self::StandardWebhooks(_) => "standard_webhooks",
            Self::HubspotV3(_) => "hubspot_v3",
            Self::Close(_) => "close",
            Self::Ed25519(_) => "ed25519",
            Self::Basic(_) => "basic",
            Self::Bearer(_) => "bearer",
            Self::Header(_) => "header",
            Self::Url(_) => "url",
        }
    }
}

checked!(Hmac, Ed25519, StandardWebhooks);

#[derive(Deserialize, Debug, Clone)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Hmac {
    pub(super) header: Header,
    pub(super) secret: Setting,
    #[serde(default)]
    pub(super) algorithm: Algorithm,
    #[serde(default)]
    pub(super) encoding: SignatureEncoding,
    #[serde(default)]
    pub(super) prefix: Prefix,
    #[serde(default)]
    pub(super) secret_encoding: SecretEncoding,
    #[serde(default)]
    pub(super) signed: Template,
    pub(super) signature_part: Option<PartName>,
    pub(super) timestamp_header: Option<Header>,
    pub(super) timestamp_part: Option<PartName>,
    pub(super) timestamp_unit: Option<Unit>,
    pub(super) tolerance_seconds: Option<Tolerance>,
    pub(super) id_header: Option<Header>,
}

impl Hmac {
    pub(super) fn timestamp(&self) -> Result<Option<Timestamp>, &'static str> {
        DeclaredTime {
            signature: (&self.header, self.signature_part.as_ref()),
            signed: &self.signed,
            header: self.timestamp_header.as_ref(),
            part: self.timestamp_part.as_ref(),
            unit: self.timestamp_unit,
            tolerance: self.tolerance_seconds,
        }
        .timestamp()
    }

    fn check(&self) -> Result<(), &'static str> {
        self.timestamp()?;
        check_id(&self.signed, self.id_header.as_ref())
    }
}

#[derive(Deserialize, Debug, Clone)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Ed25519 {
    pub(super) header: Header,
    pub(super) public_key: PublicKey,
    #[serde(default = "SignatureEncoding::base64")]
    pub(super) encoding: SignatureEncoding,
    #[serde(default)]
    pub(super) prefix: Prefix,
    #[serde(default)]
    pub(super) signed: Template,
    pub(super) signature_part: Option<PartName>,
    pub(super) timestamp_header: Option<Header>,
    pub(super) timestamp_part: Option<PartName>,
    pub(super) timestamp_unit: Option<Unit>,
    pub(super) tolerance_seconds: Option<Tolerance>,
    pub(super) id_header: Option<Header>,
}

impl Ed25519 {
    pub(super) fn timestamp(&self) -> Result<Option<Timestamp>, &'static str> {
        DeclaredTime {
            signature: (&self.header, self.signature_part.as_ref()),
            signed: &self.signed,
            header: self.timestamp_header.as_ref(),
            part: self.timestamp_part.as_ref(),
            unit: self.timestamp_unit,
            tolerance: self.tolerance_seconds,
        }
        .timestamp()
    }

    fn check(&self) -> Result<(), &'static str> {
        self.timestamp()?;
        check_id(&self.signed, self.id_header.as_ref())
    }
}

/// What is declared of the time of a signature.
struct DeclaredTime<'a> {
    /// Where the signature is.
    signature: (&'a Header, Option<&'a PartName>),
    signed: &'a Template,
    header: Option<&'a Header>,
    part: Option<&'a PartName>,
    unit: Option<Unit>,
    tolerance: Option<Tolerance>,
}

impl DeclaredTime<'_> {
    /// A timestamp proves nothing unless it is signed, and can't be signed without a place where it comes from.
    fn timestamp(self) -> Result<Option<Timestamp>, &'static str> {
        let (signature_header, signature_part) = self.signature;
        // A part without a header of its own is beside the signature.
        let header = self.header.or(self.part.map(|_| signature_header));
        match (header, self.signed.has(&TemplatePart::Timestamp)) {
            (Some(header), true) => {
                let is_beside = header.as_str().eq_ignore_ascii_case(signature_header.as_str());
                if is_beside && (self.part.is_none() || signature_part.is_none() || self.part == signature_part) {
                    return Err("the time and the signature are in one header: say what stands before each, such as \
                                timestamp_part = \"t\" and signature_part = \"v1\" for t=…,v1=…");
                }
                Ok(Some(Timestamp {
                    header: header.clone(),
                    part: self.part.cloned(),
                    unit: self.unit.unwrap_or_default(),
                    tolerance: self.tolerance.unwrap_or_default(),
                }))
            }
            (Some(_), false) if self.part.is_some() => {
                Err("timestamp_part is not signed, so it proves nothing: put {timestamp} into signed as the sender \
                     does, or leave timestamp_part out")
            }
            (Some(_), false) => {
                Err("timestamp_header is not signed, so it proves nothing: put {timestamp} into signed as the \
                     sender does, or leave timestamp_header out")
            }
            (None, true) => Err("signed has {timestamp} in it: say in timestamp_header which header it comes from, \
                                 or in timestamp_part which part of the signature's header"),
            (None, false) if self.unit.is_some() || self.tolerance.is_some() => {
                Err("timestamp_unit and tolerance_seconds need timestamp_header, and {timestamp} in signed")
            }
            (None, false) => Ok(None),
        }
    }
}

fn check_id(signed: &Template, header: Option<&Header>) -> Result<(), &'static str> {
    if signed.has(&TemplatePart::Id) && header.is_none() {
        return Err("signed has {id} in it: say in id_header which header it comes from");
    }
    Ok(())
}

#[derive(Deserialize, Debug, Clone)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct StandardWebhooks {
    pub(super) secret: Option<Setting>,
    pub(super) public_key: Option<PublicKey>,
}

impl StandardWebhooks {
    fn check(&self) -> Result<(), &'static str> {
        if self.secret.is_none() && self.public_key.is_none() {
            return Err(
                "standard_webhooks needs secret (the setting that holds whsec_…), public_key (whpk_…), or both",
            );
        }
        Ok(())
    }
}

#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct HubspotV3 {
    pub(super) secret: Setting,
    pub(super) url: Option<HubspotUrl>,
}

#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct Close {
    pub(super) secret: Setting,
}

#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    pub(super) user: User,
    pub(super) password: Setting,
}

#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct Bearer {
    pub(super) secret: Setting,
}

#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct SecretHeader {
    pub(super) name: Header,
    pub(super) secret: Setting,
}

#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub struct SecretParameter {
    #[serde(default)]
    pub(super) parameter: Parameter,
    pub(super) secret: Setting,
}
