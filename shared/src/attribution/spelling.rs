//! A value of an ad's click as it was passed on: with something around it, or with nothing in it. One way for
//! addresses, forms and deals. An id is never altered: what isn't surely one is none.

use super::address::Parameters;
use super::linker;
use super::networks::{Kind, Parameter};
use crate::absent::is_nothing;
use crate::encoding::unescaped;
use crate::invisible::is_invisible;

/// What scripts leave in a field for a click besides the words that stand for nothing.
const NO_IDS: &[&str] = &["true", "false", "unknown", "empty", "0"];

/// How deep an id may be hidden: in an address, escaped, in an address.
const DEEPEST: usize = 4;

impl Parameter {
    /// The value that this text holds, if it is one.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<String> {
        if self.kind == Kind::Id {
            return id(self, text, DEEPEST);
        }
        let text = text.trim_matches(is_gap);
        (!is_nothing(text) && (self.is_valid)(text)).then(|| text.to_owned())
    }
}

fn id(parameter: &Parameter, text: &str, depth: usize) -> Option<String> {
    let text = text.trim_matches(|c: char| is_gap(c) || is_quote(c) || matches!(c, '<' | '>'));
    let is_word = |text: &str| {
        is_nothing(text) || NO_IDS.iter().chain([&parameter.name]).any(|word| text.eq_ignore_ascii_case(word))
    };
    if is_word(text) {
        return None;
    }
    if let Some(named) = linker::cookie(text).filter(|_| linker::names(parameter.name)) {
        return Some(named.id);
    }
    if (parameter.is_valid)(text) {
        return Some(text.to_owned());
    }
    let inside = depth.checked_sub(1)?;
    // A whole address, or a part of one.
    let address = Parameters::of(text);
    if let Some(found) = address.values(parameter.name).find_map(|value| id(parameter, value, inside)) {
        return Some(found);
    }
    let handed_on = address.values("_gl").chain([text]).find_map(linker::handed_on);
    if let Some(named) = handed_on.filter(|named| named.parameter == parameter.name) {
        return Some(named.id);
    }
    let plain = unescaped(text.as_bytes());
    if plain != text {
        return id(parameter, &plain, inside);
    }
    let text = text.trim_start_matches('=');
    let end = text.char_indices().find(|(_, c)| !(parameter.is_valid)(c.encode_utf8(&mut [0; 4])));
    let (id, rest) = text.split_at(end.map_or(text.len(), |(at, _)| at));
    ((parameter.is_valid)(id) && !is_word(id) && is_glued(parameter, rest)).then(|| id.to_owned())
}

fn is_gap(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '“' | '”' | '„' | '‘' | '’' | '«' | '»')
}

/// Is this surely no part of the id before it? A mark that no id has ends it. Behind white space may stand the rest of
/// an id that was wrapped, so words count only if they are plainly words.
fn is_glued(parameter: &Parameter, rest: &str) -> bool {
    // What fills base64 up is no part of it.
    let rest = rest.trim_start_matches('=');
    let Some(first) = rest.chars().next() else { return true };
    let behind = &rest[first.len_utf8()..];
    if matches!(first, '.' | ':' | '!') {
        // The end of a sentence, and not three dots for what was cut off.
        return behind.trim().is_empty();
    }
    if is_gap(first) {
        let words: Vec<_> = rest.split(is_gap).filter(|word| !word.is_empty()).collect();
        let is_no_id = |word: &&str| !(parameter.is_valid)(word);
        let is_letters = |word: &&str| word.chars().all(char::is_alphabetic);
        return words.iter().any(is_no_id) || (words.len() > 1 && words.iter().all(is_letters));
    }
    is_quote(first)
        || matches!(
            first,
            '&' | '?' | '#' | ';' | ',' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '\\' | '/'
        )
        || matches!(first, '（' | '）' | '，' | '、' | '。' | '；')
}

#[cfg(test)]
mod tests;
