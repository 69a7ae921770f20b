//! Is it a person's browser that calls, or a program? What is no person is kept and marked, never refused.
//!
//! Only what a program says of itself is certain. Scanners of mail gateways mostly come with the headers of an ordinary
//! browser, from addresses that change: those can't be told from a person by a request, and count as one.

use std::net::IpAddr;

use lambda_http::Request;
use lambda_http::http::header;

/// From this score on it is a bot.
pub const BOT: i16 = 100;

/// How much speaks for a program, and what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BotScore {
    pub score: i16,
    pub reasons: Vec<&'static str>,
}

impl BotScore {
    #[must_use]
    pub fn is_bot(&self) -> bool {
        self.score >= BOT
    }

    /// Is nothing of it sent? `is_of_bot` in SQL says the same of a visitor.
    #[must_use]
    pub fn is_kept_back(&self) -> bool {
        self.is_bot() && self.reasons != ["prefetch"] && !self.reasons.contains(&ON_THIS_MACHINE)
    }

    fn add(&mut self, score: i16, reason: &'static str) {
        self.score = self.score.saturating_add(score);
        self.reasons.push(reason);
    }
}

/// Words in the user agents of programs that say what they are, in small letters. Not just `bot`: there are phones of
/// that name.
const DECLARED: [(&str, &[&str]); 4] = [
    (
        "crawler",
        &[
            // As a crawler says where one can read about it: `(compatible; ExampleBot/1.0; +https://…)`.
            "+http",
            "adidxbot",
            "adsbot-google",
            "ahrefsbot",
            "amazonbot",
            "anthropic-ai",
            "apis-google",
            "applebot",
            "archive.org_bot",
            "baiduspider",
            "bingbot",
            "bytespider",
            "ccbot/",
            "chatgpt-user",
            "claude-user",
            "claudebot",
            "crawler",
            "discordbot",
            "duckassistbot",
            "duckduckbot",
            "facebookcatalog",
            "facebookexternalhit",
            "feedfetcher-google",
            "google-inspectiontool",
            "google-site-verification",
            "googlebot",
            "googleother",
            "gptbot",
            "ia_archiver",
            "linkedinbot",
            "mediapartners-google",
            "meta-externalagent",
            "meta-externalfetcher",
            "mj12bot",
            "msnbot",
            "oai-searchbot",
            "perplexity-user",
            "perplexitybot",
            "petalbot",
            "pinterestbot",
            "scrapy/",
            "screaming frog",
            "semrushbot",
            "seznambot",
            "skypeuripreview",
            "slackbot",
            "sogou web spider",
            "storebot-google",
            "telegrambot",
            "twitterbot",
            "yahoo! slurp",
            "yandex.com/bots",
        ],
    ),
    (
        "monitor",
        &[
            "better uptime bot",
            "chrome-lighthouse",
            "datadogsynthetics",
            "google page speed",
            "gtmetrix",
            "newrelicpinger",
            "pingdom",
            "ptst/",
            "site24x7",
            "statuscake",
            "uptimerobot",
        ],
    ),
    (
        "headless",
        &["cypress/", "headlesschrome", "htmlunit", "jsdom/", "phantomjs", "playwright", "puppeteer", "slimerjs"],
    ),
    ("link_scanner", &["barracuda", "bingpreview", "microsoftpreview", "mimecast", "proofpoint", "urlscan"]),
];

/// How the user agents of HTTP clients begin.
const CLIENTS: [&str; 20] = [
    "aiohttp/",
    "apache-httpclient",
    "axios/",
    "curl/",
    "faraday ",
    "go-http-client",
    "got ",
    "guzzlehttp",
    "java/",
    "libwww-perl",
    "node",
    "okhttp/",
    "php/",
    "postmanruntime",
    "python-",
    "python/",
    "reqwest/",
    "ruby",
    "undici",
    "wget/",
];

/// What the programs of Google and Microsoft that check ads say they are.
const AD_CHECKERS: [&str; 5] = ["adsbot-google", "mediapartners-google", "google-adwords-", "google-ads-", "adidxbot"];

/// A developer's own test.
const ON_THIS_MACHINE: &str = "on_this_machine";

/// A browser that loads a page which nobody has looked at yet says so in one of these.
const PURPOSES: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];

/// Judges a call by its headers, and by the address that it came from.
#[must_use]
pub fn judge(request: &Request, from: Option<IpAddr>) -> BotScore {
    let (agent, brands) = (said(request, header::USER_AGENT.as_str()), said(request, "sec-ch-ua"));
    let mut found = BotScore::default();
    for (reason, marks) in DECLARED {
        if marks.iter().any(|mark| agent.contains(mark) || brands.contains(mark)) {
            found.add(BOT, reason);
        }
    }
    // The site's own server may call, or pass on what its pages send.
    if CLIENTS.iter().any(|client| agent.starts_with(client)) {
        found.add(50, "http_client");
    }
    if agent.is_empty() {
        found.add(50, "no_user_agent");
    }
    if loads_ahead(request) {
        found.add(BOT, "prefetch");
    }
    // It isn't counted either, but sees what becomes of its leads.
    if found.reasons == ["headless"] && from.is_some_and(|address| address.is_loopback()) {
        found.reasons.push(ON_THIS_MACHINE);
    }
    found
}

