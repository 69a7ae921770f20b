use std::process::Command;

use super::*;

/// Runs the command with a curl that writes down what it was called with; answers its arguments.
fn pasted(command: &str) -> Vec<Vec<u8>> {
    let stub = file("curl", "#!/bin/sh\nprintf '%s\\0' \"$@\" > \"$0.arguments\"\n");
    let folder = std::path::Path::new(&stub).parent().unwrap();
    assert!(Command::new("chmod").args(["+x", &stub]).status().unwrap().success());
    let script = format!("PATH={}:$PATH\n{command}", folder.display());
    // As standard input, which is how `adtrail crm sign … | sh` has it.
    let script = file("script", script);
    let status = Command::new("sh").stdin(std::fs::File::open(script).unwrap()).status().unwrap();
    assert!(status.success(), "{command}");
    let arguments = std::fs::read(format!("{stub}.arguments")).unwrap();
    arguments.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// The argument after this one, for each time it is there.
fn after<'a>(arguments: &'a [Vec<u8>], option: &str) -> Vec<&'a [u8]> {
    let pairs = arguments.windows(2).filter(|pair| pair[0] == option.as_bytes());
    pairs.map(|pair| pair[1].as_slice()).collect()
}

#[tokio::test]
async fn what_is_signed_arrives_byte_by_byte_and_verifies() {
    let secrets = secrets_of_presets();
    let settings: Vec<_> = secrets.iter().map(|(name, secret)| (name.as_str(), secret.as_str())).collect();
    let values = values(None, &settings);
    for name in presets::names() {
        let sample = presets::sample(name).unwrap();
        let arguments = pasted(&printed(&values, &["crm", "sign", name]).await);
        assert_eq!(after(&arguments, "--data-raw"), [sample.body.as_bytes()], "{name}");
        let headers: Vec<_> =
            after(&arguments, "--header").into_iter().map(|it| String::from_utf8(it.to_vec()).unwrap()).collect();
        assert!(headers.contains(&format!("content-type: {}", sample.content_type)), "{name}: {headers:?}");
        let url = String::from_utf8(arguments[3].clone()).unwrap();
        assert!(url.starts_with(&format!("http://localhost:8080/api/webhooks/{name}")), "{url}");
        // What was made is what the endpoint takes.
        let body = file("body", sample.body);
        let mut test = vec!["crm", "test", name, &body, "--url", &url];
        test.extend(headers.iter().flat_map(|header| ["-H", header]));
        let tested = document(&values, &test).await;
        assert_eq!(tested["verification"]["verified"], true, "{name}: {tested}");
        assert_eq!(tested["verification"]["signed_here"], false, "{name}");
    }
}

#[tokio::test]
async fn a_file_is_sent_as_it_is() {
    let body = file("it's $a deal.json", DEAL);
    let signed =
        document(&values(None, &[]), &["crm", "sign", "acme", &body, "--url", "https://example.com/a?b=[c]&d={e}"])
            .await;
    let arguments = pasted(signed["command"].as_str().unwrap());
    assert_eq!(after(&arguments, "--data-binary"), [format!("@{body}").as_bytes()]);
    assert!(arguments.contains(&b"https://example.com/a?b=[c]&d={e}".to_vec()), "{signed}");
    assert_eq!(signed["body"], Value::Null, "it is in the file");
}

#[tokio::test]
async fn the_time_is_signed() {
    let secrets = secrets_of_presets();
    let settings: Vec<_> = secrets.iter().map(|(name, secret)| (name.as_str(), secret.as_str())).collect();
    let values = values(None, &settings);
    let at = ["--at", "2026-11-20T12:00:00Z"];
    let signed = document(&values, &[&["crm", "sign", "close"], &at[..]].concat()).await;
    let headers = signed["headers"].as_array().unwrap();
    assert!(headers.contains(&json!({"name": "close-sig-timestamp", "value": "1795176000"})), "{signed}");
    let given: Vec<_> = headers
        .iter()
        .map(|it| format!("{}: {}", it["name"].as_str().unwrap(), it["value"].as_str().unwrap()))
        .collect();
    let body = file("body", presets::sample("close").unwrap().body);
    let mut test = vec!["crm", "test", "close", &body];
    test.extend(given.iter().flat_map(|header| ["-H", header]));
    let (_, late) = run(&values, &test).await;
    assert!(late.unwrap_err().contains("--at"), "an old delivery is one of its time");
    test.extend(at);
    assert_eq!(document(&values, &test).await["verification"]["verified"], true);
}

