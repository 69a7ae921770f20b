//! Leads were stored with the address as it was written, before it had one spelling.

use shared::consent::ConsentStatus;
use shared::consent::statements::{Subject, decide};
use shared::db::DbError;

use super::*;

#[sqlx::test(migrations = "../../migrations")]
async fn a_no_under_an_earlier_spelling_holds_for_the_lead_of_today(pool: PgPool) {
    let app = app(&pool);
    for (stored, sent) in [
        ("jane@b\u{fc}cher.example", "jane@b\u{fc}cher.example"),
        ("jane@bu\u{308}cher.example", "JANE@B\u{dc}CHER.example"),
        ("anna@b\u{fc}cher.example", "Anna <anna@xn--bcher-kva.example>"),
        ("andre\u{301}@example.com", "andr\u{e9}@example.com"),
        ("zoe\u{308}@m\u{fc}nchen.example", "mailto:zo\u{eb}@xn--mnchen-3ya.example"),
        ("info@пример.example", "info@xn--e1afmkfd.example"),
    ] {
        execute(&pool, "delete from public.leads").await;
        let earlier = json!({"email": stored, "email_hash": Hash::of(stored), "ad_user_data": "denied"});
        testing::store(&pool, vec![testing::Row::of("leads", &earlier)]).await;
        let answer = send(&app, form(&json!({"email": sent, "consent": {"ad_user_data": "granted"}}))).await;
        let lead_id = answer.body["lead_id"].as_str().and_then(|id| id.parse().ok());
        let subject = Subject { lead_id, crm_deal_id: "D-1".into() };
        let decided: Result<_, DbError> = app.db.tx(async |tx| decide(tx, &[subject]).await).await;
        assert_eq!(decided.unwrap()[0].ad_user_data, ConsentStatus::Denied, "{sent}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn another_persons_no_is_not_this_ones(pool: PgPool) {
    let app = app(&pool);
    for (stored, sent) in [
        ("jane@bucher.example", "jane@b\u{fc}cher.example"),
        ("andre@example.com", "andr\u{e9}@example.com"),
        ("john@b\u{fc}cher.example", "jane@b\u{fc}cher.example"),
    ] {
        let earlier = json!({"email": stored, "email_hash": Hash::of(stored), "ad_user_data": "denied"});
        testing::store(&pool, vec![testing::Row::of("leads", &earlier)]).await;
        let answer = send(&app, form(&json!({"email": sent, "consent": {"ad_user_data": "granted"}}))).await;
        let lead_id = answer.body["lead_id"].as_str().and_then(|id| id.parse().ok());
        let subject = Subject { lead_id, crm_deal_id: "D-1".into() };
        let decided: Result<_, DbError> = app.db.tx(async |tx| decide(tx, &[subject]).await).await;
        assert_eq!(decided.unwrap()[0].ad_user_data, ConsentStatus::Granted, "{sent}");
    }
}
