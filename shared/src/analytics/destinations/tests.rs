use secrecy::SecretString;

use super::*;
use crate::platforms;
use crate::settings::Values;

const BOTH: &str = r#"
[website]
platform = "google-analytics"
measurement_id = "g-abc1234567"
property_id = "properties/123456789"
events = ["generate_lead", "purchase"]
when = { site = ["www.example.com", "Shop.Example.com"] }

[europe]
platform = "google-analytics"
measurement_id = "G-EUROPE"
transport = "measurement-protocol"
api_secret = "GA4_API_SECRET"
region = "eu"

[ads]
platform = "google-ads"
customer_id = "123-456-7890"
[ads.actions]
closed = 987654321
"#;

fn read(toml: &str, settings: &[(&str, &str)]) -> Result<(EventDestinations, Vec<String>), String> {
    let all = [("DESTINATIONS", toml)];
    let values: Values =
        all.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
    let mut settings = Settings::new(&values);
    let events = EventDestinations::from_settings(&mut settings);
    let conversions = platforms::destinations(&mut settings).iter().map(|it| it.name.clone()).collect();
    settings.finish(Some((events, conversions))).map_err(|error| error.to_string())
}

#[test]
fn events_and_conversions_are_declared_beside_each_other_and_do_not_see_each_other() {
    let (events, conversions) = read(BOTH, &[]).unwrap();
    let names: Vec<_> = events.iter().map(|it| it.name.as_str()).collect();
    assert_eq!((names, conversions), (vec!["website", "europe"], vec!["ads".to_owned()]));
    let website = events.get("website").unwrap();
    assert_eq!((website.measurement_id.as_str(), website.transport()), ("G-ABC1234567", Transport::DataManager));
    let europe = events.get("europe").unwrap();
    assert_eq!(europe.transport(), Transport::MeasurementProtocol);
    let described = format!("{:?}", europe.described());
    assert!(described.contains("https://region1.google-analytics.com") && described.contains("unverifiable"));
    assert!(read("", &[]).unwrap().0.is_empty());
}

#[test]
fn a_destination_is_for_its_events_and_its_sites() {
    let (events, _) = read(BOTH, &[]).unwrap();
    let wants = |to: &str, name, site| events.get(to).unwrap().wants(&EventFacts { name, site });
    assert!(
        wants("website", "purchase", Some("shop.example.com")) && wants("website", "purchase", Some("WWW.example.com"))
    );
    assert!(!wants("website", "scroll", Some("www.example.com")), "another event");
    assert!(!wants("website", "purchase", Some("other.example.com")) && !wants("website", "purchase", None));
    assert!(wants("europe", "scroll", None));
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_the_fix() {
    let table = |keys: &str| format!("[ga]\nplatform = \"google-analytics\"\n{keys}");
    let good = "measurement_id = \"G-ABC1234567\"\nproperty_id = 1\n";
    for (toml, expected) in [
        (table(""), "add measurement_id"),
        (table("measurement_id = \"G-ABC1234567\""), "add property_id"),
        (table("measurement_id = \"UA-1-2\"\nproperty_id = 1"), "line 3: measurement_id = …"),
        (table("measurement_id = \"GTM-ABCDEF\"\nproperty_id = 1"), "must be the measurement id of a web stream"),
        (table("measurement_id = \"G-ABC1234567\"\nproperty_id = \"main\""), "must be the number of a property"),
        (table(&format!("{good}transport = \"gtag\"")), "must be data-manager or measurement-protocol"),
        (table(&format!("{good}api_secret = \"GA4_API_SECRET\"")), "remove it"),
        (table(&format!("{good}region = \"eu\"")), "remove it"),
        (table(&format!("{good}colour = \"red\"")), "unknown field `colour`"),
        (table(&format!("{good}events = []")), "at least one name"),
        (table(&format!("{good}events = [\"session_start\"]")), "keeps session_start for itself"),
        (table(&format!("{good}events = [\"form sent\"]")), "must start with a letter"),
        (table(&format!("{good}when = {{ utm_source = \"x\" }}")), "unknown field"),
        (table(&format!("{good}when = {{ site = \"https://www.example.com/\" }}")), "without https://"),
        (table(&format!("{good}credentials = {{ client_id = \"A_B\" }}")), "belong together"),
        (table(&format!("{good}transport = \"measurement-protocol\"")), "add api_secret"),
        (table(&format!("{good}transport = \"measurement-protocol\"\napi_secret = \"hJ3kx_9\"")), "never written here"),
        (
            table(&format!("{good}transport = \"measurement-protocol\"\napi_secret = \"GA4\"\nregion = \"us\"")),
            "must be eu",
        ),
        (table(good).replace("[ga]", "[google_ads]"), "GOOGLE_ADS_CUSTOMER_ID"),
        (table(good).replace("[ga]", "[ga_retractions]"), "can't end with _retractions"),
        (table(good).replace("[ga]", "[GA]"), "lower-case letters"),
        (format!("{}\n{}", table(good), table(good).replace("[ga]", "[gb]")), "counted twice"),
        (table(good).replace("google-analytics", "analytics"), "google-ads, google-analytics"),
    ] {
        let error = read(&toml, &[]).err().unwrap_or_else(|| panic!("{toml}"));
        assert!(error.contains(expected) && error.contains("line "), "{toml}\n{error}");
        assert!(!error.contains("hJ3kx_9"), "{error}");
    }
}

#[test]
fn a_text_that_is_no_toml_is_told_once() {
    let error = read("[ga\nplatform = ", &[]).err().unwrap();
    assert_eq!(error.matches("DESTINATIONS").count(), 1, "{error}");
}