#[tokio::test]
async fn an_impossible_signature_says_why() {
    let values = values(None, &[]);
    for (arguments, said) in [
        (&["crm", "sign", "zapier"][..], "ZAPIER_SECRET"),
        (&["crm", "sign", "acme"], "name a file"),
        (&["crm", "sign", "nobody"], "declare it in CRM_SOURCES"),
        (&["crm", "sign", "acme", "/no/such/file"], "can't be read"),
        (&["crm", "sign", "crm-conversion", "--url", "example.com/x"], "The URL is invalid"),
    ] {
        let error = refused(&values, arguments).await;
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}

const LEADS: &str = r#"
[landing]
kind = "lead"
[[landing.auth]]
bearer = { secret = "LANDING_SECRET" }

[hooked]
kind = "lead"
[[hooked.auth]]
url = { secret = "LANDING_SECRET" }

[signed]
kind = "lead"
[[signed.auth]]
hmac = { secret = "LANDING_SECRET", header = "x-signature" }

[ads]
kind = "lead"
preset = "google-lead-form"
key = { at = "/google_key", secret = "LANDING_SECRET" }

[builder]
kind = "lead"
preset = "elementor"
[[builder.auth]]
url = { secret = "LANDING_SECRET" }
"#;

/// What is signed for a source of leads is what its endpoint takes.
#[tokio::test]
async fn a_source_of_leads_is_signed_for_too() {
    let values = values(None, &[("CRM_SOURCES", LEADS), ("LANDING_SECRET", "landing-secret-0123456789")]);
    let body = file("lead.json", r#"{"email":"jane@example.com"}"#);
    for name in ["landing", "hooked", "signed", "ads", "builder"] {
        let given = ["crm", "sign", name, &body];
        // Two of them have the sample of their preset.
        let given = if matches!(name, "ads" | "builder") { &given[..3] } else { &given };
        let signed = document(&values, given).await;
        let url = signed["url"].as_str().unwrap();
        assert!(url.starts_with(&format!("http://localhost:8080/api/leads/{name}")), "{url}");
        assert!(signed["command"].as_str().unwrap().contains(url), "{signed}");
        let is_form = name == "builder";
        let expected = if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
        assert_eq!(signed["headers"][0]["value"], expected);
        let sent = signed["body"].as_str().map_or_else(|| body.clone(), |text| file("sent", text));
        let headers = signed["headers"].as_array().unwrap().iter();
        let headers: Vec<_> =
            headers.map(|it| format!("{}: {}", it["name"].as_str().unwrap(), it["value"].as_str().unwrap())).collect();
        let mut test = vec!["crm", "test", name, &sent, "--url", url];
        test.extend(headers.iter().flat_map(|header| ["-H", header]));
        let tested = document(&values, &test).await;
        assert_eq!(tested["verification"]["verified"], true, "{name}: {tested}");
        assert_eq!(
            tested["meaning"],
            if name == "ads" { tested["meaning"].clone() } else { json!("lead") },
            "{tested}"
        );
    }
    let at =
        document(&values, &["crm", "sign", "landing", &body, "--url", "https://example.com/api/leads/landing"]).await;
    assert_eq!(at["url"], "https://example.com/api/leads/landing");
}

#[tokio::test]
async fn a_lead_that_cant_be_signed_says_why() {
    let unset = values(None, &[("CRM_SOURCES", LEADS)]);
    let set = values(None, &[("CRM_SOURCES", LEADS), ("LANDING_SECRET", "landing-secret-0123456789")]);
    let form = file("form", "email=jane%40example.com");
    for (values, arguments, said) in [
        (&unset, &["crm", "sign", "builder"][..], "LANDING_SECRET"),
        (&set, &["crm", "sign", "landing"], "name a file"),
        (&set, &["crm", "sign", "ads", &form], "must be a JSON object"),
        (&set, &["crm", "sign", "landing", "/no/such/file"], "can't be read"),
    ] {
        let error = refused(values, arguments).await;
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}
