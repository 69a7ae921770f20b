//! Does the page say what the visitor consented to?

use super::page::Page;
use crate::doctor::report::Report;

const NAME: &str = "site.consent";

/// Consent tools that set Google's Consent Mode, by where their scripts are loaded from.
const TOOLS: [(&str, &str); 14] = [
    ("Cookiebot", "consent.cookiebot.com/"),
    ("Cookiebot", "consent.cookiebot.eu/"),
    ("Usercentrics", "app.usercentrics.eu/"),
    ("Usercentrics", "web.cmp.usercentrics.eu/"),
    ("OneTrust", "cdn.cookielaw.org/"),
    ("CookieYes", "cdn-cookieyes.com/"),
    ("iubenda", "cdn.iubenda.com/"),
    ("iubenda", "cs.iubenda.com/"),
    ("Didomi", "sdk.privacy-center.org/"),
    ("Osano", "cmp.osano.com/"),
    ("Termly", "app.termly.io/"),
    ("consentmanager", "cdn.consentmanager.net/"),
    ("consentmanager", "delivery.consentmanager.net/"),
    ("Axeptio", "static.axept.io/"),
];

/// In the HTML: what a tag manager sets can't be seen.
pub(super) fn check(page: &Page, report: &mut Report) {
    let says = |text: &str| page.inline.contains(text);
    let tool = TOOLS.into_iter().find(|(_, address)| page.loads(address) || says(address));
    if says("\"consent\",\"default\"") {
        report.right(NAME, "Consent Mode has a default");
    } else if says("adtrail.consent(") || says("[\"consent\",{") {
        report.right(NAME, "the page tells the tag itself");
    } else if let Some((tool, _)) = tool {
        report.right(NAME, format!("{tool} is on the page; see that its Google Consent Mode is on"));
    } else {
        let by = if says("GTM-") || page.loads("www.googletagmanager.com/gtm.js") {
            " What Google Tag Manager sets can't be seen here."
        } else {
            ""
        };
        let problem = format!("Nothing in the page's HTML says what the visitor consented to: it stays unknown.{by}");
        let fix = "Set Consent Mode's default before other scripts, or call adtrail.consent(), as docs/website.md says; \
                   else CONSENT_UNKNOWN decides.";
        report.warn(NAME, problem, fix);
    }
}
