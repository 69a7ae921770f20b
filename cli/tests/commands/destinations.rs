use testing::{execute, row_counts, waiting_deal};

use super::*;

const TWO: &str = r#"
[main]
platform = "google-ads"
customer_id = "123-456-7890"
[main.actions]
closed = 12

[france]
platform = "google-ads"
customer_id = "222-333-4444"
when = { site = "www.example.fr" }
[france.actions]
closed = 111
"#;
const DECLARED: [(&str, &str); 2] = [("GOOGLE_ADS_CUSTOMER_ID", ""), ("DESTINATIONS", TWO)];

#[sqlx::test(migrations = "../migrations")]
async fn destinations_are_listed_with_what_they_accept_and_how_they_are(pool: PgPool) {
    execute(
        &pool,
        "insert into public.platform_state (platform, state, reason, paused_at, next_probe_at)
         values ('france', 'paused', 'USER_PERMISSION_DENIED: add the user', now(), now())",
    )
    .await;
    testing::due().queue(&json!({"platform": "former"})).store(&pool).await;
    testing::due().queue(&json!({"platform": "main"})).store(&pool).await;
    let values = values(Some(&pool), &DECLARED);
    let document = document(&values, &["destinations"]).await;
    let names: Vec<_> = document["destinations"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["france", "main"]);
    let france = &document["destinations"][0];
    assert_eq!(france["when"], "site = www.example.fr");
    assert_eq!(france["stages"], json!({"closed": "customers/2223334444/conversionActions/111"}));
    assert_eq!(france["lanes"][0]["paused"], "USER_PERMISSION_DENIED: add the user");
    assert_eq!(document["destinations"][1]["lanes"], json!([{"lane": "main", "open": 1, "paused": null}]));
    assert_eq!(document["undeclared"], json!([{"lane": "former", "open": 1}]));

    let text = printed(&values, &["destinations"]).await;
    for says in [
        "1234567890",
        "always",
        "restatement within 54 days",
        "PAUSED: USER_PERMISSION_DENIED",
        "former: 1 open.",
        "declare it again",
        "21600 s from the click",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
    ] {
        assert!(text.contains(says), "{says} isn't in {text}");
    }
}

const EVENTS: &str = r#"
[website]
platform = "google-analytics"
measurement_id = "G-ABC1234567"
property_id = 123456789
events = ["generate_lead"]

[europe]
platform = "google-analytics"
measurement_id = "G-EUROPE"
transport = "measurement-protocol"
api_secret = "GA4_API_SECRET"
region = "eu"
"#;

