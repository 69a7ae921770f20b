use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::conversions::{self, Recorded, SkipReason, record_matches};
use shared::db::DbError;
use shared::deals::Loss;
use shared::identity::Hash;
use shared::inbox::{self, losses};
use shared::leads;
use shared::locks::{self, Locks};
use shared::rate_limits::Callers;
use shared::{App, intake};
use sqlx::PgPool;
use testing::{app, lead, match_waiting, row, rows, start, waiting_deal};
use tokio::sync::oneshot;

use crate::inbox::lead_and_deal;

fn loss(id: &str, lost_at: DateTime<Utc>) -> Loss {
    let payload_hash = Hash::of(lost_at.to_string());
    Loss { crm_deal_id: id.into(), lost_at, as_of: lost_at, is_reopened: false, payload_hash }
}

/// Reports a loss as the webhook does.
async fn lose(app: &App<intake::Config>, id: &str) -> Result<bool, DbError> {
    app.db
        .tx(async |tx| {
            locks::take(tx, &Locks::of_deal(id)).await?;
            losses::hold_back_matches(tx, &[id]).await?;
            losses::keep(tx, &[(&loss(id, start()), start())], &[], &BTreeMap::new()).await?;
            let retracted = conversions::retract(tx, &app.config.destinations, &[id], start()).await?;
            leads::renew_status(tx, &[id], &[]).await?;
            Ok(!retracted.is_empty())
        })
        .await
}

async fn rematch(app: &App<intake::Config>) -> Result<Vec<Recorded>, DbError> {
    app.db.tx(async |tx| match_waiting(tx, &app.config, &app.clock, 100).await).await
}

async fn conversions(pool: &PgPool) -> Vec<Value> {
    let all = "select crm_deal_id, skip_reason, retracted_at is not null as is_retracted from public.conversions";
    rows(pool, all).await
}

/// Is a transaction on this database waiting for another one?
async fn somebody_waits(pool: &PgPool) -> bool {
    let waiting = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    !rows(pool, waiting).await.is_empty()
}

/// The schedule has found the lead and not yet said so when the deal is lost.
#[sqlx::test(migrations = "../migrations")]
async fn a_loss_waits_for_whoever_is_matching_its_deal(pool: PgPool) {
    let app = app(&pool);
    waiting_deal("D-1", "jane@example.com").store(&pool).await;
    lead("jane@example.com").store(&pool).await;
    let (recorded, is_recorded) = oneshot::channel();
    let (lost, mut is_lost) = oneshot::channel();
    let schedule = app.db.tx(async |tx| {
        let queued = match_waiting(tx, &app.config, &app.clock, 9).await?;
        recorded.send(()).unwrap();
        while is_lost.try_recv().is_err() && !somebody_waits(&pool).await {}
        Ok::<_, DbError>(queued)
    });
    let webhook = async {
        is_recorded.await.unwrap();
        let retracted = lose(&app, "D-1").await;
        let _ = lost.send(());
        retracted
    };
    let (queued, retracted) = tokio::join!(schedule, webhook);
    assert_eq!(queued.unwrap()[0].platforms, ["google_ads"]);
    assert!(retracted.unwrap(), "it saw the conversion");
    let expected = json!([{"crm_deal_id": "D-1", "skip_reason": "deal_lost", "is_retracted": true}]);
    assert_eq!(Value::from(conversions(&pool).await), expected);
    assert_eq!(rows(&pool, "select 1 from public.conversion_queue").await.len(), 0);
}

