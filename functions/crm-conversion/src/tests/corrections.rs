//! Deals that were lost, and values that changed.

use shared::money::Money;
use shared::platforms::Operation;
use shared::queue;
use shared::queue::Policy;
use testing::{execute, permutations, route};

use super::*;

fn policy() -> Policy {
    testing::app_without_database(&[]).config
}

const CLOSED_AT: &str = "2026-11-20T08:00:00Z";
const LOST_AT: &str = "2026-11-20T09:00:00Z";
const CLOSED_AGAIN_AT: &str = "2026-11-20T10:00:00Z";

/// The deal, lost at nine unless `fields` says otherwise.
fn lost(fields: &Value) -> Value {
    let mut lost = json!({"crm_deal_id": "D-1", "conversion_type": "lost", "occurred_at": LOST_AT});
    lost.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    lost
}

/// The deal, closed at eight unless `fields` says otherwise.
fn closed(fields: &Value) -> Value {
    let mut closed = deal("D-1", &json!({"occurred_at": CLOSED_AT}));
    closed.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    closed
}

fn worth(value: u32, updated_at: &str) -> Value {
    closed(&json!({"value": value, "currency": "EUR", "updated_at": updated_at}))
}

/// The status in the answer, and the platforms it is queued for.
async fn said(app: &App<Config>, report: &Value) -> (String, Value) {
    let answer = send(app, report).await;
    assert!(answer.status < 300, "{report} is answered {answer:?}");
    let detail = answer.body.get("platforms").or(answer.body.get("reason")).cloned().unwrap_or_default();
    (answer.body["status"].as_str().unwrap().to_owned(), detail)
}

fn says(status: &str, detail: Value) -> (String, Value) {
    (status.to_owned(), detail)
}

/// Marks all rows of a deal that may be sent as sent, as the uploader does.
async fn upload(pool: &PgPool, crm_deal_id: &str) {
    let sent = format!(
        "update public.conversion_queue q
         set status = 'uploaded', uploaded_at = now(), request_id = 'r', claims = claims + 1
         from public.conversions c
         where c.crm_deal_id = '{crm_deal_id}' and q.conversion_id = c.id and q.status = 'pending'
            and (q.adjusts is not null or c.retracted_at is null)"
    );
    execute(pool, &sent).await;
}

/// Somebody fills in the form, and waiting deals are matched.
async fn fill_in_form(pool: &PgPool, app: &App<Config>, email: &str) {
    lead(pool, &json!({"email_hash": Hash::of(email)})).await;
    app.db.tx(async |tx| match_waiting(tx, &app.config.intake, &app.clock, 1_000).await).await.unwrap();
}

/// Platform and status of each row of the queue, uploads first.
async fn queued(pool: &PgPool) -> Value {
    rows(pool, "select platform, status from public.conversion_queue order by platform")
        .await
        .iter()
        .map(|row| json!([row["platform"], row["status"]]))
        .collect()
}

async fn lead_status(pool: &PgPool) -> Value {
    row(pool, "select conversion_status from public.leads").await["conversion_status"].clone()
}

