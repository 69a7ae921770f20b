//! Is the tag on the page, once, and is it what its address answers?

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use futures_util::{StreamExt as _, stream};
use ring::digest;
use url::Url;

use super::arrival::shown;
use super::page::{Page, Script, is_javascript};
use crate::doctor::call::{Answer, send_reading};
use crate::doctor::cookies::is_same_site;
use crate::doctor::report::{Report, sentence};

const NAME: &str = "site.tag";
const FILE: &str = "site.tag.file";
const INTEGRITY: &str = "site.tag.integrity";

/// The line that belongs on the page.
const LINE: &str = "<script async src=\"https://www.example.com/t.js\"></script>";
/// What the file has in it, and no other script of this size has together.
const MARKS: [&str; 3] = ["adtrail", "generate_lead", "keepalive"];
/// Bytes. It has a tenth of it.
const LARGEST: usize = 32 * 1024;
const PASS_ON: &str = "Let this address lead to Adtrail: docs/website.md has the lines for CloudFront, Vercel, Netlify, \
                       Cloudflare and nginx.";
/// How many of a page's scripts are looked at, and how many of them at once.
const MOST_SCRIPTS: usize = 40;
const AT_ONCE: usize = 6;
/// For all of them: some never answer.
const SEARCH: Duration = Duration::from_secs(45);

/// The tag as it was found.
pub(super) struct Tag {
    pub url: Url,
    /// None if it isn't in the page's HTML.
    pub script: Option<Script>,
}

/// What a script's address answered.
struct File {
    url: Url,
    answer: Result<Answer, (String, String)>,
}

impl File {
    fn is_tag(&self) -> bool {
        let Ok(Answer { status: 200, body, .. }) = &self.answer else { return false };
        let text = String::from_utf8_lossy(body);
        body.len() < LARGEST && MARKS.iter().all(|mark| text.contains(mark))
    }
}

/// None, with a finding, if there is no tag to go on with.
pub(super) async fn check(http: &reqwest::Client, page: &Page, given: Option<Url>, report: &mut Report) -> Option<Tag> {
    let Some(mut files) = search(http, page, given.as_ref()).await else {
        report.error(NAME, "The page's scripts don't answer in time.", "Run it again, or say --tag, where the tag is.");
        return None;
    };
    let at = files
        .iter()
        .position(File::is_tag)
        .or_else(|| files.iter().position(|file| is_meant(&file.url, given.as_ref())));
    let Some(at) = at else {
        not_found(page, report);
        return None;
    };
    let file = files.swap_remove(at);
    let scripts: Vec<_> = page.scripts.iter().filter(|script| is_at(&script.url, &file.url)).collect();
    let is_twice = scripts.len() + files.iter().filter(|other| other.is_tag()).count() > 1;
    if is_twice {
        let problem = "The tag is on the page more than once. It runs once, but each further copy costs time.";
        report.warn(NAME, problem, "Leave one; look at the theme, at plug-ins and at the tag manager.");
    }
    let tag = Tag { script: scripts.first().map(|it| (*it).clone()), url: file.url.clone() };
    if let Some(script) = &tag.script {
        check_element(page, script, report);
    }
    let seen = if tag.script.is_some() { "is on the page" } else { "isn't in the HTML; --tag says where it is" };
    report.right_unless_found(NAME, format!("{} {seen}", shown(&tag.url)));
    check_file(page, &tag, &file, report).then_some(tag)
}

/// Scripts whose names say that they are the tag first, then others of the same site.
async fn search(http: &reqwest::Client, page: &Page, given: Option<&Url>) -> Option<Vec<File>> {
    let mut urls: Vec<Url> = given.into_iter().cloned().collect();
    let named = page.scripts.iter().filter(|script| is_named(script));
    let of_site = page.scripts.iter().filter(|script| is_same_site(&page.url, &script.url));
    for script in named.chain(of_site).filter(|_| given.is_none()) {
        if !urls.iter().any(|url| is_at(url, &script.url)) {
            urls.push(script.url.clone());
        }
    }
    urls.truncate(MOST_SCRIPTS);
    let files = stream::iter(urls).map(async |url| {
        let request = http.get(url.clone()).header("origin", page.origin()).header("referer", page.origin());
        File { answer: send_reading(request, LARGEST).await, url }
    });
    tokio::time::timeout(SEARCH, files.buffered(AT_ONCE).collect()).await.ok()
}

