//! Rust and SQL keep the same callers back.

use shared::bots::{BOT, BotScore};
use sqlx::PgPool;

#[sqlx::test(migrations = "../migrations")]
async fn a_visitor_is_kept_back_by_the_same_rule_as_a_call(pool: PgPool) {
    for score in [0, BOT - 1, BOT, 2 * BOT] {
        for reasons in [
            &["headless"][..],
            &["crawler"],
            &["prefetch"],
            &["headless", "on_this_machine"],
            &["crawler", "prefetch"],
            &["http_client"],
        ] {
            let judged = BotScore { score, reasons: reasons.to_vec() };
            let visitor = sqlx::query_scalar::<_, String>(
                "insert into public.visitors (visitor_id, bot_score, bot_reasons)
                 values (gen_random_uuid()::text, $1, $2)
                 returning visitor_id",
            )
            .bind(score)
            .bind(reasons)
            .fetch_one(&pool)
            .await
            .unwrap();
            let of_visitor = sqlx::query_scalar::<_, bool>("select public.is_of_bot($1)")
                .bind(visitor)
                .fetch_one(&pool)
                .await
                .unwrap();
            assert_eq!(judged.is_kept_back(), of_visitor, "{judged:?}");
        }
    }
}
