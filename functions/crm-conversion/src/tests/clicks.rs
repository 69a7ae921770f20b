//! Click ids that the CRM kept.

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

#[sqlx::test(migrations = "../../migrations")]
async fn a_click_id_waits_with_its_deal_and_later_reports_do_not_erase_it(pool: PgPool) {
    let app = app(&pool);
    let report = |more: Value| {
        let mut report = deal("D-1", &json!({"occurred_at": "2026-11-20T11:30:00Z"}));
        report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        report
    };
    for (more, gclid) in [
        (json!({}), json!(null)),
        (json!({"gclid": "typo"}), json!("typo")),
        (json!({"gclid": "one", "fbclid": "one"}), json!("one")),
        (json!({"value": 7, "currency": "EUR"}), json!("one")),
        (json!({"gclid": "", "fbp": "fb.1.1.7"}), json!("one")),
        // This body came before.
        (json!({"gclid": "typo"}), json!("one")),
    ] {
        let answer = send(&app, &report(more.clone())).await;
        assert_eq!((answer.status, &answer.body["status"]), (202, &json!("awaiting_lead")), "{more}");
        assert_eq!(row(&pool, INBOX).await["clicks"]["google"]["gclid"], gclid, "{more}");
    }
    let expected = json!({"google": {"gclid": "one"}, "meta": {"fbclid": "one", "fbp": "fb.1.1.7"}});
    expect(&row(&pool, INBOX).await, &json!({"clicks": expected, "clicks_reported_at": "2026-11-20T12:00:00+00:00"}));

    lead_with(&pool, "jane@example.com", &json!({})).await;
    app.db.tx(async |tx| match_waiting(tx, &app.config.intake, &app.clock, 10).await).await.unwrap();
    expect(&row(&pool, CONVERSION).await, &json!({"gclid": "one", "click_at": "2026-11-20T11:00:00+00:00"}));

    // What it was recorded with stands.
    let later = send(&app, &report(json!({"gclid": "two", "clicked_at": "2026-11-20T11:15:00Z"}))).await;
    assert_eq!(later.body["status"], "duplicate");
    expect(&row(&pool, CONVERSION).await, &json!({"gclid": "one"}));
}
