//! The events of one body end as they would have one body after the other.

use testing::{Chance, execute, scaled};

use super::*;

/// A source whose bodies hold one event, and another whose bodies hold an array of the same.
const SOURCES: &str = r#"
[single]
preset = "crm-conversion"
[single.fields]
event_id = "/event"
event_at = "/noticed_at"

[list]
preset = "crm-conversion"
items = ""
[list.fields]
event_id = "/event"
event_at = "/noticed_at"
"#;

/// Deals of a history.
const DEALS: [&str; 3] = ["1", "2", "3"];

/// Any event on a deal of this history. Its persons have no other deal.
fn event(chance: &mut Chance, history: &str) -> Value {
    let deal = format!("{history}-{}", chance.pick(&DEALS));
    let mut event = json!({
        "crm_deal_id": deal, "email": format!("{}-{deal}@example.com", chance.pick(&["jane", "joan"])),
        "conversion_type": chance.pick(&["qualified", "closed", "closed", "lost", "refunded"]),
    });
    if chance.happens(10) {
        event["lead_id"] = json!(lead_id(&format!("joan-{deal}@example.com")));
    }
    if chance.happens(80) {
        (event["value"], event["currency"]) = (json!(100 * chance.below(4)), json!("EUR"));
    }
    for name in ["gclid", "fbclid", "fbp"] {
        if chance.happens(20) {
            event[name] = json!(chance.pick(&["one", "two"]));
        }
    }
    for (name, percent) in [("occurred_at", 60), ("updated_at", 40), ("noticed_at", 40), ("clicked_at", 20)] {
        if chance.happens(percent) {
            event[name] = json!(format!("2026-11-20T0{}:00:00Z", 4 + chance.below(6)));
        }
    }
    // Some events have an id, some of them the same.
    if chance.happens(50) {
        event["event"] = json!(format!("{deal}-{}", chance.below(6)));
    }
    event
}

/// The id of the lead with this address.
fn lead_id(email: &str) -> Uuid {
    let hash = Hash::of(email);
    Uuid::try_parse(&hash.as_str()[..32]).unwrap()
}

/// Somebody fills in the form, and waiting deals are matched.
async fn fill_in_form(pool: &PgPool, app: &App<Config>, who: &str, deal: &str) {
    let email = format!("{who}-{deal}@example.com");
    if rows(pool, &format!("select 1 from public.leads where name = '{email}'")).await.is_empty() {
        // Of two who are known by one address, it is clear who came last.
        let at = if who == "jane" { "2026-11-20T03:00:00Z" } else { "2026-11-20T03:01:00Z" };
        let click = format!("click-of-{who}");
        let columns = json!({"id": lead_id(&email), "name": email, "gclid": click, "created_at": at});
        testing::lead(&email).with(&columns).store(pool).await;
    }
    app.db.tx(async |tx| match_waiting(tx, &app.config.intake, &app.clock, 1_000).await).await.unwrap();
}

/// As if the uploader had sent everything of this history that it may send.
async fn upload(pool: &PgPool, history: &str) {
    let sent = format!(
        "update public.conversion_queue q set status = 'uploaded', uploaded_at = now(), claims = claims + 1
         from public.conversions c
         where c.crm_deal_id like '{history}-%' and q.conversion_id = c.id and q.status = 'pending'
            and (q.adjusts is not null or c.retracted_at is null)"
    );
    execute(pool, &sent).await;
}

async fn post(app: &App<Config>, source: &str, body: &Value) -> Value {
    let mut request = signed(testing::json_request(&ENDPOINT, body));
    *request.uri_mut() = format!("/api/webhooks/{source}").parse().unwrap();
    let answer = call(app, &ENDPOINT, request, handle).await;
    assert!(answer.status < 300, "{body} is answered {answer:?}");
    answer.body
}

