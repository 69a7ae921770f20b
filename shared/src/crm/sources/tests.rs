use super::*;
use crate::settings::Settings;

/// A secret in a format that every scheme accepts.
fn any(setting: &str) -> Option<SecretString> {
    let prefix = if setting == "STANDARD_WEBHOOKS_SECRET" { "whsec_" } else { "" };
    (!setting.ends_with("_PREVIOUS")).then(|| format!("{prefix}{}", "0123456789abcdef".repeat(4)).into())
}

fn none(_: &str) -> Option<SecretString> {
    None
}

const ACME: &str = r#"[acme]
[[acme.auth]]
bearer = { secret = "ACME_TOKEN" }
[acme.fields]
deal_id = "/id"
status = "/status"
[[acme.rules]]
when = { status = "won" }
conversion = "closed"
"#;

fn refusal(toml: &str) -> String {
    Sources::parse(toml, &Stages::default(), &any).err().unwrap_or_else(|| panic!("is accepted:\n{toml}"))
}

#[test]
fn the_default_source_is_always_there() {
    let sources = Sources::parse("", &Stages::default(), &any).unwrap();
    assert_eq!(sources.iter().map(|source| &*source.name).collect::<Vec<_>>(), [DEFAULT]);
    assert_eq!(sources.get(DEFAULT).unwrap().schemes.len(), 2);
    assert!(sources.get("acme").is_none());
    assert!(
        Sources::parse("", &Stages::default(), &none).unwrap().get(DEFAULT).unwrap().schemes.is_empty(),
        "nobody can authenticate"
    );

    let redeclared = ACME.replace("acme", DEFAULT);
    assert_eq!(Sources::parse(&redeclared, &Stages::default(), &any).unwrap().get(DEFAULT).unwrap().schemes.len(), 1);
    let both = Sources::parse(ACME, &Stages::default(), &any).unwrap();
    assert_eq!(both.iter().map(|source| &*source.name).collect::<Vec<_>>(), ["acme", DEFAULT]);
}

#[test]
fn a_preset_is_all_that_a_source_needs() {
    for name in presets::names().filter(|name| *name != DEFAULT) {
        let toml = format!("[my-crm]\npreset = \"{name}\"");
        let sources = Sources::parse(&toml, &Stages::default(), &any).unwrap();
        assert!(!sources.get("my-crm").unwrap().schemes.is_empty(), "{name}");
        let refused = Sources::parse(&toml, &Stages::default(), &none).err().unwrap();
        assert!(refused.starts_with("source my-crm, line 1: [my-crm]\n"), "{refused}");
        assert!(Sources::preset(name, &Stages::default(), &none).is_ok(), "{name}");
        assert!(
            Sources::parse(presets::toml(name).unwrap(), &Stages::default(), &any).is_ok(),
            "{name} is an example that can be copied"
        );
    }
    assert!(Sources::preset("pipedriv", &Stages::default(), &any).err().unwrap().contains("pipedrive"));
}

#[test]
fn the_first_name_of_the_key_still_names_a_preset() {
    let sources = Sources::parse("[acme]\nready = \"zapier\"", &Stages::default(), &any).unwrap();
    assert_eq!(sources.get("acme").unwrap().preset.as_deref(), Some("zapier"));
}

#[test]
fn one_of_a_presets_schemes_must_have_its_secret() {
    let toml = "[hubspot]\npreset = \"hubspot-workflow\"";
    let only = |name: &'static str| move |setting: &str| any(setting).filter(|_| setting == name);
    let sources = Sources::parse(toml, &Stages::default(), &only("HUBSPOT_WORKFLOW_SECRET")).unwrap();
    assert_eq!(sources.get("hubspot").unwrap().schemes.len(), 1);
    let refused = Sources::parse(toml, &Stages::default(), &none).err().unwrap();
    assert!(refused.contains("HUBSPOT_WORKFLOW_SECRET") && refused.contains("HUBSPOT_CLIENT_SECRET"), "{refused}");
    let refused =
        Sources::parse("[p]\npreset = \"pipedrive\"", &Stages::default(), &only("PIPEDRIVE_PASSWORD")).err().unwrap();
    assert!(refused.contains("source p, line 1") && refused.contains("PIPEDRIVE_API_TOKEN"), "{refused}");
}

