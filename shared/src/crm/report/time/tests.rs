use serde_json::json;

use super::super::tests::{ALWAYS, circumstances, source};
use super::*;
use crate::crm::Source;

const AT: &str = "occurred_at = \"/at\"";

/// What was read at noon of 2026-11-20, and the doubt about it.
fn read(source: &Source, value: &Value) -> Result<(String, Option<&'static str>), &'static str> {
    read_at(source, value, "2026-11-20T12:00:00Z")
}

fn read_at(source: &Source, value: &Value, at: &str) -> Result<(String, Option<&'static str>), &'static str> {
    let when = crate::crm::Circumstances { received_at: at.parse().unwrap(), ..circumstances() };
    let item = json!({});
    let reader = Reader { source, item: &item, when: &when, errors: Vec::new(), warnings: Vec::new(), waits: false };
    reader.time_from(value).map(|time| (time.at.to_rfc3339(), time.doubt))
}

fn with(fields: &str) -> Source {
    source("", &format!("{AT}\n{fields}"), ALWAYS)
}

#[test]
fn a_time_is_read_in_every_shape_that_names_its_zone() {
    for (value, zone, at) in [
        (json!("2026-11-20T12:03:11.25+01:00"), "", "2026-11-20T11:03:11.250+00:00"),
        (json!("2026-11-20T11:03:11Z"), "", "2026-11-20T11:03:11+00:00"),
        (json!("2026-11-20T11:03:11.000+0000"), "", "2026-11-20T11:03:11+00:00"),
        (json!("2026-11-20T04:33:11-0630"), "", "2026-11-20T11:03:11+00:00"),
        (json!("2026-11-20 11:03:11 UTC"), "", "2026-11-20T11:03:11+00:00"),
        (json!("2026-11-20 12:03:11 +0100"), "", "2026-11-20T11:03:11+00:00"),
        (json!("2026-11-20T12:03+01:00"), "", "2026-11-20T11:03:00+00:00"),
        (json!("1795172591"), "", "2026-11-20T11:03:11+00:00"),
        (json!("1795172591250"), "", "2026-11-20T11:03:11.250+00:00"),
        (json!(1_795_172_591), "", "2026-11-20T11:03:11+00:00"),
        (json!(1_795_172_591.25), "", "2026-11-20T11:03:11.250+00:00"),
        (json!(1_795_172_591_250_i64), "", "2026-11-20T11:03:11.250+00:00"),
        (json!("2026-11-20 12:03:11"), "zone = \"+01:00\"", "2026-11-20T11:03:11+00:00"),
        (json!("2026-11-20T11:03:11.395000"), "zone = \"UTC\"", "2026-11-20T11:03:11.395+00:00"),
        (json!("2026-11-20 12:03"), "zone = \"Europe/Berlin\"", "2026-11-20T11:03:00+00:00"),
        // Its own zone takes precedence over the declared one.
        (json!("2026-11-20T11:03:11Z"), "zone = \"+01:00\"", "2026-11-20T11:03:11+00:00"),
        (json!("20.11.2026 12:03"), "zone = \"+01:00\"\ndate_order = \"dmy\"", "2026-11-20T11:03:00+00:00"),
        (json!("11/20/2026 06:03 AM"), "zone = \"-05:00\"\ndate_order = \"mdy\"", "2026-11-20T11:03:00+00:00"),
        (json!("11/2/2026, 1:03:09 PM"), "zone = \"UTC\"\ndate_order = \"mdy\"", "2026-11-02T13:03:09+00:00"),
    ] {
        assert_eq!(read(&with(zone), &value), Ok((at.into(), None)), "{value}");
    }
}

#[test]
fn a_time_is_read_as_other_standards_write_it() {
    let berlin = "zone = \"Europe/Berlin\"";
    for (value, zone, at) in [
        // Mails and HTTP.
        ("Fri, 20 Nov 2026 11:03:11 +0000", "", "2026-11-20T11:03:11+00:00"),
        ("Fri, 20 Nov 2026 12:03:11 +0100 (CET)", "", "2026-11-20T11:03:11+00:00"),
        ("Fri, 20 Nov 2026 11:03:11 GMT", "", "2026-11-20T11:03:11+00:00"),
        ("Fri, 20 Nov 2026 11:03:11 UTC", "", "2026-11-20T11:03:11+00:00"),
        ("20 Nov 2026 06:03:11 EST", "", "2026-11-20T11:03:11+00:00"),
        ("Thu, 5 Nov 2026 11:03 -0800", "", "2026-11-05T19:03:00+00:00"),
        // JavaScript.
        ("Fri Nov 20 2026 12:03:11 GMT+0100 (CET)", "", "2026-11-20T11:03:11+00:00"),
        ("Fri Nov 20 2026 12:03:11 GMT+0100 (Mitteleuropäische Normalzeit)", "", "2026-11-20T11:03:11+00:00"),
        ("Fri Nov 20 2026 11:03:11 GMT+0000 (Coordinated Universal Time)", "", "2026-11-20T11:03:11+00:00"),
        ("Thu Nov 19 2026 22:33:11 GMT-1230", "", "2026-11-20T11:03:11+00:00"),
        ("Fri Nov 20 2026 12:03:11 GMT+01:00", "", "2026-11-20T11:03:11+00:00"),
        ("Fri Nov 20 2026 12:03:11", berlin, "2026-11-20T11:03:11+00:00"),
        ("Thu Nov 19 2026", berlin, "2026-11-19T22:59:59.999999+00:00"),
        // Unix and Ruby.
        ("Fri Nov 20 11:03:11 UTC 2026", "", "2026-11-20T11:03:11+00:00"),
        ("Fri Nov 20 12:03:11 +0100 2026", "", "2026-11-20T11:03:11+00:00"),
        ("Thu Nov  5 12:03:11 2026", berlin, "2026-11-05T11:03:11+00:00"),
        // .NET.
        ("/Date(1795172591250)/", "", "2026-11-20T11:03:11.250+00:00"),
        ("/Date(1795172591250+0100)/", "", "2026-11-20T11:03:11.250+00:00"),
        ("/Date(1795172591000-0530)/", "", "2026-11-20T11:03:11+00:00"),
        ("\\/Date(1795172591000)\\/", "", "2026-11-20T11:03:11+00:00"),
        // ISO 8601.
        ("2026-11-19T24:00:00Z", "", "2026-11-20T00:00:00+00:00"),
        ("2026-11-19T24:00:00.000+01:00", "", "2026-11-19T23:00:00+00:00"),
        ("2026-11-19T24:00-0500", "", "2026-11-20T05:00:00+00:00"),
        ("2026-11-19 24:00", berlin, "2026-11-19T23:00:00+00:00"),
        ("2026-10-31 24:00:00", berlin, "2026-10-31T23:00:00+00:00"),
        ("19.11.2026 24:00", "zone = \"UTC\"\ndate_order = \"dmy\"", "2026-11-20T00:00:00+00:00"),
        ("20261120T110311Z", "", "2026-11-20T11:03:11+00:00"),
        ("20261120T120311+0100", "", "2026-11-20T11:03:11+00:00"),
        ("20261120T120311", berlin, "2026-11-20T11:03:11+00:00"),
        // Seconds and milliseconds.
        ("1795172591.25", "", "2026-11-20T11:03:11.250+00:00"),
        ("1795172591.123456", "", "2026-11-20T11:03:11.123+00:00"),
        ("1795172591250.4", "", "2026-11-20T11:03:11.250+00:00"),
        (" 1795172591.0 ", "", "2026-11-20T11:03:11+00:00"),
    ] {
        assert_eq!(read(&with(zone), &json!(value)), Ok((at.into(), None)), "{value}");
    }
    for (value, why) in [
        // Its day is another.
        ("Mon, 20 Nov 2026 11:03:11 +0000", "RFC 3339"),
        ("Fri Nov 32 2026 11:03:11 GMT+0100", "RFC 3339"),
        ("Fri Nov 20 2026 12:03:11", "zone = \"Europe/Berlin\""),
        ("Fri Nov 20 2026 11:03:11 GMT+0100 (CET) or so", "RFC 3339"),
        ("2026-11-19T24:00:01Z", "RFC 3339"),
        ("2026-11-19T24:01Z", "RFC 3339"),
        ("2026-11-19T25:00Z", "RFC 3339"),
        ("/Date()/", "RFC 3339"),
        ("/Date(soon)/", "RFC 3339"),
        ("/Date(0)/", "before the year 2000"),
        ("/Date(1795172591000+1)/", "RFC 3339"),
        ("/Date(9999999999999999999)/", "RFC 3339"),
        ("11.2026", "RFC 3339"),
        ("1795172591.", "RFC 3339"),
        ("1795172591.1.2", "RFC 3339"),
    ] {
        let refused = read(&with(""), &json!(value)).unwrap_err();
        assert!(refused.contains(why), "{value}: {refused}");
    }
    let strict = source("strict = true", &format!("{AT}\nemail = \"/email\""), ALWAYS);
    for value in ["Fri, 20 Nov 2026 11:03:11 +0000", "2026-11-19T24:00:00Z", "/Date(1795172591250)/"] {
        assert_eq!(read(&strict, &json!(value)), Err(RFC_3339), "{value}");
    }
}

/// What is read of a deal that was won then: whether it is warned of its age.
#[test]
fn a_deal_older_than_any_click_that_counts_is_warned_of() {
    let source = |fields: &str| source("", fields, ALWAYS);
    let at_won = "occurred_at = [\"/won_at\", \"/closed_at\"]\nevent_at = \"/event_at\"\nupdated_at = \"/changed\"";
    for (item, pointer) in [
        (json!({"won_at": "2015-03-01T10:00:00Z"}), Some("/won_at")),
        (json!({"won_at": "2026-08-22T11:59:59Z"}), Some("/won_at")),
        (json!({"won_at": "2000-01-02"}), Some("/won_at")),
        (json!({"closed_at": 1_400_000_000}), Some("/closed_at")),
        (json!({"event_at": "2020-03-01T10:00:00Z"}), Some("/event_at")),
        (json!({"won_at": "2026-08-23T12:00:00Z"}), None),
        (json!({"won_at": "2026-11-20T10:00:00Z", "event_at": "2015-03-01T10:00:00Z"}), None),
        (json!({"changed": "2015-03-01T10:00:00Z"}), None),
        (json!({}), None),
    ] {
        let mut item = item;
        (item["id"], item["email"]) = (json!("1"), json!("jane@example.com"));
        let when =
            crate::crm::Circumstances { received_at: "2026-11-20T12:00:00Z".parse().unwrap(), ..circumstances() };
        let warnings = source(at_won).read(&item, &when).warnings;
        let aged: Vec<_> = warnings.iter().filter(|it| it.detail.contains("no click counts that long")).collect();
        assert_eq!(aged.len(), usize::from(pointer.is_some()), "{item}: {warnings:?}");
        let names = |pointer: &str| aged.iter().all(|it| it.detail.contains(&format!("at {pointer} ")));
        assert!(pointer.is_none_or(names), "{item}: {warnings:?}");
    }
}

#[test]
fn what_is_no_time_says_what_to_declare() {
    for (value, why) in [
        (json!("2026-11-20 13:03:11"), "zone = \"Europe/Berlin\""),
        (json!("2026-11-20T13:03:11.5"), "zone = \"Europe/Berlin\""),
        (json!("20.11.2026 13:03"), "zone = \"Europe/Berlin\""),
        (json!("03.04.2026 13:03"), "date_order = \"dmy\""),
        (json!("05/06/2026"), "date_order"),
        (json!("05/06/26"), "date_order"),
        (json!("26-11-20"), "date_order"),
        (json!("31/31/2026"), "a day that there is"),
        (json!("29/02/2027"), "a day that there is"),
        (json!("2026-11-19 14:00 CST"), "RFC 3339"),
        (json!("2026-11-19 14:00 BST"), "RFC 3339"),
        (json!("19.11.2026 14:00 +15"), "RFC 3339"),
        (json!("2026-11-19 14:00 +1:5"), "RFC 3339"),
        (json!("Nov 31 2026"), "RFC 3339"),
        (json!("Nov 19"), "RFC 3339"),
        (json!("Nov Dec 19 2026"), "RFC 3339"),
        (json!("Nov 19 2026 or so"), "RFC 3339"),
        (json!("1/2/3/2026"), "RFC 3339"),
        (json!("20/2026/11"), "RFC 3339"),
        (json!("45990.5"), "zone = \"Europe/Berlin\""),
        (json!(20_261_320), "since 1970"),
        (json!("2026-02-30"), "a day that there is"),
        (json!("20.11.226"), "RFC 3339"),
        (json!("yesterday"), "RFC 3339"),
        (json!("-1795176191"), "RFC 3339"),
        (json!("1.8e9"), "RFC 3339"),
        (json!("+262142-12-31T23:59:59.9"), "RFC 3339"),
        (json!("9".repeat(400)), "RFC 3339"),
        (json!(1e300), "since 1970"),
        (json!(-1e300), "since 1970"),
        (json!({}), "since 1970"),
        (json!(946_684_799), "before the year 2000"),
        (json!("0001-01-01T00:00:00Z"), "before the year 2000"),
    ] {
        let refused = read(&with(""), &value).unwrap_err();
        assert!(refused.contains(why), "{value}: {refused}");
    }
    let other_order = with("date_order = \"dmy\"");
    assert_eq!(read(&other_order, &json!("11/20/2026")), Err("must be a day that there is"));
}

#[test]
fn a_day_and_a_time_are_read_as_people_and_tables_write_them() {
    let (berlin, utc) = ("zone = \"Europe/Berlin\"", "zone = \"UTC\"");
    for (value, zone, at) in [
        // There is no 29th month.
        (json!("19.11.2026 14:00"), berlin, "2026-11-19T13:00:00+00:00"),
        (json!("11/19/2026 2:00 PM"), utc, "2026-11-19T14:00:00+00:00"),
        (json!("11/19/2026"), utc, "2026-11-19T23:59:59.999999+00:00"),
        (json!("19/11/26"), utc, "2026-11-19T23:59:59.999999+00:00"),
        (json!("19.11.26 14:00"), berlin, "2026-11-19T13:00:00+00:00"),
        (json!("10/10/2026"), utc, "2026-10-10T23:59:59.999999+00:00"),
        (json!("2026.11.19."), utc, "2026-11-19T23:59:59.999999+00:00"),
        (json!("19-11-2026 14:00:09 GMT+1"), "", "2026-11-19T13:00:09+00:00"),
        (json!("03/04/26 09:00"), "zone = \"UTC\"\ndate_order = \"dmy\"", "2026-04-03T09:00:00+00:00"),
        // The name of the month.
        (json!("Nov 19 2026 2:00 PM"), utc, "2026-11-19T14:00:00+00:00"),
        (json!("November 19th, 2026 at 2:00 p.m."), utc, "2026-11-19T14:00:00+00:00"),
        (json!("Thursday, 19 November 2026 14:00"), berlin, "2026-11-19T13:00:00+00:00"),
        (json!("19-Nov-2026 14:00:00"), utc, "2026-11-19T14:00:00+00:00"),
        (json!("19-NOV-26"), utc, "2026-11-19T23:59:59.999999+00:00"),
        (json!("19. Sept. 2026"), utc, "2026-09-19T23:59:59.999999+00:00"),
        (json!("Nov 19, 2026, 2:00:09\u{202f}PM EST"), "", "2026-11-19T19:00:09+00:00"),
        (json!("2026-Nov-19 14:00 +01:00"), "", "2026-11-19T13:00:00+00:00"),
        // Zones that are abbreviated or named.
        (json!("2026-11-19 14:00:00 CET"), "", "2026-11-19T13:00:00+00:00"),
        (json!("2026-07-19T14:00 CEST"), "", "2026-07-19T12:00:00+00:00"),
        (json!("2026-11-19 14:00 PST"), berlin, "2026-11-19T22:00:00+00:00"),
        (json!("19.11.2026 14:00 MEZ"), utc, "2026-11-19T13:00:00+00:00"),
        (json!("11/19/2026 2:00 PM AEDT"), "", "2026-11-19T03:00:00+00:00"),
        (json!("2026-11-19 14:00 NST"), "", "2026-11-19T17:30:00+00:00"),
        (json!("2026-11-19T14:00:00+01:00[Europe/Berlin]"), "", "2026-11-19T13:00:00+00:00"),
        // Spaces, marks and digits that nobody sees or types.
        (json!("\u{200e}11/19/2026, \u{200e}2:00\u{202f}PM"), utc, "2026-11-19T14:00:00+00:00"),
        (json!("٢٠٢٦-١١-١٩ ١٤:٠٠"), utc, "2026-11-19T14:00:00+00:00"),
        // Tables count the days, and some programs count finer.
        (json!("45990.5"), utc, "2025-11-29T12:00:00+00:00"),
        (json!(45990.5), berlin, "2025-11-29T11:00:00+00:00"),
        (json!(46_345.583_333_333_3), utc, "2026-11-19T14:00:00+00:00"),
        (json!(46345), utc, "2026-11-19T23:59:59.999999+00:00"),
        (json!(20_261_119), utc, "2026-11-19T23:59:59.999999+00:00"),
        (json!(1_795_172_591_250_000_i64), "", "2026-11-20T11:03:11.250+00:00"),
        (json!("1795172591250000000"), "", "2026-11-20T11:03:11.250+00:00"),
    ] {
        assert_eq!(read(&with(zone), &value), Ok((at.into(), None)), "{value}");
    }
}

#[test]
fn a_day_ends_in_its_zone_or_on_arrival() {
    let berlin = with("zone = \"Europe/Berlin\"");
    let auckland = with("zone = \"Pacific/Auckland\"\ndate_order = \"dmy\"");
    let nowhere = with("");
    let noon = "2026-11-20T12:00:00+00:00";
    for (source, value, at, doubt) in [
        (&berlin, "2026-11-19", "2026-11-19T22:59:59.999999+00:00", None),
        (&berlin, "2026/07/19", "2026-07-19T21:59:59.999999+00:00", None),
        (&berlin, "20261119", "2026-11-19T22:59:59.999999+00:00", None),
        (&berlin, "2026-11-20", noon, None),
        (&berlin, "2026-11-21", noon, Some(DAY_AHEAD)),
        (&berlin, "2031-01-01", noon, Some(DAY_AHEAD)),
        (&auckland, "20.11.2026", "2026-11-20T10:59:59.999999+00:00", None),
        // It is the 21st there already.
        (&auckland, "21/11/2026", noon, None),
        (&auckland, "22-11-2026", noon, Some(DAY_AHEAD)),
        // The day of summer time's end is longer: 25 hours.
        (&berlin, "2026-10-25", "2026-10-25T22:59:59.999999+00:00", None),
        (&nowhere, "2026-11-18", "2026-11-19T11:59:59.999999+00:00", Some(NO_ZONE)),
        (&nowhere, "2026-11-20", noon, Some(NO_ZONE)),
    ] {
        assert_eq!(read(source, &json!(value)), Ok((at.into(), doubt)), "{value}");
    }
}

#[test]
fn a_time_ahead_is_that_of_arrival_and_asks_for_the_zone() {
    let noon = "2026-11-20T12:00:00+00:00";
    let (paris, utc) = (with("zone = \"UTC\""), with(""));
    let strict = source("strict = true", &format!("{AT}\nemail = \"/email\""), ALWAYS);
    for (source, value) in [
        (&paris, json!("2026-11-20 13:00:00")),
        (&utc, json!("2026-11-20T12:10:01Z")),
        (&utc, json!(1_795_179_600)),
        (&utc, json!("2027-11-20T12:00:00+01:00")),
        (&strict, json!("2026-11-20T13:00:00Z")),
        (&utc, json!("5138-11-16T09:46:39Z")),
    ] {
        assert_eq!(read(source, &value), Ok((noon.into(), Some(AHEAD))), "{value}");
    }
    assert_eq!(read(&utc, &json!("2026-11-20T12:10:00Z")), Ok(("2026-11-20T12:10:00+00:00".into(), None)));
    for value in [json!("2026-11-20"), json!("2026-11-20 12:00:00"), json!(1_795_176_000), json!("soon")] {
        assert!(read(&strict, &value).is_err(), "{value}");
    }
}

#[test]
fn the_hour_that_comes_twice_and_the_one_that_is_left_out_are_read_one_way() {
    for (zone, local, received_at, at, doubt) in [
        // Put back at 03:00 on 25 October: 02:30 is at 00:30 and at 01:30 UTC.
        ("Europe/Berlin", "2026-10-25 02:30:00", "2026-10-25T00:30:05Z", "2026-10-25T00:30:00+00:00", None),
        ("Europe/Berlin", "2026-10-25 02:30:00", "2026-10-25T01:30:05Z", "2026-10-25T01:30:00+00:00", Some(TWICE)),
        ("Europe/Berlin", "2026-10-25 02:30:00", "2026-10-27T12:00:00Z", "2026-10-25T01:30:00+00:00", Some(TWICE)),
        ("Europe/Berlin", "2026-03-29 02:30:00", "2026-03-29T01:30:05Z", "2026-03-29T01:30:00+00:00", Some(SKIPPED)),
        ("America/Los_Angeles", "2026-11-01 01:10:00", "2026-11-01T08:10:09Z", "2026-11-01T08:10:00+00:00", None),
        (
            "America/Los_Angeles",
            "2026-11-01 01:10:00",
            "2026-11-01T09:10:09Z",
            "2026-11-01T09:10:00+00:00",
            Some(TWICE),
        ),
        (
            "America/Los_Angeles",
            "2026-03-08 02:10:00",
            "2026-03-08T11:00:00Z",
            "2026-03-08T10:10:00+00:00",
            Some(SKIPPED),
        ),
        ("Australia/Sydney", "2026-04-05 02:59:59", "2026-04-05T15:00:00Z", "2026-04-04T16:59:59+00:00", Some(TWICE)),
        // Half an hour.
        (
            "Australia/Lord_Howe",
            "2026-04-05 01:45:00",
            "2026-04-05T15:00:00Z",
            "2026-04-04T15:15:00+00:00",
            Some(TWICE),
        ),
        // Samoa left out a whole day.
        ("Pacific/Apia", "2011-12-30 12:00:00", "2012-01-05T00:00:00Z", "2011-12-30T22:00:00+00:00", Some(SKIPPED)),
        // No summer time.
        ("Asia/Kolkata", "2026-03-29 02:30:00", "2026-03-29T01:30:05Z", "2026-03-28T21:00:00+00:00", None),
    ] {
        let read = read_at(&with(&format!("zone = \"{zone}\"")), &json!(local), received_at);
        assert_eq!(read, Ok((at.into(), doubt)), "{zone} {local} at {received_at}");
    }
}

/// Every quarter of an hour of a year, as the clocks of a place showed it, reported four seconds later.
#[test]
fn a_year_is_right_to_the_minute_through_both_changes_of_the_clocks() {
    // What the clocks are ahead of UTC by, in minutes, and when that changes.
    for (name, first, changes) in [
        ("Europe/Berlin", 60, [("2026-03-29T01:00:00Z", 120), ("2026-10-25T01:00:00Z", 60)]),
        ("America/Los_Angeles", -480, [("2026-03-08T10:00:00Z", -420), ("2026-11-01T09:00:00Z", -480)]),
        ("Australia/Sydney", 660, [("2026-04-04T16:00:00Z", 600), ("2026-10-03T16:00:00Z", 660)]),
    ] {
        let zone = with(&format!("zone = \"{name}\""));
        let changes = changes.map(|(at, minutes)| (at.parse::<DateTime<Utc>>().unwrap(), minutes));
        let mut at: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut doubts = 0;
        while at < "2027-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() {
            let since = changes.iter().rev().find(|(since, _)| *since <= at);
            let local = at.naive_utc() + TimeDelta::minutes(since.map_or(first, |(_, minutes)| *minutes));
            let received = (at + TimeDelta::seconds(4)).to_rfc3339();
            let written = local.format("%Y-%m-%d %H:%M:%S").to_string();
            let (read, doubt) = read_at(&zone, &json!(written), &received).unwrap();
            assert_eq!(read, at.to_rfc3339(), "{name} {written}");
            doubts += u32::from(doubt.is_some());
            at += TimeDelta::minutes(15);
        }
        // The second time of the hour that came twice says so.
        assert_eq!(doubts, 4, "{name}");
    }
}
