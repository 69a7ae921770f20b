//! Bodies that are nearly right.

/// What .NET and PowerShell write before a text in UTF-8. RFC 8259 lets a reader ignore it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

pub(super) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// JSON whose texts have their line breaks and tabs escaped: templates put a note into the body as somebody typed it.
/// None if there are no such breaks.
pub(super) fn with_escaped_breaks(json: &[u8]) -> Option<Vec<u8>> {
    let mut mended = Vec::with_capacity(json.len() + 16);
    let (mut is_in_text, mut is_escaped) = (false, false);
    for byte in json {
        let escaped: Option<&[u8]> = match byte {
            b'\n' => Some(br"\n"),
            b'\r' => Some(br"\r"),
            b'\t' => Some(br"\t"),
            _ => None,
        };
        match escaped {
            Some(escaped) if is_in_text && !is_escaped => mended.extend_from_slice(escaped),
            _ => mended.push(*byte),
        }
        if *byte == b'"' && !is_escaped {
            is_in_text = !is_in_text;
        }
        is_escaped = is_in_text && *byte == b'\\' && !is_escaped;
    }
    (mended.len() > json.len()).then_some(mended)
}
