//! Click ids that the CRM kept.

use testing::execute;

use super::*;

/// Somebody with this address, a form at eleven, and no click but these.
async fn lead_with(pool: &PgPool, email: &str, clicks: &Value) -> Uuid {
    let columns = json!({"email_hash": Hash::of(email), "gclid": null, "click_at": null, "clicks": clicks});
    lead(pool, &columns).await
}

fn google(gclid: &str, at: &str) -> Value {
    json!({"google": {"gclid": gclid, "at": format!("2026-11-20T{at}:00.000000Z")}})
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_click_id_of_the_deal_becomes_the_conversions(pool: PgPool) {
    let app = app(&pool);
    let meta = json!({"meta": {"fbclid": "one", "at": "2026-11-19T10:00:00Z"}});
    let both = |google: Value, meta: &Value| {
        let mut both = google;
        both.as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
        both
    };
    let deals_at = |at: &str| format!("2026-11-20T{at}:00Z");
    // The clicks of the lead, what the deal says, and the clicks of the conversion. The form came at eleven.
    let cases = [
        (json!({}), json!({"gclid": "deal"}), google("deal", "11:00")),
        // The deal was there before the form.
        (json!({}), json!({"gclid": "deal", "occurred_at": deals_at("10:30")}), google("deal", "10:30")),
        (json!({}), json!({"gclid": "deal", "clicked_at": deals_at("09:30")}), google("deal", "09:30")),
        (meta.clone(), json!({"gclid": "deal"}), both(google("deal", "11:00"), &meta)),
        (google("lead", "09:00"), json!({"gclid": "deal"}), google("lead", "09:00")),
        (google("lead", "09:00"), json!({"gclid": "deal", "clicked_at": deals_at("08:00")}), google("lead", "09:00")),
        (google("lead", "09:00"), json!({"gclid": "deal", "clicked_at": deals_at("10:00")}), google("deal", "10:00")),
        // The same click keeps its time.
        (google("lead", "09:00"), json!({"gclid": "lead", "clicked_at": deals_at("10:00")}), google("lead", "09:00")),
        (google("lead", "09:00"), json!({}), google("lead", "09:00")),
        (
            google("lead", "09:00"),
            json!({"fbclid": "deal", "fbp": "fb.1.1.7", "msclkid": "deal", "clicked_at": deals_at("08:00")}),
            json!({
                "google": google("lead", "09:00")["google"],
                "meta": {"fbclid": "deal", "fbp": "fb.1.1.7", "at": "2026-11-20T08:00:00Z"},
                "microsoft": {"msclkid": "deal", "at": "2026-11-20T08:00:00Z"},
            }),
        ),
    ];
    let same_times = |clicks: &Value| serde_json::from_value::<shared::attribution::Clicks>(clicks.clone()).unwrap();
    for (nth, (of_lead, says, expected)) in cases.into_iter().enumerate() {
        let (email, id) = (format!("p{nth}@example.com"), format!("D-{nth}"));
        lead_with(&pool, &email, &of_lead).await;
        let mut report = deal(&id, &says);
        report["email"] = json!(email);
        let answer = send(&app, &report).await;
        assert_eq!((&answer.body["status"], answer.body.get("warnings")), (&json!("queued"), None), "{says}");
        let stored = row(&pool, &format!("{CONVERSION} where crm_deal_id = '{id}'")).await;
        assert_eq!(same_times(&stored["clicks"]), same_times(&expected), "{of_lead} and {says}: {stored}");
        let click = &expected["google"];
        assert_eq!(stored["gclid"], click["gclid"], "{says}");
        let at = |value: &Value| value.as_str().and_then(|at| at.parse::<chrono::DateTime<chrono::Utc>>().ok());
        assert_eq!(at(&stored["click_at"]), at(&click["at"]), "{says}");
        // Google refuses clicks younger than six hours, and counts them for 90 days.
        let queue = format!(
            "select q.* from public.conversion_queue q join public.conversions c
            on c.id = q.conversion_id where c.crm_deal_id = '{id}'"
        );
        let due = at(&row(&pool, &queue).await["next_retry_at"]);
        assert_eq!(due, at(&click["at"]).map(|at| at + TimeDelta::hours(6)), "{says}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_with_a_click_id_alone_has_an_attribution(pool: PgPool) {
    let app = app(&pool);
    let columns = json!({"email_hash": null, "email_hash_google": null, "gclid": null, "click_at": null});
    let nobody = lead(&pool, &columns).await;
    let by_id = |id: &str, more: Value| {
        let mut deal = deal(id, &more);
        (deal["email"], deal["lead_id"]) = (json!(null), json!(nobody));
        deal
    };
    assert_eq!(send(&app, &by_id("D-1", json!({}))).await.body["reason"], "no_attribution");
    assert_eq!(send(&app, &by_id("D-2", json!({"wbraid": "deal"}))).await.body["status"], "queued");
    expect(&row(&pool, &format!("{CONVERSION} where wbraid = 'deal'")).await, &json!({"skip_reason": null}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn junk_is_warned_of_and_the_deal_is_queued(pool: PgPool) {
    let app = app(&pool);
    lead_with(&pool, "jane@example.com", &json!({})).await;
    let junk = json!({
        "gclid": "x".repeat(10_000), "gbraid": {"a": 1}, "msclkid": "a b", "fbc": "fb.1", "ttclid": 7,
        "clicked_at": "2026-12-01T00:00:00Z", "li_fat_id": false, "fbp": "", "ttp": null,
    });
    let answer = send(&app, &deal("D-1", &junk)).await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("queued")), "{}", answer.body);
    let warned: Vec<_> = answer.body["warnings"].as_array().unwrap().iter().map(|it| it["field"].clone()).collect();
    assert_eq!(warned, ["gclid", "gbraid", "fbc", "msclkid", "ttclid", "clicked_at"]);
    assert!(!answer.body.to_string().contains("xxx") && answer.body.to_string().contains("at most 512"));
    expect(&row(&pool, CONVERSION).await, &json!({"clicks": {}, "gclid": null}));
}

async fn run_inbox(app: &App<Config>) {
    let (config, end) = (&app.config.intake, app.clock.now() + TimeDelta::minutes(1));
    intake::rematch(&app.db, &app.clock, config, end).await.unwrap();
}

fn at(value: &Value) -> Option<chrono::DateTime<chrono::Utc>> {
    value.as_str().and_then(|at| at.parse().ok())
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_without_a_lead_is_told_by_its_click(pool: PgPool) {
    let app = app(&pool);
    let noon = "2026-11-20T12:00:00Z";
    // What the deal says, its status, and since when the conversion's click is known. It is reported at noon.
    let cases = [
        (json!({"gclid": "one"}), "queued", Some(noon)),
        (json!({"gclid": "one", "occurred_at": "2026-11-18T09:00:00Z"}), "queued", Some("2026-11-18T09:00:00Z")),
        (json!({"wbraid": "two", "clicked_at": "2026-11-01T09:00:00Z"}), "queued", Some("2026-11-01T09:00:00Z")),
        (json!({"gbraid": "three", "email": null}), "queued", Some(noon)),
        (json!({"gclid": "four", "email": null, "phone": "+4930901820"}), "queued", Some(noon)),
        // Nobody clicks after the deal: the time is wrong, not the click.
        (
            json!({"gclid": "five", "occurred_at": "2026-11-19T00:00:00Z", "clicked_at": "2026-11-19T10:00:00Z"}),
            "queued",
            Some("2026-11-19T00:00:00Z"),
        ),
        (json!({"gclid": "six", "ad_user_data": "denied"}), "skipped", Some(noon)),
        (json!({"gclid": "[object Object]"}), "awaiting_lead", None),
        (json!({"fbclid": "no destination has use for it"}), "awaiting_lead", None),
        (json!({"gad_source": "1"}), "awaiting_lead", None),
        (json!({}), "awaiting_lead", None),
    ];
    for (nth, (says, status, clicked_at)) in cases.into_iter().enumerate() {
        let mut report =
            deal(&format!("D-{nth}"), &json!({"occurred_at": noon, "email": format!("p{nth}@example.com")}));
        report.as_object_mut().unwrap().extend(says.as_object().unwrap().clone());
        let answer = send(&app, &report).await;
        assert_eq!(answer.body["status"], status, "{says}: {}", answer.body);
        let Some(clicked_at) = clicked_at else { continue };
        let stored = row(&pool, &format!("{CONVERSION} where crm_deal_id = 'D-{nth}'")).await;
        assert_eq!((&stored["lead_id"], &stored["matched_by"]), (&Value::Null, &json!("click")), "{stored}");
        assert_eq!(at(&stored["click_at"]), at(&json!(clicked_at)), "{says}: {stored}");
        let email = report["email"].as_str().map(|email| Hash::of(email).as_str().to_owned());
        assert_eq!(stored["email_hash"], json!(email), "{stored}");
        assert_eq!(stored["phone_hash"].is_null(), report["phone"].is_null(), "{stored}");
        if status == "queued" {
            let queued = row(
                &pool,
                &format!("select * from conversion_queue where conversion_id = '{}'", stored["id"].as_str().unwrap()),
            )
            .await;
            let (due, until) = (at(&queued["next_retry_at"]), at(&queued["expires_at"]));
            let clicked_at = at(&json!(clicked_at));
            assert_eq!(due, clicked_at.map(|at| at + TimeDelta::hours(6)), "{says}");
            assert_eq!(until, clicked_at.map(|at| at + TimeDelta::days(90)), "{says}");
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_no_that_is_known_of_the_address_counts_for_a_deal_told_by_its_click(pool: PgPool) {
    let app = app(&pool);
    let columns = json!({"email_hash": Hash::of("other@example.com"), "phone_hash": Hash::of("+4930901820"),
        "ad_user_data": "denied", "consent_source": "form", "is_suspicious": true});
    lead(&pool, &columns).await;
    let says = json!({"gclid": "one", "email": null, "phone": "+4930901820"});
    let answer = send(&app, &deal("D-1", &says)).await;
    assert_eq!((&answer.body["status"], &answer.body["reason"]), (&json!("skipped"), &json!("consent_denied")));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_told_by_its_click_takes_what_comes_before_it_is_sent(pool: PgPool) {
    let app = app(&pool);
    let report = |more: Value| {
        let mut report = deal("D-1", &json!({"occurred_at": "2026-11-20T11:30:00Z"}));
        report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        report
    };
    for (more, status, gclid) in [
        (json!({}), "awaiting_lead", json!(null)),
        (json!({"gclid": "typo"}), "queued", json!("typo")),
        (json!({"gclid": "one", "fbclid": "one"}), "queued", json!("one")),
        (json!({"value": 7, "currency": "EUR"}), "queued", json!("one")),
        (json!({"gclid": "", "fbp": "fb.1.1.7", "email": "j@example.com"}), "queued", json!("one")),
        // This body came before.
        (json!({"gclid": "typo"}), "duplicate", json!("one")),
    ] {
        let answer = send(&app, &report(more.clone())).await;
        assert_eq!(answer.body["status"], status, "{more}");
        assert_eq!(row(&pool, INBOX).await["clicks"]["google"]["gclid"], gclid, "{more}");
    }
    let expected = json!({"google": {"gclid": "one"}, "meta": {"fbclid": "one", "fbp": "fb.1.1.7"}});
    expect(&row(&pool, INBOX).await, &json!({"clicks": expected, "clicks_reported_at": "2026-11-20T12:00:00+00:00"}));
    let told = row(&pool, CONVERSION).await;
    expect(&told, &json!({"gclid": "one", "value": 7.0, "email_hash": Hash::of("j@example.com")}));

    // Its form comes: at eleven, with an older click of another network.
    let clicks = json!({"meta": {"fbclid": "lead", "at": "2026-11-20T10:00:00Z"}});
    let late = lead_with(&pool, "j@example.com", &clicks).await;
    run_inbox(&app).await;
    let matched = row(&pool, CONVERSION).await;
    expect(&matched, &json!({"lead_id": late, "matched_by": "email", "gclid": "one", "skip_reason": null}));
    assert_eq!(at(&matched["click_at"]), at(&json!("2026-11-20T11:00:00Z")), "{matched}");
    assert_eq!(row(&pool, "select conversion_status from leads").await["conversion_status"], "closed");
    assert_eq!(rows(&pool, "select * from conversion_queue").await.len(), 1);

    // What it was recorded with stands.
    let later = send(&app, &report(json!({"gclid": "two", "clicked_at": "2026-11-20T11:15:00Z"}))).await;
    assert_eq!(later.body["status"], "duplicate");
    expect(&row(&pool, CONVERSION).await, &json!({"gclid": "one"}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_was_sent_by_its_click_keeps_it(pool: PgPool) {
    let app = app(&pool);
    assert_eq!(send(&app, &deal("D-1", &json!({"gclid": "one"}))).await.body["status"], "queued");
    let told = row(&pool, CONVERSION).await;
    execute(&pool, "update conversion_queue set claims = 1").await;
    lead_with(&pool, "jane@example.com", &google("lead", "09:00")).await;
    run_inbox(&app).await;
    assert_eq!(row(&pool, CONVERSION).await, told);
    let later = send(&app, &deal("D-1", &json!({"gclid": "two"}))).await;
    assert_eq!(later.body["status"], "duplicate");
    assert_eq!(row(&pool, CONVERSION).await, told);

    // A loss is told to whoever has it.
    let lost = json!({"crm_deal_id": "D-1", "conversion_type": "lost"});
    assert_eq!(send(&app, &lost).await.body["status"], "retracted");
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_waited_with_a_click_before_is_told_by_the_next_run(pool: PgPool) {
    let app = app(&pool);
    send(&app, &deal("D-1", &json!({}))).await;
    send(&app, &deal("D-2", &json!({}))).await;
    // As a deployment of the version before kept it.
    execute(&pool, r#"update inbox set clicks = '{"google": {"gclid": "one"}}' where crm_deal_id = 'D-1'"#).await;
    run_inbox(&app).await;
    expect(&row(&pool, CONVERSION).await, &json!({"crm_deal_id": "D-1", "matched_by": "click", "gclid": "one"}));
    expect(&row(&pool, &format!("{INBOX} where crm_deal_id = 'D-2'")).await, &json!({"state": "awaiting_lead"}));
}
