use testing::{row, waiting_deal};

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
    let error = refused(&values, &["inbox", "attach", "D-7", &lead]).await;
    assert!(error.contains(&format!("already matched to lead {lead}")), "{error}");
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
    document(&values, &["inbox", "attach", &ids[1], &lead]).await;
    let google = self::values(Some(&pool), &[("GOOGLE_ADS_CUSTOMER_ID", "")]);
    let error = refused(&google, &["inbox", "attach", "D-7", &lead]).await;
    assert!(error.contains("GOOGLE_ADS_CUSTOMER_ID"), "or it would be recorded as sent nowhere, for good: {error}");
}
