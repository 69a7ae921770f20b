//! The spool: a queue of SQS where verified webhooks and valid forms wait while Postgres can't be reached. A message
//! has what is needed to run the same code later with the time of receipt; `functions/drain-spool` does so.

mod sending;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use lambda_http::http::{HeaderName, HeaderValue, header};
use lambda_http::{Body, http};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::attribution::Site;
use crate::crm::Source;
use crate::crm::authentication::Verified;
use crate::forms::Form;
use crate::http::body::filled_in;
use crate::http::{Request, cookies};
use crate::identity::Hash;
use crate::intake::{KeptHeaders, Webhook};
use crate::texts::{SENTENCE, fit};

pub use sending::{DEAD_LETTERS, Kept, LONGEST, MESSAGE_LIMIT, QUEUE, Spool, queue_url};

/// Of what this code writes and reads.
const VERSION: u64 = 1;

/// The attribute of a message that says why it is dead.
pub const REASON: &str = "reason";

/// A request that waits to be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// When it was received, and answered.
    pub received_at: DateTime<Utc>,
    /// What was received.
    #[serde(flatten)]
    pub content: Content,
}

/// What was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// A valid form.
    Lead(SpooledForm),
    /// A webhook whose sender is authenticated.
    Webhook(SpooledWebhook),
}

/// A valid form: of its request what a lead is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpooledForm {
    /// With the `transaction_id` that was answered.
    body: Bytes,
    /// The cookies that Adtrail reads.
    cookies: String,
    /// Did the browser send Global Privacy Control?
    gpc: bool,
    /// The site that the form is on.
    site: Option<String>,
    /// The hash of the caller's address.
    pub address: Option<Hash>,
    /// The source of leads that it came through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_source: Option<String>,
}

/// A webhook whose sender is authenticated, without what authenticated it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpooledWebhook {
    /// The name of the source it was sent to.
    pub source: String,
    verified: Verified,
    headers: KeptHeaders,
    body: Bytes,
}

/// A body. Base64 in JSON: whatever its bytes are, SQS takes it, and it becomes a third larger at most.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(|_| D::Error::custom("not base64"))
    }
}

impl Message {
    /// A form as `request` brought it.
    #[must_use]
    pub fn of_form(request: &Request, form: &Form, address: Option<Hash>) -> Self {
        // It was read before, so it can be.
        let mut body = filled_in(request.body()).map(|(fields, _)| fields).unwrap_or_default();
        body.insert("transaction_id".into(), form.lead.transaction_id.clone().into());
        let content = Content::Lead(SpooledForm {
            body: Bytes(Value::Object(body).to_string().into_bytes()),
            cookies: cookies::read(request),
            gpc: form.lead.gpc,
            site: form.lead.site.as_ref().map(|site| Site::as_str(site).to_owned()),
            address,
            lead_source: form.lead.source.clone(),
        });
        Self { received_at: form.lead.at, content }
    }

    /// A webhook.
    #[must_use]
    pub fn of_webhook(webhook: &Webhook<'_>) -> Self {
        let content = Content::Webhook(SpooledWebhook {
            source: webhook.source.name.clone(),
            verified: webhook.verified.clone(),
            headers: webhook.headers.clone(),
            body: Bytes(webhook.body.to_vec()),
        });
        Self { received_at: webhook.received_at, content }
    }

    /// As it is sent.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_value(self).unwrap_or_default();
        text["version"] = VERSION.into();
        text.to_string()
    }

    /// As it was sent.
    ///
    /// # Errors
    /// Why it can't be read, and the fix. Nothing of its text is in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|_| "It isn't a message of Adtrail: it isn't JSON.")?;
        match value["version"].as_u64() {
            Some(VERSION) => {}
            Some(other) => {
                return Err(format!(
                    "It has version {other}, and this Adtrail reads version {VERSION}: deploy the Adtrail that wrote \
                     it, then run adtrail spool retry."
                ));
            }
            None => return Err("It isn't a message of Adtrail: it has no version.".into()),
        }
        serde_json::from_value(value).map_err(|_| {
            format!("It has version {VERSION}, and a part is missing or malformed: it wasn't written by Adtrail.")
        })
    }

    /// `lead` or `webhook`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.content {
            Content::Lead(_) => "lead",
            Content::Webhook(_) => "webhook",
        }
    }

    /// The source of a webhook.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        match &self.content {
            Content::Lead(_) => None,
            Content::Webhook(webhook) => Some(&webhook.source),
        }
    }

    /// The body as it was received; of a form with the `transaction_id` that was answered.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        match &self.content {
            Content::Lead(form) => &form.body.0,
            Content::Webhook(webhook) => &webhook.body.0,
        }
    }
}

impl SpooledForm {
    /// The request again, as far as a lead is made of it.
    #[must_use]
    pub fn request(&self) -> Request {
        let mut request = http::Request::new(Body::Binary(self.body.0.clone()));
        let origin = self.site.as_ref().map(|site| format!("https://{site}"));
        let gpc = HeaderName::from_static("sec-gpc");
        let headers = [
            (header::COOKIE, Some(self.cookies.clone())),
            (header::ORIGIN, origin),
            (gpc, self.gpc.then(|| "1".into())),
        ];
        for (name, value) in headers {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                request.headers_mut().insert(name, value);
            }
        }
        request
    }
}

impl SpooledWebhook {
    /// The webhook again. `source` is the declaration of its source as it is now.
    #[must_use]
    pub fn webhook<'a>(&'a self, source: &'a Source, received_at: DateTime<Utc>) -> Webhook<'a> {
        Webhook { source, verified: self.verified.clone(), body: &self.body.0, headers: &self.headers, received_at }
    }
}

/// Why a message is dead, as it may stand beside it and in the log.
#[must_use]
pub fn reason(sentence: &str) -> String {
    fit(sentence, SENTENCE)
}

#[cfg(test)]
mod tests;
