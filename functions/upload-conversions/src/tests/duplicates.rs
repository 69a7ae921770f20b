//! What Google says it has already.

use google_sandbox::RowPoison;

use super::*;

async fn uploader(pool: &PgPool, transport: &str) -> Uploader {
    execute(pool, "delete from public.leads; delete from public.platform_state").await;
    let changed = |_: &str| vec![("GOOGLE_ADS_TRANSPORT", transport.to_owned())];
    let uploader = Uploader::with(pool.clone(), GoogleAccount::dev(), changed).await;
    uploader.add_due(0..1).await;
    uploader
}

impl Uploader {
    /// Status, is it confirmed, and the seconds it is later than it was.
    async fn state(&self) -> Value {
        let state = "jsonb_agg(jsonb_build_array(status, confirmed_at is not null, seconds_later))";
        self.value(state).await[0].clone()
    }

    /// Lets Google's API say this of the conversion.
    fn say(&self, code: &str) {
        self.google.poison("adtrail-0", RowPoison::new("conversionUploadError", code));
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_click_that_has_a_conversion_at_that_time_gets_this_one_a_second_later(pool: PgPool) {
    let uploader = uploader(&pool, "data_manager").await;
    let at = row(&pool, "select occurred_at as at from public.conversions").await["at"].clone();
    uploader.google.decide("adtrail-0", "PROCESSING_ERROR_REASON_DUPLICATE_GCLID");
    uploader.run().await;
    uploader.run_after(TimeDelta::minutes(31)).await;
    assert_eq!(uploader.state().await, json!(["pending", false, 1]));
    uploader.google.undecide("adtrail-0");
    uploader.run().await;
    uploader.run_after(TimeDelta::minutes(31)).await;
    assert_eq!(uploader.state().await, json!(["uploaded", true, 1]));
    let sent = uploader.google.requests().ingest.into_iter().map(|body| {
        let body: Value = serde_json::from_str(&body).unwrap();
        serde_json::from_value(body["events"][0]["eventTimestamp"].clone()).unwrap()
    });
    let sent: Vec<DateTime<Utc>> = sent.collect();
    let at: DateTime<Utc> = serde_json::from_value(at).unwrap();
    assert_eq!(sent, [at, at + TimeDelta::seconds(1)]);
    let kept = row(&pool, "select occurred_at as at from public.conversions").await["at"].clone();
    assert_eq!(serde_json::from_value::<DateTime<Utc>>(kept).unwrap(), at, "the deal's own time stays");
}

#[sqlx::test(migrations = "../../migrations")]
async fn when_every_second_is_taken_somebody_is_told(pool: PgPool) {
    let uploader = uploader(&pool, "google_ads").await;
    uploader.say("CLICK_CONVERSION_ALREADY_EXISTS");
    let run = uploader.run().await;
    assert_eq!((run.accepted, run.rejected), (0, 1));
    assert_eq!(uploader.state().await, json!(["dead_letter", false, 30]));
    let why = uploader.value("min(last_error)").await;
    assert!(why.as_str().unwrap().contains("next thirty seconds"), "{why}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_id_that_google_has_although_it_was_never_sent_is_not_confirmed(pool: PgPool) {
    let first = uploader(&pool, "google_ads").await;
    first.say("ORDER_ID_ALREADY_IN_USE");
    assert_eq!(first.run().await.accepted, 1);
    assert_eq!(first.state().await, json!(["uploaded", false, 0]));
    let why = first.value("min(last_error)").await;
    assert!(why.as_str().unwrap().contains("never sent it before"), "{why}");
    assert_eq!(first.run_after(TimeDelta::days(1)).await, Summary::default(), "nothing is sent or asked again");
    assert_eq!(first.google.requests().click_conversion_calls, 1);

    let first = uploader(&pool, "data_manager").await;
    first.google.decide("adtrail-0", "PROCESSING_ERROR_REASON_DUPLICATE_TRANSACTION_ID");
    first.run().await;
    first.run_after(TimeDelta::minutes(31)).await;
    assert_eq!(first.state().await, json!(["uploaded", false, 0]));
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_id_that_google_has_from_an_attempt_whose_answer_was_lost_is_confirmed(pool: PgPool) {
    let again = uploader(&pool, "google_ads").await;
    again.google.script(Fault::once(Endpoint::ClickConversions, FaultKind::Html {})).unwrap();
    again.run().await;
    again.say("ORDER_ID_ALREADY_IN_USE");
    assert_eq!(again.run_after(TimeDelta::hours(1)).await.accepted, 1);
    assert_eq!(again.state().await, json!(["uploaded", true, 0]));
}

#[sqlx::test(migrations = "../../migrations")]
async fn two_of_a_request_that_are_one_for_google_go_one_by_one(pool: PgPool) {
    for code in ["DUPLICATE_CLICK_CONVERSION_IN_REQUEST", "DUPLICATE_ORDER_ID"] {
        let uploader = uploader(&pool, "google_ads").await;
        uploader.add_due(1..3).await;
        uploader.say(code);
        uploader.run().await;
        assert_eq!(uploader.value("count(*) filter (where send_alone)").await, 1, "{code}");
        assert_eq!(uploader.google.conversions().len(), 2, "{code}: the others went");
    }
}
