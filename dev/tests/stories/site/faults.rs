//! The faults of a page, each with the findings that name it, in their order. Where there are several, the others
//! follow from it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha384};

use super::website::{Answered, TAG, Website, WebsiteServer};

pub struct Planted {
    pub name: &'static str,
    pub plant: fn(&mut Website, &mut Vec<String>, &WebsiteServer),
    /// Level, check, and a part of the problem.
    pub found: &'static [(&'static str, &'static str, &'static str)],
}

const ERROR: &str = "error";
const WARNING: &str = "warning";

/// An integrity attribute that doesn't fit.
const WRONG: &str = "sha384-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The policy of the page's answer.
macro_rules! csp {
    ($policy:literal) => {
        |website, _, _| website.page.set("content-security-policy", $policy)
    };
}

/// The tag's element.
macro_rules! element {
    ($element:literal) => {
        |website, _, _| website.with_tag($element)
    };
}

/// What is in the place of Adtrail.
macro_rules! endpoints {
    ($status:literal, $kind:literal) => {
        |website, _, _| {
            website.endpoints = Some(Answered { status: $status, ..Answered::of($kind, "must be a JSON object") })
        }
    };
}

/// With the tag on the other origin.
fn elsewhere(website: &mut Website, server: &WebsiteServer, attributes: &str) {
    website.with_tag(&format!("<script {attributes} src=\"{}/t.js\"></script>", server.other));
}

