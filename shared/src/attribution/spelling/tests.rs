//! How clicks are really written.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};

use crate::attribution::networks::{NETWORKS, Parameter};
use crate::attribution::{AdMarks, Attribution};

const SITE: &str = "https://www.example.com/";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_176_000, 0).unwrap()
}

fn parameter(name: &str) -> &'static Parameter {
    NETWORKS.iter().flat_map(|network| network.parameters).find(|it| it.name == name).unwrap()
}

/// Of Google's click of this address, the parameter of this name.
fn of(address: &str, name: &str) -> Option<String> {
    Attribution::of_address(address, now()).clicks.get("google")?.get(name).map(String::from)
}

#[test]
fn a_click_is_found_however_its_address_is_written() {
    for rest in [
        "?gclid=Ab-1_x",
        // Routers in the browser.
        "#/lp?gclid=Ab-1_x&utm_source=google",
        "#gclid=Ab-1_x",
        "?lang=de#!/book?gclid=Ab-1_x",
        "#/a/b&gclid=Ab-1_x",
        "?a=b#/lp;gclid=Ab-1_x",
        // Names in any case.
        "?GCLID=Ab-1_x",
        "?Gclid=Ab-1_x&x=1",
        "#/lp?gClId=Ab-1_x",
        // The signs between parameters.
        "?utm_source=google&amp;gclid=Ab-1_x&amp;x=1",
        "?utm_source=google&amp;amp;gclid=Ab-1_x",
        "?page=2?gclid=Ab-1_x",
        "?page=2??gclid=Ab-1_x?x=1",
        "?page=2;gclid=Ab-1_x",
        "?&&gclid=Ab-1_x&&",
        "lp&gclid=Ab-1_x&x=1",
        "?%20gclid=Ab-1_x",
        // Escaped once, or more often, too many.
        "lp%3Fgclid%3DAb-1_x%26gad_source%3D1",
        "?gclid%3DAb-1_x%26gad_source%3D1",
        "?utm_source=google%26gclid%3DAb-1_x",
        "lp%253Fgclid%253DAb-1_x%2526x%253D1",
        "?next=https%3A%2F%2Fwww.example.com%2Flp%3Fgclid%3DAb-1_x%26x%3D1",
        "?gclid=Ab%2D1_x",
        "?gclid=Ab%252D1_x",
        "%23gclid%3DAb-1_x",
        // Placeholders and empty ones before it.
        "?gclid=&gclid=Ab-1_x",
        "?gclid=%7Bgclid%7D&gclid=Ab-1_x",
        "?gclid={{gclid}}#/lp?gclid=Ab-1_x",
        "?gclid=undefined&GCLID=null&gclid=Ab-1_x",
        "?gclid=[object%20Object]&gclid=Ab-1_x",
        "?gclid=(not%20set)&gclid=Ab-1_x",
        // White space and text at the end.
        "?gclid=%20Ab-1_x%20",
        "?gclid=Ab-1_x%0A",
        "?gclid=%C2%A0Ab-1_x%E2%80%8B",
        "?gclid=Ab-1_x%22%3EHere",
        "?gclid=Ab-1_x%26gad_source=1",
        "?gclid=Ab-1_x%20utm_source=google",
        "?gclid=Ab-1_x/",
        "?gclid=Ab-1_x.",
        "?gclid=Ab-1_x)",
        "?gclid=%22Ab-1_x%22",
        "?gclid=Ab-1_x%5Cu0026x=1",
        "?gclid=Ab-1_x,Other",
        "?gclid=Ab-1_x%20and%20more%20words",
        "?gclid=gclid%3DAb-1_x",
        "?gclid=https%3A%2F%2Fwww.example.com%2F%3Fgclid%3DAb-1_x%26x%3D1",
        "?gclid=GCL.1763632800.Ab-1_x",
        // What fills base64 up, and a sign too many.
        "?gclid=Ab-1_x=",
        "?gclid=Ab-1_x==&x=1",
        "?gclid=Ab-1_x%3D",
        "?x=1&gclid=Ab-1_x%253D%253D",
        "?gclid==Ab-1_x",
        "#/lp?gclid=Ab-1_x=",
        // Names in brackets.
        "?params[gclid]=Ab-1_x",
        "?params%5Bgclid%5D=Ab-1_x&x=1",
        "?a[b][gclid]=Ab-1_x",
        "?gclid[]=Ab-1_x",
        "?gclid[0]=Ab-1_x",
        "#/lp?query[GCLID]=Ab-1_x",
        "?params[gclid]=Other&gclid=Ab-1_x",
        // Signs as scripts and JSON escape them.
        "?utm_source=google\\u0026gclid=Ab-1_x",
        "?utm_source=google\\U0026gclid\\u003dAb-1_x\\u0026x=1",
        "?utm_source=google\\x26gclid=Ab-1_x",
        "lp\\u003fgclid\\u003dAb-1_x",
        "?utm_source=google%5Cu0026gclid=Ab-1_x",
        "?utm_source=google&#38;gclid=Ab-1_x",
        "?a=b|gclid=Ab-1_x",
        "?a=b,gclid=Ab-1_x,x=1",
    ] {
        assert_eq!(of(&format!("{SITE}{rest}"), "gclid").as_deref(), Some("Ab-1_x"), "{rest}");
    }
    let long = "p".repeat(100_000);
    assert_eq!(of(&format!("{SITE}?fbclid={long}&gclid=Ab-1_x"), "gclid").as_deref(), Some("Ab-1_x"));
    assert_eq!(of(&format!("{SITE}?gclid=query#gclid=hash&wbraid=Only"), "gclid").as_deref(), Some("query"));
    assert_eq!(of(&format!("{SITE}?x=1#/?WBRAID=Braid-1"), "wbraid").as_deref(), Some("Braid-1"));
    assert_eq!(of(&format!("{SITE}?gbraid=0AAAA-x%26x"), "gbraid").as_deref(), Some("0AAAA-x"));
}

