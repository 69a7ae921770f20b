use testing::row_counts;

use super::*;

#[sqlx::test(migrations = "../migrations")]
async fn nothing_is_stored_whatever_is_sent(pool: PgPool) {
    let lead = lead("jane@example.com").store(&pool).await;
    let secrets = secrets_of_presets();
    let settings: Vec<_> = secrets.iter().map(|(name, secret)| (name.as_str(), secret.as_str())).collect();
    let values = values(Some(&pool), &settings);
    let answer = json!({
        "emails": ["jane@example.com"], "phones": [],
        "deal": {"properties": {"dealstage": "closedwon", "amount": "6000.50", "deal_currency_code": "EUR"}},
        "contacts": [], "person": {}, "lead": {},
    });
    let fetched = file("fetched.json", answer.to_string());
    let before = row_counts(&pool).await;
    let mut queued = 0;
    for name in presets::names() {
        let body = file("body", presets::sample(name).unwrap().body);
        for more in [&[][..], &["--fetched", &fetched]] {
            if !more.is_empty() && name == "zoho" {
                continue;
            }
            let test = [&["crm", "test", name, &body], more].concat();
            let tested = document(&values, &test).await;
            assert_ne!(tested["verification"]["verified"], false, "{name}: {tested}");
            for item in tested["items"].as_array().unwrap() {
                assert_eq!(item["problems"], json!([]), "{name}: {item}");
                if item["outcome"]["status"] == "queued" {
                    queued += 1;
                    assert_eq!(item["match"]["lead_id"], json!(lead), "{name}: {item}");
                    assert_eq!(item["queue"][0]["platform"], "google_ads", "{name}: {item}");
                }
                if !more.is_empty() {
                    assert_ne!(item["meaning"], "fetch", "{name}: {item}");
                }
            }
            let text = printed(&values, &test).await;
            for (setting, secret) in &secrets {
                assert!(!text.contains(secret.as_str()) && !tested.to_string().contains(secret.as_str()), "{setting}");
            }
            assert_eq!(row_counts(&pool).await, before, "{name}");
        }
    }
    assert!(queued >= 8, "only {queued} samples found the lead");
}

