use testing::execute;

use super::*;

#[sqlx::test(migrations = "../migrations")]
async fn the_inbox_is_listed_by_state(pool: PgPool) {
    lead("jane@example.com").store(&pool).await;
    deliver(&pool, DEAL).await;
    deliver(&pool, &DEAL.replace("D-7", "D-8").replace("jane", "joan")).await;
    deliver(&pool, r#"{"deal": {"id": "D-9", "stage": "new"}}"#).await;
    deliver(&pool, r#"{"deal": {"stage": "won"}}"#).await;
    let values = values(Some(&pool), &[]);
    let all = document(&values, &["inbox", "list"]).await;
    let states: Vec<_> =
        all["entries"].as_array().unwrap().iter().map(|entry| entry["state"].as_str().unwrap()).collect();
    for state in ["matched", "awaiting_lead", "ignored", "rejected"] {
        assert_eq!(states.iter().filter(|it| **it == state).count(), 1, "{state}");
    }
    let some = document(&values, &["inbox", "list", "--state", "awaiting_lead", "--state", "rejected"]).await;
    assert_eq!(some["entries"].as_array().unwrap().len(), 2);
    assert_eq!(document(&values, &["inbox", "list", "--limit", "1"]).await["entries"].as_array().unwrap().len(), 1);
    let text = printed(&values, &["inbox", "list"]).await;
    assert_eq!(text.lines().count(), 5, "a heading and a line each: {text}");
    for part in [
        "ID ",
        "6000.50 EUR",
        "D-8",
        "by email",
        "no lead with its lead id, e-mail or phone was found yet",
        "/deal/id is required",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("@example.com") && !all.to_string().contains("@example.com"), "{text}");
    let none = printed(&values, &["inbox", "list", "--state", "expired"]).await;
    assert!(none.contains("no such entries"), "{none}");
}

#[sqlx::test(migrations = "../migrations")]
async fn everything_that_is_known_is_shown(pool: PgPool) {
    let lead = lead("jane@example.com").store(&pool).await;
    deliver(&pool, DEAL).await;
    let values = values(Some(&pool), &[]);
    let shown = document(&values, &["inbox", "show", "D-7"]).await;
    let entry = &shown["entries"][0];
    assert_eq!(entry["lead"]["id"], json!(lead));
    assert_eq!(entry["queue"][0]["platform"], "google_ads");
    assert_eq!(entry["events"][0]["body"], DEAL, "as it came");
    assert_eq!(entry["events"][0]["verified_with"], "ACME_SECRET");
    for name in [&entry["deal"]["id"], &entry["events"][0]["id"]] {
        assert_eq!(&document(&values, &["inbox", "show", name.as_str().unwrap()]).await, &shown);
    }
    let text = printed(&values, &["inbox", "show", "D-7"]).await;
    for part in
        ["deal\n", "lead\n", "conversion\n", "queue\n", "event\n", "\"email\": \"jane@example.com\"", "verified_by"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    let error = refused(&values, &["inbox", "show", "D-0"]).await;
    assert!(error.contains("There is no deal or event D-0"), "{error}");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_was_guessed_or_left_out_of_a_deal_is_shown(pool: PgPool) {
    let answer = deliver(&pool, &DEAL.replace("jane@example.com", "jane")).await;
    let values = values(Some(&pool), &[]);
    let shown = document(&values, &["inbox", "show", "D-7"]).await;
    let warnings = &shown["entries"][0]["events"][0]["warnings"];
    assert_eq!(warnings, &answer.body["warnings"]);
    let warning = &warnings[0];
    let line = format!("{} {}", warning["pointer"].as_str().unwrap(), warning["detail"].as_str().unwrap());
    let text = printed(&values, &["inbox", "show", "D-7"]).await;
    assert!(text.lines().any(|it| it.trim_start().starts_with("warning ") && it.ends_with(&line)), "{line} in {text}");
    assert!(!text.contains("warnings"), "not as JSON besides: {text}");
    deliver(&pool, &DEAL.replace("D-7", "D-8")).await;
    let none = printed(&values, &["inbox", "show", "D-8"]).await;
    assert!(!none.contains("warning"), "{none}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_body_that_is_not_text_is_shown_in_base64(pool: PgPool) {
    deliver(&pool, DEAL).await;
    let values = values(Some(&pool), &[]);
    for (body, text, base64, said) in [
        (r"'\xff00'", Value::Null, json!("/wA="), "(not text; base64) /wA="),
        (r"'\x6869'", json!("hi"), Value::Null, "  hi"),
        ("null", Value::Null, Value::Null, "no longer kept"),
    ] {
        execute(&pool, &format!("update public.inbox_receipts set body = {body}")).await;
        let shown = document(&values, &["inbox", "show", "D-7"]).await;
        let event = &shown["entries"][0]["events"][0];
        assert_eq!((&event["body"], &event["body_base64"]), (&text, &base64), "{body}");
        let printed = printed(&values, &["inbox", "show", "D-7"]).await;
        assert!(printed.contains(said), "{said} in {printed}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_body_cannot_write_to_the_terminal(pool: PgPool) {
    deliver(&pool, &DEAL.replace("D-7", "D-7\\u001b[2J")).await;
    let values = values(Some(&pool), &[]);
    let shown = document(&values, &["inbox", "list"]).await;
    let id = shown["entries"][0]["id"].as_str().unwrap();
    let text = printed(&values, &["inbox", "show", id]).await;
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn what_is_hidden_in_a_text_is_shown_escaped(pool: PgPool) {
    // A bidi override, a zero-width space, a tag; and in a value that is only in the body: DEL and CSI.
    let deal = "D-\u{202e}7\u{200b}\u{e0041}";
    deliver(&pool, &DEAL.replace("\"D-7\"", "\"D-7\", \"note\": \"\u{7f}\u{9b}31m\"")).await;
    // As the reading of an earlier version, or of a strict source, has stored it.
    for table in ["inbox", "inbox_events"] {
        execute(&pool, &format!("update public.{table} set crm_deal_id = '{deal}'")).await;
    }
    let values = values(Some(&pool), &[]);
    let is_hidden =
        |text: &str| text.contains(|c: char| (c.is_control() && c != '\n') || deal[2..].contains(c) && !c.is_ascii());
    for command in [&["inbox", "list"][..], &["inbox", "show", deal]] {
        let text = printed(&values, command).await;
        assert!(text.contains(r"D-\u{202E}7\u{200B}\u{E0041}") && !is_hidden(&text), "{text:?}");
        let json = printed(&values, &[&["--json"], command].concat()).await;
        assert!(json.contains(r"D-\u202e7\u200b\udb40\udc41") && !is_hidden(&json), "{json:?}");
        assert!(serde_json::from_str::<Value>(&json).unwrap().to_string().contains(deal), "the same document: {json}");
    }
    assert!(printed(&values, &["inbox", "show", deal]).await.contains(r"\u{7F}\u{9B}31m"));
    let listed = printed(&values, &["inbox", "list"]).await;
    let starts = |heading: &str| listed.lines().next().unwrap().find(heading).unwrap();
    assert!(listed.lines().nth(1).unwrap()[starts("TYPE")..].starts_with("closed"), "columns stay in line: {listed}");

    for (arguments, said) in [
        (&["inbox", "show", "D-\u{1b}[31m\u{202e}"][..], r"D-\u{1B}[31m\u{202E}"),
        (&["inbox", "attach", "D-7", "\u{1b}[2J\u{202e}"], r"\u{202E}"),
        (&["crm", "sign", "acme\u{202e}"], r"acme\u{202E}"),
        (&["nowhere\u{200b}"], r"nowhere\u{200B}"),
    ] {
        let error = refused(&values, arguments).await;
        assert!(error.contains(said) && !is_hidden(&error), "{error:?}");
    }
}
