//! What Google Analytics takes of an event, whichever way it comes: "Event collection limits" and "Event naming rules"
//! of its help, and the reference of the Measurement Protocol. They are written here a second time, apart from the
//! product.

pub(super) const MOST_PARAMS: usize = 25;
pub(super) const MOST_ITEMS: usize = 200;
pub(super) const MOST_CUSTOM_ITEM_PARAMS: usize = 10;
const LONGEST_NAME: usize = 40;

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameFlaw {
    Invalid,
    Reserved,
}

const RESERVED: &str = "ad_activeview ad_click ad_exposure ad_impression ad_query ad_reward adunit_exposure app_background \
     app_clear_data app_exception app_install app_remove app_store_refund app_store_subscription_cancel \
     app_store_subscription_convert app_store_subscription_renew app_update app_upgrade dynamic_link_app_open \
     dynamic_link_app_update dynamic_link_first_open error first_open first_visit in_app_purchase notification_dismiss \
     notification_foreground notification_open notification_receive notification_send os_update screen_view session_start \
     session_start_with_rollout user_engagement";

const ITEM_PARAMS: &str = "item_id quantity price affiliation coupon creative_name creative_slot currency discount index \
     item_brand item_category item_category2 item_category3 item_category4 item_category5 item_list_id item_list_name \
     item_name item_variant location_id promotion_id promotion_name";

pub(super) fn flaw_of_event(name: &str) -> Option<NameFlaw> {
    flaw(name).or_else(|| RESERVED.split(' ').any(|known| known == name).then_some(NameFlaw::Reserved))
}

pub(super) fn flaw_of_param(name: &str) -> Option<NameFlaw> {
    flaw(name)
}

pub(super) fn is_custom_of_item(name: &str) -> bool {
    !ITEM_PARAMS.split(' ').any(|known| known == name)
}

fn flaw(name: &str) -> Option<NameFlaw> {
    if ["_", "firebase_", "ga_", "google_", "gtag."].iter().any(|prefix| name.starts_with(prefix)) {
        return Some(NameFlaw::Reserved);
    }
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_name = name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    (!begins || !is_name || name.len() > LONGEST_NAME).then_some(NameFlaw::Invalid)
}

/// The length of a value as Google's tag counts it.
pub(super) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}
