use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::identity::Hash;
use sqlx::PgPool;
use testing::sqs::{SPOOL, Sqs};
use testing::{
    Answer, SIGNATURE, WEBHOOK_SECRET, app, app_with, app_without_database, call, consequences, fuzz, match_waiting,
    refuses_bad_input, row, rows, signature, signed, with,
};
use uuid::Uuid;

use super::*;

mod at_once;
mod bodies;
mod challenges;
mod clicks;
mod consent;
mod corrections;
mod days;
mod each_item;
mod life;
mod rereading;
mod stages;
mod won_again;

async fn send(app: &App<Config>, deal: &Value) -> Answer {
    call(app, &ENDPOINT, signed(testing::json_request(&ENDPOINT, deal)), handle).await
}

/// A closed deal of jane@example.com, or whatever else `fields` says.
fn deal(id: &str, fields: &Value) -> Value {
    let mut deal = json!({"crm_deal_id": id, "conversion_type": "closed", "email": "jane@example.com"});
    deal.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    deal
}

/// Stores jane@example.com, with other columns, and returns her id.
async fn lead(pool: &PgPool, columns: &Value) -> Uuid {
    testing::lead("jane@example.com").with(columns).store(pool).await
}

/// The day of November on which a lead came, and its columns.
type Lead = (u8, Value);

/// The row's columns of these names.
fn expect(stored: &Value, expected: &Value) {
    for (column, value) in expected.as_object().unwrap() {
        assert_eq!(&stored[column], value, "{column}");
    }
}