#[test]
fn a_click_is_found_in_what_is_no_whole_address() {
    for text in [
        "/lp?gclid=Ab-1_x",
        "www.example.com/lp?gclid=Ab-1_x",
        "?gclid=Ab-1_x",
        "gclid=Ab-1_x",
        "utm_source=a&gclid=Ab-1_x",
        "&gclid=Ab-1_x",
        "#gclid=Ab-1_x",
        "params[gclid]=Ab-1_x",
        "(https://www.example.com/?gclid=Ab-1_x)",
        "<https://www.example.com/?gclid=Ab-1_x>",
        "android-app://com.example.app/https/www.example.com/lp?gclid=Ab-1_x",
        "https://exa mple.com/?gclid=Ab-1_x",
        "gclid%3DAb-1_x%26x%3D1",
    ] {
        assert_eq!(of(text, "gclid").as_deref(), Some("Ab-1_x"), "{text}");
        assert_eq!(parameter("gclid").read(text).as_deref(), Some("Ab-1_x"), "{text}");
    }
    assert_eq!(Attribution::of_address("utm_source=a&gclid=Ab", now()).utm.source.as_deref(), Some("a"));
}

#[test]
fn what_is_surely_no_click_is_none() {
    for value in [
        "",
        "undefined",
        "NULL",
        "none",
        "nil",
        "NaN",
        "n/a",
        "-",
        "--",
        "(not set)",
        "[object Object]",
        "{{gclid}}",
        "{gclid}",
        "%gclid%",
        "[[gclid]]",
        "<% gclid %>",
        "${gclid}",
        "true",
        "false",
        "unknown",
        "0",
        "gclid",
        "GCLID",
        // An id that was cut, mended by a text program, or wrapped: a part of it is another id.
        "Ab-1…",
        "Ab-1...",
        "Ab–1",
        "Ab\u{2011}1",
        "Ab 1",
        "Ab-1 x2y Qz-3",
        "Ab\n1",
        "Ab\u{200b}1",
        "Ab=1",
        "Ab=1=",
        "Ab*1",
        "Ab@1",
        "Ab.1",
        "Ab:1",
        "Аb-1",
        "Ab+1",
        "Ab-1ü",
        "\u{0}",
        "日本",
    ] {
        let url = url::Url::parse_with_params(SITE, [("gclid", value)]).unwrap();
        assert_eq!(of(url.as_str(), "gclid"), None, "{value}");
        assert_eq!(parameter("gclid").read(value), None, "{value}");
    }
    for rest in
        ["?xgclid=a", "?gclid", "#/gclid/a", "#:~:text=gclid", "?utm_source=gclid", "gclid=a", "?gclid=%FF", "?=gclid"]
    {
        assert_eq!(of(&format!("{SITE}{rest}"), "gclid"), None, "{rest}");
    }
    assert_eq!(parameter("gclid").read(&"x".repeat(513)), None);
    assert_eq!(parameter("gclid").read(&format!("{}&x", "x".repeat(513))), None);
}

