//! Wins after a loss: by the CRM's word, or where it says nothing of how old its report is.

use testing::execute;

use super::*;

const SOURCES: &str = r#"
[plain]
preset = "crm-conversion"
strict = false
[plain.fields]
event_id = "/event_id"
[[plain.rules]]
when = { stage = "won" }
conversion = "closed"
[[plain.rules]]
when = { stage = "open" }
conversion = "qualified"
reopens = true
[[plain.rules]]
when = { stage = "lost" }
conversion = "lost"
[[plain.rules]]
when = { stage = "reopened" }
conversion = "reopened"
[[plain.rules]]
when = { stage = "deleted" }
conversion = "deleted"
"#;

/// A report of a deal, so many seconds after the one before: `+60 won at=08:00 changed=12:05`. What else is in it makes
/// it another body.
fn report(deal: &str, words: &str) -> (TimeDelta, Value) {
    let mut words = words.split_whitespace();
    let seconds = words.next().and_then(|it| it.strip_prefix('+')).and_then(|it| it.parse().ok()).unwrap();
    let mut report =
        json!({"crm_deal_id": deal, "conversion_type": words.next(), "email": format!("{deal}@example.com")});
    for word in words {
        let (name, value) = word.split_once('=').unwrap();
        match name {
            "at" => report["occurred_at"] = json!(format!("2026-11-20T{value}:00Z")),
            "changed" => report["updated_at"] = json!(format!("2026-11-20T{value}:00Z")),
            name => report[name] = json!(value),
        }
    }
    (TimeDelta::seconds(seconds), report)
}

async fn post(app: &App<Config>, body: &Value) -> Value {
    let mut request = signed(testing::json_request(&ENDPOINT, body));
    *request.uri_mut() = "/api/webhooks/plain".parse().unwrap();
    let answer = call(app, &ENDPOINT, request, handle).await;
    assert!(answer.status < 300, "{body} is answered {answer:?}");
    answer.body
}

/// What counts of a deal in the end: the end of its key and the time of day. And the answer to the last report.
async fn play(pool: &PgPool, nth: usize, story: &[&str], is_sent: bool) -> (Option<String>, Value) {
    let deal = format!("d{nth}-{}", u8::from(is_sent));
    let app = app_with(pool, &[("CRM_SOURCES", SOURCES)]);
    testing::lead(&format!("{deal}@example.com")).with(&json!({"gclid": "click"})).store(pool).await;
    let mut answer = Value::Null;
    for words in story {
        let (gap, body) = report(&deal, words);
        app.clock.advance(gap);
        answer = post(&app, &body).await;
        if is_sent {
            let sent =
                "update public.conversion_queue set status = 'uploaded', uploaded_at = now(), claims = claims + 1
                where status = 'pending'";
            execute(pool, sent).await;
        }
    }
    let counts = format!(
        "select concat_ws(' ', substr(idempotency_key, length(crm_deal_id) + 2),
            to_char(occurred_at at time zone 'UTC', 'HH24:MI:SS')) as counts
         from public.conversions
         where crm_deal_id = '{deal}' and conversion_type = 'closed' and retracted_at is null"
    );
    let counts = rows(pool, &counts).await;
    assert!(counts.len() < 2, "{story:?}: {counts:?}");
    (counts.first().map(|row| row["counts"].as_str().unwrap().to_owned()), answer)
}

