use testing::{execute, rows};

use super::*;

#[sqlx::test(migrations = "../migrations")]
async fn every_source_is_listed_with_what_it_sent(pool: PgPool) {
    deliver(&pool, DEAL).await;
    deliver(&pool, r#"{"deal": {"stage": "won"}}"#).await;
    execute(
        &pool,
        "update public.inbox_events set received_at = now();
         insert into public.webhook_refusals (source, reason, hour, refusals, last_at)
         values ('acme', 'signature_wrong', now(), 3, now()), ('acme', 'signature_missing', now(), 1, now())",
    )
    .await;
    assert_eq!(rows(&pool, "select from public.inbox_events").await.len(), 2);
    let values = values(Some(&pool), &[("ACME_SECRET_PREVIOUS", "the secret of yesterday")]);
    let listed = document(&values, &["crm", "sources"]).await;
    let [acme, default] = listed["sources"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!((&acme["name"], &acme["path"]), (&json!("acme"), &json!("/api/webhooks/acme")));
    assert_eq!(acme["authentication"][0]["scheme"], "hmac");
    assert_eq!(acme["authentication"][0]["settings"], json!(["ACME_SECRET", "ACME_SECRET_PREVIOUS"]));
    assert_eq!(acme["rules"], json!(["stage = won: closed", "stage = lost: lost"]));
    let week = &acme["last_seven_days"];
    assert_eq!((&week["events"], &week["rejected"]), (&json!(2), &json!(1)));
    assert_eq!(
        (&week["refused"][0]["reason"], &week["refused"][0]["refusals"]),
        (&json!("signature_wrong"), &json!(3))
    );
    assert!(week["last_event_at"].is_string(), "{week}");
    assert_eq!(default["name"], "crm-conversion");
    assert_eq!(default["last_seven_days"]["events"], 0);

    let text = printed(&values, &["crm", "sources"]).await;
    let said = "events 2, rejected 1, ignored 0, refused 4 (3 signature_wrong, 1 signature_missing); last event ";
    for part in ["acme\n", "/api/webhooks/acme", "hmac (ACME_SECRET, ACME_SECRET_PREVIOUS)", said] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for secret in [ACME_SECRET, "the secret of yesterday", WEBHOOK_SECRET, "@"] {
        assert!(!text.contains(secret) && !listed.to_string().contains(secret), "{secret} in {text}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_nobody_would_see_is_counted(pool: PgPool) {
    deliver(&pool, r#"{"deal": {"id": "7", "stage": "won\u00a0\u200b"}}"#).await;
    execute(
        &pool,
        "update public.inbox_events set received_at = now();
         update public.ignored_values set day = (now() at time zone 'utc')::date, first_at = now(), last_at = now();
         insert into public.lead_refusals (reason, hour, refusals, last_at) values ('email', now(), 3, now());
         insert into public.leads (email_hash, warnings)
         values (repeat('a', 64), '[{\"pointer\": \"/phone\", \"detail\": \"left out\"}]');
         insert into public.visitors (visitor_id, gad_source, first_seen_at, last_seen_at)
         values (gen_random_uuid(), '1', now(), now())",
    )
    .await;
    let values = values(Some(&pool), &[]);
    let listed = document(&values, &["crm", "sources"]).await;
    let week = &listed["sources"][0]["last_seven_days"];
    assert_eq!((&week["ignored"], &week["no_rule_knew"][0]["events"]), (&json!(1), &json!(1)), "{listed}");
    assert!(week["no_rule_knew"][0]["since"].is_string(), "{week}");
    let text = printed(&values, &["crm", "sources"]).await;
    for part in [
        "events 1, rejected 0, ignored 1, refused 0",
        "stage = won<U+00A0><U+200B>: 1 since ",
        "accepted 1, refused 3 (3 email), warned 1 (1 /phone)",
        "1, without click id 1",
        "0, awaiting a lead 0",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn without_a_database_traffic_is_unknown() {
    let values = values(None, &[]);
    assert_eq!(document(&values, &["crm", "sources"]).await["sources"][0]["last_seven_days"], Value::Null);
    assert!(printed(&values, &["crm", "sources"]).await.contains("DATABASE_URL isn't set"));
}

#[tokio::test]
async fn a_source_without_its_secret_is_marked() {
    for setting in ["WEBHOOK_SECRET", "ACME_SECRET"] {
        let text = printed(&values(None, &[(setting, "")]), &["crm", "sources"]).await;
        assert!(text.contains("NO SECRET IS SET") && text.contains(setting), "{text}");
    }
}

#[tokio::test]
async fn presets_are_listed_with_their_settings() {
    let secrets = secrets_of_presets();
    let without = document(&values(None, &[]), &["crm", "sources", "--presets"]).await;
    let settings: Vec<_> = secrets.iter().map(|(name, secret)| (name.as_str(), secret.as_str())).collect();
    let with = document(&values(None, &settings), &["crm", "sources", "--presets"]).await;
    let text = printed(&values(None, &settings), &["crm", "sources", "--presets"]).await;
    for (at, name) in presets::names().enumerate() {
        assert_eq!(without["presets"][at]["name"], name);
        assert_eq!(with["presets"][at]["missing"], json!([]), "{name}");
        assert!(text.contains(&format!("{name}\n")), "{name}");
    }
    for (name, secret) in &secrets {
        assert!(without.to_string().contains(name.as_str()), "{name} is named while it is missing");
        assert!(text.contains(name.as_str()), "{name} in {text}");
        assert!(!text.contains(secret.as_str()) && !with.to_string().contains(secret.as_str()), "{name}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn sources_of_leads_are_listed_with_their_refused_and_warned_leads(pool: PgPool) {
    execute(
        &pool,
        "insert into public.lead_refusals (source, reason, hour, refusals, last_at)
         values ('landing', 'nobody', now(), 3, now()), ('', 'nobody', now(), 5, now());
         insert into public.leads (email_hash, source, warnings)
         values (repeat('a', 64), 'landing', '[{\"pointer\": \"/phone\", \"detail\": \"left out\"}]'),
             (repeat('b', 64), 'landing', '[]'), (repeat('c', 64), null, '[]')",
    )
    .await;
    let declared = format!(
        "{ACME}\n[landing]\nkind = \"lead\"\nauth = [{{ url = {{ secret = \"LANDING_SECRET\" }} }}]\n\
         [unset]\nkind = \"lead\"\npreset = \"tally\""
    );
    let secret = "a-secret-of-landing-0123456789";
    let values = values(Some(&pool), &[("CRM_SOURCES", &declared), ("LANDING_SECRET", secret)]);
    let listed = document(&values, &["crm", "sources"]).await;
    let of = |name: &str| listed["sources"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
    let landing = of("landing");
    assert_eq!((&landing["kind"], &landing["path"]), (&json!("lead"), &json!("/api/leads/landing")));
    let week = &landing["last_seven_days"];
    assert_eq!((&week["accepted"], &week["warned"]), (&json!(2), &json!(1)));
    assert_eq!((&week["refused"][0]["reason"], &week["refused"][0]["refusals"]), (&json!("nobody"), &json!(3)));
    assert!(of("unset")["missing"].as_str().unwrap().contains("TALLY_SECRET"), "{listed}");
    let text = printed(&values, &["crm", "sources"]).await;
    for part in
        ["/api/leads/landing", "accepted 2, refused 3 (3 nobody), warned 1", "NO SECRET IS SET. ", "LANDING_SECRET: "]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains(secret) && !listed.to_string().contains(secret), "{text}");
}
