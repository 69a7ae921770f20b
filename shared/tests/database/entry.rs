use std::collections::BTreeMap;

use serde_json::{Value, json};
use shared::attribution::Clicks;
use shared::consent::ConsentStatus;
use shared::db::DbError;
use shared::deals::Stage;
use shared::identity::Hash;
use shared::inbox::entry::{self, Entry, QueueStatus};
use shared::inbox::listing::{Filter, ListedState, newest};
use shared::inbox::matching::MatchedBy;
use shared::{App, intake};
use sqlx::PgPool;
use testing::{Row, app, execute, lead, match_waiting, start, waiting_deal};
use uuid::Uuid;

async fn find(app: &App<intake::Config>, name: &str) -> Vec<Entry> {
    app.db.tx(async |tx| entry::find(tx, name).await).await.unwrap()
}

/// A deal of jane@example.com that arrived on this day of November.
async fn deal(pool: &PgPool, conversion_type: &str, day: u8) -> Uuid {
    let at = format!("2026-11-{day:02}T12:00:00Z");
    let deal = json!({
        "source": "acme", "conversion_type": conversion_type, "value": 6000.5, "currency": "EUR", "occurred_at": at,
        "received_at": at, "clicks": {"microsoft": {"msclkid": "click"}},
    });
    waiting_deal("D-7", "jane@example.com").with(&deal).store(pool).await
}

/// An event with a body of its own that arrived on this day of November.
async fn event(pool: &PgPool, event: &Value, day: u8) -> Uuid {
    let at = format!("2026-11-{day:02}T12:00:00Z");
    let receipt = json!({
        "source": "acme", "payload_hash": Hash::of(event.to_string()), "verified_by": "hmac",
        "verified_with": "ACME_SECRET", "headers": {"content-type": "application/json", "x-signature": null},
        "body": format!("\\x7b{day:02}7d"), "received_at": at,
    });
    let receipt_id = Row::of("inbox_receipts", &receipt).store(pool).await;
    let row = json!({
        "receipt_id": receipt_id, "source": "acme", "source_event_id": receipt_id, "state": "taken",
        "crm_deal_id": "D-7", "received_at": at,
    });
    Row::of("inbox_events", &row).with(event).store(pool).await
}

fn ids(entry: &Entry) -> Vec<Uuid> {
    entry.events.iter().map(|event| event.id).collect()
}

fn gclid(clicks: &Clicks) -> Option<&str> {
    clicks.get("google")?.get("gclid")
}

