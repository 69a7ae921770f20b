//! From when until when something counts for Google. Each number stands here only.

use chrono::TimeDelta;

/// Google refuses younger clicks (Google Ads API, `TOO_RECENT_CLICK`).
pub(super) const YOUNGEST_CLICK: TimeDelta = TimeDelta::hours(6);
/// The longest click-through window of a conversion action (Google Ads Help, "About conversion windows").
pub(super) const CLICK: TimeDelta = TimeDelta::days(90);
/// From the form to the conversion, for hashed e-mail and phone (Google Ads Help, "About enhanced conversions for
/// leads").
pub(super) const USER_DATA: TimeDelta = TimeDelta::days(63);
/// From the conversion to its correction (Google Ads Help, "About conversion adjustments").
pub(super) const ADJUSTMENT: TimeDelta = TimeDelta::days(54);

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_that_still_counts_expires_before() {
        assert!(crate::attribution::CLICK_COUNTS >= super::CLICK.max(super::USER_DATA));
    }
}
