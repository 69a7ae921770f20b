//! Does the page's content security policy (CSP Level 3) let the tag run and send?

use std::collections::BTreeMap;

use url::Url;

use super::endpoints;
use super::page::Page;
use super::tag::Tag;
use crate::doctor::report::Report;

const NAME: &str = "site.csp";
const HEADER: &str = "content-security-policy";

/// One policy. A page may have several, and all of them count.
#[derive(Clone, Debug)]
pub(super) struct Policy(BTreeMap<String, Vec<String>>);

/// What a page asks a policy for.
struct Asked<'a> {
    page: &'a Url,
    target: &'a Url,
    nonce: Option<&'a str>,
    integrity: &'a str,
    /// Is it in the page's HTML?
    is_in_html: bool,
}

/// Looks at the policies of the answer and of the page.
pub(super) fn check(page: &Page, tag: &Tag, report: &mut Report) {
    // Several policies stand in one header with commas between them.
    let headers = page.headers.get_all(HEADER).iter().filter_map(|value| value.to_str().ok());
    let headers: Vec<_> = headers.flat_map(|value| value.split(',')).map(Policy::parse).collect();
    let count = headers.len() + page.policies.len();
    if count == 0 {
        return report.right(NAME, "the page has no content security policy");
    }
    let script = tag.script.as_ref();
    let asked = |target| Asked {
        page: &page.url,
        target,
        nonce: script.and_then(|it| it.attribute("nonce")),
        integrity: script.and_then(|it| it.attribute("integrity")).unwrap_or_default(),
        is_in_html: script.is_some(),
    };
    let before = script.map_or(page.policies.len(), |it| it.policies);
    for policy in headers.iter().chain(&page.policies[..before]) {
        if let Err(directive) = policy.lets_run(&asked(&tag.url)) {
            let problem = format!("The content security policy keeps the tag from running ({directive}).");
            let source = source(page, &tag.url);
            let fix = match directive {
                "sandbox" => "Add allow-scripts and allow-same-origin to sandbox.".to_owned(),
                _ => format!("Add {source} to {directive}, or give the script element the policy's nonce."),
            };
            report.error(NAME, problem, fix);
        }
    }
    let endpoint = endpoints::all(&tag.url).into_iter().next();
    for policy in headers.iter().chain(&page.policies) {
        let blocked = endpoint.as_ref().and_then(|url| policy.lets_connect(&asked(url)).err().zip(Some(url)));
        if let Some((directive, url)) = blocked {
            let problem = format!("The content security policy keeps the tag from sending ({directive}).");
            report.error(NAME, problem, format!("Add {} to connect-src.", source(page, url)));
        }
    }
    report.right_unless_found(NAME, "it lets the tag run and send");
}

fn source(page: &Page, url: &Url) -> String {
    let origin = url.origin();
    if origin == page.url.origin() { "'self'".to_owned() } else { origin.ascii_serialization() }
}

impl Policy {
    pub(super) fn parse(text: &str) -> Self {
        let mut directives = BTreeMap::new();
        for directive in text.split(';') {
            let mut words = directive.split_ascii_whitespace();
            let Some(name) = words.next() else { continue };
            // The first of a name counts.
            directives.entry(name.to_ascii_lowercase()).or_insert_with(|| words.map(str::to_owned).collect());
        }
        Self(directives)
    }

