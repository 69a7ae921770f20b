//! Stages that the operator declares.

use testing::execute;

use super::*;

const STAGES: [(&str, &str); 4] = [
    ("STAGES", "qualified, closed, demo_booked, signed"),
    ("STAGES_UNDONE_BY_LOSS", "signed"),
    ("GOOGLE_ADS_CONVERSION_ACTION_DEMO_BOOKED", "13"),
    ("GOOGLE_ADS_CONVERSION_ACTION_SIGNED", "14"),
];

fn reached(stage: &str) -> Value {
    deal("D-1", &json!({"conversion_type": stage, "occurred_at": "2026-11-20T08:00:00Z"}))
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_declared_stage_is_a_conversion_of_its_own(pool: PgPool) {
    let app = app_with(&pool, &STAGES);
    lead(&pool, &json!({})).await;
    for stage in ["demo_booked", "qualified", "closed", "signed"] {
        let answer = send(&app, &reached(stage)).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("queued")), "{stage}");
        assert_eq!(send(&app, &reached(stage)).await.body["status"], "duplicate", "{stage}");
    }
    let stored = rows(&pool, "select idempotency_key, matched_by from public.conversions order by 1").await;
    let expected = json!([
        {"idempotency_key": "D-1:closed", "matched_by": "deal"},
        {"idempotency_key": "D-1:demo_booked", "matched_by": "email"},
        {"idempotency_key": "D-1:qualified", "matched_by": "deal"},
        {"idempotency_key": "D-1:signed", "matched_by": "deal"},
    ]);
    assert_eq!(Value::from(stored), expected, "all stages of a deal are the same lead's");
    expect(&row(&pool, "select * from public.leads").await, &json!({"conversion_status": "closed"}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_loss_undoes_the_stages_that_say_so(pool: PgPool) {
    let app = app_with(&pool, &STAGES);
    lead(&pool, &json!({})).await;
    for stage in ["demo_booked", "closed", "signed"] {
        send(&app, &reached(stage)).await;
    }
    execute(&pool, "update public.conversion_queue set status = 'uploaded', uploaded_at = now(), claims = 1").await;
    let lost = deal("D-1", &json!({"conversion_type": "lost", "occurred_at": "2026-11-20T09:00:00Z"}));
    assert_eq!(send(&app, &lost).await.body["status"], "retracted");
    let retracted = "select c.conversion_type from public.conversion_queue q
        join public.conversions c on c.id = q.conversion_id
        where q.platform = 'google_ads_retractions' and c.retracted_at is not null order by 1";
    let expected = json!([{"conversion_type": "closed"}, {"conversion_type": "signed"}]);
    assert_eq!(Value::from(rows(&pool, retracted).await), expected);
    // A stage reached before the loss that arrives later counts only if a loss doesn't undo it.
    execute(&pool, "delete from public.conversions where conversion_type <> 'closed'").await;
    execute(&pool, "delete from public.inbox where conversion_type <> 'closed'").await;
    assert_eq!(send(&app, &reached("signed")).await.body["reason"], "deal_lost");
    assert_eq!(send(&app, &reached("demo_booked")).await.body["status"], "queued");
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_unknown_stage_is_refused_with_those_that_are_known(pool: PgPool) {
    let answer = send(&app_with(&pool, &STAGES), &reached("won")).await;
    assert_eq!((answer.status, answer.pointers()), (400, vec!["/conversion_type"]));
    for stage in ["qualified", "closed", "demo_booked", "signed", "lost", "refunded"] {
        assert!(answer.body.to_string().contains(stage), "{stage}: {}", answer.body);
    }
    assert_eq!(send(&app(&pool), &reached("demo_booked")).await.status, 400);
    let refused = rows(&pool, "select state from public.inbox_events").await;
    assert_eq!(Value::from(refused), json!([{"state": "rejected"}, {"state": "rejected"}]), "and kept");
}