#[sqlx::test(migrations = "../migrations")]
async fn a_matched_deal_is_found_with_all_that_belongs_to_it_by_each_of_its_names(pool: PgPool) {
    let app = app(&pool);
    let inbox_id = deal(&pool, "closed", 20).await;
    let won = event(&pool, &json!({"inbox_id": inbox_id, "rule": "rule 1: stage = won"}), 20).await;
    let lost = event(&pool, &json!({}), 19).await;
    let clicks = json!({
        "google": {"gclid": "click", "at": "2026-11-18T12:00:00Z"}, "meta": {"fbclid": "click", "at": "2026-11-17T12:00:00Z"},
    });
    let columns = json!({"clicks": clicks, "created_at": "2026-11-18T12:00:00Z"});
    let lead_id = lead("jane@example.com").with(&columns).store(&pool).await;
    let matched: Result<_, DbError> = app.db.tx(async |tx| match_waiting(tx, &app.config, &app.clock, 10).await).await;
    let conversion_id = matched.unwrap()[0].conversion_id;

    for name in [&inbox_id.to_string(), "D-7", &won.to_string(), &lost.to_string()] {
        let found = find(&app, name).await;
        let [entry] = found.as_slice() else { panic!("{name}: {found:?}") };
        let deal = entry.deal.as_ref().unwrap();
        assert_eq!((deal.id, deal.state), (inbox_id, ListedState::Matched), "{name}");
        assert_eq!((&deal.conversion_type, deal.matched_by), (&Stage::closed(), Some(MatchedBy::Email)));
        assert_eq!((deal.value, deal.currency.as_deref()), (Some(6000.5), Some("EUR")));
        assert_eq!(json!(deal.clicks), json!({"microsoft": {"msclkid": "click"}}));
        assert_eq!(ids(entry), [lost, won], "the loss is the whole deal's, and the oldest comes first");
        let event = &entry.events[1];
        assert_eq!((event.state.as_str(), event.rule.as_deref()), ("taken", Some("rule 1: stage = won")));
        assert_eq!(event.body.as_deref(), Some(&b"{\x20}"[..]), "byte by byte");
        assert_eq!(event.verified_with, "ACME_SECRET");
        let headers = [("content-type", Some("application/json")), ("x-signature", None)];
        let headers: BTreeMap<_, _> = headers.map(|(name, value)| (name.to_owned(), value.map(String::from))).into();
        assert_eq!(event.headers.0, headers);
        let conversion = entry.conversion.as_ref().unwrap();
        assert_eq!((conversion.id, conversion.lead_id), (conversion_id, Some(lead_id)));
        assert_eq!((gclid(&conversion.clicks.0), conversion.value), (Some("click"), Some(6000.5)));
        let mut both = clicks.clone();
        both["microsoft"] = json!({"msclkid": "click", "at": "2026-11-18T12:00:00Z"});
        assert_eq!(json!(conversion.clicks), both);
        assert_eq!((conversion.ad_user_data, conversion.skip_reason.as_deref()), (ConsentStatus::Granted, None));
        let [row] = entry.queue.as_slice() else { panic!("{:?}", entry.queue) };
        assert_eq!((row.conversion_id, row.platform.as_str()), (conversion_id, "google_ads"));
        assert_eq!((row.status, row.retry_count, row.uploaded_at), (QueueStatus::Pending, 0, None));
        let lead = entry.lead.as_ref().unwrap();
        assert_eq!((lead.id, lead.clicks.as_ref().and_then(|clicks| gclid(&clicks.0))), (lead_id, Some("click")));
        assert_eq!(json!(lead.clicks), clicks);
    }
    let stored = app.db.tx(async |tx| entry::of_deal(tx, inbox_id).await).await.unwrap();
    assert_eq!(stored.unwrap().deal.unwrap().conversion_id, Some(conversion_id));
}

#[sqlx::test(migrations = "../migrations")]
async fn a_row_that_was_sent_without_its_click_id_says_why(pool: PgPool) {
    let app = app(&pool);
    deal(&pool, "closed", 20).await;
    lead("jane@example.com").store(&pool).await;
    let _: Result<_, DbError> = app.db.tx(async |tx| match_waiting(tx, &app.config, &app.clock, 10).await).await;
    let attempts = "insert into public.upload_attempts
            (platform, operation, queue_ids, attempted_at, duration_ms, outcome, reason)
        select 'google_ads', 'upload', array[id], t.at::timestamptz, 0, t.outcome, t.reason
        from public.conversion_queue,
            (values ('2026-11-20', 'omit_click_id', 'too late'), ('2026-11-21', 'unavailable', 'away'))
                as t (at, outcome, reason)";
    execute(&pool, attempts).await;
    let reason = async || find(&app, "D-7").await[0].queue[0].omit_click_id_reason.clone();
    assert_eq!(reason().await, None);
    execute(&pool, "update public.conversion_queue set omit_click_id = true").await;
    assert_eq!(reason().await.as_deref(), Some("too late"));
}

#[sqlx::test(migrations = "../migrations")]
async fn the_stages_of_a_deal_are_entries_of_their_own_the_oldest_first(pool: PgPool) {
    let app = app(&pool);
    let (closed, qualified) = (deal(&pool, "closed", 20).await, deal(&pool, "qualified", 19).await);
    let of_closed = event(&pool, &json!({"inbox_id": closed}), 20).await;
    let lost = event(&pool, &json!({}), 21).await;
    execute(&pool, "update public.inbox set state = 'expired' where conversion_type = 'qualified'").await;
    for name in ["D-7", &lost.to_string()] {
        let found = find(&app, name).await;
        let deals: Vec<_> = found.iter().filter_map(|it| it.deal.as_ref()).map(|deal| (deal.id, deal.state)).collect();
        assert_eq!(deals, [(qualified, ListedState::Expired), (closed, ListedState::AwaitingLead)], "{name}");
        assert_eq!((ids(&found[0]), ids(&found[1])), (vec![lost], vec![of_closed, lost]), "{name}");
    }
    let found = find(&app, &of_closed.to_string()).await;
    assert!(found.len() == 1 && found[0].conversion.is_none() && found[0].lead.is_none(), "{found:?}");
    assert!(found[0].queue.is_empty() && found[0].deal.as_ref().unwrap().id == closed, "{found:?}");
}