/// The deal is lost while the schedule is between finding its lead and recording it, and the other way round.
#[sqlx::test(migrations = "../migrations")]
async fn a_loss_and_a_match_that_come_at_once_do_not_miss_each_other(pool: PgPool) {
    let app = app(&pool);
    for nth in 0..60 {
        let (email, id) = (format!("p{nth}@example.com"), format!("D-{nth}"));
        waiting_deal(&id, &email).store(&pool).await;
        lead(&email).store(&pool).await;
        let (matched, lost) = if nth % 2 == 0 {
            tokio::join!(rematch(&app), lose(&app, &id))
        } else {
            let (lost, matched) = tokio::join!(lose(&app, &id), rematch(&app));
            (matched, lost)
        };
        let (matched, retracted) = (matched.unwrap(), lost.unwrap());
        // What was locked by the loss is left to the next run.
        let matched = if matched.is_empty() { rematch(&app).await.unwrap() } else { matched };
        let queued = matched[0].skip_reason != Some(SkipReason::DealLost);
        assert_eq!(queued, retracted, "round {nth}: whoever came second saw the first");
    }
    assert!(conversions(&pool).await.iter().all(|it| it["skip_reason"] == "deal_lost" && it["is_retracted"] == true));
    assert_eq!(rows(&pool, "select 1 from public.conversion_queue").await.len(), 0);
}

/// A form, its deal's closing, its loss and the schedule, all at once: nobody waits in a circle, and the loss counts.
#[sqlx::test(migrations = "../migrations")]
async fn a_form_and_a_closing_concurrent_with_a_loss_queue_nothing(pool: PgPool) {
    let app = app::<intake::Config>(&pool);
    for nth in 0..60 {
        let id = format!("D-{nth}");
        let (lead, deal) = lead_and_deal(&format!("p{nth}@example.com"), &id);
        let form = app.db.tx(async |tx| {
            leads::create(tx, &lead, &Callers::default()).await?;
            match_waiting(tx, &app.config, &app.clock, 1_000).await
        });
        let closing = app.db.tx(async |tx| {
            locks::take(tx, &inbox::locks_of(&deal)).await?;
            let received = inbox::receive(tx, &[(&deal, start())], start()).await?;
            record_matches(tx, &app.config.destinations, app.config.match_by, &[received[0].inbox_id], app.clock.now())
                .await
        });
        let (form, closing, lost, schedule) = tokio::join!(form, closing, lose(&app, &id), rematch(&app));
        form.and(closing).and(schedule).unwrap();
        lost.unwrap();
        rematch(&app).await.unwrap();
        let expected = json!({"crm_deal_id": id, "skip_reason": "deal_lost", "is_retracted": true});
        assert!(conversions(&pool).await.contains(&expected), "round {nth}");
        let lost = "select 1 from public.leads where conversion_status = 'lost'";
        assert_eq!(rows(&pool, lost).await.len(), nth + 1);
    }
    assert_eq!(rows(&pool, "select 1 from public.conversion_queue").await.len(), 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn two_deals_of_one_lead_lost_at_once_leave_it_lost(pool: PgPool) {
    let app = app(&pool);
    for nth in 0..40 {
        let email = format!("p{nth}@example.com");
        let (one, other) = (format!("D-{nth}a"), format!("D-{nth}b"));
        waiting_deal(&one, &email).store(&pool).await;
        waiting_deal(&other, &email).store(&pool).await;
        lead(&email).store(&pool).await;
        assert_eq!(rematch(&app).await.unwrap().len(), 2);
        let (first, second) = tokio::join!(lose(&app, &one), lose(&app, &other));
        assert!(first.unwrap() && second.unwrap());
        let status =
            format!("select conversion_status from public.leads where email_hash = '{}'", Hash::of(&email).as_str());
        assert_eq!(row(&pool, &status).await["conversion_status"], "lost", "round {nth}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn the_latest_of_several_losses_is_kept(pool: PgPool) {
    let app = app::<intake::Config>(&pool);
    let hour = chrono::TimeDelta::hours(1);
    for (lost_at, kept) in [(start(), start()), (start() - hour, start()), (start() + hour, start() + hour)] {
        app.db
            .tx(async |tx| losses::keep(tx, &[(&loss("D-1", lost_at), start())], &[], &BTreeMap::new()).await)
            .await
            .unwrap();
        let stored: DateTime<Utc> =
            sqlx::query_scalar("select lost_at from public.lost_deals").fetch_one(&pool).await.unwrap();
        assert_eq!(stored, kept);
    }
}