/// Is it a program of an ad network that looks whether its ads lead somewhere? It is no visitor, and its click is none.
#[must_use]
pub fn checks_ads(request: &Request) -> bool {
    let agent = said(request, header::USER_AGENT.as_str());
    AD_CHECKERS.iter().any(|checker| agent.contains(checker))
}

/// Does a browser load the page before anybody has asked for it? The same browser may show it later.
#[must_use]
pub fn loads_ahead(request: &Request) -> bool {
    PURPOSES.iter().any(|name| ["prefetch", "preview"].iter().any(|purpose| said(request, name).contains(purpose)))
}

fn said(request: &Request, header: &str) -> String {
    let value = request.headers().get(header);
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;

    use super::*;

    fn judged(headers: &[(&str, &str)]) -> BotScore {
        let mut request = lambda_http::http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        judge(&request.body(Body::Empty).unwrap(), None)
    }

    fn reasons(headers: &[(&str, &str)]) -> Vec<&'static str> {
        let judged = judged(headers);
        if judged.is_bot() { judged.reasons } else { Vec::new() }
    }

    const ORIGIN: (&str, &str) = ("origin", "https://www.example.com");

    #[test]
    fn a_program_that_says_so_is_a_bot() {
        for (agent, reason) in [
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "crawler"),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1) Chrome/126.0 Safari/537.36",
                "crawler",
            ),
            ("AdsBot-Google (+http://www.google.com/adsbot.html)", "crawler"),
            ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0) Chrome/126.0", "crawler"),
            ("facebookexternalhit/1.1", "crawler"),
            ("Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)", "crawler"),
            ("Mozilla/5.0 (compatible; NobodyKnowsIt/0.1; +https://example.com/bot)", "crawler"),
            ("Mozilla/5.0 (Linux; Android 11) Chrome/126.0 Mobile Safari/537.36 Chrome-Lighthouse", "monitor"),
            ("Mozilla/5.0 (compatible; UptimeRobot/2.0)", "monitor"),
            ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/126.0.0.0 Safari/537.36", "headless"),
            ("Mozilla/5.0 (Unknown; Linux) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1", "headless"),
            ("Mozilla/5.0 (Windows NT 6.1) Chrome/103.0 Safari/537.36 BingPreview/1.0b", "link_scanner"),
        ] {
            assert_eq!(reasons(&[("user-agent", agent), ORIGIN]), [reason], "{agent}");
        }
        let hidden = ("sec-ch-ua", "\"HeadlessChrome\";v=\"126\", \"Chromium\";v=\"126\"");
        assert_eq!(reasons(&[("user-agent", "Mozilla/5.0 Chrome/126.0"), hidden]), ["headless"]);
    }

    #[test]
    fn a_test_on_this_machine_is_told_from_other_programs() {
        let judged = |agent: &str, from: &str| {
            let request = lambda_http::http::Request::builder().header("user-agent", agent).body(Body::Empty).unwrap();
            judge(&request, from.parse().ok()).reasons
        };
        let headless = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/126.0.0.0 Safari/537.36";
        assert_eq!(judged(headless, "127.0.0.1"), ["headless", "on_this_machine"]);
        assert_eq!(judged(headless, "203.0.113.7"), ["headless"]);
        assert_eq!(judged("Googlebot/2.1", "127.0.0.1"), ["crawler"]);
    }

    #[test]
    fn a_person_is_none() {
        for agent in [
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 Version/18.6 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Linux; Android 13; CUBOT NOTE 40) AppleWebKit/537.36 Chrome/141.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) [FBAN/FBIOS;FBAV/500.0;FBDV/iPhone15,2]",
            "Mozilla/5.0 (Linux; Android 14; wv) Chrome/141.0 Mobile Safari/537.36 GSA/15.1 Instagram 300.0",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Electron/30.0 Chrome/124.0 Safari/537.36",
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
            "Opera/9.80 (Android; Opera Mini/36.2/191.256; U; en) Presto/2.12.423 Version/12.16",
            "Amazon CloudFront",
            "J\u{fc}rgens Browser",
        ] {
            assert_eq!(judged(&[("user-agent", agent), ORIGIN]), BotScore::default(), "{agent}");
        }
    }

    /// It may be the site's own server.
    #[test]
    fn what_is_not_certain_stays_below() {
        for headers in [&[("user-agent", "node"), ORIGIN][..], &[("user-agent", "curl/8.5.0")], &[], &[ORIGIN]] {
            let found = judged(headers);
            assert_eq!((found.score, found.reasons.len()), (50, 1), "{headers:?}");
        }
    }

    #[test]
    fn a_page_that_nobody_has_looked_at_yet_does_not_count() {
        let agent = ("user-agent", "Mozilla/5.0 Chrome/141.0.0.0");
        for purpose in [
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "prefetch"),
            ("purpose", "prefetch"),
            ("x-purpose", "preview"),
            ("x-moz", "prefetch"),
        ] {
            assert_eq!(reasons(&[agent, purpose]), ["prefetch"], "{purpose:?}");
        }
    }
}
