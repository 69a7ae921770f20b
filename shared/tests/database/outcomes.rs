//! What became of every conversion and deal: one state, whatever the tables allow.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use shared::App;
use shared::attribution::CLICK_COUNTS;
use shared::db::DbError;
use shared::outcomes::{self, DealOutcome, State};
use shared::platforms::Operation;
use sqlx::PgPool;
use testing::{app, due, execute, row, rows, waiting_deal};
use uuid::Uuid;

/// Everything that decides a state, in all combinations that the constraints of the tables let through.
const ALL_COMBINATIONS: &str = "
do $do$
declare
  c record; q record; conversion uuid; name text; n bigint := 0;
begin
  for c in
    select * from
      unnest(array[null, 'deal_lost', 'no_attribution', 'consent_denied']) as skip_reason,
      unnest(array['granted', 'denied', 'unknown']) as consent,
      unnest(array[null, now()]) as retracted_at,
      unnest(array[null, now()]) as withdrawn_at
  loop
    for q in
      select * from
        unnest(array['none', 'pending', 'failed', 'uploaded', 'dead_letter']) as status,
        unnest(array[null, 'deal_lost', 'consent_withdrawn', 'expired', 'INVALID']) as code,
        unnest(array[null, now() + interval '1 hour']) as locked_until,
        unnest(array[null, now()]) as confirmed_at,
        unnest(array[null, now()]) as check_at,
        unnest(array[0, 1]) as retries,
        unnest(array[null, now()]) as retry_at
      where status <> 'none'
        or (code is null and coalesce(locked_until, confirmed_at, check_at, retry_at) is null and retries = 0)
    loop
      conversion := gen_random_uuid();
      n := n + 1;
      name := 'D-' || n;
      begin
        insert into public.conversions
          (id, conversion_type, crm_deal_id, idempotency_key, occurred_at, transaction_id, matched_by, ad_user_data,
           skip_reason, retracted_at, consent_withdrawn_at)
        values
          (conversion, 'closed', name, name || ':closed', now(), 'a-' || name, 'click', c.consent, c.skip_reason,
           c.retracted_at, c.withdrawn_at);
        if q.status <> 'none' then
          insert into public.conversion_queue
            (conversion_id, platform, status, last_error, last_error_code, locked_until, lock_token, confirmed_at,
             uploaded_at, next_status_check_at, retry_count, next_retry_at)
          values
            (conversion, 'google_ads', q.status, q.code, q.code, q.locked_until,
             case when q.locked_until is not null then gen_random_uuid() end, q.confirmed_at,
             case when q.status = 'uploaded' then now() end, q.check_at, q.retries, q.retry_at);
        end if;
        insert into public.inbox
          (source, crm_deal_id, conversion_type, occurred_at, payload_hash, state, conversion_id, matched_by)
        values ('acme', name, 'closed', now(), 'hash', 'matched', conversion, 'click');
      exception when check_violation then null;
      end;
    end loop;
  end loop;
end
$do$";

const PAUSE: &str = "insert into public.platform_state (platform, state, reason, paused_at, next_probe_at)
    values ('google_ads', 'paused', 'The token was revoked.', now(), '2026-11-20T12:30:00Z')";

#[sqlx::test(migrations = "../migrations")]
async fn every_combination_that_the_tables_allow_has_one_state_and_its_reason(pool: PgPool) {
    execute(&pool, ALL_COMBINATIONS).await;
    let stored: i64 = sqlx::query_scalar("select count(*) from public.conversions").fetch_one(&pool).await.unwrap();
    assert!(stored > 5_000, "{stored} is few: are the rows refused for another reason?");
    let known: Vec<_> = State::ALL.iter().map(|state| state.as_str()).collect();
    for changed in ["", "insert into public.uploader_runs values ('upload', now(), 'send')", PAUSE] {
        execute(&pool, changed).await;
        let counts = row(
            &pool,
            "select
                (select count(*) from public.delivery_outcomes) as deliveries,
                (select count(*) from public.deal_outcomes) as deals,
                (select count(*) from public.deal_outcomes d join public.delivery_outcomes o using (conversion_id)
                 where d.state = o.state) as same",
        )
        .await;
        assert_eq!(counts, json!({"deliveries": stored, "deals": stored, "same": stored}));
        let distinct = "select distinct state, reason_code from public.deal_outcomes";
        for told in rows(&pool, distinct).await {
            let state = told["state"].as_str().unwrap();
            assert!(known.contains(&state) && state != "missing", "{told}");
            let says_why = matches!(state, "waiting" | "skipped" | "retracted" | "held" | "expired");
            assert!(!says_why || told["reason_code"].is_string(), "{told}");
        }
    }
}

