use secrecy::SecretString;

use super::*;
use crate::platforms::REGISTRY;
use crate::settings::Values;

const TWO: &str = r#"
[main]
platform = "google-ads"
customer_id = "123-456-7890"
[main.actions]
closed = 987654321
demo_booked = "customers/1234567890/conversionActions/987654323"

[fr]
platform = "google-ads"
customer_id = 2223334444
login_customer_id = "999-999-9999"
transport = "google_ads"
user_data = "omit"
click_hold_seconds = 0
credentials = { service_account_key = "FRANCE_SERVICE_ACCOUNT_KEY" }
when = { site = ["www.example.fr", "example.fr"], gad_campaignid = 77 }
[fr.actions]
closed = 111
"#;

fn read(toml: &str, settings: &[(&str, &str)]) -> Result<Destinations, String> {
    let all = [("DESTINATIONS", toml), ("STAGES", "demo_booked")];
    let values: Values =
        all.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
    let mut settings = Settings::new(&values);
    let destinations = Destinations::from_settings(REGISTRY, &mut settings);
    settings.finish(Some(destinations)).map_err(|error| error.to_string())
}

fn candidate(stage: &str, site: &str, click: &str) -> Candidate {
    let at = chrono::DateTime::UNIX_EPOCH;
    let find = |parameter: &networks::Parameter| {
        url::form_urlencoded::parse(click.as_bytes()).find(|(name, _)| name == parameter.name).map(|(_, it)| it.into())
    };
    Candidate {
        stage: Stage::parse(stage).unwrap(),
        occurred_at: at,
        lead_at: at,
        clicks: crate::attribution::Clicks::read(at, find).clicked(at),
        hashes: super::super::Hashes::default(),
        site: Some(site.into()),
        source: None,
        utm: crate::attribution::Utm::default(),
    }
}

fn planned(destinations: &Destinations, candidate: &Candidate) -> Result<Vec<String>, SkipReason> {
    let planned = destinations.plan(candidate)?;
    Ok(planned.into_iter().map(|it| it.destination).collect())
}

#[test]
fn accounts_are_declared_and_chosen_by_what_the_conversion_says() {
    let destinations = read(TWO, &[]).unwrap();
    let names: Vec<_> = destinations.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["fr", "main"], "the one for some conversions goes first");
    let of_france = candidate("closed", "WWW.example.fr", "gclid=x&gad_campaignid=77");
    assert_eq!(planned(&destinations, &of_france), Ok(vec!["fr".into()]), "a click belongs to one account");
    let instead = destinations.instead_of("fr", &of_france);
    assert_eq!(instead.iter().map(|(it, _)| it.name.as_str()).collect::<Vec<_>>(), ["main"]);
    for (other, expected) in [
        (candidate("closed", "www.example.fr", "gclid=x&gad_campaignid=78"), Ok("main")),
        (candidate("closed", "www.example.com", "gclid=x&gad_campaignid=77"), Ok("main")),
        (candidate("demo_booked", "www.example.fr", "gclid=x&gad_campaignid=77"), Ok("main")),
        (candidate("qualified", "www.example.fr", "gclid=x&gad_campaignid=77"), Err(SkipReason::NoConversionAction)),
        (candidate("closed", "www.example.com", "fbclid=x"), Err(SkipReason::NoAttribution)),
        (candidate("closed", "www.example.com", ""), Err(SkipReason::NoAttribution)),
    ] {
        assert_eq!(planned(&destinations, &other), expected.map(|it| vec![it.to_owned()]), "{other:?}");
    }
    assert_eq!(
        destinations.lanes(),
        ["fr", "fr_restatements", "fr_retractions", "main", "main_restatements", "main_retractions"]
    );
}

