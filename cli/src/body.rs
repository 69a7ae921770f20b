//! The body of a webhook or form, as it is printed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Indented, and JSON line by line.
pub(crate) fn lines(body: Option<&[u8]>) -> String {
    let text = match body {
        None => "(the body is no longer kept)".into(),
        Some(bytes) => match (serde_json::from_slice::<Value>(bytes), std::str::from_utf8(bytes)) {
            (Ok(json), _) => format!("{json:#}"),
            (_, Ok(text)) => text.to_owned(),
            (_, Err(_)) => format!("(not text; base64) {}", STANDARD.encode(bytes)),
        },
    };
    let lines: Vec<_> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n") + "\n"
}
