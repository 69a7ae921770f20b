//! What a page's HTML says, as far as it matters for the tag.

use std::collections::BTreeMap;

use html5gum::{DefaultEmitter, Token, Tokenizer};
use reqwest::header::HeaderMap;
use url::Url;

use super::policy::Policy;

/// A script that the page loads.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub url: Url,
    attributes: BTreeMap<String, String>,
    /// How many policies of `meta` elements stand before it: later ones don't count for it.
    pub policies: usize,
}

impl Script {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// Does the browser run it by itself? Consent tools and optimisers change the type or the attribute.
    pub(super) fn runs(&self) -> bool {
        let kind = self.attribute("type").unwrap_or_default().trim().to_ascii_lowercase();
        let is_script = matches!(kind.as_str(), "" | "module") || is_javascript(&kind);
        is_script && self.attributes.contains_key("src") && !self.attributes.contains_key("nomodule")
    }
}

/// Is it one of JavaScript's content types (those of the MIME Sniffing Standard)?
pub(super) fn is_javascript(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let name = kind.strip_prefix("text/").or_else(|| kind.strip_prefix("application/")).unwrap_or_default();
    let name = name.strip_prefix("x-").unwrap_or(name);
    matches!(name, "javascript" | "ecmascript" | "jscript" | "livescript") || name.starts_with("javascript1.")
}

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    pub url: Url,
    pub headers: HeaderMap,
    pub scripts: Vec<Script>,
    /// What stands in its inline scripts, without white space and with one kind of quotes.
    pub inline: String,
    /// Of its `meta` elements.
    pub policies: Vec<Policy>,
    /// Where a `meta` element leads on to, without the click ids.
    pub refresh: Option<Url>,
}

/// Where a script's address stands if it isn't to be loaded yet.
const SOURCES: [&str; 4] = ["src", "data-src", "data-rocket-src", "data-cookieblock-src"];
/// Seconds.
const SOON: f32 = 10.0;
/// Whatever is in these isn't the page's.
const INERT: [&str; 2] = ["noscript", "template"];

