//! Google accepts, and we don't hear of it.

use chrono::TimeDelta;
use google_sandbox::{Endpoint, Fault, FaultKind};
use sqlx::PgPool;
use testing::scaled;

use super::{Delivery, counts};

/// A small generator, so that the same run can be had again.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[sqlx::test(migrations = "../migrations")]
async fn lost_replies_count_once_each(pool: PgPool) {
    let lost = scaled(1_000, 100);
    for (transport, endpoint) in [("data_manager", Endpoint::Ingest), ("google_ads", Endpoint::ClickConversions)] {
        let delivery = Delivery::new(&pool, &[("GOOGLE_ADS_TRANSPORT", transport)]).await;
        delivery
            .execute("delete from public.leads; delete from public.platform_state; delete from public.upload_attempts")
            .await;
        delivery.add_due(0..lost).await;
        delivery.execute("update public.conversion_queue set send_alone = true").await;
        let kinds = [FaultKind::ReplyLost {}, FaultKind::Truncated {}, FaultKind::Empty {}];
        let mut seed = 7;
        for _ in 0..lost {
            let kind = kinds[usize::try_from(draw(&mut seed)).unwrap() % kinds.len()].clone();
            let after = u32::try_from(draw(&mut seed) % 2).unwrap();
            delivery.google.script(Fault::once(endpoint, kind).after(after)).unwrap();
        }
        let mut ticks = 0;
        while delivery.statuses().await != counts(&[("uploaded", lost.into())]) {
            delivery.tick_after(TimeDelta::minutes(67)).await;
            ticks += 1;
            assert!(ticks < 3 * lost, "{:?}", delivery.statuses().await);
        }
        let counted = delivery.google.conversions();
        assert_eq!(i32::try_from(counted.len()).unwrap(), lost, "one each");
        let requests = delivery.google.requests();
        let requests = i32::try_from(requests.ingest_calls + requests.click_conversion_calls).unwrap();
        assert!(requests >= 2 * lost, "{lost} replies were lost: {requests} requests, {ticks} ticks");
        assert_eq!(delivery.attempts_used().await, 0);
    }
}