/// Of each story: what counts, and whether the last report is answered with a warning about its time. It is noon.
#[sqlx::test(migrations = "../../migrations")]
async fn a_win_after_a_loss_counts_unless_the_times_say_it_is_older(pool: PgPool) {
    let won = "+0 won at=08:00";
    let lost = "+600 lost at=09:00";
    let cases: &[(&[&str], &str, bool)] = &[
        // Told again with the date of the first closing, or with none, and nothing about its age.
        (&[won, lost, "+600 won at=08:00 note=again"], "closed:2 12:20:00", true),
        (&[won, lost, "+600 won note=again"], "closed:2 12:20:00", false),
        (&[won, "+600 lost", "+600 won at=08:00 note=again"], "closed:2 12:20:00", true),
        (&["+0 won", "+600 lost", "+600 won at=08:00"], "closed:2 12:20:00", true),
        (&[won, "+600 reopened", "+1 won at=08:00 note=again"], "closed:2 12:10:01", true),
        (&[won, "+600 open at=12:10", "+1 won at=08:00 note=again"], "closed:2 12:10:01", true),
        (&[won, lost, "+600 won at=07:00 value=7 currency=EUR"], "closed:2 12:20:00", true),
        // At the time it states, if that is after the loss; whatever was the newest statement before.
        (&[won, lost, "+600 won at=12:15"], "closed:2 12:15:00", false),
        (&["+0 won at=08:00 changed=11:30", lost, "+600 won at=09:30"], "closed:2 09:30:00", false),
        // The loss says how old it is, and the win doesn't.
        (&[won, "+600 lost at=09:00 changed=12:09", "+600 won at=08:00 note=again"], "closed:2 12:20:00", true),
        // The win says so, and the loss doesn't.
        (&[won, lost, "+600 won at=08:00 changed=12:15"], "closed:2 12:15:00", false),
        (&[won, lost, "+600 won at=08:00 changed=10:00"], "closed:2 10:00:00", true),
        (&[won, lost, "+600 won at=08:00 changed=08:30"], "", false),
        // Both say so.
        (&[won, "+600 lost changed=12:09", "+600 won at=08:00 changed=12:08"], "", false),
        (&[won, "+600 lost changed=12:09", "+600 won at=08:00 changed=12:11"], "closed:2 12:11:00", false),
        // Within seconds of the loss.
        (&[won, lost, "+1 won at=08:00 note=trails"], "", true),
        (&[won, lost, "+3 won at=08:00 note=again"], "closed:2 12:10:03", true),
        (&["+0 won", "+600 lost", "+30 won note=again"], "closed:2 12:10:30", true),
        // The same report once more.
        (&[won, lost, "+600 won at=08:00"], "", false),
        (&["+0 won at=08:00 event_id=7", lost, "+600 won at=08:00 event_id=7 note=2"], "", false),
        // The loss overtook the first win: it wasn't won before.
        (&["+0 lost at=09:00", "+600 won at=08:00"], "", true),
        (&["+0 lost at=09:00 changed=09:00", "+600 won at=08:00 changed=08:00"], "", false),
        (&["+0 lost at=09:00", "+600 won at=10:00"], "closed 10:00:00", false),
        // Won again, and lost again; each once.
        (&[won, lost, "+600 won at=08:00 note=again", "+600 lost at=09:00 note=again"], "", true),
        (&[won, lost, "+600 won note=2", "+600 lost note=2", "+600 won note=3"], "closed:3 12:40:00", false),
        (&[won, lost, "+600 won at=08:00 note=2", "+600 won at=08:00 note=3"], "closed:2 12:20:00", false),
        (&[won, lost, "+600 won at=08:00 note=2", "+600 lost at=09:00"], "closed:2 12:20:00", false),
        // An older loss that arrives late changes nothing.
        (&[won, lost, "+600 won at=08:00 note=2", "+60 lost at=08:10 changed=08:10"], "closed:2 12:20:00", false),
        // Final.
        (&[won, lost, "+600 deleted", "+600 won at=08:00 note=again"], "", false),
    ];
    let mut wrong = Vec::new();
    for (nth, (story, counts, is_warned)) in cases.iter().enumerate() {
        for is_sent in [true, false] {
            let (counted, answer) = play(&pool, nth, story, is_sent).await;
            // What no platform may have received is the same conversion still.
            let mut expected = (*counts).to_owned();
            if !is_sent {
                expected = expected.replace("closed:2", "closed").replace("closed:3", "closed");
            }
            let warns = answer["warnings"][0]["field"] == "occurred_at";
            if (counted.clone().unwrap_or_default(), warns) != (expected.clone(), *is_warned) {
                wrong.push(format!("{story:?}, sent: {is_sent}: {counted:?} for {expected}, {answer}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn how_a_win_without_an_age_was_taken_is_kept_with_its_event(pool: PgPool) {
    for (nth, (story, says)) in [
        (
            ["+0 won at=08:00", "+60 lost at=09:00", "+60 won at=08:00 note=again"],
            "is won again as of 2026-11-20T12:02:00Z",
        ),
        (["+0 won at=08:00", "+60 lost at=09:00", "+1 won at=08:00 note=again"], "stays lost. If it was won since"),
        (["+0 won", "+60 lost", "+5 won note=again"], "came within a minute of the loss at 2026-11-20T12:01:00Z"),
    ]
    .iter()
    .enumerate()
    {
        let (_, answer) = play(&pool, nth, story, true).await;
        let kept = row(&pool, "select warnings from public.inbox_events order by received_at desc limit 1").await;
        assert_eq!(kept["warnings"], answer["warnings"], "{story:?}");
        let detail = answer["warnings"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(says) && detail.contains("Declare updated_at"), "{detail}");
        execute(&pool, "truncate public.inbox_events, public.inbox_receipts cascade").await;
    }
}
