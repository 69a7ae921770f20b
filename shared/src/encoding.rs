//! Bytes that are to be a text: UTF-8, and what isn't, as systems that don't write UTF-8 mean it.

use std::borrow::Cow;

/// Windows-1252 from 0x80 to 0x9F, as browsers read it. The rest of it is as in Unicode.
const OF_WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text. Bytes that are no UTF-8 are read as Windows-1252, of which Latin-1 is a part.
#[must_use]
pub fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(bytes) {
        return text.into();
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| match byte {
            0x80..=0x9F => OF_WINDOWS[usize::from(byte - 0x80)],
            byte => char::from(*byte),
        }));
    }
    text.into()
}

/// A body as a text: UTF-16 as its mark or its zeros show it, else as [`decoded`], without a mark before it.
#[must_use]
pub fn text_of(body: &[u8]) -> Cow<'_, str> {
    let utf_16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<_> = bytes.as_chunks().0.iter().map(|pair| unit(*pair)).collect();
        Cow::from(String::from_utf16_lossy(&units))
    };
    match body {
        [0xFF, 0xFE, text @ ..] => utf_16(text, u16::from_le_bytes),
        [0xFE, 0xFF, text @ ..] => utf_16(text, u16::from_be_bytes),
        [1..=255, 0, 1..=255, 0, ..] => utf_16(body, u16::from_le_bytes),
        [0, 1..=255, 0, 1..=255, ..] => utf_16(body, u16::from_be_bytes),
        _ => decoded(body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body)),
    }
}

/// Without one layer of percent-encoding.
#[must_use]
pub fn unescaped(bytes: &[u8]) -> String {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|it| *first == b'%' && it.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|it| u8::from_str_radix(str::from_utf8(it).ok()?, 16).ok());
        plain.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    decoded(&plain).into_owned()
}

/// The names and values of application/x-www-form-urlencoded.
pub fn pairs(form: &[u8]) -> impl Iterator<Item = (String, String)> {
    let plain = |part: &[u8]| {
        let spaced: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        unescaped(&spaced)
    };
    form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=').map(plain);
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_utf_8_is_windows_1252() {
        for (bytes, text) in [
            (&b"plain"[..], "plain"),
            ("Jürgen \u{1F600}".as_bytes(), "Jürgen \u{1F600}"),
            (b"J\xfcrgen", "Jürgen"),
            (b"M\xfcnchen \x96 \x84Nord\x93 100 \x80", "München – „Nord“ 100 €"),
            (b"Z\xfcrich und Z\xc3\xbcrich", "Zürich und Zürich"),
            (b"caf\xe9", "café"),
            (b"\xff\xfe\x81", "ÿþ\u{81}"),
        ] {
            assert_eq!(decoded(bytes), text);
        }
    }

    #[test]
    fn a_body_may_be_in_utf_16() {
        let text = "{\"name\":\"Jürgen \u{1F600}\"}";
        let units = |mark: &[u8], unit: fn(u16) -> [u8; 2]| {
            [mark, &text.encode_utf16().flat_map(unit).collect::<Vec<_>>()].concat()
        };
        for body in [
            units(b"\xFF\xFE", u16::to_le_bytes),
            units(b"\xFE\xFF", u16::to_be_bytes),
            units(b"", u16::to_le_bytes),
            units(b"", u16::to_be_bytes),
            [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
        ] {
            assert_eq!(text_of(&body), text);
        }
        assert_eq!(text_of(b"a\0"), "a\0");
    }

    #[test]
    fn pairs_are_read_as_a_browser_writes_them_in_either_encoding() {
        for (form, expected) in [
            (&b"a=1&b=J%C3%BCrgen+Doe&&c"[..], vec![("a", "1"), ("b", "Jürgen Doe"), ("c", "")]),
            (b"stra%DFe=Caf%E9", vec![("straße", "Café")]),
            (b"a=%FC%u1&b=100%&c=%4&=x", vec![("a", "ü%u1"), ("b", "100%"), ("c", "%4"), ("", "x")]),
            (b"a=\xfc=b%3D", vec![("a", "ü=b=")]),
            (b"", vec![]),
        ] {
            let read: Vec<_> = pairs(form).collect();
            let read: Vec<_> = read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(read, expected);
        }
        let usual = b"email=jane%2Bads%40example.com&x=%E2%82%AC+1&y=a%26b";
        assert!(pairs(usual).eq(url::form_urlencoded::parse(usual).into_owned()));
    }
}
