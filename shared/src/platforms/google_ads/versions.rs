//! The versions of the Google Ads API, and when Google switches each off.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::platforms::Reason;

/// The one that is used unless GOOGLE_ADS_API_VERSION says otherwise.
pub(super) const DEFAULT: &str = "v26";

/// Earlier ones are gone ("Google Ads API Deprecation and Sunset"). Google announces a day some months before; until
/// then it is a year after the release, as it was for those before.
const ENDS: [(&str, (i32, u32, u32)); 3] = [("v21", (2026, 8, 5)), ("v22", (2026, 10, 7)), (DEFAULT, (2027, 10, 1))];

/// How long before its end a version should be replaced.
const NOTICE: TimeDelta = TimeDelta::days(120);

fn end(version: &str) -> Option<NaiveDate> {
    let (_, (year, month, day)) = ENDS.iter().find(|(known, _)| *known == version)?;
    NaiveDate::from_ymd_opt(*year, *month, *day)
}

/// That this version ends soon, or has ended.
pub(super) fn ends_soon(version: &str, now: DateTime<Utc>) -> Option<Reason> {
    let end = end(version).filter(|end| *end - now.date_naive() < NOTICE)?;
    let fix = if version == DEFAULT {
        "Update Adtrail.".to_owned()
    } else {
        format!("Unset GOOGLE_ADS_API_VERSION, which means {DEFAULT}, or update Adtrail.")
    };
    let message = format!("Google switches version {version} of the Google Ads API off on about {end}. {fix}");
    Some(Reason::new("version_ends", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn the_version_in_use_does_not_end_soon() {
        let notice = ends_soon(DEFAULT, Clock::system().now());
        assert_eq!(notice, None, "move to a newer version: compare the protocol, then change DEFAULT and ENDS");
    }

    #[test]
    fn an_end_is_told_months_before_and_after() {
        let told = |version, day: &str| {
            let now = format!("{day}T12:00:00Z").parse().unwrap();
            ends_soon(version, now).map(|reason| reason.message)
        };
        assert_eq!(told("v22", "2026-06-01"), None);
        assert!(told("v22", "2026-07-01").unwrap().contains("2026-10-07. Unset GOOGLE_ADS_API_VERSION"));
        assert!(told("v22", "2026-12-01").is_some());
        assert!(told(DEFAULT, "2027-09-01").unwrap().ends_with("Update Adtrail."));
        assert_eq!(told("v99", "2026-12-01"), None, "whatever comes is not known yet");
    }
}
