//! From what people, browsers, mail programs and spreadsheets write to the one spelling of an address.

use std::borrow::Cow;

use idna::AsciiDenyList;
use unicode_normalization::UnicodeNormalization as _;

use crate::identity::Carrier;
use crate::invisible::is_invisible;

/// The spellings of the addresses in a text, in their order, each once.
pub(super) fn addresses(text: &str, carrier: Carrier) -> Vec<Mailbox> {
    let text = tidied(text);
    let text = without_scheme(&text);
    let mut found: Vec<Mailbox> = Vec::new();
    for mailbox in pieces(&text).into_iter().flat_map(|piece| in_piece(piece, carrier)) {
        if found.iter().all(|known| known.address != mailbox.address) {
            found.push(mailbox);
        }
    }
    // An address may be broken at the end of a line.
    let is_one = found.is_empty() && !text.contains([';', ',', '、']);
    if is_one { mailbox(&text, carrier).into_iter().collect() } else { found }
}

/// One address in its one spelling.
pub(super) struct Mailbox {
    pub address: String,
    /// Was white space between two of its characters, and is left out?
    pub was_spaced: bool,
}

/// The text in compatible characters, without those that nobody sees.
fn tidied(text: &str) -> String {
    let visible = text.chars().filter_map(|c| match c {
        '\u{2028}' | '\u{2029}' => Some('\n'),
        c => Some(c).filter(|c| !is_invisible(*c)),
    });
    // The full stop of Chinese and Japanese keyboards.
    let compatible = visible.nfkc().filter(|c| !is_invisible(*c)).map(|c| if c == '。' { '.' } else { c });
    let text: String = compatible.collect();
    let text = if text.contains('&') && text.contains(';') { without_entities(&text) } else { text };
    // Escaped once too often.
    if text.contains('@') || !text.contains("%40") { text } else { unescaped(&text) }
}

/// As it was before somebody put it into HTML.
fn without_entities(text: &str) -> String {
    const ENTITIES: [(&str, &str); 7] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#64;", "@"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    ENTITIES.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

/// With its percent-encoded bytes decoded, if that makes a text.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|it| std::str::from_utf8(it).ok());
        let byte = digits.and_then(|it| u8::from_str_radix(it, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Without `mailto:`, and without the subject and whatever else such an address has behind it.
fn without_scheme(text: &str) -> Cow<'_, str> {
    const SCHEME: &str = "mailto:";
    let next = |text: &str| text.to_ascii_lowercase().find(SCHEME);
    if next(text).is_none() {
        return text.into();
    }
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(at) = next(rest) {
        let before = &rest[..at];
        rest = &rest[at + SCHEME.len()..];
        let end = rest.find(['<', '>', '(', ')', '[', ']', '"', '|', '\n', '\r']).unwrap_or(rest.len());
        let target = rest[..end].split('?').next().unwrap_or_default();
        // Apart from what stands beside it, which may be the same address as a label.
        kept.extend([before, " <", &unescaped(target), "> "]);
        rest = rest[end..].trim_start_matches('|');
    }
    kept.push_str(rest);
    kept.into()
}

/// The parts of a list. A separator in quotes is one of a name: `"Doe, Jane" <jane@example.com>`.
fn pieces(text: &str) -> Vec<&str> {
    let mut is_quoted = false;
    let has_pairs = text.matches('"').count().is_multiple_of(2);
    let pieces = text.split_inclusive(|c| {
        is_quoted ^= c == '"' && has_pairs;
        !is_quoted && matches!(c, ';' | ',' | '、' | '\n' | '\r')
    });
    let pieces: Vec<_> = pieces.collect();
    // What a separator cuts in two is no list: `jane;doe@example.com` isn't the address of `doe`.
    let is_cut = |at: usize| {
        let before = at.checked_sub(1).map_or("\n", |before| pieces[before]);
        let (before, piece) = (before, pieces[at]);
        let is_apart = before.ends_with(['\n', '\r']) || piece.starts_with(char::is_whitespace) || piece.contains('<');
        !is_apart && !before.contains('@') && before.chars().count() > 1
    };
    (0..pieces.len()).filter(|at| !is_cut(*at)).map(|at| pieces[at].trim_end_matches([';', ',', '、'])).collect()
}

/// What stands around an address, and can't be in one.
const BRACKETS: [char; 22] = [
    '<', '>', '(', ')', '[', ']', '"', '“', '”', '„', '‟', '«', '»', '‹', '›', '「', '」', '『', '』', '【', '】', '\\',
];

/// The addresses of one part of a list: that in angle brackets, else the first, else all that white space separates.
fn in_piece(piece: &str, carrier: Carrier) -> Vec<Mailbox> {
    let in_angles = piece.split('<').skip(1).filter_map(|rest| rest.split('>').next());
    let mut parts = in_angles.chain(piece.split(BRACKETS)).filter(|part| part.contains('@'));
    if let Some(mailbox) = parts.find_map(|part| mailbox(part, carrier)) {
        return vec![mailbox];
    }
    if piece.matches('@').count() < 2 {
        return Vec::new();
    }
    piece.split(char::is_whitespace).filter_map(|part| mailbox(part.trim_matches(BRACKETS), carrier)).collect()
}

/// The spelling of one address with nothing beside it but punctuation and a label: `E-mail: jane@example.com`.
fn mailbox(text: &str, carrier: Carrier) -> Option<Mailbox> {
    let text = text.trim();
    let is_word = |c: char| c.is_alphabetic() || c == '-' || c == ' ';
    let text = match text.rsplit_once(':') {
        Some((label, rest)) if label.chars().all(is_word) && !rest.starts_with('/') => rest.trim_start(),
        _ => text,
    };
    let text = match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some(rest) => rest,
        None => text,
    };
    let text = text.trim_start_matches(['\'', '`', '‘', '’', '‚', ' ']);
    // No domain ends so.
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || "'`‘’.,:!?*/…".contains(c));
    let (local, domain) = text.split_once('@')?;
    let (local, was_spaced) = local_part(local, carrier);
    let domain = domain_part(domain)?;
    let is_local = |c: char| is_letter(c) || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    let is_valid = (1..=64).contains(&local.chars().count()) && local.chars().all(is_local);
    let address = format!("{local}@{domain}");
    (is_valid && address.chars().count() <= 254).then_some(Mailbox { address, was_spaced })
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
}

