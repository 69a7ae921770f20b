//! A CRM asks whether the URL is ours, and wants its text back.

use lambda_http::Request;

use super::*;

const SOURCES: &str = r#"
[monday]
challenge = "/challenge"
auth = [{ url = { parameter = "token", secret = "MONDAY_SECRET" } }]
fields = { deal_id = "/event/pulseId", email = "/event/email" }
rules = [{ when = { "/event/label" = "Won" }, conversion = "closed" }]

[silent]
auth = [{ url = { parameter = "token", secret = "MONDAY_SECRET" } }]
fields = { deal_id = "/event/pulseId", email = "/event/email" }
rules = [{ when = { "/event/label" = "Won" }, conversion = "closed" }]
"#;

fn to(uri: &str, body: &str) -> Request {
    let mut request = testing::request(&ENDPOINT, body);
    *request.uri_mut() = uri.parse().unwrap();
    request
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_challenge_is_sent_back_to_whoever_is_authenticated_and_nothing_is_stored(pool: PgPool) {
    let app = app_with(&pool, &[("CRM_SOURCES", SOURCES), ("MONDAY_SECRET", "the monday secret")]);
    let call = async |uri: &str, body: &str| call(&app, &ENDPOINT, to(uri, body), handle).await;
    let (right, wrong) = ("/api/webhooks/monday?token=the%20monday%20secret", "/api/webhooks/monday?token=another");
    for challenge in ["3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd", "<script>alert(1)</script>", "ü", "1", "a b"] {
        let body = json!({"challenge": challenge});
        let answer = call(right, &body.to_string()).await;
        assert_eq!((answer.status, &answer.body), (200, &body));
        let sent_as = (answer.header("content-type"), answer.header("x-content-type-options"));
        assert_eq!(sent_as, ("application/json", "nosniff"));
        assert_eq!(call(wrong, &body.to_string()).await.status, 401);
        assert_eq!(call("/api/webhooks/monday", &body.to_string()).await.status, 401);
    }
    assert_eq!(rows(&pool, "select 1 from public.inbox_receipts").await.len(), 0);
    // A source that declares none reads it as a webhook, and what is more than a challenge is one, too.
    let undeclared = call(&right.replace("monday?", "silent?"), r#"{"challenge": "abc"}"#).await;
    assert_eq!(undeclared.body.get("challenge"), None);
    let event = json!({"challenge": "abc", "event": {"pulseId": 7, "label": "Won", "email": "jane@example.com"}});
    assert_eq!(call(right, &event.to_string()).await.body["status"], "awaiting_lead");
}