#[test]
fn what_no_destination_is_for_says_so() {
    let only_france = TWO.split("[fr]").nth(1).map(|it| format!("[fr]{it}")).unwrap();
    let destinations = read(&only_france, &[]).unwrap();
    let other = candidate("closed", "www.example.com", "gclid=x");
    assert_eq!(planned(&destinations, &other), Err(SkipReason::NoDestination));
    let why: Vec<_> = destinations.get("fr").unwrap().when.differing(&other).collect();
    assert_eq!(
        why,
        ["site is \"www.example.com\", not www.example.fr or example.fr", "gad_campaignid is absent, not 77"]
    );
}

#[test]
fn the_short_form_is_a_destination_besides_those_that_are_declared() {
    let short = [("GOOGLE_ADS_CUSTOMER_ID", "999-888-7777"), ("GOOGLE_ADS_CONVERSION_ACTION_CLOSED", "5")];
    let destinations = read(TWO, &short).unwrap();
    assert_eq!(destinations.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["fr", "google_ads", "main"]);
    let twice = read(&TWO.replace("main", "google_ads"), &short).unwrap_err();
    assert!(twice.contains("destination google_ads, line 2") && twice.contains("unset those"), "{twice}");
    assert!(read("", &[]).unwrap().is_empty());
    assert!(read(" \n# none yet\n", &[]).unwrap().is_empty());
}

#[test]
fn what_is_accepted_decides_who_is_asked_again() {
    let fingerprint = |toml: &str| read(toml, &[]).unwrap().fingerprint().to_owned();
    let all = [
        fingerprint(TWO),
        fingerprint(""),
        fingerprint(&TWO.replace("77 }", "78 }")),
        fingerprint(&TWO.replace("\nclosed = 111", "\nclosed = 111\nqualified = 112")),
    ];
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    assert_eq!(all[0], fingerprint(&TWO.replace("closed = 111", "closed = 119")), "the same is accepted");
}

