//! The address of a page, as browsers, apps, scripts and people write it. One reader for visits and leads.

use chrono::DateTime;
use url::Url;

use super::{Attribution, Site};
use crate::invisible::is_invisible;

/// How a page's file may end: `index.html?…` is no site.
const FILES: &[&str] = &["html", "htm", "php", "asp", "aspx", "jsp"];

/// An address that a page may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    text: String,
    url: Option<Url>,
}

impl Page {
    /// None if it is neither the address of a website's page, nor a path or parameters, nor that of an app.
    #[must_use]
    pub fn read(written: &str) -> Option<Self> {
        let text = bare(written);
        let is_address = match scheme(text) {
            Some(scheme) if is_of_the_web(scheme) => true,
            Some(scheme) => is_of_an_app(scheme) && text[scheme.len()..].starts_with("://"),
            None => {
                let place = text.split(['?', '#']).next().unwrap_or_default();
                let has_more = text.contains(['/', '?', '#', '=']);
                !place.contains(char::is_whitespace) && (has_more || with_scheme(text).is_some())
            }
        };
        is_address.then(|| Self { text: text.to_owned(), url: whole(text) })
    }

    /// Without what people and programs put around an address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The whole address, if the website is known.
    #[must_use]
    pub fn url(&self) -> Option<&Url> {
        self.url.as_ref()
    }

    /// Is it written as a whole address, `https://` and all?
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.url.is_some() && scheme(&self.text).is_some()
    }

    #[must_use]
    pub fn has_click(&self) -> bool {
        Attribution::of_address(&self.text, DateTime::UNIX_EPOCH).clicks.has_click()
    }

    #[must_use]
    pub fn site(&self) -> Option<Site> {
        Site::of(self.url.as_ref()?)
    }
}

fn is_of_the_web(scheme: &str) -> bool {
    ["http", "https"].iter().any(|it| scheme.eq_ignore_ascii_case(it))
}

/// What runs in a browser that follows it is nobody's page.
fn is_of_an_app(scheme: &str) -> bool {
    !["javascript", "vbscript", "data", "blob"].iter().any(|it| scheme.eq_ignore_ascii_case(it))
}

/// Without the brackets and quotation marks around it, also if only one of them is there.
fn bare(written: &str) -> &str {
    let is_around =
        |c: char| c.is_whitespace() || is_invisible(c) || matches!(c, '<' | '>' | '"' | '\'' | '`' | '“' | '”');
    let text = written.trim_matches(is_around);
    let opened = text.trim_start_matches(['(', '[', '{', '（']).trim_start_matches(is_around);
    if opened.len() == text.len() {
        text
    } else {
        opened.trim_end_matches([')', ']', '}', '）']).trim_end_matches(is_around)
    }
}

/// What stands before `://`, or before the `:` of `mailto:` and the like. A host with its port has none.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let is_one = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|c| c.is_ascii_alphanumeric() || b"+.-".contains(&c));
    let is_port = rest.starts_with(|c: char| c.is_ascii_digit());
    (is_one && !is_port).then_some(scheme)
}

fn whole(text: &str) -> Option<Url> {
    let url = match scheme(text) {
        Some(scheme) if is_of_the_web(scheme) => Url::parse(text).ok(),
        Some(_) => None,
        None => with_scheme(text),
    };
    // The parser takes more than a host's name can have.
    let is_name = |name: &str| name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
    url.filter(|url| url.domain().is_none_or(is_name))
}

/// Of an address that begins with its site: `//www.example.com/lp`, `www.example.com?x=1`.
fn with_scheme(text: &str) -> Option<Url> {
    let text = text.strip_prefix("//").unwrap_or(text);
    let at = text.find(['/', '?', '#']).unwrap_or(text.len());
    let host = text[..at].split(':').next().unwrap_or_default();
    let (_, ending) = host.rsplit_once('.')?;
    let is_file = FILES.iter().any(|it| ending.eq_ignore_ascii_case(it));
    let is_site = !ending.is_empty() && !is_file && !host.contains(['@', '=', '&']);
    is_site.then(|| Url::parse(&format!("https://{text}")).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, Option<String>)> {
        let page = Page::read(text)?;
        Some((page.as_str().to_owned(), page.site().map(|site| site.as_str().to_owned())))
    }

    #[test]
    fn an_address_is_read_however_it_is_written() {
        for (text, bare, site) in [
            ("https://www.example.com/lp?x=1", "https://www.example.com/lp?x=1", Some("www.example.com")),
            (" HTTPS://WWW.example.com ", "HTTPS://WWW.example.com", Some("www.example.com")),
            ("<https://www.example.com/?x=1>", "https://www.example.com/?x=1", Some("www.example.com")),
            ("(https://www.example.com/?x=1)", "https://www.example.com/?x=1", Some("www.example.com")),
            ("“https://www.example.com/”", "https://www.example.com/", Some("www.example.com")),
            ("https://www.example.com/(x)", "https://www.example.com/(x)", Some("www.example.com")),
            ("www.example.com/lp?x=1", "www.example.com/lp?x=1", Some("www.example.com")),
            ("example.com?x=1", "example.com?x=1", Some("example.com")),
            ("example.com:8443/lp", "example.com:8443/lp", Some("example.com")),
            ("//www.example.com/lp", "//www.example.com/lp", Some("www.example.com")),
            ("/lp?x=1", "/lp?x=1", None),
            ("index.php?x=1", "index.php?x=1", None),
            ("?x=1", "?x=1", None),
            ("#/lp?x=1", "#/lp?x=1", None),
            ("x=1&y=2", "x=1&y=2", None),
            ("utm_source=example.com&x=1", "utm_source=example.com&x=1", None),
            ("android-app://com.example.app/?x=1", "android-app://com.example.app/?x=1", None),
            ("https://exa mple.com/?x=1", "https://exa mple.com/?x=1", None),
            ("https://www.example.com*/", "https://www.example.com*/", None),
        ] {
            assert_eq!(read(text), Some((bare.to_owned(), site.map(String::from))), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in
            ["", " ", "home", "Contact us?", "two words", "mailto:jane@example.com", "javascript:alert(1)", "()"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
