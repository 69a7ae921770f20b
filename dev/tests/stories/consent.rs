//! Who said no isn't uploaded: a no counts wherever and whenever the person said it, until the person says yes again.

mod histories;
mod model;

use google_sandbox::{Endpoint, Fault, FaultKind, GoogleAccount};
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared::consent::ConsentSource;
use sqlx::PgPool;

use crate::stage::Stage;

/// A browser on the website, with the cookies of its first visit.
struct Browser<'a> {
    stage: &'a Stage,
    cookies: String,
}

impl<'a> Browser<'a> {
    /// Lands with a click on an ad, and says this to the banner.
    async fn new(stage: &'a Stage, gclid: &str, consent: Value) -> Self {
        let visit = json!({"url": format!("https://www.example.com/?gclid={gclid}"), "consent": consent});
        let answer = stage.post("/api/track/visit", &[], &visit).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let cookies: Vec<_> = answer.set_cookies.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
        Self { stage, cookies: cookies.join("; ") }
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) {
        let headers = [headers, &[("cookie", self.cookies.as_str())]].concat();
        let answer = self.stage.post(path, &headers, body).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }

    async fn submits(&self, consent: Value) {
        self.post("/api/leads", &[], &json!({"email": "jane@example.com", "consent": consent})).await;
    }

    /// Answers the banner again.
    async fn answers(&self, said: &str) {
        self.post("/api/consent", &[], &json!({"ad_user_data": said})).await;
    }

    /// Opens another page, which carries the banner's state.
    async fn visits(&self, consent: Value) {
        self.post("/api/track/visit", &[], &json!({"url": "https://www.example.com/2", "consent": consent})).await;
    }

    async fn visits_with_gpc(&self) {
        self.post("/api/track/visit", &[("sec-gpc", "1")], &json!({"url": "https://www.example.com/"})).await;
    }
}

impl Stage {
    /// Where withdrawn consent is told to Google.
    async fn that_retracts(pool: PgPool) -> Self {
        Self::with_account(pool, GoogleAccount::dev(), |values| {
            values.insert("CONSENT_WITHDRAWN".into(), "retract".into());
        })
        .await
    }

    async fn pause_retractions(&self) {
        let pause = "insert into platform_state (platform, state, reason, paused_at, next_probe_at)
                     values ('google_ads_retractions', 'paused', 'test', now(), now() + interval '1 day')";
        sqlx::query(pause).execute(&self.pool).await.unwrap();
    }

    async fn closes_the_deal(&self) -> Value {
        let report = json!({
            "crm_deal_id": "1042", "conversion_type": "closed", "email": "jane@example.com", "value": 9000,
            "currency": "EUR",
        });
        self.deal(&report).await.body
    }

    /// Google doesn't answer until the faults are cleared.
    fn google_is_unavailable(&self) {
        let down = FaultKind::Http { status: 503, retry_after: None, reason: None, body: None };
        self.google.script(Fault::once(Endpoint::Ingest, down).times(u32::MAX)).unwrap();
    }

    /// Google answers again, and every row is tried.
    async fn google_is_back(&self) {
        self.google.clear_faults();
        sqlx::query("update conversion_queue set next_retry_at = now()").execute(&self.pool).await.unwrap();
        self.tick().await;
    }

    /// The consent that each upload said.
    fn uploads(&self) -> Vec<Value> {
        self.google.events().iter().map(|event| event.event["consent"]["adUserData"].clone()).collect()
    }
}

fn says(value: &str) -> Value {
    json!({"ad_user_data": value, "ad_personalization": value})
}

