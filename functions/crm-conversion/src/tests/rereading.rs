//! Waiting deals are read again, once, when the reading knows more.

use shared::intake;

use super::*;

async fn reread(app: &App<Config>) -> u64 {
    intake::reread(&app.db, &app.clock, &app.config.intake, app.clock.now() + TimeDelta::minutes(1)).await.unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_whose_person_an_earlier_version_misread_finds_its_lead(pool: PgPool) {
    let app = app(&pool);
    let people = [
        ("D-1", json!({"email": "\"Doe, Jane\" <jane@example.com>"})),
        ("D-2", json!({"email": "jane\u{200b}@example.com"})),
        ("D-3", json!({"email": "mailto:jane@example.com"})),
        ("D-4", json!({"email": "ｊａｎｅ＠ｅｘａｍｐｌｅ．ｃｏｍ"})),
        ("D-5", json!({"email": null, "phone": "0049 30 901820"})),
    ];
    for (id, person) in &people {
        assert_eq!(send(&app, &deal(id, person)).await.status, 202);
    }
    let earlier =
        format!("update inbox set reading = 0, email_hash = '{}', phone_hash = null", Hash::of("another").as_str());
    testing::execute(&pool, &earlier).await;
    lead(&pool, &json!({"phone_hash": Hash::of("+4930901820")})).await;
    let waits = "select 1 from inbox where state = 'awaiting_lead'";
    app.db.tx(async |tx| match_waiting(tx, &app.config.intake, &app.clock, 10).await).await.unwrap();
    assert_eq!(rows(&pool, waits).await.len(), people.len(), "nobody is known by what was read then");
    assert_eq!((reread(&app).await, reread(&app).await), (5, 0), "once");
    app.db.tx(async |tx| match_waiting(tx, &app.config.intake, &app.clock, 10).await).await.unwrap();
    assert_eq!(rows(&pool, waits).await.len(), 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_whose_body_is_gone_keeps_its_person(pool: PgPool) {
    let app = app(&pool);
    send(&app, &deal("D-1", &json!({}))).await;
    testing::execute(&pool, "update inbox set reading = 0; update inbox_receipts set body = null").await;
    assert_eq!((reread(&app).await, reread(&app).await), (1, 0));
    expect(&row(&pool, INBOX).await, &json!({"email_hash": Hash::of("jane@example.com"), "state": "awaiting_lead"}));
}

/// A lead that was stored by the spelling that the form had then.
#[sqlx::test(migrations = "../../migrations")]
async fn a_lead_that_is_stored_by_an_earlier_spelling_is_found(pool: PgPool) {
    let app = app(&pool);
    testing::lead("jane@b\u{fc}cher.example").store(&pool).await;
    for (id, email) in [("D-1", "jane@b\u{fc}cher.example"), ("D-2", "Jane <jane@xn--bcher-kva.example>")] {
        assert_eq!(send(&app, &deal(id, &json!({"email": email}))).await.body["status"], "queued", "{email}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_answer_says_when_a_number_was_taken_by_guess(pool: PgPool) {
    let (in_germany, anywhere) = (app_with(&pool, &[("PHONE_DEFAULT_REGION", "DE")]), app(&pool));
    for (app, id, phone, why) in [
        (&in_germany, "D-1", json!("030 901820"), Some("PHONE_DEFAULT_REGION")),
        (&anywhere, "D-2", json!(447_911_123_456_u64), Some("no +")),
        (&in_germany, "D-3", json!("+49 30 901820"), None),
    ] {
        let answer = send(app, &deal(id, &json!({"email": null, "phone": phone}))).await;
        let warning = answer.body["warnings"][0]["detail"].as_str();
        assert_eq!(warning.is_some(), why.is_some(), "{phone}: {}", answer.body);
        assert!(warning.is_none_or(|it| it.contains(why.unwrap_or_default())), "{phone}: {}", answer.body);
    }
}