impl Page {
    /// Reads any bytes: what isn't HTML has nothing in it.
    pub(super) fn read(url: Url, headers: HeaderMap, html: &[u8]) -> Self {
        let mut page = Self { url, headers, scripts: vec![], inline: String::new(), policies: vec![], refresh: None };
        let (mut base, mut inert, mut is_inline) = (None, 0_usize, false);
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(html, emitter) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => {
                    let name = String::from_utf8_lossy(&tag.name).into_owned();
                    if INERT.contains(&name.as_str()) {
                        inert += usize::from(!tag.self_closing);
                    }
                    if inert > 0 {
                        continue;
                    }
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let attributes: BTreeMap<_, _> =
                        tag.attributes.iter().map(|(name, value)| (text(name), text(value))).collect();
                    match name.as_str() {
                        // Only the first counts.
                        "base" if base.is_none() => {
                            base = attributes.get("href").and_then(|href| page.url.join(href.trim()).ok());
                        }
                        "script" => is_inline = !page.load(base.as_ref(), attributes),
                        "meta" => page.meta(base.as_ref(), &attributes),
                        _ => {}
                    }
                }
                Token::EndTag(tag) => {
                    is_inline = false;
                    if INERT.iter().any(|name| name.as_bytes() == &tag.name[..]) {
                        inert = inert.saturating_sub(1);
                    }
                }
                Token::String(text) if is_inline => page.inline.push_str(&bare(&String::from_utf8_lossy(&text))),
                _ => {}
            }
        }
        page
    }

    /// False if the script stands in the page itself.
    fn load(&mut self, base: Option<&Url>, attributes: BTreeMap<String, String>) -> bool {
        let Some(source) = SOURCES.iter().find_map(|name| attributes.get(*name)) else { return false };
        let url = base.unwrap_or(&self.url).join(source.trim());
        if let Some(url) = url.ok().filter(|url| matches!(url.scheme(), "http" | "https")) {
            self.scripts.push(Script { url, attributes, policies: self.policies.len() });
        }
        true
    }

    fn meta(&mut self, base: Option<&Url>, attributes: &BTreeMap<String, String>) {
        let of = |name: &str| attributes.get(name).map(|value| value.trim()).unwrap_or_default();
        let content = of("content");
        match of("http-equiv").to_ascii_lowercase().as_str() {
            "content-security-policy" => self.policies.push(Policy::parse(content)),
            "refresh" => {
                let Some((seconds, target)) = content.split_once([';', ',']) else { return };
                // Who reads the page first is on it.
                if seconds.trim().parse().is_ok_and(|seconds: f32| seconds > SOON) {
                    return;
                }
                let target = target.trim();
                let has_name = target.get(..3).is_some_and(|name| name.eq_ignore_ascii_case("url"));
                let target = if has_name { target[3..].trim_start().trim_start_matches('=') } else { target };
                let target = target.trim().trim_matches(['"', '\'']);
                if !target.is_empty() {
                    self.refresh = base.unwrap_or(&self.url).join(target).ok().filter(|url| *url != self.url);
                }
            }
            _ => {}
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// Does it load a script whose address begins so, without its scheme?
    pub(super) fn loads(&self, beginning: &str) -> bool {
        self.scripts.iter().any(|script| {
            let address = script.url.as_str();
            address.split_once("://").is_some_and(|(_, address)| address.starts_with(beginning))
        })
    }
}

fn bare(script: &str) -> String {
    let quote = |c: char| if matches!(c, '\'' | '`') { '"' } else { c };
    script.chars().filter(|c| !c.is_whitespace()).map(quote).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(html: &str) -> Page {
        Page::read("https://www.example.com/a/b?gclid=x".parse().unwrap(), HeaderMap::new(), html.as_bytes())
    }

    fn scripts(html: &str) -> Vec<String> {
        read(html).scripts.iter().map(|script| script.url.to_string()).collect()
    }

    #[test]
    fn addresses_are_resolved_as_browsers_do() {
        for (html, expected) in [
            ("<script async src=/t.js></script>", "https://www.example.com/t.js"),
            ("<SCRIPT SRC=' t.js\n'></SCRIPT>", "https://www.example.com/a/t.js"),
            ("<base href=/x/><base href=/y/><script src=t.js></script>", "https://www.example.com/x/t.js"),
            ("<base href='//cdn.example.com/'><script src=t.js></script>", "https://cdn.example.com/t.js"),
            ("<script src='//cdn.example.com/t.js?a=1&amp;b=2'></script>", "https://cdn.example.com/t.js?a=1&b=2"),
            ("<script>var a = '<script src=/no.js>';</script><script src=/t.js>", "https://www.example.com/t.js"),
        ] {
            assert_eq!(scripts(html), [expected], "{html}");
        }
    }

    #[test]
    fn what_is_no_script_of_the_page_is_left_out() {
        for html in [
            "<!-- <script src=/t.js></script> -->",
            "<noscript><script src=/t.js></script></noscript>",
            "<template><script src=/t.js></script></template>",
            "<textarea><script src=/t.js></script></textarea>",
            "<title><script src=/t.js></script></title>",
            "<script src='javascript:alert(1)'></script>",
            "<script src='http://[::'></script>",
            "<script data-x src></script",
        ] {
            let found: Vec<_> = scripts(html).into_iter().filter(|url| url.contains("t.js")).collect();
            assert_eq!(found, [""; 0], "{html}");
        }
    }

    #[test]
    fn a_refresh_leads_on_and_a_mere_reload_does_not() {
        let refresh = |content: &str| {
            read(&format!("<meta http-equiv=Refresh content=\"{content}\">")).refresh.map(|url| url.to_string())
        };
        assert_eq!(refresh("0; URL='/next'").as_deref(), Some("https://www.example.com/next"));
        assert_eq!(refresh("0;/next").as_deref(), Some("https://www.example.com/next"));
        for none in ["300", "300;", "", ";", "0; url=http://[", "0;url=", "300; url=/next", "0"] {
            assert_eq!(refresh(none), None, "{none}");
        }
    }

    #[test]
    fn scripts_wait_if_their_type_or_source_was_changed() {
        let runs = |html: &str| read(html).scripts[0].runs();
        for html in
            ["<script src=/t.js>", "<script type='text/javascript' src=/t.js>", "<script type=module src=/t.js>"]
        {
            assert!(runs(html), "{html}");
        }
        for html in [
            "<script type=text/plain src=/t.js>",
            "<script type=rocketlazyloadscript data-rocket-src=/t.js>",
            "<script data-src=/t.js>",
            "<script nomodule src=/t.js>",
        ] {
            assert!(!runs(html), "{html}");
        }
    }

    /// Pieces of HTML in any order, cut anywhere, with bytes that are no text.
    #[test]
    fn hostile_html_is_read_to_its_end() {
        const PIECES: [&[u8]; 20] = [
            b"<script",
            b" src=",
            b"'",
            b"\"",
            b">",
            b"</script>",
            b"<!--",
            b"-->",
            b"<base href=",
            b"//[",
            b"<template>",
            b"</noscript>",
            b"<meta http-equiv=",
            b"refresh content='0;url=",
            b"content-security-policy",
            b"\0",
            b"\xff\xfe",
            b"&#x110000;&",
            b"<![CDATA[",
            "\u{202e}é".as_bytes(),
        ];
        // A small generator: the same pages each time.
        let mut state = 0x2545_f491_u32;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as usize % below
        };
        for _ in 0..5_000 {
            let mut html: Vec<u8> = (0..40).flat_map(|_| PIECES[next(PIECES.len())]).copied().collect();
            html.truncate(next(html.len() + 1));
            let page = Page::read("https://www.example.com/".parse().unwrap(), HeaderMap::new(), &html);
            assert!(page.scripts.iter().all(|script| script.url.has_host()));
        }
    }
}