#[sqlx::test(migrations = "../migrations")]
async fn a_no_of_another_form_stops_a_yes_with_a_click(pool: PgPool) {
    let stage = Stage::new(pool).await;
    Browser::new(&stage, "Click", json!({})).await.submits(says("granted")).await;
    let elsewhere = json!({"email": "jane@example.com", "consent": says("denied")});
    let second = stage.post("/api/leads", &[], &elsewhere).await;

    assert_eq!(stage.closes_the_deal().await["reason"], "consent_denied");
    stage.tick().await;
    assert_eq!(stage.uploads(), [] as [Value; 0]);

    // Neither another form nor another browser lifts it; the operator does, who heard it from that lead.
    Browser::new(&stage, "Other", says("granted")).await.submits(says("granted")).await;
    stage.tick().await;
    assert_eq!(stage.uploads(), [] as [Value; 0]);
    let lead_id = second.body["lead_id"].as_str().unwrap().parse().unwrap();
    operator_records(&stage, lead_id, "granted").await;
    stage.tick().await;
    assert_eq!(stage.uploads(), ["CONSENT_GRANTED"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_form_that_says_nothing_does_not_replace_a_no(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let browser = Browser::new(&stage, "Click", json!({})).await;
    browser.submits(says("denied")).await;
    browser.submits(json!({})).await;

    // Here conversions of people who were not asked are sent.
    assert_eq!(stage.closes_the_deal().await["reason"], "consent_denied");
    stage.tick().await;
    assert_eq!(stage.uploads(), [] as [Value; 0]);

    browser.answers("granted").await;
    stage.tick().await;
    assert_eq!(stage.uploads(), ["CONSENT_GRANTED"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_page_view_that_repeats_the_banners_yes_does_not_lift_a_no(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let browser = Browser::new(&stage, "Click", says("granted")).await;
    browser.submits(says("denied")).await;
    browser.visits(says("granted")).await;

    assert_eq!(stage.closes_the_deal().await["reason"], "consent_denied");
    stage.tick().await;
    assert_eq!(stage.uploads(), [] as [Value; 0]);

    // The banner was asked again, and said no and yes.
    browser.visits(says("denied")).await;
    browser.visits(says("granted")).await;
    stage.tick().await;
    assert_eq!(stage.uploads(), ["CONSENT_GRANTED"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_later_visit_with_global_privacy_control_is_a_no(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let browser = Browser::new(&stage, "Click", says("granted")).await;
    browser.submits(json!({})).await;
    browser.visits_with_gpc().await;

    assert_eq!(stage.closes_the_deal().await["reason"], "consent_denied");
    stage.tick().await;
    assert_eq!(stage.uploads(), [] as [Value; 0]);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_no_while_google_is_unavailable_stops_what_waits(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let browser = Browser::new(&stage, "Click", says("granted")).await;
    browser.submits(json!({})).await;
    assert_eq!(stage.closes_the_deal().await["status"], "queued");
    stage.google_is_unavailable();
    stage.tick().await;

    browser.submits(says("denied")).await;
    stage.google_is_back().await;
    assert_eq!(stage.uploads(), [] as [Value; 0]);
    let row = stage.row("conversions").await;
    assert_eq!(row["ad_user_data"], "denied");
    assert!(row["consent_withdrawn_at"].is_string(), "a request may have reached Google: {row}");
    // However often it was tried before: nothing waits for Google.
    sqlx::query("update conversion_queue set transport_failures = 3").execute(&stage.pool).await.unwrap();
    let health = stage.health().await;
    assert_eq!((&health["status"], &health["queue"]["pending"]), (&json!("healthy"), &json!(1)));
    assert_eq!(health["queue"]["reasons"], json!([]));

    browser.answers("granted").await;
    stage.tick().await;
    assert_eq!(stage.uploads(), ["CONSENT_GRANTED"]);
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_sent_before_a_no_is_noted_and_retracted_where_a_setting_says_so(pool: PgPool) {
    for (setting, retractions) in [("keep", 0), ("retract", 1)] {
        let stage = Stage::with_account(pool.clone(), GoogleAccount::dev(), |values| {
            values.insert("CONSENT_WITHDRAWN".into(), setting.into());
        })
        .await;
        sqlx::query("truncate leads, visitors, consent_statements, inbox cascade").execute(&stage.pool).await.unwrap();
        let browser = Browser::new(&stage, "Click", says("granted")).await;
        browser.submits(json!({})).await;
        stage.closes_the_deal().await;
        stage.tick().await;
        assert_eq!(stage.uploads(), ["CONSENT_GRANTED"], "{setting}");

        browser.answers("denied").await;
        stage.tick().await;
        let row = stage.row("conversions").await;
        assert_eq!((&row["ad_user_data"], &row["skip_reason"]), (&json!("denied"), &Value::Null), "{setting}");
        assert!(row["consent_withdrawn_at"].is_string(), "{setting}: {row}");
        assert_eq!(stage.google.adjustments().len(), retractions, "{setting}");
        assert_eq!(stage.google.events()[0].received, 1, "{setting}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn what_google_may_have_is_retracted_although_its_answer_was_lost(pool: PgPool) {
    let stage = Stage::that_retracts(pool).await;
    let browser = Browser::new(&stage, "Click", says("granted")).await;
    browser.submits(json!({})).await;
    stage.closes_the_deal().await;
    stage.google.script(Fault::once(Endpoint::Ingest, FaultKind::ReplyLost {})).unwrap();
    stage.tick().await;

    browser.answers("denied").await;
    stage.google_is_back().await;
    assert_eq!(stage.google.events()[0].received, 1);
    assert_eq!(stage.google.adjustments().len(), 1);
    let code: String = stage.value("select last_error_code from conversion_queue where adjusts is null").await;
    assert_eq!(code, "consent_withdrawn");
    assert_eq!(stage.health().await["status"], "healthy");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_yes_before_the_retraction_was_sent_cancels_it(pool: PgPool) {
    let stage = Stage::that_retracts(pool).await;
    let browser = Browser::new(&stage, "Click", says("granted")).await;
    browser.submits(json!({})).await;
    stage.closes_the_deal().await;
    stage.tick().await;
    stage.pause_retractions().await;
    browser.answers("denied").await;
    stage.tick().await;
    let retractions = "select count(*) from conversion_queue where adjusts is not null";
    assert_eq!(stage.value::<i64>(retractions).await, 1);

    browser.answers("granted").await;
    stage.tick().await;
    assert_eq!(stage.value::<i64>(retractions).await, 0);
    assert_eq!(stage.google.adjustments().len(), 0);
}

#[sqlx::test(migrations = "../migrations")]
async fn a_yes_after_a_no_sends_what_was_given_up_while_google_was_unavailable(pool: PgPool) {
    let stage = Stage::that_retracts(pool).await;
    let browser = Browser::new(&stage, "Click", says("granted")).await;
    browser.submits(json!({})).await;
    stage.closes_the_deal().await;
    stage.google_is_unavailable();
    stage.tick().await;
    stage.pause_retractions().await;
    browser.answers("denied").await;
    stage.tick().await;
    let status = "select status from conversion_queue where adjusts is null";
    assert_eq!(stage.value::<String>(status).await, "dead_letter");

    browser.answers("granted").await;
    stage.google_is_back().await;
    assert_eq!(stage.uploads(), ["CONSENT_GRANTED"]);
    assert_eq!(stage.value::<String>(status).await, "uploaded");
    assert_eq!(stage.google.adjustments().len(), 0);
}

/// As `adtrail lead consent` does.
async fn operator_records(stage: &Stage, lead_id: uuid::Uuid, value: &str) {
    let status = shared::consent::ConsentStatus::parse(value).unwrap();
    let consent = shared::consent::Consent { ad_user_data: status, ad_personalization: status };
    let (app, now) = (&stage.functions.create_lead, stage.clock.now());
    let stated: Result<_, shared::db::DbError> = app
        .db
        .tx(async |tx| shared::leads::state_consent(tx, lead_id, consent, ConsentSource::Operator, now).await)
        .await;
    assert!(stated.unwrap(), "there is no lead {lead_id}");
}