#[sqlx::test(migrations = "../migrations")]
async fn events_that_never_became_a_deal_are_entries_of_their_own(pool: PgPool) {
    let app = app(&pool);
    let ignored = event(&pool, &json!({"state": "ignored", "reason": "no rule matches: stage = new"}), 20).await;
    let expired = event(&pool, &json!({"state": "expired"}), 19).await;
    let unreadable = event(&pool, &json!({"state": "rejected", "reason": "none", "crm_deal_id": null}), 18).await;
    execute(&pool, "update public.inbox_receipts set body = null where received_at = '2026-11-19T12:00:00Z'").await;

    let found = find(&app, "D-7").await;
    assert_eq!(found.iter().flat_map(ids).collect::<Vec<_>>(), [expired, ignored]);
    assert!(found.iter().all(|it| it.deal.is_none() && it.lead.is_none()), "{found:?}");
    assert_eq!((found[0].events[0].body.as_deref(), found[1].events[0].body.is_some()), (None, true));
    let found = find(&app, &unreadable.to_string()).await;
    assert_eq!(found.iter().flat_map(ids).collect::<Vec<_>>(), [unreadable]);
    assert_eq!(found[0].events[0].crm_deal_id, None);
    for name in ["D-8", "", "%", &Uuid::nil().to_string()] {
        assert!(find(&app, name).await.is_empty(), "{name}");
    }
}

#[sqlx::test(migrations = "../migrations")]
async fn a_suspicious_lead_that_a_deal_could_belong_to_says_so(pool: PgPool) {
    let app = app(&pool);
    testing::lead("jane@example.com").with(&json!({"is_suspicious": true})).store(&pool).await;
    testing::waiting_deal("D-7", "jane@example.com").store(&pool).await;
    let candidates: Vec<_> = find(&app, "D-7").await.remove(0).candidates;
    assert_eq!(candidates.iter().map(|lead| lead.is_suspicious).collect::<Vec<_>>(), [true]);
}

/// A site may have had the columns before, of the types that the migrations accept, and without a default.
#[sqlx::test(migrations = "../migrations")]
async fn a_lead_is_read_from_the_columns_that_a_site_already_had(pool: PgPool) {
    let app = app::<intake::Config>(&pool);
    execute(
        &pool,
        "drop view public.conversion_metrics;
         create type public.citext;
         create function public.citextin(cstring) returns public.citext language internal strict as 'textin';
         create function public.citextout(public.citext) returns cstring language internal strict as 'textout';
         create function public.citextsend(public.citext) returns bytea language internal strict as 'textsend';
         create type public.citext (
           input = public.citextin, output = public.citextout, send = public.citextsend, like = text
         );
         create cast (public.citext as text) without function as implicit;
         create cast (text as public.citext) without function as assignment;
         alter table public.leads
           alter gclid type public.citext, alter created_at drop not null, alter conversion_status drop not null",
    )
    .await;
    execute(&pool, "insert into public.leads (gclid, created_at, conversion_status) values ('Click', null, null)")
        .await;
    let inbox_id = deal(&pool, "closed", 20).await;
    execute(&pool, "update public.inbox set lead_id = (select id from public.leads)").await;

    let read: Result<_, DbError> = app
        .db
        .tx(async |tx| {
            let entry = entry::of_deal(tx, inbox_id).await?;
            let named = sqlx::query_scalar::<_, i64>("select count(*) from pg_prepared_statements where name <> ''");
            Ok((entry, named.fetch_one(&mut *tx).await?))
        })
        .await;
    let (entry, named_statements) = read.unwrap();
    let lead = entry.unwrap().lead.unwrap();
    assert_eq!(
        (lead.clicks.as_ref().and_then(|clicks| gclid(&clicks.0)), lead.created_at, lead.conversion_status),
        (Some("Click"), None, None)
    );
    assert_eq!(named_statements, 0, "one would be left on the pooler's connection");
}