fn is_at(one: &Url, other: &Url) -> bool {
    let bare = |url: &Url| {
        let mut url = url.clone();
        url.set_fragment(None);
        url
    };
    bare(one) == bare(other)
}

fn is_named(script: &Script) -> bool {
    is_meant(&script.url, None) || ["data-ga4", "data-ads"].iter().any(|name| script.attribute(name).is_some())
}

/// The one that was given, or one with the tag's usual name.
fn is_meant(url: &Url, given: Option<&Url>) -> bool {
    given.map_or_else(|| url.path().ends_with("/t.js"), |given| given == url)
}

fn not_found(page: &Page, report: &mut Report) {
    let has_manager =
        page.loads("www.googletagmanager.com/gtm.js") || page.inline.contains("googletagmanager.com/gtm.js");
    let adds_it = page.inline.contains("adtrail") || page.inline.contains("/t.js");
    if has_manager || adds_it {
        let by = if has_manager { "Google Tag Manager" } else { "a script" };
        let problem = format!("The tag isn't in the page's HTML. If {by} adds it, that can't be seen here");
        let fix = "Say where it is with --tag https://www.example.com/t.js, or better put its line into the HTML, where \
                   it runs earlier.";
        report.warn(NAME, sentence(&problem), fix);
    } else {
        let problem = "The tag isn't on the page: none of the scripts in its HTML is it.";
        report.error(NAME, problem, format!("Put this line into its head, with the address of the tag: {LINE}"));
    }
}

fn check_element(page: &Page, script: &Script, report: &mut Report) {
    if !script.runs() {
        let kind = crate::visible::short(script.attribute("type").unwrap_or("no src")).into_owned();
        let problem =
            format!("The browser doesn't run the tag by itself ({kind}): a consent tool or an optimiser does.");
        let fix = "Exempt it there. It must see the address before anything changes it, and knows what to do without \
                   consent.";
        report.warn(NAME, problem, fix);
    } else if script.attribute("type").is_some_and(|kind| kind.trim().eq_ignore_ascii_case("module")) {
        let problem = "The tag is loaded as a module, and can't know its own address.";
        report.error(NAME, problem, "Leave type=\"module\" out.");
    }
    if script.attribute("data-ga4").is_some_and(|it| it != "gtag") {
        report.warn(NAME, "data-ga4 has a value that means nothing.", "Write data-ga4=\"gtag\", or leave it out.");
    }
    let is_label = |text: &str| {
        let parts = text.strip_prefix("AW-").and_then(|rest| rest.split_once('/'));
        parts.is_some_and(|(id, label)| !id.is_empty() && id.bytes().all(|c| c.is_ascii_digit()) && !label.is_empty())
    };
    if script.attribute("data-ads").is_some_and(|it| !is_label(it)) {
        let problem = "data-ads isn't what Google Ads shows as send_to.";
        report.warn(NAME, problem, "Write it as data-ads=\"AW-123456789/AbCdEfGhIj\".");
    }
    let needs_google = ["data-ga4", "data-ads"].iter().any(|name| script.attribute(name).is_some());
    let has_google = page.loads("www.googletagmanager.com/")
        || ["googletagmanager.com/", "gtag("].iter().any(|mark| page.inline.contains(mark));
    if needs_google && !has_google {
        let problem = "data-ga4 or data-ads hands events to Google's tag, which isn't in the page's HTML.";
        report.warn(NAME, problem, "Put Google's tag on the page, or leave the attributes out.");
    }
}

/// False if it isn't the tag, so that there is nothing to go on with.
fn check_file(page: &Page, tag: &Tag, file: &File, report: &mut Report) -> bool {
    let address = shown(&tag.url);
    let answer = match &file.answer {
        Ok(answer) => answer,
        Err((problem, fix)) => {
            report.error(FILE, format!("{address} can't be reached. {problem}"), fix.as_str());
            return false;
        }
    };
    if answer.status != 200 {
        report.error(FILE, format!("{address} answers with status {}.", answer.status), PASS_ON);
        return false;
    }
    let kind = answer.header("content-type");
    if !file.is_tag() {
        let what = if is_javascript(kind) { "another script" } else { "something else, maybe the site's own page" };
        report.error(FILE, format!("{address} answers with {what}."), PASS_ON);
        return false;
    }
    if !is_javascript(kind) {
        let problem = format!("{address} has the content type {kind:?}, so browsers don't run it.");
        report.error(FILE, problem, "Let what is in front of it pass the content type on.");
    }
    if page.url.scheme() == "https" && tag.url.scheme() == "http" {
        report.error(FILE, format!("{address} comes without TLS, so browsers don't load it."), "Write https://.");
    }
    check_crossing(page, tag, answer, report);
    report.right_unless_found(FILE, format!("{} bytes, {kind}", answer.body.len()));
    match tag.script.as_ref().and_then(|script| script.attribute("integrity")) {
        Some(integrity) => check_integrity(integrity, &answer.body, report),
        None => report.right(INTEGRITY, "the element has no integrity attribute"),
    }
    true
}

