//! Where a visitor came from: first-touch UTMs and the newest click on an ad.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use url::Url;

/// The longest UTM kept, in characters. What is longer is cut.
pub const UTM_LIMIT: usize = 512;

/// The longest time that a click counts at any platform: the lifetime of the cookie, and how long deals wait for leads.
pub const CLICK_COUNTS: TimeDelta = TimeDelta::days(90);

/// A click id (gclid, gbraid, wbraid) exactly as the platform issued it: one changed byte makes it invalid.
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

/// One click on an ad, with at least one id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Click {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gclid: Option<ClickId>,
    /// Google's click id for clicks from the web into an app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gbraid: Option<ClickId>,
    /// Google's click id for clicks from an app into the web.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wbraid: Option<ClickId>,
    /// Google's hint at the network that showed the ad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gad_source: Option<String>,
    /// Google's campaign id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gad_campaignid: Option<String>,
    /// When it was first seen.
    pub at: DateTime<Utc>,
}

impl Click {
    /// A click with these ids (gclid, gbraid, wbraid); none without any.
    #[must_use]
    pub fn of([gclid, gbraid, wbraid]: [Option<ClickId>; 3], at: DateTime<Utc>) -> Option<Self> {
        let clicked = gclid.is_some() || gbraid.is_some() || wbraid.is_some();
        clicked.then_some(Self { gclid, gbraid, wbraid, gad_source: None, gad_campaignid: None, at })
    }

    /// Its ids: gclid, gbraid, wbraid.
    #[must_use]
    pub fn ids(&self) -> [Option<&str>; 3] {
        [&self.gclid, &self.gbraid, &self.wbraid].map(|id| id.as_ref().map(ClickId::as_str))
    }

    /// Has it the same ids? The time is ignored.
    #[must_use]
    pub fn is_same_click(&self, other: &Self) -> bool {
        self.ids() == other.ids()
    }
}

/// What Google's tag captures of a visit in the browser, encoded by the tag and passed on as it is: at most 4,096
/// characters of base64, base64url, `.` and `=` (Data Manager API, `AdIdentifiers.session_attributes`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionAttributes(String);

impl SessionAttributes {
    /// The longest, in characters.
    pub const LIMIT: i32 = 4_096;
    /// See [`ClickId::PATTERN`].
    pub const PATTERN: &str = "^[A-Za-z0-9._=+/-]+$";

    /// # Errors
    /// If the text is too long or has other characters; it says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known = |c: u8| c.is_ascii_alphanumeric() || b"._-=+/".contains(&c);
        if is_one_of_up_to(text, Self::LIMIT, known) {
            Ok(Self(text.into()))
        } else {
            Err(format!("must be at most {} letters, digits and . _ - = + /, as Google's tag gives them", Self::LIMIT))
        }
    }

    /// As the tag encoded them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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

/// What is known about where a visitor came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attribution {
    /// The first UTMs seen; later ones don't replace them.
    #[serde(skip_serializing_if = "Utm::is_empty")]
    pub utm: Utm,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click: Option<Click>,
}

impl Attribution {
    /// Reads a landing page's URL. An invalid click id is ignored rather than rejected: the visitor didn't write it.
    #[must_use]
    pub fn from_url(url: &Url, now: DateTime<Utc>) -> Self {
        let first = |name: &str| {
            let found = url.query_pairs().find(|(key, value)| key == name && !value.is_empty())?.1;
            let clean: String = found.chars().filter(|c| !c.is_control()).take(UTM_LIMIT).collect();
            (!clean.is_empty()).then_some(clean)
        };
        // Not decoded: a click id has no character that a query string would encode.
        let click_id = |name: &str| {
            let value = url.query_pairs().find(|(key, value)| key == name && !value.is_empty())?.1;
            ClickId::parse(&value).ok()
        };
        let click = Click::of(["gclid", "gbraid", "wbraid"].map(click_id), now);
        Self {
            utm: Utm {
                source: first("utm_source"),
                medium: first("utm_medium"),
                campaign: first("utm_campaign"),
                term: first("utm_term"),
                content: first("utm_content"),
            },
            click: click.map(|click| Click {
                gad_source: first("gad_source"),
                gad_campaignid: first("gad_campaignid"),
                ..click
            }),
        }
    }

    /// This touch after an earlier one: the earlier UTMs stay, the newer click wins. The same click seen again (a
    /// reload) keeps its first time, which is the one its age is counted from.
    #[must_use]
    pub fn after(self, earlier: Self) -> Self {
        let click = match (self.click, earlier.click) {
            (Some(new), Some(old)) if new.is_same_click(&old) => Some(old),
            (Some(new), Some(old)) => Some(if new.at >= old.at { new } else { old }),
            (new, old) => new.or(old),
        };
        Self { utm: if earlier.utm.is_empty() { self.utm } else { earlier.utm }, click }
    }

    /// As a cookie value. If it were longer than browsers keep, it has only the click ids; the database has the rest.
    #[must_use]
    pub fn to_cookie(&self) -> String {
        let encode = |it: &Self| URL_SAFE_NO_PAD.encode(serde_json::to_vec(it).unwrap_or_default());
        let whole = encode(self);
        if whole.len() <= 3_500 {
            return whole;
        }
        let click = self.click.clone().map(|click| Click { gad_source: None, gad_campaignid: None, ..click });
        encode(&Self { utm: Utm::default(), click })
    }

