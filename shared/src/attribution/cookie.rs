//! The attribution as the value of a cookie.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::networks::NETWORKS;
use super::{Attribution, Click, Clicks, UTM_LIMIT, Utm};

/// The longest that browsers keep, less the name and the attributes.
const LONGEST: usize = 3_500;

/// The version before knows only the click of the first network, at `click`.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Utm::is_empty")]
    utm: &'a Utm,
    #[serde(skip_serializing_if = "Option::is_none")]
    click: Option<Click>,
    #[serde(skip_serializing_if = "Clicks::is_empty")]
    clicks: Clicks,
    /// When, in seconds: browsers don't say how old a cookie is.
    set: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Read {
    utm: Utm,
    click: Value,
    clicks: Map<String, Value>,
    set: Option<i64>,
}

impl Attribution {
    /// As the value of a cookie that is set at this time. If it were longer than browsers keep, it has only the ids of
    /// the clicks, of as many networks as there is room for; the database has the rest.
    #[must_use]
    pub fn to_cookie(&self, set_at: DateTime<Utc>) -> String {
        let encode = |utm: &Utm, clicks: Clicks| encode(utm, clicks, set_at);
        let whole = encode(&self.utm, self.clicks.clone());
        if whole.len() <= LONGEST {
            return whole;
        }
        let (none, mut clicks) = (Utm::default(), self.clicks.clone().only_ids());
        let mut cookie = encode(&none, clicks.clone());
        for network in NETWORKS[1..].iter().rev() {
            if cookie.len() > LONGEST {
                clicks.remove(network.id);
                cookie = encode(&none, clicks.clone());
            }
        }
        cookie
    }

    /// From a cookie value; empty if it was tampered with. No click is later than `now`, because that would always be
    /// the newest.
    #[must_use]
    pub fn from_cookie(value: &str, now: DateTime<Utc>) -> Self {
        let Some(Read { utm, click, mut clicks, .. }) = read(value).filter(|it| is_plausible(&it.utm)) else {
            return Self::default();
        };
        clicks.insert(NETWORKS[0].id.into(), click);
        let clicks: Clicks = serde_json::from_value(Value::Object(clicks)).unwrap_or_default();
        Self { utm, clicks: clicks.only_dated().dated(now) }
    }

    /// When this cookie was set, as it says itself. The version before didn't say it.
    #[must_use]
    pub fn cookie_set_at(value: &str) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(read(value)?.set?, 0)
    }
}

fn read(value: &str) -> Option<Read> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(value).ok()?).ok()
}

fn encode(utm: &Utm, mut clicks: Clicks, set_at: DateTime<Utc>) -> String {
    let click = clicks.remove(NETWORKS[0].id);
    URL_SAFE_NO_PAD
        .encode(serde_json::to_vec(&Written { utm, click, clicks, set: set_at.timestamp() }).unwrap_or_default())
}

fn is_plausible(Utm { source, medium, campaign, term, content }: &Utm) -> bool {
    let mut texts = [source, medium, campaign, term, content].into_iter().flatten();
    texts.all(|text| text.chars().count() <= UTM_LIMIT && !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn touch(query: &str, minute: i64) -> Attribution {
        let address = format!("https://www.example.com/lp?{query}");
        Attribution::of_address(&address, at(minute)).dated(at(minute))
    }

    #[test]
    fn the_cookie_brings_back_what_was_put_in() {
        let it = touch("gclid=one&utm_source=google&gad_campaignid=7", 3);
        assert_eq!(Attribution::from_cookie(&it.to_cookie(at(5)), at(9)), it);
        assert_eq!(Attribution::cookie_set_at(&it.to_cookie(at(5))), Some(at(5)));
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
        assert!(it.to_cookie(at(5)).len() < 3_600);
        assert_eq!(Attribution::from_cookie(&it.to_cookie(at(5)), at(0)).clicks, it.clicks);

        let hints = "😀".repeat(UTM_LIMIT);
        let ids = ["gclid", "gbraid", "wbraid"].map(|name| format!("{name}={}&", "g".repeat(512))).concat();
        let it = touch(&format!("{ids}gad_source={hints}&gad_campaignid={hints}"), 0);
        assert!(it.to_cookie(at(5)).len() < 3_600);
        let read = Attribution::from_cookie(&it.to_cookie(at(5)), at(0)).clicks;
        for id in ["gclid", "gbraid", "wbraid"] {
            assert_eq!(read.get("google").unwrap().get(id), it.clicks.get("google").unwrap().get(id));
        }
    }

    #[test]
    fn a_cookie_cannot_claim_a_click_newer_than_now() {
        for claimed in [9, i64::from(u32::MAX)] {
            let cookie = touch("gclid=forged", claimed).to_cookie(at(5));
            assert_eq!(Attribution::from_cookie(&cookie, at(5)).clicks.get("google").unwrap().at, Some(at(5)));
        }
    }

    #[test]
    fn the_cookie_keeps_the_clicks_of_every_network_and_of_google_if_it_is_full() {
        let it = touch("gclid=one&fbclid=two&msclkid=three&li_fat_id=four&ttclid=E.C.P.five&utm_source=google", 3);
        assert_eq!(Attribution::from_cookie(&it.to_cookie(at(5)), at(9)), it);

        let ids = ["gclid", "gbraid", "wbraid", "fbclid", "msclkid", "li_fat_id", "ttclid"];
        let it = touch(&ids.map(|name| format!("{name}={}&", "x".repeat(512))).concat(), 3);
        let cookie = it.to_cookie(at(5));
        let read = Attribution::from_cookie(&cookie, at(9)).clicks;
        assert!(cookie.len() < 3_600, "{}", cookie.len());
        assert_eq!(read.get("google"), it.clicks.get("google"));
        assert_eq!((read.get("meta"), read.get("tiktok")), (it.clicks.get("meta"), None));
    }

    #[test]
    fn the_version_before_and_this_one_read_each_others_cookies() {
        let before =
            r#"{"utm":{"source":"google"},"click":{"gclid":"one","gad_source":"1","at":"1970-01-01T00:03:00Z"}}"#;
        let read = Attribution::from_cookie(&URL_SAFE_NO_PAD.encode(before), at(9));
        assert_eq!(read, touch("gclid=one&gad_source=1&utm_source=google", 3));
        let written = touch("gclid=one&fbclid=two&utm_source=google", 3).to_cookie(at(5));
        let written: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(written).unwrap()).unwrap();
        assert_eq!(written["click"], json!({"gclid": "one", "at": "1970-01-01T00:03:00Z"}));
        assert_eq!(written["utm"], json!({"source": "google"}));
        assert_eq!(Attribution::cookie_set_at(&URL_SAFE_NO_PAD.encode(before)), None);
    }
}