async fn outcomes_of(app: &App<()>, deal: &str) -> Vec<DealOutcome> {
    let found: Result<_, DbError> = app.db.tx(async |tx| outcomes::of_deal(tx, deal).await).await;
    found.unwrap()
}

async fn of_deal(app: &App<()>, deal: &str) -> DealOutcome {
    let mut found = outcomes_of(app, deal).await;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

async fn matched(pool: &PgPool, deal: &str, conversion: &Value, queue: &Value) -> Uuid {
    let id = due().deal(deal).conversion(conversion).queue(queue).store(pool).await;
    execute(
        pool,
        &format!(
            "insert into public.inbox
               (source, crm_deal_id, conversion_type, occurred_at, payload_hash, state, conversion_id, matched_by)
             select 'acme', crm_deal_id, 'closed', occurred_at, 'hash', 'matched', id, 'email'
             from public.conversions where crm_deal_id = '{deal}'"
        ),
    )
    .await;
    id
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_says_in_one_sentence_what_became_of_it(pool: PgPool) {
    let app = app::<()>(&pool);
    let (at, none) = ("2026-11-20T15:00:00Z", json!({}));
    let sent = |more: Value| {
        let mut row = json!({"status": "uploaded", "uploaded_at": at, "request_id": "r-1"});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    let refused = |code: &str, why: &str| json!({"status": "dead_letter", "last_error": why, "last_error_code": code});
    let leased = json!({"locked_until": "2999-01-01T00:00:00Z", "lock_token": Uuid::new_v4()});
    let lost = json!({"retracted_at": at});
    let denied = json!({"ad_user_data": "denied", "skip_reason": "consent_denied"});
    for (n, (conversion, queue, state, sentence)) in [
        (&none, sent(json!({"confirmed_at": at})), State::Confirmed, "It counts: google_ads confirmed it."),
        (
            &none,
            sent(json!({"next_status_check_at": at})),
            State::Accepted,
            "google_ads accepted it and hasn't said yet whether it counts; asked again at 2026-11-20 15:00 UTC.",
        ),
        (&none, sent(json!({})), State::Unconfirmed, "google_ads accepted it and never said whether it counts."),
        (&none, json!({}), State::Waiting, "It waits for the uploader's next run, to google_ads."),
        (
            &none,
            json!({"next_retry_at": at}),
            State::Waiting,
            "It waits for its time at google_ads until 2026-11-20 15:00 UTC.",
        ),
        (
            &none,
            json!({"status": "failed", "retry_count": 1, "next_retry_at": at, "last_error": "Try later."}),
            State::Waiting,
            "It waits for the next try at google_ads until 2026-11-20 15:00 UTC: Try later.",
        ),
        (&none, leased, State::Waiting, "It waits for the answer of google_ads, to which it is being sent."),
        (
            &json!({"ad_user_data": "unknown"}),
            json!({"expires_at": at}),
            State::Held,
            "It is held until 2026-11-20 15:00 UTC: the person's consent is unknown.",
        ),
        (&denied, json!({}), State::Skipped, "It isn't sent: the person denied consent."),
        (
            &none,
            refused("INVALID_ACTION", "There is no such action."),
            State::Refused,
            "It doesn't count at google_ads: There is no such action.",
        ),
        (
            &none,
            refused("expired", "Its click is too old."),
            State::Expired,
            "It no longer counts at google_ads: Its click is too old.",
        ),
        (
            &lost,
            refused("deal_lost", "The deal was lost."),
            State::Retracted,
            "It was taken back, because the deal was lost; nothing of it had to be taken back at a platform.",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let deal = format!("D-{n}");
        matched(&pool, &deal, conversion, &queue).await;
        let told = of_deal(&app, &deal).await;
        assert_eq!((told.state, told.sentence().as_str()), (state, sentence));
    }
    execute(&pool, PAUSE).await;
    let paused = "It waits for google_ads, which is paused until 2026-11-20 12:30 UTC: The token was revoked.";
    assert_eq!(of_deal(&app, "D-3").await.sentence(), paused);
    // What was sent no longer cares.
    assert_eq!(of_deal(&app, "D-2").await.sentence(), "google_ads accepted it and never said whether it counts.");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_that_was_taken_back_says_whether_the_platform_was_told(pool: PgPool) {
    let app = app::<()>(&pool);
    let at = "2026-11-20T15:00:00Z";
    let sent = json!({"status": "uploaded", "uploaded_at": at, "confirmed_at": at});
    for (n, (conversion, status, sentence)) in [
        (json!({"retracted_at": at}), "pending", "because the deal was lost; google_ads will be told."),
        (json!({"retracted_at": at}), "uploaded", "because the deal was lost; google_ads was told."),
        (
            json!({"consent_withdrawn_at": at, "ad_user_data": "denied"}),
            "dead_letter",
            "because consent was withdrawn; google_ads was not told, because its retraction was given up.",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let deal = format!("D-{n}");
        let original = matched(&pool, &deal, &conversion, &sent).await;
        let lane = Operation::Retraction.lane_of("google_ads");
        execute(
            &pool,
            &format!(
                "insert into public.conversion_queue
                   (conversion_id, platform, adjusts, status, uploaded_at, last_error)
                 select conversion_id, '{lane}', id, '{status}', '{at}', 'why'
                 from public.conversion_queue where id = '{original}'"
            ),
        )
        .await;
        let told = of_deal(&app, &deal).await;
        let expected = format!("It was taken back, {sentence}");
        assert_eq!((told.state, told.sentence()), (State::Retracted, expected));
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_without_a_lead_waits_or_is_given_up(pool: PgPool) {
    let app = app::<()>(&pool);
    for deal in ["waits", "expired", "lost"] {
        waiting_deal(deal, "jane@example.com").store(&pool).await;
    }
    execute(
        &pool,
        "update public.inbox set received_at = '2026-11-20T12:00:00Z';
         update public.inbox set state = 'expired' where crm_deal_id = 'expired';
         insert into public.lost_deals (crm_deal_id, lost_at, payload_hash)
         values ('lost', now() + interval '1 year', '')",
    )
    .await;
    for (deal, state, sentence) in [
        ("waits", State::AwaitingLead, "It waits for its lead until 2027-02-18 12:00 UTC."),
        ("expired", State::Expired, "No lead was found for it within 90 days."),
        ("lost", State::Lost, "The deal was lost before its lead was known."),
    ] {
        let told = of_deal(&app, deal).await;
        assert_eq!((told.state, told.sentence().as_str()), (state, sentence));
    }
    let received_at: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().unwrap();
    assert_eq!(of_deal(&app, "waits").await.until, Some(received_at + CLICK_COUNTS));
    assert!(outcomes_of(&app, "nobody's").await.is_empty());
}

#[sqlx::test(migrations = "../migrations")]
async fn of_several_destinations_the_one_that_got_furthest_decides(pool: PgPool) {
    let app = app::<()>(&pool);
    let refused = json!({"status": "dead_letter", "last_error": "no", "last_error_code": "INVALID"});
    matched(&pool, "D-7", &json!({}), &refused).await;
    execute(
        &pool,
        "insert into public.conversion_queue (conversion_id, platform, status, uploaded_at, confirmed_at)
         select id, 'other', 'uploaded', now(), now() from public.conversions",
    )
    .await;
    let told = of_deal(&app, "D-7").await;
    assert_eq!((told.state, told.destination.as_deref()), (State::Confirmed, Some("other")));
    let each = rows(&pool, "select state from public.delivery_outcomes order by destination").await;
    assert_eq!(each, [json!({"state": "refused"}), json!({"state": "confirmed"})]);
}

/// The newest run of all deployments says what happens to unknown consent; before the first, what the setting says
/// if nobody set it.
#[sqlx::test(migrations = "../migrations")]
async fn unknown_consent_is_held_if_the_newest_run_held_it(pool: PgPool) {
    let app = app::<()>(&pool);
    matched(&pool, "D-7", &json!({"ad_user_data": "unknown"}), &json!({})).await;
    let hour = |hour: u32| -> DateTime<Utc> { format!("2026-11-20T{hour:02}:00:00Z").parse().unwrap() };
    for (function, ended_at, does, state) in [
        ("a", hour(1), None, State::Held),
        ("b", hour(2), Some("send"), State::Waiting),
        ("c", hour(1), Some("hold"), State::Waiting),
        ("d", hour(3), Some("hold"), State::Held),
    ] {
        sqlx::query("insert into public.uploader_runs values ($1, $2, $3)")
            .bind(function)
            .bind(ended_at)
            .bind(does)
            .execute(&pool)
            .await
            .unwrap();
        assert_eq!(of_deal(&app, "D-7").await.state, state, "{function}");
    }
}
