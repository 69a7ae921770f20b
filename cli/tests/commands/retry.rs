use testing::{execute, row};

use super::*;

#[sqlx::test(migrations = "../migrations")]
async fn an_event_is_read_by_the_declaration_as_it_is_now(pool: PgPool) {
    lead("jane@example.com").store(&pool).await;
    deliver(&pool, &DEAL.replace("won", "signed")).await;
    let values = |acme: &str| values(Some(&pool), &[("CRM_SOURCES", acme)]);
    let before = document(&values(ACME), &["inbox", "retry", "D-7"]).await;
    assert_eq!(before["outcome"]["status"], "ignored");
    let mended = ACME.replace("\"won\"", "[\"won\", \"signed\"]");
    let after = document(&values(&mended), &["inbox", "retry", "D-7"]).await;
    assert_eq!(after["outcome"]["status"], "queued", "{after}");
    assert_eq!(row(&pool, "select state from public.inbox_events").await, json!({"state": "taken"}));
    let again = document(&values(&mended), &["inbox", "retry", before["event_id"].as_str().unwrap()]).await;
    assert_eq!(again["outcome"]["status"], "duplicate", "{again}");
    let error = refused(&values(&mended), &["inbox", "retry", "D-7"]).await;
    assert!(error.contains("already matched to lead"), "{error}");
    let (gone, ended) = run(&values(""), &["inbox", "retry", before["event_id"].as_str().unwrap()]).await;
    assert!(gone.contains("postponed") && gone.contains("declare it again."), "{gone}");
    assert!(ended.is_err(), "it wasn't processed");
}