#[tokio::test]
async fn destinations_of_events_are_listed_and_show_what_they_would_be_sent() {
    let settings =
        [("GOOGLE_ADS_CUSTOMER_ID", ""), ("DESTINATIONS", EVENTS), ("GA4_API_SECRET", "hush-hush-hush-hush")];
    let values = values(None, &settings);
    let text = printed(&values, &["destinations"]).await;
    for says in ["G-ABC1234567", "generate_lead", "data-manager", "region1.google-analytics.com", "unverifiable"] {
        assert!(text.contains(says), "{says} isn't in {text}");
    }
    assert!(!text.contains("There is no destination") && !text.contains("hush"), "{text}");

    let file = std::env::temp_dir().join(format!("adtrail-event-{}.json", Uuid::new_v4()));
    let body = json!({"event_name": "generate_lead", "params": {"method": "form"}, "page_url": "https://example.com/"});
    std::fs::write(&file, body.to_string()).unwrap();
    let path = file.to_str().unwrap();
    let website = document(&values, &["destinations", "test", "website", "--event", path]).await;
    assert_eq!((&website["gets_it"], &website["refused"]), (&json!(true), &json!(null)));
    let sent = website["request"]["body"].as_str().unwrap();
    assert!(sent.contains(r#""eventName":"generate_lead""#) && sent.contains("GOOGLE_ANALYTICS_PROPERTY"), "{sent}");
    let text = printed(&values, &["destinations", "test", "europe", "--event", path]).await;
    assert!(text.contains("/mp/collect?measurement_id=G-EUROPE") && !text.contains("hush"), "{text}");

    let reserved = json!({"event_name": "session_start"});
    std::fs::write(&file, reserved.to_string()).unwrap();
    let website = document(&values, &["destinations", "test", "website", "--event", path]).await;
    assert_eq!((&website["gets_it"], &website["request"]), (&json!(false), &json!(null)));
    assert_eq!(website["refused"]["code"], "reserved_event_name");
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn without_a_database_what_is_declared_is_listed() {
    let text = printed(&values(None, &DECLARED), &["destinations"]).await;
    assert!(text.contains("france") && text.contains("DATABASE_URL isn't set"), "{text}");
    let text = printed(&values(None, &[]), &["destinations"]).await;
    assert!(text.contains("google_ads\n") && text.contains("conversionActions/12"), "{text}");
    let text = printed(&values(None, &[("GOOGLE_ADS_CUSTOMER_ID", "")]), &["destinations"]).await;
    assert!(text.contains("There is no destination"), "{text}");
    let no_action = [("GOOGLE_ADS_CONVERSION_ACTION_CLOSED", ""), ("GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED", "")];
    let text = printed(&values(None, &no_action), &["destinations"]).await;
    assert!(text.contains("NONE HAS A CONVERSION ACTION"), "{text}");
}

#[tokio::test]
async fn a_wrong_declaration_is_refused_with_its_line() {
    let wrong = TWO.replace("site =", "sight =");
    let settings = [("GOOGLE_ADS_CUSTOMER_ID", ""), ("DESTINATIONS", wrong.as_str())];
    for command in [&["destinations"][..], &["crm", "sources"]] {
        let error = refused(&values(None, &settings), command).await;
        assert!(error.contains("destination france, line 11: when = …"), "{error}");
    }
    let error = refused(&values(None, &[("DESTINATIONS", "missing.toml")]), &["destinations"]).await;
    assert!(error.contains("DESTINATIONS names missing.toml, which can't be read"), "{error}");
    let path = file("destinations.toml", TWO);
    let settings = [("GOOGLE_ADS_CUSTOMER_ID", ""), ("DESTINATIONS", path.as_str())];
    assert!(printed(&values(None, &settings), &["destinations"]).await.contains("france"));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_would_be_sent_of_a_deal_is_shown_and_nothing_is_stored(pool: PgPool) {
    lead("jane@example.com").with(&json!({"site": "www.example.fr"})).store(&pool).await;
    waiting_deal("D-1", "jane@example.com").with(&json!({"value": 100, "currency": "EUR"})).store(&pool).await;
    waiting_deal("D-2", "john@example.com").store(&pool).await;
    let values = values(Some(&pool), &DECLARED);
    let before = row_counts(&pool).await;
    let tested = document(&values, &["destinations", "test", "D-1"]).await;
    let of = &tested["deals"][0];
    assert_eq!((&of["crm_deal_id"], &of["status"]), (&json!("D-1"), &json!("matched")));
    let [france, main] = of["destinations"].as_array().unwrap().as_slice() else { panic!("{of}") };
    assert_eq!(json!([france["destination"], france["gets"]]), json!(["france", true]));
    assert_eq!(france["due_at"], "2026-11-20T16:00:00Z", "six hours after the click");
    let body: Value = serde_json::from_str(france["request"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["destinations"][0]["operatingAccount"]["accountId"], "2223334444");
    assert_eq!(body["events"][0]["adIdentifiers"], json!({"gclid": "click"}));
    assert_eq!(json!([main["gets"], main["reason"]]), json!([false, "other_destination_first"]));

    let text = printed(&values, &["destinations", "test", "D-1"]).await;
    for says in ["closed of D-1", "100.00 EUR", "only if france says", "POST https://datamanager.googleapis.com/"] {
        assert!(text.contains(says), "{says} isn't in {text}");
    }
    assert!(text.lines().any(|line| line == france["request"]["body"].as_str().unwrap()), "{text}");

    let waiting = printed(&values, &["destinations", "test", "D-2"]).await;
    assert!(waiting.contains("not found: nothing is sent until"), "{waiting}");
    assert_eq!(row_counts(&pool).await, before);

    let error = refused(&values, &["destinations", "test", "D-3"]).await;
    assert!(error.contains("There is no deal or file D-3"), "{error}");
}

#[sqlx::test(migrations = "../migrations")]
async fn why_a_destination_would_not_get_a_deal_is_said(pool: PgPool) {
    lead("jane@example.com").with(&json!({"site": "www.example.com"})).store(&pool).await;
    waiting_deal("D-1", "jane@example.com").store(&pool).await;
    waiting_deal("D-2", "jane@example.com").with(&json!({"conversion_type": "qualified"})).store(&pool).await;
    let values = values(Some(&pool), &DECLARED);
    let text = printed(&values, &["destinations", "test", "D-1"]).await;
    assert!(text.contains("no: site is \"www.example.com\", not www.example.fr"), "{text}");
    let text = printed(&values, &["destinations", "test", "D-2"]).await;
    assert!(text.contains("no_conversion_action"), "{text}");
    execute(&pool, "update public.leads set ad_user_data = 'denied', consent_source = 'form'").await;
    let text = printed(&values, &["destinations", "test", "D-1"]).await;
    assert!(text.contains("consent_denied"), "{text}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_webhook_s_body_is_tested_as_its_source_reads_it(pool: PgPool) {
    lead("jane@example.com").store(&pool).await;
    let values = values(Some(&pool), &DECLARED);
    let before = row_counts(&pool).await;
    let body = file("deal.json", DEAL);
    let tested = document(&values, &["destinations", "test", &body, "--source", "acme"]).await;
    assert_eq!(tested["deals"][0]["destinations"][1]["gets"], true, "{tested}");
    assert_eq!(row_counts(&pool).await, before);
    let (out, ended) = run(&values, &["destinations", "test", &body]).await;
    assert!(out.contains("invalid:") && ended.unwrap_err().contains("No item of the body is valid"), "{out}");
    let error = refused(&values, &["destinations", "test", &body, "--source", "nobody"]).await;
    assert!(error.contains("There is no source nobody"), "{error}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_destination_declared_later_is_backfilled_once(pool: PgPool) {
    let now = shared::clock::Clock::system().now();
    lead("jane@example.com").with(&json!({"created_at": now})).store(&pool).await;
    let deal = json!({"occurred_at": now, "received_at": now});
    waiting_deal("D-1", "jane@example.com").with(&deal).store(&pool).await;
    let nowhere = values(Some(&pool), &[("GOOGLE_ADS_CUSTOMER_ID", "")]);
    printed(&nowhere, &["inbox", "retry", "D-1"]).await;
    let error = refused(&nowhere, &["destinations", "backfill"]).await;
    assert!(error.contains("There is no destination"), "{error}");

    let values = values(Some(&pool), &DECLARED);
    let before = row_counts(&pool).await;
    let expected = |dry_run: bool| json!({"dry_run": dry_run, "queued": {"main": 1}, "skipped": [], "unchanged": 0});
    for _ in 0..2 {
        assert_eq!(document(&values, &["destinations", "backfill", "--dry-run"]).await, expected(true));
    }
    assert_eq!(row_counts(&pool).await, before);
    let text = printed(&values, &["destinations", "backfill", "--dry-run"]).await;
    assert!(text.contains("would be queued for main") && text.contains("Nothing was stored"), "{text}");
    assert_eq!(document(&values, &["destinations", "backfill"]).await, expected(false));
    let text = printed(&values, &["destinations", "backfill"]).await;
    assert!(text.contains("was decided about"), "{text}");
}

#[sqlx::test(migrations = "../migrations")]
async fn rows_of_a_name_that_is_gone_are_given_to_another_destination(pool: PgPool) {
    testing::due().queue(&json!({"platform": "former"})).store(&pool).await;
    let values = values(Some(&pool), &DECLARED);
    for (from, to, says) in [
        ("main", "france", "main is declared"),
        ("former_retractions", "france", "name former"),
        ("former", "nobody", "Destinations are france, main"),
    ] {
        let error = refused(&values, &["destinations", "rename", from, to]).await;
        assert!(error.contains(says), "{error}");
    }
    let done = document(&values, &["destinations", "rename", "former", "france"]).await;
    assert_eq!(done, json!({"from": "former", "to": "france", "rows": 1, "left": 0}));
    let text = printed(&values, &["destinations", "rename", "former", "france"]).await;
    assert!(text.contains("no rows"), "{text}");
    assert_eq!(document(&values, &["destinations"]).await["undeclared"], json!([]));
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_queued_already_is_shown_as_it_is(pool: PgPool) {
    lead("jane@example.com").with(&json!({"site": "www.example.fr"})).store(&pool).await;
    waiting_deal("D-1", "jane@example.com").store(&pool).await;
    printed(&values(Some(&pool), &DECLARED), &["inbox", "retry", "D-1"]).await;
    execute(&pool, "update public.conversion_queue set next_retry_at = '2026-11-21T08:00:00Z'").await;
    let elsewhere = TWO.replace("www.example.fr", "none.invalid");
    let removed = TWO.split("[france]").next().unwrap();
    for (declared, index, gets) in [(TWO, 0, true), (elsewhere.as_str(), 1, false), (removed, 0, false)] {
        let settings = [("GOOGLE_ADS_CUSTOMER_ID", ""), ("DESTINATIONS", declared)];
        let tested = document(&values(Some(&pool), &settings), &["destinations", "test", "D-1"]).await;
        let it = &tested["deals"][0]["destinations"][index];
        assert_eq!(it["gets"], gets, "{it}");
        if gets {
            assert_eq!(json!([it["status"], it["due_at"]]), json!(["pending", "2026-11-21T08:00:00Z"]));
        } else {
            assert_eq!(it["why"], "france has it");
        }
    }
}