#[test]
fn what_an_operator_declares_replaces_the_preset_key_by_key() {
    let toml = r#"
        [pipedrive]
        preset = "pipedrive"
        [pipedrive.fields]
        deal_id = { join = ["pd-", "/data/id"] }
        [[pipedrive.rules]]
        when = { stage = 9 }
        conversion = "qualified"
        value = 500
    "#;
    let sources = Sources::parse(toml, &Stages::default(), &any).unwrap();
    let source = sources.get("pipedrive").unwrap();
    assert_eq!(source.rules.len(), 1);
    let item = serde_json::json!({"data": {"id": 178, "currency": "EUR"}});
    assert_eq!(source.fields.deal_id.as_ref().unwrap().find(&item).unwrap().1.as_ref(), "pd-178");
    assert_eq!(source.fields.currency.as_ref().unwrap().find(&item).unwrap().1.as_ref(), "EUR");
    let toml = "[make]\npreset = \"make\"\n[make.fields]\ngclid = \"/google\"";
    let sources = Sources::parse(toml, &Stages::default(), &any).unwrap();
    let clicks = &sources.get("make").unwrap().fields.clicks;
    assert_eq!(["gclid", "ttclid"].map(|name| clicks.get(name).unwrap().first()), ["/google", "/ttclid"]);
    assert!(source.fetch.is_some());
}

