//! What Google Analytics takes of an event, so that nothing is sent that it would cut or drop without a word.
//!
//! From "Event collection limits" and "Event naming rules" of its help, and the reference of the Measurement Protocol.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::Transport;
use crate::events;
use crate::platforms::Reason;

/// How long a connection may take to be there. Shorter than the time after a response: whoever gives up earlier can't
/// tell whether an event arrived.
pub(super) const CONNECTING: Duration = Duration::from_secs(2);
/// The parameters of an event, with those that have fields of their own in the Data Manager API.
pub(super) const MOST_PARAMS: usize = events::PARAM_LIMIT;
/// The items of an event.
pub(super) const MOST_ITEMS: usize = 200;
/// The parameters of an item that Google doesn't name. The Measurement Protocol takes 10, and reports up to 27.
pub(super) const MOST_CUSTOM_ITEM_PARAMS: usize = 10;
/// The parameters of an item beside its id, price and quantity.
pub(super) const MOST_ITEM_PARAMS: usize = 24;
/// The events of a request to the Measurement Protocol.
pub(super) const MOST_EVENTS_OF_CLIENT: usize = 25;
/// The body of a request to the Measurement Protocol must be smaller than 130 kB.
pub(super) const LARGEST_BODY: usize = 130_000;
/// How far back Google Analytics takes the time of an event, less an hour for clocks and delays.
const FURTHEST_BACK: TimeDelta = TimeDelta::hours(71);
/// How old an event may be to be sent: an outage of three days loses none.
pub(super) const OLDEST: TimeDelta = TimeDelta::hours(96);

/// The time that Google Analytics is told of an event: its own, or the furthest back that is taken.
pub(super) fn told_at(happened_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    happened_at.max(now - FURTHEST_BACK)
}

/// Why an event is too old to be sent, if it is.
pub(super) fn too_old(happened_at: DateTime<Utc>, now: DateTime<Utc>) -> Option<Reason> {
    let message = format!("The event is older than {} hours.", OLDEST.num_hours());
    (now - happened_at > OLDEST).then(|| Reason::new("too_old", message))
}

/// Names of events that Google Analytics keeps for itself on the web, or for apps. Names that its tag sends by itself,
/// such as `page_view`, aren't among them.
const RESERVED_EVENTS: [&str; 35] = [
    "ad_activeview",
    "ad_click",
    "ad_exposure",
    "ad_impression",
    "ad_query",
    "ad_reward",
    "adunit_exposure",
    "app_background",
    "app_clear_data",
    "app_exception",
    "app_install",
    "app_remove",
    "app_store_refund",
    "app_store_subscription_cancel",
    "app_store_subscription_convert",
    "app_store_subscription_renew",
    "app_update",
    "app_upgrade",
    "dynamic_link_app_open",
    "dynamic_link_app_update",
    "dynamic_link_first_open",
    "error",
    "first_open",
    "first_visit",
    "in_app_purchase",
    "notification_dismiss",
    "notification_foreground",
    "notification_open",
    "notification_receive",
    "notification_send",
    "os_update",
    "screen_view",
    "session_start",
    "session_start_with_rollout",
    "user_engagement",
];

/// What no name begins with.
const RESERVED_PREFIXES: [&str; 5] = ["_", "firebase_", "ga_", "google_", "gtag."];

/// What Google names of an item.
const ITEM_PARAMS: [&str; 20] = [
    "affiliation",
    "coupon",
    "creative_name",
    "creative_slot",
    "currency",
    "discount",
    "index",
    "item_brand",
    "item_category",
    "item_category2",
    "item_category3",
    "item_category4",
    "item_category5",
    "item_list_id",
    "item_list_name",
    "item_name",
    "item_variant",
    "location_id",
    "promotion_id",
    "promotion_name",
];

/// Does Google Analytics refuse events of this name from others than its own tag?
pub(super) fn is_reserved_event(name: &str) -> bool {
    RESERVED_EVENTS.contains(&name) || has_reserved_prefix(name)
}

/// Can a parameter of an event or an item be called so?
pub(super) fn is_param(name: &str) -> bool {
    events::name(name).is_ok() && !has_reserved_prefix(name)
}

pub(super) fn is_known_of_item(name: &str) -> bool {
    ITEM_PARAMS.contains(&name)
}

fn has_reserved_prefix(name: &str) -> bool {
    RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The longest value of a parameter. The Data Manager API makes no exceptions for pages that we know of.
pub(super) fn longest_value(name: &str, transport: Transport) -> usize {
    match (transport, name) {
        (Transport::MeasurementProtocol, "page_location") => 1_000,
        (Transport::MeasurementProtocol, "page_referrer") => 420,
        (Transport::MeasurementProtocol, "page_title") => 300,
        _ => 100,
    }
}

/// A text cut to this length, as JavaScript counts it: a character beyond the basic plane counts twice.
pub(super) fn cut(text: &str, longest: usize) -> &str {
    let mut length = 0;
    let end = text.char_indices().find(|(_, c)| {
        length += c.len_utf16();
        length > longest
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// The address of a page, cut to this length. What is too long loses its query first: half of one says less than none.
pub(super) fn cut_url(url: &str, longest: usize) -> &str {
    if cut(url, longest).len() == url.len() {
        return url;
    }
    cut(url.split(['?', '#']).next().unwrap_or_default(), longest)
}

/// Is there an e-mail address in it? Google Analytics must not be told any, and cuts them out only of what its own tag
/// sends.
pub(super) fn has_address(text: &str) -> bool {
    let text = text.replace("%40", "@");
    let is_host = |c: char| c.is_alphanumeric() || c == '.' || c == '-';
    text.match_indices('@').any(|(at, _)| {
        let host = text[at + 1..].split(|c| !is_host(c)).next().unwrap_or_default();
        text[..at].ends_with(|c: char| c.is_alphanumeric() || "._%+-".contains(c))
            && host.trim_matches('.').contains('.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_long_ones_count_twice() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "abc");
        assert_eq!(cut("a😀b", 3), "a😀");
        assert_eq!(cut("a😀b", 2), "a");
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn an_address_loses_its_query_before_its_path() {
        let url = format!("https://www.example.com/lp?utm_source={}", "x".repeat(100));
        assert_eq!(cut_url(&url, 1_000), url);
        assert_eq!(cut_url(&url, 100), "https://www.example.com/lp");
        assert_eq!(cut_url(&url, 10), "https://ww");
    }

    #[test]
    fn an_address_is_found_wherever_it_stands() {
        for text in
            ["jane@example.com", "mail to jane.doe+x@mail.example.com!", "https://example.com/?e=jane%40example.com"]
        {
            assert!(has_address(text), "{text}");
        }
        for text in ["", "@", "a@b", "@handle", "5 @ 3.50", "Tee @home", "a@.", "https://example.com/@jane"] {
            assert!(!has_address(text), "{text}");
        }
    }

    #[test]
    fn what_google_keeps_for_itself_is_known() {
        for name in ["session_start", "ga_event", "_hidden", "google_x", "firebase_x", "gtag.event"] {
            assert!(is_reserved_event(name), "{name}");
        }
        for name in ["generate_lead", "purchase", "page_view", "gallery_open", "Session_start"] {
            assert!(!is_reserved_event(name), "{name}");
        }
        assert!(is_param("method") && !is_param("ga_x") && !is_param("1st") && !is_param(&"a".repeat(41)));
    }
}
