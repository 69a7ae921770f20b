//! What Google wants to know of a visit that came from an ad of its own: session attributes (Google Ads Help, "About
//! session_attributes"; Data Manager API, `AdIdentifiers.session_attributes`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use url::Url;

use super::address::Parameters;
use super::is_one_of_up_to;
use super::networks::NETWORKS;

/// At most 4,096 characters of base64, base64url, `.` and `=`: as Google's tag encodes them, or as a visit gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionAttributes(String);

/// A page that a click on an ad of Google's led to.
#[derive(Clone, Copy, Debug)]
pub struct Landing<'a> {
    pub url: &'a Url,
    pub referrer: Option<&'a str>,
    pub user_agent: Option<&'a str>,
    pub at: DateTime<Utc>,
}

impl SessionAttributes {
    /// The longest, in characters.
    pub const LIMIT: i32 = 4_096;
    /// See [`super::ClickId::PATTERN`].
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

    /// As they are encoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Those of a visit, as Google's own script makes them; none if it didn't come from an ad of Google's. If they were
    /// too long, the referrer, the query of the URL and the URL are left out, one after the other.
    #[must_use]
    pub fn of(landing: Landing<'_>) -> Option<Self> {
        let Landing { url, referrer, user_agent, at } = landing;
        let of_google =
            |name: &str| name.starts_with("gad_") || NETWORKS[0].parameters.iter().any(|it| it.name == name);
        let parameters = Parameters::of(url.as_str());
        if !parameters.own().any(|(name, value)| of_google(name) && !value.is_empty()) {
            return None;
        }
        let mut attributes = Map::new();
        let mut add = |name: &str, value: &str, longest: usize| {
            let clean: String = value.chars().filter(|c| !c.is_control()).take(longest).collect();
            if !clean.is_empty() && !attributes.contains_key(name) {
                attributes.insert(name.to_owned(), clean.into());
            }
        };
        for (name, value) in parameters.own().filter(|(name, _)| name.starts_with("gad_") && name.len() <= 40).take(16)
        {
            add(name, value, 512);
        }
        add("session_start_time_usec", &at.timestamp_micros().to_string(), 32);
        add("landing_page_user_agent", user_agent.unwrap_or_default(), 512);
        add("landing_page_url", url.as_str(), usize::MAX);
        add("landing_page_referrer", referrer.unwrap_or_default(), usize::MAX);

        let mut bare = url.clone();
        bare.set_query(None);
        bare.set_fragment(None);
        encode(&attributes)
            .or_else(|| encode(without(&mut attributes, "landing_page_referrer")))
            .or_else(|| {
                attributes.insert("landing_page_url".into(), bare.as_str().into());
                encode(&attributes)
            })
            .or_else(|| encode(without(&mut attributes, "landing_page_url")))
    }
}

fn without<'a>(attributes: &'a mut Map<String, Value>, name: &str) -> &'a Map<String, Value> {
    attributes.remove(name);
    attributes
}

fn encode(attributes: &Map<String, Value>) -> Option<SessionAttributes> {
    SessionAttributes::parse(&URL_SAFE_NO_PAD.encode(serde_json::to_vec(attributes).ok()?)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(url: &str, referrer: &str) -> Option<Value> {
        let url = Url::parse(url).unwrap();
        let at = DateTime::from_timestamp(1_795_176_000, 0).unwrap();
        let landing = Landing { url: &url, referrer: Some(referrer), user_agent: Some("Mozilla/5.0"), at };
        let encoded = SessionAttributes::of(landing)?;
        assert!(encoded.as_str().len() <= 4_096);
        Some(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded.as_str()).unwrap()).unwrap())
    }

    #[test]
    fn a_visit_from_an_ad_says_where_when_and_with_what() {
        let url =
            "https://www.example.com/lp?gad_source=1&gad_campaignid=77&gclid=Ab-1&x=%C3%BC&gad_source=2&gad_new=n";
        assert_eq!(
            of(url, "https://www.google.com/"),
            Some(json!({
                "gad_source": "1", "gad_campaignid": "77", "gad_new": "n",
                "session_start_time_usec": "1795176000000000", "landing_page_url": url,
                "landing_page_referrer": "https://www.google.com/", "landing_page_user_agent": "Mozilla/5.0",
            }))
        );
        let routed = of("https://www.example.com/#/lp?gad_source=1", "").unwrap();
        assert_eq!((&routed["gad_source"], routed.get("landing_page_referrer")), (&json!("1"), None));
    }

    #[test]
    fn any_other_visit_has_none() {
        for query in ["", "?utm_source=google", "?fbclid=x", "?gclid=", "?xgad_source=1", "#gclid"] {
            assert_eq!(of(&format!("https://www.example.com/{query}"), "https://www.google.com/"), None, "{query}");
        }
    }

    #[test]
    fn what_is_too_long_is_left_out_and_the_rest_stays() {
        let long = "x".repeat(3_000);
        let of = |url: &str, referrer: &str| of(&format!("https://www.example.com/{url}"), referrer).unwrap();

        let it = of("lp?gad_source=1", &long);
        let without_referrer = (it.get("landing_page_referrer"), &it["landing_page_url"]);
        assert_eq!(without_referrer, (None, &json!("https://www.example.com/lp?gad_source=1")));
        let it = of(&format!("lp?gad_source=1&x={long}"), &long);
        assert_eq!(
            (it.get("landing_page_referrer"), &it["landing_page_url"]),
            (None, &json!("https://www.example.com/lp"))
        );
        let it = of(&format!("{long}?gad_source=1"), &long);
        assert_eq!((it.get("landing_page_url"), &it["gad_source"]), (None, &json!("1")));
    }
}
