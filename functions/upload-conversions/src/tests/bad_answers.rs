//! Conversions when Google's answers are broken or hostile.

use google_sandbox::{AwsRole, BadAnswer, RowPoison, WorkloadIdentity};
use testing::Row;

use super::*;

const AUDIENCE: &str = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/aws";
const CLIENT_EMAIL: &str = "uploader@project.iam.gserviceaccount.example";

/// Answers that can't be read.
fn unreadable() -> [FaultKind; 6] {
    [
        FaultKind::BadAnswer(BadAnswer::Endless {}),
        FaultKind::BadAnswer(BadAnswer::Padded { megabytes: 50 }),
        FaultKind::BadAnswer(BadAnswer::InvalidUtf8 {}),
        FaultKind::BadAnswer(BadAnswer::WrongLength { by: 7 }),
        FaultKind::BadAnswer(BadAnswer::WrongLength { by: -7 }),
        FaultKind::Html {},
    ]
}

fn followed_by(text: &str, times: u32) -> FaultKind {
    FaultKind::BadAnswer(BadAnswer::Texts { followed_by: text.into(), times })
}

fn from_1970() -> FaultKind {
    FaultKind::BadAnswer(BadAnswer::Dated { date: "Thu, 01 Jan 1970 00:00:00 GMT".into() })
}

impl Uploader {
    fn spoil(&self, on: Endpoint, kind: &FaultKind) {
        self.google.clear_faults();
        self.google.script(Fault::once(on, kind.clone())).unwrap();
    }