/// In lower case, without white space; in a form, one space was a plus.
fn local_part(written: &str, carrier: Carrier) -> (String, bool) {
    let is_part = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace() && c != '+' && c != '.');
    let characters: Vec<char> = written.trim().chars().collect();
    let mut was_spaced = false;
    let mut local = String::with_capacity(written.len());
    for (at, c) in characters.iter().enumerate() {
        let is_single =
            || is_part(at.checked_sub(1).map(|at| characters[at])) && is_part(characters.get(at + 1).copied());
        match c {
            ' ' if carrier == Carrier::Form && is_single() => local.push('+'),
            c if c.is_whitespace() => was_spaced = true,
            c => local.push(*c),
        }
    }
    // Lower case may come apart, and then has a composed form again.
    (local.chars().flat_map(char::to_lowercase).nfkc().collect(), was_spaced)
}

/// As name servers know it, and as the platforms hash it: in ASCII (`xn--`) and in lower case.
fn domain_part(written: &str) -> Option<String> {
    let written: String = written.chars().filter(|c| !c.is_whitespace()).collect();
    let domain = match idna::domain_to_ascii_cow(written.as_bytes(), AsciiDenyList::EMPTY) {
        Ok(domain) => domain.into_owned(),
        // `xn--` and no more: no browser would take it, but a form may have.
        Err(_) if written.is_ascii() => written.to_ascii_lowercase(),
        Err(_) => return None,
    };
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
    (domain.contains('.') && domain.split('.').all(is_label)).then_some(domain)
}

/// How the same address was stored by versions that knew one spelling of a domain only: as it was written, with its
/// accents in one character or in two.
pub(super) fn former_spellings(address: &str) -> Vec<String> {
    let Some((local, domain)) = address.split_once('@') else { return Vec::new() };
    let (unicode, read) = idna::domain_to_unicode(domain);
    let domains = if read.is_ok() && unicode != domain { vec![unicode.nfd().collect(), unicode] } else { Vec::new() };
    let decomposed: String = local.nfd().collect();
    let mut spellings: Vec<String> = Vec::new();
    for domain in domains.iter().map(String::as_str).chain([domain]) {
        for local in [local, &decomposed] {
            let spelling = format!("{local}@{domain}");
            if spelling != address && !spellings.contains(&spelling) {
                spellings.push(spelling);
            }
        }
    }
    spellings
}
