//! Google accepts, and we don't hear of it.

use chrono::TimeDelta;
use google_sandbox::{Endpoint, Fault, FaultKind};
use proptest::collection::vec;
use proptest::sample::select;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use sqlx::PgPool;
use testing::scaled;

use super::{Delivery, counts};

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
        // In one order, the same in every run: a story of minutes is not told again to find a smaller one.
        let kinds = select(vec![FaultKind::ReplyLost {}, FaultKind::Truncated {}, FaultKind::Empty {}]);
        let order =
            vec((kinds, 0..2_u32), usize::try_from(lost).unwrap()).new_tree(&mut TestRunner::deterministic()).unwrap();
        for (kind, after) in order.current() {
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
