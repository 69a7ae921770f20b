use super::*;

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_is_explained_in_one_sentence_for_each_stage(pool: PgPool) {
    let values = values(Some(&pool), &[]);
    deliver(&pool, DEAL).await;
    let text = printed(&values, &["explain", "D-7"]).await;
    assert!(text.starts_with("closed: It waits for its lead until "), "{text}");
    let document = document(&values, &["explain", "D-7"]).await;
    let stage = &document["stages"][0];
    assert_eq!(json!([stage["conversion_type"], stage["state"]]), json!(["closed", "awaiting_lead"]));
    assert!(stage["sentence"].as_str().unwrap().starts_with("It waits for its lead"), "{stage}");
}

#[sqlx::test(migrations = "../migrations")]
async fn a_deal_that_nobody_reported_says_where_to_look(pool: PgPool) {
    let values = values(Some(&pool), &[]);
    for deal in ["D-8", "'; drop table public.inbox; --", "<b>D-7</b>"] {
        let error = refused(&values, &["explain", deal]).await;
        assert!(
            error.contains(&format!("No CRM has reported a deal {deal}")) && error.contains("adtrail inbox list"),
            "{error}"
        );
    }
}