/// The line of [`ACME`] that is replaced, its replacement, the line that the error names, and the fix.
type Mistake = (&'static str, &'static str, usize, &'static str);

#[test]
fn a_mistake_is_shown_in_its_line_with_the_fix() {
    let mistakes: [Mistake; 38] = [
        ("[[acme.auth]]", "[acme.auth]", 2, "[[acme.auth]]"),
        ("[acme]", "[acme", 1, ""),
        ("[acme]", "other = 7\n[acme]", 1, "a table such as [acme]"),
        ("[acme]", "[acme]\nbodi = \"form\"", 2, "expected one of `preset`, `ready`, `body`"),
        ("[acme]", "[acme]\nbody = \"xml\"", 2, "expected `json` or `form`"),
        ("[acme]", "[acme]\nstrict = \"yes\"", 2, "expected a boolean"),
        ("[acme]", "[acme]\npreset = \"pipedriv\"", 2, "close, crm-conversion, gohighlevel"),
        ("[acme]", "[acme]\nitems = \"events\"", 2, "write \"/events\""),
        ("[acme]", "[acme]\nbody = \"form\"\nitems = \"\"", 3, "isn't an array itself"),
        ("[acme]", "[acme]\nonly = { pipeline = 1 }", 2, "add pipeline = \"/deal/pipeline\" to [acme.fields]"),
        ("deal_id = \"/id\"", "deal_id = \"id\"", 5, "write \"/id\""),
        ("deal_id = \"/id\"", "deal_id = \"/id\"\ngclick = \"/g\"", 6, "`email`, `phone`, `lead_id`"),
        ("deal_id = \"/id\"", "deal_id = \"/id\"\ngclick = \"/g\"", 6, "or of the click ids: `gclid`, `gbraid`"),
        ("deal_id = \"/id\"", "deal_id = \"/id\"\nfbclid = \"g\"", 6, "write \"/g\""),
        ("deal_id = \"/id\"", "deal_id = \"/id\"\ngclid = \"/fetched/gclid\"", 1, "[acme.fetch]"),
        ("deal_id = \"/id\"", "deal_id = \"/a~b\"", 5, "~0"),
        ("deal_id = \"/id\"", "deal_id = 7", 5, "expected a JSON Pointer, an array of them"),
        ("deal_id = \"/id\"", "deal_id = []", 5, "at least one JSON Pointer"),
        ("deal_id = \"/id\"", "deal_id = { join = [\"hs-\"] }", 5, "at least one JSON Pointer"),
        ("deal_id = \"/id\"", "deal_id = { joined = [\"/id\"] }", 5, "`text`, `join`, `at`, `after`"),
        ("deal_id = \"/id\"", "deal_id = { at = \"/id\" }", 5, "what follows the last /"),
        ("deal_id = \"/id\"", "deal_id = { at = \"/id\", after = \"\" }", 5, "the text before the id"),
        ("deal_id = \"/id\"", "email = \"/email\"", 1, "add deal_id = \"/deal/id\" to [acme.fields]"),
        ("deal_id = \"/id\"", "deal_id = \"/id\"\nemail = { text = \"x\" }", 6, "an array of them"),
        ("deal_id = \"/id\"", "deal_id = \"/id\"\nvalue = \"/value\"", 8, "currency = { text = \"EUR\" }"),
        ("deal_id = \"/id\"", "deal_id = \"/id\"\ncurrency = { text = \"EURO\" }", 6, "ISO 4217"),
        ("deal_id = \"/id\"", "deal_id = \"/id\"\nvalue = { at = \"/v\", divide_by = 0 }", 6, "above 0"),
        ("deal_id = \"/id\"", "deal_id = \"/id\"\nzone = \"Berlin\"", 6, "+01:00"),
        ("deal_id = \"/id\"", "deal_id = \"/id\"\nemail = \"/fetched/emails\"", 1, "[acme.fetch]"),
        ("when = { status = \"won\" }", "", 7, "when = {} for always"),
        ("deal_id = \"/id\"", "deal_id = { text = \"D\" }", 1, "the same for all"),
        ("deal_id = \"/id\"", "deal_id = \"/id\"\nevent_id = { text = \"1\" }", 1, "the same for all"),
        ("when = { status = \"won\" }", "when = { stage = \"won\" }", 7, "add stage = \"/deal/stage\""),
        ("when = { status = \"won\" }", "when = { state = \"won\" }", 8, "stage, status, pipeline or a JSON Pointer"),
        ("when = { status = \"won\" }", "when = { status = [] }", 8, "at least one value"),
        (
            "conversion = \"closed\"",
            "conversion = \"won\"",
            9,
            "`refunded`, `reopened`, `deleted`, `restored`, `merged`, `ignore`",
        ),
        ("conversion = \"closed\"", "conversion = \"closed\"\nvalue = \"half\"", 10, "\"expected\", \"none\""),
        ("conversion = \"closed\"", "conversion = \"closed\"\nvalue = \"expected\"", 7, "divide_by = 100"),
    ];
    for (right, wrong, line, fix) in mistakes {
        let toml = ACME.replacen(right, wrong, 1);
        let refused = refusal(&toml);
        let shown = format!("line {line}: {}", toml.lines().nth(line - 1).unwrap());
        assert!(refused.contains(&shown) && refused.contains(fix), "{shown}: {fix}\n{refused}");
    }
}

#[test]
fn a_rule_names_a_declared_stage() {
    let values = [("STAGES".to_owned(), SecretString::from("demo_booked"))].into();
    let stages = Stages::from_settings(&mut Settings::new(&values));
    let demo = ACME.replace("conversion = \"closed\"", "conversion = \"demo_booked\"");
    let sources = Sources::parse(&demo, &stages, &any).unwrap();
    assert_eq!(sources.get("acme").unwrap().rules().collect::<Vec<_>>(), ["status = won: demo_booked"]);
    let refused = refusal(&demo);
    assert!(refused.contains("line 9") && refused.contains("`closed`, `qualified`, `lost`"), "{refused}");
    assert!(refused.contains("STAGES"), "{refused}");
    // Whoever keeps our contract sends the names of our stages.
    let ours = "[ours]\npreset = \"crm-conversion\"";
    for (name, of) in [(DEFAULT, Sources::parse("", &stages, &any)), ("ours", Sources::parse(ours, &stages, &any))] {
        let of = of.unwrap();
        let last = of.get(name).unwrap().rules().last();
        assert_eq!(last.as_deref(), Some("stage = demo_booked: demo_booked"), "{name}");
    }
}

#[test]
fn a_pointer_that_the_answer_never_has_is_refused_where_it_is() {
    let fetch = |toml: &str| format!("{toml}[acme.fetch]\nhubspot = {{ token = \"HUBSPOT_ACCESS_TOKEN\" }}\n");
    let field = |field: &str| fetch(&ACME.replace("deal_id = \"/id\"", &format!("deal_id = \"/id\"\n{field}")));
    for (toml, problem) in [
        (field("email = \"/fetched/person/email\""), "field email: nothing is ever at /fetched/person/email"),
        (field("email = [\"/fetched/email\", \"/fetched/mail\"]"), "field email"),
        (field("value = \"/fetched/deal/hs_tcv\""), "/fetched/deal/properties/hs_tcv"),
        (field("gclid = \"/fetched/contacts/0/gclid\""), "field gclid"),
        (fetch(&ACME.replace("status = \"won\"", "\"/fetched/deal/won\" = \"1\"")), "line 7"),
        (fetch(&ACME.replace("[acme]", "[acme]\nonly = { \"/fetched/lead/x\" = \"1\" }")), "line 2"),
    ] {
        let refused = refusal(&toml);
        assert!(refused.contains(problem) && refused.contains("nothing is ever at"), "{refused}");
    }
    for toml in [
        field("email = [\"/fetched/person/email\", \"/fetched/emails\"]"),
        fetch(&ACME.replace("status = \"won\"", "\"/fetched/deal/properties/hs_is_closed_won\" = \"true\"")),
    ] {
        assert!(Sources::parse(&toml, &Stages::default(), &any).is_ok(), "{toml}");
    }
}

#[test]
fn a_missing_key_is_reported_with_an_example() {
    let refused = refusal("[empty]");
    for fix in ["[[empty.auth]]", "deal_id = \"/deal/id\"", "[[empty.rules]]"] {
        assert!(refused.contains(fix), "{refused}");
    }
    let refused = Sources::parse(ACME, &Stages::default(), &none).err().unwrap();
    assert!(refused.starts_with("source acme, line 2: [[acme.auth]]\n"), "{refused}");
    assert!(refused.contains("ACME_TOKEN"), "{refused}");
    let idle = format!("{ACME}[acme.fetch]\nclose = {{ token = \"CLOSE_API_KEY\" }}\n");
    assert!(refusal(&idle).contains("email = \"/fetched/emails\""), "{}", refusal(&idle));
}

#[test]
fn a_secret_in_the_place_of_its_settings_name_is_not_repeated() {
    for wrong in [
        "bearer = \"s3cr3t-and-more\"",
        "bearer = { secret = 's3cr3t' }",
        "bearer = { token = 7, secret = \"s3cr3t\" }",
        "bearer = { secret = \"S3CR3TSESAME0PEN\" }",
        "bearer = { secret = \"ACME_S3CR3TSESAME0PEN\" }",
    ] {
        let toml = ACME.replacen("bearer = { secret = \"ACME_TOKEN\" }", wrong, 1);
        let refused = Sources::parse(&toml, &Stages::default(), &|_| None).err().unwrap();
        assert!(refused.contains("source acme, line") && !refused.contains("s3cr3t-"), "{refused}");
        assert!(!refused.contains("S3CR3T"), "{refused}");
        let shown = refused.lines().next().unwrap();
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

#[test]
fn the_mistakes_of_all_sources_are_reported_at_once_by_line() {
    let toml =
        format!("{}{}{ACME}", ACME.replace("acme", "Big_Crm"), ACME.replace("acme", "b").replace("\"/id\"", "\"id\""));
    let refused = refusal(&toml);
    let lines: Vec<_> = refused.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(lines, ["source Big_Crm, line 1: [Big_Crm]", "source b, line 14: deal_id = \"id\""]);
    assert!(refused.contains("lower-case letters, digits and hyphens"), "{refused}");
    assert!(refusal(&ACME.replace("acme", &"a".repeat(41))).contains("1 to 40"));
}

#[test]
fn a_body_is_read_as_declared() {
    let form =
        Sources::parse(&ACME.replacen("[acme]", "[acme]\nbody = \"form\"", 1), &Stages::default(), &any).unwrap();
    let items = form.get("acme").unwrap().items(b"id=7").unwrap();
    assert_eq!(items[0].value, serde_json::json!({"id": "7"}));
    let array =
        Sources::parse(&ACME.replacen("[acme]", "[acme]\nitems = \"/events\"", 1), &Stages::default(), &any).unwrap();
    let array = array.get("acme").unwrap();
    assert_eq!(array.items(br#"{"events":[{"id":7},{}]}"#).unwrap().len(), 2);
    let odd = array.items(br#"{"events":[7]}"#).unwrap().remove(0);
    assert_eq!((&*odd.at, odd.fault), ("/events/0", Some("must be an object")));
    assert_eq!(array.items(br#"{"events":7}"#).unwrap_err()[0].pointer, "/events");
}

const AUTH_AND_RULES: &str = r#"
[[acme.auth]]
bearer = { secret = "ACME_TOKEN" }
[[acme.rules]]
when = { status = "won" }
conversion = "closed"
"#;

#[test]
fn a_pointer_that_never_finds_anything_is_refused_where_it_stands() {
    for (line, at, fix) in [
        ("items = \"/deals/**\"", "line 2", "write one * for each"),
        ("fields.email = \"/s[name=x\"", "line 2", "write s[name=x]"),
        ("fields.phone = { at = \"/a[=x]\" }", "line 2", "write a[name=x]"),
        ("fields.value = [\"/a\", \"/s/*/[name=]\"]", "line 2", "[name=value]"),
        ("fields.currency = { join = [\"/a//b\", \"x\"] }", "line 2", "empty name"),
        ("fields.event_id = { at = \"/a/\", after = \"/\" }", "line 2", "empty name"),
        ("fields.gclid = \"/s[name=x].value\"", "line 2", "write s[name=x]/value"),
        ("only = { \"/a[=x]\" = 1 }", "line 2", "write a[name=x]"),
        ("fields.email = \"/a[name]\"", "line 1", "write /a/name"),
        ("items = \"/leads[status]\"", "line 2", "write /leads/status"),
        ("only = { \"/a[b]\" = 1 }", "line 2", "write /a/b"),
    ] {
        let toml = format!("[acme]\n{line}\nfields.deal_id = \"/id\"\nfields.status = \"/status\"\n{AUTH_AND_RULES}");
        let refused = refusal(&toml);
        assert!(refused.contains(at) && refused.contains(fix), "{line}: {refused}");
    }
    let merged = r#"[[acme.rules]]
when = { status = "merged" }
conversion = "merged"
into = "/id"
from = ["/ids/**"]
"#;
    let refused = refusal(&format!("{ACME}{merged}"));
    assert!(refused.contains("line 14") && refused.contains("write one * for each"), "{refused}");
    let when = refusal(&ACME.replace("status = \"won\"", "\"/tags[0][name\" = \"won\""));
    assert!(when.contains("line 8") && when.contains("write tags[0][name]"), "{when}");
    let form = ACME.replacen("[acme]\n", "[acme]\nbody = \"form\"\n", 1).replace("\"/id\"", "\"/deal[id]\"");
    assert!(Sources::parse(&form, &Stages::default(), &any).is_ok(), "forms have such names");
}
