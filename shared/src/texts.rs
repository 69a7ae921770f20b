//! Makes texts of other systems safe to store: limited in length, and without characters that Postgres refuses.

use std::fmt::Write;

use crate::invisible::is_invisible;

/// The limit of a stored sentence, in characters. Google's longest, after our own, have some 700.
pub const SENTENCE: usize = 1_000;
/// The limit of a code, in characters. Google's longest have some 70.
pub const CODE: usize = 100;
/// The limit of another system's id, in bytes. Google's have up to 40.
const ID: usize = 256;
/// The length of a SHA-256 in hexadecimal digits.
const HASH: usize = 64;

/// The text, cut to at most `limit` characters with an ellipsis. Line breaks and tabs become blanks, and other control
/// characters, such as U+0000, the replacement character.
#[must_use]
pub fn fit(text: &str, limit: usize) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    match text.char_indices().nth(limit) {
        None => text.chars().map(shown).collect(),
        Some(_) => text.chars().take(limit.saturating_sub(1)).map(shown).chain(['…']).collect(),
    }
}

/// The text cut to at most `limit` characters, before what nobody sees is made visible: a zero-width space is
/// `<U+200B>`. Two values that look alike can then be told apart. A blank at the end is shown as well.
#[must_use]
pub fn fit_visibly(text: &str, limit: usize) -> String {
    let mut shown = String::with_capacity(text.len());
    let cut = text.char_indices().nth(limit).map_or(text, |(at, _)| &text[..at]);
    for c in cut.chars() {
        let is_odd_blank = c.is_whitespace() && c != ' ';
        if c.is_control() || is_invisible(c) || is_odd_blank {
            let _ = write!(shown, "<U+{:04X}>", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    if let Some(trimmed) = shown.strip_suffix(' ') {
        shown = format!("{trimmed}<U+0020>");
    }
    if cut.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// As [`fit`] without SHA-256 hashes: those of addresses are personal data, and a platform may quote what it was sent.
#[must_use]
pub fn fit_without_hashes(text: &str, limit: usize) -> String {
    // An answer may have megabytes, and what is cut isn't copied. Where it is cut may be within a hash.
    let cut = text.char_indices().nth(limit + HASH).map(|(at, _)| text[..at].trim_end_matches(is_hex_digit));
    let shown = without_hashes(cut.unwrap_or(text));
    match cut {
        Some(_) if shown.chars().count() <= limit => fit(&format!("{shown}…"), limit),
        _ => fit(&shown, limit),
    }
}

fn without_hashes(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (digits, after) = rest.split_at(rest.find(|c| !is_hex_digit(c)).unwrap_or(rest.len()));
        let (others, next) = after.split_at(after.find(is_hex_digit).unwrap_or(after.len()));
        shown += if digits.len() < HASH { digits } else { "[hash]" };
        shown += others;
        rest = next;
    }
    shown
}

fn is_hex_digit(c: char) -> bool {
    c.is_ascii_hexdigit()
}

/// An id of another system, or none if it is too long or has control characters: a part of an id identifies nothing.
#[must_use]
pub fn id(text: String) -> Option<String> {
    let is_id = (1..=ID).contains(&text.len()) && !text.contains(char::is_control);
    is_id.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_shown() {
        for (text, shown) in [
            ("stage = Won", "stage = Won"),
            ("Won\u{200b}", "Won<U+200B>"),
            ("Won\u{a0}- signed", "Won<U+00A0>- signed"),
            ("Won ", "Won<U+0020>"),
            ("\u{feff}Won\n", "<U+FEFF>Won<U+000A>"),
            ("W\u{202e}on\0", "W<U+202E>on<U+0000>"),
            ("Đặng Ł 李 😀", "Đặng Ł 李 😀"),
            ("1234567890ab", "1234567890a…"),
        ] {
            assert_eq!(fit_visibly(text, 11 + usize::from(text.len() != 12) * 9), shown);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_ends_in_an_ellipsis() {
        assert_eq!(fit("größer", 6), "größer");
        assert_eq!(fit("größer", 5), "größ…");
        assert_eq!(fit("😀😀😀", 2), "😀…");
        assert_eq!((fit("", 5), fit("a", 0)), (String::new(), "…".into()));
        assert_eq!(fit(&"x".repeat(5_000_000), SENTENCE).chars().count(), SENTENCE);
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(fit("a\0b\u{1b}[31m\u{7f}\u{9b}c\r\nd\te", 99), "a�b�[31m��c  d e");
    }

    #[test]
    fn hashes_are_left_out_and_nothing_else() {
        let hash = "8C87b489ce35cf2e2f39f80e282cb2e804932a56a213983eeeb428407d43b52d";
        assert_eq!(without_hashes(&format!("ü: {hash}, \"{hash}{hash}\".")), "ü: [hash], \"[hash]\".");
        for text in ["", "é", "face 12 xyz", "126365e1-16d0-4c81-9de9-f362711e250a", &hash[1..]] {
            assert_eq!(without_hashes(text), text);
        }
    }

    #[test]
    fn what_is_cut_shows_no_part_of_a_hash() {
        let hash = "8c87b489ce35cf2e2f39f80e282cb2e804932a56a213983eeeb428407d43b52d";
        for before in 0..40 {
            let text = format!("{}{hash} {}", "-".repeat(before), "x".repeat(99));
            let shown = fit_without_hashes(&text, 30);
            assert!(shown.chars().count() <= 30 && !shown.contains("8c87"), "{shown}");
        }
        let many = [hash; 9].join(" ");
        assert_eq!(fit_without_hashes(&many, 20), "[hash] …");
        assert_eq!(fit_without_hashes("short", 20), "short");
    }

    #[test]
    fn an_invalid_id_is_none() {
        let id = |text: &str| super::id(text.to_owned());
        assert_eq!(id("126365e1-16d0-4c81-9de9-f362711e250a").map(|id| id.len()), Some(36));
        assert_eq!(id(&"x".repeat(ID)).map(|id| id.len()), Some(ID));
        for none in ["", "a\0", "a\n", &"x".repeat(ID + 1)] {
            assert_eq!(id(none), None, "{none}");
        }
    }
}