/// What browsers ask of a script of another origin.
fn check_crossing(page: &Page, tag: &Tag, answer: &Answer, report: &mut Report) {
    if page.url.origin() == tag.url.origin() {
        return;
    }
    let attribute = |name| tag.script.as_ref().and_then(|script| script.attribute(name));
    let mode = attribute("crossorigin").map(str::to_ascii_lowercase);
    let allowed = answer.header("access-control-allow-origin");
    let with_cookies = mode.as_deref() == Some("use-credentials");
    let is_readable = if with_cookies {
        allowed == page.origin() && answer.header("access-control-allow-credentials") == "true"
    } else {
        allowed == "*" || allowed == page.origin()
    };
    if attribute("integrity").is_some() && mode.is_none() {
        let problem = "The tag is on another origin and has an integrity attribute, but no crossorigin, so browsers \
                       don't run it.";
        report.error(INTEGRITY, problem, "Add crossorigin=\"anonymous\".");
    }
    if mode.is_some() && !is_readable {
        let problem = format!("The tag has crossorigin, but its answer doesn't allow {}.", page.origin());
        let fix = "Leave crossorigin and integrity out, write crossorigin=\"anonymous\", or let what is in front of the \
                   tag pass Access-Control-Allow-Origin on.";
        report.error(FILE, problem, fix);
    }
    if mode.is_none() {
        let policy = answer.header("cross-origin-resource-policy").trim().to_ascii_lowercase();
        let is_refused = policy == "same-origin" || (policy == "same-site" && !is_same_site(&page.url, &tag.url));
        let is_isolated = page.header("cross-origin-embedder-policy").trim().starts_with("require-corp");
        if is_refused || (is_isolated && policy.is_empty()) {
            let problem = "Cross-Origin-Resource-Policy keeps pages of this origin from loading the tag.";
            report.error(FILE, problem, "Let the tag's answer have Cross-Origin-Resource-Policy: cross-origin.");
        }
    }
}

fn check_integrity(attribute: &str, file: &[u8], report: &mut Report) {
    const ALGORITHMS: [(&str, &digest::Algorithm); 3] =
        [("sha512-", &digest::SHA512), ("sha384-", &digest::SHA384), ("sha256-", &digest::SHA256)];
    let hashes =
        |name: &str| attribute.split_ascii_whitespace().filter_map(|it| it.strip_prefix(name)).collect::<Vec<_>>();
    // Only those of the strongest kind count, and one of them must fit.
    let strongest =
        ALGORITHMS.into_iter().map(|(name, algorithm)| (hashes(name), algorithm)).find(|(it, _)| !it.is_empty());
    let Some((hashes, algorithm)) = strongest else {
        let problem = "The integrity attribute has no hash that browsers know, so it protects nothing.";
        return report.warn(INTEGRITY, problem, "Write integrity=\"sha384-…\", or leave it out.");
    };
    let actual = digest::digest(algorithm, file);
    let fits = |hash: &&str| {
        let hash = hash.split('?').next().unwrap_or_default().replace('-', "+").replace('_', "/");
        let bytes = BASE64_STANDARD.decode(&hash).or_else(|_| BASE64_STANDARD_NO_PAD.decode(&hash));
        bytes.is_ok_and(|bytes| bytes == actual.as_ref())
    };
    if hashes.iter().any(fits) {
        return report.right_unless_found(INTEGRITY, "the integrity attribute fits the file");
    }
    let problem = "The integrity attribute doesn't fit the file, so browsers don't run the tag.";
    let now = BASE64_STANDARD.encode(digest::digest(&digest::SHA384, file));
    let fix = format!(
        "Adtrail was updated, or something changes the file on its way: write integrity=\"sha384-{now}\", or leave it out."
    );
    report.error(INTEGRITY, problem, fix);
}