/// Asserts that only these tables have more rows than before.
async fn only_in(pool: &PgPool, before: &std::collections::BTreeMap<String, i64>, grown: &[&str]) {
    for (table, count) in consequences(pool).await {
        assert!(before[&table] == count || grown.contains(&table.as_str()), "{table} has {count} rows");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_lost_before_it_was_sent_is_never_sent(pool: PgPool) {
    for kind in ["lost", "refunded"] {
        execute(&pool, "truncate public.leads, public.lost_deals, public.inbox cascade").await;
        let app = app(&pool);
        lead(&pool, &json!({})).await;
        send(&app, &closed(&json!({}))).await;
        assert_eq!(said(&app, &lost(&json!({"conversion_type": kind}))).await, says("retracted", json!([])));
        let conversion = row(&pool, CONVERSION).await;
        expect(&conversion, &json!({"skip_reason": "deal_lost", "retracted_at": "2026-11-20T09:00:00+00:00"}));
        assert_eq!(queued(&pool).await, json!([]));
        assert_eq!(lead_status(&pool).await, "lost");
        let before = consequences(&pool).await;
        for again in [json!({"conversion_type": kind}), json!({"reason": "price"}), json!({"occurred_at": null})] {
            assert_eq!(said(&app, &lost(&again)).await, says("nothing_to_retract", json!(null)));
        }
        assert_eq!(consequences(&pool).await, before);
        assert_eq!(row(&pool, CONVERSION).await, conversion);
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_lost_after_it_may_have_been_sent_is_retracted_once(pool: PgPool) {
    let leased = "set locked_until = now() + interval '5 minutes', lock_token = gen_random_uuid(), claims = 1";
    let failed = "set status = 'failed', retry_count = 1, claims = 1";
    let uploaded = "set status = 'uploaded', uploaded_at = now(), claims = 1";
    for (kind, sent) in [("lost", uploaded), ("refunded", uploaded), ("lost", leased), ("refunded", failed)] {
        execute(&pool, "truncate public.leads, public.lost_deals, public.inbox cascade").await;
        let app = app(&pool);
        lead(&pool, &json!({})).await;
        send(&app, &closed(&json!({}))).await;
        execute(&pool, &format!("update public.conversion_queue {sent}")).await;
        let original = row(&pool, "select * from public.conversion_queue").await;
        let report = lost(&json!({"conversion_type": kind}));
        assert_eq!(said(&app, &report).await, says("retracted", json!(["google_ads_retractions"])), "{sent}");
        let upload = row(&pool, "select * from public.conversion_queue where adjusts is null").await;
        assert_eq!(upload, original, "what is in flight comes to its end");
        let retraction = row(&pool, "select * from public.conversion_queue where adjusts is not null").await;
        let expected = json!({
            "adjusts": original["id"], "conversion_id": original["conversion_id"], "platform": "google_ads_retractions",
            "status": "pending", "claims": 0, "next_retry_at": null, "created_at": "2026-11-20T12:00:00+00:00",
        });
        expect(&retraction, &expected);
        let conversion = row(&pool, CONVERSION).await;
        expect(&conversion, &json!({"skip_reason": null, "retracted_at": "2026-11-20T09:00:00+00:00"}));
        assert_eq!(lead_status(&pool).await, "lost");
        let before = consequences(&pool).await;
        for again in
            [report, lost(&json!({"occurred_at": null})), lost(&json!({"conversion_type": "refunded", "by": 7}))]
        {
            assert_eq!(said(&app, &again).await, says("nothing_to_retract", json!(null)));
        }
        assert_eq!(consequences(&pool).await, before);
        assert_eq!(row(&pool, CONVERSION).await, conversion);
        assert_eq!(row(&pool, "select * from public.conversion_queue where adjusts is not null").await, retraction);
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_dead_letter_is_not_retracted(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    send(&app, &closed(&json!({"value": 1, "currency": "EUR"}))).await;
    execute(&pool, "update public.conversion_queue set status = 'dead_letter', last_error = 'why', claims = 1").await;
    assert_eq!(said(&app, &worth(2, CLOSED_AT)).await, says("duplicate", json!(null)), "older than its arrival");
    assert_eq!(said(&app, &worth(2, "2026-11-20T12:00:00Z")).await, says("restated", json!([])));
    assert_eq!(said(&app, &lost(&json!({}))).await, says("retracted", json!([])));
    assert_eq!(queued(&pool).await, json!([["google_ads", "dead_letter"]]));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_loss_applies_to_earlier_closings_in_any_order_of_arrival(pool: PgPool) {
    let again = json!({"occurred_at": CLOSED_AGAIN_AT});
    // The closing before the loss, the loss, and the closing after it; and what is queued in the end.
    let (a, b, c) = (closed(&json!({})), lost(&json!({})), closed(&again));
    let later = lost(&json!({"occurred_at": "2026-11-20T11:00:00Z"}));
    let nothing = || json!([]);
    let upload = || json!([["google_ads", "pending"]]);
    for (reports, statuses, in_the_end) in [
        (vec![&b, &a], vec!["nothing_to_retract", "skipped"], nothing()),
        (vec![&b, &c], vec!["nothing_to_retract", "queued"], upload()),
        // Reported after the closing, it counts although it is dated before.
        (vec![&c, &b], vec!["queued", "retracted"], nothing()),
        (vec![&b, &a, &c], vec!["nothing_to_retract", "skipped", "queued"], upload()),
        (vec![&a, &b, &c], vec!["queued", "retracted", "queued"], upload()),
        (vec![&b, &c, &a], vec!["nothing_to_retract", "queued", "duplicate"], upload()),
        (vec![&c, &b, &a], vec!["queued", "retracted", "duplicate"], nothing()),
        // What was received before isn't closed again.
        (vec![&a, &b, &c, &later, &c], vec!["queued", "retracted", "queued", "retracted", "duplicate"], nothing()),
        (vec![&a, &b, &a], vec!["queued", "retracted", "duplicate"], nothing()),
        // Two losses: the later one counts.
        (vec![&b, &c, &later], vec!["nothing_to_retract", "queued", "retracted"], nothing()),
        (vec![&later, &b, &c], vec!["nothing_to_retract", "nothing_to_retract", "skipped"], nothing()),
        (vec![&b, &later, &a, &c], vec!["nothing_to_retract", "nothing_to_retract", "skipped", "duplicate"], nothing()),
    ] {
        execute(&pool, "truncate public.leads, public.lost_deals, public.inbox cascade").await;
        let app = app(&pool);
        lead(&pool, &json!({})).await;
        let mut answers = Vec::new();
        for report in &reports {
            answers.push(said(&app, report).await.0);
            app.clock.advance(TimeDelta::seconds(1));
        }
        assert_eq!(answers, statuses);
        assert_eq!(queued(&pool).await, in_the_end, "{statuses:?}");
        let is_lost = in_the_end == nothing();
        let conversion = row(&pool, CONVERSION).await;
        assert_eq!(conversion["skip_reason"], if is_lost { json!("deal_lost") } else { json!(null) }, "{statuses:?}");
        assert_eq!(conversion["retracted_at"].is_null(), !is_lost, "{statuses:?}");
        assert_eq!(lead_status(&pool).await, if is_lost { "lost" } else { "closed" }, "{statuses:?}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_that_closes_again_is_sent_with_its_current_value(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    let first = send(&app, &closed(&json!({"value": 1, "currency": "EUR"}))).await;
    send(&app, &lost(&json!({}))).await;
    let again = closed(&json!({"occurred_at": CLOSED_AGAIN_AT, "value": 2, "currency": "USD"}));
    let second = send(&app, &again).await;
    assert_eq!(second.body, first.body, "the same conversion");
    let expected =
        json!({"value": 2.0, "currency": "USD", "occurred_at": "2026-11-20T10:00:00+00:00", "retracted_at": null});
    expect(&row(&pool, CONVERSION).await, &expected);
    expect(&row(&pool, INBOX).await, &json!({"state": "matched", "conversion_id": first.body["conversion_id"]}));
    assert_eq!(send(&app, &again).await.body["status"], "duplicate");
}

/// Platforms never accept a conversion again that was retracted, so the deal becomes another one.
#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_that_closes_again_after_its_retraction_is_another_conversion(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    let first = send(&app, &closed(&json!({}))).await.body["conversion_id"].clone();
    upload(&pool, "D-1").await;
    send(&app, &lost(&json!({}))).await;
    let again = closed(&json!({"occurred_at": CLOSED_AGAIN_AT, "value": 7, "currency": "EUR"}));
    let second = send(&app, &again).await.body;
    assert_eq!(json!([second["status"], second["platforms"]]), json!(["queued", ["google_ads"]]));
    assert_ne!(second["conversion_id"], first);
    let expected =
        json!([["google_ads", "uploaded"], ["google_ads", "pending"], ["google_ads_retractions", "pending"]]);
    let mut rows_now = queued(&pool).await;
    rows_now.as_array_mut().unwrap()[..2].sort_by_key(|row| row[1] != "uploaded");
    assert_eq!(rows_now, expected, "what was told first is retracted");
    let stored = rows(&pool, &format!("{CONVERSION} order by idempotency_key")).await;
    expect(&stored[0], &json!({"id": first, "idempotency_key": "D-1:closed", "value": null}));
    let expected = json!({
        "id": second["conversion_id"], "idempotency_key": "D-1:closed:2", "crm_deal_id": "D-1", "value": 7.0,
        "transaction_id": shared::deals::transaction_id("D-1:closed:2"), "lead_id": stored[0]["lead_id"],
        "occurred_at": "2026-11-20T10:00:00+00:00", "retracted_at": null, "skip_reason": null,
    });
    expect(&stored[1], &expected);
    assert_eq!(lead_status(&pool).await, "closed");
    // Lost before the second was sent, and closed once more: it is the second still.
    let (eleven, later) = ("2026-11-20T11:00:00Z", "2026-11-20T11:30:00Z");
    assert_eq!(said(&app, &lost(&json!({"occurred_at": eleven}))).await, says("retracted", json!([])));
    let once_more = send(&app, &closed(&json!({"occurred_at": later}))).await.body;
    assert_eq!(once_more["conversion_id"], second["conversion_id"]);
    upload(&pool, "D-1").await;
    // And sent, lost and closed a fourth time.
    assert_eq!(
        said(&app, &lost(&json!({"occurred_at": later}))).await,
        says("retracted", json!(["google_ads_retractions"]))
    );
    app.clock.advance(TimeDelta::hours(1));
    assert_eq!(said(&app, &closed(&json!({"occurred_at": "2026-11-20T12:30:00Z"}))).await.0, "queued");
    let keys = "select idempotency_key, retracted_at is not null as is_retracted from public.conversions order by 1";
    let expected = [("D-1:closed", true), ("D-1:closed:2", true), ("D-1:closed:3", false)]
        .map(|(key, is_retracted)| json!({"idempotency_key": key, "is_retracted": is_retracted}));
    assert_eq!(rows(&pool, keys).await, expected);
}

/// What can't be retracted any more still counts at the platform: it isn't told a second time.
#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_that_closes_again_after_its_retraction_was_given_up_still_counts(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    let first = send(&app, &closed(&json!({"value": 5, "currency": "EUR"}))).await.body["conversion_id"].clone();
    upload(&pool, "D-1").await;
    send(&app, &lost(&json!({}))).await;
    execute(
        &pool,
        "update public.conversion_queue
         set status = 'dead_letter', last_error = 'too late', last_error_code = 'adjustment_window_is_over'
         where adjusts is not null",
    )
    .await;
    let again = closed(&json!({"occurred_at": CLOSED_AGAIN_AT, "value": 7, "currency": "EUR"}));
    let answer = send(&app, &again).await.body;
    assert_eq!(json!([answer["status"], answer["conversion_id"]]), json!(["restated", first]));
    assert_eq!(answer["platforms"], json!(["google_ads_restatements"]));
    let conversion = row(&pool, CONVERSION).await;
    expect(&conversion, &json!({"id": first, "retracted_at": null, "value": 7.0}));
    assert_eq!(lead_status(&pool).await, "closed");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_loss_of_an_unknown_deal_is_kept(pool: PgPool) {
    let app = app(&pool);
    for _ in 0..2 {
        let answer = send(&app, &lost(&json!({"crm_deal_id": 7, "occurred_at": null}))).await;
        assert_eq!((answer.status, answer.body), (200, json!({"status": "nothing_to_retract"})));
        app.clock.advance(TimeDelta::hours(1));
    }
    let kept = row(&pool, "select * from public.lost_deals").await;
    let expected = json!({"crm_deal_id": "7", "lost_at": "2026-11-20T12:00:00+00:00", "deliveries": 2});
    expect(&kept, &expected);
    lead(&pool, &json!({})).await;
    let answer = send(&app, &deal("7", &json!({"occurred_at": LOST_AT}))).await;
    assert_eq!((&answer.body["status"], &answer.body["reason"]), (&json!("skipped"), &json!("deal_lost")));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_lead_is_lost_with_the_last_of_its_deals(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    for (id, kind) in [("D-1", "closed"), ("D-2", "qualified"), ("D-2", "closed"), ("D-3", "qualified")] {
        send(&app, &deal(id, &json!({"conversion_type": kind, "occurred_at": CLOSED_AT}))).await;
    }
    for (id, status) in [("D-9", "closed"), ("D-1", "closed"), ("D-2", "qualified"), ("D-3", "lost")] {
        send(&app, &lost(&json!({"crm_deal_id": id}))).await;
        assert_eq!(lead_status(&pool).await, status, "{id}");
    }
    assert_eq!(
        queued(&pool).await,
        json!([["google_ads", "pending"], ["google_ads", "pending"]]),
        "both were qualified"
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn of_a_lost_deal_only_its_id_and_time_are_read(pool: PgPool) {
    let app = app(&pool);
    let before = consequences(&pool).await;
    for (report, pointers) in [
        (lost(&json!({"crm_deal_id": null})), vec!["/crm_deal_id"]),
        (json!({"conversion_type": "refunded"}), vec!["/crm_deal_id"]),
        (lost(&json!({"conversion_type": "LOST"})), vec!["/conversion_type", "/email"]),
        (lost(&json!({"conversion_type": 1})), vec!["/conversion_type", "/email"]),
        (lost(&json!({"occurred_at": "2026-11-20T09:00:00"})), vec!["/occurred_at"]),
        (lost(&json!({"occurred_at": 1_795_176_000})), vec!["/occurred_at"]),
        (lost(&json!({"crm_deal_id": "", "occurred_at": "yesterday"})), vec!["/crm_deal_id", "/occurred_at"]),
    ] {
        let answer = send(&app, &report).await;
        assert_eq!((answer.status, answer.pointers()), (400, pointers), "{report}");
    }
    assert_eq!(consequences(&pool).await, before);
    for (nth, template) in [
        json!({"value": 6000, "currency": "EUR", "email": "jane@example.com", "lead_id": Uuid::nil()}),
        json!({"value": "6.000,00 €", "phone": "n/a", "email": "jane", "lead_id": 7, "updated_at": "yesterday"}),
        json!({"value": 1}),
    ]
    .iter()
    .enumerate()
    {
        let mut report = lost(template);
        report["crm_deal_id"] = json!(nth);
        let answer = send(&app, &report).await;
        assert_eq!((answer.status, answer.body), (200, json!({"status": "nothing_to_retract"})), "{report}");
    }
    only_in(&pool, &before, &["lost_deals"]).await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_value_that_changes_before_it_was_sent_is_sent_without_a_correction(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    assert_eq!(said(&app, &worth(100, CLOSED_AT)).await, says("queued", json!(["google_ads"])));
    assert_eq!(said(&app, &worth(200, LOST_AT)).await, says("restated", json!([])));
    expect(&row(&pool, CONVERSION).await, &json!({"value": 200.0, "restated_at": "2026-11-20T12:00:00+00:00"}));
    assert_eq!(queued(&pool).await, json!([["google_ads", "pending"]]));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_value_that_changes_after_it_was_sent_is_restated(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    send(&app, &worth(100, CLOSED_AT)).await;
    upload(&pool, "D-1").await;
    let original = row(&pool, "select * from public.conversion_queue").await;
    let restated = || says("restated", json!(["google_ads_restatements"]));
    assert_eq!(said(&app, &worth(200, LOST_AT)).await, restated());
    let corrections = "select * from public.conversion_queue where adjusts is not null";
    let first = row(&pool, corrections).await;
    let expected = json!({
        "adjusts": original["id"], "conversion_id": original["conversion_id"], "platform": "google_ads_restatements",
        "status": "pending", "claims": 0,
    });
    expect(&first, &expected);

    // An uploader that is sending the previous value has lost its lease.
    let restatements = route(Operation::Restatement);
    let in_flight =
        app.db.tx(async |tx| queue::claim(tx, &policy(), &restatements, 9, app.clock.now()).await).await.unwrap();
    assert_eq!(in_flight.conversions.len(), 1);
    app.clock.advance(TimeDelta::days(3));
    assert_eq!(said(&app, &worth(300, CLOSED_AGAIN_AT)).await, restated());
    let reopened = row(&pool, corrections).await;
    let expected = json!({
        "id": first["id"], "status": "pending", "lock_token": null, "locked_until": null,
        "next_retry_at": "2026-11-23T12:00:00+00:00",
    });
    expect(&reopened, &expected);
    let again =
        app.db.tx(async |tx| queue::claim(tx, &policy(), &restatements, 9, app.clock.now()).await).await.unwrap();
    assert_eq!(again.conversions[0].money, Some(Money::new(300.0, "EUR".into())));

    // Sent, and changed once more: the same row is reused.
    execute(
        &pool,
        "update public.conversion_queue set status = 'uploaded', uploaded_at = now(), confirmed_at = now(),
            request_id = 'r', lock_token = null, locked_until = null where adjusts is not null",
    )
    .await;
    assert_eq!(said(&app, &closed(&json!({"value": 300, "currency": "USD"}))).await, restated(), "a currency is news");
    let expected = json!({"id": first["id"], "status": "pending", "request_id": null, "confirmed_at": null});
    expect(&row(&pool, corrections).await, &expected);
    expect(&row(&pool, CONVERSION).await, &json!({"value": 300.0, "currency": "USD"}));
    assert_eq!(row(&pool, "select * from public.conversion_queue where adjusts is null").await, original);
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_newest_report_counts(pool: PgPool) {
    let plain = |value: u32| closed(&json!({"value": value, "currency": "EUR"}));
    let bare = |updated_at: &str| closed(&json!({"updated_at": updated_at}));
    let (eight, nine, ten) = (CLOSED_AT, LOST_AT, CLOSED_AGAIN_AT);
    for (reports, value) in [
        (vec![worth(200, nine), worth(100, eight)], json!(200.0)),
        (vec![worth(100, eight), worth(200, nine), worth(100, eight)], json!(200.0)),
        (vec![worth(100, eight), worth(200, ten), worth(150, nine)], json!(200.0)),
        // By arrival; a body that was received before changes nothing.
        (vec![plain(100), plain(200)], json!(200.0)),
        (vec![plain(100), plain(200), plain(100)], json!(200.0)),
        (vec![plain(100), plain(200), plain(100), plain(200), plain(300)], json!(300.0)),
        // A report without a value doesn't change it, in any order.
        (vec![worth(100, eight), bare(nine)], json!(100.0)),
        (vec![bare(nine), worth(100, eight)], json!(100.0)),
        (vec![bare(ten), worth(100, eight), worth(200, nine)], json!(200.0)),
        (vec![worth(100, eight), bare(ten), worth(200, nine)], json!(200.0)),
        (vec![closed(&json!({})), plain(7), closed(&json!({"currency": "USD"}))], json!(7.0)),
        // A clock that is ahead of ours still orders reports.
        (vec![worth(200, "2026-11-20T12:08:00Z"), worth(100, "2026-11-20T12:07:00Z")], json!(200.0)),
    ] {
        for lead_comes_first in [true, false] {
            execute(&pool, "truncate public.leads, public.lost_deals, public.inbox cascade").await;
            let app = app(&pool);
            if lead_comes_first {
                lead(&pool, &json!({})).await;
            }
            for report in &reports {
                send(&app, report).await;
                app.clock.advance(TimeDelta::seconds(1));
            }
            if !lead_comes_first {
                lead(&pool, &json!({})).await;
                app.db.tx(async |tx| match_waiting(tx, &app.config.intake, &app.clock, 9).await).await.unwrap();
            }
            let stored = row(&pool, CONVERSION).await;
            assert_eq!(stored["value"], value, "the lead comes first: {lead_comes_first}; {reports:?}");
            assert_eq!(queued(&pool).await, json!([["google_ads", "pending"]]), "{reports:?}");
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_newest_report_decides_whose_a_waiting_deal_is(pool: PgPool) {
    let app = app(&pool);
    let of = |email: &str, updated_at: &str| closed(&json!({"email": email, "updated_at": updated_at}));
    send(&app, &of("typo@example.com", LOST_AT)).await;
    assert_eq!(said(&app, &of("older@example.com", CLOSED_AT)).await.0, "awaiting_lead");
    assert_eq!(said(&app, &of("jane@example.com", CLOSED_AGAIN_AT)).await.0, "awaiting_lead");
    lead(&pool, &json!({"email_hash": Hash::of("older@example.com")})).await;
    let jane = lead(&pool, &json!({})).await;
    app.db.tx(async |tx| match_waiting(tx, &app.config.intake, &app.clock, 9).await).await.unwrap();
    expect(&row(&pool, CONVERSION).await, &json!({"lead_id": jane}));
}

/// Everything that can happen to a deal, in every order; returns the distinct results.
async fn in_every_order(pool: &PgPool, changed: Value, lost: Value, uploads_at_once: bool) -> Vec<Value> {
    let steps = [
        None,
        Some(closed(&json!({"conversion_type": "qualified", "occurred_at": "2026-11-20T07:00:00Z"}))),
        Some(worth(100, CLOSED_AT)),
        Some(changed),
        Some(lost),
        Some(worth(100, CLOSED_AT)),
    ];
    let app = app(pool);
    let mut ends = Vec::new();
    let place = |order: &[usize], step| order.iter().position(|it| *it == step);
    // The last is the same as the third.
    let orders = permutations(steps.len()).into_iter().filter(|order| place(order, 2) < place(order, 5));
    for (nth, order) in orders.enumerate() {
        let (id, email) = (format!("D-{nth}"), format!("p{nth}@example.com"));
        for step in order {
            if let Some(mut report) = steps[step].clone() {
                report["crm_deal_id"] = json!(id);
                if report.get("email").is_some() {
                    report["email"] = json!(email);
                }
                said(&app, &report).await;
            } else {
                fill_in_form(pool, &app, &email).await;
            }
            app.clock.advance(TimeDelta::seconds(1));
            if uploads_at_once {
                upload(pool, &id).await;
            }
        }
        let end = rows(
            pool,
            &format!(
                "select c.conversion_type, c.value, c.currency, c.occurred_at, c.retracted_at, c.skip_reason,
                    l.conversion_status,
                    (
                        select jsonb_agg(jsonb_build_array(q.platform, q.status, o.platform) order by q.platform)
                        from public.conversion_queue q left join public.conversion_queue o on o.id = q.adjusts
                        where q.conversion_id = c.id
                    ) as queue
                 from public.conversions c join public.leads l on l.id = c.lead_id
                 where c.crm_deal_id = '{id}' order by c.conversion_type"
            ),
        )
        .await;
        let end = Value::from(end);
        if !ends.contains(&end) {
            ends.push(end);
        }
    }
    ends
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_order_of_reports_does_not_change_the_result(pool: PgPool) {
    let ends = in_every_order(&pool, worth(200, "2026-11-20T08:30:00Z"), lost(&json!({})), false).await;
    let expected = json!([
        {
            "conversion_type": "closed", "value": 200.0, "currency": "EUR", "occurred_at": "2026-11-20T08:00:00+00:00",
            "retracted_at": "2026-11-20T09:00:00+00:00", "skip_reason": "deal_lost", "conversion_status": "lost",
            "queue": null,
        },
        {
            "conversion_type": "qualified", "value": null, "currency": null, "occurred_at": "2026-11-20T07:00:00+00:00",
            "retracted_at": null, "skip_reason": null, "conversion_status": "lost",
            "queue": [["google_ads", "pending", null]],
        },
    ]);
    assert_eq!(ends, [expected]);
}

/// Lost and won again, with another time and value than reported first.
#[sqlx::test(migrations = "../../migrations")]
async fn the_order_of_reports_does_not_change_a_corrected_time(pool: PgPool) {
    let mut changed = worth(200, "2026-11-20T08:30:00Z");
    changed["occurred_at"] = json!("2026-11-20T08:20:00Z");
    let overtaken = json!({"occurred_at": "2026-11-20T07:30:00Z", "updated_at": "2026-11-20T07:30:00Z"});
    let ends = in_every_order(&pool, changed, lost(&overtaken), false).await;
    let expected = json!({
        "conversion_type": "closed", "value": 200.0, "currency": "EUR", "occurred_at": "2026-11-20T08:20:00+00:00",
        "retracted_at": null, "skip_reason": null, "conversion_status": "closed",
        "queue": [["google_ads", "pending", null]],
    });
    assert_eq!(ends.len(), 1, "{ends:?}");
    assert_eq!(ends[0][0], expected);
}

/// Won, lost and won again, reported by a CRM that sends only the time of the event. The lead may come last, too.
#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_won_lost_and_won_again_is_won_in_any_order_of_reports(pool: PgPool) {
    let sources = "[noticing]\npreset = \"crm-conversion\"\nstrict = false\n[noticing.fields]\noccurred_at = \"/none\"\nevent_at = \"/at\"";
    let app = app_with(&pool, &[("CRM_SOURCES", sources)]);
    let noticed = |conversion_type: &str, at: &str, value: u32| json!({"conversion_type": conversion_type, "at": at, "value": value, "currency": "EUR", "updated_at": at});
    let steps = [
        None,
        Some(noticed("closed", CLOSED_AT, 100)),
        Some(noticed("closed", "2026-11-20T08:30:00Z", 150)),
        Some(noticed("lost", LOST_AT, 0)),
        Some(noticed("closed", CLOSED_AGAIN_AT, 300)),
    ];
    let mut ends: Vec<Value> = Vec::new();
    for (nth, order) in permutations(steps.len()).into_iter().enumerate() {
        let (id, email) = (format!("D-{nth}"), format!("p{nth}@example.com"));
        for step in order {
            let Some(mut report) = steps[step].clone() else {
                fill_in_form(&pool, &app, &email).await;
                continue;
            };
            (report["crm_deal_id"], report["email"]) = (json!(id), json!(email));
            let mut request = signed(testing::json_request(&ENDPOINT, &report));
            *request.uri_mut() = "/api/webhooks/noticing".parse().unwrap();
            let answer = call(&app, &ENDPOINT, request, handle).await;
            assert!(answer.status < 300, "{answer:?}");
        }
        let end = "select c.value, c.occurred_at, c.retracted_at, c.skip_reason, l.conversion_status,
                (select count(*) from public.conversion_queue q where q.conversion_id = c.id) as queued
            from public.conversions c join public.leads l on l.id = c.lead_id";
        let end = row(&pool, &format!("{end} where c.crm_deal_id = '{id}'")).await;
        if !ends.contains(&end) {
            ends.push(end);
        }
    }
    let expected = json!({
        "value": 300.0, "occurred_at": "2026-11-20T10:00:00+00:00", "retracted_at": null, "skip_reason": null,
        "conversion_status": "closed", "queued": 1,
    });
    assert_eq!(ends, [expected]);
}

/// Of a CRM that says when it changed the deal.
#[sqlx::test(migrations = "../../migrations")]
async fn an_overtaken_loss_does_not_retract_a_deal_that_was_won_since(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    send(&app, &closed(&json!({"updated_at": CLOSED_AT}))).await;
    upload(&pool, "D-1").await;
    let again = closed(&json!({"occurred_at": CLOSED_AGAIN_AT, "updated_at": CLOSED_AGAIN_AT}));
    assert_eq!(said(&app, &again).await, says("duplicate", json!(null)), "the platform goes by the time it knows");
    let overtaken = lost(&json!({"updated_at": LOST_AT}));
    assert_eq!(said(&app, &overtaken).await, says("nothing_to_retract", json!(null)));
    assert_eq!(queued(&pool).await, json!([["google_ads", "uploaded"]]));
    assert_eq!(lead_status(&pool).await, "closed");
}

/// Such as a refund with the date of the order, or a loss whose date is a day.
#[sqlx::test(migrations = "../../migrations")]
async fn a_loss_dated_before_the_win_but_reported_after_it_counts_with_a_warning(pool: PgPool) {
    let win = |mut fields: Value| {
        fields["occurred_at"] = json!(CLOSED_AGAIN_AT);
        closed(&fields)
    };
    for (won, loss, counts) in [
        (win(json!({})), json!({}), true),
        (win(json!({})), json!({"occurred_at": "2026-11-20T00:00:00Z"}), true),
        (win(json!({})), json!({"occurred_at": "2025-01-01T00:00:00Z", "conversion_type": "refunded"}), true),
        (win(json!({"updated_at": CLOSED_AGAIN_AT})), json!({"updated_at": "2026-11-20T11:00:00Z"}), true),
        (win(json!({"updated_at": CLOSED_AGAIN_AT})), json!({}), true),
        (win(json!({"updated_at": CLOSED_AGAIN_AT})), json!({"updated_at": LOST_AT}), false),
        // The CRM's word is older than the win's arrival, and the win has no other.
        (win(json!({})), json!({"updated_at": LOST_AT}), false),
    ] {
        for is_uploaded in [true, false] {
            execute(&pool, "truncate public.leads, public.lost_deals, public.inbox, public.inbox_receipts cascade")
                .await;
            let app = app(&pool);
            lead(&pool, &json!({})).await;
            send(&app, &won).await;
            if is_uploaded {
                upload(&pool, "D-1").await;
            }
            app.clock.advance(TimeDelta::minutes(1));
            let loss = lost(&loss);
            let answer = send(&app, &loss).await.body;
            let status = if counts { "retracted" } else { "nothing_to_retract" };
            assert_eq!(answer["status"], status, "{won} {loss}");
            assert_eq!(answer["warnings"][0]["field"] == "occurred_at", counts, "{answer}");
            let kept = "select warnings from public.inbox_events where crm_deal_id = 'D-1' and inbox_id is null";
            let kept = row(&pool, kept).await["warnings"].clone();
            assert_eq!(kept, answer.get("warnings").cloned().unwrap_or_else(|| json!([])), "the event keeps it");
            assert_eq!(lead_status(&pool).await, if counts { "lost" } else { "closed" });
            // The same event again, after the deal was won again, has no effect.
            app.clock.advance(TimeDelta::minutes(1));
            let again = closed(&json!({"occurred_at": "2026-11-20T12:01:30Z", "updated_at": "2026-11-20T12:01:30Z"}));
            send(&app, &again).await;
            let before = row(&pool, "select count(*) from public.conversions where retracted_at is null").await;
            assert_eq!(before["count"], 1);
            assert_eq!(said(&app, &loss).await.0, "nothing_to_retract");
            assert_eq!(row(&pool, "select count(*) from public.conversions where retracted_at is null").await, before);
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_loss_that_is_sent_again_much_later_is_a_duplicate(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    let first = lost(&json!({"occurred_at": null, "reason": "price"}));
    for report in
        [&first, &lost(&json!({"occurred_at": null, "reason": "budget"})), &closed(&json!({"occurred_at": null}))]
    {
        send(&app, report).await;
        app.clock.advance(TimeDelta::seconds(1));
    }
    assert_eq!(queued(&pool).await, json!([["google_ads", "pending"]]));
    assert_eq!(said(&app, &first).await, says("nothing_to_retract", json!(null)));
    assert_eq!(queued(&pool).await, json!([["google_ads", "pending"]]));
    // By the time of the change, because there is no other.
    let changed_before = lost(&json!({"occurred_at": null, "updated_at": CLOSED_AT}));
    assert_eq!(said(&app, &changed_before).await, says("nothing_to_retract", json!(null)));
    assert_eq!(lead_status(&pool).await, "closed");
}

/// In the end the platform counts nothing, whatever was sent in between.
#[sqlx::test(migrations = "../../migrations")]
async fn a_lost_deal_counts_nothing_at_the_platform_in_any_order_of_reports(pool: PgPool) {
    let changed = worth(200, "2026-11-20T08:30:00Z");
    for state in in_every_order(&pool, changed, lost(&json!({})), true).await {
        let expected =
            json!({"value": 200.0, "retracted_at": "2026-11-20T09:00:00+00:00", "conversion_status": "lost"});
        expect(&state[0], &expected);
        let queue = state[0]["queue"].as_array().cloned().unwrap_or_default();
        let rows_of = |platform: &str| queue.iter().filter(|row| row[0] == platform).count();
        let uploads = rows_of("google_ads");
        assert_eq!(rows_of("google_ads_retractions"), uploads, "{state}");
        assert!(rows_of("google_ads_restatements") <= uploads, "{state}");
        assert_eq!(state[0]["skip_reason"].is_null(), uploads == 1, "{state}");
        assert!(queue.iter().all(|row| row[0] == "google_ads" || row[2] == "google_ads"), "{state}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn concurrent_reports_have_the_result_of_sequential_ones(pool: PgPool) {
    let app = app(&pool);
    for nth in 0..60 {
        let (id, email) = (format!("D-{nth}"), format!("p{nth}@example.com"));
        let of = |mut report: Value| {
            report["crm_deal_id"] = json!(id);
            if report["conversion_type"] == "closed" {
                report["email"] = json!(email);
            }
            report
        };
        lead(&pool, &json!({"email_hash": Hash::of(&email)})).await;
        let reports =
            [worth(100, CLOSED_AT), lost(&json!({})), worth(200, LOST_AT), lost(&json!({"again": 1}))].map(of);
        let [a, b, c, d] = &reports;
        let answers = tokio::join!(send(&app, a), send(&app, b), send(&app, c), send(&app, d));
        for answer in [answers.0, answers.1, answers.2, answers.3] {
            assert_eq!(answer.status, 200, "round {nth}: {answer:?}");
        }
        let conversion = row(&pool, &format!("{CONVERSION} where crm_deal_id = '{id}'")).await;
        expect(&conversion, &json!({"value": 200.0, "skip_reason": "deal_lost"}));
    }
    assert_eq!(queued(&pool).await, json!([]));
}

/// A value that changes while the uploader claims: either the new one is sent, or it is corrected.
#[sqlx::test(migrations = "../../migrations")]
async fn a_concurrent_claim_misses_no_change(pool: PgPool) {
    let app = app(&pool);
    for nth in 0..60 {
        execute(&pool, "truncate public.leads, public.lost_deals, public.inbox cascade").await;
        lead(&pool, &json!({"gclid": null, "click_at": null})).await;
        send(&app, &worth(100, CLOSED_AT)).await;
        let (is_lost, change) = if nth % 2 == 0 { (false, worth(200, LOST_AT)) } else { (true, lost(&json!({}))) };
        let uploads = route(Operation::Upload);
        let claim = app.db.tx(async |tx| queue::claim(tx, &policy(), &uploads, 9, app.clock.now()).await);
        let (answer, claimed) = if nth % 4 < 2 {
            tokio::join!(send(&app, &change), claim)
        } else {
            let (claimed, answer) = tokio::join!(claim, send(&app, &change));
            (answer, claimed)
        };
        assert_eq!(answer.status, 200, "{answer:?}");
        let sent = claimed.unwrap().conversions.pop().map(|it| it.money.unwrap());
        let corrections = answer.body["platforms"].as_array().unwrap().len();
        match sent {
            Some(money) if (money.value() - 100.0).abs() < 0.5 => assert_eq!(corrections, 1, "the old value was sent"),
            Some(_) => assert!(!is_lost && corrections == 0, "the new value needs no correction"),
            None => assert_eq!(corrections, 0, "nothing was sent"),
        }
    }
}
