//! Deals that were won on a day without a time.

use chrono::{DateTime, Utc};
use shared::platforms::Operation;
use shared::queue::{self, Policy};
use testing::{execute, route};

use super::*;

/// Somebody clicks at ten to midnight and becomes a customer ten minutes or two days later; the CRM knows only the day,
/// and its zone is the same, another, or not declared.
#[sqlx::test(migrations = "../../migrations")]
async fn a_deal_of_the_day_of_its_click_is_never_told_before_the_click(pool: PgPool) {
    let zones =
        ["Pacific/Auckland", "Asia/Kolkata", "Europe/Berlin", "UTC", "America/Los_Angeles", "Pacific/Honolulu", ""];
    let declared = |zone: &str| if zone.is_empty() { String::new() } else { format!("zone = \"{zone}\"") };
    let source = |(nth, zone): (usize, &&str)| {
        format!("[day-{nth}]\npreset = \"crm-conversion\"\nstrict = false\n[day-{nth}.fields]\n{}", declared(zone))
    };
    let sources: Vec<_> = zones.iter().enumerate().map(source).collect();
    let policy: Policy = testing::app_without_database(&[]).config;
    for clicked in [
        // Ten to midnight of 22 November in Auckland, Kolkata, Berlin, London, New York, Los Angeles and Honolulu.
        "2026-11-22T10:50:00Z",
        "2026-11-22T18:20:00Z",
        "2026-11-22T22:50:00Z",
        "2026-11-22T23:50:00Z",
        "2026-11-23T04:50:00Z",
        "2026-11-23T07:50:00Z",
        "2026-11-23T09:50:00Z",
    ] {
        let click_at: DateTime<Utc> = clicked.parse().unwrap();
        for reported in [TimeDelta::minutes(10), TimeDelta::days(2)] {
            execute(&pool, "truncate public.leads, public.inbox, public.inbox_receipts cascade").await;
            let app = app_with(&pool, &[("CRM_SOURCES", &sources.join("\n"))]);
            app.clock.advance(click_at + reported - app.clock.now());
            for nth in 0..zones.len() {
                let email = format!("p{nth}@example.com");
                let columns = json!({"click_at": clicked, "created_at": click_at + TimeDelta::minutes(2)});
                testing::lead(&email).with(&columns).store(&pool).await;
                let day = json!({
                    "crm_deal_id": format!("D-{nth}"), "conversion_type": "closed", "email": email,
                    "occurred_at": "2026-11-22",
                });
                let mut request = signed(testing::json_request(&ENDPOINT, &day));
                *request.uri_mut() = format!("/api/webhooks/day-{nth}").parse().unwrap();
                let answer = call(&app, &ENDPOINT, request, handle).await;
                assert_eq!(answer.body["status"], "queued", "{answer:?}");
            }
            app.clock.advance(TimeDelta::hours(7));
            let uploads = route(Operation::Upload);
            let claimed = app.db.tx(async |tx| queue::claim(tx, &policy, &uploads, 99, app.clock.now()).await).await;
            let claimed = claimed.unwrap().conversions;
            assert_eq!(claimed.len(), zones.len());
            for conversion in claimed {
                let told_at = conversion.occurred_at;
                assert!(conversion.facts.click_at == Some(click_at), "{conversion:?}");
                assert!(told_at >= click_at, "{clicked}, after {reported}: told at {told_at}");
                assert!(told_at <= click_at + reported, "not after its arrival");
            }
        }
    }
}
