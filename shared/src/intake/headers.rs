//! The headers of a webhook, as they are kept with its body.

use lambda_http::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Headers that help to explain a webhook and can't be secret or personal.
const SAFE: [&str; 8] = [
    "content-type",
    "content-length",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "x-hubspot-request-timestamp",
    "close-sig-timestamp",
    "x-amzn-trace-id",
];

/// The names of a webhook's headers, and the values of those that are known to be harmless; null for any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Map<String, Value>")]
pub struct KeptHeaders(Value);

impl KeptHeaders {
    pub(super) fn as_json(&self) -> &Value {
        &self.0
    }
}

impl Default for KeptHeaders {
    fn default() -> Self {
        Map::new().into()
    }
}

impl From<Map<String, Value>> for KeptHeaders {
    fn from(headers: Map<String, Value>) -> Self {
        Self(Value::Object(headers))
    }
}

impl From<&HeaderMap> for KeptHeaders {
    fn from(headers: &HeaderMap) -> Self {
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(Value::from);
        let kept = headers.keys().take(50).map(|name| {
            let is_safe = SAFE.contains(&name.as_str());
            (name.to_string(), value(name.as_str()).filter(|_| is_safe).unwrap_or(Value::Null))
        });
        kept.collect::<Map<_, _>>().into()
    }
}
