//! Where a visitor came from: first-touch UTMs and the newest click on an ad of each network.

mod address;
mod clicks;
mod cookie;
pub mod linker;
pub mod networks;
mod page;
mod session;
mod site;
mod spelling;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::absent::is_nothing;
use address::Parameters;
pub use clicks::{Click, Clicks};
use networks::{Kind, Parameter};
pub use page::Page;
pub use session::{Landing, SessionAttributes};
pub use site::Site;

/// The longest UTM kept, in characters. What is longer is cut.
pub const UTM_LIMIT: usize = 512;

/// The longest time that a click counts at any platform: the lifetime of the cookie, and how long deals wait for leads.
pub const CLICK_COUNTS: TimeDelta = TimeDelta::days(90);

/// A click id of Google's exactly as it was issued: one changed byte makes it invalid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(try_from = "String")]
#[sqlx(transparent)]
pub struct ClickId(String);

impl ClickId {
    /// The longest, in characters.
    pub const LIMIT: i32 = 512;
    /// The same rule as [`ClickId::parse`], for SQL: the site may have written the columns itself.
    pub const PATTERN: &str = "^[A-Za-z0-9_-]+$";

    /// # Errors
    /// If it isn't a click id; the text says what one consists of.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if is_one_of_up_to(text, Self::LIMIT, known) {
            Ok(Self(text.into()))
        } else {
            Err(format!("must be 1 to {} letters, digits, hyphens or underscores", Self::LIMIT))
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClickId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

fn is_one_of_up_to(text: &str, limit: i32, known: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && i32::try_from(text.len()).is_ok_and(|length| length <= limit) && text.bytes().all(known)
}

/// The five UTMs of one touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Utm {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl Utm {
    /// Is none of them set?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A text of an address as it is kept: without control characters, and cut. None if it says nothing.
fn text(written: &str) -> Option<String> {
    let clean: String = written.chars().filter(|c| !c.is_control()).take(UTM_LIMIT).collect();
    (!is_nothing(&clean)).then_some(clean)
}

/// What Google adds to the address of an ad besides the click: it stays where a redirect or a browser takes the click.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdMarks {
    /// `gad_source`
    pub source: Option<String>,
    /// `gad_campaignid`
    pub campaign_id: Option<String>,
}

impl AdMarks {
    /// Of a landing page's address.
    #[must_use]
    pub fn of_address(address: &str) -> Self {
        let parameters = Parameters::of(address);
        let first = |name: &str| parameters.own_values(name).find_map(text);
        Self { source: first("gad_source"), campaign_id: first("gad_campaignid") }
    }
}

/// What is known about where a visitor came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribution {
    /// The first UTMs seen; later ones don't replace them.
    pub utm: Utm,
    pub clicks: Clicks,
}

impl Attribution {
    /// Reads the address of a page, or a part of one: its query, then what a router in the browser has behind the `#`,
    /// however the click is spelled there; else the click that Google's tag handed on, which alone has a time. What
    /// can't be a click id is ignored rather than rejected: the visitor didn't write it.
    #[must_use]
    pub fn of_address(address: &str, now: DateTime<Utc>) -> Self {
        let parameters = Parameters::of(address);
        let first = |name: &str| parameters.own_values(name).find_map(text);
        let exact = |it: &Parameter| parameters.values(it.name).find_map(|value| it.read(value));
        let value = |it: &Parameter| if it.kind == Kind::Detail { first(it.name) } else { exact(it) };
        let clicks = Clicks::read(now, |it| it.is_in_url.then(|| value(it)).flatten());
        let handed_on = || parameters.values("_gl").find_map(linker::handed_on);
        Self {
            utm: Utm {
                source: first("utm_source"),
                medium: first("utm_medium"),
                campaign: first("utm_campaign"),
                term: first("utm_term"),
                content: first("utm_content"),
            },
            clicks: clicks.or_google(handed_on, now),
        }
    }

