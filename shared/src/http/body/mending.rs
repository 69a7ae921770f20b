//! Texts that are nearly JSON.

use std::borrow::Cow;

/// What .NET and PowerShell write before a text in UTF-8. RFC 8259 lets a reader ignore it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[must_use]
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// JSON whose texts have their line breaks and tabs escaped: templates put a note into the body as somebody typed it.
/// None if there are no such breaks.
#[must_use]
pub fn with_escaped_breaks(json: &[u8]) -> Option<Vec<u8>> {
    with_escaped(json, |byte| matches!(byte, b'\n' | b'\r' | b'\t'))
}

/// The same of every control character.
pub(super) fn with_escaped_controls(json: &[u8]) -> Option<Vec<u8>> {
    with_escaped(json, |byte| byte < b' ')
}

fn with_escaped(json: &[u8], is_escaped_here: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
    let mut mended = Vec::with_capacity(json.len() + 16);
    let (mut is_in_text, mut is_escaped) = (false, false);
    for byte in json {
        if is_in_text && !is_escaped && is_escaped_here(*byte) {
            mended.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        } else {
            mended.push(*byte);
        }
        if *byte == b'"' && !is_escaped {
            is_in_text = !is_in_text;
        }
        is_escaped = is_in_text && *byte == b'\\' && !is_escaped;
    }
    (mended.len() > json.len()).then_some(mended)
}

/// Postgres can't store U+0000. It becomes U+FFFD.
pub(super) fn without_nul(json: &[u8]) -> Cow<'_, [u8]> {
    let mut mended = Cow::Borrowed(json);
    let mut at = 0;
    while let Some(next) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        if json[at..].starts_with(br"\u0000") {
            mended.to_mut()[at..at + 6].copy_from_slice(br"\ufffd");
        }
        at = json.len().min(at + 2);
    }
    mended
}

/// A script that cuts a text may leave half of an emoji at its end, an escaped surrogate without its other half, which
/// is no Unicode. It becomes U+FFFD.
pub(super) fn with_whole_characters(json: &[u8]) -> Cow<'_, [u8]> {
    let escaped = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(br"\u")?;
        u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut mended = Cow::Borrowed(json);
    let mut at = 0;
    while let Some(next) = json[at..].iter().position(|byte| *byte == b'\\') {
        at += next;
        at += match (escaped(at), escaped(at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                mended.to_mut()[at..at + 6].copy_from_slice(br"\ufffd");
                6
            }
            // An escaped backslash is no beginning.
            _ => 2.min(json.len() - at),
        };
    }
    mended
}