    fn directive<'a>(&self, names: &[&'a str]) -> Option<(&'a str, &[String])> {
        names.iter().find_map(|name| self.0.get(*name).map(|sources| (*name, sources.as_slice())))
    }

    /// Which directive refuses it?
    fn lets_run(&self, asked: &Asked<'_>) -> Result<(), &'static str> {
        if self.0.get("sandbox").is_some_and(|flags| !flags.iter().any(|it| it.eq_ignore_ascii_case("allow-scripts"))) {
            return Err("sandbox");
        }
        let Some((name, sources)) = self.directive(&["script-src-elem", "script-src", "default-src"]) else {
            return Ok(());
        };
        let has = |keyword: &str| sources.iter().any(|source| source.eq_ignore_ascii_case(keyword));
        let is_trusted = asked.nonce.is_some_and(|nonce| {
            !nonce.is_empty() && sources.iter().any(|source| quoted(source, "nonce-") == Some(nonce))
        }) || is_hashed(sources, asked.integrity);
        // With 'strict-dynamic' addresses don't count, and what a trusted script adds runs.
        let is_let = if has("'strict-dynamic'") { !asked.is_in_html } else { any_matches(sources, asked) };
        if is_trusted || is_let { Ok(()) } else { Err(name) }
    }

    /// Which directive refuses it?
    fn lets_connect(&self, asked: &Asked<'_>) -> Result<(), &'static str> {
        match self.directive(&["connect-src", "default-src"]) {
            Some((name, sources)) if !any_matches(sources, asked) => Err(name),
            _ => Ok(()),
        }
    }
}

fn quoted<'a>(source: &'a str, beginning: &str) -> Option<&'a str> {
    let inner = source.strip_prefix('\'')?.strip_suffix('\'')?;
    let begins = inner.get(..beginning.len()).is_some_and(|it| it.eq_ignore_ascii_case(beginning));
    begins.then(|| &inner[beginning.len()..])
}

/// Is each hash of the integrity attribute on the list?
fn is_hashed(sources: &[String], integrity: &str) -> bool {
    let mut hashes = integrity.split_ascii_whitespace().peekable();
    hashes.peek().is_some() && hashes.all(|hash| sources.iter().any(|source| quoted(source, "") == Some(hash)))
}

fn any_matches(sources: &[String], asked: &Asked<'_>) -> bool {
    sources.iter().any(|source| matches(source, asked).unwrap_or(false))
}

/// Does a source expression mean this address? None if it is none that could.
fn matches(source: &str, Asked { page, target, .. }: &Asked<'_>) -> Option<bool> {
    if source.eq_ignore_ascii_case("'self'") {
        let is_upgraded = (page.scheme(), page.port(), target.scheme(), target.port()) == ("http", None, "https", None);
        return Some(page.origin() == target.origin() || (is_upgraded && page.host() == target.host()));
    }
    if source.starts_with('\'') {
        return None;
    }
    if source == "*" {
        return Some(matches!(target.scheme(), "http" | "https"));
    }
    if let Some(scheme) = source.strip_suffix(':') {
        return Some(is_scheme(scheme, target.scheme()));
    }
    let (scheme, rest) = source.split_once("://").unwrap_or((page.scheme(), source));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let given = target.port_or_known_default();
    let is_port = match port {
        "" => target.port().is_none(),
        "*" => true,
        "80" => matches!(given, Some(80 | 443)),
        port => given == port.parse().ok(),
    };
    let is_host = is_host(&host.to_ascii_lowercase(), target.host_str()?);
    Some(is_scheme(scheme, target.scheme()) && is_host && is_port && is_path(path, target.path()))
}

/// http means https as well.
fn is_scheme(wanted: &str, given: &str) -> bool {
    wanted.eq_ignore_ascii_case(given) || (wanted.eq_ignore_ascii_case("http") && given == "https")
}

fn is_host(wanted: &str, given: &str) -> bool {
    match wanted.strip_prefix("*.") {
        Some(domain) => given.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
        None => wanted == "*" || wanted == given,
    }
}