    /// This touch after an earlier one: the earlier UTMs stay, and the newer click of each network wins.
    #[must_use]
    pub fn after(self, earlier: Self) -> Self {
        let utm = if earlier.utm.is_empty() { self.utm } else { earlier.utm };
        Self { utm, clicks: earlier.clicks.merged(self.clicks) }
    }

    /// With clicks that were seen elsewhere.
    #[must_use]
    pub fn with(self, seen: Clicks) -> Self {
        Self { clicks: self.clicks.merged(seen), ..self }
    }

    /// See [`Clicks::dated`].
    #[must_use]
    pub fn dated(self, now: DateTime<Utc>) -> Self {
        Self { clicks: self.clicks.dated(now), ..self }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn touch(query: &str, minute: i64) -> Attribution {
        let address = format!("https://www.example.com/lp?{query}");
        Attribution::of_address(&address, at(minute)).dated(at(minute))
    }

    #[test]
    fn reads_click_ids_and_utms() {
        let it = touch("gclid=EAIa-Q_1&gad_source=1&utm_source=google&utm_campaign=m%C3%BCnchen+nord&utm_term=", 0);
        assert_eq!(it.utm.source.as_deref(), Some("google"));
        assert_eq!(it.utm.campaign.as_deref(), Some("münchen nord"));
        assert_eq!(it.utm.term, None);
        assert_eq!(touch("utm_campaign=M%FCnchen", 0).utm.campaign.as_deref(), Some("München"));
        let click = it.clicks.get("google").unwrap();
        assert_eq!(click.get("gclid"), Some("EAIa-Q_1"));
        assert_eq!(click.get("gad_source"), Some("1"));
    }

    #[test]
    fn what_cannot_be_a_click_id_is_left_out() {
        let long = "a".repeat(513);
        for junk in ["gclid=%00", "gclid=a%20b", "gclid=", "gclid={gclid}", &format!("gclid={long}")] {
            assert_eq!(touch(junk, 0).clicks, Clicks::default(), "{junk}");
        }
        assert!(touch(&format!("gclid={}", "a".repeat(512)), 0).clicks.has_click());
    }

    #[test]
    fn a_router_may_have_them_behind_the_hash() {
        for routed in
            ["#/lp?gclid=Ab-1_x&utm_source=google", "#gclid=Ab-1_x&utm_source=google", "#!/lp?a=b&gclid=Ab-1_x"]
        {
            let it = Attribution::of_address(&format!("https://www.example.com/{routed}"), at(0));
            assert_eq!(it.clicks.get("google").unwrap().get("gclid"), Some("Ab-1_x"), "{routed}");
        }
        let both = "https://www.example.com/?gclid=query#/lp?gclid=hash&gbraid=only";
        let click = Attribution::of_address(both, at(0)).clicks.get("google").unwrap().clone();
        assert_eq!((click.get("gclid"), click.get("gbraid")), (Some("query"), Some("only")));
        for other in ["#section", "#:~:text=gclid", "#/lp?gclid=a%20b", "#/lp/gclid"] {
            let it = Attribution::of_address(&format!("https://www.example.com/{other}"), at(0));
            assert_eq!(it, Attribution::default(), "{other}");
        }
    }

    #[test]
    fn the_first_utms_stay_and_the_newest_click_wins() {
        let first = touch("gclid=one&utm_source=google", 0);
        let later = touch("gbraid=two&utm_source=bing", 5).after(first.clone());
        assert_eq!(later.utm.source.as_deref(), Some("google"));
        let click = later.clicks.get("google").unwrap();
        assert_eq!((click.get("gclid"), click.get("gbraid")), (None, Some("two")));
        assert_eq!(touch("page=2", 9).after(later.clone()), later);
        assert_eq!(touch("utm_source=bing", 1).after(touch("gclid=one", 0)).utm.source.as_deref(), Some("bing"));
    }

    #[test]
    fn a_reload_does_not_make_a_click_younger() {
        let reloaded = touch("gclid=one", 60).after(touch("gclid=one", 0));
        assert_eq!(reloaded.clicks.get("google").unwrap().at, Some(at(0)));
    }
}
