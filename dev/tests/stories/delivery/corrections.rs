//! Retracting and correcting what Google received.

use chrono::TimeDelta;
use crm_conversion::{ENDPOINT, handle};
use google_sandbox::{AdjustmentType, Conversion, Endpoint, Fault, FaultKind};
use serde_json::{Value, json};
use sqlx::PgPool;
use testing::{call, json_request, lead, signed};

use super::Delivery;

impl Delivery {
    /// A lead, and its deal closed and uploaded for 100 EUR.
    async fn with_uploaded_deal(pool: &PgPool, changed: &[(&str, &str)]) -> Self {
        let delivery = Self::new(pool, changed).await;
        lead("jane@example.com").store(pool).await;
        assert_eq!(delivery.close(100).await["status"], "queued");
        assert_eq!(delivery.tick().await.accepted, 1);
        delivery
    }

    /// The CRM reports something of the deal.
    async fn report(&self, fields: Value) -> Value {
        let mut body = json!({"crm_deal_id": "D-1", "email": "jane@example.com"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let answer = call(&self.crm, &ENDPOINT, signed(json_request(&ENDPOINT, &body)), handle).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.body
    }

    async fn close(&self, value: u32) -> Value {
        let at = "2026-11-22T10:00:00Z";
        self.report(json!({"conversion_type": "closed", "value": value, "currency": "EUR", "occurred_at": at})).await
    }

    async fn lose(&self) -> Value {
        self.report(json!({"conversion_type": "lost", "occurred_at": "2026-11-22T11:30:00Z"})).await
    }

    /// The conversion as Google counts it.
    fn counted(&self) -> Conversion {
        let counted = self.google.conversions();
        assert_eq!(counted.len(), 1, "{counted:?}");
        counted[0].clone()
    }

    async fn correction_rows(&self) -> Vec<Value> {
        sqlx::query_scalar(
            "select jsonb_build_object('platform', q.platform, 'status', q.status, 'of', o.platform)
             from public.conversion_queue q join public.conversion_queue o on o.id = q.adjusts order by q.platform",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_lost_after_closing_is_retracted_once(pool: PgPool) {
    for (transport, lost) in [("data_manager", "lost"), ("google_ads", "refunded")] {
        let delivery = Delivery::with_uploaded_deal(&pool, &[("GOOGLE_ADS_TRANSPORT", transport)]).await;
        let loss = json!({"conversion_type": lost, "occurred_at": "2026-11-22T11:30:00Z"});
        let answer = delivery.report(loss.clone()).await;
        assert_eq!(json!([answer["status"], answer["platforms"]]), json!(["retracted", ["google_ads_retractions"]]));

        delivery.tick().await;
        assert!(delivery.counted().retracted);

        // Again, and the closing again: nothing more happens.
        assert_eq!(delivery.report(loss).await["status"], "nothing_to_retract");
        assert_eq!(delivery.close(100).await["status"], "duplicate");
        for _ in 0..3 {
            delivery.tick_after(TimeDelta::hours(7)).await;
        }
        let adjustments = delivery.google.adjustments();
        let received: Vec<_> = adjustments.iter().map(|it| (it.adjustment_type, it.received)).collect();
        assert_eq!(received, [(AdjustmentType::Retraction, 1)], "{transport}");
        let linked = json!({"platform": "google_ads_retractions", "status": "uploaded", "of": "google_ads"});
        assert_eq!(delivery.correction_rows().await, [linked]);
        let status: String =
            sqlx::query_scalar("select conversion_status from public.leads").fetch_one(&pool).await.unwrap();
        assert_eq!(status, "lost");
        delivery.execute("delete from public.leads; delete from public.inbox; delete from public.lost_deals").await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_last_of_several_values_counts(pool: PgPool) {
    for transport in ["data_manager", "google_ads"] {
        let delivery = Delivery::with_uploaded_deal(&pool, &[("GOOGLE_ADS_TRANSPORT", transport)]).await;
        assert_eq!(delivery.counted().value, Some(100.0));
        delivery.app.clock.advance(TimeDelta::minutes(1));
        assert_eq!(delivery.close(200).await["status"], "restated");
        delivery.tick().await;
        assert_eq!(delivery.counted().value, Some(200.0), "{transport}");

        delivery.app.clock.advance(TimeDelta::minutes(1));
        let answer = delivery.close(300).await;
        assert_eq!(json!([answer["status"], answer["platforms"]]), json!(["restated", ["google_ads_restatements"]]));
        // Replays of what was said before change nothing, in whatever order.
        for value in [100, 200, 300, 100] {
            assert_eq!(delivery.close(value).await["status"], "duplicate");
        }
        delivery.tick().await;
        delivery.tick_after(TimeDelta::hours(7)).await;
        assert_eq!((delivery.counted().value, delivery.counted().retracted), (Some(300.0), false), "{transport}");
        let linked = json!({"platform": "google_ads_restatements", "status": "uploaded", "of": "google_ads"});
        assert_eq!(delivery.correction_rows().await, [linked]);
        delivery.execute("delete from public.leads; delete from public.inbox").await;
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn lost_before_anything_was_sent_nothing_is_sent(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[]).await;
    delivery.add_due(1..2).await;
    assert_eq!(delivery.lose().await["status"], "retracted");
    delivery.tick().await;
    delivery.tick_after(TimeDelta::hours(1)).await;
    let requests = delivery.google.requests();
    assert_eq!((requests.ingest_calls, requests.adjustment_calls), (0, 0));
    assert_eq!(delivery.number("select count(*) from public.conversion_queue").await, 0);
    assert_eq!(delivery.number("select count(*) from public.conversions where skip_reason = 'deal_lost'").await, 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_lost_while_google_may_have_it_is_retracted(pool: PgPool) {
    let delivery = Delivery::new(&pool, &[]).await;
    delivery.add_due(1..2).await;
    delivery.google.script(Fault::once(Endpoint::Ingest, FaultKind::ReplyLost {})).unwrap();
    delivery.tick().await;
    assert_eq!(delivery.counted().received, 1, "Google has it, and we don't know");
    assert_eq!(delivery.lose().await["platforms"], json!(["google_ads_retractions"]));
    delivery.tick_after(TimeDelta::minutes(20)).await;
    assert!(delivery.counted().retracted);
    assert_eq!(delivery.counted().received, 1, "it wasn't sent again");
    let row = delivery.row("adtrail-1", "google_ads").await;
    assert_eq!(json!([row["status"], row["last_error_code"]]), json!(["dead_letter", "deal_lost"]));
}

#[sqlx::test(migrations = "../migrations")]
async fn after_54_days_nothing_can_be_corrected(pool: PgPool) {
    let delivery = Delivery::with_uploaded_deal(&pool, &[]).await;
    delivery.app.clock.advance(TimeDelta::days(55));
    assert_eq!(delivery.close(200).await["status"], "restated");
    let sent = delivery.google.requests().ingest_calls;
    delivery.tick().await;
    assert_eq!(delivery.google.requests().ingest_calls, sent);
    let rows = delivery
        .number("select count(*) from public.conversion_queue where last_error_code = 'adjustment_window_is_over'");
    assert_eq!(rows.await, 1);
}

#[sqlx::test(migrations = "../migrations")]
async fn without_access_to_the_google_ads_api_only_retractions_wait(pool: PgPool) {
    let delivery = Delivery::with_uploaded_deal(&pool, &[]).await;
    let denied =
        FaultKind::Http { status: 403, retry_after: None, reason: Some("SERVICE_DISABLED".into()), body: None };
    delivery.google.script(Fault::once(Endpoint::Adjustments, denied)).unwrap();
    delivery.lose().await;
    delivery.add_due(2..4).await;
    let summary = delivery.tick().await;
    assert_eq!((summary.accepted, summary.paused.as_slice()), (2, ["google_ads_retractions".to_owned()].as_slice()));
    delivery.tick_after(TimeDelta::minutes(21)).await;
    assert_eq!(delivery.google.adjustments().len(), 1, "it is tried again");
}