/// One that ends with a slash means everything below it.
fn is_path(wanted: &str, given: &str) -> bool {
    wanted.is_empty() || if wanted.ends_with('/') { given.starts_with(wanted) } else { given == wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "https://www.example.com/landing";
    const OWN: &str = "https://www.example.com/t.js";
    const OTHER: &str = "https://api.example.com/t.js";

    fn asked<'a>(page: &'a Url, target: &'a Url, nonce: Option<&'a str>, integrity: &'a str) -> Asked<'a> {
        Asked { page, target, nonce, integrity, is_in_html: true }
    }

    #[test]
    fn a_script_runs_as_browsers_decide() {
        for (policy, target, runs) in [
            ("", OTHER, true),
            ("img-src 'none'", OTHER, true),
            ("default-src 'self'", OWN, true),
            ("default-src 'self'", OTHER, false),
            ("default-src 'none'", OWN, false),
            ("default-src", OWN, false),
            ("script-src 'self'; script-src *", OTHER, false),
            ("default-src 'none'; script-src 'self'", OWN, true),
            ("script-src 'none'; script-src-elem 'self'", OWN, true),
            ("SCRIPT-SRC 'SELF'", OWN, true),
            ("script-src *", OTHER, true),
            ("script-src https:", OTHER, true),
            ("script-src http:", OTHER, true),
            ("script-src data:", OTHER, false),
            ("script-src *.example.com", OTHER, true),
            ("script-src *.example.com", "https://example.com/t.js", false),
            ("script-src *.example.com", "https://api.notexample.com/t.js", false),
            ("script-src API.example.com", OTHER, true),
            ("script-src http://api.example.com", OTHER, true),
            ("script-src wss://api.example.com", OTHER, false),
            ("script-src api.example.com:443", OTHER, true),
            ("script-src api.example.com:80", OTHER, true),
            ("script-src api.example.com:8443", OTHER, false),
            ("script-src api.example.com:*", OTHER, true),
            ("script-src api.example.com", "https://api.example.com:8443/t.js", false),
            ("script-src api.example.com/t.js", OTHER, true),
            ("script-src api.example.com/T.js", OTHER, false),
            ("script-src api.example.com/js/", OTHER, false),
            ("script-src api.example.com/", OTHER, true),
            ("script-src 'nonce-abc'", OTHER, true),
            ("script-src 'nonce-ABC'", OTHER, false),
            ("script-src 'sha256-one'", OTHER, true),
            ("script-src 'sha256-two'", OTHER, false),
            ("script-src 'strict-dynamic' https:", OTHER, false),
            ("script-src 'strict-dynamic' 'nonce-abc'", OTHER, true),
            ("sandbox allow-forms", OWN, false),
            ("sandbox allow-scripts", OWN, true),
            ("script-src '", OWN, false),
            ("script-src 'é :// https:// :: [", OWN, false),
        ] {
            let (page, target) = (SITE.parse().unwrap(), target.parse().unwrap());
            let decided = Policy::parse(policy).lets_run(&asked(&page, &target, Some("abc"), "sha256-one"));
            assert_eq!(decided.is_ok(), runs, "{policy} {target}");
        }
    }

    #[test]
    fn it_sends_where_connections_are_let() {
        for (policy, target, sends) in [
            ("script-src 'self'", "https://api.example.com/t/v", true),
            ("default-src 'self'", "https://www.example.com/t/v", true),
            ("default-src 'self'", "https://api.example.com/t/v", false),
            ("default-src 'none'; connect-src 'self'", "https://www.example.com/t/v", true),
            ("default-src *; connect-src 'self'", "https://api.example.com/t/v", false),
            ("connect-src https://api.example.com/t/", "https://api.example.com/t/v", true),
            // A nonce is nothing for connections.
            ("connect-src 'nonce-abc'", "https://www.example.com/t/v", false),
        ] {
            let (page, target) = (SITE.parse().unwrap(), target.parse().unwrap());
            let decided = Policy::parse(policy).lets_connect(&asked(&page, &target, Some("abc"), ""));
            assert_eq!(decided.is_ok(), sends, "{policy} {target}");
        }
    }

    #[test]
    fn a_page_without_tls_may_load_its_own_with_it() {
        let (page, own) = ("http://www.example.com/".parse().unwrap(), OWN.parse().unwrap());
        assert!(Policy::parse("script-src 'self'").lets_run(&asked(&page, &own, None, "")).is_ok());
        let other = OTHER.parse().unwrap();
        assert!(Policy::parse("script-src 'self'").lets_run(&asked(&page, &other, None, "")).is_err());
    }
}