#[sqlx::test(migrations = "../migrations")]
async fn every_state_is_listed_by_its_name(pool: PgPool) {
    use ListedState::{AwaitingLead, Expired, Ignored, Received, Rejected};

    let app = app::<intake::Config>(&pool);
    deal(&pool, "closed", 20).await;
    deal(&pool, "qualified", 19).await;
    execute(&pool, "update public.inbox set state = 'expired' where conversion_type = 'qualified'").await;
    event(&pool, &json!({"state": "ignored", "reason": "no rule matches"}), 18).await;
    event(&pool, &json!({"state": "rejected", "reason": "invalid"}), 17).await;
    event(&pool, &json!({"state": "received", "fetch_due_at": start()}), 16).await;
    event(&pool, &json!({"state": "taken"}), 15).await;
    let listed = async |states: &[ListedState]| {
        let filter = Filter { states: states.to_vec(), site: None, limit: 100 };
        let entries = app.db.tx(async |tx| newest(tx, &filter).await).await.unwrap();
        entries.into_iter().map(|entry| entry.state).collect::<Vec<_>>()
    };
    assert_eq!(listed(&[]).await, [AwaitingLead, Expired, Ignored, Rejected, Received], "the newest first");
    for state in [AwaitingLead, Expired, Ignored, Rejected, Received] {
        assert_eq!(listed(&[state]).await, [state]);
    }
    assert_eq!(listed(&[Received, Ignored]).await, [Ignored, Received]);
}

#[sqlx::test(migrations = "../migrations")]
async fn deals_are_listed_by_the_site_of_their_lead(pool: PgPool) {
    let app = app::<intake::Config>(&pool);
    for (person, site) in [("jane", json!("www.example.com")), ("joan", json!("Our shop in Berlin"))] {
        let email = format!("{person}@example.com");
        lead(&email).with(&json!({"site": site})).store(&pool).await;
        waiting_deal(&format!("D-{person}"), &email).store(&pool).await;
    }
    let matched: Result<_, DbError> = app.db.tx(async |tx| match_waiting(tx, &app.config, &app.clock, 10).await).await;
    assert_eq!(matched.unwrap().len(), 2);
    let fr = lead("luc@example.com").with(&json!({"site": "www.example.fr"})).store(&pool).await;
    waiting_deal("D-luc", "other@example.com").with(&json!({"lead_id": fr})).store(&pool).await;
    waiting_deal("D-nobody", "nobody@example.com").store(&pool).await;
    event(&pool, &json!({"state": "ignored", "reason": "no rule matches"}), 18).await;
    let listed = async |site: Option<&str>| {
        let filter = Filter { states: Vec::new(), site: site.map(String::from), limit: 100 };
        let entries = app.db.tx(async |tx| newest(tx, &filter).await).await.unwrap();
        entries.into_iter().filter_map(|entry| entry.crm_deal_id).collect::<Vec<_>>()
    };
    assert_eq!(listed(Some("www.example.com")).await, ["D-jane"]);
    assert_eq!(listed(Some("www.example.fr")).await, ["D-luc"], "of the lead that the CRM names");
    assert_eq!(listed(Some("example.com")).await, Vec::<String>::new());
    assert_eq!(listed(None).await.len(), 5);
    let [entry] = <[Entry; 1]>::try_from(find(&app, "D-jane").await).unwrap();
    assert_eq!(entry.conversion.unwrap().site.as_deref(), Some("www.example.com"));
    let [entry] = <[Entry; 1]>::try_from(find(&app, "D-joan").await).unwrap();
    assert_eq!(entry.conversion.unwrap().site, None, "the site's own column has something else");
}