#[test]
fn a_wrong_declaration_is_refused_with_its_line_and_the_fix() {
    let cases: &[(&str, &str, &str)] = &[
        ("platform = \"google-ads\"\ncustomer_id = 2", "platform = \"meta\"\ncustomer_id = 2", "those are google-ads"),
        ("platform = \"google-ads\"\ncustomer_id = 2", "customer_id = 2", "add platform ="),
        ("customer_id = 2223334444", "", "add customer_id ="),
        ("customer_id = 2223334444", "customer_id = \"222\"", "customer_id must be the ten digits"),
        ("customer_id = 2223334444", "customer_id = [1]", "a number or a text"),
        ("customer_id = 2223334444", "customer_id = 2223334444\ncustomer = 1", "unknown field `customer`"),
        ("login_customer_id = \"999-999-9999\"", "login_customer_id = \"x\"", "login_customer_id must be"),
        ("[fr.actions]\nclosed = 111", "", "[fr.actions]"),
        ("[fr.actions]\nclosed = 111", "[fr.actions]", "such as closed"),
        ("closed = 111", "close = 111", "close isn't one of STAGES: qualified, closed, demo_booked"),
        ("closed = 111", "closed = \"eleven\"", "closed must be the number of a conversion action"),
        ("transport = \"google_ads\"", "transport = \"gads\"", "transport must be data_manager, or google_ads"),
        ("user_data = \"omit\"", "user_data = \"hide\"", "user_data must be send or omit"),
        ("click_hold_seconds = 0", "click_hold_seconds = \"6h\"", "click_hold_seconds must be whole seconds"),
        (
            "site = [",
            "sight = [",
            "sight is no field that a destination can be chosen by; those are site, source, stage",
        ),
        ("site = [\"www.example.fr\", \"example.fr\"]", "site = []", "site needs at least one value"),
        ("site = [", "stage = \"won\", site = [", "won isn't one of STAGES"),
        ("\"example.fr\"]", "\"https://example.fr/\"]", "site needs a host"),
        ("\"example.fr\"]", "\"*.example.fr\"]", "site needs a host"),
        ("\"example.fr\"]", "\" example.fr\"]", "site needs a host"),
        ("\"example.fr\"]", "\"müller.example\"]", "site needs a host"),
        ("site = [", "utm_source = \"\", site = [", "utm_source needs 1 to"),
        ("when = {", "when = \"fr\" #", "expected a table, such as when"),
        ("service_account_key = \"FRANCE_SERVICE_ACCOUNT_KEY\"", "client_id = \"A\"", "name all three"),
        ("service_account_key = \"FRANCE_SERVICE_ACCOUNT_KEY\"", "", "names one kind of credentials"),
        ("{ service_account_key = \"FRANCE_SERVICE_ACCOUNT_KEY\" }", "\"x\"", "names of settings"),
        ("[fr]", "[Fr]", "lower-case letters, digits and underscores"),
        ("[fr]", "[1fr]", "the first of them a letter"),
        ("[fr]", "[fr_retractions]", "can't end with _retractions"),
        ("[fr]", "[main]", "duplicate key"),
        ("[fr]", "[fr", "line"),
        ("closed = 111", "closed = 111\nclosed = 112", "duplicate key"),
    ];
    for (from, to, says) in cases {
        let wrong = TWO
            .replace(from, to)
            .replace("[fr.actions]", if to.starts_with("[Fr") { "[Fr.actions]" } else { "[fr.actions]" });
        let error = read(&wrong, &[]).expect_err(to);
        assert!(error.contains("DESTINATIONS") && error.contains("line "), "{to}: {error}");
        assert!(error.contains(says), "{to}: {error}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let wrong = TWO.replace("123-456-7890", "1").replace("closed = 111", "won = 111");
    let error = read(&wrong, &[]).unwrap_err();
    assert!(error.contains("destination main, line 4") && error.contains("won isn't one of STAGES"), "{error}");
}

#[test]
fn a_credential_in_the_place_of_its_name_is_refused_and_not_repeated() {
    for key in ["refresh_token = hush", "api_key = \"hush\"", "credentials = [\"hush\"]", "\"hush\" = 1", "hush"] {
        let error = read(&TWO.replace("user_data = \"omit\"", key), &[]).unwrap_err();
        let quoted = error.replace("unknown field `hush`", "");
        assert!(!quoted.contains("hush"), "{key}: {error}");
    }
    for secret in ["{\\\"private_key\\\": \\\"hush\\\"}", "hush", "HUSHHUSHHUSHHUSHHUSHHUSH"] {
        let wrong = TWO.replace("FRANCE_SERVICE_ACCOUNT_KEY", secret);
        let error = read(&wrong, &[]).unwrap_err();
        assert!(error.contains("named, never written here"), "{error}");
        assert!(!error.to_lowercase().contains("hush"), "{error}");
    }
}

#[test]
fn two_destinations_with_the_same_action_would_count_twice() {
    let wrong = TWO.replace("2223334444", "1234567890").replace("closed = 111", "closed = 987654321");
    let error = read(&wrong, &[]).unwrap_err();
    assert!(error.contains("destination fr") && error.contains("as main does: a conversion could be counted twice"));
    // The same number in another account is another action.
    assert!(read(&TWO.replace("closed = 111", "closed = 987654321"), &[]).is_ok());
}

#[test]
fn there_may_be_two_hundred() {
    let toml = |count: usize| {
        let one = |nth: usize| {
            format!(
                "[client_{nth}]\nplatform = \"google-ads\"\ncustomer_id = {}\nactions = {{ closed = 1 }}\n\
                 when = {{ site = \"client{nth}.example.com\" }}\n",
                1_000_000_000 + nth
            )
        };
        (0..count).map(one).collect::<String>()
    };
    let destinations = read(&toml(MOST), &[]).unwrap();
    assert_eq!(destinations.lanes().len(), 3 * MOST);
    let last = candidate("closed", "client199.example.com", "gclid=x");
    assert_eq!(planned(&destinations, &last), Ok(vec!["client_199".into()]));
    let error = read(&toml(MOST + 1), &[]).unwrap_err();
    assert!(error.contains("client_200") && error.contains("more than 200"), "{error}");
}