/// The declaration pointed beside the address and the value; mended, the deal has both and finds its lead.
#[sqlx::test(migrations = "../migrations")]
async fn a_deal_that_was_read_wrongly_is_read_again(pool: PgPool) {
    lead("jane@example.com").store(&pool).await;
    let sent = DEAL.replace("email", "mail").replace("value", "sum");
    assert_eq!(deliver(&pool, &sent).await.body["status"], "awaiting_lead");
    let values = |acme: &str| values(Some(&pool), &[("CRM_SOURCES", acme)]);
    let mended = ACME.replace("/person/email", "/person/mail").replace("/deal/value", "/deal/sum");
    let unmended = document(&values(ACME), &["inbox", "retry", "D-7"]).await;
    assert_eq!(unmended["status"], "awaiting_lead", "{unmended}");
    let after = document(&values(&mended), &["inbox", "retry", "D-7"]).await;
    assert_eq!(after["outcome"]["status"], "queued", "{after}");
    let stored = row(&pool, "select value, matched_by from public.conversions").await;
    assert_eq!(stored, json!({"value": 6000.5, "matched_by": "email"}));
    // Reading it differently doesn't revert it.
    let ignoring = mended.replace("\"won\"", "\"signed\"");
    let event = row(&pool, "select id from public.inbox_events").await;
    let (ignored, ended) = run(&values(&ignoring), &["inbox", "retry", event["id"].as_str().unwrap()]).await;
    assert!(ignored.contains("can't be reverted") && ended.is_err(), "{ignored}");
    assert_eq!(row(&pool, "select state from public.inbox_events").await, json!({"state": "taken"}));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_is_matched_again_and_waits_again(pool: PgPool) {
    deliver(&pool, DEAL).await;
    let values = values(Some(&pool), &[]);
    let waiting = document(&values, &["inbox", "retry", "D-7"]).await;
    assert_eq!((&waiting["status"], &waiting["waits_again"]), (&json!("awaiting_lead"), &json!(false)));
    execute(&pool, "update public.inbox set state = 'expired', received_at = '2026-01-01'").await;
    let renewed = document(&values, &["inbox", "retry", "D-7"]).await;
    assert_eq!((&renewed["status"], &renewed["waits_again"]), (&json!("awaiting_lead"), &json!(true)));
    let stored = row(&pool, "select state, received_at > '2026-11-01' as is_recent from public.inbox").await;
    assert_eq!(stored, json!({"state": "awaiting_lead", "is_recent": true}));
    lead("jane@example.com").store(&pool).await;
    let text = printed(&values, &["inbox", "retry", "D-7"]).await;
    assert!(text.contains("a conversion, queued for google_ads"), "{text}");
}

#[sqlx::test(migrations = "../migrations")]
async fn one_of_several_events_must_be_named(pool: PgPool) {
    for stage in ["new", "old"] {
        deliver(&pool, &DEAL.replace("won", stage)).await;
    }
    let error = refused(&values(Some(&pool), &[]), &["inbox", "retry", "D-7"]).await;
    assert!(error.contains("Deal D-7 has 2 events") && error.contains(" or "), "{error}");
}

/// A quotation mark within a name, which the CRM's template didn't escape.
#[sqlx::test(migrations = "../migrations")]
async fn a_body_that_was_broken_is_mended_by_the_operator(pool: PgPool) {
    lead("jane@example.com").store(&pool).await;
    let broken = DEAL.replace("\"stage\"", "\"name\": \"Desk 60\" oak\", \"stage\"");
    let mended = broken.replace("60\"", "60\\\"");
    assert_eq!(deliver(&pool, &broken).await.status, 400);
    let event = row(&pool, "select id from public.inbox_events").await["id"].as_str().unwrap().to_owned();
    let values = values(Some(&pool), &[]);
    let retry =
        async |body: &str| document(&values, &["inbox", "retry", &event, "--body", &file("mended", body)]).await;
    let (said, ended) = run(&values, &["inbox", "retry", &event, "--body", &file("broken", &broken)]).await;
    assert!(said.contains("rejected") && said.trim_end().ends_with('.'), "{said}");
    assert!(!said.contains("..") && ended.unwrap_err().contains("rejected"), "{said}");
    let after = retry(&mended).await;
    assert_eq!(after["outcome"]["status"], "queued", "{after}");
    assert!(after["warnings"].to_string().contains("given by the operator"), "{after}");
    assert_eq!(row(&pool, "select state, crm_deal_id from public.inbox_events").await["crm_deal_id"], "D-7");
    let kept = row(&pool, "select convert_from(body, 'UTF8') as body from public.inbox_receipts").await;
    assert_eq!(kept["body"], broken.as_str(), "what was received stays");
    // The CRM's own repetition, mended there, is the same report.
    assert_eq!(deliver(&pool, &mended).await.body["status"], "duplicate");
}

/// The source acme, whose bodies are lists.
fn listing() -> String {
    ACME.replacen("[acme]\n", "[acme]\nitems = \"/deals\"\n", 1)
}

async fn deliver_list(pool: &PgPool, body: &str) -> Answer {
    let settings = [("CRM_SOURCES", &*listing()), ("ACME_SECRET", ACME_SECRET)];
    let app = testing::app_with(pool, &settings);
    let signed = document(&values(None, &settings), &["crm", "sign", "acme", &file("body", body)]).await;
    let mut request = testing::request(&crm_conversion::ENDPOINT, body);
    *request.uri_mut() = "/api/webhooks/acme".parse().unwrap();
    for header in signed["headers"].as_array().unwrap() {
        request = with(request, header["name"].as_str().unwrap(), header["value"].as_str().unwrap());
    }
    call(&app, &crm_conversion::ENDPOINT, request, crm_conversion::handle).await
}

/// A list of these deals.
fn list(deals: &[&str]) -> String {
    format!("{{\"deals\": [{}]}}", deals.join(", "))
}

#[sqlx::test(migrations = "../migrations")]
async fn of_a_mended_list_nothing_is_left_unread(pool: PgPool) {
    lead("jane@example.com").store(&pool).await;
    let (one, two, three) = (DEAL, &*DEAL.replace("D-7", "D-8"), &*DEAL.replace("D-7", "D-9"));
    let (no_two, no_three) = (&*two.replace("\"id\"", "\"no\""), &*three.replace("\"id\"", "\"no\""));
    deliver_list(&pool, &list(&[one, no_two, no_three])).await;
    let rejected =
        testing::rows(&pool, "select id from public.inbox_events where state = 'rejected' order by position");
    let rejected: Vec<_> = rejected.await.into_iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    let listing = listing();
    let values = values(Some(&pool), &[("CRM_SOURCES", &listing)]);
    let retry = async |event: &str, body: &str| {
        let body = file("mended", body);
        let (said, ended) = run(&values, &["--json", "inbox", "retry", event, "--body", &body]).await;
        (serde_json::from_str::<Value>(&said).unwrap(), ended.is_ok())
    };
    for (body, named) in [
        (list(&[one, two, three]), "/deals/2"),
        (list(&[two, no_two]), "2 items and the received one 3"),
        (list(&[three, two, no_three]), "/deals/0"),
    ] {
        let (said, is_done) = retry(&rejected[0], &body).await;
        assert_eq!(said["outcome"]["status"], "postponed", "{said}");
        assert!(!is_done && said["outcome"]["reason"].as_str().unwrap().contains(named), "{said}");
    }
    let (said, is_done) = retry(&rejected[0], &list(&[one, two, no_three])).await;
    assert!(is_done && said["outcome"]["status"] == "queued" && said["crm_deal_id"] == "D-8", "{said}");
    // Only its own item.
    let (said, is_done) = retry(&rejected[1], &list(&[three])).await;
    assert!(is_done && said["outcome"]["status"] == "queued" && said["crm_deal_id"] == "D-9", "{said}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_list_that_nobody_could_read_is_sent_again_as_a_webhook(pool: PgPool) {
    lead("jane@example.com").store(&pool).await;
    let broken = list(&[DEAL, &DEAL.replace("D-7", "\"D-8")]);
    assert_eq!(deliver_list(&pool, &broken).await.status, 400);
    let event = testing::row(&pool, "select id from public.inbox_events").await["id"].as_str().unwrap().to_owned();
    let listing = listing();
    let values = values(Some(&pool), &[("CRM_SOURCES", &listing)]);
    let mended = file("mended", broken.replace("\"\"D-8", "\"D-8"));
    let (said, ended) = run(&values, &["inbox", "retry", &event, "--body", &mended]).await;
    assert!(said.contains("2 items (/deals/0, /deals/1)") && said.contains("adtrail crm sign acme"), "{said}");
    assert!(ended.is_err(), "{said}");
}