    /// From a cookie value; empty if it was tampered with. A click time is limited to `now`, because a later one would
    /// always be the newest.
    #[must_use]
    pub fn from_cookie(value: &str, now: DateTime<Utc>) -> Self {
        let decoded = URL_SAFE_NO_PAD.decode(value).ok();
        let read: Option<Self> = decoded.and_then(|json| serde_json::from_slice(&json).ok());
        let mut it = read.filter(Self::is_plausible).unwrap_or_default();
        if let Some(click) = &mut it.click {
            click.at = click.at.min(now);
        }
        it
    }

    fn is_plausible(&self) -> bool {
        let Utm { source, medium, campaign, term, content } = &self.utm;
        let click = self.click.as_ref();
        let texts = [source, medium, campaign, term, content]
            .into_iter()
            .chain(click.map(|c| &c.gad_source))
            .chain(click.map(|c| &c.gad_campaignid))
            .flatten();
        texts.into_iter().all(|text| text.chars().count() <= UTM_LIMIT && !text.chars().any(char::is_control))
            && click.is_none_or(|c| c.ids() != [None; 3] && c.at >= DateTime::UNIX_EPOCH)
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
        Attribution::from_url(&Url::parse(&format!("https://www.example.com/lp?{query}")).unwrap(), at(minute))
    }

    #[test]
    fn reads_click_ids_and_utms() {
        let it = touch("gclid=EAIa-Q_1&gad_source=1&utm_source=google&utm_campaign=m%C3%BCnchen+nord&utm_term=", 0);
        assert_eq!(it.utm.source.as_deref(), Some("google"));
        assert_eq!(it.utm.campaign.as_deref(), Some("münchen nord"));
        assert_eq!(it.utm.term, None);
        let click = it.click.unwrap();
        assert_eq!(click.gclid.unwrap().as_str(), "EAIa-Q_1");
        assert_eq!(click.gad_source.as_deref(), Some("1"));
    }

    #[test]
    fn what_cannot_be_a_click_id_is_left_out() {
        let long = "a".repeat(513);
        for junk in ["gclid=%00", "gclid=a%20b", "gclid=", "gclid={gclid}", &format!("gclid={long}")] {
            assert_eq!(touch(junk, 0).click, None, "{junk}");
        }
        assert!(touch(&format!("gclid={}", "a".repeat(512)), 0).click.is_some());
    }

    #[test]
    fn the_first_utms_stay_and_the_newest_click_wins() {
        let first = touch("gclid=one&utm_source=google", 0);
        let later = touch("gbraid=two&utm_source=bing", 5).after(first.clone());
        assert_eq!(later.utm.source.as_deref(), Some("google"));
        let click = later.click.clone().unwrap();
        assert_eq!((click.gclid, click.gbraid.unwrap().as_str()), (None, "two"));
        assert_eq!(touch("page=2", 9).after(later.clone()), later);
        assert_eq!(touch("utm_source=bing", 1).after(touch("gclid=one", 0)).utm.source.as_deref(), Some("bing"));
    }

    #[test]
    fn a_reload_does_not_make_a_click_younger() {
        let reloaded = touch("gclid=one", 60).after(touch("gclid=one", 0));
        assert_eq!(reloaded.click.unwrap().at, at(0));
    }

    #[test]
    fn the_cookie_brings_back_what_was_put_in() {
        let it = touch("gclid=one&utm_source=google&gad_campaignid=7", 3);
        assert_eq!(Attribution::from_cookie(&it.to_cookie(), at(9)), it);
    }

    #[test]
    fn a_cookie_somebody_tampered_with_is_no_attribution() {
        let forged = |json: &str| Attribution::from_cookie(&URL_SAFE_NO_PAD.encode(json), at(0));
        for json in [
            r#"{"click":{"gclid":"a b","at":"2026-01-01T00:00:00Z"}}"#,
            r#"{"click":{"at":"2026-01-01T00:00:00Z"}}"#,
            r#"{"utm":{"source":"a\u0000b"}}"#,
            r#"{"click":{"gclid":"a","at":"-262143-01-01T00:00:00Z"}}"#,
            r#"{"utm":{"source":7}}"#,
            "{",
        ] {
            assert_eq!(forged(json), Attribution::default(), "{json}");
        }
        assert_eq!(Attribution::from_cookie("%%%", at(0)), Attribution::default());
    }

    #[test]
    fn the_cookie_stays_below_what_browsers_keep() {
        let long = "x".repeat(UTM_LIMIT);
        let query: String =
            ["source", "medium", "campaign", "term", "content"].map(|n| format!("utm_{n}={long}&")).concat();
        let it = touch(&format!("{query}gclid={}", "g".repeat(512)), 0);
        assert!(it.to_cookie().len() < 3_600);
        assert_eq!(Attribution::from_cookie(&it.to_cookie(), at(0)).click, it.click);

        let hints = "😀".repeat(UTM_LIMIT);
        let ids = ["gclid", "gbraid", "wbraid"].map(|name| format!("{name}={}&", "g".repeat(512))).concat();
        let it = touch(&format!("{ids}gad_source={hints}&gad_campaignid={hints}"), 0);
        assert!(it.to_cookie().len() < 3_600);
        assert!(Attribution::from_cookie(&it.to_cookie(), at(0)).click.unwrap().is_same_click(&it.click.unwrap()));
    }

    #[test]
    fn a_cookie_cannot_claim_a_click_newer_than_now() {
        for claimed in [9, i64::from(u32::MAX)] {
            let cookie = touch("gclid=forged", claimed).to_cookie();
            assert_eq!(Attribution::from_cookie(&cookie, at(5)).click.unwrap().at, at(5));
        }
    }
}
