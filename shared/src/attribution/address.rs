//! The parameters of an address, however it was written: a router in the browser, a redirect or an e-mail program may
//! have moved, repeated or escaped them.

use crate::encoding::{pairs, unescaped};

/// How often a text may have been escaped besides the once that is right.
const ESCAPED_AGAIN: usize = 3;
/// More parameters than anybody's address has.
const MOST: usize = 4_096;

/// The parameters of an address, the surest ones first: of its query, of its fragment, of either where the signs
/// between them or the brackets around their names are odd, and of the address when it was escaped too often. Their
/// names are in small letters.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    all: Vec<(String, String)>,
    /// How many of them the address has itself. The others may be those of an address in a value.
    own: usize,
}

impl Parameters {
    pub(super) fn of(address: &str) -> Self {
        let mut found = Self::default();
        let address = without_script_escapes(address);
        let (main, fragment) = address.split_once('#').unwrap_or((&address, ""));
        let query = if is_bare(main) { main } else { main.split_once('?').map_or("", |(_, query)| query) };
        for part in [query, fragment.split_once('?').map_or(fragment, |(_, routed)| routed)] {
            found.add(pairs(part.as_bytes()));
        }
        found.add(loose(parameters_in(main), SIGNS).chain(loose(fragment, SIGNS)));
        found.add_inner();
        found.own = found.all.len();
        let mut text = address.clone();
        for _ in 0..ESCAPED_AGAIN {
            let plain = without_script_escapes(&unescaped(text.as_bytes()));
            if plain == text {
                break;
            }
            text = plain;
            found.add(loose(parameters_in(&text), SIGNS));
            if !query.contains('=') && !fragment.contains('=') {
                // Nothing but the escaped ones: they are the address's own.
                found.own = found.all.len();
            }
        }
        found.add(loose(&text, RARE_SIGNS));
        found.add_inner();
        found
    }

    /// What a form or a framework names `params[click]` or `click[]`, besides under the name itself.
    fn add_inner(&mut self) {
        let inner = |(name, value): &(String, String)| Some((inner_name(name)?.to_owned(), value.clone()));
        let inner: Vec<_> = self.all.iter().filter_map(inner).collect();
        self.add(inner.into_iter());
    }

    fn add(&mut self, pairs: impl Iterator<Item = (String, String)>) {
        let room = MOST.saturating_sub(self.all.len());
        self.all.extend(pairs.take(room).map(|(name, value)| (name.trim().to_ascii_lowercase(), value)));
    }

    /// The values of this name, also those of an address in another value.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        named(&self.all, name)
    }

    /// The values of this name that are surely this page's.
    pub(super) fn own_values(&self, name: &str) -> impl Iterator<Item = &str> {
        named(&self.all[..self.own], name)
    }

    pub(super) fn own(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all[..self.own].iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn named<'a>(pairs: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Does the text begin with a parameter, without a sign before it?
fn is_bare(text: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']' | '%');
    text.split_once('=').is_some_and(|(name, _)| !name.is_empty() && name.chars().all(is_of_name))
}

/// What stands behind the first sign that begins parameters: a template may begin them with any, or with none.
fn parameters_in(text: &str) -> &str {
    if is_bare(text) { text } else { text.split_once(['?', '&', '#']).map_or("", |(_, parameters)| parameters) }
}

/// `click` of `params[click]`, `click[]` and `click[0]`.
fn inner_name(name: &str) -> Option<&str> {
    let (outer, rest) = name.split_once('[')?;
    let last = rest.strip_suffix(']')?.rsplit("][").find(|part| !part.bytes().all(|c| c.is_ascii_digit()));
    Some(last.unwrap_or(outer))
}

/// The signs between parameters that are in use.
const SIGNS: &[char] = &['&', '?', ';', '#'];
/// And those that only a few use, which may be of a value.
const RARE_SIGNS: &[char] = &['&', '?', ';', '#', ',', '|'];

/// Parameters with any of these signs between them: of `&amp;x=…` the name is `x`.
fn loose(text: &str, signs: &'static [char]) -> impl Iterator<Item = (String, String)> {
    text.split(signs).filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((unescaped(name.replace('+', " ").as_bytes()), unescaped(value.replace('+', " ").as_bytes())))
    })
}

/// The signs of an address as scripts and JSON may escape them, such as `\u0026` for `&`.
fn without_script_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        plain.push_str(before);
        let digits = ["\\u00", "\\x"].iter().find_map(|prefix| {
            let found = escape.strip_prefix(prefix).or_else(|| escape.strip_prefix(&*prefix.to_uppercase()))?;
            found.get(..2)
        });
        let sign = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).map(char::from);
        let sign = sign.filter(|sign| matches!(sign, '&' | '=' | '?' | '#' | '/' | '%' | ';'));
        plain.push(sign.unwrap_or('\\'));
        rest = match sign {
            Some(_) if escape.as_bytes()[1].eq_ignore_ascii_case(&b'u') => &escape[6..],
            Some(_) => &escape[4..],
            None => &escape[1..],
        };
    }
    plain + rest
}
