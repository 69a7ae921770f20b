use testing::rows;

use super::*;

#[sqlx::test(migrations = "../migrations")]
async fn what_a_person_said_is_recorded_and_shown_with_the_deal(pool: PgPool) {
    let lead = lead("jane@example.com").store(&pool).await.to_string();
    deliver(&pool, DEAL).await;
    let values = values(Some(&pool), &[]);

    let said = document(&values, &["lead", "consent", &lead, "denied"]).await;
    let both = json!({"ad_user_data": "denied", "ad_personalization": "denied"});
    assert_eq!(said, json!({"lead_id": lead, "consent": both}));
    let one = printed(&values, &["lead", "consent", &lead, "granted", "--purpose", "ad_user_data"]).await;
    assert!(one.contains("ad_user_data granted") && !one.contains("ad_personalization"), "{one}");

    let stored = "select purpose, value from public.consent_statements where source = 'operator' order by id";
    let stored: Vec<_> = rows(&pool, stored).await.iter().map(|row| json!([row["purpose"], row["value"]])).collect();
    let expected =
        [["ad_user_data", "denied"], ["ad_personalization", "denied"], ["ad_user_data", "granted"]].map(|it| json!(it));
    assert_eq!(stored, expected);
    let shown = document(&values, &["inbox", "show", "D-7"]).await;
    let newest = &shown["entries"][0]["consent"][0];
    assert_eq!(
        json!([newest["purpose"], newest["value"], newest["source"], newest["lead_id"]]),
        json!(["ad_user_data", "granted", "operator", lead])
    );
    let text = printed(&values, &["inbox", "show", "D-7"]).await;
    assert!(text.contains(&format!("ad_user_data granted, operator, lead_id {lead}")), "{text}");
}

#[sqlx::test(migrations = "../migrations")]
async fn an_unknown_lead_or_answer_is_refused(pool: PgPool) {
    let values = values(Some(&pool), &[]);
    let nobody = Uuid::nil().to_string();
    let error = refused(&values, &["lead", "consent", &nobody, "denied"]).await;
    assert!(error.contains(&format!("There is no lead {nobody}")), "{error}");
    let error = refused(&values, &["lead", "consent", &nobody, "unknown"]).await;
    assert!(error.contains("granted") && error.contains("denied"), "{error}");
}
