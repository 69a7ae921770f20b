//! The check of a webhook's signature.

use lambda_http::http::HeaderMap;
use serde_json::{Value, json};
use shared::crm::Source;
use shared::crm::authentication::{self, Refusal, Scheme, Verified};

use crate::Failure;
use crate::crm::delivery::{Delivery, request};
use crate::crm::sign::cannot_sign;

/// The result of the check. `signed_here`: the headers were not given but made with the current secret.
pub(super) enum Verification {
    Verified {
        scheme: String,
        secret: String,
        signed_here: bool,
    },
    Failed {
        reason: String,
        signed_here: bool,
    },
    /// There is nothing to check.
    NotChecked {
        reason: String,
    },
}

impl Verification {
    pub(super) fn document(&self) -> Value {
        match self {
            Self::Verified { scheme, secret, signed_here } => {
                json!({ "verified": true, "signed_here": signed_here, "scheme": scheme, "setting": secret })
            }
            Self::Failed { reason, signed_here } => {
                json!({ "verified": false, "signed_here": signed_here, "reason": reason })
            }
            Self::NotChecked { reason } => json!({ "verified": null, "signed_here": false, "reason": reason }),
        }
    }

    pub(super) fn text(&self) -> String {
        let origin = |signed_here: &bool| if *signed_here { "signed here; " } else { "" };
        match self {
            Self::Verified { scheme, secret, signed_here } => {
                format!("{}verified by {scheme} with {secret}", origin(signed_here))
            }
            Self::Failed { reason, signed_here } => format!("{}FAILED: {reason}", origin(signed_here)),
            Self::NotChecked { reason } => format!("not checked: {reason}"),
        }
    }
}

/// Checks the given headers, or without any those that the CRM would send with the current secret.
pub(super) fn verify(
    source: &Source,
    delivery: &Delivery,
    given: &[(String, String)],
    body: &[u8],
) -> Result<(Verification, Verified, HeaderMap), Failure> {
    let unverified = || Verified { scheme: "none".into(), secret: "none".into(), event_id: None };
    let signed_here = given.is_empty();
    let signed = if signed_here { delivery.signed(source, body) } else { None };
    if source.schemes.is_empty() || (signed_here && signed.is_none()) {
        let reason = cannot_sign(source).to_string();
        return Ok((Verification::NotChecked { reason }, unverified(), HeaderMap::new()));
    }
    let request = match &signed {
        Some(signed) => request(&signed.url, &signed.headers, body)?,
        None => request(&delivery.url, given, body)?,
    };
    Ok(match authentication::verify(&source.schemes, &request, delivery.at) {
        Ok(verified) => {
            let (scheme, secret) = (verified.scheme.to_string(), verified.secret.clone());
            // An id made up here identifies no event.
            let verified = if signed_here { Verified { event_id: None, ..verified } } else { verified };
            (Verification::Verified { scheme, secret, signed_here }, verified, request.headers().clone())
        }
        Err(refusal) => {
            let expected: Vec<_> = source.schemes.iter().map(Scheme::expects).collect();
            let mut reason = format!("{refusal} Expected: {}.", expected.join("; or "));
            if refusal == Refusal::Expired && !signed_here {
                reason += " For an old delivery, give its time with --at.";
            }
            (Verification::Failed { reason, signed_here }, unverified(), request.headers().clone())
        }
    })
}
