use testing::{Row, execute, row, waiting_deal};

use super::*;

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_is_given_to_a_lead_and_matched(pool: PgPool) {
    let lead = lead("private@example.com").store(&pool).await.to_string();
    deliver(&pool, DEAL).await;
    let values = values(Some(&pool), &[]);
    let attached = document(&values, &["inbox", "attach", "D-7", &lead]).await;
    assert_eq!((&attached["status"], &attached["platforms"]), (&json!("queued"), &json!(["google_ads"])));
    let stored = row(&pool, "select state, matched_by, conversion_id from public.inbox").await;
    assert_eq!(stored, json!({"state": "matched", "matched_by": "manual", "conversion_id": attached["conversion_id"]}));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_wrong_match_is_mended_while_no_platform_may_have_received_it(pool: PgPool) {
    for visitor in ["jane", "stranger"] {
        Row::of("visitors", &json!({"visitor_id": visitor})).store(&pool).await;
    }
    let form = async |visitor: &str, created_at: &str| {
        let columns = json!({"visitor_id": visitor, "gclid": visitor, "created_at": created_at});
        lead("jane@example.com").with(&columns).store(&pool).await.to_string()
    };
    let stranger = form("stranger", "2026-11-20T10:00:00Z").await;
    let jane = form("jane", "2026-11-20T11:00:00Z").await;
    deliver(&pool, DEAL).await;
    let values = values(Some(&pool), &[]);
    let shown = document(&values, &["inbox", "show", "D-7"]).await["entries"][0].clone();
    assert_eq!((&shown["deal"]["several_candidates"], &shown["lead"]["id"]), (&json!(true), &json!(stranger)));
    let candidates: Vec<_> = shown["candidates"].as_array().unwrap().iter().map(|it| &it["visitor_id"]).collect();
    assert_eq!(candidates, ["stranger", "jane"]);
    let text = run(&values, &["inbox", "show", "D-7"]).await.0;
    assert_eq!(text.matches("candidate (of 2)").count(), 2, "{text}");
    let listed = run(&values, &["inbox", "list"]).await.0;
    assert!(listed.contains("by email, one of several candidates"), "{listed}");

    let attached = document(&values, &["inbox", "attach", "D-7", &jane]).await;
    assert_eq!((&attached["status"], &attached["former_lead_id"]), (&json!("queued"), &json!(stranger)));
    let stored = "select i.matched_by, i.several_candidates, c.gclid, c.lead_id, q.status
        from public.inbox i join public.conversions c on c.id = i.conversion_id
        join public.conversion_queue q on q.conversion_id = c.id";
    let expected = json!({
        "matched_by": "manual", "several_candidates": false, "gclid": "jane", "lead_id": jane, "status": "pending",
    });
    assert_eq!(row(&pool, stored).await, expected);
    let statuses = "select jsonb_object_agg(visitor_id, conversion_status) as of from public.leads";
    assert_eq!(row(&pool, statuses).await["of"], json!({"jane": "closed", "stranger": "new"}));
    let again = document(&values, &["inbox", "attach", "D-7", &jane]).await;
    assert_eq!((&again["status"], &again["former_lead_id"]), (&json!("queued"), &Value::Null));

    execute(&pool, "update public.conversion_queue set claims = 1").await;
    let error = refused(&values, &["inbox", "attach", "D-7", &stranger]).await;
    for part in [&format!("already matched to lead {jane}"), "google_ads may have received", "report the deal as lost"]
    {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert_eq!(row(&pool, stored).await, expected);
    execute(&pool, "update public.inbox set several_candidates = true").await;
    let confirmed = document(&values, &["inbox", "attach", "D-7", &jane]).await;
    assert_eq!(confirmed["status"], "confirmed", "the same lead can be confirmed at any time");
    assert_eq!(row(&pool, stored).await, expected);
}

#[sqlx::test(migrations = "../migrations")]
async fn an_impossible_attach_says_why(pool: PgPool) {
    let lead = lead("private@example.com").store(&pool).await.to_string();
    deliver(&pool, DEAL).await;
    deliver(&pool, r#"{"deal": {"id": "D-9", "stage": "new"}}"#).await;
    let mut ids = Vec::new();
    for conversion_type in ["qualified", "closed"] {
        let deal = waiting_deal("D-8", "joan@example.com").with(&json!({"conversion_type": conversion_type}));
        ids.push(deal.store(&pool).await.to_string());
    }
    let values = values(Some(&pool), &[]);
    let nobody = Uuid::nil().to_string();
    for (name, lead, parts) in [
        ("D-0", &lead, vec!["There is no deal or event D-0"]),
        ("D-7", &nobody, vec!["There is no lead", &nobody]),
        ("D-8", &lead, vec!["2 deals", "qualified, awaiting_lead", "closed, awaiting_lead", &ids[0], &ids[1]]),
        ("D-9", &lead, vec!["never became a deal"]),
    ] {
        let error = refused(&values, &["inbox", "attach", name, lead]).await;
        for part in parts {
            assert!(error.contains(part), "{part} in {error}");
        }
    }
    let matched = "select state, matched_by from public.inbox where crm_deal_id = 'D-7'";
    document(&values, &["inbox", "attach", "D-7", &lead]).await;
    refused(&values, &["inbox", "attach", "D-7", &nobody]).await;
    assert_eq!(row(&pool, matched).await["matched_by"], "manual", "a refused attach changes nothing");
    document(&values, &["inbox", "attach", &ids[1], &lead]).await;
    let google = self::values(Some(&pool), &[("GOOGLE_ADS_CUSTOMER_ID", "")]);
    let attached = document(&google, &["inbox", "attach", "D-7", &lead]).await;
    assert_eq!(attached["status"], "skipped", "the uploader queues it once there is one");
}