#[sqlx::test(migrations = "../migrations")]
async fn the_outcome_of_a_deal_is_shown(pool: PgPool) {
    let values = values(Some(&pool), &[]);
    let body = file("deal.json", DEAL);
    let at = "2026-11-20T12:00:00Z";
    let test = ["crm", "test", "acme", &body, "--at", at];
    let waiting = document(&values, &test).await;
    assert_eq!(waiting["items"][0]["outcome"], json!({"status": "awaiting_lead"}));
    assert_eq!(waiting["items"][0]["match"], Value::Null);

    let lead = lead("jane@example.com").store(&pool).await;
    let found = document(&values, &test).await;
    assert_eq!(found["verification"]["setting"], "ACME_SECRET");
    let item = &found["items"][0];
    assert_eq!((&item["rule"], &item["crm_deal_id"]), (&json!("rule 1: stage = won"), &json!("D-7")));
    assert_eq!(item["deal"]["conversion_type"], "closed");
    assert_eq!((&item["deal"]["value"], &item["deal"]["currency"]), (&json!(6000.5), &json!("EUR")));
    assert_eq!(item["deal"]["email"], "jane@example.com");
    assert_eq!(item["match"], json!({"lead_id": lead, "matched_by": "email", "skip_reason": null}));
    assert_eq!(item["queue"][0]["due_at"], "2026-11-20T16:00:00+00:00", "six hours after the click");
    let text = printed(&values, &test).await;
    for part in
        ["rule 1: stage = won", "6000.50 EUR", "jane@example.com", "found by email", "google_ads", "Nothing was stored"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn without_a_database_the_body_is_still_read() {
    let body = file("deal.json", DEAL);
    let text = printed(&values(None, &[]), &["crm", "test", "acme", &body]).await;
    assert!(text.contains("6000.50 EUR") && text.contains("DATABASE_URL isn't set"), "{text}");
    for (secret, is_verified) in [(ACME_SECRET, json!(true)), ("", Value::Null)] {
        let tested = document(&values(None, &[("ACME_SECRET", secret)]), &["crm", "test", "acme", &body]).await;
        assert_eq!(tested["verification"]["verified"], is_verified);
        assert_eq!((&tested["dry_run"], &tested["items"][0]["outcome"]), (&json!(false), &Value::Null));
        assert_eq!(tested["items"][0]["meaning"], "reached");
    }
}

#[tokio::test]
async fn the_clicks_of_a_deal_are_shown() {
    let deal = json!({
        "crm_deal_id": "D-7", "conversion_type": "closed", "email": "jane@example.com", "gclid": "EAIaIQ-example_1",
        "clicked_at": "2026-11-19T10:00:00Z", "fbclid": "a b",
    });
    let body = file("deal.json", deal.to_string());
    let test = ["crm", "test", "crm-conversion", &body, "--at", "2026-11-20T12:00:00Z"];
    let item = document(&values(None, &[]), &test).await["items"][0].clone();
    let clicks = json!({"google": {"gclid": "EAIaIQ-example_1", "at": "2026-11-19T10:00:00Z"}});
    assert_eq!((&item["deal"]["clicks"], &item["warnings"][0]["field"]), (&clicks, &json!("fbclid")));
    let shown = printed(&values(None, &[]), &test).await;
    for part in ["clicks", "EAIaIQ-example_1", "fbclid is ignored: it can't be a value that the network passes"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let body = file("deal.json", DEAL);
    let without = printed(&values(None, &[]), &["crm", "test", "acme", &body]).await;
    assert!(!without.contains("clicks"), "{without}");
}

#[tokio::test]
async fn headers_that_fail_verification_fail_the_test() {
    let body = file("deal.json", DEAL);
    let signature = format!("x-signature: sha256={}", "00".repeat(32));
    for header in [signature.as_str(), "x-other: 1", "x-signature: rubbish"] {
        let (out, ended) = run(&values(None, &[]), &["--json", "crm", "test", "acme", &body, "-H", header]).await;
        let tested: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(tested["verification"]["verified"], false, "{header}");
        assert_eq!(tested["items"][0]["meaning"], "reached", "it is read all the same");
        assert!(ended.unwrap_err().contains("x-signature: sha256=<hex HMAC-SHA-256 of the body>"), "{header}");
    }
    let error = refused(&values(None, &[]), &["crm", "test", "acme", &body, "-H", "hush-hush"]).await;
    assert!(error.contains("-H 'Name: value'") && !error.contains("hush"), "{error}");
}

#[tokio::test]
async fn an_unusable_body_fails_the_test_and_is_explained() {
    for (body, pointer) in [(r#"{"deal": {"stage": "won"}}"#, "/deal/id"), ("{", "")] {
        let arguments = ["--json", "crm", "test", "acme", &file("body", body)];
        let (out, ended) = run(&values(None, &[]), &arguments).await;
        let tested: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(tested["items"][0]["problems"][0]["pointer"], pointer, "{tested}");
        assert!(ended.unwrap_err().starts_with("No item of the body is valid"));
    }
}

#[tokio::test]
async fn a_lookup_is_shown_and_its_answer_can_be_given() {
    let values = values(None, &[("HUBSPOT_CLIENT_SECRET", "hush"), ("HUBSPOT_ACCESS_TOKEN", "hush")]);
    let body = file("body", presets::sample("hubspot-app").unwrap().body);
    let text = printed(&values, &["crm", "test", "hubspot-app", &body]).await;
    assert!(text.contains("fetched from HubSpot at https://api.hubapi.com") && text.contains("--fetched"), "{text}");
    let error = refused(&values, &["crm", "test", "hubspot-app", &body, "--fetched", &file("answer", "{")]).await;
    assert!(error.contains("must be JSON"), "{error}");
}

const LANDING: [(&str, &str); 2] = [
    ("CRM_SOURCES", "[landing]\nkind = \"lead\"\nauth = [{ url = { secret = \"LANDING_SECRET\" } }]"),
    ("LANDING_SECRET", "a-secret-of-landing-0123456789"),
];

#[tokio::test]
async fn the_lead_that_a_source_would_make_is_shown() {
    let values = values(None, &LANDING);
    let body = file("lead.json", r#"{"your-email":"jane@example.com","gclid":"Click-1","tel":"030 901820"}"#);
    let tested = document(&values, &["crm", "test", "landing", &body]).await;
    assert_eq!((&tested["meaning"], &tested["verification"]["verified"]), (&json!("lead"), &Value::Null));
    assert_eq!(
        (&tested["lead"]["email"], &tested["warnings"][0]["pointer"]),
        (&json!("jane@example.com"), &json!("/phone"))
    );
    assert_eq!(tested["lead"]["clicks"]["google"]["gclid"], json!("Click-1"), "{tested}");
    let text = printed(&values, &["crm", "test", "landing", &body]).await;
    for part in ["landing (declared)", "jane@example.com", "Click-1", "/phone ", "Nothing was stored."] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let url = |secret: &str| format!("https://api.example.com/api/leads/landing?secret={secret}");
    let right = document(&values, &["crm", "test", "landing", &body, "--url", &url(LANDING[1].1)]).await;
    assert_eq!(right["verification"]["verified"], json!(true));
    let (out, ended) = run(&values, &["crm", "test", "landing", &body, "--url", &url("another-secret")]).await;
    assert!(ended.unwrap_err().contains("The proof of the sender fails") && out.contains("FAILED"), "{out}");
    let nobody = file("lead.json", r#"{"name":"Jane"}"#);
    let (out, ended) = run(&values, &["crm", "test", "landing", &nobody]).await;
    assert!(ended.unwrap_err().contains("No lead would be stored") && out.contains("refused"), "{out}");
}

#[tokio::test]
async fn every_preset_of_leads_can_be_tried_before_it_is_declared() {
    let values = values(None, &[]);
    for name in shared::lead_sources::names() {
        let body = file("lead", shared::lead_sources::sample(name).unwrap());
        let (out, _) = run(&values, &["crm", "test", name, &body]).await;
        assert!(out.contains("jane@example.com") && out.contains("FAILED: "), "{name}: {out}");
    }
}