/// Plays a history: people fill in forms, conversions are uploaded, and events come, in one body or one by one. Returns
/// for each part the events, what was answered, and what is stored after it.
async fn play(pool: &PgPool, history: &str, chance: &mut Chance, together: bool) -> Vec<Value> {
    let app = app_with(pool, &[("CRM_SOURCES", SOURCES)]);
    let mut told = Vec::new();
    for _ in 0..3 {
        for deal in DEALS {
            for who in ["jane", "joan"] {
                if chance.happens(30) {
                    fill_in_form(pool, &app, who, &format!("{history}-{deal}")).await;
                }
            }
        }
        if chance.happens(50) {
            upload(pool, history).await;
        }
        let events: Vec<_> = (0..=chance.below(12)).map(|_| event(chance, history)).collect();
        let mut answers = Vec::new();
        if together {
            answers.push(post(&app, "list", &json!(events)).await["results"].clone());
        } else {
            let mut results = Vec::new();
            for event in &events {
                results.push(post(&app, "single", event).await);
            }
            answers.push(json!(results));
        }
        let left = left_behind(pool, history).await;
        told.push(without_names(&json!({"events": events, "answers": answers, "left": left}), history));
        app.clock.advance(TimeDelta::minutes(1));
    }
    told
}

/// The same without what differs from history to history.
fn without_names(value: &Value, history: &str) -> Value {
    match value {
        Value::String(text) => json!(text.replace(history, "")),
        Value::Array(items) => items.iter().map(|item| without_names(item, history)).collect(),
        Value::Object(fields) => {
            let named = fields.iter().filter(|(name, _)| !["conversion_id", "lead_id"].contains(&name.as_str()));
            named.map(|(name, value)| (name.clone(), without_names(value, history))).collect()
        }
        other => other.clone(),
    }
}

/// Everything a history left behind.
async fn left_behind(pool: &PgPool, history: &str) -> Value {
    let queries = [
        format!(
            "select crm_deal_id, conversion_type, value, currency, occurred_at, deliveries, state, matched_by,
                reported_at, person_reported_at, clicks, clicks_reported_at, lead_id is not null as names_lead,
                (select name from public.leads l where l.email_hash = i.email_hash) as person,
                (select count(*) from public.deal_reports r where r.inbox_id = i.id) as reports
             from public.inbox i where crm_deal_id like '{history}-%' order by crm_deal_id, conversion_type"
        ),
        format!(
            "select crm_deal_id, conversion_type, value, currency, occurred_at, matched_by, skip_reason, clicks, gclid,
                restated_at, retracted_at,
                (
                    select jsonb_agg(jsonb_build_array(q.platform, q.status, q.claims, o.platform) order by q.platform)
                    from public.conversion_queue q left join public.conversion_queue o on o.id = q.adjusts
                    where q.conversion_id = c.id
                ) as queue
             from public.conversions c where crm_deal_id like '{history}-%' order by crm_deal_id, idempotency_key"
        ),
        format!(
            "select crm_deal_id, lost_at, deliveries from public.lost_deals
             where crm_deal_id like '{history}-%' order by crm_deal_id"
        ),
        format!(
            "select name, conversion_status,
                (select count(*) from public.lead_emails e where e.lead_id = l.id) as addresses
             from public.leads l where name like '%-{history}-%' order by name"
        ),
    ];
    let mut left = Vec::new();
    for query in queries {
        left.push(rows(pool, &query).await);
    }
    json!(left)
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_events_of_a_body_end_as_they_would_one_by_one(pool: PgPool) {
    for seed in 0..scaled(1_500, 60) {
        let one_by_one = play(&pool, &format!("a{seed}"), &mut Chance::new(seed), false).await;
        let together = play(&pool, &format!("b{seed}"), &mut Chance::new(seed), true).await;
        for (expected, is) in one_by_one.iter().zip(&together) {
            assert!(is == expected, "history {seed}: {is} instead of {expected}");
        }
        // What waits for the next run stays a page of it.
        execute(&pool, "update public.inbox set state = 'expired' where state = 'awaiting_lead'").await;
    }
}