    /// Checks the texts that were stored from answers: codes, reasons, ids.
    async fn assert_texts_are_short(&self) {
        let longest = row(
            &self.pool,
            "select
                (select max(length(coalesce(last_error, ''))) from conversion_queue) as error,
                (select max(length(coalesce(last_error_code, ''))) from conversion_queue) as code,
                (select max(length(coalesce(request_id, ''))) from conversion_queue) as receipt,
                (select coalesce(max(length(reason)), 0) from upload_attempts) as reason,
                (select coalesce(max(length(request_id)), 0) from upload_attempts) as request,
                (select coalesce(max(length(reason)), 0) from platform_state) as pause",
        );
        let longest = longest.await;
        for (name, limit) in
            [("error", 1_000), ("code", 100), ("receipt", 256), ("reason", 1_000), ("request", 256), ("pause", 1_102)]
        {
            assert!(longest[name].as_u64().unwrap() <= limit, "{longest}");
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_conversion_whose_receipt_cannot_be_read_is_retried_and_the_others_are_delivered(pool: PgPool) {
    let uploader = Uploader::new(pool).await;
    let kinds = unreadable().into_iter().chain([followed_by("\0", 1), followed_by("x", 300)]);
    for (n, kind) in (0..).zip(kinds) {
        uploader.add_due(n * 3..n * 3 + 3).await;
        uploader.spoil(Endpoint::Ingest, &kind);
        let expected = Summary { claimed: 3, accepted: 2, postponed: 1, ..Summary::default() };
        assert_eq!(uploader.run().await, expected, "{kind:?}");
        let waiting = row(
            &uploader.pool,
            "select status, retry_count, transport_failures, last_error_code as code,
                extract(epoch from next_retry_at)::bigint as next
             from conversion_queue where status = 'pending'",
        );
        let waiting = waiting.await;
        assert_eq!((&waiting["retry_count"], &waiting["transport_failures"]), (&json!(0), &json!(1)), "{kind:?}");
        assert!(["unreadable_answer", "connection_failed"].contains(&waiting["code"].as_str().unwrap()), "{waiting}");
        let pause = waiting["next"].as_i64().unwrap() - uploader.app.clock.now().timestamp();
        assert!((800..1_000).contains(&pause), "a quarter of an hour, not {pause} s");
        // Without verdicts.
        execute(&uploader.pool, "update conversion_queue set next_status_check_at = null").await;
        assert_eq!(uploader.run_after(TimeDelta::minutes(17)).await.accepted, 1, "{kind:?}");
    }
    uploader.assert_texts_are_short().await;
    assert_eq!(uploader.google.conversions().len(), 24, "each was counted once");
}

#[sqlx::test(migrations = "../../migrations")]
async fn conversions_are_retried_after_unreadable_answers_of_the_google_ads_api(pool: PgPool) {
    let uploader =
        Uploader::with(pool, GoogleAccount::dev(), |_| vec![("GOOGLE_ADS_TRANSPORT", "google_ads".into())]).await;
    uploader.add_due(0..3).await;
    for kind in unreadable() {
        uploader.spoil(Endpoint::ClickConversions, &kind);
        let expected = Summary { claimed: 3, postponed: 3, ..paused() };
        assert_eq!(uploader.run().await, expected, "{kind:?}");
        // As if the pause and the delay were over.
        execute(&uploader.pool, "delete from platform_state; update conversion_queue set next_retry_at = null").await;
    }
    assert_eq!(uploader.value("sum(retry_count)").await, 0);
    uploader.google.poison("adtrail-1", RowPoison::new("inventedError", "NEW"));
    uploader.spoil(Endpoint::ClickConversions, &followed_by("\0x", 10_000));
    let expected = Summary { claimed: 3, accepted: 2, postponed: 1, ..Summary::default() };
    assert_eq!(uploader.run().await, expected);
    uploader.assert_texts_are_short().await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn reasons_that_are_long_or_have_control_characters_are_stored_cut_and_replaced(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 3).await;
    uploader.google.poison("adtrail-1", EventPoison::new("INVALID_EVENT"));
    for (text, times) in [("\0", 1), ("\u{1b}[31m", 3), ("x", 20_000)] {
        // All three answers, because their order isn't fixed.
        uploader.google.clear_faults();
        uploader.google.script(Fault::once(Endpoint::Ingest, followed_by(text, times)).times(3)).unwrap();
        uploader.run().await;
        uploader.assert_texts_are_short().await;
        execute(&uploader.pool, "delete from platform_state; update conversion_queue set next_retry_at = null").await;
    }
    let kept = row(
        &uploader.pool,
        "select last_error, last_error_code from conversion_queue q join conversions c on c.id = q.conversion_id
         where c.transaction_id = 'adtrail-1'",
    );
    let kept = kept.await;
    assert!(kept["last_error_code"].as_str().unwrap().starts_with("INVALID_EVENTxxx"), "{kept}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_unreadable_verdict_is_requested_again(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 1).await;
    assert_eq!(uploader.run().await.accepted, 1);
    let kinds = unreadable().into_iter().chain([followed_by("\0", 1), followed_by("x", 200_000)]);
    for kind in kinds {
        uploader.spoil(Endpoint::Status, &kind);
        let asked = uploader.run_after(TimeDelta::hours(12)).await;
        assert_eq!(asked, Summary { verdicts: 1, ..Summary::default() }, "{kind:?}");
        assert_eq!(uploader.value("count(confirmed_at)").await, 0, "{kind:?}");
    }
    uploader.assert_texts_are_short().await;
    uploader.google.clear_faults();
    assert_eq!(uploader.run_after(TimeDelta::hours(12)).await.verdicts, 1);
    assert_eq!(uploader.value("count(confirmed_at)").await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn nothing_is_claimed_after_unreadable_answers_of_the_token_endpoint(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 3).await;
    for kind in unreadable().into_iter().chain([followed_by("\0", 1), followed_by("x", 20_000)]) {
        uploader.spoil(Endpoint::Token, &kind);
        assert_eq!(uploader.run().await, paused(), "{kind:?}");
    }
    let refusal = FaultKind::OAuth { error: "invalid_grant\0".repeat(9_999), description: "\0x".repeat(99_999) };
    uploader.spoil(Endpoint::Token, &refusal);
    assert_eq!(uploader.run().await, paused());
    uploader.assert_texts_are_short().await;
    assert_eq!(uploader.value("sum(claims)").await, 0);
    assert_eq!(uploader.run_after(TimeDelta::minutes(10)).await.accepted, 3);
}

#[sqlx::test(migrations = "../../migrations")]
async fn nothing_is_claimed_after_unreadable_answers_of_the_security_token_service(pool: PgPool) {
    let (account, settings) = keyless();
    let uploader = Uploader::with(pool, account, |url| {
        let unused = ["GOOGLE_TOKEN_URL", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "GOOGLE_REFRESH_TOKEN"];
        let mut changed: Vec<_> = unused.map(|name| (name, String::new())).into();
        changed.push(("GOOGLE_EXTERNAL_ACCOUNT", settings(url)));
        changed.extend([
            ("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE".into()),
            ("AWS_SECRET_ACCESS_KEY", "example/secret".into()),
            ("AWS_SESSION_TOKEN", "example+session".into()),
            ("AWS_REGION", "eu-central-1".into()),
        ]);
        changed
    })
    .await;
    uploader.add_due(0..3).await;
    for on in [Endpoint::SecurityTokens, Endpoint::IamCredentials] {
        for kind in unreadable().into_iter().chain([followed_by("\0", 1), followed_by("x", 20_000)]) {
            uploader.spoil(on, &kind);
            assert_eq!(uploader.run().await, paused(), "{on:?} {kind:?}");
        }
    }
    uploader.assert_texts_are_short().await;
    assert_eq!(uploader.run_after(TimeDelta::minutes(10)).await.accepted, 3);
}

/// An account for one AWS role, and the configuration that names it, given Google's address.
fn keyless() -> (GoogleAccount, impl Fn(&str) -> String) {
    let role = AwsRole {
        access_key_id: "ASIAEXAMPLE".into(),
        secret_access_key: "example/secret".into(),
        session_token: "example+session".into(),
    };
    let identity = WorkloadIdentity { audience: AUDIENCE.into(), role, client_email: CLIENT_EMAIL.into() };
    let account = GoogleAccount { workload_identity: Some(identity), ..GoogleAccount::dev() };
    let configuration = |url: &str| {
        json!({
            "type": "external_account",
            "audience": AUDIENCE,
            "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
            "token_url": format!("{url}/v1/token"),
            "service_account_impersonation_url":
                format!("{url}/v1/projects/-/serviceAccounts/{CLIENT_EMAIL}:generateAccessToken"),
            "credential_source": {
                "environment_id": "aws1",
                "regional_cred_verification_url":
                    "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
            },
        })
        .to_string()
    };
    (account, configuration)
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_absurd_date_or_retry_after_is_ignored(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 2).await;
    uploader.google.poison("adtrail-1", EventPoison::new("INVALID_EVENT"));
    let dated = Fault::once(Endpoint::Ingest, from_1970()).times(2);
    uploader.google.script(dated).unwrap();
    // A rejection stays one, whatever date it has.
    let expected = Summary { claimed: 2, accepted: 1, rejected: 1, ..Summary::default() };
    assert_eq!(uploader.run().await, expected);

    uploader.add_due(2..3).await;
    uploader.refuse(Endpoint::Ingest, 503, Some(u32::MAX));
    assert_eq!(uploader.run().await.paused, ["google_ads"]);
    uploader.google.clear_faults();
    assert_eq!(uploader.run_after(TimeDelta::minutes(17)).await.accepted, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn no_retry_is_later_than_the_expiry(pool: PgPool) {
    let uploader = Uploader::new(pool).await;
    let end = uploader.app.clock.now() + TimeDelta::hours(5);
    let click = json!({"gclid": "Click-1", "click_at": end - TimeDelta::days(90)});
    due_at(uploader.app.clock.now()).conversion(&click).queue(&json!({"expires_at": end})).store(&uploader.pool).await;
    uploader.refuse(Endpoint::Ingest, 503, Some(86_400));
    uploader.run().await;
    assert_eq!(uploader.value("next_retry_at").await, json!(end.format("%Y-%m-%dT%H:%M:%S+00:00").to_string()));
    execute(&uploader.pool, "delete from platform_state").await;
    let expired = uploader.run_after(TimeDelta::hours(5) + TimeDelta::seconds(1)).await;
    assert_eq!((expired.claimed, expired.rejected), (1, 1), "{expired:?}");
    assert_eq!(uploader.value("last_error_code").await, "expired");
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_error_in_one_lane_stops_neither_other_lanes_nor_verdicts(pool: PgPool) {
    let uploader = Uploader::with_due(pool, 2).await;
    assert_eq!(uploader.run().await.accepted, 2);
    let corrected = "update conversions set value = 7, currency = 'EUR', restated_at = occurred_at";
    execute(&uploader.pool, corrected).await;
    let original = row(&uploader.pool, "select id, conversion_id from conversion_queue limit 1").await;
    Row::of(
        "conversion_queue",
        &json!({
            "conversion_id": original["conversion_id"], "platform": "google_ads_restatements",
            "adjusts": original["id"], "created_at": uploader.app.clock.now(),
        }),
    )
    .store(&uploader.pool)
    .await;
    uploader.add_due(2..3).await;
    // Uploads can't be settled.
    execute(
        &uploader.pool,
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$;
         create trigger refuse before update on conversion_queue for each row
         when (old.lock_token is not null and new.lock_token is null and old.platform = 'google_ads')
         execute function refuse()",
    )
    .await;

    uploader.app.clock.advance(TimeDelta::minutes(30));
    assert!(handle(&uploader.app, uploader.app.clock.now() + RUN).await.is_err(), "the failure is reported");
    assert_eq!(uploader.value("count(confirmed_at)").await, 2);
    let restated = "count(*) filter (where platform = 'google_ads_restatements' and status = 'uploaded')";
    assert_eq!(uploader.value(restated).await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_error_in_lookups_stops_neither_matching_nor_expiry(pool: PgPool) {
    let uploader = Uploader::with(pool, GoogleAccount::dev(), |_| {
        vec![
            ("CRM_SOURCES", "[close]\npreset = \"close\"".into()),
            ("CLOSE_API_KEY", "key".into()),
            ("CLOSE_SIGNATURE_KEY", "6465762d636c6f73652d7369676e6174757265".into()),
        ]
    })
    .await;
    lead("jane@example.com").store(&uploader.pool).await;
    waiting_deal("D-1", "jane@example.com").store(&uploader.pool).await;
    let old = json!({"received_at": start() - TimeDelta::days(91)});
    waiting_deal("D-2", "joe@example.com").with(&old).store(&uploader.pool).await;
    // Events can't be claimed for their lookup.
    execute(
        &uploader.pool,
        "insert into inbox_receipts (id, source, payload_hash, verified_by, verified_with)
         values (gen_random_uuid(), 'close', repeat('0', 64), 'x', 'x');
         insert into inbox_events (receipt_id, source, source_event_id, state, fetch_due_at, received_at)
         select id, source, 'e-1', 'received', '2026-11-20', '2026-11-20' from inbox_receipts;
         create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$;
         create trigger refuse before update of fetch_due_at on inbox_events for each row execute function refuse()",
    )
    .await;
    let failed = handle(&uploader.app, uploader.app.clock.now() + RUN).await;
    assert!(failed.is_err(), "the failure is reported: {failed:?}");
    let states = row(&uploader.pool, "select string_agg(state, ',' order by crm_deal_id) as states from inbox").await;
    assert_eq!(states["states"], "matched,expired");
}
