//! Reports on one deal that arrive at the same moment have the same result as one after the other.

use shared::db::DbError;
use shared::locks::{self, Locks};
use testing::{permutations, scaled, waiting_for_lock};

use super::*;

/// Rounds of every order, 1,020 of all six in `make test-long`. Each round has its own deal.
fn rounds() -> usize {
    scaled(170, 10)
}

/// Everything the reports of a deal left behind, without ids.
async fn left_behind(pool: &PgPool, crm_deal_id: &str) -> Value {
    let of_deal = |select: &str| format!("{select} where crm_deal_id = '{crm_deal_id}' order by conversion_type");
    let deals = of_deal(
        "select conversion_type, value, currency, occurred_at, email_hash, email_hash_google, deliveries, state
         from public.inbox",
    );
    let conversions =
        of_deal("select conversion_type, value, occurred_at, skip_reason, retracted_at from public.conversions");
    let losses = format!("select lost_at, deliveries from public.lost_deals where crm_deal_id = '{crm_deal_id}'");
    let queue = format!(
        "select q.platform, q.status from public.conversion_queue q
         join public.conversions c on c.id = q.conversion_id where c.crm_deal_id = '{crm_deal_id}' order by q.platform"
    );
    json!([
        rows(pool, &deals).await,
        rows(pool, &conversions).await,
        rows(pool, &losses).await,
        rows(pool, &queue).await
    ])
}

/// Sends the reports at once. All of them find the deal locked, and get the lock in the order of arrival.
async fn send_at_once(pool: &PgPool, app: &App<Config>, crm_deal_id: &str, reports: &[Value]) {
    let sending = app.db.tx(async |tx| -> Result<_, DbError> {
        locks::take(tx, &Locks::of_deal(crm_deal_id)).await?;
        let mut sending = Vec::new();
        for (nth, report) in reports.iter().enumerate() {
            sending.push(Box::pin(send(app, report)));
            // Until it waits for the lock: Postgres grants it in this order.
            while waiting_for_lock(pool, "advisory").await <= i64::try_from(nth).unwrap() {
                for sent in &mut sending {
                    assert!(futures_util::poll!(sent).is_pending(), "it didn't wait for the deal's lock");
                }
            }
        }
        Ok(sending)
    });
    for answer in futures_util::future::join_all(sending.await.unwrap()).await {
        assert!(answer.status < 300, "{answer:?}");
    }
}

async fn end_alike(pool: &PgPool, reports: impl Fn(&str) -> Vec<Value>) {
    let app = app(pool);
    let mut wrong = Vec::new();
    for round in 0..rounds() {
        for order in permutations(reports("").len()) {
            let name = format!("{round}-{}", order.iter().map(usize::to_string).collect::<String>());
            let (in_turn, at_once) = (format!("turn-{name}"), format!("once-{name}"));
            let ordered = |id: &str| order.iter().map(|nth| reports(id).swap_remove(*nth)).collect::<Vec<_>>();
            for report in ordered(&in_turn) {
                send(&app, &report).await;
            }
            send_at_once(pool, &app, &at_once, &ordered(&at_once)).await;
            let (expected, left) = (left_behind(pool, &in_turn).await, left_behind(pool, &at_once).await);
            if expected != left {
                wrong.push(format!("{order:?}: {left} instead of {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} rounds end otherwise: {wrong:#?}", wrong.len(), rounds() * 6);
}

#[sqlx::test(migrations = "../../migrations")]
async fn values_and_persons(pool: PgPool) {
    end_alike(&pool, |id| {
        let first = json!({"value": 100, "currency": "EUR", "email": "jane@example.com"});
        let second = json!({"value": 200, "currency": "EUR", "email": "joan@example.com"});
        [&first, &second, &first].map(|fields| deal(id, fields)).to_vec()
    })
    .await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn values_of_a_deal_whose_lead_is_known(pool: PgPool) {
    lead(&pool, &json!({})).await;
    end_alike(&pool, |id| [100, 200, 100].map(|value| deal(id, &json!({"value": value, "currency": "EUR"}))).to_vec())
        .await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn losses(pool: PgPool) {
    lead(&pool, &json!({})).await;
    end_alike(&pool, |id| {
        let closed = deal(id, &json!({"value": 100, "currency": "EUR", "occurred_at": "2026-11-20T08:00:00Z"}));
        let lost = |at| json!({"crm_deal_id": id, "conversion_type": "lost", "occurred_at": at});
        vec![closed, lost("2026-11-20T09:00:00Z"), lost("2026-11-20T07:00:00Z")]
    })
    .await;
}
