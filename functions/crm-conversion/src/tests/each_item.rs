//! Each item of a body stands alone, and what nobody points at makes none unreadable.

use super::*;

const SOURCES: &str = r#"
[list]
preset = "crm-conversion"
strict = false
items = "/events"
[list.fields]
event_id = "/event"

[single]
preset = "crm-conversion"
strict = false

[strict]
preset = "crm-conversion"
items = ""
"#;

async fn post(app: &App<Config>, source: &str, body: &str) -> Answer {
    let mut request = signed(testing::request(&ENDPOINT, body));
    *request.uri_mut() = format!("/api/webhooks/{source}").parse().unwrap();
    call(app, &ENDPOINT, request, handle).await
}

/// What is kept of the events, in their order: the state, the reason and the warnings.
async fn kept(pool: &PgPool) -> Vec<Value> {
    rows(pool, "select position, state, reason, warnings from public.inbox_events order by received_at, position").await
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_bad_item_is_listed_and_kept_and_the_others_are_told(pool: PgPool) {
    let app = app_with(&pool, &[("CRM_SOURCES", SOURCES)]);
    lead(&pool, &json!({})).await;
    let junk = [json!(null), json!("deal"), json!(7), json!([{}]), json!(true), json!({"conversion_type": "closed"})];
    for (nth, (bad_at, junk)) in [0, 1, 2, 0, 1, 2].into_iter().zip(junk).enumerate() {
        let mut events: Vec<_> = (0..3).map(|at| deal(&format!("D-{nth}-{at}"), &json!({}))).collect();
        events[bad_at] = junk.clone();
        let answer = post(&app, "list", &json!({"events": events}).to_string()).await;
        assert_eq!(answer.status, 200, "{junk}");
        let results = answer.body["results"].as_array().unwrap();
        for (at, result) in results.iter().enumerate() {
            let expected = if at == bad_at { "rejected" } else { "queued" };
            assert_eq!(result["status"], expected, "{junk} {result}");
        }
        let pointer = if junk.is_object() { "/crm_deal_id".to_owned() } else { format!("/events/{bad_at}") };
        assert_eq!(results[bad_at]["errors"][0]["pointer"], *pointer, "{junk}");
        let kept = kept(&pool).await;
        assert_eq!(kept.len(), 3 * (nth + 1), "each is kept, also what is sent again in another body");
        app.clock.advance(TimeDelta::minutes(1));
    }
    let rejected: Vec<_> = kept(&pool).await.into_iter().filter(|it| it["state"] == "rejected").collect();
    assert_eq!(rejected.len(), 6);
    assert_eq!(rejected[1]["reason"], "/events/1 must be an object");
    let strict = post(&app, "strict", &json!([deal("D-9", &json!({})), null]).to_string()).await;
    assert_eq!((strict.status, &strict.body["results"][1]["status"]), (200, &json!("rejected")));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_body_of_bad_items_is_refused_and_each_is_kept(pool: PgPool) {
    let app = app_with(&pool, &[("CRM_SOURCES", SOURCES)]);
    for (body, pointers) in [
        (json!({"events": [null, null, 7]}), &["/events/0", "/events/1", "/events/2"][..]),
        (json!({"events": ["x"]}), &["/events/0"]),
        (json!({"events": [null, {"conversion_type": "lost"}]}), &["/events/0", "/events/1/crm_deal_id"]),
    ] {
        let answer = post(&app, "list", &body.to_string()).await;
        assert_eq!(answer.status, 400, "{body}");
        let errors = answer.body["errors"].as_array().unwrap();
        for pointer in pointers {
            assert!(errors.iter().any(|it| it["pointer"] == *pointer), "{pointer} {errors:?}");
        }
    }
    let kept = kept(&pool).await;
    assert_eq!(kept.len(), 6, "{kept:?}");
    assert!(kept.iter().all(|it| it["state"] == "rejected"));
    // Sent again, they are the same.
    post(&app, "list", &json!({"events": [null, null, 7]}).to_string()).await;
    assert_eq!(self::kept(&pool).await.len(), 6);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_thousand_items_have_their_own_results(pool: PgPool) {
    let app = app_with(&pool, &[("CRM_SOURCES", SOURCES)]);
    let event = |at: usize| match at % 4 {
        0 => json!(null),
        _ => deal(&format!("D-{at}"), &json!({"email": format!("jane-{at}@example.com")})),
    };
    let events: Vec<_> = (0..1000).map(event).collect();
    let answer = post(&app, "list", &json!({"events": events}).to_string()).await;
    let results = answer.body["results"].as_array().unwrap();
    let of = |status: &str| results.iter().filter(|it| it["status"] == status).count();
    assert_eq!((results.len(), of("rejected"), of("awaiting_lead")), (1000, 250, 750));
    assert_eq!(results[996]["errors"][0]["pointer"], "/events/996");
    let states = "select state, count(*) from public.inbox_events group by state order by state";
    assert_eq!(
        rows(&pool, states).await,
        [json!({"state": "rejected", "count": 250}), json!({"state": "taken", "count": 750})]
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_odd_beside_a_deal_is_kept_as_a_warning(pool: PgPool) {
    let app = app_with(&pool, &[("CRM_SOURCES", SOURCES)]);
    lead(&pool, &json!({})).await;
    let deal = |nth: usize, more: &str| {
        let known = r#""conversion_type":"closed","email":"jane@example.com","value":5,"currency":"EUR""#;
        format!("{{\"crm_deal_id\":\"D-{nth}\",{known},{more}}}")
    };
    for (nth, more) in [
        r#""note":"a\u0000b""#,
        r#""note":"cut \ud83d""#,
        r#""owner":{"n\ude00":[{"x":"\udfff"}]}"#,
        r#""note":1,"note":2"#,
        r#""a":{"b":1,"b":null}"#,
        r#""updated_at":"not a time""#,
        &format!(r#""tree":{}{}"#, "[".repeat(40), "]".repeat(40)),
    ]
    .into_iter()
    .enumerate()
    {
        let body = deal(nth, more);
        let answer = post(&app, "single", &body).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("queued")), "{more} {:?}", answer.body);
        let stored = format!(
            "select warnings, (select convert_from(body, 'UTF8') from public.inbox_receipts r where r.id = receipt_id)
             as body from public.inbox_events where crm_deal_id = 'D-{nth}'"
        );
        let stored = row(&pool, &stored).await;
        assert_eq!(stored["warnings"].as_array().unwrap().len(), 1, "{more} {stored}");
        assert_eq!(stored["warnings"], answer.body["warnings"], "{more}");
        assert_eq!(stored["body"], body, "what was sent stays");
    }
    // An id that isn't what was sent tells no deal.
    for id in [r#""D\u0000""#, r#""D\ud800""#, r#""D-1","crm_deal_id":"\udfff""#] {
        let body = format!("{{\"crm_deal_id\":{id},\"conversion_type\":\"closed\",\"email\":\"jane@example.com\"}}");
        let answer = post(&app, "single", &body).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["pointer"]), (400, &json!("/crm_deal_id")), "{id}");
    }
    let strict = format!("[{}]", deal(99, r#""note":1,"note":2"#));
    assert_eq!(post(&app, "strict", &strict).await.status, 400);
}