pub const FAULTS: &[Planted] = &[
    // -- The way there --
    Planted {
        name: "nothing is there",
        plant: |_, arguments, _| arguments[0] = "http://127.0.0.1:9/".into(),
        found: &[(ERROR, "site.redirects", "can't be reached")],
    },
    Planted {
        name: "it is no address",
        plant: |_, arguments, _| arguments[0] = "https://user:password@www.example.com".into(),
        found: &[(ERROR, "arguments", "isn't the address of a page")],
    },
    Planted {
        name: "a redirect drops the query",
        plant: |website, _, _| website.redirect = Some(|_| "/lp".into()),
        found: &[(ERROR, "site.redirects", "drops the query, and with it every click id")],
    },
    Planted {
        name: "a redirect drops some click ids",
        plant: |website, _, _| website.redirect = Some(|query| format!("/lp?{}", query.replace("gclid=", "x="))),
        found: &[(ERROR, "site.redirects", "/lp drops gclid.")],
    },
    Planted {
        name: "a redirect changes click ids",
        plant: |website, _, _| website.redirect = Some(|query| format!("/lp?{}", query.to_lowercase())),
        found: &[(ERROR, "site.redirects", "drops the query")],
    },
    Planted {
        name: "redirects lead in a circle",
        plant: |website, _, _| website.redirect = Some(|query| format!("/landing?{query}")),
        found: &[(ERROR, "site.redirects", "redirects more than 10 times")],
    },
    Planted {
        name: "a redirect leads out of the web",
        plant: |website, _, _| website.redirect = Some(|_| "javascript:alert(1)".into()),
        found: &[(ERROR, "site.redirects", "redirects to nothing that can be read")],
    },
    Planted {
        name: "the page leads on by itself",
        plant: |website, _, _| website.html.push_str("<meta http-equiv='refresh' content='0; url=/lp2'>"),
        found: &[(ERROR, "site.page", "leads on to")],
    },
    // -- The page --
    Planted {
        name: "the page is gone",
        plant: |website, _, _| website.page.status = 404,
        found: &[(ERROR, "site.page", "answers with status 404")],
    },
    Planted {
        name: "it is a picture",
        plant: |website, _, _| website.page.set("content-type", "image/png"),
        found: &[(ERROR, "site.page", "isn't a page of HTML, but image/png")],
    },
    Planted {
        name: "it has ten megabytes before the tag",
        plant: |website, _, _| website.html = format!("<!--{}-->{}", "x".repeat(10 << 20), website.html),
        found: &[
            (WARNING, "site.page", "more than 4 MB"),
            (ERROR, "site.tag", "isn't on the page"),
            (WARNING, "site.consent", "stays unknown"),
        ],
    },
    Planted {
        name: "it is no HTML at all",
        plant: |website, _, _| website.html = "\0\u{ffff}<<<!<script src='\0".repeat(1000),
        found: &[(ERROR, "site.tag", "isn't on the page"), (WARNING, "site.consent", "stays unknown")],
    },
    // -- The tag --
    Planted { name: "the tag is missing", plant: element!(""), found: &[(ERROR, "site.tag", "isn't on the page")] },
    Planted {
        name: "the tag is in a comment",
        plant: element!("<!-- <script async src=\"/t.js\"></script> -->"),
        found: &[(ERROR, "site.tag", "isn't on the page")],
    },
    Planted {
        name: "the tag may be in Google Tag Manager",
        plant: element!("<script async src=\"https://www.googletagmanager.com/gtm.js?id=GTM-ABC\"></script>"),
        found: &[(WARNING, "site.tag", "If Google Tag Manager adds it, that can't be seen here")],
    },
    Planted {
        name: "the tag is there twice",
        plant: element!("<script async src=\"/t.js\"></script><script src=\"t.js\"></script>"),
        found: &[(WARNING, "site.tag", "more than once")],
    },
    Planted {
        name: "a consent tool holds the tag back",
        plant: element!("<script type=\"text/plain\" data-cookieconsent=\"marketing\" src=\"/t.js\"></script>"),
        found: &[(WARNING, "site.tag", "doesn't run the tag by itself (text/plain)")],
    },
    Planted {
        name: "the tag is a module",
        plant: element!("<script type=\"module\" src=\"/t.js\"></script>"),
        found: &[(ERROR, "site.tag", "as a module")],
    },
    Planted {
        name: "Google's tag is meant, and isn't there",
        plant: |website, _, _| {
            website.html = website.html.replace("gtag", "push");
            website.with_tag("<script async src=\"/t.js\" data-ga4=\"gtag\"></script>");
        },
        found: &[(WARNING, "site.tag", "hands events to Google's tag, which isn't")],
    },
    Planted {
        name: "data-ads is no label",
        plant: element!("<script async src=\"/t.js\" data-ads=\"123456789\"></script>"),
        found: &[(WARNING, "site.tag", "data-ads isn't what")],
    },
    Planted {
        name: "the site answers in the place of the tag",
        plant: |website, _, _| website.tag = Answered::of("text/html", "<!doctype html><title>Home</title>"),
        found: &[(ERROR, "site.tag.file", "answers with something else, maybe the site's own page")],
    },
    Planted {
        name: "the tag isn't passed on",
        plant: |website, _, _| website.tag.status = 404,
        found: &[(ERROR, "site.tag.file", "answers with status 404")],
    },
    Planted {
        name: "another script is at the tag's address",
        plant: |website, _, _| website.tag = Answered::of("text/javascript", "let a = 1"),
        found: &[(ERROR, "site.tag.file", "answers with another script")],
    },
    Planted {
        name: "the content type is lost",
        plant: |website, _, _| website.tag.set("content-type", "text/plain"),
        found: &[(ERROR, "site.tag.file", "has the content type \"text/plain\"")],
    },
    Planted {
        name: "the integrity attribute is of another version",
        plant: |website, _, _| website.with_tag(&format!("<script integrity=\"{WRONG}\" src=\"/t.js\"></script>")),
        found: &[(ERROR, "site.tag.integrity", "doesn't fit the file")],
    },
    Planted {
        name: "the integrity attribute has no hash",
        plant: element!("<script integrity=\"md5-abc\" src=\"/t.js\"></script>"),
        found: &[(WARNING, "site.tag.integrity", "no hash that browsers know")],
    },
    Planted {
        name: "the tag comes from another origin, with integrity and without crossorigin",
        plant: |website, _, server| {
            elsewhere(
                website,
                server,
                "integrity=\"sha384-7iQmvQZ0Yk2u5a1v0k0uO3m9Jw9e0oYgJ2h0q9W0g0k4b1o2p3q4r5s6t7u8v9w0\"",
            );
        },
        found: &[
            (ERROR, "site.tag.integrity", "but no crossorigin"),
            (ERROR, "site.tag.integrity", "doesn't fit the file"),
        ],
    },
    Planted {
        name: "the tag of another origin may not be read",
        plant: |website, _, server| elsewhere(website, server, "crossorigin=\"anonymous\""),
        found: &[(ERROR, "site.tag.file", "its answer doesn't allow")],
    },
    Planted {
        name: "the tag of another origin is closed to this one",
        plant: |website, _, server| {
            elsewhere(website, server, "");
            website.tag.set("cross-origin-resource-policy", "same-origin");
        },
        found: &[(ERROR, "site.tag.file", "Cross-Origin-Resource-Policy keeps")],
    },
    // -- The policy --
    Planted {
        name: "the policy lets no script in",
        plant: csp!("default-src 'none'; connect-src 'self'"),
        found: &[(ERROR, "site.csp", "keeps the tag from running (default-src)")],
    },
    Planted {
        name: "the policy lets nothing out",
        plant: csp!("script-src 'self'; connect-src https://api.example.com"),
        found: &[(ERROR, "site.csp", "keeps the tag from sending (connect-src)")],
    },
    Planted {
        name: "the policy asks for a nonce",
        plant: csp!("script-src 'nonce-abc' 'strict-dynamic'"),
        found: &[(ERROR, "site.csp", "keeps the tag from running (script-src)")],
    },
    Planted {
        name: "the second of two policies is strict",
        plant: csp!("script-src *, script-src 'none'"),
        found: &[(ERROR, "site.csp", "keeps the tag from running (script-src)")],
    },
    Planted {
        name: "the policy is in the page",
        plant: |website, _, _| {
            let meta = "<head><meta http-equiv=Content-Security-Policy content=\"script-src 'none'\">";
            website.html = website.html.replace("<head>", meta);
        },
        found: &[(ERROR, "site.csp", "keeps the tag from running (script-src)")],
    },
    // -- The endpoints --
    Planted {
        name: "the proxy passes only the tag on",
        plant: endpoints!(404, "text/html"),
        found: &[(ERROR, "site.endpoints", "the answer is the site's own, with status 404")],
    },
    Planted {
        name: "the site answers everything with its page",
        plant: endpoints!(200, "text/html"),
        found: &[(ERROR, "site.endpoints", "the answer is the site's own, with status 200")],
    },
    Planted {
        name: "the proxy passes no POST on",
        plant: endpoints!(405, "text/plain"),
        found: &[(ERROR, "site.endpoints", "the answer is the site's own, with status 405")],
    },
    Planted {
        name: "a firewall refuses",
        plant: endpoints!(403, "text/html"),
        found: &[(ERROR, "site.endpoints", "the answer is the site's own, with status 403")],
    },
    Planted {
        name: "Adtrail is out of order",
        plant: endpoints!(503, "application/problem+json"),
        found: &[(ERROR, "site.endpoints", "Adtrail answers with status 503")],
    },
    Planted {
        name: "the proxy loses bodies",
        plant: |website, _, _| website.loses_bodies = true,
        found: &[(ERROR, "site.endpoints", "the body of the call is lost")],
    },
    Planted {
        name: "the site isn't allowed",
        plant: |_, arguments, server| arguments[0] = format!("{}/landing", server.other),
        found: &[(ERROR, "site.endpoints", "isn't one of ALLOWED_ORIGINS")],
    },
    Planted {
        name: "an answer to another origin doesn't allow it",
        plant: |website, _, server| {
            elsewhere(website, server, "");
            website.endpoints =
                Some(Answered { status: 400, ..Answered::of("application/problem+json", "must be a JSON object") });
        },
        found: &[(ERROR, "site.endpoints", "the answer doesn't allow http://127.0.0.1")],
    },
    Planted {
        name: "the tag is on another site",
        plant: |website, _, server| {
            let other = server.other.replace("127.0.0.1", "localhost");
            website.with_tag(&format!("<script src=\"{other}/t.js\"></script>"));
        },
        found: &[(ERROR, "cookies", "Browsers drop the cookies of localhost")],
    },
    // -- Consent --
    Planted {
        name: "nobody says what was consented to",
        plant: |website, _, _| website.html = website.html.replace("'default'", "'nothing'"),
        found: &[(WARNING, "site.consent", "stays unknown")],
    },
    // -- What is right, though it looks odd --
    Planted {
        name: "a redirect keeps the query behind the hash",
        plant: |website, _, _| website.redirect = Some(|query| format!("/lp#/landing?{query}")),
        found: &[],
    },
    Planted {
        name: "the address of the tag is relative to another base",
        plant: |website, _, server| {
            website.with_tag(&format!("<base href=\"{}/x/\"><script src=\"../t.js?v=2\"></script>", server.base));
        },
        found: &[],
    },
    Planted {
        name: "one of the hashes fits, and weaker ones don't count",
        plant: |website, _, _| {
            let hash = STANDARD.encode(Sha384::digest(TAG));
            let element =
                format!("<script integrity=\"sha256-AAAA sha384-AAAA sha384-{hash}\" src=\"/t.js\"></script>");
            website.with_tag(&element);
        },
        found: &[],
    },
    Planted {
        name: "a nonce lets the tag run",
        plant: |website, _, _| {
            website.page.set("content-security-policy", "script-src 'nonce-abc' 'strict-dynamic'; connect-src 'self'");
            website.with_tag("<script nonce=abc src=\"/t.js\"></script>");
        },
        found: &[],
    },
    Planted {
        name: "a tag manager adds the tag, and its address is said",
        plant: |website, arguments, server| {
            website.with_tag("<script src=\"https://www.googletagmanager.com/gtm.js?id=GTM-ABC\"></script>");
            arguments.extend(["--tag".into(), format!("{}/t.js", server.base)]);
        },
        found: &[],
    },
    Planted {
        name: "the tag and its calls cross origins, and may",
        plant: |website, _, server| {
            elsewhere(website, server, "crossorigin");
            website.tag.set("access-control-allow-origin", "*");
        },
        found: &[],
    },
    Planted {
        name: "the tag has another name",
        plant: |website, _, _| {
            website.html = website.html.replace("/other.js", "/nothing.js");
            assert!(website.tag.body == TAG.as_bytes());
        },
        found: &[],
    },
];
