//! What a body is written as, whatever its content type says.

use super::form_post::MOST_FIELDS;
use crate::invisible::is_invisible;

/// Longer than any field's name.
const NAME_LIMIT: usize = 64;
/// What stands between a name and its value in a line.
const BETWEEN: &[char] = &[':', '=', '\t'];

/// What a text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// JSON, also behind something, such as the name of a function.
    Json,
    /// application/x-www-form-urlencoded.
    Form,
    /// multipart/form-data.
    Multipart,
    /// A line for each field, such as `email: jane@example.com`.
    Lines,
    /// Nothing with names and values.
    Other,
}

impl Shape {
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = text.trim_start_matches(|c: char| c.is_whitespace() || is_invisible(c)).trim_end();
        if text.starts_with(['{', '[', '"', '\'', '“']) || behind_something(text).is_some() {
            return Self::Json;
        }
        let first_line = text.lines().next().unwrap_or_default();
        if text.starts_with("--") && text.to_ascii_lowercase().contains("content-disposition:") {
            return Self::Multipart;
        }
        let is_form = first_line.find(BETWEEN).is_some_and(|at| first_line[at..].starts_with('='));
        match () {
            () if is_form && (text.contains('&') || !text.contains('\n')) => Self::Form,
            () if lines(text).next().is_some() => Self::Lines,
            () => Self::Other,
        }
    }
}

/// The JSON behind what isn't part of it, as in `callback({…})`.
pub(super) fn behind_something(text: &str) -> Option<&str> {
    let (before, _) = text.split_once('{')?;
    let is_plain = before.len() <= NAME_LIMIT && !before.contains(['=', ':', '&', '@']);
    is_plain.then(|| &text[before.len()..])
}

/// The names and values of a text with one on each line.
pub fn lines(text: &str) -> impl Iterator<Item = (String, String)> {
    let is_around =
        |c: char| c.is_whitespace() || is_invisible(c) || matches!(c, '"' | '\'' | '*' | '-' | '•' | '>' | ',');
    let pairs = text.lines().filter_map(move |line| {
        let (name, value) = line.split_once(BETWEEN)?;
        let (name, value) = (name.trim_matches(is_around), value.trim_matches(|c| is_around(c) && c != '-'));
        let is_name = name.chars().any(char::is_alphabetic) && name.chars().count() <= NAME_LIMIT;
        is_name.then(|| (name.to_owned(), value.to_owned()))
    });
    pairs.take(MOST_FIELDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_it_looks_like() {
        for (text, shape) in [
            (" {\"a\":1}", Shape::Json),
            ("\u{feff}[]", Shape::Json),
            ("\"{}\"", Shape::Json),
            ("{a: 'b'}", Shape::Json),
            ("callback({\"a\":1});", Shape::Json),
            (")]}',\n{\"a\":1}", Shape::Json),
            ("email=jane%40example.com", Shape::Form),
            ("email=jane@example.com&message=one\ntwo", Shape::Form),
            ("payload={\"a\":1}", Shape::Form),
            ("--x1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x1--", Shape::Multipart),
            ("email: jane@example.com", Shape::Lines),
            ("email = jane@example.com\nphone = 1", Shape::Lines),
            ("Name\tJane\nE-mail\tjane@example.com", Shape::Lines),
            ("Page: https://www.example.com/?gclid=Ab1", Shape::Lines),
            ("Jane", Shape::Other),
            ("", Shape::Other),
            ("<html>", Shape::Other),
        ] {
            assert_eq!(Shape::of(text), shape, "{text}");
        }
    }

    #[test]
    fn a_line_has_a_name_and_its_value() {
        let text =
            "Hello\n- E-Mail: jane@example.com\r\n> Phone:\t+49 30 901820,\nPage = https://www.example.com/?a=b\n: x\n";
        let read: Vec<_> = lines(text).collect();
        let expected =
            [("E-Mail", "jane@example.com"), ("Phone", "+49 30 901820"), ("Page", "https://www.example.com/?a=b")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