#[test]
fn an_id_is_never_altered() {
    for (name, id) in [
        ("gclid", "EAIaIQobChMI-_09"),
        ("gclid", "null-1"),
        ("gclid", "-undefined_"),
        ("wbraid", "CjgKCQ"),
        ("fbclid", "IwAR2F4-dbP0l7.Mn1=IawQQ+/"),
        ("msclkid", "0f3a-1"),
        ("ttclid", "E.C.P.five"),
        ("fbc", "fb.1.1763632800000.IwAR2F4-dbP0l7Mn1IawQQ"),
    ] {
        for text in [id.to_owned(), format!("  {id}\n"), format!("\u{200b}{id}\u{a0}")] {
            assert_eq!(parameter(name).read(&text).as_deref(), Some(id), "{text:?}");
        }
    }
    let long = "x".repeat(512);
    assert_eq!(parameter("gclid").read(&long), Some(long));
}

#[test]
fn googles_tag_hands_a_click_on_and_any_other_comes_before_it() {
    let clicked = now() - TimeDelta::days(2);
    let cookie = URL_SAFE_NO_PAD.encode(format!("GCL.{}.Linker-1", clicked.timestamp()));
    let gl = format!("_gl=1*1abcdef*_ga*MTIz*_gcl_aw*{cookie}..");
    for rest in [format!("?{gl}"), format!("#{gl}"), format!("?a=b&amp;{gl}"), format!("?{}", gl.replace('*', "%2A"))] {
        let it = Attribution::of_address(&format!("{SITE}{rest}"), now());
        let click = it.clicks.get("google").unwrap();
        assert_eq!((click.get("gclid"), click.at), (Some("Linker-1"), Some(clicked)), "{rest}");
    }
    assert_eq!(of(&format!("{SITE}?{gl}&gclid=Query"), "gclid").as_deref(), Some("Query"));
    assert_eq!(of(&format!("{SITE}?{gl}&wbraid=Query"), "gclid"), None, "never two clicks in one");
    assert_eq!(of(&format!("{SITE}?{gl}&gclid=undefined"), "gclid").as_deref(), Some("Linker-1"));
    for text in [format!("?{gl}"), gl.clone(), gl["_gl=".len()..].to_owned(), format!("{SITE}?x=1&{gl}")] {
        assert_eq!(parameter("gclid").read(&text).as_deref(), Some("Linker-1"), "{text}");
        assert_eq!(parameter("wbraid").read(&text), None, "{text}");
    }
    let ahead = URL_SAFE_NO_PAD.encode("GCL.4000000000.Linker-1");
    let it = Attribution::of_address(&format!("{SITE}?_gl=1*x*_gcl_aw*{ahead}"), now());
    assert_eq!(it.clicks.get("google").unwrap().at, Some(now()), "nobody clicked tomorrow");
}

#[test]
fn the_campaign_of_an_address_is_its_own_and_no_template() {
    let source = |rest: &str| Attribution::of_address(&format!("{SITE}{rest}"), now()).utm.source;
    for rest in [
        "?utm_source=google",
        "?UTM_Source=google",
        "?a=b&amp;utm_source=google",
        "#/lp?utm_source=google",
        "?utm_source={network}&utm_source=google",
        "?utm_source%3Dgoogle%26a%3Db",
        "lp%3Futm_source%3Dgoogle",
    ] {
        assert_eq!(source(rest).as_deref(), Some("google"), "{rest}");
    }
    // Those of another page.
    for rest in ["?next=https%3A%2F%2Fwww.example.net%2F%3Futm_source%3Dnews", "?utm_source={{source}}", "?utm_source="]
    {
        assert_eq!(source(rest), None, "{rest}");
    }
}

#[test]
fn the_marks_of_an_ad_are_known_without_a_click() {
    let marks = |rest: &str| AdMarks::of_address(&format!("{SITE}{rest}"));
    let both = AdMarks { source: Some("1".into()), campaign_id: Some("21".into()) };
    for rest in [
        "?gad_source=1&gad_campaignid=21",
        "#/lp?gad_source=1&amp;GAD_CampaignId=21",
        "?gclid=&gad_source=1&gad_campaignid=21",
    ] {
        assert_eq!(marks(rest), both, "{rest}");
    }
    assert_eq!(marks("?gad_source={source}&gad_campaignid="), AdMarks::default());
}