const CONVERSION: &str = "select * from public.conversions";
const INBOX: &str = "select * from public.inbox";

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_becomes_a_conversion_and_is_queued_once(pool: PgPool) {
    let app = app(&pool);
    let utm = json!({"utm_source": "google", "utm_campaign": "munich", "phone_hash": Hash::of("+493023125123")});
    let lead = lead(&pool, &utm).await;
    let deal = deal("D-1042", &json!({"value": 6000.5, "currency": "EUR", "occurred_at": "2026-11-20T12:03:11+01:00"}));
    let answer = send(&app, &deal).await;
    let id = answer.body["conversion_id"].clone();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, json!({"status": "queued", "conversion_id": id, "platforms": ["google_ads"]}));
    let expected = json!({
        "id": id, "lead_id": lead, "conversion_type": "closed", "crm_deal_id": "D-1042", "idempotency_key": "D-1042:closed",
        "value": 6000.5, "currency": "EUR", "occurred_at": "2026-11-20T11:03:11+00:00", "matched_by": "email",
        "gclid": "click", "click_at": "2026-11-20T10:00:00+00:00", "email_hash": Hash::of("jane@example.com"),
        "phone_hash": Hash::of("+493023125123"), "utm_source": "google", "utm_campaign": "munich",
        "ad_user_data": "granted", "ad_personalization": "denied", "skip_reason": null,
    });
    let stored = row(&pool, CONVERSION).await;
    expect(&stored, &expected);
    let queued = row(&pool, "select * from public.conversion_queue").await;
    let expected = json!({
        "conversion_id": id, "platform": "google_ads", "status": "pending", "retry_count": 0,
        // Google refuses clicks younger than six hours, and counts them for 90 days.
        "next_retry_at": "2026-11-20T16:00:00+00:00", "expires_at": "2027-02-18T10:00:00+00:00",
    });
    expect(&queued, &expected);
    expect(&row(&pool, "select * from public.leads").await, &json!({"conversion_status": "closed"}));

    let before = consequences(&pool).await;
    let changed = self::deal("D-1042", &json!({"value": 6000.5, "currency": "EUR", "email": "joan@example.com"}));
    for repeated in [&deal, &changed] {
        let again = send(&app, repeated).await;
        assert_eq!((again.status, again.body), (200, json!({"status": "duplicate", "conversion_id": id})));
    }
    let mut after = consequences(&pool).await;
    assert_eq!(after.insert("deal_reports".into(), 1), Some(2), "a body each");
    assert_eq!(after, before);
    assert_eq!(row(&pool, CONVERSION).await, stored, "whose it is and when it closed stands");
    expect(&row(&pool, INBOX).await, &json!({"deliveries": 3, "state": "matched", "conversion_id": id}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_status_is_the_outcome_of_a_deal(pool: PgPool) {
    let app = app(&pool);
    let only_closed = app_with(&pool, &[("GOOGLE_ADS_CONVERSION_ACTION_QUALIFIED", "")]);
    let no_google = app_with(&pool, &[("GOOGLE_ADS_CUSTOMER_ID", "")]);
    let nobody = json!({"email_hash": null, "email_hash_google": null, "gclid": ""});
    let by_id = lead(&pool, &nobody).await;
    lead(&pool, &json!({"email_hash": Hash::of("no@example.com"), "ad_user_data": "denied"})).await;
    lead(&pool, &json!({"email_hash": Hash::of("silent@example.com"), "ad_user_data": "unknown"})).await;
    lead(&pool, &json!({"email_hash": Hash::of("noclick@example.com"), "gclid": null, "click_at": null})).await;
    lead(&pool, &json!({})).await;
    let skipped = |reason: &str| (200, "skipped", Some(reason.to_owned()));
    let cases = [
        (&app, json!({"email": "No@example.com"}), skipped("consent_denied")),
        (&no_google, json!({"email": "no@example.com"}), skipped("consent_denied")),
        (&no_google, json!({}), skipped("no_conversion_action")),
        (&only_closed, json!({"conversion_type": "qualified"}), skipped("no_conversion_action")),
        (&app, json!({"email": null, "lead_id": by_id}), skipped("no_attribution")),
        (&only_closed, json!({}), (200, "queued", None)),
        (&app, json!({"email": "silent@example.com"}), (200, "queued", None)),
        (&app, json!({"email": "noclick@example.com"}), (200, "queued", None)),
        (&app, json!({"email": "stranger@example.com"}), (202, "awaiting_lead", None)),
        (&app, json!({"email": null, "lead_id": Uuid::nil()}), (202, "awaiting_lead", None)),
    ];
    for (nth, (app, fields, (status, said, reason))) in cases.into_iter().enumerate() {
        let id = format!("D-{nth}");
        let answer = send(app, &deal(&id, &fields)).await;
        assert_eq!((answer.status, &answer.body["status"]), (status, &json!(said)), "{fields}");
        assert_eq!(answer.body.get("reason"), reason.as_ref().map(|it| json!(it)).as_ref(), "{fields}");
        let conversions = rows(&pool, &format!("{CONVERSION} where crm_deal_id = '{id}'")).await;
        let queued = rows(
            &pool,
            &format!(
                "select q.* from public.conversion_queue q join public.conversions c on c.id = conversion_id
                 where crm_deal_id = '{id}'"
            ),
        )
        .await;
        assert_eq!(conversions.len(), usize::from(said != "awaiting_lead"), "{fields}");
        assert_eq!(queued.len(), usize::from(said == "queued"), "{fields}");
        if let Some(conversion) = conversions.first() {
            assert_eq!(conversion["skip_reason"], json!(reason), "{fields}");
            assert_eq!(answer.body["conversion_id"], conversion["id"], "{fields}");
        }
        // The result doesn't change afterwards.
        let again = send(app, &deal(&id, &fields)).await;
        let repeated = if said == "awaiting_lead" { said } else { "duplicate" };
        assert_eq!(again.body["status"], repeated, "{fields}");
    }
    let without_click = "select next_retry_at, expires_at from public.conversion_queue q
        join public.conversions c on c.id = conversion_id where crm_deal_id = 'D-7'";
    let due_now = json!({"next_retry_at": null, "expires_at": "2027-01-22T11:00:00+00:00"});
    assert_eq!(row(&pool, without_click).await, due_now, "hashes count for 63 days");
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_hold_is_a_setting(pool: PgPool) {
    lead(&pool, &json!({})).await;
    send(&app_with(&pool, &[("CLICK_HOLD_SECONDS", "90")]), &deal("D-1", &json!({}))).await;
    let due = row(&pool, "select next_retry_at from public.conversion_queue").await;
    assert_eq!(due["next_retry_at"], "2026-11-20T10:01:30+00:00");
}

#[sqlx::test(migrations = "../../migrations")]
async fn only_a_caller_with_the_secret_is_authenticated(pool: PgPool) {
    let app = app_with(&pool, &[("WEBHOOK_SECRET_PREVIOUS", "the secret before")]);
    let locked = app_with(&pool, &[("WEBHOOK_SECRET", "")]);
    let before = consequences(&pool).await;
    let body = deal("D-1", &json!({}));
    let plain = || testing::json_request(&ENDPOINT, &body);
    let signature = |secret: &str| signature(body.to_string().as_bytes(), secret);
    let good = signature(WEBHOOK_SECRET);
    let mut tampered = signed(plain());
    *tampered.body_mut() = lambda_http::Body::from(body.to_string() + " ");
    let refused = [
        plain(),
        tampered,
        with(plain(), SIGNATURE, &signature("wrong")),
        with(plain(), SIGNATURE, ""),
        with(plain(), SIGNATURE, "sha256="),
        with(plain(), SIGNATURE, good.trim_start_matches("sha256=")),
        with(plain(), SIGNATURE, &good.replace("sha256", "sha512")),
        with(with(plain(), SIGNATURE, &good), SIGNATURE, &good),
        with(with(plain(), SIGNATURE, &good), SIGNATURE, "sha256=00"),
        with(plain(), "authorization", "Bearer wrong"),
        with(plain(), "authorization", "Bearer"),
        with(plain(), "authorization", WEBHOOK_SECRET),
        with(with(plain(), SIGNATURE, "sha256=00"), "authorization", &format!("Bearer {WEBHOOK_SECRET}")),
        // Authentication comes before parsing: an unreadable body is answered the same.
        testing::request(&ENDPOINT, "{"),
    ];
    for (nth, request) in refused.into_iter().enumerate() {
        let answer = call(&app, &ENDPOINT, request, handle).await;
        assert_eq!((answer.status, &answer.body["type"]), (401, &json!("/problems/unauthorized")), "{nth}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{nth}");
    }
    assert_eq!(call(&locked, &ENDPOINT, with(plain(), "authorization", "Bearer "), handle).await.status, 401);
    assert_eq!(call(&locked, &ENDPOINT, signed(plain()), handle).await.status, 401);
    assert_eq!(consequences(&pool).await, before);

    for request in [
        signed(plain()),
        with(plain(), SIGNATURE, &signature("the secret before")),
        with(plain(), "authorization", &format!("Bearer {WEBHOOK_SECRET}")),
        with(plain(), "authorization", "bearer the secret before"),
        // CRMs may send an Origin header; CORS doesn't apply to calls between servers.
        with(signed(plain()), "origin", "https://crm.example"),
    ] {
        assert_eq!(call(&app, &ENDPOINT, request, handle).await.status, 202);
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_that_two_sources_report_is_stored_once_with_a_warning(pool: PgPool) {
    let sources = "[one]\npreset = \"n8n\"\n[other]\npreset = \"n8n\"\nfields.deal_id = { join = [\"other-\", \"/crm_deal_id\"] }";
    let app = app_with(&pool, &[("CRM_SOURCES", sources), ("N8N_SECRET", "n8n's secret of 16")]);
    lead(&pool, &json!({})).await;
    let mut answers = Vec::new();
    for source in ["crm-conversion", "one", "other"] {
        let mut request = with(
            signed(testing::json_request(&ENDPOINT, &deal("D-1", &json!({})))),
            "x-adtrail-secret",
            "n8n's secret of 16",
        );
        *request.uri_mut() = format!("/api/webhooks/{source}").parse().unwrap();
        answers.push(call(&app, &ENDPOINT, request, handle).await.body);
    }
    let [first, second, third] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(
        (&first["status"], &second["status"], &third["status"]),
        (&json!("queued"), &json!("duplicate"), &json!("queued"))
    );
    assert_eq!(first["conversion_id"], second["conversion_id"]);
    assert_eq!(second["warnings"][0]["field"], "deal_id");
    assert!(second["warnings"][0]["detail"].as_str().unwrap().contains("crm-conversion"), "{second}");
    assert_eq!((first.get("warnings"), third.get("warnings")), (None, None), "{third}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_lead_is_found_by_id_then_email_then_phone(pool: PgPool) {
    let app = app(&pool);
    let phone = Hash::of("+493023125123");
    let by_id = lead(&pool, &json!({"email_hash": Hash::of("a@example.com"), "gclid": null})).await;
    let by_email = lead(&pool, &json!({"gclid": null, "created_at": "2026-11-20T11:30:00Z"})).await;
    let by_phone = lead(&pool, &json!({"email_hash": Hash::of("b@example.com"), "phone_hash": phone})).await;
    let (known, unknown) = (json!(by_id), json!(Uuid::nil()));
    let (phone, nobody) = (json!("+49 30 23125-123"), json!("nobody@example.com"));
    let cases = [
        (json!({"lead_id": known, "phone": phone}), by_id, "lead_id"),
        (json!({"lead_id": unknown, "phone": phone}), by_email, "email"),
        (json!({"phone": phone}), by_email, "email"),
        (json!({"email": nobody, "phone": phone}), by_phone, "phone"),
        (json!({"email": null, "phone": phone}), by_phone, "phone"),
        (json!({"email": " JANE@example.com"}), by_email, "email"),
        (json!({"email": null, "lead_id": by_id.to_string().to_uppercase()}), by_id, "lead_id"),
    ];
    for (nth, (fields, lead, rule)) in cases.into_iter().enumerate() {
        let id = format!("D-{nth}");
        send(&app, &deal(&id, &fields)).await;
        let stored = row(&pool, &format!("{CONVERSION} where crm_deal_id = '{id}'")).await;
        assert_eq!((&stored["lead_id"], &stored["matched_by"]), (&json!(lead), &json!(rule)), "{fields}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_newest_lead_before_the_deal_that_has_a_click_is_preferred(pool: PgPool) {
    let app = app(&pool);
    testing::Row::of("visitors", &json!({"visitor_id": "jane"})).store(&pool).await;
    // Day of November, and click ids, of one browser's leads; then the day of the deal and of the lead it belongs to.
    let (none, gclid) = (json!({"gclid": null, "click_at": null}), json!({}));
    let empty = json!({"gclid": ""});
    let gbraid = json!({"gclid": null, "gbraid": "click"});
    let cases: [(&[Lead], u8, u8); 7] = [
        (&[(2, gclid.clone()), (4, gclid.clone()), (6, none.clone())], 10, 4),
        (&[(2, gclid.clone()), (4, gbraid), (6, empty.clone())], 10, 4),
        (&[(2, gclid.clone()), (12, gclid.clone())], 10, 2),
        (&[(2, none.clone()), (12, gclid.clone())], 10, 2),
        (&[(2, none.clone()), (4, empty)], 10, 4),
        (&[(11, none.clone()), (12, none.clone())], 10, 11),
        (&[(11, none), (12, gclid.clone()), (13, gclid)], 10, 12),
    ];
    for (nth, (leads, occurred, expected)) in cases.into_iter().enumerate() {
        let email = format!("p{nth}@example.com");
        for (day, click) in leads {
            let mut columns = json!({
                "email_hash": Hash::of(&email), "visitor_id": "jane",
                "created_at": format!("2026-11-{day:02}T11:00:00Z"),
            });
            columns.as_object_mut().unwrap().extend(click.as_object().unwrap().clone());
            lead(&pool, &columns).await;
        }
        let fields = json!({"email": email, "occurred_at": format!("2026-11-{occurred:02}T12:00:00Z")});
        assert_eq!(send(&app, &deal(&format!("D-{nth}"), &fields)).await.body["status"], "queued");
        let found = format!(
            "select l.created_at from public.leads l join public.conversions c on c.lead_id = l.id
             where crm_deal_id = 'D-{nth}'"
        );
        assert_eq!(
            row(&pool, &found).await["created_at"],
            format!("2026-11-{expected:02}T11:00:00+00:00"),
            "case {nth}"
        );
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn each_stage_is_a_conversion_and_the_lead_only_moves_forward(pool: PgPool) {
    let app = app(&pool);
    let qualified = json!({"conversion_type": "qualified"});
    let closed = json!({});
    // The lead's status before, the report, and the status after it.
    for (nth, (before, comes, after)) in [
        ("new", vec![&qualified], "qualified"),
        ("new", vec![&qualified, &closed], "closed"),
        ("new", vec![&closed, &qualified], "closed"),
        ("lost", vec![&closed], "closed"),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("p{nth}@example.com");
        let lead = lead(&pool, &json!({"email_hash": Hash::of(&email), "conversion_status": before})).await;
        let mut transaction_ids = Vec::new();
        for stage in &comes {
            let mut deal = deal(&format!("D-{nth}"), stage);
            deal["email"] = json!(email);
            let answer = send(&app, &deal).await;
            assert_eq!(answer.body["status"], "queued");
            let id = answer.body["conversion_id"].as_str().unwrap().to_owned();
            transaction_ids
                .push(row(&pool, &format!("{CONVERSION} where id = '{id}'")).await["transaction_id"].clone());
        }
        transaction_ids.dedup();
        assert_eq!(transaction_ids.len(), comes.len(), "the platform can tell the stages apart");
        let stored = row(&pool, &format!("select conversion_status from public.leads where id = '{lead}'")).await;
        assert_eq!(stored["conversion_status"], after, "{before} {comes:?}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deals_number_is_its_digits(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    let as_number = json!({"crm_deal_id": 1042});
    let first = send(&app, &deal("", &as_number)).await;
    assert_eq!(first.body["status"], "queued");
    for again in [deal("1042", &json!({})), deal("", &json!({"crm_deal_id": 1042.0}))] {
        let duplicate = json!({"status": "duplicate", "conversion_id": first.body["conversion_id"]});
        assert_eq!(send(&app, &again).await.body, duplicate);
    }
    for id in [json!(0), json!(u64::MAX), json!("a:b:closed"), json!("Ünïcode 'quoted' \"\\"), json!("x".repeat(200))]
    {
        assert_eq!(send(&app, &deal("", &json!({"crm_deal_id": id}))).await.body["status"], "queued", "{id}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_time_keeps_its_zone_and_defaults_to_now(pool: PgPool) {
    let app = app(&pool);
    let cases = [
        (json!("2026-11-20T14:03:11.5+05:30"), "2026-11-20T08:33:11.5+00:00"),
        (json!("2026-11-20T02:00:00-10:00"), "2026-11-20T12:00:00+00:00"),
        (json!("2000-01-01T00:00:00Z"), "2000-01-01T00:00:00+00:00"),
        // A CRM's clock may be a little ahead; no platform accepts a future time.
        (json!("2026-11-20T12:10:00Z"), "2026-11-20T12:00:00+00:00"),
        (json!(null), "2026-11-20T12:00:00+00:00"),
        (json!(""), "2026-11-20T12:00:00+00:00"),
    ];
    for (nth, (sent, stored)) in cases.into_iter().enumerate() {
        let answer = send(&app, &deal(&format!("D-{nth}"), &json!({"occurred_at": sent}))).await;
        assert_eq!(answer.status, 202, "{sent}: {:?}", answer.body);
        let inbox = row(&pool, &format!("{INBOX} where crm_deal_id = 'D-{nth}'")).await;
        assert_eq!(inbox["occurred_at"], stored, "{sent}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_amount_is_stored_as_it_was_sent(pool: PgPool) {
    let app = app(&pool);
    for (nth, (sent, stored)) in [
        (json!(0), "0.000000"),
        (json!(-0.0), "0.000000"),
        (json!(0.1), "0.100000"),
        (json!(1_499.95), "1499.950000"),
        (json!(0.000_001), "0.000001"),
        (json!(123_456_789.123_456), "123456789.123456"),
        (json!(6e3), "6000.000000"),
        (json!(999_999_999_999_i64), "999999999999.000000"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = send(&app, &deal(&format!("D-{nth}"), &json!({"value": sent, "currency": "JPY"}))).await;
        assert_eq!(answer.status, 202, "{sent}: {:?}", answer.body);
        let text = format!("select value::text, currency from public.inbox where crm_deal_id = 'D-{nth}'");
        assert_eq!(row(&pool, &text).await, json!({"value": stored, "currency": "JPY"}), "{sent}");
    }
    assert_eq!(send(&app, &deal("D", &json!({"currency": "EUR"}))).await.status, 202, "a currency alone says nothing");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_sent_four_times_at_once_counts_once(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    let deal = deal("D-1", &json!({}));
    let answers = tokio::join!(send(&app, &deal), send(&app, &deal), send(&app, &deal), send(&app, &deal));
    let mut statuses = [answers.0, answers.1, answers.2, answers.3].map(|it| it.body["status"].to_string());
    statuses.sort();
    assert_eq!(statuses, ["\"duplicate\"", "\"duplicate\"", "\"duplicate\"", "\"queued\""]);
    expect(&row(&pool, INBOX).await, &json!({"deliveries": 4}));
    row(&pool, CONVERSION).await;
}

#[tokio::test]
async fn an_unavailable_database_is_a_503() {
    let answer = send(&app_without_database(&[]), &deal("D-1", &json!({}))).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
}

#[tokio::test]
async fn without_a_database_what_is_authenticated_waits_in_the_spool() {
    let sqs = Sqs::start().await;
    let mut app = app_without_database::<Config>(&[]);
    app.config.spool = Spool::with(&sqs.url(SPOOL), sqs.aws().await);
    let unsigned = testing::json_request(&ENDPOINT, &deal("D-1", &json!({})));
    assert_eq!(call(&app, &ENDPOINT, unsigned, handle).await.status, 401);
    assert_eq!(sqs.count(SPOOL), 0);
    // What is invalid is kept in the inbox, as soon as there is one.
    for deal in [deal("D-1", &json!({})), json!({"crm_deal_id": 7})] {
        let answer = send(&app, &deal).await;
        assert_eq!((answer.status, answer.body), (202, json!({"status": "stored_for_later"})));
    }
    sqs.be_away(true);
    let answer = send(&app, &deal("D-2", &json!({}))).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
    assert_eq!(sqs.count(SPOOL), 2);
}

/// So `adtrail doctor` tries a signature.
#[sqlx::test(migrations = "../../migrations")]
async fn of_a_dry_run_only_the_authentication_is_looked_at(pool: PgPool) {
    let app = app(&pool);
    let dry_run = || with(testing::json_request(&ENDPOINT, &deal("D-1", &json!({}))), DRY_RUN, "true");
    let answer = call(&app, &ENDPOINT, signed(dry_run()), handle).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let answer = call(&app, &ENDPOINT, with(dry_run(), SIGNATURE, "sha256=00"), handle).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    for table in ["inbox_receipts", "inbox_events", "webhook_refusals"] {
        assert_eq!(rows(&pool, &format!("select 1 from public.{table}")).await.len(), 0, "{table}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn bad_input_is_refused_and_leaves_nothing(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    let valid = json!({
        "crm_deal_id": "D-1042", "conversion_type": "closed", "email": "jane@example.com", "phone": "+49 30 23125123",
        "lead_id": Uuid::nil(), "value": 6000, "currency": "EUR", "occurred_at": "2026-11-20T10:03:11+01:00",
        "updated_at": "2026-11-20T11:03:11+01:00",
    });
    let mut bad = Vec::new();
    let many = |values: &[Value]| values.to_vec();
    let times = many(&[
        json!("2026-11-19T10:03:11"),
        json!("2026-11-19"),
        json!("19.11.2026 10:03"),
        json!("yesterday"),
        json!(1_795_176_000),
        json!("300000-01-01T00:00:00Z"),
        json!("+300000-01-01T00:00:00Z"),
        json!("-0001-01-01T00:00:00Z"),
        json!("1999-12-31T23:59:59Z"),
        json!("2026-02-30T00:00:00Z"),
        json!("2026-11-20T25:00:00Z"),
    ]);
    for (pointer, values) in [
        (
            "/crm_deal_id",
            many(&[
                json!(null),
                json!(""),
                json!(" "),
                json!(-1),
                json!(1.5),
                json!(1e30),
                json!(true),
                json!({}),
                json!(["D"]),
                json!("x".repeat(201)),
                json!("a\u{1}b"),
            ]),
        ),
        (
            "/conversion_type",
            many(&[
                json!(null),
                json!(""),
                json!("won"),
                json!("Closed"),
                json!("LOST"),
                json!("loss"),
                json!(1),
                json!([]),
            ]),
        ),
        ("/email", many(&[json!("jane"), json!("jane@example"), json!(7), json!({})])),
        ("/phone", many(&[json!("call me"), json!(true), json!("1".repeat(65))])),
        (
            "/lead_id",
            many(&[json!("7"), json!("not-a-uuid-at-all"), json!(7), json!("c8d5e0b7-41f2-4a6c-8b39-7e1a2f90d46")]),
        ),
        (
            "/value",
            many(&[
                json!(-1),
                json!(-0.01),
                json!(1e12),
                json!(999_999_999_999.999_9),
                json!(1e300),
                json!(u64::MAX),
                json!("6000"),
                json!("NaN"),
                json!(true),
                json!([6000]),
            ]),
        ),
        (
            "/currency",
            many(&[
                json!(null),
                json!(""),
                json!("eur"),
                json!("EURO"),
                json!("XXX"),
                json!("ABC"),
                json!("€"),
                json!(978),
            ]),
        ),
        ("/occurred_at", times.clone()),
        ("/updated_at", times),
    ] {
        bad.extend(values.into_iter().map(|value| (pointer, value)));
    }
    refuses_bad_input((&app, &pool), &ENDPOINT, handle, signed, &valid, &bad).await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_must_name_somebody(pool: PgPool) {
    let app = app(&pool);
    let before = consequences(&pool).await;
    let in_germany = app_with(&pool, &[("PHONE_DEFAULT_REGION", "DE")]);
    for (app, fields, pointer, why) in [
        (&app, json!({"email": null}), "/email", "required"),
        (&app, json!({"email": "", "phone": "", "lead_id": ""}), "/email", "required"),
        (&app, json!({"email": "", "phone": "030 23125123"}), "/phone", "PHONE_DEFAULT_REGION"),
        (&app, json!({"email": "", "phone": "+49 30"}), "/phone", "any country"),
        (&in_germany, json!({"email": "", "phone": "000000"}), "/phone", "in DE"),
    ] {
        let answer = send(app, &deal("D-1", &fields)).await;
        assert_eq!((answer.status, answer.pointers()), (400, vec![pointer]), "{fields}");
        let detail = answer.body["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(why), "{fields}: {detail}");
    }
    assert_eq!(consequences(&pool).await, before);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_phone_beside_an_email_may_be_of_no_use(pool: PgPool) {
    let app = app(&pool);
    lead(&pool, &json!({})).await;
    for (id, email, status) in [("D-1", "jane@example.com", 200), ("D-2", "nobody@example.com", 202)] {
        let answer = send(&app, &deal(id, &json!({"email": email, "phone": "030 23125123"}))).await;
        assert_eq!((answer.status, &answer.body["warnings"][0]["field"]), (status, &json!("phone")));
        assert!(!answer.body.to_string().contains("23125123"), "{}", answer.body);
        let stored = row(&pool, &format!("{INBOX} where crm_deal_id = '{id}'")).await;
        assert_eq!(stored["phone_hash"], Value::Null);
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_phone_without_its_country_is_one_of_the_deployments(pool: PgPool) {
    let app = app_with(&pool, &[("PHONE_DEFAULT_REGION", "DE")]);
    lead(&pool, &json!({"email_hash": null, "phone_hash": Hash::of("+493023125123")})).await;
    let answer = send(&app, &deal("D-1", &json!({"email": null, "phone": "030 23125-123 ext 7"}))).await;
    assert_eq!(answer.body["status"], "queued");
    assert!(answer.body["warnings"][0]["detail"].as_str().unwrap().contains("a guess"), "{}", answer.body);
    expect(&row(&pool, CONVERSION).await, &json!({"matched_by": "phone", "phone_hash": Hash::of("+493023125123")}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn both_hashes_of_a_phone_are_of_one_number(pool: PgPool) {
    let app = app(&pool);
    let (own, other) = ("+49 30 23125123", "+44 20 7946 0018");
    let hashes = |digits: &str| (Some(Hash::of(format!("+{digits}"))), Some(Hash::of(digits)));
    let (of_lead, of_deal) = (hashes("493023125123"), hashes("442079460018"));
    // The hashes of the lead, the phone of the deal and those of the conversion.
    let cases = [
        (of_lead.clone(), other, of_lead.clone()),
        ((None, None), other, of_deal.clone()),
        // A lead of an older version.
        ((of_lead.0.clone(), None), own, of_lead.clone()),
        ((of_lead.0.clone(), None), other, (of_lead.0.clone(), None)),
    ];
    for (nth, ((e164, digits), phone, expected)) in cases.into_iter().enumerate() {
        let email = format!("{nth}@example.com");
        let columns = json!({"email_hash": Hash::of(&email), "phone_hash": e164, "phone_hash_digits": digits});
        lead(&pool, &columns).await;
        let id = format!("D-{nth}");
        // The newest report counts.
        send(&app, &deal(&id, &json!({"email": "later@example.com", "phone": "+1 800 555 0100"}))).await;
        let answer = send(&app, &deal(&id, &json!({"email": email, "phone": phone}))).await;
        assert_eq!(answer.body["status"], "queued", "{nth}");
        let stored = row(&pool, &format!("{CONVERSION} where crm_deal_id = '{id}'")).await;
        let (e164, digits) = expected;
        expect(&stored, &json!({"phone_hash": e164, "phone_hash_digits": digits}));
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_conversion_of_a_bot_is_recorded_and_not_sent(pool: PgPool) {
    let app = app(&pool);
    for (nth, (score, reasons, skipped)) in [
        (100, "{headless}", true),
        (200, "{crawler,prefetch}", true),
        (99, "{http_client}", false),
        (0, "{}", false),
        // Who fills in a form has looked at the page.
        (100, "{prefetch}", false),
        (100, "{headless,on_this_machine}", false),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, email) = (format!("D-{nth}"), format!("jane{nth}@example.com"));
        testing::execute(
            &pool,
            &format!(
                "insert into public.visitors (visitor_id, bot_score, bot_reasons)
                 values ('visitor-{nth}', {score}, '{reasons}')"
            ),
        )
        .await;
        lead(&pool, &json!({"email_hash": Hash::of(&email), "visitor_id": format!("visitor-{nth}")})).await;
        let answer = send(&app, &deal(&id, &json!({"email": email}))).await;
        assert_eq!(answer.body["status"], if skipped { "skipped" } else { "queued" }, "{reasons}");
        let reason = if skipped { json!("bot") } else { json!(null) };
        let stored = row(&pool, &format!("{CONVERSION} where crm_deal_id = '{id}'")).await;
        assert_eq!((&stored["skip_reason"], answer.body.get("reason").unwrap_or(&json!(null))), (&reason, &reason));
    }
    let counted = "select conversions, skipped from public.conversion_metrics";
    assert_eq!(row(&pool, counted).await, json!({"conversions": 4, "skipped": 0}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn session_attributes_of_another_kind_stay_with_the_lead(pool: PgPool) {
    let app = app(&pool);
    let longest = "x".repeat(4_096);
    for (nth, (written, copied)) in [
        ("eyJhIjoxfQ==", Some("eyJhIjoxfQ==")),
        (&longest, Some(&*longest)),
        (&format!("{longest}x"), None),
        ("{\"source\": \"newsletter\"}", None),
        ("e30=\n", None),
        ("", None),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("p{nth}@example.com");
        lead(&pool, &json!({"email_hash": Hash::of(&email), "session_attributes": written})).await;
        assert_eq!(send(&app, &deal(&email, &json!({"email": email}))).await.status, 200);
        let stored = row(&pool, &format!("{CONVERSION} where crm_deal_id = '{email}'")).await;
        assert_eq!(stored["session_attributes"], json!(copied), "{nth}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn random_input_breaks_nothing(pool: PgPool) {
    let app = app(&pool);
    let lead = lead(&pool, &json!({})).await;
    let valid = [
        deal("D-1", &json!({"value": 6000, "currency": "EUR", "occurred_at": "2026-11-20T10:03:11+01:00"})),
        deal("D-2", &json!({"crm_deal_id": 7, "phone": "+49 30 23125123", "conversion_type": "qualified"})),
        json!({"crm_deal_id": "D-3", "conversion_type": "closed", "lead_id": lead}),
        json!({"crm_deal_id": "D-1", "conversion_type": "lost", "occurred_at": "2026-11-20T12:03:11+01:00"}),
    ];
    fuzz(&app, &ENDPOINT, handle, 3_000, &valid, |body| signed(testing::request(&ENDPOINT, body))).await;
}
