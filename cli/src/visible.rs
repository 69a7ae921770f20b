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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_nobody_sees_is_written_out() {
        for (kind, hidden, shown, in_json) in [
            ("escape", "\u{1b}[31m", r"\u{1B}[31m", r"\u001b[31m"),
            ("control of the eighties", "\u{9b}31m", r"\u{9B}31m", r"\u009b31m"),
            ("tab", "a\tb", r"a\u{9}b", r"a\u0009b"),
            ("zero width space", "D\u{200b}7", r"D\u{200B}7", r"D\u200b7"),
            ("right-to-left override", "\u{202e}7-D", r"\u{202E}7-D", r"\u202e7-D"),
            ("byte order mark", "\u{feff}D-7", r"\u{FEFF}D-7", r"\ufeffD-7"),
            ("soft hyphen", "D\u{ad}7", r"D\u{AD}7", r"D\u00ad7"),
            ("blank that doesn't break", "won\u{a0}", r"won\u{A0}", r"won\u00a0"),
            ("line separator", "a\u{2028}b", r"a\u{2028}b", r"a\u2028b"),
            ("tag beyond sixteen bits", "D\u{e0041}", r"D\u{E0041}", r"D\udb40\udc41"),
        ] {
            assert_eq!(text(hidden), shown, "{kind}");
            let document = json(&format!("\"{hidden}\""));
            assert_eq!(document, format!("\"{in_json}\""), "{kind}");
            assert_eq!(serde_json::from_str::<Value>(&document).unwrap(), Value::from(hidden), "{kind}");
        }
    }

    #[test]
    fn what_people_write_stays() {
        for written in ["Jürgen Đặng", "李 한글", "e\u{301}", "two\nlines", "😀 …–’ <@."] {
            assert_eq!((text(written), json(written)), (written.to_owned(), written.to_owned()));
        }
    }
}
