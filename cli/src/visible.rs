//! What others sent, as it is safe on a terminal: nothing moves the cursor, turns the text around or hides in it.

use std::borrow::Cow;
use std::fmt::Write;

use shared::invisible::is_invisible;

/// The most characters of a value that an error repeats.
const LONGEST: usize = 100;

/// Must it be escaped? Line breaks stay. A blank that isn't the usual one looks like it, but no rule takes it for it.
pub(crate) fn is_hidden(c: char) -> bool {
    !matches!(c, '\n' | ' ') && (c.is_control() || c.is_whitespace() || is_invisible(c))
}

/// A text, with what is hidden in it as `\u{202E}`.
pub(crate) fn text(text: &str) -> String {
    escaped(text, |c, escaped| {
        let _ = write!(escaped, "\\u{{{:X}}}", u32::from(c));
    })
}

/// JSON, with what is hidden in its strings as `\u202e`: still the same document.
pub(crate) fn json(json: &str) -> String {
    escaped(json, |c, escaped| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    })
}

/// A value in an error: its beginning, if it is long.
pub(crate) fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        if is_hidden(c) {
            escape(c, &mut escaped);
        } else {
            escaped.push(c);
        }
        escaped
    })
}
