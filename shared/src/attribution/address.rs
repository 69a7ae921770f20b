//! The parameters of an address, however it was written: a router in the browser, a redirect or an e-mail program may
//! have moved, repeated or escaped them.

use crate::encoding::{pairs, unescaped};

/// How often a text may have been escaped besides the once that is right.
const ESCAPED_AGAIN: usize = 3;
/// More parameters than anybody's address has.
const MOST: usize = 4_096;

/// The parameters of an address, the surest ones first: of its query, of its fragment, of either where the signs
/// between them are odd, and of the address when it was escaped too often. Their names are in small letters.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    all: Vec<(String, String)>,
    /// How many of them the address has itself. The others may be those of an address in a value.
    own: usize,
}

impl Parameters {
    pub(super) fn of(address: &str) -> Self {
        let mut found = Self::default();
        let (main, fragment) = address.split_once('#').unwrap_or((address, ""));
        let query = main.split_once('?').map_or("", |(_, query)| query);
        for part in [query, fragment.split_once('?').map_or(fragment, |(_, routed)| routed)] {
            found.add(pairs(part.as_bytes()));
        }
        found.add(loose(behind_a_sign(main)).chain(loose(fragment)));
        found.own = found.all.len();
        let mut text = address.to_owned();
        for _ in 0..ESCAPED_AGAIN {
            let plain = unescaped(text.as_bytes());
            if plain == text {
                break;
            }
            text = plain;
            found.add(loose(behind_a_sign(&text)));
            if !query.contains('=') && !fragment.contains('=') {
                // Nothing but the escaped ones: they are the address's own.
                found.own = found.all.len();
            }
        }
        found
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

/// What stands behind the first sign that begins parameters: a template may begin them with any.
fn behind_a_sign(text: &str) -> &str {
    text.split_once(['?', '&', '#']).map_or("", |(_, parameters)| parameters)
}

/// Parameters with any of the signs between them that are in use: of `&amp;x=…` the name is `x`.
fn loose(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split(['&', '?', ';', '#']).filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((unescaped(name.replace('+', " ").as_bytes()), unescaped(value.replace('+', " ").as_bytes())))
    })
}
