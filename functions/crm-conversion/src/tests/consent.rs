//! What the CRM says about consent.

use super::*;

/// A report of the deal that says this, as of this hour.
fn says(value: &str, hour: u8) -> Value {
    let at = format!("2026-11-20T{hour:02}:00:00Z");
    deal("D-1", &json!({"occurred_at": "2026-11-20T08:00:00Z", "updated_at": at, "ad_user_data": value}))
}

async fn statements(pool: &PgPool) -> Vec<Value> {
    let sql = "select crm_deal_id, email_hash, value, stated_at from public.consent_statements
               where source = 'crm' order by id";
    rows(pool, sql).await
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_crms_no_stops_its_deal_and_its_later_yes_lets_it_go(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    let refused = send(&app, &says("denied", 9)).await;
    assert_eq!((&refused.body["status"], &refused.body["reason"]), (&json!("skipped"), &json!("consent_denied")));
    let expected = json!({
        "crm_deal_id": "D-1", "email_hash": Hash::of("jane@example.com"), "value": "denied",
        "stated_at": "2026-11-20T09:00:00+00:00",
    });
    assert_eq!(statements(&pool).await, std::slice::from_ref(&expected));

    // Repeated with another report it says nothing new.
    send(&app, &says("denied", 10)).await;
    assert_eq!(statements(&pool).await, [expected]);
    send(&app, &says("granted", 11)).await;
    assert_eq!(statements(&pool).await.len(), 2);
    let other = send(&app, &deal("D-2", &json!({}))).await;
    assert_eq!(other.body["status"], "queued", "its person said yes last");
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_old_report_that_arrives_late_does_not_replace_a_newer_no(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({"ad_user_data": "unknown", "ad_personalization": "unknown"})).await;
    send(&app, &says("denied", 10)).await;
    send(&app, &says("granted", 9)).await;
    let other = send(&app, &deal("D-2", &json!({}))).await;
    assert_eq!(other.body["reason"], "consent_denied");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_denied_deal_that_closes_again_after_its_loss_stays_denied(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({"ad_user_data": "denied"})).await;
    let closed = |at: &str| deal("D-1", &json!({"occurred_at": at}));
    let lost = json!({"crm_deal_id": "D-1", "conversion_type": "lost", "occurred_at": "2026-11-20T09:00:00Z"});
    for (report, status) in
        [(closed("2026-11-20T08:00:00Z"), "skipped"), (lost, "retracted"), (closed("2026-11-20T10:00:00Z"), "skipped")]
    {
        let answer = send(&app, &report).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!(status)), "{report}");
    }
    expect(&row(&pool, CONVERSION).await, &json!({"skip_reason": "consent_denied", "retracted_at": null}));
    assert!(rows(&pool, "select 1 as one from public.conversion_queue").await.is_empty());
}
